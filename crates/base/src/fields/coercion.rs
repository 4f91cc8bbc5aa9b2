//! The one coercion table: how a wire value becomes a field of each type.

use std::collections::BTreeMap;

use super::{Field, FieldKind};
use crate::json::{Json, JsonMap, SecretMap};
use crate::limits::FIELD_LIST_MAX;
use crate::secret::SecretString;
use crate::{Timestamp, Ttl};

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

/// A number that has no fraction, and that a floating-point number tells exactly.
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

impl Field for i64 {
    const KIND: FieldKind = FieldKind::Integer;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "a whole number";
        match value {
            Json::Number(n) => n.as_i64().or_else(|| whole(n.as_f64()?)).ok_or(WANT),
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
                n.as_i64().or_else(|| whole(n.as_f64()?.trunc())).map(Ttl).ok_or(WANT)
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
