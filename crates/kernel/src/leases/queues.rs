//! Who is asked to take back what, and how many at a time.
//!
//! Each target (a mount, or one of the places it reaches) has a queue with workers of its own, so one
//! that does not answer holds up no other. The workers of all together have a bound too, but for the
//! first of each target: however many targets hang, the next one still gets on.
//!
//! A queue holds so many leases and no more; what else is due stays on disk, and the queue's own
//! workers fetch it when they run short, without waiting for the reconciler's next round.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use parking_lot::Mutex;
use strongroom_base::{Result, Timestamp};

use super::{Lease, Leases};
use crate::due::{due_entry, due_key, due_until, kinds};
use crate::node::Services;
use crate::record::{Id, Scope, indexes, storage_error};

/// Revocations at one target at a time.
const PER_TARGET_MAX: usize = 8;
/// Revocations at a time beside the first of each target.
const BESIDE_MAX: usize = 64;
/// Leases of one target that wait in memory.
const QUEUE_MAX: usize = 1_024;
/// Fewer than these, and a queue is filled again.
const QUEUE_LOW: usize = 256;
/// Due entries looked at in one pass.
const PAGE: usize = 4_096;

/// Whom a revocation goes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Target {
    pub(super) mount: Scope,
    /// One of the places that the mount reaches; 0 where it reaches one.
    part: u64,
}

impl Target {
    pub(super) fn of(lease: &Lease) -> Self {
        Self { mount: lease.mount, part: lease.target }
    }

    /// As a due entry's value.
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.mount.0.to_be_bytes());
        bytes[4..].copy_from_slice(&self.part.to_be_bytes());
        bytes
    }

    /// Of a due entry's value. One that names the mount alone is of an older version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mount = bytes.first_chunk().map_or(0, |mount| u32::from_be_bytes(*mount));
        let part = bytes.get(4..).and_then(|rest| rest.first_chunk());
        Self { mount: Scope(mount), part: part.map_or(0, |part| u64::from_be_bytes(*part)) }
    }
}

/// What the reconciler is at.
#[derive(Default)]
pub(super) struct Running {
    pub(super) state: Mutex<State>,
    idle: tokio::sync::Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// Leases that wait or are being revoked.
    leases: AHashSet<Id>,
    targets: AHashMap<Target, Queue>,
    /// Workers beside the first of each target.
    beside: usize,
    /// Where the next pass begins to look, if the last one did not come to the end.
    cursor: Option<[u8; 17]>,
    /// What had ended at the last walk over its leases, and when that was.
    pub(super) ended: (Vec<(Scope, Timestamp)>, Timestamp),
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Timestamp, Id)>,
    workers: usize,
    /// Is more due than it could take?
    left_out: bool,
}

/// A due entry.
struct Due {
    at: Timestamp,
    id: Id,
    target: Target,
}

impl State {
    /// Takes a due lease into its queue, unless it is there already or the queue is full. Answers
    /// whether a worker more is wanted for it.
    fn take(&mut self, due: &Due) -> bool {
        if self.leases.contains(&due.id) {
            return false;
        }
        let queue = self.targets.entry(due.target).or_default();
        if queue.waiting.len() >= QUEUE_MAX {
            queue.left_out = true;
            return false;
        }
        self.leases.insert(due.id);
        queue.waiting.push_back((due.at, due.id));
        let first = queue.workers == 0;
        if !first && (queue.workers >= PER_TARGET_MAX || self.beside >= BESIDE_MAX) {
            return false;
        }
        queue.workers += 1;
        self.beside += usize::from(!first);
        true
    }
}

impl Leases {
    /// Leases whose revocation is due and that wait for it in memory, or are at their engine.
    pub fn being_revoked(&self) -> usize {
        self.running.state.lock().leases.len()
    }

    /// Waits until no revocation is running.
    pub async fn idle(&self) {
        loop {
            let changed = self.running.idle.notified();
            if self.running.state.lock().leases.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Hands due leases to workers of their targets. Answers whether there is more to look at.
    pub(super) async fn start_due(&self, services: &Arc<Services>, now: Timestamp) -> Result<bool> {
        let (start, end) = due_until(kinds::LEASE, now);
        let from = self.running.state.lock().cursor.unwrap_or(start);
        let page = self.due(&from, &end).await?;
        let next = after(&page);
        self.running.state.lock().cursor = next;
        self.start(services, page.iter());
        Ok(next.is_some())
    }

    /// Fills the queue of one target again, if more was due than it could take.
    async fn refill(&self, services: &Arc<Services>, target: Target) -> Result<()> {
        {
            let mut state = self.running.state.lock();
            let Some(queue) = state.targets.get_mut(&target) else { return Ok(()) };
            if !queue.left_out || queue.waiting.len() >= QUEUE_LOW {
                return Ok(());
            }
            queue.left_out = false;
        }
        let (mut from, end) = due_until(kinds::LEASE, self.store.now());
        loop {
            let page = self.due(&from, &end).await?;
            self.start(services, page.iter().filter(|due| due.target == target));
            let state = self.running.state.lock();
            let full = state.targets.get(&target).is_none_or(|queue| queue.left_out);
            match after(&page).filter(|_| !full) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn start<'d>(&self, services: &Arc<Services>, page: impl Iterator<Item = &'d Due>) {
        let mut state = self.running.state.lock();
        // What is being made is taken back once it is clear what was made.
        for due in page.filter(|due| !self.open.holds(due.id)) {
            if state.take(due) {
                let services = services.clone();
                tokio::spawn(Worker { services, target: due.target, at: None }.run());
            }
        }
    }

    /// What is due, from `from` on.
    async fn due(&self, from: &[u8], to: &[u8]) -> Result<Vec<Due>> {
        let page = self.store.storage.scan_index(indexes::DUE, from, to, PAGE).done().await;
        let page = page.map_err(storage_error)?;
        let entries = page.iter().filter_map(|(key, value)| {
            let (at, id) = due_entry(key)?;
            Some(Due { at, id, target: Target::from_bytes(value) })
        });
        Ok(entries.collect())
    }
}

/// Where to look on behind a page, if it was not the last one.
fn after(page: &[Due]) -> Option<[u8; 17]> {
    let last = page.last().filter(|_| page.len() == PAGE);
    last.map(|due| due_key(due.at, kinds::LEASE, due.id + 1))
}

/// Works through the queue of one target. Its drop gives its place back, after a panic too.
struct Worker {
    services: Arc<Services>,
    target: Target,
    /// The lease it is at.
    at: Option<Id>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let leases = &self.services.leases;
            if let Err(e) = leases.refill(&self.services, self.target).await {
                // The reconciler's next round finds what this one did not.
                tracing::warn!(error = %e, "leases that are due could not be looked for");
            }
            let Some((at, id)) = self.next() else { return };
            let leases = &self.services.leases;
            if let Err(e) = leases.attempt(&self.services, at, id).await {
                tracing::warn!(error = %e, "a lease could not be revoked yet");
            }
        }
    }

    /// The next lease; the one before it is done.
    fn next(&mut self) -> Option<(Timestamp, Id)> {
        let running = &self.services.leases.running;
        let mut state = running.state.lock();
        if let Some(id) = self.at.take() {
            state.leases.remove(&id);
        }
        let next = state.targets.get_mut(&self.target).and_then(|queue| queue.waiting.pop_front());
        self.at = next.map(|(_, id)| id);
        next
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let running = &self.services.leases.running;
        let mut state = running.state.lock();
        if let Some(id) = self.at.take() {
            state.leases.remove(&id);
        }
        if let Some(queue) = state.targets.get_mut(&self.target) {
            queue.workers = queue.workers.saturating_sub(1);
            if queue.workers > 0 {
                state.beside = state.beside.saturating_sub(1);
            } else {
                // What a panic left behind is looked at again by the next pass.
                let left = std::mem::take(&mut queue.waiting);
                state.targets.remove(&self.target);
                for (_, id) in left {
                    state.leases.remove(&id);
                }
            }
        }
        drop(state);
        running.idle.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_entry_names_its_target_and_an_old_one_its_mount() {
        let target = Target { mount: Scope(7), part: u64::MAX - 5 };
        assert_eq!(Target::from_bytes(&target.to_bytes()), target);
        let old = Target::from_bytes(&7_u32.to_be_bytes());
        assert_eq!(old, Target { mount: Scope(7), part: 0 });
    }

    #[test]
    fn targets_have_their_workers_and_none_has_all() {
        let mut state = State::default();
        let mut id = 0;
        let mut give = |state: &mut State, part: u64, count: usize| {
            let mut started = 0;
            for _ in 0..count {
                id += 1;
                let target = Target { mount: Scope(1), part };
                let due = Due { at: Timestamp::ZERO, id, target };
                started += usize::from(state.take(&due));
                assert!(!state.take(&due), "a lease has one worker");
            }
            started
        };
        // One target: its bound, and a queue that does not grow on.
        assert_eq!(give(&mut state, 0, 2 * QUEUE_MAX), PER_TARGET_MAX);
        assert_eq!(state.leases.len(), QUEUE_MAX);
        let left_out = |state: &State, part| {
            state.targets.get(&Target { mount: Scope(1), part }).is_some_and(|q| q.left_out)
        };
        assert!(left_out(&state, 0));
        // Many: the bound of all, and one worker for each all the same.
        let others: Vec<usize> = (1..=40).map(|part| give(&mut state, part, 20)).collect();
        let full = BESIDE_MAX / (PER_TARGET_MAX - 1) - 1;
        assert_eq!(others[..full], vec![PER_TARGET_MAX; full][..]);
        assert_eq!(others[full + 1..], vec![1; 40 - full - 1][..]);
        assert_eq!(state.beside, BESIDE_MAX);
        assert!(!left_out(&state, 1));
    }
}
