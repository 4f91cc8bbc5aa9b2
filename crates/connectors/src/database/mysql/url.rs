//! Connection URLs of MySQL, in the form that Go's driver has and Vault's users write.

use std::time::Duration;

use strongroom_base::SecretString;
use strongroom_base::duration::parse_duration_nanos;

use super::tls::Mode;
use super::{DatabaseError, wrong};
use crate::database::url::{HOSTS_MAX, Login, decode, host_and_port};

const PORT: u16 = 3306;

/// A connection URL, read: Go's `user:password@tcp(host:port,…)/database?name=value`.
///
/// It is taken apart before name and password are put in, so these may hold any character.
pub(super) struct Address {
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) socket: Option<String>,
    pub(super) database: String,
    pub(super) tls: Mode,
    pub(super) connect: Option<Duration>,
    pub(super) statement: Option<Duration>,
    pub(super) cleartext: bool,
    /// Session variables, as assignments.
    variables: Vec<String>,
}

impl Address {
    pub(super) fn parse(
        url: &str,
        username: &str,
        password: &SecretString,
    ) -> Result<Self, DatabaseError> {
        if url.is_empty() {
            return Err(wrong("connection_url cannot be empty"));
        }
        let (front, back) = url.rsplit_once('/').ok_or_else(|| {
            wrong("invalid connection_url: missing the slash separating the database name")
        })?;
        let (who, network) = front.rsplit_once('@').unwrap_or(("{{username}}:{{password}}", front));
        let (user, secret) = who.split_once(':').unwrap_or((who, ""));
        let login = Login { username, password: password.expose_secret() };
        let (network, at) = match network.split_once('(') {
            None => (network, ""),
            Some((network, rest)) => (
                network,
                rest.strip_suffix(')').ok_or_else(|| {
                    wrong("invalid connection_url: network address not terminated (missing closing brace)")
                })?,
            ),
        };
        let (database, parameters) = back.split_once('?').unwrap_or((back, ""));
        let mut address = Self {
            user: login.fill(user).to_string(),
            password: SecretString::new(login.fill(secret).to_string()),
            hosts: Vec::new(),
            socket: None,
            database: unescape(database)?,
            tls: Mode::Off,
            connect: None,
            statement: None,
            cleartext: false,
            variables: Vec::new(),
        };
        match network {
            "" | "tcp" | "tcp4" | "tcp6" => {
                let hosts = at.split(',').map(str::trim).filter(|host| !host.is_empty());
                address.hosts = hosts.map(host).collect::<Result<_, _>>()?;
                if address.hosts.len() > HOSTS_MAX {
                    return Err(wrong(format!(
                        "invalid connection_url: it has more than {HOSTS_MAX} hosts"
                    )));
                }
                if address.hosts.is_empty() {
                    address.hosts.push(("127.0.0.1".to_owned(), PORT));
                }
            }
            "unix" if at.is_empty() => address.socket = Some("/tmp/mysql.sock".to_owned()),
            "unix" => address.socket = Some(at.to_owned()),
            _ => return Err(wrong("invalid connection_url: its network is neither tcp nor unix")),
        }
        for parameter in parameters.split('&') {
            if let Some((name, value)) = parameter.split_once('=') {
                address.parameter(name, value)?;
            }
        }
        Ok(address)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), DatabaseError> {
        let bad = || wrong(format!("invalid connection_url: invalid value for {name}"));
        let duration = || match parse_duration_nanos(value).map(u64::try_from) {
            Some(Ok(nanos)) => Ok((nanos > 0).then(|| Duration::from_nanos(nanos))),
            _ => Err(bad()),
        };
        match name {
            "tls" => {
                self.tls = match value.to_ascii_lowercase().as_str() {
                    "1" | "true" => Mode::On,
                    "0" | "false" => Mode::Off,
                    "skip-verify" => Mode::Unverified,
                    "preferred" => Mode::Preferred,
                    _ => return Err(bad()),
                }
            }
            "timeout" => self.connect = duration()?,
            "readTimeout" | "writeTimeout" => {
                self.statement = [self.statement, duration()?].into_iter().flatten().min();
            }
            "allowCleartextPasswords" => {
                self.cleartext = boolean(value).ok_or_else(bad)?;
            }
            "allowFallbackToPlaintext"
            | "allowAllFiles"
            | "allowNativePasswords"
            | "allowOldPasswords"
            | "checkConnLiveness"
            | "clientFoundRows"
            | "columnsWithAlias"
            | "compress"
            | "interpolateParams"
            | "multiStatements"
            | "parseTime"
            | "rejectReadOnly" => {
                // They make no difference to what is done here; old passwords and files are never allowed.
                boolean(value).ok_or_else(bad)?;
            }
            // Statements are always sent as UTF-8: with another character set, quotes might not be seen.
            "charset"
            | "collation"
            | "loc"
            | "timeTruncate"
            | "serverPubKey"
            | "maxAllowedPacket"
            | "connectionAttributes" => {}
            _ => {
                let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '.');
                if name.is_empty() || !name.chars().all(ok) {
                    return Err(wrong("invalid connection_url: invalid name of a parameter"));
                }
                self.variables.push(format!("{name} = {}", unescape(&value.replace('+', " "))?));
            }
        }
        Ok(())
    }

    /// What each session begins with, the last first. Backslashes escape in the statements sent here, and
    /// statements are UTF-8, whatever the server's or the operator's defaults are. The server itself
    /// stops what takes too long: else it might come true when nobody waits for it any more.
    pub(super) fn setup(&self, limit: Duration) -> Vec<String> {
        // More than a day is as good as no limit.
        let limit = limit.min(Duration::from_secs(86_400));
        let own = format!(
            "SET NAMES utf8mb4, \
             SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', ''), \
             SESSION lock_wait_timeout = {} \
             /*M!100101 , SESSION max_statement_time = {:.3} */",
            limit.as_secs().max(1),
            limit.as_secs_f64().max(0.001),
        );
        let mut all = vec![own];
        if !self.variables.is_empty() {
            all.push(format!("SET {}", self.variables.join(", ")));
        }
        all
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "true" | "TRUE" | "True" => Some(true),
        "0" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A host with its port, which may be left out. IPv6 addresses stand in brackets.
fn host(text: &str) -> Result<(String, u16), DatabaseError> {
    host_and_port(text, PORT).ok_or_else(|| wrong("invalid connection_url: invalid host or port"))
}

fn unescape(text: &str) -> Result<String, DatabaseError> {
    let text = decode(text).map(|text| text.to_string());
    text.ok_or_else(|| wrong("invalid connection_url: invalid percent escape"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, String> {
        let password = SecretString::new("p@s/s:(w)?&%41".to_owned());
        Address::parse(url, "us:er@", &password).map_err(|error| error.text)
    }

    #[test]
    fn urls_are_read_as_gos_driver_reads_them() {
        // URL, hosts, socket, database, TLS, session.
        let cases: &[(&str, &[(&str, u16)], Option<&str>, &str, Mode, &[&str])] = &[
            (
                "{{username}}:{{password}}@tcp(127.0.0.1:3307)/",
                &[("127.0.0.1", 3307)],
                None,
                "",
                Mode::Off,
                &[],
            ),
            (
                "{{username}}:{{password}}@tcp(a.b, c:1,[::1]:2,[::2])/d%20b?tls=true&timeout=5s",
                &[("a.b", 3306), ("c", 1), ("::1", 2), ("::2", 3306)],
                None,
                "d b",
                Mode::On,
                &[],
            ),
            (
                "{{username}}:{{password}}@unix(/run/my/s.sock)/x?tls=Preferred&parseTime=true",
                &[],
                Some("/run/my/s.sock"),
                "x",
                Mode::Preferred,
                &[],
            ),
            ("/", &[("127.0.0.1", 3306)], None, "", Mode::Off, &[]),
            (
                "{{username}}:{{password}}@(h)/?tls=skip-verify&time_zone=%27UTC%27&charset=gbk",
                &[("h", 3306)],
                None,
                "",
                Mode::Unverified,
                &["time_zone = 'UTC'"],
            ),
        ];
        for (url, hosts, socket, database, tls, variables) in cases {
            let got = read(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            let hosts: Vec<_> =
                hosts.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
            assert_eq!(got.hosts, hosts, "{url}");
            assert_eq!(got.socket.as_deref(), *socket, "{url}");
            assert_eq!(got.database, *database, "{url}");
            assert_eq!(got.tls, *tls, "{url}");
            assert_eq!(got.variables, *variables, "{url}");
            assert_eq!(
                (got.user.as_str(), got.password.expose_secret().as_str()),
                ("us:er@", "p@s/s:(w)?&%41")
            );
        }
        let literal = read("root:a@b:c/d@tcp(h)/").unwrap();
        assert_eq!(
            (literal.user.as_str(), literal.password.expose_secret().as_str()),
            ("root", "a@b:c/d")
        );
    }

    #[test]
    fn so_many_hosts_and_no_more() {
        for (count, good) in [(HOSTS_MAX, true), (HOSTS_MAX + 1, false)] {
            let url = format!("tcp({})/", vec!["h"; count].join(","));
            assert_eq!(read(&url).map(|address| address.hosts.len()).ok(), good.then_some(count));
        }
    }

    #[test]
    fn wrong_urls_are_refused_without_repeating_them() {
        let cases = [
            ("", "cannot be empty"),
            ("{{username}}:secret@tcp(h)", "missing the slash"),
            ("{{username}}:secret@tcp(h/", "not terminated"),
            ("{{username}}:secret@pipe(secret)/", "neither tcp nor unix"),
            ("secret@:secret@tcp(se cret)/", "invalid host or port"),
            ("secret@tcp(h:secret)/", "invalid host or port"),
            ("secret@tcp([::1/", "not terminated"),
            ("secret@tcp([::1)/", "invalid host or port"),
            ("secret@tcp(h)/?tls=secret", "invalid value for tls"),
            ("secret@tcp(h)/?timeout=secret", "invalid value for timeout"),
            ("secret@tcp(h)/?parseTime=secret", "invalid value for parseTime"),
            ("secret@tcp(h)/?se;cret=1", "invalid name of a parameter"),
            ("secret@tcp(h)/%zz", "invalid percent escape"),
        ];
        for (url, expected) in cases {
            let error = read(url).err().unwrap_or_else(|| panic!("{url} is read"));
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }
}
