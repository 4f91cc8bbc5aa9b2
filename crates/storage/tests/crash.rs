//! kill -9 at random points under load, round after round on the same store.
//!
//! A child process (this program again) commits from many tasks and reports on a pipe each id it was
//! given and each commit that was acknowledged. The parent kills it somewhere, also while it opens
//! the store, and looks itself: nothing acknowledged is missing, nothing is there by half, no id was
//! given twice in the life of the store.
//!
//! `STRONGROOM_CRASH_ROUNDS` and `STRONGROOM_CRASH_SEED` make it longer and different.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod model;

use model::{Dice, setting};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use strongroom_storage::{SqliteOptions, SqliteStorage, Storage};
use tempfile::TempDir;

const TASKS: u64 = 12;
const CHILD: &str = "STRONGROOM_CRASH_CHILD";

/// A small log, so that most rounds are killed in or around a checkpoint, too.
fn options() -> SqliteOptions {
    SqliteOptions { log_bytes: 256 << 10, cache_bytes: 1 << 20, ..SqliteOptions::default() }
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
    let found = model::count(&store, task).expect("a read");
    report("begins", [task, found]);
    for n in found + 1.. {
        let id = store.next_id();
        report("given", [id, 0]);
        let commit = model::commit(&store, task, n, id).expect("a read");
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
            let acknowledged = &mut self.acknowledged[task as usize];
            *acknowledged = model::check(store, task, *acknowledged);
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
