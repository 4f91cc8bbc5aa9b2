//! Where a server listens: `http://host:port`, `https://host:port/prefix` or `unix:///path`.

use std::path::PathBuf;

use crate::error::Error;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Scheme and authority without a trailing slash: what stands before the path.
    pub origin: String,
    /// The path under which the API lies, without a trailing slash; usually empty.
    pub prefix: String,
    /// The unix socket to connect to instead of the origin's host.
    pub socket: Option<PathBuf>,
}

impl Address {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://") {
            if path.is_empty() {
                return Err(Error::Config("address unix:// lacks the socket's path".into()));
            }
            return Ok(Self {
                origin: "http://localhost".into(),
                prefix: String::new(),
                socket: Some(path.into()),
            });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Error::Config(format!(
                "address {text:?} lacks a scheme: write http://, https:// or unix://"
            )));
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(Error::Config(format!("unsupported protocol scheme {scheme:?}")));
        }
        let (authority, prefix) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.is_empty() {
            return Err(Error::Config(format!("address {text:?} lacks a host")));
        }
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            prefix: prefix.trim_end_matches('/').to_owned(),
            socket: None,
        })
    }

    /// True if the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// The host without port and without an IPv6 literal's brackets.
    pub fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or("", |(_, a)| a);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, a)| a);
        if let Some(inner) = authority.strip_prefix('[') {
            return inner.split(']').next().unwrap_or_default();
        }
        authority.split(':').next().unwrap_or_default()
    }

    /// The port, if the address names one.
    pub fn port(&self) -> Option<u16> {
        let authority = self.origin.split_once("://").map_or("", |(_, a)| a);
        let tail = authority.rsplit_once(']').map_or(authority, |(_, t)| t);
        tail.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, origin, prefix, host, port) in [
            ("http://127.0.0.1:8200", "http://127.0.0.1:8200", "", "127.0.0.1", Some(8200)),
            ("https://vault.example/", "https://vault.example", "", "vault.example", None),
            ("HTTPS://h:1/room/", "https://h:1", "/room", "h", Some(1)),
            ("http://[::1]:8200", "http://[::1]:8200", "", "::1", Some(8200)),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.origin.as_str(), address.prefix.as_str()), (origin, prefix));
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
        }
        let socket = Address::parse("unix:///run/sr.sock").unwrap();
        assert_eq!(socket.socket.as_deref(), Some(std::path::Path::new("/run/sr.sock")));
        for bad in ["127.0.0.1:8200", "ftp://h", "http://", "unix://", ""] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
