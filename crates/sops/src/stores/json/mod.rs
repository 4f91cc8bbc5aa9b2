//! JSON: one object, in order, with keys that stand twice and numbers as they are. Comments are
//! not written.

mod read;
mod write;

use read::Reader;
use write::Writer;

use crate::error::{Error, Result};
use crate::tree::{Branch, Value};

fn refused(text: impl std::fmt::Display) -> Error {
    Error::general(format!("Could not unmarshal input data: {text}"))
}

/// Reads a document. What stands behind its object is not looked at.
pub fn load(bytes: &[u8]) -> Result<Branch> {
    let mut reader = Reader::new(bytes);
    reader.blanks();
    match reader.peek() {
        Some(b'{') => match reader.value().map_err(refused)? {
            Value::Map(branch) => Ok(branch),
            _ => Err(refused("unexpected end of JSON input")),
        },
        None => Err(refused("EOF")),
        Some(b'[') => Err(refused(
            "SOPS only supports JSON files with a top-level object (starting with '{'), not arrays \
             or other types. Got delimiter [ instead. To encrypt this file, wrap it in an object, \
             e.g., {\"data\": [...]}",
        )),
        Some(_) => {
            let value = reader.value().map_err(refused)?;
            Err(refused(format!(
                "SOPS only supports JSON files with a top-level object (starting with '{{'), not \
                 other JSON types. Got a value of type {} instead",
                value.kind()
            )))
        }
    }
}

/// Reads one value, and nothing but that.
pub fn value(text: &str) -> Option<Value> {
    let mut reader = Reader::new(text.as_bytes());
    let value = reader.value().ok()?;
    reader.blanks();
    reader.peek().is_none().then_some(value)
}

/// Writes a document with its final line end. An indentation of -1 is a tab, 0 is none.
pub fn emit(branch: &Branch, indent: i64) -> Result<Vec<u8>> {
    let mut out = Writer::new(indent)?;
    out.map(branch, 0)?;
    out.end_line();
    Ok(out.finish())
}

/// Writes one value, without a line end.
pub fn emit_value(value: &Value, indent: i64) -> Result<Vec<u8>> {
    let mut out = Writer::new(indent)?;
    out.value(value, 0)?;
    Ok(out.finish())
}

/// Writes one value on one line.
pub fn emit_compact(value: &Value) -> Result<Vec<u8>> {
    let mut out = Writer::compact();
    out.value(value, 0)?;
    Ok(out.finish())
}
