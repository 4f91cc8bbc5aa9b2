//! The operational log: to stderr, and to a file where one is configured. It never holds secrets;
//! what requests did stands in the audit log.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{LogFormat, LogLevel};

/// Changes the level while the server runs.
#[derive(Clone)]
pub struct LogHandle(reload::Handle<LevelFilter, Registry>);

impl LogHandle {
    /// Sets the level.
    pub fn set(&self, level: LogLevel) {
        // Fails only when the subscriber is gone, at the process' end.
        let _ = self.0.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Starts the log.
pub fn start(level: LogLevel, format: LogFormat, file: Option<&Path>) -> Result<LogHandle, String> {
    let (level, handle) = reload::Layer::new(filter(level));
    let json = matches!(format, LogFormat::Json);
    let mut layers: Vec<Box<dyn Layer<_> + Send + Sync>> = Vec::new();
    layers.push(if json {
        Box::new(fmt::layer().json().with_writer(std::io::stderr))
    } else {
        Box::new(fmt::layer().with_ansi(false).with_target(false).with_writer(std::io::stderr))
    });
    if let Some(path) = file {
        let file = Arc::new(open(path)?);
        layers.push(if json {
            Box::new(fmt::layer().json().with_writer(file))
        } else {
            Box::new(fmt::layer().with_ansi(false).with_target(false).with_writer(file))
        });
    }
    tracing_subscriber::registry()
        .with(level)
        .with(layers)
        .try_init()
        .map_err(|e| e.to_string())?;
    Ok(LogHandle(handle))
}

fn open(path: &Path) -> Result<File, String> {
    let path = if path.is_dir() { path.join("strongroom.log") } else { path.to_owned() };
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| format!("{}: {e}", path.display()))
}
