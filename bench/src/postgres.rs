//! A PostgreSQL of the benchmark's own, as durable as it comes, and `pgbench` beside it: the same
//! statements over a pool of the same size are what `creds` is held against.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// What makes an account: `{{name}}` and its kind in the role, the same written for `pgbench`.
pub const CREATION: [&str; 2] = [
    r#"CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"#,
    r#"GRANT readers TO "{{name}}""#,
];
const SCRIPT: &str = r#"\set n random(1, 1000000000000000000)
BEGIN;
CREATE ROLE "v-token-creds-:n-1795617637" WITH LOGIN PASSWORD 'Zq3-8vTtq7fPw1xYkLm2' VALID UNTIL '2030-01-01';
GRANT readers TO "v-token-creds-:n-1795617637";
COMMIT;
"#;

/// A running server. It stops when this is dropped.
pub struct Postgres {
    /// Its port on 127.0.0.1.
    pub port: u16,
    folder: PathBuf,
    programs: PathBuf,
    child: Child,
}

impl Postgres {
    /// Starts an empty one below `dir`.
    pub fn start(dir: &Path) -> Result<Self, String> {
        let programs = programs()?;
        let folder = dir.join(format!("strongroom-bench-{}-postgres", std::process::id()));
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        if let Some((user, group)) = unprivileged()? {
            chown(&folder, Some(user), Some(group)).map_err(|e| e.to_string())?;
        }
        let made = program(&programs.join("initdb"), &folder)?
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--username=postgres", "--pgdata"])
            .arg(folder.join("data"))
            .output()
            .map_err(|e| format!("initdb: {e}"))?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.map_err(|e| e.to_string())?.port();
        let log = fs::File::create(dir.join("postgres.log")).map_err(|e| e.to_string())?;
        let child = program(&programs.join("postgres"), &folder)?
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-c", &format!("port={port}"), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", &format!("unix_socket_directories={}", folder.display())])
            .args(["-c", "max_connections=200"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("postgres: {e}"))?;
        let server = Self { port, folder, programs, child };
        let began = Instant::now();
        while server.sql("SELECT 1").is_err() {
            if began.elapsed() > PATIENCE {
                return Err("PostgreSQL does not start".to_owned());
            }
            thread::sleep(Duration::from_millis(50));
        }
        server.sql("CREATE ROLE readers")?;
        Ok(server)
    }

    /// Runs a statement.
    pub fn sql(&self, text: &str) -> Result<(), String> {
        TcpStream::connect(("127.0.0.1", self.port)).map_err(|e| e.to_string())?;
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-h", "127.0.0.1", "-U", "postgres", "-q", "-c", text]);
        let done = psql.arg("-p").arg(self.port.to_string()).output();
        let done = done.map_err(|e| format!("psql: {e}"))?;
        match done.status.success() {
            true => Ok(()),
            false => Err(format!("psql: {}", String::from_utf8_lossy(&done.stderr))),
        }
    }

    /// Accounts a second that it makes by itself over so many connections.
    pub fn accounts_a_second(&self, connections: usize, time: Duration) -> Result<f64, String> {
        let script = self.folder.join("script.sql");
        fs::write(&script, SCRIPT).map_err(|e| e.to_string())?;
        let done = Command::new(self.programs.join("pgbench"))
            .args(["-h", "127.0.0.1", "-U", "postgres", "-n", "-M", "simple", "-j", "2"])
            .args(["-p", &self.port.to_string(), "-c", &connections.to_string()])
            .args(["-T", &time.as_secs().max(1).to_string(), "-f"])
            .arg(&script)
            .arg("postgres")
            .output()
            .map_err(|e| format!("pgbench: {e}"))?;
        let text = String::from_utf8_lossy(&done.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rest| rest.split(' ').next()?.parse().ok());
        let failed = text.lines().any(|line| {
            line.strip_prefix("number of failed transactions: ")
                .is_some_and(|rest| !rest.starts_with("0 "))
        });
        match rate.filter(|_| done.status.success() && !failed) {
            Some(rate) => Ok(rate),
            None => Err(format!("pgbench: {text}{}", String::from_utf8_lossy(&done.stderr))),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own way to stop at once.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where the programs are: the newest version that Debian's packages brought.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| number(path));
    let programs = newest.map(|version| version.join("bin"));
    programs
        .filter(|folder| folder.join("initdb").is_file())
        .ok_or_else(|| "PostgreSQL is missing: install Debian's package `postgresql`".to_owned())
}

/// The user that the package made, if we must not be ourselves: PostgreSQL refuses to be root.
fn unprivileged() -> Result<Option<(u32, u32)>, String> {
    if fs::metadata("/proc/self").map_err(|e| e.to_string())?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| e.to_string())?;
    let line = users.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut fields = line.unwrap_or_default().split(':').skip(1).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok(Some((user, group))),
        _ => Err("there is no user `postgres`".to_owned()),
    }
}

/// A program of the server's, that ends with the thread that starts it.
fn program(path: &Path, folder: &Path) -> Result<Command, String> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((user, group)) = unprivileged()? {
        command.args([format!("--reuid={user}"), format!("--regid={group}")]).arg("--clear-groups");
    }
    command.arg(path).current_dir(folder).env_clear().env("LC_ALL", "C");
    command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    Ok(command)
}
