//! What a server and its client library say of a failure, as errors of ours.

use std::future::Future;
use std::time::Duration;

use mysql_async::{DriverError, Error, IoError, ServerError};
use strongroom_base::SecretString;
use tokio::time::timeout;

use super::MysqlDatabase;
use crate::database::{self, DatabaseError, FailureKind, unquoted, without};

/// What the server refuses for now only: too many connections (of all, of one account), too many
/// errors from our host, shutting down, connection killed; a lock that is not free, a deadlock, a
/// statement that took too long (MariaDB, MySQL).
const PASSING: [u16; 10] = [1040, 1053, 1129, 1203, 1226, 1927, 1205, 1213, 1969, 3024];

/// Why the database did not do something.
pub(super) enum Failed {
    /// It said so.
    Server(ServerError),
    /// It has no TLS.
    NoTls,
    /// It could not be asked, or nobody knows what came of it.
    Other(String),
}

/// Waits for an answer of the database.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = mysql_async::Result<T>>,
) -> Result<T, Failed> {
    match timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Error::Server(error))) => Err(Failed::Server(error)),
        Ok(Err(Error::Driver(DriverError::NoClientSslFlagFromServer))) => Err(Failed::NoTls),
        Ok(Err(Error::Io(IoError::Io(error)))) => Err(Failed::Other(error.to_string())),
        Ok(Err(Error::Io(IoError::Tls(error)))) => Err(Failed::Other(format!("TLS: {error}"))),
        Ok(Err(error)) => Err(Failed::Other(error.to_string())),
        Err(_) => Err(Failed::Other("no answer in time".to_owned())),
    }
}

impl Failed {
    /// The server's error number.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Server(error) => Some(error.code),
            Self::NoTls | Self::Other(_) => None,
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Server(error) if PASSING.contains(&error.code) => FailureKind::Unreachable,
            Self::Server(_) => FailureKind::Refused,
            Self::NoTls | Self::Other(_) => FailureKind::Unreachable,
        }
    }
}

impl MysqlDatabase {
    /// A failure as an error of ours, in the form that Go's driver gives it; `sent` are the secrets
    /// that went out.
    pub(super) fn said(&self, failed: &Failed, sent: &[&SecretString]) -> DatabaseError {
        let own = [&self.password, &self.configured];
        let secrets: Vec<&SecretString> = own.into_iter().chain(sent.iter().copied()).collect();
        let text = match failed {
            Failed::Server(error) => {
                let (state, message) = (database::code(&error.state), message(error));
                format!("Error {} ({state}): {}", error.code, without(message, &secrets))
            }
            Failed::NoTls => "the server has no TLS".to_owned(),
            Failed::Other(text) => without(text, &secrets),
        };
        DatabaseError::new(failed.kind(), text)
    }

    /// The same of the statement after `done` others.
    pub(super) fn at(
        &self,
        failed: &Failed,
        done: usize,
        all: usize,
        sent: &[&SecretString],
    ) -> DatabaseError {
        let error = self.said(failed, sent);
        let text = format!("statement {} of {all}: {}", done.saturating_add(1), error.text);
        DatabaseError::new(error.kind, text)
    }
}

/// A server's message. Where it did not understand a statement it repeats a piece of it, with the
/// values, in quotes: that is left out.
pub(super) fn message(error: &ServerError) -> &str {
    let message = match error.code {
        1064 | 1149 => unquoted(&error.message),
        _ => error.message.split(" near '").next().unwrap_or_default(),
    };
    message.trim_end_matches(" near")
}
