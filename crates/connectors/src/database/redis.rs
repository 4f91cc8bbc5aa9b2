//! Redis and Valkey: users of their access control lists.
//!
//! One `ACL SETUSER` makes or changes a user entirely or not at all, and values are arguments of their
//! own on the wire: there is no statement that a name or a password could break out of. An operator's
//! statements are rules (`~key:*`, `+@read`), as a JSON list or one by one.
//!
//! Removing a user ends its connections at once; a new password ends none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value, cmd};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use strongroom_base::{Json, JsonMap, SecretString, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Driver, DriverTraits, FailureKind,
    NewAccount, Settings, without,
};

/// How long to wait for the database where the configuration does not say.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What a user may without creation statements: read all keys.
const RULES: &[&str] = &["~*", "+@read"];
/// The user that a connection without a login is; it can't be removed.
const DEFAULT_USER: &str = "default";

static TRAITS: DriverTraits = DriverTraits {
    names: &["redis-database-plugin", "valkey-database-plugin"],
    credentials: &[CredentialKind::Password],
    username_template: "{{ printf \"v_%s_%s_%s_%s\" (.DisplayName | truncate 64) \
                        (.RoleName | truncate 64) (random 20) (unix_time) | truncate 100 | uppercase }}",
    rotation_statements: &[],
    fields: &["host", "port", "tls", "insecure_tls", "ca_cert", "persistence_mode"],
};

/// The driver.
#[derive(Debug)]
pub struct Redis;

impl Driver for Redis {
    fn traits(&self) -> &'static DriverTraits {
        &TRAITS
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Database>, DatabaseError> {
        Ok(Arc::new(RedisDatabase::open(&settings)?))
    }
}

fn wrong(text: impl Into<String>) -> DatabaseError {
    DatabaseError::new(FailureKind::Configuration, text)
}

/// How users outlast a restart of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Persistence {
    /// The operator sees to it.
    None,
    /// Users stand in the server's configuration.
    Rewrite,
    /// Users stand in a file of their own.
    AclFile,
}

/// Where the server is, and who is the administrator.
struct Address {
    host: String,
    port: u16,
    username: String,
    password: SecretString,
    tls: bool,
}

impl Address {
    fn read(settings: &Settings) -> Result<Self, DatabaseError> {
        let own = &settings.own;
        let (host, tls) = (text(own, "host"), flag(own, "tls")?);
        let port = match own.get("port") {
            None | Some(Json::Null) => 0,
            Some(Json::String(port)) => port.parse().map_err(|_| wrong("invalid port"))?,
            Some(port) => {
                let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
                port.ok_or_else(|| wrong("invalid port"))?
            }
        };
        let url = settings.connection_url.expose_secret();
        if !url.is_empty() {
            if !host.is_empty() || port != 0 || tls {
                let text =
                    "cannot specify both connection_url and individual connection parameters";
                return Err(wrong(text));
            }
            return Self::parse(url, settings);
        }
        let missing = [
            ("host", host.is_empty()),
            ("port", port == 0),
            ("username", settings.username.is_empty()),
            ("password", settings.password.expose_secret().is_empty()),
        ];
        if let Some((name, _)) = missing.iter().find(|(_, missing)| *missing) {
            return Err(wrong(format!("{name} cannot be empty")));
        }
        let (username, password) = (settings.username.clone(), settings.password.duplicate());
        Ok(Self { host: host.to_owned(), port, username, password, tls })
    }

    /// `valkey://user:password@host:port`, `valkeys://` with TLS; `redis` and `rediss` are the same.
    fn parse(url: &str, settings: &Settings) -> Result<Self, DatabaseError> {
        let bad = |what: &str| wrong(format!("invalid connection_url: {what}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        let tls = match scheme {
            "valkey" | "redis" => false,
            "valkeys" | "rediss" => true,
            _ => return Err(bad("its scheme is neither valkey nor redis")),
        };
        let rest = rest.trim_end_matches('/');
        let (who, at) = rest.rsplit_once('@').unwrap_or(("{{username}}:{{password}}", rest));
        let (user, secret) = who.split_once(':').ok_or_else(|| bad("it has no password"))?;
        let put = |part: &str| match part {
            "{{username}}" => Ok(settings.username.clone()),
            "{{password}}" => Ok(settings.password.expose_secret().clone()),
            literal => unescape(literal).ok_or_else(|| bad("invalid percent escape")),
        };
        let (username, password) = (put(user)?, SecretString::new(put(secret)?));
        let (host, port) = match at.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.trim_start_matches(':')),
            None => at.split_once(':').unwrap_or((at, "")),
        };
        let port = if port.is_empty() { Ok(6379) } else { port.parse() };
        let port = port.map_err(|_| bad("invalid port"))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(bad("invalid host"));
        }
        if username.is_empty() || password.expose_secret().is_empty() {
            return Err(bad("it has no user name or no password"));
        }
        Ok(Self { host: host.to_owned(), port, username, password, tls })
    }
}

fn text<'m>(own: &'m JsonMap, name: &str) -> &'m str {
    own.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn flag(own: &JsonMap, name: &str) -> Result<bool, DatabaseError> {
    match own.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(Json::String(text)) if matches!(text.as_str(), "true" | "1") => Ok(true),
        Some(Json::String(text)) if matches!(text.as_str(), "" | "false" | "0") => Ok(false),
        Some(_) => Err(wrong(format!("{name} is neither true nor false"))),
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
            out.push((16 * digit()? + digit()?) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// What bytes go over: a socket, or TLS over one.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One Redis or Valkey, with the connection kept to it.
struct RedisDatabase {
    address: Address,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    persistence: Persistence,
    limit: Duration,
    /// Commands of all callers share it.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for RedisDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port, .. } = &self.address;
        f.debug_struct("RedisDatabase").field("at", &(host, port)).finish_non_exhaustive()
    }
}

/// Why a command failed.
enum Failed {
    /// The server refused it: the code it begins its text with, and the text.
    Server(String, String),
    /// Nobody knows if it was carried out.
    Lost(String),
}

impl RedisDatabase {
    fn open(settings: &Settings) -> Result<Self, DatabaseError> {
        let address = Address::read(settings)?;
        let tls = if address.tls { Some(tls(&address.host, settings)?) } else { None };
        let persistence =
            match text(&settings.own, "persistence_mode").to_ascii_uppercase().as_str() {
                "" | "NONE" => Persistence::None,
                "REWRITE" => Persistence::Rewrite,
                "ACLFILE" => Persistence::AclFile,
                _ => return Err(wrong("persistence_mode is none of None, REWRITE, ACLFILE")),
            };
        let limit = if settings.timeout.is_zero() { TIMEOUT } else { settings.timeout };
        Ok(Self { address, tls, persistence, limit, connection: Mutex::default() })
    }

    /// Connects and logs in.
    async fn reach(
        &self,
        name: &str,
        password: &SecretString,
    ) -> Result<MultiplexedConnection, Failed> {
        let Address { host, port, .. } = &self.address;
        let lost = |text: String| Failed::Lost(format!("cannot connect to {host}:{port}: {text}"));
        let dial = async {
            let socket = TcpStream::connect((host.as_str(), *port)).await?;
            let stream: Box<dyn Stream> = match &self.tls {
                None => Box::new(socket),
                Some((connector, name)) => Box::new(connector.connect(name.clone(), socket).await?),
            };
            Ok(stream)
        };
        let stream = match timeout(self.limit, dial).await {
            Ok(stream) => stream.map_err(|error: std::io::Error| lost(error.to_string()))?,
            Err(_) => return Err(lost("no answer in time".to_owned())),
        };
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.limit));
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (mut connection, driver) = made.map_err(|error| failed(&error, &[password]))?;
        tokio::spawn(driver);
        let mut login = cmd("AUTH");
        login.arg(name).arg(password.expose_secret().as_str());
        match login.query_async::<Value>(&mut connection).await {
            Ok(_) => Ok(connection),
            Err(error) => Err(failed(&error, &[password])),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, DatabaseError> {
        let Address { username, password, .. } = &self.address;
        self.reach(username, password).await.map_err(|failed| match failed {
            Failed::Lost(text) => DatabaseError::new(FailureKind::Unreachable, text),
            Failed::Server(code, text) if is_passing(&code, &text) => {
                DatabaseError::new(FailureKind::Unreachable, text)
            }
            Failed::Server(_, text) => DatabaseError::new(FailureKind::Credential, text),
        })
    }

    /// Sends a command. One that a kept connection lost is sent once more over a new one: each command
    /// here leaves the same after the second time as after the first.
    async fn ask(&self, command: &Cmd, secrets: &[&SecretString]) -> Result<Value, DatabaseError> {
        let mut again = true;
        loop {
            let mut connection = {
                let mut slot = self.connection.lock().await;
                match &*slot {
                    Some(connection) => connection.clone(),
                    None => {
                        again = false;
                        slot.insert(self.connect().await?).clone()
                    }
                }
            };
            let error = match command.query_async::<Value>(&mut connection).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match failed(&error, secrets) {
                Failed::Server(code, text) => {
                    let kind = match is_passing(&code, &text) {
                        true => FailureKind::Unreachable,
                        false => FailureKind::Refused,
                    };
                    return Err(DatabaseError::new(kind, text));
                }
                Failed::Lost(text) => {
                    *self.connection.lock().await = None;
                    if !again || error.is_timeout() {
                        return Err(DatabaseError::new(FailureKind::Unreachable, text));
                    }
                    again = false;
                }
            }
        }
    }

    async fn is_there(&self, name: &str) -> Result<bool, DatabaseError> {
        let user = self.ask(cmd("ACL").arg("GETUSER").arg(name), &[]).await?;
        Ok(user != Value::Nil)
    }

    async fn persist(&self) -> Result<(), DatabaseError> {
        let (mut save, what) = match self.persistence {
            Persistence::None => return Ok(()),
            Persistence::Rewrite => (cmd("CONFIG"), "REWRITE"),
            Persistence::AclFile => (cmd("ACL"), "SAVE"),
        };
        match self.ask(save.arg(what), &[]).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = format!("the change could not be kept on disk: {}", error.text);
                Err(DatabaseError::new(error.kind, text))
            }
        }
    }

    async fn create_user(&self, account: &NewAccount<'_>) -> Result<(), DatabaseError> {
        let NewAccount { name, credential, statements, .. } = account;
        let password = password_of(credential)?;
        let mut rules = rules(statements)?;
        if rules.is_empty() {
            rules = RULES.iter().map(|&rule| rule.to_owned()).collect();
        }
        check(name)?;
        if self.is_there(name).await? {
            let text = "an account of this name is already there";
            return Err(DatabaseError::new(FailureKind::Refused, text));
        }
        let mut command = cmd("ACL");
        command.arg("SETUSER").arg(*name).arg("ON").arg(set(password).as_str()).arg(&rules);
        let made = match self.ask(&command, &[password]).await {
            Ok(_) => self.persist().await,
            // Refused, nothing has changed.
            Err(error) if error.kind == FailureKind::Refused => return Err(error),
            Err(error) => Err(error),
        };
        let Err(mut error) = made else { return Ok(()) };
        if let Err(left) = self.delete(name).await {
            error.text.push_str("; undoing what was done failed too: ");
            error.text.push_str(&left.text);
        }
        Err(error)
    }

    async fn change_user(
        &self,
        name: &str,
        credential: &Credential,
        statements: &[String],
    ) -> Result<(), DatabaseError> {
        let password = password_of(credential)?;
        let rules = rules(statements)?;
        if !self.is_there(name).await? {
            let text = "there is no such account";
            return Err(DatabaseError::new(FailureKind::Refused, text));
        }
        let mut command = cmd("ACL");
        command.arg("SETUSER").arg(name).arg("RESETPASS").arg(set(password).as_str()).arg(&rules);
        self.ask(&command, &[password]).await?;
        self.persist().await
    }

    async fn delete(&self, name: &str) -> Result<(), DatabaseError> {
        check(name)?;
        self.ask(cmd("ACL").arg("DELUSER").arg(name), &[]).await?;
        // Also where nothing was deleted: the last try may have ended before this.
        self.persist().await
    }
}

impl Database for RedisDatabase {
    fn verify(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.connect().await.map(drop) })
    }

    fn create<'a>(&'a self, account: NewAccount<'a>) -> Answer<'a, ()> {
        Box::pin(async move { self.create_user(&account).await })
    }

    /// Users have no end there.
    fn renew<'a>(&'a self, _: &'a str, _: Timestamp, _: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn set_credential<'a>(
        &'a self,
        name: &'a str,
        credential: &'a Credential,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(self.change_user(name, credential, statements))
    }

    /// Rules do not remove a user, so statements are not looked at, as the peer does.
    fn remove<'a>(&'a self, name: &'a str, _: &'a [String]) -> Answer<'a, ()> {
        Box::pin(self.delete(name))
    }

    fn logs_in<'a>(&'a self, name: &'a str, password: &'a SecretString) -> Answer<'a, bool> {
        Box::pin(async move {
            match self.reach(name, password).await {
                Ok(_) => Ok(true),
                Err(Failed::Server(code, _)) if code == "WRONGPASS" => Ok(false),
                Err(Failed::Server(code, text)) if is_passing(&code, &text) => {
                    Err(DatabaseError::new(FailureKind::Unreachable, text))
                }
                Err(Failed::Server(_, text)) => Err(DatabaseError::new(FailureKind::Refused, text)),
                Err(Failed::Lost(text)) => Err(DatabaseError::new(FailureKind::Unreachable, text)),
            }
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            *self.connection.lock().await = None;
            Ok(())
        })
    }
}

/// The rules in an operator's statements: each is a JSON list of rules, or one rule.
fn rules(statements: &[String]) -> Result<Vec<String>, DatabaseError> {
    let mut rules = Vec::new();
    for statement in statements.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        if statement.starts_with('[') {
            let list: Result<Vec<String>, _> = serde_json::from_str(statement);
            rules.extend(list.map_err(|_| wrong("a statement is no JSON list of rules"))?);
        } else {
            rules.push(statement.to_owned());
        }
    }
    Ok(rules)
}

fn check(name: &str) -> Result<(), DatabaseError> {
    match name {
        "" => Err(wrong("an account needs a name")),
        DEFAULT_USER => Err(wrong("the default user is not made or removed")),
        _ => Ok(()),
    }
}

fn password_of(credential: &Credential) -> Result<&SecretString, DatabaseError> {
    match credential {
        Credential::Password(password) if password.expose_secret().is_empty() => {
            Err(wrong("must provide both username and password"))
        }
        Credential::Password(password) => Ok(password),
        Credential::PublicKey(_) | Credential::Subject(_) => Err(DatabaseError::new(
            FailureKind::Unsupported,
            "users of Redis have passwords here, no other credentials",
        )),
    }
}

/// The rule that gives a user this password.
fn set(password: &SecretString) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(format!(">{}", password.expose_secret()))
}

/// Does the server refuse for now only?
fn is_passing(code: &str, text: &str) -> bool {
    matches!(code, "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN")
        || text.contains("max number of clients")
}

fn failed(error: &RedisError, secrets: &[&SecretString]) -> Failed {
    match error.code() {
        Some(code) => {
            let text = format!("{code} {}", error.detail().unwrap_or_default());
            Failed::Server(code.to_owned(), without(text.trim(), secrets))
        }
        None if error.is_timeout() => Failed::Lost("no answer in time".to_owned()),
        None => Failed::Lost(without(&error.to_string(), secrets)),
    }
}

/// What connects with TLS, and the name that the server must have.
fn tls(
    host: &str,
    settings: &Settings,
) -> Result<(TlsConnector, ServerName<'static>), DatabaseError> {
    let material = &settings.tls;
    let ca = match text(&settings.own, "ca_cert") {
        "" => material.ca.as_str(),
        ca => ca,
    };
    if ca.is_empty() {
        return Err(wrong("ca_cert cannot be empty"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let added = certificate.map_err(|_| ()).and_then(|one| roots.add(one).map_err(|_| ()));
        added.map_err(|()| wrong("failed to parse root certificate"))?;
    }
    if roots.is_empty() {
        return Err(wrong("failed to parse root certificate"));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|_| wrong("TLS is not available"))?;
    let builder = if flag(&settings.own, "insecure_tls")? || material.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        builder.with_root_certificates(roots)
    };
    let config = if material.certificate.is_empty() {
        builder.with_no_client_auth()
    } else {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(material.certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(material.private_key.expose_secret().as_bytes());
        let (Ok(chain), Ok(key)) = (chain, key) else {
            return Err(wrong("failed to parse the client's certificate or its key"));
        };
        let made = builder.with_client_auth_cert(chain, key);
        made.map_err(|_| wrong("the client's certificate and key do not belong together"))?
    };
    let name = if material.server_name.is_empty() { host } else { &material.server_name };
    let name = ServerName::try_from(name.to_owned()).map_err(|_| wrong("invalid host"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Takes any certificate, as the operator asked for; the handshake must still be signed by it.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
