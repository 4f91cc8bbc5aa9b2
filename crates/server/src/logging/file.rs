//! Where the log goes: standard error, and a file that is rotated by size and age.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use strongroom_base::Clock;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Log;

/// Where lines go.
pub(super) struct Sink {
    file: Option<Mutex<Rotated>>,
}

/// A file with its age and size.
struct Rotated {
    path: PathBuf,
    file: File,
    bytes: u64,
    opened_nanos: u64,
    log: Log,
    clock: Arc<dyn Clock>,
}

impl Sink {
    pub(super) fn open(log: &Log, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let file = match &log.file {
            None => None,
            Some(path) => Some(Mutex::new(Rotated::open(&log_path(path), log, clock)?)),
        };
        Ok(Self { file })
    }

    pub(super) fn reopen(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut file = file.lock();
        *file = Rotated::open(&file.path, &file.log, file.clock.clone())?;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.lock().write(line)?;
        }
        // As in Vault, a file is beside standard error, not in its place.
        io::stderr().lock().write_all(line)
    }
}

/// As in Vault: a folder gets a file named after the program.
fn log_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("strongroom.log") } else { path.to_owned() }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

impl Rotated {
    fn open(path: &Path, log: &Log, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let file = append(path).map_err(|e| format!("log file {}: {e}", path.display()))?;
        let bytes = file.metadata().map(|file| file.len()).unwrap_or(0);
        let opened_nanos = clock.monotonic_nanos();
        Ok(Self { path: path.to_owned(), file, bytes, opened_nanos, log: log.clone(), clock })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let full = self.log.rotate_bytes.is_some_and(|max| self.bytes + line.len() as u64 > max);
        let age = self.clock.monotonic_nanos().saturating_sub(self.opened_nanos) / 1_000_000_000;
        let old = self.log.rotate_seconds.is_some_and(|max| max > 0 && age >= max);
        if self.bytes > 0 && (full || old) {
            self.rotate()?;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(line)
    }

    /// Moves the file aside, under a name with the time, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let stem = self.stem();
        let aside = format!("{stem}-{}.log", self.clock.now().0);
        fs::rename(&self.path, self.path.with_file_name(aside))?;
        self.file = append(&self.path)?;
        self.bytes = 0;
        self.opened_nanos = self.clock.monotonic_nanos();
        if let Some(kept) = self.log.rotate_files_max {
            self.forget(&format!("{stem}-"), usize::try_from(kept).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Removes all but the newest `kept` files that were moved aside.
    fn forget(&self, prefix: &str, kept: usize) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let aside = |name: &str| {
            let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".log"));
            number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut names: Vec<String> = fs::read_dir(folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| aside(name))
            .collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names.into_iter().skip(kept) {
            fs::remove_file(folder.join(name))?;
        }
        Ok(())
    }
}

/// One event's line, written at once.
pub(super) struct LineWriter<'a>(&'a Sink);

impl io::Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sink as `tracing` wants it.
pub(super) struct SharedSink(pub(super) Arc<Sink>);

impl<'a> MakeWriter<'a> for SharedSink {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }
}
