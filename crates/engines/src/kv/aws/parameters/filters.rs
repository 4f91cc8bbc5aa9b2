//! Filters of lists (API page "ParameterStringFilter"): the values of one are alternatives, and all filters
//! must match.

use serde::Serialize;
use strongroom_base::{Error, Json, Result};

use super::find::{key_of, labels};
use super::limits::FILTER_VALUES_MAX;
use super::stored::{Kind, of_version, parameter};
use crate::kv::secret::{Head, Version};

/// What a filter looks at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Attribute {
    Name,
    Type,
    KeyId,
    Path,
    Label,
    Tier,
    DataType,
    Tag(String),
}

/// How it compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum How {
    Equals,
    BeginsWith,
    Contains,
    OneLevel,
    Recursive,
}

/// A filter.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Filter {
    pub key: Attribute,
    how: How,
    values: Vec<String>,
}

/// A parameter that filters look at.
pub(super) struct Seen<'a> {
    /// Its name without a leading slash.
    pub name: &'a str,
    /// Its head.
    pub head: &'a Head,
    /// The version that is shown.
    pub version: &'a Version,
}

fn wrong(text: &str, code: &'static str) -> Error {
    Error::bad_request(text).called(code)
}

/// The filters of a request: objects with key, option and values. `by_path` is the list of a folder's
/// values, which has fewer.
pub(super) fn read(filters: Option<&Json>, by_path: bool) -> Result<Vec<Filter>> {
    let list = match filters {
        None => return Ok(Vec::new()),
        Some(filters) => filters.as_array(),
    };
    let list = list.ok_or_else(|| wrong("filters are a list", "ValidationException"))?;
    let filters: Vec<Filter> =
        list.iter().map(|filter| one(filter, by_path)).collect::<Result<_>>()?;
    for (at, filter) in filters.iter().enumerate() {
        if filters.iter().take(at).any(|other| other.key == filter.key) {
            return Err(wrong(
                "The following filters are duplicated in the request. A request can contain only one \
                 occurrence of a specific filter.",
                "ValidationException",
            ));
        }
    }
    Ok(filters)
}

fn one(filter: &Json, by_path: bool) -> Result<Filter> {
    let key = match filter.get("key").and_then(Json::as_str).unwrap_or_default() {
        "Name" => Attribute::Name,
        "Type" => Attribute::Type,
        "KeyId" => Attribute::KeyId,
        "Path" => Attribute::Path,
        "Label" => Attribute::Label,
        "Tier" => Attribute::Tier,
        "DataType" => Attribute::DataType,
        other => match other.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
            Some(tag) => Attribute::Tag(tag.to_owned()),
            None => return Err(wrong("The specified key isn't valid.", "InvalidFilterKey")),
        },
    };
    let taken = match key {
        Attribute::Type | Attribute::KeyId => true,
        Attribute::Label => by_path,
        _ => !by_path,
    };
    if !taken {
        return Err(wrong("The specified key isn't valid for this operation.", "InvalidFilterKey"));
    }
    let option = filter.get("option").and_then(Json::as_str);
    let how = match (&key, option) {
        (Attribute::Path, None | Some("OneLevel")) => How::OneLevel,
        (Attribute::Path, Some("Recursive")) => How::Recursive,
        (Attribute::Path, Some(_)) => return Err(bad_option()),
        (_, None | Some("Equals")) => How::Equals,
        (Attribute::Label, Some(_)) => return Err(bad_option()),
        (_, Some("BeginsWith")) => How::BeginsWith,
        (Attribute::Name, Some("Contains")) => How::Contains,
        (_, Some(_)) => return Err(bad_option()),
    };
    let empty = Vec::new();
    let values = filter.get("values").and_then(Json::as_array).unwrap_or(&empty);
    let values: Vec<String> = values.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    // A tag may be asked for whatever its value.
    if values.is_empty() && !matches!(key, Attribute::Tag(_)) || values.len() > FILTER_VALUES_MAX {
        return Err(wrong(
            "The filter value isn't valid. Verify the value and try again.",
            "InvalidFilterValue",
        ));
    }
    Ok(Filter { key, how, values })
}

fn bad_option() -> Error {
    wrong(
        "The specified filter option isn't valid. Valid options are Equals and BeginsWith. For Path \
         filter, valid options are Recursive and OneLevel.",
        "InvalidFilterOption",
    )
}

/// Names and paths are compared without their leading slashes.
fn bare(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

impl Filter {
    fn compare(&self, text: &str, value: &str) -> bool {
        match self.how {
            How::Equals => text == value,
            How::BeginsWith => text.starts_with(value),
            How::Contains => text.contains(value),
            How::OneLevel | How::Recursive => {
                let folder = bare(value).trim_end_matches('/');
                let below = match folder {
                    "" => Some(text),
                    folder => text.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
                };
                below.is_some_and(|rest| self.how == How::Recursive || !rest.contains('/'))
            }
        }
    }

    /// Does one of the values match?
    pub fn matches(&self, seen: &Seen<'_>) -> bool {
        let any = |text: &str| self.values.iter().any(|value| self.compare(text, value));
        let about = || of_version(seen.head, seen.version);
        match &self.key {
            Attribute::Name => self.values.iter().any(|value| self.compare(seen.name, bare(value))),
            Attribute::Path => any(seen.name),
            Attribute::Type => any(parameter(seen.head).kind.name()),
            Attribute::KeyId => {
                parameter(seen.head).kind == Kind::SecureString && any(key_of(&about().key))
            }
            Attribute::Label => labels(seen.head, seen.version).iter().any(|label| any(label)),
            Attribute::Tier => any(about().tier.name()),
            Attribute::DataType => match about().data_type.as_str() {
                "" => any("text"),
                data_type => any(data_type),
            },
            Attribute::Tag(tag) => {
                let value = seen.head.labels.get(tag);
                value.is_some_and(|value| self.values.is_empty() || any(value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use strongroom_base::Timestamp;

    fn filter(key: &str, option: Option<&str>, values: &[&str]) -> Result<Filter> {
        let filters = json!([{ "key": key, "option": option, "values": values }]);
        Ok(read(Some(&filters), false)?.remove(0))
    }

    #[test]
    fn names_and_paths_are_compared_without_their_first_slash() {
        let mut head = Head::new(1, Timestamp(1));
        head.labels.insert("team".to_owned(), "a".to_owned());
        let row = crate::kv::secret::NewVersion {
            id: 1,
            value: 1,
            representation: Default::default(),
            deletion: Timestamp::ZERO,
            writer: String::new(),
            extra: None,
        };
        head.publish(row, Timestamp(1), 10);
        let version = head.versions[0].clone();
        let matches = |key, option, values: &[&str]| {
            let seen = Seen { name: "a/b/c", head: &head, version: &version };
            filter(key, option, values).unwrap().matches(&seen)
        };
        for (key, option, values, expect) in [
            ("Name", None, &["/a/b/c"][..], true),
            ("Name", None, &["a/b/c"], true),
            ("Name", None, &["/a/b"], false),
            ("Name", Some("BeginsWith"), &["/a/"], true),
            ("Name", Some("Contains"), &["b"], true),
            ("Name", None, &["x", "/a/b/c"], true),
            ("Path", None, &["/a/b"], true),
            ("Path", None, &["/a"], false),
            ("Path", None, &["/a/b/"], true),
            ("Path", Some("Recursive"), &["/a"], true),
            ("Path", Some("Recursive"), &["/"], true),
            ("Path", Some("Recursive"), &["/a/bc"], false),
            ("Type", None, &["SecureString"], true),
            ("Type", None, &["String"], false),
            ("KeyId", None, &["alias/aws/ssm"], true),
            ("Tier", None, &["Standard"], true),
            ("DataType", None, &["text"], true),
            ("tag:team", None, &["a"], true),
            ("tag:team", None, &[], true),
            ("tag:team", None, &["b"], false),
            ("tag:other", None, &[], false),
        ] {
            assert_eq!(matches(key, option, values), expect, "{key} {option:?} {values:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_by_its_name() {
        for (key, option, values, code) in [
            ("Nothing", None, &["x"][..], "InvalidFilterKey"),
            ("Label", None, &["x"], "InvalidFilterKey"),
            ("tag:", None, &["x"], "InvalidFilterKey"),
            ("Name", Some("Recursive"), &["x"], "InvalidFilterOption"),
            ("Type", Some("Contains"), &["x"], "InvalidFilterOption"),
            ("Path", Some("Equals"), &["x"], "InvalidFilterOption"),
            ("Name", None, &[], "InvalidFilterValue"),
            ("Name", None, &["x"; 51], "InvalidFilterValue"),
        ] {
            let failure = filter(key, option, values).err().and_then(|e| e.code);
            assert_eq!(failure, Some(code), "{key} {option:?}");
        }
        let by_path = |key: &str, option: Option<&str>| {
            let filters = json!([{ "key": key, "option": option, "values": ["x"] }]);
            read(Some(&filters), true).err().and_then(|e| e.code)
        };
        assert_eq!(by_path("Label", None), None);
        assert_eq!(by_path("Label", Some("BeginsWith")), Some("InvalidFilterOption"));
        for key in ["Name", "Path", "Tier", "DataType", "tag:x"] {
            assert_eq!(by_path(key, None), Some("InvalidFilterKey"), "{key}");
        }
        let twice = json!([{ "key": "Type", "values": ["x"] }, { "key": "Type", "values": ["y"] }]);
        assert_eq!(
            read(Some(&twice), false).err().and_then(|e| e.code),
            Some("ValidationException")
        );
    }
}
