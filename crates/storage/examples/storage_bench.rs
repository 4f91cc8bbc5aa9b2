//! What storage costs: CPU per operation, whatever the disk does meanwhile.
//!
//! `cargo run --release -p strongroom-storage --example storage_bench -- [ROWS] [FOLDER] [TASKS] [LOG_MIB] [READER_MIB]`
//!
//! With TASKS only the writes of so many tasks are measured (0: reads only).

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods)]

use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, Read, RowTable, SqliteOptions, SqliteStorage,
    Storage, Value,
};

const VALUES: RowTable = RowTable(0);
const HEADS: RowTable = RowTable(1);
const OUTBOX: RowTable = RowTable(2);
const TOKENS: RowTable = RowTable(3);
const NAMES: IndexTable = IndexTable(0);
const DUE: IndexTable = IndexTable(1);

fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 20) % sides
    }
}

/// A 32-byte name without order, as a HMAC is.
fn name(n: u64) -> IndexKey {
    let mut key = IndexKey::new();
    for part in 0..4u64 {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29 * part as u32);
        key.extend_from_slice(&mixed.wrapping_mul(0xd6e8_feb8_6659_fd93 + part * 2).to_be_bytes());
    }
    key
}

fn bytes(len: usize) -> Value {
    (0..len).map(|n| (n * 31) as u8).collect::<Vec<u8>>().into()
}

fn get(store: &SqliteStorage, key: &Key) -> Option<Value> {
    match store.get(key) {
        Read::Now(value) => value.expect("a read"),
        Read::Later(_) => unreachable!("this store reads at once"),
    }
}

struct Meter {
    name: &'static str,
    started: Instant,
    cpu: f64,
    batches: u64,
}

impl Meter {
    fn start(name: &'static str, store: &SqliteStorage) -> Self {
        Self { name, started: Instant::now(), cpu: cpu_micros(), batches: store.counters().batches }
    }

    fn stop(self, store: &SqliteStorage, operations: u64) {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu = (cpu_micros() - self.cpu) / operations as f64;
        let batches = store.counters().batches - self.batches;
        println!(
            "{:34} {:9.2} us CPU/op {:10.0} ops/s {:8} batches ({:.1} ops each)",
            self.name,
            cpu,
            operations as f64 / seconds,
            batches,
            if batches == 0 { 0.0 } else { operations as f64 / batches as f64 }
        );
    }
}

async fn load(store: &Arc<SqliteStorage>, rows: u64) {
    let meter = Meter::start("load (4 records each)", store);
    let (value, head, small) = (bytes(1100), bytes(280), bytes(40));
    for chunk in (0..rows).collect::<Vec<_>>().chunks(200) {
        let changes = chunk
            .iter()
            .flat_map(|n| {
                [
                    Change::Put(Key::Row(VALUES, *n), value.clone()),
                    Change::Put(Key::Row(HEADS, *n), head.clone()),
                    Change::Put(Key::Index(NAMES, name(*n)), small.clone()),
                ]
            })
            .collect();
        store.commit(Commit { changes, ..Commit::default() }).await.expect("a commit");
    }
    meter.stop(store, rows);
}

fn reads(store: &SqliteStorage, rows: u64) {
    let mut dice = Dice(7);
    let hot: Vec<Key> = (0..1000).map(|n| Key::Row(HEADS, n % rows)).collect();
    hot.iter().for_each(|key| drop(get(store, key)));
    let meter = Meter::start("read, cached", store);
    for _ in 0..2000 {
        hot.iter().for_each(|key| drop(black_box(get(store, key))));
    }
    meter.stop(store, 2_000_000);

    let absent: Vec<Key> = (0..1000).map(|n| Key::Index(NAMES, name(n + (1 << 40)))).collect();
    absent.iter().for_each(|key| drop(get(store, key)));
    let meter = Meter::start("look-up of an absent name, cached", store);
    for _ in 0..500 {
        absent.iter().for_each(|key| drop(black_box(get(store, key))));
    }
    meter.stop(store, 500_000);

    for (title, count, key) in [
        ("read of 1 KiB, any row", 300_000, 0),
        ("read of 280 B, any row", 300_000, 1),
        ("look-up of a name, any", 300_000, 2),
    ] {
        let key = |dice: &mut Dice| match key {
            0 => Key::Row(VALUES, dice.roll(rows)),
            1 => Key::Row(HEADS, dice.roll(rows)),
            _ => Key::Index(NAMES, name(dice.roll(rows))),
        };
        for _ in 0..20_000 {
            drop(get(store, &key(&mut dice)));
        }
        let before = store.counters();
        let meter = Meter::start(title, store);
        for _ in 0..count {
            assert!(black_box(get(store, &key(&mut dice))).is_some());
        }
        meter.stop(store, count);
        let after = store.counters();
        let hits = after.cache_hits - before.cache_hits;
        println!("{:34} {:9.1} % from the cache", "", hits as f64 * 100.0 / count as f64);
    }
}

async fn writes(
    store: &Arc<SqliteStorage>,
    title: &'static str,
    tasks: u64,
    each: u64,
    changes: impl Fn(&mut Dice, u64) -> Vec<Change> + Send + Sync + Copy + 'static,
) {
    let meter = Meter::start(title, store);
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut dice = Dice(task * 7919 + each);
                for _ in 0..each {
                    let id = store.next_id();
                    let snapshot = store.revision();
                    let changes = changes(&mut dice, id);
                    let commit = Commit { snapshot, changes, ..Commit::default() };
                    store.commit(commit).await.expect("a commit");
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("a task");
    }
    meter.stop(store, tasks * each);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(100_000, |n| n.parse().expect("a number of rows"));
    let temporary = tempfile::TempDir::new().expect("a folder");
    let folder = arguments.next().map_or_else(|| temporary.path().join("store"), PathBuf::from);
    let fresh = !folder.exists();
    let only: Option<u64> = arguments.next().map(|n| n.parse().expect("a number of tasks"));
    let mut options = SqliteOptions::default();
    if let Some(mebibytes) = arguments.next() {
        options.log_bytes = mebibytes.parse::<u64>().expect("a number of MiB") << 20;
    }
    if let Some(mebibytes) = arguments.next() {
        options.reader_cache_bytes = mebibytes.parse::<usize>().expect("a number of MiB") << 20;
    }
    let opening = Instant::now();
    let store = SqliteStorage::open(&folder, options).expect("a store");
    println!("opened in {:.1} ms", opening.elapsed().as_secs_f64() * 1e3);
    if fresh {
        load(&store, rows).await;
    }
    if only.is_none_or(|tasks| tasks == 0) {
        reads(&store, rows);
    }

    let (value, head, line) = (bytes(1100), bytes(280), bytes(420));
    let (token, due) = (bytes(150), bytes(8));
    let _ = (&value, &head, &line);
    for tasks in match only {
        None => vec![1, 16, 128],
        Some(0) => vec![],
        Some(tasks) => vec![tasks],
    } {
        let each = if tasks == 1 { 2_000 } else { 64_000 / tasks };
        let rowpair: [Value; 2] = [token.clone(), due.clone()];
        let rowpair: &'static [Value; 2] = Box::leak(Box::new(rowpair));
        println!("-- {tasks} at once");
        writes(&store, "two appended rows", tasks, each, move |_, id| {
            vec![
                Change::Put(Key::Row(TOKENS, id), rowpair[0].clone()),
                Change::Put(Key::Row(RowTable(4), id), rowpair[1].clone()),
            ]
        })
        .await;
        writes(&store, "appended row + due index entry", tasks, each, move |_, id| {
            let mut key = IndexKey::new();
            key.extend_from_slice(&(1_700_000_000 + id / 100).to_be_bytes());
            key.extend_from_slice(&id.to_be_bytes());
            vec![
                Change::Put(Key::Row(TOKENS, id), rowpair[0].clone()),
                Change::Put(Key::Index(DUE, key), rowpair[1].clone()),
            ]
        })
        .await;
        let secret: [Value; 3] = [value.clone(), head.clone(), line.clone()];
        let secret: &'static [Value; 3] = Box::leak(Box::new(secret));
        writes(&store, "value + any head + outbox", tasks, each, move |dice, id| {
            vec![
                Change::Put(Key::Row(VALUES, id), secret[0].clone()),
                Change::Put(Key::Row(HEADS, dice.roll(rows)), secret[1].clone()),
                Change::Put(Key::Row(OUTBOX, id), secret[2].clone()),
            ]
        })
        .await;
    }
    let closing = Instant::now();
    store.close().await;
    println!("closed in {:.1} ms", closing.elapsed().as_secs_f64() * 1e3);
}
