//! A SQLite VFS that fails on purpose: for tests of the storage, never in a release.
//!
//! It passes everything through to the operating system's VFS and keeps, beside each file, what a
//! disk would hold if the power went out now: the content at the last successful sync, and the
//! writes since, of which any part may survive ([`disk`]). It can fail a sync as Linux does (the
//! data is readable, no longer dirty, and not on disk), report a full disk, fail a write, and cut
//! the power at any write or sync.
//!
//! This is the one crate where `unsafe` is allowed, because a VFS is a table of C functions
//! ([`vfs`]); the model itself is safe code.

pub mod disk;
mod vfs;

pub use disk::{Fault, Faults};
pub use vfs::register;
