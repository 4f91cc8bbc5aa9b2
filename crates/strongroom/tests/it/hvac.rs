//! The server as Vault's users meet it: the built binary with a configuration file and a folder,
//! and the Python client `hvac`, which knows nothing of us. Each script in `hvac/` drives a server
//! of its own, from its first start on; what it finds wrong it prints, and fails.

use std::path::Path;
use std::process::Command;

use strongroom_testkit::servers::oidc::{CLIENT_ID, CLIENT_SECRET, Provider};
use strongroom_testkit::servers::{postgresql, slapd};

use crate::oidc::Issuer;
use crate::product::Server;

fn script(name: &str) {
    script_with(name, &[]);
}

/// Runs a script of `hvac/` against a server that nobody has initialised yet, with these in its
/// environment.
pub fn script_with(name: &str, more: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    script_on(&server, folder.path(), name, more);
}

/// Runs a script against this server, with `folder` as its home.
pub fn script_on(server: &Server, folder: &Path, name: &str, more: &[(&str, &str)]) {
    let python = std::env::var_os("STRONGROOM_TEST_PYTHON").expect(
        "STRONGROOM_TEST_PYTHON names a Python with hvac: run the tests by `cargo xtask test`",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hvac").join(name);
    let output = Command::new(python)
        .arg(path)
        .env("VAULT_ADDR", format!("http://{}", server.address()))
        .env_remove("VAULT_TOKEN")
        .env_remove("VAULT_NAMESPACE")
        .env("NO_PROXY", "127.0.0.1")
        .env("HOME", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(more.iter().copied())
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
fn entities_groups_and_identity_tokens() {
    script("identity.py");
}

#[test]
fn wrapping_and_cubbyholes() {
    script("wrapping.py");
}

#[test]
fn accounts_in_databases_and_their_leases() {
    let database = postgresql::Server::start(&postgresql::Options::default());
    script_with(
        "databases.py",
        &[
            ("DATABASE_PORT", &database.port().to_string()),
            ("DATABASE_NAME", postgresql::ADMIN),
            ("DATABASE_PASSWORD", postgresql::PASSWORD),
        ],
    );
}

#[test]
fn logins_by_a_directory_and_by_github() {
    let directory = slapd::Slapd::start();
    script_with(
        "ldap.py",
        &[
            ("LDAP_URL", &directory.url()),
            ("LDAP_KEEPER_PASSWORD", slapd::KEEPER_PASSWORD),
            ("LDAP_ANN_PASSWORD", slapd::ANN_PASSWORD),
            ("LDAP_BOB_PASSWORD", slapd::BOB_PASSWORD),
            ("GITHUB_URL", &crate::ldap::github()),
        ],
    );
}

#[test]
fn keys_that_stay() {
    script("transit.py");
}

#[test]
fn ssh_passwords_and_certificates() {
    script("ssh.py");
}

#[test]
fn certificates() {
    script("pki.py");
}

#[test]
fn logins_by_a_provider() {
    let provider = Provider::start(&["http://localhost:8250/oidc/callback"], &[]);
    let issuer = Issuer::start();
    let claims = serde_json::json!({
        "iss": "https://ci.example", "aud": "vault", "sub": "job-7", "branch": "main",
    });
    script_with(
        "providers.py",
        &[
            ("ISSUER", &provider.issuer),
            ("CLIENT_ID", CLIENT_ID),
            ("CLIENT_SECRET", CLIENT_SECRET),
            ("PUBLIC_KEY", &issuer.public_key()),
            ("JWT", &issuer.sign(&claims)),
        ],
    );
}
