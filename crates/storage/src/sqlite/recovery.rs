//! Opening, closing, and what comes between a failure and the next opening.
//!
//! After a failed sync the operating system may have dropped the pages it could not write and call
//! them clean: reading them back proves nothing, and a second sync would succeed without having
//! written them. So the write-ahead log is copied to a new file, which is synced, and only the copy
//! is opened: what SQLite then finds in it is on disk.

use super::error::plain;
use super::folder::{self, LastEnd};
use super::schema::{self, Use, meta};
use super::writer::Opened;
use super::{Shared, checkpoint, wal};
use crate::{Change, StorageError};
use rusqlite::Connection;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Opens the store's files for the first time, and makes them where there are none.
pub(super) fn open(shared: &Shared) -> Result<Opened, StorageError> {
    let last_end = shared.folder.last_end()?;
    prepare(shared, last_end)?;
    wal::check(&shared.wal)?;
    if last_end == LastEnd::Crash {
        // The last server may have ended over a failed sync.
        match rewrite_log(shared) {
            // Sooner this than a server that cannot start on a full disk.
            Ok(()) | Err(StorageError::Full) => {}
            Err(StorageError::Poisoned(why)) => return Err(StorageError::Io(why)),
            Err(error) => return Err(error),
        }
    }
    let opened = connect(shared)?;
    shared.folder.mark(true)?;
    Ok(opened)
}

/// Is what the folder holds a store, whole, or may one be made there?
fn prepare(shared: &Shared, last_end: LastEnd) -> Result<(), StorageError> {
    let folder = &shared.folder;
    folder.tidy()?;
    let log = folder::found(&shared.wal)?.map(|m| m.len());
    let data = folder::found(&shared.data)?;
    let missing = |path: &std::path::Path, why: &str| {
        Err(StorageError::Corrupt(format!("{} is missing: {why}", path.display())))
    };
    match data {
        Some(data) if !data.is_file() => {
            Err(StorageError::Corrupt(format!("{} is not a regular file", shared.data.display())))
        }
        Some(_) => {
            schema::check_header(&shared.data)?;
            if last_end == LastEnd::Crash && log.is_none() {
                return missing(
                    &shared.wal,
                    "the last server did not end properly, so the log held its newest records; \
                     restore it, or make an empty file of that name to go on without them",
                );
            }
            folder.restrict()
        }
        None if last_end != LastEnd::Never => missing(
            &shared.data,
            "a store was here; restore the file, or empty the folder to begin anew",
        ),
        None if log.is_some_and(|bytes| bytes > 0) => {
            missing(&shared.data, "its write-ahead log is here; restore the file")
        }
        None => {
            let new = folder.data_new();
            folder::create_private(&new)?;
            schema::create(&new, shared.options.vfs.as_deref())?;
            folder::rename(&new, &shared.data)?;
            folder.sync()
        }
    }
}

/// Opens the writer's connection and takes over what the file says.
fn connect(shared: &Shared) -> Result<Opened, StorageError> {
    let what = shared.data.display().to_string();
    let failed = |e: rusqlite::Error| plain(&what, &e);
    let vfs = shared.options.vfs.as_deref();
    let cache = shared.options.writer_cache_bytes;
    let mut connection = schema::connect(&shared.data, vfs, Use::Writing, cache)?;
    schema::check_format(&connection, &shared.data)?;
    schema::check_beginnings(&connection, &shared.data)?;
    // What the log holds goes into the file, and the log begins a new generation, so that a torn
    // tail of the last life can never be taken for a part of this one. Its file keeps its size:
    // syncs of a file that does not grow cost less.
    // Of a log without one whole batch SQLite keeps the generation: only cutting it ends that.
    let mode = if checkpoint::is_without_batches(&connection).map_err(failed)? {
        "TRUNCATE"
    } else {
        "RESTART"
    };
    if !checkpoint::once(&connection, mode).map_err(failed)? {
        return Err(StorageError::Io(format!("{} is in use by another program", what)));
    }
    // This first write makes the new generation's header, too.
    let reserved = read_ids(&connection).map_err(failed)?;
    shared.ids.start(reserved);
    let end = shared.ids.wanted().unwrap_or(reserved);
    write_ids(&connection, end).map_err(failed)?;
    shared.ids.reserved(end);
    let pages = Arc::clone(&shared.wal_pages);
    pages.store(0, Ordering::Relaxed);
    connection
        .wal_hook(Some(move |_: &mut _, count: i32| {
            pages.store(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(failed)?;
    shared.folder.restrict()?;
    let missing =
        |path: &std::path::Path| StorageError::Corrupt(format!("{} is missing", path.display()));
    let data = shared.folder.data_identity()?.ok_or_else(|| missing(&shared.data))?;
    let wal = shared.folder.wal_identity()?.ok_or_else(|| missing(&shared.wal))?;
    Ok(Opened { data, wal, connection })
}

fn read_ids(connection: &Connection) -> rusqlite::Result<u64> {
    let bytes: [u8; 8] =
        connection.query_row(schema::META_GET, [meta::IDS_RESERVED], |row| row.get(0))?;
    Ok(u64::from_be_bytes(bytes))
}

fn write_ids(connection: &Connection, end: u64) -> rusqlite::Result<usize> {
    let end = end.to_be_bytes();
    connection.execute(schema::META_PUT, rusqlite::params![meta::IDS_RESERVED, end.as_slice()])
}

/// After a failure, while the files are still open: brings into the data file what only the open
/// log holds because its name is gone.
///
/// # Errors
/// If the files must stay open because what they hold has no name.
pub(super) fn salvage(shared: &Shared, opened: &Opened) -> Result<(), StorageError> {
    let _running = shared.checkpoints.running.lock();
    if shared.folder.data_identity()? != Some(opened.data) {
        return Err(StorageError::Poisoned(format!(
            "{} was removed or replaced while it was open; put it back, or restart the server \
             with a restored copy",
            shared.data.display()
        )));
    }
    if shared.folder.wal_identity()? != Some(opened.wal) {
        let what = shared.data.display().to_string();
        let moved =
            checkpoint::once(&opened.connection, "TRUNCATE").map_err(|e| plain(&what, &e))?;
        if !moved {
            return Err(StorageError::Poisoned(format!(
                "{} was removed; its records are being moved into the data file",
                shared.wal.display()
            )));
        }
    }
    Ok(())
}

/// Opens the store again after a failure. Nobody else has its files open then.
pub(super) fn reopen(shared: &Arc<Shared>) -> Result<Opened, StorageError> {
    let _running = shared.checkpoints.running.lock();
    rewrite_log(shared)?;
    if folder::found(&shared.data)?.is_none() {
        return Err(StorageError::Corrupt(format!("{} is missing", shared.data.display())));
    }
    schema::check_header(&shared.data)?;
    let opened = connect(shared)?;
    let revision = shared.revision.load(Ordering::Acquire) + 1;
    let everything = [Change::Everything];
    shared.recent.lock().note(revision, &Change::Everything);
    shared.cache.update(revision, &everything);
    shared.tell(revision, &everything);
    shared.revision.store(revision, Ordering::Release);
    shared.recovered();
    Ok(opened)
}

/// Replaces the log by a synced copy of itself.
fn rewrite_log(shared: &Shared) -> Result<(), StorageError> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full,
        kind => StorageError::Poisoned(format!("copying {}: {kind}", shared.wal.display())),
    };
    if folder::found(&shared.wal)?.is_none() {
        return Ok(());
    }
    let copy = shared.folder.wal_copy();
    folder::remove(&copy)?;
    folder::create_private(&copy)?;
    let mut from = std::fs::File::open(&shared.wal).map_err(failed)?;
    let mut to = std::fs::OpenOptions::new().write(true).open(&copy).map_err(failed)?;
    let copied =
        std::io::copy(&mut from, &mut to).and_then(|_| to.flush()).and_then(|()| to.sync_all());
    if let Err(error) = copied {
        // A part of a copy only takes room.
        folder::remove(&copy)?;
        return Err(failed(error));
    }
    folder::rename(&copy, &shared.wal)?;
    shared.folder.sync()
}

/// Ends the store: the log goes into the data file, and the folder is marked as properly closed.
pub(super) fn close(shared: &Shared, opened: Opened) {
    shared.checkpoints.end();
    let _running = shared.checkpoints.running.lock();
    let doubt = shared.failure();
    shared.fail(StorageError::Closed);
    if let Some(error) = doubt {
        // Only the next start may move what the log holds: it moves all of it.
        tracing::warn!(%error, "the log was not moved at the end; the next start will");
        return;
    }
    match checkpoint::once(&opened.connection, "TRUNCATE") {
        Ok(true) => {
            drop(opened);
            if let Err(error) = shared.folder.mark(false) {
                tracing::warn!(%error, "the store's end could not be noted");
            }
        }
        Ok(false) => tracing::warn!("the log could not be moved at the end; the next start will"),
        Err(error) => {
            let error = plain("closing", &error);
            tracing::warn!(%error, "the log could not be moved at the end; the next start will");
        }
    }
}
