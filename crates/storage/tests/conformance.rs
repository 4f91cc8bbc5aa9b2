//! Every storage of this crate against the one suite.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use strongroom_storage::conformance::{Backend, run};
use strongroom_storage::{MemoryStorage, SqliteOptions, SqliteStorage, Storage};
use tempfile::TempDir;

/// Reopening memory is keeping it: it has no other place.
struct Memory;

impl Backend for Memory {
    fn fresh(&mut self) -> Arc<dyn Storage> {
        MemoryStorage::new()
    }

    fn reopened(&mut self, store: Arc<dyn Storage>) -> Arc<dyn Storage> {
        store
    }
}

struct Sqlite {
    folder: TempDir,
    stores: usize,
    options: SqliteOptions,
}

impl Sqlite {
    fn new(options: SqliteOptions) -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), stores: 0, options }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.stores.to_string())
    }
}

impl Backend for Sqlite {
    fn fresh(&mut self) -> Arc<dyn Storage> {
        self.stores += 1;
        SqliteStorage::open(&self.path(), self.options.clone()).expect("a new store")
    }

    fn reopened(&mut self, store: Arc<dyn Storage>) -> Arc<dyn Storage> {
        assert_eq!(Arc::strong_count(&store), 1);
        drop(store);
        SqliteStorage::open(&self.path(), self.options.clone()).expect("the store again")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    run(&mut Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    run(&mut Sqlite::new(SqliteOptions::default())).await;
}

/// A cache of almost nothing: every read is a miss or the result of an eviction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_without_cache() {
    run(&mut Sqlite::new(SqliteOptions { cache_bytes: 20_000, ..SqliteOptions::default() })).await;
}
