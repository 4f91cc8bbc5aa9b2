//! Values to JSON, as Go's encoder writes it.

use zeroize::Zeroizing;

use crate::error::{Error, Exit, Result};
use crate::numbers::json_float;
use crate::octets;
use crate::tree::{Branch, Value};

/// A writer of JSON.
pub struct Writer {
    text: Zeroizing<String>,
    step: Option<String>,
}

impl Writer {
    /// With an indentation: -1 is a tab.
    pub fn new(indent: i64) -> Result<Self> {
        let step = match indent {
            -1 => "\t".to_owned(),
            0.. => " ".repeat(usize::try_from(indent).unwrap_or(0).min(64)),
            _ => {
                let text = "JSON Indentation parameter smaller than -1 is not accepted";
                return Err(Error::new(Exit::Emit, text));
            }
        };
        Ok(Self { text: Zeroizing::default(), step: Some(step) })
    }

    /// All on one line.
    pub fn compact() -> Self {
        Self { text: Zeroizing::default(), step: None }
    }

    /// Ends the last line.
    pub fn end_line(&mut self) {
        self.text.push('\n');
    }

    /// What was written.
    pub fn finish(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.text).into_bytes()
    }

    fn line(&mut self, depth: usize) {
        if let Some(step) = &self.step {
            self.text.push('\n');
            for _ in 0..depth {
                self.text.push_str(step);
            }
        }
    }

    /// Writes a mapping.
    pub fn map(&mut self, branch: &Branch, depth: usize) -> Result<()> {
        self.text.push('{');
        let mut first = true;
        for (key, value) in branch.entries() {
            if !std::mem::take(&mut first) {
                self.text.push(',');
            }
            self.line(depth + 1);
            self.bytes(&octets::bytes_of(key));
            self.text.push_str(if self.step.is_some() { ": " } else { ":" });
            self.value(value, depth + 1)?;
        }
        if !first {
            self.line(depth);
        }
        self.text.push('}');
        Ok(())
    }

    fn list(&mut self, list: &[Value], depth: usize) -> Result<()> {
        self.text.push('[');
        let mut first = true;
        for value in list.iter().filter(|value| !matches!(value, Value::Comment(_))) {
            if !std::mem::take(&mut first) {
                self.text.push(',');
            }
            self.line(depth + 1);
            self.value(value, depth + 1)?;
        }
        if !first {
            self.line(depth);
        }
        self.text.push(']');
        Ok(())
    }

    /// Writes a value.
    pub fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        match value {
            Value::Map(branch) => self.map(branch, depth)?,
            Value::List(list) => self.list(list, depth)?,
            Value::Null => self.text.push_str("null"),
            Value::Bool(bool) => self.text.push_str(&bool.to_string()),
            Value::Int(number) => self.text.push_str(&number.to_string()),
            Value::Unsigned(number) => self.text.push_str(&number.to_string()),
            Value::Float(number) => {
                let text = json_float(*number).ok_or_else(|| {
                    Error::new(Exit::Emit, "Error marshaling to json: json: unsupported value")
                })?;
                self.text.push_str(&text);
            }
            Value::Text(text) => self.string(text),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Time(time) => self.string(time),
            Value::Comment(comment) => self.bytes(&octets::bytes_of(&comment.text)),
        }
        Ok(())
    }

    /// As Go writes what is no UTF-8: a mark for each byte.
    fn bytes(&mut self, bytes: &[u8]) {
        self.text.push('"');
        for chunk in bytes.utf8_chunks() {
            self.letters(chunk.valid());
            chunk.invalid().iter().for_each(|_| self.text.push_str("\\ufffd"));
        }
        self.text.push('"');
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        self.letters(text);
        self.text.push('"');
    }

    /// As Go escapes: what could mean something in HTML, too.
    fn letters(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\x08' => self.text.push_str("\\b"),
                '\x0c' => self.text.push_str("\\f"),
                '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.text.push_str(&format!("\\u{:04x}", u32::from(letter)));
                }
                letter => self.text.push(letter),
            }
        }
    }
}
