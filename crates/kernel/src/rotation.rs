//! Rotation that breaks nobody: credentials that are replaced while others use them.
//!
//! A *subject* is something of a mount with a credential: a static account of a database, say. Its
//! engine knows how to make, try, publish and take back one ([`crate::plug::RotationKind`]); here
//! is when and in which order. A rotation goes through
//!
//! ```text
//! create → set → test → promote → draining → revoke → done
//!             └──────┴── undo (the next credential fails its test, or is called off)
//! ```
//!
//! What `create` chose is in the journal, encrypted like any record, before anything is done
//! outside. Each arrow is one commit with its audit line. What is done outside is done between two
//! commits and may be done twice: whoever crashed does it again.
//!
//! With one account the credential of before ends when the next is set, and `promote` is the end.
//! With two, the one before stays good until all its consumers ([`consumers`]) have read the new
//! one, or ended, or the deadline has come ([`drain`]); then it is taken back, and tried.
//!
//! Invariants:
//! * a subject has one rotation at a time, and one worker at a time, whatever life the node is in;
//! * what was published is the engine's record and the version here, in one transaction;
//! * a consumer that got a version is a holder of it before it has the answer. The transaction of
//!   its read reads the subject's record, which the promotion writes: either the read is ordered
//!   before the promotion, and then its holding (of this read or an earlier one) is committed
//!   before the drain begins and the drain sees it, or it conflicts, is run again and gets the new
//!   version. A holder that comes back for the older version during the drain writes into the
//!   range that the drain's last look reads: one of the two is run again;
//! * a consumer is no holder of the version before from when its answer with the newer one is away: a
//!   server that dies in between finds it at the one before, until it reads again;
//! * nobody's credential is taken back while they live and have not moved on, but by force, by the
//!   end of the drain's time, or with two accounts in one (the engine's choice);
//! * nothing is left outside: a rotation ends only when what it made and did not publish, or
//!   published before, was taken back. Where that is given up, it is said so.
//!
//! Time is the store's: guarded, and written down as points in time. A clock that steps forward
//! brings a deadline nearer by its step, no more.

mod consumers;
mod crew;
mod drain;
mod machine;
mod plan;
mod stored;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;
use strongroom_base::{Error, ErrorKind, Result, Timestamp};

use crate::due::links;
use crate::mounts::MountEntry;
use crate::node::Services;
use crate::plug::{AfterCommit, Beyond};
use crate::record::{Id, Scope, Store, Tx, indexes, prefix_end, storage_error};
use stored::{Kept, Subject};

pub use consumers::{Acknowledged, FANS_OUT, Left, POD_UID};
pub(crate) use consumers::{Moves, Reads};
pub use crew::Claims;
pub use drain::COUNT_MAX;
pub use plan::{DRAIN_SECONDS_MAX, RotationPlan, Schedule, WINDOW_SECONDS_MIN};
pub use stored::{Cause, Drained, Ending, FansOut, Mark, Narrowed, Outcome, State};

/// Seconds until the second attempt; doubled for each one more.
const RETRY_SECONDS: i64 = 10;
/// Seconds between attempts at most.
const RETRY_SECONDS_MAX: i64 = 3_600;
/// Subjects whose records are removed in one transaction, with a mount.
const REMOVALS_MAX: usize = 256;
/// Rotations under way that are counted at most.
const RUNNING_MAX: usize = 1_000_000;

/// All rotations of a store.
pub struct Rotations {
    store: Arc<Store>,
    crew: crew::Crew,
    claims: Claims,
    /// Consumers that have the newer version and are still noted at the one before, by subject. It is
    /// memory only: what is lost with it is noted when they read again.
    moves: Mutex<AHashMap<Id, Vec<consumers::Moves>>>,
    counters: Counters,
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// There may be another at once.
    More,
    /// Nothing is to be done until something is due, or happens.
    Waits,
}

/// What has happened since the store was opened.
#[derive(Default)]
struct Counters {
    published: AtomicU64,
    rolled_back: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    fn published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }
    fn rolled_back(&self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }
    fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

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

/// A rotation that somebody waits for.
#[derive(Clone, Copy, Debug)]
struct Begun {
    scope: Scope,
    subject: Id,
    run: Id,
}

impl Rotations {
    /// The rotations of `store`, in a process where these subjects are worked on.
    pub fn new(store: Arc<Store>, claims: Claims) -> Self {
        Self {
            store,
            crew: Default::default(),
            claims,
            moves: Default::default(),
            counters: Default::default(),
        }
    }

    /// Makes a subject, or changes how it is rotated. A new one may have a credential already, that
    /// others have read unnoted: it is version 1 then.
    pub(crate) async fn put(
        tx: &Tx,
        (scope, name): (Scope, &str),
        plan: &RotationPlan,
        has_one: bool,
        now: Timestamp,
    ) -> Result<()> {
        plan.check()?;
        if Self::change_plan(tx, (scope, name), plan, now).await? {
            return Ok(());
        }
        let next = plan.next(Timestamp::ZERO, now);
        let holders = if has_one { tx.new_id() } else { 0 };
        if has_one && plan.two_accounts {
            consumers::note_unknown(tx, scope, holders, now)?;
        }
        let subject = Subject {
            id: tx.new_id(),
            plan: plan.clone(),
            version: u64::from(has_one),
            holders,
            rotated: Timestamp::ZERO,
            next,
            due: next,
            attempts: 0,
            failures: 0,
            error: String::new(),
            run: None,
            removed: false,
            outcomes: Vec::new(),
        };
        Kept::new(scope, name, subject).save(tx)
    }

    /// Changes how a subject is rotated, if it is there.
    pub(crate) async fn change_plan(
        tx: &Tx,
        (scope, name): (Scope, &str),
        plan: &RotationPlan,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(mut kept) = Kept::read(tx, scope, name).await? else { return Ok(false) };
        if kept.subject.removed {
            return Err(being_removed());
        }
        let subject = &mut kept.subject;
        if plan.two_accounts && !subject.plan.two_accounts && subject.version > 0 {
            consumers::note_unknown(tx, scope, subject.holders, now)?;
        }
        if subject.plan != *plan {
            subject.plan = plan.clone();
            subject.next = plan.next(subject.rotated, now);
            if subject.run.is_none() {
                subject.due = subject.next;
            }
            kept.save(tx)?;
        }
        Ok(true)
    }

    /// Has a mount a subject of this name?
    pub(crate) async fn is_any(tx: &Tx, scope: Scope, name: &str) -> Result<bool> {
        Ok(tx.read(scope).cached::<Subject>(0, name).await?.is_some())
    }

    /// Has a mount a subject whose name begins so?
    pub(crate) async fn any_below(tx: &Tx, scope: Scope, prefix: &str) -> Result<bool> {
        let names = tx.read(scope).names::<Subject>(0).await?;
        let first = names.partition_point(|name| name.as_str() < prefix);
        Ok(names.get(first).is_some_and(|name| name.starts_with(prefix)))
    }

    /// Begins a rotation, or has the one that was begun go on at once.
    async fn begin(
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

    /// As [`Rotations::begin`]: the answer's rest waits until the next credential is published.
    pub async fn rotate(
        &self,
        tx: &Tx,
        scope: Scope,
        name: &str,
        cause: Cause,
        now: Timestamp,
    ) -> Result<Beyond> {
        let begun = self.begin(tx, scope, name, cause, now).await?;
        Ok(Beyond::then(move |node| async move {
            let services = node.active()?;
            services.rotations.drive(&services, begun).await
        }))
    }

    /// As [`Rotations::rotate`], but nobody waits: what this answers is done once it is durable.
    pub(crate) async fn rotate_soon(
        &self,
        tx: &Tx,
        scope: Scope,
        name: &str,
        cause: Cause,
        now: Timestamp,
    ) -> Result<AfterCommit> {
        let begun = self.begin(tx, scope, name, cause, now).await?;
        Ok(Box::new(move |services| {
            services.rotations.nudge(services, begun.scope, begun.subject);
        }))
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

    /// Removes a subject: at once, or with the rotation that is under way. Its engine's records may
    /// go with this transaction: what is still to be taken back is in the journal.
    pub(crate) async fn remove(tx: &Tx, scope: Scope, name: &str, now: Timestamp) -> Result<()> {
        let Some(mut kept) = Kept::read(tx, scope, name).await? else { return Ok(()) };
        let Some(run) = &kept.subject.run else {
            kept.remove(tx);
            return Ok(());
        };
        if run.state.is_before_promotion() {
            kept.give_up("it was removed", true, now);
        }
        kept.subject.removed = true;
        kept.save(tx)
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

    /// The number of a subject, for [`Rotations::nudge`].
    pub async fn number(&self, tx: &Tx, scope: Scope, name: &str) -> Result<Option<Id>> {
        Ok(Kept::read(tx, scope, name).await?.map(|kept| kept.subject.id))
    }

    /// Has a subject looked at now: something happened that may let its rotation go on.
    pub fn nudge(&self, services: &Arc<Services>, scope: Scope, subject: Id) {
        self.enqueue(services, scope, subject, Timestamp::MAX);
    }

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

    /// The names of a mount's subjects, sorted.
    pub async fn names(&self, tx: &Tx, scope: Scope) -> Result<Arc<Vec<String>>> {
        tx.read(scope).names::<Subject>(0).await
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

    /// Prepares the end of a mount: ends its drains. Answers whether a rotation is still under way;
    /// the mount's records must stay until none is.
    pub(crate) async fn end_mount(
        &self,
        services: &Arc<Services>,
        entry: &MountEntry,
    ) -> Result<bool> {
        let scope = entry.mount.scope;
        let (from, to) = crate::due::links_from(links::ROTATING, u64::from(scope.0));
        let page =
            self.store.storage.scan_index(indexes::LINKS, &from, &to, REMOVALS_MAX).done().await;
        let page = page.map_err(storage_error)?;
        let now = self.store.now();
        for (key, value) in &page {
            let draining = Mark::read(value).is_some_and(|mark| mark.state == State::Draining);
            let Some((_, id)) = crate::due::link_ids(key).filter(|_| draining) else { continue };
            self.store
                .transact(|tx| async move {
                    let kept = Kept::of_id(&tx, scope, id).await?;
                    let Some(mut kept) = kept else { return Ok(()) };
                    match &mut kept.subject.run {
                        Some(run) if run.state == State::Draining && !run.forced => {
                            run.forced = true;
                        }
                        _ => return Ok(()),
                    }
                    kept.subject.due = now;
                    kept.save(&tx)
                })
                .await?;
            self.nudge(services, scope, id);
        }
        Ok(!page.is_empty())
    }

    /// Removes some of a mount's subjects; answers whether there were any. None has a rotation
    /// under way.
    pub(crate) async fn forget_some(&self, scope: Scope) -> Result<bool> {
        let tx = self.store.begin();
        let names = self.names(&tx, scope).await?;
        for name in names.iter().take(REMOVALS_MAX) {
            if let Some(kept) = Kept::read(&tx, scope, name).await? {
                kept.remove(&tx);
            }
        }
        tx.commit().await?;
        Ok(!names.is_empty())
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

fn being_removed() -> Error {
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

/// Seconds until the attempt after the `attempts`-th: doubled each time, three quarters of it up to
/// all of it by `jitter`.
fn delay(attempts: u32, jitter: u16) -> i64 {
    let doubled = RETRY_SECONDS.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let most = doubled.min(RETRY_SECONDS_MAX);
    let least = most * 3 / 4;
    least + (most - least) * i64::from(jitter) / i64::from(u16::MAX)
}
