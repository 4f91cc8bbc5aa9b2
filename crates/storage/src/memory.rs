//! Storage in memory: for dev mode, tests and the simulator.
//!
//! It is deterministic: ordered maps, no threads, and a commit is done when its future is first
//! polled. For the simulator it can fail the next commit, hold commits back, and "crash": what was
//! not yet acknowledged is gone, what was is there when it is opened again.

use crate::recent::Recent;
use crate::{
    BoxFuture, Change, Commit, Counters, INDEX_TABLES, IndexKey, IndexTable, Key, Listener, Page,
    ROW_TABLES, Read, Revision, Role, RowTable, Storage, StorageError, Value,
};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// Ids that a crash skips, as a durable store skips the rest of a reserved block.
const IDS_SKIPPED_BY_CRASH: u64 = 1 << 10;

/// What the next commit is to meet, instead of success.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What its caller is told.
    pub error: StorageError,
    /// Whether it becomes durable nevertheless, as after a failed sync whose outcome is unknown.
    pub applied: bool,
}

/// The records, as they would lie on a disk.
#[derive(Clone, Default)]
struct Records {
    rows: [BTreeMap<u64, Value>; ROW_TABLES as usize],
    index: [BTreeMap<IndexKey, Value>; INDEX_TABLES as usize],
}

impl Records {
    fn get(&self, key: &Key) -> Option<Value> {
        match key {
            Key::Row(table, id) => self.rows.get(usize::from(table.0))?.get(id).cloned(),
            Key::Index(table, key) => self.index.get(usize::from(table.0))?.get(key).cloned(),
        }
    }

    /// Tables were checked with [`Commit::check`]; a change to one that does not exist is nothing.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(Key::Row(table, id), value) => {
                if let Some(rows) = self.rows.get_mut(usize::from(table.0)) {
                    rows.insert(*id, value.clone());
                }
            }
            Change::Put(Key::Index(table, key), value) => {
                if let Some(index) = self.index.get_mut(usize::from(table.0)) {
                    index.insert(key.clone(), value.clone());
                }
            }
            Change::Delete(Key::Row(table, id)) => {
                if let Some(rows) = self.rows.get_mut(usize::from(table.0)) {
                    rows.remove(id);
                }
            }
            Change::Delete(Key::Index(table, key)) => {
                if let Some(index) = self.index.get_mut(usize::from(table.0)) {
                    index.remove(key);
                }
            }
            Change::DeleteRows { table, from, to } => {
                if let Some(rows) = self.rows.get_mut(usize::from(table.0))
                    && from < to
                {
                    let gone: Vec<u64> = rows.range(from..to).map(|(id, _)| *id).collect();
                    gone.iter().for_each(|id| {
                        rows.remove(id);
                    });
                }
            }
            Change::DeleteIndexRange { table, from, to } => {
                if let Some(index) = self.index.get_mut(usize::from(table.0))
                    && from < to
                {
                    let gone: Vec<IndexKey> =
                        index.range::<IndexKey, _>(from..to).map(|(key, _)| key.clone()).collect();
                    gone.iter().for_each(|key| {
                        index.remove(key);
                    });
                }
            }
            Change::Everything => {}
        }
    }
}

/// A commit that was handed over and is held back.
type Held = (Commit, oneshot::Sender<Result<Revision, StorageError>>);

#[derive(Default)]
struct Switches {
    faults: VecDeque<Fault>,
    /// With the next fault nothing is read any more.
    breaks: bool,
    hold: bool,
    held: VecDeque<Held>,
    failed: Option<StorageError>,
    role: Option<Role>,
}

/// A store in memory.
#[derive(Default)]
pub struct MemoryStorage {
    records: RwLock<Records>,
    recent: Mutex<Recent>,
    /// One commit at a time; listeners run under it, so it is not the lock of the records.
    writer: Mutex<()>,
    revision: AtomicU64,
    next_id: AtomicU64,
    commits: AtomicU64,
    conflicts: AtomicU64,
    listeners: RwLock<Vec<Listener>>,
    switches: Mutex<Switches>,
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Self::opened(Records::default(), 1)
    }

    fn opened(records: Records, next_id: u64) -> Arc<Self> {
        let store = Self { records: RwLock::new(records), ..Self::default() };
        store.next_id.store(next_id, Ordering::Relaxed);
        Arc::new(store)
    }

    /// The next commit with changes meets this fault; several are met in turn.
    pub fn fail_next(&self, fault: Fault) {
        self.switches.lock().faults.push_back(fault);
    }

    /// As [`Self::fail_next`], and from then on nothing is read or committed until [`Self::repair`].
    pub fn break_down(&self, fault: Fault) {
        let mut switches = self.switches.lock();
        switches.faults.push_back(fault);
        switches.breaks = true;
    }

    /// Reads and commits again, as a store that was reopened.
    pub fn repair(&self) {
        let _writer = self.writer.lock();
        let revision = self.revision() + 1;
        self.recent.lock().note(revision, &Change::Everything);
        for listener in self.listeners.read().iter() {
            listener(revision, &[Change::Everything]);
        }
        self.revision.store(revision, Ordering::Release);
        self.switches.lock().failed = None;
    }

    /// From now on commits wait for [`Self::release`].
    pub fn hold_commits(&self) {
        self.switches.lock().hold = true;
    }

    /// Commits the held-back transactions in their order, and holds no more.
    pub fn release(&self) {
        let held = {
            let mut switches = self.switches.lock();
            switches.hold = false;
            std::mem::take(&mut switches.held)
        };
        for (commit, reply) in held {
            // A receiver that is gone is a caller that no longer waits: its commit stands.
            let _ = reply.send(self.commit_now(commit));
        }
    }

    /// The process dies: what was not committed is dropped, the rest is in the store returned. This
    /// handle refuses everything from now on.
    pub fn crash(&self) -> Arc<Self> {
        let held = {
            let mut switches = self.switches.lock();
            switches.failed = Some(StorageError::Closed);
            std::mem::take(&mut switches.held)
        };
        drop(held);
        let records = std::mem::take(&mut *self.records.write());
        Self::opened(records, self.next_id.load(Ordering::Relaxed) + IDS_SKIPPED_BY_CRASH)
    }

    /// What this node is from now on.
    pub fn set_role(&self, role: Role) {
        self.switches.lock().role = Some(role);
    }

    fn commit_now(&self, commit: Commit) -> Result<Revision, StorageError> {
        commit.check()?;
        let fault = {
            let mut switches = self.switches.lock();
            if let Some(failed) = &switches.failed {
                return Err(failed.clone());
            }
            match switches.role.unwrap_or(Role::Active { term: 0 }) {
                Role::Active { term } if term == commit.term => {}
                _ => return Err(StorageError::Deposed),
            }
            let fault = if commit.changes.is_empty() { None } else { switches.faults.pop_front() };
            if fault.is_some() && std::mem::take(&mut switches.breaks) {
                let why = "it broke down".to_owned();
                switches.failed = Some(StorageError::Poisoned(why));
            }
            fault
        };
        if let Some(Fault { error, applied: false }) = fault {
            return Err(error);
        }
        let revision = self.apply(&commit)?;
        fault.map_or(Ok(revision), |fault| Err(fault.error))
    }

    /// Validates, applies and tells the listeners.
    fn apply(&self, commit: &Commit) -> Result<Revision, StorageError> {
        let _writer = self.writer.lock();
        let mut recent = self.recent.lock();
        if !recent.unchanged(commit.snapshot, &commit.reads, &commit.ranges) {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
            return Err(StorageError::Conflict);
        }
        if commit.changes.is_empty() {
            return Ok(self.revision());
        }
        let revision = self.revision() + 1;
        commit.changes.iter().for_each(|change| recent.note(revision, change));
        drop(recent);
        {
            let mut records = self.records.write();
            commit.changes.iter().for_each(|change| records.apply(change));
        }
        for listener in self.listeners.read().iter() {
            listener(revision, &commit.changes);
        }
        self.revision.store(revision, Ordering::Release);
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(revision)
    }

    fn usable(&self) -> Result<(), StorageError> {
        self.switches.lock().failed.clone().map_or(Ok(()), Err)
    }
}

impl Storage for MemoryStorage {
    fn kind(&self) -> &'static str {
        "inmem"
    }

    fn revision(&self) -> Revision {
        self.revision.load(Ordering::Acquire)
    }

    fn get<'a>(&'a self, key: &'a Key) -> Read<'a, Option<Value>> {
        Read::Now(self.usable().map(|()| self.records.read().get(key)))
    }

    fn scan_index<'a>(
        &'a self,
        table: IndexTable,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Read<'a, Page<IndexKey>> {
        Read::Now(self.usable().map(|()| {
            let records = self.records.read();
            let Some(index) = records.index.get(usize::from(table.0)).filter(|_| from < to) else {
                return Page::new();
            };
            index
                .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
                .take(limit)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        }))
    }

    fn scan_rows<'a>(
        &'a self,
        table: RowTable,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Read<'a, Page<u64>> {
        Read::Now(self.usable().map(|()| {
            let records = self.records.read();
            let Some(rows) = records.rows.get(usize::from(table.0)).filter(|_| from < to) else {
                return Page::new();
            };
            rows.range(from..to).take(limit).map(|(id, value)| (*id, value.clone())).collect()
        }))
    }

    fn unchanged_since(
        &self,
        since: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool {
        self.recent.lock().unchanged(since, keys, ranges)
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn settled<'a>(&'a self) -> BoxFuture<'a, ()> {
        // A commit that is under way has the writer's lock; it waits for nothing while it has it.
        Box::pin(async move { drop(self.writer.lock()) })
    }

    fn commit<'a>(&'a self, commit: Commit) -> BoxFuture<'a, Result<Revision, StorageError>> {
        Box::pin(async move {
            let waiting = {
                let mut switches = self.switches.lock();
                if switches.hold && switches.failed.is_none() {
                    let (reply, waiting) = oneshot::channel();
                    switches.held.push_back((commit, reply));
                    Ok(waiting)
                } else {
                    Err(commit)
                }
            };
            match waiting {
                Ok(waiting) => waiting.await.unwrap_or(Err(StorageError::Closed)),
                Err(commit) => self.commit_now(commit),
            }
        })
    }

    fn listen(&self, listener: Listener) {
        self.listeners.write().push(listener);
    }

    fn role(&self) -> Role {
        self.switches.lock().role.unwrap_or(Role::Active { term: 0 })
    }

    fn counters(&self) -> Counters {
        let commits = self.commits.load(Ordering::Relaxed);
        Counters {
            commits,
            batches: commits,
            conflicts: self.conflicts.load(Ordering::Relaxed),
            ..Counters::default()
        }
    }

    fn health(&self) -> Result<(), StorageError> {
        self.usable()
    }

    fn failure(&self) -> Option<StorageError> {
        self.switches.lock().failed.clone()
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.release();
            self.switches.lock().failed.get_or_insert(StorageError::Closed);
        })
    }
}
