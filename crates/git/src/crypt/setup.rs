//! A working copy with the key and the filters, or without.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{FILTER, HEADER_BYTES, Key, ORIGINAL, is_encrypted};
use crate::{Error, Repository, Result};

/// Where the key lies in a working copy that is unlocked.
fn key_path(repository: &Repository) -> PathBuf {
    repository.git_folder().join(FILTER).join("key")
}

/// The key of a working copy.
pub fn key(repository: &Repository) -> Result<Key> {
    let path = key_path(repository);
    match fs::read(&path) {
        Ok(file) => Key::from_file(&zeroize::Zeroizing::new(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
            "this repository is locked, or not set up (see git-crypt unlock, git-crypt init)",
        )),
        Err(error) => Err(Error::file(&path, &error)),
    }
}

/// Is the working copy unlocked?
pub fn is_unlocked(repository: &Repository) -> bool {
    key_path(repository).exists()
}

/// Sets a repository up with a new key, which the caller made of random bytes.
pub fn init(repository: &Repository, key: &Key, program: &Path) -> Result<()> {
    if is_unlocked(repository) {
        return Err(Error::new("this repository is set up already"));
    }
    if !super::recipients::list(repository)?.is_empty() {
        return Err(Error::new("this repository has a key for recipients; unlock it instead"));
    }
    install(repository, key, program)
}

/// Unlocks a working copy; the number of files that were decrypted.
pub fn unlock(repository: &Repository, key: &Key, program: &Path) -> Result<usize> {
    clean(repository)?;
    if is_unlocked(repository) && self::key(repository)?.id() != key.id() {
        return Err(Error::new("this repository is unlocked with another key; lock it first"));
    }
    let was_unlocked = is_unlocked(repository);
    install(repository, key, program)?;
    let files = encrypted_files(repository)?;
    repository.check_out(&files).inspect_err(|_| {
        // As it was: a key that decrypts nothing here must not encrypt.
        if !was_unlocked {
            remove_key(repository);
            let _ = pass_through(repository).and_then(|()| repository.check_out(&files));
        }
    })?;
    Ok(files.len())
}

/// Locks a working copy; the number of files that are encrypted in it now. The key goes last: where
/// something fails before, it can be done again.
pub fn lock(repository: &Repository, force: bool) -> Result<usize> {
    key(repository)?;
    let files = encrypted_files(repository)?;
    if !force {
        settle(repository, &files)?;
        clean(repository)?;
    }
    pass_through(repository)?;
    repository.check_out(&files)?;
    if let Some(plain) = still_plain(repository, &files)? {
        return Err(Error::new(format!(
            "{} is still plain in the working tree, so the key stays; lock it again",
            plain.to_string_lossy()
        )));
    }
    remove_key(repository);
    match is_unlocked(repository) {
        true => Err(Error::new(format!(
            "the key could not be removed: {}",
            key_path(repository).display()
        ))),
        false => Ok(files.len()),
    }
}

/// Tells Git of files that are in the working tree as they are in the repository. A lock that ended half
/// way leaves such files, and Git takes them for changed: by their size, without a look into them.
fn settle(repository: &Repository, files: &[OsString]) -> Result<()> {
    let mut same = Vec::new();
    for (name, blob) in repository.tracked()? {
        let path = repository.top().join(&name);
        if !files.contains(&name) || !begins_encrypted(&path) {
            continue;
        }
        let words = [OsStr::new("hash-object"), OsStr::new("--no-filters"), path.as_os_str()];
        let found = repository.git(&words)?;
        if found.trim_ascii() == blob.as_bytes() {
            same.extend_from_slice(name.as_bytes());
            same.push(0);
        }
    }
    if same.is_empty() {
        return Ok(());
    }
    repository.git_with(&["update-index", "-z", "--stdin"], Some(&same)).map(drop)
}

fn begins_encrypted(path: &Path) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|it| it.is_file()) {
        return false;
    }
    let mut begin = Vec::new();
    let file = fs::File::open(path);
    let read = file.and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut begin));
    read.is_ok() && is_encrypted(&begin)
}

/// A file whose blob is encrypted and that is plain in the working tree.
fn still_plain(repository: &Repository, files: &[OsString]) -> Result<Option<OsString>> {
    let blobs: HashMap<OsString, String> = repository.tracked()?.into_iter().collect();
    let names: Vec<&OsString> = files.iter().filter(|name| blobs.contains_key(*name)).collect();
    let asked: Vec<&str> =
        names.iter().filter_map(|name| blobs.get(*name)).map(String::as_str).collect();
    let begins = repository.blobs_begin(&asked, HEADER_BYTES)?;
    for (name, begin) in names.into_iter().zip(begins) {
        let path = repository.top().join(name);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|it| it.is_file());
        if !is_encrypted(&begin) || !is_file {
            continue;
        }
        let mut found = Vec::new();
        let read = fs::File::open(&path)
            .and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut found));
        read.map_err(|error| Error::file(&path, &error))?;
        if found != begin {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// May a content without a key be committed under a name as it is? Only what is encrypted, or is there
/// just so.
pub fn may_pass(repository: &Repository, name: &str, content: &[u8]) -> bool {
    content.is_empty()
        || is_encrypted(content)
        || repository
            .git(&["cat-file", "blob", &format!(":0:{name}")])
            .is_ok_and(|blob| blob == content)
}

/// What is not committed would be lost, so it must not be there.
fn clean(repository: &Repository) -> Result<()> {
    match repository.changes()?.lines().next() {
        None => Ok(()),
        Some(first) => Err(Error::new(format!(
            "the working tree has changes that are not committed ({}); commit or stash them first",
            first.trim()
        ))),
    }
}

/// Tracked files that the attributes want encrypted.
fn encrypted_files(repository: &Repository) -> Result<Vec<OsString>> {
    let files: Vec<OsString> = repository.tracked()?.into_iter().map(|(name, _)| name).collect();
    let wanted = repository.with_attribute(&files, "filter", FILTER)?;
    let both = files.into_iter().zip(wanted);
    Ok(both.filter_map(|(name, wanted)| wanted.then_some(name)).collect())
}

fn install(repository: &Repository, key: &Key, program: &Path) -> Result<()> {
    let path = key_path(repository);
    let failed = |error: std::io::Error| Error::file(&path, &error);
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut file = fs::File::options();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&path);
    let file = file.as_mut().map_err(|error| Error::file(&path, error))?;
    file.write_all(key.to_file().expose_secret().as_bytes()).map_err(failed)?;
    let program = quoted(&program.to_string_lossy());
    let setting =
        |name: &str, words: &str| repository.set(name, &format!("{program} git-crypt {words}"));
    setting(&format!("filter.{FILTER}.clean"), "clean -- %f")?;
    setting(&format!("filter.{FILTER}.smudge"), "smudge -- %f")?;
    let merge = format!("merge.{FILTER}");
    repository.set(&format!("{merge}.name"), "merges lines of encrypted texts")?;
    repository
        .set(&format!("{merge}.driver"), &format!("{program} git-crypt merge -- %O %A %B %P"))?;
    // Without this, Git takes a file as it is when the filter fails.
    repository.set(&format!("filter.{FILTER}.required"), "true")?;
    if !has_original(repository) {
        // The original's name in the attributes would mean no filter at all, and plain commits. So Git stops.
        // What is there already comes out as it is.
        repository.set(&format!("filter.{ORIGINAL}.smudge"), "cat")?;
        repository.set(&format!("filter.{ORIGINAL}.required"), "true")?;
    }
    setting(&format!("diff.{FILTER}.textconv"), "diff --")
}

/// Is the original git-crypt at work in this repository, too?
pub(super) fn has_original(repository: &Repository) -> bool {
    repository.git(&["config", "--get", &format!("filter.{ORIGINAL}.clean")]).is_ok()
}

fn remove_key(repository: &Repository) {
    // Whether it is gone is looked at afterwards.
    let _ = fs::remove_dir_all(repository.git_folder().join(FILTER));
}

/// Gives out the files as they are in the repository. What is added is still filtered: without a key,
/// `clean` lets only encrypted contents pass, so that nothing new is committed plain.
fn pass_through(repository: &Repository) -> Result<()> {
    repository.set(&format!("filter.{FILTER}.smudge"), "cat")?;
    repository.set(&format!("filter.{FILTER}.required"), "true")?;
    repository.unset_section(&format!("diff.{FILTER}"));
    Ok(())
}

/// A word for the shell that Git runs filters with.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_path_is_one_word() {
        assert_eq!(quoted("/opt/strong room"), "'/opt/strong room'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
