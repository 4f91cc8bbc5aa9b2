//! Failures with the exit codes that scripts around SOPS know (its README, "exit codes", and
//! `codes` of its command line).

use std::fmt;

/// The exit code of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Anything without a code of its own.
    General = 1,
    /// The input cannot be read or is not of its format.
    Read = 2,
    /// The output cannot be written.
    Write = 3,
    /// The document cannot be said in the format asked for.
    Emit = 4,
    /// The encryption context of AWS KMS is not `name:value,…`.
    EncryptionContext = 6,
    /// The path or value of a change is wrong.
    Set = 7,
    /// Options that exclude each other.
    Conflict = 8,
    /// The MAC could not be encrypted.
    EncryptMac = 21,
    /// A value could not be encrypted.
    Encrypt = 23,
    /// A value could not be decrypted.
    Decrypt = 25,
    /// Master keys of a file that is not there.
    KeysOfMissingFile = 49,
    /// The document is not what was encrypted.
    MacMismatch = 51,
    /// `--config` or a path in a document is malformed.
    TreePath = 91,
    /// The file holds no document.
    NoDocument = 92,
    /// No file was named, or it is not there.
    NoFile = 100,
    /// No key to encrypt with.
    NoKey = 111,
    /// A kind of key is named twice in the order of decryption.
    DuplicateOrder = 112,
    /// No master key gives the data key.
    DataKey = 128,
    /// The editor changed nothing.
    Unchanged = 200,
    /// The editor failed.
    Editor = 201,
    /// The version that wrote the file makes no sense.
    Version = 202,
    /// The file is encrypted already.
    AlreadyEncrypted = 203,
}

/// A failure: the exit code and what people read.
#[derive(Clone, Debug)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// Lines for the error output. Invariant: never a value, never a key.
    pub text: String,
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with its exit code.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    /// A failure without an exit code of its own.
    pub fn general(text: impl Into<String>) -> Self {
        Self::new(Exit::General, text)
    }

    /// The same failure with another exit code.
    pub fn exiting(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same failure with words before its text.
    pub fn within(mut self, words: &str) -> Self {
        self.text = format!("{words}: {}", self.text);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
