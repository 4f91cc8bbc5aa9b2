//! What of a repository is encrypted, and what should be and is not.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::{FILTER, HEADER_BYTES, ORIGINAL, id_of, is_encrypted, setup};
use crate::{Repository, Result};

/// A file of the working tree.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Its path from the top of the tree.
    pub name: OsString,
    /// Do the attributes want it encrypted?
    pub wanted: bool,
    /// Is what the next commit would have of it plain, although it should not be?
    pub exposed: bool,
    /// Do the attributes name the original's filter, which nobody set up here? Then it is not encrypted.
    pub misnamed: bool,
}

/// The ids of the keys that the files of the index are encrypted with.
pub(super) fn key_ids(repository: &Repository) -> Result<BTreeSet<String>> {
    let tracked = repository.tracked()?;
    let names: Vec<OsString> = tracked.iter().map(|(name, _)| name.clone()).collect();
    let wanted = repository.with_attribute(&names, "filter", FILTER)?;
    let blobs = tracked.iter().zip(wanted);
    let blobs: Vec<&str> =
        blobs.filter_map(|((_, blob), wanted)| wanted.then_some(blob.as_str())).collect();
    let begins = repository.blobs_begin(&blobs, HEADER_BYTES)?;
    Ok(begins.iter().filter_map(|begin| id_of(begin)).collect())
}

/// All files, tracked and not.
pub fn files(repository: &Repository) -> Result<Vec<File>> {
    let tracked = repository.tracked()?;
    let untracked = repository.untracked()?;
    let names: Vec<OsString> =
        tracked.iter().map(|(name, _)| name.clone()).chain(untracked).collect();
    let wanted = repository.with_attribute(&names, "filter", FILTER)?;
    let looked_at: Vec<&str> = tracked
        .iter()
        .zip(&wanted)
        .filter_map(|((_, blob), wanted)| wanted.then_some(blob.as_str()))
        .collect();
    let mut begins = repository.blobs_begin(&looked_at, HEADER_BYTES)?.into_iter();
    let misnamed = match setup::has_original(repository) {
        true => vec![false; names.len()],
        false => repository.with_attribute(&names, "filter", ORIGINAL)?,
    };
    let mut misnamed = misnamed.into_iter();
    let mut files = Vec::new();
    for (at, (name, wanted)) in names.into_iter().zip(wanted).enumerate() {
        let exposed = wanted
            && at < tracked.len()
            && begins.next().is_some_and(|begin| !begin.is_empty() && !is_encrypted(&begin));
        let misnamed = misnamed.next().unwrap_or_default();
        files.push(File { name, wanted, exposed, misnamed });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Encrypts what is exposed: the files are added again, for the next commit. What stands in older
/// commits stays readable there.
pub fn fix(repository: &Repository, files: &[File]) -> Result<usize> {
    let mut count = 0;
    for file in files.iter().filter(|file| file.exposed) {
        let mut words: Vec<OsString> = ["rm", "--cached", "--quiet", "--"].map(Into::into).into();
        words.push(file.name.clone());
        // Git would keep the blob of a file that did not change.
        repository.git(&words)?;
        let mut words: Vec<OsString> = ["add", "--"].map(Into::into).into();
        words.push(file.name.clone());
        repository.git(&words)?;
        count += 1;
    }
    Ok(count)
}
