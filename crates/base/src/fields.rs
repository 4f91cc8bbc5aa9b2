//! An operation's wire fields, described once: the [`fields!`](crate::fields) macro gives the
//! struct, its lenient reading by one coercion table, and the specification that path-help,
//! OpenAPI, warnings about unknown fields and policy's parameter checks are made from.

use std::collections::BTreeMap;

use crate::json::{Json, JsonMap, SecretMap};
use crate::limits::FIELD_LIST_MAX;
use crate::secret::SecretString;
use crate::{Timestamp, Ttl};

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
        self.captures.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
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

fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(b) => Some(if *b { "1" } else { "0" }.to_owned()),
        _ => None,
    }
}

impl Field for String {
    const KIND: FieldKind = FieldKind::Text;
    fn read(value: &Json) -> Result<Self, &'static str> {
        scalar_text(value).ok_or("a string")
    }
}

impl Field for SecretString {
    const KIND: FieldKind = FieldKind::Text;
    fn read(value: &Json) -> Result<Self, &'static str> {
        scalar_text(value).map(SecretString::new).ok_or("a string")
    }
}

impl Field for bool {
    const KIND: FieldKind = FieldKind::Boolean;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::Bool(b) => Ok(*b),
            Json::Number(n) => Ok(n.as_f64() != Some(0.0)),
            Json::String(text) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" | "" => Ok(false),
                _ => Err("a boolean"),
            },
            _ => Err("a boolean"),
        }
    }
}

impl Field for i64 {
    const KIND: FieldKind = FieldKind::Integer;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "a whole number";
        match value {
            Json::Number(n) => n
                .as_i64()
                .or_else(|| n.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64))
                .ok_or(WANT),
            Json::Bool(b) => Ok(i64::from(*b)),
            Json::String(text) if text.is_empty() => Ok(0),
            Json::String(text) => text.trim().parse().map_err(|_| WANT),
            _ => Err(WANT),
        }
    }
}

impl Field for u64 {
    const KIND: FieldKind = FieldKind::Integer;
    fn read(value: &Json) -> Result<Self, &'static str> {
        u64::try_from(i64::read(value)?).map_err(|_| "a whole number not below zero")
    }
}

impl Field for f64 {
    const KIND: FieldKind = FieldKind::Any;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::Number(n) => n.as_f64().ok_or("a number"),
            Json::String(text) => text.trim().parse().map_err(|_| "a number"),
            _ => Err("a number"),
        }
    }
}

impl Field for Ttl {
    const KIND: FieldKind = FieldKind::Duration;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "a duration";
        match value {
            Json::Number(n) => {
                n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)).map(Ttl).ok_or(WANT)
            }
            Json::String(text) if text.is_empty() => Ok(Ttl(0)),
            Json::String(text) => crate::parse_duration(text).map(Ttl).ok_or(WANT),
            _ => Err(WANT),
        }
    }
}

impl Field for Timestamp {
    const KIND: FieldKind = FieldKind::Text;
    fn read(value: &Json) -> Result<Self, &'static str> {
        scalar_text(value).and_then(|text| Timestamp::parse(&text)).ok_or("a time")
    }
}

impl Field for Vec<String> {
    const KIND: FieldKind = FieldKind::List;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "a list of strings or a comma-separated string";
        let list: Vec<String> = match value {
            Json::Array(items) => items
                .iter()
                .map(|item| scalar_text(item).map(|t| t.trim().to_owned()))
                .collect::<Option<_>>()
                .ok_or(WANT)?,
            _ => scalar_text(value)
                .ok_or(WANT)?
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
        };
        if list.len() > FIELD_LIST_MAX {
            return Err("fewer entries");
        }
        Ok(list)
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// Version numbers: `[1,2]`, `"1,2"`, `1`.
impl Field for Vec<i64> {
    const KIND: FieldKind = FieldKind::List;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        Vec::<String>::read(value)?
            .iter()
            .map(|text| text.parse().map_err(|_| "a list of whole numbers"))
            .collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// String pairs: `{"k":"v"}`, `["k=v"]`, `"k=v,k2=v2"`.
impl Field for BTreeMap<String, String> {
    const KIND: FieldKind = FieldKind::Pairs;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "an object of strings or key=value pairs";
        if let Json::Object(map) = value {
            return map
                .iter()
                .map(|(k, v)| match v {
                    Json::Null => Some((k.clone(), String::new())),
                    _ => scalar_text(v).map(|v| (k.clone(), v)),
                })
                .collect::<Option<_>>()
                .ok_or(WANT);
        }
        if let Json::String(text) = value
            && text.trim_start().starts_with('{')
        {
            let parsed = crate::json::parse_bounded(text.as_bytes()).map_err(|_| WANT)?;
            return Self::read(&parsed);
        }
        Vec::<String>::read(value)
            .map_err(|_| WANT)?
            .into_iter()
            .map(|pair| {
                pair.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or(WANT)
    }
    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }
}

impl Field for SecretMap {
    const KIND: FieldKind = FieldKind::Object;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::Object(map) => Ok(SecretMap(map.clone())),
            _ => Err("an object"),
        }
    }
}

impl Field for JsonMap {
    const KIND: FieldKind = FieldKind::Object;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::Object(map) => Ok(map.clone()),
            _ => Err("an object"),
        }
    }
}

impl Field for Json {
    const KIND: FieldKind = FieldKind::Any;
    fn read(value: &Json) -> Result<Self, &'static str> {
        Ok(value.clone())
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: FieldKind = T::KIND;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        T::read(value).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// A field that tells an absent value from an explicit null (merge patches need to).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Patch<T> {
    /// Not in the body.
    #[default]
    Absent,
    /// Explicitly null.
    Null,
    /// A value.
    Value(T),
}

impl<T: Field> Field for Patch<T> {
    const KIND: FieldKind = T::KIND;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        T::read(value).map(Patch::Value)
    }
    fn take(
        source: &FieldSource<'_>,
        name: &'static str,
        aliases: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        match source.value(name, aliases) {
            None => Ok(Patch::Absent),
            Some(Json::Null) => Ok(Patch::Null),
            Some(value) => Self::read(value).map_err(|problem| FieldError { name, problem }),
        }
    }
}

/// All members of the body that no other field names, as they came.
#[derive(Default)]
pub struct Rest(pub SecretMap);

impl Field for Rest {
    const KIND: FieldKind = FieldKind::Object;
    const REQUIRED: bool = false;
    const REST: bool = true;
    fn read(value: &Json) -> Result<Self, &'static str> {
        SecretMap::read(value).map(Rest)
    }
    fn take(
        source: &FieldSource<'_>,
        _: &'static str,
        _: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        let members = source
            .raw
            .map
            .0
            .iter()
            .filter(|(key, _)| !source.is_known(key))
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(Rest(SecretMap(members.collect())))
    }
}

/// The body as it came, of operations whose route takes one that is not JSON.
#[derive(Default)]
pub struct RawBody(pub crate::SecretBytes);

impl Field for RawBody {
    const KIND: FieldKind = FieldKind::Text;
    const REQUIRED: bool = false;
    fn read(_: &Json) -> Result<Self, &'static str> {
        Err("no member of a JSON body")
    }
    fn take(
        source: &FieldSource<'_>,
        _: &'static str,
        _: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        Ok(Self(source.raw.raw_body.expose_secret().clone().into()))
    }
}

/// A struct made by [`fields!`](crate::fields).
pub trait Fields: Sized {
    /// Its fields, in the order of the struct.
    const SPECS: &'static [FieldSpec];
    /// What the operation does: the struct's doc comment.
    const HELP: &'static str;
    /// Reads all fields.
    fn decode(source: &FieldSource<'_>) -> Result<Self, FieldError>;
}

/// Defines the wire fields of an operation:
///
/// ```
/// strongroom_base::fields! {
///     /// Creates or changes a user.
///     pub struct PutUser {
///         /// The user's name.
///         username: String,
///         /// Policies of its tokens. The older name `policies` still works.
///         token_policies (policies): Option<Vec<String>>,
///         /// A raw identifier's wire name drops the `r#`.
///         r#type: Option<String>,
///     }
/// }
/// ```
///
/// Fields that several operations share stand in a struct of their own, which the first member
/// takes in: `..token: TokenFields;`.
#[macro_export]
macro_rules! fields {
    (
        $(#[doc = $help:literal])+
        $vis:vis struct $name:ident {
            $( ..$shared:ident : $shared_ty:ty; )?
            $(
                $(#[doc = $field_help:literal])+
                $field:ident $( ( $($alias:ident),+ ) )? : $ty:ty
            ),* $(,)?
        }
    ) => {
        $(#[doc = $help])+
        $vis struct $name {
            $( $(#[doc = $field_help])+ pub $field: $ty, )*
            $( /// Fields shared with other operations.
               pub $shared: $shared_ty, )?
        }

        impl $crate::fields::Fields for $name {
            const HELP: &'static str = concat!($($help, "\n"),+);
            const SPECS: &'static [$crate::fields::FieldSpec] = {
                const PARTS: &[&[$crate::fields::FieldSpec]] = &[
                    &[ $( $crate::fields::FieldSpec {
                        name: $crate::fields::wire_name(stringify!($field)),
                        aliases: &[ $( $(stringify!($alias)),+ )? ],
                        kind: <$ty as $crate::fields::Field>::KIND,
                        help: concat!($($field_help, "\n"),+),
                        required: <$ty as $crate::fields::Field>::REQUIRED,
                        rest: <$ty as $crate::fields::Field>::REST,
                    }, )* ],
                    $( <$shared_ty as $crate::fields::Fields>::SPECS, )?
                ];
                const JOINED: [$crate::fields::FieldSpec; $crate::fields::length(PARTS)] =
                    $crate::fields::join(PARTS);
                &JOINED
            };
            #[allow(unused_variables)]
            fn decode(
                source: &$crate::fields::FieldSource<'_>,
            ) -> ::std::result::Result<Self, $crate::fields::FieldError> {
                Ok(Self {
                    $( $field: <$ty as $crate::fields::Field>::take(
                        source,
                        $crate::fields::wire_name(stringify!($field)),
                        &[ $( $(stringify!($alias)),+ )? ],
                    )?, )*
                    $( $shared: <$shared_ty as $crate::fields::Fields>::decode(source)?, )?
                })
            }
        }
    };
}

/// How many fields `parts` have together.
pub const fn length(parts: &[&[FieldSpec]]) -> usize {
    let (mut total, mut i) = (0, 0);
    while i < parts.len() {
        total += parts[i].len();
        i += 1;
    }
    total
}

/// All fields of `parts`, which are `N`.
pub const fn join<const N: usize>(parts: &[&[FieldSpec]]) -> [FieldSpec; N] {
    const NONE: FieldSpec = FieldSpec {
        name: "",
        aliases: &[],
        kind: FieldKind::Any,
        help: "",
        required: false,
        rest: false,
    };
    let mut out = [NONE; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            out[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    out
}

/// A field identifier's wire name: without the `r#` of a raw identifier.
pub const fn wire_name(identifier: &'static str) -> &'static str {
    let bytes = identifier.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'r' && bytes[1] == b'#' {
        return identifier.split_at(2).1;
    }
    identifier
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::fields! {
        /// An operation with every kind of field.
        pub struct Everything {
            /// Text.
            name: String,
            /// A number.
            count: Option<i64>,
            /// A switch.
            on: Option<bool>,
            /// A duration.
            token_ttl (ttl): Option<Ttl>,
            /// A list.
            policies: Option<Vec<String>>,
            /// Pairs.
            meta: BTreeMap<String, String>,
            /// A reserved word.
            r#type: Option<String>,
        }
    }

    fn read(json: &str) -> Result<Everything, FieldError> {
        let Json::Object(map) = serde_json::from_str(json).unwrap() else { panic!() };
        let raw = RawFields::from_map(map);
        Everything::decode(&FieldSource::new(&[], &raw, Everything::SPECS))
    }

    #[test]
    fn coercion_table() {
        let e = read(
            r#"{"name":5,"count":"7","on":"true","ttl":"1h","policies":"a, b,,c",
                "meta":["k=v"],"type":"x"}"#,
        )
        .unwrap();
        assert_eq!(e.name, "5");
        assert_eq!(e.count, Some(7));
        assert_eq!(e.on, Some(true));
        assert_eq!(e.token_ttl, Some(Ttl(3600)));
        assert_eq!(e.policies.unwrap(), ["a", "b", "c"]);
        assert_eq!(e.meta["k"], "v");
        assert_eq!(e.r#type.as_deref(), Some("x"));
        let e = read(r#"{"name":"n","token_ttl":60,"ttl":5,"meta":{"a":1},"on":null}"#).unwrap();
        assert_eq!(e.token_ttl, Some(Ttl(60)), "the new name wins");
        assert_eq!(e.meta["a"], "1");
        assert_eq!(e.on, None);
    }

    crate::fields! {
        /// Fields that operations share.
        pub struct Shared {
            /// A duration.
            token_ttl (ttl): Option<Ttl>,
        }
    }

    crate::fields! {
        /// An operation with fields of its own and shared ones.
        pub struct Sharing {
            ..token: Shared;
            /// Text.
            name: String,
        }
    }

    #[test]
    fn shared_fields_are_read_and_known() {
        let raw = RawFields::from_map(
            serde_json::from_str(r#"{"name":"n","ttl":"1m","other":1}"#).unwrap(),
        );
        let source = FieldSource::new(&[], &raw, Sharing::SPECS);
        let op = Sharing::decode(&source).unwrap();
        assert_eq!((op.name.as_str(), op.token.token_ttl), ("n", Some(Ttl(60))));
        assert_eq!(source.unknown_names(), ["other"]);
        assert_eq!(
            Sharing::SPECS.iter().map(|s| s.name).collect::<Vec<_>>(),
            ["name", "token_ttl"]
        );
    }

    #[test]
    fn errors_name_the_field_and_not_the_value() {
        // threats CVE-2025-4166, CVE-2025-52893
        let e = read(r#"{"name":"n","count":"hunter2"}"#).map(|_| ()).unwrap_err();
        let public = crate::Error::from(e).public.join(" ");
        assert!(public.contains("count") && !public.contains("hunter2"), "{public}");
        assert_eq!(read("{}").map(|_| ()).unwrap_err().problem, "missing");
    }

    #[test]
    fn captures_win_over_the_body() {
        let raw = RawFields::from_map(serde_json::from_str(r#"{"name":"evil","zzz":1}"#).unwrap());
        let captures = [("name", "good".to_owned())];
        let source = FieldSource::new(&captures, &raw, Everything::SPECS);
        assert_eq!(Everything::decode(&source).unwrap().name, "good");
        assert_eq!(source.unknown_names(), ["zzz"]);
    }
}
