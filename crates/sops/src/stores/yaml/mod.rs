//! YAML, as go-yaml v3 reads and writes it: with comments, in order, in several documents.
//!
//! Reading goes from characters to tokens ([`scanner`]), to nodes with their comments ([`parser`]),
//! to documents ([`load`]). Quotes, flows, anchors and empty lines are not kept.
//!
//! Invariant: a comment is in the mapping that go-yaml v3 puts it into; else other programs could
//! not decrypt it.

mod emit;
mod load;
mod node;
mod parser;
mod resolve;
mod scanner;
mod style;

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::error::{Error, Exit, Result};
use crate::octets;
use crate::tree::{Branch, Item, Value};

/// A text that is no YAML: what is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    problem: String,
    line: usize,
}

impl Fault {
    fn new(problem: &str, mark: scanner::Mark) -> Self {
        Self { problem: problem.to_owned(), line: mark.line + 1 }
    }
}

fn refused(text: &str) -> Error {
    Error::new(Exit::General, format!("yaml: {text}"))
}

/// Of a document: in the words of SOPS where it has its own, and else in those of its library.
fn refused_document(text: &str) -> Error {
    match text.starts_with("YAML ") {
        true => Error::general(text),
        false => refused(text),
    }
}

/// The original reads the first document twice, and says this only of what it reads behind it.
fn refused_later(error: Error) -> Error {
    error.within("Error unmarshaling input YAML")
}

/// Reads all documents of a file.
pub fn load(bytes: &[u8]) -> Result<Vec<Branch>> {
    Parsed::of(bytes)?.branches()
}

/// The same, of a text that nobody needs afterwards: it goes as soon as it was parsed.
pub fn load_whole(bytes: Zeroizing<Vec<u8>>) -> Result<Vec<Branch>> {
    let parsed = Parsed::of(&bytes)?;
    drop(bytes);
    parsed.branches()
}

/// The documents of a file as they stand there, up to the first that is none.
struct Parsed {
    documents: Vec<node::Document>,
    fault: Option<Error>,
}

impl Parsed {
    fn of(bytes: &[u8]) -> Result<Self> {
        let text = decode(bytes)?;
        let mut parser = parser::Parser::new(&text);
        let mut parsed = Self { documents: Vec::new(), fault: None };
        loop {
            match parser.document() {
                Ok(Some(document)) => parsed.documents.push(document),
                Ok(None) => return Ok(parsed),
                Err(Fault { problem, line }) => {
                    parsed.fault = Some(refused(&format!("line {line}: {problem}")));
                    return Ok(parsed);
                }
            }
        }
    }

    fn branches(self) -> Result<Vec<Branch>> {
        let mut loader = load::Loader::default();
        let mut branches = Vec::new();
        let documents = self.documents.into_iter().map(Ok).chain(self.fault.map(Err));
        for document in documents {
            let loaded =
                document.and_then(|it| loader.document(it).map_err(|text| refused_document(&text)));
            match loaded {
                Ok(branch) => branches.push(branch),
                Err(error) if branches.is_empty() => return Err(error),
                Err(error) => return Err(refused_later(error)),
            }
        }
        Ok(branches)
    }
}

/// The text of a file: UTF-8, or UTF-16 with its mark; without control characters.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>> {
    let utf16 = |big: bool, rest: &[u8]| {
        let units = rest.chunks(2).map(|pair| match (pair, big) {
            ([high, low], true) | ([low, high], false) => u16::from_be_bytes([*high, *low]),
            _ => 0xd800,
        });
        char::decode_utf16(units).collect::<Result<String, _>>().ok().map(Cow::Owned)
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(false, rest),
        [0xfe, 0xff, rest @ ..] => utf16(true, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        rest => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
    };
    let text = text.ok_or_else(|| refused("invalid leading UTF-8 octet"))?;
    let control = |letter: char| match letter {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        letter => letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}'),
    };
    if text.chars().any(control) {
        return Err(refused("control characters are not allowed"));
    }
    Ok(text)
}

/// Spaces for each level where nothing is said.
const INDENT_DEFAULT: i64 = 4;

fn step(indent: i64) -> Result<i64> {
    match indent {
        0 => Ok(INDENT_DEFAULT),
        indent if indent > 0 => Ok(indent),
        _ => Err(Error::new(Exit::Emit, "YAML Negative indentation not accepted")),
    }
}

/// Writes all documents of a file; an indentation of 0 is the default.
pub fn emit(branches: &[Branch], indent: i64) -> Result<Vec<u8>> {
    let step = checked_step(branches, indent)?;
    let room = branches.iter().map(|branch| length(branch, step as usize)).sum();
    let mut emitter = emit::Emitter::new(step, room);
    branches.iter().for_each(|branch| emitter.document(emit::Of::Map(branch)));
    Ok(emitter.finish().into_bytes())
}

/// The same in pieces, so that the text is never there as a whole. Nothing is written of what is refused.
pub fn emit_to(
    branches: &[Branch],
    indent: i64,
    sink: &mut dyn std::io::Write,
) -> Result<std::io::Result<()>> {
    let mut emitter = emit::Emitter::into_sink(checked_step(branches, indent)?, sink);
    branches.iter().for_each(|branch| emitter.document(emit::Of::Map(branch)));
    Ok(emitter.finish_sink())
}

/// The spaces for each level, of documents that can be written.
fn checked_step(branches: &[Branch], indent: i64) -> Result<i64> {
    let step = step(indent)?;
    match branches.iter().all(has_characters) {
        true => Ok(step),
        false => Err(Error::new(Exit::Emit, "a comment is no UTF-8, which YAML cannot keep")),
    }
}

/// Are all comments characters? Keys and values that are none are written as bytes.
fn has_characters(branch: &Branch) -> bool {
    branch.0.iter().all(|item| match item {
        Item::Comment(comment) => octets::characters_of(&comment.text).is_some(),
        Item::Entry(_, value) => has_characters_only(value),
        Item::Odd(_) => true,
    })
}

fn has_characters_only(value: &Value) -> bool {
    match value {
        Value::Comment(comment) => octets::characters_of(&comment.text).is_some(),
        Value::Map(branch) => has_characters(branch),
        Value::List(list) => list.iter().all(has_characters_only),
        _ => true,
    }
}

/// About how many bytes a mapping has: with room for all from the start, there is one copy of it.
fn length(branch: &Branch, indent: usize) -> usize {
    let item = |item: &Item| match item {
        Item::Comment(comment) => comment.text.len() + indent + 4,
        Item::Entry(key, value) => key.len() + indent + 4 + value_length(value, indent),
        Item::Odd(_) => 16,
    };
    branch.0.iter().map(item).sum()
}

fn value_length(value: &Value, indent: usize) -> usize {
    match value {
        Value::Map(branch) => length(branch, indent + INDENT_DEFAULT as usize),
        Value::List(list) => {
            let inner = indent + INDENT_DEFAULT as usize;
            list.iter().map(|value| inner + 3 + value_length(value, inner)).sum()
        }
        Value::Text(text) => text.len() + text.len() / 64 + 4,
        Value::Bytes(bytes) => bytes.len() * 2,
        _ => 24,
    }
}

/// Writes one value, as a document of its own.
pub fn emit_value(value: &Value) -> Vec<u8> {
    let mut emitter = emit::Emitter::new(INDENT_DEFAULT, 0);
    emitter.document(emit::Of::value(value));
    emitter.finish().into_bytes()
}

#[cfg(test)]
mod tests;
