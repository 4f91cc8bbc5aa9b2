//! The operator's log, in the form that Vault's users and their log shippers know: lines
//! `TIME [LEVEL] part: message: key=value`, or JSON objects with `@level`, `@message`, `@module`.
//!
//! The level can be changed and the file opened again while the server runs (SIGHUP), files are
//! rotated by size and age, and whoever follows the log (`sys/monitor`) gets each line.
//!
//! Invariant: a follower that is slow loses lines; it never holds the server up.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use strongroom_base::Clock;
use tokio::sync::mpsc;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::{Filtered, Targets},
    fmt::format::DefaultFields,
    layer::{Layered, SubscriberExt},
    reload,
};

use self::file::{SharedSink, Sink};
use self::followers::{FollowLayer, Followers};
use self::lines::Lines;
use crate::config::{Log, LogFormat, LogLevel};

mod file;
mod followers;
mod lines;
#[cfg(test)]
mod tests;

/// The running log.
#[derive(Clone)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
    following: reload::Handle<Targets, WithLines>,
    followers: Arc<Followers>,
    levels: Arc<Mutex<Levels>>,
    sink: Arc<Sink>,
    /// Is the log's own form JSON?
    json: bool,
}

/// What stands below the followers.
type WithLines = Layered<
    Filtered<
        tracing_subscriber::fmt::Layer<Registry, DefaultFields, Lines, SharedSink>,
        reload::Layer<Targets, Registry>,
        Registry,
    >,
    Registry,
>;

/// The parts of the server whose log level can be set apart (`sys/loggers`): the module
/// `strongroom_` with dots for colons. What a part's children are set to wins over its own.
const LOGGERS: &[&str] = &[
    "adapters",
    "auth",
    "doors",
    "engines",
    "kernel",
    "kernel.audit",
    "kernel.leases",
    "kernel.pipeline",
    "kernel.reconcile",
    "server",
    "server.listen",
    "storage",
    "system",
];

/// How much the log tells.
#[derive(Clone, Debug)]
struct Levels {
    /// As configured.
    configured: LogLevel,
    /// Of everything that is not set apart.
    base: LogLevel,
    /// Of parts.
    parts: BTreeMap<&'static str, LogLevel>,
}

impl Levels {
    fn of(&self, logger: &str) -> LogLevel {
        let mut name = logger;
        loop {
            if let Some(level) = self.parts.get(name) {
                return *level;
            }
            let Some((parent, _)) = name.rsplit_once('.') else { return self.base };
            name = parent;
        }
    }

    fn filter(&self) -> Targets {
        // What libraries tell beyond that is theirs to choose: it may hold what a request holds.
        let foreign = filter_of(self.base.min(LogLevel::Info));
        let mut filter =
            Targets::new().with_default(foreign).with_target("strongroom", filter_of(self.base));
        for (name, level) in &self.parts {
            let target = format!("strongroom_{}", name.replace('.', "::"));
            filter = filter.with_target(target, filter_of(*level));
        }
        filter
    }
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

impl Logging {
    /// Opens the log and makes it the process's own. Fails if the file can't be opened, or if the
    /// process has a log already.
    pub fn start(log: &Log, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let (logging, subscriber) = Self::build(log, clock)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|e| e.to_string())?;
        Ok(logging)
    }

    fn build(
        log: &Log,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, impl Subscriber + Send + Sync + use<>), String> {
        let sink = Arc::new(Sink::open(log, clock.clone())?);
        let followers = Followers::new(clock.clone());
        let configured = log.level.unwrap_or(LogLevel::Info);
        let levels = Levels { configured, base: configured, parts: BTreeMap::new() };
        let (level, filter) = reload::Layer::new(levels.filter());
        let levels = Arc::new(Mutex::new(levels));
        let json = log.format == Some(LogFormat::Json);
        let format = Lines { json, clock };
        let lines = tracing_subscriber::fmt::layer()
            .event_format(format)
            .with_writer(SharedSink(sink.clone()))
            .with_ansi(false);
        let (wanted, following) = reload::Layer::new(followers.filter());
        let follow = FollowLayer(followers.clone()).with_filter(wanted);
        let with_lines: WithLines = tracing_subscriber::registry().with(lines.with_filter(level));
        let subscriber = with_lines.with(follow);
        Ok((Self { filter, following, followers, levels, sink, json }, subscriber))
    }

    /// The configuration says `level` from now on, and so does all of the log.
    pub fn set_level(&self, level: LogLevel) {
        let mut levels = self.levels.lock();
        *levels = Levels { configured: level, base: level, parts: BTreeMap::new() };
        self.apply(&levels);
    }

    /// The parts that can be set apart, and how much each tells now.
    pub fn loggers(&self) -> Vec<(String, LogLevel)> {
        let levels = self.levels.lock();
        LOGGERS.iter().map(|name| ((*name).to_owned(), levels.of(name))).collect()
    }

    /// Sets a part, or everything; without a level, to what the configuration says. False where
    /// there is no such part.
    pub fn set_logger(&self, logger: Option<&str>, level: Option<LogLevel>) -> bool {
        let mut levels = self.levels.lock();
        let level = level.unwrap_or(levels.configured);
        match logger {
            None => {
                levels.base = level;
                levels.parts.clear();
            }
            Some(logger) => {
                let Some(name) = LOGGERS.iter().find(|name| **name == logger) else {
                    return false;
                };
                levels.parts.insert(name, level);
            }
        }
        self.apply(&levels);
        true
    }

    fn apply(&self, levels: &Levels) {
        // It fails only if the subscriber is gone, and then nobody logs.
        let _ = self.filter.reload(levels.filter());
    }

    /// Opens the file again, after somebody moved it away.
    pub fn reopen(&self) -> Result<(), String> {
        self.sink.reopen()
    }

    /// Follows the log from now on: each line up to `level`, with its end, in the form asked for or
    /// else in the log's own. `None` where too many follow already.
    pub fn follow(&self, level: LogLevel, json: bool) -> Option<mpsc::Receiver<io::Result<Bytes>>> {
        let lines = self.followers.add(level, json || self.json)?;
        followers::renew(&self.followers, &self.following);
        Some(lines)
    }

    /// Ends all who follow: the server stops.
    pub fn end_following(&self) {
        self.followers.end();
        followers::renew(&self.followers, &self.following);
    }
}
