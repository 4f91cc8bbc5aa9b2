//! JSON to values. What is wrong is said by its place, never by its characters.

use zeroize::Zeroizing;

use crate::octets;
use crate::tree::{Branch, Item, Value};

/// How deep values may lie in each other.
const DEPTH_MAX: usize = 256;

/// A reader of JSON.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Of bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Passes blanks.
    pub fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// What is wrong here; the character itself is not said: it may be of a secret.
    fn fault<T>(&self, place: &str) -> Result<T, String> {
        match self.peek() {
            None => Err("unexpected end of JSON input".into()),
            Some(_) => Err(format!("invalid character {place} at offset {}", self.at)),
        }
    }

    fn literal(&mut self, text: &str, value: Value) -> Result<Value, String> {
        let end = self.at + text.len();
        if self.bytes.get(self.at..end) != Some(text.as_bytes()) {
            return self.fault(&format!("in literal {text}"));
        }
        self.at = end;
        Ok(value)
    }

    /// The next value.
    pub fn value(&mut self) -> Result<Value, String> {
        self.blanks();
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err("exceeded max depth".into());
                }
                self.at += 1;
                let value = if open == b'{' {
                    self.object().map(Value::Map)
                } else {
                    self.array().map(Value::List)
                };
                self.depth -= 1;
                value
            }
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.fault("looking for beginning of value"),
        }
    }

    /// Behind an element: is there another?
    fn more(&mut self, close: u8, place: &str) -> Result<bool, String> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => self.fault(place),
        }
    }

    fn opened_empty(&mut self, close: u8) -> bool {
        self.blanks();
        let empty = self.peek() == Some(close);
        self.at += usize::from(empty);
        empty
    }

    fn object(&mut self) -> Result<Branch, String> {
        let mut branch = Branch::default();
        if self.opened_empty(b'}') {
            return Ok(branch);
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return self.fault("looking for beginning of object key string");
            }
            let key = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return self.fault("after object key");
            }
            self.at += 1;
            let value = self.value()?;
            branch.0.push(Item::Entry(octets::guarded(key.to_string()), value));
            if !self.more(b'}', "after object key:value pair")? {
                return Ok(branch);
            }
        }
    }

    fn array(&mut self) -> Result<Vec<Value>, String> {
        let mut list = Vec::new();
        if self.opened_empty(b']') {
            return Ok(list);
        }
        loop {
            list.push(self.value()?);
            if !self.more(b']', "after array element")? {
                return Ok(list);
            }
        }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    /// Whole numbers that fit are such; others are as near as can be.
    fn number(&mut self) -> Result<Value, String> {
        let from = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return self.fault("in numeric literal");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.fault("after decimal point in numeric literal");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.fault("in exponent of numeric literal");
            }
        }
        let text = self.bytes.get(from..self.at).unwrap_or_default();
        let text = std::str::from_utf8(text).unwrap_or_default();
        if let Ok(number) = text.parse() {
            return Ok(Value::Int(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err("a number is out of range".into()),
        }
    }

    fn string(&mut self) -> Result<Zeroizing<String>, String> {
        self.at += 1;
        let mut text = Zeroizing::new(Vec::new());
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let plain = plain.count();
            text.extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    // What is no UTF-8 becomes the mark for that, as Go has it.
                    return Ok(Zeroizing::new(String::from_utf8_lossy(&text).into_owned()));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let letter = self.escape()?;
                    let mut bytes = [0; 4];
                    text.extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes());
                }
                _ => return self.fault("in string literal"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let letter = match self.peek() {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.fault("in string escape code"),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }

    /// Half of a pair alone becomes the mark for what is no character.
    fn unicode(&mut self) -> Result<char, String> {
        let Some(first) = self.unit() else {
            return self.fault("in \\u hexadecimal character escape");
        };
        let before = self.at;
        if (0xd800..0xdc00).contains(&first) && self.bytes.get(before..before + 2) == Some(b"\\u") {
            self.at += 2;
            if let Some(second) = self.unit()
                && let Some(Ok(letter)) = char::decode_utf16([first, second]).next()
            {
                return Ok(letter);
            }
            self.at = before;
        }
        Ok(char::decode_utf16([first]).next().and_then(Result::ok).unwrap_or('\u{fffd}'))
    }
}
