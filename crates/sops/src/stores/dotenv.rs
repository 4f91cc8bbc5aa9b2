//! ENV: a line for each key, split at the first `=`; `\n` in a value is a line end, and `#` in the
//! first column a comment. Nothing is trimmed and nothing is quoted, and bytes need not be UTF-8.

use super::shown;
use crate::error::{Error, Exit, Result};
use crate::octets;
use crate::tree::{Branch, Comment, Item, Value};

/// Before the keys of metadata.
pub const PREFIX: &str = "sops_";

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if let Some(behind) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = behind;
        } else {
            out.push(*first);
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    out
}

/// Reads a file.
pub fn load(bytes: &[u8]) -> Result<Branch> {
    let mut branch = Branch::default();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix(b"#") {
            branch.0.push(Item::Comment(Comment::new(octets::text_of(comment))));
            continue;
        }
        let at = line.iter().position(|byte| *byte == b'=');
        let split = at.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?)));
        let Some((key, value)) = split else {
            return Err(Error::general(format!("invalid dotenv input line: line {}", number + 1)));
        };
        branch.push(octets::text_of(key), Value::of_bytes(replaced(value, b"\\n", b"\n")));
    }
    Ok(branch)
}

/// Writes a file.
pub fn emit(branch: &Branch) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for item in &branch.0 {
        match item {
            Item::Comment(comment) => {
                out.push(b'#');
                out.extend_from_slice(&octets::bytes_of(&comment.text));
            }
            Item::Entry(key, value) if value.is_complex() => {
                let key = octets::shown(key);
                let text = format!("cannot use complex value in dotenv file; offending key {key}");
                return Err(Error::new(Exit::Emit, text));
            }
            Item::Entry(key, value) => {
                out.extend_from_slice(&octets::bytes_of(key));
                out.push(b'=');
                match value {
                    Value::Text(_) | Value::Bytes(_) => {
                        out.extend(replaced(&shown(value), b"\n", b"\\n"));
                    }
                    other => out.extend_from_slice(&shown(other)),
                }
            }
            Item::Odd(_) => continue,
        }
        out.push(b'\n');
    }
    Ok(out)
}
