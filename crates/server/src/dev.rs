//! Vault's dev mode: everything in memory, unsealed, with a root token.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Json, RequestPath, SecretString};
use strongroom_kernel::node::{InitRequest, Node};
use strongroom_kernel::pipeline::{Call, handle};
use strongroom_kernel::plug::{Peer, Verb};
use strongroom_kernel::seal::ceremony::SharePlan;
use strongroom_kernel::seal::root_key;

use crate::config::{self, ServerConfig};
use crate::listen::Listeners;
use crate::run::StartError;

/// What dev mode takes.
#[derive(Debug, Default, Clone)]
pub struct DevOptions {
    /// The root token's text.
    pub root_token: Option<String>,
    /// Where to listen.
    pub address: Option<String>,
    /// Do not mount a key/value store at `secret/`.
    pub no_kv: bool,
    /// Where the token is kept for the command line.
    pub token_file: Option<std::path::PathBuf>,
}

/// What is printed once the listeners are open.
pub struct Banner(pub Box<dyn FnOnce(&str) -> String + Send>);

impl Banner {
    /// Prints it; it is told the first listener's address.
    pub fn print(self, listeners: &Listeners) {
        let address = listeners.addresses().first().map_or_else(String::new, ToString::to_string);
        println!("{}", (self.0)(&address));
    }
}

/// Dev mode's configuration.
pub fn config(options: &DevOptions) -> Result<ServerConfig, Vec<config::Problem>> {
    let address = options.address.as_deref().unwrap_or("127.0.0.1:8200");
    let text = json!({
        "storage": { "inmem": {} },
        "listener": [{ "tcp": { "address": address, "tls_disable": true } }],
        "api_addr": format!("http://{address}"),
        "disable_mlock": true,
    });
    let texts = [("dev mode".to_owned(), text.to_string())];
    config::parse(&texts, &|_| None).map(|loaded| loaded.config)
}

/// Initialises and unseals the node, and mounts `secret/`.
pub async fn prepare(node: &Arc<Node>, options: &DevOptions) -> Result<Banner, StartError> {
    let plan = SharePlan::new(1, 1, &[], node.clock.now()).map_err(|e| e.to_string())?;
    let chosen = options.root_token.clone().map(SecretString::new);
    let made = node
        .initialise(&InitRequest { plan, root_token: chosen })
        .await
        .map_err(|e| e.to_string())?;
    let share = made.shares.first().ok_or("initialisation gave no share")?.expose_secret().clone();
    let set = strongroom_kernel::seal::shares(&node.storage)
        .await
        .map_err(|e| e.to_string())?
        .ok_or("the store has no share set")?;
    let root = strongroom_kernel::seal::root_from_key(&set, &share)
        .filter(|_| root_key(&share).is_some())
        .ok_or("the share does not fit")?;
    node.unseal(root).await.map_err(|e| e.to_string())?;
    let token = made.root_token.expose_secret().clone();
    if !options.no_kv {
        let body = json!({
            "type": "kv",
            "description": "key/value secret storage",
            "options": { "version": "2" },
        });
        call(node, &token, Verb::Write, "sys/mounts/secret", body).await?;
    }
    if let Some(file) = &options.token_file {
        crate::up::write_private(file, token.as_bytes())?;
    }
    use base64::Engine as _;
    let unseal = base64::engine::general_purpose::STANDARD.encode(&share);
    Ok(Banner(Box::new(move |address| {
        format!(
            "WARNING! dev mode is enabled! Everything is kept in memory only, and the store starts\n\
             unsealed with a root token. Never use it for real data.\n\n\
             You may need to set the following environment variables:\n\n    \
             $ export VAULT_ADDR='http://{address}'\n\n\
             The unseal key and root token are displayed below in case you want to\n\
             seal/unseal the store or re-authenticate.\n\n\
             Unseal Key: {unseal}\nRoot Token: {token}\n\n\
             Development mode should NOT be used in production installations!\n"
        )
    })))
}

/// Sends a request of the server to itself.
pub async fn call(
    node: &Arc<Node>,
    token: &str,
    verb: Verb,
    path: &str,
    body: Json,
) -> Result<Json, StartError> {
    let path = RequestPath::parse(path).map_err(|e| e.to_string())?;
    let named = path.as_str().to_owned();
    let answer = handle(
        node,
        Call {
            namespace: String::new(),
            path,
            verb,
            token: Some(SecretString::new(token.to_owned())),
            body: body.to_string().into(),
            query: Vec::new(),
            wrap_ttl: None,
            headers: Vec::new(),
            peer: Peer::default(),
        },
    )
    .await;
    match answer.result {
        Ok(reply) => Ok(reply.data.unwrap_or_default()),
        Err(e) => Err(format!("{named}: {e}")),
    }
}
