//! The formats of files, and where each keeps the metadata.

mod dotenv;
mod examples;
mod flatten;
mod ini;
pub mod json;
pub mod yaml;

use crate::error::{Error, Exit, Result};
use crate::metadata::{self, Metadata};
use crate::numbers::{general_float, plain_float, whole_seconds};
use crate::octets;
use crate::tree::{Branch, Item, Tree, Value};
use zeroize::Zeroizing;

/// The key of the metadata.
pub const METADATA_KEY: &str = "sops";
/// The key of the one value of the binary format.
pub const BINARY_KEY: &str = "data";
/// Added where a document is no binary file.
const NOT_BINARY: &str = "This is likely not an encrypted binary file? If not, use --output-type to \
                          select the correct output type.";

/// A format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// Lines of `KEY=value`.
    Dotenv,
    /// Sections of keys.
    Ini,
    /// One value; encrypted, it is JSON.
    Binary,
}

impl Format {
    /// By the name that `--input-type` and `--output-type` take.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "dotenv" => Self::Dotenv,
            "ini" => Self::Ini,
            "binary" => Self::Binary,
            _ => return None,
        })
    }

    /// By the end of a file's name.
    pub fn of_path(path: &str) -> Self {
        match path {
            _ if path.ends_with(".yaml") || path.ends_with(".yml") => Self::Yaml,
            _ if path.ends_with(".json") => Self::Json,
            _ if path.ends_with(".env") => Self::Dotenv,
            _ if path.ends_with(".ini") => Self::Ini,
            _ => Self::Binary,
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

/// A format with its settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store {
    /// The format.
    pub format: Format,
    /// Spaces for each level, with the meaning of the format: 0 is YAML's default, and no
    /// indentation in JSON, where -1 is a tab.
    pub indent: i64,
}

impl Store {
    /// A format with its usual settings.
    pub fn new(format: Format) -> Self {
        let indent = match format {
            Format::Json | Format::Binary => -1,
            Format::Yaml | Format::Dotenv | Format::Ini => 0,
        };
        Self { format, indent }
    }

    /// Has the format one value only, which is always encrypted?
    pub fn has_one_value(&self) -> bool {
        self.format == Format::Binary
    }

    /// Reads a file that is not encrypted.
    pub fn load_plain(&self, bytes: &[u8]) -> Result<Vec<Branch>> {
        match self.format {
            Format::Yaml => {
                let branches = yaml::load(bytes)?;
                // A file of nothing but comments is none; one of nothing at all is left to the caller.
                if branches.is_empty() && !bytes.is_empty() {
                    return Err(Error::general("EOF"));
                }
                Ok(branches)
            }
            Format::Json => Ok(vec![json::load(bytes)?]),
            Format::Dotenv => Ok(vec![dotenv::load(bytes)?]),
            Format::Ini => Ok(vec![ini::load(bytes)?]),
            Format::Binary => {
                let mut branch = Branch::default();
                branch.push(BINARY_KEY, Value::of_bytes(bytes.to_vec()));
                Ok(vec![branch])
            }
        }
    }

    /// Reads an encrypted file: its documents, and the metadata apart. Nothing where it has none.
    pub fn load_if_encrypted(&self, bytes: &[u8]) -> Result<Option<Tree>> {
        self.tree_of(match self.format {
            Format::Binary => vec![json::load(bytes)?],
            _ => self.load_plain(bytes)?,
        })
    }

    fn tree_of(&self, mut branches: Vec<Branch>) -> Result<Option<Tree>> {
        let Some(found) = self.take_metadata(&mut branches)? else { return Ok(None) };
        let metadata = metadata::file::of_branch(&found)?;
        Ok(Some(Tree { branches, metadata }))
    }

    /// Reads an encrypted file.
    pub fn load_encrypted(&self, bytes: &[u8]) -> Result<Tree> {
        self.load_if_encrypted(bytes)?.ok_or_else(not_encrypted)
    }

    /// The same, of bytes that nobody needs afterwards: those of a large file go early.
    pub fn load_encrypted_whole(&self, bytes: Zeroizing<Vec<u8>>) -> Result<Tree> {
        if self.format != Format::Yaml || bytes.is_empty() {
            return self.load_encrypted(&bytes);
        }
        let branches = yaml::load_whole(bytes)?;
        // A file of nothing but comments is none.
        if branches.is_empty() {
            return Err(Error::general("EOF"));
        }
        self.tree_of(branches)?.ok_or_else(not_encrypted)
    }

    fn take_metadata(&self, branches: &mut [Branch]) -> Result<Option<Branch>> {
        if self.format == Format::Dotenv {
            return take_prefixed(branches);
        }
        let mut found = None;
        for (at, branch) in branches.iter_mut().enumerate() {
            let is_metadata =
                |item: &Item| matches!(item, Item::Entry(key, _) if key == METADATA_KEY);
            if !branch.0.iter().any(is_metadata) {
                continue;
            }
            let items = std::mem::take(&mut branch.0);
            for item in items {
                match item {
                    Item::Entry(key, value) if key == METADATA_KEY => {
                        // Those of later documents are copies.
                        if at > 0 {
                            continue;
                        }
                        let Value::Map(map) = value else {
                            return Err(Error::general("Found sops entry that is not a mapping"));
                        };
                        if found.replace(map).is_some() {
                            return Err(Error::general("Found duplicate sops entry"));
                        }
                    }
                    other => branch.0.push(other),
                }
            }
        }
        match (found, self.format) {
            (Some(flat), Format::Ini) => {
                let lines = |text: &str| text.replace("\\n", "\n");
                Ok(Some(flatten::unflatten(with_texts(flat, lines))?))
            }
            (found, _) => Ok(found),
        }
    }

    /// Writes a file that is not encrypted.
    pub fn emit_plain(&self, branches: &[Branch]) -> Result<Vec<u8>> {
        match self.format {
            Format::Yaml => yaml::emit(branches, self.indent),
            Format::Json => json::emit(first(branches)?, self.indent),
            Format::Dotenv => dotenv::emit(first(branches)?),
            Format::Ini => ini::emit(&all_in_one(branches)),
            Format::Binary => emit_binary(branches),
        }
    }

    /// Writes an encrypted file. The tree is as before when it is done.
    pub fn emit_encrypted(&self, tree: &mut Tree) -> Result<Vec<u8>> {
        self.with_metadata(tree, |branches| match self.format {
            Format::Binary => json::emit(first(branches)?, self.indent),
            _ => self.emit_plain(branches),
        })
    }

    /// The same to a writer: a large file need not be there as a whole. Nothing is written of what is refused.
    pub fn emit_encrypted_to(
        &self,
        tree: &mut Tree,
        out: &mut dyn std::io::Write,
    ) -> Result<std::io::Result<()>> {
        match self.format {
            Format::Yaml => {
                self.with_metadata(tree, |branches| yaml::emit_to(branches, self.indent, out))
            }
            _ => Ok(out.write_all(&self.emit_encrypted(tree)?)),
        }
    }

    /// Writes a document with its metadata by `emit`. The tree is as before when it is done.
    fn with_metadata<T>(
        &self,
        tree: &mut Tree,
        emit: impl FnOnce(&[Branch]) -> Result<T>,
    ) -> Result<T> {
        self.refuse_reserved(&tree.branches)?;
        let metadata = self.metadata_items(&tree.metadata)?;
        let lengths: Vec<usize> = tree.branches.iter().map(|branch| branch.0.len()).collect();
        for branch in &mut tree.branches {
            branch.0.extend(metadata.iter().cloned());
        }
        let out = emit(&tree.branches);
        for (branch, length) in tree.branches.iter_mut().zip(lengths) {
            branch.0.truncate(length);
        }
        out
    }

    fn refuse_reserved(&self, branches: &[Branch]) -> Result<()> {
        let key = branches.iter().flat_map(Branch::entries).find(|(key, _)| self.is_reserved(key));
        let Some((key, _)) = key else { return Ok(()) };
        let text = match self.format {
            Format::Dotenv => format!(
                "Error marshaling metadata: Found key {key:?} in encrypted data, which starts with \
                 the reserved key prefix \"sops_\" for SOPS metadata"
            ),
            _ => format!(
                "Error marshaling metadata: Found key {key:?} in encrypted data, which is a reserved \
                 key used for SOPS metadata"
            ),
        };
        Err(Error::new(Exit::Emit, text))
    }

    fn is_reserved(&self, key: &str) -> bool {
        match self.format {
            Format::Dotenv => key.starts_with(dotenv::PREFIX),
            _ => key == METADATA_KEY,
        }
    }

    /// Has a document what only metadata may be called?
    pub fn has_metadata_key(&self, branch: &Branch) -> bool {
        branch.entries().any(|(key, _)| self.is_reserved(key))
    }

    fn metadata_items(&self, metadata: &Metadata) -> Result<Vec<Item>> {
        let branch = metadata::file::to_branch(metadata);
        let within = |branch| vec![Item::Entry(METADATA_KEY.into(), Value::Map(branch))];
        Ok(match self.format {
            Format::Dotenv => flatten::flatten(&branch, dotenv::PREFIX)?.0,
            Format::Ini => {
                let flat = flatten::flatten(&branch, "")?;
                within(with_texts(flat, |text| text.replace('\n', "\\n")))
            }
            _ => within(branch),
        })
    }

    /// Writes one value.
    pub fn emit_value(&self, value: &Value) -> Result<Vec<u8>> {
        match self.format {
            Format::Yaml => Ok(yaml::emit_value(value)),
            Format::Json => json::emit_value(value, self.indent),
            Format::Ini => json::emit_compact(value),
            Format::Dotenv => Err(Error::new(
                Exit::Emit,
                format!("the dotenv store only supports emitting strings, got {}", value.kind()),
            )),
            Format::Binary => Err(Error::new(
                Exit::Emit,
                "Binary files are not structured and extracting a single value is not possible",
            )),
        }
    }

    /// What a new file starts with.
    pub fn example(&self) -> Result<Vec<u8>> {
        match self.format {
            Format::Binary => Ok(examples::WELCOME.as_bytes().to_vec()),
            format => self.emit_plain(&[examples::of(format)]),
        }
    }
}

fn not_encrypted() -> Error {
    Error::general("sops metadata not found")
}

fn first(branches: &[Branch]) -> Result<&Branch> {
    branches.first().ok_or_else(|| Error::new(Exit::Emit, "there is no document"))
}

/// All documents one behind the other: the format has one.
fn all_in_one(branches: &[Branch]) -> std::borrow::Cow<'_, Branch> {
    match branches {
        [one] => std::borrow::Cow::Borrowed(one),
        many => {
            let items = many.iter().flat_map(|branch| branch.0.iter().cloned());
            std::borrow::Cow::Owned(Branch(items.collect()))
        }
    }
}

fn emit_binary(branches: &[Branch]) -> Result<Vec<u8>> {
    let refused = |text: &str| {
        let text = format!("error emitting binary store: {text}\n\n{NOT_BINARY}");
        Err(Error::new(Exit::Emit, text))
    };
    let [branch] = branches else { return refused("there must be exactly one tree branch") };
    match branch.get(BINARY_KEY) {
        Some(Value::Text(text)) => Ok(text.as_bytes().to_vec()),
        Some(Value::Bytes(bytes)) => Ok(bytes.to_vec()),
        Some(_) => refused("'data' key in tree does not have a string value"),
        None => refused("no binary data found in tree"),
    }
}

fn take_prefixed(branches: &mut [Branch]) -> Result<Option<Branch>> {
    let Some(branch) = branches.first_mut() else { return Ok(None) };
    let mut flat = Branch::default();
    let items = std::mem::take(&mut branch.0);
    for item in items {
        match item {
            Item::Entry(key, value) => match key.strip_prefix(dotenv::PREFIX) {
                Some(rest) => flat.push(rest, value),
                None => branch.0.push(Item::Entry(key, value)),
            },
            other => branch.0.push(other),
        }
    }
    if flat.0.is_empty() { Ok(None) } else { Ok(Some(flatten::unflatten(flat)?)) }
}

fn with_texts(branch: Branch, change: impl Fn(&str) -> String) -> Branch {
    let items = branch.0.into_iter().map(|item| match item {
        Item::Entry(key, Value::Text(text)) => Item::Entry(key, Value::text(change(&text))),
        other => other,
    });
    Branch(items.collect())
}

/// A simple value as flat formats and environments have it: bytes, which need not be UTF-8.
pub fn shown(value: &Value) -> Zeroizing<Vec<u8>> {
    let text = match value {
        Value::Text(text) => text.to_string(),
        Value::Bytes(bytes) => return bytes.clone(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float(number) => {
            let text = general_float(*number, 'E');
            // That it is no whole number shall be seen.
            match text.contains(['.', 'E']) || !number.is_finite() {
                true => text,
                false => format!("{}.0", plain_float(*number)),
            }
        }
        Value::Time(time) => whole_seconds(time),
        Value::Comment(comment) => {
            return Zeroizing::new(octets::bytes_of(&comment.text).into_owned());
        }
        Value::Null => "<nil>".into(),
        Value::List(_) | Value::Map(_) => String::new(),
    };
    Zeroizing::new(text.into_bytes())
}

#[cfg(test)]
mod tests;
