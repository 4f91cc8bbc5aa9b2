//! Transactions.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use strongroom_base::Result;
use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, Revision, StorageError, Value,
};

use super::store::{Store, storage_error};
use super::view::{ReadView, WriteView};
use super::{Id, Scope, indexes};

/// What was read, each once.
#[derive(Default)]
struct Reads {
    keys: SmallVec<[Key; 8]>,
    /// The same, once there are many.
    seen: HashSet<Key, ahash::RandomState>,
}

impl Reads {
    /// So many are looked through one by one.
    const FEW: usize = 32;

    fn note(&mut self, key: &Key) {
        if self.keys.len() < Self::FEW {
            if !self.keys.contains(key) {
                self.keys.push(key.clone());
            }
            return;
        }
        if self.seen.is_empty() {
            self.seen.extend(self.keys.iter().cloned());
        }
        if self.seen.insert(key.clone()) {
            self.keys.push(key.clone());
        }
    }
}

struct Inner {
    snapshot: Revision,
    reads: Reads,
    ranges: Vec<(IndexTable, IndexKey, IndexKey)>,
    /// Sealed changes in order; the newest for a key counts.
    changes: Vec<Change>,
}

/// A transaction: reads are noted, writes gather, [`Tx::commit`] makes all of it durable or none.
pub struct Tx {
    store: Arc<Store>,
    inner: Mutex<Inner>,
}

impl Tx {
    pub(super) fn begin(store: Arc<Store>) -> Self {
        let inner = Inner {
            snapshot: store.storage.revision(),
            reads: Reads::default(),
            ranges: Vec::new(),
            changes: Vec::new(),
        };
        Self { inner: Mutex::new(inner), store }
    }

    /// The store it runs on.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// A read-only view of `scope`.
    pub fn read(&self, scope: Scope) -> ReadView<'_> {
        ReadView::new(self, scope)
    }

    /// A view of `scope` that may write.
    pub fn write(&self, scope: Scope) -> WriteView<'_> {
        WriteView::new(self, scope)
    }

    /// A fresh id.
    pub fn new_id(&self) -> Id {
        self.store.storage.next_id()
    }

    /// Sees what was committed since it began, as long as it has neither read nor written.
    pub fn renew(&self) {
        let mut inner = self.inner.lock();
        if inner.reads.keys.is_empty() && inner.ranges.is_empty() && inner.changes.is_empty() {
            inner.snapshot = self.store.storage.revision();
        }
    }

    /// Has it gathered changes?
    pub fn has_changes(&self) -> bool {
        !self.inner.lock().changes.is_empty()
    }

    /// Commits. A transaction without changes only checks that what it read still stands.
    pub async fn commit(&self) -> Result<Revision> {
        let commit = {
            let mut inner = self.inner.lock();
            let storage = &self.store.storage;
            if !inner.changes.is_empty() {
                Some(Commit {
                    snapshot: inner.snapshot,
                    reads: std::mem::take(&mut inner.reads).keys.into_vec(),
                    ranges: std::mem::take(&mut inner.ranges),
                    changes: std::mem::take(&mut inner.changes),
                    term: self.store.term,
                })
            } else if storage.unchanged_since(inner.snapshot, &inner.reads.keys, &inner.ranges) {
                return Ok(inner.snapshot);
            } else {
                None
            }
        };
        let Some(commit) = commit else {
            // What is read anew is then no more in the middle of being written.
            self.store.storage.settled().await;
            return Err(storage_error(StorageError::Conflict));
        };
        self.store.storage.commit(commit).await.map_err(storage_error)
    }

    /// Does all that it read still stand?
    pub(crate) fn still_stands(&self) -> bool {
        let inner = self.inner.lock();
        self.store.storage.unchanged_since(inner.snapshot, &inner.reads.keys, &inner.ranges)
    }

    /// Moves the beginning of the transaction to now, where all that it read still stands: what
    /// others committed meanwhile then does not count as a conflict.
    pub(crate) fn refresh(&self) {
        let mut inner = self.inner.lock();
        let storage = &self.store.storage;
        let now = storage.revision();
        if storage.unchanged_since(inner.snapshot, &inner.reads.keys, &inner.ranges) {
            inner.snapshot = now;
        }
    }

    /// The raw bytes of a record, seen through this transaction's own changes.
    pub(crate) async fn raw(&self, key: &Key) -> Result<Option<Value>> {
        {
            let mut inner = self.inner.lock();
            for change in inner.changes.iter().rev() {
                match change {
                    Change::Put(k, value) if k == key => return Ok(Some(value.clone())),
                    Change::Delete(k) if k == key => return Ok(None),
                    Change::DeleteRows { table, from, to } => {
                        if let Key::Row(t, id) = key
                            && t == table
                            && (from..to).contains(&id)
                        {
                            return Ok(None);
                        }
                    }
                    Change::DeleteIndexRange { table, from, to } => {
                        if let Key::Index(t, k) = key
                            && t == table
                            && (from..to).contains(&k)
                        {
                            return Ok(None);
                        }
                    }
                    _ => {}
                }
            }
            inner.reads.note(key);
        }
        self.store.storage.get(key).done().await.map_err(storage_error)
    }

    /// Has this transaction changed the record, or may it have?
    pub(super) fn is_changed(&self, key: &Key) -> bool {
        self.inner.lock().changes.iter().any(|change| match change {
            Change::Put(k, _) | Change::Delete(k) => k == key,
            _ => true,
        })
    }

    pub(super) fn note_read(&self, key: &Key) {
        self.inner.lock().reads.note(key);
    }

    pub(crate) fn change(&self, change: Change) {
        self.inner.lock().changes.push(change);
    }

    /// The keys of named records below `prefix` that this transaction has set, and those it has
    /// removed one by one.
    pub(super) fn changed_names(&self, prefix: &[u8]) -> (Vec<IndexKey>, Vec<IndexKey>) {
        let (mut put, mut gone) = (Vec::new(), Vec::new());
        for change in &self.inner.lock().changes {
            let (key, is_put) = match change {
                Change::Put(Key::Index(table, key), _) if *table == indexes::NAMES => (key, true),
                Change::Delete(Key::Index(table, key)) if *table == indexes::NAMES => (key, false),
                _ => continue,
            };
            if key.starts_with(prefix) {
                put.retain(|k| k != key);
                gone.retain(|k| k != key);
                if is_put { &mut put } else { &mut gone }.push(key.clone());
            }
        }
        (put, gone)
    }

    /// Sets plain bytes in an index table: for due times and links, which hold numbers only.
    pub fn put_index(&self, table: IndexTable, key: &[u8], value: &[u8]) {
        self.change(Change::Put(Key::Index(table, SmallVec::from_slice(key)), value.into()));
    }

    /// Removes an entry of an index table.
    pub fn delete_index(&self, table: IndexTable, key: &[u8]) {
        self.change(Change::Delete(Key::Index(table, SmallVec::from_slice(key))));
    }

    /// Plain bytes of an index table.
    pub async fn get_index(&self, table: IndexTable, key: &[u8]) -> Result<Option<Value>> {
        self.raw(&Key::Index(table, SmallVec::from_slice(key))).await
    }

    /// Up to `limit` entries of an index table with keys in `from..to`, from storage and without
    /// this transaction's own changes. Conflicts with later changes in that range.
    pub async fn scan_index(
        &self,
        table: IndexTable,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(IndexKey, Value)>> {
        self.inner.lock().ranges.push((
            table,
            SmallVec::from_slice(from),
            SmallVec::from_slice(to),
        ));
        self.store.storage.scan_index(table, from, to, limit).done().await.map_err(storage_error)
    }
}
