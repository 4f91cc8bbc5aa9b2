//! Between JSON and the values of programs.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use strongroom_base::{Json, JsonMap};

/// A value of JSON's. Whole numbers are `int`.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::Null,
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(list) => Value::List(Arc::new(list.iter().map(from_json).collect())),
        Json::Object(map) => from_map(map),
    }
}

/// An object.
pub fn from_map(map: &JsonMap) -> Value {
    let members =
        map.iter().map(|(name, value)| (Key::String(Arc::new(name.clone())), from_json(value)));
    Value::Map(Map { map: Arc::new(members.collect::<HashMap<_, _>>()) })
}

/// JSON for a value, where there is such.
pub fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(yes) => (*yes).into(),
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::String(text) => text.as_str().into(),
        Value::List(list) => Json::Array(list.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(map) => {
            let members = map.map.iter().map(|(name, value)| match name {
                Key::String(name) => Some((name.as_str().to_owned(), to_json(value)?)),
                _ => None,
            });
            Json::Object(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// What a value weighs: one for each value in it, and one for each [`BYTES_A_UNIT`] of its texts.
pub fn weight(value: &Value) -> u64 {
    let long = |bytes: usize| 1 + (bytes / BYTES_A_UNIT) as u64;
    match value {
        Value::String(text) => long(text.len()),
        Value::Bytes(bytes) => long(bytes.len()),
        Value::List(list) => 1 + list.iter().map(weight).sum::<u64>(),
        Value::Map(map) => {
            let of_name = |name: &Key| match name {
                Key::String(text) => long(text.len()),
                _ => 1,
            };
            1 + map.map.iter().map(|(name, value)| of_name(name) + weight(value)).sum::<u64>()
        }
        Value::Struct(of) => {
            let fields = of.field_values();
            let read = fields.values().map(|field| Value::try_from(&**field));
            1 + read.map(|field| field.map_or(1, |field| weight(&field))).sum::<u64>()
        }
        Value::Opaque(opaque) => {
            let inner = opaque.downcast_ref::<cel::objects::OptionalValue>();
            1 + inner.and_then(|optional| optional.value()).map_or(0, weight)
        }
        _ => 1,
    }
}

/// Bytes of a text that weigh as much as a value.
const BYTES_A_UNIT: usize = 16;
