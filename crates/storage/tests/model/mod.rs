//! What the crash and the power-cut tests write: transactions of which each record tells what all
//! the others must be.
//!
//! Task `t` numbers its commits from 1. Commit `n` appends a record, notes its place, and raises the
//! task's counter; every tenth removes the record five before, so that pages are freed and used
//! again.

use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, Read, RowTable, SqliteStorage, Storage, Value,
};

const RECORDS: RowTable = RowTable(0);
const COUNTERS: RowTable = RowTable(1);
const PLACES: IndexTable = IndexTable(0);

pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A number from the environment: how long a test goes on, or its seed.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn place(task: u64, n: u64) -> Key {
    let mut key = IndexKey::new();
    key.extend_from_slice(&task.to_be_bytes());
    key.extend_from_slice(&n.to_be_bytes());
    Key::Index(PLACES, key)
}

/// A record that tells what it must be: its task and number, and a filling that follows from them.
fn record(task: u64, n: u64) -> Value {
    let filling = (task * 131 + n * 17) as u8;
    let mut bytes = vec![filling; 16 + (task * 7 + n * 613) as usize % 3000];
    bytes[..8].copy_from_slice(&task.to_be_bytes());
    bytes[8..16].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

fn get(store: &SqliteStorage, key: &Key) -> Option<Value> {
    match store.get(key) {
        Read::Now(value) => value.expect("a read"),
        Read::Later(_) => unreachable!("this store reads at once"),
    }
}

fn number(value: &Option<Value>) -> u64 {
    value.as_ref().map_or(0, |v| u64::from_be_bytes(v[..8].try_into().expect("eight bytes")))
}

/// The key of the record that was given `id`.
#[allow(dead_code)] // Not every test that uses this model asks for it.
pub fn record_key(id: u64) -> Key {
    Key::Row(RECORDS, id)
}

/// The range of all places.
#[allow(dead_code)]
pub fn places() -> (IndexTable, IndexKey, IndexKey) {
    (PLACES, IndexKey::new(), IndexKey::from_slice(&[0xff; 17]))
}

/// How many commits of a task are there; `None` while the store cannot tell.
pub fn count(store: &SqliteStorage, task: u64) -> Option<u64> {
    match store.get(&Key::Row(COUNTERS, task)) {
        Read::Now(value) => value.ok().map(|v| number(&v)),
        Read::Later(_) => unreachable!("this store reads at once"),
    }
}

/// The task's commit `n`, with the id it was given; `None` while the store cannot tell.
pub fn commit(store: &SqliteStorage, task: u64, n: u64, id: u64) -> Option<Commit> {
    let snapshot = store.revision();
    let counter = Key::Row(COUNTERS, task);
    let mut changes = vec![
        Change::Put(Key::Row(RECORDS, id), record(task, n)),
        Change::Put(place(task, n), id.to_be_bytes().as_slice().into()),
        Change::Put(counter.clone(), n.to_be_bytes().as_slice().into()),
    ];
    if n.is_multiple_of(10) {
        let old = place(task, n - 5);
        let Read::Now(Ok(old_id)) = store.get(&old) else { return None };
        let old_id = number(&old_id);
        changes.push(Change::Delete(old));
        changes.push(Change::DeleteRows { table: RECORDS, from: old_id, to: old_id + 1 });
    }
    Some(Commit { snapshot, reads: vec![counter], changes, ..Commit::default() })
}

/// Looks whether everything acknowledged of a task is there, and nothing by half. Answers how many
/// commits are there: the one that was under way may be.
pub fn check(store: &SqliteStorage, task: u64, acknowledged: u64) -> u64 {
    let there = count(store, task).expect("a read");
    assert!(there >= acknowledged, "task {task}: {acknowledged} acknowledged, {there} there");
    assert!(there <= acknowledged + 1, "task {task}: only one commit was under way");
    for n in 1..=there {
        let removed = n % 10 == 5 && n + 5 <= there;
        let id = get(store, &place(task, n));
        assert_eq!(id.is_none(), removed, "task {task}: place of {n} of {there}");
        if id.is_some() {
            let found = get(store, &Key::Row(RECORDS, number(&id)));
            assert_eq!(found, Some(record(task, n)), "task {task}: record {n}");
        }
    }
    assert!(get(store, &place(task, there + 1)).is_none(), "task {task}: half a commit");
    there
}
