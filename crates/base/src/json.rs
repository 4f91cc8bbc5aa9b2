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
    /// So many are looked at at once: the compiler makes vector instructions of it.
    const ROW: usize = 16;
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    let (rows, _) = bytes.as_chunks::<ROW>();
    let whole = |row: &&[u8; ROW]| row.iter().fold(true, |all, byte| all & is_plain(*byte));
    let before = rows.iter().take_while(whole).count() * ROW;
    let rest = bytes.get(before..).unwrap_or_default();
    before + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

/// Appends `value` as JSON text. For texts and trees, [`write_text`] and [`write_tree`] are quicker.
pub fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing into memory does not fail, nor does any value that is text, a list or a tree.
    let _ = serde_json::to_writer(out, value);
}

/// Appends a JSON string. Nearly all stand for themselves, and are copied as a whole.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    if plain_bytes(text.as_bytes()) < text.len() {
        return write(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends a tree as [`write`] does.
pub fn write_tree(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::String(text) => write_text(out, text),
        Json::Object(map) => write_map(out, map),
        Json::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_tree(out, item);
            }
            out.push(b']');
        }
        plain => write(out, plain),
    }
}

/// Appends an object as [`write`] does.
pub fn write_map(out: &mut Vec<u8>, map: &JsonMap) {
    out.push(b'{');
    for (i, (name, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write_tree(out, value);
    }
    out.push(b'}');
}

/// How many bytes [`write_tree`] writes: a buffer with that room does not grow, so that it leaves no copy
/// of a secret behind.
pub fn room_for(value: &Json) -> usize {
    match value {
        Json::Null | Json::Bool(true) => 4,
        Json::Bool(false) => 5,
        Json::Number(number) => number.as_str().len(),
        Json::String(text) => room_for_text(text),
        Json::Array(items) => items.iter().map(room_for).sum::<usize>() + signs(items.len()),
        Json::Object(map) => room_for_map(map),
    }
}

/// How many bytes [`write_map`] writes.
pub fn room_for_map(map: &JsonMap) -> usize {
    let member = |(name, item): (&String, &Json)| room_for_text(name) + 1 + room_for(item);
    map.iter().map(member).sum::<usize>() + signs(map.len())
}

/// Brackets, and commas between so many.
fn signs(count: usize) -> usize {
    2 + count.saturating_sub(1)
}

/// How many bytes [`write_text`] writes.
pub fn room_for_text(text: &str) -> usize {
    let bytes = text.as_bytes();
    let escaped = match bytes.get(plain_bytes(bytes)..) {
        None | Some([]) => 0,
        Some(rest) => rest.iter().map(|byte| escape_bytes(*byte)).sum(),
    };
    bytes.len() + escaped + 2
}

/// How many bytes a byte of a JSON string takes beyond its own.
fn escape_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
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

    /// Signs that are escaped and some that are not, within and behind the rows that are looked at at once.
    #[test]
    fn what_is_written_is_what_the_library_writes() {
        let odd = (0..0x80_u8).map(char::from).chain(['é', '\u{2028}', '😀']);
        for sign in odd {
            for length in [0, 1, 15, 16, 17, 32, 40] {
                for place in 0..=length {
                    let text = format!("{}{sign}{}", "a".repeat(place), "b".repeat(length - place));
                    let value = serde_json::json!({
                        &text: [&text, null, true, false, -1.5e30, []], "o": { "": {} }
                    });
                    let mut out = Vec::new();
                    write_tree(&mut out, &value);
                    assert_eq!(out.len(), room_for(&value), "{value}");
                    assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
                    assert!(parse_bounded(value.to_string().as_bytes()) == Ok(value));
                }
            }
        }
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
