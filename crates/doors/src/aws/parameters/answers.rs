//! Answers.

use serde_json::json;
use strongroom_base::{Json, JsonMap};

use super::super::Scope;
use super::super::input::{given, put, text_of};
use super::names;

fn flag(entry: &Json, field: &str) -> bool {
    entry.get(field).and_then(Json::as_bool).unwrap_or(false)
}

/// A parameter, or a version of one, with what the engine tells of it.
fn parameter(scope: &Scope, mut entry: Json) -> Json {
    let (rooted, reference) = (flag(&entry, "rooted"), flag(&entry, "reference"));
    let (name, arn) = names::shown(scope, &text_of(&entry, "path"), rooted, reference);
    let mut out = JsonMap::new();
    put(&mut out, "Name", Some(name));
    put(&mut out, "Type", given(&mut entry, "type"));
    put(&mut out, "Value", given(&mut entry, "value"));
    put(&mut out, "KeyId", given(&mut entry, "key"));
    put(&mut out, "Version", given(&mut entry, "version"));
    put(&mut out, "Selector", given(&mut entry, "selector"));
    put(&mut out, "SourceResult", given(&mut entry, "source").map(|s| source(scope, s)));
    put(&mut out, "LastModifiedDate", given(&mut entry, "modified"));
    put(&mut out, "LastModifiedUser", given(&mut entry, "user"));
    put(&mut out, "ARN", Some(arn));
    put(&mut out, "Description", given(&mut entry, "description"));
    put(&mut out, "AllowedPattern", given(&mut entry, "pattern"));
    put(&mut out, "Labels", given(&mut entry, "labels"));
    put(&mut out, "Tier", given(&mut entry, "tier"));
    put(&mut out, "DataType", given(&mut entry, "data_type"));
    Json::Object(out)
}

/// The secret behind a parameter, as a text.
fn source(scope: &Scope, mut secret: Json) -> String {
    let name = scope.name_of(&text_of(&secret, "path")).unwrap_or_default();
    let suffix = text_of(&secret, "suffix");
    let mut out = JsonMap::new();
    put(&mut out, "ARN", Some(scope.secret_arn(&name, Some(&suffix))));
    put(&mut out, "name", Some(name));
    put(&mut out, "versionId", given(&mut secret, "version_id"));
    put(&mut out, "secretString", given(&mut secret, "secret_string"));
    put(&mut out, "secretBinary", given(&mut secret, "secret_binary"));
    put(&mut out, "versionStages", given(&mut secret, "version_stages"));
    put(&mut out, "createdDate", given(&mut secret, "created_date"));
    Json::Object(out).to_string()
}

pub fn one(scope: &Scope, answer: Json) -> Json {
    json!({ "Parameter": parameter(scope, answer) })
}

fn all(scope: &Scope, answer: &mut Json) -> Json {
    let list = match given(answer, "parameters") {
        Some(Json::Array(list)) => list,
        _ => Vec::new(),
    };
    Json::Array(list.into_iter().map(|entry| parameter(scope, entry)).collect())
}

pub fn several(scope: &Scope, mut answer: Json) -> Json {
    let parameters = all(scope, &mut answer);
    json!({ "Parameters": parameters, "InvalidParameters": given(&mut answer, "invalid") })
}

pub fn page(scope: &Scope, mut answer: Json) -> Json {
    let mut out = JsonMap::new();
    out.insert("Parameters".to_owned(), all(scope, &mut answer));
    put(&mut out, "NextToken", given(&mut answer, "next"));
    Json::Object(out)
}

pub fn version(_: &Scope, mut answer: Json) -> Json {
    let mut out = JsonMap::new();
    put(&mut out, "Version", given(&mut answer, "version"));
    put(&mut out, "Tier", given(&mut answer, "tier"));
    Json::Object(out)
}

pub fn deleted(_: &Scope, mut answer: Json) -> Json {
    let mut out = JsonMap::new();
    put(&mut out, "DeletedParameters", given(&mut answer, "deleted"));
    put(&mut out, "InvalidParameters", given(&mut answer, "invalid"));
    Json::Object(out)
}

pub fn labelled(_: &Scope, mut answer: Json) -> Json {
    let mut out = JsonMap::new();
    put(&mut out, "InvalidLabels", given(&mut answer, "invalid"));
    put(&mut out, "RemovedLabels", given(&mut answer, "removed"));
    put(&mut out, "ParameterVersion", given(&mut answer, "version"));
    Json::Object(out)
}

pub fn tags(_: &Scope, mut answer: Json) -> Json {
    let list = match given(&mut answer, "tags") {
        Some(Json::Array(list)) => list,
        _ => Vec::new(),
    };
    let tag = |tag: &Json| json!({ "Key": text_of(tag, "key"), "Value": text_of(tag, "value") });
    json!({ "TagList": list.iter().map(tag).collect::<Vec<_>>() })
}

pub fn nothing(_: &Scope, _: Json) -> Json {
    Json::Object(JsonMap::new())
}
