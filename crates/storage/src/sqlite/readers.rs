//! Reads on the caller's own thread.
//!
//! A point read of SQLite takes some microseconds and never waits for the writer, so handing it to
//! another thread and back would cost more than the read. Connections lie on a stack: the one used
//! last, whose page cache is warm, is used next; there are never more than threads that read at
//! once.
//!
//! A third of a point read is taking and leaving its snapshot: locks on the write-ahead log. So a
//! connection that reads several times while nothing was written keeps its snapshot open, for as
//! long as the store's revision stays. A checkpoint would wait for such snapshots, so it lets none
//! stay open while it runs.

use super::error::plain;
use super::schema::{self, INDEX_GET, INDEX_SCAN, ROW_COUNT, ROW_GET, ROW_SCAN, Use};
use crate::{IndexKey, IndexTable, Key, Page, Revision, RowTable, StorageError, Value};
use parking_lot::{Mutex, RwLock};
use rusqlite::{CachedStatement, Connection};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// After so many reads of an unchanged store a snapshot is kept open.
const READS_BEFORE_KEEPING: u32 = 3;
/// Connections kept for later; more are opened for a burst and closed after it.
const KEPT: usize = 16;

pub(super) struct Readers {
    data: PathBuf,
    vfs: Option<String>,
    cache_bytes: usize,
    /// A checkpoint is under way.
    snapshots_forbidden: AtomicBool,
    /// Reads hold it shared; reopening holds it alone, so that no connection is in use then.
    state: RwLock<State>,
}

enum State {
    Open(Mutex<Vec<Reader>>),
    Shut(StorageError),
}

/// A table, for errors.
#[derive(Clone, Copy)]
enum Table {
    Rows(RowTable),
    Index(IndexTable),
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows(table) => write!(f, "r{}", table.0),
            Self::Index(table) => write!(f, "i{}", table.0),
        }
    }
}

/// A connection, and the state of the store it has in view.
struct Reader {
    connection: Connection,
    /// The revision before its last read began, and how many reads it had in view.
    seen: Revision,
    reads: u32,
    /// Is the snapshot of that read still open?
    open: bool,
}

impl Reader {
    /// Makes sure that the next read sees all of `revision`, and nothing older.
    fn look_at(&mut self, revision: Revision, keep: bool) -> rusqlite::Result<()> {
        if self.seen != revision || !keep {
            self.leave()?;
            (self.seen, self.reads) = (revision, 0);
        } else if !self.open {
            self.reads += 1;
            if self.reads >= READS_BEFORE_KEEPING {
                // SQLite takes the snapshot with the first read after this.
                self.connection.prepare_cached("BEGIN")?.raw_execute()?;
                self.open = true;
            }
        }
        Ok(())
    }

    /// Gives the snapshot up.
    fn leave(&mut self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.open) {
            self.connection.prepare_cached("COMMIT")?.raw_execute()?;
        }
        Ok(())
    }
}

impl Readers {
    pub(super) fn new(data: &Path, vfs: Option<&str>, cache_bytes: usize) -> Self {
        Self {
            data: data.to_owned(),
            vfs: vfs.map(str::to_owned),
            cache_bytes,
            snapshots_forbidden: AtomicBool::new(false),
            state: RwLock::new(State::Open(Mutex::default())),
        }
    }

    /// Closes all connections and answers further reads with `why`. Waits for reads under way.
    pub(super) fn shut(&self, why: StorageError) {
        *self.state.write() = State::Shut(why);
    }

    /// Lets reads through again.
    pub(super) fn open(&self) {
        *self.state.write() = State::Open(Mutex::default());
    }

    /// From now on, or no longer, no snapshot stays open beyond its read.
    pub(super) fn forbid_snapshots(&self, forbid: bool) {
        self.snapshots_forbidden.store(forbid, Ordering::SeqCst);
        if let State::Open(pool) = &*self.state.read()
            && forbid
        {
            // One that cannot end its snapshot is closed instead.
            pool.lock().retain_mut(|reader| reader.leave().is_ok());
        }
    }

    /// Runs a read that sees at least what `revision` published.
    fn with<T>(
        &self,
        revision: Revision,
        table: Table,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        let state = self.state.read();
        let pool = match &*state {
            State::Open(pool) => pool,
            State::Shut(why) => return Err(why.clone()),
        };
        let kept = pool.lock().pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => Reader { connection: self.connect()?, seen: 0, reads: 0, open: false },
        };
        let keep = !self.snapshots_forbidden.load(Ordering::SeqCst);
        let answer = reader.look_at(revision, keep).and_then(|()| read(&reader.connection));
        match answer {
            Ok(answer) => {
                let mut pool = pool.lock();
                // Looked at under the pool's lock: whoever forbids goes through the pool after.
                let forbidden = self.snapshots_forbidden.load(Ordering::SeqCst);
                if pool.len() < KEPT && !(forbidden && reader.leave().is_err()) {
                    pool.push(reader);
                }
                Ok(answer)
            }
            // A connection that failed is not kept.
            Err(error) => {
                Err(plain(&format!("reading {}, table {table}", self.data.display()), &error))
            }
        }
    }

    fn connect(&self) -> Result<Connection, StorageError> {
        schema::connect(&self.data, self.vfs.as_deref(), Use::Reading, self.cache_bytes)
    }

    /// A record as it was at `revision` or later.
    pub(super) fn get(&self, revision: Revision, key: &Key) -> Result<Option<Value>, StorageError> {
        let table = match key {
            Key::Row(table, _) => Table::Rows(*table),
            Key::Index(table, _) => Table::Index(*table),
        };
        self.with(revision, table, |connection| match key {
            Key::Row(table, id) => {
                let Some(sql) = ROW_GET.get(usize::from(table.0)) else { return Ok(None) };
                let mut statement = connection.prepare_cached(sql)?;
                statement.raw_bind_parameter(1, *id as i64)?;
                first_value(&mut statement)
            }
            Key::Index(table, key) => {
                let Some(sql) = INDEX_GET.get(usize::from(table.0)) else { return Ok(None) };
                let mut statement = connection.prepare_cached(sql)?;
                statement.raw_bind_parameter(1, key.as_slice())?;
                first_value(&mut statement)
            }
        })
    }

    /// How many rows a table has, up to `limit`, from the id `from` on, and the id after the last of them,
    /// if there may be more. Each piece is a read of its own: whoever waits for reads to end waits for one
    /// piece.
    pub(super) fn count_some(
        &self,
        revision: Revision,
        table: RowTable,
        from: u64,
        limit: u64,
    ) -> Result<(u64, Option<u64>), StorageError> {
        let Some(sql) = ROW_COUNT.get(usize::from(table.0)) else { return Ok((0, None)) };
        self.with(revision, Table::Rows(table), |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let (rows, newest): (i64, Option<i64>) = statement
                .query_row([signed(from), signed(limit)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows = u64::try_from(rows).unwrap_or(0);
            let next = newest.and_then(|id| u64::try_from(id).ok()).map(|id| id + 1);
            Ok((rows, next.filter(|_| rows >= limit)))
        })
    }

    pub(super) fn scan_index(
        &self,
        revision: Revision,
        table: IndexTable,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Page<IndexKey>, StorageError> {
        let Some(sql) = INDEX_SCAN.get(usize::from(table.0)) else { return Ok(Page::new()) };
        self.with(revision, Table::Index(table), |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.raw_bind_parameter(1, from)?;
            statement.raw_bind_parameter(2, to)?;
            statement.raw_bind_parameter(3, i64::try_from(limit).unwrap_or(i64::MAX))?;
            let mut rows = statement.raw_query();
            let mut page = Page::with_capacity(limit.min(1024));
            while let Some(row) = rows.next()? {
                let key = row.get_ref(0)?.as_blob()?;
                page.push((IndexKey::from_slice(key), row.get_ref(1)?.as_blob()?.into()));
            }
            Ok(page)
        })
    }

    pub(super) fn scan_rows(
        &self,
        revision: Revision,
        table: RowTable,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<Page<u64>, StorageError> {
        let Some(sql) =
            ROW_SCAN.get(usize::from(table.0)).filter(|_| from < to.min(crate::ROW_ID_END))
        else {
            return Ok(Page::new());
        };
        self.with(revision, Table::Rows(table), |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.raw_bind_parameter(1, signed(from))?;
            statement.raw_bind_parameter(2, last(to))?;
            statement.raw_bind_parameter(3, i64::try_from(limit).unwrap_or(i64::MAX))?;
            let mut rows = statement.raw_query();
            let mut page = Page::with_capacity(limit.min(1024));
            while let Some(row) = rows.next()? {
                let id: i64 = row.get_ref(0)?.as_i64()?;
                page.push((id as u64, row.get_ref(1)?.as_blob()?.into()));
            }
            Ok(page)
        })
    }
}

/// An id as SQLite keeps it; what lies beyond the last one is the last one.
pub(super) fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// The last id of a range that ends before `end`; the range is not empty.
pub(super) fn last(end: u64) -> i64 {
    signed(end.saturating_sub(1))
}

fn first_value(statement: &mut CachedStatement<'_>) -> rusqlite::Result<Option<Value>> {
    let mut rows = statement.raw_query();
    match rows.next()? {
        Some(row) => Ok(Some(row.get_ref(0)?.as_blob()?.into())),
        None => Ok(None),
    }
}
