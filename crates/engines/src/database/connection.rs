//! What is stored of a connection, and how it is opened: one pool of the driver's for each, kept
//! as long as the configuration it was opened with stands.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use strongroom_base::json::SecretMap;
use strongroom_base::{Error, Field, Json, JsonMap, Result, SecretString, Timestamp, Ttl, glob};
use strongroom_connectors::database::{
    Database, DatabaseError, Driver, DriverTraits, FailureKind, Settings, TlsMaterial,
};
use strongroom_connectors::template::{DATABASE_FIELDS, Template};
use strongroom_kernel::plug::ReadCx;
use strongroom_kernel::record::{Id, ReadView, Record, WriteView};
use zeroize::Zeroize;

use super::DatabaseEngine;
use super::redaction::redacted;

/// Names of connection details that no answer shows: beside Vault's `password`, `private_key` and
/// `service_account_json` the one that holds a private key, too.
const HIDDEN: [&str; 4] =
    ["password", "private_key", "service_account_json", "tls_certificate_key"];
/// Names of those that drivers get in fields of their own.
const COMMON: [&str; 5] = [
    "connection_url",
    "username",
    "max_open_connections",
    "max_idle_connections",
    "max_connection_lifetime",
];

/// How long a database may take to connect, and to answer one statement.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection's record.
#[derive(Default, Serialize, Deserialize)]
pub struct Connection {
    /// Changes with each write: what was opened with another one is closed.
    pub generation: Id,
    /// The driver.
    pub plugin_name: String,
    /// As given.
    pub plugin_version: String,
    /// Names of roles that may use it; with globs.
    pub allowed_roles: Vec<String>,
    /// How the administrator's password is changed; empty is the driver's way.
    pub root_rotation_statements: Vec<String>,
    /// The policy of generated passwords; "" is Vault's default.
    pub password_policy: String,
    /// Everything else of the configuration: JSON text.
    details: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.details.zeroize();
    }
}

impl Record for Connection {
    const KIND: u8 = 1;
}

impl Connection {
    /// The connection details.
    pub fn details(&self) -> Result<Details> {
        if self.details.is_empty() {
            return Ok(Details::default());
        }
        let parsed = serde_json::from_str(&self.details);
        parsed
            .map(|map| Details(SecretMap(map)))
            .map_err(|_| Error::internal("a connection's record is damaged"))
    }

    /// Sets the connection details.
    pub fn set_details(&mut self, details: &Details) {
        self.details.zeroize();
        self.details = serde_json::to_string(&details.0.0).unwrap_or_default();
    }

    /// May the role of this name use it?
    pub fn check_role(&self, role: &str) -> Result<()> {
        if self.allowed_roles.iter().any(|allowed| glob(allowed, role)) {
            return Ok(());
        }
        Err(Error::bad_request(format!("{role:?} is not an allowed role")))
    }
}

/// The details of a connection that its driver knows, secrets among them.
#[derive(Default)]
pub struct Details(pub SecretMap);

impl Details {
    /// A text among them, or "".
    pub fn text(&self, name: &str) -> &str {
        self.0.0.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// The administrator's password; empty where there is none.
    pub fn password(&self) -> SecretString {
        SecretString::new(self.text("password").to_owned())
    }

    /// Sets the administrator's password.
    pub fn set_password(&mut self, password: &str) {
        self.set("password".to_owned(), Json::String(password.to_owned()));
    }

    /// Sets one of them. A name or a password that is a number is its digits.
    pub fn set(&mut self, name: String, value: Json) {
        let value = match value {
            Json::Number(n) if matches!(name.as_str(), "username" | "password") => {
                Json::String(n.to_string())
            }
            value => value,
        };
        if let Some(mut before) = self.0.0.insert(name, value) {
            strongroom_base::json::wipe(&mut before);
        }
    }

    /// Those that are no secrets.
    fn plain(&self) -> JsonMap {
        let plain = self.0.0.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
        plain.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What answers show of them.
    ///
    /// Numbers and flags are shown as such however they were written, and a lifetime as a text:
    /// Terraform's provider takes nothing else.
    pub fn shown(&self) -> JsonMap {
        let mut shown = self.plain();
        for (name, value) in &mut shown {
            let like = match (name.as_str(), &*value) {
                ("connection_url", Json::String(url)) => Some(redacted(url).into()),
                ("max_connection_lifetime", Json::Number(seconds)) => {
                    Some(format!("{seconds}s").into())
                }
                ("max_open_connections" | "max_idle_connections" | "port", Json::String(text)) => {
                    text.parse::<i64>().ok().map(Json::from)
                }
                ("disable_escaping" | "tls" | "insecure_tls" | "tls_skip_verify", value) => {
                    bool::read(value).ok().map(Json::from)
                }
                _ => None,
            };
            if let Some(like) = like {
                *value = like;
            }
        }
        shown
    }

    /// Has the connection's address a password in it, which everybody who reads it would see?
    pub fn password_in_url(&self) -> bool {
        let url = self.text("connection_url");
        redacted(url) != url
    }

    fn number<T: Field>(&self, name: &str) -> Result<Option<T>, DatabaseError> {
        let value = self.0.0.get(name).filter(|value| !value.is_null() && *value != "");
        let read = value.map(|value| T::read(value)).transpose();
        read.map_err(|want| wrong(format!("invalid {name}: expected {want}")))
    }

    /// As a driver takes them.
    fn settings(&self) -> Result<Settings, DatabaseError> {
        let owned = |name: &str| self.text(name).to_owned();
        let or = |name: &str, other: &str| match self.text(name) {
            "" => owned(other),
            text => text.to_owned(),
        };
        let number = |name: &str| -> Result<u32, DatabaseError> {
            let number = self.number::<i64>(name)?.unwrap_or(0);
            // Below zero, Go's pools know no bound; ours always have one.
            Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
        };
        let lifetime = self.number::<Ttl>("max_connection_lifetime")?.map_or(0, |Ttl(s)| s.max(0));
        let mut own = self.plain();
        own.retain(|name, _| !COMMON.contains(&name.as_str()));
        Ok(Settings {
            connection_url: SecretString::new(owned("connection_url")),
            username: owned("username"),
            password: self.password(),
            max_open_connections: number("max_open_connections")?,
            max_idle_connections: number("max_idle_connections")?,
            max_connection_lifetime: Duration::from_secs(lifetime.unsigned_abs()),
            timeout: TIMEOUT,
            tls: TlsMaterial {
                ca: or("tls_ca", "ca_cert"),
                certificate: or("tls_certificate", "tls_certificate_key"),
                private_key: SecretString::new(or("private_key", "tls_certificate_key")),
                server_name: owned("tls_server_name"),
                skip_verify: self.number::<bool>("tls_skip_verify")?.unwrap_or(false),
            },
            own,
        })
    }
}

fn wrong(text: impl Into<String>) -> DatabaseError {
    DatabaseError::new(FailureKind::Configuration, text)
}

/// A connection that is open.
pub struct Open {
    /// The database.
    pub database: Arc<dyn Database>,
    /// What its driver can do.
    pub traits: &'static DriverTraits,
    generation: Id,
    template: Template,
}

impl Open {
    /// A new account's name for a caller and a role.
    pub fn username(&self, cx: &ReadCx<'_>, display_name: &str, role: &str) -> Result<String> {
        let values = [("DisplayName", display_name), ("RoleName", role)];
        let name = self
            .template
            .render(&values, cx.rng(), cx.now())
            .map_err(|e| Error::bad_request(format!("failed to generate username: {e}")))?;
        if name.is_empty() {
            return Err(Error::bad_request("failed to generate username: it is empty"));
        }
        Ok(name)
    }
}

/// The connections that are open, by name.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<HashMap<String, Arc<Open>>>>);

impl Connections {
    /// Closes a connection, if it is open: the next use opens it anew.
    pub fn close(&self, name: &str) {
        let gone = self.0.lock().remove(name);
        drop(gone);
    }

    fn get(&self, name: &str, generation: Id) -> Option<Arc<Open>> {
        self.0.lock().get(name).filter(|open| open.generation == generation).cloned()
    }

    /// Keeps what was opened, unless there is something newer.
    fn put(&self, name: &str, open: &Arc<Open>) {
        let mut all = self.0.lock();
        let newer = all.get(name).is_some_and(|known| known.generation >= open.generation);
        if !newer {
            all.insert(name.to_owned(), open.clone());
        }
    }
}

impl DatabaseEngine {
    /// The driver of this name.
    pub(super) fn driver(&self, plugin_name: &str) -> Result<Arc<dyn Driver>> {
        self.drivers.driver(plugin_name).ok_or_else(|| {
            Error::bad_request(format!(
                "error creating database object: unable to find plugin {plugin_name:?} in the catalog"
            ))
        })
    }

    /// Opens a connection without keeping it. It is not reached for yet.
    pub(super) fn open(&self, cx: &ReadCx<'_>, connection: &Connection) -> Result<Arc<Open>> {
        let driver = self.driver(&connection.plugin_name)?;
        let details = connection.details()?;
        let refused = |e: &dyn std::fmt::Display| {
            Error::bad_request(format!("error creating database object: {e}"))
        };
        let template = template(driver.traits(), &details, cx).map_err(|e| refused(&e))?;
        let opened = details.settings().and_then(|settings| driver.open(settings));
        Ok(Arc::new(Open {
            database: opened.map_err(|e| refused(&e))?,
            traits: driver.traits(),
            generation: connection.generation,
            template,
        }))
    }

    /// The open connection of this configuration.
    pub(super) fn connect(
        &self,
        cx: &ReadCx<'_>,
        name: &str,
        connection: &Connection,
    ) -> Result<Arc<Open>> {
        if let Some(open) = self.connections.get(name, connection.generation) {
            return Ok(open);
        }
        let open = self.open(cx, connection)?;
        self.connections.put(name, &open);
        Ok(open)
    }
}

/// The template of account names, tried out once.
fn template(traits: &DriverTraits, details: &Details, cx: &ReadCx<'_>) -> Result<Template, String> {
    let text = match details.text("username_template") {
        "" => traits.username_template,
        own => own,
    };
    let parsed = Template::parse(text, DATABASE_FIELDS)
        .map_err(|e| format!("unable to initialize username template: {e}"))?;
    let tried = parsed.render(&[], cx.rng(), Timestamp::ZERO);
    tried.map(|_| parsed).map_err(|e| format!("invalid username template: {e}"))
}

/// The configuration of this name.
pub async fn find(view: &ReadView<'_>, name: &str) -> Result<Connection> {
    let found = view.named::<Connection>(0, name).await?;
    found.ok_or_else(|| {
        Error::bad_request(format!("failed to find entry for connection with name: {name:?}"))
    })
}

/// Stores a configuration under a generation of its own.
pub fn put(edit: &WriteView<'_>, name: &str, connection: &mut Connection) -> Result<()> {
    connection.generation = edit.new_id();
    edit.put_named(0, name, connection)
}
