//! Failures: one line that people read.

use std::fmt;

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure. Lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failed operation on a file.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        Self(format!("{}: {reason}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<strongroom_age::Error> for Error {
    fn from(error: strongroom_age::Error) -> Self {
        Self(error.text().to_owned())
    }
}

impl From<strongroom_base::Error> for Error {
    fn from(error: strongroom_base::Error) -> Self {
        Self(error.to_string())
    }
}
