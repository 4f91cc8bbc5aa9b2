//! The server: configuration, listeners, and the one place where the operating system is asked.
//!
//! Invariant: only [`real`] asks the machine for time, randomness and its environment.

pub mod config;
pub mod listen;
pub mod real;
