//! Answers: the engine's members by AWS's names, and secrets by their ARNs. They are written as they are
//! made: most requests of this door end here.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
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
        value => json::write(out, &Renamed { scope, value, of }),
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

/// A member and all that is in it.
struct Renamed<'a> {
    scope: &'a Scope,
    value: &'a Json,
    of: Of,
}

impl Serialize for Renamed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { scope, value, of } = *self;
        match value {
            Json::Object(map) => {
                let mut out = serializer.serialize_map(None)?;
                let path = map.get("path").and_then(Json::as_str);
                if let Some(path) = path {
                    let called = scope.name_of(path).unwrap_or_default();
                    let arn = scope.secret_arn(&called, map.get("suffix").and_then(Json::as_str));
                    if of == Of::Failures {
                        out.serialize_entry("SecretId", &arn)?;
                    } else {
                        out.serialize_entry("ARN", &arn)?;
                        out.serialize_entry("Name", &called)?;
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
                    let name = of.name(field);
                    if field == STAGES {
                        out.serialize_entry(&name, value)?;
                    } else {
                        let of = of.within(field);
                        out.serialize_entry(&name, &Renamed { scope, value, of })?;
                    }
                }
                out.end()
            }
            Json::Array(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    out.serialize_element(&Renamed { scope, value, of })?;
                }
                out.end()
            }
            value => value.serialize(serializer),
        }
    }
}
