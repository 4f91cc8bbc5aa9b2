//! Whole copies of a store: taken while it goes on, and put in its place.
//!
//! Everything here waits for the disk: it is called from threads that may wait.

use crate::reserve::free_bytes;
use crate::{Change, Key, StorageError, Value};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of disk that a copy leaves free.
const LEFT_FREE_BYTES: u64 = 32 << 20;
/// After so many bytes it is looked whether there still is room.
const LOOK_EVERY_BYTES: u64 = 4 << 20;

/// What a store that lies in files can do beside serving.
pub trait Copies: Send + Sync {
    /// A copy of the newest committed state, in a file without a name. Reads and writes go on
    /// meanwhile. One at a time.
    ///
    /// # Errors
    /// `Full` if the disk has no room for it, before it is filled.
    fn take(&self) -> Result<File, StorageError>;

    /// An empty file on the store's disk, for a copy that comes from elsewhere. One at a time.
    fn stage(&self) -> Result<Staged, StorageError>;

    /// Reads all of a staged copy: is it a whole store of a format that this program knows?
    ///
    /// # Errors
    /// `Corrupt` with the reason if not.
    fn check(&self, staged: &Staged) -> Result<(), StorageError>;

    /// A record of a staged copy that was found whole.
    fn record(&self, staged: &Staged, key: &Key) -> Result<Option<Value>, StorageError>;

    /// Puts a staged copy that was found whole, with `changes` made to it, in the place of the
    /// store. A crash at any moment leaves the one or the other, whole. Afterwards the store's term
    /// is another one, ids go on behind those of both, and listeners were told that everything
    /// changed.
    ///
    /// # Errors
    /// The store is as it was before, or (if reopening failed) unfit until it could be opened.
    fn replace(&self, staged: Staged, changes: &[Change]) -> Result<(), StorageError>;
}

/// A file on a store's disk that holds a copy from elsewhere. It goes with the value.
pub struct Staged {
    path: PathBuf,
    file: File,
    unlooked: u64,
}

impl Staged {
    /// Makes the file; at most one of this name at a time.
    pub(crate) fn new(path: PathBuf) -> Result<Self, StorageError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => StorageError::Busy("another copy is being put in place"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full,
            ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly,
            kind => StorageError::Io(format!("making {}: {kind}", path.display())),
        })?;
        Ok(Self { path, file, unlooked: LOOK_EVERY_BYTES })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a replacement its name is gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unlooked >= LOOK_EVERY_BYTES {
            room_for(&self.path, LOOK_EVERY_BYTES)?;
            self.unlooked = 0;
        }
        let written = self.file.write(bytes)?;
        self.unlooked += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Refuses what the disk of the file `path` has no room for.
pub(crate) fn room_for(path: &Path, bytes: u64) -> io::Result<()> {
    let free = free_bytes(path.parent().unwrap_or(Path::new(".")))?;
    if free < bytes.saturating_add(LEFT_FREE_BYTES) {
        return Err(ErrorKind::StorageFull.into());
    }
    Ok(())
}
