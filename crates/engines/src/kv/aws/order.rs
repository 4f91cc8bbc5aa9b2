//! The secrets of a folder and of all below it, one after another in some order, from any place on.
//!
//! A head's row is drawn from the counter of commits, so the order of rows is that of creation: no index is
//! stored. Memory holds of each folder its names in both orders until one of them changes; a page looks up the
//! folders, and then only what it shows, however many secrets there are.
//!
//! Invariant: what the caller may not list is not there for him.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, JsonMap, Result};
use strongroom_kernel::plug::{ListRight, ReadCx};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::{Id, ReadView};

use super::limits::FOLDERS_MAX;
use super::refusals;
use crate::kv::tree::{self, Entry};

/// Entries of a folder that are read at a time.
const ENTRIES_READ: usize = 1_000;

/// The secrets of one folder in both orders, and the folders in it.
struct Contents {
    /// All names of the folder, sorted.
    names: Vec<String>,
    /// Secrets by their names: the name's place, and the head's row.
    by_name: Vec<(usize, Id)>,
    /// The same by their rows.
    by_age: Vec<(usize, Id)>,
    /// Folders: the name's place, and the id.
    folders: Vec<(usize, Id)>,
}

impl Contents {
    async fn of(view: &ReadView<'_>, folder: Id) -> Result<Arc<Self>> {
        let build = async || {
            let contents = Self::read(view, folder).await?;
            let entries = contents.names.len();
            Ok((contents, entries))
        };
        view.built_of::<Entry, Self>(folder, build).await
    }

    async fn read(view: &ReadView<'_>, folder: Id) -> Result<Self> {
        let (mut all, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let (page, next) = view.peek::<Entry>(folder, &cursor, ENTRIES_READ).await?;
            all.extend(page);
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (mut by_name, mut folders) = (Vec::new(), Vec::new());
        for (at, (name, entry)) in all.iter().enumerate() {
            if name.ends_with('/') { &mut folders } else { &mut by_name }.push((at, entry.id));
        }
        let mut by_age = by_name.clone();
        by_age.sort_unstable_by_key(|(_, row)| *row);
        let names = all.into_iter().map(|(name, _)| name).collect();
        Ok(Self { names, by_name, by_age, folders })
    }

    fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }
}

/// A folder that the caller may list.
struct Folder<'c> {
    path: String,
    right: ListRight<'c>,
    contents: Arc<Contents>,
}

/// The folders that the caller may list, from the first one down.
pub(super) struct Folders<'c>(Vec<Folder<'c>>);

/// A secret of a list.
pub(super) struct Candidate {
    /// Its path.
    pub path: String,
    /// The row of its head.
    pub row: Id,
}

/// A place in a list, by what the list goes by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Key {
    /// The creation.
    Row(Id),
    /// The path.
    Path(String),
    /// A time in nanoseconds, then the creation.
    Time(i64, Id),
}

/// Where a list begins, and how it goes on.
pub(super) struct Way<'k> {
    /// By paths, and not by creation?
    pub by_path: bool,
    /// The other way round?
    pub descending: bool,
    /// Behind this place.
    pub after: Option<&'k Key>,
}

impl<'c> Folders<'c> {
    /// Those from the folder `first` (a path that ends in a slash, or nothing) down, without the folder
    /// `but`; `most` is how many entries one page shows, which policy may limit.
    pub async fn below(cx: &'c ReadCx<'_>, first: String, most: usize, but: &str) -> Result<Self> {
        let rights = cx.request.rights.as_ref().ok_or_else(Error::denied)?;
        let view = cx.view();
        let asked = JsonMap::from_iter([("limit".to_owned(), Json::from(most))]);
        let mut found = Vec::new();
        let Some(id) = tree::folder(&view, &first).await? else { return Ok(Self(found)) };
        let mut open = VecDeque::from([(first, id)]);
        while let Some((path, id)) = open.pop_front() {
            let judged = format!("{}metadata/{path}", cx.request.mount.path);
            let right = rights.list(&judged, Capability::List, Some(&asked));
            let Some(right) = right else { continue };
            let contents = Contents::of(&view, id).await?;
            for (at, id) in &contents.folders {
                let name = contents.name(*at);
                let below = format!("{path}{name}");
                if below != but && right.may_show(name) {
                    open.push_back((below, *id));
                }
            }
            found.push(Folder { path, right, contents });
            if found.len() + open.len() > FOLDERS_MAX {
                return Err(refusals::invalid_request(format!(
                    "There are more than {FOLDERS_MAX} folders: name one in a filter."
                )));
            }
        }
        Ok(Self(found))
    }

    /// The secrets on a way, one by one.
    pub fn walk<'f>(&'f self, way: Way<'_>) -> Walk<'f, 'c> {
        let Way { by_path, descending, after } = way;
        let mut walk = Walk { folders: &self.0, by_path, descending, heap: BinaryHeap::new() };
        for (index, folder) in self.0.iter().enumerate() {
            let list = folder.list(by_path);
            let at = match (after, descending) {
                (None, false) => Some(0),
                (None, true) => list.len().checked_sub(1),
                (Some(after), false) => {
                    Some(list.partition_point(|e| folder.key(by_path, *e) <= *after))
                }
                (Some(after), true) => {
                    list.partition_point(|e| folder.key(by_path, *e) < *after).checked_sub(1)
                }
            };
            walk.put(index, at);
        }
        walk
    }
}

impl Folder<'_> {
    fn list(&self, by_path: bool) -> &[(usize, Id)] {
        if by_path { &self.contents.by_name } else { &self.contents.by_age }
    }

    fn key(&self, by_path: bool, (at, row): (usize, Id)) -> Key {
        match by_path {
            true => Key::Path(format!("{}{}", self.path, self.contents.name(at))),
            false => Key::Row(row),
        }
    }
}

/// The heads of all folders' lists, the next one first.
enum Head {
    Up(Reverse<Key>),
    Down(Key),
}

/// Secrets in an order.
pub(super) struct Walk<'f, 'c> {
    folders: &'f [Folder<'c>],
    by_path: bool,
    descending: bool,
    heap: BinaryHeap<Next>,
}

struct Next {
    head: Head,
    folder: usize,
    at: usize,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (&self.head, &other.head) {
            (Head::Up(own), Head::Up(other)) => own.cmp(other),
            (Head::Down(own), Head::Down(other)) => own.cmp(other),
            // One walk goes in one direction.
            _ => std::cmp::Ordering::Equal,
        }
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

impl Walk<'_, '_> {
    fn put(&mut self, folder: usize, at: Option<usize>) {
        let Some((at, own)) = at.zip(self.folders.get(folder)) else { return };
        let Some(entry) = own.list(self.by_path).get(at) else { return };
        let key = own.key(self.by_path, *entry);
        let head = if self.descending { Head::Down(key) } else { Head::Up(Reverse(key)) };
        self.heap.push(Next { head, folder, at });
    }
}

impl Iterator for Walk<'_, '_> {
    /// A secret's place; the secret, where the caller may see its name.
    type Item = (Key, Option<Candidate>);

    fn next(&mut self) -> Option<Self::Item> {
        let Next { head, folder, at } = self.heap.pop()?;
        self.put(folder, if self.descending { at.checked_sub(1) } else { at.checked_add(1) });
        let (Head::Up(Reverse(key)) | Head::Down(key)) = head;
        let folder = self.folders.get(folder)?;
        let (name, row) = folder.list(self.by_path).get(at)?;
        let name = folder.contents.name(*name);
        let shown = folder.right.may_show(name);
        let candidate =
            shown.then(|| Candidate { path: format!("{}{name}", folder.path), row: *row });
        Some((key, candidate))
    }
}
