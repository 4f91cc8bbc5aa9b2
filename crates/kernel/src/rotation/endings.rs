//! How attempts and rotations end: done, rolled back, given up, or tried again later.

use strongroom_base::{Error, Result, Timestamp};

use super::asked::Inside;
use super::machine::{Failure, Job, note};
use super::stored::{Cause, Ending, Journal, Kept, State};
use super::{Rotations, Step};
use crate::record::Tx;

/// Seconds until the second attempt; doubled for each one more.
const RETRY_SECONDS: i64 = 10;
/// Seconds between attempts at most.
const RETRY_SECONDS_MAX: i64 = 3_600;
/// Failed attempts after which a mount that serves no more gives up what it cannot take back: some
/// half a day. Its removal would wait for ever.
const GONE_ATTEMPTS_MAX: u32 = 20;

impl Rotations {
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
    pub(super) async fn failed(&self, job: &Job<'_>, error: &Error) -> Result<()> {
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
    pub(super) async fn finish(&self, job: &Job<'_>, ending: Ending) -> Result<Step, Failure> {
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
    pub(super) fn close(&self, tx: &Tx) -> Result<()> {
        tx.write(self.scope).delete_named::<Journal>(self.subject.id, "");
        self.save(tx)
    }
}

/// Seconds until the attempt after the `attempts`-th: doubled each time, three quarters of it up to
/// all of it by `jitter`.
fn delay(attempts: u32, jitter: u16) -> i64 {
    let doubled = RETRY_SECONDS.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let most = doubled.min(RETRY_SECONDS_MAX);
    let least = most * 3 / 4;
    least + (most - least) * i64::from(jitter) / i64::from(u16::MAX)
}
