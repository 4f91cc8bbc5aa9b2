//! What must not outlive the command, also when a signal ends it: a folder for what is decrypted for an
//! editor or a program, into which nobody else looks, and files that are not whole yet.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_base::Rng;
use strongroom_server::real::RealRng;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a command that a signal ended.
const CANCELLED: i32 = 1;

/// The number of the signal of `abort`.
const SIGABRT: i32 = 6;

/// Signals that would end a program, and do not end the original, as Linux numbers them: SIGUSR1, SIGUSR2,
/// SIGALRM, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGPWR.
const NOT_HEEDED: &[i32] = &[10, 12, 14, 24, 25, 26, 27, 29, 30];

/// What a signal removes; `None` until the watcher runs.
static PASSING: Mutex<Option<Vec<PathBuf>>> = Mutex::new(None);

/// A file or folder that goes when this is dropped, or when a signal ends the program.
pub struct Passing {
    path: PathBuf,
}

impl Passing {
    /// Makes something at a path by `make`. A signal waits until it is there, and then removes it.
    pub fn make<T>(
        path: &Path,
        make: impl FnOnce() -> std::io::Result<T>,
    ) -> std::io::Result<(Self, T)> {
        let mut all = passing();
        if all.is_none() {
            watch()?;
        }
        let made = make()?;
        all.get_or_insert_default().push(path.to_owned());
        Ok((Self { path: path.to_owned() }, made))
    }

    /// It took another name: it stays, under that one.
    pub fn rename(self, to: &Path) -> std::io::Result<()> {
        // While a signal's removal would find it.
        fs::rename(&self.path, to)
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // What cannot be removed is not there any more, or not ours.
        remove(&self.path);
        if let Some(all) = &mut *passing() {
            all.retain(|path| *path != self.path);
        }
    }
}

fn passing() -> MutexGuard<'static, Option<Vec<PathBuf>>> {
    PASSING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()) {
        drop(fs::remove_dir_all(path));
    } else {
        drop(fs::remove_file(path));
    }
}

/// A private folder.
pub struct Folder {
    passing: Passing,
}

impl Folder {
    /// Makes one below the folder for temporary files. From now on a signal that ends this program
    /// removes it first.
    pub fn make(env: &dyn Fn(&str) -> Option<String>, prefix: &str) -> std::io::Result<Self> {
        let base = env("TMPDIR").filter(|path| !path.is_empty()).unwrap_or_else(|| "/tmp".into());
        let random = u128::from_ne_bytes((&RealRng as &dyn Rng).array());
        let path = Path::new(&base).join(format!("{prefix}{random:032x}"));
        let make = || fs::DirBuilder::new().mode(0o700).create(&path);
        Passing::make(&path, make).map(|(passing, ())| Self { passing })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.passing.path
    }

    /// Makes a file in it that only its owner reads and writes.
    pub fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.path().join(name);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        Ok(path)
    }
}

/// Waits for signals beside the command, to its end.
fn watch() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on they are ours, before there is anything to hide.
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut abort = signal(SignalKind::from_raw(SIGABRT))?;
    // The original does not end by these: whoever has a handler for one has nothing else done.
    for number in NOT_HEEDED {
        drop(signal(SignalKind::from_raw(*number))?);
    }
    drop(guard);
    let watcher = std::thread::Builder::new().name("private".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = quit.recv() => {}
                _ = abort.recv() => {}
            }
        });
        // Nothing is made while this is held.
        let all = passing();
        all.iter().flatten().for_each(|path| remove(path));
        eprintln!("User canceled operation");
        std::process::exit(CANCELLED);
    });
    watcher.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_watched(path: &Path) -> bool {
        passing().iter().flatten().any(|it| it == path)
    }

    #[test]
    fn what_passes_is_known_to_the_watcher_until_it_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (half, whole) = (folder.path().join("half"), folder.path().join("whole"));
        let make = || fs::write(&half, "x");
        let (passing, ()) = Passing::make(&half, make).unwrap();
        assert!(is_watched(&half) && half.exists());
        passing.rename(&whole).unwrap();
        assert!(!is_watched(&half) && !half.exists() && whole.exists());
        let (passing, ()) = Passing::make(&half, make).unwrap();
        drop(passing);
        assert!(!is_watched(&half) && !half.exists());
        // What could not be made is somebody else's.
        assert!(Passing::make(&whole, || fs::File::create_new(&whole)).is_err());
        assert!(!is_watched(&whole) && whole.exists());
    }

    #[test]
    fn a_folder_is_watched_with_what_is_in_it() {
        let base = tempfile::tempdir().unwrap();
        let env = |_: &str| Some(base.path().display().to_string());
        let folder = Folder::make(&env, "x").unwrap();
        let path = folder.path().to_owned();
        folder.write("f", b"x").unwrap();
        assert!(is_watched(&path));
        drop(folder);
        assert!(!is_watched(&path) && !path.exists());
    }
}
