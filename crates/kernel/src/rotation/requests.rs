//! What somebody asks for: a rotation now, its end, and how it went.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, Timestamp};

use super::stored::{Cause, Kept, State};
use super::{Rotations, Step};
use crate::node::Services;
use crate::plug::{AfterCommit, Beyond};
use crate::record::{Id, Scope, Tx};

/// A rotation that was begun, in a transaction that is not committed yet.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    scope: Scope,
    subject: Id,
    run: Id,
}

impl Begun {
    /// Somebody waits for it: the answer's rest waits until the next credential is published.
    pub fn awaited(self) -> Beyond {
        Beyond::then(move |node| async move {
            let services = node.active()?;
            services.rotations.drive(&services, self).await
        })
    }

    /// Nobody waits: what this answers is done once it is durable.
    pub(crate) fn soon(self) -> AfterCommit {
        Box::new(move |services| services.rotations.nudge(services, self.scope, self.subject))
    }
}

impl Rotations {
    /// Begins a rotation, or has the one that was begun go on at once.
    pub async fn begin(
        &self,
        tx: &Tx,
        scope: Scope,
        name: &str,
        cause: Cause,
        now: Timestamp,
    ) -> Result<Begun> {
        let mut kept = Kept::read(tx, scope, name).await?.ok_or_else(Error::not_found)?;
        if kept.subject.removed {
            return Err(being_removed());
        }
        let subject = kept.subject.id;
        let run = match &kept.subject.run {
            None => self.start(&mut kept, cause, tx, now)?,
            Some(run) if run.state.is_before_promotion() => {
                let run = run.id;
                kept.subject.due = now;
                kept.save(tx)?;
                run
            }
            Some(run) => return Err(under_way(run.state, run.deadline)),
        };
        Ok(Begun { scope, subject, run })
    }

    /// Calls off what is not published yet, if there is something.
    pub(crate) async fn call_off_unpublished(
        tx: &Tx,
        scope: Scope,
        name: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<()> {
        let Some(mut kept) = Kept::read(tx, scope, name).await? else { return Ok(()) };
        let run = kept.subject.run.as_ref();
        if run.is_some_and(|run| run.state.is_before_promotion()) {
            kept.give_up(reason, true, now);
            kept.save(tx)?;
        }
        Ok(())
    }

    /// Ends a drain, whoever is left; has a rotation that waits to try again do so at once; and
    /// where it is at taking something back, makes this the last attempt.
    pub async fn force(&self, tx: &Tx, scope: Scope, name: &str, now: Timestamp) -> Result<State> {
        let mut kept = Kept::read(tx, scope, name).await?.ok_or_else(Error::not_found)?;
        let run = kept.subject.run.as_mut().ok_or_else(none_under_way)?;
        let state = run.state;
        match state {
            State::Draining => run.forced = true,
            State::Revoke | State::Undo => run.give_up = true,
            _ => {}
        }
        kept.subject.due = now;
        kept.save(tx)?;
        Ok(state)
    }

    /// Calls a rotation off, as long as its credential is not published.
    pub async fn abort(&self, tx: &Tx, scope: Scope, name: &str, now: Timestamp) -> Result<()> {
        let mut kept = Kept::read(tx, scope, name).await?.ok_or_else(Error::not_found)?;
        let run = kept.subject.run.as_ref().ok_or_else(none_under_way)?;
        match run.state {
            State::Undo => Err(Error::bad_request("it is being rolled back already")),
            state if state.is_before_promotion() => {
                kept.give_up("it was called off", true, now);
                kept.save(tx)
            }
            _ => Err(Error::bad_request(
                "the next credential is published; only the drain can be ended, by force",
            )),
        }
    }

    /// Has a subject looked at now: something happened that may let its rotation go on.
    pub fn nudge(&self, services: &Arc<Services>, scope: Scope, subject: Id) {
        self.enqueue(services, scope, subject, Timestamp::MAX);
    }

    /// Takes a rotation on until it is published. Whoever asked for it waits for this, and gets the
    /// engine's own error.
    async fn drive(&self, services: &Arc<Services>, begun: Begun) -> Result<()> {
        let Begun { scope, subject, run } = begun;
        let claim = self.claims.wait(subject).await;
        let mut failed = None;
        let mut reason = "the subject was removed".to_owned();
        loop {
            let kept = Kept::of_id(&self.store.begin(), scope, subject).await?;
            let Some(kept) = kept else {
                return Err(failed.unwrap_or_else(|| Error::new(ErrorKind::Upstream, reason)));
            };
            if let Some(run) = kept.subject.run.as_ref().filter(|run| !run.reason.is_empty()) {
                reason.clone_from(&run.reason);
            }
            match &kept.subject.run {
                Some(now) if now.id != run => return Err(outcome_lost()),
                Some(now) if matches!(now.state, State::Draining | State::Revoke) => break,
                Some(_) => {}
                None => return how_it_ended(&kept, run, failed),
            }
            match self.step(services, scope, subject, Timestamp::MAX).await {
                Ok(Step::More) => {}
                Ok(Step::Waits) => {
                    let text = kept.subject.error.clone();
                    return Err(failed.unwrap_or_else(|| Error::new(ErrorKind::Upstream, text)));
                }
                Err(error) if failed.is_none() => {
                    let cause = kept.subject.run.as_ref().map(|run| run.cause);
                    if cause != Some(Cause::First) || kept.subject.version > 0 {
                        return Err(error);
                    }
                    // There is no subject without its first credential.
                    self.call_off(scope, subject, run, &error).await?;
                    failed = Some(error);
                }
                Err(_) => return failed.map_or(Ok(()), Err),
            }
        }
        drop(claim);
        self.nudge(services, scope, subject);
        Ok(())
    }

    /// Has a rotation rolled back whose subject goes with it.
    async fn call_off(&self, scope: Scope, subject: Id, run: Id, error: &Error) -> Result<()> {
        let (now, reason) = (self.store.now(), error.public.join("; "));
        let reason = reason.as_str();
        self.store
            .transact(|tx| async move {
                let kept = Kept::of_id(&tx, scope, subject).await?;
                let same = |kept: &Kept| {
                    let at = kept.subject.run.as_ref().filter(|at| at.id == run);
                    at.is_some_and(|at| at.state.is_before_promotion())
                };
                let Some(mut kept) = kept.filter(same) else { return Ok(()) };
                kept.give_up(reason, false, now);
                kept.save(&tx)
            })
            .await
    }
}

/// What became of a rotation that is over.
fn how_it_ended(kept: &Kept, run: Id, failed: Option<Error>) -> Result<()> {
    if let Some(error) = failed {
        return Err(error);
    }
    let outcome = kept.subject.outcomes.iter().rev().find(|outcome| outcome.id == run);
    match outcome {
        Some(outcome) if outcome.version > 0 => Ok(()),
        Some(outcome) => Err(Error::new(ErrorKind::Upstream, outcome.error.clone())),
        None => Err(outcome_lost()),
    }
}

fn outcome_lost() -> Error {
    Error::unavailable("another rotation took this one's place; its status tells how it went")
}

pub(super) fn being_removed() -> Error {
    Error::unavailable(
        "its name was removed while a rotation was under way, which has still to take something \
         back; the rotation's status tells what, and it can be forced",
    )
}

fn none_under_way() -> Error {
    Error::bad_request("no rotation is under way")
}

fn under_way(state: State, deadline: Timestamp) -> Error {
    Error::bad_request(match state {
        State::Draining => format!(
            "the last rotation is not done: consumers may use the credential of before until \
             {deadline}; the drain can be ended by force"
        ),
        State::Undo => "the last rotation is still being rolled back".to_owned(),
        _ => "the last rotation is not done: the credential of before is still to be revoked"
            .to_owned(),
    })
}
