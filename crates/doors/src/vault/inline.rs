//! The headers of a login that comes along with a request (docs page "Authentication", "Inline
//! Authentication"; RFC "Support inline authentication for non-leased operations").
//!
//! A parameter is a header whose value is the base64 (for URLs, without padding) of a JSON object
//! with `key` and `value`; what follows the prefix of its name only tells it from the others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName};
use strongroom_base::json::{self, Json, JsonMap};
use strongroom_base::limits::HEADER_BYTES_MAX;
use strongroom_base::{Error, RequestPath, Result};
use strongroom_kernel::pipeline::InlineLogin;
use strongroom_kernel::plug::Verb;

/// All headers of such a login begin so.
pub const PREFIX: &str = "x-vault-inline-auth-";
/// The header of an answer that is the login's failure and not the request's.
pub const FAILED: HeaderName = HeaderName::from_static("x-vault-inline-auth-failed");

const PARAMETER: &str = "x-vault-inline-auth-parameter-";

fn bad(text: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("failed to perform inline authentication: {text}"))
}

/// The one value of a header; nothing where it is not there.
fn one<'h>(headers: &'h HeaderMap, name: &str, shown: &str) -> Result<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| bad(format!("{shown} is no text")))
        }
        _ => Err(bad(format!("expected exactly one value for {shown}"))),
    }
}

/// The login that a request brings along, if it does.
pub fn read(headers: &HeaderMap) -> Result<Option<InlineLogin>> {
    let path = one(headers, "x-vault-inline-auth-path", "X-Vault-Inline-Auth-Path")?;
    let Some(path) = path else { return Ok(None) };
    let path = RequestPath::parse(path.trim_start_matches('/')).map_err(bad)?;
    let shown = "X-Vault-Inline-Auth-Operation";
    let verb = match one(headers, "x-vault-inline-auth-operation", shown)? {
        None | Some("update" | "create") => Verb::Write,
        Some("read") => Verb::Read,
        Some(_) => return Err(bad(format!("expected a valid login operation in {shown}"))),
    };
    let shown = "X-Vault-Inline-Auth-Namespace";
    let namespace = one(headers, "x-vault-inline-auth-namespace", shown)?.map(str::to_owned);
    let mut fields = JsonMap::new();
    for name in headers.keys().filter(|name| name.as_str().starts_with(PARAMETER)) {
        let value = one(headers, name.as_str(), "each auth header parameter")?.unwrap_or_default();
        let (key, value) = parameter(value).map_err(bad)?;
        if fields.insert(key, value).is_some() {
            return Err(bad("a parameter is given more than once"));
        }
    }
    let body = Json::Object(fields).to_string().into();
    Ok(Some(InlineLogin { namespace, path, verb, body }))
}

/// Key and value of a parameter. What is wrong is said without repeating it.
fn parameter(encoded: &str) -> std::result::Result<(String, Json), &'static str> {
    if encoded.len() > HEADER_BYTES_MAX {
        return Err("a parameter is too long");
    }
    let text = URL_SAFE_NO_PAD.decode(encoded);
    let text = text.map_err(|_| "failed raw url-safe base64 decoding header value")?;
    let json = json::parse_bounded(&text).map_err(|_| "failed json decoding header value")?;
    let Json::Object(mut map) = json else { return Err("failed json decoding header value") };
    let key = map.remove("key").ok_or("decoded header lacked `key` field")?;
    let Json::String(key) = key else {
        return Err("decoded header had incorrect type for `key` field");
    };
    let value = map.remove("value").ok_or("decoded header lacked `value` field")?;
    if map.is_empty() {
        Ok((key, value))
    } else {
        Err("unexpected field in decoded request parameter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(headers: &[(&str, &str)]) -> Result<Option<InlineLogin>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.to_lowercase().as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        read(&map)
    }

    const PATH: (&str, &str) = ("X-Vault-Inline-Auth-Path", "auth/userpass/login/kim");

    fn parameter_of(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn logins_as_clients_write_them() {
        assert!(login(&[("X-Vault-Inline-Auth-Operation", "read")]).unwrap().is_none());
        let bare = login(&[PATH]).unwrap().unwrap();
        assert_eq!((bare.path.as_str(), bare.verb), ("auth/userpass/login/kim", Verb::Write));
        assert_eq!((bare.namespace.as_deref(), &bare.body[..]), (None, b"{}".as_slice()));
        let password = parameter_of(r#"{"key":"Password","value":"?>"}"#);
        let number = parameter_of(r#"{"value":7,"key":"n"}"#);
        let full = login(&[
            PATH,
            ("X-Vault-Inline-Auth-Operation", "read"),
            ("X-Vault-Inline-Auth-Namespace", "team"),
            ("X-Vault-Inline-Auth-Parameter-1", &password),
            ("X-Vault-Inline-Auth-Parameter-n", &number),
        ]);
        let full = full.unwrap().unwrap();
        assert_eq!((full.verb, full.namespace.as_deref()), (Verb::Read, Some("team")));
        let fields: Json = serde_json::from_slice(&full.body).unwrap();
        assert_eq!(fields, serde_json::json!({ "Password": "?>", "n": 7 }));
    }

    #[test]
    fn logins_that_are_none() {
        let parameter = |json: &str| vec![("X-Vault-Inline-Auth-Parameter-a", parameter_of(json))];
        for (headers, text) in [
            (vec![(PATH.0, PATH.1.to_owned())], "exactly one value for X-Vault-Inline-Auth-Path"),
            (
                vec![("X-Vault-Inline-Auth-Operation", "alias-lookahead".to_owned())],
                "expected a valid login operation",
            ),
            (vec![("X-Vault-Inline-Auth-Operation", "delete".to_owned())], "valid login operation"),
            (
                vec![("X-Vault-Inline-Auth-Parameter-a", "hunter2=".to_owned())],
                "failed raw url-safe base64 decoding",
            ),
            (parameter("hunter2"), "failed json decoding"),
            (parameter(r#"["hunter2"]"#), "failed json decoding"),
            (parameter(r#"{"value":"hunter2"}"#), "lacked `key` field"),
            (parameter(r#"{"key":1,"value":"hunter2"}"#), "incorrect type for `key`"),
            (parameter(r#"{"key":"hunter2"}"#), "lacked `value` field"),
            (parameter(r#"{"key":"k","value":1,"x":"hunter2"}"#), "unexpected field"),
            (
                [parameter(r#"{"key":"k","value":1}"#), parameter(r#"{"key":"k","value":1}"#)]
                    .concat(),
                "exactly one value for each auth header parameter",
            ),
        ] {
            let mut all = vec![PATH];
            all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
            let error = login(&all).err().unwrap().public.join(" ");
            assert!(error.contains(text) && !error.contains("hunter2"), "{error}");
        }
        // threat CVE-2026-3605: the path is held to the rules of all paths.
        for path in ["auth/../sys", "auth//login", "auth/a\u{9}b"] {
            assert!(login(&[(PATH.0, path)]).is_err(), "{path}");
        }
    }
}
