//! Stages with their minutes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What has run so far.
pub struct Stages {
    done: Vec<(String, Duration)>,
}

impl Stages {
    /// None yet.
    pub fn new() -> Self {
        Self { done: Vec::new() }
    }

    /// Runs one stage.
    pub fn run<T>(
        &mut self,
        name: &str,
        stage: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        eprintln!("== {name}");
        let began = now();
        let result = stage();
        let took = began.elapsed();
        eprintln!("== {name}: {:.1} min", took.as_secs_f64() / 60.0);
        self.done.push((name.to_owned(), took));
        result.map_err(|why| format!("{name} failed: {why}"))
    }

    /// Runs a program as a stage.
    pub fn command(&mut self, name: &str, command: Command) -> Result<(), String> {
        self.run(name, || run(command))
    }

    /// Prints the minutes of all stages.
    pub fn report(&self) {
        for (name, took) in &self.done {
            eprintln!("   {:5.1} min  {name}", took.as_secs_f64() / 60.0);
        }
    }
}

/// Runs a program to its end.
pub fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|e| format!("{name}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
}

/// A build helper may look at the clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}
