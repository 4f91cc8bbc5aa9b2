//! A folder for what is decrypted for an editor or a program: nobody else looks into it, and it goes
//! with the command, also when a signal ends it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_base::Rng;
use strongroom_server::real::RealRng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// The exit code of a command that a signal ended.
const CANCELLED: i32 = 1;

/// A private folder.
pub struct Folder {
    path: PathBuf,
    done: Arc<Notify>,
    waiter: Option<std::thread::JoinHandle<()>>,
}

impl Folder {
    /// Makes one below the folder for temporary files. From now on a signal that ends this program
    /// removes it first.
    pub fn make(env: &dyn Fn(&str) -> Option<String>, prefix: &str) -> std::io::Result<Self> {
        let base = env("TMPDIR").filter(|path| !path.is_empty()).unwrap_or_else(|| "/tmp".into());
        let random = u128::from_ne_bytes((&RealRng as &dyn Rng).array());
        let path = Path::new(&base).join(format!("{prefix}{random:032x}"));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let done = Arc::new(Notify::new());
        match watch(path.clone(), done.clone()) {
            Ok(waiter) => Ok(Self { path, done, waiter: Some(waiter) }),
            Err(error) => {
                drop(fs::remove_dir_all(&path));
                Err(error)
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file in it that only its owner reads and writes.
    pub fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is not there any more, or not ours.
        drop(fs::remove_dir_all(&self.path));
        self.done.notify_one();
        if let Some(waiter) = self.waiter.take() {
            drop(waiter.join());
        }
    }
}

/// Waits for a signal beside the command.
fn watch(path: PathBuf, done: Arc<Notify>) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on they are ours, before there is anything to hide.
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    std::thread::Builder::new().name("private".into()).spawn(move || {
        let ended = runtime.block_on(async {
            tokio::select! {
                () = done.notified() => false,
                _ = interrupt.recv() => true,
                _ = terminate.recv() => true,
                _ = hangup.recv() => true,
            }
        });
        if ended {
            drop(fs::remove_dir_all(&path));
            eprintln!("User canceled operation");
            std::process::exit(CANCELLED);
        }
    })
}
