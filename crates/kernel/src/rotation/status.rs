//! What is told of subjects and of all rotations.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_base::{Result, Timestamp};

use super::Rotations;
use super::plan::RotationPlan;
use super::stored::{Cause, Drained, Mark, Outcome, State, Subject};
use crate::due::links;
use crate::record::{Id, Scope, Tx, indexes, prefix_end, storage_error};

/// Rotations under way that are counted at most.
const RUNNING_MAX: usize = 1_000_000;

/// Numbers about all rotations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RotationCounts {
    /// Under way.
    pub running: u64,
    /// Of these: waiting for consumers.
    pub draining: u64,
    /// Of these: whose last attempt failed.
    pub failing: u64,
    /// Of these: whose old credential should be gone by now.
    pub overdue: u64,
    /// Published since the store was opened.
    pub published: u64,
    /// Rolled back since then.
    pub rolled_back: u64,
    /// Attempts that failed since then.
    pub failed: u64,
}

/// A subject as it is now.
#[derive(Clone, Debug)]
pub struct RotationStatus {
    /// The version that is published; 0 before the first.
    pub version: u64,
    /// How it is rotated.
    pub plan: RotationPlan,
    /// When that version was published.
    pub rotated: Option<Timestamp>,
    /// When the next rotation is due by plan.
    pub next: Option<Timestamp>,
    /// When the machine looks at it next, where it waits to try again.
    pub retry: Option<Timestamp>,
    /// Failed attempts of the step it is at.
    pub attempts: u32,
    /// What went wrong last; "" once it went well.
    pub error: String,
    /// Was it removed, and waits only for its rotation to end?
    pub removed: bool,
    /// The rotation under way.
    pub running: Option<Running>,
    /// How the last ones ended, the newest last.
    pub outcomes: Vec<Outcome>,
}

/// A rotation under way.
#[derive(Clone, Debug)]
pub struct Running {
    /// How far it is.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// When it began.
    pub started: Timestamp,
    /// Why.
    pub cause: Cause,
    /// The version before, once the next is published and as long as it is good.
    pub old_version: Option<u64>,
    /// Until when that one is good at most.
    pub deadline: Option<Timestamp>,
    /// What has become of its holders: once the drain is over, and before that where it was asked
    /// for ([`Rotations::count_consumers`]).
    pub drained: Drained,
    /// Whoever holds the version before hangs on this number, while it drains.
    holders: Option<Id>,
}

impl Rotations {
    /// A subject as it is now.
    pub async fn status(
        &self,
        tx: &Tx,
        scope: Scope,
        name: &str,
    ) -> Result<Option<RotationStatus>> {
        let Some(subject) = tx.read(scope).cached::<Subject>(0, name).await? else {
            return Ok(None);
        };
        let known = |at: Timestamp| Some(at).filter(|at| *at != Timestamp::MAX && !at.is_zero());
        let running = subject.run.as_ref().map(|run| Running {
            state: run.state,
            since: run.since,
            started: run.started,
            cause: run.cause,
            old_version: run.old.map(|old| old.version),
            deadline: known(run.deadline),
            drained: run.drained.clone(),
            holders: run.old.filter(|_| run.state == State::Draining).map(|old| old.holders),
        });
        let failed = subject.attempts > 0 || subject.failures > 0;
        Ok(Some(RotationStatus {
            version: subject.version,
            plan: subject.plan.clone(),
            rotated: known(subject.rotated),
            next: known(subject.next),
            retry: known(subject.due).filter(|_| failed),
            attempts: subject.attempts.max(subject.failures),
            error: subject.error.clone(),
            removed: subject.removed,
            running,
            outcomes: subject.outcomes.clone(),
        }))
    }

    /// Says in `status` what has become so far of those who held the version before.
    pub async fn count_consumers(&self, scope: Scope, status: &mut RotationStatus) -> Result<()> {
        if let Some(running) = &mut status.running
            && let Some(holders) = running.holders
        {
            running.drained = self.drained(scope, holders).await?;
        }
        Ok(())
    }

    /// Counts all rotations.
    pub async fn counts(&self) -> Result<RotationCounts> {
        let (from, to) = ([links::ROTATING], prefix_end(&[links::ROTATING]));
        let page =
            self.store.storage.scan_index(indexes::LINKS, &from, &to, RUNNING_MAX).done().await;
        let now = self.store.now();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut counts = RotationCounts {
            published: count(&self.counters.published),
            rolled_back: count(&self.counters.rolled_back),
            failed: count(&self.counters.failed),
            ..RotationCounts::default()
        };
        for mark in page.map_err(storage_error)?.iter().filter_map(|(_, value)| Mark::read(value)) {
            let taking_back = matches!(mark.state, State::Draining | State::Revoke);
            counts.running += 1;
            counts.draining += u64::from(mark.state == State::Draining);
            counts.failing += u64::from(mark.attempts > 0);
            counts.overdue += u64::from(taking_back && mark.deadline <= now);
        }
        Ok(counts)
    }
}
