use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

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
