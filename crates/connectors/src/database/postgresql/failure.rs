//! What PostgreSQL and its client library say of a failure, as errors of ours.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::time::Duration;

use strongroom_base::SecretString;
use tokio::time::timeout;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::PostgresqlDatabase;
use crate::database::{self, DatabaseError, FailureKind, unquoted, unreachable, without};

/// An error of the library, or none in time.
pub(super) enum Failure {
    Late,
    Said(Error),
}

impl Failure {
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Late => None,
            Self::Said(error) => error.code(),
        }
    }

    /// Did the transaction meet another one? Trying again is the remedy.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Said(error) = self else { return false };
        let Some(said) = error.as_db_error() else { return false };
        let code = said.code();
        *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::INTERNAL_ERROR
                && ["tuple concurrently", "could not find tuple", "cache lookup failed"]
                    .iter()
                    .any(|start| said.message().starts_with(start))
    }

    /// Was the connection gone before anything was said?
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Late => false,
            Self::Said(error) => {
                error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN)
            }
        }
    }
}

/// Waits so long for an answer.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Failure::Said),
        Err(_) => Err(Failure::Late),
    }
}

impl PostgresqlDatabase {
    /// A failure as an error of ours: what was done, and what the server says of it by the rule of
    /// [`without`]; `sent` are the secrets that went out.
    pub(super) fn said(
        &self,
        what: &str,
        failure: &Failure,
        sent: &[&SecretString],
    ) -> DatabaseError {
        let error = match failure {
            Failure::Late => {
                // Sessions that wait may have lost their other end, too, without a sign of it.
                drop(self.pool.clear());
                return unreachable(format!("{what}: no answer in time"));
            }
            Failure::Said(error) => error,
        };
        let secrets: Vec<&SecretString> =
            [&self.password, &self.configured].into_iter().chain(sent.iter().copied()).collect();
        let Some(said) = error.as_db_error() else {
            let (kind, cause) = cause(error);
            return DatabaseError::new(kind, format!("{what}: {}", without(&cause, &secrets)));
        };
        let mut text = said.message().to_owned();
        if *said.code() == SqlState::SYNTAX_ERROR {
            // What is quoted there is a part of the statement.
            let near = text.find(" at or near").unwrap_or(text.len());
            text.truncate(near);
            text.truncate(unquoted(&text).len());
        }
        if *said.code() == SqlState::DEPENDENT_OBJECTS_STILL_EXIST
            && let Some(detail) = said.detail()
        {
            text = format!("{text}: {}", detail.replace('\n', ", "));
        }
        let text = without(&text, &secrets);
        let code = said.code().code();
        let shown = database::code(code);
        DatabaseError::new(kind_of(code), format!("{what}: {text} (SQLSTATE {shown})"))
    }
}

/// What an error code of the server means.
fn kind_of(code: &str) -> FailureKind {
    match code.as_bytes() {
        [b'2', b'8', ..] => FailureKind::Credential,
        [b'3', b'D', ..] => FailureKind::Configuration,
        // Broken connections, no resources, an operator stopping it, its disk; a standby.
        [b'0', b'8', ..] | [b'5', b'3' | b'7' | b'8', ..] | b"25006" => FailureKind::Unreachable,
        _ => FailureKind::Refused,
    }
}

fn io_cause(error: &Error) -> Option<&io::Error> {
    error.source().and_then(|cause| cause.downcast_ref::<io::Error>())
}

/// Did TLS fail, and not what it goes over?
pub(super) fn is_tls(error: &Error) -> bool {
    let inner = io_cause(error).and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
        || error.to_string().contains("TLS handshake")
}

/// What failed on our side of the wire.
fn cause(error: &Error) -> (FailureKind, String) {
    let text = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let kind = match io_cause(error) {
        Some(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            FailureKind::Configuration
        }
        _ if text.starts_with("authentication error") || text.contains("password missing") => {
            FailureKind::Credential
        }
        _ if text.contains("does not support TLS") || text.starts_with("invalid config") => {
            FailureKind::Configuration
        }
        _ => FailureKind::Unreachable,
    };
    (kind, text)
}
