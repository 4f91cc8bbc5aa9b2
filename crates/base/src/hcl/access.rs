//! Typed reading of the tree. Every failure names the key and its place, never the value.

use super::{Body, Error, Item, Position, Value};
use crate::duration::parse_duration;
use crate::json::{Json, JsonMap};

/// One labelled block, whichever way it was written: `listener "tcp" { … }`,
/// `listener = { tcp = { … } }`, or JSON's `"listener": [{"tcp": { … }}]`.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// The label.
    pub label: &'a str,
    /// What stands in the block.
    pub body: &'a Body,
    /// Where the label or the block's key stands.
    pub position: Position,
}

impl Value {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// A string's text, or a number as it was written.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The value as JSON. Repeated keys of an object keep the last value; labels become nesting.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::String(text.clone()),
            Self::Number(text) => match parse_integer(text) {
                Some(number) => Json::from(number),
                None => text.parse().map_or_else(|_| Json::String(text.clone()), Json::Number),
            },
            Self::Bool(value) => Json::Bool(*value),
            Self::Null => Json::Null,
            Self::List(values) => Json::Array(values.iter().map(Self::to_json).collect()),
            Self::Object(body) => Json::Object(body.to_json()),
        }
    }
}

impl Body {
    /// The last item called `key`: of a repeated scalar the last one counts.
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.key == key)
    }

    /// All items called `key`, in the order of the text.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.key == key)
    }

    /// Items whose key is none of `known`.
    pub fn unknown<'a>(&'a self, known: &[&str]) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| !known.contains(&item.key.as_str()))
    }

    /// Refuses the first key that is none of `known`.
    pub fn check_keys(&self, known: &[&str]) -> Result<(), Error> {
        match self.unknown(known).next() {
            None => Ok(()),
            Some(item) => Err(item.error(format!("unknown key `{}`", item.key))),
        }
    }

    /// All blocks called `key` with their label, in every way one can write them.
    pub fn blocks<'a>(&'a self, key: &str) -> Result<Vec<Block<'a>>, Error> {
        let mut found = Vec::new();
        for item in self.all(key) {
            match item.labels.as_slice() {
                [] => unlabelled(item, &item.value, &mut found)?,
                [label] => labelled(item, label, item.position(), &item.value, &mut found)?,
                _ => return Err(item.error(format!("`{key}` takes one label"))),
            }
        }
        Ok(found)
    }

    /// The body as a JSON object; of repeated keys the last value stays.
    pub fn to_json(&self) -> JsonMap {
        let mut map = JsonMap::new();
        for item in &self.items {
            let mut value = item.value.to_json();
            for label in item.labels.iter().rev() {
                value = Json::Object(JsonMap::from_iter([(label.clone(), value)]));
            }
            map.insert(item.key.clone(), value);
        }
        map
    }
}

/// `key = { label = { … } }` and lists of such objects.
fn unlabelled<'a>(
    item: &'a Item,
    value: &'a Value,
    found: &mut Vec<Block<'a>>,
) -> Result<(), Error> {
    match value {
        Value::Object(body) => {
            for inner in &body.items {
                if !inner.labels.is_empty() {
                    return Err(inner.error(format!("`{}` takes one label", item.key)));
                }
                labelled(item, &inner.key, inner.position(), &inner.value, found)?;
            }
            Ok(())
        }
        Value::List(values) => values.iter().try_for_each(|value| unlabelled(item, value, found)),
        other => Err(item.wrong("a block with a label", other)),
    }
}

fn labelled<'a>(
    item: &'a Item,
    label: &'a str,
    position: Position,
    value: &'a Value,
    found: &mut Vec<Block<'a>>,
) -> Result<(), Error> {
    match value {
        Value::Object(body) => {
            found.push(Block { label, body, position });
            Ok(())
        }
        Value::List(values) => values.iter().try_for_each(|value| match value {
            Value::Object(body) => {
                found.push(Block { label, body, position });
                Ok(())
            }
            other => Err(item.wrong("a list of objects", other)),
        }),
        other => Err(Error::new(
            position,
            format!("`{}` with a label must be an object, not {}", item.key, other.kind()),
        )),
    }
}

impl Item {
    /// "must be …, not …", at this item.
    pub fn wrong(&self, expected: &str, found: &Value) -> Error {
        self.error(format!("`{}` must be {expected}, not {}", self.key, found.kind()))
    }

    /// A string; a number counts as its text.
    pub fn text(&self) -> Result<&str, Error> {
        self.value.as_text().ok_or_else(|| self.wrong("a string", &self.value))
    }

    /// A whole number, also as a string; `0x10` and `0755` as Go reads them.
    pub fn integer(&self) -> Result<i64, Error> {
        let text = self.value.as_text();
        text.and_then(|text| parse_integer(text.trim()))
            .ok_or_else(|| self.wrong_text("a whole number"))
    }

    /// A boolean, also as Go's texts for it (`"true"`, `"1"`, `"f"` …) or as 1 and 0.
    pub fn boolean(&self) -> Result<bool, Error> {
        if let Value::Bool(value) = self.value {
            return Ok(value);
        }
        match self.value.as_text() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            _ => Err(self.wrong_text("a boolean")),
        }
    }

    /// A duration in seconds: a number, or a text such as `1h30m`.
    pub fn seconds(&self) -> Result<i64, Error> {
        let text = self.value.as_text();
        text.and_then(parse_duration)
            .ok_or_else(|| self.wrong_text("a duration (seconds, or like \"1h30m\")"))
    }

    /// A list of strings; a single string is a list of one.
    pub fn texts(&self) -> Result<Vec<&str>, Error> {
        match &self.value {
            Value::List(values) => values
                .iter()
                .map(|value| value.as_text().ok_or_else(|| self.wrong("a list of strings", value)))
                .collect(),
            value => {
                Ok(vec![value.as_text().ok_or_else(|| self.wrong("a list of strings", value))?])
            }
        }
    }

    /// An object, without labels.
    pub fn object(&self) -> Result<&Body, Error> {
        match &self.value {
            Value::Object(body) if self.labels.is_empty() => Ok(body),
            Value::Object(_) => Err(self.error(format!("`{}` takes no label", self.key))),
            other => Err(self.wrong("an object", other)),
        }
    }

    /// As [`Item::wrong`], where a text of the right kind had the wrong content.
    fn wrong_text(&self, expected: &str) -> Error {
        match &self.value {
            Value::Text(_) | Value::Number(_) => {
                self.error(format!("`{}` must be {expected}", self.key))
            }
            other => self.wrong(expected, other),
        }
    }
}

/// Go's `ParseInt` with base 0: `10`, `-3`, `0x1f`, `0755` (octal), `0o7`, `0b1`.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(sign * value).ok()
}
