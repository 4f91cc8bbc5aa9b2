//! `status`, `rotate-leaver`: who can open the encrypted files of a tree, who left, and what differs from
//! `.sops.yaml`. The original has neither.
//!
//! In a Git repository the files are those it tracks, and their history tells who left; elsewhere they
//! are all of the folder, as they are.

use std::path::{Path, PathBuf};

use strongroom_git::Repository;
use strongroom_sops::cipher::Nonces;
use strongroom_sops::config::{self, Config};
use strongroom_sops::metadata::KeyEntry;
use strongroom_sops::stores::Store;
use strongroom_sops::tenure::{self, Tenure};
use strongroom_sops::{Error, Exit, Result, Tree, update};

use super::crypt::{marshal, new_data_key, seal};
use super::publish::gather;
use super::{Outcome, Run, fail, files};

/// An encrypted file of a tree.
struct Found {
    path: PathBuf,
    /// From the top of the repository, or from the folder.
    name: String,
    store: Store,
    tree: Tree,
}

/// Where files are looked for.
struct Place {
    /// The repository; nothing outside of one.
    repository: Option<Repository>,
    /// The folder or file that was named.
    below: Option<PathBuf>,
    /// The folder in which it begins.
    folder: PathBuf,
}

fn place(run: &mut Run<'_, '_>, at: usize) -> Result<Place> {
    let below = run.args.get(at).map(|name| files::absolute(name)).transpose()?;
    let from = below.clone().map_or_else(|| files::absolute(""), Ok)?;
    let there = std::fs::metadata(&from).map_err(|error| {
        let reason = crate::cli::command::io_reason(&error);
        Error::new(Exit::NoFile, format!("Error: cannot look at {}: {reason}", from.display()))
    })?;
    let folder = if there.is_dir() { from.as_path() } else { from.parent().unwrap_or(&from) };
    let repository = Repository::of(folder).ok();
    if repository.is_none() {
        run.tell("This is no Git repository: files are as they are, and who left is not known.");
    }
    Ok(Place { repository, folder: folder.to_owned(), below })
}

/// The encrypted files of a place.
fn find(run: &mut Run<'_, '_>, place: &Place) -> Result<Vec<Found>> {
    let failed = |error: String| Error::general(error);
    let (top, names): (PathBuf, Vec<PathBuf>) = match &place.repository {
        Some(repository) => {
            let tracked = repository.tracked().map_err(|error| failed(error.to_string()))?;
            let names = tracked.into_iter().map(|(name, _)| repository.top().join(name));
            (repository.top().to_owned(), names.collect())
        }
        None => {
            let mut names = Vec::new();
            let from = place.below.as_deref().unwrap_or(&place.folder);
            gather(from, &mut names, 0).map_err(|error| failed(error.to_string()))?;
            (place.folder.clone(), names)
        }
    };
    // Git knows the tree by its real path.
    let below = place.below.as_ref().map(|below| below.canonicalize().unwrap_or(below.clone()));
    let mut all = Vec::new();
    for path in names {
        let is_below = |below: &PathBuf| path.starts_with(below);
        if !below.iter().chain(&place.below).any(is_below) && below.is_some() {
            continue;
        }
        let Ok(bytes) = files::read(&path) else { continue };
        let store = run.input_store(&path)?;
        // What does not parse is no encrypted file.
        if let Ok(Some(tree)) = store.load_if_encrypted(&bytes)
            && !tree.metadata.mac.is_empty()
        {
            let name = path.strip_prefix(&top).unwrap_or(&path).to_string_lossy().into_owned();
            all.push(Found { path, name, store, tree });
        }
    }
    Ok(all)
}

fn keys_of(tree: &Tree) -> impl Iterator<Item = &KeyEntry> {
    tree.metadata.key_groups.iter().flat_map(|group| &group.0)
}

/// Who left a file since its data key was made: read from its history.
fn tenure(place: &Place, found: &Found) -> Result<Tenure> {
    let failed = |error: strongroom_git::Error| Error::general(error.to_string());
    let mut tenure = Tenure::of(&found.tree);
    let Some(repository) = &place.repository else { return Ok(tenure) };
    let commits = repository
        .git(&["log", "--format=%H", &format!("-{}", tenure::COMMITS_MAX), "--", &found.name])
        .map_err(failed)?;
    for commit in String::from_utf8_lossy(&commits).lines() {
        let object = format!("{commit}:{}", found.name);
        // A commit that removed it has none.
        let Ok(bytes) = repository.git(&["cat-file", "blob", &object]) else { continue };
        if let Ok(Some(old)) = found.store.load_if_encrypted(&bytes)
            && !tenure.add(&old)
        {
            break;
        }
    }
    Ok(tenure)
}

/// The configuration: as everywhere, or else that of the folder that is looked at.
fn configuration(run: &mut Run<'_, '_>, place: &Place) -> Result<Option<(PathBuf, Config)>> {
    let path = run.config_path()?.or_else(|| config::find(&place.folder).path);
    path.map(|path| run.config_at(&path).map(|config| (path, config))).transpose()
}

/// What differs between a file's keys and those of its rule, a line each; or what is wrong with the rule.
fn stale(config: Option<&(PathBuf, Config)>, found: &Found) -> Result<Vec<String>> {
    let Some((path, config)) = config else { return Ok(vec![]) };
    let groups = match config.rule_of(path, &found.path)? {
        // A file that no rule is for may have what keys it likes.
        None => return Ok(vec![]),
        Some(rule) => rule.keys.records(&[])?,
    };
    let mut lines = Vec::new();
    for difference in update::differences(&found.tree.metadata.key_groups, &groups) {
        let (added, removed) = (&difference.added, &difference.removed);
        // A rule may leave the version of a key of Azure open.
        let is_version = |whole: &str, open: &str| {
            whole.strip_prefix(open.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        for key in added.iter().filter(|key| !removed.iter().any(|it| is_version(it, key))) {
            lines.push(format!("  + {key} cannot open it, and .sops.yaml says that it should\n"));
        }
        for key in removed.iter().filter(|key| !added.iter().any(|it| is_version(key, it))) {
            lines.push(format!("  - {key} can open it, and .sops.yaml does not name it\n"));
        }
    }
    Ok(lines)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 file has {what}") } else { format!("{count} files have {what}") }
}

/// `status [DIR]`
pub fn status(run: &mut Run<'_, '_>) -> Outcome {
    let place = place(run, 0)?;
    let config = configuration(run, &place)?;
    let all = find(run, &place)?;
    let mut text = String::new();
    let (mut with_leavers, mut with_stale, mut without_rule) = (0, 0, 0);
    for found in &all {
        text.push_str(&format!("{}\n", found.name));
        for key in keys_of(&found.tree) {
            text.push_str(&format!("    {}\n", key.shown()));
        }
        match stale(config.as_ref(), found) {
            Ok(stale) => {
                with_stale += usize::from(!stale.is_empty());
                stale.iter().for_each(|line| text.push_str(line));
            }
            Err(error) => {
                without_rule += 1;
                let why = error.text;
                text.push_str(&format!("  ? what .sops.yaml says of it is wrong: {why}\n"));
            }
        }
        let tenure = tenure(&place, found)?;
        for who in tenure.unknown() {
            text.push_str(&format!(
                "  ? {who} could open an older version; whether the data key is another since is \
                 unknown\n"
            ));
        }
        let left = tenure.left();
        with_leavers += usize::from(!left.is_empty());
        for who in left {
            text.push_str(&format!("  ! {who} left, and the data key is still theirs\n"));
        }
    }
    run.write_out(text.as_bytes())?;
    let mut told = Vec::new();
    if with_leavers > 0 {
        let what = "a data key of somebody who left (sops rotate-leaver)";
        told.push(counted(with_leavers, what));
    }
    if with_stale > 0 {
        told.push(counted(with_stale, "other keys than .sops.yaml says (sops updatekeys)"));
    }
    if without_rule > 0 {
        told.push(counted(without_rule, "a rule in .sops.yaml that makes no sense"));
    }
    if told.is_empty() { Ok(()) } else { Err(fail(Exit::General, told.join("\n"))) }
}

/// `rotate-leaver RECIPIENT [DIR]`: takes a key from all files, with a new data key for each that it
/// knew.
pub fn rotate_leaver(run: &mut Run<'_, '_>) -> Outcome {
    let Some(leaver) = run.args.first().cloned() else {
        return Err(fail(Exit::General, "Error: no recipient specified"));
    };
    let place = place(run, 1)?;
    let keys = run.keys()?;
    let mut count = 0;
    for mut found in find(run, &place)? {
        let has = keys_of(&found.tree).any(|key| key.shown() == leaver);
        if !has && !tenure(&place, &found)?.left().contains(&leaver) {
            continue;
        }
        let groups = &mut found.tree.metadata.key_groups;
        for group in groups.iter_mut() {
            group.0.retain(|key| key.shown() != leaver);
        }
        if groups.iter().any(|group| group.0.is_empty()) {
            let text = format!("{}: nobody else could open it; add another key first", found.name);
            return Err(fail(Exit::NoKey, text));
        }
        let groups = groups.clone();
        let mut nonces = Nonces::default();
        let (mut tree, _) = run.open(Some(&found.path), found.store, &keys, Some(&mut nonces))?;
        tree.metadata.key_groups = groups;
        let key = new_data_key(&mut tree, &keys)?;
        // The nonces of before, as a rotation has them: by those `status` sees that the key is new.
        seal(&mut tree, &key, &keys, &mut nonces)?;
        write(&found.path, &marshal(found.store, &mut tree)?)?;
        run.write_out(format!("{}: new data key\n", found.name).as_bytes())?;
        count += 1;
    }
    if count == 0 {
        let text = format!("No file has the key {leaver}, or had it with today's data key.");
        return Err(fail(Exit::General, text));
    }
    run.tell(&format!(
        "What these files hold was known to {leaver}: change it, and take the key out of .sops.yaml."
    ));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, bytes).map_err(|error| {
        let reason = crate::cli::command::io_reason(&error);
        Error::new(Exit::Write, format!("{}: {reason}", path.display()))
    })
}
