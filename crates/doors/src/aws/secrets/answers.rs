//! Answers: the engine's members by AWS's names, and secrets by their ARNs. They are written as they are
//! made: most requests of this door end here.

use strongroom_base::{Json, JsonMap, json};

use super::super::{Scope, Shape};

/// Members whose names are no rule's.
const NAMES: &[(&str, &str)] = &[
    ("rotation_lambda_arn", "RotationLambdaARN"),
    ("secrets", "SecretList"),
    ("kms_key_ids", "KmsKeyIds"),
];
/// A member whose own members are names of versions.
const STAGES: &str = "version_ids_to_stages";

/// An answer about one secret, or about none.
pub(super) const SECRET: Shape =
    Shape::Written(|scope, reply, out| write(scope, reply, Of::Secret, out));

/// A list of secrets.
pub(super) const LIST: Shape =
    Shape::Written(|scope, reply, out| write(scope, reply, Of::List, out));

/// Values and failures.
pub(super) const BATCH: Shape =
    Shape::Written(|scope, reply, out| write(scope, reply, Of::Batch, out));

/// No answer.
pub(super) const NOTHING: Shape = Shape::Made(|_, _| Json::Object(JsonMap::new()));

fn write(scope: &Scope, value: &Json, of: Of, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.extend_from_slice(b"{}"),
        value => put(scope, value, of, out),
    }
}

/// What is called otherwise in some answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Secret,
    /// What a description calls `VersionIdsToStages` has another name here.
    List,
    Batch,
    /// Those that a batch could not read: each is named by its ARN alone.
    Failures,
}

impl Of {
    /// `version_id` as `VersionId`.
    fn name(self, field: &str) -> String {
        if self == Self::List && field == STAGES {
            return "SecretVersionsToStages".to_owned();
        }
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

    fn within(self, field: &str) -> Self {
        if self == Self::Batch && field == "errors" { Self::Failures } else { self }
    }
}

/// A value and all that is in it, by AWS's names.
fn put(scope: &Scope, value: &Json, of: Of, out: &mut Vec<u8>) {
    match value {
        Json::Object(map) => put_object(scope, map, of, out),
        Json::Array(list) => {
            out.push(b'[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put(scope, value, of, out);
            }
            out.push(b']');
        }
        value => json::write_tree(out, value),
    }
}

fn put_object(scope: &Scope, map: &JsonMap, of: Of, out: &mut Vec<u8>) {
    out.push(b'{');
    let path = map.get("path").and_then(Json::as_str);
    if let Some(path) = path {
        let called = scope.name_of(path).unwrap_or_default();
        let arn = scope.secret_arn(&called, map.get("suffix").and_then(Json::as_str));
        if of == Of::Failures {
            json::write_text(member(out, "SecretId"), &arn);
        } else {
            json::write_text(member(out, "ARN"), &arn);
            json::write_text(member(out, "Name"), &called);
        }
    }
    for (field, value) in map {
        let is_said = path.is_some()
            && match field.as_str() {
                "path" | "suffix" => true,
                "secret_id" => of == Of::Failures,
                _ => false,
            };
        if is_said || value.is_null() {
            continue;
        }
        let out = member(out, &of.name(field));
        if field == STAGES {
            json::write_tree(out, value);
        } else {
            put(scope, value, of.within(field), out);
        }
    }
    out.push(b'}');
}

/// Begins a member; its value follows.
fn member<'o>(out: &'o mut Vec<u8>, name: &str) -> &'o mut Vec<u8> {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    json::write_text(out, name);
    out.push(b':');
    out
}
