//! A server under measurement: configuration, start, initialisation, stop, kill; all through the
//! HTTP API, so that it may be Strongroom or a peer.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::{
    http::{Answer, Connection, Way, request},
    tls,
};

/// Which kind of server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Ours, on its durable store.
    Strongroom,
    /// OpenBao or Vault, on raft with a file audit device.
    Peer,
    /// The bare responder.
    Responder,
    /// Our accept loop, answering a fixed text.
    Loop,
    /// AWS's services of the Python package `moto`, in memory.
    Moto,
}

impl Kind {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strongroom => "strongroom",
            Self::Peer => "peer",
            Self::Responder => "responder",
            Self::Loop => "accept-loop",
            Self::Moto => "moto",
        }
    }

    /// Has it Vault's API?
    fn is_vault(self) -> bool {
        matches!(self, Self::Strongroom | Self::Peer)
    }

    /// Does it answer a fixed text, whatever is asked?
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::Responder | Self::Loop)
    }
}

/// How long a server may take to get ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server.
pub struct Server {
    /// Which kind.
    pub kind: Kind,
    binary: PathBuf,
    folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for TLS, and its certificate there.
    tls: Option<(SocketAddr, CertificateDer<'static>)>,
    child: Option<Child>,
    unseal_key: String,
    /// The root token.
    pub root: String,
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}

impl Server {
    /// Makes an empty folder below `dir`, and starts and initialises a server in it.
    pub fn fresh(kind: Kind, binary: &Path, dir: &Path) -> Result<Self, String> {
        Self::make(kind, binary, dir, false)
    }

    /// The same with a listener for TLS besides.
    pub fn fresh_with_tls(kind: Kind, binary: &Path, dir: &Path) -> Result<Self, String> {
        Self::make(kind, binary, dir, true)
    }

    fn make(kind: Kind, binary: &Path, dir: &Path, with_tls: bool) -> Result<Self, String> {
        let folder = dir.join(format!("strongroom-bench-{}-{}", std::process::id(), kind.name()));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| e.to_string())?;
        }
        fs::create_dir_all(folder.join("data")).map_err(|e| e.to_string())?;
        let port = free_port()?;
        let cluster_port = free_port()?;
        let mut config = config(kind, &folder, port, cluster_port);
        let tls = if with_tls {
            let port = free_port()?;
            config.push_str(&tls_listener(&folder, port, free_port()?));
            Some((SocketAddr::from(([127, 0, 0, 1], port)), tls::of_server(&folder)?))
        } else {
            None
        };
        fs::write(folder.join("config.hcl"), config).map_err(|e| e.to_string())?;
        let mut server = Self {
            kind,
            binary: binary.to_owned(),
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls,
            child: None,
            unseal_key: String::new(),
            root: String::new(),
        };
        server.start()?;
        if kind.is_vault() {
            server.initialise()?;
        }
        Ok(server)
    }

    /// The way to it in the clear.
    pub fn way(&self) -> Way {
        Way::Plain(self.address)
    }

    /// The way to it by TLS, with a certificate and its key (PEM) to show.
    pub fn way_with(&self, certificate: &str, key: &str) -> Result<Way, String> {
        let (address, own) = self.tls.as_ref().ok_or("the server has no listener for TLS")?;
        Ok(Way::Tls(*address, tls::client(own, certificate, key)?))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Starts the process and waits until it answers at all (sealed or not).
    pub fn start(&mut self) -> Result<Duration, String> {
        let log = fs::File::create(self.folder.join("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new(&self.binary);
        match self.kind {
            Kind::Responder => command.args(["responder", &self.address.to_string()]),
            Kind::Loop => command.arg(self.address.to_string()),
            Kind::Moto => {
                let is_python = |name: &std::ffi::OsStr| name.to_string_lossy().contains("python");
                if self.binary.file_name().is_some_and(is_python) {
                    command.args(["-m", "moto.server"]);
                }
                command.args(["-H", "127.0.0.1", "-p", &self.address.port().to_string()])
            }
            _ => command
                .arg("server")
                .arg(format!("-config={}", self.folder.join("config.hcl").display())),
        };
        let began = Instant::now();
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("{}: {e}", self.binary.display()))?;
        self.child = Some(child);
        self.wait(|server| Connection::open(server.address).is_ok())?;
        Ok(began.elapsed())
    }

    /// Tries until `done`, or says what the server wrote when it ends or takes too long.
    fn wait(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let began = Instant::now();
        while !done(self) {
            let ended = match &mut self.child {
                Some(child) => child.try_wait().map_err(|e| e.to_string())?.is_some(),
                None => true,
            };
            if ended || began.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let name = self.kind.name();
                return Err(format!("{name} does not get ready; its log:\n{log}"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn initialise(&mut self) -> Result<(), String> {
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = self.call("PUT", "sys/init", "", &shares)?.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.unseal_key = text(&made["keys_base64"][0]);
        self.root = text(&made["root_token"]);
        self.unseal()?;
        let kv = json!({ "type": "kv", "options": { "version": "2" } });
        self.call("POST", "sys/mounts/secret", &self.root, &kv)?;
        // The peer converts a new mount in the background.
        let write = request("PUT", "secret/data/ready", &self.root, r#"{"data":{"a":"b"}}"#);
        self.wait(|server| server.succeeds(&write))
    }

    /// Unseals, and waits until the node is active.
    pub fn unseal(&mut self) -> Result<(), String> {
        self.call("PUT", "sys/unseal", "", &json!({ "key": self.unseal_key }))?;
        let health = request("GET", "sys/health", "", "");
        self.wait(|server| server.succeeds(&health))
    }

    fn succeeds(&self, request: &[u8]) -> bool {
        Connection::open(self.address)
            .and_then(|mut connection| connection.send(request, false))
            .is_ok_and(|answer| answer.is_good())
    }

    /// One request on a connection of its own; anything but success is an error.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Result<Answer, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = Connection::open(self.address)
            .and_then(|mut connection| connection.send(&request(method, path, token, &body), true))
            .map_err(|e| format!("{} {method} {path}: {e}", self.kind.name()))?;
        if answer.is_good() {
            return Ok(answer);
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Err(format!("{} {method} {path}: {} {text}", self.kind.name(), answer.status))
    }

    /// Kills the process without warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Errors mean that it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// After a kill: start, unseal, and read until a read succeeds. The times until it listens,
    /// and until the first read.
    pub fn restart(&mut self, read: &[u8]) -> Result<(Duration, Duration), String> {
        let began = Instant::now();
        let listens = self.start()?;
        self.unseal()?;
        self.wait(|server| server.succeeds(read))?;
        Ok((listens, began.elapsed()))
    }

    /// Bytes on disk below its folder.
    pub fn disk(&self) -> u64 {
        folder_bytes(&self.folder)
    }

    /// Asks the process to end, as an init system would, and waits for it.
    fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let began = Instant::now();
        while asked && began.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not killed: whoever builds with a profile gets it when the process ends.
        self.stop();
        // What stays is a temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(file) if file.is_dir() => folder_bytes(&entry.path()),
            Ok(file) => file.len(),
            Err(_) => 0,
        })
        .sum()
}

fn tls_listener(folder: &Path, port: u16, cluster_port: u16) -> String {
    let [certificate, key] = tls::FILES.map(|name| folder.join(name).display().to_string());
    format!(
        "listener \"tcp\" {{ address = \"127.0.0.1:{port}\"\n\
         cluster_address = \"127.0.0.1:{cluster_port}\"\n\
         tls_cert_file = \"{certificate}\"\ntls_key_file = \"{key}\" }}\n"
    )
}

fn config(kind: Kind, folder: &Path, port: u16, cluster_port: u16) -> String {
    let data = folder.join("data");
    let data = data.display();
    match kind {
        Kind::Responder | Kind::Loop | Kind::Moto => String::new(),
        Kind::Strongroom => format!(
            "storage \"file\" {{ path = \"{data}\" }}\n\
             listener \"tcp\" {{ address = \"127.0.0.1:{port}\" tls_disable = true }}\n\
             door \"aws\" {{}}\n\
             log_level = \"warn\"\n"
        ),
        Kind::Peer => format!(
            "storage \"raft\" {{ path = \"{data}\" node_id = \"bench\" }}\n\
             listener \"tcp\" {{ address = \"127.0.0.1:{port}\"\n\
             cluster_address = \"127.0.0.1:{cluster_port}\"\ntls_disable = true }}\n\
             api_addr = \"http://127.0.0.1:{port}\"\n\
             cluster_addr = \"https://127.0.0.1:{cluster_port}\"\n\
             log_level = \"warn\"\n\
             audit \"file\" \"file\" {{ options {{ file_path = \"{}\" }} }}\n",
            folder.join("audit.log").display()
        ),
    }
}
