//! Adapters: seals and audit sinks, each a folder or file and a line in [`registry`].

pub mod seals;
