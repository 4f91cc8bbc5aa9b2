//! Audit lines on their way from a transaction to the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use strongroom_base::{Error, Result};
use strongroom_storage::{Change, Commit};

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
    ids: Arc<Mutex<Ids>>,
}

/// The lines of a transaction that may become durable.
pub struct Recorded {
    id: Id,
    lines: [Vec<u8>; 2],
    ids: Arc<Mutex<Ids>>,
}

impl Recorded {
    /// The outbox row's id.
    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Both lines.
    pub(super) fn lines(&self) -> &[Vec<u8>; 2] {
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
        self.ids.lock().under_way.remove(&self.id);
    }
}

impl Outbox {
    /// Puts lines into a transaction.
    pub(super) fn put(&self, tx: &Tx, lines: [Vec<u8>; 2]) -> Result<Recorded> {
        let mut body = Vec::with_capacity(lines[0].len() + lines[1].len() + 4);
        body.extend_from_slice(&(lines[0].len() as u32).to_be_bytes());
        body.extend_from_slice(&lines[0]);
        body.extend_from_slice(&lines[1]);
        let id = {
            // Under the lock, so that no smaller id comes up later than a larger one is moved.
            let mut ids = self.ids.lock();
            let id = tx.new_id();
            ids.under_way.insert(id);
            id
        };
        let recorded = Recorded { id, lines, ids: self.ids.clone() };
        tx.write(Scope::ROOT).put_row_bytes(rows::OUTBOX, id, &body)?;
        Ok(recorded)
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
            ..Commit::default()
        };
        store.storage.commit(commit).await.map(|_| ()).map_err(storage_error)
    }

    /// All rows that a crash left, oldest first.
    pub(super) async fn left_over(&self, store: &Arc<Store>) -> Result<Vec<(Id, [Vec<u8>; 2])>> {
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
                    out.push((*id, split(body.expose_secret())?));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last + 1,
                _ => return Ok(out),
            }
        }
    }
}

fn split(body: &[u8]) -> Result<[Vec<u8>; 2]> {
    let damaged = || Error::internal("an outbox row is damaged");
    let length = body.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let end = 4 + length.ok_or_else(damaged)? as usize;
    let first = body.get(4..end).ok_or_else(damaged)?;
    Ok([first.to_vec(), body[end..].to_vec()])
}
