//! What SQLite's result codes mean for a store.

use crate::StorageError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// How a failed statement is to be handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    /// Nothing was changed and the connection is as good as before.
    Refused,
    /// The files or the connection are in doubt: reopen before anything is acknowledged.
    Poisons,
}

/// Sorts a failure. `what` says what was being done; it holds no values.
pub(super) fn sort(what: &str, error: &rusqlite::Error) -> (Severity, StorageError) {
    let (code, extended) = match error {
        rusqlite::Error::SqliteFailure(e, _) => (e.code, e.extended_code),
        _ => return (Severity::Refused, StorageError::Io(format!("{what}: unexpected result"))),
    };
    match code {
        ErrorCode::DiskFull => (Severity::Refused, StorageError::Full),
        // The index of the log could not grow; the connection is not to be used again.
        _ if extended == ffi::SQLITE_IOERR_SHMSIZE => (Severity::Poisons, StorageError::Full),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            (Severity::Refused, StorageError::ReadOnly)
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            (Severity::Refused, StorageError::Corrupt(format!("{what}: {}", name(extended))))
        }
        ErrorCode::TooBig => (
            Severity::Refused,
            StorageError::Io("a record is larger than the storage allows".into()),
        ),
        _ => (Severity::Poisons, StorageError::Poisoned(format!("{what}: {}", name(extended)))),
    }
}

/// The same without the severity, for reads and opening, where nothing can be in doubt.
pub(super) fn plain(what: &str, error: &rusqlite::Error) -> StorageError {
    match sort(what, error).1 {
        StorageError::Poisoned(why) => StorageError::Io(why),
        other => other,
    }
}

/// SQLite's text of a result code; unlike the message of an error it never quotes data.
fn name(extended: i32) -> String {
    format!("{} (SQLite code {extended})", ffi::code_to_str(extended))
}
