//! The simulated disk: storage in memory that takes its time, fails and dies by the dice, and the
//! audit log's segments, of which a power cut takes what was not synced.
//!
//! It also keeps the truth that no server can know: whether a request's commit was applied, though
//! its answer said otherwise or never came.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_kernel::audit::medium::{Medium, Segment};
use strongroom_kernel::due::links;
use strongroom_kernel::record::{indexes, rows};
use strongroom_storage::memory::{Fault, MemoryStorage};
use strongroom_storage::{
    BoxFuture, Change, Commit, Counters, INDEX_TABLES, IndexKey, IndexTable, Key, Listener, Page,
    ROW_TABLES, Read, Revision, Role, RowTable, Storage, StorageError, Value,
};

use crate::dice::Dice;
use crate::outside::Outside;

tokio::task_local! {
    /// The number of the request that runs.
    pub static REQUEST: u64;
}

/// What storage knows of one request's commits.
#[derive(Clone, Copy, Default, Debug)]
pub struct Applied {
    /// A transaction with audit lines: its effect.
    pub effect: bool,
    /// A transaction without: the use of a token.
    pub other: u32,
    /// A commit was made to fail.
    pub failed: bool,
}

/// How the disk behaves from now on.
#[derive(Clone, Copy, Default)]
pub struct Mood {
    /// One commit in so many fails; 0 is none.
    pub failing: u64,
    /// Most turns that a read or a commit waits.
    pub slow: u64,
}

/// Memory storage whose answers come late, and whose commits may fail.
pub struct SimStorage {
    inner: Arc<MemoryStorage>,
    dice: Dice,
    mood: Mutex<Mood>,
    applied: Mutex<BTreeMap<u64, Applied>>,
    /// Is told when a commit is lost that would have ended a lease.
    outside: Arc<Outside>,
}

impl SimStorage {
    /// A disk over `inner`.
    pub fn new(inner: Arc<MemoryStorage>, dice: Dice, outside: Arc<Outside>) -> Arc<Self> {
        Arc::new(Self { inner, dice, mood: Mutex::default(), applied: Mutex::default(), outside })
    }

    /// Sets how it behaves.
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    /// The truth about a request.
    pub fn applied(&self, request: u64) -> Applied {
        self.applied.lock().get(&request).copied().unwrap_or_default()
    }

    /// The process dies: what was committed is in the storage returned.
    pub fn crash(&self) -> Arc<MemoryStorage> {
        self.inner.crash()
    }

    /// All bytes that lie on the disk.
    pub async fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for table in 0..ROW_TABLES {
            let page = self.inner.scan_rows(RowTable(table), 0, 1 << 62, usize::MAX).done().await;
            page.unwrap_or_default().iter().for_each(|(_, value)| out.extend_from_slice(value));
        }
        for table in 0..INDEX_TABLES {
            let (table, end) = (IndexTable(table), [0xff; 64]);
            let page = self.inner.scan_index(table, &[], &end, usize::MAX).done().await;
            for (key, value) in page.unwrap_or_default() {
                out.extend_from_slice(&key);
                out.extend_from_slice(&value);
            }
        }
        out
    }

    fn wait(&self) -> u64 {
        let slow = self.mood.lock().slow;
        if slow == 0 { 0 } else { self.dice.roll(slow + 1) }
    }

    /// The fault that a commit meets.
    fn fault(&self) -> Option<Fault> {
        let failing = self.mood.lock().failing;
        if failing == 0 || !self.dice.one_in(failing) {
            return None;
        }
        Some(match self.dice.roll(3) {
            0 => Fault { error: StorageError::Full, applied: false },
            kind => {
                let error = StorageError::InDoubt("simulated".to_owned());
                Fault { error, applied: kind == 1 }
            }
        })
    }

    async fn commit_now(&self, commit: Commit) -> Result<Revision, StorageError> {
        turns(self.wait()).await;
        self.outside.stop.step().await;
        let request = REQUEST.try_with(|n| *n).ok();
        let effect = commit
            .changes
            .iter()
            .any(|c| matches!(c, Change::Put(Key::Row(table, _), _) if *table == rows::OUTBOX));
        // Its lines tell of the lease that is begun, not of the request; nor is it the request's
        // when that is withdrawn.
        let intent = commit.changes.iter().any(begins_lease)
            || !effect && commit.changes.iter().any(is_intent);
        let fault = if commit.changes.is_empty() { None } else { self.fault() };
        let hidden = fault.as_ref().map(|fault| fault.applied);
        let changes = !commit.changes.is_empty();
        if let Some(fault) = fault {
            self.inner.fail_next(fault);
        }
        let ends = commit.changes.iter().any(ends_lease);
        let before = self.inner.revision();
        let done = self.inner.commit(commit).await;
        if ends && done.is_err() {
            self.outside.note_lost();
        }
        if let (Some(request), true) = (request, changes) {
            let mut applied = self.applied.lock();
            let entry = applied.entry(request).or_default();
            entry.failed |= hidden.is_some();
            if self.inner.revision() > before && !intent {
                entry.effect |= effect;
                entry.other += u32::from(!effect);
            }
        }
        self.outside.stop.step().await;
        turns(self.wait()).await;
        done
    }
}

fn begins_lease(change: &Change) -> bool {
    is_intent(change) && matches!(change, Change::Put(..))
}

/// Is it about the link of an intent?
fn is_intent(change: &Change) -> bool {
    matches!(change, Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
        if *table == indexes::LINKS && key.first() == Some(&links::INTENT))
}

fn ends_lease(change: &Change) -> bool {
    matches!(change, Change::Delete(Key::Row(table, _)) if *table == rows::LEASES)
}

/// Lets others run for some turns.
pub async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

impl Storage for SimStorage {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    fn get<'a>(&'a self, key: &'a Key) -> Read<'a, Option<Value>> {
        match self.wait() {
            0 if !self.outside.stop.is_on() => self.inner.get(key),
            count => Read::Later(Box::pin(async move {
                self.outside.stop.step().await;
                turns(count.saturating_sub(1)).await;
                let value = self.inner.get(key).done().await;
                turns(1).await;
                value
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
        match self.wait() {
            0 if !self.outside.stop.is_on() => self.inner.scan_index(table, from, to, limit),
            count => Read::Later(Box::pin(async move {
                self.outside.stop.step().await;
                turns(count).await;
                self.inner.scan_index(table, from, to, limit).done().await
            })),
        }
    }

    fn scan_rows<'a>(
        &'a self,
        table: RowTable,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Read<'a, Page<u64>> {
        match self.wait() {
            0 if !self.outside.stop.is_on() => self.inner.scan_rows(table, from, to, limit),
            count => Read::Later(Box::pin(async move {
                self.outside.stop.step().await;
                turns(count).await;
                self.inner.scan_rows(table, from, to, limit).done().await
            })),
        }
    }

    fn unchanged_since(
        &self,
        since: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool {
        self.inner.unchanged_since(since, keys, ranges)
    }

    fn next_id(&self) -> u64 {
        self.inner.next_id()
    }

    fn commit<'a>(&'a self, commit: Commit) -> BoxFuture<'a, Result<Revision, StorageError>> {
        Box::pin(self.commit_now(commit))
    }

    fn listen(&self, listener: Listener) {
        self.inner.listen(listener);
    }

    fn role(&self) -> Role {
        self.inner.role()
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }

    fn health(&self) -> Result<(), StorageError> {
        self.inner.health()
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        self.inner.close()
    }
}

#[derive(Clone, Default)]
struct Lines {
    segments: Vec<(u64, Vec<u8>)>,
    /// Bytes of the newest segment that are durable.
    synced: usize,
    key: String,
}

/// The audit log's segments.
#[derive(Default)]
pub struct SimMedium {
    lines: Mutex<Lines>,
}

impl SimMedium {
    /// The whole log.
    pub fn contents(&self) -> Vec<u8> {
        let lines = self.lines.lock();
        lines.segments.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>().concat()
    }

    /// The public key beside the log, as hex.
    pub fn key(&self) -> String {
        self.lines.lock().key.clone()
    }

    /// The log as the next start finds it. A power cut takes some of what was not synced, in the
    /// middle of a line if it likes; a killed process leaves what it wrote.
    pub fn crash(&self, power_cut: Option<&Dice>) -> Arc<Self> {
        let mut lines = self.lines.lock().clone();
        let synced = lines.synced;
        if let (Some(dice), Some((_, bytes))) = (power_cut, lines.segments.last_mut()) {
            let unsynced = bytes.len().saturating_sub(synced);
            bytes.truncate(synced + dice.roll(unsynced as u64 + 1) as usize);
        }
        lines.synced = lines.segments.last().map_or(0, |(_, bytes)| bytes.len());
        Arc::new(Self { lines: Mutex::new(lines) })
    }
}

impl Medium for SimMedium {
    fn append(&self, lines: &[u8]) -> io::Result<()> {
        match self.lines.lock().segments.last_mut() {
            Some((_, bytes)) => bytes.extend_from_slice(lines),
            None => return Err(io::Error::other("no segment was begun")),
        }
        Ok(())
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            let mut lines = self.lines.lock();
            lines.synced = lines.segments.last().map_or(0, |(_, bytes)| bytes.len());
            Ok(())
        })
    }

    fn begin(&self, first: u64) -> io::Result<()> {
        let mut lines = self.lines.lock();
        lines.segments.push((first, Vec::new()));
        lines.synced = 0;
        Ok(())
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        let lines = self.lines.lock();
        let view = |(first, bytes): &(u64, Vec<u8>)| Segment {
            first: *first,
            bytes: bytes.len() as u64,
            written: 0,
        };
        Ok(lines.segments.iter().map(view).collect())
    }

    fn read(&self, first: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let lines = self.lines.lock();
        let found = lines.segments.iter().find(|(f, _)| *f == first);
        let (_, all) = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let from = (offset as usize).min(all.len());
        let to = from.saturating_add(bytes).min(all.len());
        Ok(all[from..to].to_vec())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut lines = self.lines.lock();
        if let Some((_, all)) = lines.segments.last_mut() {
            all.truncate(bytes as usize);
        }
        lines.synced = lines.synced.min(bytes as usize);
        Ok(())
    }

    fn remove(&self, first: u64) -> io::Result<()> {
        self.lines.lock().segments.retain(|(f, _)| *f != first);
        Ok(())
    }

    fn publish_key(&self, key: &str) -> io::Result<()> {
        self.lines.lock().key = key.to_owned();
        Ok(())
    }
}
