//! A document in memory: what all formats have in common. Order and comments are kept through
//! everything that is done to it.
//!
//! Texts are wiped when they are dropped, and not shown by `Debug`.

use std::fmt;

use zeroize::Zeroizing;

use crate::metadata::Metadata;

/// A file: its documents (YAML may have several, every other format has one) and its metadata.
#[derive(Debug, Default)]
pub struct Tree {
    /// The documents.
    pub branches: Vec<Branch>,
    /// What the file says of itself.
    pub metadata: Metadata,
}

/// A mapping, in order.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Branch(pub Vec<Item>);

/// A line of a mapping.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A comment of its own.
    Comment(Comment),
    /// A key and its value.
    Entry(String, Value),
    /// A key that is no text (YAML's numbers, truth values, null): it can be read, and neither
    /// encrypted nor decrypted.
    Odd(OddKey),
}

/// A key that is no text.
#[derive(Clone, PartialEq, Debug)]
pub struct OddKey {
    /// What it is, as Go names it: `int`, `bool`, `float64`, `<nil>`.
    pub kind: &'static str,
    /// How it is written.
    pub shown: String,
}

/// A comment, without its mark and without line ends.
#[derive(Clone, PartialEq, Default)]
pub struct Comment {
    /// The text behind the mark.
    pub text: Zeroizing<String>,
    /// Does it stand at the end of a line with something else?
    pub inline: bool,
}

/// A value of a document.
#[derive(Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing; it is neither encrypted nor part of the MAC.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond that of other formats: YAML reads it, and it cannot be encrypted.
    Unsigned(u64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Zeroizing<String>),
    /// What was stored as a text and is none in UTF-8.
    Bytes(Zeroizing<Vec<u8>>),
    /// A point in time, as RFC 3339 with the nanoseconds that are there.
    Time(String),
    /// A list.
    List(Vec<Value>),
    /// A mapping.
    Map(Branch),
    /// A comment: an element of a list, or what a text turned into when it was decrypted.
    Comment(Comment),
}

impl Comment {
    /// A comment of its own line.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), inline: false }
    }
}

impl fmt::Debug for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Comment(…)")
    }
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// Bytes as a text, where they are one.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::text(text),
            Err(error) => Self::Bytes(Zeroizing::new(error.into_bytes())),
        }
    }

    /// A list or a mapping?
    pub fn is_complex(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The kind of value, as messages name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Unsigned(_) => "uint64",
            Self::Float(_) => "float",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Time(_) => "time",
            Self::List(_) => "list",
            Self::Map(_) => "mapping",
            Self::Comment(_) => "comment",
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(branch) => branch.fmt(f),
            other => write!(f, "{}(…)", other.kind()),
        }
    }
}

impl Branch {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Keys and values, without comments.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter_map(|item| match item {
            Item::Entry(key, value) => Some((key.as_str(), value)),
            Item::Comment(_) | Item::Odd(_) => None,
        })
    }

    /// Adds a key at the end.
    pub fn push(&mut self, key: impl Into<String>, value: Value) {
        self.0.push(Item::Entry(key.into(), value));
    }
}
