//! What a mount keeps: its configuration and its roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, JsonMap, Result, SecretString};
use strongroom_crypto::jws::{Algorithm, SetKey};
use strongroom_crypto::keys::PublicKey;
use strongroom_crypto::x509::Certificate;
use strongroom_kernel::record::{ReadView, Record};
use zeroize::Zeroize;

use super::cel::{Program, Source};
use crate::jwts::Leeways;
use crate::token_params::TokenSettings;

/// The configuration as it was written.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The issuer whose OpenID configuration tells of its keys and endpoints.
    pub oidc_discovery_url: String,
    /// Authorities that vouch for the issuer's servers (PEM); empty stands for the machine's.
    pub oidc_discovery_ca_pem: String,
    /// Who this server is to the issuer.
    pub oidc_client_id: String,
    /// What proves it.
    pub oidc_client_secret: Kept,
    /// `query`, `form_post`, or "" for the first.
    pub oidc_response_mode: String,
    /// `code`, `id_token`; empty stands for the first.
    pub oidc_response_types: Vec<String>,
    /// Where a set of keys is.
    pub jwks_url: String,
    /// Authorities that vouch for its server (PEM).
    pub jwks_ca_pem: String,
    /// Public keys (PEM).
    pub jwt_validation_pubkeys: Vec<String>,
    /// Names of signature algorithms; empty stands for RS256 in OIDC logins, and for all else.
    pub jwt_supported_algs: Vec<String>,
    /// What `iss` must be; "" for anything.
    pub bound_issuer: String,
    /// The role of logins that name none.
    pub default_role: String,
    /// What is particular to a provider.
    #[serde(with = "as_text")]
    pub provider_config: JsonMap,
    /// The key file of a service account, out of `provider_config`.
    pub gsuite_service_account: Kept,
    /// Names, one of which the certificates of the issuer's servers must have, in place of the name
    /// in the URL.
    pub override_allowed_server_names: Vec<String>,
    /// Is the namespace handed on within the state?
    pub namespace_in_state: bool,
}

/// Objects as text: numbers of JSON have no other form in records.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use strongroom_base::JsonMap;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kept {
        Text(String),
        /// As it was kept before.
        Object(JsonMap),
    }

    pub fn serialize<S: Serializer>(map: &JsonMap, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&serde_json::to_string(map).map_err(ser::Error::custom)?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<JsonMap, D::Error> {
        match Kept::deserialize(from)? {
            Kept::Text(text) => serde_json::from_str(&text).map_err(de::Error::custom),
            Kept::Object(map) => Ok(map),
        }
    }
}

impl Record for Config {
    const KIND: u8 = 1;
}

/// A secret within a record. It wipes itself, and shows nothing.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept(String);

impl Kept {
    /// Keeps `secret`.
    pub fn new(secret: &SecretString) -> Self {
        Self(secret.expose_secret().clone())
    }

    /// The secret.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl From<String> for Kept {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A configuration with its keys read.
pub struct Prepared {
    /// As it was written.
    pub config: Config,
    /// The keys of `jwt_validation_pubkeys`.
    pub keys: Vec<SetKey>,
}

impl Prepared {
    /// Reads the keys.
    pub fn new(config: Config) -> Result<Self> {
        let keys = config.jwt_validation_pubkeys.iter().map(|pem| static_key(pem));
        let keys = keys.collect::<Result<_>>()?;
        Ok(Self { config, keys })
    }
}

/// A public key, or the one of a certificate.
fn static_key(pem: &str) -> Result<SetKey> {
    let bad = || Error::bad_request("error parsing public key: data does not contain a public key");
    let key = match PublicKey::from_pem(pem) {
        Ok(key) => key,
        Err(_) => {
            let blocks = strongroom_crypto::keys::pem_blocks(pem).map_err(|_| bad())?;
            let (_, der) =
                blocks.iter().find(|(label, _)| label == "CERTIFICATE").ok_or_else(bad)?;
            let certificate = Certificate::from_der(der.expose_secret()).map_err(|_| bad())?;
            certificate.public_key().map_err(|_| bad())?
        }
    };
    Ok(SetKey { kid: None, algorithm: None, key })
}

impl Config {
    /// Can people log in by a browser?
    pub fn is_oidc(&self) -> bool {
        !self.oidc_discovery_url.is_empty()
            && !self.oidc_client_id.is_empty()
            && !self.oidc_client_secret.expose_secret().is_empty()
    }

    /// Does the provider answer with an ID token at once, and with no code?
    pub fn is_implicit(&self) -> bool {
        self.oidc_response_types.iter().any(|kind| kind == "id_token")
    }

    /// Does the provider answer by a form?
    pub fn posts_forms(&self) -> bool {
        self.oidc_response_mode == "form_post"
    }

    /// The algorithms that were chosen; empty where none were.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        self.jwt_supported_algs.iter().filter_map(|name| Algorithm::named(name)).collect()
    }

    /// Which provider's particularities hold.
    pub fn provider(&self) -> &str {
        self.provider_config.get("provider").and_then(|p| p.as_str()).unwrap_or_default()
    }
}

/// A role, named in lower case. Defaults are those of a role of which nothing is written.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    /// `jwt` or `oidc`.
    pub role_type: String,
    /// See [`crate::jwts::Leeways`].
    pub expiration_leeway: i64,
    /// See [`crate::jwts::Leeways`].
    pub not_before_leeway: i64,
    /// See [`crate::jwts::Leeways`].
    pub clock_skew_leeway: i64,
    /// Audiences, one of which must be in `aud`.
    pub bound_audiences: Vec<String>,
    /// What `sub` must be; "" for anything.
    pub bound_subject: String,
    /// `string` or `glob`.
    pub bound_claims_type: String,
    /// What other claims must be.
    #[serde(with = "as_text")]
    pub bound_claims: JsonMap,
    /// From claims to metadata of the token.
    pub claim_mappings: BTreeMap<String, String>,
    /// Tokens of the provider that go into the metadata.
    pub oauth2_metadata: Vec<String>,
    /// The claim that names the caller.
    pub user_claim: String,
    /// Is `user_claim` a JSON pointer?
    pub user_claim_json_pointer: bool,
    /// The claim that names the caller's groups; "" for none.
    pub groups_claim: String,
    /// Scopes asked for beside `openid`.
    pub oidc_scopes: Vec<String>,
    /// Where the provider may send the browser.
    pub allowed_redirect_uris: Vec<String>,
    /// `client`, `direct` or `device`.
    pub callback_mode: String,
    /// Seconds between two polls; 0 stands for the provider's, or 5.
    pub poll_interval: i64,
    /// Accepted, and without effect: what a provider answers is never logged.
    pub verbose_oidc_logging: bool,
    /// Seconds since the person was asked for a password last; 0 for any.
    pub max_age: i64,
    /// Are `token_policies` templates over the claims?
    pub token_policies_template_claims: bool,
    /// Is a direct callback carried out unasked?
    pub oidc_disable_confirmation: bool,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for Role {
    const KIND: u8 = 2;
}

impl Role {
    /// How far times may be off.
    pub fn leeways(&self) -> Leeways {
        Leeways {
            expiration: self.expiration_leeway,
            not_before: self.not_before_leeway,
            clock_skew: self.clock_skew_leeway,
        }
    }

    /// Does the provider send the browser to this server?
    pub fn is_direct(&self) -> bool {
        self.callback_mode == "direct"
    }

    /// Does the caller confirm on another device?
    pub fn is_device(&self) -> bool {
        self.callback_mode == "device"
    }
}

/// A role that is a program, named in lower case.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CelRole {
    /// The program.
    pub program: Source,
    /// What a caller is told whom the program answers `false`; "" for a text that says so.
    pub message: String,
    /// See [`crate::jwts::Leeways`].
    pub expiration_leeway: i64,
    /// See [`crate::jwts::Leeways`].
    pub not_before_leeway: i64,
    /// See [`crate::jwts::Leeways`].
    pub clock_skew_leeway: i64,
    /// Audiences, one of which must be in `aud`.
    pub bound_audiences: Vec<String>,
}

impl Record for CelRole {
    const KIND: u8 = 3;
}

impl CelRole {
    /// How far times may be off.
    pub fn leeways(&self) -> Leeways {
        Leeways {
            expiration: self.expiration_leeway,
            not_before: self.not_before_leeway,
            clock_skew: self.clock_skew_leeway,
        }
    }
}

/// A role with its program read.
pub struct PreparedCelRole {
    /// As it was written.
    pub record: CelRole,
    /// Its program.
    pub program: Program,
}

/// The configuration.
pub async fn config(view: &ReadView<'_>) -> Result<Option<Arc<Prepared>>> {
    view.prepared::<Config, Prepared>(0, "", Prepared::new).await
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Role>>> {
    crate::roles::find(view, name).await
}

/// The role called `name` that is a program.
pub async fn cel_role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<PreparedCelRole>>> {
    let prepare = |record: CelRole| {
        let program = Program::new(&record.program)?;
        Ok(PreparedCelRole { record, program })
    };
    view.prepared::<CelRole, PreparedCelRole>(0, &name.to_lowercase(), prepare).await
}
