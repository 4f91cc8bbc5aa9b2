//! Scalars: in which style, and with which characters.

use base64::Engine as _;

use super::super::resolve::needs_quotes;
use super::super::style::{allowed, is_break, is_printable};
use super::{Emitter, Place};
use crate::numbers::general_float;
use crate::octets;
use crate::tree::Value;

/// A scalar, ready to be written.
pub struct Scalar {
    pub text: String,
    pub tag: &'static str,
    style: Style,
    /// Has it line ends?
    pub lines: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

pub fn text_scalar(text: &str) -> Scalar {
    let allowed = allowed(text);
    let style = if text.contains('\n') {
        if allowed.block { Style::Literal } else { Style::Double }
    } else if needs_quotes(text) {
        Style::Double
    } else if allowed.plain {
        Style::Plain
    } else if allowed.single {
        Style::Single
    } else {
        Style::Double
    };
    // A text that reads as the key of a merge says that it is meant so.
    let tag = if text == "<<" { "!!merge" } else { "" };
    Scalar { text: text.to_owned(), tag, style, lines: allowed.lines }
}

/// base64 in lines of 70, as a block where there are more.
fn binary_scalar(bytes: &[u8]) -> Scalar {
    let packed = base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut text = String::new();
    for (at, letter) in packed.chars().enumerate() {
        if at > 0 && at % 70 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    let lines = packed.len() >= 70;
    if lines {
        text.push('\n');
    }
    let style = if lines { Style::Literal } else { Style::Plain };
    Scalar { text, tag: "!!binary", style, lines }
}

/// A key: what is no UTF-8 is written as bytes.
pub fn key_scalar(key: &str) -> Scalar {
    match octets::characters_of(key) {
        Some(text) => text_scalar(&text),
        None => binary_scalar(&octets::bytes_of(key)),
    }
}

pub fn scalar(value: &Value) -> Scalar {
    let plain = |text: String| Scalar { text, tag: "", style: Style::Plain, lines: false };
    match value {
        Value::Text(text) => text_scalar(text),
        Value::Bytes(bytes) => binary_scalar(bytes),
        Value::Bool(bool) => plain(bool.to_string()),
        Value::Int(number) => plain(number.to_string()),
        Value::Unsigned(number) => plain(number.to_string()),
        Value::Float(number) => plain(match general_float(*number, 'e').as_str() {
            "+Inf" => ".inf".into(),
            "-Inf" => "-.inf".into(),
            "NaN" => ".nan".into(),
            other => other.into(),
        }),
        Value::Time(time) => plain(time.clone()),
        // A value that is a comment is its text (a tag of its own would not be read back).
        Value::Comment(comment) => text_scalar(&octets::shown(&comment.text)),
        Value::Null | Value::List(_) | Value::Map(_) => plain("null".into()),
    }
}

impl Emitter<'_> {
    pub(super) fn scalar(&mut self, scalar: &Scalar, place: Place, key: bool) {
        if !scalar.tag.is_empty() {
            if !self.whitespace {
                self.put(' ');
            }
            self.put_text(scalar.tag);
            self.whitespace = false;
            self.indention = false;
        }
        let parent = self.indent;
        let before = self.indent_in(place, true);
        match scalar.style {
            Style::Literal if key => self.double(&scalar.text),
            Style::Plain => self.plain(&scalar.text),
            Style::Single => self.single(&scalar.text),
            Style::Double => self.double(&scalar.text),
            Style::Literal => self.literal(&scalar.text, parent),
        }
        self.indent = before;
    }

    pub(super) fn plain(&mut self, text: &str) {
        if !text.is_empty() {
            if !self.whitespace {
                self.put(' ');
            }
            self.whitespace = false;
        }
        self.put_text(text);
        self.indention = false;
    }

    pub(super) fn single(&mut self, text: &str) {
        self.indicator("'", true, false, false);
        self.lines(text, false, |own, letter, _| {
            if letter == '\'' {
                own.put('\'');
            }
            own.put(letter);
        });
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    pub(super) fn double(&mut self, text: &str) {
        self.indicator("\"", true, false, false);
        for letter in text.chars() {
            if is_printable(letter) && !is_break(letter) && !matches!(letter, '"' | '\\') {
                self.put(letter);
                continue;
            }
            self.put('\\');
            let code = u32::from(letter);
            match letter {
                '\0' => self.put('0'),
                '\x07' => self.put('a'),
                '\x08' => self.put('b'),
                '\t' => self.put('t'),
                '\n' => self.put('n'),
                '\x0b' => self.put('v'),
                '\x0c' => self.put('f'),
                '\r' => self.put('r'),
                '\x1b' => self.put('e'),
                '"' | '\\' => self.put(letter),
                '\u{85}' => self.put('N'),
                '\u{a0}' => self.put('_'),
                '\u{2028}' => self.put('L'),
                '\u{2029}' => self.put('P'),
                _ if code <= 0xff => self.put_text(&format!("x{code:02X}")),
                _ if code <= 0xffff => self.put_text(&format!("u{code:04X}")),
                _ => self.put_text(&format!("U{code:08X}")),
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    pub(super) fn literal(&mut self, text: &str, parent: i64) {
        self.indicator("|", true, false, false);
        if text.starts_with(|first| matches!(first, ' ' | '\t') || is_break(first)) {
            // Where the text starts cannot be seen: it is said. (go-yaml always says the step, which
            // is wrong where a list is around, and says nothing before a tab, and then cannot read
            // what it wrote.)
            let hint = (self.indent - parent.max(0)).clamp(1, 9);
            self.indicator(&hint.to_string(), false, false, false);
        }
        let mut ends = text.chars().rev();
        match (ends.next(), ends.next()) {
            (Some(last), before) if is_break(last) => {
                if before.is_none_or(is_break) {
                    self.indicator("+", false, false, false);
                }
            }
            _ => self.indicator("-", false, false, false),
        }
        self.write_line(true);
        self.whitespace = true;
        self.lines(text, true, |own, letter, _| own.put(letter));
    }
}
