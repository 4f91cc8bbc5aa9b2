//! Numbers that are never given twice.
//!
//! Invariant: before an id is given out, or at the latest in the batch that makes a record with it
//! durable, all ids up to it are reserved on disk; the next opening begins behind the reservation.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many ids are reserved at once.
const BLOCK: u64 = 1 << 16;

#[derive(Default)]
pub(super) struct Ids {
    next: AtomicU64,
    reserved: AtomicU64,
    /// Callers that overtook the reservation wait here.
    waiting: Mutex<()>,
    moved: Condvar,
}

impl Ids {
    /// Begins at `first`; nothing is reserved yet.
    pub(super) fn start(&self, first: u64) {
        self.next.fetch_max(first, Ordering::AcqRel);
    }

    /// The next id. `wake` is called when the writer should reserve more; `usable` tells whether it
    /// still can.
    pub(super) fn next(&self, wake: impl Fn(), usable: impl Fn() -> bool) -> u64 {
        let id = self.next.fetch_add(1, Ordering::AcqRel);
        let reserved = self.reserved.load(Ordering::Acquire);
        if id + BLOCK / 2 == reserved {
            wake();
        }
        if id >= reserved {
            wake();
            let mut waiting = self.waiting.lock();
            // A store that failed commits nothing before it covered this id, so it may be given.
            while id >= self.reserved.load(Ordering::Acquire) && usable() {
                self.moved.wait(&mut waiting);
            }
        }
        id
    }

    /// All ids given out so far are below this one.
    pub(super) fn end(&self) -> u64 {
        self.next.load(Ordering::Acquire).max(self.reserved.load(Ordering::Acquire))
    }

    /// What the next batch should reserve, if anything.
    pub(super) fn wanted(&self) -> Option<u64> {
        let next = self.next.load(Ordering::Acquire);
        let reserved = self.reserved.load(Ordering::Acquire);
        (next + BLOCK / 2 >= reserved).then_some(next + BLOCK)
    }

    /// The reservation is durable.
    pub(super) fn reserved(&self, end: u64) {
        let _waiting = self.waiting.lock();
        self.reserved.fetch_max(end, Ordering::AcqRel);
        self.moved.notify_all();
    }

    /// Lets waiting callers look whether the store is usable.
    pub(super) fn wake_all(&self) {
        let _waiting = self.waiting.lock();
        self.moved.notify_all();
    }
}
