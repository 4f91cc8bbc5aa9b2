//! JSON from outside: bounded before it is parsed into a tree, wiped when it is dropped (threats:
//! CVE-2025-6203, CVE-2025-12044).

use zeroize::Zeroize;

use crate::limits::{
    JSON_ARRAY_ELEMENTS_MAX, JSON_DEPTH_MAX, JSON_OBJECT_MEMBERS_MAX, JSON_STRING_BYTES_MAX,
    JSON_VALUES_MAX,
};

/// A JSON value; object members keep their order and numbers their text.
pub type Json = serde_json::Value;
/// A JSON object.
pub type JsonMap = serde_json::Map<String, Json>;

/// Why a JSON text was refused. No variant holds any part of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadJson {
    /// Not JSON.
    Syntax,
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    TooDeep,
    /// More values, members, elements or string bytes than the limits allow.
    TooMany,
}

impl std::fmt::Display for BadJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Syntax => "error parsing JSON",
            Self::TooDeep => "JSON input is nested too deeply",
            Self::TooMany => "JSON input has too many or too long values",
        })
    }
}

/// What a JSON text may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonLimits {
    /// Levels of nesting.
    pub depth: usize,
    /// Values of all kinds.
    pub values: usize,
    /// Strings, the names of members included.
    pub strings: usize,
    /// Members of one object.
    pub members: usize,
    /// Elements of one array.
    pub elements: usize,
    /// Bytes of one string.
    pub string_bytes: usize,
    /// Bytes that the tree may take in memory, as estimated.
    pub memory: usize,
}

/// What nobody may pass, whatever is configured.
pub const JSON_LIMITS: JsonLimits = JsonLimits {
    depth: JSON_DEPTH_MAX,
    values: JSON_VALUES_MAX,
    strings: 2 * JSON_VALUES_MAX,
    members: JSON_OBJECT_MEMBERS_MAX,
    elements: JSON_ARRAY_ELEMENTS_MAX,
    string_bytes: JSON_STRING_BYTES_MAX,
    memory: usize::MAX,
};

impl Default for JsonLimits {
    fn default() -> Self {
        JSON_LIMITS
    }
}

/// Bytes that a value takes in a tree beside its text.
const VALUE_BYTES: usize = size_of::<Json>();

/// Parses `bytes` after a scan has shown that the tree will be within the limits.
pub fn parse_bounded(bytes: &[u8]) -> Result<Json, BadJson> {
    parse_within(bytes, &JSON_LIMITS)
}

/// Parses `bytes` after a scan has shown that the tree will be within these limits.
pub fn parse_within(bytes: &[u8], limits: &JsonLimits) -> Result<Json, BadJson> {
    scan(bytes, limits)?;
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let value = serde::Deserialize::deserialize(&mut de).map_err(|_| BadJson::Syntax)?;
    de.end().map_err(|_| BadJson::Syntax)?;
    Ok(value)
}

/// One pass that counts, without building anything.
fn scan(bytes: &[u8], limits: &JsonLimits) -> Result<(), BadJson> {
    let mut stack: Vec<(u8, usize)> = Vec::new();
    let (mut values, mut strings, mut memory) = (1_usize, 0_usize, VALUE_BYTES);
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'"' => {
                let start = i;
                i += 1;
                loop {
                    i += bytes.get(i..).map_or(0, plain_bytes);
                    match bytes.get(i) {
                        Some(b'"') => break,
                        Some(b'\\') => i += 2,
                        Some(_) => i += 1,
                        None => return Err(BadJson::Syntax),
                    }
                }
                strings += 1;
                memory += VALUE_BYTES + (i - start);
                if i - start > limits.string_bytes
                    || strings > limits.strings
                    || memory > limits.memory
                {
                    return Err(BadJson::TooMany);
                }
            }
            b'{' | b'[' => {
                if stack.len() >= limits.depth {
                    return Err(BadJson::TooDeep);
                }
                stack.push((byte, 1));
                values += 1;
                memory += VALUE_BYTES;
            }
            b'}' | b']' => {
                stack.pop().ok_or(BadJson::Syntax)?;
            }
            b',' => {
                let (open, count) = stack.last_mut().ok_or(BadJson::Syntax)?;
                *count += 1;
                values += 1;
                memory += VALUE_BYTES;
                let most = if *open == b'{' { limits.members } else { limits.elements };
                if *count > most || values > limits.values || memory > limits.memory {
                    return Err(BadJson::TooMany);
                }
            }
            _ => {}
        }
        i += 1;
    }
    Ok(())
}

/// How many bytes at the start of `bytes` stand for themselves within a JSON string.
fn plain_bytes(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).count()
}

/// Appends `value` as JSON text.
pub fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing into memory does not fail, nor does any value that is text, a list or a tree.
    let _ = serde_json::to_writer(out, value);
}

/// About as many bytes as [`write`] writes of `value`, which need no more room then if it is mostly plain text.
pub fn room_for(value: &Json) -> usize {
    /// Of a number, a mark, quotes and commas.
    const SIGNS: usize = 24;
    match value {
        Json::String(text) => text.len() + text.len() / 8 + SIGNS,
        Json::Array(items) => items.iter().map(room_for).sum::<usize>() + SIGNS,
        Json::Object(map) => {
            map.iter().map(|(name, item)| name.len() + room_for(item)).sum::<usize>() + SIGNS
        }
        _ => SIGNS,
    }
}

/// Overwrites every string of `value`.
pub fn wipe(value: &mut Json) {
    match value {
        Json::String(text) => text.zeroize(),
        Json::Array(items) => items.iter_mut().for_each(wipe),
        Json::Object(map) => wipe_map(map),
        _ => {}
    }
}

/// Overwrites every string value of `map`.
pub fn wipe_map(map: &mut JsonMap) {
    map.values_mut().for_each(wipe);
}

/// A JSON object whose strings are wiped when it is dropped; it has no `Debug`.
#[derive(Default)]
pub struct SecretMap(pub JsonMap);

impl Drop for SecretMap {
    fn drop(&mut self) {
        wipe_map(&mut self.0);
    }
}

impl SecretMap {
    /// Takes the object out, and with it the duty to wipe it.
    pub fn take(mut self) -> JsonMap {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_number_text_are_kept() {
        let text = r#"{"z":1,"a":12345678901234567890.5,"m":[1e3,"x\"y"]}"#;
        let value = parse_bounded(text.as_bytes()).unwrap();
        assert_eq!(value.to_string().replace("1e+3", "1e3"), text);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_bounded(deep(JSON_DEPTH_MAX).as_bytes()).is_ok());
        // What is taken can be read again with an envelope around it.
        assert!(serde_json::from_str::<Json>(&deep(JSON_DEPTH_MAX + 20)).is_ok());
        assert_eq!(parse_bounded(deep(JSON_DEPTH_MAX + 1).as_bytes()), Err(BadJson::TooDeep));
    }

    #[test]
    fn counts_are_bounded() {
        let list = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        assert!(parse_bounded(list(JSON_ARRAY_ELEMENTS_MAX).as_bytes()).is_ok());
        assert_eq!(
            parse_bounded(list(JSON_ARRAY_ELEMENTS_MAX + 1).as_bytes()),
            Err(BadJson::TooMany)
        );
    }

    #[test]
    fn narrower_limits_each_count() {
        let text = br#"{"a":["x","y",{"b":1,"c":2}]}"#;
        assert!(parse_within(text, &JSON_LIMITS).is_ok());
        for (limits, refused) in [
            (JsonLimits { depth: 2, ..JSON_LIMITS }, BadJson::TooDeep),
            (JsonLimits { values: 4, ..JSON_LIMITS }, BadJson::TooMany),
            (JsonLimits { strings: 4, ..JSON_LIMITS }, BadJson::TooMany),
            (JsonLimits { members: 1, ..JSON_LIMITS }, BadJson::TooMany),
            (JsonLimits { elements: 2, ..JSON_LIMITS }, BadJson::TooMany),
            (JsonLimits { string_bytes: 1, ..JSON_LIMITS }, BadJson::TooMany),
            (JsonLimits { memory: 300, ..JSON_LIMITS }, BadJson::TooMany),
        ] {
            assert_eq!(parse_within(text, &limits), Err(refused), "{limits:?}");
        }
        let wide = JsonLimits {
            depth: 3,
            values: 8,
            strings: 5,
            members: 2,
            elements: 3,
            string_bytes: 2,
            memory: 2_000,
        };
        assert!(parse_within(text, &wide).is_ok());
    }

    #[test]
    fn refuses_what_is_no_json() {
        for bad in ["", "{", "]", "{\"a\":}", "nul", "\"a", "{}{}", "\"a\\"] {
            assert_eq!(parse_bounded(bad.as_bytes()), Err(BadJson::Syntax), "{bad}");
        }
    }
}
