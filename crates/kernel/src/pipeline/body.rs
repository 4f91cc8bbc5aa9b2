//! Bodies and queries as fields.
//!
//! Invariants:
//! * a body is a JSON object, a form, or nothing: all else is refused before anything is done, for an
//!   operation whose body was passed over would do something else than its caller asked for;
//! * a form is one only under its content type, and only where it does not begin as JSON does: that type is
//!   what many clients send without thinking of it.

use strongroom_base::json::JsonLimits;
use strongroom_base::{Error, Json, JsonMap, RawFields, Result, percent};

use super::Call;
use crate::plug::Verb;

/// The content type of forms.
const FORM: &str = "application/x-www-form-urlencoded";
/// Members of a form.
const FORM_MEMBERS_MAX: usize = 1_000;
/// Bytes of a member's name.
const FORM_NAME_BYTES_MAX: usize = 64;

/// The body and query of a call as fields.
pub(super) fn read_body(call: &Call) -> Result<RawFields> {
    let mut fields = RawFields::default();
    match call.body.iter().find(|b| !b.is_ascii_whitespace()) {
        None => {}
        Some(b'{' | b'[') => fields = of_json(call)?,
        // Nothing, as some libraries write it.
        Some(b'n') if !is_form(call) && call.body.trim_ascii() == b"null" => {}
        Some(_) if is_form(call) => fields = of_form(&call.body, &call.bounds.json)?,
        Some(_) => return Err(Error::bad_request("error parsing JSON")),
    }
    if !matches!(call.verb, Verb::Write | Verb::Patch) && !call.query.is_empty() {
        // What the body says counts.
        let of_body: Vec<String> = fields.map.0.keys().cloned().collect();
        for (name, value) in call.query.iter().filter(|(name, _)| !of_body.contains(name)) {
            add(&mut fields.map.0, name, Json::from(value.as_str()));
        }
    }
    Ok(fields)
}

fn of_json(call: &Call) -> Result<RawFields> {
    match strongroom_base::json::parse_within(&call.body, &call.bounds.json) {
        Ok(Json::Object(map)) => Ok(RawFields::from_map(map)),
        Ok(_) => Err(Error::bad_request("error parsing JSON: the body must be a JSON object")),
        Err(e) => Err(Error::bad_request(e.to_string())),
    }
}

fn is_form(call: &Call) -> bool {
    let kind = call.headers.iter().find(|(name, _)| name == "content-type");
    kind.and_then(|(_, kind)| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

/// The bounds are those of JSON. Names are plain: they stand in the audit log as they are, so a secret that
/// was sent without a name must not be taken for one.
fn of_form(body: &[u8], limits: &JsonLimits) -> Result<RawFields> {
    let wrong = || Error::bad_request("error parsing form data");
    let too_large = || Error::bad_request("the form has too many or too long members");
    let text = std::str::from_utf8(body).map_err(|_| wrong())?.trim();
    let most = FORM_MEMBERS_MAX.min(limits.members).min(limits.strings / 2).min(limits.elements);
    let mut fields = RawFields::from_map(JsonMap::new());
    if text.len() > limits.memory {
        return Err(too_large());
    }
    for (at, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        let decoded = |text| percent::decode_query(text).ok_or_else(wrong);
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (decoded(name)?, decoded(value)?);
        if at >= most || name.len().max(value.len()) > limits.string_bytes {
            return Err(too_large());
        }
        if !is_name(&name) || value.is_empty() && pair == text {
            return Err(wrong());
        }
        add_text(&mut fields.map.0, &name, &value);
    }
    Ok(fields)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=FORM_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

/// Adds a member of a form; one that is there already goes on after a comma (observed: bao 2.6.2).
fn add_text(map: &mut JsonMap, name: &str, value: &str) {
    let text = match map.get(name).and_then(Json::as_str) {
        Some(first) => format!("{first},{value}"),
        None => value.to_owned(),
    };
    map.insert(name.to_owned(), Json::from(text));
}

/// Adds a parameter; one that is there already becomes a list, as in Vault.
fn add(map: &mut JsonMap, name: &str, value: Json) {
    match map.get_mut(name) {
        None => {
            map.insert(name.to_owned(), value);
        }
        Some(Json::Array(values)) => values.push(value),
        Some(first) => *first = Json::Array(vec![first.take(), value]),
    }
}
