//! A process that ends with the test that started it, however that ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, thread};

/// Starts the program given as arguments and waits for its own input to end: that is, for the test
/// to drop its end or to die. Then the program is killed.
const SHELL: &str = r#""$@" & server=$!; exec >&- 2>&-; cat >/dev/null; kill -9 $server; wait"#;

/// A running program.
#[derive(Debug)]
pub struct Guarded {
    shell: Child,
}

impl Guarded {
    /// Starts a program and waits until it writes a line with `ready` in it, on either output. What it
    /// wrote instead is the error.
    pub fn start(program: &Path, args: &[String], ready: &str) -> Result<Self, String> {
        Self::start_logging(program, args, ready, drop)
    }

    /// As [`Guarded::start`], and the line with `ready` in it.
    pub fn start_saying(
        program: &Path,
        args: &[String],
        ready: &str,
    ) -> Result<(Self, String), String> {
        Self::launch(program, args, ready, drop)
    }

    /// As [`Guarded::start`]; `log` gets each line that it writes from then on.
    pub fn start_logging(
        program: &Path,
        args: &[String],
        ready: &str,
        log: impl FnMut(String) + Send + 'static,
    ) -> Result<Self, String> {
        Self::launch(program, args, ready, log).map(|(guarded, _)| guarded)
    }

    fn launch(
        program: &Path,
        args: &[String],
        ready: &str,
        mut log: impl FnMut(String) + Send + 'static,
    ) -> Result<(Self, String), String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SHELL, "sh"]).arg(program).args(args);
        let (reader, writer) = std::io::pipe().map_err(|e| format!("no pipe: {e}"))?;
        let second = writer.try_clone().map_err(|e| format!("no pipe: {e}"))?;
        shell.stdin(Stdio::piped()).stdout(writer).stderr(second);
        let started = shell.spawn();
        // The command holds the pipe's other ends: what reads from it would wait for us.
        drop(shell);
        let guarded = Self { shell: started.map_err(|e| format!("cannot start a shell: {e}"))? };
        let mut lines = BufReader::new(reader).lines();
        let mut said = String::new();
        let line = loop {
            match lines.next() {
                Some(Ok(line)) if line.contains(ready) => break line,
                Some(Ok(line)) => {
                    said.push_str(&line);
                    said.push('\n');
                }
                Some(Err(_)) | None => {
                    return Err(format!("{} ended: {said}", program.display()));
                }
            }
        };
        // A full pipe would stop it.
        thread::spawn(move || lines.map_while(Result::ok).for_each(&mut log));
        Ok((guarded, line))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Nothing to do about one that cannot be waited for.
        drop(self.shell.wait());
    }
}

/// A folder of its own, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("strongroom-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => panic!("no temporary folder: {e}"),
            }
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only its owner may read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        let file =
            fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file is written");
        path
    }

    /// Does it belong to root, as what we start will?
    pub fn is_roots(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&self.0).is_ok_and(|folder| folder.uid() == 0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A program on the search path or where Debian puts servers.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| {
        panic!("this test needs {name}: `cargo xtask test` installs it (Debian package {package})")
    })
}

/// A port of the loopback address that nobody listens on. Somebody else may take it before it is used.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Starts something on a free port; if it ends at once, perhaps since the port was taken, on another.
pub fn on_free_port(mut start: impl FnMut(u16) -> Result<Guarded, String>) -> (Guarded, u16) {
    let mut last = String::new();
    for _ in 0..5 {
        let port = free_port();
        match start(port) {
            Ok(server) => return (server, port),
            Err(text) => last = text,
        }
    }
    panic!("{last}");
}
