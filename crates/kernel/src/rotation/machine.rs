//! One step of a rotation. What is done outside is done between two transactions: the first read
//! what to do, the second notes that it was done, if the rotation is still where it was.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, Timestamp};

use super::stored::{Cause, Ending, Journal, Kept, OldVersion, Outcome, Run, State, Wiped};
use super::{Rotations, Step, delay};
use crate::audit::Recorded;
use crate::audit::background::Effect;
use crate::due::{due_key, kinds};
use crate::mounts::MountEntry;
use crate::node::Services;
use crate::pipeline::{CatchPanic, background};
use crate::plug::{Engine, ReadCx, Request, Rotates, WriteCx};
use crate::record::{CONFLICT_RETRIES_MAX, Id, Scope, Tx, indexes};

/// Seconds until a subject of a mount that serves no more is looked at again.
const GONE_SECONDS: i64 = 3_600;
/// Failed attempts after which a mount that serves no more gives up what it cannot take back: some
/// half a day. Its removal would wait for ever.
const GONE_ATTEMPTS_MAX: u32 = 20;

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
    gone: bool,
    pub kept: Kept,
    pub run: Run,
    pub now: Timestamp,
}

/// What an engine is asked outside of transactions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Set,
    Test,
    Revoke,
    Refused,
    Undo,
}

/// What an engine is asked within the transaction that moves the state.
enum Inside<'a> {
    Prepare,
    Promote(&'a Wiped),
    Unmake(Ending),
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

    async fn journal(&self, job: &Job<'_>) -> Result<Journal> {
        let tx = self.store.begin();
        let journal = tx.read(job.kept.scope).named::<Journal>(job.kept.subject.id, "").await?;
        Ok(journal.unwrap_or_default())
    }

    /// Asks the engine outside of any transaction: what it reads there is not validated, and it has
    /// nothing to commit.
    async fn outside(
        &self,
        job: &Job<'_>,
        what: Outside,
        credential: &Wiped,
    ) -> Result<bool, Failure> {
        let (kind, engine) = job.served()?;
        let tx = self.store.begin();
        let request = job.request();
        let cx = ReadCx::new(&tx, job.services, &request);
        let (subject, credential) = (job.kept.name.as_str(), &credential.0);
        let asked = async {
            match what {
                Outside::Set => kind.set(&**engine, &cx, subject, credential).await.map(|()| true),
                Outside::Test => kind.test(&**engine, &cx, subject, credential).await,
                Outside::Revoke => {
                    kind.revoke(&**engine, &cx, subject, credential).await.map(|()| true)
                }
                Outside::Refused => kind.refused(&**engine, &cx, subject, credential).await,
                Outside::Undo => {
                    kind.undo(&**engine, &cx, subject, credential).await.map(|()| true)
                }
            }
        };
        CatchPanic::new(asked).await.map_err(Failure::Engine)
    }

    /// Asks the engine within the transaction that moves the state.
    async fn inside(&self, job: &Job<'_>, what: Inside<'_>) -> Result<Step, Failure> {
        let (kind, engine) = job.served()?;
        let request = job.request();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let tx = self.store.begin();
            let Some(mut kept) = job.again(&tx).await? else { return Ok(Step::More) };
            let cx = ReadCx::new(&tx, job.services, &request);
            let mut cx = WriteCx::new(cx);
            let subject = job.kept.name.as_str();
            let asked = async {
                Ok(match &what {
                    Inside::Prepare => kind.prepare(&**engine, &mut cx, subject).await.map(Some)?,
                    Inside::Promote(next) => {
                        let version = kept.subject.version + 1;
                        kind.promote(&**engine, &mut cx, subject, version, &next.0).await?
                    }
                    Inside::Unmake(_) => {
                        kind.unmake(&**engine, &mut cx, subject).await.map(|()| None)?
                    }
                })
            };
            let answer = match CatchPanic::new(asked).await {
                Err(e) if e.kind == ErrorKind::Conflict || !tx.still_stands() => continue,
                Err(e) => return Err(Failure::Engine(e)),
                Ok(answer) => answer.map(Wiped),
            };
            let after = std::mem::take(&mut cx.after);
            drop(cx);
            let reason = match &what {
                Inside::Prepare => self.prepared(job, &tx, &mut kept, answer)?,
                Inside::Promote(_) => self.promoted(job, &tx, &mut kept, answer).await?,
                Inside::Unmake(ending) => {
                    kept.end(*ending, job.now);
                    kept.remove(&tx);
                    "its subject is taken back"
                }
            };
            let recorded = note(job.services, &tx, job.entry, subject, reason, &[], None)?;
            match tx.commit().await {
                Ok(_) => {
                    job.services.audit.committed(recorded).await;
                    after.into_iter().for_each(|action| action(job.services));
                    return Ok(Step::More);
                }
                Err(e) if e.kind == ErrorKind::Conflict => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::unavailable("a rotation kept conflicting with other requests").into())
    }

    fn prepared(
        &self,
        job: &Job<'_>,
        tx: &Tx,
        kept: &mut Kept,
        next: Option<Wiped>,
    ) -> Result<&'static str> {
        let next = next.map(|next| next.0.to_string()).unwrap_or_default();
        let journal = Journal { next, old: String::new() };
        tx.write(kept.scope).put_named(kept.subject.id, "", &journal)?;
        kept.enter(State::Set, job.now);
        kept.save(tx)?;
        Ok("the next credential is chosen")
    }

    async fn promoted(
        &self,
        job: &Job<'_>,
        tx: &Tx,
        kept: &mut Kept,
        old: Option<Wiped>,
    ) -> Result<&'static str> {
        let (scope, now) = (kept.scope, job.now);
        let subject = &mut kept.subject;
        let before = OldVersion { version: subject.version, holders: subject.holders };
        subject.version += 1;
        (subject.holders, subject.rotated, subject.failures) = (tx.new_id(), now, 0);
        subject.next = subject.plan.next(now, now);
        let (id, deadline) = (subject.id, now.plus_seconds(subject.plan.drain_seconds));
        let drains = old.is_some();
        let held = drains || super::drain::is_held(tx, scope, before.holders).await?;
        let old = old.map(|old| old.0.to_string()).unwrap_or_default();
        tx.write(scope).put_named(id, "", &Journal { next: String::new(), old })?;
        self.counters.published();
        if !held {
            kept.end(Ending::Done, now);
            kept.subject.due = kept.subject.next;
            kept.close(tx)?;
            return Ok("the next credential is published");
        }
        let state = if drains { State::Draining } else { State::Revoke };
        kept.enter(state, now);
        if let Some(run) = &mut kept.subject.run {
            (run.old, run.deadline) = (Some(before), deadline);
        }
        if drains {
            kept.subject.due = deadline;
        }
        kept.save(tx)?;
        Ok("the next credential is published")
    }

    /// Moves a rotation on.
    async fn enter(&self, job: &Job<'_>, state: State, reason: &'static str) -> Result<Step> {
        self.change(job, reason, &[], None, |kept| kept.enter(state, job.now)).await
    }

    /// Gives the next credential up.
    pub(super) async fn roll_back(
        &self,
        job: &Job<'_>,
        reason: &str,
        aborted: bool,
    ) -> Result<Step> {
        self.counters.rolled_back();
        let text = Some(reason);
        self.change(job, "it is rolled back", &[], text, |kept| {
            kept.give_up(reason, aborted, job.now)
        })
        .await
    }

    /// Notes a failed attempt: the next is later, at a time that is not the same for all.
    async fn failed(&self, job: &Job<'_>, error: &Error) -> Result<()> {
        self.counters.failed();
        let text = error.public.join("; ");
        let jitter = u16::from_be_bytes(self.store.rng.array());
        let taking_back = matches!(job.run.state, State::Revoke | State::Undo);
        let attempts = job.kept.subject.attempts.saturating_add(1);
        let last = job.run.give_up || job.gone && attempts >= GONE_ATTEMPTS_MAX;
        if taking_back && last {
            tracing::warn!(%error, "what a rotation could not take back is left behind");
            let reason = text.as_str();
            self.change(job, "it is given up", &[], Some(reason), |kept| {
                if let Some(run) = &mut kept.subject.run {
                    run.reason = reason.to_owned();
                }
            })
            .await?;
            let tx = self.store.begin();
            let Some(kept) = Kept::of_id(&tx, job.kept.scope, job.kept.subject.id).await? else {
                return Ok(());
            };
            let job = Job { kept, run: job.run.clone(), ..*job };
            return match self.finish(&job, Ending::LeftBehind).await {
                Ok(_) => Ok(()),
                Err(Failure::Own(e) | Failure::Engine(e)) => Err(e),
            };
        }
        let text = text.as_str();
        self.change(job, "an attempt failed", &[], Some(text), |kept| {
            let subject = &mut kept.subject;
            subject.attempts = subject.attempts.saturating_add(1);
            text.clone_into(&mut subject.error);
            subject.due = self.store.now().plus_seconds(delay(subject.attempts, jitter));
        })
        .await
        .map(|_| ())
    }

    /// Ends a rotation, when nothing of it is left outside.
    async fn finish(&self, job: &Job<'_>, ending: Ending) -> Result<Step, Failure> {
        if let Some(old) = job.run.old {
            super::drain::clear(&self.store, job.kept.scope, old.holders).await?;
        }
        let unmade = matches!(ending, Ending::RolledBack | Ending::Aborted | Ending::LeftBehind);
        let first = job.run.cause == Cause::First && job.kept.subject.version == 0;
        if unmade && first && !job.kept.subject.removed && !job.gone {
            return self.inside(job, Inside::Unmake(ending)).await;
        }
        let jitter = u16::from_be_bytes(self.store.rng.array());
        let reason = match ending {
            Ending::Done => "the credential of before is gone",
            _ => "the next credential is gone",
        };
        let error = (ending == Ending::LeftBehind).then_some(job.run.reason.as_str());
        let done = self.store.transact(|tx| async move {
            let Some(mut kept) = job.again(&tx).await? else { return Ok(None) };
            kept.end(ending, job.now);
            let removed = kept.subject.removed;
            if removed {
                kept.remove(&tx);
            } else {
                kept.plan_after(ending, job.now, jitter);
                kept.close(&tx)?;
            }
            let name = &job.kept.name;
            note(job.services, &tx, job.entry, name, reason, &[], error).map(Some)
        });
        if let Some(recorded) = done.await? {
            job.services.audit.committed(recorded).await;
        }
        Ok(Step::More)
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

    fn served(&self) -> Result<(&dyn Rotates, &Engine), Failure> {
        let kind = self.entry.spec.as_ref().and_then(|spec| spec.rotates.as_deref());
        kind.zip(self.entry.engine.as_ref()).ok_or_else(|| {
            Failure::Engine(Error::unavailable("this binary has no plug-in that rotates it"))
        })
    }

    fn request(&self) -> Request {
        let path = format!("{}{}", self.entry.mount.path, self.kept.name);
        background(&*self.services.store.rng, self.entry, &path, self.now)
    }
}

impl Kept {
    /// Gives the next credential up: it is to be taken back.
    pub(super) fn give_up(&mut self, reason: &str, aborted: bool, now: Timestamp) {
        self.enter(State::Undo, now);
        reason.clone_into(&mut self.subject.error);
        if let Some(run) = &mut self.subject.run {
            reason.clone_into(&mut run.reason);
            run.aborted = aborted;
        }
    }

    /// Sets when to go on after a rotation has ended.
    fn plan_after(&mut self, ending: Ending, now: Timestamp, jitter: u16) {
        let subject = &mut self.subject;
        subject.attempts = 0;
        subject.due = match ending {
            Ending::Done => {
                subject.error.clear();
                subject.next
            }
            // It is tried again, as the schedule's window allows.
            Ending::RolledBack => {
                subject.failures = subject.failures.saturating_add(1);
                let again = now.plus_seconds(delay(subject.failures, jitter));
                if subject.next > now { subject.next.min(again) } else { again }
            }
            Ending::LeftBehind if subject.next > now => subject.next,
            Ending::LeftBehind | Ending::Aborted | Ending::Missed => {
                subject.next = subject.plan.next(now, now);
                subject.next
            }
        };
    }

    /// Writes a subject whose rotation has ended.
    fn close(&self, tx: &Tx) -> Result<()> {
        tx.write(self.scope).delete_named::<Journal>(self.subject.id, "");
        self.save(tx)
    }
}

impl Journal {
    fn next(&self) -> Result<Wiped> {
        Wiped::parse(&self.next)
    }

    fn old(&self) -> Result<Option<Wiped>> {
        if self.old.is_empty() { Ok(None) } else { Wiped::parse(&self.old).map(Some) }
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
