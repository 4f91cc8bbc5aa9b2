//! Durable records: the [`Storage`] trait, its in-memory and SQLite implementations, and the one
//! conformance suite that each of them passes.
//!
//! Storage holds opaque bytes in two kinds of tables and knows nothing of what they mean:
//! * a **row table** has 64-bit integer keys; rows that are written in the order of their ids are
//!   appended, which is what makes writes cheap;
//! * an **index table** has byte-string keys, ordered, for look-ups by name and for walks in order.
//!
//! Invariants:
//! * a commit that was acknowledged survives the loss of power at any later moment;
//! * a transaction is there wholly or not at all;
//! * before a commit is acknowledged, its changes have gone to every change-feed listener, so no
//!   value derived from older records outlives the acknowledgement;
//! * a transaction that read something another one changed since is refused as a conflict;
//! * after a failed sync or commit nothing more is acknowledged until the store was closed,
//!   reopened and recovered.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod copies;
pub mod memory;
mod recent;
pub mod reserve;
pub mod sqlite;

pub use memory::MemoryStorage;
pub use sqlite::{SqliteOptions, SqliteStorage};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A row table: 64-bit ids to bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct RowTable(pub u8);

/// An index table: ordered byte-string keys to bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct IndexTable(pub u8);

/// How many row tables there are, numbered from 0.
pub const ROW_TABLES: u8 = 8;
/// How many index tables there are, numbered from 0.
pub const INDEX_TABLES: u8 = 6;
/// Bytes of an index key at most.
pub const INDEX_KEY_BYTES_MAX: usize = 512;
/// Bytes of a record at most. Requests are bounded at 32 MiB; encodings may double that.
pub const VALUE_BYTES_MAX: usize = 96 << 20;
/// Rows looked at in one step of counting them.
const COUNT_PAGE: usize = 4_096;
/// Row ids are below this.
pub const ROW_ID_END: u64 = 1 << 63;

/// Bytes of an index key, inline up to 40 bytes: longer ones do not occur on hot paths.
pub type IndexKey = smallvec::SmallVec<[u8; 40]>;

/// The name of a record.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Key {
    /// A row by its id. Ids are below 2^63.
    Row(RowTable, u64),
    /// An index entry by its key.
    Index(IndexTable, IndexKey),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Row(table, id) => write!(f, "table r{}, row {id}", table.0),
            Self::Index(table, key) => {
                write!(f, "table i{}, key ", table.0)?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// A record's bytes, shared between the cache and readers.
pub type Value = Arc<[u8]>;

/// Numbers batches of commits. Rises with every batch that changed something, for as long as the
/// store is open; numbers of different openings cannot be compared.
pub type Revision = u64;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A read that is either answered on the spot or must wait for I/O elsewhere. The first case costs
/// no allocation; it is the rule for memory and for SQLite.
pub enum Read<'a, T> {
    /// The answer.
    Now(Result<T, StorageError>),
    /// A future of the answer.
    Later(BoxFuture<'a, Result<T, StorageError>>),
}

impl<'a, T> Read<'a, T> {
    /// Waits for the answer.
    pub async fn done(self) -> Result<T, StorageError> {
        match self {
            Self::Now(result) => result,
            Self::Later(future) => future.await,
        }
    }
}

/// One change of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Sets a record.
    Put(Key, Value),
    /// Removes a record; removing what is not there succeeds.
    Delete(Key),
    /// Removes the rows of `table` with ids in `from..to`.
    DeleteRows {
        /// The table.
        table: RowTable,
        /// The first id.
        from: u64,
        /// The id after the last one.
        to: u64,
    },
    /// Removes the index entries with keys in `from..to`.
    DeleteIndexRange {
        /// The table.
        table: IndexTable,
        /// The first key.
        from: IndexKey,
        /// The key after the last one.
        to: IndexKey,
    },
    /// Anything may have changed: the store was reopened after a failure. It stands only in the
    /// change feed; a commit that holds it is refused.
    Everything,
}

/// A transaction ready to be committed.
#[derive(Default, Debug)]
pub struct Commit {
    /// The revision at which the transaction began to read.
    pub snapshot: Revision,
    /// What it read by name (present or absent): if one of these changed after `snapshot`, the
    /// commit is refused with [`StorageError::Conflict`].
    pub reads: Vec<Key>,
    /// Index key ranges it listed, likewise.
    pub ranges: Vec<(IndexTable, IndexKey, IndexKey)>,
    /// What it changes, in order.
    pub changes: Vec<Change>,
    /// The leadership term under which it runs; a deposed leader's is refused. 0 on a single node.
    pub term: u64,
}

impl Commit {
    /// What it costs in memory and on disk, roughly, in bytes.
    pub fn cost(&self) -> usize {
        let changes: usize = self.changes.iter().map(|c| 128 + c.value_len()).sum();
        256 + changes + 64 * (self.reads.len() + self.ranges.len())
    }

    /// Refuses what no store can hold, before anything is changed.
    ///
    /// # Errors
    /// `Io` with the reason: it is the caller's mistake.
    pub fn check(&self) -> Result<(), StorageError> {
        self.changes.iter().try_for_each(Change::check)
    }
}

impl Change {
    fn value_len(&self) -> usize {
        if let Self::Put(_, value) = self { value.len() } else { 0 }
    }

    fn check(&self) -> Result<(), StorageError> {
        let refused = |why: &str| Err(StorageError::Io(why.to_owned()));
        match self {
            Self::Put(_, value) if value.len() > VALUE_BYTES_MAX => {
                refused("a record is larger than the storage allows")
            }
            Self::Put(key, _) | Self::Delete(key) if !key.is_valid() => {
                refused("a record's key is outside of the storage's tables or limits")
            }
            Self::DeleteRows { table, .. } if table.0 >= ROW_TABLES => refused("no such row table"),
            Self::DeleteIndexRange { table, .. } if table.0 >= INDEX_TABLES => {
                refused("no such index table")
            }
            Self::Everything => refused("a commit cannot change everything"),
            _ => Ok(()),
        }
    }
}

impl Key {
    /// Does it name a table that exists, within its limits?
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Row(table, id) => table.0 < ROW_TABLES && *id < ROW_ID_END,
            Self::Index(table, key) => table.0 < INDEX_TABLES && key.len() <= INDEX_KEY_BYTES_MAX,
        }
    }
}

/// Called with all changes of a batch after it became durable and before any commit of the batch is
/// acknowledged. It must be quick and do no I/O.
pub type Listener = Arc<dyn Fn(Revision, &[Change]) + Send + Sync>;

/// What this node is to the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It may write, under this term.
    Active {
        /// The leadership term.
        term: u64,
    },
    /// Another node writes.
    Standby,
}

/// Why storage refused or failed.
#[derive(Debug, Clone)]
pub enum StorageError {
    /// Something the transaction read was changed by another one; run it again.
    Conflict,
    /// The disk is full. Nothing was changed.
    Full,
    /// The medium is read-only or not permitted. Nothing was changed.
    ReadOnly,
    /// The store failed and has to be, or is being, reopened; whether the last commit is durable is
    /// known only after that. Nothing is acknowledged meanwhile.
    Poisoned(String),
    /// The store failed while this very commit was being made durable: whether it was is known only
    /// after the store is open again.
    InDoubt(String),
    /// A record or file is damaged; it is named and never served.
    Corrupt(String),
    /// This node's term is over.
    Deposed,
    /// Something that happens once at a time is happening already. Try again later.
    Busy(&'static str),
    /// The store is shut down.
    Closed,
    /// Anything else that failed.
    Io(String),
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflict => f.write_str("a concurrent transaction changed what was read"),
            Self::Full => f.write_str("the disk is full"),
            Self::ReadOnly => f.write_str("the storage is read-only"),
            Self::Poisoned(why) => write!(f, "the storage failed and is reopening: {why}"),
            Self::InDoubt(why) => write!(f, "the storage failed during a commit: {why}"),
            Self::Corrupt(what) => write!(f, "the storage is damaged: {what}"),
            Self::Deposed => f.write_str("another node has become active"),
            Self::Busy(with) => write!(f, "the storage is busy: {with}"),
            Self::Closed => f.write_str("the storage is closed"),
            Self::Io(what) => write!(f, "storage: {what}"),
        }
    }
}

impl std::error::Error for StorageError {}

/// A page of a walk: keys with their values, in order.
pub type Page<K> = Vec<(K, Value)>;

/// A store of records.
///
/// Reads see the newest committed state. A reader that needs several records to fit together asks
/// [`Storage::revision`] before, and [`Storage::unchanged_since`] after (a transaction's commit does
/// the same by itself).
pub trait Storage: Send + Sync + 'static {
    /// The name that `sys/seal-status` shows as `storage_type` (`inmem`, `file`, …).
    fn kind(&self) -> &'static str;

    /// The revision of the newest batch whose changes reads can see.
    fn revision(&self) -> Revision;

    /// A record's bytes, or `None` where there is none.
    fn get<'a>(&'a self, key: &'a Key) -> Read<'a, Option<Value>>;

    /// Up to `limit` index entries with keys in `from..to`, ascending.
    fn scan_index<'a>(
        &'a self,
        table: IndexTable,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Read<'a, Page<IndexKey>>;

    /// Up to `limit` rows with ids in `from..to`, ascending.
    fn scan_rows<'a>(
        &'a self,
        table: RowTable,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Read<'a, Page<u64>>;

    /// How many rows a table has. It walks over the table, though faster than a scan: not for every
    /// request.
    fn count_rows<'a>(&'a self, table: RowTable) -> BoxFuture<'a, Result<u64, StorageError>> {
        Box::pin(async move {
            let (mut from, mut all) = (0, 0);
            loop {
                let page = self.scan_rows(table, from, ROW_ID_END, COUNT_PAGE).done().await?;
                all += page.len() as u64;
                match page.last() {
                    Some((last, _)) if page.len() == COUNT_PAGE => from = last + 1,
                    _ => return Ok(all),
                }
            }
        })
    }

    /// Have these records and ranges, as reads showed them, stayed as they were at `since`? A record
    /// that a commit under way changes has not changed yet: reads show it only once it is published.
    /// May answer `false` when it does not know.
    fn unchanged_since(
        &self,
        since: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool;

    /// Waits until the commits that are under way have ended. Whoever only reads and finds that
    /// something of theirs changed waits so before it reads anew: trying at once might find the same
    /// until the sync is through.
    fn settled<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// A fresh number, rising, never given twice in the life of the store, below 2^40. Numbers may
    /// be skipped.
    fn next_id(&self) -> u64;

    /// Makes a transaction durable. Answers once the whole of it is, and every listener has seen it.
    /// A commit without changes only validates what was read. Dropping the future does not take a
    /// commit back that was already handed over.
    fn commit<'a>(&'a self, commit: Commit) -> BoxFuture<'a, Result<Revision, StorageError>>;

    /// Adds a listener to the change feed.
    fn listen(&self, listener: Listener);

    /// What this node is now.
    fn role(&self) -> Role;

    /// Counters for metrics and the benchmark.
    fn counters(&self) -> Counters;

    /// Is the store fit to serve? The reason if not (poisoned, full, damaged).
    fn health(&self) -> Result<(), StorageError>;

    /// Why nothing is read or acknowledged now, if that is so. Cheap.
    fn failure(&self) -> Option<StorageError> {
        None
    }

    /// Where a record lies, for people.
    fn place(&self, key: &Key) -> String {
        key.to_string()
    }

    /// Was the disk found full, and has only what room was kept back for that? Cheap.
    fn is_full(&self) -> bool {
        false
    }

    /// Whole copies of the store, where it lies in files.
    fn copies(&self) -> Option<Arc<dyn copies::Copies>> {
        None
    }

    /// Ends the store: takes no more commits, finishes those it took, closes the files.
    fn close<'a>(&'a self) -> BoxFuture<'a, ()>;
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    /// Transactions made durable.
    pub commits: u64,
    /// Batches: each is one sync.
    pub batches: u64,
    /// Transactions refused as conflicts.
    pub conflicts: u64,
    /// Reads answered from the cache.
    pub cache_hits: u64,
    /// Reads that went to the engine.
    pub cache_misses: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
}
