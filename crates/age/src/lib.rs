//! Files encrypted with age: format v1 (C2SP age.md), its recipients and identities, as the `age`
//! command and whatever else of Strongroom keeps keys for people (SOPS, Git) need them.
//!
//! - [`recipients`] reads whom a file is for: `age1…`, `age1pq1…`, `age1tag1…`, SSH keys, plugins.
//! - [`identities`] reads what opens a file: `AGE-SECRET-KEY-…`, SSH keys, plugins, and files of
//!   those that are themselves encrypted with a passphrase.
//! - [`files`] encrypts and decrypts streams of any length in chunks of 64 KiB.
//! - [`keys`] makes new identities.
//!
//! The header of the format, and its recipients of before 2025, are the crate `age`'s; the hybrid
//! recipients ([`hybrid`]) and the payload ([`payload`]) are ours, on `strongroom-crypto`.
//!
//! Invariant: this crate asks people only through [`Ui`], and the environment for nothing. (Plugins
//! are looked for on the search path by the crate `age`.)
//! Invariant: no text of an error holds a passphrase or an identity.

mod armor;
mod encrypted;
mod error;
pub mod files;
pub mod hybrid;
pub mod identities;
pub mod keys;
mod passphrase;
mod payload;
mod plugin;
pub mod recipients;
mod ssh;
mod ui;

pub use error::{Error, Result};
pub use identities::Identity;
pub use passphrase::{
    Passphrase, RefusePassphrase, WORK_FACTOR, recipient as passphrase_recipient,
};
pub use recipients::Recipient;
pub use ui::{SharedUi, Silent, Ui};
