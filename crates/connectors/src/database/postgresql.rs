//! Accounts in PostgreSQL, as Vault's `postgresql-database-plugin` makes them.
//!
//! Statements of an operator run in one transaction. An account that goes takes its sessions with
//! it; what it owned goes to the administrator, in every database of the server where it has
//! something, so that nothing keeps the role from being dropped.
//!
//! Invariants:
//! * a connection on which anything is in doubt (a time-out, a broken transaction, a changed
//!   setting) is closed, never used again;
//! * nothing is committed by a call that was dropped or timed out before its `COMMIT`;
//! * what PostgreSQL says passes [`PostgresqlDatabase::said`] before it becomes a text of ours.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{error::Error as _, fmt, io};

use futures_util::StreamExt;
use parking_lot::Mutex;
use strongroom_base::{SecretString, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{ErrorPosition, SqlState};
use tokio_postgres::{Client, Error, SimpleQueryMessage};
use zeroize::Zeroizing;

use super::libpq::address::{Address, Mode};
use super::libpq::{self, Login};
use super::statements::{Dialect, Values, fill};
use super::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Driver, DriverTraits, FailureKind,
    NewAccount, Settings, without,
};

/// Connections at a time where the operator gives no number.
const CONNECTIONS_DEFAULT: usize = 4;
/// How long to wait where nothing is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// What the server itself may be late by, when it has to stop a statement in time.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);
/// How often a transaction is tried again that met another one.
const CONFLICTS_MAX: u32 = 10;
/// A part of a secret so long in a text of the server makes the text ours to withhold.
const FRAGMENT_CHARS: usize = 5;
/// The first number of a role that people made.
const FIRST_ROLE_OID: u32 = 16_384;

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

fn wrong(text: impl Into<String>) -> DatabaseError {
    DatabaseError::new(FailureKind::Configuration, text)
}

fn unreachable(text: impl Into<String>) -> DatabaseError {
    DatabaseError::new(FailureKind::Unreachable, text)
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
    pool: Pool,
    /// Has a transaction met another one? Roles share rows of the catalogue (the rights of a
    /// table are one row), so the transactions here run one after the other from then on.
    conflicts: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for PostgresqlDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresqlDatabase").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Connections that wait for work, and how many there may be.
struct Pool {
    idle: Mutex<Vec<(Client, Instant)>>,
    slots: Arc<Semaphore>,
    idle_max: usize,
    lifetime: Duration,
}

/// A connection at work. Dropping it closes it.
struct Session {
    client: Client,
    since: Instant,
    /// Was it made just now?
    fresh: bool,
    _slot: OwnedSemaphorePermit,
}

/// Why a transaction did not come through.
struct Broken {
    error: Failure,
    /// The statement that failed, counted from 1; 0 if none did.
    statement: usize,
    /// Is nothing of it left for certain, and the session as before?
    undone: bool,
}

/// An error of the library, or none in time.
enum Failure {
    Late,
    Said(Error),
}

impl Failure {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Late => None,
            Self::Said(error) => error.code(),
        }
    }

    /// Did the transaction meet another one? Trying again is the remedy.
    fn is_conflict(&self) -> bool {
        let Self::Said(error) = self else { return false };
        let Some(said) = error.as_db_error() else { return false };
        let code = said.code();
        *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::INTERNAL_ERROR
                && ["tuple concurrently", "could not find tuple", "cache lookup failed"]
                    .iter()
                    .any(|start| said.message().starts_with(start))
    }

    /// Was the connection gone before anything was said?
    fn is_closed(&self) -> bool {
        match self {
            Self::Late => false,
            Self::Said(error) => {
                error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN)
            }
        }
    }
}

/// Waits so long for an answer.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Failure::Said),
        Err(_) => Err(Failure::Late),
    }
}

/// Runs statements; with a failure comes how many were done before it.
async fn run(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, (Error, usize)> {
    let (mut rows, mut done) = (Vec::new(), 0);
    let stream = client.simple_query_raw(sql).await.map_err(|e| (e, done))?;
    let mut stream = pin!(stream);
    while let Some(message) = stream.next().await {
        match message.map_err(|e| (e, done))? {
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(_) => done += 1,
            _ => {}
        }
    }
    Ok(rows)
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
        let encoded = flag.is_some_and(|flag| flag.as_bool() == Some(true) || *flag == "true");
        let scram = match settings.own.get("password_authentication").map(|value| value.as_str()) {
            None | Some(Some("" | "password")) => false,
            Some(Some("scram-sha-256")) => true,
            Some(_) => {
                return Err(wrong("password_authentication must be password or scram-sha-256"));
            }
        };
        let url = settings.connection_url.expose_secret();
        let mut said = libpq::parse(url, Login { username, password, encoded })?;
        let user = libpq::take(&mut said, "user").unwrap_or_else(|| username.clone().into());
        if user.is_empty() {
            return Err(wrong("neither connection_url nor username says who the administrator is"));
        }
        let own = libpq::take(&mut said, "password").unwrap_or_else(|| password.clone().into());
        let limit = if settings.timeout.is_zero() { TIMEOUT_DEFAULT } else { settings.timeout };
        let mut address = Address::read(said, &settings.tls, limit)?;
        // Whoever logs in, it is to this database: without a name the server would take the user's.
        let database = address.config.get_dbname().unwrap_or(&user).to_owned();
        address.config.dbname(database);
        let open = match settings.max_open_connections {
            0 => CONNECTIONS_DEFAULT,
            open => open as usize,
        };
        let idle_max = match settings.max_idle_connections {
            0 => open,
            idle => open.min(idle as usize),
        };
        Ok(Self {
            address,
            user: user.to_string(),
            password: SecretString::new(own.to_string()),
            configured: settings.password,
            scram,
            limit,
            pool: Pool {
                idle: Mutex::new(Vec::new()),
                slots: Arc::new(Semaphore::new(open.min(Semaphore::MAX_PERMITS))),
                idle_max,
                lifetime: settings.max_connection_lifetime,
            },
            conflicts: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// Connects, in the order that the mode says.
    async fn dial(
        &self,
        user: &str,
        password: &SecretString,
        database: Option<&str>,
    ) -> Result<Client, Failure> {
        let tries: &[SslMode] = match self.address.mode {
            Mode::Disable => &[SslMode::Disable],
            Mode::Allow => &[SslMode::Disable, SslMode::Require],
            Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            Mode::Require => &[SslMode::Require],
        };
        let mut config = self.address.config.clone();
        config.user(user).password(password.expose_secret());
        if let Some(database) = database {
            config.dbname(database);
        }
        let mut last = Failure::Late;
        for mode in tries {
            config.ssl_mode(*mode);
            let connect = config.connect(self.address.tls.clone());
            match within(self.limit, connect).await {
                Ok((client, mut connection)) => {
                    // Ends with the client. What the server tells beside answers is not kept.
                    tokio::spawn(async move {
                        while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {}
                    });
                    return Ok(client);
                }
                Err(failure) => last = failure,
            }
            // Another try helps where TLS itself failed, or the server wants the other way.
            let Failure::Said(error) = &last else { break };
            let other_way = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
            if !(other_way || is_tls(error)) {
                break;
            }
        }
        Err(last)
    }

    /// A new session of the administrator in a database.
    async fn session(&self, database: Option<&str>) -> Result<Client, DatabaseError> {
        let connecting = "cannot connect to the database";
        let client = self
            .dial(&self.user, &self.password, database)
            .await
            .map_err(|failure| self.said(connecting, &failure, &[]))?;
        within(self.limit, client.batch_execute(&self.address.session))
            .await
            .map_err(|failure| self.said("cannot set up a session", &failure, &[]))?;
        Ok(client)
    }

    async fn take(&self) -> Result<Session, DatabaseError> {
        let slot = timeout(self.limit, self.pool.slots.clone().acquire_owned()).await;
        let slot = match slot {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(unreachable("the connections to the database are closed")),
            Err(_) => return Err(unreachable("all connections to the database stayed busy")),
        };
        while let Some((client, since)) = self.pop() {
            let old = !self.pool.lifetime.is_zero() && since.elapsed() >= self.pool.lifetime;
            if !client.is_closed() && !old {
                return Ok(Session { client, since, fresh: false, _slot: slot });
            }
        }
        let client = self.session(None).await?;
        Ok(Session { client, since: Instant::now(), fresh: true, _slot: slot })
    }

    fn pop(&self) -> Option<(Client, Instant)> {
        self.pool.idle.lock().pop()
    }

    fn give_back(&self, session: Session) {
        let mut idle = self.pool.idle.lock();
        if idle.len() < self.pool.idle_max
            && !self.pool.slots.is_closed()
            && !session.client.is_closed()
        {
            idle.push((session.client, session.since));
        }
    }

    /// Makes a session as if it were new: what a statement set is not for the next one.
    async fn wash(&self, client: &Client) -> bool {
        within(self.limit, client.batch_execute("DISCARD ALL")).await.is_ok()
            && within(self.limit, client.batch_execute(&self.address.session)).await.is_ok()
    }

    /// Rows of one query of our own.
    async fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, DatabaseError> {
        loop {
            let session = self.take().await?;
            let answer = async { run(&session.client, sql).await.map_err(|(error, _)| error) };
            match within(self.limit + TIMEOUT_GRACE, answer).await {
                Ok(rows) => {
                    self.give_back(session);
                    return Ok(rows);
                }
                Err(failure) if failure.is_closed() && !session.fresh => {}
                Err(failure) => return Err(self.said("cannot ask the database", &failure, &[])),
            }
        }
    }

    /// Runs statements in one transaction; `sent` are the secrets in them.
    async fn transaction(
        &self,
        statements: &[SecretString],
        sent: &[&SecretString],
    ) -> Result<(), DatabaseError> {
        self.transaction_or(statements).await.map_err(|failed| match failed {
            Failed::Before(error) => error,
            Failed::In(broken) => self.broken(&broken, statements.len(), sent),
        })
    }

    async fn transaction_or(&self, statements: &[SecretString]) -> Result<(), Failed> {
        let mut conflicts = 0;
        let mut alone = None;
        loop {
            if alone.is_none() && self.conflicts.load(Ordering::Relaxed) {
                alone = Some(self.turn.lock().await);
            }
            let session = self.take().await.map_err(Failed::Before)?;
            let Err(broken) = transact(&session.client, statements, self.limit).await else {
                let changed = statements.iter().any(|s| changes_session(s.expose_secret()));
                if !changed || self.wash(&session.client).await {
                    self.give_back(session);
                }
                return Ok(());
            };
            if !session.fresh && broken.statement <= 1 && broken.error.is_closed() {
                continue;
            }
            let again = broken.undone && broken.error.is_conflict() && conflicts < CONFLICTS_MAX;
            if broken.undone {
                self.give_back(session);
            }
            if !again {
                return Err(Failed::In(broken));
            }
            conflicts += 1;
            self.conflicts.store(true, Ordering::Relaxed);
        }
    }

    fn broken(&self, broken: &Broken, count: usize, sent: &[&SecretString]) -> DatabaseError {
        let what = match broken.statement {
            0 => "cannot commit".to_owned(),
            n if n > count => "cannot commit".to_owned(),
            n => format!("statement {n} of {count} failed"),
        };
        self.said(&what, &broken.error, sent)
    }

    /// A failure as an error of ours: what was done, and what the server says of it as far as
    /// that cannot be, or hold a part of, a secret.
    fn said(&self, what: &str, failure: &Failure, sent: &[&SecretString]) -> DatabaseError {
        let error = match failure {
            Failure::Late => return unreachable(format!("{what}: no answer in time")),
            Failure::Said(error) => error,
        };
        let secrets: Vec<&SecretString> =
            [&self.password, &self.configured].into_iter().chain(sent.iter().copied()).collect();
        let Some(said) = error.as_db_error() else {
            let (kind, cause) = cause(error);
            return DatabaseError::new(kind, without(&format!("{what}: {cause}"), &secrets));
        };
        let mut text = said.message().to_owned();
        if *said.code() == SqlState::SYNTAX_ERROR
            && let Some(at) = text.find(" at or near")
        {
            // What is quoted there is a part of the statement.
            text.truncate(at);
        }
        if *said.code() == SqlState::DEPENDENT_OBJECTS_STILL_EXIST
            && let Some(detail) = said.detail()
        {
            text = format!("{text}: {}", detail.replace('\n', ", "));
        }
        let code = said.code().code();
        let mut text = without(&text, &secrets);
        if sent.iter().any(|secret| has_part_of(&text, secret.expose_secret())) {
            text = "what the database says holds a part of a password".to_owned();
        }
        DatabaseError::new(kind_of(code), format!("{what}: {text} (SQLSTATE {code})"))
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
        match credential {
            Credential::Password(password) if password.expose_secret().is_empty() => {
                Err(wrong("missing password"))
            }
            Credential::Password(password) if self.scram => {
                let password = password.expose_secret().as_bytes();
                Ok(SecretString::new(postgres_protocol::password::scram_sha_256(password)))
            }
            Credential::Password(password) => Ok(password.duplicate()),
            Credential::PublicKey(_) | Credential::Subject(_) => Err(DatabaseError::new(
                FailureKind::Unsupported,
                "accounts of PostgreSQL have passwords only",
            )),
        }
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

    /// What is known of a role; none if it is not there.
    async fn find(&self, name: &str) -> Result<Option<Role>, DatabaseError> {
        let sql = format!(
            "SELECT r.oid, r.oid = me.oid, me.rolname, \
             NOT pg_has_role(me.oid, r.oid, 'USAGE'), \
             EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid AND m.roleid = me.oid), \
             d.datname \
             FROM pg_roles r JOIN pg_roles me ON me.rolname = current_user \
             LEFT JOIN (SELECT DISTINCT s.refobjid, b.datname FROM pg_shdepend s \
             JOIN pg_database b ON b.oid = s.dbid \
             WHERE s.refclassid = 'pg_authid'::regclass AND b.datname <> current_database()) d \
             ON d.refobjid = r.oid WHERE r.rolname = {} ORDER BY d.datname",
            *Dialect::Postgresql.text(name)
        );
        let mut found: Option<Role> = None;
        for row in self.query(&sql).await? {
            let [Some(oid), Some(own), Some(me), Some(foreign), Some(member), database] =
                row.as_slice()
            else {
                continue;
            };
            let role = found.get_or_insert_with(|| Role {
                protected: own == "t" || oid.parse().is_ok_and(|oid: u32| oid < FIRST_ROLE_OID),
                me: me.clone(),
                foreign: foreign == "t",
                member_of_me: member == "t",
                elsewhere: Vec::new(),
            });
            role.elsewhere.extend(database.clone());
        }
        Ok(found)
    }

    async fn drop_role(&self, name: &str) -> Result<(), DatabaseError> {
        let Some(role) = self.find(name).await? else { return Ok(()) };
        if role.protected {
            let text = "this role is the administrator's own, or the database's: it is not removed";
            return Err(DatabaseError::new(FailureKind::Refused, text));
        }
        let quoted = Dialect::Postgresql.identifier(name);
        let give_up = role.give_up(&quoted);
        let mut left = Vec::new();
        for database in &role.elsewhere {
            if let Err(error) = self.clean(database, &give_up).await {
                left.push(format!("{}: {}", Dialect::Postgresql.identifier(database), error.text));
            }
        }
        let last = if left.is_empty() { "DROP ROLE " } else { "ALTER ROLE " };
        let nologin = if left.is_empty() { "" } else { " NOLOGIN" };
        let last = SecretString::new(format!("{last}{quoted}{nologin}"));
        let mut all = give_up;
        all.push(last);
        let failed = match self.transaction_or(&all).await {
            Ok(()) if left.is_empty() => return Ok(()),
            Ok(()) => DatabaseError::new(
                FailureKind::Refused,
                format!(
                    "the role cannot log in any more, but stays for what it has in {}",
                    left.join("; ")
                ),
            ),
            // Somebody else was quicker.
            Err(failed) if failed.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                match self.find(name).await? {
                    None => return Ok(()),
                    Some(_) => self.not_dropped(failed, left),
                }
            }
            Err(failed) => {
                // As much as can be: nobody gets in with it while it is still there.
                if matches!(failed, Failed::In(_)) {
                    let shut = SecretString::new(format!("ALTER ROLE {quoted} NOLOGIN"));
                    let _ = self.transaction_or(&[shut]).await;
                }
                self.not_dropped(failed, left)
            }
        };
        Err(failed)
    }

    fn not_dropped(&self, failed: Failed, left: Vec<String>) -> DatabaseError {
        let mut error = match failed {
            Failed::Before(error) => error,
            Failed::In(broken) => self.said("the role cannot be dropped", &broken.error, &[]),
        };
        for left in left {
            error.text = format!("{}; {left}", error.text);
        }
        error
    }

    /// Takes from a role what it has in another database.
    async fn clean(&self, database: &str, give_up: &[SecretString]) -> Result<(), DatabaseError> {
        let client = self.session(Some(database)).await?;
        transact(&client, give_up, self.limit)
            .await
            .map_err(|broken| self.said("what it has cannot be taken", &broken.error, &[]))
    }

    async fn remove_by(&self, name: &str, texts: &[String]) -> Result<(), DatabaseError> {
        let statements = self.statements(texts, name, &[])?;
        let Err(error) = self.transaction(&statements, &[]).await else { return Ok(()) };
        // Statements mostly fail on a role that is not there.
        match self.find(name).await {
            Ok(None) => Ok(()),
            _ => Err(error),
        }
    }
}

/// Why a transaction failed: before it began, or in it.
enum Failed {
    Before(DatabaseError),
    In(Broken),
}

impl Failed {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Before(_) => None,
            Self::In(broken) => broken.error.code(),
        }
    }
}

/// A role to be removed.
struct Role {
    /// Removing it would lock everybody out.
    protected: bool,
    /// The administrator's name.
    me: String,
    /// The administrator has none of its rights, which taking what it owns needs.
    foreign: bool,
    /// It has the administrator's rights; PostgreSQL allows but one of the two.
    member_of_me: bool,
    /// The other databases where it has something.
    elsewhere: Vec<String>,
}

impl Role {
    /// The statements that end its sessions and take what it has in one database.
    fn give_up(&self, quoted: &str) -> Vec<SecretString> {
        let mut all = Vec::new();
        if self.foreign {
            if self.member_of_me {
                let me = Dialect::Postgresql.identifier(&self.me);
                all.push(format!("REVOKE {me} FROM {quoted}"));
            }
            all.push(format!("GRANT {quoted} TO CURRENT_USER"));
        }
        // Sessions that hold locks would keep us waiting. Who may not end them goes on without.
        all.push(format!(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a \
             JOIN pg_roles r ON r.oid = a.usesysid JOIN pg_roles me ON me.rolname = current_user \
             WHERE r.oid = {}::regrole AND a.pid <> pg_backend_pid() AND (me.rolsuper \
             OR NOT r.rolsuper AND (pg_has_role(me.oid, r.oid, 'USAGE') \
             OR pg_has_role(me.oid, 'pg_signal_backend', 'USAGE')))",
            *Dialect::Postgresql.text(quoted)
        ));
        all.push(format!("REASSIGN OWNED BY {quoted} TO CURRENT_USER"));
        all.push(format!("DROP OWNED BY {quoted}"));
        all.into_iter().map(SecretString::new).collect()
    }
}

/// Runs statements in a transaction. Begun and run in one message; the commit is one of its own, so
/// that nobody's going away in between commits anything.
async fn transact(
    client: &Client,
    statements: &[SecretString],
    limit: Duration,
) -> Result<(), Broken> {
    let mut sql = Zeroizing::new(String::from("BEGIN"));
    let mut starts = Vec::with_capacity(statements.len());
    for statement in statements {
        // A line of its own: the last one may end in a comment.
        sql.push_str("\n;\n");
        starts.push(sql.chars().count());
        sql.push_str(statement.expose_secret());
    }
    let count = u32::try_from(statements.len()).unwrap_or(u32::MAX).max(1);
    let all = limit.saturating_mul(count).saturating_add(TIMEOUT_GRACE);
    let mut broken = match timeout(all, run(client, &sql)).await {
        Ok(Ok(_)) => match within(limit + TIMEOUT_GRACE, client.batch_execute("COMMIT")).await {
            Ok(()) => return Ok(()),
            Err(error) => Broken { error, statement: statements.len() + 1, undone: false },
        },
        Ok(Err((error, done))) => {
            let statement = if done == 0 { at_position(&error, &starts) } else { done };
            Broken { error: Failure::Said(error), statement, undone: false }
        }
        Err(_) => return Err(Broken { error: Failure::Late, statement: 1, undone: false }),
    };
    if matches!(broken.error, Failure::Said(_)) {
        broken.undone = within(limit, client.batch_execute("ROLLBACK")).await.is_ok();
    }
    Err(broken)
}

/// The statement that an error of the whole message points into.
fn at_position(error: &Error, starts: &[usize]) -> usize {
    match error.as_db_error().and_then(|said| said.position()) {
        Some(ErrorPosition::Original(at)) => {
            starts.iter().filter(|start| **start < *at as usize).count()
        }
        _ => 1,
    }
}

/// Does a statement leave something in the session that outlives its transaction?
fn changes_session(statement: &str) -> bool {
    let mut words = statement.split_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    match first.as_str() {
        "set" => !words.next().is_some_and(|second| second.eq_ignore_ascii_case("local")),
        "alter" | "comment" | "create" | "drop" | "grant" | "reassign" | "revoke" => false,
        "delete" | "insert" | "update" => false,
        _ => !statement.starts_with("SELECT pg_terminate_backend("),
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

/// `2006-01-02 15:04:05-0700`, in UTC.
fn expiration(at: Timestamp) -> String {
    let text = Timestamp::from_seconds(at.seconds()).to_string();
    format!("{}+0000", text.trim_end_matches('Z').replace('T', " "))
}

/// Is a part of a secret in a text, whatever the case of its letters?
fn has_part_of(text: &str, secret: &str) -> bool {
    let text = text.to_lowercase();
    let secret: Zeroizing<Vec<char>> = Zeroizing::new(secret.to_lowercase().chars().collect());
    secret.windows(FRAGMENT_CHARS).any(|part| {
        let part: Zeroizing<String> = Zeroizing::new(part.iter().collect());
        text.contains(part.as_str())
    })
}

/// What an error code of the server means.
fn kind_of(code: &str) -> FailureKind {
    match code.as_bytes() {
        [b'2', b'8', ..] => FailureKind::Credential,
        [b'3', b'D', ..] => FailureKind::Configuration,
        // Broken connections, no resources, an operator stopping it, its disk; a standby.
        [b'0', b'8', ..] | [b'5', b'3' | b'7' | b'8', ..] | b"25006" => FailureKind::Unreachable,
        _ => FailureKind::Refused,
    }
}

fn io_cause(error: &Error) -> Option<&io::Error> {
    error.source().and_then(|cause| cause.downcast_ref::<io::Error>())
}

/// Did TLS fail, and not what it goes over?
fn is_tls(error: &Error) -> bool {
    let inner = io_cause(error).and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
        || error.to_string().contains("TLS handshake")
}

/// What failed on our side of the wire.
fn cause(error: &Error) -> (FailureKind, String) {
    let text = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let kind = match io_cause(error) {
        Some(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            FailureKind::Configuration
        }
        _ if text.starts_with("authentication error") || text.contains("password missing") => {
            FailureKind::Credential
        }
        _ if text.contains("does not support TLS") || text.starts_with("invalid config") => {
            FailureKind::Configuration
        }
        _ => FailureKind::Unreachable,
    };
    (kind, text)
}

impl Database for PostgresqlDatabase {
    fn verify(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.query("SELECT 1").await.map(|_| ()) })
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
            self.pool.slots.close();
            self.pool.idle.lock().clear();
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "postgresql_tests.rs"]
mod tests;
