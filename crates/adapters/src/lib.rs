//! Adapters: seals and audit sinks, each a folder or file.

pub mod audit_files;
pub mod audit_sinks;
pub mod seals;
