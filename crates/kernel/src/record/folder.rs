//! Sorted names of folders: a list of 10,000 names must not decrypt 10,000 names each time.
//!
//! A view is filled once by a walk. The change feed then only notes which entries of a filled
//! folder changed; the next list reads those few.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use parking_lot::Mutex;
use smallvec::SmallVec;
use strongroom_base::Result;
use strongroom_storage::{Change, IndexKey, Key};

use super::{DerivedSet, Id, ReadView, indexes, name_prefix};

/// Names remembered over all folders.
const NAMES_MAX: usize = 200_000;
/// Bytes of a folder's key prefix: scope, kind, parent.
const PREFIX_BYTES: usize = 13;
/// Changed entries noted for a folder; with more, the folder is dropped.
const PENDING_MAX: usize = 1_024;

#[derive(Default)]
struct Folder {
    /// Entry key suffix → name.
    names: AHashMap<IndexKey, String>,
    sorted: Option<Arc<Vec<String>>>,
    pending: AHashSet<IndexKey>,
}

#[derive(Default)]
struct State {
    folders: AHashMap<IndexKey, Folder>,
    names: usize,
    /// Rises with every change the feed brought: a walk that began before one is checked again.
    epoch: u64,
}

/// Sorted names of all folders that were listed lately.
pub struct Folders {
    state: Arc<Mutex<State>>,
}

impl Folders {
    /// Views that listen to `derived`.
    pub fn new(derived: &DerivedSet) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let weak = Arc::downgrade(&state);
        derived.listen(move |change| {
            let Some(state) = weak.upgrade() else { return };
            match change {
                Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
                    if *table == indexes::NAMES =>
                {
                    state.lock().note(key);
                }
                Change::DeleteIndexRange { table, .. } if *table == indexes::NAMES => {
                    state.lock().clear();
                }
                Change::Everything => state.lock().clear(),
                _ => {}
            }
        });
        Self { state }
    }

    /// The sorted names below `parent`.
    pub async fn names(
        &self,
        view: &ReadView<'_>,
        kind: u8,
        parent: Id,
    ) -> Result<Arc<Vec<String>>> {
        let prefix = name_prefix(view.scope(), kind, parent);
        let pending = {
            let mut state = self.state.lock();
            match state.folders.get_mut(&prefix) {
                Some(folder) if folder.pending.is_empty() => return Ok(folder.sorted()),
                Some(folder) => Some(folder.pending.iter().cloned().collect()),
                None => None,
            }
        };
        if let Some(pending) = pending
            && let Some(names) = self.refresh(view, &prefix, pending).await?
        {
            return Ok(names);
        }
        self.fill(view, kind, parent, prefix).await
    }

    /// Reads the entries that changed since the folder was last looked at.
    async fn refresh(
        &self,
        view: &ReadView<'_>,
        prefix: &IndexKey,
        pending: Vec<IndexKey>,
    ) -> Result<Option<Arc<Vec<String>>>> {
        let epoch = self.state.lock().epoch;
        let mut fresh: BTreeMap<IndexKey, Option<String>> = BTreeMap::new();
        for key in pending {
            let name = view.name_at(&Key::Index(indexes::NAMES, key.clone())).await?;
            fresh.insert(key, name);
        }
        let mut state = self.state.lock();
        let unchanged = state.epoch == epoch;
        let state = &mut *state;
        let Some(folder) = state.folders.get_mut(prefix) else { return Ok(None) };
        for (key, name) in fresh {
            match name {
                Some(name) => {
                    if folder.names.insert(key.clone(), name).is_none() {
                        state.names += 1;
                        folder.sorted = None;
                    }
                }
                None => {
                    if folder.names.remove(&key).is_some() {
                        state.names -= 1;
                        folder.sorted = None;
                    }
                }
            }
            if unchanged {
                folder.pending.remove(&key);
            }
        }
        Ok(Some(folder.sorted()))
    }

    /// Walks the folder, and remembers it if nothing changed meanwhile.
    async fn fill(
        &self,
        view: &ReadView<'_>,
        kind: u8,
        parent: Id,
        prefix: IndexKey,
    ) -> Result<Arc<Vec<String>>> {
        let epoch = self.state.lock().epoch;
        let mut folder = Folder::default();
        let mut names = Vec::new();
        view.walk(kind, parent, |name, _| {
            names.push(name.to_owned());
            Ok(())
        })
        .await?;
        for name in &names {
            let digest = view.tx.store().barrier.digest(view.scope(), &[&[kind], name.as_bytes()]);
            let mut key = prefix.clone();
            key.extend_from_slice(&digest[..16]);
            folder.names.insert(key, name.clone());
        }
        let sorted = folder.sorted();
        let mut state = self.state.lock();
        if state.epoch == epoch && folder.names.len() <= NAMES_MAX {
            if state.names + folder.names.len() > NAMES_MAX {
                state.clear();
            }
            state.names += folder.names.len();
            state.folders.insert(prefix, folder);
        }
        Ok(sorted)
    }
}

impl Folder {
    fn sorted(&mut self) -> Arc<Vec<String>> {
        if let Some(sorted) = &self.sorted {
            return sorted.clone();
        }
        let mut names: Vec<String> = self.names.values().cloned().collect();
        names.sort_unstable();
        let sorted = Arc::new(names);
        self.sorted = Some(sorted.clone());
        sorted
    }
}

impl State {
    fn note(&mut self, key: &IndexKey) {
        self.epoch += 1;
        let Some(prefix) = key.get(..PREFIX_BYTES) else { return };
        let prefix: IndexKey = SmallVec::from_slice(prefix);
        let Some(folder) = self.folders.get_mut(&prefix) else { return };
        if folder.pending.len() < PENDING_MAX {
            folder.pending.insert(key.clone());
        } else if let Some(folder) = self.folders.remove(&prefix) {
            self.names -= folder.names.len();
        }
    }

    fn clear(&mut self) {
        self.epoch += 1;
        self.folders.clear();
        self.names = 0;
    }
}
