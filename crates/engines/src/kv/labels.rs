//! `custom_metadata`: its limits and its form on the wire.

use std::collections::BTreeMap;

use strongroom_base::fields::Field;
use strongroom_base::{Error, Json, JsonMap, Result};

use super::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX};

const PREFIX: &str = "custom_metadata validation failed";

/// Reads an object of labels; with `patch`, a null stays out of it.
fn read(map: &JsonMap, patch: bool) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (key, value) in map {
        let text = match value {
            Json::Null if patch => continue,
            Json::Null => String::new(),
            value => String::read(value)
                .map_err(|_| Error::bad_request(format!("{PREFIX}: values must be strings")))?,
        };
        labels.insert(key.clone(), text);
    }
    check(&labels)?;
    Ok(labels)
}

/// Labels that replace all others.
pub(super) fn replacing(map: &JsonMap) -> Result<BTreeMap<String, String>> {
    read(map, false)
}

/// Applies a merge patch to labels: a null removes one.
pub(super) fn patch(labels: &mut BTreeMap<String, String>, map: &JsonMap) -> Result<()> {
    let fresh = read(map, true)?;
    labels.retain(|key, _| !map.contains_key(key));
    labels.extend(fresh);
    // Each patch may be within the limit and all together above it.
    check_count(labels)
}

fn check_count(labels: &BTreeMap<String, String>) -> Result<()> {
    match labels.len() {
        count if count > LABELS_MAX => Err(Error::bad_request(format!(
            "{PREFIX}: payload must contain at most {LABELS_MAX} keys, provided {count}"
        ))),
        _ => Ok(()),
    }
}

/// Checks the limits. A text names a key only where that may be printed, and never a value.
fn check(labels: &BTreeMap<String, String>) -> Result<()> {
    check_count(labels)?;
    let mut problems = Vec::new();
    for (key, value) in labels {
        let key_fits = !key.is_empty() && key.len() <= LABEL_KEY_BYTES_MAX && printable(key);
        let named = if key_fits { format!("key {key:?}") } else { "a key".to_owned() };
        if key.is_empty() || key.len() > LABEL_KEY_BYTES_MAX {
            problems.push(format!(
                "{PREFIX}: length of a key is {} but must be 0 < len(key) <= {LABEL_KEY_BYTES_MAX}",
                key.len()
            ));
        } else if !key_fits {
            problems.push(format!("{PREFIX}: a key contains unprintable characters"));
        }
        if value.is_empty() || value.len() > LABEL_VALUE_BYTES_MAX {
            problems.push(format!(
                "{PREFIX}: length of value for {named} is {} but must be \
                 0 < len(value) <= {LABEL_VALUE_BYTES_MAX}",
                value.len()
            ));
        } else if !printable(value) {
            problems.push(format!("{PREFIX}: value for {named} contains unprintable characters"));
        }
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(Error::bad_request(list("1 error occurred", &problems))),
        n => Err(Error::bad_request(list(&format!("{n} errors occurred"), &problems))),
    }
}

/// Several errors in the form that Vault's clients print.
fn list(head: &str, problems: &[String]) -> String {
    let lines: String = problems.iter().map(|p| format!("\t* {p}\n")).collect();
    format!("{head}:\n{lines}\n")
}

/// Has the text only characters that show, and the space?
fn printable(text: &str) -> bool {
    text.chars().all(|c| {
        let hidden = matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..
        );
        !c.is_control() && !hidden && (c == ' ' || !c.is_whitespace())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_all(value: Json) -> Result<BTreeMap<String, String>, String> {
        let Json::Object(map) = value else { return Err("no object".to_owned()) };
        replacing(&map).map_err(|e| e.public.join("; "))
    }

    #[test]
    fn limits_hold_at_the_edge() {
        let many = |n: usize| Json::Object((0..n).map(|i| (i.to_string(), json!("v"))).collect());
        assert!(read_all(many(LABELS_MAX)).is_ok());
        assert!(read_all(many(LABELS_MAX + 1)).unwrap_err().contains("provided 65"));
        for (key, value, fits) in [
            ("k".repeat(LABEL_KEY_BYTES_MAX), "v".to_owned(), true),
            ("k".repeat(LABEL_KEY_BYTES_MAX + 1), "v".to_owned(), false),
            ("k".to_owned(), "v".repeat(LABEL_VALUE_BYTES_MAX), true),
            ("k".to_owned(), "v".repeat(LABEL_VALUE_BYTES_MAX + 1), false),
            (String::new(), "v".to_owned(), false),
            ("k".to_owned(), String::new(), false),
            ("k".to_owned(), "two words é".to_owned(), true),
            ("k".to_owned(), "a\nb".to_owned(), false),
            ("k\u{200b}".to_owned(), "b".to_owned(), false),
        ] {
            assert_eq!(read_all(json!({ key.clone(): value.clone() })).is_ok(), fits);
        }
        assert!(read_all(json!({"k": ["x"]})).is_err());
        assert_eq!(read_all(json!({"k": 2})).unwrap()["k"], "2");
    }

    #[test]
    fn errors_repeat_no_value() {
        // threats CVE-2025-4166, CVE-2025-52893
        let long = format!("canary{}", "x".repeat(600));
        let text = read_all(json!({"k": long, "canary\u{7}": "v\u{7}canary"})).unwrap_err();
        assert!(!text.contains("canary") && text.contains("key \"k\""), "{text}");
    }

    #[test]
    fn a_patch_may_not_grow_past_the_limit() {
        let half = |from: usize| -> JsonMap {
            (from..from + 40).map(|i| (i.to_string(), json!("v"))).collect()
        };
        let mut labels = replacing(&half(0)).unwrap();
        assert!(patch(&mut labels.clone(), &half(40)).is_err());
        let nulls = JsonMap::from_iter([("0".to_owned(), Json::Null)]);
        patch(&mut labels, &nulls).unwrap();
        assert_eq!(labels.len(), 39);
    }
}
