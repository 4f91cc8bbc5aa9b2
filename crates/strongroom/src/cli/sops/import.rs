//! `import`: files are decrypted, and their values written to the server's key-value store. The original
//! has none of this.
//!
//! Invariants:
//! * all files are read, decrypted and checked before the first is written;
//! * what is decrypted is in memory alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use strongroom_base::json::{Json, JsonMap};
use strongroom_sops::{Branch, Error, Exit, Result, Value};

use super::publish::gather;
use super::room::Room;
use super::{Outcome, Run, fail, files};

/// A secret to be.
struct Secret {
    values: JsonMap,
    /// Where it comes from.
    file: PathBuf,
}

/// `import FILE PATH`
pub fn import(run: &mut Run<'_, '_>) -> Outcome {
    let [name, path] = run.args.as_slice() else {
        let text = "Error: import takes a file and a path, as in: import app.yaml secret/app";
        return Err(fail(Exit::General, text));
    };
    let (name, path) = (name.clone(), path.clone());
    let root = files::absolute(&name)?;
    let there = std::fs::metadata(&root).map_err(|error| {
        let reason = crate::cli::command::io_reason(&error);
        fail(Exit::NoFile, format!("Error: cannot import {name}: {reason}"))
    })?;
    let cas = match run.own.given("cas") {
        true => Some(run.own.int("cas")),
        false => None,
    };
    let secrets = match (there.is_dir(), run.own.is("recursive")) {
        (false, false) => BTreeMap::from([(path, decrypted(run, &root)?)]),
        (true, true) if cas.is_some() => {
            let text = "Error: --cas is for one secret: it cannot be used with --recursive";
            return Err(fail(Exit::Conflict, text));
        }
        (true, true) => of_folder(run, &root, &path)?,
        (true, false) => {
            let text = format!("Error: {name} is a folder: use --recursive for all files in it");
            return Err(fail(Exit::General, text));
        }
        (false, true) => {
            let text = format!("Error: {name} is a file: --recursive is for folders");
            return Err(fail(Exit::General, text));
        }
    };
    let mut room = Room::connect(run.world)?;
    let mut planned = Vec::new();
    for (path, secret) in secrets {
        planned.push((room.target(&path)?, secret));
    }
    for (target, Secret { values, file }) in planned {
        let count = values.len();
        let words = match run.own.is("dry-run") {
            true => "would be written",
            false => "written",
        };
        if !run.own.is("dry-run") {
            room.write(&target, values, cas)?;
        }
        let count = if count == 1 { "1 value".to_owned() } else { format!("{count} values") };
        let line = format!("{}: {count} {words} from {}\n", target.whole(), file.display());
        run.write_out(line.as_bytes())?;
    }
    Ok(())
}

/// A file's values, once its MAC was checked.
fn decrypted(run: &mut Run<'_, '_>, file: &Path) -> Result<Secret> {
    let store = run.input_store(file)?;
    let keys = run.keys()?;
    let named = |error: Error| error.within(&file.display().to_string());
    let (tree, _) = run.open(Some(file), store, &keys, None).map_err(named)?;
    let [branch] = tree.branches.as_slice() else {
        let text = "the file has several documents, and a secret is one";
        return Err(named(Error::general(text)));
    };
    Ok(Secret { values: map(branch, "").map_err(named)?, file: file.to_owned() })
}

/// The encrypted files of a folder, by the paths of their secrets: names without their ends.
fn of_folder(run: &mut Run<'_, '_>, root: &Path, path: &str) -> Result<BTreeMap<String, Secret>> {
    let mut found = Vec::new();
    gather(root, &mut found, 0).map_err(|error| Error::general(error.to_string()))?;
    let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
    // What Git keeps for itself is nobody's secret, and there is much of it.
    found.retain(|file| {
        let below = file.strip_prefix(root).unwrap_or(file);
        below.components().all(|part| part.as_os_str() != ".git")
    });
    for file in found {
        let store = run.input_store(&file)?;
        let bytes = run.read_input(Some(&file))?;
        if !matches!(store.load_if_encrypted(&bytes), Ok(Some(_))) {
            run.tell(&format!("{}: passed over, it is not encrypted", file.display()));
            continue;
        }
        let within = file.strip_prefix(root).unwrap_or(&file);
        let within = match within.extension().and_then(std::ffi::OsStr::to_str) {
            Some("yaml" | "yml" | "json" | "env" | "ini") => within.with_extension(""),
            _ => within.to_owned(),
        };
        let Some(within) = within.to_str() else {
            return Err(Error::general(format!("{}: the name is no UTF-8", file.display())));
        };
        let path = format!("{}/{within}", path.trim_end_matches('/'));
        let secret = decrypted(run, &file)?;
        if let Some(other) = secrets.insert(path.clone(), secret) {
            let (one, other) = (file.display(), other.file.display());
            return Err(Error::general(format!("{other} and {one} would both be {path}")));
        }
    }
    match secrets.is_empty() {
        true => Err(Error::general(format!("no file below {} is encrypted", root.display()))),
        false => Ok(secrets),
    }
}

fn map(branch: &Branch, within: &str) -> Result<JsonMap> {
    let mut map = JsonMap::new();
    for (key, value) in branch.entries() {
        let path = if within.is_empty() { key.to_owned() } else { format!("{within}.{key}") };
        let text = strongroom_sops::octets::characters_of(key);
        let key = text.ok_or_else(|| not_a_text("a key", &path))?.into_owned();
        if map.insert(key, json_of(value, &path)?).is_some() {
            return Err(Error::general(format!("{path} stands twice in the file")));
        }
    }
    Ok(map)
}

fn not_a_text(what: &str, path: &str) -> Error {
    let path = strongroom_sops::octets::shown(path);
    Error::general(format!("{what} at {path} is no UTF-8, and a secret holds texts"))
}

fn json_of(value: &Value, path: &str) -> Result<Json> {
    Ok(match value {
        Value::Map(branch) => Json::Object(map(branch, path)?),
        Value::List(list) => {
            let values = list.iter().filter(|value| !matches!(value, Value::Comment(_)));
            Json::Array(values.map(|value| json_of(value, path)).collect::<Result<_>>()?)
        }
        Value::Bytes(_) => return Err(not_a_text("the value", path)),
        simple => super::publish::json_of(simple)?,
    })
}
