//! Storage in SQLite: the durable store of one node.
//!
//! One thread writes ([`writer`]), one moves the write-ahead log into the data file
//! ([`checkpoint`]), and whoever reads does so on its own thread ([`readers`]), mostly from the
//! bounded [`cache`]. `docs/formats/sqlite.md` describes the files.
//!
//! What this module does not know: what the records mean. It never sees plaintext.

mod cache;
mod checkpoint;
mod copies;
mod error;
mod folder;
mod ids;
mod queue;
mod readers;
mod recovery;
mod schema;
mod statements;
mod wal;
mod writer;

use crate::copies::Copies;
use crate::recent::Recent;
use crate::reserve::Reserve;
use crate::{
    BoxFuture, Change, Commit, Counters, IndexKey, IndexTable, Key, Listener, Page, Read, Revision,
    Role, RowTable, Storage, StorageError, Value,
};
use cache::{Cache, Known};
use checkpoint::Checkpoints;
use copies::Replacement;
use folder::Folder;
use ids::Ids;
use parking_lot::{Mutex, RwLock};
use queue::Queue;
use readers::Readers;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Bytes of a page of the data file.
const PAGE_BYTES: u64 = 4096;
/// Rows counted in one read.
const COUNTED_AT_ONCE: u64 = 16_384;

/// Tables of which little is ever read by itself: that something of them was written is no reason to
/// keep it in memory.
#[derive(Clone, Copy, Default, Debug)]
pub struct Passing {
    /// Row tables.
    pub rows: &'static [RowTable],
    /// Index tables.
    pub indexes: &'static [IndexTable],
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Bytes of records kept in memory.
    pub cache_bytes: usize,
    /// What is not kept in memory for having been written.
    pub passing: Passing,
    /// Bytes of pages the writer keeps.
    pub writer_cache_bytes: usize,
    /// Bytes of pages each reading connection keeps.
    pub reader_cache_bytes: usize,
    /// A write-ahead log of so many bytes is moved into the data file.
    pub log_bytes: u64,
    /// The SQLite VFS to use: for fault injection in tests.
    pub vfs: Option<String>,
    /// Bytes of disk kept back for the day it is full; 0 keeps none.
    pub reserve_bytes: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 8 << 20,
            passing: Passing::default(),
            writer_cache_bytes: 8 << 20,
            reader_cache_bytes: 16 << 20,
            log_bytes: 16 << 20,
            vfs: None,
            reserve_bytes: 0,
        }
    }
}

/// A durable store in a folder.
pub struct SqliteStorage {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads of a store share.
struct Shared {
    options: SqliteOptions,
    folder: Folder,
    data: PathBuf,
    wal: PathBuf,
    cache: Cache,
    recent: Mutex<Recent>,
    revision: AtomicU64,
    ids: Ids,
    listeners: RwLock<Vec<Listener>>,
    queue: Queue,
    readers: Readers,
    checkpoints: Checkpoints,
    /// Whoever changes the log holds it: the writer for a batch, a checkpoint for its last step.
    gate: Mutex<()>,
    /// Is a batch under way? Its end is told.
    batch_open: AtomicBool,
    batch_ended: tokio::sync::Notify,
    /// Odd from just before a COMMIT until all of it is published: SQLite may show what the cache
    /// does not know yet.
    window: AtomicU64,
    /// Is a batch being published? Some of it is visible then and some is not.
    publishing: AtomicBool,
    /// Pages in the log after the last commit, and how many call for a checkpoint.
    wal_pages: Arc<AtomicU64>,
    checkpoint_at: AtomicU64,
    failure: RwLock<Option<StorageError>>,
    /// Is there one?
    failed: AtomicBool,
    /// Commits under another term are of a store that was replaced.
    term: AtomicU64,
    /// Held while a copy is taken, and by whoever must find nobody at the files.
    copying: Mutex<()>,
    /// What the writer is to put in the store's place.
    replacement: Mutex<Option<Replacement>>,
    full: AtomicBool,
    reserve: Reserve,
    commits: AtomicU64,
    batches: AtomicU64,
    conflicts: AtomicU64,
}

impl Shared {
    fn failure(&self) -> Option<StorageError> {
        self.failure.read().clone()
    }

    /// From now on nothing is acknowledged or read until [`Self::recovered`].
    fn fail(&self, why: StorageError) {
        let before = self.failure.write().replace(why.clone());
        self.failed.store(true, Ordering::SeqCst);
        if before.as_ref().is_none_or(|before| before.to_string() != why.to_string())
            && !matches!(why, StorageError::Closed | StorageError::Busy(_))
        {
            tracing::error!(error = %why, "the store does not serve");
        }
        self.readers.shut(why);
        self.ids.wake_all();
    }

    fn recovered(&self) {
        self.readers.open();
        let before = self.failure.write().take();
        self.failed.store(false, Ordering::SeqCst);
        if before.is_some() {
            tracing::info!("the store serves again");
        }
    }

    /// As [`Self::published`], unless the store has failed: then memory is not served either.
    fn served(&self, key: &Key) -> Option<Result<Option<Value>, StorageError>> {
        match self.failed.load(Ordering::Relaxed).then(|| self.failure()).flatten() {
            Some(why) => Some(Err(why)),
            None => self.published(key),
        }
    }

    /// A record as it was published last. `None` while a commit that changes it may or may not be
    /// visible already.
    fn published(&self, key: &Key) -> Option<Result<Option<Value>, StorageError>> {
        let place = self.cache.place(key);
        if let Known::Yes(value) = self.cache.get(place, key) {
            return Some(Ok(value));
        }
        // Before the read begins: a change that comes after it makes the cache drop what was read.
        let revision = self.revision.load(Ordering::Acquire);
        let window = self.window.load(Ordering::SeqCst);
        let read = self.readers.get(revision, key);
        let undoubted = window.is_multiple_of(2) && self.window.load(Ordering::SeqCst) == window;
        if !undoubted && !self.recent.lock().unchanged(revision, std::slice::from_ref(key), &[]) {
            return None;
        }
        if let Ok(value) = &read {
            self.cache.fill(place, key, revision, value.as_ref());
        }
        Some(read)
    }

    fn tell(&self, revision: Revision, changes: &[Change]) {
        for listener in self.listeners.read().iter() {
            listener(revision, changes);
        }
    }
}

impl SqliteStorage {
    /// Opens the store in the folder `path`, and makes it where there is none.
    ///
    /// # Errors
    /// If the folder is in use by another server or on a remote file system, or if a file is
    /// missing, damaged or of another format: the error names it.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Arc<Self>, StorageError> {
        let folder = Folder::open(path)?;
        let (data, wal) = (folder.data(), folder.wal());
        let reserve = Reserve::new(folder.reserve(), options.reserve_bytes);
        let shared = Arc::new(Shared {
            cache: Cache::new(options.cache_bytes, options.passing),
            recent: Mutex::new(Recent::starting_at(0)),
            revision: AtomicU64::new(0),
            ids: Ids::default(),
            listeners: RwLock::default(),
            queue: Queue::new(),
            readers: Readers::new(&data, options.vfs.as_deref(), options.reader_cache_bytes),
            checkpoints: Checkpoints::default(),
            gate: Mutex::default(),
            batch_open: AtomicBool::new(false),
            batch_ended: tokio::sync::Notify::new(),
            window: AtomicU64::new(0),
            publishing: AtomicBool::new(false),
            wal_pages: Arc::default(),
            checkpoint_at: AtomicU64::new(options.log_bytes / PAGE_BYTES),
            failure: RwLock::default(),
            failed: AtomicBool::new(false),
            term: AtomicU64::new(0),
            copying: Mutex::default(),
            replacement: Mutex::default(),
            full: AtomicBool::new(false),
            reserve,
            commits: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            options,
            folder,
            data,
            wal,
        });
        let opened = match recovery::open(&shared) {
            // What has to be written to open the store is little.
            Err(StorageError::Full) if shared.reserve.spend() => recovery::open(&shared)?,
            opened => opened?,
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)
                .map_err(|e| StorageError::Io(format!("starting a thread: {}", e.kind())))
        };
        let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
        let checkpoints = spawn("storage-log", Box::new(move || checkpoint::run(one)))?;
        let writer = spawn("storage-write", Box::new(move || writer::run(two, opened)));
        if writer.is_err() {
            shared.checkpoints.end();
        }
        Ok(Arc::new(Self { threads: Mutex::new(vec![writer?, checkpoints]), shared }))
    }

    /// Reads every page of the store in the folder `path` and checks that they fit together: for
    /// `operator diagnose`, on a store that no server has open.
    ///
    /// # Errors
    /// If it is in use, or damaged: the error names the file and the first findings.
    pub fn verify(path: &Path) -> Result<(), StorageError> {
        if !path.join(folder::DATA).is_file() {
            return Err(StorageError::Io(format!("{} holds no store", path.display())));
        }
        let folder = Folder::open(path)?;
        schema::check_header(&folder.data())?;
        wal::check(&folder.wal())?;
        schema::verify(&folder.data())
    }

    fn end(&self) {
        self.shared.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
        self.shared.fail(StorageError::Closed);
    }
}

impl Drop for SqliteStorage {
    fn drop(&mut self) {
        self.end();
    }
}

impl Storage for SqliteStorage {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn revision(&self) -> Revision {
        self.shared.revision.load(Ordering::Acquire)
    }

    fn get<'a>(&'a self, key: &'a Key) -> Read<'a, Option<Value>> {
        let shared = &*self.shared;
        match shared.served(key) {
            Some(read) => Read::Now(read),
            None => Read::Later(Box::pin(async move {
                loop {
                    self.settled().await;
                    if let Some(read) = shared.served(key) {
                        return read;
                    }
                }
            })),
        }
    }

    fn scan_index<'a>(
        &'a self,
        table: IndexTable,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Read<'a, Page<IndexKey>> {
        Read::Now(self.shared.readers.scan_index(self.revision(), table, from, to, limit))
    }

    fn scan_rows<'a>(
        &'a self,
        table: RowTable,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Read<'a, Page<u64>> {
        Read::Now(self.shared.readers.scan_rows(self.revision(), table, from, to, limit))
    }

    fn count_rows<'a>(&'a self, table: RowTable) -> BoxFuture<'a, Result<u64, StorageError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let count = move || {
                let (mut all, mut next) = (0, Some(0));
                while let Some(from) = next {
                    let revision = shared.revision.load(Ordering::Acquire);
                    let (rows, more) =
                        shared.readers.count_some(revision, table, from, COUNTED_AT_ONCE)?;
                    (all, next) = (all + rows, more);
                }
                Ok(all)
            };
            let counted = tokio::task::spawn_blocking(count).await;
            counted.unwrap_or_else(|_| Err(StorageError::Io("counting rows".to_owned())))
        })
    }

    fn unchanged_since(
        &self,
        since: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool {
        let shared = &*self.shared;
        let recent = shared.recent.lock();
        // In this order: whatever is published in between is in the revision, then.
        let upto = match shared.publishing.load(Ordering::SeqCst) {
            true => Revision::MAX,
            false => self.revision(),
        };
        recent.unchanged_upto(since, upto, keys, ranges)
    }

    fn settled<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut ended = std::pin::pin!(self.shared.batch_ended.notified());
            // Before the look, so that an end in between is not missed.
            ended.as_mut().enable();
            if self.shared.batch_open.load(Ordering::SeqCst) {
                ended.await;
            }
        })
    }

    fn next_id(&self) -> u64 {
        let shared = &*self.shared;
        shared.ids.next(|| shared.queue.nudge(), || shared.failure.read().is_none())
    }

    fn commit<'a>(&'a self, commit: Commit) -> BoxFuture<'a, Result<Revision, StorageError>> {
        Box::pin(async move {
            commit.check()?;
            if let Some(why) = self.shared.failure() {
                return Err(why);
            }
            if commit.changes.is_empty() {
                // Nothing to sync. Whoever read a change that is not published yet is refused, as
                // changes are noted before anyone can read them.
                let unchanged =
                    self.unchanged_since(commit.snapshot, &commit.reads, &commit.ranges);
                return if unchanged { Ok(self.revision()) } else { Err(StorageError::Conflict) };
            }
            self.shared.queue.submit(commit).await
        })
    }

    fn listen(&self, listener: Listener) {
        self.shared.listeners.write().push(listener);
    }

    fn role(&self) -> Role {
        Role::Active { term: self.shared.term.load(Ordering::Acquire) }
    }

    fn counters(&self) -> Counters {
        let shared = &*self.shared;
        let (cache_hits, cache_misses) = shared.cache.counts();
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        Counters {
            commits: shared.commits.load(Ordering::Relaxed),
            batches: shared.batches.load(Ordering::Relaxed),
            conflicts: shared.conflicts.load(Ordering::Relaxed),
            cache_hits,
            cache_misses,
            disk_bytes: bytes(&shared.data) + bytes(&shared.wal),
        }
    }

    fn health(&self) -> Result<(), StorageError> {
        match self.shared.failure() {
            Some(why) => Err(why),
            None if self.shared.full.load(Ordering::Relaxed) || self.is_full() => {
                Err(StorageError::Full)
            }
            None => Ok(()),
        }
    }

    fn failure(&self) -> Option<StorageError> {
        if self.shared.failed.load(Ordering::Relaxed) { self.shared.failure() } else { None }
    }

    fn place(&self, key: &Key) -> String {
        format!("{}, {key}", self.shared.data.display())
    }

    fn is_full(&self) -> bool {
        self.shared.reserve.is_spent()
    }

    fn copies(&self) -> Option<Arc<dyn Copies>> {
        Some(self.shared.clone())
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.end() })
    }
}
