//! `edit`: decrypts into a private folder, runs the editor, and encrypts what became of it.

use std::path::Path;

use strongroom_sops::cipher::Nonces;
use strongroom_sops::config::CreationRule;
use strongroom_sops::keys::{DataKey, Keys, Told};
use strongroom_sops::metadata::VERSION;
use strongroom_sops::metadata::version::is_newer;
use strongroom_sops::stores::Store;
use strongroom_sops::{Branch, Error, Exit, Metadata, Result, Tree};
use zeroize::Zeroizing;

use super::crypt::{Target, check_plain, marshal, new_data_key, seal};
use super::private::Folder;
use super::{Outcome, Run, fail, files};
use crate::cli::context::Program;

/// What is looked for where nobody names an editor.
const EDITORS: [&str; 3] = ["vim", "nano", "vi"];
const AGAIN: &str = "Press enter to return to the editor, or Ctrl+C to exit.";

/// `edit`
pub fn edit(run: &mut Run<'_, '_>) -> Outcome {
    if run.args.is_empty() {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    }
    run.warn_of_more();
    let target = run.target()?;
    edit_target(run, &target, None)
}

/// Edits a file, or a new one from an example.
pub fn edit_target(run: &mut Run<'_, '_>, target: &Target, rule: Option<CreationRule>) -> Outcome {
    let Some(file) = target.file.clone() else { return Ok(()) };
    let mut nonces = Nonces::default();
    let (mut tree, key, keys) = if file.exists() {
        let keys = run.keys()?;
        let (tree, key) = run.open(Some(&file), target.input, &keys, Some(&mut nonces))?;
        (tree, key, keys)
    } else {
        let metadata = run.new_metadata(&target.decides, target.input, rule)?;
        let branches = target.input.load_plain(&target.input.example()?)?;
        let mut tree = Tree { branches, metadata };
        let keys = run.keys()?;
        let key = new_data_key(&mut tree, &keys).map_err(|error| {
            let words = "Error encrypting the data key with one or more master keys";
            let reasons = error.text.trim_start_matches("Could not generate data key");
            Error::new(Exit::DataKey, format!("{words}{reasons}"))
        })?;
        (tree, key, keys)
    };
    let edited = in_editor(run, target, &file, &mut tree)?;
    let output = encrypted(target.output, edited, &key, &keys, &mut nonces)?;
    run.write_in_place(&file, &output)
}

fn encrypted(
    store: Store,
    mut tree: Tree,
    key: &DataKey,
    keys: &Keys,
    nonces: &mut Nonces,
) -> Result<Vec<u8>> {
    seal(&mut tree, key, keys, nonces)?;
    marshal(store, &mut tree)
}

/// Shows the document in the editor until it is one again.
fn in_editor(run: &mut Run<'_, '_>, target: &Target, file: &Path, tree: &mut Tree) -> Result<Tree> {
    let with_metadata = run.own.is("show-master-keys");
    let shown = if with_metadata {
        target.output.emit_encrypted(tree)
    } else {
        target.output.emit_plain(&tree.branches)
    };
    let shown = shown.map(Zeroizing::new);
    let shown =
        shown.map_err(|error| error.within("Could not marshal tree").exiting(Exit::Emit))?;
    let unwritten = |error: std::io::Error| {
        Error::new(Exit::Write, format!("Could not create temporary file: {error}"))
    };
    let folder = Folder::make(run.world.env, "").map_err(unwritten)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let path = folder.write(&name, &shown).map_err(unwritten)?;
    let mut refused = None;
    loop {
        run_editor(run, &path)?;
        let edited = files::read(&path).map_err(|error| {
            Error::new(Exit::Read, format!("Could not read edited file: {error}"))
        })?;
        if *edited == *shown {
            return Err(Error::new(Exit::Unchanged, "File has not changed, exiting."));
        }
        match read_back(target, &edited, with_metadata, &tree.metadata) {
            Ok(tree) => return Ok(tree),
            Err(Refused::For(error)) => return Err(error),
            Err(Refused::Again(words, why)) => {
                let text = format!("{words} {AGAIN}");
                let told = Told::new("CMD", "error", &text);
                run.log(&if why.is_empty() { told } else { told.with("error", &why) });
                // Where nobody is there to press it, and the editor changes nothing more, the original goes
                // round for ever.
                if !wait_for_enter(run) && refused.as_ref() == Some(&edited) {
                    return Err(Error::general(format!("{words} {why}").trim_end().to_owned()));
                }
                refused = Some(edited);
            }
        }
    }
}

/// Why what the editor left cannot be encrypted.
enum Refused {
    /// Whoever edits can mend it: what is wrong, and why.
    Again(&'static str, String),
    /// Nobody can.
    For(Error),
}

/// What the editor left, if it can be encrypted.
fn read_back(
    target: &Target,
    edited: &[u8],
    with_metadata: bool,
    before: &Metadata,
) -> std::result::Result<Tree, Refused> {
    let again = |words, error: Error| Refused::Again(words, error.text);
    let mut tree = if with_metadata {
        let read = target.input.load_encrypted(edited);
        read.map_err(|error| again("SOPS metadata is invalid.", error))?
    } else {
        let branches: Result<Vec<Branch>> = target.input.load_plain(edited);
        let branches = branches.map_err(|error| {
            again("Could not load tree, probably due to invalid syntax.", error)
        })?;
        check_plain(target.output, &branches)
            .map_err(|error| again("Tree not valid for encryption.", error))?;
        Tree { branches, metadata: before.clone() }
    };
    if is_older(&tree.metadata.version).map_err(Refused::For)? {
        tree.metadata.version = VERSION.into();
    }
    if tree.metadata.keys().next().is_none() {
        let words = "No master keys were provided, so sops can't encrypt the file.";
        return Err(Refused::Again(words, String::new()));
    }
    Ok(tree)
}

/// Was the file written by a version before the one that is followed?
fn is_older(version: &str) -> Result<bool> {
    is_newer(VERSION, version).map_err(|why| {
        let text = format!(
            "Failed to compare document version {version:?} with program version {VERSION:?}: {why}"
        );
        Error::new(Exit::Version, text)
    })
}

/// Waits for a line; was there one?
fn wait_for_enter(run: &mut Run<'_, '_>) -> bool {
    let mut byte = [0];
    while run.world.stdin.read(&mut byte).is_ok_and(|read| read == 1) {
        if byte == *b"\n" {
            return true;
        }
    }
    false
}

fn run_editor(run: &mut Run<'_, '_>, path: &Path) -> Result<()> {
    let failed = |text: String| Error::new(Exit::Editor, format!("Could not run editor: {text}"));
    let mut words = editor(run.world.env).map_err(failed)?;
    words.push(path.to_string_lossy().into_owned());
    let program = words.remove(0);
    let ended = (run.world.run)(Program { path: program, args: words, ..Program::default() });
    match ended {
        Ok(0) => Ok(()),
        Ok(code) => Err(failed(format!("exit status {code}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The editor's words.
fn editor(env: &dyn Fn(&str) -> Option<String>) -> std::result::Result<Vec<String>, String> {
    for variable in ["SOPS_EDITOR", "EDITOR"] {
        let Some(text) = env(variable).filter(|text| !text.is_empty()) else { continue };
        let words = shlex::split(&text).filter(|words| !words.is_empty());
        return words.ok_or_else(|| format!("invalid ${variable}: {text}"));
    }
    let path = env("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    match EDITORS.into_iter().find(|name| there(name)) {
        Some(name) => Ok(vec![name.to_owned()]),
        None => Err(format!(
            "no editor available: sops attempts to use the editor defined in the SOPS_EDITOR or \
             EDITOR environment variables, and if that's not set defaults to any of {}, but none of \
             them could be found",
            EDITORS.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared() {
        assert!(is_older("3.7.3").unwrap() && !is_older(VERSION).unwrap());
        assert_eq!(is_older("3.1").unwrap_err().exit, Exit::Version);
    }

    #[test]
    fn editors_are_found() {
        let of = |env: &[(&str, &str)]| {
            let env = |name: &str| {
                env.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
            };
            editor(&env)
        };
        assert_eq!(of(&[("EDITOR", "code --wait")]).unwrap(), ["code", "--wait"]);
        assert_eq!(of(&[("SOPS_EDITOR", "'a b' c"), ("EDITOR", "x")]).unwrap(), ["a b", "c"]);
        assert!(of(&[("EDITOR", "'open")]).is_err());
        assert!(of(&[("PATH", "/nowhere")]).is_err());
    }
}
