//! Azure Key Vault (Key Vault REST API, "Encrypt", "Decrypt", "Get Key"): RSA-OAEP-256 by a key that
//! never leaves the vault.
//!
//! A vault says by a challenge which token it wants. The vault's address comes from the file and may be
//! anybody's, so a token is made only for a resource to whose domain the vault belongs: a token for
//! `vault.azure.net` never goes to another host ("Authentication, requests and responses").

mod credentials;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::{Secret, SecretBytes};
use strongroom_web::{Answer, Call};
use zeroize::Zeroizing;

use super::{Failure, Machine, MasterKey};
use crate::metadata::AzureKvKey;

/// The version of the API.
const API_VERSION: &str = "7.4";
/// The algorithm of all wrapped keys.
const ALGORITHM: &str = "RSA-OAEP-256";
/// Characters of the vault's own words that are shown.
const WORDS_MAX: usize = 512;

impl MasterKey for AzureKvKey {
    fn shown(&self) -> String {
        format!("{}/keys/{}/{}", self.vault_url, self.name, self.version)
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let failed = |f: Failure| {
            let shown = self.shown();
            f.within(format!("failed to encrypt sops data key with Azure Key Vault key '{shown}'"))
        };
        let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(part.expose_secret()));
        let body = json!({ "alg": ALGORITHM, "value": *value });
        let answer = self.ask("/encrypt", Some(body), machine).map_err(failed)?;
        let value = answer.get("value").and_then(Json::as_str);
        let value = value.ok_or_else(|| failed(Failure::new("the answer has no value")))?;
        Ok(value.trim_end_matches('=').to_owned())
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        let failed = |f: Failure| {
            let shown = self.shown();
            f.within(format!("failed to decrypt sops data key with Azure Key Vault key '{shown}'"))
        };
        if URL_SAFE_NO_PAD.decode(enc).is_err() {
            return Err(Failure::new("failed to base64 decode Azure Key Vault encrypted key"));
        }
        let body = json!({ "alg": ALGORITHM, "value": enc });
        let mut answer = self.ask("/decrypt", Some(body), machine).map_err(failed)?;
        let value = match answer.get_mut("value").map(Json::take) {
            Some(Json::String(text)) => Zeroizing::new(text),
            _ => return Err(failed(Failure::new("the answer has no value"))),
        };
        let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
        bytes.map(Secret::new).map_err(|_| failed(Failure::new("the value is no base64url")))
    }
}

/// The newest version of a key whose version is left open.
pub fn newest_version(key: &AzureKvKey, machine: &Machine) -> Result<String, Failure> {
    let failed = |f: Failure| f.within("failed to fetch Azure Key to retrieve key version");
    let answer = key.ask("", None, machine).map_err(failed)?;
    let id = answer.get("key").and_then(|key| key.get("kid")).and_then(Json::as_str);
    let version = id.and_then(|id| id.rsplit_once('/')).map(|(_, version)| version);
    let version = version.filter(|version| !version.is_empty());
    version.map(str::to_owned).ok_or_else(|| failed(Failure::new("the answer names no version")))
}

impl AzureKvKey {
    fn ask(&self, what: &str, body: Option<Json>, machine: &Machine) -> Result<Json, Failure> {
        let url = self.url(what)?;
        let call = |body: Option<&Json>| match body {
            Some(body) => Call::post(&url, "application/json", body.to_string().into_bytes()),
            None => Call::get(&url),
        };
        // The first call asks what is wanted; what is secret goes with the second.
        let mut first = call(None);
        if body.is_some() {
            first = Call::post(&url, "application/json", Vec::new());
        }
        let answer = machine.call(first)?;
        let challenge = answer.headers.get(http::header::WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok());
        let challenge = match (answer.status, challenge) {
            (401, Some(text)) => Challenge::parse(text)?,
            (401, None) => return Err(Failure::new("the vault wants a token and says not which")),
            _ => return Err(refusal(&answer)),
        };
        challenge.check(host_of(&self.vault_url))?;
        let token = credentials::access_token(&challenge, machine)?;
        let asked = call(body.as_ref()).bearer(token.expose_secret())?;
        if let Some(mut body) = body {
            strongroom_base::json::wipe(&mut body);
        }
        let answer = machine.call(asked)?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        Ok(answer.json()?)
    }

    fn url(&self, what: &str) -> Result<String, Failure> {
        let vault = self.vault_url.trim_end_matches('/');
        checked_scheme(vault)?;
        let plain =
            |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if self.name.is_empty() || !plain(&self.name) || !plain(&self.version) {
            return Err(Failure::new("the key's name or version is none"));
        }
        let version = match self.version.as_str() {
            "" => String::new(),
            version => format!("/{version}"),
        };
        Ok(format!("{vault}/keys/{}{version}{what}?api-version={API_VERSION}", self.name))
    }
}

/// The host in a URL, without its port.
fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Tokens go over TLS, but within this machine.
fn checked_scheme(url: &str) -> Result<(), Failure> {
    let host = host_of(url);
    let here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let good = url.starts_with("https://") || url.starts_with("http://") && here;
    // Whatever stands before an `@` would be taken for the host by people.
    if good && !host.is_empty() && !url.contains(['@', '?', '#', '\\', ' ']) {
        return Ok(());
    }
    Err(Failure::new("the address is no https URL"))
}

/// What a vault wants.
pub struct Challenge {
    /// Where tokens are had, and whose tenant.
    pub authority: String,
    /// What the token is for.
    pub resource: String,
}

impl Challenge {
    /// Reads `Bearer authorization="…", resource="…"`; some say `scope` in place of `resource`.
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || Failure::new("the vault's challenge is not understood");
        let parts = text.strip_prefix("Bearer ").ok_or_else(wrong)?;
        let (mut authority, mut resource) = (None, None);
        for part in parts.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let value = value.trim_matches('"').to_owned();
            match name {
                "authorization" | "authorization_uri" => authority = Some(value),
                "resource" => resource = Some(value),
                "scope" if resource.is_none() => {
                    resource = Some(value.trim_end_matches("/.default").to_owned());
                }
                _ => {}
            }
        }
        let (Some(authority), Some(resource)) = (authority, resource) else { return Err(wrong()) };
        Ok(Self { authority, resource })
    }

    /// Does the vault belong to the resource's domain?
    fn check(&self, host: &str) -> Result<(), Failure> {
        checked_scheme(&self.resource)?;
        let domain = host_of(&self.resource);
        if host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the vault {host} asks for a token for {domain}, to which it does not belong"
        )))
    }

    /// The tenant that the challenge names.
    pub fn tenant(&self) -> &str {
        self.authority.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }
}

/// What the vault says of a refusal.
fn refusal(answer: &Answer) -> Failure {
    let json = answer.json().ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    let text = |name: &str| error.and_then(|e| e.get(name)).and_then(Json::as_str);
    let mut said = format!("HTTP status {}", answer.status);
    for part in [text("code"), text("message")].into_iter().flatten() {
        said.push_str(": ");
        said.extend(part.chars().filter(|c| !c.is_control()).take(WORDS_MAX));
    }
    Failure::new(said)
}

#[cfg(test)]
mod tests;
