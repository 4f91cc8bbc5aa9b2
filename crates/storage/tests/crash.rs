//! kill -9 at random points under load, round after round on the same store.
//!
//! A child process (this program again) commits from many tasks and reports on a pipe each id it was
//! given and each commit that was acknowledged. The parent kills it somewhere, also while it opens
//! the store, and looks itself: nothing acknowledged is missing, nothing is there by half, no id was
//! given twice in the life of the store.
//!
//! `STRONGROOM_CRASH_ROUNDS` and `STRONGROOM_CRASH_SEED` make it longer and different.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, Read, RowTable, SqliteOptions, SqliteStorage,
    Storage, Value,
};
use tempfile::TempDir;

const TASKS: u64 = 12;
const RECORDS: RowTable = RowTable(0);
const COUNTERS: RowTable = RowTable(1);
const PLACES: IndexTable = IndexTable(0);
const CHILD: &str = "STRONGROOM_CRASH_CHILD";

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A small log, so that most rounds are killed in or around a checkpoint, too.
fn options() -> SqliteOptions {
    SqliteOptions { log_bytes: 256 << 10, cache_bytes: 1 << 20, ..SqliteOptions::default() }
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

fn number(value: Option<Value>) -> u64 {
    value.map_or(0, |v| u64::from_be_bytes(v[..8].try_into().expect("eight bytes")))
}

/// One write, so that lines of different tasks do not mix and a killed child leaves whole lines.
fn report(kind: &str, parts: [u64; 2]) {
    let line = format!("{kind} {} {}\n", parts[0], parts[1]);
    // A parent that is gone is no reason to go on.
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

async fn work(store: Arc<SqliteStorage>, task: u64) {
    let counter = Key::Row(COUNTERS, task);
    report("begins", [task, number(get(&store, &counter))]);
    loop {
        let snapshot = store.revision();
        let n = number(get(&store, &counter)) + 1;
        let id = store.next_id();
        report("given", [id, 0]);
        let mut changes = vec![
            Change::Put(Key::Row(RECORDS, id), record(task, n)),
            Change::Put(place(task, n), id.to_be_bytes().as_slice().into()),
            Change::Put(counter.clone(), n.to_be_bytes().as_slice().into()),
        ];
        // Every tenth takes an old one away, so that pages are freed and used again.
        if n % 10 == 0 {
            let old = place(task, n - 5);
            let old_id = number(get(&store, &old));
            changes.push(Change::Delete(old));
            changes.push(Change::DeleteRows { table: RECORDS, from: old_id, to: old_id + 1 });
        }
        let commit =
            Commit { snapshot, reads: vec![counter.clone()], changes, ..Commit::default() };
        store.commit(commit).await.expect("a commit");
        report("done", [task, n]);
    }
}

fn child(folder: &Path) {
    report("opening", [0, 0]);
    let store = SqliteStorage::open(folder, options()).expect("the store");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|t| tokio::spawn(work(Arc::clone(&store), t))).collect();
        for task in tasks {
            task.await.expect("a task");
        }
    });
}

#[derive(Default)]
struct Known {
    acknowledged: [u64; TASKS as usize],
    given: HashSet<u64>,
    commits: u64,
}

impl Known {
    fn hear(&mut self, line: &str) {
        let mut parts = line.split(' ');
        let kind = parts.next().expect("a kind");
        let mut number = || parts.next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
        match kind {
            "given" => {
                let id = number();
                assert!(self.given.insert(id), "id {id} was given twice");
            }
            "done" => {
                let task = number() as usize;
                self.acknowledged[task] = number();
                self.commits += 1;
            }
            // What the child found: an unacknowledged commit of the round before may be there.
            "begins" => {
                let (task, found) = (number() as usize, number());
                let acknowledged = self.acknowledged[task];
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&found),
                    "task {task}: {acknowledged} acknowledged, {found} there"
                );
                self.acknowledged[task] = found;
            }
            "opening" => {}
            other => panic!("the child said {other:?}"),
        }
    }

    /// Compares the store with what was acknowledged.
    fn check(&mut self, store: &SqliteStorage) {
        for task in 0..TASKS {
            let acknowledged = self.acknowledged[task as usize];
            let there = number(get(store, &Key::Row(COUNTERS, task)));
            assert!(
                there >= acknowledged,
                "task {task}: {acknowledged} acknowledged, {there} there"
            );
            assert!(there <= acknowledged + 1, "task {task}: only one commit was under way");
            for n in 1..=there {
                let removed = n % 10 == 5 && n + 5 <= there;
                let id = get(store, &place(task, n)).map(|v| number(Some(v)));
                assert_eq!(id.is_none(), removed, "task {task}: place of {n} of {there}");
                if let Some(id) = id {
                    let found = get(store, &Key::Row(RECORDS, id));
                    assert_eq!(found, Some(record(task, n)), "task {task}: record {n}");
                }
            }
            assert!(get(store, &place(task, there + 1)).is_none(), "task {task}: half a commit");
            self.acknowledged[task as usize] = there;
        }
        let id = store.next_id();
        assert!(self.given.insert(id), "id {id} was given twice");
    }
}

fn round(folder: &Path, known: &mut Known, lines: u64) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(CHILD, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    let mut heard = 0;
    loop {
        line.clear();
        if output.read_line(&mut line).expect("its output") == 0 {
            break;
        }
        known.hear(line.trim_end());
        heard += 1;
        if heard == lines {
            child.kill().expect("kill -9");
        }
    }
    let status = child.wait().expect("its end");
    assert!(!status.success() && status.code().is_none(), "the child ended by itself: {status}");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let rounds = setting("STRONGROOM_CRASH_ROUNDS", 15);
    let seed = setting("STRONGROOM_CRASH_SEED", 1);
    let mut dice = Dice(seed);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store");
    let mut known = Known::default();
    for n in 0..rounds {
        // One round in five is killed while the store opens, the others under load.
        let lines = if n % 5 == 2 { 1 } else { 2 + dice.roll(1500) };
        round(&path, &mut known, lines);
        // Not after every round, so that some openings meet what two crashes left.
        if dice.roll(3) > 0 || n + 1 == rounds {
            let store = SqliteStorage::open(&path, options()).expect("the store after a crash");
            known.check(&store);
        }
    }
    SqliteStorage::verify(&path).expect("a sound store");
    println!("{rounds} rounds, seed {seed}: {} acknowledged commits, none lost", known.commits);
}
