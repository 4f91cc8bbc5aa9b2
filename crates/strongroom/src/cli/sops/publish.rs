//! `publish`: a file goes where `.sops.yaml` says.

use std::path::{Path, PathBuf};

use strongroom_base::json::{Json, JsonMap};
use strongroom_sops::cipher::Nonces;
use strongroom_sops::config::{Config, DestinationRule};
use strongroom_sops::keys::{Keys, Told};
use strongroom_sops::metadata::{Metadata, VERSION};
use strongroom_sops::publish::Published;
use strongroom_sops::{Branch, Error, Exit, Result, Value, octets, update};

use super::crypt::{marshal, new_data_key, seal};
use super::groups::agreed;
use super::{Outcome, Run, fail, fatal, files};

/// Folders below each other, at most.
const DEPTH_MAX: usize = 64;

/// `publish`
pub fn publish(run: &mut Run<'_, '_>) -> Outcome {
    let config_path = run.needed_config_path()?;
    let Some(name) = run.args.first().cloned() else {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    };
    run.warn_of_more();
    let root = PathBuf::from(&name);
    let there = std::fs::metadata(&root).map_err(|error| {
        let reason = crate::cli::command::io_reason(&error);
        fail(Exit::General, format!("stat {name}: {reason}"))
    })?;
    let recursive = run.own.is("recursive");
    if there.is_dir() && !recursive {
        let text = "can't operate on a directory without --recursive flag.";
        return Err(fatal(Error::general(text)));
    }
    let config = run.config_at(&config_path)?;
    let mut found = Vec::new();
    gather(&root, &mut found, 0).map_err(|error| fail(Exit::General, error.to_string()))?;
    for file in found {
        one(run, &config, &root, &file)?;
    }
    Ok(())
}

/// All files of a folder, in order.
pub(super) fn gather(path: &Path, found: &mut Vec<PathBuf>, depth: usize) -> std::io::Result<()> {
    if !std::fs::symlink_metadata(path)?.is_dir() || depth > DEPTH_MAX {
        found.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    entries.into_iter().try_for_each(|entry| gather(&entry.path(), found, depth + 1))
}

fn one(run: &mut Run<'_, '_>, config: &Config, root: &Path, file: &Path) -> Result<()> {
    let rule = config.destination_rule(&file.to_string_lossy())?;
    let destination = rule.destination()?;
    let absolute = files::absolute(&file.to_string_lossy())?;
    let name = destination_name(run, rule, root, file);
    let keys = run.keys()?;
    let store = run.input_store(&absolute)?;
    let contents = if destination.takes_values() {
        let (tree, _) = run.open(Some(&absolute), store, &keys, None)?;
        Contents::Values(values(&tree.branches)?)
    } else {
        Contents::File(file_for(run, rule, &absolute, &keys)?)
    };
    if !run.own.is("yes") {
        let place = destination.shown(&name, &keys.machine);
        let question = format!("uploading {} to {place} ? (y/n): ", absolute.display());
        if !agreed(run, &question)? {
            let text = format!("Publication of {} canceled", absolute.display());
            if run.own.is("recursive") {
                run.tell(&text);
                return Ok(());
            }
            return Err(Error::general(text));
        }
    }
    match contents {
        Contents::File(bytes) => destination.upload(&bytes, &name, &keys.machine),
        Contents::Values(values) => {
            let written = destination.write(values, &name, &keys.machine)?;
            let (level, text) = match written {
                Published::Written => return Ok(()),
                Published::UpToDate(path) => {
                    ("info", format!("Secret in {path} is already up-to-date."))
                }
                Published::WrittenBlindly(path) => (
                    "warning",
                    format!(
                        "Cannot check if destination secret already exists in {path}. New version \
                         will be created even if the data has not been changed."
                    ),
                ),
            };
            run.log(&Told::new("PUBLISH", level, &text));
            Ok(())
        }
    }
}

enum Contents {
    File(Vec<u8>),
    Values(JsonMap),
}

/// The name there: below the folder that was named, or the file's own.
fn destination_name(run: &Run<'_, '_>, rule: &DestinationRule, root: &Path, file: &Path) -> String {
    let name = match file.strip_prefix(root) {
        Ok(below) if run.own.is("recursive") && !below.as_os_str().is_empty() => below.to_owned(),
        _ => PathBuf::from(file.file_name().unwrap_or_default()),
    };
    let omit = run.own.is("omit-extensions") || rule.omit_extensions;
    let name = if omit { name.with_extension("") } else { name };
    name.to_string_lossy().into_owned()
}

/// The file as it is, or encrypted anew for the keys of the rule.
fn file_for(
    run: &mut Run<'_, '_>,
    rule: &DestinationRule,
    file: &Path,
    keys: &Keys,
) -> Result<Vec<u8>> {
    let store = run.input_store(file)?;
    let groups = rule.recreation_rule.keys.records(&[])?;
    let again = groups.first().is_some_and(|group| !group.0.is_empty());
    if !again {
        let bytes = run.read_input(Some(file))?;
        // What is not encrypted goes nowhere.
        store.load_encrypted(&bytes)?;
        return Ok(bytes.to_vec());
    }
    let mut nonces = Nonces::default();
    let (mut tree, _) = run.open(Some(file), store, keys, Some(&mut nonces))?;
    let differences = update::differences(&tree.metadata.key_groups, &groups);
    if update::any_change(&differences) {
        let mut text = "The following changes will be made to the file's key groups:\n".to_owned();
        for (colour, line) in update::lines(&differences) {
            text.push_str(&if run.world.out_terminal { colour.paint(&line) } else { line });
            text.push('\n');
        }
        if let Err(super::End::Failed(error)) = run.write_out(text.as_bytes()) {
            return Err(error);
        }
    }
    // The rules of that place; where it has none, the file's own go on to hold: what was readable
    // stays so, and nothing else becomes it.
    let rule_there = rule.recreation_rule.rule()?;
    let mac_only = rule.recreation_rule.mac_only_encrypted || tree.metadata.mac_only_encrypted;
    tree.metadata = Metadata {
        key_groups: groups,
        shamir_threshold: rule.recreation_rule.shamir_threshold,
        rule: match rule_there {
            strongroom_sops::metadata::Rule::All => tree.metadata.rule.clone(),
            given => given,
        },
        mac_only_encrypted: mac_only,
        version: VERSION.into(),
        ..Metadata::default()
    };
    let key = new_data_key(&mut tree, keys)?;
    seal(&mut tree, &key, keys, &mut nonces)?;
    marshal(store, &mut tree)
}

/// The values of all documents as one map.
fn values(branches: &[Branch]) -> Result<JsonMap> {
    let mut map = JsonMap::new();
    for branch in branches {
        map.extend(json_map(branch)?);
    }
    Ok(map)
}

fn json_map(branch: &Branch) -> Result<JsonMap> {
    let entries = branch.entries().map(|(key, value)| {
        let name = octets::characters_of(key).ok_or_else(|| {
            let shown = octets::shown(key);
            Error::general(format!("the key {shown} is no UTF-8, and a secret holds texts"))
        })?;
        Ok((name.into_owned(), json_of(value)?))
    });
    entries.collect()
}

/// A value as JSON has it.
pub(super) fn json_of(value: &Value) -> Result<Json> {
    Ok(match value {
        Value::Map(branch) => Json::Object(json_map(branch)?),
        Value::List(list) => {
            let values = list.iter().filter(|value| !matches!(value, Value::Comment(_)));
            Json::Array(values.map(json_of).collect::<Result<_>>()?)
        }
        simple => {
            let text = strongroom_sops::stores::json::emit_compact(simple)?;
            serde_json::from_slice(&text).map_err(|error| Error::general(error.to_string()))?
        }
    })
}
