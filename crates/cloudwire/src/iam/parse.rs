//! From text to statements, or a refusal.

use strongroom_base::{Json, JsonMap};

use super::conditions;
use super::statement::{Effect, Listed, Named, Statement};
use super::strict::Strict;
use super::{DOCUMENT_BYTES_MAX, Kind, Malformed};

/// Statements of a document, and values of one list.
const STATEMENTS_MAX: usize = 128;
const VALUES_MAX: usize = 256;
/// Bytes of an unknown element's name that a refusal repeats.
const ELEMENT_BYTES_MAX: usize = 32;

type Result<T> = std::result::Result<T, Malformed>;

/// The statements of a document.
pub fn document(text: &str, kind: Kind) -> Result<Vec<Statement>> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(Malformed::new("the document is longer than 20480 bytes"));
    }
    let read = serde_json::from_str::<Strict>(text);
    let Strict(json) = read.map_err(|_| Malformed::new("the document is no valid JSON"))?;
    let Json::Object(map) = json else {
        return Err(Malformed::new("the document is no JSON object"));
    };
    only(&map, &["Version", "Id", "Statement"])?;
    match map.get("Version").map(Json::as_str) {
        None | Some(Some("2012-10-17" | "2008-10-17")) => {}
        _ => return Err(Malformed::new("Version must be 2012-10-17 or 2008-10-17")),
    }
    if map.get("Id").is_some_and(|id| !id.is_string()) {
        return Err(Malformed::new("Id must be a text"));
    }
    let statements = match map.get("Statement") {
        Some(Json::Array(all)) => all.as_slice(),
        Some(one @ Json::Object(_)) => std::slice::from_ref(one),
        _ => return Err(Malformed::new("the document has no Statement")),
    };
    if statements.is_empty() || statements.len() > STATEMENTS_MAX {
        return Err(Malformed::new("the document must have 1 to 128 statements"));
    }
    let mut sids: Vec<&str> = Vec::new();
    for sid in statements.iter().filter_map(|s| s.get("Sid")?.as_str()) {
        if sids.contains(&sid) {
            return Err(Malformed::new("two statements have the same Sid"));
        }
        sids.push(sid);
    }
    statements.iter().map(|one| statement(one, kind)).collect()
}

fn only(map: &JsonMap, known: &[&str]) -> Result<()> {
    let Some(name) = map.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    // What looks like an element is named.
    let is_plain =
        name.len() <= ELEMENT_BYTES_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric());
    Err(match is_plain {
        true => Malformed(format!("the document has the unknown element {name}").into()),
        false => Malformed::new("the document has an unknown element"),
    })
}

fn statement(json: &Json, kind: Kind) -> Result<Statement> {
    let Json::Object(map) = json else { return Err(Malformed::new("a statement is no object")) };
    only(
        map,
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    let alphanumeric = |sid: &str| sid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
    if map.get("Sid").is_some_and(|sid| !sid.as_str().is_some_and(alphanumeric)) {
        return Err(Malformed::new("Sid must be made of letters and digits"));
    }
    let effect = match map.get("Effect").and_then(Json::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(Malformed::new("Effect must be Allow or Deny")),
    };
    let principals = principals(map, kind)?;
    if effect == Effect::Allow && principals.as_ref().is_some_and(|p| p.except) {
        return Err(Malformed::new("NotPrincipal must not be used with Allow"));
    }
    let conditions = match map.get("Condition") {
        None => Vec::new(),
        Some(json) => conditions::read(json)?,
    };
    Ok(Statement {
        effect,
        principals,
        actions: listed(map, "Action", "NotAction", action)?,
        resources: listed(map, "Resource", "NotResource", resource)?,
        conditions,
    })
}

/// The one of two elements that is there.
fn one_of<'m>(map: &'m JsonMap, name: &str, not: &str) -> Result<Option<(&'m Json, bool)>> {
    match (map.get(name), map.get(not)) {
        (Some(_), Some(_)) => Err(Malformed::new("a statement has an element and its Not-form")),
        (Some(json), None) => Ok(Some((json, false))),
        (None, Some(json)) => Ok(Some((json, true))),
        (None, None) => Ok(None),
    }
}

fn listed(
    map: &JsonMap,
    name: &str,
    not: &str,
    read: fn(&str) -> Result<String>,
) -> Result<Listed<String>> {
    let (json, except) = one_of(map, name, not)?.ok_or(Malformed::new(
        "a statement must have Action or NotAction, and Resource or NotResource",
    ))?;
    let all = texts(json)?.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(Listed { all, except })
}

/// A text, or a list of texts that is not empty.
pub fn texts(json: &Json) -> Result<Vec<&str>> {
    let all: Option<Vec<&str>> = match json {
        Json::String(text) => Some(vec![text]),
        Json::Array(all) => all.iter().map(Json::as_str).collect(),
        _ => None,
    };
    let all = all.filter(|all| !all.is_empty() && all.len() <= VALUES_MAX);
    let all = all.ok_or(Malformed::new("a value must be a text or a list of texts"))?;
    if all.iter().any(|text| text.contains("${")) {
        return Err(Malformed::new("policy variables are not supported"));
    }
    Ok(all)
}

/// An action, in lower case.
fn action(text: &str) -> Result<String> {
    let sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?');
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good = text == "*"
        || text.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty()
                && !name.is_empty()
                && service.bytes().all(plain)
                && name.bytes().all(sign)
        });
    if good {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Malformed::new("an action must be * or service:Name"))
    }
}

fn resource(text: &str) -> Result<String> {
    let arn =
        text.starts_with("arn:") && text.splitn(6, ':').filter(|p| !p.is_empty()).count() >= 4;
    let six = text.splitn(6, ':').count() == 6;
    if has_path(text) {
        return Err(PATH);
    }
    if text == "*" || arn && six {
        Ok(text.to_owned())
    } else {
        Err(Malformed::new("a resource must be * or an ARN"))
    }
}

fn principals(map: &JsonMap, kind: Kind) -> Result<Option<Listed<Named>>> {
    let found = one_of(map, "Principal", "NotPrincipal")?;
    let (json, except) = match (kind, found) {
        (Kind::Identity, None) => return Ok(None),
        (Kind::Identity, Some(_)) => {
            return Err(Malformed::new("a document of a role must not name principals"));
        }
        (Kind::Resource, None) => {
            return Err(Malformed::new("a statement must name its Principal"));
        }
        (Kind::Resource, Some(found)) => found,
    };
    let all = match json {
        Json::String(text) if text == "*" => vec![Named::Everybody],
        Json::Object(map) if map.len() == 1 => match map.get("AWS") {
            Some(json) => texts(json)?.into_iter().map(principal).collect::<Result<Vec<_>>>()?,
            None => return Err(Malformed::new("a principal must be of the kind AWS")),
        },
        _ => return Err(Malformed::new("a principal must be * or {\"AWS\": …}")),
    };
    Ok(Some(Listed { all, except }))
}

/// Users and roles of this server stand below no path: a document that speaks of one means nobody.
pub const PATH: Malformed = Malformed::new("users and roles have no path here");

/// Is it the ARN of a user or role below a path?
pub fn has_path(arn: &str) -> bool {
    let name = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let of_iam = arn.split(':').nth(2) == Some("iam");
    let below = |kind: &str| name.strip_prefix(kind).is_some_and(|name| name.contains('/'));
    of_iam && (below("role/") || below("user/"))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn principal(text: &str) -> Result<Named> {
    if text == "*" {
        return Ok(Named::Everybody);
    }
    if is_account(text) {
        return Ok(Named::Account(text.to_owned()));
    }
    let malformed = Malformed::new("a principal must be *, an account or an ARN of iam or sts");
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", "aws", service, "", account, name] = parts[..] else { return Err(malformed) };
    let (kind, rest) = name.split_once('/').unwrap_or((name, ""));
    let known = match service {
        "iam" => matches!((kind, rest.is_empty()), ("root", true) | ("user" | "role", false)),
        "sts" => kind == "assumed-role" && rest.contains('/'),
        _ => false,
    };
    if !known || !is_account(account) || text.contains(['*', '?']) {
        return Err(malformed);
    }
    Ok(match kind {
        "root" => Named::Account(account.to_owned()),
        "assumed-role" => {
            let (role, session) = rest.split_once('/').ok_or_else(|| malformed.clone())?;
            if session.is_empty() || session.contains('/') {
                return Err(malformed);
            }
            let role = role.to_lowercase();
            Named::Arn(format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"))
        }
        _ if rest.contains('/') => return Err(PATH),
        _ => Named::Arn(text.to_lowercase()),
    })
}
