//! Google Cloud Key Management Service (Cloud KMS API, `cryptoKeys.encrypt`, `cryptoKeys.decrypt`), by
//! its REST form. `SOPS_GCP_KMS_CLIENT_TYPE` may ask for gRPC, and changes nothing: both forms are one
//! service.

mod credentials;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::{Secret, SecretBytes};
use strongroom_web::{Answer, Call};
use zeroize::Zeroizing;

pub use credentials::access_token;

use super::{Failure, Machine, MasterKey};
use crate::metadata::GcpKmsKey;

/// Characters of Google's own words that are shown.
const WORDS_MAX: usize = 512;

impl MasterKey for GcpKmsKey {
    fn shown(&self) -> String {
        self.resource_id.clone()
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let failed = |f: Failure| f.within("failed to encrypt sops data key with GCP KMS key");
        let plaintext = Zeroizing::new(STANDARD.encode(part.expose_secret()));
        let body = json!({ "plaintext": *plaintext });
        let answer = self.ask("encrypt", body, machine).map_err(failed)?;
        let ciphertext = answer.get("ciphertext").and_then(Json::as_str);
        ciphertext
            .map(str::to_owned)
            .ok_or_else(|| failed(Failure::new("the answer has no ciphertext")))
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        let failed = |f: Failure| f.within("failed to decrypt sops data key with GCP KMS key");
        if STANDARD.decode(enc).is_err() {
            return Err(failed(Failure::new("the wrapped data key is no base64")));
        }
        let mut answer =
            self.ask("decrypt", json!({ "ciphertext": enc }), machine).map_err(failed)?;
        let plaintext = match answer.get_mut("plaintext").map(Json::take) {
            Some(Json::String(text)) => Zeroizing::new(text),
            _ => return Err(failed(Failure::new("the answer has no plaintext"))),
        };
        let bytes = STANDARD.decode(&*plaintext);
        bytes.map(Secret::new).map_err(|_| failed(Failure::new("the plaintext is no base64")))
    }
}

impl GcpKmsKey {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`, of characters that a path may have.
    fn checked(&self) -> Result<&str, Failure> {
        let parts: Vec<&str> = self.resource_id.split('/').collect();
        let plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        match parts.as_slice() {
            ["projects", p, "locations", l, "keyRings", r, "cryptoKeys", k]
                if [p, l, r, k].into_iter().all(|part| plain(part)) =>
            {
                Ok(&self.resource_id)
            }
            _ => Err(Failure::new(format!("no valid resource ID found in {:?}", self.resource_id))),
        }
    }

    fn ask(&self, what: &str, mut body: Json, machine: &Machine) -> Result<Json, Failure> {
        let url = format!("{}/v1/{}:{what}", endpoint(machine), self.checked()?);
        let token = access_token(machine)?;
        let call = Call::post(url, "application/json", body.to_string().into_bytes());
        strongroom_base::json::wipe(&mut body);
        let answer = machine.call(call.bearer(token.expose_secret())?)?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        Ok(answer.json()?)
    }
}

/// Where the service is. `SOPS_GCP_KMS_ENDPOINT` may be a URL, or host and port as gRPC has them.
fn endpoint(machine: &Machine) -> String {
    if let Some(endpoint) = machine.filled("SOPS_GCP_KMS_ENDPOINT") {
        let endpoint = endpoint.trim_end_matches('/');
        let whole = endpoint.starts_with("https://") || endpoint.starts_with("http://");
        return if whole { endpoint.to_owned() } else { format!("https://{endpoint}") };
    }
    let domain = machine.filled("SOPS_GCP_KMS_UNIVERSE_DOMAIN").unwrap_or("googleapis.com");
    format!("https://cloudkms.{domain}")
}

/// What Google says of a refusal (Google Cloud APIs, "Errors").
pub fn refusal(answer: &Answer) -> Failure {
    let json = answer.json().ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    let text = |name: &str| error.and_then(|e| e.get(name)).and_then(Json::as_str);
    let mut said = format!("HTTP status {}", answer.status);
    for part in [text("status"), text("message")].into_iter().flatten() {
        said.push_str(": ");
        said.extend(part.chars().filter(|c| !c.is_control()).take(WORDS_MAX));
    }
    Failure::new(said)
}

#[cfg(test)]
mod tests;
