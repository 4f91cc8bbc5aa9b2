//! Who may call: whoever signs with the key pair that `config/rotation-functions` of the KV mount has, as the
//! server does (AWS Signature Version 4).
//!
//! A signature covers host, path, time, body and all `x-amz-` headers, and is good for five minutes. Who
//! could see a call on this machine's loopback could send it again meanwhile: a function must take that in
//! any case.

use std::path::Path;

use http::request::Parts;
use http::{HeaderMap, header};
use strongroom_base::{SecretString, Timestamp};
use strongroom_cloudwire::sigv4::{self, Authorization, Request};

use super::super::command::Fail;
use super::super::context::Context;

/// The flags, and the variables that say the same.
pub const ACCESS_KEY: &str = "access-key";
pub const SECRET_KEY_FILE: &str = "secret-key-file";
const ACCESS_KEY_VARIABLE: &str = "STRONGROOM_ROTATOR_ACCESS_KEY";
pub const SECRET_KEY_VARIABLE: &str = "STRONGROOM_ROTATOR_SECRET_KEY";

/// The service that signatures are for.
const SERVICE: &str = "lambda";
/// The prefix of headers that a signature must cover.
const SIGNED_PREFIX: &str = "x-amz-";

/// The pair.
pub struct Caller {
    access_key: String,
    secret_key: SecretString,
}

/// A refusal: its kind and its text, as AWS says them.
pub type Refused = (&'static str, String);

fn refused<T>(kind: &'static str, text: &str) -> Result<T, Refused> {
    Err((kind, text.to_owned()))
}

fn mismatch<T>() -> Result<T, Refused> {
    refused(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS \
         Secret Access Key and signing method. Consult the service documentation for details.",
    )
}

impl Caller {
    /// The pair of the flags and the environment; none where neither has one.
    pub fn given(cx: &Context<'_, '_>) -> Result<Option<Self>, Fail> {
        let access_key = match cx.flags.text_or_empty(ACCESS_KEY) {
            "" => cx.env().plain(ACCESS_KEY_VARIABLE),
            key => Some(key.to_owned()),
        };
        let secret_key = match cx.flags.text_or_empty(SECRET_KEY_FILE) {
            "" => cx.env().plain(SECRET_KEY_VARIABLE).map(SecretString::new),
            file => Some(read(Path::new(file))?),
        };
        match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => Ok(Some(Self { access_key, secret_key })),
            (None, None) => Ok(None),
            _ => Err(Fail::usage(format!(
                "-{ACCESS_KEY} or {ACCESS_KEY_VARIABLE}, and -{SECRET_KEY_FILE} or {SECRET_KEY_VARIABLE} go \
                 together"
            ))),
        }
    }

    /// What a call says of its signature, once that it could be one of this pair: before its body is read.
    pub fn claim<'h>(
        &self,
        headers: &'h HeaderMap,
        now: Timestamp,
    ) -> Result<Authorization<'h>, Refused> {
        let Some(said) = headers.get(header::AUTHORIZATION) else {
            return refused("MissingAuthenticationTokenException", "Missing Authentication Token");
        };
        let Some(claim) = said.to_str().ok().and_then(Authorization::parse) else {
            return refused(
                "IncompleteSignatureException",
                "The Authorization header is no signature of version 4.",
            );
        };
        if claim.access_key != self.access_key {
            return refused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            );
        }
        let date = headers.get("x-amz-date").and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(sigv4::read_date) else {
            return refused("IncompleteSignatureException", "X-Amz-Date says no time.");
        };
        sigv4::check_fresh(date, now, None).map_err(|text| ("InvalidSignatureException", text))?;
        let covers = |name: &str| !name.starts_with(SIGNED_PREFIX) || claim.signs(name);
        if claim.scope.service != SERVICE || !headers.keys().all(|name| covers(name.as_str())) {
            return mismatch();
        }
        Ok(claim)
    }

    /// Is it this call that was signed?
    pub fn verify(
        &self,
        head: &Parts,
        claim: &Authorization<'_>,
        body: &[u8],
    ) -> Result<(), Refused> {
        let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = head.headers.iter();
        let headers: Option<Vec<(String, String)>> =
            headers.map(|(name, value)| Some((name.to_string(), text(value)?))).collect();
        let Some(headers) = headers else { return mismatch() };
        let payload = sigv4::hash_of(body);
        let request = Request {
            method: head.method.as_str(),
            query: head.uri.query().unwrap_or_default(),
            ..Request::post(head.uri.path(), &headers, &payload)
        };
        match sigv4::verify(request, claim, &self.secret_key) {
            true => Ok(()),
            false => mismatch(),
        }
    }
}

/// The secret key in a file.
fn read(file: &Path) -> Result<SecretString, Fail> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|e| {
        Fail::usage(format!("-{SECRET_KEY_FILE}: {} can't be read: {}", file.display(), e.kind()))
    })?;
    let text = SecretString::new(text);
    match text.expose_secret().trim() {
        "" => Err(Fail::usage(format!("-{SECRET_KEY_FILE}: {} is empty", file.display()))),
        key => Ok(SecretString::new(key.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str =
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations";
    const NOW: Timestamp = Timestamp(1_790_000_000_000_000_000);

    fn caller(secret: &str) -> Caller {
        Caller { access_key: "AKID".to_owned(), secret_key: SecretString::new(secret.to_owned()) }
    }

    /// A call as the server sends it, and one more header that is not signed.
    fn call(key: &str, secret: &str, service: &str, body: &[u8], more: &[(&str, &str)]) -> Parts {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            header("host", "127.0.0.1:9001"),
            header("x-amz-invocation-type", "RequestResponse"),
        ];
        let payload = sigv4::hash_of(body);
        let credentials = sigv4::Credentials {
            access_key: key.to_owned(),
            secret_key: SecretString::new(secret.to_owned()),
            session_token: None,
        };
        let request = Request::post(PATH, &headers, &payload);
        headers.extend(sigv4::sign(request, &credentials, "eu-west-1", service, NOW));
        headers.extend(more.iter().map(|(name, value)| header(name, value)));
        let mut request = http::Request::post(PATH);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn judge(
        caller: &Caller,
        head: &Parts,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let claim = caller.claim(&head.headers, now).map_err(|refused| refused.0)?;
        caller.verify(head, &claim, body).map_err(|refused| refused.0)
    }

    #[test]
    fn calls_that_are_not_signed_by_the_pair_are_refused() {
        let mismatch = Err("InvalidSignatureException");
        let ours = caller("secret");
        let good = || call("AKID", "secret", "lambda", b"{}", &[]);
        for (head, body, now, expected) in [
            (
                call("OTHER", "secret", "lambda", b"{}", &[]),
                "{}",
                NOW,
                Err("UnrecognizedClientException"),
            ),
            (call("AKID", "other", "lambda", b"{}", &[]), "{}", NOW, mismatch),
            (call("AKID", "secret", "sts", b"{}", &[]), "{}", NOW, mismatch),
            (
                call("AKID", "secret", "lambda", b"{}", &[("x-amz-log-type", "Tail")]),
                "{}",
                NOW,
                mismatch,
            ),
            (
                call("AKID", "secret", "lambda", b"{}", &[("x-amz-date", "20260101T000000Z")]),
                "{}",
                NOW,
                mismatch,
            ),
            (good(), "{ }", NOW, mismatch),
            (good(), "{}", NOW.plus_seconds(301), mismatch),
            (good(), "{}", NOW.plus_seconds(-301), mismatch),
            (call("AKID", "secret", "lambda", b"{}", &[("accept", "*/*")]), "{}", NOW, Ok(())),
            (good(), "{}", NOW.plus_seconds(299), Ok(())),
        ] {
            assert_eq!(judge(&ours, &head, body.as_bytes(), now), expected, "{head:?} {body}");
        }
        let mut moved = good();
        moved.uri = "/2015-03-31/functions/g/invocations".parse().unwrap();
        assert_eq!(judge(&ours, &moved, b"{}", NOW), mismatch);
        for (value, expected) in [
            (None, "MissingAuthenticationTokenException"),
            (Some("Bearer x"), "IncompleteSignatureException"),
        ] {
            let mut head = good();
            head.headers.remove("authorization");
            if let Some(value) = value {
                head.headers.insert("authorization", value.parse().unwrap());
            }
            assert_eq!(judge(&ours, &head, b"{}", NOW), Err(expected));
        }
        let mut undated = good();
        undated.headers.remove("x-amz-date");
        assert_eq!(judge(&ours, &undated, b"{}", NOW), Err("IncompleteSignatureException"));
    }
}
