//! Statements in one transaction: all of them, or nothing.
//!
//! Invariant: nothing is committed by a call that was dropped or timed out before its `COMMIT`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use strongroom_base::SecretString;
use tokio::time::timeout;
use tokio_postgres::error::{ErrorPosition, SqlState};
use tokio_postgres::{Client, Error};
use zeroize::Zeroizing;

use super::PostgresqlDatabase;
use super::failure::{Failure, within};
use super::session::run;
use crate::database::{DatabaseError, GRACE, STATEMENTS_WAITED_MAX, unreachable};

/// How often a transaction is tried again that met another one.
const CONFLICTS_MAX: u32 = 10;

/// Why a transaction did not come through.
pub(super) struct Broken {
    pub(super) error: Failure,
    /// The statement that failed, counted from 1; 0 if none did.
    statement: usize,
    /// Is nothing of it left for certain, and the session as before?
    undone: bool,
}

/// Why a transaction failed: before it began, or in it.
pub(super) enum Failed {
    Before(DatabaseError),
    In(Broken),
}

impl Failed {
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Before(_) => None,
            Self::In(broken) => broken.error.code(),
        }
    }
}

impl PostgresqlDatabase {
    /// Runs statements in one transaction; `sent` are the secrets in them.
    pub(super) async fn transaction(
        &self,
        statements: &[SecretString],
        sent: &[&SecretString],
    ) -> Result<(), DatabaseError> {
        self.transaction_or(statements).await.map_err(|failed| match failed {
            Failed::Before(error) => error,
            Failed::In(broken) => self.broken(&broken, statements.len(), sent),
        })
    }

    pub(super) async fn transaction_or(&self, statements: &[SecretString]) -> Result<(), Failed> {
        let changed = statements.iter().any(|s| changes_session(s.expose_secret()));
        let mut conflicts = 0;
        let mut alone = None;
        loop {
            if alone.is_none() && self.conflicts.load(Ordering::Relaxed) {
                let turn = timeout(self.limit, self.turn.lock()).await;
                alone = Some(turn.map_err(|_| {
                    Failed::Before(unreachable("the calls before this one took too long"))
                })?);
            }
            let session = self.take().await.map_err(Failed::Before)?;
            let Err(broken) = transact(&session.connection, statements, self.limit).await else {
                if !changed || self.wash(&session.connection).await {
                    self.give_back(session);
                }
                return Ok(());
            };
            if !session.fresh && broken.statement <= 1 && broken.error.is_closed() {
                continue;
            }
            let again = broken.undone && broken.error.is_conflict() && conflicts < CONFLICTS_MAX;
            // Some of it (locks of advice) outlives even that.
            if broken.undone && (!changed || self.wash(&session.connection).await) {
                self.give_back(session);
            }
            if !again {
                return Err(Failed::In(broken));
            }
            conflicts += 1;
            self.conflicts.store(true, Ordering::Relaxed);
        }
    }

    /// A broken transaction as an error of ours.
    fn broken(&self, broken: &Broken, count: usize, sent: &[&SecretString]) -> DatabaseError {
        let what = match broken.statement {
            0 => "cannot commit".to_owned(),
            n if n > count => "cannot commit".to_owned(),
            n => format!("statement {n} of {count} failed"),
        };
        self.said(&what, &broken.error, sent)
    }
}

/// Runs statements in a transaction. Begun and run in one message; the commit is one of its own, so
/// that nobody's going away in between commits anything.
pub(super) async fn transact(
    client: &Client,
    statements: &[SecretString],
    limit: Duration,
) -> Result<(), Broken> {
    let mut sql = Zeroizing::new(String::from("BEGIN"));
    let mut chars = sql.len();
    let mut starts = Vec::with_capacity(statements.len());
    for statement in statements {
        // A line of its own: the last one may end in a comment.
        sql.push_str("\n;\n");
        starts.push(chars + 3);
        chars += 3 + statement.expose_secret().chars().count();
        sql.push_str(statement.expose_secret());
    }
    let count = u32::try_from(statements.len()).unwrap_or(u32::MAX).max(1);
    let all = limit.saturating_mul(count.min(STATEMENTS_WAITED_MAX)).saturating_add(GRACE);
    let mut broken = match timeout(all, run(client, &sql, drop)).await {
        Ok(Ok(())) => {
            match within(limit.saturating_add(GRACE), client.batch_execute("COMMIT")).await {
                Ok(()) => return Ok(()),
                Err(error) => Broken { error, statement: statements.len() + 1, undone: false },
            }
        }
        Ok(Err((error, done))) => {
            // A member of a list can be several, for the server.
            let done = done.min(statements.len());
            let statement = if done == 0 { at_position(&error, &starts) } else { done };
            Broken { error: Failure::Said(error), statement, undone: false }
        }
        Err(_) => return Err(Broken { error: Failure::Late, statement: 1, undone: false }),
    };
    if matches!(broken.error, Failure::Said(_)) {
        broken.undone = within(limit, client.batch_execute("ROLLBACK")).await.is_ok();
    }
    Err(broken)
}

/// The statement that an error of the whole message points into.
fn at_position(error: &Error, starts: &[usize]) -> usize {
    match error.as_db_error().and_then(|said| said.position()) {
        Some(ErrorPosition::Original(at)) => {
            starts.iter().filter(|start| **start < *at as usize).count()
        }
        _ => 1,
    }
}

/// Does a statement leave something in the session that outlives its transaction?
///
/// What may be several statements, only the first of which is looked at, counts as one that does.
fn changes_session(statement: &str) -> bool {
    if statement.contains(';') {
        return true;
    }
    let mut words = statement.split_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    let temporary = |word: &str| matches!(&*word.to_ascii_lowercase(), "temp" | "temporary");
    match first.as_str() {
        "create" => words.take(4).any(temporary),
        "set" => !words.next().is_some_and(|second| second.eq_ignore_ascii_case("local")),
        "alter" | "comment" | "drop" | "grant" | "reassign" | "revoke" => false,
        "delete" | "insert" | "update" => false,
        _ => !statement.starts_with("SELECT pg_terminate_backend("),
    }
}
