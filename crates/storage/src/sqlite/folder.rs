//! The folder of a store: which files are there, who may open them, and whether they are still
//! the files that were opened.

use crate::StorageError;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The data file's name in the folder.
pub(super) const DATA: &str = "strongroom.db";
const LOCK: &str = "lock";
/// What the lock file says while a store is open, or after it was not closed properly.
const OPEN: &str = "open\n";
/// What it says after a proper end.
const CLOSED: &str = "closed\n";

/// File systems whose locks or syncs cannot be relied on (`statfs(2)`, field `f_type`).
const REMOTE: [(u64, &str); 4] =
    [(0x6969, "NFS"), (0x517b, "SMB"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB2")];

/// A store's folder, locked for this process.
pub(super) struct Folder {
    path: PathBuf,
    /// Names are looked up from here: shorter, and right even if the folder is renamed.
    opened: File,
    lock: File,
}

/// What tells one file from another of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// The storage's view of a failure at a file.
pub(super) fn io(path: &Path, doing: &str, error: &std::io::Error) -> StorageError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full,
        ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly,
        kind => StorageError::Io(format!("{doing} {}: {kind}", path.display())),
    }
}

impl Folder {
    /// Makes the folder where it is missing, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| io(path, "making the folder", &e))?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
        }
        refuse_remote(path)?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|e| io(&lock_path, "opening", &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let why = format!("{} is in use by another server", path.display());
                return Err(StorageError::Io(why));
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(io(&lock_path, "locking", &e)),
        }
        let opened = File::open(path).map_err(|e| io(path, "opening", &e))?;
        Ok(Self { path: path.to_owned(), opened, lock })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.path.join(format!("{DATA}-wal"))
    }

    /// Where a new store is prepared.
    pub(super) fn data_new(&self) -> PathBuf {
        self.path.join(format!("{DATA}-new"))
    }

    /// Where room is kept back for a full disk.
    pub(super) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// Where a recovery copies the log.
    pub(super) fn wal_copy(&self) -> PathBuf {
        self.path.join(format!("{DATA}-wal-copy"))
    }

    /// Where a copy of the store is written.
    pub(super) fn copy(&self) -> PathBuf {
        self.path.join(format!("{DATA}-copy"))
    }

    /// Where a copy lies that is to come in the store's place.
    pub(super) fn staged(&self) -> PathBuf {
        self.path.join(format!("{DATA}-staged"))
    }

    /// Removes what a start, a recovery or a copy that was interrupted left.
    pub(super) fn tidy(&self) -> Result<(), StorageError> {
        remove(&self.data_new())?;
        remove(&self.wal_copy())?;
        for file in [self.copy(), self.staged()] {
            for suffix in ["", "-journal", "-wal", "-shm"] {
                let mut name = file.clone().into_os_string();
                name.push(suffix);
                remove(Path::new(&name))?;
            }
        }
        Ok(())
    }

    /// Which data file is there now.
    pub(super) fn data_identity(&self) -> Result<Option<Identity>, StorageError> {
        self.identity(c"strongroom.db")
    }

    /// Which write-ahead log is there now.
    pub(super) fn wal_identity(&self) -> Result<Option<Identity>, StorageError> {
        self.identity(c"strongroom.db-wal")
    }

    fn identity(&self, name: &CStr) -> Result<Option<Identity>, StorageError> {
        match rustix::fs::statat(&self.opened, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Identity { device: stat.st_dev, inode: stat.st_ino })),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(io(&self.path, "looking into", &e.into())),
        }
    }

    /// What the lock file says of the last opening.
    pub(super) fn last_end(&self) -> Result<LastEnd, StorageError> {
        let mut text = String::new();
        let mut lock = &self.lock;
        lock.seek(SeekFrom::Start(0))
            .and_then(|_| lock.read_to_string(&mut text))
            .map_err(|e| io(&self.path.join(LOCK), "reading", &e))?;
        Ok(match text.as_str() {
            "" => LastEnd::Never,
            CLOSED => LastEnd::Proper,
            _ => LastEnd::Crash,
        })
    }

    /// Notes that the store is open (or properly closed), durably.
    pub(super) fn mark(&self, open: bool) -> Result<(), StorageError> {
        let text = if open { OPEN } else { CLOSED };
        let mut lock = &self.lock;
        lock.seek(SeekFrom::Start(0))
            .and_then(|_| lock.write_all(text.as_bytes()))
            .and_then(|()| lock.set_len(text.len() as u64))
            .and_then(|()| lock.sync_all())
            .map_err(|e| io(&self.path.join(LOCK), "writing", &e))
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        sync_folder(&self.path)
    }

    /// Takes the rights of group and others from the store's files.
    pub(super) fn restrict(&self) -> Result<(), StorageError> {
        for name in [DATA.to_owned(), format!("{DATA}-wal"), format!("{DATA}-shm")] {
            let path = self.path.join(name);
            let Some(metadata) = found(&path)? else { continue };
            if metadata.mode() & 0o077 != 0 {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
                    .map_err(|e| io(&path, "restricting", &e))?;
            }
        }
        Ok(())
    }
}

/// How the last server that used the folder ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LastEnd {
    /// There was none.
    Never,
    /// It closed the store.
    Proper,
    /// It did not: what it acknowledged may lie in the write-ahead log alone.
    Crash,
}

fn sync_folder(path: &Path) -> Result<(), StorageError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| io(path, "syncing", &e))
}

fn refuse_remote(path: &Path) -> Result<(), StorageError> {
    let kind = rustix::fs::statfs(path)
        .map_err(|e| StorageError::Io(format!("looking at {}: {e}", path.display())))?
        .f_type as u64
        & 0xffff_ffff;
    match REMOTE.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => Err(StorageError::Io(format!(
            "{} is on {name}: its locks and syncs cannot be relied on; use a local disk",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// A file's metadata, `None` where there is no file.
pub(super) fn found(path: &Path) -> Result<Option<std::fs::Metadata>, StorageError> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io(path, "looking at", &e)),
    }
}

/// Makes an empty file that only its owner may read.
pub(super) fn create_private(path: &Path) -> Result<(), StorageError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|e| io(path, "making", &e))
}

/// Removes a file if it is there.
pub(super) fn remove(path: &Path) -> Result<(), StorageError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(io(path, "removing", &e)),
        _ => Ok(()),
    }
}

/// Renames a file within the folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    std::fs::rename(from, to).map_err(|e| io(to, "making", &e))
}
