//! Requests of pages of other origins (API page "/sys/config/cors"), before anything else of a
//! request is looked at.
//!
//! Invariant: an origin that is not allowed gets 403 and no other answer, whatever it asks.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use strongroom_base::{Error, ErrorKind};
use strongroom_doors::vault;
use strongroom_kernel::web::Cors;

use crate::listen::CorsRules;

/// What pages may send.
const METHODS: &[&str] = &["DELETE", "GET", "OPTIONS", "POST", "PUT", "PATCH", "LIST", "SCAN"];

/// What follows for a request.
pub enum Verdict {
    /// It is no request of another origin, or none is configured.
    Silent,
    /// It goes on; its answer carries these headers.
    Allowed(HeaderMap),
    /// This is the answer.
    Answered(Response<Bytes>),
}

/// The settings that hold: a listener's own stand in place of the server's.
pub fn of_listener(rules: &CorsRules) -> Cors {
    Cors {
        enabled: true,
        origins: rules.allowed_origins.clone(),
        headers: rules.allowed_headers.clone(),
        credentials: rules.allow_credentials,
    }
}

/// Judges a request by the settings.
pub fn judge(cors: &Cors, method: &Method, headers: &HeaderMap) -> Verdict {
    let Some(origin) = headers.get(header::ORIGIN).filter(|o| cors.enabled && !o.is_empty()) else {
        return Verdict::Silent;
    };
    if !origin.to_str().is_ok_and(|origin| cors.allows(origin)) {
        let error = Error::new(ErrorKind::PermissionDenied, "origin not allowed");
        return Verdict::Answered(vault::failure(&error));
    }
    let mut out = HeaderMap::new();
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    out.insert(header::VARY, HeaderValue::from_static("Origin"));
    if cors.credentials {
        out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if method != Method::OPTIONS {
        return Verdict::Allowed(out);
    }
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).and_then(|m| m.to_str().ok());
    let mut response = Response::new(Bytes::new());
    let served = asked.is_some_and(|asked| METHODS.contains(&asked));
    if served {
        let list = |texts: String| HeaderValue::from_str(&texts).ok();
        out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
        if let Some(methods) = list(METHODS.join(",")) {
            out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        if let Some(names) = list(cors.all_headers().join(",")) {
            out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        *response.headers_mut() = out;
    } else {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Verdict::Answered(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cors: &Cors, method: Method, sent: &[(&str, &str)]) -> (u16, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        match judge(cors, &method, &headers) {
            Verdict::Silent => (0, HeaderMap::new()),
            Verdict::Allowed(headers) => (200, headers),
            Verdict::Answered(response) => (response.status().as_u16(), response.headers().clone()),
        }
    }

    #[test]
    fn origins_are_judged() {
        let on = Cors {
            enabled: true,
            origins: vec!["http://a".to_owned(), "http://b".to_owned()],
            headers: vec!["X-Own".to_owned()],
            credentials: false,
        };
        let all = Cors { origins: vec!["*".to_owned()], credentials: true, ..on.clone() };
        let off = Cors::default();
        let (a, c) = (("origin", "http://a"), ("origin", "http://c"));
        let put = ("access-control-request-method", "PUT");
        let brew = ("access-control-request-method", "BREW");
        for (cors, method, sent, status) in [
            (&on, Method::GET, vec![], 0),
            (&on, Method::OPTIONS, vec![put], 0),
            (&on, Method::GET, vec![a], 200),
            (&on, Method::GET, vec![c], 403),
            (&on, Method::OPTIONS, vec![c, put], 403),
            (&on, Method::OPTIONS, vec![a, put], 200),
            (&on, Method::OPTIONS, vec![a, brew], 405),
            (&on, Method::OPTIONS, vec![a], 405),
            (&all, Method::GET, vec![c], 200),
            (&off, Method::GET, vec![c], 0),
            (&off, Method::OPTIONS, vec![c, put], 0),
        ] {
            let (got, headers) = check(cors, method.clone(), &sent);
            assert_eq!(got, status, "{method} {sent:?} {cors:?}");
            let allowed = headers.contains_key("access-control-allow-origin");
            assert_eq!(allowed, status == 200, "{method} {sent:?}");
        }
        let (_, headers) = check(&on, Method::OPTIONS, &[a, put]);
        let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(text("access-control-allow-origin").as_deref(), Some("http://a"));
        assert_eq!(text("vary").as_deref(), Some("Origin"));
        assert!(text("access-control-allow-methods").is_some_and(|m| m.contains("LIST")));
        assert!(text("access-control-allow-headers").is_some_and(|h| {
            h.starts_with("Content-Type,Authorization,X-Vault-Token,") && h.ends_with(",X-Own")
        }));
        assert_eq!(text("access-control-allow-credentials"), None);
        let (_, headers) = check(&all, Method::GET, &[c]);
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-allow-origin"], "http://c");
    }
}
