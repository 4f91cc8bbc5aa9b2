//! How calls to Huawei Cloud are signed (API Gateway, "Signing Algorithm": `SDK-HMAC-SHA256`).

use http::HeaderName;
use strongroom_base::Timestamp;
use strongroom_crypto::hmac::HmacKey;
use strongroom_web::Call;

use super::super::Failure;
use super::credentials::Credentials;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The call with the headers that say who makes it.
pub fn signed(call: Call, credentials: &Credentials, now: Timestamp) -> Result<Call, Failure> {
    let date = basic(now);
    let url = call.url.clone();
    let (host, path, query) = parts(&url);
    let mut call = call.header(HeaderName::from_static("x-sdk-date"), &date)?;
    if let Some(token) = &credentials.token {
        let name = HeaderName::from_static("x-security-token");
        call = call.header(name, token.expose_secret())?;
    }
    let mut headers = vec![("host", host.to_owned())];
    for (name, value) in &call.headers {
        if name.as_str().starts_with("x-") {
            headers.push((name.as_str(), value.to_str().unwrap_or_default().trim().to_owned()));
        }
    }
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let hash = hex::encode(strongroom_crypto::sha256(call.body.expose_secret()));
    let request = format!("{}\n{path}/\n{query}\n{lines}\n{names}\n{hash}", call.method);
    let request = hex::encode(strongroom_crypto::sha256(request.as_bytes()));
    let text = format!("{ALGORITHM}\n{date}\n{request}");
    let key = HmacKey::new(credentials.secret_key.expose_secret().as_bytes());
    let signature = hex::encode(key.mac(&[text.as_bytes()]));
    let access = credentials.access_key.as_str();
    let value =
        format!("{ALGORITHM} Access={access}, SignedHeaders={names}, Signature={signature}");
    Ok(call.header(http::header::AUTHORIZATION, &value)?)
}

/// Host, path and query of a URL of ours: its path has no character that would be escaped, and its query
/// one name at most.
fn parts(url: &str) -> (&str, &str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    match rest.find('/') {
        Some(at) => (rest.get(..at).unwrap_or(""), rest.get(at..).unwrap_or(""), query),
        None => (rest, "", query),
    }
}

/// `20260102T030405Z`.
fn basic(time: Timestamp) -> String {
    let text = Timestamp::from_seconds(time.seconds()).to_string();
    text.chars().filter(|letter| !matches!(letter, '-' | ':')).collect()
}

#[cfg(test)]
mod tests {
    use strongroom_base::SecretString;

    use super::*;

    /// What Huawei's own library for Go makes of the same call.
    #[test]
    fn the_signature_is_that_of_another_implementation() {
        let secret = |text: &str| SecretString::new(text.to_owned());
        let credentials = Credentials {
            access_key: "ACCESS".into(),
            secret_key: secret("a secret key"),
            token: Some(secret("session")),
            project: None,
        };
        let url = "https://kms.tr-west-1.myhuaweicloud.com/v1.0/0a1b2c/kms/encrypt-data";
        let body = b"{\"key_id\":\"key-uuid\",\"plain_text\":\"cGFydA==\"}\n";
        let call = Call::post(url, "application/json", body.to_vec());
        let call = call.header(HeaderName::from_static("x-project-id"), "0a1b2c").unwrap();
        let now = Timestamp::parse("2026-11-26T12:00:00Z").unwrap();
        let call = signed(call, &credentials, now).unwrap();
        assert_eq!(call.headers["x-sdk-date"], "20261126T120000Z");
        assert_eq!(
            call.headers["authorization"],
            "SDK-HMAC-SHA256 Access=ACCESS, \
             SignedHeaders=host;x-project-id;x-sdk-date;x-security-token, \
             Signature=5cfc78b6b25a67ab752faf56b42b92c0eae7e2e5d749a6f997af89002129cae0"
        );
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(parts("https://a:1/b/c?d=e"), ("a:1", "/b/c", "d=e"));
        assert_eq!(parts("http://a"), ("a", "", ""));
    }
}
