//! Encrypted files in a repository, in the manner of git-crypt, with age recipients in the place of
//! OpenPGP keys. What lies in the repository: docs/formats/git-crypt.md.
//!
//! - [`Key`] encrypts and decrypts contents, always to the same blob.
//! - [`recipients`] keeps the key in the repository, wrapped for each recipient.
//! - [`setup`] turns the filters of a working copy on and off.
//! - [`status`] tells what is encrypted, and what should be and is not.
//!
//! Invariants:
//! * Where a filter cannot encrypt, Git stops: nothing that is to be encrypted is committed plain.
//!   So it is in a locked working copy, too.
//! * What is not committed is never lost by locking or unlocking.

mod key;
mod place;
pub mod recipients;
pub mod setup;
pub mod status;

pub use key::{HEADER_BYTES, Key, id_of, is_encrypted};

/// The name that the filter of the original has. Whoever writes it into the attributes out of habit must not
/// commit plain files by it.
pub const ORIGINAL: &str = "git-crypt";

/// The name of the filter and of the textconv driver in attributes and settings.
pub const FILTER: &str = "strongroom-git-crypt";
/// The folder in the repository.
pub const FOLDER: &str = ".strongroom-git-crypt";
/// Bytes of the largest file that is filtered: it is in memory twice.
pub const FILE_BYTES_MAX: u64 = 2 << 30;
