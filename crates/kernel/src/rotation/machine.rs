//! One step of a rotation. What is done outside is done between two transactions: the first read
//! what to do, the second notes that it was done, if the rotation is still where it was.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, Timestamp};

use super::asked::{Inside, Outside};
use super::stored::{Cause, Ending, Kept, Outcome, Run, State};
use super::{Rotations, Step};
use crate::audit::Recorded;
use crate::audit::background::Effect;
use crate::due::{due_key, kinds};
use crate::mounts::MountEntry;
use crate::node::Services;
use crate::record::{Id, Scope, Tx, indexes};

/// Seconds until a subject of a mount that serves no more is looked at again.
const GONE_SECONDS: i64 = 3_600;

/// Whose failure it is.
pub(super) enum Failure {
    /// The engine's, or its outside's: it is noted, and tried again later.
    Engine(Error),
    /// The store's: nothing can be noted.
    Own(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// A subject with a rotation under way, as a step found it.
pub(super) struct Job<'a> {
    pub services: &'a Arc<Services>,
    pub entry: &'a MountEntry,
    /// Does the mount serve no more?
    pub gone: bool,
    pub kept: Kept,
    pub run: Run,
    pub now: Timestamp,
}

impl Rotations {
    /// Takes a subject one step further. A failure of the engine is noted when this answers it.
    pub(super) async fn step(
        &self,
        services: &Arc<Services>,
        scope: Scope,
        id: Id,
        at: Timestamp,
    ) -> Result<Step> {
        let table = services.router.table().await?;
        let gone = table.of_gone(scope);
        let entry = gone.or_else(|| table.of_scope(scope));
        let kept = Kept::of_id(&self.store.begin(), scope, id).await?;
        let (Some(entry), Some(kept)) = (entry, kept) else {
            self.forget_marks(scope, id, at).await?;
            return Ok(Step::Waits);
        };
        let (now, gone) = (self.store.now(), gone.is_some());
        let Some(run) = kept.subject.run.clone() else {
            return self.look_at_idle(services, entry, &kept, gone, now).await;
        };
        if run.state != State::Draining && kept.subject.due > now {
            return Ok(Step::Waits);
        }
        let job = Job { services, entry, gone, kept, run, now };
        match self.go_on(&job).await {
            Ok(step) => Ok(step),
            Err(Failure::Own(error)) => Err(error),
            Err(Failure::Engine(error)) => {
                self.failed(&job, &error).await?;
                Err(error)
            }
        }
    }

    async fn go_on(&self, job: &Job<'_>) -> Result<Step, Failure> {
        let state = job.run.state;
        if state.is_before_promotion()
            && let Some(reason) = job.why_given_up()
        {
            return Ok(self.roll_back(job, reason, false).await?);
        }
        match state {
            State::Create => self.inside(job, Inside::Prepare).await,
            State::Set => {
                let next = self.journal(job).await?.next()?;
                self.outside(job, Outside::Set, &next).await?;
                Ok(self.enter(job, State::Test, "the next credential is set").await?)
            }
            State::Test => {
                let next = self.journal(job).await?.next()?;
                if self.outside(job, Outside::Test, &next).await? {
                    return Ok(self.enter(job, State::Promote, "it was tried").await?);
                }
                Ok(self.roll_back(job, "the next credential does not work", false).await?)
            }
            State::Promote => {
                let next = self.journal(job).await?.next()?;
                self.inside(job, Inside::Promote(&next)).await
            }
            State::Draining => Ok(self.drain(job).await?),
            State::Revoke => {
                if let Some(old) = self.journal(job).await?.old()? {
                    self.outside(job, Outside::Revoke, &old).await?;
                    if !self.outside(job, Outside::Refused, &old).await? {
                        let text = "the credential of before was revoked and still works";
                        return Err(Failure::Engine(Error::new(ErrorKind::Upstream, text)));
                    }
                }
                self.finish(job, Ending::Done).await
            }
            State::Undo => {
                if !self.journal(job).await?.next.is_empty() {
                    let next = self.journal(job).await?.next()?;
                    self.outside(job, Outside::Undo, &next).await?;
                }
                self.finish(job, job.rolled_back()).await
            }
        }
    }

    /// Looks at a subject without a rotation under way: is it time for one?
    async fn look_at_idle(
        &self,
        services: &Arc<Services>,
        entry: &MountEntry,
        kept: &Kept,
        gone: bool,
        now: Timestamp,
    ) -> Result<Step> {
        if kept.subject.due > now {
            return Ok(Step::Waits);
        }
        let (scope, id) = (kept.scope, kept.subject.id);
        let changed = self.store.transact(|tx| async move {
            let Some(mut kept) = Kept::of_id(&tx, scope, id).await? else { return Ok(None) };
            let subject = &mut kept.subject;
            if subject.run.is_some() || subject.due > now {
                return Ok(None);
            }
            if gone {
                subject.due = now.plus_seconds(GONE_SECONDS);
                kept.save(&tx)?;
                return Ok(None);
            }
            if subject.plan.is_missed(subject.next, now) {
                let started = subject.next;
                subject.next = subject.plan.next(subject.rotated, now);
                (subject.due, subject.attempts, subject.failures) = (subject.next, 0, 0);
                let error = std::mem::take(&mut subject.error);
                kept.remember(Outcome {
                    id: 0,
                    version: 0,
                    cause: Cause::Schedule,
                    started,
                    ended: now,
                    ending: Ending::Missed,
                    error,
                    drained: Default::default(),
                });
                kept.save(&tx)?;
                let missed = Some("it did not come off within its window");
                return note(services, &tx, entry, &kept.name, "its window is over", &[], missed)
                    .map(|recorded| Some((recorded, Step::Waits)));
            }
            self.start(&mut kept, Cause::Schedule, &tx, now)?;
            note(services, &tx, entry, &kept.name, "its time has come", &[], None)
                .map(|recorded| Some((recorded, Step::More)))
        });
        match changed.await? {
            Some((recorded, step)) => {
                services.audit.committed(recorded).await;
                Ok(step)
            }
            None => Ok(Step::Waits),
        }
    }

    /// Begins a rotation of a subject that has none under way.
    pub(super) fn start(
        &self,
        kept: &mut Kept,
        cause: Cause,
        tx: &Tx,
        now: Timestamp,
    ) -> Result<Id> {
        let id = tx.new_id();
        kept.subject.run = Some(Run {
            id,
            state: State::Create,
            step: 0,
            started: now,
            since: now,
            cause,
            old: None,
            deadline: Timestamp::MAX,
            reason: String::new(),
            aborted: false,
            forced: false,
            give_up: false,
            drained: Default::default(),
        });
        kept.enter(State::Create, now);
        kept.save(tx)?;
        Ok(id)
    }

    /// Removes what leads to a subject that is not there.
    async fn forget_marks(&self, scope: Scope, id: Id, at: Timestamp) -> Result<()> {
        self.store
            .transact(|tx| async move {
                if Kept::of_id(&tx, scope, id).await?.is_none() {
                    tx.delete_index(indexes::DUE, &due_key(at, kinds::ROTATION, id));
                    tx.delete_index(indexes::LINKS, &super::stored::running(scope, id));
                }
                Ok(())
            })
            .await
    }

    /// Moves a rotation on.
    async fn enter(&self, job: &Job<'_>, state: State, reason: &'static str) -> Result<Step> {
        self.change(job, reason, &[], None, |kept| kept.enter(state, job.now)).await
    }

    /// Commits a change of a rotation that is still where it was.
    pub(super) async fn change(
        &self,
        job: &Job<'_>,
        reason: &'static str,
        accessors: &[String],
        error: Option<&str>,
        change: impl Fn(&mut Kept),
    ) -> Result<Step> {
        let change = &change;
        let done = self.store.transact(|tx| async move {
            let Some(mut kept) = job.again(&tx).await? else { return Ok(None) };
            change(&mut kept);
            kept.save(&tx)?;
            note(job.services, &tx, job.entry, &job.kept.name, reason, accessors, error).map(Some)
        });
        if let Some(recorded) = done.await? {
            job.services.audit.committed(recorded).await;
        }
        Ok(Step::More)
    }
}

impl Job<'_> {
    /// The subject as `tx` sees it, if its rotation is still where the step found it.
    pub(super) async fn again(&self, tx: &Tx) -> Result<Option<Kept>> {
        let kept = Kept::of_id(tx, self.kept.scope, self.kept.subject.id).await?;
        Ok(kept.filter(|kept| {
            let run = kept.subject.run.as_ref();
            run.is_some_and(|run| (run.id, run.step) == (self.run.id, self.run.step))
        }))
    }

    /// Why it must not come to a promotion.
    fn why_given_up(&self) -> Option<&'static str> {
        let subject = &self.kept.subject;
        let scheduled = self.run.cause == Cause::Schedule;
        if self.gone {
            Some("its mount was disabled")
        } else if subject.removed {
            Some("it was removed")
        } else if scheduled && subject.plan.is_missed(subject.next, self.now) {
            Some("it did not come off within its window")
        } else {
            None
        }
    }

    fn rolled_back(&self) -> Ending {
        if self.run.aborted { Ending::Aborted } else { Ending::RolledBack }
    }
}

/// The audit lines of a step.
pub(super) fn note(
    services: &Services,
    tx: &Tx,
    entry: &MountEntry,
    subject: &str,
    reason: &'static str,
    accessors: &[String],
    error: Option<&str>,
) -> Result<Recorded> {
    let effect = Effect {
        reason,
        operation: "rotate",
        namespace: Some(&entry.namespace),
        mount: Some(&entry.mount),
        path: &format!("{}{subject}", entry.mount.path),
        lease_id: "",
        accessors,
        error,
    };
    services.audit.record_effect_in(tx, &effect)
}
