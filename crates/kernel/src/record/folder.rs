//! Sorted names of folders: a list of 10,000 names must not decrypt 10,000 names each time.
//!
//! A view is filled once by a walk. The change feed then only notes which entries of a filled
//! folder changed; the next list reads those few.
//!
//! What somebody builds of a folder's entries (another order of them) is kept beside the views, and goes with
//! the first change.

use std::any::Any;
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
/// Entries in all that is built of folders.
const BUILT_MAX: usize = 400_000;
/// Changed entries noted for a folder; with more, the folder is dropped.
const PENDING_MAX: usize = 1_024;

#[derive(Default)]
struct Folder {
    /// Entry key suffix → name.
    names: AHashMap<IndexKey, String>,
    sorted: Option<Arc<Vec<String>>>,
    pending: AHashSet<IndexKey>,
}

/// What is built of a folder's entries.
enum Built {
    /// Somebody is at it; this number is his.
    Begun(u64),
    /// It is as the folder is now; with how many entries it has.
    Done(Arc<dyn Any + Send + Sync>, usize),
}

#[derive(Default)]
struct State {
    folders: AHashMap<IndexKey, Folder>,
    names: usize,
    /// Rises with every change the feed brought: a walk that began before one is checked again.
    epoch: u64,
    built: AHashMap<IndexKey, Built>,
    /// Entries in all that is built.
    built_entries: usize,
    /// The number of the last builder.
    builders: u64,
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

    /// What `build` makes of the entries below `parent`, made once and then shared until one of them changes;
    /// it says how many they are. One kind of records has one such thing.
    pub async fn built<V: Send + Sync + 'static>(
        &self,
        view: &ReadView<'_>,
        kind: u8,
        parent: Id,
        build: impl AsyncFnOnce() -> Result<(V, usize)>,
    ) -> Result<Arc<V>> {
        let prefix = name_prefix(view.scope(), kind, parent);
        let number = {
            let mut state = self.state.lock();
            if let Some(Built::Done(built, _)) = state.built.get(&prefix)
                && let Ok(built) = built.clone().downcast::<V>()
            {
                return Ok(built);
            }
            state.begin(&prefix)
        };
        let (built, entries) = build().await?;
        let built = Arc::new(built);
        self.state.lock().keep(&prefix, number, built.clone(), entries);
        Ok(built)
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
        self.forget_built(&prefix);
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
        self.built.clear();
        self.built_entries = 0;
    }

    fn forget_built(&mut self, prefix: &IndexKey) {
        if let Some(Built::Done(_, entries)) = self.built.remove(prefix) {
            self.built_entries -= entries;
        }
    }

    /// The number of one who begins to build.
    fn begin(&mut self, prefix: &IndexKey) -> u64 {
        // Whoever else is building it sees the same: a change takes the number away.
        if let Some(Built::Begun(number)) = self.built.get(prefix) {
            return *number;
        }
        self.forget_built(prefix);
        self.builders += 1;
        self.built.insert(prefix.clone(), Built::Begun(self.builders));
        self.builders
    }

    /// Keeps what was built, if nothing changed meanwhile.
    fn keep(
        &mut self,
        prefix: &IndexKey,
        number: u64,
        built: Arc<dyn Any + Send + Sync>,
        entries: usize,
    ) {
        let own = matches!(self.built.get(prefix), Some(Built::Begun(own)) if *own == number);
        if !own {
            return;
        }
        self.built.remove(prefix);
        if entries > BUILT_MAX {
            return;
        }
        if self.built_entries + entries > BUILT_MAX {
            self.built.clear();
            self.built_entries = 0;
        }
        self.built_entries += entries;
        self.built.insert(prefix.clone(), Built::Done(built, entries));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_goes_with_the_first_change_and_has_bounds() {
        let mut state = State::default();
        let key = |n: u32| -> IndexKey {
            let mut key = name_prefix(crate::record::Scope(n), 1, 7);
            key.extend_from_slice(&[0; 16]);
            key
        };
        let prefix = |n: u32| name_prefix(crate::record::Scope(n), 1, 7);
        let kept =
            |state: &State, n: u32| matches!(state.built.get(&prefix(n)), Some(Built::Done(..)));
        let make = |state: &mut State, n: u32, entries: usize| {
            let number = state.begin(&prefix(n));
            state.keep(&prefix(n), number, Arc::new(n), entries);
        };
        make(&mut state, 1, 10);
        make(&mut state, 2, 10);
        assert!(kept(&state, 1) && kept(&state, 2) && state.built_entries == 20);
        state.note(&key(1));
        assert!(!kept(&state, 1) && kept(&state, 2) && state.built_entries == 10);
        // A change while it is built: it would be old.
        let number = state.begin(&prefix(1));
        state.note(&key(1));
        state.keep(&prefix(1), number, Arc::new(1), 10);
        assert!(!kept(&state, 1));
        // Of several that build at a time the first to come to its end is kept, and a change ends it for all.
        let (first, second) = (state.begin(&prefix(1)), state.begin(&prefix(1)));
        state.note(&key(1));
        state.keep(&prefix(1), second, Arc::new(1), 10);
        assert!(!kept(&state, 1));
        let third = state.begin(&prefix(1));
        state.keep(&prefix(1), first, Arc::new(1), 10);
        assert!(!kept(&state, 1));
        state.keep(&prefix(1), third, Arc::new(1), 10);
        assert!(kept(&state, 1));
        make(&mut state, 3, BUILT_MAX + 1);
        assert!(!kept(&state, 3) && kept(&state, 1), "too large for itself alone");
        make(&mut state, 4, BUILT_MAX);
        assert!(kept(&state, 4) && !kept(&state, 1) && state.built_entries == BUILT_MAX);
    }
}
