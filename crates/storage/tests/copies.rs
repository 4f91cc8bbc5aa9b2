//! Whole copies: taken under load they are of one moment; put in a store's place they are all of it,
//! and what is damaged or foreign changes nothing.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use strongroom_storage::copies::Copies;
use strongroom_storage::{
    Change, Commit, Key, Role, RowTable, SqliteOptions, SqliteStorage, Storage, StorageError,
};
use tempfile::TempDir;

fn open(folder: &Path) -> Arc<SqliteStorage> {
    SqliteStorage::open(folder, SqliteOptions::default()).expect("a store")
}

fn copies(store: &Arc<SqliteStorage>) -> Arc<dyn Copies> {
    store.copies().expect("a store in files")
}

fn row(id: u64) -> Key {
    Key::Row(RowTable(0), id)
}

fn put(id: u64, value: &str) -> Change {
    Change::Put(row(id), value.as_bytes().into())
}

async fn commit(store: &Arc<SqliteStorage>, changes: Vec<Change>) -> Result<u64, StorageError> {
    let Role::Active { term } = store.role() else { panic!("one node") };
    store.commit(Commit { snapshot: store.revision(), changes, term, ..Commit::default() }).await
}

async fn read(store: &Arc<SqliteStorage>, id: u64) -> Option<String> {
    let value = store.get(&row(id)).done().await.expect("a read");
    value.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"))
}

fn taken(store: &Arc<SqliteStorage>) -> Vec<u8> {
    let mut bytes = Vec::new();
    copies(store).take().expect("a copy").read_to_end(&mut bytes).expect("its bytes");
    bytes
}

fn put_in_place(
    store: &Arc<SqliteStorage>,
    bytes: &[u8],
    changes: &[Change],
) -> Result<(), StorageError> {
    let copies = copies(store);
    let mut staged = copies.stage()?;
    staged.write_all(bytes).expect("room");
    copies.check(&staged)?;
    copies.replace(staged, changes)
}

/// Names of the files in a store's folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_under_load_is_of_one_moment() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&folder.path().join("one"));
    // Always written together.
    let pair = |n: u64| vec![put(1, &n.to_string()), put(1_000_000, &n.to_string())];
    commit(&store, pair(0)).await.expect("a commit");
    // So large that a copy takes many steps.
    for n in 2..200 {
        commit(&store, vec![put(n, &"x".repeat(20_000))]).await.expect("a commit");
    }
    let done = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                n += 1;
                commit(&store, pair(n)).await.expect("writers do not wait for a copy");
            }
            n
        }
    });
    let mut seen = Vec::new();
    for n in 0..5 {
        let copied = tokio::task::spawn_blocking({
            let store = store.clone();
            move || taken(&store)
        });
        let bytes = copied.await.expect("a copy");
        let other = open(&folder.path().join(format!("other-{n}")));
        put_in_place(&other, &bytes, &[]).expect("a whole copy");
        let (a, b) = (read(&other, 1).await, read(&other, 1_000_000).await);
        assert!(a.is_some() && a == b, "{a:?} {b:?}");
        assert_eq!(read(&other, 199).await.expect("a row").len(), 20_000);
        seen.push(a.and_then(|text| text.parse::<u64>().ok()).expect("a number"));
    }
    done.store(true, Ordering::SeqCst);
    let last = writing.await.expect("the writer");
    assert!(seen.is_sorted() && seen.iter().all(|n| *n <= last), "{seen:?} of {last}");
    assert_eq!(read(&store, 1).await, Some(last.to_string()));
    assert_eq!(
        names(&folder.path().join("one")),
        ["lock", "strongroom.db", "strongroom.db-shm", "strongroom.db-wal"],
        "a copy leaves nothing behind"
    );
}

#[tokio::test]
async fn the_place_is_taken_as_a_whole_and_survives() {
    let folder = TempDir::new().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let one = open(&from);
    commit(&one, vec![put(1, "one"), put(3, "three")]).await.expect("a commit");
    let theirs = one.next_id();
    let bytes = taken(&one);

    let two = open(&to);
    commit(&two, vec![put(1, "another"), put(2, "two")]).await.expect("a commit");
    assert_eq!(read(&two, 1).await.as_deref(), Some("another"));
    let ours = two.next_id();
    let told = Arc::new(AtomicBool::new(false));
    let heard = told.clone();
    two.listen(Arc::new(move |_, changes| {
        heard.fetch_or(changes.contains(&Change::Everything), Ordering::SeqCst);
    }));
    let before =
        Commit { snapshot: two.revision(), changes: vec![put(9, "x")], ..Commit::default() };
    put_in_place(&two, &bytes, &[put(4, "four")]).expect("a replacement");

    // Whoever began before the replacement changes nothing after it, not even without a read.
    assert!(matches!(two.commit(before).await, Err(StorageError::Deposed)));
    assert!(told.load(Ordering::SeqCst), "derived values were told");
    let found =
        [read(&two, 1).await, read(&two, 2).await, read(&two, 3).await, read(&two, 4).await];
    let want = [Some("one"), None, Some("three"), Some("four")];
    assert_eq!(found.each_ref().map(Option::as_deref), want);
    assert!(two.next_id() > ours.max(theirs) + 1_000_000, "no id comes twice");
    commit(&two, vec![put(5, "five")]).await.expect("a commit");

    // As after kill -9.
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).expect("a folder");
    for name in ["lock", "strongroom.db", "strongroom.db-wal"] {
        fs::copy(to.join(name), copy.join(name)).expect("a copy");
    }
    for store in [open(&copy), {
        drop(two);
        open(&to)
    }] {
        let found = [read(&store, 1).await, read(&store, 2).await, read(&store, 5).await];
        assert_eq!(found.each_ref().map(Option::as_deref), [Some("one"), None, Some("five")]);
    }
}

#[tokio::test]
async fn what_is_damaged_or_foreign_changes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    let store = open(&path);
    commit(&store, (1..50).map(|n| put(n, &"v".repeat(4_000))).collect()).await.expect("a commit");
    let good = taken(&store);
    let foreign = |sql: &str| {
        let file = folder.path().join("foreign.db");
        fs::write(&file, &good).expect("a file");
        let connection = rusqlite::Connection::open(&file).expect("a database");
        connection.execute_batch(sql).expect("a change");
        connection.close().expect("an end");
        fs::read(&file).expect("its bytes")
    };
    let mut torn = good.clone();
    torn[4096 * 3..4096 * 4].fill(0x5a);
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("no database", b"no database at all".repeat(100)),
        ("a short file", good[..good.len() / 2].to_vec()),
        ("a torn page", torn),
        ("another program's", foreign("PRAGMA application_id=7")),
        ("a later version", foreign("PRAGMA user_version=2")),
        (
            "with a trigger",
            foreign("CREATE TRIGGER t AFTER INSERT ON r0 BEGIN DELETE FROM r1; END"),
        ),
        ("without a table", foreign("DROP TABLE r7")),
        ("without ids", foreign("DELETE FROM meta WHERE id=1")),
        ("ids used up", foreign("UPDATE meta SET val=x'000000ffffffff00' WHERE id=1")),
    ] {
        let refused = put_in_place(&store, &bytes, &[]);
        assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{what}: {refused:?}");
        assert_eq!(read(&store, 49).await.map(|v| v.len()), Some(4_000), "{what}");
        commit(&store, vec![put(60, what)]).await.expect("the store goes on");
    }
    let held = copies(&store).stage().expect("a place");
    assert!(copies(&store).stage().is_err(), "one at a time");
    drop(held);
    assert_eq!(names(&path), ["lock", "strongroom.db", "strongroom.db-shm", "strongroom.db-wal"]);

    // What an interrupted replacement left goes at the next start.
    drop(store);
    for left in ["strongroom.db-copy", "strongroom.db-staged", "strongroom.db-staged-wal"] {
        fs::write(path.join(left), "left").expect("a file");
    }
    let store = open(&path);
    assert_eq!(read(&store, 60).await.as_deref(), Some("ids used up"));
    drop(store);
    assert_eq!(names(&path), ["lock", "strongroom.db", "strongroom.db-shm", "strongroom.db-wal"]);
}
