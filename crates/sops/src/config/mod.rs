//! `.sops.yaml`: which keys and which rule a new file gets, how files are indented, and where they
//! are published to.
//!
//! It is looked for in the working folder and the folders around it, not in the file's.

mod keys;
mod rules;

use std::path::{Path, PathBuf};

pub use keys::KeyGroups;
pub use rules::{CreationRule, DestinationRule};

use crate::error::{Error, Result};
use crate::stores::{Format, Store, yaml};
use crate::tree::{Branch, Value};

/// The file's name.
pub const FILE: &str = ".sops.yaml";
/// A name that people take for it.
const NOT_READ: &str = ".sops.yml";
/// How many folders are looked into.
const FOLDERS_MAX: usize = 100;

/// A search for the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: Option<PathBuf>,
    /// What people should know.
    pub warning: Option<String>,
}

/// Looks for the file from a folder on outwards.
pub fn find(folder: &Path) -> Found {
    let mut almost = None;
    for folder in folder.ancestors().take(FOLDERS_MAX) {
        let path = folder.join(FILE);
        if path.exists() {
            let warning = almost.map(|almost: PathBuf| {
                format!(
                    "ignoring {almost:?} when searching for config file; the config file must be \
                     called {FILE:?}; using {path:?} instead"
                )
            });
            return Found { path: Some(path), warning };
        }
        let other = folder.join(NOT_READ);
        if almost.is_none() && other.exists() {
            almost = Some(other);
        }
    }
    let warning = almost.map(|almost| {
        format!(
            "ignoring {almost:?} when searching for config file; the config file must be called \
             {FILE:?}"
        )
    });
    Found { path: None, warning }
}

/// The indentations of formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indents {
    /// YAML's.
    pub yaml: i64,
    /// JSON's.
    pub json: i64,
    /// That of encrypted binary files.
    pub json_binary: i64,
}

impl Default for Indents {
    fn default() -> Self {
        Self { yaml: 0, json: -1, json_binary: -1 }
    }
}

impl Indents {
    /// The same for all.
    pub fn all(indent: i64) -> Self {
        Self { yaml: indent, json: indent, json_binary: indent }
    }

    /// A format with its indentation.
    pub fn store(&self, format: Format) -> Store {
        let indent = match format {
            Format::Yaml => self.yaml,
            Format::Json => self.json,
            Format::Binary => self.json_binary,
            Format::Dotenv | Format::Ini => 0,
        };
        Store { format, indent }
    }
}

/// The file, read. Unknown names are passed over.
#[derive(Debug, Default)]
pub struct Config {
    /// The rules for new files, if there are any.
    pub creation_rules: Option<Vec<CreationRule>>,
    /// Where files are published to.
    pub destination_rules: Vec<DestinationRule>,
    /// How files are indented.
    pub indents: Indents,
}

impl Config {
    /// Reads the file's text.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong =
            |error: Error| error.within("error loading config: Could not unmarshal config file");
        let branches = yaml::load(bytes).map_err(wrong)?;
        let Some(branch) = branches.first() else { return Ok(Self::default()) };
        Self::of(branch).map_err(wrong)
    }

    fn of(branch: &Branch) -> Result<Self> {
        let creation_rules = match branch.get("creation_rules") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                mappings(value, "creation_rules")?
                    .map(|rule| CreationRule::of(rule?))
                    .collect::<Result<_>>()?,
            ),
        };
        let destination_rules = match branch.get("destination_rules") {
            None | Some(Value::Null) => vec![],
            Some(value) => mappings(value, "destination_rules")?
                .map(|rule| DestinationRule::of(rule?))
                .collect::<Result<_>>()?,
        };
        let mut indents = Indents::default();
        if let Some(Value::Map(stores)) = branch.get("stores") {
            for (name, place) in [
                ("yaml", &mut indents.yaml),
                ("json", &mut indents.json),
                ("json_binary", &mut indents.json_binary),
            ] {
                let Some(Value::Map(store)) = stores.get(name) else { continue };
                match store.get("indent") {
                    None | Some(Value::Null) => {}
                    Some(Value::Int(indent)) => *place = *indent,
                    Some(other) => return Err(unfit(&format!("stores.{name}.indent"), other)),
                }
            }
        }
        Ok(Self { creation_rules, destination_rules, indents })
    }

    /// The rule for a new file at an absolute path, which must have one; nothing where there are no rules
    /// at all.
    pub fn creation_rule(&self, config: &Path, file: &Path) -> Result<Option<&CreationRule>> {
        match self.rule_of(config, file)? {
            None if self.creation_rules.is_some() => {
                Err(Error::general("error loading config: no matching creation rules found"))
            }
            rule => Ok(rule),
        }
    }

    /// The rule that holds for a file at an absolute path, if one does.
    pub fn rule_of(&self, config: &Path, file: &Path) -> Result<Option<&CreationRule>> {
        let Some(rules) = &self.creation_rules else { return Ok(None) };
        let folder = config.parent().unwrap_or(Path::new("/"));
        let path = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
        for rule in rules {
            if rule.matches(&path)? {
                return rule.checked().map(Some);
            }
        }
        Ok(None)
    }

    /// Where a file is published to, by its path as it was given.
    pub fn destination_rule(&self, file: &str) -> Result<&DestinationRule> {
        for rule in &self.destination_rules {
            if rule.matches(file) {
                rule.recreation_rule.checked()?;
                return Ok(rule);
            }
        }
        Err(Error::general("error loading config: no matching destination found in config"))
    }
}

fn unfit(field: &str, value: &Value) -> Error {
    Error::general(format!("{field} cannot be a {}", value.kind()))
}

/// The mappings of a list.
fn mappings<'a>(
    value: &'a Value,
    field: &'a str,
) -> Result<impl Iterator<Item = Result<&'a Branch>>> {
    let Value::List(list) = value else { return Err(unfit(field, value)) };
    let values = list.iter().filter(|value| !matches!(value, Value::Comment(_) | Value::Null));
    Ok(values.map(move |value| match value {
        Value::Map(branch) => Ok(branch),
        other => Err(unfit(field, other)),
    }))
}

/// A text; numbers and the like are taken as they would be written.
fn text(branch: &Branch, field: &str) -> Result<String> {
    match branch.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(value @ (Value::List(_) | Value::Map(_) | Value::Bytes(_))) => {
            Err(unfit(field, value))
        }
        Some(value) => Ok(String::from_utf8_lossy(&crate::stores::shown(value)).into_owned()),
    }
}

fn number(branch: &Branch, field: &str) -> Result<i64> {
    match branch.get(field) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Int(number)) => Ok(*number),
        Some(other) => Err(unfit(field, other)),
    }
}

fn truth(branch: &Branch, field: &str) -> Result<bool> {
    match branch.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(bool)) => Ok(*bool),
        Some(other) => Err(unfit(field, other)),
    }
}

/// A list of texts.
fn texts(branch: &Branch, field: &str) -> Result<Vec<String>> {
    match branch.get(field) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::List(list)) => {
            let values = list.iter().filter(|value| !matches!(value, Value::Comment(_)));
            values
                .map(|value| match value {
                    Value::List(_) | Value::Map(_) => Err(unfit(field, value)),
                    value => Ok(String::from_utf8_lossy(&crate::stores::shown(value)).into_owned()),
                })
                .collect()
        }
        Some(other) => Err(unfit(field, other)),
    }
}

#[cfg(test)]
mod tests;
