//! The server: configuration, listeners, and the one place where the operating system is asked.
//!
//! Invariant: only [`real`] asks the machine for time, randomness and its environment.

pub mod audit_verify;
pub mod config;
mod cors;
pub mod dev;
pub mod diagnose;
#[cfg(test)]
mod fuzz_tests;
pub mod listen;
pub mod logging;
mod machine;
pub mod real;
pub mod run;
pub mod service;
pub mod up;

pub use strongroom_kernel::clock;
/// What the command line says too when it is called by the other's name.
pub use strongroom_kernel::node::VAULT_VERSION;
