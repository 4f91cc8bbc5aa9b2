//! Huawei Cloud's Key Management Service (Data Encryption Workshop, "Encrypting Data", "Decrypting
//! Data"): `region:key`, as SOPS names its keys.
//!
//! Invariant: a key's region is a name alone, so that a file sends credentials nowhere but to Huawei, or
//! where the environment says.

mod credentials;
mod signature;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::{Secret, SecretBytes};
use strongroom_web::{Answer, Call};
use zeroize::Zeroizing;

use credentials::Credentials;

use super::{Failure, Machine, MasterKey};
use crate::metadata::HcKmsKey;

/// Characters of Huawei's own words that are shown.
const WORDS_MAX: usize = 512;
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

impl MasterKey for HcKmsKey {
    fn shown(&self) -> String {
        self.key_id.clone()
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let failed = |f: Failure| f.within("failed to encrypt sops data key with HuaweiCloud KMS");
        let place = Place::of(&self.key_id).map_err(failed)?;
        let plain = Zeroizing::new(STANDARD.encode(part.expose_secret()));
        let body = json!({
            "key_id": place.key, "plain_text": *plain, "encryption_algorithm": ALGORITHM,
        });
        let answer = place.ask("encrypt-data", body, machine).map_err(failed)?;
        let text = answer.get("cipher_text").and_then(Json::as_str).map(str::to_owned);
        text.ok_or_else(|| failed(Failure::new("encryption response missing ciphertext")))
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        let failed = |f: Failure| f.within("failed to decrypt sops data key with HuaweiCloud KMS");
        let place = Place::of(&self.key_id).map_err(failed)?;
        let body =
            json!({ "cipher_text": enc, "key_id": place.key, "encryption_algorithm": ALGORITHM });
        let mut answer = place.ask("decrypt-data", body, machine).map_err(failed)?;
        let plain = match answer.get_mut("plain_text").map(Json::take) {
            Some(Json::String(text)) => Zeroizing::new(text),
            _ => return Err(failed(Failure::new("decryption response missing plaintext"))),
        };
        let bytes = STANDARD.decode(&*plain);
        bytes.map(Secret::new).map_err(|_| failed(Failure::new("the plaintext is no base64")))
    }
}

/// Where a key is.
struct Place<'k> {
    region: &'k str,
    key: &'k str,
}

impl<'k> Place<'k> {
    fn of(id: &'k str) -> Result<Self, Failure> {
        let (region, key) = id.split_once(':').unwrap_or((id, ""));
        let (region, key) = (region.trim(), key.trim());
        let name = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !name(region) || !name(key) {
            let text = format!("invalid key ID format: expected 'region:key-uuid', got {id:?}");
            return Err(Failure::new(text));
        }
        match REGIONS.contains(&region) {
            true => Ok(Self { region, key }),
            false => Err(Failure::new(format!("invalid region {region:?}"))),
        }
    }

    fn ask(&self, what: &str, mut body: Json, machine: &Machine) -> Result<Json, Failure> {
        let credentials = Credentials::find(machine)?;
        let project = match &credentials.project {
            Some(project) => project.clone(),
            None => self.project(&credentials, machine)?,
        };
        let url = format!("{}/v1.0/{project}/kms/{what}", self.endpoint(machine));
        let call = Call::post(url, "application/json", body.to_string().into_bytes());
        strongroom_base::json::wipe(&mut body);
        let call = call.header(HeaderName::from_static("x-project-id"), &project)?;
        let answer = machine.call(signature::signed(call, &credentials, machine.now())?)?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        Ok(answer.json()?)
    }

    /// The service's address: a variable says so, or it is Huawei's.
    fn endpoint(&self, machine: &Machine) -> String {
        let said = machine.variable(&variable(self.region));
        let said = said.and_then(|text| text.split(',').next()).filter(|text| !text.is_empty());
        match said {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://kms.{}.{}", self.region, domain(self.region)),
        }
    }

    /// The one project of the account in the region (Identity and Access Management, "Querying a
    /// Project List").
    fn project(&self, credentials: &Credentials, machine: &Machine) -> Result<String, Failure> {
        let failed = |f: Failure| {
            f.within(format!("failed to get project id of region '{}' automatically", self.region))
        };
        let endpoint = match machine.filled("HUAWEICLOUD_SDK_IAM_ENDPOINT") {
            Some(url) if url.starts_with("https://") => url.trim_end_matches('/').to_owned(),
            Some(host) => format!("https://{}", host.trim_end_matches('/')),
            None => format!("https://iam.{}.{}", self.region, domain(self.region)),
        };
        let call = Call::get(format!("{endpoint}/v3/projects?name={}", self.region));
        let call = signature::signed(call, credentials, machine.now()).map_err(failed)?;
        let answer = machine.call(call).map_err(failed)?;
        if !answer.is_success() {
            return Err(failed(refusal(&answer)));
        }
        let answer = answer.json().map_err(|failure| failed(failure.into()))?;
        let projects = answer.get("projects").and_then(Json::as_array);
        let ids: Vec<&str> = projects
            .into_iter()
            .flatten()
            .filter_map(|project| project.get("id")?.as_str())
            .collect();
        match ids.as_slice() {
            [id] if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok((*id).to_owned()),
            [] => Err(failed(Failure::new("there is none; HUAWEICLOUD_SDK_PROJECT_ID names it"))),
            _ => {
                Err(failed(Failure::new("there are several; HUAWEICLOUD_SDK_PROJECT_ID names it")))
            }
        }
    }
}

/// Where the service is.
pub(super) const REGIONS: [&str; 32] = [
    "ae-ad-1",
    "af-north-1",
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-1",
    "cn-north-11",
    "cn-north-12",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    "eu-west-101",
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "sa-brazil-1",
    "tr-west-1",
];

/// The variable that names the service's address in a region.
pub(super) fn variable(region: &str) -> String {
    format!("HUAWEICLOUD_SDK_REGION_KMS_{}", region.replace('-', "_").to_uppercase())
}

/// The domain of a region's services.
fn domain(region: &str) -> &'static str {
    match region {
        "eu-west-101" => "myhuaweicloud.eu",
        _ => "myhuaweicloud.com",
    }
}

/// What Huawei says of a refusal: flat, or within `error`.
fn refusal(answer: &Answer) -> Failure {
    let json = answer.json().ok();
    let inner = json.as_ref().map(|json| json.get("error").unwrap_or(json));
    let text = |name: &str| inner.and_then(|it| it.get(name)).and_then(Json::as_str);
    let mut said = format!("HTTP status {}", answer.status);
    for part in [text("error_code"), text("error_msg").or(text("message"))].into_iter().flatten() {
        said.push_str(": ");
        said.extend(part.chars().filter(|c| !c.is_control()).take(WORDS_MAX));
    }
    Failure::new(said)
}

#[cfg(test)]
mod tests;
