//! What engines are asked: outside of transactions, and within the one that moves the state.

use strongroom_base::{Error, ErrorKind, Result};

use super::machine::{Failure, Job, note};
use super::stored::{Ending, Journal, Kept, OldVersion, State, Wiped};
use super::{Rotations, Step};
use crate::pipeline::{CatchPanic, background};
use crate::plug::{Engine, Promotion, ReadCx, Request, Rotates, WriteCx};
use crate::record::{CONFLICT_RETRIES_MAX, Tx};

/// What an engine is asked outside of transactions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    Set,
    Test,
    Revoke,
    Refused,
    Undo,
}

/// What an engine is asked within the transaction that moves the state.
pub(super) enum Inside<'a> {
    Prepare,
    Promote(&'a Wiped),
    Unmake(Ending),
}

impl Rotations {
    pub(super) async fn journal(&self, job: &Job<'_>) -> Result<Journal> {
        let tx = self.store.begin();
        let journal = tx.read(job.kept.scope).named::<Journal>(job.kept.subject.id, "").await?;
        Ok(journal.unwrap_or_default())
    }

    /// Asks the engine outside of any transaction: what it reads there is not validated, and it has
    /// nothing to commit.
    pub(super) async fn outside(
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
    pub(super) async fn inside(&self, job: &Job<'_>, what: Inside<'_>) -> Result<Step, Failure> {
        let (kind, engine) = job.served()?;
        let request = job.request();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let tx = self.store.begin();
            let Some(mut kept) = job.again(&tx).await? else { return Ok(Step::More) };
            let cx = ReadCx::new(&tx, job.services, &request);
            let mut cx = WriteCx::new(cx);
            let subject = job.kept.name.as_str();
            let mut refused = None;
            let asked = async {
                Ok(match &what {
                    Inside::Prepare => kind.prepare(&**engine, &mut cx, subject).await.map(Some)?,
                    Inside::Promote(next) => {
                        let version = kept.subject.version + 1;
                        match kind.promote(&**engine, &mut cx, subject, version, &next.0).await? {
                            Promotion::Alone => None,
                            Promotion::Over(old) => Some(old),
                            Promotion::Refused(reason) => {
                                refused = Some(reason);
                                None
                            }
                        }
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
            if let Some(reason) = refused {
                if tx.still_stands() {
                    return Ok(self.roll_back(job, reason, false).await?);
                }
                continue;
            }
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
}

impl Job<'_> {
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

impl Journal {
    pub(super) fn next(&self) -> Result<Wiped> {
        Wiped::parse(&self.next)
    }

    pub(super) fn old(&self) -> Result<Option<Wiped>> {
        if self.old.is_empty() { Ok(None) } else { Wiped::parse(&self.old).map(Some) }
    }
}
