//! What a connection string says, for the client library: where the server is, TLS, settings of
//! the session.

use std::fs;
use std::io::Read;
use std::time::Duration;

use tokio_postgres::config::{
    ChannelBinding, Host, LoadBalanceHosts, SslNegotiation, TargetSessionAttrs,
};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::{Settings, take};
use crate::database::statements::Dialect;
use crate::database::tls::{self, Check};
use crate::database::url::HOSTS_MAX;
use crate::database::{DatabaseError, TlsMaterial, wrong};

/// When TLS is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Never.
    Disable,
    /// Only if the server wants it.
    Allow,
    /// If the server can.
    Prefer,
    /// Always.
    Require,
}

/// Where the server is and how to get in, without who.
pub struct Address {
    /// For the client, without user and password.
    pub config: Config,
    /// When TLS is used.
    pub mode: Mode,
    /// TLS itself.
    pub tls: Connector,
    /// The statement that a session begins with, by [`session_settings`].
    pub session: Zeroizing<String>,
}

/// TLS for `tokio_postgres`, with the name that the operator says the server has.
#[derive(Clone)]
pub struct Connector {
    inner: MakeRustlsConnect,
    server_name: String,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        let name = if self.server_name.is_empty() { domain } else { &self.server_name };
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.inner, name)
    }
}

/// No file of certificates is longer.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file: a whole regular one that is not too long.
fn contents(path: &str) -> Option<Zeroizing<String>> {
    // Opening something else could take forever.
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut text = Zeroizing::new(String::new());
    let length = fs::File::open(path).ok()?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    length.ok().filter(|length| u64::try_from(*length).is_ok_and(|l| l <= FILE_BYTES_MAX))?;
    // What else is on this machine is not for whoever may configure.
    text.contains("-----BEGIN ").then_some(text)
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, DatabaseError> {
    text.parse().map_err(|_| wrong(format!("connection_url: {name} is not a number it can be")))
}

fn choice<T: Copy>(name: &str, text: &str, choices: &[(&str, T)]) -> Result<T, DatabaseError> {
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        wrong(format!("connection_url: {name} must be one of {}", words.join(", ")))
    })
}

/// The settings that are read here. Whatever else a connection string has is a setting of the
/// session, as with the clients of others.
impl Address {
    /// Reads it; `limit` is how long anything may take.
    pub fn read(
        mut settings: Settings,
        material: &TlsMaterial,
        limit: Duration,
    ) -> Result<Self, DatabaseError> {
        let mut config = Config::new();
        for refused in ["passfile", "service", "servicefile", "sslpassword", "krbspn"] {
            if take(&mut settings, refused).is_some() {
                return Err(wrong(format!("connection_url: {refused} is not supported")));
            }
        }
        for without_meaning in ["gssencmode", "krbsrvname", "sslcompression", "sslsni"] {
            settings.remove(without_meaning);
        }
        hosts(&mut config, &mut settings)?;
        if let Some(name) = take(&mut settings, "dbname") {
            config.dbname(name.as_str());
        }
        let connect_timeout = take(&mut settings, "connect_timeout")
            .map(|text| number("connect_timeout", &text))
            .transpose()?
            .filter(|seconds| *seconds > 0)
            .map_or(limit, Duration::from_secs);
        // A host that does not answer leaves time for the next.
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        let each = limit / u32::try_from(hosts).unwrap_or(u32::MAX).max(1);
        config.connect_timeout(connect_timeout.min(each));
        let name = take(&mut settings, "application_name")
            .or_else(|| take(&mut settings, "fallback_application_name"));
        config.application_name(name.as_deref().map_or("strongroom", String::as_str));
        settings.remove("fallback_application_name");
        if let Some(options) = take(&mut settings, "options") {
            config.options(options.as_str());
        }
        details(&mut config, &mut settings)?;
        let (mode, tls) = encryption(&mut config, &mut settings, material)?;
        // There is no TLS over a socket of this machine.
        let local = |host: &Host| matches!(host, Host::Unix(_));
        let mode = if config.get_hosts().iter().all(local) && config.get_hostaddrs().is_empty() {
            Mode::Disable
        } else {
            mode
        };
        Ok(Self { config, mode, tls, session: session_settings(&settings, limit) })
    }
}

fn hosts(config: &mut Config, settings: &mut Settings) -> Result<(), DatabaseError> {
    let names = take(settings, "host");
    let addresses = take(settings, "hostaddr");
    let ports = take(settings, "port").unwrap_or_default();
    let names = match (names.as_deref(), &addresses) {
        (Some(names), _) => names.as_str(),
        (None, Some(_)) => "",
        (None, None) if fs::metadata("/var/run/postgresql").is_ok() => "/var/run/postgresql",
        (None, None) => "localhost",
    };
    let mut count = 0;
    for name in names.split(',').filter(|_| !names.is_empty()) {
        config.host(if name.is_empty() { "localhost" } else { name });
        count += 1;
    }
    for address in addresses.iter().flat_map(|all| all.split(',')) {
        let address = address.parse();
        config.hostaddr(address.map_err(|_| wrong("connection_url: hostaddr is no IP address"))?);
    }
    let count = count.max(config.get_hostaddrs().len());
    if count > HOSTS_MAX {
        return Err(wrong(format!("connection_url has more than {HOSTS_MAX} hosts")));
    }
    let ports: Vec<&str> = if ports.is_empty() { Vec::new() } else { ports.split(',').collect() };
    if ports.len() > 1 && ports.len() != count {
        return Err(wrong("connection_url has not as many ports as hosts"));
    }
    for port in ports {
        config.port(if port.is_empty() { 5432 } else { number("port", port)? });
    }
    Ok(())
}

fn details(config: &mut Config, settings: &mut Settings) -> Result<(), DatabaseError> {
    use TargetSessionAttrs::{Any, ReadOnly, ReadWrite};
    let seconds = |name: &str, text: &str| number(name, text).map(Duration::from_secs);
    if let Some(text) = take(settings, "target_session_attrs") {
        let choices = [
            ("any", Any),
            ("read-write", ReadWrite),
            ("primary", ReadWrite),
            ("read-only", ReadOnly),
            ("standby", ReadOnly),
        ];
        config.target_session_attrs(choice("target_session_attrs", &text, &choices)?);
    }
    if let Some(text) = take(settings, "channel_binding") {
        use ChannelBinding::{Disable, Prefer, Require};
        let choices = [("disable", Disable), ("prefer", Prefer), ("require", Require)];
        config.channel_binding(choice("channel_binding", &text, &choices)?);
    }
    if let Some(text) = take(settings, "load_balance_hosts") {
        let choices =
            [("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];
        config.load_balance_hosts(choice("load_balance_hosts", &text, &choices)?);
    }
    if let Some(text) = take(settings, "sslnegotiation") {
        let choices = [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];
        config.ssl_negotiation(choice("sslnegotiation", &text, &choices)?);
    }
    if let Some(text) = take(settings, "keepalives") {
        config.keepalives(text.as_str() != "0");
    }
    if let Some(text) = take(settings, "keepalives_idle") {
        config.keepalives_idle(seconds("keepalives_idle", &text)?);
    }
    if let Some(text) = take(settings, "keepalives_interval") {
        config.keepalives_interval(seconds("keepalives_interval", &text)?);
    }
    if let Some(text) = take(settings, "keepalives_count") {
        config.keepalives_retries(number("keepalives_count", &text)?);
    }
    if let Some(text) = take(settings, "tcp_user_timeout") {
        config.tcp_user_timeout(Duration::from_millis(number("tcp_user_timeout", &text)?));
    }
    Ok(())
}

/// As libpq reads `sslmode`, with two differences that only make it stricter: authorities given
/// with the configuration and no `sslmode` mean `verify-full`; files are read when it is opened.
fn encryption(
    config: &mut Config,
    settings: &mut Settings,
    material: &TlsMaterial,
) -> Result<(Mode, Connector), DatabaseError> {
    use Check::{Authority, Name, Nothing};
    let file = |name: &str, path: Option<Zeroizing<String>>, given: &str| match path {
        // One text whatever is wrong: who may configure shall not look around on this machine.
        Some(path) if given.is_empty() => contents(&path).ok_or_else(|| {
            wrong(format!("connection_url: the file of {name} cannot be read or is no PEM"))
        }),
        _ => Ok(Zeroizing::new(given.to_owned())),
    };
    let root = take(settings, "sslrootcert");
    let system = root.as_ref().is_some_and(|root| root.as_str() == "system");
    let ca = file("sslrootcert", root.filter(|_| !system), &material.ca)?;
    let certificate = file("sslcert", take(settings, "sslcert"), &material.certificate)?;
    let key = file("sslkey", take(settings, "sslkey"), material.private_key.expose_secret())?;
    let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    let said = take(settings, "sslmode");
    let (mode, check) = match said.as_deref().map(String::as_str) {
        Some("disable") => (Mode::Disable, Nothing),
        _ if system => (Mode::Require, Name),
        None if !material.ca.is_empty() => (Mode::Require, Name),
        Some("allow") => (Mode::Allow, Nothing),
        Some("prefer") | None if direct => (Mode::Require, Nothing),
        Some("prefer") | None => (Mode::Prefer, Nothing),
        Some("require") if ca.is_empty() => (Mode::Require, Nothing),
        Some("require" | "verify-ca") => (Mode::Require, Authority),
        Some("verify-full") => (Mode::Require, Name),
        Some(_) => {
            return Err(wrong(
                "connection_url: sslmode must be one of disable, allow, prefer, require, \
                 verify-ca, verify-full",
            ));
        }
    };
    let check = if material.skip_verify { Nothing } else { check };
    let mut client = tls::client(check, &ca, &certificate, &key)?;
    if direct {
        client.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    let inner = MakeRustlsConnect::new(client);
    Ok((mode, Connector { inner, server_name: material.server_name.clone() }))
}

/// What each session is told first: texts are quoted as we write them whatever the server's
/// default, and the server itself stops what takes too long. The operator's settings come last.
fn session_settings(settings: &Settings, limit: Duration) -> Zeroizing<String> {
    // More than a number of PostgreSQL's can say is as good as no limit.
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).to_string();
    let ours = [
        ("timezone", "UTC"),
        ("statement_timeout", limit.as_str()),
        ("idle_in_transaction_session_timeout", limit.as_str()),
    ];
    let ours = ours.into_iter().filter(|(name, _)| !settings.contains_key(*name));
    let theirs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fixed = [("standard_conforming_strings", "on")];
    let mut sql = Zeroizing::new(String::from("SELECT NULL"));
    for (name, value) in ours.chain(theirs).chain(fixed) {
        sql.push_str(", pg_catalog.set_config(");
        // Texts of a session that has not been told yet: without backslashes.
        sql.push_str(&Dialect::Postgresql.text(&name.replace('\\', "")));
        sql.push_str(", ");
        sql.push_str(&Dialect::Postgresql.text(&value.replace('\\', "")));
        sql.push_str(", false)");
    }
    sql
}
