//! Master keys: what wraps a file's data key, or a group's share of it.
//!
//! A record of a file's metadata ([`KeyEntry`]) says which key it is; [`MasterKey`] is what each kind
//! can do, and [`data_key`] puts them together: any key of a group gives the group's part, enough
//! groups give the data key. Who does the work is a [`Service`]: this process, or another one that is
//! asked over the network ([`keyservice`]).
//!
//! Invariants:
//! * no text of an error holds a data key, a share, a private key, a token or a passphrase;
//! * a secret goes to another program by its standard input, never by its arguments or a file;
//! * calls to the outside are bounded in time and in size ([`strongroom_web`], [`Machine`]);
//! * a file names where its keys live, and may be anybody's: credentials for one place are never sent
//!   to another (see `azure` and `vault`).

pub mod age;
mod agent;
pub mod aws;
pub mod azure;
pub mod data_key;
pub mod gcp;
mod huawei;
pub mod keyservice;
pub mod machine;
pub mod named;
pub mod pgp;
mod process;
pub mod services;
mod told;
pub mod vault;

use strongroom_base::SecretBytes;

pub use data_key::DataKey;
pub use machine::{Machine, Person};
pub use services::{Keys, Order, Service};
pub use told::Told;

use crate::metadata::KeyEntry;

/// Bytes of a wrapped data key, at most: an armoured message to one recipient has some 3 KiB.
pub const WRAPPED_BYTES_MAX: usize = 64 * 1024;

/// Why a key did not do what it was asked. Its text is for people and holds no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure(pub String);

impl Failure {
    /// A failure.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// With what was tried before it.
    #[must_use]
    pub fn within(self, what: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<strongroom_web::Failure> for Failure {
    fn from(failure: strongroom_web::Failure) -> Self {
        Self(failure.to_string())
    }
}

/// What the system says, without its number and in lower case, as the original has it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A master key, as a record of a file names it.
pub trait MasterKey {
    /// The key as people know it, by which two records are told apart.
    fn shown(&self) -> String;

    /// Wraps `part`: what the record then keeps as `enc`.
    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure>;

    /// Unwraps `enc`.
    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure>;
}

impl KeyEntry {
    /// What the key can do.
    pub fn master_key(&self) -> &dyn MasterKey {
        match self {
            Self::Kms(key) => key,
            Self::GcpKms(key) => key,
            Self::HcKms(key) => key,
            Self::AzureKv(key) => key,
            Self::HcVault(key) => key,
            Self::Pgp(key) => key,
            Self::Age(key) => key,
        }
    }

    /// The key as people know it.
    pub fn shown(&self) -> String {
        self.master_key().shown()
    }

    /// Are both records of one key? What they wrap does not matter.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.shown() == other.shown()
    }
}

#[cfg(test)]
pub(crate) mod testing;
