//! Who works: subjects whose time has come wait by mount, and a bounded number of workers goes
//! through them. The outside may hang: that holds up its own mount's subjects and no others.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use parking_lot::Mutex;
use strongroom_base::{Result, Timestamp};
use tokio::sync::Notify;

use super::{Mark, Rotations, State, Step};
use crate::due::{due_entry, due_key, due_until, kinds, link_ids, links};
use crate::node::Services;
use crate::record::{Id, Scope, indexes, prefix_end, storage_error};

/// Subjects of one mount that are worked on at a time.
pub const PER_MOUNT_MAX: usize = 8;
/// Subjects of all mounts that are worked on at a time.
pub const WORKERS_MAX: usize = 64;
/// Subjects of one mount that wait in memory.
const QUEUE_MAX: usize = 1_024;
/// Due entries looked at in one pass.
const PAGE: usize = 4_096;
/// Rotations under way that are looked at in one pass, for drains that have ended.
const LOOKS: usize = 256;

/// The subjects somebody is at. They are the process's: a worker goes on outside while the node is
/// sealed and opened again, and nobody else must be at its subject meanwhile.
#[derive(Clone, Default)]
pub struct Claims(Arc<Claimed>);

#[derive(Default)]
struct Claimed {
    ids: Mutex<AHashSet<Id>>,
    released: Notify,
}

/// The right to work on a subject; its drop gives it back.
pub(super) struct Claim {
    claims: Claims,
    id: Id,
}

impl Claims {
    /// Takes a subject that nobody is at.
    fn take(&self, id: Id) -> Option<Claim> {
        let free = self.0.ids.lock().insert(id);
        free.then(|| Claim { claims: self.clone(), id })
    }

    /// Waits until nobody is at a subject, and takes it.
    pub(super) async fn wait(&self, id: Id) -> Claim {
        loop {
            let released = self.0.released.notified();
            match self.take(id) {
                Some(claim) => return claim,
                None => released.await,
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.ids.lock().remove(&self.id);
        self.claims.0.released.notify_waiters();
    }
}

/// What is being worked on.
#[derive(Default)]
pub(super) struct Crew {
    work: Mutex<Work>,
    idle: Notify,
}

#[derive(Default)]
struct Work {
    /// Subjects that wait or are being worked on.
    subjects: AHashSet<Id>,
    mounts: AHashMap<Scope, Queue>,
    workers: usize,
    /// Where the next pass begins to look at what is due, if the last one did not come to the end.
    due: Option<[u8; 17]>,
    /// The same for rotations under way.
    running: Option<Vec<u8>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Timestamp, Id)>,
    workers: usize,
}

impl Rotations {
    /// Hands what is due to workers, and looks at drains. Answers whether more is left to look at;
    /// what was started goes on by itself ([`Rotations::idle`]).
    pub async fn reconcile(&self, services: &Arc<Services>, now: Timestamp) -> Result<bool> {
        let (start, end) = due_until(kinds::ROTATION, now);
        let from = self.crew.work.lock().due.unwrap_or(start);
        let page = self.store.storage.scan_index(indexes::DUE, &from, &end, PAGE).done().await;
        let page = page.map_err(storage_error)?;
        let full = page.len() == PAGE;
        let last = page.last().and_then(|(key, _)| due_entry(key)).filter(|_| full);
        let due = last.map(|(at, id)| due_key(at, kinds::ROTATION, id + 1));
        self.crew.work.lock().due = due;
        for (key, value) in page {
            let Some((at, id)) = due_entry(&key) else { continue };
            let mount = value.as_ref().try_into().map_or(0, u32::from_be_bytes);
            self.enqueue(services, Scope(mount), id, at);
        }
        self.look_at_drains(services).await?;
        let more = self.forget_ended_holders(services, now).await?;
        Ok(due.is_some() || more)
    }

    /// A drain may have ended by the end of a token, which nobody tells of.
    async fn look_at_drains(&self, services: &Arc<Services>) -> Result<()> {
        let end = prefix_end(&[links::ROTATING]);
        let from = self.crew.work.lock().running.take().unwrap_or(vec![links::ROTATING]);
        let page = self.store.storage.scan_index(indexes::LINKS, &from, &end, LOOKS).done().await;
        let page = page.map_err(storage_error)?;
        if let Some((last, _)) = page.last().filter(|_| page.len() == LOOKS) {
            let mut next = last.to_vec();
            next.push(0);
            self.crew.work.lock().running = Some(next);
        }
        for (key, value) in page {
            let draining = Mark::read(&value).is_some_and(|mark| mark.state == State::Draining);
            if let (true, Some((mount, id))) = (draining, link_ids(&key)) {
                let scope = Scope(u32::try_from(mount).unwrap_or(Scope::LIMIT));
                self.enqueue(services, scope, id, Timestamp::MAX);
            }
        }
        Ok(())
    }

    /// Has a subject looked at. `at` is its due entry, where one led here.
    pub(super) fn enqueue(&self, services: &Arc<Services>, scope: Scope, id: Id, at: Timestamp) {
        let mut work = self.crew.work.lock();
        let work = &mut *work;
        let queue = work.mounts.entry(scope).or_default();
        // What finds no place is found again by the next pass.
        let no_hands = queue.workers == 0 && work.workers >= WORKERS_MAX;
        if no_hands || queue.waiting.len() >= QUEUE_MAX || !work.subjects.insert(id) {
            if queue.workers == 0 {
                work.mounts.remove(&scope);
            }
            return;
        }
        queue.waiting.push_back((at, id));
        if queue.workers < PER_MOUNT_MAX && work.workers < WORKERS_MAX {
            queue.workers += 1;
            work.workers += 1;
            tokio::spawn(Worker { services: services.clone(), mount: scope, at: None }.run());
        }
    }

    /// Waits until nobody works.
    pub async fn idle(&self) {
        loop {
            let changed = self.crew.idle.notified();
            if self.crew.work.lock().subjects.is_empty() {
                return;
            }
            changed.await;
        }
    }
}

/// Works through the subjects of one mount. Its drop gives its place back, after a panic too.
struct Worker {
    services: Arc<Services>,
    mount: Scope,
    /// The subject it is at.
    at: Option<Id>,
}

impl Worker {
    async fn run(mut self) {
        while let Some((at, id)) = self.next() {
            let rotations = &self.services.rotations;
            // Somebody else who is at it goes on until there is nothing to do.
            let Some(_claim) = rotations.claims.take(id) else { continue };
            loop {
                match rotations.step(&self.services, self.mount, id, at).await {
                    Ok(Step::More) => {}
                    Ok(Step::Waits) => break,
                    Err(error) => {
                        tracing::warn!(%error, "a rotation did not get on; it is tried again");
                        break;
                    }
                }
            }
        }
    }

    /// The next subject; the one before it is done.
    fn next(&mut self) -> Option<(Timestamp, Id)> {
        let mut work = self.services.rotations.crew.work.lock();
        if let Some(id) = self.at.take() {
            work.subjects.remove(&id);
        }
        let next = work.mounts.get_mut(&self.mount).and_then(|queue| queue.waiting.pop_front());
        self.at = next.map(|(_, id)| id);
        next
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let crew = &self.services.rotations.crew;
        let mut work = crew.work.lock();
        if let Some(id) = self.at.take() {
            work.subjects.remove(&id);
        }
        work.workers = work.workers.saturating_sub(1);
        if let Some(queue) = work.mounts.get_mut(&self.mount) {
            queue.workers = queue.workers.saturating_sub(1);
            if queue.workers == 0 {
                // What a panic left behind is looked at again by the next pass.
                let left = std::mem::take(&mut queue.waiting);
                work.mounts.remove(&self.mount);
                for (_, id) in left {
                    work.subjects.remove(&id);
                }
            }
        }
        drop(work);
        crew.idle.notify_waiters();
    }
}
