//! Members of requests, and the types that they must have.

use strongroom_base::{Error, Json, JsonMap, Result};

/// Characters of a `SecretId`.
const SECRET_ID_CHARS_MAX: usize = 2_048;

/// A member's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Text; bytes are text in base64.
    Text,
    /// A whole number.
    Integer,
    /// A boolean.
    Boolean,
    /// A list of texts.
    Texts,
    /// A list of structures.
    Objects,
    /// A list of `Key` and `Value`.
    Tags,
    /// A list of `Key` and `Values`.
    Filters,
    /// A structure whose members are the operation's own.
    RotationRules,
}

/// A member.
#[derive(Clone, Copy)]
pub(super) struct Member {
    name: &'static str,
    field: &'static str,
    kind: Kind,
    required: bool,
}

impl Member {
    /// The member `name`, which is the engine's `field`.
    pub const fn new(name: &'static str, field: &'static str, kind: Kind) -> Self {
        Self { name, field, kind, required: false }
    }

    /// It must be given.
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// A member of another type than the model's.
fn wrong() -> Error {
    Error::bad_request("The request has a member of a wrong type.").called("SerializationException")
}

/// A member that must be there.
fn missing(name: &str) -> Error {
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Error::bad_request(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must \
         not be null"
    ))
    .called("ValidationException")
}

/// The engine's fields of the members that are given.
pub(super) fn take(members: &[Member], input: &mut JsonMap) -> Result<JsonMap> {
    let mut body = JsonMap::new();
    for member in members {
        let value = match input.swap_remove(member.name) {
            None | Some(Json::Null) if member.required => return Err(missing(member.name)),
            None | Some(Json::Null) => continue,
            Some(value) => value,
        };
        let value = match (member.kind, value) {
            (Kind::Text, Json::String(text)) => Json::String(text),
            (Kind::Integer, Json::Number(n)) if n.as_i64().is_some() => Json::Number(n),
            (Kind::Boolean, Json::Bool(b)) => Json::Bool(b),
            (Kind::Texts, value) => texts(value)?,
            (Kind::Objects, Json::Array(list)) if list.iter().all(Json::is_object) => {
                Json::Array(list)
            }
            (Kind::Tags, value) => {
                objects(value, &[("Key", "key", false), ("Value", "value", false)])?
            }
            (Kind::Filters, value) => {
                objects(value, &[("Key", "key", false), ("Values", "values", true)])?
            }
            (Kind::RotationRules, Json::Object(mut rules)) => {
                body.extend(take(RULES, &mut rules)?);
                continue;
            }
            _ => return Err(wrong()),
        };
        body.insert(member.field.to_owned(), value);
    }
    Ok(body)
}

const RULES: &[Member] = &[
    Member::new("AutomaticallyAfterDays", "automatically_after_days", Kind::Integer),
    Member::new("ScheduleExpression", "schedule_expression", Kind::Text),
    Member::new("Duration", "duration", Kind::Text),
];

fn texts(value: Json) -> Result<Json> {
    match value {
        Json::Array(list) if list.iter().all(Json::is_string) => Ok(Json::Array(list)),
        _ => Err(wrong()),
    }
}

/// A list of structures, their members renamed: name, the engine's, is it a list of texts?
fn objects(value: Json, members: &[(&str, &str, bool)]) -> Result<Json> {
    let Json::Array(list) = value else { return Err(wrong()) };
    let renamed = list.into_iter().map(|entry| {
        let Json::Object(mut entry) = entry else { return Err(wrong()) };
        let mut out = JsonMap::new();
        for (name, field, many) in members {
            let value = match entry.swap_remove(*name) {
                None | Some(Json::Null) => continue,
                Some(value) if *many => texts(value)?,
                Some(Json::String(text)) => Json::String(text),
                Some(_) => return Err(wrong()),
            };
            out.insert((*field).to_owned(), value);
        }
        Ok(Json::Object(out))
    });
    Ok(Json::Array(renamed.collect::<Result<_>>()?))
}

/// The `SecretId` of a request.
pub(super) fn secret_id(input: &mut JsonMap) -> Result<String> {
    match input.swap_remove("SecretId") {
        None | Some(Json::Null) => Err(missing("SecretId")),
        Some(Json::String(id)) => check_secret_id(&id).map(|()| id),
        Some(_) => Err(wrong()),
    }
}

/// Refuses what is too long for a `SecretId`, or nothing.
pub(super) fn check_secret_id(id: &str) -> Result<()> {
    if (1..=SECRET_ID_CHARS_MAX).contains(&id.chars().count()) {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "1 validation error detected: Value at 'secretId' failed to satisfy constraint: Member must \
         have length between 1 and {SECRET_ID_CHARS_MAX}"
    ))
    .called("ValidationException"))
}
