//! What Git calls by itself: filters, the text of a file, and a merge.
//!
//! Nothing is encrypted to nothing: Git takes an empty file for one everywhere, without a filter.

use std::io::Read;
use std::path::Path;

use strongroom_base::SecretBytes;
use strongroom_git::crypt::{self, FILE_BYTES_MAX, Key, setup};

use super::{fail, repository};
use crate::cli::command::{Fail, Outcome, io_reason};
use crate::cli::context::Context;
use crate::cli::sops::private::Folder;

/// What Git hands to a filter.
fn content(cx: &mut Context<'_, '_>) -> Result<SecretBytes, Fail> {
    let mut bytes = Vec::new();
    let read = cx.stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    let bytes = SecretBytes::new(bytes);
    read.map_err(|error| fail(io_reason(&error)))?;
    match bytes.expose_secret().len() as u64 > FILE_BYTES_MAX {
        true => Err(fail(format!("{}: the file is larger than 2 GiB", cx.arg(0)))),
        false => Ok(bytes),
    }
}

/// `git-crypt clean`
pub fn clean(cx: &mut Context<'_, '_>) -> Outcome {
    let repository = repository()?;
    let plain = content(cx)?;
    if plain.expose_secret().is_empty() {
        return Ok(());
    }
    if !setup::is_unlocked(&repository)
        && setup::may_pass(&repository, cx.arg(0), plain.expose_secret())
    {
        // What a locked working copy has already.
        cx.ui.raw(plain.expose_secret());
        return Ok(());
    }
    let key = setup::key(&repository).map_err(fail)?;
    // One that was copied from a locked working copy is not encrypted once more.
    if crypt::is_encrypted(plain.expose_secret()) && key.decrypt(plain.expose_secret()).is_ok() {
        cx.ui.note(&format!("git-crypt: warning: {} is encrypted already", cx.arg(0)));
        cx.ui.raw(plain.expose_secret());
        return Ok(());
    }
    let blob = key.encrypt(plain.expose_secret()).map_err(fail)?;
    cx.ui.raw(&blob);
    Ok(())
}

/// `git-crypt smudge`
pub fn smudge(cx: &mut Context<'_, '_>) -> Outcome {
    let blob = content(cx)?;
    if blob.expose_secret().is_empty() {
        return Ok(());
    }
    if !crypt::is_encrypted(blob.expose_secret()) {
        cx.ui.note(&format!(
            "git-crypt: warning: {} is NOT encrypted in the repository (see git-crypt status)",
            cx.arg(0)
        ));
        cx.ui.raw(blob.expose_secret());
        return Ok(());
    }
    let key = setup::key(&repository()?).map_err(fail)?;
    let plain = key.decrypt(blob.expose_secret());
    let plain = plain.map_err(|error| fail(format!("{}: {error}", cx.arg(0))))?;
    cx.ui.raw(plain.expose_secret());
    Ok(())
}

/// `git-crypt diff`
pub fn diff(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let name = cx.arg(0).to_owned();
    let content =
        std::fs::read(&name).map_err(|error| fail(format!("{name}: {}", io_reason(&error))))?;
    let content = SecretBytes::new(content);
    if !crypt::is_encrypted(content.expose_secret()) {
        cx.ui.raw(content.expose_secret());
        return Ok(());
    }
    let key = setup::key(&repository()?).map_err(fail)?;
    let plain = key.decrypt(content.expose_secret());
    let plain = plain.map_err(|error| fail(format!("{name}: {error}")))?;
    cx.ui.raw(plain.expose_secret());
    Ok(())
}

/// A version of a file that Git wrote to a temporary one: nothing where there was none.
fn version(key: &Key, name: &str) -> Result<SecretBytes, Fail> {
    let content =
        std::fs::read(name).map_err(|error| fail(format!("{name}: {}", io_reason(&error))))?;
    match crypt::is_encrypted(&content) {
        true => key.decrypt(&content).map_err(fail),
        // Empty, or committed before it was to be encrypted.
        false => Ok(SecretBytes::new(content)),
    }
}

/// `git-crypt merge`
pub fn merge(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(4)?;
    let [base, ours, theirs, path] = [0, 1, 2, 3].map(|at| cx.arg(at).to_owned());
    let repository = repository()?;
    let key = setup::key(&repository).map_err(fail)?;
    let plain = [&base, &ours, &theirs].map(|name| version(&key, name));
    let folder = Folder::make(cx.world().env, ".strongroom-merge");
    let folder = folder.map_err(|error| fail(io_reason(&error)))?;
    let mut names = Vec::new();
    for (name, plain) in ["base", "ours", "theirs"].into_iter().zip(plain) {
        let written = folder.write(name, plain?.expose_secret());
        names.push(written.map_err(|error| fail(io_reason(&error)))?);
    }
    let [base_name, ours_name, theirs_name] = names.as_slice() else {
        return Err(fail("no files"));
    };
    let merged = strongroom_git::merge_file(ours_name, base_name, theirs_name);
    drop(folder);
    let (merged, conflicts) = merged.map_err(|error| fail(format!("{path}: {error}")))?;
    let blob = match merged.expose_secret().is_empty() {
        true => Vec::new(),
        false => key.encrypt(merged.expose_secret()).map_err(fail)?,
    };
    std::fs::write(Path::new(&ours), blob)
        .map_err(|error| fail(format!("{ours}: {}", io_reason(&error))))?;
    match conflicts {
        false => Ok(()),
        true => Err(Fail::quiet(1)),
    }
}
