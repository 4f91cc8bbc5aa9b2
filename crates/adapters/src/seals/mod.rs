//! Automatic seals.

pub mod static_key;
