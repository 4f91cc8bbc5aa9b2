//! `printf`: the verbs and flags of Go's `fmt` that fit texts, whole numbers and truth values.
//!
//! A format is read once, against the kinds of its arguments. What Go would put into the result as a
//! complaint (`%!d(string=…)`, `%!(EXTRA …)`) is refused then. One of them stays, `%!s(MISSING)`: the
//! default template of `mysql-legacy-database-plugin` has a verb too many, and cuts the complaint off.

use super::eval::Value;
use super::functions::{Kind, characters};
use super::{OUTPUT_BYTES_MAX, WIDTH_MAX};

/// A format that fits its arguments.
#[derive(Clone, Debug)]
pub(super) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<u8>),
    /// The next argument.
    Verb(Verb),
}

#[derive(Clone, Copy, Debug, Default)]
struct Verb {
    letter: u8,
    /// `-`: blanks go to the right.
    left: bool,
    /// `0`: zeros instead of blanks.
    zeros: bool,
    /// `+`: a sign in any case.
    plus: bool,
    /// A blank where a plus would be.
    blank: bool,
    width: usize,
    precision: Option<usize>,
}

impl Format {
    /// Reads a format for arguments of these kinds.
    pub(super) fn parse(text: &[u8], kinds: &[Kind]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut kinds = kinds.iter();
        let mut rest = text;
        loop {
            let end = rest.iter().position(|b| *b == b'%').unwrap_or(rest.len());
            let (plain, verb) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if !plain.is_empty() {
                pieces.push(Piece::Text(plain.to_vec()));
            }
            let Some(verb) = verb.get(1..) else { break };
            if let Some(behind) = verb.strip_prefix(b"%") {
                pieces.push(Piece::Text(b"%".to_vec()));
                rest = behind;
                continue;
            }
            let (verb, behind) = Verb::parse(verb)?;
            rest = behind;
            let Some(kind) = kinds.next() else {
                let complaint = format!("%!{}(MISSING)", char::from(verb.letter));
                pieces.push(Piece::Text(complaint.into_bytes()));
                continue;
            };
            verb.fits(*kind)?;
            pieces.push(Piece::Verb(verb));
        }
        if kinds.next().is_some() {
            return Err("printf has more arguments than verbs".to_owned());
        }
        Ok(Self { pieces })
    }

    /// The text for these values; it is cut off where it is too long anyway.
    pub(super) fn apply(&self, values: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut values = values.iter();
        for piece in &self.pieces {
            if out.len() > OUTPUT_BYTES_MAX {
                break;
            }
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Verb(verb) => {
                    if let Some(value) = values.next() {
                        verb.append(value, &mut out);
                    }
                }
            }
        }
        out
    }
}

impl Verb {
    /// The verb that `text`, what stands behind the percent sign, begins with; and what follows.
    fn parse(text: &[u8]) -> Result<(Self, &[u8]), String> {
        let mut verb = Self::default();
        let mut rest = text;
        while let [flag, behind @ ..] = rest {
            match flag {
                b'-' => verb.left = true,
                b'0' => verb.zeros = true,
                b'+' => verb.plus = true,
                b' ' => verb.blank = true,
                b'#' => return Err("the flag # of printf is not supported".to_owned()),
                _ => break,
            }
            rest = behind;
        }
        (verb.width, rest) = number(rest)?;
        if let [b'.', behind @ ..] = rest {
            let (precision, behind) = number(behind)?;
            verb.precision = Some(precision);
            rest = behind;
        }
        match rest {
            [letter, behind @ ..] if letter.is_ascii_alphabetic() => {
                verb.letter = *letter;
                Ok((verb, behind))
            }
            [b'*' | b'[', ..] => {
                Err("width and order by arguments are not supported in printf".to_owned())
            }
            [] => Err("printf ends within a verb".to_owned()),
            _ => Err("printf has an unknown verb".to_owned()),
        }
    }

    fn fits(&self, kind: Kind) -> Result<(), String> {
        let (letters, signs): (&[u8], bool) = match kind {
            Kind::Text => (b"svqxX", false),
            Kind::Integer => (b"vdxXobc", matches!(self.letter, b'd' | b'x' | b'X' | b'o' | b'b')),
            Kind::Truth => (b"vt", false),
        };
        let letter = char::from(self.letter);
        if !letters.contains(&self.letter) {
            return Err(format!("%{letter} of printf is not for {}", kind.name()));
        }
        if (self.plus || self.blank) && !signs {
            return Err(format!("a flag of %{letter} of printf is not supported"));
        }
        Ok(())
    }

    fn append(&self, value: &Value, out: &mut Vec<u8>) {
        match (value, self.letter) {
            (Value::Text(text), letter) => self.pad(&self.text(text, letter), self.zeros, out),
            (Value::Integer(value), b'c') => {
                let c = u32::try_from(*value).ok().and_then(char::from_u32);
                let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes(), self.zeros, out);
            }
            (Value::Integer(value), letter) => {
                self.pad(self.integer(*value, letter).as_bytes(), false, out);
            }
            (Value::Truth(value), _) => self.pad(value.to_string().as_bytes(), self.zeros, out),
        }
    }

    /// A text up to its precision, which counts characters, or bytes where they become digits.
    fn text(&self, text: &[u8], letter: u8) -> Vec<u8> {
        let limit = self.precision.unwrap_or(usize::MAX);
        let hex = matches!(letter, b'x' | b'X');
        let length = if hex {
            text.len().min(limit)
        } else {
            characters(text).take(limit).map(|(_, length)| length).sum()
        };
        let text = text.get(..length).unwrap_or(text);
        match letter {
            b'x' => hex::encode(text).into_bytes(),
            b'X' => hex::encode_upper(text).into_bytes(),
            b'q' => quote(text).into_bytes(),
            _ => text.to_vec(),
        }
    }

    /// Digits with their sign. A precision is how many digits there are at least.
    fn integer(&self, value: i64, letter: u8) -> String {
        let magnitude = value.unsigned_abs();
        let digits = match letter {
            b'x' => format!("{magnitude:x}"),
            b'X' => format!("{magnitude:X}"),
            b'o' => format!("{magnitude:o}"),
            b'b' => format!("{magnitude:b}"),
            _ => magnitude.to_string(),
        };
        let sign = match (value < 0, self.plus, self.blank) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        let digits_min = match self.precision {
            // Go shows nothing at all, not even a sign.
            Some(0) if value == 0 => return String::new(),
            Some(precision) => precision,
            None if self.zeros && !self.left => self.width.saturating_sub(sign.len()),
            None => 0,
        };
        format!("{sign}{digits:0>digits_min$}")
    }

    fn pad(&self, text: &[u8], zeros: bool, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(characters(text).count());
        let filler = if zeros && !self.left { b'0' } else { b' ' };
        if self.left {
            out.extend_from_slice(text);
        }
        out.extend(std::iter::repeat_n(filler, missing));
        if !self.left {
            out.extend_from_slice(text);
        }
    }
}

/// The number that `text` begins with (0 if it begins with none), and what follows.
fn number(text: &[u8]) -> Result<(usize, &[u8]), String> {
    let mut value = 0;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        value = value * 10 + usize::from(digit - b'0');
        if value > WIDTH_MAX {
            return Err(format!("a width or precision of printf is over {WIDTH_MAX}"));
        }
        rest = behind;
    }
    Ok((value, rest))
}

/// A Go string literal of the text (`strconv.Quote`).
fn quote(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            quote_character(c, &mut out);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn quote_character(c: char, out: &mut String) {
    let simple = match c {
        '"' | '\\' => c,
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        _ if is_printable(c) => return out.push(c),
        _ => {
            let code = u32::from(c);
            out.push_str(&match code {
                0..=0x1f | 0x7f => format!("\\x{code:02x}"),
                0..=0xffff => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            });
            return;
        }
    };
    out.extend(['\\', simple]);
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII blank. Rust's escapes know them by
/// the same rule, for a character that is not the first of its text.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let text = String::from_iter(['a', c]);
    !text.escape_debug().to_string().starts_with("a\\u")
}
