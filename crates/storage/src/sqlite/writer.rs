//! The one thread that writes.
//!
//! It takes all commits that are ready, validates and applies each, and makes the whole batch
//! durable with one COMMIT, that is one sync. Then, in this order: cache, listeners, published
//! revision, answers.
//!
//! Invariants:
//! * no answer says "done" before the sync of its batch succeeded and the data file still had its
//!   name afterwards;
//! * a commit that is refused leaves nothing: it is validated before it is applied, and where
//!   applying fails the whole batch is rolled back;
//! * nothing is written to files, or acknowledged in them, that a failed checkpoint left in doubt;
//! * a COMMIT that failed with an unknown outcome is never repeated: the store is reopened.

use super::Shared;
use super::copies::Replacement;
use super::error::{Severity, sort};
use super::folder::Identity;
use super::queue::{Reply, Request, Work};
use super::recovery;
use super::schema::meta;
use super::statements::Statements;
use crate::{Change, Commit, Revision, StorageError};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a failed store waits before it tries again to open.
const REOPEN_EVERY: Duration = Duration::from_millis(500);
/// How often a full disk is looked at for room, and the folder for whether the files are in it yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The opened files, as the writer has them.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) data: Identity,
    pub(super) wal: Identity,
}

/// The writer's thread: serves until the store is closed, reopens after a failure.
pub(super) fn run(shared: Arc<Shared>, opened: Opened) {
    serve_and_reopen(&shared, opened);
    shared.checkpoints.end();
}

/// Where the writer is between failures.
enum State {
    Serving(Opened),
    /// The open files may hold what no name leads to any more: they are kept until they do again.
    Stuck(Opened),
    Shut,
}

fn serve_and_reopen(shared: &Arc<Shared>, opened: Opened) {
    let mut state = State::Serving(opened);
    loop {
        state = match state {
            State::Serving(files) => match serve(shared, &files) {
                Served::Ended => return recovery::close(shared, files),
                Served::Failed(why) => {
                    shared.fail(why);
                    reopen(shared, Some(files))
                }
                Served::Replaced(new) => replace(shared, files, new),
            },
            _ if refuse_until_retry(shared) => return,
            State::Stuck(files) => reopen(shared, Some(files)),
            State::Shut => reopen(shared, None),
        }
    }
}

fn reopen(shared: &Arc<Shared>, files: Option<Opened>) -> State {
    let salvaged = files.as_ref().map_or(Ok(()), |files| recovery::salvage(shared, files));
    if let Err(why) = salvaged {
        shared.fail(why);
        return files.map_or(State::Shut, State::Stuck);
    }
    // Nobody else has the files open while the store is failed.
    drop(files);
    match recovery::reopen(shared) {
        Ok(opened) => State::Serving(opened),
        Err(why) => {
            if matches!(why, StorageError::Full) {
                shared.reserve.spend();
            }
            shared.fail(why);
            State::Shut
        }
    }
}

/// Opens another store in the place of this one.
fn replace(shared: &Arc<Shared>, files: Opened, new: Replacement) -> State {
    // Readers and commits are turned away, those under way are waited for.
    shared.fail(StorageError::Busy("a copy is being put in its place"));
    let (left, swapped) = match shared.swap(files, new.path()) {
        Ok(()) => (None, Ok(())),
        Err((files, why)) => (files.map(|files| *files), Err(why)),
    };
    let state = reopen(shared, left);
    let opened = shared.failure().map_or(Ok(()), Err);
    new.answer(swapped.and(opened));
    state
}

/// Answers what comes with the reason of the failure, for a moment. True at the end of the store.
fn refuse_until_retry(shared: &Shared) -> bool {
    loop {
        match shared.queue.take(Some(REOPEN_EVERY)) {
            Work::Batch(requests) => {
                let why = shared.failure().unwrap_or(StorageError::Closed);
                for request in requests {
                    let units = request.units();
                    shared.queue.answer(request.reply, units, Err(why.clone()));
                }
            }
            Work::Nothing => return false,
            Work::End => return true,
        }
    }
}

enum Served {
    Ended,
    Failed(StorageError),
    Replaced(Replacement),
}

fn serve(shared: &Arc<Shared>, opened: &Opened) -> Served {
    let mut writer = match Statements::new(&opened.connection) {
        Ok(statements) => Writer { shared, opened, statements },
        Err(e) => return Served::Failed(sort("preparing", &e).1),
    };
    loop {
        match shared.queue.take(Some(LOOK_EVERY)) {
            Work::Batch(requests) => {
                if let Err(why) = writer.batch(requests) {
                    return Served::Failed(why);
                }
            }
            // A store that is only read does not notice otherwise that its files are gone.
            Work::Nothing => {
                if let Err(why) = writer.still_linked() {
                    return Served::Failed(why);
                }
            }
            Work::End => return Served::Ended,
        }
        if let Some(new) = shared.replacement.lock().take() {
            return Served::Replaced(new);
        }
        if shared.reserve.is_spent() {
            shared.reserve.restore();
        }
    }
}

struct Writer<'c> {
    shared: &'c Arc<Shared>,
    opened: &'c Opened,
    statements: Statements<'c>,
}

/// The time in which SQLite may show what is not published.
struct Window<'s>(&'s Shared);

impl<'s> Window<'s> {
    fn open(shared: &'s Shared) -> Self {
        shared.window.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        self.0.window.fetch_add(1, Ordering::SeqCst);
    }
}

/// A batch under way: what is to be answered, and how.
#[derive(Default)]
struct Batch<'s> {
    changes: Vec<Change>,
    /// Waits for the sync.
    applied: Vec<(Reply, u32)>,
    commits: u64,
    /// Open from the COMMIT on.
    window: Option<Window<'s>>,
}

impl<'c> Writer<'c> {
    /// Commits a batch. An error poisons the store; the requests were answered.
    fn batch(&mut self, requests: Vec<Request>) -> Result<(), StorageError> {
        // A checkpoint that must stop the writer holds this.
        let gate = self.shared.gate.lock();
        self.shared.batch_open.store(true, Ordering::SeqCst);
        let mut batch = Batch::default();
        let done = self.write(requests, &mut batch);
        drop(gate);
        let ended = match done {
            Ok(Some(revision)) => {
                self.publish(revision, batch);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err((severity, why)) => self.refuse(batch, severity, why),
        };
        self.shared.batch_open.store(false, Ordering::SeqCst);
        self.shared.batch_ended.notify_waiters();
        ended
    }

    /// Everything up to the sync. `None`: there was nothing to make durable.
    fn write(
        &mut self,
        requests: Vec<Request>,
        batch: &mut Batch<'c>,
    ) -> Result<Option<Revision>, (Severity, StorageError)> {
        let revision = self.shared.revision.load(Ordering::Acquire) + 1;
        let mut requests = requests.into_iter();
        let mut outcome = self
            .undoubted()
            .and_then(|()| self.statements.begin().map_err(|e| sort("beginning", &e)));
        for request in requests.by_ref() {
            let units = request.units();
            let mut commit = request.commit;
            if outcome.is_ok() {
                match self.validate(revision, &commit) {
                    Ok(()) => outcome = self.apply(&commit),
                    Err(refused) => {
                        self.shared.queue.answer(request.reply, units, Err(refused));
                        continue;
                    }
                }
            }
            batch.changes.append(&mut commit.changes);
            batch.applied.push((request.reply, units));
        }
        outcome?;
        let ids = self.shared.ids.wanted();
        if batch.changes.is_empty() && ids.is_none() {
            self.statements.rollback().map_err(|e| sort("ending", &e))?;
            return Ok(None);
        }
        if let Some(end) = ids {
            self.statements.put_meta(meta::IDS_RESERVED, end).map_err(|e| sort("writing", &e))?;
        }
        batch.window = Some(Window::open(self.shared));
        self.statements.commit().map_err(|e| sort("committing", &e))?;
        self.still_linked().map_err(|why| (Severity::Poisons, why))?;
        self.undoubted()?;
        if let Some(end) = ids {
            self.shared.ids.reserved(end);
        }
        Ok(Some(revision))
    }

    /// Did a checkpoint fail meanwhile, and leave the files in doubt?
    fn undoubted(&self) -> Result<(), (Severity, StorageError)> {
        self.shared.failure().map_or(Ok(()), |why| Err((Severity::Poisons, why)))
    }

    fn validate(&self, revision: Revision, commit: &Commit) -> Result<(), StorageError> {
        if commit.term != self.shared.term.load(Ordering::Acquire) {
            return Err(StorageError::Deposed);
        }
        let mut recent = self.shared.recent.lock();
        if !recent.unchanged(commit.snapshot, &commit.reads, &commit.ranges) {
            self.shared.conflicts.fetch_add(1, Ordering::Relaxed);
            return Err(StorageError::Conflict);
        }
        commit.changes.iter().for_each(|change| recent.note(revision, change));
        Ok(())
    }

    fn apply(&mut self, commit: &Commit) -> Result<(), (Severity, StorageError)> {
        commit
            .changes
            .iter()
            .try_for_each(|change| self.statements.apply(change))
            .map_err(|e| sort(&format!("writing {}", self.shared.data.display()), &e))
    }

    /// Do the names in the folder still lead to the files that were written?
    fn still_linked(&self) -> Result<(), StorageError> {
        let shared = self.shared;
        if shared.folder.data_identity()? != Some(self.opened.data) {
            return Err(StorageError::Poisoned(format!(
                "{} was removed or replaced",
                shared.data.display()
            )));
        }
        if shared.folder.wal_identity()? != Some(self.opened.wal) {
            return Err(StorageError::Poisoned(format!(
                "{} was removed or replaced",
                shared.wal.display()
            )));
        }
        Ok(())
    }

    fn publish(&self, revision: Revision, mut batch: Batch<'_>) {
        let shared = self.shared;
        shared.full.store(false, Ordering::Relaxed);
        shared.publishing.store(true, Ordering::SeqCst);
        shared.cache.update(revision, &batch.changes);
        shared.tell(revision, &batch.changes);
        shared.revision.store(revision, Ordering::Release);
        shared.publishing.store(false, Ordering::SeqCst);
        batch.window = None;
        batch.commits = batch.applied.len() as u64;
        shared.commits.fetch_add(batch.commits, Ordering::Relaxed);
        shared.batches.fetch_add(1, Ordering::Relaxed);
        for (reply, units) in batch.applied {
            shared.queue.answer(reply, units, Ok(revision));
        }
        let pages = shared.wal_pages.load(Ordering::Relaxed);
        if pages >= shared.checkpoint_at.load(Ordering::Relaxed) {
            shared.checkpoints.wake();
        }
    }

    /// Nothing of the batch may stay; says so to everyone in it.
    fn refuse(
        &mut self,
        batch: Batch<'_>,
        severity: Severity,
        why: StorageError,
    ) -> Result<(), StorageError> {
        let rolled_back = self.statements.rollback().map_err(|e| sort("rolling back", &e).1);
        let poisoned = match (severity, rolled_back) {
            (Severity::Refused, Ok(())) => None,
            (Severity::Poisons, _) => Some(why.clone()),
            (Severity::Refused, Err(e)) => Some(StorageError::Poisoned(e.to_string())),
        };
        // Its changes were noted as coming with the next revision. That number is used up, or every
        // later transaction on the same records would be refused as one that read before them.
        self.shared.revision.fetch_add(1, Ordering::AcqRel);
        if matches!(why, StorageError::Full) {
            self.shared.full.store(true, Ordering::Relaxed);
            // Before the answers: whoever may use the room finds it.
            self.shared.reserve.spend();
        }
        if let Some(poisoned) = &poisoned {
            // Before the answers, so that whoever hears of it finds the store unfit.
            self.shared.fail(poisoned.clone());
        }
        let told = match (poisoned.as_ref(), &batch.window) {
            // The COMMIT was given: what is found after the store is open again decides.
            (Some(poisoned), Some(_)) => StorageError::InDoubt(poisoned.to_string()),
            (Some(poisoned), None) => poisoned.clone(),
            (None, _) => why,
        };
        for (reply, units) in batch.applied {
            let told = told.clone();
            self.shared.queue.answer(reply, units, Err(told));
        }
        poisoned.map_or(Ok(()), Err)
    }
}
