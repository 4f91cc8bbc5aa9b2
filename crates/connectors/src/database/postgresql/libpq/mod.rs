//! Connection strings of PostgreSQL's client library: `postgresql://…` and `key=value`, as settings
//! by name.
//!
//! `{{username}}` and `{{password}}` get their values after the string was taken apart, so no
//! character of a password can change what the string says.
//!
//! Invariant: no error repeats any part of the string.

pub mod address;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::database::url::{Login, decode};
use crate::database::{DatabaseError, wrong};

/// Settings by their names, as `dbname`, `host`, `port` (several with commas between), `user`.
pub type Settings = BTreeMap<String, Zeroizing<String>>;

/// A setting, taken out of those that are left.
pub fn take(settings: &mut Settings, name: &str) -> Option<Zeroizing<String>> {
    settings.remove(name).filter(|value| !value.is_empty())
}

/// Who has encoded name and password for their places in a URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// They are put in as they are.
    Ours,
    /// The operator has (`disable_escaping`).
    Operators,
}

/// Takes a connection string apart.
pub fn parse(text: &str, login: Login<'_>, encoding: Encoding) -> Result<Settings, DatabaseError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(wrong("connection_url cannot be empty"));
    }
    let url = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
    match url {
        Some(rest) if encoding == Encoding::Operators => {
            let (username, password) = (decoded(login.username)?, decoded(login.password)?);
            Url { login: Login { username: &username, password: &password } }.parse(rest)
        }
        Some(rest) => Url { login }.parse(rest),
        None if text.contains("://") => {
            Err(wrong("connection_url must begin with postgresql:// or postgres://"))
        }
        None => pairs(text, login),
    }
}

fn decoded(text: &str) -> Result<Zeroizing<String>, DatabaseError> {
    decode(text)
        .ok_or_else(|| wrong("connection_url has a broken percent encoding, or no UTF-8 in it"))
}

fn put(settings: &mut Settings, name: &str, value: Zeroizing<String>) {
    let name = if name == "database" { "dbname" } else { name };
    settings.insert(name.to_owned(), value);
}

struct Url<'a> {
    login: Login<'a>,
}

impl Url<'_> {
    fn parse(&self, rest: &str) -> Result<Settings, DatabaseError> {
        let mut settings = Settings::new();
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(a, b)| (a, b));
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, b)| (a, b));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(a, b)| (a, b));
        let (user, password) = user.split_once(':').map_or((user, ""), |(a, b)| (a, b));
        for (name, value) in [("user", user), ("password", password), ("dbname", path)] {
            if !value.is_empty() {
                put(&mut settings, name, self.value(value)?);
            }
        }
        if !hosts.is_empty() {
            self.hosts(&mut settings, hosts)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| wrong("connection_url has a parameter without a value"))?;
            let value = self.value(&value.replace('+', " "))?;
            put(&mut settings, &decoded(name)?, value);
        }
        Ok(settings)
    }

    fn hosts(&self, settings: &mut Settings, hosts: &str) -> Result<(), DatabaseError> {
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = if let Some(literal) = host.strip_prefix('[') {
                let (name, after) = literal
                    .split_once(']')
                    .ok_or_else(|| wrong("connection_url has a [ without its ]"))?;
                (name, after.strip_prefix(':').unwrap_or_default())
            } else {
                host.split_once(':').map_or((host, ""), |(a, b)| (a, b))
            };
            names.push(self.value(name)?.to_string());
            ports.push(port);
        }
        put(settings, "host", names.join(",").into());
        if ports.iter().any(|port| !port.is_empty()) {
            put(settings, "port", ports.join(",").into());
        }
        Ok(())
    }

    /// A part of the URL, decoded and with the login in its places.
    fn value(&self, text: &str) -> Result<Zeroizing<String>, DatabaseError> {
        Ok(self.login.fill(&decoded(text)?))
    }
}

/// `key = 'value'` and so on, with `\` before quotes and itself.
fn pairs(text: &str, login: Login<'_>) -> Result<Settings, DatabaseError> {
    let mut settings = Settings::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, value) = rest
            .split_once('=')
            .ok_or_else(|| wrong("connection_url has a word that is no key=value"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong("connection_url has a word that is no key=value"));
        }
        let (value, after) = pair_value(value.trim_start())?;
        put(&mut settings, name, login.fill(&value));
        rest = after.trim_start();
    }
    Ok(settings)
}

fn pair_value(text: &str) -> Result<(Zeroizing<String>, &str), DatabaseError> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = Zeroizing::new(String::with_capacity(body.len()));
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if quoted.is_some() => return Ok((value, &body[at + 1..])),
            c if quoted.is_none() && c.is_whitespace() => return Ok((value, &body[at..])),
            c => value.push(c),
        }
    }
    match quoted {
        Some(_) => Err(wrong("connection_url has an opening quote without its closing one")),
        None => Ok((value, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "p@/:?#[%41]&='\\ {{username}}ü";

    fn read(text: &str, encoded: bool) -> Result<Vec<String>, String> {
        let password = if encoded { "p%40x" } else { EVIL };
        let encoding = if encoded { Encoding::Operators } else { Encoding::Ours };
        let username = if encoded { "ad%20min" } else { "ad min" };
        let settings = parse(text, Login { username, password }, encoding);
        let line = |(name, value): (&String, &Zeroizing<String>)| format!("{name}={}", **value);
        settings.map(|all| all.iter().map(line).collect()).map_err(|e| e.text)
    }

    #[test]
    fn both_forms_say_the_same_whatever_is_in_the_password() {
        let password = format!("password={EVIL}");
        let cases: &[(&str, &[&str])] = &[
            (
                "postgresql://{{username}}:{{password}}@db:5433/app",
                &["dbname=app", "host=db", &password, "port=5433", "user=ad min"],
            ),
            (
                "postgres://{{username}}:{{password}}@localhost",
                &["host=localhost", &password, "user=ad min"],
            ),
            (
                "postgres://a%20b:c%2Fd@[::1]:1,h2/x%2Fy?sslmode=disable&options=-c%20a+b",
                &[
                    "dbname=x/y",
                    "host=::1,h2",
                    "options=-c a b",
                    "password=c/d",
                    "port=1,",
                    "sslmode=disable",
                    "user=a b",
                ],
            ),
            (
                "postgres:///app?host=/run/postgresql&user={{username}}",
                &["dbname=app", "host=/run/postgresql", "user=ad min"],
            ),
            ("postgresql://%2Frun%2Fpg/app", &["dbname=app", "host=/run/pg"]),
            ("postgresql://", &[]),
            (
                "host=db port = 5433 user={{username}} password={{password}} database='my app'",
                &["dbname=my app", "host=db", &password, "port=5433", "user=ad min"],
            ),
            ("user='it\\'s' password=a\\ b", &["password=a b", "user=it's"]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text, false).unwrap(), *expected, "{text}");
        }
        assert_eq!(
            read("postgres://{{username}}:{{password}}@db", true).unwrap(),
            ["host=db", "password=p@x", "user=ad min"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_without_the_text() {
        let cases = [
            ("  ", "cannot be empty"),
            ("mysql://secret@db", "must begin with postgresql://"),
            ("postgres://u:secret%zz@db", "broken percent encoding"),
            ("postgres://u:secret%ff@db", "no UTF-8"),
            ("postgres://u@[::1/x?secret", "a [ without its ]"),
            ("postgres://u@db/x?secret", "without a value"),
            ("user=a secret", "no key=value"),
            ("user='secret", "without its closing one"),
        ];
        for (text, expected) in cases {
            let error = read(text, false).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
