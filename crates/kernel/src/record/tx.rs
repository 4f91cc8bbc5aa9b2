//! Transactions and the views of one scope that plug-ins get.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use strongroom_base::{Clock, Error, ErrorKind, Result, Rng, Timestamp};
use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, Revision, Role, RowTable, Storage, StorageError,
    Value,
};

use super::{
    Derived, DerivedSet, Folders, Id, Record, Scope, aad, decode, encode, indexes, name_key,
    name_prefix, prefix_end, row_key,
};
use crate::barrier::Barrier;

/// Entries read from storage at a time while a folder is walked.
const SCAN_PAGE: usize = 1_000;

/// An open store: storage seen through the barrier.
pub struct Store {
    /// Where the bytes lie.
    pub storage: Arc<dyn Storage>,
    /// The term that its commits carry: they are refused once another store came in the place of
    /// the one that was opened.
    pub term: u64,
    /// The keys.
    pub barrier: Arc<Barrier>,
    /// Guarded time: never goes back.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// All derived values, emptied by the change feed.
    pub derived: Arc<DerivedSet>,
    /// Sorted names of folders.
    pub folders: Folders,
    /// Decoded named records, by storage key.
    decoded: Arc<Derived<IndexKey, AnyRecord>>,
}

/// A decoded record of some type.
type AnyRecord = Arc<dyn std::any::Any + Send + Sync>;

/// Decoded records remembered.
const DECODED_MAX: usize = 50_000;

/// The caller's view of a storage failure.
pub fn storage_error(e: StorageError) -> Error {
    match e {
        StorageError::Conflict => {
            Error::new(ErrorKind::Conflict, "the request conflicts with a concurrent one")
        }
        StorageError::Full => Error::unavailable("the storage is full").because(e),
        StorageError::ReadOnly => Error::unavailable("the storage is read-only").because(e),
        StorageError::Poisoned(_) | StorageError::Busy(_) | StorageError::Closed => {
            Error::unavailable("the storage is not available").because(e)
        }
        StorageError::Deposed => {
            Error::new(ErrorKind::Standby, "this node is no longer active").because(e)
        }
        StorageError::Corrupt(_) | StorageError::Io(_) => Error::internal(e),
    }
}

impl Store {
    /// Opens a store over `storage` with the keys of `barrier`.
    pub fn new(
        storage: Arc<dyn Storage>,
        barrier: Arc<Barrier>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Arc<Self> {
        let derived = Arc::new(DerivedSet::default());
        let folders = Folders::new(&derived);
        let decoded = decoded_records(&derived);
        let feed = Arc::downgrade(&derived);
        storage.listen(Arc::new(move |_, changes| {
            if let Some(derived) = feed.upgrade() {
                derived.invalidate(changes);
            }
        }));
        let term = match storage.role() {
            Role::Active { term } => term,
            Role::Standby => 0,
        };
        Arc::new(Self { storage, term, barrier, clock, rng, derived, folders, decoded })
    }

    /// Guarded time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins a transaction.
    pub fn begin(self: &Arc<Self>) -> Tx {
        Tx {
            inner: Mutex::new(Inner {
                snapshot: self.storage.revision(),
                reads: Reads::default(),
                ranges: Vec::new(),
                changes: Vec::new(),
            }),
            store: self.clone(),
        }
    }

    /// Runs `body` in a transaction and commits it; runs it again when another transaction got in
    /// between. For the kernel's own background work; requests go through the pipeline.
    pub async fn transact<T, F, Fut>(self: &Arc<Self>, body: F) -> Result<T>
    where
        F: Fn(Arc<Tx>) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let tx = Arc::new(self.begin());
            let out = body(tx.clone()).await?;
            match tx.commit().await {
                Err(e) if e.kind == ErrorKind::Conflict => {}
                done => return done.map(|_| out),
            }
        }
        Err(Error::unavailable("the request kept conflicting with concurrent ones"))
    }
}

/// Memory of decoded records that listens to `derived`.
fn decoded_records(derived: &DerivedSet) -> Arc<Derived<IndexKey, AnyRecord>> {
    let decoded = Arc::new(Derived::new(DECODED_MAX));
    let weak = Arc::downgrade(&decoded);
    derived.listen(move |change| {
        let Some(decoded): Option<Arc<Derived<IndexKey, AnyRecord>>> = weak.upgrade() else {
            return;
        };
        match change {
            Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
                if *table == indexes::NAMES =>
            {
                decoded.remove(key);
            }
            Change::DeleteIndexRange { table, .. } if *table == indexes::NAMES => decoded.clear(),
            Change::Everything => decoded.clear(),
            _ => {}
        }
    });
    decoded
}

/// How often an operation is run again after a conflict before it is given up.
pub const CONFLICT_RETRIES_MAX: usize = 32;

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
    /// The store it runs on.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// A read-only view of `scope`.
    pub fn read(&self, scope: Scope) -> ReadView<'_> {
        ReadView { tx: self, scope }
    }

    /// A view of `scope` that may write.
    pub fn write(&self, scope: Scope) -> WriteView<'_> {
        WriteView { view: ReadView { tx: self, scope } }
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
    fn is_changed(&self, key: &Key) -> bool {
        self.inner.lock().changes.iter().any(|change| match change {
            Change::Put(k, _) | Change::Delete(k) => k == key,
            _ => true,
        })
    }

    fn note_read(&self, key: &Key) {
        self.inner.lock().reads.note(key);
    }

    pub(crate) fn change(&self, change: Change) {
        self.inner.lock().changes.push(change);
    }

    /// The keys of named records below `prefix` that this transaction has set, and those it has
    /// removed one by one.
    fn changed_names(&self, prefix: &[u8]) -> (Vec<IndexKey>, Vec<IndexKey>) {
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

/// A read-only view of one scope within a transaction.
#[derive(Clone, Copy)]
pub struct ReadView<'a> {
    pub(crate) tx: &'a Tx,
    scope: Scope,
}

/// A view of one scope that may write.
#[derive(Clone, Copy)]
pub struct WriteView<'a> {
    view: ReadView<'a>,
}

impl<'a> std::ops::Deref for WriteView<'a> {
    type Target = ReadView<'a>;
    fn deref(&self) -> &ReadView<'a> {
        &self.view
    }
}

impl<'a> ReadView<'a> {
    /// The scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    fn digest(&self, kind: u8, name: &str) -> [u8; 32] {
        self.tx.store.barrier.digest(self.scope, &[&[kind], name.as_bytes()])
    }

    fn key<T: Record>(&self, parent: Id, name: &str) -> Key {
        name_key(self.scope, T::KIND, parent, &self.digest(T::KIND, name))
    }

    fn open(&self, key: &Key, sealed: &[u8]) -> Result<strongroom_base::SecretBytes> {
        self.tx.store.barrier.open(self.scope, &aad(key), sealed)
    }

    /// The named record of type `T` below `parent` (0 where there is no hierarchy).
    pub async fn named<T: Record>(&self, parent: Id, name: &str) -> Result<Option<T>> {
        let key = self.key::<T>(parent, name);
        let Some(sealed) = self.tx.raw(&key).await? else { return Ok(None) };
        let plain = self.open(&key, &sealed)?;
        let (_, record) = split_named(plain.expose_secret())?;
        decode(record).map(Some)
    }

    /// The storage key of a named record, as the change feed shows it.
    pub fn index_key<T: Record>(&self, parent: Id, name: &str) -> IndexKey {
        match self.key::<T>(parent, name) {
            Key::Index(_, key) => key,
            Key::Row(..) => IndexKey::new(),
        }
    }

    /// As [`ReadView::named`], decoded once and then shared until it changes: for records that
    /// hold no secrets and that many requests read.
    pub async fn cached<T: Record>(&self, parent: Id, name: &str) -> Result<Option<Arc<T>>> {
        self.prepared::<T, T>(parent, name, Ok).await
    }

    /// What `prepare` makes of the named record, made once and then shared until the record
    /// changes. What holds secrets wipes them when it is dropped. One type of records is prepared
    /// in one way.
    pub async fn prepared<T: Record, V: Send + Sync + 'static>(
        &self,
        parent: Id,
        name: &str,
        prepare: impl FnOnce(T) -> Result<V>,
    ) -> Result<Option<Arc<V>>> {
        let key = self.key::<T>(parent, name);
        let Key::Index(_, index) = &key else { return Ok(None) };
        if self.tx.is_changed(&key) {
            let record = self.named::<T>(parent, name).await?;
            return record.map(prepare).transpose().map(|made| made.map(Arc::new));
        }
        self.tx.note_read(&key);
        let fill = || async {
            let sealed = self.tx.store.storage.get(&key).done().await.map_err(storage_error)?;
            let Some(sealed) = sealed else { return Ok(None) };
            let plain = self.open(&key, &sealed)?;
            let (_, record) = split_named(plain.expose_secret())?;
            Ok(Some(Arc::new(prepare(decode::<T>(record)?)?) as AnyRecord))
        };
        let Some(made) = self.tx.store.decoded.get_or_fill(index, fill).await? else {
            return Ok(None);
        };
        let made = (*made).clone().downcast::<V>();
        made.map(Some).map_err(|_| Error::internal("a remembered record has another type"))
    }

    /// The names of all records of type `T` below `parent`, sorted.
    pub async fn names<T: Record>(&self, parent: Id) -> Result<Arc<Vec<String>>> {
        self.tx.store.folders.names(self, T::KIND, parent).await
    }

    /// What `build` makes of all records of type `T` below `parent`, made once and then shared until one of
    /// them changes: another order of a list. It says how many they are. One type of records has one such
    /// thing, which holds no secrets.
    pub async fn built_of<T: Record, V: Send + Sync + 'static>(
        &self,
        parent: Id,
        build: impl AsyncFnOnce() -> Result<(V, usize)>,
    ) -> Result<Arc<V>> {
        self.tx.store.folders.built(self, T::KIND, parent, build).await
    }

    /// All records of type `T` below `parent`, by name, sorted. For tables of a bounded size.
    pub async fn all<T: Record>(&self, parent: Id) -> Result<Vec<(String, T)>> {
        let mut out = Vec::new();
        self.walk(T::KIND, parent, |name, record| {
            out.push((name.to_owned(), decode(record)?));
            Ok(())
        })
        .await?;
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(out)
    }

    /// Is there any record of type `T` below `parent`?
    pub async fn any<T: Record>(&self, parent: Id) -> Result<bool> {
        let prefix = name_prefix(self.scope, T::KIND, parent);
        let page = self.tx.scan_index(indexes::NAMES, &prefix, &prefix_end(&prefix), 1).await?;
        Ok(!page.is_empty())
    }

    /// Is there any record of type `T` below `parent` beside the one called `name`, this
    /// transaction's own changes included? The folder that holds nothing else can go with it.
    pub async fn any_but<T: Record>(&self, parent: Id, name: &str) -> Result<bool> {
        let Key::Index(_, own) = self.key::<T>(parent, name) else { return Ok(false) };
        let prefix = name_prefix(self.scope, T::KIND, parent);
        let (put, gone) = self.tx.changed_names(&prefix);
        if put.iter().any(|key| *key != own) {
            return Ok(true);
        }
        let limit = gone.len() + 2;
        let page = self.tx.scan_index(indexes::NAMES, &prefix, &prefix_end(&prefix), limit).await?;
        Ok(page.into_iter().any(|(key, _)| key != own && !gone.contains(&key)))
    }

    /// Visits name and encoded record of every entry, in storage order.
    pub(crate) async fn walk(
        &self,
        kind: u8,
        parent: Id,
        mut visit: impl FnMut(&str, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut from = name_prefix(self.scope, kind, parent);
        let to = prefix_end(&from);
        loop {
            let page = self.tx.scan_index(indexes::NAMES, &from, &to, SCAN_PAGE).await?;
            for (key, sealed) in &page {
                let plain = self.open(&Key::Index(indexes::NAMES, key.clone()), sealed)?;
                let (name, record) = split_named(plain.expose_secret())?;
                visit(name, record)?;
            }
            if page.len() < SCAN_PAGE {
                return Ok(());
            }
            if let Some((last, _)) = page.last() {
                from = last.clone();
                from.push(0);
            }
        }
    }

    /// Up to `limit` records of type `T` below `parent`, in storage order, after the one at `cursor`
    /// (empty for the first); and the cursor of the next ones, if there may be more.
    ///
    /// For work on tables of any size beside requests that change them: what it shows is not part
    /// of what the transaction has read, so a record is to be read again before it is changed.
    pub async fn peek<T: Record>(
        &self,
        parent: Id,
        cursor: &[u8],
        limit: usize,
    ) -> Result<(Vec<(String, T)>, Option<Vec<u8>>)> {
        let prefix = name_prefix(self.scope, T::KIND, parent);
        let mut from = prefix.clone();
        if !cursor.is_empty() {
            from.extend_from_slice(cursor);
            from.push(0);
        }
        let to = prefix_end(&prefix);
        let storage = &self.tx.store.storage;
        let page = storage.scan_index(indexes::NAMES, &from, &to, limit).done().await;
        let page = page.map_err(storage_error)?;
        let mut out = Vec::with_capacity(page.len());
        for (key, sealed) in &page {
            let plain = self.open(&Key::Index(indexes::NAMES, key.clone()), sealed)?;
            let (name, record) = split_named(plain.expose_secret())?;
            out.push((name.to_owned(), decode(record)?));
        }
        let last = page.last().filter(|_| page.len() == limit);
        let cursor = last.and_then(|(key, _)| key.get(prefix.len()..).map(<[u8]>::to_vec));
        Ok((out, cursor))
    }

    /// The name of one entry by its storage key.
    pub(crate) async fn name_at(&self, key: &Key) -> Result<Option<String>> {
        let Some(sealed) = self.tx.raw(key).await? else { return Ok(None) };
        let plain = self.open(key, &sealed)?;
        Ok(Some(split_named(plain.expose_secret())?.0.to_owned()))
    }

    /// A named record and its name, by its storage key.
    pub(crate) async fn named_at<T: Record>(&self, key: &Key) -> Result<Option<(String, T)>> {
        let Some(sealed) = self.tx.raw(key).await? else { return Ok(None) };
        let plain = self.open(key, &sealed)?;
        let (name, record) = split_named(plain.expose_secret())?;
        Ok(Some((name.to_owned(), decode(record)?)))
    }

    /// A row of this scope.
    pub async fn row<T: DeserializeOwned>(&self, table: RowTable, id: Id) -> Result<Option<T>> {
        let key = row_key(table, self.scope, id);
        let Some(sealed) = self.tx.raw(&key).await? else { return Ok(None) };
        decode(self.open(&key, &sealed)?.expose_secret()).map(Some)
    }

    /// A row's plain bytes.
    pub async fn row_bytes(
        &self,
        table: RowTable,
        id: Id,
    ) -> Result<Option<strongroom_base::SecretBytes>> {
        let key = row_key(table, self.scope, id);
        let Some(sealed) = self.tx.raw(&key).await? else { return Ok(None) };
        self.open(&key, &sealed).map(Some)
    }

    /// A digest of `parts` under a key of this scope.
    pub fn digest_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.tx.store.barrier.digest(self.scope, parts)
    }
}

impl<'a> WriteView<'a> {
    /// The read side, for what takes one.
    pub fn reader(&self) -> ReadView<'a> {
        self.view
    }

    /// A fresh id.
    pub fn new_id(&self) -> Id {
        self.tx.new_id()
    }

    /// Sets the named record.
    pub fn put_named<T: Record>(&self, parent: Id, name: &str, record: &T) -> Result<()> {
        let key = self.key::<T>(parent, name);
        let body = encode(record)?;
        let mut plain = Vec::with_capacity(4 + name.len() + body.len());
        plain.extend_from_slice(&(name.len() as u32).to_be_bytes());
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(&body);
        let plain = strongroom_base::SecretBytes::new(plain);
        let _wiped = strongroom_base::SecretBytes::new(body);
        let sealed = self.tx.store.barrier.seal(self.scope, &aad(&key), plain.expose_secret())?;
        self.tx.change(Change::Put(key, sealed));
        Ok(())
    }

    /// Removes the named record.
    pub fn delete_named<T: Record>(&self, parent: Id, name: &str) {
        self.tx.change(Change::Delete(self.key::<T>(parent, name)));
    }

    /// Removes every record of type `T` below `parent`.
    pub fn delete_all<T: Record>(&self, parent: Id) {
        let from = name_prefix(self.scope, T::KIND, parent);
        let to = prefix_end(&from);
        self.tx.change(Change::DeleteIndexRange { table: indexes::NAMES, from, to });
    }

    /// Sets a row.
    pub fn put_row<T: Serialize>(&self, table: RowTable, id: Id, record: &T) -> Result<()> {
        let body = strongroom_base::SecretBytes::new(encode(record)?);
        self.put_row_bytes(table, id, body.expose_secret())
    }

    /// Sets a row to plain bytes.
    pub fn put_row_bytes(&self, table: RowTable, id: Id, body: &[u8]) -> Result<()> {
        let key = row_key(table, self.scope, id);
        let sealed = self.tx.store.barrier.seal(self.scope, &aad(&key), body)?;
        self.tx.change(Change::Put(key, sealed));
        Ok(())
    }

    /// Removes a row.
    pub fn delete_row(&self, table: RowTable, id: Id) {
        self.tx.change(Change::Delete(row_key(table, self.scope, id)));
    }
}

/// Splits a named record's plain bytes into name and record.
fn split_named(plain: &[u8]) -> Result<(&str, &[u8])> {
    let damaged = || Error::internal("a named record is damaged");
    let length = plain.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let end = 4 + length.ok_or_else(damaged)? as usize;
    let name = plain.get(4..end).and_then(|b| std::str::from_utf8(b).ok());
    Ok((name.ok_or_else(damaged)?, &plain[end..]))
}
