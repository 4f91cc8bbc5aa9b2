//! What keeps secrets in Git repositories: encrypted files ([`crypt`]; docs/formats/git-crypt.md).
//!
//! Invariant: a repository is asked and changed through the `git` program only, with paths as they are
//! (no patterns), so that its own rules hold.
//! Invariant: no plaintext and no key is written but into the working tree and below `.git`.

pub mod crypt;
mod error;
mod repository;

pub use error::{Error, Result};
pub use repository::{Repository, merge_file, set_globally};
