//! Members of a request, taken one by one with their types and bounds. Those that nobody takes are passed
//! over, as AWS does.
//!
//! Invariant: what a refusal says of a member is its name and its bound, never its value.

use strongroom_base::{Error, Json, JsonMap, Result};

use super::Key;

/// The members of a request.
pub(super) struct Input(JsonMap);

/// A value of another type than the model's.
fn wrong_type() -> Error {
    Error::bad_request("The request has a member of a wrong type.").called("SerializationException")
}

/// A member's value that breaks a bound, in the words of AWS.
pub(super) fn invalid(name: &str, must: impl std::fmt::Display) -> Error {
    Error::bad_request(format!(
        "1 validation error detected: Value at '{}' failed to satisfy constraint: Member must {must}",
        member(name)
    ))
    .called("ValidationException")
}

/// A member's name as AWS's texts have it: with a small letter.
fn member(name: &str) -> String {
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}

impl Input {
    /// Those of a request.
    pub fn new(members: JsonMap) -> Self {
        Self(members)
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.0.swap_remove(name).filter(|value| !value.is_null())
    }

    /// Is the member given?
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text; bytes are text in base64.
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type()),
        }
    }

    /// A text of so many characters.
    pub fn text_within(&mut self, name: &str, least: usize, most: usize) -> Result<Option<String>> {
        let text = self.text(name)?;
        match text.as_ref().map(|text| text.chars().count()) {
            Some(count) if count < least => {
                Err(invalid(name, format_args!("have length greater than or equal to {least}")))
            }
            Some(count) if count > most => {
                Err(invalid(name, format_args!("have length less than or equal to {most}")))
            }
            _ => Ok(text),
        }
    }

    /// One of these texts.
    pub fn one_of(&mut self, name: &str, all: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match all.iter().find(|known| **known == text) {
            Some(known) => Ok(Some(known)),
            None => {
                Err(invalid(name, format_args!("satisfy enum value set: [{}]", all.join(", "))))
            }
        }
    }

    /// A whole number between these.
    pub fn integer(&mut self, name: &str, least: i64, most: i64) -> Result<Option<i64>> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Json::Number(number)) => number.as_i64().ok_or_else(wrong_type)?,
            Some(_) => return Err(wrong_type()),
        };
        if number < least {
            return Err(invalid(name, format_args!("have value greater than or equal to {least}")));
        }
        if number > most {
            return Err(invalid(name, format_args!("have value less than or equal to {most}")));
        }
        Ok(Some(number))
    }

    /// A boolean.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(wrong_type()),
        }
    }

    /// A list.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Json>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Array(list)) => Ok(Some(list)),
            Some(_) => Err(wrong_type()),
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        let text = |value| match value {
            Json::String(text) => Ok(text),
            _ => Err(wrong_type()),
        };
        list.into_iter().map(text).collect::<Result<_>>().map(Some)
    }

    /// A list of structures.
    pub fn structures(&mut self, name: &str) -> Result<Option<Vec<Input>>> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        let structure = |value| match value {
            Json::Object(members) => Ok(Self(members)),
            _ => Err(wrong_type()),
        };
        list.into_iter().map(structure).collect::<Result<_>>().map(Some)
    }

    /// A map of texts.
    pub fn pairs(&mut self, name: &str) -> Result<Option<JsonMap>> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Object(map)) if map.values().all(Json::is_string) => Ok(Some(map)),
            Some(_) => Err(wrong_type()),
        }
    }
}

/// A member that must be there.
pub(super) fn required<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::bad_request(format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member \
             must not be null",
            member(name)
        ))
        .called("ValidationException")
    })
}

/// An engine's field, where there is a value for it.
pub(super) fn put(body: &mut JsonMap, field: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        body.insert(field.to_owned(), value.into());
    }
}

/// The member `field` of an engine's answer; none where it is not there or null.
pub(super) fn given(answer: &mut Json, field: &str) -> Option<Json> {
    let value = answer.as_object_mut()?.swap_remove(field)?;
    (!value.is_null()).then_some(value)
}

/// A text of an engine's answer; empty where there is none.
pub(super) fn text_of(answer: &Json, field: &str) -> String {
    answer.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Characters of a tag's key.
const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
const TAG_VALUE_CHARS_MAX: usize = 256;

/// Tags of a request, as engines take them; `key` and `value` are what the service calls theirs.
pub(super) fn tags(input: &mut Input, key: &str, value: &str) -> Result<Option<Vec<Json>>> {
    let Some(tags) = input.structures("Tags")? else { return Ok(None) };
    let tag = |mut tag: Input| {
        let name = tag.text_within(key, 1, TAG_KEY_CHARS_MAX)?;
        let text = tag.text_within(value, 0, TAG_VALUE_CHARS_MAX)?;
        let (key, value) = (required(name, key)?, required(text, value)?);
        Ok(serde_json::json!({ "key": key, "value": value }))
    };
    tags.into_iter().map(tag).collect::<Result<_>>().map(Some)
}

/// What conditions of IAM documents see of a request's tags.
pub(super) fn tag_keys(tags: &[Json]) -> Vec<Key> {
    let names = tags.iter().map(|tag| text_of(tag, "key"));
    let mut keys = vec![("aws:TagKeys".into(), names.collect())];
    for tag in tags {
        let name = format!("aws:RequestTag/{}", text_of(tag, "key"));
        keys.push((name.into(), vec![text_of(tag, "value")]));
    }
    keys
}
