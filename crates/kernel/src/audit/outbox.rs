//! Audit lines on their way from a transaction to the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use strongroom_base::{Error, Result};
use strongroom_storage::{Change, Commit};
use tokio::sync::Notify;

use super::render::Lines;
use crate::record::{Id, Scope, Store, Tx, rows, storage_error};

/// Rows read at a time at recovery.
const PAGE: usize = 1_000;

#[derive(Default)]
struct Ids {
    /// Given to transactions whose lines are not in the log yet.
    under_way: BTreeSet<Id>,
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
        ids.newest = ids.newest.max(self.id);
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let mut ids = self.ids.lock();
        ids.under_way.remove(&self.id);
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
        ids.under_way.first().copied().unwrap_or(ids.newest + 1)
    }

    /// Removes the rows below `id`: their lines are durable in the log.
    pub(super) async fn remove_below(&self, store: &Arc<Store>, id: Id) -> Result<()> {
        let (from, end) = Scope::ROOT.rows();
        let to = id.min(end);
        let first = store.storage.scan_rows(rows::OUTBOX, from, to, 1).done().await;
        if first.map_err(storage_error)?.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            snapshot: store.storage.revision(),
            changes: vec![Change::DeleteRows { table: rows::OUTBOX, from, to }],
            term: store.term,
            ..Commit::default()
        };
        store.storage.commit(commit).await.map(|_| ()).map_err(storage_error)
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
                let body = tx.read(Scope::ROOT).row_bytes(rows::OUTBOX, *id).await?;
                if let Some(body) = body {
                    let damaged = || Error::internal("an outbox row is damaged");
                    out.push((*id, Lines::read(body.expose_secret()).ok_or_else(damaged)?));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last + 1,
                _ => return Ok(out),
            }
        }
    }
}
