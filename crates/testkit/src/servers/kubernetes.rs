//! A Kubernetes control plane: etcd and kube-apiserver, as `cargo xtask test` has built them. It has
//! accounts and their tokens, reviews of tokens, and rights (RBAC). No controller and no node is
//! there, so nothing runs in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_crypto::keys::{KeyType, PrivateKey};
use tempfile::TempDir;

use super::guard::{Guarded, on_free_port};

/// The longest wait for it to be ready.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long it is left alone while it is not.
const PAUSE: Duration = Duration::from_millis(100);

/// Who signs the accounts' tokens.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The administrator's bearer token.
const ADMIN: &str = "the-administrators-token";

/// A running control plane. It stops when this is dropped.
pub struct ControlPlane {
    _api: Guarded,
    _etcd: Guarded,
    programs: PathBuf,
    folder: TempDir,
    log: Mutex<Receiver<String>>,
    port: u16,
    /// The authority of its certificate, PEM.
    pub ca: String,
    /// The public key of its accounts' tokens, PEM.
    pub token_key: String,
}

static SHARED: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());

impl ControlPlane {
    /// The one that tests share while they overlap.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock();
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// One of its own.
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("strongroom-k8s").tempdir().expect("a folder");
        let key = PrivateKey::generate(KeyType::Rsa(2048)).expect("a key");
        write(&folder.path().join("tokens.pem"), key.to_pkcs8_pem().expose_secret());
        let admin = format!("{ADMIN},admin,admin,\"system:masters\"\n");
        write(&folder.path().join("admins.csv"), &admin);
        let (etcd, etcd_port) = on_free_port(|port| start_etcd(&programs, folder.path(), port));
        let (said, log) = channel();
        let (api, port) = on_free_port(|port| {
            let said = said.clone();
            let log = move |line| drop(said.send(line));
            let args = api_args(folder.path(), etcd_port, port);
            Guarded::start_logging(&programs.join("kube-apiserver"), &args, "Serving securely", log)
        });
        let ca = authority(&folder.path().join("certificates/apiserver.crt"));
        write(&folder.path().join("ca.crt"), &ca);
        write(&folder.path().join("kubeconfig"), &kubeconfig(folder.path(), port));
        let token_key = key.public().expect("a public key").to_pem();
        let log = Mutex::new(log);
        let plane = Self { _api: api, _etcd: etcd, programs, folder, log, port, ca, token_key };
        plane.until("its readiness", || {
            plane.kubectl(&["get", "--raw=/readyz"], "").map_err(drop).ok()
        });
        plane
    }

    /// The URL of the API.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file with the authority of its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Runs `kubectl` as the administrator, with a text on its input; what it printed, or what was
    /// wrong.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        let given = self.folder.path().join(format!("input-{:?}", std::thread::current().id()));
        write(&given, input);
        let done = Command::new(self.programs.join("kubectl"))
            .args(args)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .stdin(fs::File::open(&given).expect("a file for kubectl"))
            .output()
            .expect("kubectl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// The same, which must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        self.kubectl(args, "").unwrap_or_else(|why| panic!("kubectl {args:?}: {why}"))
    }

    /// A namespace with an account.
    pub fn account(&self, namespace: &str, name: &str) {
        if self.kubectl(&["get", "namespace", namespace], "").is_err() {
            self.ok(&["create", "namespace", namespace]);
        }
        self.ok(&["create", "serviceaccount", name, "-n", namespace]);
    }

    /// A token for an account (TokenRequest), for an audience or, with "", for the API itself.
    pub fn token(&self, namespace: &str, name: &str, audience: &str) -> String {
        let mut args = vec!["create", "token", name, "-n", namespace, "--duration=10m"];
        let audience_flag = format!("--audience={audience}");
        if !audience.is_empty() {
            args.push(&audience_flag);
        }
        self.ok(&args).trim().to_owned()
    }

    /// An account in a namespace of its own that may review tokens; its token.
    pub fn reviewer(&self, namespace: &str) -> String {
        self.account(namespace, "reviewer");
        let account = format!("--serviceaccount={namespace}:reviewer");
        let role = "--clusterrole=system:auth-delegator";
        let name = format!("{namespace}-reviewer");
        self.ok(&["create", "clusterrolebinding", &name, role, &account]);
        self.token(namespace, "reviewer", "")
    }

    /// Asks again and again until there is an answer.
    pub fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let mut said = Vec::new();
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if let Some(found) = condition() {
                return found;
            }
            match self.log.lock().recv_timeout(PAUSE) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("{what} never came:\n{}", said.join("\n"))
    }
}

/// Where the programs are.
fn programs() -> PathBuf {
    let folder = std::env::var_os("STRONGROOM_TEST_KUBERNETES").expect(
        "STRONGROOM_TEST_KUBERNETES names a folder with kube-apiserver: run the tests by \
         `cargo xtask test`",
    );
    folder.into()
}

fn start_etcd(programs: &Path, folder: &Path, port: u16) -> Result<Guarded, String> {
    let url = format!("http://127.0.0.1:{port}");
    let data = folder.join(format!("etcd-{port}"));
    let args = [
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync".to_owned(),
    ];
    Guarded::start(&programs.join("etcd"), &args, "ready to serve client requests")
}

fn api_args(folder: &Path, etcd: u16, port: u16) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        // It makes itself a certificate in there.
        format!("--cert-dir={}", path("certificates")),
        format!("--token-auth-file={}", path("admins.csv")),
        "--authorization-mode=RBAC".to_owned(),
        format!("--service-account-issuer={ISSUER}"),
        format!("--service-account-key-file={}", path("tokens.pem")),
        format!("--service-account-signing-key-file={}", path("tokens.pem")),
        "--profiling=false".to_owned(),
    ]
}

/// The last certificate of a file: the one that signed those before it.
fn authority(file: &Path) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let chain = fs::read_to_string(file).expect("kube-apiserver's certificate");
    let last = chain.rfind(BEGIN).expect("a certificate");
    chain[last..].to_owned()
}

fn kubeconfig(folder: &Path, port: u16) -> String {
    let ca = folder.join("ca.crt");
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": ca,
        }}],
        "users": [{"name": "admin", "user": {"token": ADMIN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    })
    .to_string()
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("a file for the control plane");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, mode).expect("a file for the control plane");
}
