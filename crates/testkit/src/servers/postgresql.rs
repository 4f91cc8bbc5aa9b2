//! A PostgreSQL server for tests.
//!
//! It runs in the foreground as a child of a thread that waits for it, so it also ends when the
//! process of the tests is killed. PostgreSQL refuses to run as root: then it runs as the user that
//! its Debian package made.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

/// The administrator of each server.
pub const ADMIN: &str = "postgres";
/// The administrator's password: with what needs care in URLs and in SQL.
pub const PASSWORD: &str = "r00t'p@ss/word:%41\\#";

/// What a server is started with.
#[derive(Default)]
pub struct Options {
    /// Certificate and key, PEM: the server speaks TLS, and over TCP nothing else.
    pub tls: Option<(String, String)>,
    /// The authority, PEM, whose certificates clients must have.
    pub clients: Option<String>,
    /// Lines of `postgresql.conf`.
    pub settings: Vec<String>,
}

/// A running server. It stops when this is dropped.
pub struct Server {
    folder: TempDir,
    port: u16,
    log: Arc<Log>,
    process: u32,
    ended: Mutex<mpsc::Receiver<()>>,
}

/// What a server says.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    more: Condvar,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server that tests share while they overlap.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock();
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start(&Options::default()));
        *shared = Arc::downgrade(&server);
        server
    }

    /// A server of its own.
    pub fn start(options: &Options) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("strongroom-pg").tempdir().expect("a folder");
        own(folder.path());
        initialise(&programs, folder.path());
        if let Some((certificate, key)) = &options.tls {
            write(&folder.path().join("server.crt"), certificate);
            write(&folder.path().join("server.key"), key);
            let clients = options.clients.as_ref().map_or("", |ca| {
                write(&folder.path().join("clients.crt"), ca);
                "clientcert=verify-ca"
            });
            let rules = format!(
                "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256 {clients}\n"
            );
            write(&folder.path().join("data/pg_hba.conf"), &rules);
        }
        // Somebody may take the free port before the server does.
        for _ in 0..5 {
            if let Some(started) = run(&programs, folder.path(), options) {
                let (port, log, process, ended) = started;
                return Self { folder, port, log, process, ended: Mutex::new(ended) };
            }
        }
        panic!("PostgreSQL does not start, five times");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// All it has said, with each statement it ran, as soon as a text is in it.
    pub fn log_until(&self, text: &str) -> String {
        let mut log = self.log.text.lock();
        while !log.contains(text) {
            let waited = self.log.more.wait_for(&mut log, Duration::from_secs(60));
            assert!(!waited.timed_out() || log.contains(text), "the log never has {text}");
        }
        log.clone()
    }

    /// A connection URL with the placeholders in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its own way to stop at once; the folder is removed after it.
        let process = self.process.to_string();
        let _ = Command::new("kill").args(["-QUIT", &process]).status();
        let _ = self.ended.lock().recv();
    }
}

/// Where the programs are: the newest version that Debian's packages brought.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| number(path));
    let programs = newest.map(|version| version.join("bin"));
    programs.filter(|folder| folder.join("initdb").is_file()).expect(
        "PostgreSQL is missing: install Debian's package `postgresql`, or run cargo xtask test",
    )
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0)
}

/// The user that the package made, if we must not be ourselves.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    if !is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the users");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("PostgreSQL's package makes a user `postgres`").split(':').skip(2);
    let mut id = || fields.next().and_then(|id| id.parse().ok()).expect("a number");
    Some((id(), id()))
}

pub(super) fn own(path: &Path) {
    if let Some((user, group)) = unprivileged() {
        chown(path, Some(user), Some(group)).expect("a file for the server");
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file for the server");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a file for the server");
    own(path);
}

/// A program of the server's, that ends with the thread that starts it.
fn program(path: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((user, group)) = unprivileged() {
        command.args([format!("--reuid={user}"), format!("--regid={group}")]).arg("--clear-groups");
    }
    command.arg(path).current_dir(folder).env_clear().env("LC_ALL", "C");
    command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn initialise(programs: &Path, folder: &Path) {
    let secret = folder.join("password");
    write(&secret, PASSWORD);
    let done = program(&programs.join("initdb"), folder)
        .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
        .args(["--username", ADMIN, "--pwfile"])
        .arg(&secret)
        .arg("--pgdata")
        .arg(folder.join("data"))
        .output()
        .expect("setpriv and initdb");
    assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
}

type Started = (u16, Arc<Log>, u32, mpsc::Receiver<()>);

fn run(programs: &Path, folder: &Path, options: &Options) -> Option<Started> {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", folder.display()),
        "fsync=off".to_owned(),
        "log_statement=all".to_owned(),
        "max_connections=60".to_owned(),
    ];
    if options.tls.is_some() {
        settings.push("ssl=on".to_owned());
        settings.push(format!("ssl_cert_file={}", folder.join("server.crt").display()));
        settings.push(format!("ssl_key_file={}", folder.join("server.key").display()));
    }
    if options.clients.is_some() {
        settings.push(format!("ssl_ca_file={}", folder.join("clients.crt").display()));
    }
    settings.extend(options.settings.iter().cloned());
    let mut command = program(&programs.join("postgres"), folder);
    command.arg("-D").arg(folder.join("data"));
    for setting in settings {
        command.args(["-c", &setting]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let log = Arc::new(Log::default());
    let (ready, readiness) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let lines = log.clone();
    std::thread::spawn(move || {
        let mut child = command.spawn().expect("setpriv and postgres");
        watch(&mut child, &lines, &ready);
        let _ = child.wait();
        let _ = end.send(());
    });
    match readiness.recv() {
        Ok(process) => Some((port, log, process, ended)),
        Err(_) => {
            eprintln!("PostgreSQL has not started: {}", log.text.lock());
            None
        }
    }
}

/// Keeps what the server says until it ends; tells when it is ready.
fn watch(child: &mut Child, log: &Log, ready: &mpsc::Sender<u32>) {
    let mut ready = Some(ready.clone());
    let Some(said) = child.stderr.take() else { return };
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        if line.contains("database system is ready to accept connections")
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(child.id());
        }
        let mut text = log.text.lock();
        text.push_str(&line);
        text.push('\n');
        log.more.notify_all();
    }
}
