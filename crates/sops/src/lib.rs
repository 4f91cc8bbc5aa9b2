//! Files whose values are encrypted and whose structure stays readable, as SOPS keeps them: a file
//! that one of both tools wrote, the other reads and writes on.
//!
//! - [`tree`] is a document in memory: ordered, with its comments. [`stores`] read and write it as
//!   YAML, JSON, ENV, INI or one binary value.
//! - [`metadata`] is what a file says of itself: its master keys, its rule, its MAC.
//! - [`keys`] are the master keys: each wraps the data key, or a share of it.
//! - [`walk`] encrypts and decrypts the values of a document with the data key, and makes the MAC.
//! - [`merge`] merges two changed files by key; [`tenure`] tells who still has the data key of a file
//!   that they left.
//! - [`config`] is `.sops.yaml`: which keys and rules a new file gets.
//!
//! Invariant: this crate never names a server-side crate, and asks the environment for nothing by
//! itself: variables, time and randomness come in.
//! Invariant: no text of an error holds a value of a document or a key.

pub mod cipher;
pub mod config;
pub mod error;
mod expression;
pub mod keys;
pub mod merge;
pub mod metadata;
mod numbers;
pub mod octets;
mod packed;
pub mod path;
pub mod publish;
pub mod selector;
pub mod stores;
pub mod tenure;
pub mod tree;
pub mod update;
pub mod walk;

pub use error::{Error, Exit, Result};
pub use metadata::Metadata;
pub use tree::{Branch, Comment, Item, Tree, Value};
