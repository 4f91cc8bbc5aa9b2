//! Pages that were damaged while no server ran: where everything begins they are named at open, and
//! elsewhere when they are met; nothing of them is served.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use strongroom_storage::{
    Change, Commit, IndexKey, IndexTable, Key, RowTable, SqliteOptions, SqliteStorage, Storage,
    StorageError,
};
use tempfile::TempDir;

const DATA: &str = "strongroom.db";
const ROWS: u64 = 2_000;

fn open(folder: &Path) -> Result<Arc<SqliteStorage>, StorageError> {
    // Without a cache, so that every read is one of the file.
    SqliteStorage::open(folder, SqliteOptions { cache_bytes: 0, ..SqliteOptions::default() })
}

fn row(id: u64) -> Key {
    Key::Row(RowTable(0), id)
}

fn index(table: u8, key: &[u8]) -> Key {
    Key::Index(IndexTable(table), IndexKey::from_slice(key))
}

/// A closed store with rows, names and keys.
async fn store(folder: &Path) {
    let store = open(folder).expect("a new store");
    let rows = (1..=ROWS).map(|id| Change::Put(row(id), vec![b'x'; 500].into()));
    let names =
        (1..=ROWS).map(|id| Change::Put(index(0, &id.to_be_bytes()), vec![b'n'; 60].into()));
    let keys = [b"keyring".as_slice(), b"seal/shares"]
        .into_iter()
        .map(|name| Change::Put(index(2, name), vec![b'k'; 100].into()));
    let changes = rows.chain(names).chain(keys).collect();
    let commit = Commit { snapshot: store.revision(), changes, ..Commit::default() };
    store.commit(commit).await.expect("a commit");
    store.close().await;
}

/// The first page of a table.
fn root(folder: &Path, table: &str) -> u64 {
    let connection = rusqlite::Connection::open(folder.join(DATA)).expect("the file");
    let page: i64 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name=?1", [table], |row| row.get(0))
        .expect("a table");
    page as u64
}

fn zero(folder: &Path, page: u64) {
    let file = fs::File::options().write(true).open(folder.join(DATA)).expect("the file");
    file.write_all_at(&[0; 4096], (page - 1) * 4096).expect("damage");
}

#[tokio::test]
async fn where_a_table_begins_damage_is_named_at_open() {
    for table in ["r0", "r3", "i0", "i2", "meta"] {
        let folder = TempDir::new().expect("a folder");
        store(folder.path()).await;
        zero(folder.path(), root(folder.path(), table));
        let error = match open(folder.path()) {
            Ok(_) => panic!("{table}: it was opened"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(DATA) && error.contains(table), "{table}: {error}");
    }
}

#[tokio::test]
async fn a_page_that_is_met_later_is_named_with_its_table() {
    let folder = TempDir::new().expect("a folder");
    store(folder.path()).await;
    let pages = fs::metadata(folder.path().join(DATA)).expect("the file").len() / 4096;
    let (mut named, mut served) = (0, 0);
    // Some pages in the middle: leaves of rows and of names.
    for page in (pages / 3..pages - 10).step_by(40) {
        let before = fs::read(folder.path().join(DATA)).expect("the file");
        zero(folder.path(), page);
        if let Ok(store) = open(folder.path()) {
            let mut met = false;
            for id in 1..=ROWS {
                for (key, byte, table) in
                    [(row(id), b'x', "table r0"), (index(0, &id.to_be_bytes()), b'n', "table i0")]
                {
                    match store.get(&key).done().await {
                        Ok(value) => {
                            served += 1;
                            let value = value.expect("nothing is missing");
                            assert!(value.iter().all(|b| *b == byte), "{key}");
                        }
                        Err(error) => {
                            met = true;
                            let text = error.to_string();
                            assert!(matches!(error, StorageError::Corrupt(_)), "{text}");
                            assert!(text.contains(DATA) && text.contains(table), "{text}");
                        }
                    }
                }
            }
            named += usize::from(met);
            store.close().await;
        } else {
            named += 1;
        }
        fs::write(folder.path().join(DATA), before).expect("the file again");
    }
    assert!(named > 2 && served > 0, "{named} {served}");
}

#[tokio::test]
async fn files_that_go_are_noticed_though_nothing_is_written() {
    for replaced in [false, true] {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("store");
        store(&path).await;
        let store = SqliteStorage::open(&path, SqliteOptions::default()).expect("the store");
        assert!(store.get(&row(1)).done().await.expect("a read").is_some());
        let aside = folder.path().join("aside");
        fs::rename(path.join(DATA), &aside).expect("a move");
        if replaced {
            fs::copy(&aside, path.join(DATA)).expect("a copy");
        }
        while store.failure().is_none() {
            tokio::task::yield_now().await;
        }
        let why = store.failure().expect("a reason").to_string();
        assert!(why.contains(DATA) && why.contains("removed or replaced"), "{why}");
        // What memory still holds is not served either.
        assert!(store.get(&row(1)).done().await.is_err());
        fs::rename(&aside, path.join(DATA)).expect("a move");
        while store.failure().is_some() {
            tokio::task::yield_now().await;
        }
        assert!(store.get(&row(1)).done().await.expect("a read").is_some());
        store.close().await;
    }
}
