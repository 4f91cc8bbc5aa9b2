//! Where a provider may send a browser (RFC 8252 §7.3, RFC 9700 §2.1).
//!
//! Invariant: an address is allowed when it is written exactly as the role has it. Only the port of a
//! loopback address may be another, since programs listen where there is room.

use super::form;

/// Names of this machine.
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "[::1]"];

/// May the provider send the browser to `uri`?
pub fn is_allowed(uri: &str, allowed: &[String]) -> bool {
    if uri.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return false;
    }
    if allowed.iter().any(|a| a == uri) {
        return true;
    }
    let Some(own) = without_port(uri) else { return false };
    allowed.iter().any(|a| without_port(a).is_some_and(|a| a == own))
}

/// Scheme, host and the rest of a loopback address; `None` for others.
fn without_port(uri: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    LOOPBACK.contains(&host).then_some((scheme, host, rest))
}

/// The address without its query's `namespace`, and that namespace; `None` where the query is none.
pub fn take_namespace(uri: &str) -> Option<(String, String)> {
    let Some((base, query)) = uri.split_once('?') else {
        return Some((uri.to_owned(), String::new()));
    };
    let is_namespace = |pair: &&str| pair.split('=').next() == Some("namespace");
    let Some(pair) = query.split('&').find(is_namespace) else {
        return Some((uri.to_owned(), String::new()));
    };
    let pairs = form::decode(pair)?;
    let namespace = pairs.first().map(|(_, value)| value.expose_secret().clone());
    let others: Vec<&str> = query.split('&').filter(|pair| !is_namespace(pair)).collect();
    let uri = match others.join("&") {
        query if query.is_empty() => base.to_owned(),
        query => format!("{base}?{query}"),
    };
    Some((uri, namespace.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threats: redirects to others.
    #[test]
    fn only_what_the_role_names_and_any_port_of_this_machine() {
        let allowed = [
            "https://vault.example:8200/ui/vault/auth/oidc/oidc/callback",
            "http://localhost:8250/oidc/callback",
            "http://127.0.0.1/oidc/callback?x=1",
        ]
        .map(str::to_owned);
        for (uri, fits) in [
            ("https://vault.example:8200/ui/vault/auth/oidc/oidc/callback", true),
            ("http://localhost:8250/oidc/callback", true),
            ("http://localhost:9999/oidc/callback", true),
            ("http://localhost/oidc/callback", true),
            ("http://127.0.0.1:1/oidc/callback?x=1", true),
            ("", false),
            ("https://vault.example/ui/vault/auth/oidc/oidc/callback", false),
            ("https://vault.example:8200/ui/vault/auth/oidc/oidc/callback/", false),
            ("https://vault.example:8200/ui/vault/auth/oidc/oidc/callback#x", false),
            ("https://VAULT.example:8200/ui/vault/auth/oidc/oidc/callback", false),
            ("https://localhost:8250/oidc/callback", false),
            ("http://localhost:8250/oidc/callback?x", false),
            ("http://localhost:8250/oidc/callback/../other", false),
            ("http://127.0.0.1:8250/oidc/callback", false),
            ("http://[::1]:8250/oidc/callback", false),
            ("http://localhost.evil.example/oidc/callback", false),
            ("http://localhost:8250@evil.example/oidc/callback", false),
            ("http://evil.example:80@localhost:8250/oidc/callback", false),
            ("http://evil.example\\@localhost/oidc/callback", false),
            ("http://localhost:8250\\.evil.example/oidc/callback", false),
            ("http://localhost:8250/oidc/callback\n", false),
            ("//localhost:8250/oidc/callback", false),
            ("javascript://localhost/oidc/callback", false),
        ] {
            assert_eq!(is_allowed(uri, &allowed), fits, "{uri}");
        }
        assert!(!is_allowed("http://localhost:8250/oidc/callback", &[]));
    }

    #[test]
    fn the_namespace_of_an_address_is_taken_out() {
        for (uri, left, namespace) in [
            ("https://a/b", "https://a/b", ""),
            ("https://a/b?namespace=n%2Fm", "https://a/b", "n/m"),
            ("https://a/b?x=1&namespace=n&y=2", "https://a/b?x=1&y=2", "n"),
            ("https://a/b?xnamespace=n", "https://a/b?xnamespace=n", ""),
        ] {
            let (got, ns) = take_namespace(uri).unwrap();
            assert_eq!((got.as_str(), ns.as_str()), (left, namespace));
        }
        assert!(take_namespace("https://a/b?namespace=%zz").is_none());
    }
}
