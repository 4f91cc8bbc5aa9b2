//! Power cuts, failed syncs, failed writes and full disks, by seed, on the simulated disk of
//! `strongroom-storage-faultvfs`.
//!
//! After each: everything acknowledged is there, nothing by half, no id was given twice, and the
//! store goes on by itself once the cause is gone.
//!
//! `STRONGROOM_POWER_ROUNDS` and `STRONGROOM_POWER_SEED` make it longer and different.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod model;

use model::{Dice, setting};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use strongroom_storage::{Read, SqliteOptions, SqliteStorage, Storage, StorageError};
use strongroom_storage_faultvfs::{Fault, Faults, register};
use tempfile::TempDir;

const TASKS: usize = 6;
/// Commits of a task in one life of the store.
const COMMITS: u64 = 25;

struct Bed {
    folder: TempDir,
    faults: Faults,
    vfs: String,
    acknowledged: [u64; TASKS],
    given: HashSet<u64>,
}

impl Bed {
    fn new(name: &str, seed: u64) -> Self {
        let vfs = format!("{name}-{seed}");
        Self {
            folder: TempDir::new().expect("a folder"),
            faults: register(&vfs, seed),
            vfs,
            acknowledged: [0; TASKS],
            given: HashSet::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn open(&self) -> Result<Arc<SqliteStorage>, StorageError> {
        let options = SqliteOptions {
            vfs: Some(self.vfs.clone()),
            log_bytes: 128 << 10,
            cache_bytes: 64 << 10,
            ..SqliteOptions::default()
        };
        SqliteStorage::open(&self.path(), options)
    }

    /// One life of the store, in which a fault may come. False if the power went.
    fn live(&mut self, store: &Arc<SqliteStorage>) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let given = Arc::new(Mutex::new(std::mem::take(&mut self.given)));
        let acknowledged = runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let (store, faults) = (Arc::clone(store), self.faults.clone());
                    let (given, from) = (Arc::clone(&given), self.acknowledged[task]);
                    tokio::spawn(work(store, faults, given, task as u64, from))
                })
                .collect();
            let mut acknowledged = [0; TASKS];
            for (task, running) in tasks.into_iter().enumerate() {
                acknowledged[task] = running.await.expect("a task");
            }
            acknowledged
        });
        self.acknowledged = acknowledged;
        self.given = std::mem::take(&mut given.lock());
        !self.faults.is_dead()
    }

    /// The power goes now, if it did not before; then the store is opened and looked at.
    fn cut_power_and_check(&mut self, store: Arc<SqliteStorage>) -> Arc<SqliteStorage> {
        self.faults.kill();
        drop(store);
        self.faults.cut_power().expect("the real files");
        let store = self.open().expect("the store after a power cut");
        for task in 0..TASKS {
            let acknowledged = self.acknowledged[task];
            self.acknowledged[task] = model::check(&store, task as u64, acknowledged);
        }
        store
    }
}

/// Commits until its number is full or the power is gone; answers its last acknowledged number.
async fn work(
    store: Arc<SqliteStorage>,
    faults: Faults,
    given: Arc<Mutex<HashSet<u64>>>,
    task: u64,
    mut acknowledged: u64,
) -> u64 {
    let end = acknowledged + COMMITS;
    // Nobody else writes this task's records: a conflict can only be left over from a reopening.
    let mut conflicts = 0;
    while acknowledged < end && !faults.is_dead() {
        let id = store.next_id();
        assert!(given.lock().insert(id), "id {id} was given twice");
        let n = acknowledged + 1;
        let result = match model::commit(&store, task, n, id) {
            Some(commit) => store.commit(commit).await,
            None => Err(StorageError::Poisoned("a read failed".to_owned())),
        };
        match result {
            Ok(_) => acknowledged = n,
            // Nothing was changed.
            Err(refused @ (StorageError::Full | StorageError::Conflict)) => {
                conflicts += u32::from(matches!(refused, StorageError::Conflict));
                assert!(conflicts <= 20, "task {task}: conflicts with nobody");
                if let Some(there) = model::count(&store, task) {
                    assert_eq!(there, acknowledged, "task {task}: a refused commit is there");
                }
                tokio::task::yield_now().await;
            }
            // It may be there or not: look, as soon as the store can tell.
            Err(_) => loop {
                if faults.is_dead() {
                    break;
                }
                if store.health().is_ok()
                    && let Some(there) = model::count(&store, task)
                {
                    assert!((acknowledged..=n).contains(&there), "task {task}: {there} of {n}");
                    acknowledged = there;
                    break;
                }
                tokio::task::yield_now().await;
            },
        }
    }
    acknowledged
}

/// Rounds of several lives each, with a fault by `choose` in each life.
fn rounds(name: &str, rounds: u64, choose: impl Fn(&mut Dice) -> Fault) {
    let rounds = setting("STRONGROOM_POWER_ROUNDS", rounds);
    let first = setting("STRONGROOM_POWER_SEED", 1);
    let mut happened = 0;
    for seed in first..first + rounds {
        println!("{name}: seed {seed}");
        let mut bed = Bed::new(name, seed);
        let mut dice = Dice(seed * 7 + 1);
        let mut store = bed.open().expect("a new store");
        for _ in 0..4 {
            bed.faults.arm(dice.roll(400), choose(&mut dice));
            if bed.live(&store) {
                // It went on after the fault: everything is there before the power goes, too.
                assert_eq!(store.health().map_err(|e| e.to_string()), Ok(()));
                for task in 0..TASKS {
                    model::check(&store, task as u64, bed.acknowledged[task]);
                }
            }
            store = bed.cut_power_and_check(store);
        }
        drop(store);
        SqliteStorage::verify(&bed.path()).expect("a sound store");
        happened += bed.faults.happened();
    }
    assert!(happened >= rounds, "only {happened} faults came true in {rounds} rounds");
}

#[test]
fn power_cuts() {
    rounds("power", 12, |_| Fault::PowerCut);
}

#[test]
fn failed_syncs() {
    rounds("sync", 12, |_| Fault::FailSync);
}

#[test]
fn failed_writes() {
    rounds("write", 8, |_| Fault::FailWrite);
}

#[test]
fn full_disks() {
    rounds("full", 8, |dice| Fault::Full { writes: 1 + dice.roll(40) as u32 });
}

#[test]
fn power_cuts_while_opening() {
    for seed in 1..=setting("STRONGROOM_POWER_ROUNDS", 10) {
        let mut bed = Bed::new("opening", seed);
        let mut store = bed.open().expect("a new store");
        for after in 0..8 {
            bed.live(&store);
            bed.faults.kill();
            drop(store);
            bed.faults.cut_power().expect("the real files");
            bed.faults.arm(after, Fault::PowerCut);
            // It may just manage to open; what matters is the opening after.
            if let Ok(opened) = bed.open() {
                drop(opened);
            }
            bed.faults.kill();
            bed.faults.cut_power().expect("the real files");
            store = bed.open().expect("the store after power cuts");
            for task in 0..TASKS {
                let acknowledged = bed.acknowledged[task];
                bed.acknowledged[task] = model::check(&store, task as u64, acknowledged);
            }
        }
        drop(store);
        SqliteStorage::verify(&bed.path()).expect("a sound store");
    }
}

const DATA: &str = "/strongroom.db";

/// Brings the store to where a checkpoint is copying pages, and batches came that are not in it; it
/// goes on when the answer is used. SQLite will not sync what it copies but count it as moved.
fn overtake_a_checkpoint(bed: &mut Bed, store: &Arc<SqliteStorage>) -> mpsc::Sender<()> {
    let (copying, copies) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    bed.faults.at_write_to(DATA, move || {
        copying.send(()).expect("the test waits");
        goes_on.recv().expect("the test lets it go on");
    });
    while copies.try_recv().is_err() {
        assert!(bed.live(store));
    }
    assert!(bed.live(store));
    go_on
}

/// When the sync of the checkpoint after an overtaken one fails, the pages of both are lost; one
/// after that, which copies only what is not counted as moved, must not let go of the log.
#[test]
fn a_failed_sync_takes_what_an_overtaken_checkpoint_left_unsynced() {
    let mut bed = Bed::new("overtaken", 1);
    let store = bed.open().expect("a new store");
    let go_on = overtake_a_checkpoint(&mut bed, &store);
    bed.faults.fail_sync_of(DATA);
    go_on.send(()).expect("a checkpoint waits");
    while bed.faults.happened() == 0 {
        assert!(bed.live(&store));
    }
    // Until the log has begun anew over what it held then.
    let syncs = bed.faults.syncs_of(DATA);
    while bed.faults.syncs_of(DATA) == syncs {
        assert!(bed.live(&store));
    }
    assert!(bed.live(&store));
    drop(bed.cut_power_and_check(store));
    SqliteStorage::verify(&bed.path()).expect("a sound store");
}

/// The same, where the checkpoint after is the one that ends the store.
#[test]
fn an_end_over_a_failed_sync_leaves_the_log_to_the_next_start() {
    let mut bed = Bed::new("ended", 1);
    let store = bed.open().expect("a new store");
    let go_on = overtake_a_checkpoint(&mut bed, &store);
    bed.faults.fail_sync_of(DATA);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    std::thread::scope(|scope| {
        let ending = Arc::clone(&store);
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(ending.close());
        });
        // The end has begun when nothing is taken any more.
        loop {
            let n = bed.acknowledged[0] + 1;
            let commit = model::commit(&store, 0, n, store.next_id()).expect("a read");
            match runtime.block_on(store.commit(commit)) {
                Ok(_) => bed.acknowledged[0] = n,
                Err(error) => break assert!(matches!(error, StorageError::Closed), "{error}"),
            }
        }
        go_on.send(()).expect("a checkpoint waits");
    });
    assert_eq!(bed.faults.happened(), 1);
    drop(bed.cut_power_and_check(store));
    SqliteStorage::verify(&bed.path()).expect("a sound store");
}

/// The tests above would be worthless if they held on a disk whose syncs do nothing.
#[test]
fn a_lying_disk_is_found_out() {
    let lost = (1..=6).any(|seed| {
        std::panic::catch_unwind(|| {
            let mut bed = Bed::new("lying", seed);
            let store = bed.open().expect("a new store");
            bed.faults.lie_about_syncs();
            bed.live(&store);
            bed.cut_power_and_check(store);
        })
        .is_err()
    });
    assert!(lost, "the loss of unsynced commits went unnoticed");
}

/// One batch of commits is one sync.
#[test]
fn a_batch_costs_one_sync() {
    let mut bed = Bed::new("count", 1);
    let store = bed.open().expect("a new store");
    let (batches, syncs) = (store.counters().batches, bed.faults.syncs());
    assert!(bed.live(&store));
    let batches = store.counters().batches - batches;
    let syncs = bed.faults.syncs() - syncs;
    assert!(batches >= 1 && batches <= COMMITS * TASKS as u64);
    // The checkpoints of this small log sync log and data: three at most per 128 KiB.
    let checkpoints = 3 * (1 + COMMITS * TASKS as u64 * 4 * 4096 * 3 / (128 << 10));
    assert!(syncs >= batches && syncs <= batches + checkpoints, "{syncs} syncs, {batches} batches");
}

/// Who only reads does not wait for commits under way: it sees what was published before. Where that
/// cannot be told from what comes, it is answered once the commit has ended.
#[test]
fn reads_see_what_is_published() {
    let bed = Bed::new("published", 1);
    let store = bed.open().expect("a new store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (one, two) = (store.next_id(), store.next_id());
        let commit = model::commit(&store, 0, 1, one).expect("a first commit");
        store.commit(commit).await.expect("a sound disk");
        store.settled().await;
        let (writing, is_writing) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        bed.faults.at_write_to("-wal", move || {
            writing.send(()).expect("the test waits");
            goes_on.recv().expect("the test lets it go on");
        });
        let commit = model::commit(&store, 0, 2, two).expect("a second commit");
        let (since, reads) = (commit.snapshot, commit.reads.clone());
        let committing = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.commit(commit).await }
        });
        tokio::task::yield_now().await;
        is_writing.recv().expect("the writer");
        assert_eq!(model::count(&store, 0), Some(1), "the counter as it was");
        assert!(store.unchanged_since(since, &reads, &[]));
        let everything = model::places();
        assert!(!store.unchanged_since(since, &[], &[everything]), "ranges change at once");
        // These records are too large for this cache.
        let (one, two) = (model::record_key(one), model::record_key(two));
        assert!(matches!(store.get(&one), Read::Now(Ok(Some(_)))), "not part of the commit");
        let Read::Later(mut read) = store.get(&two) else { panic!("it is being written") };
        let mut settled = store.settled();
        let waits = std::future::poll_fn(|cx| {
            Poll::Ready(
                read.as_mut().poll(cx).is_pending() && settled.as_mut().poll(cx).is_pending(),
            )
        });
        assert!(waits.await, "the commit is under way");
        go_on.send(()).expect("the writer waits");
        settled.await;
        assert!(read.await.expect("a sound disk").is_some());
        committing.await.expect("a task").expect("a sound disk");
        assert!(!store.unchanged_since(since, &reads, &[]));
        assert!(store.unchanged_since(store.revision(), &reads, &[]));
        assert_eq!(model::count(&store, 0), Some(2));
    });
}
