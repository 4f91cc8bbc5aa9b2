//! The thin HTTP client of the command line, the agent and the helpers for other platforms: it
//! speaks the wire of Vault's API and knows nothing of any engine.
//!
//! - [`Config`] says where the server is and how to reach it, and reads the environment the way
//!   Vault's tools do ([`Environment`]).
//! - [`Client`] sends a [`Request`] and gives a [`Reply`]: retries, one redirect, errors with the
//!   server's own texts.
//! - [`Envelope`] is the answer's outer shape.
//! - [`TokenStore`] is where a login's token stays between two commands.
//!
//! Invariant: this crate never names a server-side crate, and asks the environment for nothing by
//! itself: variables come in through a look-up function.

mod address;
mod client;
mod config;
mod connection;
mod envelope;
mod error;
mod file_body;
pub mod limits;
mod request;
mod token_store;

pub use address::Address;
pub use client::{Client, Reply};
pub use config::{Config, Environment, canonical_namespace, parse_bool};
pub use envelope::{Auth, Envelope, WrapInfo};
pub use error::{Error, ResponseError};
pub use request::{Body, Prepared, Request, escape_path, join_path};
pub use token_store::TokenStore;
