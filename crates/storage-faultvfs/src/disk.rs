//! What is on the simulated disk.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The unit that a disk writes wholly or not at all.
const SECTOR: usize = 512;

/// What happens at a write or sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The next sync fails, and what it was to write is lost though it can be read until then. As
    /// on Linux, whoever else has the file open is told so by their own next sync, once.
    FailSync,
    /// The next so many writes that make a file longer find the disk full.
    Full {
        /// How many.
        writes: u32,
    },
    /// One write fails with an I/O error.
    FailWrite,
    /// From here on nothing succeeds; [`Faults::cut_power`] then leaves what a disk would hold.
    PowerCut,
}

/// The faults of one VFS, and the disk below it.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<Disk>>);

struct Disk {
    files: BTreeMap<PathBuf, OnDisk>,
    /// The fault to come, after so many writes and syncs.
    armed: Option<(u64, Fault)>,
    fail_sync: bool,
    fail_write: bool,
    full_writes: u32,
    dead: bool,
    happened: u64,
    syncs: u64,
    dice: u64,
    /// The end of the name of the file whose next sync fails and loses everything.
    fail_sync_of: Option<&'static str>,
    /// What to do at the next write to a file whose name ends so.
    at_write: Option<(&'static str, Hook)>,
    /// For the test of the tests: a sync that says it succeeded and did nothing.
    lying: bool,
}

type Hook = Box<dyn FnOnce() + Send>;

/// One file as the disk has it.
struct OnDisk {
    inode: u64,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// Did the name lead to this file when the power went? What came later never happened.
    named_at_death: bool,
    syncs: u64,
    /// Who has it open, and of these who has not heard yet that a sync failed.
    handles: BTreeSet<usize>,
    to_be_told: BTreeSet<usize>,
}

enum Pending {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// What a write or sync is to do.
pub(crate) enum Verdict {
    Go,
    Full,
    Fail,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            files: BTreeMap::new(),
            armed: None,
            fail_sync: false,
            fail_write: false,
            full_writes: 0,
            dead: false,
            happened: 0,
            syncs: 0,
            dice: seed,
            fail_sync_of: None,
            at_write: None,
            lying: false,
        })))
    }

    /// Lets `fault` happen after so many further writes and syncs.
    pub fn arm(&self, after: u64, fault: Fault) {
        self.0.lock().armed = Some((after, fault));
    }

    /// Lets the next sync of the file whose name ends so fail, and nothing survive of what was written
    /// to it since its last sync. Nobody but the caller of that sync is told.
    pub fn fail_sync_of(&self, name_end: &'static str) {
        self.0.lock().fail_sync_of = Some(name_end);
    }

    /// Runs `hook` before the next write to the file whose name ends so, on the thread that writes.
    pub fn at_write_to(&self, name_end: &'static str, hook: impl FnOnce() + Send + 'static) {
        self.0.lock().at_write = Some((name_end, Box::new(hook)));
    }

    /// How many syncs of the file whose name ends so succeeded since it was first opened.
    pub fn syncs_of(&self, name_end: &str) -> u64 {
        let disk = self.0.lock();
        disk.files.iter().filter(|(path, _)| ends(path, name_end)).map(|(_, f)| f.syncs).sum()
    }

    /// From now on syncs say they succeeded and do nothing: a test that survives this tests nothing.
    pub fn lie_about_syncs(&self) {
        self.0.lock().lying = true;
    }

    /// Has the power gone?
    pub fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// How many faults have come true.
    pub fn happened(&self) -> u64 {
        self.0.lock().happened
    }

    /// How many syncs succeeded.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Takes away all power at once, even where no armed fault did.
    pub fn kill(&self) {
        self.0.lock().die();
    }

    /// Leaves in the real files what survived the power cut, and lets the disk work again. No
    /// connection may be open.
    ///
    /// # Errors
    /// If the real files cannot be written.
    pub fn cut_power(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        let disk = &mut *disk;
        for (path, file) in std::mem::take(&mut disk.files) {
            // A file that was replaced or removed beside the VFS is not its any more.
            let named = if disk.dead { file.named_at_death } else { file.is_named(&path) };
            if named {
                std::fs::write(&path, file.after_power_cut(&mut disk.dice))?;
            }
        }
        (disk.dead, disk.armed) = (false, None);
        (disk.fail_sync, disk.fail_write, disk.full_writes) = (false, false, 0);
        (disk.fail_sync_of, disk.at_write) = (None, None);
        Ok(())
    }

    /// A file is being opened; its content counts as durable unless the disk knows better.
    pub(crate) fn opened(&self, path: &Path, handle: usize) {
        let mut disk = self.0.lock();
        let Some(inode) = inode(path) else { return };
        if disk.files.get(path).is_none_or(|file| file.inode != inode) {
            let durable = std::fs::read(path).unwrap_or_default();
            disk.files.insert(path.to_owned(), OnDisk::new(inode, durable));
        }
        if let Some(file) = disk.files.get_mut(path) {
            file.handles.insert(handle);
        }
    }

    pub(crate) fn closed(&self, path: &Path, handle: usize) {
        if let Some(file) = self.0.lock().files.get_mut(path) {
            file.handles.remove(&handle);
            file.to_be_told.remove(&handle);
        }
    }

    /// What is to be done before this write.
    pub(crate) fn hook(&self, path: &Path) -> Option<Hook> {
        self.0.lock().at_write.take_if(|(name_end, _)| ends(path, name_end)).map(|(_, hook)| hook)
    }

    pub(crate) fn deleted(&self, path: &Path) {
        self.0.lock().files.remove(path);
    }

    /// May this write happen? `end` is where it ends.
    pub(crate) fn write(&self, path: &Path, at: usize, bytes: &[u8]) -> Verdict {
        let mut disk = self.0.lock();
        disk.step();
        if disk.full_writes > 0 && disk.grows(path, at + bytes.len()) {
            disk.full_writes -= 1;
            return Verdict::Full;
        }
        if std::mem::take(&mut disk.fail_write) {
            return Verdict::Fail;
        }
        // The write during which the power goes may still reach the disk.
        if let Some(file) = disk.files.get_mut(path) {
            file.pending.push(Pending::Write { at, bytes: bytes.to_vec() });
        }
        if disk.dead { Verdict::Fail } else { Verdict::Go }
    }

    pub(crate) fn truncate(&self, path: &Path, len: usize) -> Verdict {
        let mut disk = self.0.lock();
        disk.step();
        if let Some(file) = disk.files.get_mut(path) {
            file.pending.push(Pending::Truncate(len));
        }
        if disk.dead { Verdict::Fail } else { Verdict::Go }
    }

    pub(crate) fn sync(&self, path: &Path, handle: usize) -> Verdict {
        let mut disk = self.0.lock();
        disk.step();
        let disk = &mut *disk;
        if disk.dead {
            return Verdict::Fail;
        }
        let Some(file) = disk.files.get_mut(path) else { return Verdict::Go };
        let loses_all = disk.fail_sync_of.take_if(|name_end| ends(path, name_end)).is_some();
        if loses_all || std::mem::take(&mut disk.fail_sync) {
            // What was not written is clean now: a later sync will not write it either.
            if loses_all {
                disk.happened += 1;
            } else {
                file.durable = file.after_power_cut(&mut disk.dice);
                file.to_be_told = file.handles.clone();
                file.to_be_told.remove(&handle);
            }
            file.pending.clear();
            return Verdict::Fail;
        }
        if !disk.lying {
            for write in std::mem::take(&mut file.pending) {
                write.apply(&mut file.durable);
            }
        }
        if file.to_be_told.remove(&handle) {
            return Verdict::Fail;
        }
        disk.syncs += 1;
        file.syncs += 1;
        Verdict::Go
    }
}

fn ends(path: &Path, name_end: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(name_end.as_bytes())
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| metadata.ino())
}

impl Disk {
    /// Counts a write or sync, and lets an armed fault come true.
    fn step(&mut self) {
        match &mut self.armed {
            Some((0, fault)) => {
                match *fault {
                    Fault::FailSync => self.fail_sync = true,
                    Fault::FailWrite => self.fail_write = true,
                    Fault::Full { writes } => self.full_writes = writes,
                    Fault::PowerCut => self.die(),
                }
                self.happened += 1;
                self.armed = None;
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
    }

    /// The power goes.
    fn die(&mut self) {
        if !std::mem::replace(&mut self.dead, true) {
            for (path, file) in &mut self.files {
                file.named_at_death = file.is_named(path);
            }
        }
    }

    fn grows(&self, path: &Path, end: usize) -> bool {
        self.files.get(path).is_some_and(|file| file.len() < end)
    }
}

fn roll(dice: &mut u64, sides: u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*dice >> 33) % sides
}

impl OnDisk {
    fn new(inode: u64, durable: Vec<u8>) -> Self {
        Self {
            inode,
            durable,
            pending: Vec::new(),
            named_at_death: false,
            syncs: 0,
            handles: BTreeSet::new(),
            to_be_told: BTreeSet::new(),
        }
    }

    fn is_named(&self, path: &Path) -> bool {
        inode(path) == Some(self.inode)
    }

    fn len(&self) -> usize {
        self.pending.iter().fold(self.durable.len(), |len, write| match write {
            Pending::Write { at, bytes } => len.max(at + bytes.len()),
            Pending::Truncate(len) => *len,
        })
    }

    /// What may be on disk when the power goes: everything synced, and of the rest nothing, all, a
    /// beginning, or sectors here and there.
    fn after_power_cut(&self, dice: &mut u64) -> Vec<u8> {
        let mut content = self.durable.clone();
        let mode = roll(dice, 5);
        let first = match mode {
            0 => 0,
            1 => self.pending.len(),
            _ => roll(dice, self.pending.len() as u64 + 1) as usize,
        };
        let (survive, rest) = self.pending.split_at(first);
        survive.iter().for_each(|write| write.apply(&mut content));
        match mode {
            // The write at the boundary is torn at a sector.
            2 => {
                if let Some(Pending::Write { at, bytes }) = rest.first() {
                    let sectors = bytes.len().div_ceil(SECTOR) as u64;
                    let end = (roll(dice, sectors + 1) as usize * SECTOR).min(bytes.len());
                    put(&mut content, *at, &bytes[..end]);
                }
            }
            // Any sectors of the rest, in any order.
            3 | 4 => rest.iter().for_each(|write| {
                if let Pending::Write { at, bytes } = write {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                        if roll(dice, 2) == 0 {
                            put(&mut content, at + n * SECTOR, sector);
                        }
                    }
                }
            }),
            _ => {}
        }
        content
    }
}

impl Pending {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(content, *at, bytes),
            Self::Truncate(len) => content.resize(*len, 0),
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}
