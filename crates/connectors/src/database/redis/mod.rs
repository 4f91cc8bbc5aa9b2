//! Redis and Valkey: users of their access control lists.
//!
//! One `ACL SETUSER` makes or changes a user entirely or not at all, and values are arguments of their
//! own on the wire: there is no statement that a name or a password could break out of. An operator's
//! statements are rules (`~key:*`, `+@read`), as a JSON list or one by one.
//!
//! Removing a user ends its connections at once; a new password ends none.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value, cmd};
use rustls_pki_types::ServerName;
use strongroom_base::{Json, JsonMap, SecretString, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::{self, Check};
use super::url::{Login, decode, host_and_port};
use super::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Driver, DriverTraits, FailureKind,
    NewAccount, Settings, unreachable, without, wrong,
};

const PORT: u16 = 6379;
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
        let login =
            Login { username: &settings.username, password: settings.password.expose_secret() };
        let put = |part: &str| match decode(part) {
            Some(part) => Ok(login.fill(&part).to_string()),
            None => Err(bad("invalid percent escape")),
        };
        let (username, password) = (put(user)?, SecretString::new(put(secret)?));
        let (host, port) = host_and_port(at, PORT).ok_or_else(|| bad("invalid host or port"))?;
        if username.is_empty() || password.expose_secret().is_empty() {
            return Err(bad("it has no user name or no password"));
        }
        Ok(Self { host, port, username, password, tls })
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

/// What bytes go over: a socket, or TLS over one.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One Redis or Valkey, with the connection kept to it.
struct RedisDatabase {
    address: Address,
    /// The password that was configured, which the URL may say or not.
    configured: SecretString,
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
    /// The server refused it.
    Server {
        /// What its text begins with.
        code: String,
        /// For now only.
        passing: bool,
        /// All it said, as it may be shown.
        text: String,
    },
    /// Nobody knows if it was carried out.
    Lost(String),
}

impl Failed {
    /// As an error of ours; of this kind if the server refused for good.
    fn error(self, refused: FailureKind) -> DatabaseError {
        match self {
            Self::Server { passing: true, text, .. } | Self::Lost(text) => unreachable(text),
            Self::Server { text, .. } => DatabaseError::new(refused, text),
        }
    }
}

impl RedisDatabase {
    fn open(settings: &Settings) -> Result<Self, DatabaseError> {
        let address = Address::read(settings)?;
        let tls = if address.tls { Some(connector(&address.host, settings)?) } else { None };
        let persistence =
            match text(&settings.own, "persistence_mode").to_ascii_uppercase().as_str() {
                "" | "NONE" => Persistence::None,
                "REWRITE" => Persistence::Rewrite,
                "ACLFILE" => Persistence::AclFile,
                _ => return Err(wrong("persistence_mode is none of None, REWRITE, ACLFILE")),
            };
        Ok(Self {
            address,
            configured: settings.password.duplicate(),
            tls,
            persistence,
            limit: settings.limit(),
            connection: Mutex::default(),
        })
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
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.limit));
        let connect = async {
            let stream = dial.await.map_err(|error: io::Error| lost(error.to_string()))?;
            let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
            made.map_err(|error| self.failed(&error, &[password]))
        };
        let made = timeout(self.limit, connect).await;
        let (mut connection, driver) =
            made.unwrap_or_else(|_| Err(lost("no answer in time".to_owned())))?;
        tokio::spawn(driver);
        let mut login = cmd("AUTH");
        login.arg(name).arg(password.expose_secret().as_str());
        match login.query_async::<Value>(&mut connection).await {
            Ok(_) => Ok(connection),
            Err(error) => Err(self.failed(&error, &[password])),
        }
    }

    fn failed(&self, error: &RedisError, sent: &[&SecretString]) -> Failed {
        let own = [&self.address.password, &self.configured];
        let secrets: Vec<&SecretString> = own.into_iter().chain(sent.iter().copied()).collect();
        match error.code() {
            Some(code) => {
                let detail = error.detail().unwrap_or_default();
                let shown = format!("{} {}", super::code(code), without(detail, &secrets));
                Failed::Server {
                    code: code.to_owned(),
                    passing: is_passing(code, detail),
                    text: shown.trim_end().to_owned(),
                }
            }
            None if error.is_timeout() => Failed::Lost("no answer in time".to_owned()),
            None => Failed::Lost(without(&error.to_string(), &secrets)),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, DatabaseError> {
        let Address { username, password, .. } = &self.address;
        let reached = self.reach(username, password).await;
        reached.map_err(|failed| failed.error(FailureKind::Credential))
    }

    /// Sends a command. One that a kept connection lost is sent once more over a new one: each command
    /// here leaves the same after the second time as after the first.
    async fn ask(&self, command: &Cmd, secrets: &[&SecretString]) -> Result<Value, DatabaseError> {
        let mut again = true;
        loop {
            let mut connection = {
                // Whoever has it may be connecting.
                let slot = timeout(self.limit, self.connection.lock()).await;
                let mut slot = slot.map_err(|_| unreachable("the calls before took too long"))?;
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
            let failed = self.failed(&error, secrets);
            if matches!(failed, Failed::Lost(_)) {
                // Not in time: then somebody is connecting anew already.
                if let Ok(mut slot) = timeout(self.limit, self.connection.lock()).await {
                    *slot = None;
                }
                if again && !error.is_timeout() {
                    again = false;
                    continue;
                }
            }
            return Err(failed.error(FailureKind::Refused));
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
        let password = credential.password("Redis")?;
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
        let Err(error) = made else { return Ok(()) };
        Err(error.undone(self.delete(name).await))
    }

    async fn change_user(
        &self,
        name: &str,
        credential: &Credential,
        statements: &[String],
    ) -> Result<(), DatabaseError> {
        let password = credential.password("Redis")?;
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
        if name == self.address.username {
            let text = "this account is the administrator's own: it is not removed";
            return Err(DatabaseError::new(FailureKind::Refused, text));
        }
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
                Err(Failed::Server { code, .. }) if code == "WRONGPASS" => Ok(false),
                Err(failed) => Err(failed.error(FailureKind::Refused)),
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

/// The rule that gives a user this password.
fn set(password: &SecretString) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(format!(">{}", password.expose_secret()))
}

/// Does the server refuse for now only?
fn is_passing(code: &str, text: &str) -> bool {
    matches!(code, "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN")
        || text.contains("max number of clients")
}

/// What connects with TLS, and the name that the server must have.
fn connector(
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
    let unchecked = flag(&settings.own, "insecure_tls")? || material.skip_verify;
    let check = if unchecked { Check::Nothing } else { Check::Name };
    let config =
        tls::client(check, ca, &material.certificate, material.private_key.expose_secret())?;
    let name = if material.server_name.is_empty() { host } else { &material.server_name };
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| wrong("the name that the server's certificate must have cannot be one"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests;
