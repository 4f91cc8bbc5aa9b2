//! `export`: secrets of the server's key-value store become encrypted files, for the keys that
//! `.sops.yaml` or flags name. The original has none of this.
//!
//! Invariants:
//! * all secrets are read and encrypted before the first file is written;
//! * no value is written anywhere before it is encrypted;
//! * a file that is there stays, unless `--force` says otherwise.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use strongroom_base::json::{Json, JsonMap};
use strongroom_sops::cipher::{self, Nonces};
use strongroom_sops::stores::{BINARY_KEY, Format, Store, shown};
use strongroom_sops::{Branch, Error, Exit, Result, Tree, Value};
use zeroize::Zeroizing;

use super::crypt::{check_plain, marshal, new_data_key, seal};
use super::room::Room;
use super::{Outcome, Run, fail, files};

/// The section of an INI file for values that are in none.
const SECTION: &str = "DEFAULT";

/// A file to be.
struct Written {
    /// The secret.
    from: String,
    /// The file; nothing for the standard output.
    file: Option<PathBuf>,
    bytes: Vec<u8>,
}

/// `export PATH [FILE]`
pub fn export(run: &mut Run<'_, '_>) -> Outcome {
    let (path, name) = match run.args.as_slice() {
        [path] => (path.clone(), None),
        [path, name] => (path.clone(), Some(name.clone())),
        _ => {
            let text = "Error: export takes a path and a file, as in: export secret/app app.yaml";
            return Err(fail(Exit::General, text));
        }
    };
    let output = Some(run.own.text("output").to_owned()).filter(|output| !output.is_empty());
    let written = match run.own.is("recursive") {
        true if output.is_some() => {
            let text = "Error: --output is for one file: it cannot be used with --recursive";
            return Err(fail(Exit::Conflict, text));
        }
        true => {
            let Some(folder) = name else {
                return Err(fail(
                    Exit::NoFile,
                    "Error: with --recursive, name a folder for the files",
                ));
            };
            folder_of(run, &path, &files::absolute(&folder)?)?
        }
        false => vec![one(run, &path, name, output)?],
    };
    let force = run.own.is("force");
    for file in written.iter().filter_map(|written| written.file.as_ref()) {
        // What is no file of its own (a pipe, a terminal) is written to.
        let there = std::fs::symlink_metadata(file).ok();
        if !force && there.is_some_and(|it| it.is_file() || it.is_symlink() || it.is_dir()) {
            let text = format!("Error: {} is there already: use --force", file.display());
            return Err(fail(Exit::Write, text));
        }
    }
    let dry = run.own.is("dry-run");
    for Written { from, file, bytes } in written {
        let Some(file) = file else {
            if !dry {
                run.write_out(&bytes)?;
            }
            continue;
        };
        if !dry {
            write(&file, &bytes)?;
        }
        let words = if dry { "would be exported" } else { "exported" };
        run.tell(&format!("{from}: {words} to {}", file.display()));
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let made = std::fs::create_dir_all(folder).and_then(|()| files::replace(file, bytes));
    made.map_err(|error| {
        let reason = crate::cli::command::io_reason(&error);
        Error::new(Exit::Write, format!("{}: {reason}", file.display()))
    })
}

fn one(
    run: &mut Run<'_, '_>,
    path: &str,
    name: Option<String>,
    output: Option<String>,
) -> Result<Written> {
    let overriding = Some(run.own.text("filename-override").to_owned());
    let overriding = overriding.filter(|name| !name.is_empty());
    let file = output.or_else(|| name.clone());
    let Some(decides) = overriding.or(name).or_else(|| file.clone()) else {
        let text = "Error: name a file, or its name by --filename-override: it says which keys and which \
                    format";
        return Err(Error::new(Exit::Conflict, text));
    };
    let decides = files::absolute(&decides)?;
    let store = run.output_store(&decides)?;
    let mut room = Room::connect(run.world)?;
    let target = room.target(path)?;
    let values = room.read(&target)?;
    let bytes = encrypted(run, &decides, store, values)?;
    let file = file.map(|file| files::absolute(&file)).transpose()?;
    Ok(Written { from: target.whole(), file, bytes })
}

/// All secrets of a folder: each is a file of its name.
fn folder_of(run: &mut Run<'_, '_>, path: &str, folder: &Path) -> Result<Vec<Written>> {
    let end = match run.own.text("output-type") {
        "" | "yaml" => ".yaml",
        "json" => ".json",
        "dotenv" => ".env",
        "ini" => ".ini",
        _ => "",
    };
    let mut room = Room::connect(run.world)?;
    let from = room.folder(path)?;
    let mut all = Vec::new();
    for name in room.names(&from)? {
        let target = room.target(&format!("{}/{name}", path.trim_end_matches('/')))?;
        let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || name.contains('\0') || name.split('/').any(str::is_empty) {
            return Err(Error::general(format!("{}: the name can be no file's", target.whole())));
        }
        let file = folder.join(format!("{name}{end}"));
        let store = run.output_store(&file)?;
        let values = room.read(&target)?;
        let bytes =
            encrypted(run, &file, store, values).map_err(|error| error.within(&target.whole()))?;
        all.push(Written { from: target.whole(), file: Some(file), bytes });
    }
    check_places(&all)?;
    Ok(all)
}

/// Refuses files of which one would stand where another is, or where another's folder is.
fn check_places(all: &[Written]) -> Result<()> {
    let mut places: HashMap<PathBuf, &str> = HashMap::new();
    for Written { from, file, .. } in all {
        // Whoever looks up a path passes over its `.`.
        let place = file.iter().flat_map(|file| file.components()).collect();
        if let Some(other) = places.insert(place, from) {
            return Err(Error::general(format!("{other} and {from} would be the same file")));
        }
    }
    for (place, from) in &places {
        if let Some(other) = place.ancestors().skip(1).find_map(|folder| places.get(folder)) {
            return Err(Error::general(format!(
                "{other} would be a file where {from} needs a folder: use another --output-type"
            )));
        }
    }
    Ok(())
}

/// Values as an encrypted file that is called so.
fn encrypted(
    run: &mut Run<'_, '_>,
    decides: &Path,
    store: Store,
    values: JsonMap,
) -> Result<Vec<u8>> {
    let metadata = run.new_metadata(decides, store, None)?;
    let branches = vec![document(store, values)?];
    check_plain(store, &branches)?;
    let mut tree = Tree { branches, metadata };
    let keys = run.keys()?;
    let key = new_data_key(&mut tree, &keys)?;
    seal(&mut tree, &key, &keys, &mut Nonces::default())?;
    for branch in &tree.branches {
        check_sealed(branch, &mut Vec::new())?;
    }
    marshal(store, &mut tree)
}

/// Refuses values that the rule for the file would leave readable: what is meant for manifests, of which only
/// some keys are secret, is not meant for a secret. What is empty has nothing to tell.
fn check_sealed(branch: &Branch, path: &mut Vec<String>) -> Result<()> {
    for (key, value) in branch.entries() {
        path.push(key.to_owned());
        check_value(value, path)?;
        path.pop();
    }
    Ok(())
}

fn check_value(value: &Value, path: &mut Vec<String>) -> Result<()> {
    let sealed = match value {
        Value::Map(branch) => return check_sealed(branch, path),
        Value::List(list) => return list.iter().try_for_each(|value| check_value(value, path)),
        Value::Null => true,
        Value::Text(text) => text.is_empty() || cipher::is_encrypted(text),
        Value::Bytes(bytes) => bytes.is_empty(),
        _ => false,
    };
    match sealed {
        true => Ok(()),
        false => Err(Error::general(format!(
            "the rule for this file would leave {} readable: it encrypts some keys only; add a rule for the \
             file to .sops.yaml that encrypts all",
            path.join(".")
        ))),
    }
}

fn document(store: Store, values: JsonMap) -> Result<Branch> {
    let branch = branch(values)?;
    let refused = |text: String| Error::new(Exit::Emit, text);
    match store.format {
        Format::Yaml | Format::Json => return Ok(branch),
        Format::Binary => {
            let [strongroom_sops::Item::Entry(key, Value::Text(_))] = branch.0.as_slice() else {
                return Err(refused(NOT_BINARY.into()));
            };
            return if key == BINARY_KEY { Ok(branch) } else { Err(refused(NOT_BINARY.into())) };
        }
        Format::Dotenv | Format::Ini => {}
    }
    let branch = if store.format == Format::Ini { in_sections(branch) } else { branch };
    // Neither format can say all keys and values, and neither says so itself.
    let text = Zeroizing::new(store.emit_plain(std::slice::from_ref(&branch))?);
    let again = store.load_plain(&text)?;
    match again.first().is_some_and(|again| same(again, &branch)) {
        true => Ok(branch),
        false => Err(refused(format!(
            "a key or value of the secret cannot be said in the format {}: use --output-type",
            store.format.name()
        ))),
    }
}

const NOT_BINARY: &str = "a binary file has one text, under the key \"data\": name the file .yaml, .json, \
                          .env or .ini, or use --output-type";

/// Do two documents say the same, where numbers are texts and an empty section is none?
fn same(one: &Branch, other: &Branch) -> bool {
    // What is nothing would become a text.
    let is_said = |value: &Value| !value.is_complex() && *value != Value::Null;
    let entries = |branch: &Branch| -> Vec<(String, Option<Zeroizing<Vec<u8>>>)> {
        let mut flat = Vec::new();
        for (key, value) in branch.entries() {
            match value {
                Value::Map(inner) => flat.extend(inner.entries().map(|(name, value)| {
                    (format!("{key}\0{name}"), is_said(value).then(|| shown(value)))
                })),
                value => flat.push((key.to_owned(), is_said(value).then(|| shown(value)))),
            }
        }
        flat
    };
    entries(one) == entries(other)
}

/// Values that are in no section, in one.
fn in_sections(branch: Branch) -> Branch {
    let (mut loose, mut sections) = (Branch::default(), Branch::default());
    for item in branch.0 {
        match item {
            strongroom_sops::Item::Entry(name, Value::Map(inner)) if name == SECTION => {
                loose.0.extend(inner.0);
            }
            item @ strongroom_sops::Item::Entry(_, Value::Map(_)) => sections.0.push(item),
            item => loose.0.push(item),
        }
    }
    let mut all = Branch::default();
    all.push(SECTION, Value::Map(loose));
    all.0.extend(sections.0);
    all
}

fn branch(values: JsonMap) -> Result<Branch> {
    let mut branch = Branch::default();
    for (key, value) in values {
        let value = value_of(value)?;
        branch.push(strongroom_sops::octets::guarded(key), value);
    }
    Ok(branch)
}

/// Are a number's digits those of the floating-point number next to it?
fn keeps(written: &str, float: f64) -> bool {
    let digits = |text: &str| -> String {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let digits = mantissa.chars().filter(char::is_ascii_digit).collect::<String>();
        digits.trim_matches('0').to_owned()
    };
    written.contains(['.', 'e', 'E']) && digits(written) == digits(&format!("{float:e}"))
}

fn value_of(json: Json) -> Result<Value> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(bool),
        Json::String(text) => Value::text(text),
        Json::Array(list) => Value::List(list.into_iter().map(value_of).collect::<Result<_>>()?),
        Json::Object(map) => Value::Map(branch(map)?),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) if keeps(&number.to_string(), float) => Value::Float(float),
            _ => {
                let text =
                    "a number of the secret has more digits than a file keeps: make it a text";
                return Err(Error::general(text));
            }
        },
    })
}
