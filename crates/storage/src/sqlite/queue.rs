//! Where commits wait for the writer.
//!
//! Invariants: what waits is bounded in bytes, whoever comes beyond the bound waits in the order of
//! arrival; while the writer syncs one batch the next gathers here, so a batch is as large as the
//! load makes it and nobody waits for a timer.

use crate::{Commit, Revision, StorageError};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Bytes of commits that may wait, in units of [`UNIT`].
const UNITS: u32 = 64 * 1024;
const UNIT: usize = 1024;
/// How many commits one batch takes at most.
const BATCH_COMMITS: usize = 512;
/// And how many bytes.
const BATCH_UNITS: u32 = 8 * 1024;

/// How often the writer lets others run before it takes a batch much smaller than the last one:
/// those who were just answered are about to bring their next commits, and without it batches of one
/// and of all the others would take turns.
const YIELDS: usize = 2;

pub(super) type Reply = oneshot::Sender<Result<Revision, StorageError>>;

pub(super) struct Request {
    pub(super) commit: Commit,
    pub(super) reply: Reply,
    units: u32,
}

pub(super) struct Queue {
    room: Semaphore,
    state: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    closing: bool,
    /// How many commits the last batch held.
    last: usize,
    /// Something else than a commit asks for a batch (ids).
    nudged: bool,
}

/// What the writer is to do next.
pub(super) enum Work {
    /// A batch, possibly empty.
    Batch(Vec<Request>),
    /// Nothing came in time.
    Nothing,
    /// The end: nothing waits and nothing will come.
    End,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            room: Semaphore::new(UNITS as usize),
            state: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Hands a commit to the writer and waits for its answer.
    pub(super) async fn submit(&self, commit: Commit) -> Result<Revision, StorageError> {
        let units = u32::try_from(commit.cost() / UNIT + 1).unwrap_or(UNITS).min(UNITS);
        let room = self.room.acquire_many(units).await.map_err(|_| StorageError::Closed)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.closing {
                return Err(StorageError::Closed);
            }
            state.requests.push_back(Request { commit, reply, units });
        }
        room.forget();
        self.arrived.notify_one();
        answer.await.unwrap_or(Err(StorageError::Closed))
    }

    /// Answers a request and gives its room back.
    pub(super) fn answer(&self, reply: Reply, units: u32, result: Result<Revision, StorageError>) {
        self.room.add_permits(units as usize);
        // Whoever does not wait any more is not told; what was committed stands.
        let _ = reply.send(result);
    }

    /// Asks for a batch even if no commit comes.
    pub(super) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.arrived.notify_one();
    }

    /// No more commits are taken.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.room.close();
        self.arrived.notify_all();
    }

    /// Waits for work; with `patience`, only so long.
    pub(super) fn take(&self, patience: Option<Duration>) -> Work {
        let mut state = self.state.lock();
        let mut yields = 0;
        loop {
            if !state.requests.is_empty()
                && state.requests.len() < state.last / 2
                && yields < YIELDS
                && !state.closing
            {
                yields += 1;
                parking_lot::MutexGuard::unlocked(&mut state, std::thread::yield_now);
                continue;
            }
            if !state.requests.is_empty() || state.nudged {
                state.nudged = false;
                return Work::Batch(state.batch());
            }
            if state.closing {
                return Work::End;
            }
            match patience {
                Some(patience) => {
                    if self.arrived.wait_for(&mut state, patience).timed_out() {
                        return Work::Nothing;
                    }
                }
                None => self.arrived.wait(&mut state),
            }
        }
    }
}

impl Request {
    pub(super) fn units(&self) -> u32 {
        self.units
    }
}

impl Waiting {
    fn batch(&mut self) -> Vec<Request> {
        let mut units = 0;
        let mut count = 0;
        for request in self.requests.iter().take(BATCH_COMMITS) {
            if count > 0 && units + request.units > BATCH_UNITS {
                break;
            }
            units += request.units;
            count += 1;
        }
        self.last = count;
        self.requests.drain(..count).collect()
    }
}
