//! The names of secrets: folders and leaves as small records, each below its folder's id, so that
//! moving a folder changes none of what is in it.
//!
//! A folder's entry is named with its slash (`team/`), a secret's without (`db`): both may have one
//! name, and the sorted names of a folder are the very list that KV answers.
//!
//! Invariants:
//! * an id has one entry, and a folder's [`Place`] says which;
//! * a folder has at least one entry: the last one takes it along.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result};
use strongroom_kernel::record::{Id, ReadView, Record, WriteView};

/// The id of a mount's top folder.
pub const TOP: Id = 0;

/// A name in a folder: another folder, or a secret's head.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Entry {
    /// The folder's id, or the head's row.
    pub id: Id,
}

impl Record for Entry {
    const KIND: u8 = 1;
}

/// Where a folder stands, by its id in decimal: the way up, which its path does not give to one
/// who has the id alone.
#[derive(Serialize, Deserialize)]
struct Place {
    parent: Id,
    name: String,
}

impl Record for Place {
    const KIND: u8 = 4;
}

/// The path up to its last slash, that included, and the name after it.
pub fn split(path: &str) -> (&str, &str) {
    path.rfind('/').map_or(("", path), |slash| path.split_at(slash + 1))
}

/// The folder at `path` ("" or with a trailing slash).
pub async fn folder(view: &ReadView<'_>, path: &str) -> Result<Option<Id>> {
    let mut parent = TOP;
    for name in path.split_inclusive('/') {
        match view.cached::<Entry>(parent, name).await? {
            Some(entry) => parent = entry.id,
            None => return Ok(None),
        }
    }
    Ok(Some(parent))
}

/// The head's row of the secret at `path`.
pub async fn leaf(view: &ReadView<'_>, path: &str) -> Result<Option<Id>> {
    let (parent, name) = split(path);
    if name.is_empty() {
        return Ok(None);
    }
    let Some(parent) = folder(view, parent).await? else { return Ok(None) };
    Ok(view.named::<Entry>(parent, name).await?.map(|entry| entry.id))
}

/// The folder at `path`, made where it is not there.
pub async fn make_folder(edit: &WriteView<'_>, path: &str) -> Result<Id> {
    let mut parent = TOP;
    for name in path.split_inclusive('/') {
        parent = match edit.named::<Entry>(parent, name).await? {
            Some(entry) => entry.id,
            None => {
                let id = edit.new_id();
                put_folder(edit, parent, name, id)?;
                id
            }
        };
    }
    Ok(parent)
}

/// Names the folder `id` by `name` (with its slash) in `parent`.
pub fn put_folder(edit: &WriteView<'_>, parent: Id, name: &str, id: Id) -> Result<()> {
    edit.put_named(parent, name, &Entry { id })?;
    edit.put_named(TOP, &id.to_string(), &Place { parent, name: name.to_owned() })
}

/// Names the head's row `head` by `path`.
pub async fn insert(edit: &WriteView<'_>, path: &str, head: Id) -> Result<()> {
    let (folder, name) = split(path);
    if name.is_empty() {
        return Err(Error::bad_request("missing path"));
    }
    let parent = make_folder(edit, folder).await?;
    edit.put_named(parent, name, &Entry { id: head })
}

/// Removes the name of the secret at `path`, and every folder that holds nothing else.
pub async fn remove(edit: &WriteView<'_>, path: &str) -> Result<()> {
    let (parent, name) = split(path);
    match folder(edit, parent).await? {
        Some(parent) => remove_at(edit, parent, name).await,
        None => Ok(()),
    }
}

/// Removes the entry `name` of the folder `parent`, and every folder that holds nothing else.
pub async fn remove_at(edit: &WriteView<'_>, parent: Id, name: &str) -> Result<()> {
    let (mut parent, mut name) = (parent, name.to_owned());
    loop {
        edit.delete_named::<Entry>(parent, &name);
        if parent == TOP || edit.any_but::<Entry>(parent, &name).await? {
            return Ok(());
        }
        let key = parent.to_string();
        let Some(place) = edit.named::<Place>(TOP, &key).await? else { return Ok(()) };
        edit.delete_named::<Place>(TOP, &key);
        (parent, name) = (place.parent, place.name);
    }
}

/// All secrets below the folder `id`, as paths relative to it and head rows, in the order of their
/// paths; the walk is a part of the transaction, so that nothing comes in unseen. Refused with more
/// than `most`. `visit` sees the relative path of each folder, the first being "".
pub async fn secrets_below(
    view: &ReadView<'_>,
    id: Id,
    most: usize,
    mut visit: impl FnMut(&str) -> Result<()>,
) -> Result<Vec<(String, Id)>> {
    let mut out = Vec::new();
    let mut open = vec![(String::new(), id)];
    while let Some((path, id)) = open.pop() {
        visit(&path)?;
        for (name, entry) in view.all::<Entry>(id).await? {
            let full = format!("{path}{name}");
            if name.ends_with('/') {
                open.push((full, entry.id));
            } else {
                out.push((full, entry.id));
            }
            if out.len() + open.len() > most {
                return Err(Error::bad_request(format!(
                    "the folder holds more than the {most} secrets that one request may take along"
                )));
            }
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// Takes the name of a folder away (its path has a trailing slash), and every folder above that
/// holds nothing else, but not the folder itself: it gets another name in the same transaction.
pub async fn unlink_folder(edit: &WriteView<'_>, path: &str) -> Result<()> {
    let (parent, name) = split(path.trim_end_matches('/'));
    match folder(edit, parent).await? {
        Some(parent) => remove_at(edit, parent, &format!("{name}/")).await,
        None => Ok(()),
    }
}
