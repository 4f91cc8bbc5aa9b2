//! A server with AWS's door, mounts and a key pair: what a client's environment says of it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use strongroom_base::Clock;
use strongroom_server::real::RealClock;
use strongroom_testkit::clouds::Signer;

use crate::product::{self, Keys, Server};

pub const REGION: &str = "us-east-1";

/// A function that rotates, by name.
pub const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:rotate";

/// What all roles of tests may do; who may do less is tested elsewhere.
const EVERYTHING: &str =
    r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;

/// The server, who may do everything there, and CI's tokens.
pub struct Ready {
    pub folder: tempfile::TempDir,
    pub server: Server,
    pub keys: Keys,
    pair: (String, String),
    signer: Signer,
}

impl Ready {
    /// Starts it: `tester` signs, may become `deploy`, and CI's tokens of `repo:shop` are `web`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = product::settings(folder.path());
        settings["door"] = json!({ "aws": {} });
        let server = Server::start(folder.path(), &settings);
        let keys = server.init();
        let signer = Signer::new("ci-key");
        let mut ready = Self { folder, server, keys, pair: Default::default(), signer };
        ready.write("sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }));
        ready.write("sys/mounts/transit", &json!({ "type": "transit" }));
        ready.write("sys/policies/acl/everything", &json!({ "policy": EVERYTHING }));
        ready.write("sys/auth/aws-door", &json!({ "type": "aws-door" }));
        ready.write("sys/auth/jwt", &json!({ "type": "jwt" }));
        let vouched = ready.signer.key.public().unwrap().to_pem();
        ready.write("auth/jwt/config", &json!({ "jwt_validation_pubkeys": vouched }));
        ready.write(
            "auth/jwt/role/shop",
            &json!({ "role_type": "jwt", "user_claim": "sub", "bound_subject": "repo:shop",
                "bound_audiences": "sts.amazonaws.com" }),
        );
        for (role, more) in [
            ("tester", json!({})),
            ("deploy", json!({ "trusted_roles": ["tester"] })),
            ("web", json!({ "web_identity_mount": "jwt", "web_identity_role": "shop" })),
        ] {
            let mut body = json!({ "token_policies": "everything" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ready.write(&format!("auth/aws-door/role/{role}"), &body);
        }
        ready.pair = ready.another_pair("tester");
        ready
    }

    fn another_pair(&self, role: &str) -> (String, String) {
        let pair = self.write(&format!("auth/aws-door/role/{role}/key"), &json!({}));
        let of = |name: &str| pair["data"][name].as_str().unwrap().to_owned();
        (of("access_key"), of("secret_key"))
    }

    /// The key pair of `tester`: access key and secret.
    pub fn pair(&self) -> (&str, &str) {
        (&self.pair.0, &self.pair.1)
    }

    /// A key pair of a new role with this policy.
    pub fn pair_of(&self, role: &str, policy: &str) -> (String, String) {
        let body = json!({ "token_policies": policy });
        self.write(&format!("auth/aws-door/role/{role}"), &body);
        self.another_pair(role)
    }

    /// What AWS's command line prints of a call that has to succeed.
    pub fn aws(&self, service: &str, words: &[&str]) -> String {
        let program = python().with_file_name("aws");
        let mut command = self.client(python());
        command.arg(program).args(["--output", "json", service]).args(words);
        let done = command.output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{service} {words:?}: {text}");
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Writes with the root token.
    pub fn write(&self, path: &str, body: &Json) -> Json {
        self.server.must("POST", path, &self.keys.root, body)
    }

    /// Functions that rotate are at this address.
    pub fn functions_at(&self, url: &str) {
        let body = json!({ "endpoint": url, "access_key": "AKIAEXAMPLE", "secret_key": "x" });
        self.write("secret/config/rotation-functions", &body);
    }

    /// A token of a CI service for jobs of `subject`.
    pub fn token(&self, subject: &str) -> String {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        let now = clock.now().seconds();
        self.signer.sign(&json!({
            "iss": "https://ci.example", "sub": subject, "aud": "sts.amazonaws.com",
            "iat": now, "nbf": now, "exp": now + 600,
        }))
    }

    /// A program that finds the door and a key pair in its environment, and nothing else of AWS.
    pub fn client(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.stranger(program);
        command
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_ACCESS_KEY_ID", &self.pair.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.pair.1);
        command
    }

    /// A program that finds neither.
    pub fn stranger(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let environment: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
        for name in environment.iter().filter(|name| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("HOME", self.folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_REGION", REGION)
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }
}

/// The interpreter with AWS's packages.
pub fn python() -> std::path::PathBuf {
    std::env::var_os("STRONGROOM_TEST_PYTHON").expect("run by `cargo xtask test`").into()
}

/// A file of these tests.
pub fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/aws").join(name)
}
