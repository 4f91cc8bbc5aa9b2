//! What is stored of a role: which connection, what its accounts look like, how long they live.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, JsonMap, Result};
use strongroom_connectors::database::CredentialKind;
use strongroom_kernel::record::Record;
use zeroize::Zeroize;

use super::certificate::Authority;

/// A role's record.
#[derive(Default, Serialize, Deserialize)]
pub struct Role {
    /// The connection's name.
    pub db_name: String,
    /// Statements that make an account.
    pub creation: Vec<String>,
    /// Statements that remove one; empty is the driver's way.
    pub revocation: Vec<String>,
    /// Statements that undo a creation that failed.
    pub rollback: Vec<String>,
    /// Statements that move the end of one; empty is the driver's way.
    pub renewal: Vec<String>,
    /// Seconds; 0 is the mount's.
    pub default_ttl: i64,
    /// Seconds over all renewals; 0 is the mount's.
    pub max_ttl: i64,
    /// How its accounts prove themselves.
    pub credential: CredentialSettings,
}

impl Record for Role {
    const KIND: u8 = 2;
}

/// `credential_type` and `credential_config`.
#[derive(Default, Serialize, Deserialize)]
pub struct CredentialSettings {
    kind: Kind,
    /// As it is shown, with the defaults filled in; a certificate's has the authority's key.
    config: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Kind {
    #[default]
    Password,
    RsaPrivateKey,
    ClientCertificate,
}

impl Drop for CredentialSettings {
    fn drop(&mut self) {
        self.config.values_mut().for_each(Zeroize::zeroize);
    }
}

const KINDS: [(&str, Kind, CredentialKind); 3] = [
    ("password", Kind::Password, CredentialKind::Password),
    ("rsa_private_key", Kind::RsaPrivateKey, CredentialKind::RsaPrivateKey),
    ("client_certificate", Kind::ClientCertificate, CredentialKind::ClientCertificate),
];

fn invalid(problem: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("credential_config validation failed: {problem}"))
}

impl CredentialSettings {
    /// Applies what a request said. Without `config` the old one is checked against the new type.
    pub fn apply(
        &mut self,
        kind: Option<String>,
        config: Option<BTreeMap<String, String>>,
    ) -> Result<()> {
        if let Some(name) = kind {
            let known = KINDS.iter().find(|(n, ..)| *n == name);
            let (_, kind, _) =
                known.ok_or_else(|| Error::bad_request("invalid credential_type"))?;
            if *kind != self.kind {
                self.config = BTreeMap::new();
            }
            self.kind = *kind;
        }
        let given = config.unwrap_or_else(|| self.config.clone());
        self.config = match self.kind {
            Kind::Password => only(given, &["password_policy"]),
            Kind::RsaPrivateKey => rsa_config(given)?,
            Kind::ClientCertificate => certificate_config(given)?,
        };
        Ok(())
    }

    /// `credential_type`.
    pub fn name(&self) -> &'static str {
        KINDS.iter().find(|(_, kind, _)| *kind == self.kind).map_or("password", |(name, ..)| *name)
    }

    /// As drivers call it.
    pub fn kind(&self) -> CredentialKind {
        let found = KINDS.iter().find(|(_, kind, _)| *kind == self.kind);
        found.map_or(CredentialKind::Password, |(.., kind)| *kind)
    }

    /// `credential_config` as it is kept, an authority's key included.
    pub fn config(&self) -> &BTreeMap<String, String> {
        &self.config
    }

    /// The role's own password policy, or "".
    pub fn password_policy(&self) -> &str {
        self.config.get("password_policy").map_or("", String::as_str)
    }

    /// `key_bits` of an RSA key.
    pub fn key_bits(&self) -> u32 {
        self.config.get("key_bits").and_then(|bits| bits.parse().ok()).unwrap_or(2_048)
    }

    /// `credential_config` as answers show it: numbers as numbers, without a private key.
    pub fn shown(&self) -> Option<JsonMap> {
        let shown = |(name, value): (&String, &String)| {
            let number = name.ends_with("_bits").then(|| value.parse::<i64>().ok()).flatten();
            (name.clone(), number.map_or_else(|| value.as_str().into(), Into::into))
        };
        let entries = self.config.iter().filter(|(name, _)| *name != "ca_private_key");
        (!self.config.is_empty()).then(|| entries.map(shown).collect())
    }
}

/// Members of other names are left out, as Vault does.
fn only(mut config: BTreeMap<String, String>, names: &[&str]) -> BTreeMap<String, String> {
    config.retain(|name, _| names.contains(&name.as_str()));
    config
}

fn bits(
    config: &mut BTreeMap<String, String>,
    name: &str,
    default: &str,
    allowed: &[&str],
) -> Result<()> {
    let bits = config.entry(name.to_owned()).or_default();
    if bits.is_empty() || bits == "0" {
        default.clone_into(bits);
    }
    if allowed.contains(&bits.as_str()) { Ok(()) } else { Err(invalid(format!("invalid {name}"))) }
}

const RSA_BITS: [&str; 3] = ["2048", "3072", "4096"];

fn rsa_config(config: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut config = only(config, &["format", "key_bits"]);
    let format = config.entry("format".to_owned()).or_default();
    if format.is_empty() {
        "pkcs8".clone_into(format);
    }
    if !format.eq_ignore_ascii_case("pkcs8") {
        return Err(invalid("invalid format"));
    }
    bits(&mut config, "key_bits", "2048", &RSA_BITS)?;
    Ok(config)
}

const CERTIFICATE_FIELDS: [&str; 6] =
    ["common_name_template", "ca_private_key", "ca_cert", "key_type", "key_bits", "signature_bits"];

fn certificate_config(config: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut config = only(config, &CERTIFICATE_FIELDS);
    match config.get("key_type").map(String::as_str) {
        Some("rsa") => bits(&mut config, "key_bits", "2048", &RSA_BITS)?,
        Some("ec") => bits(&mut config, "key_bits", "256", &["256", "384", "521"])?,
        Some("ed25519") => {}
        _ => return Err(invalid("invalid key_type")),
    }
    bits(&mut config, "signature_bits", "256", &["256", "384", "512"])?;
    for name in ["common_name_template", "ca_cert", "ca_private_key"] {
        if config.get(name).is_none_or(String::is_empty) {
            return Err(invalid(format!("missing required {name}")));
        }
    }
    Authority::read(&config).map_err(invalid)?;
    Ok(config)
}
