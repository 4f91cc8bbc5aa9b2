//! Strongroom's command line. It takes the `vault` and `bao` command line unchanged: the same
//! sub-commands, single-dash flags, outputs and exit codes, so that scripts and fingers need to
//! learn nothing new.
//!
//! Invariant: nothing here knows the kernel. What belongs to the server (`server`, `up`,
//! `audit verify`, `operator diagnose`) leaves through [`cli::ServerCommand`], which `main.rs`
//! hands on.

pub mod cli;
