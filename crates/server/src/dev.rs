//! Vault's dev mode: everything in memory, unsealed, with a root token.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Json, RequestPath, Rng, SecretString, Timestamp};
use strongroom_kernel::node::{InitRequest, Node};
use strongroom_kernel::pipeline::{Bounds, Call, handle};
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
    /// Listen with TLS, under a certificate made for it.
    pub tls: bool,
    /// Where that certificate goes; a folder of its own if not given.
    pub tls_dir: Option<PathBuf>,
    /// Where the token is kept for the command line.
    pub token_file: Option<PathBuf>,
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
    let tls = &options.tls_dir;
    let listener = match tls {
        Some(folder) if options.tls => json!({
            "address": address,
            "tls_cert_file": folder.join(CERTIFICATE),
            "tls_key_file": folder.join(KEY),
        }),
        _ => json!({ "address": address, "tls_disable": true }),
    };
    let scheme = if options.tls { "https" } else { "http" };
    let text = json!({
        "storage": { "inmem": {} },
        "listener": [{ "tcp": listener }],
        "api_addr": format!("{scheme}://{address}"),
        // Nobody gets in by it before an auth method of its own is enabled.
        "door": { "aws": {} },
        "disable_mlock": true,
    });
    let texts = [("dev mode".to_owned(), text.to_string())];
    config::parse(&texts, &|_| None).map(|loaded| loaded.config)
}

/// Vault's names of the files of `-dev-tls`.
const AUTHORITY: &str = "vault-ca.pem";
const CERTIFICATE: &str = "vault-cert.pem";
const KEY: &str = "vault-key.pem";

/// How long that certificate is good: dev mode keeps nothing, and neither should a client.
const CERTIFICATE_SECONDS: i64 = 30 * 24 * 3_600;

/// Makes an authority and a certificate of it for this machine's names, if dev mode listens with
/// TLS. The authority's key is kept nowhere.
pub fn make_certificate(options: &mut DevOptions, now: Timestamp) -> Result<(), StartError> {
    if !options.tls {
        return match options.tls_dir {
            Some(_) => Err("-dev-tls-cert-dir needs -dev-tls".to_owned()),
            None => Ok(()),
        };
    }
    let folder = match &options.tls_dir {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir()
            .join(format!("vault-tls{}", hex::encode(crate::real::RealRng.bytes::<8>()))),
    };
    let told = |e: rcgen::Error| format!("the certificate of -dev-tls: {e}");
    crate::up::make_folder(&folder)?;
    let day = |at: Timestamp| {
        let text = at.to_string();
        let number = |range: std::ops::Range<usize>| {
            text.get(range).and_then(|part| part.parse::<i32>().ok())
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        Some(rcgen::date_time_ymd(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
    };
    let (Some(from), Some(to)) =
        (day(now.plus_seconds(-24 * 3_600)), day(now.plus_seconds(CERTIFICATE_SECONDS)))
    else {
        return Err("the certificate of -dev-tls: the clock is beyond all calendars".to_owned());
    };
    let named = |name: &str, names: Vec<String>| {
        let mut params = rcgen::CertificateParams::new(names)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.not_before, params.not_after) = (from, to);
        Ok(params)
    };
    let made = || -> Result<_, rcgen::Error> {
        let mut authority = named("Vault Dev CA", Vec::new())?;
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.key_usages =
            vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let signer = rcgen::KeyPair::generate()?;
        let signed = authority.self_signed(&signer)?;
        let host = crate::real::host_name();
        let names = ["localhost", "127.0.0.1", "::1", &host].map(str::to_owned).to_vec();
        let mut server = named(&host, names)?;
        server.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = rcgen::KeyPair::generate()?;
        let certificate = server.signed_by(&key, &rcgen::Issuer::new(authority, signer))?;
        Ok((signed.pem(), certificate.pem(), key.serialize_pem()))
    };
    let (authority, certificate, key) = made().map_err(told)?;
    for (name, text) in [(AUTHORITY, authority), (CERTIFICATE, certificate), (KEY, key)] {
        crate::up::write_private(&folder.join(name), text.as_bytes())?;
    }
    options.tls_dir = Some(folder);
    Ok(())
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
    let scheme = if options.tls { "https" } else { "http" };
    let authority = options.tls_dir.as_ref().filter(|_| options.tls).map(|folder| {
        format!("    $ export VAULT_CACERT='{}'\n", folder.join(AUTHORITY).display())
    });
    let authority = authority.unwrap_or_default();
    Ok(Banner(Box::new(move |address| {
        format!(
            "WARNING! dev mode is enabled! Everything is kept in memory only, and the store starts\n\
             unsealed with a root token. Never use it for real data.\n\n\
             You may need to set the following environment variables:\n\n    \
             $ export VAULT_ADDR='{scheme}://{address}'\n{authority}\n\
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
            protocol: Default::default(),
            head: false,
            token: Some(SecretString::new(token.to_owned())),
            inline: None,
            credential: None,
            body: body.to_string().into(),
            fields: None,
            query: Vec::new(),
            upload: None,
            wrap_ttl: None,
            headers: Vec::new(),
            peer: Peer::default(),
            bounds: Bounds::default(),
        },
    )
    .await;
    match answer.result {
        Ok(reply) => Ok(reply.data.unwrap_or_default()),
        Err(e) => Err(format!("{named}: {e}")),
    }
}
