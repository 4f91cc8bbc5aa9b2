//! Secrets engines. Each folder is one engine; [`registry`] names them all.

pub mod database;
pub mod kv;
pub mod pki;
pub mod registry;
pub mod ssh;
pub mod totp;
pub mod transit;
