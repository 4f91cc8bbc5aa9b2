//! AWS Key Management Service (AWS KMS API Reference, "Encrypt", "Decrypt"): JSON over HTTPS, signed.
//!
//! The key's ARN names its region, and the call goes there. A role in the record is taken on first.

mod credentials;
mod profile;
mod service;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::{Secret, SecretBytes};
use strongroom_cloudwire::sigv4::Credentials;
use zeroize::Zeroizing;

pub use service::{Asked, Session, refusal};

use super::{Failure, Machine, MasterKey};
use crate::metadata::KmsKey;

/// Characters of the name of a role's session.
const SESSION_NAME_MAX: usize = 64;

impl MasterKey for KmsKey {
    fn shown(&self) -> String {
        let mut shown = self.arn.clone();
        if !self.role.is_empty() {
            shown.push('+');
            shown.push_str(&self.role);
        }
        let mut pairs: Vec<String> =
            self.context.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        pairs.sort();
        let context = pairs.join(",");
        match (context.as_str(), self.aws_profile.as_str()) {
            ("", "") => shown,
            (context, "") => format!("{shown}|{context}"),
            (context, profile) => format!("{shown}|{context}|{profile}"),
        }
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let failed =
            |failure: Failure| failure.within("failed to encrypt sops data key with AWS KMS");
        let plaintext = Zeroizing::new(STANDARD.encode(part.expose_secret()));
        let body = json!({ "KeyId": self.arn, "Plaintext": *plaintext });
        let answer = self.ask("TrentService.Encrypt", body, machine).map_err(failed)?;
        let blob = answer.get("CiphertextBlob").and_then(Json::as_str);
        blob.map(str::to_owned).ok_or_else(|| failed(Failure::new("the answer has no ciphertext")))
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        let failed =
            |failure: Failure| failure.within("failed to decrypt sops data key with AWS KMS");
        if STANDARD.decode(enc).is_err() {
            return Err(Failure::new("error base64-decoding encrypted data key"));
        }
        let body = json!({ "KeyId": self.arn, "CiphertextBlob": enc });
        let mut answer = self.ask("TrentService.Decrypt", body, machine).map_err(failed)?;
        let plaintext = match answer.get_mut("Plaintext").map(Json::take) {
            Some(Json::String(text)) => Zeroizing::new(text),
            _ => return Err(failed(Failure::new("the answer has no plaintext"))),
        };
        let bytes = STANDARD.decode(&*plaintext);
        bytes.map(Secret::new).map_err(|_| failed(Failure::new("the plaintext is no base64")))
    }
}

impl KmsKey {
    /// The region in the ARN (`arn:PARTITION:kms:REGION:ACCOUNT:key/…` or `alias/…`).
    fn region(&self) -> Result<&str, Failure> {
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let named = |text: &str| {
            ["key/", "alias/"]
                .iter()
                .any(|kind| text.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
        };
        match parts.as_slice() {
            ["arn", partition, "kms", region, account, key]
                if partition.starts_with("aws")
                    && !region.is_empty()
                    && plain(region)
                    && digits(account)
                    && named(key) =>
            {
                Ok(region)
            }
            _ => Err(Failure::new(format!("no valid ARN found in '{}'", self.arn))),
        }
    }

    fn ask(&self, target: &str, mut body: Json, machine: &Machine) -> Result<Json, Failure> {
        if !self.context.is_empty() {
            let context = self.context.iter().map(|(n, v)| (n.clone(), Json::from(v.as_str())));
            body["EncryptionContext"] = Json::Object(context.collect());
        }
        let session = Session::new(machine, &self.aws_profile, self.region()?)?;
        let credentials = self.credentials(&session)?;
        let endpoint = session.endpoint("kms");
        let asked = Asked {
            service: "kms",
            method: Method::POST,
            endpoint: &endpoint,
            path: "/",
            query: "",
            headers: &[
                ("content-type", "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target", target.to_owned()),
            ],
            body: body.to_string().into_bytes(),
        };
        strongroom_base::json::wipe(&mut body);
        let answer = session.send(asked, &credentials)?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        Ok(answer.json()?)
    }

    fn credentials(&self, session: &Session<'_>) -> Result<Credentials, Failure> {
        let found = session_credentials(session, !self.aws_profile.is_empty())?;
        if self.role.is_empty() {
            return Ok(found);
        }
        credentials::assume_role(session, &found, &self.role, &session_name(), None)
    }
}

/// The credentials of a session; `named` where its profile was asked for by name.
pub fn session_credentials(session: &Session<'_>, named: bool) -> Result<Credentials, Failure> {
    credentials::find(session, named)
}

/// `sops@HOST`, of the characters that STS allows.
fn session_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "=,.@-_".contains(*c);
    let name = "sops@".chars().chain(host.chars().filter(allowed));
    name.take(SESSION_NAME_MAX).collect()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
