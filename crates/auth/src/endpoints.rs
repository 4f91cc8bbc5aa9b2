//! Addresses of providers that an operator may set in place of the provider's own.
//!
//! Invariant: what a provider says is heard over TLS. The one exception is an address of this machine,
//! as a proxy beside the server has it.

use http::Uri;
use strongroom_base::{Error, Result};

/// Bytes of an address.
const BYTES_MAX: usize = 2_048;

/// Checks the address `text` of `field`: `https`, or `http` to this machine; no user, query or
/// fragment. Answers it without slashes at its end. The empty text passes: it stands for the
/// provider's own address.
pub fn check(field: &str, text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let bad = |why: &str| Error::bad_request(format!("{field} must be {why}"));
    let plain = text.len() <= BYTES_MAX && !text.contains(['#', '?', '@', '\\']);
    let uri = text.parse::<Uri>().ok().filter(|_| plain);
    let uri = uri.ok_or_else(|| bad("a URL without user, query and fragment"))?;
    let host =
        uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("a URL with a host"))?;
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if local => {}
        _ => return Err(bad("an https URL (http only to this machine itself)")),
    }
    if uri.path().split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(bad("a URL without dots as segments"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// As [`check`], for an address whose requests are signed for the path `/`.
pub fn check_root(field: &str, text: &str) -> Result<String> {
    let checked = check(field, text)?;
    match checked.parse::<Uri>() {
        Ok(uri) if uri.path() != "/" => {
            Err(Error::bad_request(format!("{field} must be a URL without a path")))
        }
        _ => Ok(checked),
    }
}

/// Host and port of a checked address.
pub fn authority(checked: &str) -> &str {
    let rest = checked.split_once("://").map_or(checked, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{authority, check, check_root};

    #[test]
    fn only_tls_or_this_machine() {
        for (text, expect) in [
            ("", Some("")),
            ("https://sts.eu-west-1.amazonaws.com/", Some("https://sts.eu-west-1.amazonaws.com")),
            ("https://a.example:8443/x/v1//", Some("https://a.example:8443/x/v1")),
            ("http://127.0.0.1:4566", Some("http://127.0.0.1:4566")),
            ("http://localhost/", Some("http://localhost")),
            ("http://[::1]:1", Some("http://[::1]:1")),
            ("http://sts.amazonaws.com", None),
            ("http://127.0.0.1.evil.example", None),
            ("http://localhost.evil.example", None),
            ("http://localhost@evil.example", None),
            ("https://user:pw@a.example", None),
            ("https://a.example/?x=y", None),
            ("https://a.example/#x", None),
            ("https://a.example/../x", None),
            ("https:///x", None),
            ("ftp://a.example", None),
            ("file:///etc/passwd", None),
            ("a.example", None),
            ("/x", None),
            ("https://a example", None),
        ] {
            assert_eq!(check("f", text).ok().as_deref(), expect, "{text}");
        }
        assert!(check_root("f", "https://a.example/x").is_err());
        assert!(check_root("f", "https://a.example/").is_ok());
        assert_eq!(authority("https://a.example:1/x"), "a.example:1");
    }
}
