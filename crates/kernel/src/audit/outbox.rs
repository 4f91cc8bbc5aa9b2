//! Audit lines on their way from a transaction to the log.
//!
//! Invariant: a row goes only once its lines are in the log. Of a transaction that failed without a word on
//! whether it is durable the row stays until the store says which, and the lines follow if it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use strongroom_base::{Error, ErrorKind, Result};
use strongroom_storage::{Change, Commit, StorageError};
use tokio::sync::Notify;

use super::render::Lines;
use crate::record::{Id, Scope, Store, Tx, rows, storage_error};

/// Rows read at a time at recovery.
const PAGE: usize = 1_000;

#[derive(Default)]
struct Ids {
    /// Given to transactions whose lines are not in the log yet.
    under_way: BTreeSet<Id>,
    /// Given to transactions that failed: whether they are durable nevertheless, only the store says, once
    /// it is read again. Nobody waits for them.
    in_doubt: BTreeSet<Id>,
    /// The newest id whose lines went to the log.
    newest: Id,
}

/// Which rows of the outbox are still needed.
#[derive(Default)]
pub(super) struct Outbox {
    ids: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ids: Mutex<Ids>,
    /// Told when nothing is under way any more.
    idle: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock()
    }
}

/// The lines of a transaction that may become durable.
pub struct Recorded {
    id: Id,
    lines: Lines,
    ids: Arc<Shared>,
}

impl Recorded {
    /// The outbox row's id.
    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Both lines.
    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The lines are in the log.
    pub(super) fn moved(self) {
        let mut ids = self.ids.lock();
        ids.under_way.remove(&self.id);
        ids.newest = ids.newest.max(self.id);
    }

    /// The transaction ended with this error: one that was refused is not durable, and will not be.
    pub fn failed(self, error: &Error) {
        let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref());
        let refused = matches!(
            cause,
            Some(StorageError::Full | StorageError::ReadOnly | StorageError::Deposed)
        );
        if refused || error.kind == ErrorKind::Conflict {
            self.ids.lock().under_way.remove(&self.id);
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let mut ids = self.ids.lock();
        if ids.under_way.remove(&self.id) {
            ids.in_doubt.insert(self.id);
        }
        if ids.under_way.is_empty() {
            self.ids.idle.notify_waiters();
        }
    }
}

impl Outbox {
    /// Puts lines into a transaction.
    pub(super) fn put(&self, tx: &Tx, lines: Lines) -> Result<Recorded> {
        let id = {
            // Under the lock, so that no smaller id comes up later than a larger one is moved.
            let mut ids = self.ids.lock();
            let id = tx.new_id();
            ids.under_way.insert(id);
            id
        };
        let recorded = Recorded { id, lines, ids: self.ids.clone() };
        tx.write(Scope::ROOT).put_row_bytes(rows::OUTBOX, id, recorded.lines.body())?;
        Ok(recorded)
    }

    /// The oldest transactions of which it is not known whether they are durable, up to `limit`.
    pub(super) fn in_doubt(&self, limit: usize) -> Vec<Id> {
        self.ids.lock().in_doubt.iter().take(limit).copied().collect()
    }

    /// Asks the store for the lines of a transaction that was in doubt. They are under way again, if it is
    /// durable; while the store cannot be read it stays in doubt.
    pub(super) async fn resolve(&self, store: &Arc<Store>, id: Id) -> Result<Option<Recorded>> {
        let lines = read_lines(&store.begin(), id).await?;
        let mut ids = self.ids.lock();
        ids.in_doubt.remove(&id);
        Ok(lines.map(|lines| {
            ids.under_way.insert(id);
            Recorded { id, lines, ids: self.ids.clone() }
        }))
    }

    /// Waits until no transaction with lines is under way.
    pub(super) async fn idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.ids.idle.notified());
            // Before the look, so that an end in between is not missed.
            idle.as_mut().enable();
            if self.ids.lock().under_way.is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Rows with ids below this have their lines in the log, or will never be durable.
    pub(super) fn moved_below(&self) -> Id {
        let ids = self.ids.lock();
        let open = ids.under_way.first().into_iter().chain(ids.in_doubt.first());
        open.min().copied().unwrap_or(ids.newest + 1)
    }

    /// Removes the rows below `id`: their lines are durable in the log.
    pub(super) async fn remove_below(&self, store: &Arc<Store>, id: Id) -> Result<()> {
        let (from, end) = Scope::ROOT.rows();
        let to = id.min(end);
        let first = store.storage.scan_rows(rows::OUTBOX, from, to, 1).done().await;
        if first.map_err(storage_error)?.is_empty() {
            return Ok(());
        }
        delete_rows(store, from, to).await
    }

    /// Waits until all commits that were handed to the storage have ended: one whose caller waits no more may
    /// stand in its queue still.
    pub(super) async fn after_all_commits(&self, store: &Arc<Store>) -> Result<()> {
        let (from, _) = Scope::ROOT.rows();
        delete_rows(store, from, from).await
    }

    /// All rows that a crash left, oldest first.
    pub(super) async fn left_over(&self, store: &Arc<Store>) -> Result<Vec<(Id, Lines)>> {
        let (mut from, to) = Scope::ROOT.rows();
        let mut out = Vec::new();
        loop {
            let page = store.storage.scan_rows(rows::OUTBOX, from, to, PAGE).done().await;
            let page: SmallVec<[u64; 16]> =
                page.map_err(storage_error)?.iter().map(|(id, _)| *id).collect();
            let tx = store.begin();
            for id in &page {
                out.extend(read_lines(&tx, *id).await?.map(|lines| (*id, lines)));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last + 1,
                _ => return Ok(out),
            }
        }
    }
}

/// Removes rows of the outbox.
async fn delete_rows(store: &Arc<Store>, from: Id, to: Id) -> Result<()> {
    let commit = Commit {
        snapshot: store.storage.revision(),
        changes: vec![Change::DeleteRows { table: rows::OUTBOX, from, to }],
        term: store.term,
        ..Commit::default()
    };
    store.storage.commit(commit).await.map(|_| ()).map_err(storage_error)
}

/// The lines of a row, if it is there.
async fn read_lines(tx: &Tx, id: Id) -> Result<Option<Lines>> {
    let body = tx.read(Scope::ROOT).row_bytes(rows::OUTBOX, id).await?;
    let damaged = || Error::internal("an outbox row is damaged");
    body.map(|body| Lines::read(body.expose_secret()).ok_or_else(damaged)).transpose()
}
