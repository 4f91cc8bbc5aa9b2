//! An operation's wire fields, described once: the [`fields!`](crate::fields) macro gives the
//! struct, its lenient reading by one coercion table, and the specification that path-help,
//! OpenAPI, warnings about unknown fields and policy's parameter checks are made from.

mod body;
mod coercion;
mod description;
#[cfg(test)]
mod tests;

use crate::json::{Json, JsonMap, SecretMap};

pub use body::{Patch, RawBody, Rest};
pub use description::{Fields, join, length, wire_name};

/// What the wire carried: the body's members (or the query's parameters) as they came. Wiped when
/// dropped.
#[derive(Default)]
pub struct RawFields {
    /// Members of the JSON body, or query parameters of a request without a body.
    pub map: SecretMap,
    /// The body as it came where it is not a JSON object (raw uploads), else empty.
    pub raw_body: crate::SecretBytes,
}

impl RawFields {
    /// Fields from a JSON object.
    pub fn from_map(map: JsonMap) -> Self {
        Self { map: SecretMap(map), raw_body: Default::default() }
    }

    /// A member by its wire name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.map.0.get(name)
    }
}

/// The JSON kind of a field, for OpenAPI and path-help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A boolean.
    Boolean,
    /// Seconds, or a duration text.
    Duration,
    /// A list of texts, or a comma-separated text.
    List,
    /// An object of texts, or `k=v` texts.
    Pairs,
    /// A free object.
    Object,
    /// Any JSON.
    Any,
}

/// One field of an operation.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// The name on the wire.
    pub name: &'static str,
    /// Older names that still work.
    pub aliases: &'static [&'static str],
    /// Its JSON kind.
    pub kind: FieldKind,
    /// Help text.
    pub help: &'static str,
    /// Must it be given?
    pub required: bool,
    /// Does it take all members that no other field names?
    pub rest: bool,
}

/// A field that could not be read. It names the field, never the value
/// (threats: CVE-2025-4166, CVE-2025-52893).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// The field's wire name.
    pub name: &'static str,
    /// What was expected.
    pub problem: &'static str,
}

impl From<FieldError> for crate::Error {
    fn from(e: FieldError) -> Self {
        crate::Error::bad_request(match e.problem {
            "missing" => format!("missing {}", e.name),
            problem => {
                format!("error converting input for field \"{}\": expected {problem}", e.name)
            }
        })
    }
}

/// What of a path was captured as `name`.
pub fn capture<'a>(captures: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    captures.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}

/// Where fields are read from: path captures first, then the body.
pub struct FieldSource<'a> {
    captures: &'a [(&'static str, String)],
    raw: &'a RawFields,
    /// Every name and alias of the operation's specification: what [`Rest`] leaves out.
    known: &'a [FieldSpec],
}

impl<'a> FieldSource<'a> {
    /// A source over path captures and a body.
    pub fn new(
        captures: &'a [(&'static str, String)],
        raw: &'a RawFields,
        known: &'a [FieldSpec],
    ) -> Self {
        Self { captures, raw, known }
    }

    /// The path capture called `name`.
    pub fn capture(&self, name: &str) -> Option<&'a str> {
        capture(self.captures, name)
    }

    /// The body's value for a field: by its name, else by the first older name that is there.
    pub fn value(&self, name: &str, aliases: &[&str]) -> Option<&'a Json> {
        self.raw.get(name).or_else(|| aliases.iter().find_map(|alias| self.raw.get(alias)))
    }

    /// The body as it came, for operations that take raw bytes.
    pub fn raw(&self) -> &'a RawFields {
        self.raw
    }

    /// Names in the body that the operation does not know, sorted.
    pub fn unknown_names(&self) -> Vec<&'a str> {
        if self.known.iter().any(|spec| spec.rest) {
            return Vec::new();
        }
        let mut names: Vec<&str> =
            self.raw.map.0.keys().map(String::as_str).filter(|key| !self.is_known(key)).collect();
        names.sort_unstable();
        names
    }

    fn is_known(&self, key: &str) -> bool {
        self.known.iter().any(|spec| spec.name == key || spec.aliases.contains(&key))
    }
}

/// A type a wire field can have.
pub trait Field: Sized {
    /// Its JSON kind.
    const KIND: FieldKind;
    /// Must it be given? `Option`s and collections need not.
    const REQUIRED: bool = true;
    /// Does it take all members that no other field names?
    const REST: bool = false;

    /// Reads a present, non-null value; `Err` says what was expected.
    fn read(value: &Json) -> Result<Self, &'static str>;

    /// The value of a field that is not there, if it may be absent.
    fn absent() -> Option<Self> {
        None
    }

    /// Finds and reads the field. Null counts as absent.
    fn take(
        source: &FieldSource<'_>,
        name: &'static str,
        aliases: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        if let Some(text) = source.capture(name) {
            return Self::read(&Json::String(text.to_owned()))
                .map_err(|problem| FieldError { name, problem });
        }
        match source.value(name, aliases) {
            None | Some(Json::Null) => {
                Self::absent().ok_or(FieldError { name, problem: "missing" })
            }
            Some(value) => Self::read(value).map_err(|problem| FieldError { name, problem }),
        }
    }
}
