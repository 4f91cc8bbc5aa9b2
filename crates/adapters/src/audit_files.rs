//! The node's audit log as segment files: `audit-<first index>.log` in a folder of its own, 0600 in
//! 0700.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use strongroom_kernel::audit::medium::{Medium, Segment};

struct Newest {
    file: File,
    bytes: u64,
}

/// Segment files in a folder.
pub struct AuditFiles {
    folder: PathBuf,
    newest: Mutex<Option<Newest>>,
}

impl AuditFiles {
    /// Opens, or makes, the folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let files = Self { folder: folder.to_owned(), newest: Mutex::new(None) };
        if let Some(last) = files.segments()?.last() {
            let mut file = OpenOptions::new().append(true).open(files.path(last.first))?;
            file.seek(SeekFrom::End(0))?;
            *files.newest.lock() = Some(Newest { file, bytes: last.bytes });
        }
        Ok(files)
    }

    fn path(&self, first: u64) -> PathBuf {
        self.folder.join(format!("audit-{first:016}.log"))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Medium for AuditFiles {
    fn append(&self, lines: &[u8]) -> io::Result<()> {
        // One writer at a time by contract: the lock is only for the borrow checker, and for a
        // sync that comes in between.
        let mut newest = self.newest.lock();
        let newest = newest.as_mut().ok_or_else(|| io::Error::other("no segment was begun"))?;
        match newest.file.write_all(lines) {
            Ok(()) => {
                newest.bytes += lines.len() as u64;
                Ok(())
            }
            Err(e) => {
                // What was written of them is cut off again, so that no torn line stays.
                newest.file.set_len(newest.bytes)?;
                Err(e)
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let file = match &*self.newest.lock() {
            Some(newest) => newest.file.try_clone()?,
            None => return Ok(()),
        };
        file.sync_data()
    }

    fn begin(&self, first: u64) -> io::Result<()> {
        if let Some(newest) = &*self.newest.lock() {
            newest.file.sync_data()?;
        }
        let file =
            OpenOptions::new().append(true).create_new(true).mode(0o600).open(self.path(first))?;
        self.sync_folder()?;
        *self.newest.lock() = Some(Newest { file, bytes: 0 });
        Ok(())
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let first = name
                .to_str()
                .and_then(|n| n.strip_prefix("audit-")?.strip_suffix(".log"))
                .and_then(|n| n.parse().ok());
            if let Some(first) = first {
                let meta = entry.metadata()?;
                out.push(Segment { first, bytes: meta.len(), written: meta.mtime() });
            }
        }
        out.sort_by_key(|s| s.first);
        Ok(out)
    }

    fn read(&self, first: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(first))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut out = Vec::new();
        file.take(bytes as u64).read_to_end(&mut out)?;
        Ok(out)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        if let Some(newest) = &mut *self.newest.lock() {
            newest.file.set_len(bytes)?;
            newest.bytes = bytes;
        }
        Ok(())
    }

    fn remove(&self, first: u64) -> io::Result<()> {
        fs::remove_file(self.path(first))
    }

    fn publish_key(&self, key: &str) -> io::Result<()> {
        fs::write(self.folder.join("public-key"), format!("{key}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_outlive_the_process_and_torn_ends_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let files = AuditFiles::open(folder.path()).unwrap();
        assert!(files.append(b"x\n").is_err(), "no segment yet");
        files.begin(1).unwrap();
        files.append(b"one\n").unwrap();
        files.begin(2).unwrap();
        files.append(b"two\nto").unwrap();
        drop(files);
        let files = AuditFiles::open(folder.path()).unwrap();
        files.truncate(4).unwrap();
        files.append(b"three\n").unwrap();
        files.sync().unwrap();
        assert_eq!(files.read(2, 0, 100).unwrap(), b"two\nthree\n");
        assert_eq!(files.read(1, 2, 100).unwrap(), b"e\n");
        let firsts: Vec<u64> = files.segments().unwrap().iter().map(|s| s.first).collect();
        assert_eq!(firsts, [1, 2]);
        files.remove(1).unwrap();
        assert_eq!(files.segments().unwrap().len(), 1);
    }
}
