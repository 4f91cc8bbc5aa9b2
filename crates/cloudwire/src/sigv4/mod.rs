//! AWS Signature Version 4 (AWS, "Create a signed AWS API request"): signing what we send, verifying
//! what we are sent.
//!
//! Invariants:
//! * the same canonical request is signed and verified;
//! * the secret key and what is derived from it are wiped, and signatures compared in constant time;
//! * an `Authorization` header has each of its members once, or is refused.
//!
//! Whether a request is fresh is the caller's to ask ([`check_fresh`]): this module has no clock.

mod authorization;
mod canonical;
mod presigned;
#[cfg(test)]
mod tests;
mod time;

use strongroom_base::{SecretString, Timestamp};
use strongroom_crypto::{HmacKey, sha256};
use zeroize::Zeroizing;

pub use authorization::Authorization;
pub use canonical::{canonical_request, uri_encode};
pub use presigned::Presigned;
pub use time::{SKEW_SECONDS, check_fresh, read_date};

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How each scope ends.
const TERMINATOR: &str = "aws4_request";

/// A request as it goes over the wire, without its `Authorization`. Its headers' texts are of any kind.
pub struct Request<'a, T = String> {
    /// The method.
    pub method: &'a str,
    /// The path as it is sent.
    pub path: &'a str,
    /// The query as it is sent, without its question mark.
    pub query: &'a str,
    /// Names and values, `host` among them. A name may be there several times.
    pub headers: &'a [(T, T)],
    /// The SHA-256 of the body in hex ([`hash_of`]), or what `x-amz-content-sha256` says in its place.
    pub payload: &'a str,
    /// Are dots and empty segments of the path resolved first? So it is for every service but S3.
    pub normalise: bool,
}

impl<T> Clone for Request<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Request<'_, T> {}

impl<'a, T> Request<'a, T> {
    /// A POST without a query, to any service but S3.
    pub fn post(path: &'a str, headers: &'a [(T, T)], payload: &'a str) -> Self {
        Self { method: "POST", path, query: "", headers, payload, normalise: true }
    }
}

/// Who signs.
pub struct Credentials {
    /// The access key id, no secret.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// What a signature is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope<'a> {
    /// The day, as `20150830`.
    pub date: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service's name in signatures (`sts`, `iam`).
    pub service: &'a str,
}

impl std::fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// The SHA-256 of `body` in hex.
pub fn hash_of(body: &[u8]) -> String {
    hex_of(&sha256(body))
}

/// In hex. (The library's own way to a text goes sign by sign.)
fn hex_of(bytes: &[u8; 32]) -> String {
    let mut out = vec![0; 64];
    // It fits.
    let _ = hex::encode_to_slice(bytes, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The value of `X-Amz-Date`: `20150830T123600Z`.
pub fn amz_date(at: Timestamp) -> String {
    let text = Timestamp::from_seconds(at.seconds()).to_string();
    text.chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// Signs `request` for `region` and `service`, all its headers included. Answers the headers to add:
/// `X-Amz-Date`, `X-Amz-Security-Token` for temporary credentials, and `Authorization`.
pub fn sign(
    request: Request<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    at: Timestamp,
) -> Vec<(String, String)> {
    let date = amz_date(at);
    let mut added = vec![("X-Amz-Date".to_owned(), date.clone())];
    if let Some(token) = &credentials.session_token {
        added.push(("X-Amz-Security-Token".to_owned(), token.expose_secret().clone()));
    }
    let headers = [request.headers, &added].concat();
    let request = Request { headers: &headers, ..request };
    let mut signed: Vec<String> = headers.iter().map(|(n, _)| n.to_ascii_lowercase()).collect();
    signed.sort();
    signed.dedup();
    let scope = Scope { date: date.get(..8).unwrap_or_default(), region, service };
    let signed_names: Vec<&str> = signed.iter().map(String::as_str).collect();
    let canonical = canonical_request(request, &signed_names).unwrap_or_default();
    let key = SigningKey::derive(&credentials.secret_key, scope);
    let signature = key.sign(&string_to_sign(&canonical, &date, scope));
    added.push((
        "Authorization".to_owned(),
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            credentials.access_key,
            signed.join(";"),
        ),
    ));
    added
}

/// Did the holder of `secret_key` sign `request` as `authorization` says? The request must carry a
/// signed `host` and a signed `X-Amz-Date` of the scope's day.
pub fn verify(
    request: Request<'_>,
    authorization: &Authorization<'_>,
    secret_key: &SecretString,
) -> bool {
    if !authorization.signs("host") || !authorization.signs("x-amz-date") {
        return false;
    }
    let mut dates = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("x-amz-date"));
    let (Some((_, date)), None) = (dates.next(), dates.next()) else { return false };
    if !date.starts_with(authorization.scope.date) {
        return false;
    }
    let Some(canonical) = canonical_request(request, &authorization.signed_headers) else {
        return false;
    };
    let text = string_to_sign(&canonical, date, authorization.scope);
    SigningKey::derive(secret_key, authorization.scope).verifies(&text, authorization.signature)
}

/// The text that is signed.
pub fn string_to_sign(canonical: &str, date: &str, scope: Scope<'_>) -> String {
    let hash = hash_of(canonical.as_bytes());
    let Scope { date: day, region, service } = scope;
    [ALGORITHM, "\n", date, "\n", day, "/", region, "/", service, "/", TERMINATOR, "\n", &hash]
        .concat()
}

/// The key that a secret key signs with on one day, in one region and for one service. It is wiped when
/// it is dropped.
pub struct SigningKey(HmacKey);

impl SigningKey {
    /// Derives it.
    pub fn derive(secret_key: &SecretString, scope: Scope<'_>) -> Self {
        let first = Zeroizing::new(format!("AWS4{}", secret_key.expose_secret()).into_bytes());
        let mut key = Zeroizing::new(HmacKey::new(&first).mac(&[scope.date.as_bytes()]));
        for part in [scope.region, scope.service, TERMINATOR] {
            key = Zeroizing::new(HmacKey::new(&*key).mac(&[part.as_bytes()]));
        }
        Self(HmacKey::new(&*key))
    }

    /// The signature of a [`string_to_sign`], in hex.
    pub fn sign(&self, text: &str) -> String {
        hex_of(&self.0.mac(&[text.as_bytes()]))
    }

    /// Is it the signature of `text`?
    pub fn verifies(&self, text: &str, signature: &str) -> bool {
        let mut given = [0; 32];
        // Its digits are small ones: there is one way to write a signature.
        signature.len() == 64
            && !signature.bytes().any(|b| b.is_ascii_uppercase())
            && hex::decode_to_slice(signature, &mut given).is_ok()
            && self.0.verify(&[text.as_bytes()], &given)
    }
}
