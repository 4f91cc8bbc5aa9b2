//! How the API server is reached, and which keys sign its tokens.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, JsonMap, Result, SecretString, fields};
use strongroom_connectors::web::check_ca;
use strongroom_crypto::keys::{PublicKey, pem_blocks};
use strongroom_crypto::x509::Certificate;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::{ReadView, Record};
use zeroize::Zeroize;

use super::Kubernetes;
use crate::pod;

/// The issuer that tokens have where none is configured (API page "Kubernetes auth method", `issuer`).
pub const DEFAULT_ISSUER: &str = "kubernetes/serviceaccount";

/// Keys that are tried at a login.
const KEYS_MAX: usize = 64;

fields! {
    /// Says how the API server is reached. What is not given goes back to its default.
    pub struct PutConfig {
        /// The API server: a URL, a host, or host:port.
        kubernetes_host: Option<String>,
        /// PEM certificates of the authorities that vouch for the API server. Without it those of the
        /// pod that the server runs in, else those that the machine trusts.
        kubernetes_ca_cert: Option<String>,
        /// The token with which tokens are reviewed. Without it that of the pod that the server runs
        /// in, else the very token that logs in.
        token_reviewer_jwt: Option<SecretString>,
        /// PEM public keys or certificates, one of which must have signed a token.
        pem_keys: Vec<String>,
        /// The issuer that tokens must have, where that is checked.
        issuer: Option<String>,
        /// Leave the issuer to the API server?
        disable_iss_validation: Option<bool>,
        /// Use nothing of the pod that the server runs in?
        disable_local_ca_jwt: Option<bool>,
        /// Take annotations of the account, vault.hashicorp.com/alias-metadata-KEY, as metadata of its
        /// alias?
        use_annotations_as_alias_metadata: Option<bool>,
    }
}
fields! {
    /// Reads how the API server is reached.
    pub struct ReadConfig {}
}

ops! {
    PutConfig (), Write;
    ReadConfig JsonMap, Read;
}

pub(super) fn add(spec: EngineSpec<Kubernetes>) -> EngineSpec<Kubernetes> {
    spec.command::<PutConfig>("config").query::<ReadConfig>("config")
}

/// The configuration.
#[derive(Default, Serialize, Deserialize)]
pub struct Config {
    /// As it was written.
    pub host: String,
    /// PEM; "" stands for the pod's, or the machine's.
    pub ca_cert: String,
    /// Do the machine's authorities vouch for the API server? It is settled when the configuration is
    /// written: a pod that loses its authority must not begin to believe others.
    #[serde(default)]
    pub machine_roots: bool,
    /// "" stands for the pod's, or the caller's own.
    pub token_reviewer_jwt: String,
    /// As they were written.
    pub pem_keys: Vec<String>,
    /// "" stands for [`DEFAULT_ISSUER`].
    pub issuer: String,
    /// Is the issuer left to the API server?
    pub disable_iss_validation: bool,
    /// Is nothing of the pod used?
    pub disable_local_ca_jwt: bool,
    /// Are annotations metadata of the alias?
    pub use_annotations_as_alias_metadata: bool,
}

impl Record for Config {
    const KIND: u8 = 1;
}

impl Drop for Config {
    fn drop(&mut self) {
        self.token_reviewer_jwt.zeroize();
    }
}

impl Config {
    /// The mount's configuration.
    pub async fn of(view: &ReadView<'_>) -> Result<Option<Self>> {
        view.named(0, "").await
    }

    /// The keys that sign tokens; none where that is left to the API server.
    pub fn keys(&self) -> Result<Vec<PublicKey>> {
        let mut keys = Vec::new();
        for text in &self.pem_keys {
            keys.extend(keys_of(text)?);
        }
        Ok(keys)
    }
}

/// The public keys in a PEM text; of certificates theirs.
fn keys_of(text: &str) -> Result<Vec<PublicKey>> {
    let bad = || Error::bad_request("pem_keys has an entry that is no public key in PEM");
    let mut keys = Vec::new();
    for (label, der) in pem_blocks(text).map_err(|_| bad())? {
        let der = der.expose_secret();
        keys.push(match label.as_str() {
            "PUBLIC KEY" => PublicKey::from_spki_der(der).map_err(|_| bad())?,
            "RSA PUBLIC KEY" => PublicKey::from_pkcs1_der(der).map_err(|_| bad())?,
            "CERTIFICATE" => {
                Certificate::from_der(der).map_err(|_| bad())?.public_key().map_err(|_| bad())?
            }
            _ => return Err(bad()),
        });
    }
    if keys.is_empty() { Err(bad()) } else { Ok(keys) }
}

/// The URL of an API server that an operator named, without a slash at its end.
pub fn url_of(host: &str) -> Result<String> {
    let bad = || Error::bad_request("kubernetes_host is no URL, host or host:port");
    let (scheme, rest) = host.trim().split_once("://").unwrap_or(("https", host.trim()));
    let rest = rest.trim_end_matches('/');
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#' | '\\');
    let authority = rest.split('/').next().unwrap_or_default();
    let good = matches!(scheme, "https" | "http") && !authority.is_empty() && !rest.contains(odd);
    if good { Ok(format!("{scheme}://{rest}")) } else { Err(bad()) }
}

impl Command<PutConfig> for Kubernetes {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        let host = op.kubernetes_host.unwrap_or_default();
        if host.is_empty() {
            return Err(Error::bad_request("no host provided"));
        }
        url_of(&host)?;
        let reviewer = op.token_reviewer_jwt.as_ref();
        let mut config = Config {
            host,
            machine_roots: false,
            ca_cert: op.kubernetes_ca_cert.unwrap_or_default(),
            token_reviewer_jwt: reviewer.map_or("", |jwt| jwt.expose_secret().trim()).to_owned(),
            pem_keys: op.pem_keys,
            issuer: op.issuer.unwrap_or_default(),
            disable_iss_validation: op.disable_iss_validation.unwrap_or(true),
            disable_local_ca_jwt: op.disable_local_ca_jwt.unwrap_or(false),
            use_annotations_as_alias_metadata: op
                .use_annotations_as_alias_metadata
                .unwrap_or(false),
        };
        if config.ca_cert.is_empty() {
            config.machine_roots =
                config.disable_local_ca_jwt || self.files.read(pod::CA).await.is_none();
        }
        check_ca(&config.ca_cert)
            .map_err(|_| Error::bad_request("kubernetes_ca_cert holds no certificates in PEM"))?;
        if config.keys()?.len() > KEYS_MAX {
            return Err(Error::bad_request(format!("pem_keys holds more than {KEYS_MAX} keys")));
        }
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::none())
    }
}

impl Query<ReadConfig> for Kubernetes {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<JsonMap>> {
        let config = Config::of(&cx.view()).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        for (name, value) in [
            ("kubernetes_host", Json::from(config.host.as_str())),
            ("kubernetes_ca_cert", config.ca_cert.as_str().into()),
            ("pem_keys", config.pem_keys.clone().into()),
            ("issuer", config.issuer.as_str().into()),
            ("disable_iss_validation", config.disable_iss_validation.into()),
            ("disable_local_ca_jwt", config.disable_local_ca_jwt.into()),
            ("token_reviewer_jwt_set", (!config.token_reviewer_jwt.is_empty()).into()),
            ("use_annotations_as_alias_metadata", config.use_annotations_as_alias_metadata.into()),
        ] {
            map.insert(name.to_owned(), value);
        }
        Ok(Reply::data(map))
    }
}

#[cfg(test)]
mod tests {
    use super::url_of;

    #[test]
    fn hosts_are_urls() {
        for (host, expect) in [
            ("https://10.0.0.1:6443", Some("https://10.0.0.1:6443")),
            (
                "https://rancher.example/k8s/clusters/c-1/",
                Some("https://rancher.example/k8s/clusters/c-1"),
            ),
            ("10.0.0.1:6443", Some("https://10.0.0.1:6443")),
            ("kubernetes.default.svc", Some("https://kubernetes.default.svc")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("", None),
            ("https://", None),
            ("ftp://x", None),
            ("https://user@x", None),
            ("https://x?y", None),
            ("https://x/#", None),
            ("a b", None),
        ] {
            assert_eq!(url_of(host).ok().as_deref(), expect, "{host}");
        }
    }
}
