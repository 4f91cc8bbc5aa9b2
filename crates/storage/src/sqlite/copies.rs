//! Copies of the store as one file, and a copy in the store's place.
//!
//! A copy is read page by page within one read transaction, by a connection of its own: it sees one
//! moment, and neither the writer nor readers wait for it. After a failure of the store it gives up
//! at its next step, for reopening must find nobody at the files.
//!
//! The place is changed by a rename, after the old log was moved into the old data file: until the
//! rename the folder holds the old store, whole and with an empty log; after it the new one, whole,
//! beside the same empty log.

use super::error::plain;
use super::schema::{self, INDEX_GET, ROW_GET, Use, meta};
use super::statements::Statements;
use super::writer::Opened;
use super::{PAGE_BYTES, Shared, checkpoint, folder};
use crate::copies::{Copies, Staged, room_for};
use crate::{Change, Key, StorageError, Value};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Pages copied at a time: 1 MiB.
const STEP_PAGES: i32 = 256;
/// How long the writer is waited for before it is looked whether it still can answer.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pages kept while a staged copy is looked at.
const CACHE_BYTES: usize = 8 << 20;
/// Ids that are left out behind those of a copy: the store it was taken of went on, and gave out ids
/// that nobody here knows of. What they named must not come to name something else.
const IDS_SKIPPED: u64 = 1 << 28;
/// Ids are below this.
const IDS_END: u64 = 1 << 40;

/// A staged copy that the writer is to put in place.
pub(super) struct Replacement {
    path: PathBuf,
    reply: SyncSender<Result<(), StorageError>>,
}

impl Replacement {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn answer(self, result: Result<(), StorageError>) {
        // Whoever does not wait any more is not told.
        let _ = self.reply.send(result);
    }
}

impl Copies for Shared {
    fn take(&self) -> Result<File, StorageError> {
        let Some(_copying) = self.copying.try_lock() else {
            return Err(StorageError::Busy("another copy is being taken"));
        };
        if let Some(why) = self.failure() {
            return Err(why);
        }
        let path = self.folder.copy();
        folder::remove(&path)?;
        let bytes = std::fs::metadata(&self.data).map_or(0, |m| m.len());
        let log = self.wal_pages.load(Ordering::Relaxed) * PAGE_BYTES;
        room_for(&path, bytes + log).map_err(|e| folder::io(&path, "copying to", &e))?;
        folder::create_private(&path)?;
        let copied = self
            .copy_to(&path)
            .and_then(|()| File::open(&path).map_err(|e| folder::io(&path, "opening", &e)));
        // The open file is enough, and goes with whoever reads it.
        folder::remove(&path)?;
        copied
    }

    fn stage(&self) -> Result<Staged, StorageError> {
        Staged::new(self.folder.staged())
    }

    fn check(&self, staged: &Staged) -> Result<(), StorageError> {
        let path = staged.path();
        schema::check_header(path)?;
        let connection = open_staged(path)?;
        let what = "the copy";
        let failed = |e: rusqlite::Error| damaged(&plain(what, &e));
        let mode: String =
            connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(failed)?;
        if mode != "delete" {
            return Err(StorageError::Corrupt(format!("{what} needs a log beside it")));
        }
        schema::check_version(&connection, what)?;
        schema::check_tables(&connection, what)?;
        schema::check_pages(&connection, what).map_err(|e| damaged(&e))?;
        let reserved = reserved_ids(&connection).map_err(failed)?;
        if reserved.is_none_or(|ids| ids > IDS_END - 2 * IDS_SKIPPED) {
            return Err(StorageError::Corrupt(format!("{what} names no ids, or too many")));
        }
        Ok(())
    }

    fn record(&self, staged: &Staged, key: &Key) -> Result<Option<Value>, StorageError> {
        let connection = open_staged(staged.path())?;
        let got = |sql: Option<&&str>, name: &dyn rusqlite::ToSql| {
            let Some(sql) = sql else { return Ok(None) };
            let value: Option<Vec<u8>> =
                connection.query_row(sql, [name], |row| row.get(0)).optional()?;
            Ok(value.map(Value::from))
        };
        match key {
            Key::Row(table, id) => got(ROW_GET.get(usize::from(table.0)), &(*id as i64)),
            Key::Index(table, key) => got(INDEX_GET.get(usize::from(table.0)), &key.as_slice()),
        }
        .map_err(|e: rusqlite::Error| plain("reading the copy", &e))
    }

    fn replace(&self, staged: Staged, changes: &[Change]) -> Result<(), StorageError> {
        self.prepare(staged.path(), changes)?;
        let (reply, answer) = sync_channel(1);
        let path = staged.path().to_owned();
        *self.replacement.lock() = Some(Replacement { path, reply });
        self.queue.nudge();
        loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(why) = self.failure()
                        && self.replacement.lock().take().is_some()
                    {
                        return Err(why);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(StorageError::Closed),
            }
        }
    }
}

impl Shared {
    fn copy_to(&self, path: &Path) -> Result<(), StorageError> {
        let vfs = self.options.vfs.as_deref();
        let source = schema::connect(&self.data, vfs, Use::Reading, CACHE_BYTES)?;
        let failed = |e: rusqlite::Error| plain("copying the store", &e);
        // With its transaction open the source is the same at every step.
        source.execute_batch("BEGIN").map_err(failed)?;
        reserved_ids(&source).map_err(failed)?;
        let mut copy = Connection::open(path).map_err(failed)?;
        // Nobody else sees the file before it is done, and a half one is never used.
        copy.execute_batch("PRAGMA synchronous=OFF").map_err(failed)?;
        let backup = Backup::new(&source, &mut copy).map_err(failed)?;
        loop {
            if let Some(why) = self.failure() {
                return Err(why);
            }
            match backup.step(STEP_PAGES).map_err(failed)? {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::yield_now(),
            }
        }
        drop(backup);
        // A file that is whole by itself, without a log beside it.
        copy.query_row("PRAGMA journal_mode=DELETE", [], |_| Ok(())).map_err(failed)?;
        copy.close().map_err(|(_, e)| failed(e))
    }

    /// Makes a staged copy ready to be served: changed, in the form of an open store, synced.
    fn prepare(&self, path: &Path, changes: &[Change]) -> Result<(), StorageError> {
        let failed = |e: rusqlite::Error| plain("changing the copy", &e);
        let connection = open_staged(path)?;
        let theirs = reserved_ids(&connection).map_err(failed)?.unwrap_or_default();
        let ids = self.ids.end().max(theirs).saturating_add(IDS_SKIPPED);
        connection.execute_batch("PRAGMA synchronous=FULL").map_err(failed)?;
        {
            let mut statements = Statements::new(&connection).map_err(failed)?;
            statements.begin().map_err(failed)?;
            for change in changes {
                change.check()?;
                statements.apply(change).map_err(failed)?;
            }
            statements.put_meta(meta::IDS_RESERVED, ids).map_err(failed)?;
            statements.commit().map_err(failed)?;
        }
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(())).map_err(failed)?;
        // The last connection that closes moves the write-ahead log into the file.
        connection.close().map_err(|(_, e)| failed(e))?;
        File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(|e| folder::io(path, "syncing", &e))
    }

    /// Renames the copy into the place of the data file, with nobody at the files.
    ///
    /// # Errors
    /// The old store is in its place. The open files come back where what they hold may have no
    /// name.
    pub(super) fn swap(
        &self,
        opened: Opened,
        new: &Path,
    ) -> Result<(), (Option<Box<Opened>>, StorageError)> {
        let _running = self.checkpoints.running.lock();
        let _copying = self.copying.lock();
        if let Err(why) = self.move_log(&opened) {
            return Err((Some(Box::new(opened)), why));
        }
        drop(opened);
        folder::rename(new, &self.data).map_err(|why| (None, why))?;
        // From here on the new store is in its place. Reopening syncs the folder before anything is
        // acknowledged in it.
        self.term.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Moves all of the log into the data file.
    fn move_log(&self, opened: &Opened) -> Result<(), StorageError> {
        let what = self.data.display().to_string();
        let there = (self.folder.data_identity()?, self.folder.wal_identity()?);
        if there != (Some(opened.data), Some(opened.wal)) {
            return Err(StorageError::Poisoned(format!("{what} or its log was removed")));
        }
        let moved = checkpoint::once(&opened.connection, "TRUNCATE");
        if moved.map_err(|e| plain(&what, &e))? {
            Ok(())
        } else {
            Err(StorageError::Io(format!("{what} is in use by another program")))
        }
    }
}

fn open_staged(path: &Path) -> Result<Connection, StorageError> {
    let failed = |e: rusqlite::Error| plain("opening the copy", &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    schema::distrust(&connection).map_err(failed)?;
    connection
        .execute_batch(&format!("PRAGMA cache_size=-{}", CACHE_BYTES / 1024))
        .map_err(failed)?;
    Ok(connection)
}

fn reserved_ids(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let bytes: Option<[u8; 8]> = connection
        .query_row(schema::META_GET, params![meta::IDS_RESERVED], |row| row.get(0))
        .optional()?;
    Ok(bytes.map(u64::from_be_bytes))
}

/// Whatever SQLite says of a copy that came from elsewhere: it is damaged.
fn damaged(error: &StorageError) -> StorageError {
    match error {
        StorageError::Full | StorageError::ReadOnly | StorageError::Corrupt(_) => error.clone(),
        other => StorageError::Corrupt(other.to_string()),
    }
}
