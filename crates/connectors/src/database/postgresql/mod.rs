//! Accounts in PostgreSQL, as Vault's `postgresql-database-plugin` makes them.
//!
//! Statements of an operator run in one transaction. An account that goes takes its sessions with
//! it; what it owned goes to the administrator, in every database of the server where it has
//! something, so that nothing keeps the role from being dropped.
//!
//! Invariants:
//! * a connection on which anything is in doubt (a time-out, a broken transaction, a changed
//!   setting) is closed, never used again;
//! * what PostgreSQL says passes [`PostgresqlDatabase::said`] before it becomes a text of ours.

mod failure;
mod imitation;
mod libpq;
mod removal;
mod session;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use strongroom_base::{SecretString, Timestamp};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use self::libpq::Encoding;
use self::libpq::address::Address;
use super::pool::Pool;
use super::statements::{Dialect, Values, expiration, fill};
use super::url::Login;
use super::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Driver, DriverTraits, NewAccount,
    Settings, wrong,
};

const RENEWAL: &str = r#"ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}';"#;

static TRAITS: DriverTraits = DriverTraits {
    names: &["postgresql-database-plugin"],
    credentials: &[CredentialKind::Password],
    username_template: "{{ printf \"v-%s-%s-%s-%s\" (.DisplayName | truncate 8) \
         (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}",
    rotation_statements: &[r#"ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}';"#],
    fields: &["password_authentication", "disable_escaping"],
};

/// The driver.
#[derive(Debug)]
pub struct Postgresql;

impl Driver for Postgresql {
    fn traits(&self) -> &'static DriverTraits {
        &TRAITS
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Database>, DatabaseError> {
        Ok(Arc::new(PostgresqlDatabase::open(settings)?))
    }
}

/// One server, as one configuration describes it.
struct PostgresqlDatabase {
    address: Address,
    user: String,
    password: SecretString,
    /// The password that was configured, which the address may say or not.
    configured: SecretString,
    scram: bool,
    limit: Duration,
    pool: Pool<Client>,
    /// Has a transaction met another one? Roles share rows of the catalogue (the rights of a
    /// table are one row), so the transactions here run one after the other from then on.
    conflicts: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for PostgresqlDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresqlDatabase").finish_non_exhaustive()
    }
}

impl PostgresqlDatabase {
    fn open(settings: Settings) -> Result<Self, DatabaseError> {
        let (username, password) = (&settings.username, settings.password.expose_secret());
        let is_template =
            |text: &str| text.contains("{{username}}") || text.contains("{{password}}");
        if is_template(username) || is_template(password) {
            return Err(wrong("username and/or password cannot contain the template variables"));
        }
        let flag = settings.own.get("disable_escaping");
        let encoding = match flag.is_some_and(|f| f.as_bool() == Some(true) || *f == "true") {
            true => Encoding::Operators,
            false => Encoding::Ours,
        };
        let scram = match settings.own.get("password_authentication").map(|value| value.as_str()) {
            None | Some(Some("" | "password")) => false,
            Some(Some("scram-sha-256")) => true,
            Some(_) => {
                return Err(wrong("password_authentication must be password or scram-sha-256"));
            }
        };
        let url = settings.connection_url.expose_secret();
        let mut said = libpq::parse(url, Login { username, password }, encoding)?;
        let user = libpq::take(&mut said, "user").unwrap_or_else(|| username.clone().into());
        if user.is_empty() {
            return Err(wrong("neither connection_url nor username says who the administrator is"));
        }
        let own = libpq::take(&mut said, "password").unwrap_or_else(|| password.clone().into());
        let limit = settings.limit();
        let mut address = Address::read(said, &settings.tls, limit)?;
        // Whoever logs in, it is to this database: without a name the server would take the user's.
        let database = address.config.get_dbname().unwrap_or(&user).to_owned();
        address.config.dbname(database);
        let pool = Pool::new(&settings);
        Ok(Self {
            address,
            user: user.to_string(),
            password: SecretString::new(own.to_string()),
            configured: settings.password,
            scram,
            limit,
            pool,
            conflicts: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// The statements of an operator with their values; `{{password}}` as the server shall get it.
    fn statements(
        &self,
        texts: &[String],
        name: &str,
        more: &Values<'_>,
    ) -> Result<Vec<SecretString>, DatabaseError> {
        let mut values = vec![("name", name), ("username", name)];
        values.extend_from_slice(more);
        let statements = fill(Dialect::Postgresql, texts, &values)?;
        if statements.is_empty() {
            return Err(wrong("there is no statement to run"));
        }
        Ok(statements)
    }

    /// The password as it goes into statements.
    fn sent(&self, credential: &Credential) -> Result<SecretString, DatabaseError> {
        let password = credential.password("PostgreSQL")?;
        if !self.scram {
            return Ok(password.duplicate());
        }
        let password = password.expose_secret().as_bytes();
        Ok(SecretString::new(postgres_protocol::password::scram_sha_256(password)))
    }

    /// The rollback statements have nothing to do: it is all in one transaction.
    async fn make(&self, account: NewAccount<'_>) -> Result<(), DatabaseError> {
        if account.statements.is_empty() {
            return Err(wrong("empty creation statements"));
        }
        let password = self.sent(account.credential)?;
        let expires = expiration(account.expires);
        let more = [("password", password.expose_secret().as_str()), ("expiration", &expires)];
        let statements = self.statements(account.statements, account.name, &more)?;
        self.transaction(&statements, &secrets(account.credential, &password)).await
    }

    async fn change(
        &self,
        name: &str,
        credential: &Credential,
        statements: &[String],
    ) -> Result<(), DatabaseError> {
        let password = self.sent(credential)?;
        let more = [("password", password.expose_secret().as_str())];
        let statements = if statements.is_empty() {
            let texts: Vec<String> =
                TRAITS.rotation_statements.iter().map(|text| (*text).to_owned()).collect();
            self.statements(&texts, name, &more)?
        } else {
            self.statements(statements, name, &more)?
        };
        self.transaction(&statements, &secrets(credential, &password)).await
    }
}

/// The secrets that go out with a credential.
fn secrets<'a>(credential: &'a Credential, sent: &'a SecretString) -> Vec<&'a SecretString> {
    let mut secrets = vec![sent];
    if let Credential::Password(password) = credential {
        secrets.push(password);
    }
    secrets
}

impl Database for PostgresqlDatabase {
    fn verify(&self) -> Answer<'_, ()> {
        Box::pin(self.connect_anew())
    }

    fn create<'a>(&'a self, account: NewAccount<'a>) -> Answer<'a, ()> {
        Box::pin(self.make(account))
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        expires: Timestamp,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let expires = expiration(expires);
            let more = [("expiration", expires.as_str())];
            let statements = if statements.is_empty() {
                self.statements(&[RENEWAL.to_owned()], name, &more)?
            } else {
                self.statements(statements, name, &more)?
            };
            self.transaction(&statements, &[]).await
        })
    }

    fn set_credential<'a>(
        &'a self,
        name: &'a str,
        credential: &'a Credential,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(self.change(name, credential, statements))
    }

    fn imitate<'a>(
        &'a self,
        model: &'a str,
        name: &'a str,
        password: &'a SecretString,
    ) -> Answer<'a, ()> {
        Box::pin(self.make_like(model, name, password))
    }

    fn remove<'a>(&'a self, name: &'a str, statements: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async move {
            match statements {
                [] => self.drop_role(name).await,
                statements => self.remove_by(name, statements).await,
            }
        })
    }

    fn logs_in<'a>(&'a self, name: &'a str, password: &'a SecretString) -> Answer<'a, bool> {
        Box::pin(async move {
            let failure = match self.dial(name, password, None).await {
                Ok(_) => return Ok(true),
                Err(failure) => failure,
            };
            let code = failure.code().map(SqlState::code);
            match code {
                Some("28P01" | "28000") => Ok(false),
                // These come after the password was taken: the database is not there, or not open
                // to this account.
                Some("3D000" | "42501") => Ok(true),
                _ => Err(self.said("cannot log in to the database", &failure, &[password])),
            }
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            drop(self.pool.close());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
