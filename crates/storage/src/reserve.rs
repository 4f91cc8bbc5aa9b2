//! Room on the disk that is kept back for the day it is full.
//!
//! A file of nothing holds the room. When a write finds the disk full, the file goes, and what may
//! use the room (revocation, sealing, the repair of the audit log) goes on; everything else is
//! refused until the reserve is back. It comes back when there is room for it twice, so that a disk
//! that is nearly full does not make it come and go.
//!
//! A file system that stores nothing for zeros (a compressing one) keeps no room: there the reserve
//! only marks the moment.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// The unit of `st_blocks` (`stat(2)`).
const BLOCK_BYTES: u64 = 512;

/// The room kept back in one folder.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
    /// Was the disk found full, and is the reserve not back yet?
    spent: AtomicBool,
    /// Is the file there?
    held: AtomicBool,
}

/// Does this failure say that there is no room?
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl Reserve {
    /// A reserve of `bytes` in the file `path`; 0 keeps none. Where there is no room for it now, it
    /// is made later.
    pub fn new(path: PathBuf, bytes: u64) -> Self {
        let reserve =
            Self { path, bytes, spent: AtomicBool::new(false), held: AtomicBool::new(false) };
        if let Err(error) = reserve.make() {
            tracing::warn!(file = %reserve.path.display(), %error, "no room is kept for a full disk");
        }
        reserve
    }

    /// The disk is full: gives the room free. True if there was some.
    pub fn spend(&self) -> bool {
        if self.bytes == 0 {
            return false;
        }
        if !self.spent.swap(true, Ordering::AcqRel) {
            tracing::error!(
                file = %self.path.display(),
                "the disk is full: until there is room, only revocation, sealing and the repair of \
                 the audit log are served"
            );
        }
        self.held.swap(false, Ordering::AcqRel) && std::fs::remove_file(&self.path).is_ok()
    }

    /// Was the disk found full, and is there no room for the reserve yet?
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Makes the reserve again, if there is room for it.
    pub fn restore(&self) {
        if self.bytes == 0 || self.held.load(Ordering::Acquire) {
            return;
        }
        match self.make() {
            Ok(true) if self.spent.swap(false, Ordering::AcqRel) => {
                tracing::info!(file = %self.path.display(), "there is room on the disk again");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the reserve was not made"),
        }
    }

    /// Makes the file. False where there is no room.
    fn make(&self) -> io::Result<bool> {
        if self.bytes == 0 {
            return Ok(false);
        }
        let there = std::fs::symlink_metadata(&self.path).ok();
        let whole = |m: &std::fs::Metadata| m.is_file() && m.blocks() * BLOCK_BYTES >= self.bytes;
        if !there.as_ref().is_some_and(whole) {
            if there.is_some() {
                std::fs::remove_file(&self.path)?;
            }
            if free_bytes(self.path.parent().unwrap_or(Path::new(".")))? / 2 < self.bytes {
                return Ok(false);
            }
            let file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
            if let Err(error) = fill(&file, self.bytes) {
                std::fs::remove_file(&self.path)?;
                return if is_full(&error) { Ok(false) } else { Err(error) };
            }
        }
        self.held.store(true, Ordering::Release);
        Ok(true)
    }
}

/// Bytes that are free on the disk of a folder.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = [0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(zeros.len() as u64) as usize;
        file.write_all(zeros.get(..piece).unwrap_or(&zeros))?;
        left -= piece as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_held_given_free_once_and_held_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reserve");
        let reserve = Reserve::new(path.clone(), 1 << 20);
        let held = std::fs::metadata(&path).unwrap();
        assert!(held.blocks() * BLOCK_BYTES >= 1 << 20, "the room is taken, not only promised");
        assert!(!reserve.is_spent());
        assert!(reserve.spend());
        assert!(!path.exists() && reserve.is_spent());
        assert!(!reserve.spend(), "there is nothing more");
        reserve.restore();
        assert!(path.exists() && !reserve.is_spent());

        // A file that only looks long is no room.
        std::fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        drop(Reserve::new(path.clone(), 1 << 20));
        assert!(std::fs::metadata(&path).unwrap().blocks() * BLOCK_BYTES >= 1 << 20);

        let absurd = Reserve::new(folder.path().join("absurd"), 1 << 60);
        assert!(!folder.path().join("absurd").exists() && !absurd.is_spent());
        assert!(!absurd.spend() && absurd.is_spent(), "it still marks the moment");
        assert!(!Reserve::new(folder.path().join("none"), 0).spend());
    }
}
