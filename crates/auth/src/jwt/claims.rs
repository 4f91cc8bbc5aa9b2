//! Finding claims, and what a role binds them to.
//!
//! A name that begins with `/` is a JSON pointer (RFC 6901); any other is a member at the top.

use std::collections::BTreeMap;

use strongroom_base::glob::glob;
use strongroom_base::{Error, Json, JsonMap, Result};

use super::stored::Role;

/// The claim called `name`; null counts as missing.
pub fn get<'c>(claims: &'c JsonMap, name: &str) -> Option<&'c Json> {
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(pointer) => {
            let (first, rest) = match pointer.find('/') {
                Some(at) => pointer.split_at(at),
                None => (pointer, ""),
            };
            let first = first.replace("~1", "/").replace("~0", "~");
            claims.get(&first).and_then(|claim| claim.pointer(rest))
        }
    };
    found.filter(|claim| !claim.is_null())
}

/// Sets the claim called `name`; a pointer only where what is around it is there.
pub fn set(claims: &mut JsonMap, name: &str, value: Json) {
    let Some(pointer) = name.strip_prefix('/') else {
        claims.insert(name.to_owned(), value);
        return;
    };
    let (around, last) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let last = last.replace("~1", "/").replace("~0", "~");
    if around.is_empty() {
        claims.insert(last, value);
        return;
    }
    let (first, rest) = match around.find('/') {
        Some(at) => around.split_at(at),
        None => (around, ""),
    };
    let first = first.replace("~1", "/").replace("~0", "~");
    let within = claims.get_mut(&first).and_then(|claim| claim.pointer_mut(rest));
    if let Some(Json::Object(within)) = within {
        within.insert(last, value);
    }
}

/// The claims that RFC 7519 §4.1 registers.
const REGISTERED: &[&str] = &["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// Is this the name of a claim that RFC 7519 registers, or one that others might take for it?
pub fn is_registered(name: &str) -> bool {
    REGISTERED.contains(&folded(name).as_str())
}

fn folded(name: &str) -> String {
    name.replace('\u{17f}', "s").replace('\u{212a}', "k").to_lowercase()
}

/// Refuses claims that others might take for a registered one (`SUB`, or with a long s): who reads
/// names without regard to case would believe another value than this code checks.
pub fn check_names(claims: &JsonMap) -> Result<()> {
    for name in claims.keys() {
        if !REGISTERED.contains(&name.as_str()) && is_registered(name) {
            return Err(Error::bad_request("ambiguous claim: it collides with a registered claim"));
        }
    }
    Ok(())
}

/// One value, or each of a list's; `None` for an object.
fn each(value: &Json) -> Option<&[Json]> {
    match value {
        Json::Array(all) => Some(all),
        Json::Object(_) | Json::Null => None,
        one => Some(std::slice::from_ref(one)),
    }
}

/// Refuses bound claims that no claim can match.
pub fn check_bound(bound: &JsonMap, kind: &str) -> Result<()> {
    for value in bound.values() {
        let values = each(value);
        let values = values.ok_or_else(|| Error::bad_request("claim is not a string or list"))?;
        if kind == "glob" && !values.iter().all(Json::is_string) {
            return Err(Error::bad_request("claim is not a string"));
        }
    }
    Ok(())
}

/// Are the claims what the role binds them to?
pub fn check(role: &Role, claims: &JsonMap) -> Result<()> {
    let globs = role.bound_claims_type == "glob";
    for (name, wanted) in &role.bound_claims {
        let refuse = |text: String| Err(Error::bad_request(text));
        let Some(actual) = get(claims, name) else {
            return refuse(format!("claim {name:?} is missing"));
        };
        let Some(actual) = each(actual) else {
            return refuse("received claim is not a string, bool, int or list".to_owned());
        };
        let Some(wanted) = each(wanted) else {
            return refuse("bound claim is not a string, bool, int or list".to_owned());
        };
        let fits = |wanted: &Json| actual.iter().any(|actual| is(wanted, actual, globs));
        if !wanted.iter().any(fits) {
            return refuse(format!(
                "claim {name:?} does not match any associated bound claim values"
            ));
        }
    }
    Ok(())
}

fn is(wanted: &Json, actual: &Json, globs: bool) -> bool {
    match (wanted, actual) {
        (Json::String(wanted), Json::String(actual)) if globs => glob(wanted, actual),
        // The number counts, not how it is written.
        (Json::Number(wanted), Json::Number(actual)) => match (wanted.as_i64(), actual.as_i64()) {
            (Some(wanted), Some(actual)) => wanted == actual,
            _ => wanted.as_f64().is_some() && wanted.as_f64() == actual.as_f64(),
        },
        (Json::Object(_) | Json::Array(_) | Json::Null, _) => false,
        _ => wanted == actual,
    }
}

/// Who the caller is, by the role.
pub fn user(role: &Role, claims: &JsonMap) -> Result<String> {
    let name = &role.user_claim;
    let claim = match role.user_claim_json_pointer {
        true => get(claims, name),
        false => claims.get(name).filter(|claim| !claim.is_null()),
    };
    match claim {
        None => Err(Error::bad_request(format!("claim {name:?} not found in token"))),
        Some(Json::String(user)) if !user.is_empty() => Ok(user.clone()),
        Some(_) => {
            Err(Error::bad_request(format!("claim {name:?} could not be converted to string")))
        }
    }
}

/// The metadata that the role takes from claims.
pub fn metadata(role: &Role, claims: &JsonMap) -> Result<BTreeMap<String, String>> {
    let mut metadata = BTreeMap::new();
    for (source, target) in &role.claim_mappings {
        match get(claims, source) {
            None => {}
            Some(Json::String(text)) => {
                metadata.insert(target.clone(), text.clone());
            }
            Some(_) => {
                let text = format!("error converting claim '{source}' to string");
                return Err(Error::bad_request(text));
            }
        }
    }
    Ok(metadata)
}

/// The caller's groups.
pub fn groups(role: &Role, claims: &JsonMap) -> Result<Vec<String>> {
    let name = &role.groups_claim;
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let refuse = |text: String| Error::bad_request(text);
    let claim = get(claims, name).ok_or_else(|| {
        refuse(format!("failed to fetch groups: {name:?} claim not found in token"))
    })?;
    let all = each(claim)
        .ok_or_else(|| refuse(format!("{name:?} claim could not be converted to string list")))?;
    let texts = all.iter().map(|group| {
        group.as_str().map(str::to_owned).ok_or_else(|| {
            refuse("a value in groups claim could not be parsed as string".to_owned())
        })
    });
    let mut groups = texts.collect::<Result<Vec<String>>>()?;
    groups.retain(|group| !group.is_empty());
    groups.sort();
    groups.dedup();
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(json: Json) -> JsonMap {
        let Json::Object(map) = json else { panic!("no object") };
        map
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let mut claims = map(json!({
            "a": 1, "c": {"d": 95, "e": ["dog", "cat"], "f/g": "z"}, "/x": "odd", "n": null,
        }));
        for (name, found) in [
            ("a", Some(json!(1))),
            ("/a", Some(json!(1))),
            ("/c/d", Some(json!(95))),
            ("/c/e/1", Some(json!("cat"))),
            ("/c/f~1g", Some(json!("z"))),
            ("c/d", None),
            ("/c/x/y", None),
            ("/", None),
            ("/x", None),
            ("n", None),
            ("", None),
        ] {
            assert_eq!(get(&claims, name), found.as_ref(), "{name}");
        }
        set(&mut claims, "/c/d", json!(1));
        set(&mut claims, "/new", json!(2));
        set(&mut claims, "/none/x", json!(3));
        set(&mut claims, "top", json!(4));
        assert_eq!(get(&claims, "/c/d"), Some(&json!(1)));
        assert_eq!(get(&claims, "new"), Some(&json!(2)));
        assert_eq!(get(&claims, "/none/x"), None);
        assert_eq!(get(&claims, "top"), Some(&json!(4)));
    }

    #[test]
    fn names_that_look_like_registered_ones_are_refused() {
        for name in ["SUB", "\u{17f}ub", "Exp", "i\u{17f}s"] {
            assert!(check_names(&map(json!({ name: 1 }))).is_err(), "{name}");
        }
        assert!(check_names(&map(json!({"sub": 1, "subject": 2, "Name": 3}))).is_ok());
    }

    #[test]
    fn bound_claims() {
        for (kind, bound, claims, fits) in [
            ("string", json!({"a": "x"}), json!({"a": "x"}), true),
            ("string", json!({"a": "x"}), json!({"a": "y"}), false),
            ("string", json!({"a": "x"}), json!({}), false),
            ("string", json!({"a": "x"}), json!({"a": null}), false),
            ("string", json!({"a": ["x", "y"]}), json!({"a": "y"}), true),
            ("string", json!({"a": "x"}), json!({"a": ["w", "x"]}), true),
            ("string", json!({"a": ["x"]}), json!({"a": []}), false),
            ("string", json!({"a": []}), json!({"a": "x"}), false),
            ("string", json!({"a": "x*"}), json!({"a": "xy"}), false),
            ("string", json!({"a": true}), json!({"a": true}), true),
            ("string", json!({"a": true}), json!({"a": "true"}), false),
            ("string", json!({"a": 5}), json!({"a": 5.0}), true),
            ("string", json!({"a": 5}), json!({"a": 5.5}), false),
            ("string", json!({"a": 5}), json!({"a": "5"}), false),
            ("string", json!({"a": "x"}), json!({"a": {"x": "x"}}), false),
            ("string", json!({"/a/b": "x"}), json!({"a": {"b": "x"}}), true),
            ("string", json!({"a": "x", "b": "y"}), json!({"a": "x"}), false),
            ("glob", json!({"a": "refs/heads/*"}), json!({"a": "refs/heads/main"}), true),
            ("glob", json!({"a": "refs/heads/*"}), json!({"a": "refs/tags/refs/heads/"}), false),
            ("glob", json!({"a": ["x*", "*z"]}), json!({"a": ["abz"]}), true),
            ("glob", json!({"a": "*"}), json!({"a": 5}), false),
        ] {
            let role = Role {
                bound_claims_type: kind.to_owned(),
                bound_claims: map(bound.clone()),
                ..Role::default()
            };
            assert_eq!(check(&role, &map(claims.clone())).is_ok(), fits, "{bound} {claims}");
        }
        assert!(check_bound(&map(json!({"a": ["x"]})), "glob").is_ok());
        assert!(check_bound(&map(json!({"a": [1]})), "glob").is_err());
        assert!(check_bound(&map(json!({"a": [1]})), "string").is_ok());
        assert!(check_bound(&map(json!({"a": {"b": 1}})), "string").is_err());
    }
}
