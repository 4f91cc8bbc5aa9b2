//! `strongroom up`: a durable server that sets itself up at its first start and resumes at every
//! later one (design §9).
//!
//! The data folder holds the store. The seal's key and the recovery key lie in another folder, so
//! that a copy of the data opens nothing. No root token is kept unless it was asked for.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use strongroom_base::Rng;
use strongroom_kernel::node::{InitRequest, Life, Node};
use strongroom_kernel::plug::Verb;
use strongroom_kernel::seal::ceremony::SharePlan;

use crate::config::{self, ServerConfig};
use crate::dev::{Banner, call};
use crate::real::{RealRng, environment};
use crate::run::{RunOptions, Setup, StartError, report, run, start_log};

/// What `up` takes.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Where to listen.
    pub address: Option<String>,
    /// Keep a root token in this file.
    pub root_token_file: Option<PathBuf>,
    /// The log's level.
    pub log_level: Option<String>,
}

/// Where `up` keeps what.
struct Places {
    data: PathBuf,
    keys: PathBuf,
}

/// The policy of the first login: everything but what only root may do.
const ADMIN_POLICY: &str = "# The administrator that `strongroom up` made. Narrow it as you like.
path \"*\" {
  capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \"list\", \"scan\", \"sudo\"]
}
";

/// Characters of the first login's password: 24 of 62 are 142 bits.
const PASSWORD_CHARS: usize = 24;

/// Runs `up`.
pub fn up(options: UpOptions) -> i32 {
    report(start(options))
}

fn start(options: UpOptions) -> Result<(), StartError> {
    let places = places(&options)?;
    make_folder(&places.data)?;
    make_folder(&places.keys)?;
    let config = configuration(&options, &places)?;
    let log = RunOptions {
        log_level: options.log_level.clone().or_else(|| Some("warn".to_owned())),
        ..RunOptions::default()
    };
    let log = start_log(&log, &config)?;
    run(config, Vec::new(), log, Some(Setup::Up(options)))
}

/// Tells whoever opens the server to a network that `up` speaks plain HTTP.
pub fn warn_of_plain_listener(options: &UpOptions) {
    if options.address.as_deref().is_some_and(|address| !is_loopback(address)) {
        tracing::warn!(
            "`up` speaks plain HTTP, and others than this machine can reach it: who listens on the \
             way reads tokens and secrets; for a network use `server -config` with TLS"
        );
    }
}

/// Is `HOST:PORT` reached from this machine only?
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || address.starts_with('/'),
    }
}

fn places(options: &UpOptions) -> Result<Places, StartError> {
    let home = || environment("HOME").map(PathBuf::from).ok_or("HOME is not set: use -data");
    let data = match &options.data {
        Some(data) => data.clone(),
        None => match environment("XDG_DATA_HOME").filter(|d| !d.is_empty()) {
            Some(base) => PathBuf::from(base).join("strongroom"),
            None => home()?.join(".local/share/strongroom"),
        },
    };
    let data = std::path::absolute(&data).map_err(|e| format!("{}: {e}", data.display()))?;
    let base = match environment("XDG_CONFIG_HOME").filter(|d| !d.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => home()?.join(".config"),
    };
    // One key folder for each data folder.
    let name = data.to_string_lossy().trim_matches('/').replace('/', "-");
    Ok(Places { keys: base.join("strongroom/keys").join(name), data })
}

fn configuration(options: &UpOptions, places: &Places) -> Result<ServerConfig, StartError> {
    let key = places.keys.join("seal.key");
    let store = places.data.join("strongroom.db");
    if !key.exists() {
        if store.exists() {
            return Err(format!(
                "{} holds a store, but its seal key {} is missing.\nPut the key back, or open \
                 the store with its recovery key by a configuration without the static seal.",
                places.data.display(),
                key.display()
            ));
        }
        let bytes = RealRng.bytes::<32>();
        write_private(&key, hex(&bytes).as_bytes())?;
    }
    let address = options.address.as_deref().unwrap_or("127.0.0.1:8200");
    let text = json!({
        "storage": { "file": { "path": places.data } },
        "listener": [{ "tcp": { "address": address, "tls_disable": true } }],
        "api_addr": format!("http://{address}"),
        "seal": { "static": {
            "current_key_id": "up-1",
            "current_key": format!("file://{}", key.display()),
        }},
        // Nobody gets in by it before an auth method of its own is enabled.
        "door": { "aws": {} },
        "disable_mlock": true,
    });
    let texts = [("up".to_owned(), text.to_string())];
    let loaded = config::parse(&texts, &|_| None)
        .map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Ok(loaded.config)
}

/// Sets a fresh store up, or opens the one that is there.
pub async fn prepare(node: &Arc<Node>, options: &UpOptions) -> Result<Banner, StartError> {
    let places = places(options)?;
    if !matches!(*node.life(), Life::Uninitialised) {
        node.unseal_automatically().await.map_err(|e| e.to_string())?;
        let data = places.data.display().to_string();
        return Ok(Banner(Box::new(move |address| {
            format!(
                "Strongroom is up at http://{address}, with the data in {data}.\n\n    \
                 export VAULT_ADDR=http://{address}\n    \
                 strongroom login -method=userpass username=admin\n"
            )
        })));
    }
    let plan = SharePlan::new(1, 1, &[], node.clock.now()).map_err(|e| e.to_string())?;
    let request = InitRequest { plan, root_token: None };
    let made = node.initialise(&request).await.map_err(|e| e.to_string())?;
    node.unseal_automatically().await.map_err(|e| e.to_string())?;
    let recovery = places.keys.join("recovery.key");
    if let Some(share) = made.shares.first() {
        write_private(&recovery, hex(share.expose_secret()).as_bytes())?;
    }
    let root = made.root_token.expose_secret().clone();
    let password = strongroom_crypto::otp::base62(PASSWORD_CHARS, &RealRng);
    set_up(node, &root, password.expose_secret()).await?;
    match &options.root_token_file {
        Some(file) => write_private(file, root.as_bytes())?,
        None => {
            call(node, &root, Verb::Write, "auth/token/revoke-self", json!({})).await?;
        }
    }
    let password = password.expose_secret().clone();
    let shown = if std::io::stdout().is_terminal() {
        format!("Password:      {password}   (shown this once; change it when you like)")
    } else {
        let file = places.keys.join("admin-password");
        write_private(&file, password.as_bytes())?;
        format!("Password:      in {} (readable for you only)", file.display())
    };
    let keys = places.keys.display().to_string();
    let data = places.data.display().to_string();
    Ok(Banner(Box::new(move |address| {
        format!(
            "Strongroom is up at http://{address}\n\n\
             Data:          {data}\n\
             Seal key:      {keys}/seal.key   (back it up apart from the data)\n\
             Recovery key:  {keys}/recovery.key   (move it to a safe place)\n\
             Username:      admin\n\
             {shown}\n\n\
             In another terminal:\n\n    \
             export VAULT_ADDR=http://{address}\n    \
             strongroom login -method=userpass username=admin\n    \
             strongroom kv put secret/hello message=world\n    \
             strongroom kv get secret/hello\n\n\
             The `vault` and `bao` command lines work the same. Stop with Ctrl-C; the next\n\
             `strongroom up` goes on where this one stopped.\n"
        )
    })))
}

/// Mounts and the first login.
async fn set_up(node: &Arc<Node>, root: &str, password: &str) -> Result<(), StartError> {
    let kv = json!({ "type": "kv", "options": { "version": "2" },
        "description": "key/value secret storage" });
    call(node, root, Verb::Write, "sys/mounts/secret", kv).await?;
    let userpass = json!({ "type": "userpass", "description": "people by password" });
    call(node, root, Verb::Write, "sys/auth/userpass", userpass).await?;
    let policy = json!({ "policy": ADMIN_POLICY });
    call(node, root, Verb::Write, "sys/policies/acl/admin", policy).await?;
    let user = json!({ "password": password, "token_policies": "admin" });
    call(node, root, Verb::Write, "auth/userpass/users/admin", user).await?;
    Ok(())
}

/// Makes a folder that only its owner can look into.
pub fn make_folder(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// Writes a file that only its owner can read; what was there is replaced.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    // A file of another owner or mode is not written into, but replaced.
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(told(e)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(told)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(told)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_a_network() {
        for (address, loopback) in [
            ("127.0.0.1:8200", true),
            ("127.1.2.3:0", true),
            ("[::1]:8200", true),
            ("localhost:8200", true),
            ("0.0.0.0:8200", false),
            ("[::]:8200", false),
            (":8200", false),
            ("10.0.0.1:8200", false),
            ("vault.example.com:8200", false),
        ] {
            assert_eq!(is_loopback(address), loopback, "{address}");
        }
    }
}
