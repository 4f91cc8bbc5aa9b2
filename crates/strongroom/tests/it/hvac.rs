//! The server as Vault's users meet it: the built binary with a configuration file and a folder,
//! and the Python client `hvac`, which knows nothing of us. Each script in `hvac/` drives a server
//! of its own, from its first start on; what it finds wrong it prints, and fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The longest time until a server listens; a busy machine needs some of it.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; it ends with the value.
struct Server {
    process: Child,
    /// What it logs after it listens, for a failure's report.
    log: Receiver<String>,
    address: String,
}

impl Server {
    /// Starts on a port of the system's choice, with its data in `folder`.
    fn start(folder: &Path) -> Self {
        let config = folder.join("server.json");
        let settings = serde_json::json!({
            "storage": {"file": {"path": folder.join("data")}},
            "listener": {"tcp": {"address": "127.0.0.1:0", "tls_disable": true}},
            "disable_mlock": true,
        });
        std::fs::write(&config, settings.to_string()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .arg("server")
            .arg(format!("-config={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        // The pipe is read to its end, so that the server never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| sender.send(l)));
        let mut server = Self { process, log, address: String::new() };
        server.address = loop {
            let line = server.log.recv_timeout(START_TIMEOUT).expect("the server ended or hangs");
            if let Some((_, found)) = line.split_once("listening: address=") {
                break found.split(' ').next().unwrap().to_owned();
            }
        };
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a script of `hvac/` against a server that nobody has initialised yet.
fn script(name: &str) {
    let python = std::env::var_os("STRONGROOM_TEST_PYTHON").expect(
        "STRONGROOM_TEST_PYTHON names a Python with hvac: run the tests by `cargo xtask test`",
    );
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hvac").join(name);
    let output = Command::new(python)
        .arg(path)
        .env("VAULT_ADDR", format!("http://{}", server.address))
        .env_remove("VAULT_TOKEN")
        .env_remove("VAULT_NAMESPACE")
        .env("NO_PROXY", "127.0.0.1")
        .env("HOME", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    let logged: Vec<String> = server.log.try_iter().collect();
    assert!(
        output.status.success(),
        "{name}:\n{printed}\nthe server's log:\n{}",
        logged.join("\n")
    );
    // The last line of each script: it ran whole.
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "done", "{name}");
}

#[test]
fn init_unseal_seal_rekey_and_rotate() {
    script("sealing.py");
}

#[test]
fn mounts_and_key_values() {
    script("secrets.py");
}

#[test]
fn policies_tokens_and_logins() {
    script("access.py");
}

#[test]
fn wrapping_and_cubbyholes() {
    script("wrapping.py");
}
