//! From an HTTP request to a call.

use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};
use strongroom_base::limits::TOKEN_BYTES_MAX;
use strongroom_base::{Error, Foreign, RequestPath, Result, SecretString, parse_duration, percent};
use strongroom_kernel::pipeline::{Bounds, Call};
use strongroom_kernel::plug::{Peer, Protocol, Verb};

/// A request without its body.
pub struct Head {
    /// The call, with an empty body.
    pub call: Call,
    /// HEAD: the answer's body is left out.
    pub head_only: bool,
}

/// Headers that say who asks for what.
const ONCE: &[&str] = &["x-vault-token", "x-vault-namespace", "x-vault-wrap-ttl", "authorization"];

/// Reads method, path, query and headers.
pub fn parse_head(parts: &Parts, peer: Peer) -> Result<Head> {
    let raw = parts.uri.path();
    let below =
        raw.strip_prefix("/v1/").ok_or_else(|| Error::no_route(raw.trim_start_matches('/')))?;
    let path = RequestPath::parse_encoded(below);
    let path = path.or_else(|bad| ocsp_path(&parts.method, below).ok_or(bad));
    let path = path.map_err(|bad| Error::bad_request(bad.to_string()))?;
    let query = parse_query(parts.uri.query().unwrap_or_default())?;
    let (verb, head_only) = verb(&parts.method, &query)?;
    let headers = &parts.headers;
    if verb == Verb::Patch {
        require_merge_patch(headers)?;
    }
    // Given twice, such a header would mean one thing to us and maybe another to who stands before
    // us.
    for name in ONCE {
        if headers.get_all(*name).iter().nth(1).is_some() {
            return Err(Error::bad_request(format!("the header {name} is given more than once")));
        }
    }
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let wrap_ttl = match text("x-vault-wrap-ttl") {
        None | Some("") => None,
        Some(ttl) => match parse_duration(ttl) {
            Some(seconds) if seconds >= 0 => Some(seconds),
            _ => return Err(Error::bad_request("the wrapping TTL is not a duration")),
        },
    };
    let call = Call {
        namespace: text("x-vault-namespace").unwrap_or_default().to_owned(),
        path,
        verb,
        protocol: Protocol::Vault,
        head: head_only,
        token: token(headers)?,
        inline: super::inline::read(headers)?.map(Box::new),
        credential: None,
        body: Bytes::new(),
        fields: None,
        query: query.into_iter().filter(|(name, _)| name != "list" && name != "scan").collect(),
        upload: None,
        wrap_ttl,
        headers: plain_headers(headers),
        peer,
        bounds: Bounds::default(),
    };
    Ok(Head { call, head_only })
}

/// The one type of a PATCH's body (API page "HTTP API"; RFC 7396).
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Refuses a PATCH that says nothing of its body, or that it is something else.
fn require_merge_patch(headers: &HeaderMap) -> Result<()> {
    let given = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.map(|text| text.split(';').next().unwrap_or_default().trim());
    match given {
        None | Some("") => Err(Error::bad_request("mime: no media type")),
        Some(kind) if kind.eq_ignore_ascii_case(MERGE_PATCH) => Ok(()),
        Some(_) => {
            let text = format!("PATCH requires Content-Type of {MERGE_PATCH}");
            let body = serde_json::json!({ "errors": [text] }).to_string() + "\n";
            Err(Error::bad_request(text).in_words(Foreign {
                status: 415,
                content_type: "application/json",
                body: body.into_bytes(),
                headers: Vec::new(),
            }))
        }
    }
}

/// Bytes of the base64 of an OCSP request in a path.
const OCSP_BASE64_MAX: usize = 2_048;

/// The path of an OCSP request by GET, whose last part is base64 (RFC 6960 appendix A.1): it may hold
/// slashes side by side or encoded ones, which no other path may. It is brought into the one spelling
/// that stands in a single segment (base64url), before anything looks at it: the path that policy
/// judges is still the very path that is executed (threat CVE-2026-3605). Only what is the DER of one
/// whole sequence is taken for such a request.
fn ocsp_path(method: &Method, below: &str) -> Option<RequestPath> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let (mount, encoded) = below.split_once("/ocsp/")?;
    // A plus is a plus in a path.
    let text = decode(&encoded.replace('+', "%2B"))?;
    if text.len() > OCSP_BASE64_MAX {
        return None;
    }
    let der = STANDARD.decode(text).ok()?;
    let whole = match *der.as_slice() {
        [0x30, length @ ..=0x7f, ..] => der.len() == 2 + usize::from(length),
        [0x30, 0x81, length, ..] => der.len() == 3 + usize::from(length),
        [0x30, 0x82, high, low, ..] => {
            der.len() == 4 + usize::from(u16::from_be_bytes([high, low]))
        }
        _ => false,
    };
    let path = format!("{mount}/ocsp/{}", URL_SAFE_NO_PAD.encode(&der));
    if whole { RequestPath::parse_encoded(&path).ok() } else { None }
}

fn verb(method: &Method, query: &[(String, String)]) -> Result<(Verb, bool)> {
    let asks = |verb: &str| {
        query.iter().any(|(name, value)| {
            name == verb && matches!(value.as_str(), "true" | "1" | "t" | "T" | "TRUE" | "True")
        })
    };
    Ok(match method.as_str() {
        "GET" if asks("list") => (Verb::List, false),
        "GET" if asks("scan") => (Verb::Scan, false),
        "GET" => (Verb::Read, false),
        "HEAD" => (Verb::Read, true),
        "POST" | "PUT" => (Verb::Write, false),
        "DELETE" => (Verb::Delete, false),
        "PATCH" => (Verb::Patch, false),
        "LIST" => (Verb::List, false),
        "SCAN" => (Verb::Scan, false),
        _ => return Err(Error::unsupported()),
    })
}

/// The token: `X-Vault-Token`, else `Authorization: Bearer`.
fn token(headers: &HeaderMap) -> Result<Option<SecretString>> {
    let value = match headers.get("x-vault-token") {
        Some(value) => value.to_str().ok(),
        None => headers
            .get(http::header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim()),
    };
    match value {
        None | Some("") => Ok(None),
        Some(token) if token.len() > TOKEN_BYTES_MAX => {
            Err(Error::bad_request("the token is too long"))
        }
        Some(token) => Ok(Some(SecretString::new(token.to_owned()))),
    }
}

/// Headers for plug-ins and the audit log: credentials left out.
fn plain_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            !matches!(
                name.as_str(),
                "x-vault-token" | "authorization" | "cookie" | "host" | "content-length"
            ) && !name.as_str().starts_with(super::inline::PREFIX)
        })
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect()
}

/// Query parameters, percent-decoded, `+` as a space.
fn parse_query(query: &str) -> Result<Vec<(String, String)>> {
    let bad = || Error::bad_request("the query is malformed");
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name).ok_or_else(bad)?, decode(value).ok_or_else(bad)?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    percent::decode_query(text).map(|text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Head> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        parse_head(&parts, Peer::default())
    }

    #[test]
    fn verbs() {
        for (method, uri, verb) in [
            ("GET", "/v1/a", Verb::Read),
            ("GET", "/v1/a?list=true", Verb::List),
            ("GET", "/v1/a?scan=true", Verb::Scan),
            ("LIST", "/v1/a", Verb::List),
            ("SCAN", "/v1/a", Verb::Scan),
            ("PUT", "/v1/a", Verb::Write),
            ("POST", "/v1/a", Verb::Write),
            ("PATCH", "/v1/a", Verb::Patch),
            ("DELETE", "/v1/a", Verb::Delete),
        ] {
            let typed = [("content-type", MERGE_PATCH)];
            assert_eq!(head(method, uri, &typed).unwrap().call.verb, verb, "{method} {uri}");
        }
        assert!(head("GET", "/v1/a", &[]).is_ok_and(|h| !h.head_only));
        assert!(head("HEAD", "/v1/a", &[]).is_ok_and(|h| h.head_only));
        assert!(head("BREW", "/v1/a", &[]).is_err());
    }

    #[test]
    fn a_patch_says_what_its_body_is() {
        let status = |headers: &[(&str, &str)]| {
            head("PATCH", "/v1/a", headers)
                .err()
                .map(|e| crate::vault::failure(&e).status().as_u16())
        };
        assert_eq!(status(&[]), Some(400));
        assert_eq!(status(&[("content-type", "")]), Some(400));
        assert_eq!(status(&[("content-type", "application/json")]), Some(415));
        assert_eq!(status(&[("content-type", "application/json-patch+json")]), Some(415));
        assert_eq!(
            status(&[("content-type", "Application/Merge-Patch+JSON; charset=utf-8")]),
            None
        );
    }

    #[test]
    fn two_ways_to_carry_a_token() {
        for header in [("x-vault-token", "t"), ("authorization", "Bearer t")] {
            let token = head("GET", "/v1/a", &[header]).unwrap().call.token.unwrap();
            assert_eq!(token.expose_secret(), "t");
        }
        let call = head("GET", "/v1/a", &[("x-vault-token", "t"), ("x-a", "b")]).unwrap().call;
        assert_eq!(call.headers, [("x-a".to_owned(), "b".to_owned())]);
    }

    /// RFC 6960 appendix A.1: DER, base64, then percent-encoding. Clients leave the last one out.
    #[test]
    fn an_ocsp_request_in_a_path_has_one_spelling() {
        for (uri, path) in [
            ("/v1/pki/ocsp/MAb%2F%2F%2F%2F%2F%2F%2F8%3D", "pki/ocsp/MAb_______8"),
            ("/v1/pki/ocsp/MAb///////8=", "pki/ocsp/MAb_______8"),
            ("/v1/a/b/ocsp/MAP%2F++8%3d", "a/b/ocsp/MAP_--8"),
            // These are paths as they are.
            ("/v1/pki/ocsp/MAP/++8=", "pki/ocsp/MAP/++8="),
            ("/v1/pki/ocsp/MEIw%3D", "pki/ocsp/MEIw="),
        ] {
            assert_eq!(head("GET", uri, &[]).unwrap().call.path.as_str(), path, "{uri}");
        }
    }

    #[test]
    fn malformed_requests_are_refused() {
        // threat CVE-2026-3605
        for uri in ["/v1/a/../b", "/v1/a%2fb", "/v1/a//b", "/v1/a/%2e%2e/b", "/v1/a?x=%zz"] {
            assert!(head("GET", uri, &[]).is_err(), "{uri}");
        }
        // What is no OCSP request does not pass for one.
        for uri in [
            "/v1/secret/data/ocsp/a%2fb",
            "/v1/secret/data/ocsp/a//b",
            "/v1/pki/ocsp/../MEIw",
            "/v1/pki/ocsp/MEIw%2F",
            "/v1/pki/../ocsp/MAb%2F%2F%2F%2F%2F%2F%2F8%3D",
            // A sequence that does not end where the bytes do, and none.
            "/v1/pki/ocsp/MAX%2F%2F%2F%2F%2F%2F%2F8%3D",
            "/v1/pki/ocsp/BAb%2F%2F%2F%2F%2F%2F%2F8%3D",
        ] {
            assert!(head("GET", uri, &[]).is_err(), "{uri}");
        }
        assert!(head("POST", "/v1/pki/ocsp/MAb///////8=", &[]).is_err());
        assert!(head("GET", "/v1/a", &[("x-vault-wrap-ttl", "soon")]).is_err());
        for name in ONCE {
            assert!(head("GET", "/v1/a", &[(name, "1m"), (name, "1m")]).is_err(), "{name}");
        }
    }
}
