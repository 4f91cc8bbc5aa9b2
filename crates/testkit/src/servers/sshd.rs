//! OpenSSH's server, as a user without privileges, who can log in as nobody but that user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::guard::{Guarded, on_free_port, program};
use super::postgresql::{own, unprivileged};

/// The longest wait for a line of the log.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name in `known_hosts` and in the host's certificate.
pub const HOST: &str = "host.test";

/// A server's folder with a host key, before it runs.
pub struct Prepared {
    folder: tempfile::TempDir,
}

/// A running server.
pub struct Sshd {
    _server: Guarded,
    log: Receiver<String>,
    port: u16,
    _folder: tempfile::TempDir,
}

/// Who can log in.
pub fn user() -> String {
    if unprivileged().is_some() {
        return "postgres".to_owned();
    }
    let done = Command::new("id").arg("-un").output().expect("the user's name");
    String::from_utf8(done.stdout).expect("a name").trim().to_owned()
}

/// Makes a key pair without a passphrase.
pub fn keygen(path: &Path, kind: &str, bits: &str) {
    let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
    keygen.args(["-q", "-t", kind, "-N", "", "-C", "somebody", "-f"]).arg(path);
    if !bits.is_empty() {
        keygen.args(["-b", bits]);
    }
    assert!(keygen.stdin(Stdio::null()).status().expect("ssh-keygen").success());
}

impl Prepared {
    /// A folder with a host key.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("strongroom-ssh").tempdir().expect("a folder");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), mode).expect("a folder for the server");
        own(folder.path());
        keygen(&folder.path().join("host"), "ed25519", "");
        own(&folder.path().join("host"));
        Self { folder }
    }

    /// The host's public key.
    pub fn host_key(&self) -> PathBuf {
        self.folder.path().join("host.pub")
    }

    /// Runs the server. It takes users by certificates of these authorities (lines of public keys),
    /// and shows this certificate of its own.
    pub fn start(self, authorities: &str, certificate: &str) -> Sshd {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("authorities"), authorities).expect("a file for the server");
        fs::write(path("host-cert.pub"), certificate).expect("a file for the server");
        let (sender, log) = channel();
        let (server, port) = on_free_port(|port| {
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nHostCertificate {host}-cert.pub\n\
                 TrustedUserCAKeys {authorities}\nAuthorizedKeysFile none\nUsePAM no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
                 StrictModes no\nLogLevel VERBOSE\n",
                host = path("host").display(),
                authorities = path("authorities").display(),
            );
            fs::write(path("config"), config).expect("a file for the server");
            // It starts itself anew for each connection, by its whole path.
            let sshd = program("sshd", "openssh-server");
            let run = ["-D", "-e", "-f"].map(str::to_owned).into_iter();
            let run = run.chain([path("config").display().to_string()]);
            let sender = sender.clone();
            let log = move |line| drop(sender.send(line));
            match unprivileged() {
                None => Guarded::start_logging(&sshd, &run.collect::<Vec<_>>(), READY, log),
                Some((user, group)) => {
                    let other = [format!("--reuid={user}"), format!("--regid={group}")];
                    let other = other.into_iter().chain(["--clear-groups".to_owned()]);
                    let args: Vec<String> =
                        other.chain([sshd.display().to_string()]).chain(run).collect();
                    Guarded::start_logging(&program("setpriv", "util-linux"), &args, READY, log)
                }
            }
        });
        Sshd { _server: server, log, port, _folder: self.folder }
    }
}

const READY: &str = "Server listening on";

impl Sshd {
    /// Logs in with a key and its certificate, trusting hosts by `known_hosts`; what the host
    /// printed, or what the client said.
    pub fn log_in(
        &self,
        key: &Path,
        certificate: &Path,
        known_hosts: &Path,
    ) -> Result<String, String> {
        let mut ssh = Command::new(program("ssh", "openssh-client"));
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        ssh.args(["-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"]);
        ssh.args(["-o", &format!("HostKeyAlias={HOST}")]);
        ssh.args(["-o", &format!("UserKnownHostsFile={}", known_hosts.display())]);
        ssh.args(["-o", &format!("CertificateFile={}", certificate.display())]);
        ssh.args(["-o", "LogLevel=ERROR", "-i"]).arg(key).args(["-p", &self.port.to_string()]);
        ssh.arg(format!("{}@127.0.0.1", user())).arg("echo in");
        let done = ssh.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).output().expect("ssh");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for a line of its log that has `text` in it.
    pub fn await_line(&self, text: &str) -> String {
        let mut said = Vec::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => said.push(line),
                Err(e) => panic!("no line with {text:?} ({e}):\n{}", said.join("\n")),
            }
        }
    }
}
