//! What connection URLs of all kinds have in common: percent encoding, places for name and password,
//! hosts with ports.
//!
//! A URL is taken apart first and its parts are decoded then, and only after that name and password
//! are put in: no character of a password can change what the URL says.

pub use strongroom_base::percent::decode;
use zeroize::Zeroizing;

/// Hosts that one URL may name: each of them is waited for.
pub const HOSTS_MAX: usize = 16;

/// The values for `{{username}}` and `{{password}}`.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// For `{{username}}`.
    pub username: &'a str,
    /// For `{{password}}`.
    pub password: &'a str,
}

impl Login<'_> {
    /// Puts the values into their places, in one pass: a value is not looked at again.
    pub fn fill(self, text: &str) -> Zeroizing<String> {
        let Self { username, password } = self;
        let mut out = Zeroizing::new(String::with_capacity(text.len() + password.len()));
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("{{") {
            out.push_str(before);
            let found = [("username}}", username), ("password}}", password)]
                .into_iter()
                .find_map(|(name, value)| Some((value, from.strip_prefix(name)?)));
            let (value, after) = found.unwrap_or(("{{", from));
            out.push_str(value);
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// `host`, `host:port`, `[address]:port`, with the port that stands for none.
pub fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { "" } else { after.strip_prefix(':')? })
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = if port.is_empty() { default } else { port.parse().ok()? };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    (!host.is_empty() && host.chars().all(fits)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_once() {
        let login = Login { username: "{{password}}", password: "{{username}}{{" };
        let cases = [
            ("{{username}}:{{password}}", "{{password}}:{{username}}{{"),
            ("{{user{{username}}", "{{user{{password}}"),
            ("{{ username }}{{", "{{ username }}{{"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(*login.fill(text), expected, "{text}");
        }
    }

    #[test]
    fn hosts_are_read_with_their_ports() {
        let cases = [
            ("db", Some(("db", 1))),
            ("db:", Some(("db", 1))),
            ("db.x-y_z:65535", Some(("db.x-y_z", 65535))),
            ("[::1]", Some(("::1", 1))),
            ("[fe80::1%eth0]:5", Some(("fe80::1%eth0", 5))),
            ("db:65536", None),
            ("db:x", None),
            ("db:-1", None),
            ("[::1", None),
            ("[::1]5", None),
            ("", None),
            (":5", None),
            ("d b", None),
            ("d/b", None),
            ("u@db", None),
        ];
        for (text, expected) in cases {
            let read = host_and_port(text, 1);
            assert_eq!(
                read.as_ref().map(|(host, port)| (host.as_str(), *port)),
                expected,
                "{text}"
            );
        }
    }
}
