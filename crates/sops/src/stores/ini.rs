//! INI, as gopkg.in/ini.v1 reads and writes it: sections of keys, `=` aligned, comments with `;` or
//! `#`, values in quotes where they need it.
//!
//! A section is a mapping. A section's comment is its first item; a key's comment is the item behind
//! it. What stands before the first section is in `DEFAULT`. Bytes need not be UTF-8.

use super::shown;
use crate::error::{Error, Exit, Result};
use crate::octets;
use crate::tree::{Branch, Comment, Item, Value};
use zeroize::Zeroizing;

const DEFAULT: &str = "DEFAULT";
const DELIMITERS: [char; 2] = ['=', ':'];
const MARKS: [char; 2] = ['#', ';'];

struct Key {
    name: String,
    value: String,
    comment: String,
}

#[derive(Default)]
struct Section {
    name: String,
    comment: String,
    keys: Vec<Key>,
}

impl Section {
    /// A key that stands twice has the later value at the earlier place.
    fn put(&mut self, name: String, value: String) -> Option<&mut Key> {
        match self.keys.iter().position(|key| key.name == name) {
            Some(at) => {
                let key = self.keys.get_mut(at)?;
                key.value = value;
                Some(key)
            }
            None => {
                self.keys.push(Key { name, value, comment: String::new() });
                self.keys.last_mut()
            }
        }
    }
}

struct Reader<'a> {
    lines: std::iter::Peekable<std::str::SplitInclusive<'a, char>>,
    comment: String,
}

/// Reads a file.
pub fn load(bytes: &[u8]) -> Result<Branch> {
    let refused = |text: String| Error::general(format!("Could not unmarshal input data: {text}"));
    let text = Zeroizing::new(octets::text_of(bytes));
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut branch = Branch::default();
    for section in sections(text).map_err(refused)? {
        let mut items = Branch::default();
        if !section.comment.is_empty() {
            items.0.push(Item::Comment(Comment::new(stripped(&section.comment))));
        }
        for key in section.keys {
            items.push(key.name, Value::of_bytes(octets::bytes_of(&key.value).into_owned()));
            if !key.comment.is_empty() {
                items.0.push(Item::Comment(Comment::new(stripped(&key.comment))));
            }
        }
        branch.push(section.name, Value::Map(items));
    }
    Ok(branch)
}

/// A comment without the mark of its first line.
fn stripped(comment: &str) -> &str {
    match comment.chars().next() {
        Some(mark) if MARKS.contains(&mark) => comment.trim_start_matches([mark, ' ']),
        _ => comment,
    }
}

fn sections(text: &str) -> Result<Vec<Section>, String> {
    let mut found = vec![Section { name: DEFAULT.into(), ..Section::default() }];
    let mut reader =
        Reader { lines: text.split_inclusive('\n').peekable(), comment: String::new() };
    let mut counter = 1;
    while let Some(line) = reader.lines.next() {
        let line = line.trim_start();
        if line.is_empty() {
            continue;
        }
        if line.starts_with(MARKS) {
            reader.comment.push_str(line);
            continue;
        }
        if line.starts_with('[') {
            let Some((name, rest)) = line.get(1..).unwrap_or_default().rsplit_once(']') else {
                return Err("unclosed section".into());
            };
            if name.is_empty() {
                return Err("empty section name".into());
            }
            if let Some(at) = rest.find(MARKS) {
                reader.comment.push_str(rest.get(at..).unwrap_or_default());
            }
            let comment = std::mem::take(&mut reader.comment).trim().to_owned();
            found.push(Section { name: name.to_owned(), comment, ..Section::default() });
            counter = 1;
            continue;
        }
        let (mut name, rest) = key_name(line)?;
        if name == "-" {
            name = format!("#{counter}");
            counter += 1;
        }
        let value = reader.value(rest)?;
        let comment = std::mem::take(&mut reader.comment).trim().to_owned();
        if name.is_empty() {
            return Err("error creating new key: empty key name".into());
        }
        if let Some(key) = found.last_mut().and_then(|section| section.put(name, value)) {
            key.comment = comment;
        }
    }
    Ok(found)
}

/// The name of a key, which may be in quotes, and what stands behind the `=` or `:`.
fn key_name(line: &str) -> Result<(String, &str), String> {
    let quote = match line {
        _ if line.len() > 6 && line.starts_with("\"\"\"") => "\"\"\"",
        _ if line.starts_with('"') => "\"",
        _ if line.starts_with('`') => "`",
        _ => "",
    };
    let missing = || "key-value delimiter not found".to_owned();
    if quote.is_empty() {
        let at = line.find(DELIMITERS).ok_or_else(missing)?;
        if at == 0 {
            return Err("empty key name".into());
        }
        let (name, rest) = line.split_at(at);
        return Ok((name.trim().to_owned(), rest.get(1..).unwrap_or_default()));
    }
    let inner = line.get(quote.len()..).unwrap_or_default();
    let Some((name, rest)) = inner.split_once(quote) else {
        return Err("missing closing key quote".into());
    };
    let at = rest.find(DELIMITERS).ok_or_else(missing)?;
    Ok((name.trim().to_owned(), rest.get(at + 1..).unwrap_or_default()))
}

/// Is a text in quotes that do not stand inside of it?
fn is_quoted(text: &str, quote: char) -> bool {
    let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner.is_some_and(|inner| !inner.contains(quote))
}

impl Reader<'_> {
    fn value(&mut self, text: &str) -> Result<String, String> {
        let line = text.trim_start();
        if line.is_empty() {
            return Ok(String::new());
        }
        let quote = match line {
            _ if line.len() > 3 && line.starts_with("\"\"\"") => "\"\"\"",
            _ if line.starts_with('`') => "`",
            _ => "",
        };
        if !quote.is_empty() {
            let inner = line.get(quote.len()..).unwrap_or_default();
            return match inner.rsplit_once(quote) {
                Some((value, _)) => Ok(value.to_owned()),
                None => self.lines_until(inner, quote),
            };
        }
        let line = line.trim();
        if let Some(begun) = line.strip_suffix('\\') {
            return Ok(self.continued(begun));
        }
        let line = match line.find(MARKS) {
            Some(at) => {
                self.comment.push_str(line.get(at..).unwrap_or_default());
                line.get(..at).unwrap_or_default().trim()
            }
            None => line,
        };
        if is_quoted(line, '\'') || is_quoted(line, '"') {
            return Ok(line.get(1..line.len() - 1).unwrap_or_default().to_owned());
        }
        Ok(line.to_owned())
    }

    /// A value in quotes over several lines.
    fn lines_until(&mut self, begun: &str, quote: &str) -> Result<String, String> {
        let mut value = begun.to_owned();
        for line in self.lines.by_ref() {
            if let Some(at) = line.rfind(quote) {
                let behind = line.get(at + quote.len()..).unwrap_or_default();
                if behind.trim_end_matches(['\r', '\n']).trim().ends_with('\\') {
                    value.push_str(line);
                    continue;
                }
                value.push_str(line.get(..at).unwrap_or_default());
                if let Some(mark) = behind.find(MARKS) {
                    self.comment.push_str(behind.get(mark..).unwrap_or_default().trim());
                }
                return Ok(value);
            }
            value.push_str(line);
        }
        Err("missing closing key quote".into())
    }

    /// Lines that end in a backslash go on in the next.
    fn continued(&mut self, begun: &str) -> String {
        let mut value = begun.to_owned();
        for line in self.lines.by_ref() {
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            value.push_str(line);
            if !value.ends_with('\\') {
                break;
            }
            value.pop();
        }
        value
    }
}

/// Writes a file.
pub fn emit(branch: &Branch) -> Result<Vec<u8>> {
    let refused = |text: String| Error::new(Exit::Emit, format!("Error marshaling to INI: {text}"));
    let mut found = Vec::new();
    for (name, value) in branch.entries() {
        let Value::Map(items) = value else {
            return Err(refused(
                "Error encoding section: Section values should always be TreeBranches".into(),
            ));
        };
        if name.is_empty() {
            return Err(refused(format!("Error encoding section {name}: empty section name")));
        }
        found.push(section(name, items).map_err(refused)?);
    }
    let mut out = String::new();
    let last = found.len().saturating_sub(1);
    for (at, section) in found.iter().enumerate() {
        comment(&mut out, &section.comment);
        if at > 0 || section.name.to_uppercase() != DEFAULT {
            out.push_str(&format!("[{}]\n", section.name));
        } else if section.keys.is_empty() {
            continue;
        }
        keys(&mut out, &section.keys);
        if at != last {
            out.push('\n');
        }
    }
    Ok(octets::bytes_of(&out).into_owned())
}

fn section(name: &str, items: &Branch) -> Result<Section, String> {
    let mut section = Section { name: name.to_owned(), ..Section::default() };
    let mut last: Option<String> = None;
    for (at, item) in items.0.iter().enumerate() {
        match item {
            Item::Comment(comment) if at == 0 => {
                comment.text.as_str().clone_into(&mut section.comment)
            }
            Item::Comment(comment) => {
                let key = section.keys.iter_mut().find(|key| Some(&key.name) == last.as_ref());
                if let Some(key) = key {
                    comment.text.as_str().clone_into(&mut key.comment);
                }
            }
            Item::Entry(name, _) if name.is_empty() => {
                return Err("Error encoding key: error creating new key: empty key name".into());
            }
            Item::Entry(name, value) if value.is_complex() => {
                return Err(format!("Error encoding key: the value of {name} is not simple"));
            }
            Item::Entry(name, value) => {
                section.put(name.clone(), octets::text_of(&shown(value)));
                last = Some(name.clone());
            }
            Item::Odd(_) => {}
        }
    }
    Ok(section)
}

fn comment(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    for line in text.split('\n') {
        match line.chars().next() {
            Some(mark) if MARKS.contains(&mark) => {
                out.push_str(&format!("{mark} {}\n", line.get(1..).unwrap_or_default().trim()));
            }
            _ => out.push_str(&format!("; {}\n", line.trim())),
        }
    }
}

fn quoted_name(name: &str) -> String {
    if name.contains('"') || name.contains(DELIMITERS) {
        format!("`{name}`")
    } else if name.contains('`') {
        format!("\"\"\"{name}\"\"\"")
    } else {
        name.to_owned()
    }
}

fn keys(out: &mut String, keys: &[Key]) {
    let width =
        keys.iter().map(|key| octets::bytes_of(&quoted_name(&key.name)).len()).max().unwrap_or(0);
    for key in keys {
        comment(out, &key.comment);
        let name = quoted_name(&key.name);
        out.push_str(&name);
        out.extend(std::iter::repeat_n(' ', width - octets::bytes_of(&name).len()));
        out.push_str(" = ");
        let value = &key.value;
        if value.contains(['\n', '`']) {
            out.push_str(&format!("\"\"\"{value}\"\"\""));
        } else if value.contains(MARKS) {
            out.push_str(&format!("`{value}`"));
        } else if value.trim().len() != value.len() {
            out.push_str(&format!("\"{value}\""));
        } else {
            out.push_str(value);
        }
        out.push('\n');
    }
}
