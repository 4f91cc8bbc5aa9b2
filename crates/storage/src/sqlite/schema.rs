//! The statements of the store and the format of its file; `docs/formats/sqlite.md` describes it.

use super::error::plain;
use crate::{INDEX_TABLES, ROW_TABLES, StorageError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// SQLite's "application id" of a Strongroom store: "Strm".
pub(super) const APPLICATION_ID: u32 = 0x5374_726d;
/// The version of the format that this program writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

/// Rows of the table `meta`.
pub(super) mod meta {
    /// All ids below this one may have been given out: 8 bytes, big-endian.
    pub(in crate::sqlite) const IDS_RESERVED: i64 = 1;
    /// The store's random name: 16 bytes.
    pub(in crate::sqlite) const STORE_UUID: i64 = 2;
}

macro_rules! per_table {
    ($before:literal, [$($n:literal),*], $after:literal) => {
        [$(concat!($before, $n, $after)),*]
    };
}

type Rows = [&'static str; ROW_TABLES as usize];
type Indexes = [&'static str; INDEX_TABLES as usize];

pub(super) const ROW_GET: Rows =
    per_table!("SELECT val FROM r", [0, 1, 2, 3, 4, 5, 6, 7], " WHERE id=?1");
pub(super) const ROW_PUT: Rows =
    per_table!("REPLACE INTO r", [0, 1, 2, 3, 4, 5, 6, 7], "(id,val)VALUES(?1,?2)");
pub(super) const ROW_DELETE: Rows =
    per_table!("DELETE FROM r", [0, 1, 2, 3, 4, 5, 6, 7], " WHERE id=?1");
pub(super) const ROW_DELETE_RANGE: Rows =
    per_table!("DELETE FROM r", [0, 1, 2, 3, 4, 5, 6, 7], " WHERE id>=?1 AND id<=?2");
pub(super) const ROW_SCAN: Rows = per_table!(
    "SELECT id,val FROM r",
    [0, 1, 2, 3, 4, 5, 6, 7],
    " WHERE id>=?1 AND id<=?2 ORDER BY id LIMIT ?3"
);
pub(super) const ROW_COUNT: Rows = per_table!(
    "SELECT count(*),max(id) FROM (SELECT id FROM r",
    [0, 1, 2, 3, 4, 5, 6, 7],
    " WHERE id>=?1 ORDER BY id LIMIT ?2)"
);
pub(super) const INDEX_GET: Indexes =
    per_table!("SELECT val FROM i", [0, 1, 2, 3, 4, 5], " WHERE key=?1");
pub(super) const INDEX_PUT: Indexes =
    per_table!("REPLACE INTO i", [0, 1, 2, 3, 4, 5], "(key,val)VALUES(?1,?2)");
pub(super) const INDEX_DELETE: Indexes =
    per_table!("DELETE FROM i", [0, 1, 2, 3, 4, 5], " WHERE key=?1");
pub(super) const INDEX_DELETE_RANGE: Indexes =
    per_table!("DELETE FROM i", [0, 1, 2, 3, 4, 5], " WHERE key>=?1 AND key<?2");
pub(super) const INDEX_SCAN: Indexes = per_table!(
    "SELECT key,val FROM i",
    [0, 1, 2, 3, 4, 5],
    " WHERE key>=?1 AND key<?2 ORDER BY key LIMIT ?3"
);
pub(super) const META_PUT: &str = "REPLACE INTO meta(id,val)VALUES(?1,?2)";
pub(super) const META_GET: &str = "SELECT val FROM meta WHERE id=?1";

/// How a connection is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Writing,
    Reading,
    Checkpoints,
}

/// Opens a connection to a store that exists.
pub(super) fn connect(
    data: &Path,
    vfs: Option<&str>,
    usage: Use,
    cache_bytes: usize,
) -> Result<Connection, StorageError> {
    let what = data.display().to_string();
    let failed = |e: rusqlite::Error| plain(&what, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(data, flags, vfs),
        None => Connection::open_with_flags(data, flags),
    }
    .map_err(failed)?;
    // Closing must never touch the files: after a failed sync it would write what is in doubt.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(40);
    let kibibytes = cache_bytes / 1024;
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;
             PRAGMA cache_size=-{kibibytes}; PRAGMA wal_autocheckpoint=0;
             PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
        ))
        .map_err(failed)?;
    if usage == Use::Reading {
        connection.execute_batch("PRAGMA query_only=ON").map_err(failed)?;
    }
    // Nobody else opens the file; what has to wait waits for a checkpoint at most.
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    Ok(connection)
}

/// The statement that makes the table `meta`.
const META_TABLE: &str = "CREATE TABLE meta(id INTEGER PRIMARY KEY, val BLOB NOT NULL)";

/// The statements that make a store's tables, `meta` first.
fn tables() -> impl Iterator<Item = String> {
    let rows = (0..ROW_TABLES)
        .map(|n| format!("CREATE TABLE r{n}(id INTEGER PRIMARY KEY, val BLOB NOT NULL)"));
    let indexes = (0..INDEX_TABLES).map(|n| {
        format!("CREATE TABLE i{n}(key BLOB PRIMARY KEY NOT NULL, val BLOB NOT NULL) WITHOUT ROWID")
    });
    std::iter::once(META_TABLE.to_owned()).chain(rows).chain(indexes)
}

/// Has the connection take nothing from a file that could make it do more than read and write.
pub(super) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch(
        "PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;
         PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;",
    )
}

/// Makes the file of a new store, complete and synced, at `path`, where no file is.
pub(super) fn create(path: &Path, vfs: Option<&str>) -> Result<(), StorageError> {
    let what = path.display().to_string();
    let failed = |e: rusqlite::Error| plain(&what, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
    .map_err(failed)?;
    let mut sql = format!(
        "PRAGMA page_size=4096; PRAGMA auto_vacuum=NONE; PRAGMA journal_mode=DELETE;
         PRAGMA synchronous=FULL; BEGIN IMMEDIATE;
         PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT_VERSION};
         {META_TABLE};
         INSERT INTO meta(id,val) VALUES({}, randomblob(16));
         INSERT INTO meta(id,val) VALUES({}, x'0000000000000001');",
        meta::STORE_UUID,
        meta::IDS_RESERVED
    );
    for table in tables().skip(1) {
        sql += &table;
        sql.push(';');
    }
    sql += "COMMIT; PRAGMA journal_mode=WAL;";
    connection.execute_batch(&sql).map_err(failed)?;
    // The last connection that closes moves the write-ahead log into the file.
    connection.close().map_err(|(_, e)| failed(e))
}

/// Refuses a file that is not a store of this format.
pub(super) fn check_format(connection: &Connection, data: &Path) -> Result<(), StorageError> {
    let what = data.display().to_string();
    check_version(connection, &what)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(|e| plain(&what, &e))?;
    if mode != "wal" {
        return Err(StorageError::Io(format!("{what}: the write-ahead log cannot be used here")));
    }
    Ok(())
}

/// Reads where each table begins and ends, and all of the table of the keys: a damaged page that every
/// other way leads over is named before anything is served. Reading all pages would take minutes.
pub(super) fn check_beginnings(connection: &Connection, data: &Path) -> Result<(), StorageError> {
    let rows = (0..ROW_TABLES).map(|n| (format!("r{n}"), "id"));
    let indexes = (0..INDEX_TABLES).map(|n| (format!("i{n}"), "key"));
    for (table, key) in rows.chain(indexes) {
        let what = format!("{}, table {table}", data.display());
        for end in ["ASC", "DESC"] {
            connection
                .query_row(
                    &format!("SELECT count(*) FROM (SELECT val FROM {table} ORDER BY {key} {end} LIMIT 1)"),
                    [],
                    |_| Ok(()),
                )
                .map_err(|e| plain(&what, &e))?;
        }
    }
    for table in CHECKED_WHOLE {
        let what = format!("{}, table {table}", data.display());
        check_with(connection, &format!("PRAGMA integrity_check({table})"), &what)?;
    }
    Ok(())
}

/// Small tables without which nothing can be opened: what the storage keeps for itself, and the
/// kernel's table of seals and keys.
const CHECKED_WHOLE: [&str; 2] = ["meta", "i2"];

/// Refuses a file that another program made, or another version of this one.
pub(super) fn check_version(connection: &Connection, what: &str) -> Result<(), StorageError> {
    let pragma = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0))
            .map_err(|e| plain(what, &e))
    };
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StorageError::Corrupt(format!("{what} is not a Strongroom store")));
    }
    let version = pragma("user_version")?;
    if version != FORMAT_VERSION {
        return Err(StorageError::Corrupt(format!(
            "{what} has format version {version}; this program knows {FORMAT_VERSION}"
        )));
    }
    Ok(())
}

/// Refuses a file with other tables than a store's, or with anything that is no table.
pub(super) fn check_tables(connection: &Connection, what: &str) -> Result<(), StorageError> {
    let read = || {
        let mut found = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY sql")?;
        let found = found.query_map([], |row| row.get::<_, Option<String>>(0))?;
        found.collect::<rusqlite::Result<Vec<_>>>()
    };
    let found = read().map_err(|e| plain(what, &e))?;
    let mut known: Vec<Option<String>> = tables().map(Some).collect();
    known.sort();
    if found == known {
        Ok(())
    } else {
        Err(StorageError::Corrupt(format!("{what} has not the tables of a store")))
    }
}

/// Refuses a file whose first bytes are not those of a store, before SQLite opens it.
pub(super) fn check_header(data: &Path) -> Result<(), StorageError> {
    let what = data.display();
    let mut header = [0; 100];
    let read = std::fs::File::open(data).and_then(|mut file| file.read_exact(&mut header));
    let foreign = || Err(StorageError::Corrupt(format!("{what} is not a Strongroom store")));
    match read {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return foreign(),
        Err(e) => return Err(StorageError::Io(format!("reading {what}: {}", e.kind()))),
        Ok(()) => {}
    }
    // "The Database File Format" §1.3: the magic string, and the application id at offset 68.
    if header.starts_with(b"SQLite format 3\0") && header[68..72] == APPLICATION_ID.to_be_bytes() {
        Ok(())
    } else {
        foreign()
    }
}

/// Reads everything and lists what does not fit together.
pub(super) fn verify(data: &Path) -> Result<(), StorageError> {
    let what = data.display().to_string();
    let connection = connect(data, None, Use::Reading, 8 << 20)?;
    check_format(&connection, data)?;
    check_pages(&connection, &what)
}

/// Reads every page and checks that they fit together.
pub(super) fn check_pages(connection: &Connection, what: &str) -> Result<(), StorageError> {
    check_with(connection, "PRAGMA integrity_check(10)", what)
}

fn check_with(connection: &Connection, check: &str, what: &str) -> Result<(), StorageError> {
    let findings: Vec<String> = connection
        .prepare(check)
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect())
        .map_err(|e| plain(what, &e))?;
    if findings.iter().all(|finding| finding == "ok") {
        Ok(())
    } else {
        Err(StorageError::Corrupt(format!("{what}: {}", findings.join("; "))))
    }
}
