//! MySQL and MariaDB.
//!
//! Statements that make, change and drop accounts commit by themselves there, so no transaction undoes
//! them: [`Database::create`] first sees that nobody has the name, and when a statement fails
//! it runs the operator's rollback statements or else drops the account, from every host it was made for.
//!
//! Removing an account leaves its open sessions alone, as the database does itself: it refuses the
//! next login. Who wants them ended puts a `KILL` into the revocation statements.
//!
//! Deliberately not known here: prepared statements. Account statements can mostly not be prepared, and
//! values stand in them by [`super::statements`].

mod accounts;
mod ending;
mod failure;
mod grants;
mod imitation;
mod roles;
mod tls;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use strongroom_base::{SecretString, Timestamp};
use tokio::time::{Instant, timeout};

use self::failure::{Failed, within};
use self::tls::Mode;
use self::url::Address;
use super::pool::{Lent, Pool};
use super::statements::{Dialect, Values, expiration, fill};
use super::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Driver, DriverTraits, FailureKind,
    GRACE, NewAccount, STATEMENTS_WAITED_MAX, Settings, wrong,
};

const KEEPALIVE: Duration = Duration::from_secs(30);
/// No statement here comes near this; that it is given saves asking the server for its own.
const PACKET_BYTES_MAX: usize = 1 << 24;
/// The same for how long the server keeps an idle session; one that it did not keep is noticed.
const IDLE_SECONDS: usize = 28_800;

const ROTATION: &[&str] = &["ALTER USER '{{username}}'@'%' IDENTIFIED BY '{{password}}'"];
const OWN_FIELDS: &[&str] =
    &["tls_certificate_key", "tls_ca", "tls_server_name", "tls_skip_verify"];

static CURRENT: DriverTraits = DriverTraits {
    names: &["mysql-database-plugin"],
    credentials: &[CredentialKind::Password],
    username_template: "{{ printf \"v-%s-%s-%s-%s\" (.DisplayName | truncate 10) \
                        (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}",
    rotation_statements: ROTATION,
    fields: OWN_FIELDS,
};

/// Before MySQL 5.7 a name had 16 characters at most; the managed databases' plugins kept to that.
static LEGACY: DriverTraits = DriverTraits {
    names: &[
        "mysql-aurora-database-plugin",
        "mysql-rds-database-plugin",
        "mysql-legacy-database-plugin",
    ],
    credentials: &[CredentialKind::Password],
    username_template: "{{ printf \"v-%s-%s-%s\" (.RoleName | truncate 4) (random 20) | truncate 16 }}",
    rotation_statements: ROTATION,
    fields: OWN_FIELDS,
};

/// The driver; one for long names and one for short ones.
#[derive(Debug)]
pub struct Mysql(&'static DriverTraits);

impl Mysql {
    /// For `mysql-database-plugin`.
    pub fn current() -> Self {
        Self(&CURRENT)
    }

    /// For the names of old and managed databases, with short user names.
    pub fn legacy() -> Self {
        Self(&LEGACY)
    }
}

impl Driver for Mysql {
    fn traits(&self) -> &'static DriverTraits {
        self.0
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Database>, DatabaseError> {
        Ok(Arc::new(MysqlDatabase::open(settings)?))
    }
}

/// One MySQL or MariaDB, with the connections kept to it.
struct MysqlDatabase {
    /// How to get to it as the administrator: each host, in the order they are tried.
    ways: Vec<(String, Opts)>,
    tls: Mode,
    user: String,
    password: SecretString,
    /// The password that was configured, which the URL may say or not.
    configured: SecretString,
    connect: Duration,
    /// With the grace in it.
    statement: Duration,
    pool: Pool<Conn>,
}

impl fmt::Debug for MysqlDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.ways.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("MysqlDatabase").field("at", &names).finish_non_exhaustive()
    }
}

impl MysqlDatabase {
    fn open(settings: Settings) -> Result<Self, DatabaseError> {
        let Settings { connection_url, username, password, .. } = &settings;
        let address = Address::parse(connection_url.expose_secret(), username, password)?;
        let limit = settings.limit();
        let (tls, ssl) = tls::options(address.tls, &settings.tls)?;
        let statement = address.statement.map_or(limit, |own| own.min(limit));
        let builder = OptsBuilder::default()
            .user(Some(&address.user))
            .pass(Some(address.password.expose_secret()))
            .db_name(Some(&address.database).filter(|name| !name.is_empty()))
            .ssl_opts(ssl)
            .prefer_socket(false)
            .enable_cleartext_plugin(address.cleartext)
            .tcp_keepalive(Some(KEEPALIVE))
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(IDLE_SECONDS))
            .stmt_cache_size(0)
            .setup(address.setup(statement));
        let ways = match &address.socket {
            Some(path) => vec![(path.clone(), builder.socket(Some(path)).into())],
            None => address
                .hosts
                .iter()
                .map(|(host, port)| {
                    let way = builder.clone().ip_or_hostname(host).tcp_port(*port);
                    (format!("{host}:{port}"), way.into())
                })
                .collect(),
        };
        let each = limit / u32::try_from(ways.len()).unwrap_or(u32::MAX).max(1);
        Ok(Self {
            ways,
            tls,
            user: address.user,
            password: address.password,
            configured: settings.password.duplicate(),
            // A host that does not answer leaves time for the next.
            connect: address.connect.map_or(limit, |own| own.min(limit)).min(each),
            statement: statement.saturating_add(GRACE),
            pool: Pool::new(&settings),
        })
    }

    /// Connects by the first way that leads there; `change` makes the options another account's.
    async fn reach(&self, change: impl Fn(OptsBuilder) -> OptsBuilder) -> Result<Conn, Failed> {
        let mut last = Failed::Other("connection_url names no host".to_owned());
        for (name, opts) in &self.ways {
            let opts = change(OptsBuilder::from_opts(opts.clone()));
            let mut got = within(self.connect, Conn::new(opts.clone())).await;
            if self.tls == Mode::Preferred && matches!(got, Err(Failed::NoTls)) {
                got = within(self.connect, Conn::new(opts.ssl_opts(None))).await;
            }
            last = match got {
                Ok(_) | Err(Failed::Server(_)) => return got,
                Err(Failed::NoTls) => {
                    Failed::Other(format!("cannot connect to {name}: the server has no TLS"))
                }
                Err(Failed::Other(text)) => {
                    Failed::Other(format!("cannot connect to {name}: {text}"))
                }
            };
        }
        Err(last)
    }

    async fn connect(&self) -> Result<Conn, DatabaseError> {
        self.reach(|own| own).await.map_err(|failed| {
            let mut error = self.said(&failed, &[]);
            error.kind = match failed.code() {
                // Access denied; denied without a password; the password has expired.
                Some(1045 | 1698 | 1820 | 1862) => FailureKind::Credential,
                // The database of the URL is not there, or not for this account.
                Some(1044 | 1049) => FailureKind::Configuration,
                _ => error.kind,
            };
            error
        })
    }

    async fn lend(&self) -> Result<Lent<Conn>, DatabaseError> {
        let slot = self.pool.slot(self.connect.saturating_add(self.statement)).await?;
        while let Some((mut conn, since)) = self.pool.kept() {
            // What a former user of the session set must not reach the next; and it shows if the
            // database still knows of it.
            if matches!(within(self.statement, conn.reset()).await, Ok(true)) {
                return Ok(slot.kept((conn, since)));
            }
            // The others will be no better, and each could keep us waiting.
            drop(self.pool.clear());
        }
        Ok(slot.fresh(self.connect().await?))
    }

    /// Runs one statement.
    async fn run(&self, lent: &mut Lent<Conn>, statement: &SecretString) -> Result<(), Failed> {
        let query = lent.connection.query_drop(statement.expose_secret().as_str());
        let result = within(self.statement, query).await;
        lent.broken |= matches!(result, Err(Failed::Other(_)));
        result
    }

    /// Runs an operator's statements until one fails; with the failure comes how many ran before it.
    ///
    /// What is not about accounts (rows of a table) is committed in the end, or before by the next
    /// statement about an account. `START TRANSACTION` would end with the first of those.
    async fn run_all(
        &self,
        lent: &mut Lent<Conn>,
        statements: &[SecretString],
    ) -> Result<(), (usize, Failed)> {
        let control = |word: &str| SecretString::new(word.to_owned());
        self.run(lent, &control("SET autocommit = 0")).await.map_err(|failed| (0, failed))?;
        let all = self.statement.saturating_mul(STATEMENTS_WAITED_MAX);
        let end = Instant::now().checked_add(all);
        for (done, statement) in statements.iter().enumerate() {
            let run = match end.is_none_or(|end| Instant::now() < end) {
                true => self.run(lent, statement).await,
                false => Err(Failed::Other("all statements together took too long".to_owned())),
            };
            if let Err(failed) = run {
                // Else what is held locked may stand in the way of undoing it.
                lent.broken |= self.run(lent, &control("ROLLBACK")).await.is_err();
                return Err((done, failed));
            }
        }
        let last = statements.len().saturating_sub(1);
        self.run(lent, &control("COMMIT")).await.map_err(|failed| (last, failed))
    }

    /// Runs an operator's texts.
    async fn run_texts(
        &self,
        texts: &[String],
        values: &Values<'_>,
        secrets: &[&SecretString],
    ) -> Result<(), DatabaseError> {
        let statements = fill(Dialect::Mysql, texts, values)?;
        let mut lent = self.lend().await?;
        let result = self.run_all(&mut lent, &statements).await;
        self.pool.give_back(lent);
        result.map_err(|(done, failed)| self.at(&failed, done, statements.len(), secrets))
    }

    /// The hosts that an account of this name is there for; `None` where the administrator may not look.
    async fn hosts_of(
        &self,
        lent: &mut Lent<Conn>,
        name: &str,
    ) -> Result<Option<Vec<String>>, DatabaseError> {
        // Roles of MariaDB stand in the same table, with an empty host.
        let query = format!(
            "SELECT Host FROM mysql.user WHERE User = {} AND Host <> ''",
            *Dialect::Mysql.text(name)
        );
        match within(self.statement, lent.connection.query::<String, _>(query)).await {
            Ok(hosts) => Ok(Some(hosts)),
            // Denied: the table, a column, the database.
            Err(failed) if matches!(failed.code(), Some(1142 | 1143 | 1044)) => Ok(None),
            Err(failed) => {
                lent.broken |= failed.code().is_none();
                let error = self.said(&failed, &[]);
                Err(DatabaseError::new(error.kind, format!("looking for accounts: {}", error.text)))
            }
        }
    }

    async fn try_login(&self, name: &str, password: &SecretString) -> Result<bool, DatabaseError> {
        Ok(match self.log_in(name, password).await? {
            Some(conn) => {
                self.part(conn).await;
                true
            }
            None => false,
        })
    }

    /// A session of an account; none where the database does not take its password.
    async fn log_in(
        &self,
        name: &str,
        password: &SecretString,
    ) -> Result<Option<Conn>, DatabaseError> {
        let as_account = |own: OptsBuilder| {
            own.user(Some(name))
                .pass(Some(password.expose_secret()))
                .db_name(None::<String>)
                .setup(Vec::<String>::new())
        };
        match self.reach(as_account).await {
            Ok(conn) => Ok(Some(conn)),
            // Access denied; no password given; the password has expired; the account is locked
            // (MySQL, MariaDB).
            Err(failed)
                if matches!(failed.code(), Some(1045 | 1698 | 1820 | 1862 | 3118 | 4151)) =>
            {
                Ok(None)
            }
            Err(failed) => Err(self.said(&failed, &[password])),
        }
    }

    /// Says good-bye. How the database takes it does not matter.
    async fn part(&self, conn: Conn) {
        drop(within(self.connect, conn.disconnect()).await);
    }
}

impl Database for MysqlDatabase {
    fn verify(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let conn = self.connect().await?;
            self.part(conn).await;
            Ok(())
        })
    }

    fn create<'a>(&'a self, account: NewAccount<'a>) -> Answer<'a, ()> {
        Box::pin(async move { self.create_account(&account).await })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        expires: Timestamp,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        // Accounts have no end there; without statements there is nothing to move.
        Box::pin(async move {
            if statements.is_empty() {
                return Ok(());
            }
            let expires = expiration(expires);
            let values = [("name", name), ("username", name), ("expiration", expires.as_str())];
            self.run_texts(statements, &values, &[]).await
        })
    }

    fn set_credential<'a>(
        &'a self,
        name: &'a str,
        credential: &'a Credential,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let password = credential.password("MySQL")?;
            if name.is_empty() {
                return Err(wrong("an account needs a name"));
            }
            let secret = password.expose_secret().as_str();
            let values = [("name", name), ("username", name), ("password", secret)];
            let own: Vec<String> = ROTATION.iter().map(|&text| text.to_owned()).collect();
            let texts = if statements.is_empty() { &own } else { statements };
            self.run_texts(texts, &values, &[password]).await
        })
    }

    fn imitate<'a>(
        &'a self,
        model: &'a str,
        name: &'a str,
        password: &'a SecretString,
    ) -> Answer<'a, ()> {
        Box::pin(self.make_like(model, name, password))
    }

    fn end_password<'a>(
        &'a self,
        name: &'a str,
        now: &'a SecretString,
        next: &'a SecretString,
    ) -> Answer<'a, ()> {
        Box::pin(self.end_for_all_hosts(name, now, next))
    }

    fn remove<'a>(&'a self, name: &'a str, statements: &'a [String]) -> Answer<'a, ()> {
        Box::pin(self.remove_account(name, statements))
    }

    fn logs_in<'a>(&'a self, name: &'a str, password: &'a SecretString) -> Answer<'a, bool> {
        Box::pin(self.try_login(name, password))
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let idle = self.pool.close();
            let all = async {
                for conn in idle {
                    self.part(conn).await;
                }
            };
            // Those that do not answer are dropped.
            drop(timeout(self.connect, all).await);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
