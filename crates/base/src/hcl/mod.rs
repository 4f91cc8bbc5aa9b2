//! HCL 1 and its JSON twin, as policies and server configuration are written in them.
//!
//! It exists because the crates at hand read HCL 2, which refuses or silently changes texts that
//! Vault takes (quoted attribute keys, several attributes on a line, `%{` in a string, `0755`).
//! Both notations give one tree whose keys know their line and column, so that every consumer can
//! say "file:line: unknown key".
//!
//! Invariants: no input panics; depth, items and bytes are bounded before they are built; repeated
//! keys stay, in the order of the text (what a repetition means is the consumer's rule); numbers
//! keep their text; no error repeats a value, and nothing here prints one (a configuration holds
//! passwords): keys only.
//!
//! What it deliberately does not know: interpolation (`${…}` is text), functions, expressions,
//! `null` outside JSON.

mod access;
mod json;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

use std::fmt;

pub use access::Block;

use crate::limits::{HCL_BYTES_MAX, HCL_DEPTH_MAX, HCL_ITEMS_MAX};

/// A place in the text, both counted from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// What stands between two braces, or the whole text.
#[derive(Clone, PartialEq, Default)]
pub struct Body {
    /// The items in the order of the text, repetitions included.
    pub items: Vec<Item>,
}

/// `key = value`, or `key "label" { … }`.
#[derive(Clone, PartialEq)]
pub struct Item {
    /// The key, without quotes.
    pub key: String,
    /// What stands between the key and the brace.
    pub labels: Vec<String>,
    /// The value; of a block it is an object.
    pub value: Value,
    /// The key's line.
    pub line: u32,
    /// The key's column.
    pub column: u32,
}

/// A value. It has no `Debug` that shows it: configuration holds secrets.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A string or a heredoc, escapes resolved.
    Text(String),
    /// A number as it was written (`0755`, `1.50`, `0x10`).
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// JSON's `null`.
    Null,
    /// A list.
    List(Vec<Value>),
    /// An object or a block's body.
    Object(Body),
}

/// Why a text, or a value in it, was refused, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// What is wrong. Invariant: no value of the text.
    pub message: String,
}

impl Error {
    /// An error at `position`.
    pub fn new(position: Position, message: impl Into<String>) -> Self {
        Self { line: position.line, column: position.column, message: message.into() }
    }

    /// `file:line:column: message`, for configuration files.
    pub fn in_file(&self, file: &str) -> String {
        format!("{file}:{}:{}: {}", self.line, self.column, self.message)
    }
}

/// `At line:column: message`, the form Vault's clients know from HCL's own reader.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At {}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Error {}

impl Item {
    /// Where the key stands.
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    /// An error about this item.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::new(self.position(), message)
    }
}

/// Keys and labels only.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {} {:?} = {:?}", self.line, self.column, self.key, self.labels, self.value)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}

/// The kind, never the content.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(body) => body.fmt(f),
            other => f.write_str(other.kind()),
        }
    }
}

/// Reads HCL, or JSON where the first character that is no space is `{`.
pub fn parse(text: &str) -> Result<Body, Error> {
    if text.len() > HCL_BYTES_MAX {
        return Err(Error::new(
            Position { line: 1, column: 1 },
            format!("text is longer than {HCL_BYTES_MAX} bytes"),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unix;
    let text = if text.contains("\r\n") {
        unix = text.replace("\r\n", "\n");
        unix.as_str()
    } else {
        text
    };
    if text.trim_start().starts_with('{') { json::parse(text) } else { parser::parse(text) }
}

/// Bounds that both readers keep while they build the tree.
struct Budget {
    depth: usize,
    items: usize,
}

impl Budget {
    fn new() -> Self {
        Self { depth: 0, items: 0 }
    }

    /// One level down; the caller must [`Budget::leave`] it.
    fn enter(&mut self, at: Position) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > HCL_DEPTH_MAX {
            return Err(Error::new(at, format!("nested deeper than {HCL_DEPTH_MAX} levels")));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// One more item or list element.
    fn count(&mut self, at: Position) -> Result<(), Error> {
        self.items += 1;
        if self.items > HCL_ITEMS_MAX {
            return Err(Error::new(at, format!("more than {HCL_ITEMS_MAX} items")));
        }
        Ok(())
    }
}
