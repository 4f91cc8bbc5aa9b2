//! Access tokens of Google Cloud: what the environment gives, a service account's key (RFC 7523), a
//! person's refresh token, a foreign identity's token (Google, "Workload identity federation"), another
//! account to act as, or the machine's metadata server.

use std::path::PathBuf;

use http::HeaderName;
use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::{SecretString, json::parse_bounded};
use strongroom_cloudwire::form;
use strongroom_crypto::jws::{Algorithm, sign_compact};
use strongroom_crypto::keys::{Hash, PrivateKey};
use strongroom_web::{Answer, Call};
use zeroize::Zeroizing;

use super::super::{Failure, Machine};
use super::refusal;

/// Where tokens are had unless the credentials say otherwise.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// What a token may do; what it may really do is decided by the account's roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Seconds that a request for a token is good for.
const LIVES_SECONDS: i64 = 3_600;
/// The metadata server (Compute Engine, "About VM metadata").
const METADATA: &str = "metadata.google.internal";
const FORM: &str = "application/x-www-form-urlencoded";

/// An access token, by the first source that is there.
pub fn access_token(machine: &Machine) -> Result<SecretString, Failure> {
    if let Some(given) = machine.filled("GOOGLE_CREDENTIALS") {
        // A file's path, or what would stand in it.
        let text = match std::fs::read_to_string(given) {
            Ok(text) => Zeroizing::new(text),
            Err(_) => Zeroizing::new(given.to_owned()),
        };
        return by_credentials("GOOGLE_CREDENTIALS", &text, machine);
    }
    if let Some(token) = machine.filled("GOOGLE_OAUTH_ACCESS_TOKEN") {
        return Ok(SecretString::new(token.to_owned()));
    }
    if let Some(path) = machine.filled("GOOGLE_APPLICATION_CREDENTIALS") {
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            Failure::new(format!("GOOGLE_APPLICATION_CREDENTIALS: {path}: {error}"))
        })?;
        return by_credentials("GOOGLE_APPLICATION_CREDENTIALS", &text, machine);
    }
    let folder = machine.filled("CLOUDSDK_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(machine.config_folder()?.join("gcloud")));
    let usual = folder.map(|folder| folder.join("application_default_credentials.json"));
    if let Some(text) = usual.and_then(|path| std::fs::read_to_string(path).ok()) {
        let text = Zeroizing::new(text);
        return by_credentials("application default credentials", &text, machine);
    }
    of_metadata(machine)
}

/// By what stands in a file of credentials.
fn by_credentials(source: &str, text: &str, machine: &Machine) -> Result<SecretString, Failure> {
    let failed = |failure: Failure| failure.within(format!("Google credentials of {source}"));
    let json = parse_bounded(text.as_bytes())
        .map_err(|_| failed(Failure::new("neither a file's path nor JSON")))?;
    by_json(&json, machine).map_err(failed)
}

fn by_json(json: &Json, machine: &Machine) -> Result<SecretString, Failure> {
    match text(json, "type")? {
        "service_account" => by_key(json, machine),
        "authorized_user" => by_refresh_token(json, machine),
        "external_account" => by_foreign_token(json, machine),
        "impersonated_service_account" => by_impersonation(json, machine),
        other => Err(Failure::new(format!("their type {other:?} is not known"))),
    }
}

/// A text of a JSON object, and a failure that names it where it is missing.
fn text<'a>(json: &'a Json, name: &str) -> Result<&'a str, Failure> {
    let found = json.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Failure::new(format!("{name} is missing")))
}

fn token_of(answer: &Answer) -> Result<SecretString, Failure> {
    if !answer.is_success() {
        let told = oauth_refusal(answer).unwrap_or_else(|| refusal(answer));
        return Err(told.within("no access token"));
    }
    let json = answer.json()?;
    let token = text(&json, "access_token").or_else(|_| text(&json, "accessToken"))?;
    Ok(SecretString::new(token.to_owned()))
}

/// RFC 6749 §5.2.
fn oauth_refusal(answer: &Answer) -> Option<Failure> {
    let json = answer.json().ok()?;
    let kind = json.get("error")?.as_str()?;
    let words = json.get("error_description").and_then(Json::as_str).unwrap_or_default();
    let words: String = words.chars().filter(|c| !c.is_control()).take(super::WORDS_MAX).collect();
    Some(Failure::new(format!("HTTP status {}: {kind}: {words}", answer.status)))
}

fn by_key(json: &Json, machine: &Machine) -> Result<SecretString, Failure> {
    let uri = text(json, "token_uri").unwrap_or(TOKEN_URI);
    let now = machine.now().seconds();
    let claims = json!({
        "iss": text(json, "client_email")?,
        "scope": SCOPE,
        "aud": uri,
        "iat": now,
        "exp": now + LIVES_SECONDS,
    });
    let key = PrivateKey::from_pem(text(json, "private_key")?)
        .map_err(|_| Failure::new("private_key is no key in PEM"))?;
    let kid = text(json, "private_key_id").unwrap_or_default();
    let claims = claims.to_string();
    let signed = sign_compact(Algorithm::Rs(Hash::Sha256), kid, claims.as_bytes(), &key)
        .map_err(|_| Failure::new("private_key is no RSA key"))?;
    let body = form::encode(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &signed),
    ]);
    token_of(&machine.call(Call::post(uri, FORM, body.into_bytes()))?)
}

fn by_refresh_token(json: &Json, machine: &Machine) -> Result<SecretString, Failure> {
    let body = form::encode(&[
        ("grant_type", "refresh_token"),
        ("client_id", text(json, "client_id")?),
        ("client_secret", text(json, "client_secret")?),
        ("refresh_token", text(json, "refresh_token")?),
    ]);
    let uri = text(json, "token_uri").unwrap_or(TOKEN_URI);
    token_of(&machine.call(Call::post(uri, FORM, body.into_bytes()))?)
}

/// A token of another provider, from a file or a URL, is exchanged (RFC 8693); and where the
/// credentials say so, the account behind it is acted as.
fn by_foreign_token(json: &Json, machine: &Machine) -> Result<SecretString, Failure> {
    let foreign = foreign_token(json.get("credential_source").unwrap_or(&Json::Null), machine)?;
    let body = form::encode(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", text(json, "audience")?),
        ("scope", SCOPE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", text(json, "subject_token_type")?),
        ("subject_token", foreign.trim()),
    ]);
    let uri = text(json, "token_url")?;
    let token = token_of(&machine.call(Call::post(uri, FORM, body.into_bytes()))?)?;
    match text(json, "service_account_impersonation_url") {
        Ok(url) => act_as(url, &token, machine),
        Err(_) => Ok(token),
    }
}

fn foreign_token(source: &Json, machine: &Machine) -> Result<Zeroizing<String>, Failure> {
    let told = if let Ok(path) = text(source, "file") {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("credential_source: {path}: {error}")))?
    } else if let Ok(url) = text(source, "url") {
        let mut call = Call::get(url);
        for (name, value) in source.get("headers").and_then(Json::as_object).into_iter().flatten() {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::new("credential_source: a header's name is none"))?;
            call = call.header(name, value.as_str().unwrap_or_default())?;
        }
        let answer = machine.call(call)?;
        if !answer.is_success() {
            return Err(Failure::new(format!("credential_source: HTTP status {}", answer.status)));
        }
        String::from_utf8_lossy(&answer.body).into_owned()
    } else {
        return Err(Failure::new("credential_source: only files and URLs are known"));
    };
    let told = Zeroizing::new(told);
    let format = source.get("format").unwrap_or(&Json::Null);
    if text(format, "type") != Ok("json") {
        return Ok(told);
    }
    let json = parse_bounded(told.as_bytes())
        .map_err(|_| Failure::new("credential_source: what is there is no JSON"))?;
    Ok(Zeroizing::new(text(&json, text(format, "subject_token_field_name")?)?.to_owned()))
}

fn by_impersonation(json: &Json, machine: &Machine) -> Result<SecretString, Failure> {
    let source = json.get("source_credentials").unwrap_or(&Json::Null);
    // One account behind another, not without end.
    if text(source, "type") == Ok("impersonated_service_account") {
        return Err(Failure::new("source_credentials are those of an impersonated account again"));
    }
    let token = by_json(source, machine)?;
    act_as(text(json, "service_account_impersonation_url")?, &token, machine)
}

/// `generateAccessToken` of IAM Credentials.
fn act_as(url: &str, token: &SecretString, machine: &Machine) -> Result<SecretString, Failure> {
    let body = json!({ "scope": [SCOPE] }).to_string().into_bytes();
    let call = Call::post(url, "application/json", body).bearer(token.expose_secret())?;
    token_of(&machine.call(call)?)
}

fn of_metadata(machine: &Machine) -> Result<SecretString, Failure> {
    let host = machine.filled("GCE_METADATA_HOST").unwrap_or(METADATA);
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let call = Call::get(url).header(HeaderName::from_static("metadata-flavor"), "Google")?;
    let none = || {
        Failure::new(
            "could not find default credentials: neither GOOGLE_CREDENTIALS, \
             GOOGLE_OAUTH_ACCESS_TOKEN nor GOOGLE_APPLICATION_CREDENTIALS is set, and there is no \
             metadata server",
        )
    };
    let answer = machine.call(call).map_err(|_| none())?;
    token_of(&answer)
}
