//! The node's audit log as segment files: `audit-<first index>.log` in a folder of its own, 0600 in
//! 0700.
//!
//! While a file is made durable, the file system holds up whoever writes to it, as long as there is
//! much to be made durable: so under load that is done long before the second is over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_kernel::audit::medium::{Medium, Segment};
use strongroom_storage::BoxFuture;
use strongroom_storage::reserve::{Reserve, is_full};
use tokio::task::spawn_blocking;

/// The file with the public key of the log's signatures.
const KEY: &str = "public-key";
/// So many bytes are not left to the sync of each second.
const UNSYNCED_BYTES_MAX: u64 = 512 << 10;

struct Newest {
    first: u64,
    file: File,
    bytes: u64,
    /// What lies before is durable, or a sync of it is under way.
    sync_begun: u64,
    /// Is a sync under way that nobody asked for?
    syncing: bool,
    /// Did a sync fail? The system tells that once, and what it could not write may be lost though
    /// the next sync says that all is well.
    suspect: bool,
}

impl Newest {
    fn new(first: u64, file: File, bytes: u64) -> Self {
        Self { first, file, bytes, sync_begun: bytes, syncing: false, suspect: false }
    }
}

/// Segment files in a folder.
pub struct AuditFiles {
    folder: PathBuf,
    newest: Arc<Mutex<Option<Newest>>>,
    reserve: Reserve,
    /// The public key, for a folder that has to be made again.
    key: Mutex<Option<String>>,
}

impl AuditFiles {
    /// Opens, or makes, the folder, and keeps `reserve_bytes` of the disk back for the day it is
    /// full.
    pub fn open(folder: &Path, reserve_bytes: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let reserve = Reserve::new(folder.join("reserve"), reserve_bytes);
        let files = Self {
            folder: folder.to_owned(),
            newest: Arc::default(),
            reserve,
            key: Mutex::default(),
        };
        if let Some(last) = files.segments()?.last() {
            let mut file =
                OpenOptions::new().read(true).append(true).open(files.path(last.first))?;
            file.seek(SeekFrom::End(0))?;
            *files.newest.lock() = Some(Newest::new(last.first, file, last.bytes));
        }
        Ok(files)
    }

    fn path(&self, first: u64) -> PathBuf {
        self.folder.join(format!("audit-{first:016}.log"))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Writes, and once more with the room that was kept back, if the disk is full.
    fn with_reserve<T>(&self, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(e) if is_full(&e) && self.reserve.spend() => write(),
            written => written,
        }
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        // One writer at a time by contract: the lock is only for the borrow checker, and for a
        // sync that comes in between.
        let mut newest = self.newest.lock();
        let newest = newest.as_mut().ok_or_else(|| io::Error::other("no segment was begun"))?;
        match newest.file.write_all(lines) {
            Ok(()) => {
                newest.bytes += lines.len() as u64;
                if newest.bytes - newest.sync_begun >= UNSYNCED_BYTES_MAX && !newest.syncing {
                    self.sync_early(newest);
                }
                Ok(())
            }
            Err(e) => {
                // What was written of them is cut off again, so that no torn line stays.
                newest.file.set_len(newest.bytes)?;
                Err(e)
            }
        }
    }

    /// Begins a sync that nobody waits for.
    fn sync_early(&self, newest: &mut Newest) {
        let Ok(file) = newest.file.try_clone() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        (newest.sync_begun, newest.syncing) = (newest.bytes, true);
        let (first, shared) = (newest.first, self.newest.clone());
        runtime.spawn_blocking(move || {
            let outcome = file.sync_data();
            if let Some(newest) = shared.lock().as_mut().filter(|newest| newest.first == first) {
                newest.syncing = false;
                // The next sync that somebody asks for writes the file again.
                newest.suspect |= outcome.is_err();
            }
        });
    }

    /// Somebody removed the newest file, or it could not be made durable: what it held is still ours
    /// to read, and is written again under its name.
    fn write_again(&self, newest: &mut Newest) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let (first, again) = (newest.first, self.folder.join("again"));
        let _ = fs::remove_file(&again);
        let file =
            OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&again)?;
        let (mut from, mut to) = (&newest.file, &file);
        from.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut from.take(newest.bytes), &mut to).and_then(|_| {
            file.sync_all()?;
            match newest.file.metadata()?.nlink() {
                // What stands under the name now is somebody else's.
                0 => fs::hard_link(&again, self.path(first)).and_then(|()| fs::remove_file(&again)),
                _ => fs::rename(&again, self.path(first)),
            }
        });
        if let Err(e) = copied {
            let _ = fs::remove_file(&again);
            return Err(e);
        }
        // It has the name from here on, whatever goes wrong now.
        (newest.file, newest.suspect) = (file, true);
        self.sync_folder()?;
        newest.suspect = false;
        if let Some(key) = &*self.key.lock() {
            fs::write(self.folder.join(KEY), key)?;
        }
        tracing::error!(
            file = %self.path(first).display(),
            "the audit log's newest file was removed or not durable; it was written again"
        );
        Ok(())
    }

    /// The newest file and the index of its first line, whole.
    fn newest_file(&self) -> io::Result<Option<(u64, File)>> {
        let mut newest = self.newest.lock();
        let Some(newest) = &mut *newest else { return Ok(None) };
        if newest.suspect || newest.file.metadata()?.nlink() == 0 {
            self.write_again(newest)?;
        }
        newest.sync_begun = newest.bytes;
        Ok(Some((newest.first, newest.file.try_clone()?)))
    }

    /// Notes what became of a sync of the file that begins with `first`.
    fn synced(&self, first: u64, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err()
            && let Some(newest) = &mut *self.newest.lock()
        {
            newest.suspect |= newest.first == first;
        }
        outcome
    }

    fn begin_file(&self, first: u64) -> io::Result<()> {
        let path = self.path(first);
        if let Some((first, file)) = self.newest_file()? {
            self.synced(first, file.sync_data())?;
        }
        let file =
            OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path)?;
        self.sync_folder()?;
        *self.newest.lock() = Some(Newest::new(first, file, 0));
        Ok(())
    }
}

impl Medium for AuditFiles {
    fn append(&self, lines: &[u8]) -> io::Result<()> {
        self.with_reserve(|| self.write(lines))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            let Some((first, file)) = self.newest_file()? else { return Ok(()) };
            // The threads that serve requests must not wait for a disk.
            let outcome = spawn_blocking(move || file.sync_data()).await;
            self.synced(first, outcome.map_err(io::Error::other)?)
        })
    }

    fn begin(&self, first: u64) -> io::Result<()> {
        self.with_reserve(|| self.begin_file(first))
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
            newest.sync_begun = newest.sync_begun.min(bytes);
        }
        Ok(())
    }

    fn remove(&self, first: u64) -> io::Result<()> {
        fs::remove_file(self.path(first))
    }

    fn is_full(&self) -> bool {
        self.reserve.is_spent()
    }

    fn look_for_room(&self) {
        self.reserve.restore();
    }

    fn publish_key(&self, key: &str) -> io::Result<()> {
        // A log that goes on after a restored store has that store's key, too: the signatures of
        // before stay good.
        let path = self.folder.join(KEY);
        let mut text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        if !text.lines().any(|known| known == key) {
            text.push_str(&format!("{key}\n"));
            fs::write(&path, &text)?;
        }
        *self.key.lock() = Some(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn segments_outlive_the_process_and_torn_ends_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let files = AuditFiles::open(folder.path(), 0).unwrap();
        assert!(files.append(b"x\n").is_err(), "no segment yet");
        files.begin(1).unwrap();
        files.append(b"one\n").unwrap();
        files.begin(2).unwrap();
        files.append(b"two\nto").unwrap();
        drop(files);
        let files = AuditFiles::open(folder.path(), 0).unwrap();
        files.truncate(4).unwrap();
        files.append(b"three\n").unwrap();
        files.sync().await.unwrap();
        assert_eq!(files.read(2, 0, 100).unwrap(), b"two\nthree\n");
        assert_eq!(files.read(1, 2, 100).unwrap(), b"e\n");
        let firsts: Vec<u64> = files.segments().unwrap().iter().map(|s| s.first).collect();
        assert_eq!(firsts, [1, 2]);
        files.remove(1).unwrap();
        assert_eq!(files.segments().unwrap().len(), 1);
    }

    #[test]
    fn keys_are_added_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (key, text) in [("aa", "aa\n"), ("aa", "aa\n"), ("bb", "aa\nbb\n"), ("aa", "aa\nbb\n")]
        {
            let files = AuditFiles::open(folder.path(), 0).unwrap();
            files.publish_key(key).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join(KEY)).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_removed_file_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("audit");
        let files = AuditFiles::open(&below, 0).unwrap();
        files.begin(1).unwrap();
        files.append(b"one\n").unwrap();
        fs::remove_dir_all(&below).unwrap();
        files.append(b"two\n").unwrap();
        files.sync().await.unwrap();
        files.append(b"three\n").unwrap();
        assert_eq!(files.read(1, 0, 100).unwrap(), b"one\ntwo\nthree\n");
        assert_eq!(fs::read_dir(&below).unwrap().count(), 1);
        // What may not be durable is written again, in its place.
        files.newest.lock().as_mut().unwrap().suspect = true;
        let before = fs::metadata(files.path(1)).unwrap().ino();
        files.sync().await.unwrap();
        assert_eq!(files.read(1, 0, 100).unwrap(), b"one\ntwo\nthree\n");
        assert_ne!(fs::metadata(files.path(1)).unwrap().ino(), before);
        assert!(!files.newest.lock().as_ref().unwrap().suspect);
        files.append(b"four\n").unwrap();
        assert_eq!(files.read(1, 14, 100).unwrap(), b"four\n");
        // Where something else stands under the name now, that is not touched.
        fs::remove_file(files.path(1)).unwrap();
        fs::write(files.path(1), "other").unwrap();
        assert!(files.sync().await.is_err());
        assert_eq!(fs::read(files.path(1)).unwrap(), b"other");
    }
}
