//! Secrets with versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ops::Op;

/// Versions that a secret keeps.
const VERSIONS_MAX: u64 = 10;

/// A version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Version {
    value: String,
    deleted: bool,
    destroyed: bool,
}

/// A secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Secret {
    current: u64,
    versions: BTreeMap<u64, Version>,
}

/// A step on the secrets of a mount.
pub(super) fn kv(secrets: &mut BTreeMap<&'static str, Secret>, op: &Op) -> (u16, Value) {
    match op {
        Op::Put { path, value, cas, .. } => {
            let secret = secrets.get(path).cloned().unwrap_or_default();
            if cas.is_some_and(|cas| cas != secret.current) {
                return (400, Value::Null);
            }
            let secret = secrets.entry(path).or_default();
            secret.current += 1;
            let version = Version { value: value.clone(), deleted: false, destroyed: false };
            secret.versions.insert(secret.current, version);
            let oldest = (secret.current + 1).saturating_sub(VERSIONS_MAX);
            secret.versions.retain(|n, _| *n >= oldest);
            (200, json!(secret.current))
        }
        Op::Get { path, version, .. } => {
            let Some(secret) = secrets.get(path) else { return (404, Value::Null) };
            let number = if *version == 0 { secret.current } else { *version };
            match secret.versions.get(&number) {
                Some(v) if !v.deleted && !v.destroyed => (200, json!([v.value, number])),
                _ => (404, Value::Null),
            }
        }
        Op::DeleteLatest { path, .. } => {
            if let Some(secret) = secrets.get_mut(path)
                && let Some(version) = secret.versions.get_mut(&secret.current)
            {
                version.deleted = true;
            }
            (204, Value::Null)
        }
        Op::Versions { path, verb, version, .. } => {
            let found = secrets.get_mut(path).and_then(|s| s.versions.get_mut(version));
            if let Some(found) = found {
                match *verb {
                    "delete" => found.deleted = true,
                    "undelete" => found.deleted = false,
                    _ => found.destroyed = true,
                }
            }
            (204, Value::Null)
        }
        Op::DeleteSecret { path, .. } => {
            secrets.remove(path);
            (204, Value::Null)
        }
        Op::List { folder, .. } => {
            let mut names: Vec<String> = secrets
                .keys()
                .filter_map(|path| path.strip_prefix(folder))
                .map(|rest| match rest.split_once('/') {
                    Some((head, _)) => format!("{head}/"),
                    None => rest.to_owned(),
                })
                .collect();
            names.sort();
            names.dedup();
            if names.is_empty() { (404, Value::Null) } else { (200, json!(names)) }
        }
        _ => (0, Value::Null),
    }
}
