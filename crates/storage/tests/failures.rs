//! What befalls files from outside: other servers, foreign and damaged files, deleted ones. Each is
//! named at open or noticed while running, nothing damaged is served, nothing acknowledged is lost.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, RowTable, SqliteOptions, SqliteStorage, Storage,
    StorageError,
};
use tempfile::TempDir;

const DATA: &str = "strongroom.db";
const LOG: &str = "strongroom.db-wal";

fn open(folder: &Path) -> Result<Arc<SqliteStorage>, StorageError> {
    SqliteStorage::open(folder, SqliteOptions::default())
}

fn row(id: u64) -> Key {
    Key::Row(RowTable(0), id)
}

fn put(id: u64, text: &str) -> Change {
    Change::Put(row(id), text.as_bytes().into())
}

async fn commit(store: &SqliteStorage, changes: Vec<Change>) -> Result<u64, StorageError> {
    store.commit(Commit { snapshot: store.revision(), changes, ..Commit::default() }).await
}

async fn read(store: &SqliteStorage, id: u64) -> Option<String> {
    let value = store.get(&row(id)).done().await.expect("a read");
    value.map(|v| String::from_utf8_lossy(&v).into_owned())
}

/// A folder with a store whose server died: rows 1 to 20, each a batch of its own in the log.
async fn crashed(folder: &TempDir) -> PathBuf {
    let alive = folder.path().join("alive");
    let store = open(&alive).expect("a new store");
    for id in 1..=20 {
        commit(&store, vec![put(id, &format!("value {id}"))]).await.expect("a commit");
    }
    let dead = folder.path().join("dead");
    fs::create_dir(&dead).expect("a folder");
    for name in [DATA, LOG, "lock"] {
        fs::copy(alive.join(name), dead.join(name)).expect("a copy");
    }
    dead
}

fn expect_refusal(result: Result<Arc<SqliteStorage>, StorageError>, parts: &[&str]) {
    let error = match result {
        Ok(_) => panic!("it was opened; expected a refusal with {parts:?}"),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[tokio::test]
async fn a_second_server_is_refused_until_the_first_ends() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    let first = open(&path).expect("a new store");
    expect_refusal(open(&path), &["in use by another server"]);
    first.close().await;
    drop(first);
    open(&path).expect("the store again");
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("new").join("store");
    let store = open(&path).expect("a new store");
    commit(&store, vec![put(1, "x")]).await.expect("a commit");
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).expect("the folder") {
        let entry = entry.expect("an entry").path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
    // A file that was opened up is closed again.
    drop(store);
    fs::set_permissions(path.join(DATA), fs::Permissions::from_mode(0o644)).expect("a mode");
    let _store = open(&path).expect("the store again");
    assert_eq!(mode(&path.join(DATA)), 0o600);
}

#[tokio::test]
async fn what_is_not_a_whole_store_is_refused_by_name() {
    let cases: [(&str, fn(&Path), &[&str]); 9] = [
        ("foreign", |f| fs::write(f.join(DATA), "hello").unwrap(), &[DATA, "not a Strongroom"]),
        ("empty", |f| fs::write(f.join(DATA), "").unwrap(), &[DATA, "not a Strongroom"]),
        ("zeros", |f| fs::write(f.join(DATA), [0; 8192]).unwrap(), &[DATA, "not a Strongroom"]),
        ("other application", |f| patch(&f.join(DATA), 68, b"Oth1"), &[DATA, "not a Strongroom"]),
        ("newer format", |f| patch(&f.join(DATA), 60, &[0, 0, 0, 9]), &[DATA, "version 9"]),
        (
            "cut off",
            |f| {
                let file = fs::OpenOptions::new().write(true).open(f.join(DATA)).unwrap();
                file.set_len(5 * 4096 + 100).unwrap();
            },
            &[DATA],
        ),
        ("no data", |f| fs::remove_file(f.join(DATA)).unwrap(), &[DATA, "missing"]),
        ("no log", |f| fs::remove_file(f.join(LOG)).unwrap(), &[LOG, "missing"]),
        (
            "data is a folder",
            |f| {
                fs::remove_file(f.join(DATA)).unwrap();
                fs::create_dir(f.join(DATA)).unwrap();
            },
            &[DATA, "not a regular file"],
        ),
    ];
    for (name, harm, parts) in cases {
        let folder = TempDir::new().expect("a folder");
        let dead = crashed(&folder).await;
        // The header is read from the file, so for these cases nothing of it may lie in the log.
        if name != "no log" && name != "no data" {
            drop(open(&dead).expect("recovery"));
            fs::write(dead.join("lock"), "open\n").unwrap();
            fs::write(dead.join(LOG), "").unwrap();
        }
        harm(&dead);
        println!("{name}");
        expect_refusal(open(&dead), parts);
    }
}

fn patch(path: &Path, at: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.write_all_at(bytes, at).expect("a write");
}

#[tokio::test]
async fn a_store_that_vanished_after_a_proper_end_is_not_made_anew() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    drop(open(&path).expect("a new store"));
    fs::remove_file(path.join(DATA)).expect("a removal");
    expect_refusal(open(&path), &[DATA, "missing"]);
}

#[tokio::test]
async fn a_crash_loses_nothing_and_a_torn_tail_only_itself() {
    let folder = TempDir::new().expect("a folder");
    let dead = crashed(&folder).await;
    let store = open(&dead).expect("recovery");
    assert_eq!(read(&store, 20).await.as_deref(), Some("value 20"));
    drop(store);

    let folder = TempDir::new().expect("a folder");
    let dead = crashed(&folder).await;
    let log = fs::OpenOptions::new().write(true).open(dead.join(LOG)).expect("the log");
    let bytes = log.metadata().expect("its size").len();
    log.set_len(bytes - 1000).expect("a cut");
    let store = open(&dead).expect("recovery");
    assert_eq!(read(&store, 19).await.as_deref(), Some("value 19"));
    assert_eq!(read(&store, 20).await, None);
}

/// A batch that was torn as the first of its log is no part of what is written over it: frames of both
/// would look like a log that was damaged in the middle.
#[tokio::test]
async fn a_log_whose_first_batch_is_torn_begins_anew() {
    let folder = TempDir::new().expect("a folder");
    let again = crashed(&folder).await;
    let _alive = open(&again).expect("the store after a crash");
    let torn = folder.path().join("torn");
    fs::create_dir(&torn).expect("a folder");
    for name in [DATA, LOG, "lock"] {
        fs::copy(again.join(name), torn.join(name)).expect("a copy");
    }
    let generation = |folder: &Path| fs::read(folder.join(LOG)).expect("a log")[16..24].to_vec();
    let before = generation(&torn);
    // Into the page of the first frame.
    patch(&torn.join(LOG), 32 + 24 + 100, b"torn");
    let store = open(&torn).expect("the store after another crash");
    assert_eq!(read(&store, 20).await.as_deref(), Some("value 20"));
    assert_ne!(generation(&torn), before, "its frames could be taken for new ones");
}

#[tokio::test]
async fn a_log_damaged_in_the_middle_is_named() {
    // Frames of 24 + 4096 bytes after a header of 32; each batch has one or more.
    for (at, named) in
        [(32 + 3 * 4120 + 500, "frame 4"), (32 + 5 * 4120 + 9, "frame 6"), (17, "frame 0")]
    {
        let folder = TempDir::new().expect("a folder");
        let dead = crashed(&folder).await;
        patch(&dead.join(LOG), at, &[0xa5, 0x5a]);
        expect_refusal(open(&dead), &[LOG, named, "damaged"]);
        let verified = SqliteStorage::verify(&dead).expect_err("damage");
        assert!(verified.to_string().contains(LOG), "{verified}");
    }
}

#[tokio::test]
async fn damage_inside_the_data_is_found_by_verify_and_never_served() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    let store = open(&path).expect("a new store");
    for chunk in 0..20 {
        let changes = (0..100).map(|n| put(chunk * 100 + n, &"x".repeat(500))).collect();
        commit(&store, changes).await.expect("a commit");
    }
    drop(store);
    SqliteStorage::verify(&path).expect("a sound store");
    let bytes = fs::metadata(path.join(DATA)).expect("the data").len();
    // All pages after the schema and the tables' roots, structure and content alike.
    for page in 20..bytes / 4096 {
        patch(&path.join(DATA), page * 4096, &[0xee; 64]);
    }
    let error = SqliteStorage::verify(&path).expect_err("damage").to_string();
    assert!(error.contains(DATA), "{error}");
    expect_refusal(open(&path), &[DATA, "table r0"]);
}

/// Waits until the store says of itself what is expected.
async fn until(store: &SqliteStorage, fit: bool) {
    while store.health().is_ok() != fit {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_data_file_that_is_deleted_while_running_is_noticed() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    let store = open(&path).expect("a new store");
    commit(&store, vec![put(1, "one")]).await.expect("a commit");
    fs::rename(path.join(DATA), folder.path().join("aside")).expect("a move");
    let error = commit(&store, vec![put(2, "two")]).await.expect_err("not acknowledged");
    assert!(error.to_string().contains(DATA), "{error}");
    // It was written to a file that may be put back: nobody is told that it was not.
    assert!(matches!(error, StorageError::InDoubt(_)), "{error}");
    assert!(store.health().is_err());
    assert!(commit(&store, vec![put(3, "three")]).await.is_err());
    assert!(store.get(&row(4)).done().await.is_err());

    // Put back, it is opened again, and the feed says that anything may have changed.
    let told = Arc::new(AtomicBool::new(false));
    let ear = Arc::clone(&told);
    store.listen(Arc::new(move |_, changes| {
        ear.fetch_or(changes == [Change::Everything], Ordering::SeqCst);
    }));
    let before = store.revision();
    fs::rename(folder.path().join("aside"), path.join(DATA)).expect("a move");
    until(&store, true).await;
    assert!(told.load(Ordering::SeqCst));
    assert!(store.revision() > before);
    assert!(!store.unchanged_since(before, &[row(1)], &[]));
    assert_eq!(read(&store, 1).await.as_deref(), Some("one"));
    commit(&store, vec![put(5, "five")]).await.expect("a commit");
    drop(store);
    let store = open(&path).expect("the store again");
    assert_eq!(read(&store, 5).await.as_deref(), Some("five"));
}

#[tokio::test]
async fn a_log_that_is_deleted_while_running_loses_nothing() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    let store = open(&path).expect("a new store");
    commit(&store, vec![put(1, "one")]).await.expect("a commit");
    fs::remove_file(path.join(LOG)).expect("a removal");
    assert!(commit(&store, vec![put(2, "two")]).await.is_err());
    until(&store, true).await;
    assert_eq!(read(&store, 1).await.as_deref(), Some("one"));
    commit(&store, vec![put(3, "three")]).await.expect("a commit");
    // As after kill -9: what was acknowledged lies where the names lead.
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).expect("a folder");
    for name in [DATA, LOG, "lock"] {
        fs::copy(path.join(name), copy.join(name)).expect("a copy");
    }
    let copy = open(&copy).expect("the copy");
    assert_eq!(read(&copy, 1).await.as_deref(), Some("one"));
    assert_eq!(read(&copy, 3).await.as_deref(), Some("three"));
}

/// Readers never see a value older than one that was acknowledged before they began, whatever the
/// cache does meanwhile.
#[test]
fn no_read_is_older_than_an_acknowledged_write() {
    const WRITES: u64 = 3_000;
    const KEYS: u64 = 8;
    let folder = TempDir::new().expect("a folder");
    // So small that entries come and go.
    let options = SqliteOptions { cache_bytes: 40_000, ..SqliteOptions::default() };
    let store = SqliteStorage::open(&folder.path().join("store"), options).expect("a new store");
    let acknowledged: [AtomicU64; KEYS as usize] = Default::default();
    let done = AtomicBool::new(false);
    let key = |n: u64| match n % 2 {
        0 => row(n),
        _ => Key::Index(IndexTable(0), IndexKey::from_slice(&n.to_be_bytes())),
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let now = |waits: &tokio::runtime::Runtime, n: u64| {
        let value = waits.block_on(store.get(&key(n)).done()).expect("a read");
        value.map_or(0, |v| u64::from_be_bytes(v[..8].try_into().expect("eight bytes")))
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = runtime();
                while !done.load(Ordering::SeqCst) {
                    for n in 0..KEYS {
                        let floor = acknowledged[n as usize].load(Ordering::SeqCst);
                        let seen = now(&runtime, n);
                        assert!(seen >= floor, "key {n}: {seen} after {floor} was acknowledged");
                    }
                }
            });
        }
        let runtime = runtime();
        for write in 1..=WRITES {
            let n = write % KEYS;
            let mut value = write.to_be_bytes().to_vec();
            value.resize(8 + (write as usize * 37) % 300, 0);
            let mut changes = vec![Change::Put(key(n), value.into())];
            // Pushes other entries out of the cache.
            changes.push(put(1000 + write, &"x".repeat(200)));
            runtime.block_on(commit(&store, changes)).expect("a commit");
            acknowledged[n as usize].store(write, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
}

/// Connections keep their snapshots while nothing is written; none may hide a later commit, and
/// none may hold up the checkpoints.
#[tokio::test]
async fn kept_snapshots_neither_age_nor_hold_up_the_log() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    // Nothing fits into the cache, so each read goes to a connection.
    let options =
        SqliteOptions { cache_bytes: 0, log_bytes: 256 << 10, ..SqliteOptions::default() };
    let store = SqliteStorage::open(&path, options).expect("a new store");
    for n in 1..=400u64 {
        let text = format!("{n} {}", "x".repeat(8000));
        commit(&store, vec![put(1, &text), put(1000 + n, &text)]).await.expect("a commit");
        // Several readers at once, so that some connections are left alone with their snapshots.
        if n % 50 == 0 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let strongroom_storage::Read::Now(Ok(Some(value))) = store.get(&row(1))
                            else {
                                panic!("a read failed");
                            };
                            assert_eq!(*value, *text.as_bytes());
                        }
                    });
                }
            });
        }
        assert_eq!(read(&store, 1).await.as_deref(), Some(&*text));
    }
    // Some 2,400 pages were written; a log that could not begin anew would hold them all.
    let log = fs::metadata(path.join(LOG)).expect("the log").len();
    assert!(log < 5 << 20, "the log grew to {log} bytes");
}
