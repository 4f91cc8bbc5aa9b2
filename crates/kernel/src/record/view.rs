//! Views of one scope within a transaction, which plug-ins get.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_base::{Error, Result, SecretBytes};
use strongroom_storage::{Change, IndexKey, Key, RowTable};

use super::store::{AnyRecord, storage_error};
use super::{
    Id, Record, Scope, Tx, aad, decode, encode, indexes, name_key, name_prefix, prefix_end, row_key,
};

/// Entries read from storage at a time while a folder is walked.
const SCAN_PAGE: usize = 1_000;

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
    pub(super) fn new(tx: &'a Tx, scope: Scope) -> Self {
        Self { tx, scope }
    }

    /// The scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    fn digest(&self, kind: u8, name: &str) -> [u8; 32] {
        self.tx.store().barrier.digest(self.scope, &[&[kind], name.as_bytes()])
    }

    fn key<T: Record>(&self, parent: Id, name: &str) -> Key {
        name_key(self.scope, T::KIND, parent, &self.digest(T::KIND, name))
    }

    fn open(&self, key: &Key, sealed: &[u8]) -> Result<SecretBytes> {
        let store = self.tx.store();
        store.barrier.open(self.scope, &aad(key), sealed).map_err(|e| {
            let why = e.cause.as_ref().map(ToString::to_string).unwrap_or_default();
            Error::internal(format!("{}: {why}", store.storage.place(key)))
        })
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
            let sealed = self.tx.store().storage.get(&key).done().await.map_err(storage_error)?;
            let Some(sealed) = sealed else { return Ok(None) };
            let plain = self.open(&key, &sealed)?;
            let (_, record) = split_named(plain.expose_secret())?;
            Ok(Some(Arc::new(prepare(decode::<T>(record)?)?) as AnyRecord))
        };
        let Some(made) = self.tx.store().decoded.get_or_fill(index, fill).await? else {
            return Ok(None);
        };
        let made = (*made).clone().downcast::<V>();
        made.map(Some).map_err(|_| Error::internal("a remembered record has another type"))
    }

    /// The names of all records of type `T` below `parent`, sorted.
    pub async fn names<T: Record>(&self, parent: Id) -> Result<Arc<Vec<String>>> {
        self.tx.store().folders.names(self, T::KIND, parent).await
    }

    /// What `build` makes of all records of type `T` below `parent`, made once and then shared until one of
    /// them changes: another order of a list. It says how many they are. One type of records has one such
    /// thing, which holds no secrets.
    pub async fn built_of<T: Record, V: Send + Sync + 'static>(
        &self,
        parent: Id,
        build: impl AsyncFnOnce() -> Result<(V, usize)>,
    ) -> Result<Arc<V>> {
        self.tx.store().folders.built(self, T::KIND, parent, build).await
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
        let storage = &self.tx.store().storage;
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
    pub async fn row_bytes(&self, table: RowTable, id: Id) -> Result<Option<SecretBytes>> {
        let key = row_key(table, self.scope, id);
        let Some(sealed) = self.tx.raw(&key).await? else { return Ok(None) };
        self.open(&key, &sealed).map(Some)
    }

    /// A digest of `parts` under a key of this scope.
    pub fn digest_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.tx.store().barrier.digest(self.scope, parts)
    }
}

impl<'a> WriteView<'a> {
    pub(super) fn new(tx: &'a Tx, scope: Scope) -> Self {
        Self { view: ReadView::new(tx, scope) }
    }

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
        let plain = SecretBytes::new(plain);
        let _wiped = SecretBytes::new(body);
        let sealed = self.tx.store().barrier.seal(self.scope, &aad(&key), plain.expose_secret())?;
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
        let body = SecretBytes::new(encode(record)?);
        self.put_row_bytes(table, id, body.expose_secret())
    }

    /// Sets a row to plain bytes.
    pub fn put_row_bytes(&self, table: RowTable, id: Id, body: &[u8]) -> Result<()> {
        let key = row_key(table, self.scope, id);
        let sealed = self.tx.store().barrier.seal(self.scope, &aad(&key), body)?;
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
