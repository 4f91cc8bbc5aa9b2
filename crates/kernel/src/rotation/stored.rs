//! What is kept of subjects, their rotations and their consumers. All of it lies in the scope of
//! the mount that the subject belongs to, and goes with it.
//!
//! Journals and holders hang on numbers, so that what belongs to one rotation or to one version
//! lies together: all who hold a version are one range of keys.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, Result, Timestamp};
use zeroize::Zeroize;

use super::plan::RotationPlan;
use crate::due::{due_key, kinds, link, links};
use crate::record::{Id, Record, Scope, Tx, indexes};

/// Ended rotations that a subject remembers.
const OUTCOMES_MAX: usize = 10;

/// A subject: something with a credential that is rotated. Named by itself, at the top.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Subject {
    /// Its number.
    pub id: Id,
    pub plan: RotationPlan,
    /// The version that is published; 0 before the first.
    pub version: u64,
    /// Those who hold that version hang on this number.
    pub holders: Id,
    /// When that version was published; zero is never.
    pub rotated: Timestamp,
    /// When the next rotation is due by plan; [`Timestamp::MAX`] is never.
    pub next: Timestamp,
    /// When the machine looks at it next; [`Timestamp::MAX`] is never.
    pub due: Timestamp,
    /// Failed attempts of the step it is at.
    pub attempts: u32,
    /// Rotations that were rolled back since the last one that was not.
    pub failures: u32,
    /// What went wrong last; "" once it went well.
    pub error: String,
    /// The rotation under way.
    pub run: Option<Run>,
    /// Was it removed while a rotation was under way? It goes with that.
    pub removed: bool,
    /// How the last rotations ended, the newest last.
    pub outcomes: Vec<Outcome>,
}

impl Record for Subject {
    const KIND: u8 = 222;
}

/// The way from a subject's number to its name.
#[derive(Serialize, Deserialize)]
pub(super) struct SubjectName(pub String);

impl Record for SubjectName {
    const KIND: u8 = 223;
}

/// How far a rotation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum State {
    /// The next credential is to be chosen.
    Create,
    /// It is to be made outside.
    Set,
    /// It is to be tried.
    Test,
    /// It is to be published.
    Promote,
    /// It is published; the one before is good until its consumers have moved.
    Draining,
    /// The one before is to be taken back.
    Revoke,
    /// The next one is to be taken back: it was not published and will not be.
    Undo,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Set => "set",
            Self::Test => "test",
            Self::Promote => "promote",
            Self::Draining => "draining",
            Self::Revoke => "revoke",
            Self::Undo => "undo",
        }
    }

    /// Does the credential of before still stand alone, so that the next can be given up?
    pub(super) fn is_before_promotion(self) -> bool {
        matches!(self, Self::Create | Self::Set | Self::Test | Self::Promote)
    }
}

/// A rotation under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its number.
    pub id: Id,
    pub state: State,
    /// Rises with every change of its state: whoever was outside meanwhile finds out by it.
    pub step: u32,
    pub started: Timestamp,
    /// When it came into its state.
    pub since: Timestamp,
    /// Why it began.
    pub cause: Cause,
    /// The version before, once another is published.
    pub old: Option<OldVersion>,
    /// Until when the one before is good at most.
    pub deadline: Timestamp,
    /// Why it is rolled back, or what ended the drain.
    pub reason: String,
    /// Was it called off on purpose?
    pub aborted: bool,
    /// Does its drain end whoever is left?
    pub forced: bool,
    /// Is the next failure the last? What could not be taken back is then left behind.
    pub give_up: bool,
    /// What the drain came to, once it is over.
    pub drained: Drained,
}

/// Why a rotation began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// Its time had come.
    Schedule,
    /// Somebody asked.
    Request,
    /// It makes the subject's first credential, in the request that makes the subject: if it does
    /// not come off, the subject is taken back.
    First,
}

/// The version before the one that is published.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct OldVersion {
    pub version: u64,
    pub holders: Id,
}

/// What a drain came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Consumers that moved on to the newer version.
    pub moved: u64,
    /// Consumers whose login ended.
    pub ended: u64,
    /// Consumers that were left when the credential was taken back.
    pub left: u64,
    /// Some of them, as people know them.
    pub names: Vec<String>,
}

/// How a rotation ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The rotation's number; 0 where it did not begin.
    pub(super) id: Id,
    /// The version it published; 0 where it published none.
    pub version: u64,
    /// Why it began.
    pub cause: Cause,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// What went wrong, if something did.
    pub error: String,
    /// What became of the consumers.
    pub drained: Drained,
}

/// How a rotation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ending {
    /// The next credential is published, the one before is gone.
    Done,
    /// The next one did not come off; the one before stands.
    RolledBack,
    /// It was called off; the one before stands.
    Aborted,
    /// Its window went by.
    Missed,
    /// It was given up: something outside could not be taken back.
    LeftBehind,
}

impl Ending {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::Aborted => "aborted",
            Self::Missed => "missed",
            Self::LeftBehind => "left behind",
        }
    }
}

/// The credentials of a rotation under way, as their engine wrote them: JSON texts, "" for none.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Journal {
    pub next: String,
    pub old: String,
}

impl Record for Journal {
    const KIND: u8 = 224;
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.next.zeroize();
        self.old.zeroize();
    }
}

/// An engine's JSON with secrets in it: wiped when it is dropped.
pub(super) struct Wiped(pub Json);

impl Wiped {
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|_| Error::internal("a rotation's journal is damaged"))
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        strongroom_base::json::wipe(&mut self.0);
    }
}

/// A subject's record in a transaction, with the marks it has in the indexes.
pub(super) struct Kept {
    pub scope: Scope,
    pub name: String,
    pub subject: Subject,
    was_due: Timestamp,
    was_running: bool,
}

impl Kept {
    /// A subject that is not there yet.
    pub fn new(scope: Scope, name: &str, subject: Subject) -> Self {
        let name = name.to_owned();
        Self { scope, name, subject, was_due: Timestamp::MAX, was_running: false }
    }

    /// The subject called `name`.
    pub async fn read(tx: &Tx, scope: Scope, name: &str) -> Result<Option<Self>> {
        let subject = tx.read(scope).named::<Subject>(0, name).await?;
        Ok(subject.map(|subject| Self {
            scope,
            name: name.to_owned(),
            was_due: subject.due,
            was_running: subject.run.is_some(),
            subject,
        }))
    }

    /// The subject with this number.
    pub async fn of_id(tx: &Tx, scope: Scope, id: Id) -> Result<Option<Self>> {
        match tx.read(scope).named::<SubjectName>(id, "").await? {
            Some(SubjectName(name)) => {
                let kept = Self::read(tx, scope, &name).await?;
                Ok(kept.filter(|kept| kept.subject.id == id))
            }
            None => Ok(None),
        }
    }

    /// Writes what became of it.
    pub fn save(&self, tx: &Tx) -> Result<()> {
        let Subject { id, due, attempts, .. } = self.subject;
        let edit = tx.write(self.scope);
        edit.put_named(0, &self.name, &self.subject)?;
        edit.put_named(id, "", &SubjectName(self.name.clone()))?;
        if self.was_due != due {
            self.forget_due(tx);
            if due != Timestamp::MAX {
                let key = due_key(due, kinds::ROTATION, id);
                tx.put_index(indexes::DUE, &key, &self.scope.0.to_be_bytes());
            }
        }
        match &self.subject.run {
            Some(run) => {
                let mark = Mark { state: run.state, attempts, deadline: run.deadline };
                tx.put_index(indexes::LINKS, &running(self.scope, id), &mark.write());
            }
            None => self.forget_running(tx),
        }
        Ok(())
    }

    /// Removes it with all that hangs on it but holders.
    pub fn remove(&self, tx: &Tx) {
        let edit = tx.write(self.scope);
        edit.delete_named::<Subject>(0, &self.name);
        edit.delete_named::<SubjectName>(self.subject.id, "");
        edit.delete_named::<Journal>(self.subject.id, "");
        self.forget_due(tx);
        self.forget_running(tx);
    }

    fn forget_due(&self, tx: &Tx) {
        if self.was_due != Timestamp::MAX {
            let key = due_key(self.was_due, kinds::ROTATION, self.subject.id);
            tx.delete_index(indexes::DUE, &key);
        }
    }

    fn forget_running(&self, tx: &Tx) {
        if self.was_running {
            tx.delete_index(indexes::LINKS, &running(self.scope, self.subject.id));
        }
    }

    /// Moves a rotation on to `state`.
    pub fn enter(&mut self, state: State, now: Timestamp) {
        let subject = &mut self.subject;
        (subject.attempts, subject.due) = (0, now);
        subject.error.clear();
        if let Some(run) = &mut subject.run {
            (run.state, run.since) = (state, now);
            run.step = run.step.saturating_add(1);
        }
    }

    /// Notes how a rotation ended; none is under way then.
    pub fn end(&mut self, ending: Ending, now: Timestamp) {
        let Some(run) = self.subject.run.take() else { return };
        let published = run.old.is_some() || ending == Ending::Done;
        self.remember(Outcome {
            id: run.id,
            version: if published { self.subject.version } else { 0 },
            cause: run.cause,
            started: run.started,
            ended: now,
            ending,
            error: if ending == Ending::Done { String::new() } else { run.reason },
            drained: run.drained,
        });
    }

    /// Adds to what it remembers.
    pub fn remember(&mut self, outcome: Outcome) {
        let outcomes = &mut self.subject.outcomes;
        if outcomes.len() >= OUTCOMES_MAX {
            outcomes.remove(0);
        }
        outcomes.push(outcome);
    }
}

/// The mark of a rotation under way, by mount.
pub(super) fn running(scope: Scope, id: Id) -> [u8; 17] {
    link(links::ROTATING, u64::from(scope.0), id)
}

/// What the mark of a rotation under way says: numbers only, so that they are counted without
/// reading records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// How far it is.
    pub state: State,
    /// Failed attempts of the step it is at.
    pub attempts: u32,
    /// The end of its drain.
    pub deadline: Timestamp,
}

impl Mark {
    fn write(self) -> [u8; 13] {
        let mut bytes = [0; 13];
        bytes[0] = self.state as u8;
        bytes[1..5].copy_from_slice(&self.attempts.to_be_bytes());
        bytes[5..].copy_from_slice(&self.deadline.0.to_be_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        use State::{Create, Draining, Promote, Revoke, Set, Test, Undo};
        let states = [Create, Set, Test, Promote, Draining, Revoke, Undo];
        let state = states.into_iter().find(|state| Some(&(*state as u8)) == bytes.first())?;
        let attempts = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?);
        let deadline = Timestamp(i64::from_be_bytes(bytes.get(5..13)?.try_into().ok()?));
        Some(Self { state, attempts, deadline })
    }
}

/// Why a read is not followed to whoever got it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FansOut {
    /// The login says that it gives on what it reads.
    Synced,
    /// The answer was wrapped: whoever unwraps it is not known.
    Wrapped,
    /// Whoever read it before consumers were noted.
    Unnoted,
    /// Whoever read it when more had than are noted one by one.
    Crowd,
}

/// By what a consumer is told from others of its login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Narrowed {
    /// Nothing more is known.
    No,
    /// The pod's UID.
    Pod(String),
    /// The client certificate's serial number, in hexadecimal.
    Certificate(String),
    /// The address it came from.
    Address(String),
}

/// That a consumer holds a version. Named by the consumer, below the version's number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Holding {
    /// The login's token; 0 for a batch token that is its own login.
    pub login: Id,
    /// Tokens below the login that read it: they may outlive it.
    pub readers: Vec<Id>,
    /// Were there more of those than are kept?
    pub crowded: bool,
    /// Where a login without a row ends.
    pub batch: Option<BatchLogin>,
    /// When it read that version first.
    pub since: Timestamp,
    pub display_name: String,
    /// The address it came from; "" where it is not known.
    pub address: String,
    pub narrowed: Narrowed,
    pub fans_out: Option<FansOut>,
}

impl Record for Holding {
    const KIND: u8 = 225;
}

/// What the end of a batch token follows from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BatchLogin {
    pub namespace: Scope,
    pub mount: Scope,
    pub created: Timestamp,
    pub expires: Timestamp,
}

/// That a consumer has moved on from a version. As [`Holding`], below the same number.
#[derive(Serialize, Deserialize)]
pub(super) struct Moved(pub Timestamp);

impl Record for Moved {
    const KIND: u8 = 226;
}

/// That a consumer of a version has ended. As [`Holding`], below the same number.
#[derive(Serialize, Deserialize)]
pub(super) struct Ended(pub Timestamp);

impl Record for Ended {
    const KIND: u8 = 227;
}
