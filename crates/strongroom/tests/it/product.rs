//! The built server in a process of its own, and a client that says exactly which bytes go over
//! the wire. What a test waits for is a condition: an answer, a log line, the end of the process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value as Json, json};

/// The longest wait for anything; a busy machine needs some of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a condition that is not met yet is left alone.
const PAUSE: Duration = Duration::from_millis(20);

/// A running server; it ends with the value.
pub struct Server {
    pub process: Child,
    pub log: Receiver<String>,
    /// Where it listens, in the order of the configuration.
    pub addresses: Vec<String>,
    /// Everything it logged that was looked at.
    pub logged: Vec<String>,
}

/// What initialisation gave.
#[derive(Clone)]
pub struct Keys {
    pub share: String,
    pub root: String,
}

/// A configuration for a store in `folder`, on a port of the system's choice.
pub fn settings(folder: &Path) -> Json {
    json!({
        "storage": {"file": {"path": folder.join("data")}},
        "listener": {"tcp": {"address": "127.0.0.1:0", "tls_disable": true}},
        "disable_mlock": true,
    })
}

/// The server's command, away from the tester's own surroundings.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    for name in ["VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
    command
}

/// `server -config=…` of these settings, kept in `folder`.
pub fn configured(folder: &Path, settings: &Json) -> Command {
    let config = folder.join("server.json");
    std::fs::write(&config, settings.to_string()).unwrap();
    let mut command = command(folder);
    command.arg("server").arg(config_flag(&config));
    command
}

pub fn config_flag(path: &Path) -> String {
    format!("-config={}", path.display())
}

/// Runs a server that is expected to end by itself: its exit code, and all it printed.
pub fn refused(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

impl Server {
    /// Starts a server of these settings and waits until it listens.
    pub fn start(folder: &Path, settings: &Json) -> Self {
        Self::run(configured(folder, settings))
    }

    /// Starts a server with the default settings.
    pub fn plain(folder: &Path) -> Self {
        Self::start(folder, &settings(folder))
    }

    /// Runs a command that starts a server, and waits until it listens.
    pub fn run(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        // The pipe is read to its end, so that the server never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| sender.send(l)));
        let mut server = Self { process, log, addresses: Vec::new(), logged: Vec::new() };
        server.await_line("ready: ");
        let of = |line: &String| {
            let (_, rest) = line.split_once("listening: address=")?;
            Some(rest.split(' ').next()?.to_owned())
        };
        server.addresses = server.logged.iter().filter_map(of).collect();
        server
    }

    /// Waits for a line of the log that holds `text`.
    pub fn await_line(&mut self, text: &str) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.logged.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(e) => panic!("no line with {text:?} ({e}):\n{}", self.logged.join("\n")),
            }
        }
    }

    /// Asks again and again until `condition` holds.
    pub fn until<T>(&mut self, what: &str, mut condition: impl FnMut(&Self) -> Option<T>) -> T {
        let tries = PATIENCE.as_millis() / PAUSE.as_millis();
        for _ in 0..tries {
            if let Some(found) = condition(self) {
                return found;
            }
            if let Ok(line) = self.log.recv_timeout(PAUSE) {
                self.logged.push(line);
            }
        }
        panic!("{what} never came:\n{}", self.logged.join("\n"))
    }

    /// The first listener's address.
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// A connection to the first listener.
    pub fn connect(&self) -> Wire<TcpStream> {
        Wire::open(self.address()).unwrap()
    }

    /// One request over a connection of its own.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: &Json) -> Answer {
        self.connect().ask(method, path, token, body).unwrap()
    }

    /// The same; anything but success is the test's end.
    pub fn must(&self, method: &str, path: &str, token: &str, body: &Json) -> Json {
        let answer = self.ask(method, path, token, body);
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Initialises the store with one share and opens it.
    pub fn init(&self) -> Keys {
        let plan = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = self.must("PUT", "sys/init", "", &plan);
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let keys = Keys { share: text(&made["keys"][0]), root: text(&made["root_token"]) };
        self.unseal(&keys);
        keys
    }

    /// Opens the store.
    pub fn unseal(&self, keys: &Keys) {
        let status = self.must("PUT", "sys/unseal", "", &json!({"key": keys.share}));
        assert_eq!(status["sealed"], false, "{status}");
    }

    /// Initialises the store and mounts `secret/`, a key/value store of version 1.
    pub fn with_secrets(&self) -> Keys {
        let keys = self.init();
        self.must("POST", "sys/mounts/secret", &keys.root, &json!({"type": "kv"}));
        keys
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the process's end, and reads the rest of its log.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.process.wait().unwrap();
        self.logged.extend(self.log.iter());
        (status, std::mem::take(&mut self.logged))
    }

    /// SIGTERM, and the end.
    pub fn stop(self) -> Vec<String> {
        self.signal(rustix::process::Signal::TERM);
        let (status, log) = self.wait();
        assert!(status.success(), "{status}:\n{}", log.join("\n"));
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            self.logged.extend(self.log.try_iter());
            eprintln!("the server's log:\n{}", self.logged.join("\n"));
        }
    }
}

/// A connection, kept alive.
pub struct Wire<S> {
    pub stream: BufReader<S>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// What is no JSON is a text.
    pub body: Json,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All error texts.
    pub fn errors(&self) -> String {
        let texts = self.body["errors"].as_array().into_iter().flatten();
        texts.filter_map(Json::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl Wire<TcpStream> {
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }
}

impl<S: Read + Write> Wire<S> {
    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &Json,
    ) -> io::Result<()> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head = format!("{method} /v1/{path} HTTP/1.1\r\nHost: localhost\r\n");
        if !token.is_empty() {
            head.push_str(&format!("X-Vault-Token: {token}\r\n"));
        }
        if method == "PATCH" {
            head.push_str("Content-Type: application/merge-patch+json\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.send(head.as_bytes())
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut first = String::new();
        if self.stream.read_line(&mut first)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let broken = || io::Error::other("not HTTP");
        let status = first.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
        let (mut headers, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse().map_err(|_| broken())?;
            }
            headers.push((name, value));
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) if text.is_empty() => Json::Null,
            Err(_) => Json::String(text),
        };
        Ok(Answer { status, headers, body })
    }

    /// Sends a request and reads its answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &Json,
    ) -> io::Result<Answer> {
        self.request(method, path, token, body)?;
        self.answer()
    }

    /// Reads until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }
}

/// The lines of a node's own audit log.
pub fn audit_lines(folder: &Path) -> Vec<Json> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let lines: Vec<String> =
        texts.flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
