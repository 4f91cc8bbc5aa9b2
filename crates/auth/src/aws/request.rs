//! A login's signed request: what it may be, and what of it is sent on.
//!
//! The request is a stranger's, and the server sends it: it must not be able to do anything but ask STS
//! who signed it, and its answer must not be what the stranger chose (threats CVE-2020-16250,
//! CVE-2020-16251).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Error, Json, Result, SecretString};
use strongroom_cloudwire::caller_identity::SERVER_ID_HEADER;
use strongroom_cloudwire::sigv4::Authorization;
use strongroom_crypto::constant_time_eq;

use super::stored::Client;
use super::sts;

/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Bytes of a request's URL, and of its body.
const TEXT_BYTES_MAX: usize = 2_048;
/// Bytes of all headers. Session tokens have some 2 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1_024;

/// `X-Amz-…` headers that every signed request may have.
const AMZ_HEADERS: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Headers about the connection, which is ours: they may not be under the signature.
const CONNECTION_HEADERS: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a login brings.
pub struct Brought {
    /// `iam_http_request_method`.
    pub method: Option<String>,
    /// `iam_request_url`, in base64.
    pub url: Option<String>,
    /// `iam_request_body`, in base64.
    pub body: Option<String>,
    /// `iam_request_headers`: an object, or one in base64.
    pub headers: Option<Json>,
}

/// A request that may be sent on.
#[derive(Debug)]
pub struct Checked {
    /// The region it is signed for.
    pub region: String,
    /// Headers to send: the ones under the signature, and those that carry it.
    pub headers: Vec<(String, SecretString)>,
    /// The body.
    pub body: String,
}

/// Checks a request against the configuration.
pub fn check(brought: Brought, client: &Client) -> Result<Checked> {
    let Brought { method, url, body, headers } = brought;
    if method.is_none() && url.is_none() && body.is_none() && headers.is_none() {
        return Err(Error::bad_request("didn't supply required authentication values"));
    }
    match method.as_deref().unwrap_or_default() {
        "POST" => {}
        "" => return Err(missing("iam_http_request_method")),
        _ => {
            return Err(Error::bad_request(
                "invalid iam_http_request_method; currently only 'POST' is supported",
            ));
        }
    }
    let host = host_of(&decoded("iam_request_url", url)?)?;
    let body = decoded("iam_request_body", body)?;
    check_body(&body)?;
    let headers = read_headers(headers)?;
    check_amz(&headers, client)?;
    let authorization = headers.get("authorization").map(String::as_str).unwrap_or_default();
    let authorization = Authorization::parse(authorization)
        .ok_or_else(|| Error::bad_request("the Authorization header is no signature version 4"))?;
    if authorization.scope.service != "sts" || !authorization.signs("host") {
        return Err(Error::bad_request("the request is not signed for STS"));
    }
    check_server_id(&headers, &authorization, client)?;
    let known = sts::is_host_of_aws(&host)
        || !client.sts_endpoint.is_empty()
            && crate::endpoints::authority(&client.sts_endpoint).eq_ignore_ascii_case(&host);
    let given = headers.get("host").map_or(host.as_str(), String::as_str);
    if !known || !given.eq_ignore_ascii_case(&host) {
        return Err(Error::bad_request("iam_request_url names another host than STS"));
    }
    let region = authorization.scope.region.to_owned();
    Ok(Checked { headers: to_send(&headers, &authorization, given)?, region, body })
}

fn missing(field: &str) -> Error {
    Error::bad_request(format!("missing {field}"))
}

fn decoded(field: &str, text: Option<String>) -> Result<String> {
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| missing(field))?;
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() <= TEXT_BYTES_MAX);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Error::bad_request(format!("failed to base64 decode {field}")))
}

/// The host of the URL, with its port. The path is the root's and there is no query: what is asked
/// stands in the body alone.
fn host_of(url: &str) -> Result<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| Error::bad_request("error parsing iam_request_url"))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(Error::bad_request("iam_request_url must be the root of a host"));
    }
    Ok(host.strip_suffix(":443").unwrap_or(host).to_owned())
}

/// The action once, its version at most once, and nothing else.
fn check_body(body: &str) -> Result<()> {
    let (mut actions, mut versions, mut others) = (0, 0, 0);
    for pair in body.split('&') {
        match pair {
            "Action=GetCallerIdentity" => actions += 1,
            "Version=2011-06-15" => versions += 1,
            _ => others += 1,
        }
    }
    if actions == 1 && versions <= 1 && others == 0 {
        Ok(())
    } else {
        Err(Error::bad_request("iam request body is invalid"))
    }
}

/// Headers by name in lower case, each once.
fn read_headers(given: Option<Json>) -> Result<BTreeMap<String, String>> {
    let bad = || Error::bad_request("iam_request_headers must be a JSON object of headers");
    let object = match given {
        None | Some(Json::Null) => return Err(missing("iam_request_headers")),
        Some(Json::String(text)) if text.trim_start().starts_with('{') => {
            parse_bounded(text.as_bytes()).map_err(|_| bad())?
        }
        Some(Json::String(text)) => {
            let bytes = STANDARD.decode(text.trim()).map_err(|_| bad())?;
            parse_bounded(&bytes).map_err(|_| bad())?
        }
        Some(other) => other,
    };
    let Json::Object(object) = object else { return Err(bad()) };
    let mut headers = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in object {
        let value = match value {
            Json::String(one) => one,
            Json::Number(one) => one.to_string(),
            Json::Array(all) => {
                let all: Option<Vec<&str>> = all.iter().map(Json::as_str).collect();
                all.ok_or_else(bad)?.join(",")
            }
            _ => return Err(bad()),
        };
        bytes += name.len() + value.len();
        let name = name.to_ascii_lowercase();
        let good = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && http::HeaderValue::from_str(&value).is_ok();
        // One name in two spellings: which one would have been signed?
        if !good || headers.insert(name, value).is_some() {
            return Err(bad());
        }
    }
    if headers.is_empty() {
        return Err(missing("iam_request_headers"));
    }
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Error::bad_request("iam_request_headers has too many or too long headers"));
    }
    Ok(headers)
}

fn check_amz(headers: &BTreeMap<String, String>, client: &Client) -> Result<()> {
    let allowed = |name: &str| {
        AMZ_HEADERS.contains(&name)
            || client.allowed_headers.iter().any(|h| h.eq_ignore_ascii_case(name))
    };
    if headers.keys().any(|name| name.starts_with("x-amz-") && !allowed(name)) {
        return Err(Error::bad_request(
            "invalid request header: an X-Amz header that allowed_sts_header_values does not name",
        ));
    }
    Ok(())
}

fn check_server_id(
    headers: &BTreeMap<String, String>,
    authorization: &Authorization<'_>,
    client: &Client,
) -> Result<()> {
    if client.server_id.is_empty() {
        return Ok(());
    }
    let refused = |why: &str| {
        Err(Error::bad_request(format!("error validating {SERVER_ID_HEADER} header: {why}")))
    };
    let name = SERVER_ID_HEADER.to_ascii_lowercase();
    let Some(given) = headers.get(&name).filter(|value| !value.is_empty()) else {
        return refused(&format!("missing header {SERVER_ID_HEADER:?}"));
    };
    if !constant_time_eq(given.as_bytes(), client.server_id.as_bytes()) {
        return refused("it is not this server's");
    }
    if !authorization.signs(&name) {
        return refused("vault header wasn't signed");
    }
    Ok(())
}

/// What is sent: what the signature covers, and what carries it. All else of what came is left out.
fn to_send(
    headers: &BTreeMap<String, String>,
    authorization: &Authorization<'_>,
    host: &str,
) -> Result<Vec<(String, SecretString)>> {
    let mut send: Vec<(String, SecretString)> = Vec::new();
    let mut add = |name: &str, value: &str| {
        send.push((name.to_owned(), SecretString::new(value.to_owned())));
    };
    for name in &authorization.signed_headers {
        if CONNECTION_HEADERS.contains(name) {
            return Err(Error::bad_request("a header of the connection is signed"));
        }
        match (*name, headers.get(*name)) {
            // Both follow from the request as it is sent.
            ("host" | "content-length", _) => {}
            (name, Some(value)) => add(name, value),
            (_, None) => return Err(Error::bad_request("a signed header is missing")),
        }
    }
    let carries = |name: &str| name.starts_with("x-amz-") || name == "authorization";
    for (name, value) in headers {
        if carries(name) && !authorization.signs(name) {
            add(name, value);
        }
    }
    if !authorization.signs("content-type") {
        add("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    }
    add("host", host);
    Ok(send)
}
