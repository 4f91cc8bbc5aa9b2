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
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of each byte that is below 0x20, a quote or a backslash; a borrow may mark the
    // byte after a marked one too, which does no harm: the lowest mark is what counts.
    let special = |word: u64| {
        let below = |word: u64, bound: u8| word.wrapping_sub(LOW * u64::from(bound)) & !word;
        let equal = |byte: u8| below(word ^ (LOW * u64::from(byte)), 1);
        (below(word, 0x20) | equal(b'"') | equal(b'\\')) & HIGH
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let marks = special(u64::from_le_bytes(*word));
        if marks != 0 {
            return i * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).count();
    words.len() * 8 + plain
}

/// Appends `text` as a JSON string. What serde_json does byte by byte this does by words: secrets
/// are mostly plain text, and each is written several times.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (plain, special) = rest.split_at(plain_bytes(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => b'u',
        };
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'0', b'0', HEX[high], HEX[low]]);
        }
        rest = after;
    }
    out.push(b'"');
}

/// Appends `value` as JSON text.
pub fn write(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(number) => out.extend_from_slice(number.as_str().as_bytes()),
        Json::String(text) => write_text(out, text),
        Json::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Json::Object(map) => write_map(out, map),
    }
}

/// Appends `map` as JSON text.
pub fn write_map(out: &mut Vec<u8>, map: &JsonMap) {
    out.push(b'{');
    for (i, (name, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
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
    fn text_is_written_as_serde_json_writes_it() {
        let mut texts: Vec<String> = Vec::new();
        for special in (0..0x90).filter_map(char::from_u32).chain(['é', '\u{2028}', '😀']) {
            for before in 0..18 {
                texts.push(format!("{}{special}{special}end", "x".repeat(before)));
            }
        }
        for text in texts {
            let value =
                serde_json::json!({ "k": [&text, null, true, false, 1.5, {}, []], &text: -3 });
            let mut out = Vec::new();
            write(&mut out, &value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string(), "{text:?}");
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
