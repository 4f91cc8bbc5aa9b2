//! The one suite that every storage passes. A storage's test hands in how to open it:
//!
//! ```text
//! conformance::run(&mut MyBackend::default()).await;
//! ```
//!
//! Each case gets a fresh, empty store; cases that reopen it ask the backend to. The suite panics
//! with the name of the case at the first deviation.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::{
    Change, Commit, IndexKey, IndexTable, Key, Page, ROW_ID_END, Revision, RowTable, Storage,
    StorageError, Value,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How to get stores of one kind.
pub trait Backend {
    /// A fresh, empty store.
    fn fresh(&mut self) -> Arc<dyn Storage>;
    /// The store that `fresh` returned last, closed and opened again.
    fn reopened(&mut self, store: Arc<dyn Storage>) -> Arc<dyn Storage>;
}

const ROWS: RowTable = RowTable(1);
const NAMES: IndexTable = IndexTable(2);

fn row(id: u64) -> Key {
    Key::Row(ROWS, id)
}

fn name(key: &str) -> Key {
    Key::Index(NAMES, index_key(key))
}

fn index_key(key: &str) -> IndexKey {
    IndexKey::from_slice(key.as_bytes())
}

fn value(text: &str) -> Value {
    text.as_bytes().into()
}

fn put(key: Key, text: &str) -> Change {
    Change::Put(key, value(text))
}

async fn commit(store: &dyn Storage, changes: Vec<Change>) -> Result<Revision, StorageError> {
    store.commit(Commit { snapshot: store.revision(), changes, ..Commit::default() }).await
}

async fn get(store: &dyn Storage, key: Key) -> Option<String> {
    let bytes = store.get(&key).done().await.expect("a read");
    bytes.map(|b| String::from_utf8(b.to_vec()).expect("the suite stores text"))
}

async fn names(store: &dyn Storage, from: &str, to: &str, limit: usize) -> Vec<String> {
    let page: Page<IndexKey> = store
        .scan_index(NAMES, from.as_bytes(), to.as_bytes(), limit)
        .done()
        .await
        .expect("a scan");
    page.iter().map(|(key, _)| String::from_utf8(key.to_vec()).expect("text")).collect()
}

async fn ids(store: &dyn Storage, from: u64, to: u64, limit: usize) -> Vec<u64> {
    let page = store.scan_rows(ROWS, from, to, limit).done().await.expect("a scan");
    page.iter().map(|(id, _)| *id).collect()
}

/// Runs all cases.
pub async fn run(backend: &mut dyn Backend) {
    reads_what_was_committed(backend).await;
    scans_in_order(backend).await;
    removes_ranges(backend).await;
    refuses_stale_reads(backend).await;
    refuses_stale_ranges(backend).await;
    keeps_nothing_of_a_refused_commit(backend).await;
    refuses_what_it_cannot_hold(backend).await;
    tells_listeners_before_it_acknowledges(backend).await;
    revisions_rise(backend).await;
    survives_reopening(backend).await;
    never_gives_an_id_twice(backend).await;
    counts_without_losing(backend).await;
    counts_rows(backend).await;
    agrees_with_a_model(backend).await;
    refuses_after_the_end(backend).await;
}

async fn reads_what_was_committed(backend: &mut dyn Backend) {
    let store = backend.fresh();
    assert_eq!(get(&*store, row(7)).await, None);
    assert_eq!(get(&*store, name("a")).await, None);
    let changes = vec![put(row(7), "seven"), put(name("a"), "first"), put(name("b"), "")];
    commit(&*store, changes).await.unwrap();
    assert_eq!(get(&*store, row(7)).await.as_deref(), Some("seven"));
    assert_eq!(get(&*store, name("a")).await.as_deref(), Some("first"));
    assert_eq!(get(&*store, name("b")).await.as_deref(), Some(""));
    // The same id in another table is another record.
    assert_eq!(get(&*store, Key::Row(RowTable(2), 7)).await, None);
    // Later changes of one commit win over earlier ones.
    let changes = vec![
        put(row(7), "again"),
        Change::Delete(name("a")),
        Change::Delete(name("never there")),
        put(name("b"), "x"),
        Change::Delete(name("b")),
        Change::Delete(row(8)),
        put(row(8), "eight"),
    ];
    commit(&*store, changes).await.unwrap();
    assert_eq!(get(&*store, row(7)).await.as_deref(), Some("again"));
    assert_eq!(get(&*store, row(8)).await.as_deref(), Some("eight"));
    assert_eq!(get(&*store, name("a")).await, None);
    assert_eq!(get(&*store, name("b")).await, None);
}

async fn scans_in_order(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let words = ["delta", "alpha", "charlie", "bravo", "al", "alphabet"];
    commit(&*store, words.iter().map(|w| put(name(w), w)).collect()).await.unwrap();
    let changes = [30, 10, 20, crate::ROW_ID_END - 1].map(|id| put(row(id), "x"));
    commit(&*store, changes.to_vec()).await.unwrap();

    for (from, to, limit, expect) in [
        ("", "\u{7f}", 100, vec!["al", "alpha", "alphabet", "bravo", "charlie", "delta"]),
        ("", "\u{7f}", 2, vec!["al", "alpha"]),
        ("alpha\0", "\u{7f}", 2, vec!["alphabet", "bravo"]),
        ("alpha", "alphabet", 100, vec!["alpha"]),
        ("b", "b", 100, vec![]),
        ("z", "a", 100, vec![]),
        ("", "\u{7f}", 0, vec![]),
    ] {
        assert_eq!(names(&*store, from, to, limit).await, expect, "{from:?}..{to:?} by {limit}");
    }
    let last = crate::ROW_ID_END - 1;
    for (from, to, limit, expect) in [
        (0, u64::MAX, 100, vec![10, 20, 30, last]),
        (0, crate::ROW_ID_END, 100, vec![10, 20, 30, last]),
        (10, 30, 100, vec![10, 20]),
        (11, u64::MAX, 1, vec![20]),
        (30, 10, 100, vec![]),
    ] {
        assert_eq!(ids(&*store, from, to, limit).await, expect, "{from}..{to} by {limit}");
    }
}

async fn removes_ranges(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let mut changes: Vec<Change> = (0..600).map(|id| put(row(id), "x")).collect();
    changes.extend(["a", "b", "b1", "c"].map(|w| put(name(w), w)));
    commit(&*store, changes).await.unwrap();
    // Into the cache, so that a cache that forgets to forget is found.
    for id in [1, 2, 3, 400, 599] {
        assert!(get(&*store, row(id)).await.is_some());
    }
    assert!(get(&*store, name("b1")).await.is_some());
    let (from, to) = (index_key("b"), index_key("c"));
    commit(
        &*store,
        vec![
            Change::DeleteRows { table: ROWS, from: 2, to: 3 },
            Change::DeleteRows { table: ROWS, from: 3, to: 500 },
            Change::DeleteRows { table: ROWS, from: 9, to: 2 },
            Change::DeleteIndexRange { table: NAMES, from, to },
            put(row(400), "after the range"),
        ],
    )
    .await
    .unwrap();
    assert!(get(&*store, row(1)).await.is_some());
    assert_eq!(get(&*store, row(2)).await, None);
    assert_eq!(get(&*store, row(3)).await, None);
    assert_eq!(get(&*store, row(400)).await.as_deref(), Some("after the range"));
    assert!(get(&*store, row(599)).await.is_some());
    assert_eq!(ids(&*store, 0, u64::MAX, 4).await, [0, 1, 400, 500]);
    assert_eq!(get(&*store, name("b1")).await, None);
    assert_eq!(names(&*store, "", "z", 9).await, ["a", "c"]);
}

async fn refuses_stale_reads(backend: &mut dyn Backend) {
    let store = backend.fresh();
    commit(&*store, vec![put(row(1), "one"), put(row(2), "two"), put(name("n"), "n")])
        .await
        .unwrap();
    let changes: [(Vec<Change>, bool); 8] = [
        (vec![put(row(1), "changed")], true),
        (vec![Change::Delete(row(1))], true),
        (vec![Change::DeleteRows { table: ROWS, from: 0, to: 2 }], true),
        (vec![put(name("n"), "changed")], true),
        (
            vec![Change::DeleteIndexRange {
                table: NAMES,
                from: index_key("m"),
                to: index_key("o"),
            }],
            true,
        ),
        (vec![put(name("absent"), "now there")], true),
        (vec![put(row(2), "not read")], false),
        (vec![Change::DeleteRows { table: RowTable(3), from: 0, to: 9 }], false),
    ];
    for (change, conflict) in changes {
        let snapshot = store.revision();
        let reads = vec![row(1), name("n"), name("absent")];
        assert!(store.unchanged_since(snapshot, &reads, &[]));
        commit(&*store, change.clone()).await.unwrap();
        assert_eq!(store.unchanged_since(snapshot, &reads, &[]), !conflict, "{change:?}");
        for changes in [vec![put(row(50), "mine")], vec![]] {
            let late = Commit { snapshot, reads: reads.clone(), changes, ..Commit::default() };
            let result = store.commit(late).await;
            assert_eq!(matches!(result, Err(StorageError::Conflict)), conflict, "{change:?}");
            assert_eq!(result.is_ok(), !conflict, "{change:?}");
        }
    }
}

async fn refuses_stale_ranges(backend: &mut dyn Backend) {
    let store = backend.fresh();
    commit(&*store, vec![put(name("b"), "b")]).await.unwrap();
    for (changed, conflict) in [("a", true), ("b", true), ("bz", true), ("c", false), ("0", false)]
    {
        let snapshot = store.revision();
        let ranges = vec![(NAMES, index_key("a"), index_key("c"))];
        commit(&*store, vec![put(name(changed), "new")]).await.unwrap();
        assert_eq!(store.unchanged_since(snapshot, &[], &ranges), !conflict, "{changed}");
        let late =
            Commit { snapshot, ranges, changes: vec![put(row(1), "mine")], ..Commit::default() };
        let result = store.commit(late).await;
        assert_eq!(matches!(result, Err(StorageError::Conflict)), conflict, "{changed}");
    }
    let snapshot = store.revision();
    let (from, to) = (index_key("bb"), index_key("zz"));
    commit(&*store, vec![Change::DeleteIndexRange { table: NAMES, from, to }]).await.unwrap();
    let overlapping = (NAMES, index_key("a"), index_key("bc"));
    let beside = (NAMES, index_key("a"), index_key("bb"));
    assert!(!store.unchanged_since(snapshot, &[], &[overlapping]));
    assert!(store.unchanged_since(snapshot, &[], &[beside]));
}

async fn keeps_nothing_of_a_refused_commit(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let snapshot = store.revision();
    commit(&*store, vec![put(row(1), "theirs")]).await.unwrap();
    let before = store.revision();
    let late = Commit {
        snapshot,
        reads: vec![row(1)],
        changes: vec![put(row(2), "mine"), put(row(1), "mine")],
        ..Commit::default()
    };
    assert!(matches!(store.commit(late).await, Err(StorageError::Conflict)));
    assert_eq!(get(&*store, row(1)).await.as_deref(), Some("theirs"));
    assert_eq!(get(&*store, row(2)).await, None);
    assert_eq!(store.revision(), before);
    let deposed = Commit { term: 9, changes: vec![put(row(2), "mine")], ..Commit::default() };
    assert!(matches!(store.commit(deposed).await, Err(StorageError::Deposed)));
    assert_eq!(get(&*store, row(2)).await, None);
}

async fn refuses_what_it_cannot_hold(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let longest = "k".repeat(crate::INDEX_KEY_BYTES_MAX);
    commit(&*store, vec![put(name(&longest), "fits")]).await.unwrap();
    assert_eq!(get(&*store, name(&longest)).await.as_deref(), Some("fits"));
    for bad in [
        put(name(&format!("{longest}k")), "x"),
        put(row(crate::ROW_ID_END), "x"),
        put(Key::Row(RowTable(crate::ROW_TABLES), 1), "x"),
        put(Key::Index(IndexTable(crate::INDEX_TABLES), index_key("k")), "x"),
        Change::DeleteRows { table: RowTable(crate::ROW_TABLES), from: 0, to: 1 },
        Change::Everything,
    ] {
        let result = commit(&*store, vec![put(row(1), "beside"), bad]).await;
        assert!(matches!(result, Err(StorageError::Io(_))), "{result:?}");
    }
    assert_eq!(get(&*store, row(1)).await, None);
    assert_eq!(get(&*store, Key::Row(RowTable(crate::ROW_TABLES), 1)).await, None);
}

async fn tells_listeners_before_it_acknowledges(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let heard: Arc<Mutex<Vec<(Revision, Vec<Change>)>>> = Arc::default();
    let ear = Arc::clone(&heard);
    store.listen(Arc::new(move |revision, changes| ear.lock().push((revision, changes.to_vec()))));
    let mut expect = Vec::new();
    for id in 0..5 {
        let changes = vec![put(row(id), "x"), Change::Delete(name("y"))];
        let revision = commit(&*store, changes.clone()).await.unwrap();
        expect.push((revision, changes));
        assert_eq!(*heard.lock(), expect);
    }
    let snapshot = 0;
    let late = Commit {
        snapshot,
        reads: vec![row(0)],
        changes: vec![put(row(9), "x")],
        ..Commit::default()
    };
    assert!(store.commit(late).await.is_err());
    assert_eq!(*heard.lock(), expect, "a refused commit is not told");
}

async fn revisions_rise(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let mut last = store.revision();
    for id in 0..10 {
        let revision = commit(&*store, vec![put(row(id), "x")]).await.unwrap();
        assert!(revision > last && store.revision() >= revision);
        last = revision;
    }
    // A commit that changes nothing is validated and makes no revision.
    assert_eq!(commit(&*store, vec![]).await.unwrap(), last);
}

async fn survives_reopening(backend: &mut dyn Backend) {
    let store = backend.fresh();
    let large = "v".repeat(300_000);
    commit(&*store, vec![put(row(1), "one"), put(name("n"), "n"), put(row(2), &large)])
        .await
        .unwrap();
    commit(&*store, vec![Change::Delete(name("n"))]).await.unwrap();
    let store = backend.reopened(store);
    assert_eq!(get(&*store, row(1)).await.as_deref(), Some("one"));
    assert_eq!(get(&*store, row(2)).await.as_deref(), Some(&*large));
    assert_eq!(get(&*store, name("n")).await, None);
    assert!(store.health().is_ok());
}

async fn never_gives_an_id_twice(backend: &mut dyn Backend) {
    let mut store = backend.fresh();
    let mut last = 0;
    for _ in 0..3 {
        // More than a reserved block.
        for _ in 0..100_000 {
            let id = store.next_id();
            assert!(id > last && id < 1 << 40, "{id} after {last}");
            last = id;
        }
        store = backend.reopened(store);
    }
    let given: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50_000).map(|_| store.next_id()).collect::<Vec<u64>>()))
            .collect();
        takers.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let different: std::collections::BTreeSet<u64> = given.iter().copied().collect();
    assert_eq!(different.len(), given.len());
    assert!(different.first().is_some_and(|first| *first > last));
}

/// Many tasks raise one counter, each by reading and writing it in a transaction.
async fn counts_rows(backend: &mut dyn Backend) {
    let store = backend.fresh();
    assert_eq!(store.count_rows(ROWS).await.unwrap(), 0);
    // More than are counted in one read, with gaps between their ids.
    for rows in [1, 40_000] {
        let changes = (0..rows).map(|i| put(row(i * 3), "x")).collect();
        commit(&*store, changes).await.unwrap();
        assert_eq!(store.count_rows(ROWS).await.unwrap(), rows);
    }
    commit(&*store, vec![put(row(ROW_ID_END - 1), "last")]).await.unwrap();
    assert_eq!(store.count_rows(ROWS).await.unwrap(), 40_001);
}

async fn counts_without_losing(backend: &mut dyn Backend) {
    const TASKS: u64 = 8;
    const ROUNDS: u64 = 25;
    let store = backend.fresh();
    let conflicts = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, conflicts) = (Arc::clone(&store), Arc::clone(&conflicts));
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    while !raise(&*store).await {
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(get(&*store, row(1)).await, Some((TASKS * ROUNDS).to_string()));
    assert_eq!(store.counters().conflicts, conflicts.load(Ordering::Relaxed));
}

async fn raise(store: &dyn Storage) -> bool {
    let snapshot = store.revision();
    let count: u64 = get(store, row(1)).await.map_or(0, |text| text.parse().unwrap());
    let next = (count + 1).to_string();
    let commit = Commit {
        snapshot,
        reads: vec![row(1)],
        changes: vec![put(row(1), &next)],
        ..Commit::default()
    };
    match store.commit(commit).await {
        Ok(_) => true,
        Err(StorageError::Conflict) => false,
        Err(other) => panic!("{other}"),
    }
}

/// A small generator of its own: the suite needs repeatable choices, not good ones.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn agrees_with_a_model(backend: &mut dyn Backend) {
    for seed in 1..=6 {
        let mut store = backend.fresh();
        let mut dice = Dice(seed);
        let mut rows: BTreeMap<u64, String> = BTreeMap::new();
        let mut index: BTreeMap<String, String> = BTreeMap::new();
        for step in 0..150 {
            let changes = (0..dice.roll(5))
                .map(|n| random_change(&mut dice, &format!("{step}.{n}"), &mut rows, &mut index))
                .collect();
            commit(&*store, changes).await.unwrap();
            if dice.roll(40) == 0 {
                store = backend.reopened(store);
            }
            let id = dice.roll(40);
            assert_eq!(get(&*store, row(id)).await, rows.get(&id).cloned(), "seed {seed} {step}");
            let key = dice.roll(40).to_string();
            assert_eq!(get(&*store, name(&key)).await, index.get(&key).cloned());
            let (from, to) = (dice.roll(40), dice.roll(60));
            let limit = dice.roll(30) as usize;
            let expect: Vec<u64> =
                rows.keys().filter(|i| (from..to).contains(i)).take(limit).copied().collect();
            assert_eq!(ids(&*store, from, to, limit).await, expect, "seed {seed} {step}");
            let (from, to) = (from.to_string(), to.to_string());
            let expect: Vec<String> =
                index.keys().filter(|k| (&from..&to).contains(k)).take(limit).cloned().collect();
            assert_eq!(names(&*store, &from, &to, limit).await, expect, "seed {seed} {step}");
        }
    }
}

fn random_change(
    dice: &mut Dice,
    text: &str,
    rows: &mut BTreeMap<u64, String>,
    index: &mut BTreeMap<String, String>,
) -> Change {
    let id = dice.roll(40);
    let key = id.to_string();
    match dice.roll(10) {
        0..=3 => {
            rows.insert(id, text.to_owned());
            put(row(id), text)
        }
        4..=6 => {
            index.insert(key.clone(), text.to_owned());
            put(name(&key), text)
        }
        7 if dice.roll(2) == 0 => {
            rows.remove(&id);
            Change::Delete(row(id))
        }
        7 => {
            index.remove(&key);
            Change::Delete(name(&key))
        }
        8 => {
            let to = id + dice.roll(6);
            rows.retain(|i, _| !(id..to).contains(i));
            Change::DeleteRows { table: ROWS, from: id, to }
        }
        _ => {
            let to = format!("{key}5");
            index.retain(|k, _| !(&key..&to).contains(&k));
            Change::DeleteIndexRange { table: NAMES, from: index_key(&key), to: index_key(&to) }
        }
    }
}

async fn refuses_after_the_end(backend: &mut dyn Backend) {
    let store = backend.fresh();
    commit(&*store, vec![put(row(1), "x")]).await.unwrap();
    store.close().await;
    assert!(matches!(commit(&*store, vec![put(row(2), "x")]).await, Err(StorageError::Closed)));
    assert!(matches!(store.health(), Err(StorageError::Closed)));
    assert!(matches!(store.get(&row(3)).done().await, Err(StorageError::Closed)));
}
