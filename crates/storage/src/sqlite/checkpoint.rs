//! Moves the write-ahead log into the data file, on a thread of its own.
//!
//! First without stopping anyone (PASSIVE); then, with the writer held for the few pages that came
//! meanwhile, so that the log begins anew (RESTART). A log whose file grew far beyond its bound is
//! cut (TRUNCATE).
//!
//! A checkpoint that found no room loses nothing: what it was to move is still in the log, and the
//! next one tries again. After one that failed to write or sync the store is reopened, and never is
//! the open log checkpointed again. For SQLite syncs the data file only with the newest frame: a
//! checkpoint that a batch overtakes copies pages and counts them as moved, and only the next one's
//! sync makes them durable. If that sync fails, the pages of both are lost, but later checkpoints
//! would copy those of the second alone and then let go of the log. The count lies in the index of
//! the log, which ends with its last connection; so reopening, and nothing else, copies all of the
//! log again.

use super::error::{plain, sort};
use super::schema::{self, Use};
use super::{PAGE_BYTES, Shared};
use crate::StorageError;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A log file beyond this is cut to nothing once its pages were moved.
const LOG_BYTES_MAX: u64 = 128 << 20;
/// How long the writer may be held for readers that still use the log.
const READERS_PATIENCE: Duration = Duration::from_millis(100);
/// Pages that a checkpoint may find in its cache; it copies, so it needs almost none.
const CACHE_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    wanted: Condvar,
    /// Held by a checkpoint under way, and by a reopening.
    pub(super) running: Mutex<()>,
}

#[derive(Default)]
struct State {
    wanted: bool,
    ended: bool,
}

impl Checkpoints {
    pub(super) fn wake(&self) {
        let mut state = self.state.lock();
        if !state.wanted {
            state.wanted = true;
            self.wanted.notify_one();
        }
    }

    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.wanted.notify_one();
    }

    /// False at the end of the store.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while !state.wanted && !state.ended {
            self.wanted.wait(&mut state);
        }
        !state.ended
    }

    fn done(&self) {
        self.state.lock().wanted = false;
    }
}

/// The thread.
pub(super) fn run(shared: Arc<Shared>) {
    while shared.checkpoints.wait() {
        let result = {
            let _running = shared.checkpoints.running.lock();
            shared.readers.forbid_snapshots(true);
            let result = if shared.failure().is_none() { checkpoint(&shared) } else { Ok(()) };
            shared.readers.forbid_snapshots(false);
            // While a reopening waits, so that it is never undone by an older failure.
            if let Err(why @ StorageError::Poisoned(_)) = &result {
                shared.fail(why.clone());
            }
            result
        };
        match result {
            Ok(()) => {}
            Err(error @ StorageError::Poisoned(_)) => {
                tracing::warn!(%error, "a checkpoint failed; the store is reopened");
                // The writer may have nothing to do, and it is the one that reopens.
                shared.queue.nudge();
            }
            Err(error) => tracing::warn!(%error, "a checkpoint failed; it will be repeated"),
        }
        shared.checkpoints.done();
    }
}

fn checkpoint(shared: &Shared) -> Result<(), StorageError> {
    let vfs = shared.options.vfs.as_deref();
    let connection = schema::connect(&shared.data, vfs, Use::Checkpoints, CACHE_BYTES)?;
    let what = format!("moving the log into {}", shared.data.display());
    let failed = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => sort(&what, &e).1,
        _ => plain(&what, &e),
    };
    once(&connection, "PASSIVE").map_err(failed)?;
    connection.busy_timeout(READERS_PATIENCE).map_err(failed)?;
    let _gate = shared.gate.lock();
    let long = std::fs::metadata(&shared.wal).is_ok_and(|m| m.len() > LOG_BYTES_MAX);
    let anew = once(&connection, if long { "TRUNCATE" } else { "RESTART" }).map_err(failed)?;
    let enough = shared.options.log_bytes / PAGE_BYTES;
    if anew {
        shared.wal_pages.store(0, Ordering::Relaxed);
        shared.checkpoint_at.store(enough, Ordering::Relaxed);
    } else {
        // A long read (a backup, say) still needs the log: it goes on growing, and the next try
        // comes when it has grown by as much again, so that the writer is not held at every batch.
        let pages = shared.wal_pages.load(Ordering::Relaxed);
        shared.checkpoint_at.store(pages + enough, Ordering::Relaxed);
    }
    Ok(())
}

/// One checkpoint; true if all of the log was moved and nobody uses it.
pub(super) fn once(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
    })
}

/// Does the log hold no batch that SQLite takes? It may hold a torn one all the same.
pub(super) fn is_without_batches(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok(row.get::<_, i64>(1)? <= 0))
}
