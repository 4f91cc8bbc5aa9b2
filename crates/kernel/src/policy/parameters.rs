//! The parameter phase: what a rule wants, forbids and allows of a request's parameters.

use strongroom_base::{Json, JsonMap};

use super::capability::Capability;
use super::decide::Denial;
use super::parse::{Parameters, Permissions};

/// The parameter that bounds a page of a list.
const LIMIT: &str = "limit";
/// Its value that asks for as much as is allowed.
const LIMIT_MAX: &str = "max";

/// Checks the parameters; gives the page limit to write over the request's, if one applies.
pub(super) fn check(
    permissions: &Permissions,
    capability: Capability,
    fields: Option<&JsonMap>,
) -> Result<Option<i64>, Denial> {
    match capability {
        Capability::Read | Capability::Update | Capability::Create | Capability::Patch => {
            check_fields(permissions, fields).map(|()| None)
        }
        Capability::List | Capability::Scan => page_limit(permissions, fields),
        _ => Ok(None),
    }
}

fn check_fields(permissions: &Permissions, fields: Option<&JsonMap>) -> Result<(), Denial> {
    for name in &permissions.required {
        let name = name.to_lowercase();
        if !fields.is_some_and(|fields| fields.contains_key(&name)) {
            return Err(Denial::ParameterRequired { parameter: name });
        }
    }
    let Some(fields) = fields.filter(|fields| !fields.is_empty()) else { return Ok(()) };
    if let Some(denied) = permissions.denied.as_ref().filter(|map| !map.is_empty()) {
        check_denied(denied, fields)?;
    }
    match permissions.allowed.as_ref().filter(|map| !map.is_empty()) {
        Some(allowed) => check_allowed(allowed, fields),
        None => Ok(()),
    }
}

fn check_denied(denied: &Parameters, fields: &JsonMap) -> Result<(), Denial> {
    if denied.contains_key("*") {
        return Err(Denial::AllParametersDenied);
    }
    for (name, value) in fields {
        let name = name.to_lowercase();
        match denied.get(&name) {
            None => {}
            Some(values) if values.is_empty() => {
                return Err(Denial::ParameterDenied { parameter: shown(name) });
            }
            // A wire field takes "5" for 5 and "true" for true, so a denied value is denied in
            // either writing. (OpenBao compares the JSON types as well.)
            Some(values) if values.iter().any(|denied| same(denied, value, true)) => {
                return Err(Denial::ValueDenied { parameter: shown(name) });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_allowed(allowed: &Parameters, fields: &JsonMap) -> Result<(), Denial> {
    let all = allowed.contains_key("*");
    if all && allowed.len() == 1 {
        return Ok(());
    }
    for (name, value) in fields {
        let name = name.to_lowercase();
        match allowed.get(&name) {
            None if all => {}
            None => return Err(Denial::ParameterNotAllowed { parameter: shown(name) }),
            Some(values) if values.is_empty() => {}
            Some(values) if values.iter().any(|allowed| same(allowed, value, false)) => {}
            Some(_) => return Err(Denial::ValueNotAllowed { parameter: shown(name) }),
        }
    }
    Ok(())
}

/// All parameters that [`check`] would refuse for not being allowed, by their names in the rule's
/// spelling; too long ones are left out, since no sensible rule names them.
pub(super) fn not_allowed(
    permissions: &Permissions,
    capability: Capability,
    fields: Option<&JsonMap>,
) -> Vec<String> {
    let judged = matches!(
        capability,
        Capability::Read | Capability::Update | Capability::Create | Capability::Patch
    );
    let allowed = permissions.allowed.as_ref().filter(|map| judged && !map.is_empty());
    let (Some(allowed), Some(fields)) = (allowed, fields) else { return Vec::new() };
    fields
        .iter()
        .filter(|(name, value)| {
            let single = JsonMap::from_iter([((*name).clone(), (*value).clone())]);
            name.len() <= 64 && check_allowed(allowed, &single).is_err()
        })
        .map(|(name, _)| name.to_lowercase())
        .collect()
}

/// A parameter's name as an explanation shows it: it came from outside, so it is cut.
fn shown(name: String) -> String {
    if name.len() <= 64 { name } else { name.chars().take(64).chain(['…']).collect() }
}

/// Is `value` what the rule's `item` says? Texts may hold a `*` at either end. With `loose`, a
/// text equals the number or boolean it spells.
fn same(item: &Json, value: &Json, loose: bool) -> bool {
    match (item, value) {
        (Json::String(pattern), Json::String(text)) => glob(pattern, text),
        (Json::Number(a), Json::Number(b)) => {
            a.to_string() == b.to_string()
                || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, loose))
        }
        (Json::String(text), other) | (other, Json::String(text)) if loose => match other {
            Json::Number(number) => number.to_string() == text.trim(),
            Json::Bool(value) => {
                let text = text.trim().to_ascii_lowercase();
                let spelt: &[&str] =
                    if *value { &["true", "t", "1"] } else { &["false", "f", "0"] };
                spelt.contains(&text.as_str())
            }
            _ => false,
        },
        (Json::Number(number), Json::Bool(value)) | (Json::Bool(value), Json::Number(number))
            if loose =>
        {
            number.to_string() == if *value { "1" } else { "0" }
        }
        (a, b) => a == b,
    }
}

/// Vault's matching of parameter texts: a `*` at the beginning, at the end, or at both.
fn glob(pattern: &str, text: &str) -> bool {
    let inner = pattern.strip_prefix('*');
    match (inner, inner.unwrap_or(pattern).strip_suffix('*')) {
        (Some(_), Some(middle)) => text.contains(middle),
        (Some(suffix), None) => text.ends_with(suffix),
        (None, Some(prefix)) => text.starts_with(prefix),
        (None, None) => pattern == text,
    }
}

fn page_limit(permissions: &Permissions, fields: Option<&JsonMap>) -> Result<Option<i64>, Denial> {
    let max = permissions.pagination_limit;
    let asked = fields.and_then(|fields| fields.get(LIMIT));
    let asks_max = asked.and_then(Json::as_str) == Some(LIMIT_MAX);
    if max <= 0 {
        // Without a limit in the policy, `max` means all; other values are the operation's own.
        return Ok(asks_max.then_some(0));
    }
    match asked {
        None if permissions.required.iter().any(|name| name.eq_ignore_ascii_case(LIMIT)) => {
            Err(Denial::LimitRequired)
        }
        None => Ok(Some(max)),
        Some(_) if asks_max => Ok(Some(max)),
        Some(value) => match whole_number(value) {
            None => Err(Denial::LimitNotANumber),
            Some(0) => Ok(Some(max)),
            Some(number) if number < 0 || number > max => Err(Denial::LimitOutOfRange { max }),
            Some(_) => Ok(None),
        },
    }
}

fn whole_number(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64(),
        Json::String(text) if text.is_empty() => Some(0),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_as_vault_has_them() {
        for (pattern, text, expect) in [
            ("foo", "foo", true),
            ("foo", "food", false),
            ("foo*", "food", true),
            ("*foo", "a foo", true),
            ("*o*", "foot", true),
            ("*", "anything", true),
            ("f*o", "foo", false),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), expect, "{pattern} {text}");
        }
    }
}
