//! The operator's log, in the form that Vault's users and their log shippers know: lines
//! `TIME [LEVEL] part: message: key=value`, or JSON objects with `@level`, `@message`, `@module`.
//!
//! The level can be changed and the file opened again while the server runs (SIGHUP), files are
//! rotated by size and age, and whoever follows the log (`sys/monitor`) gets each line.
//!
//! Invariant: a follower that is slow loses lines; it never holds the server up.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use strongroom_base::Clock;
use tokio::sync::mpsc;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{Filtered, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{DefaultFields, Writer},
    },
    layer::{Layered, SubscriberExt},
    registry::LookupSpan,
    reload,
};

use self::followers::{FollowLayer, Followers};
use crate::config::{Log, LogFormat, LogLevel};

mod followers;

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

/// Where lines go.
struct Sink {
    file: Option<Mutex<Rotated>>,
}

/// A file with its age and size.
struct Rotated {
    path: PathBuf,
    file: File,
    bytes: u64,
    opened_nanos: u64,
    log: Log,
    clock: Arc<dyn Clock>,
}

impl Sink {
    fn open(log: &Log, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let file = match &log.file {
            None => None,
            Some(path) => Some(Mutex::new(Rotated::open(&log_path(path), log, clock)?)),
        };
        Ok(Self { file })
    }

    fn reopen(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut file = file.lock();
        *file = Rotated::open(&file.path, &file.log, file.clock.clone())?;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.lock().write(line)?;
        }
        // As in Vault, a file is beside standard error, not in its place.
        io::stderr().lock().write_all(line)
    }
}

/// As in Vault: a folder gets a file named after the program.
fn log_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("strongroom.log") } else { path.to_owned() }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

impl Rotated {
    fn open(path: &Path, log: &Log, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let file = append(path).map_err(|e| format!("log file {}: {e}", path.display()))?;
        let bytes = file.metadata().map(|file| file.len()).unwrap_or(0);
        let opened_nanos = clock.monotonic_nanos();
        Ok(Self { path: path.to_owned(), file, bytes, opened_nanos, log: log.clone(), clock })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let full = self.log.rotate_bytes.is_some_and(|max| self.bytes + line.len() as u64 > max);
        let age = self.clock.monotonic_nanos().saturating_sub(self.opened_nanos) / 1_000_000_000;
        let old = self.log.rotate_seconds.is_some_and(|max| max > 0 && age >= max);
        if self.bytes > 0 && (full || old) {
            self.rotate()?;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(line)
    }

    /// Moves the file aside, under a name with the time, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let stem = self.stem();
        let aside = format!("{stem}-{}.log", self.clock.now().0);
        fs::rename(&self.path, self.path.with_file_name(aside))?;
        self.file = append(&self.path)?;
        self.bytes = 0;
        self.opened_nanos = self.clock.monotonic_nanos();
        if let Some(kept) = self.log.rotate_files_max {
            self.forget(&format!("{stem}-"), usize::try_from(kept).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Removes all but the newest `kept` files that were moved aside.
    fn forget(&self, prefix: &str, kept: usize) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let aside = |name: &str| {
            let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".log"));
            number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut names: Vec<String> = fs::read_dir(folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| aside(name))
            .collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names.into_iter().skip(kept) {
            fs::remove_file(folder.join(name))?;
        }
        Ok(())
    }
}

/// One event's line, written at once.
struct LineWriter<'a>(&'a Sink);

impl io::Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sink as `tracing` wants it.
struct SharedSink(Arc<Sink>);

impl<'a> MakeWriter<'a> for SharedSink {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }
}

/// How an event becomes a line.
struct Lines {
    json: bool,
    clock: Arc<dyn Clock>,
}

/// `strongroom_server::listen` is `server.listen` to people.
fn part(target: &str) -> String {
    target.strip_prefix("strongroom_").unwrap_or(target).replace("::", ".")
}

fn level_name(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(&self.text(event))
    }
}

impl Lines {
    /// An event's line, with its end.
    fn text(&self, event: &Event<'_>) -> String {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let (level, part) = (level_name(metadata.level()), part(metadata.target()));
        self.line(level, &part, &fields.message, &fields.others)
    }

    fn line(
        &self,
        level: &str,
        part: &str,
        message: &str,
        others: &[(&'static str, String)],
    ) -> String {
        let time = self.clock.now();
        if self.json {
            let mut line = serde_json::Map::new();
            line.insert("@level".to_owned(), level.into());
            line.insert("@message".to_owned(), message.into());
            line.insert("@module".to_owned(), part.into());
            line.insert("@timestamp".to_owned(), time.to_string().into());
            for (key, value) in others {
                line.insert((*key).to_owned(), value.as_str().into());
            }
            return format!("{}\n", serde_json::Value::Object(line));
        }
        let tag = format!("[{}]", level.to_uppercase());
        let mut line = format!("{time} {tag:<7} {part}: {}", one_line(message));
        for (i, (key, value)) in others.iter().enumerate() {
            // Writing into a string does not fail.
            let _ = write!(line, "{} {key}={}", if i == 0 { ":" } else { "" }, quoted(value));
        }
        line.push('\n');
        line
    }
}

/// Nothing that is logged may begin a line of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn quoted(value: &str) -> String {
    if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
    {
        format!("{value:?}")
    } else {
        value.to_owned()
    }
}

/// An event's message and its other fields.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing into a string fails only if the value's own Debug does.
        let _ = write!(text, "{value:?}");
        self.add(field, text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use strongroom_base::Timestamp;
    use tracing::{debug, info, warn};

    use super::*;

    /// A clock that counts its readings of the wall, so that rotated files have an order.
    #[derive(Default)]
    struct Counting(AtomicU64, AtomicU64);

    impl Clock for Counting {
        fn now(&self) -> Timestamp {
            let reading = self.0.fetch_add(1, Relaxed);
            Timestamp(1_700_000_000_000_000_000 + reading as i64 * 1_000_000_000)
        }

        fn monotonic_nanos(&self) -> u64 {
            self.1.load(Relaxed)
        }
    }

    fn lines(log: Log, clock: Arc<Counting>, work: impl FnOnce(&Logging)) -> String {
        let path = log.file.clone().unwrap();
        let (logging, subscriber) = Logging::build(&log, clock).unwrap();
        tracing::subscriber::with_default(subscriber, || work(&logging));
        fs::read_to_string(path).unwrap()
    }

    fn log(folder: &Path) -> Log {
        Log { file: Some(folder.join("a.log")), ..Log::default() }
    }

    #[test]
    fn lines_look_like_vaults() {
        let folder = tempfile::tempdir().unwrap();
        let text = lines(log(folder.path()), Arc::default(), |_| {
            info!("plain");
            warn!(address = "a b", count = 3, "with\nfields");
            debug!("not told");
        });
        assert_eq!(
            text,
            "2023-11-14T22:13:20Z [INFO]  server.logging.tests: plain\n\
             2023-11-14T22:13:21Z [WARN]  server.logging.tests: with fields: address=\"a b\" \
             count=3\n"
        );
    }

    #[test]
    fn json_has_vaults_keys_and_the_level_changes_while_running() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log { format: Some(LogFormat::Json), ..log(folder.path()) };
        let text = lines(log, Arc::default(), |logging| {
            debug!("before");
            logging.set_level(LogLevel::Debug);
            debug!(n = 1, "after");
        });
        assert_eq!(
            text,
            "{\"@level\":\"debug\",\"@message\":\"after\",\"@module\":\"server.logging.tests\",\
             \"@timestamp\":\"2023-11-14T22:13:20Z\",\"n\":\"1\"}\n"
        );
    }

    #[test]
    fn parts_are_set_apart() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log { level: Some(LogLevel::Warn), ..log(folder.path()) };
        let text = lines(log, Arc::default(), |logging| {
            let tell = |n: u32| {
                debug!(target: "strongroom_kernel::audit::sinks", n, "audit");
                debug!(target: "strongroom_kernel::node", n, "kernel");
                debug!(target: "hyper", n, "other");
            };
            let level = |name: &str| {
                let all = logging.loggers();
                all.into_iter().find(|(n, _)| n == name).map(|(_, level)| level)
            };
            assert!(!logging.set_logger(Some("nope"), None));
            tell(0);
            assert!(logging.set_logger(Some("kernel.audit"), Some(LogLevel::Debug)));
            tell(1);
            assert_eq!(level("kernel.audit"), Some(LogLevel::Debug));
            assert_eq!(level("kernel"), Some(LogLevel::Warn));
            assert!(logging.set_logger(Some("kernel"), Some(LogLevel::Trace)));
            assert_eq!(level("kernel.leases"), Some(LogLevel::Trace));
            tell(2);
            assert!(logging.set_logger(Some("kernel.audit"), None));
            tell(3);
            assert!(logging.set_logger(None, Some(LogLevel::Debug)));
            tell(4);
            assert!(logging.set_logger(None, None));
            tell(5);
            assert_eq!(level("kernel"), Some(LogLevel::Warn));
        });
        let told: Vec<&str> = text.lines().map(|l| l.split(": ").nth(1).unwrap()).collect();
        // Never what a library tells for its own developers: it could show a request.
        assert_eq!(told, ["audit", "audit", "kernel", "kernel", "audit", "kernel"]);
    }

    #[test]
    fn files_rotate_by_size_and_age_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Counting::default());
        let log = Log {
            rotate_bytes: Some(100),
            rotate_seconds: Some(60),
            rotate_files_max: Some(2),
            ..log(folder.path())
        };
        let text = lines(log, clock.clone(), |_| {
            for word in ["one", "two", "three"] {
                info!("{word} {}", "x".repeat(50));
            }
            info!("old");
            clock.1.store(60_000_000_000, Relaxed);
            info!("last");
        });
        assert!(text.ends_with("last\n") && text.lines().count() == 1, "{text}");
        let mut aside: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap() != "a.log")
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        aside.sort();
        assert_eq!(aside.len(), 2, "{aside:?}");
        assert!(!aside.concat().contains("one "), "{aside:?}");
    }

    #[test]
    fn a_moved_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let text = lines(log(folder.path()), Arc::default(), |logging| {
            info!("first");
            fs::rename(&path, folder.path().join("b")).unwrap();
            logging.reopen().unwrap();
            info!("second");
        });
        assert!(text.ends_with("second\n") && !text.contains("first"));
    }

    #[test]
    fn followers_have_levels_and_forms_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log { level: Some(LogLevel::Warn), ..log(folder.path()) };
        let text = lines(log, Arc::default(), |logging| {
            let all = |receiver: &mut mpsc::Receiver<io::Result<Bytes>>| {
                std::iter::from_fn(|| receiver.try_recv().ok())
                    .map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap())
                    .collect::<Vec<_>>()
            };
            debug!("before");
            let mut quiet = logging.follow(LogLevel::Error, false).unwrap();
            let mut loud = logging.follow(LogLevel::Trace, true).unwrap();
            debug!(n = 1, "one");
            // What a library tells for its own developers nobody gets: it could show a request.
            debug!(target: "hyper", "other");
            info!(target: "hyper", "known");
            warn!("two");
            assert_eq!(all(&mut quiet), Vec::<String>::new());
            let loud_lines = all(&mut loud);
            assert_eq!(loud_lines.len(), 3, "{loud_lines:?}");
            assert!(loud_lines[0].starts_with("{\"@level\":\"debug\",\"@message\":\"one\""));
            assert!(loud_lines[1].contains("known") && loud_lines[2].contains("two"));

            // One that does not read loses lines, and is told how many.
            for _ in 0..followers::FOLLOW_LINES + 7 {
                info!("much");
            }
            let got = all(&mut loud);
            assert_eq!(got.len(), followers::FOLLOW_LINES);
            info!("more");
            let got = all(&mut loud);
            assert!(got[0].contains("\"lost\":\"7\"") && got[1].contains("more"), "{got:?}");

            drop(quiet);
            let many: Vec<_> =
                std::iter::from_fn(|| logging.follow(LogLevel::Info, false)).take(100).collect();
            assert_eq!(many.len(), followers::FOLLOWERS_MAX - 1, "its place was free again");
            logging.end_following();
            warn!("nobody");
            assert!(all(&mut loud).is_empty() && loud.is_closed());
        });
        assert_eq!(text.lines().count(), 2, "the log itself tells no more: {text}");
    }
}
