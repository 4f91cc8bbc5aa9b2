//! Where a node's audit log lies: segment files on the node's own disk, whatever the storage.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use strongroom_storage::BoxFuture;

/// One segment of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The index of its first line; its name.
    pub first: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last written, in seconds since the epoch.
    pub written: i64,
}

/// Append-only segments.
///
/// An append that fails leaves the segment as it was before.
pub trait Medium: Send + Sync + 'static {
    /// Appends whole lines to the newest segment.
    fn append(&self, lines: &[u8]) -> io::Result<()>;
    /// As [`Medium::append`]; nothing is nothing.
    fn append_some(&self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() { Ok(()) } else { self.append(lines) }
    }
    /// Makes everything appended so far durable. It may take long, and holds nobody up.
    fn sync(&self) -> BoxFuture<'_, io::Result<()>>;
    /// Begins a new segment; the one before is made durable first, and whoever appends waits for
    /// that: it is synced shortly before.
    fn begin(&self, first: u64) -> io::Result<()>;
    /// All segments, oldest first.
    fn segments(&self) -> io::Result<Vec<Segment>>;
    /// Up to `bytes` of a segment from `offset`.
    fn read(&self, first: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Cuts the newest segment to this length: what lies behind is a torn line.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Removes a segment that is not the newest.
    fn remove(&self, first: u64) -> io::Result<()>;
    /// Was the disk found full, and has only what room was kept back for that?
    fn is_full(&self) -> bool {
        false
    }
    /// Keeps room back again, if there is some.
    fn look_for_room(&self) {}
    /// Writes the public key of the log's signatures beside it.
    fn publish_key(&self, _pem: &str) -> io::Result<()> {
        Ok(())
    }
}

/// Segments in memory, for dev mode, tests and the simulator.
#[derive(Default)]
pub struct MemoryMedium {
    segments: Mutex<Vec<(u64, Vec<u8>)>>,
    /// Bytes after which the oldest segment goes; 0 keeps all.
    bytes_max: usize,
    /// Does it take no lines now?
    broken: AtomicBool,
    /// Does it say that only the reserve is left?
    full: AtomicBool,
}

impl MemoryMedium {
    /// Segments of at most `bytes_max` bytes together (0: without bound).
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Lets it take no lines, or take them again: for tests of what then happens.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Lets it say that its disk is full, or no longer.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// The whole log.
    pub fn contents(&self) -> Vec<u8> {
        let segments = self.segments.lock();
        segments.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>().concat()
    }
}

impl Medium for MemoryMedium {
    fn append(&self, lines: &[u8]) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("broken"));
        }
        let mut segments = self.segments.lock();
        let all: usize = segments.iter().map(|(_, b)| b.len()).sum();
        if self.bytes_max > 0 && all > self.bytes_max && segments.len() > 1 {
            segments.remove(0);
        }
        match segments.last_mut() {
            Some((_, bytes)) => bytes.extend_from_slice(lines),
            None => return Err(io::Error::other("no segment was begun")),
        }
        Ok(())
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn begin(&self, first: u64) -> io::Result<()> {
        self.segments.lock().push((first, Vec::new()));
        Ok(())
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        let segments = self.segments.lock();
        let view = |(first, bytes): &(u64, Vec<u8>)| Segment {
            first: *first,
            bytes: bytes.len() as u64,
            written: 0,
        };
        Ok(segments.iter().map(view).collect())
    }

    fn read(&self, first: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let segments = self.segments.lock();
        let found = segments.iter().find(|(f, _)| *f == first);
        let (_, all) = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let from = (offset as usize).min(all.len());
        let to = from.saturating_add(bytes).min(all.len());
        Ok(all[from..to].to_vec())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        if let Some((_, all)) = self.segments.lock().last_mut() {
            all.truncate(bytes as usize);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    fn remove(&self, first: u64) -> io::Result<()> {
        self.segments.lock().retain(|(f, _)| *f != first);
        Ok(())
    }
}
