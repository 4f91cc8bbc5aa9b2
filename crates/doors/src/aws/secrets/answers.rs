//! Answers: the engine's members by AWS's names, and secrets by their ARNs.

use strongroom_base::{Json, JsonMap};

use super::super::Scope;

/// Members whose names are no rule's.
const NAMES: &[(&str, &str)] = &[
    ("rotation_lambda_arn", "RotationLambdaARN"),
    ("secrets", "SecretList"),
    ("kms_key_ids", "KmsKeyIds"),
];
/// Members whose own members are names of versions.
const MAPS: &[&str] = &["version_ids_to_stages"];

/// `version_id` as `VersionId`.
fn name(field: &str) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(own, _)| *own == field) {
        return (*name).to_owned();
    }
    let mut out = String::with_capacity(field.len());
    for word in field.split('_') {
        let at = out.len();
        out.push_str(word);
        if let Some(first) = out.get_mut(at..at + 1) {
            first.make_ascii_uppercase();
        }
    }
    out
}

/// A member and all that is in it.
fn renamed(scope: &Scope, value: Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(members(scope, map)),
        Json::Array(list) => list.into_iter().map(|v| renamed(scope, v)).collect(),
        other => other,
    }
}

fn members(scope: &Scope, mut map: JsonMap) -> JsonMap {
    let mut out = JsonMap::with_capacity(map.len());
    if let Some(Json::String(path)) = map.shift_remove("path") {
        let suffix = map.shift_remove("suffix");
        let suffix = suffix.as_ref().and_then(Json::as_str);
        let called = scope.name_of(&path).unwrap_or_default();
        out.insert("ARN".to_owned(), scope.secret_arn(&called, suffix).into());
        out.insert("Name".to_owned(), called.into());
    }
    for (field, value) in map {
        let value = if MAPS.contains(&field.as_str()) { value } else { renamed(scope, value) };
        if !value.is_null() {
            out.insert(name(&field), value);
        }
    }
    out
}

/// An answer about one secret, or about none.
pub(super) fn secret(scope: &Scope, reply: Json) -> Json {
    renamed(scope, reply)
}

/// An answer about no secret.
pub(super) fn plain(scope: &Scope, reply: Json) -> Json {
    renamed(scope, reply)
}

/// No answer.
pub(super) fn nothing(_: &Scope, _: Json) -> Json {
    Json::Object(JsonMap::new())
}

/// A list of secrets: what a description calls `VersionIdsToStages` has another name here.
pub(super) fn list(scope: &Scope, reply: Json) -> Json {
    let mut reply = renamed(scope, reply);
    if let Some(Json::Array(secrets)) = reply.get_mut("SecretList") {
        for secret in secrets.iter_mut().filter_map(Json::as_object_mut) {
            if let Some(stages) = secret.shift_remove("VersionIdsToStages") {
                secret.insert("SecretVersionsToStages".to_owned(), stages);
            }
        }
    }
    reply
}

/// Values and failures: one that filters found is named by its ARN.
pub(super) fn batch(scope: &Scope, reply: Json) -> Json {
    let mut reply = renamed(scope, reply);
    if let Some(Json::Array(errors)) = reply.get_mut("Errors") {
        for error in errors.iter_mut().filter_map(Json::as_object_mut) {
            if let Some(arn) = error.shift_remove("ARN") {
                error.insert("SecretId".to_owned(), arn);
                error.shift_remove("Name");
            }
        }
    }
    reply
}
