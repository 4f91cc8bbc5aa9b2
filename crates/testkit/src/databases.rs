//! Database servers of a simulation: the twin of the drivers in `connectors`. They keep accounts in
//! memory, outlive the server's processes, and fail when a test says so.
//!
//! A configuration's `connection_url` is `sim://{{username}}:{{password}}@SERVER/`; a server is
//! there when it is named first. Statements are texts: one that holds `FAIL` is refused, one that
//! holds `NOTHING` does nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{SecretString, Timestamp};
use strongroom_connectors::database::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Databases, Driver, DriverTraits,
    FailureKind, NewAccount, Settings,
};

static TRAITS: DriverTraits = DriverTraits {
    names: &["sim-database-plugin"],
    credentials: &[
        CredentialKind::Password,
        CredentialKind::RsaPrivateKey,
        CredentialKind::ClientCertificate,
    ],
    username_template: "{{ printf \"v-%s-%s-%s-%s\" (.DisplayName | truncate 8) \
         (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}",
    rotation_statements: &["SET PASSWORD"],
    fields: &[],
};

/// What goes wrong with one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The server is not reached.
    Unreachable,
    /// The server refuses.
    Refused,
    /// The server does it, and its answer is lost.
    AnswerLost,
    /// All is well: the fault is one of a later call.
    None,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its password, public key or subject.
    pub credential: String,
    /// When it ends; zero where nobody said.
    pub expires: Timestamp,
    /// The statements that made it.
    pub statements: Vec<String>,
}

#[derive(Default)]
struct Server {
    accounts: BTreeMap<String, Account>,
    faults: VecDeque<Fault>,
    down: bool,
    /// Calls that came, by name.
    calls: BTreeMap<&'static str, u64>,
    open: usize,
}

/// All servers there are, and which of Strongroom's processes lives.
#[derive(Clone, Default)]
pub struct SimServers(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    servers: BTreeMap<String, Server>,
    process: u64,
}

impl SimServers {
    /// The drivers for the process that lives now.
    pub fn databases(&self) -> Arc<dyn Databases> {
        let process = self.0.lock().process;
        Arc::new(SimDatabases { servers: self.clone(), process })
    }

    /// Strongroom's process died: what is left of it reaches no server any more.
    pub fn process_died(&self) {
        self.0.lock().process += 1;
    }

    fn server<T>(&self, name: &str, look: impl FnOnce(&mut Server) -> T) -> T {
        look(self.0.lock().servers.entry(name.to_owned()).or_default())
    }

    /// Makes an account by hand, or gives it another password.
    pub fn put(&self, server: &str, account: &str, password: &str) {
        let made = Account {
            credential: password.to_owned(),
            expires: Timestamp::ZERO,
            statements: Vec::new(),
        };
        self.server(server, |s| s.accounts.insert(account.to_owned(), made));
    }

    /// Drops an account by hand.
    pub fn drop_account(&self, server: &str, account: &str) {
        self.server(server, |s| s.accounts.remove(account));
    }

    /// An account.
    pub fn account(&self, server: &str, account: &str) -> Option<Account> {
        self.server(server, |s| s.accounts.get(account).cloned())
    }

    /// The names of all accounts.
    pub fn accounts(&self, server: &str) -> Vec<String> {
        self.server(server, |s| s.accounts.keys().cloned().collect())
    }

    /// Would the server let someone in with this password?
    pub fn lets_in(&self, server: &str, account: &str, password: &str) -> bool {
        self.account(server, account).is_some_and(|a| a.credential == password)
    }

    /// What goes wrong with the next calls, one after the other.
    pub fn fail(&self, server: &str, faults: &[Fault]) {
        self.server(server, |s| s.faults.extend(faults));
    }

    /// Is the server away until this is said otherwise?
    pub fn set_down(&self, server: &str, down: bool) {
        self.server(server, |s| s.down = down);
    }

    /// How often a call came (`create`, `remove`, …).
    pub fn calls(&self, server: &str, call: &str) -> u64 {
        self.server(server, |s| s.calls.get(call).copied().unwrap_or(0))
    }

    /// Pools that are open on the server.
    pub fn open_pools(&self, server: &str) -> usize {
        self.server(server, |s| s.open)
    }
}

#[derive(Clone)]
struct SimDatabases {
    servers: SimServers,
    process: u64,
}

impl std::fmt::Debug for SimDatabases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDatabases").finish_non_exhaustive()
    }
}

impl Databases for SimDatabases {
    fn names(&self) -> Vec<&'static str> {
        TRAITS.names.to_vec()
    }

    fn driver(&self, plugin_name: &str) -> Option<Arc<dyn Driver>> {
        TRAITS.names.contains(&plugin_name).then(|| Arc::new(self.clone()) as Arc<dyn Driver>)
    }
}

impl Driver for SimDatabases {
    fn traits(&self) -> &'static DriverTraits {
        &TRAITS
    }

    fn open(&self, settings: Settings) -> Result<Arc<dyn Database>, DatabaseError> {
        let wrong = |text: &str| DatabaseError::new(FailureKind::Configuration, text);
        let url = settings.connection_url.expose_secret();
        let rest =
            url.strip_prefix("sim://").ok_or_else(|| wrong("connection_url is no sim://"))?;
        let (_, server) = rest.rsplit_once('@').ok_or_else(|| wrong("it names no server"))?;
        let server = server.trim_end_matches('/').to_owned();
        self.servers.server(&server, |s| s.open += 1);
        Ok(Arc::new(SimDatabase {
            world: self.clone(),
            server,
            username: settings.username,
            password: settings.password,
        }))
    }
}

struct SimDatabase {
    world: SimDatabases,
    server: String,
    username: String,
    password: SecretString,
}

impl std::fmt::Debug for SimDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDatabase").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Drop for SimDatabase {
    fn drop(&mut self) {
        self.world.servers.server(&self.server, |s| s.open -= 1);
    }
}

fn refused(text: &str) -> DatabaseError {
    DatabaseError::new(FailureKind::Refused, text)
}

fn unreachable() -> DatabaseError {
    DatabaseError::new(FailureKind::Unreachable, "the server does not answer")
}

impl SimDatabase {
    /// Logs in as the administrator, and does `work`; after that the planned fault.
    fn with<T>(
        &self,
        call: &'static str,
        statements: &[String],
        work: impl FnOnce(&mut BTreeMap<String, Account>) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        if self.world.servers.0.lock().process != self.world.process {
            return Err(unreachable());
        }
        self.world.servers.server(&self.server, |server| {
            *server.calls.entry(call).or_default() += 1;
            let fault = server.faults.pop_front().unwrap_or(Fault::None);
            if server.down || fault == Fault::Unreachable {
                return Err(unreachable());
            }
            let admin = server.accounts.get(&self.username);
            if admin.is_none_or(|a| !self.password.constant_time_eq(a.credential.as_bytes())) {
                let text = "the server does not take the administrator's password";
                return Err(DatabaseError::new(FailureKind::Credential, text));
            }
            if fault == Fault::Refused || statements.iter().any(|s| s.contains("FAIL")) {
                return Err(refused("the server refuses"));
            }
            let done = if statements.iter().any(|s| s.contains("NOTHING")) {
                let mut shadow = server.accounts.clone();
                work(&mut shadow)
            } else {
                work(&mut server.accounts)
            };
            if fault == Fault::AnswerLost { Err(unreachable()) } else { done }
        })
    }
}

fn text(credential: &Credential) -> String {
    match credential {
        Credential::Password(password) => password.expose_secret().clone(),
        Credential::PublicKey(key) => key.clone(),
        Credential::Subject(subject) => subject.clone(),
    }
}

/// Lets others run between a call and its effect, as a network does.
async fn away() {
    tokio::task::yield_now().await;
}

impl Database for SimDatabase {
    fn verify(&self) -> Answer<'_, ()> {
        Box::pin(async {
            away().await;
            self.with("verify", &[], |_| Ok(()))
        })
    }

    fn create<'a>(&'a self, account: NewAccount<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            away().await;
            self.with("create", account.statements, |accounts| {
                if accounts.contains_key(account.name) {
                    return Err(refused("there is an account of this name"));
                }
                let made = Account {
                    credential: text(account.credential),
                    expires: account.expires,
                    statements: account.statements.to_vec(),
                };
                accounts.insert(account.name.to_owned(), made);
                Ok(())
            })
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        expires: Timestamp,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            away().await;
            self.with("renew", statements, |accounts| {
                let account = accounts.get_mut(name).ok_or_else(|| refused("no such account"))?;
                account.expires = expires;
                Ok(())
            })
        })
    }

    fn set_credential<'a>(
        &'a self,
        name: &'a str,
        credential: &'a Credential,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            away().await;
            self.with("set_credential", statements, |accounts| {
                let account = accounts.get_mut(name).ok_or_else(|| refused("no such account"))?;
                account.credential = text(credential);
                Ok(())
            })
        })
    }

    fn remove<'a>(&'a self, name: &'a str, statements: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async move {
            away().await;
            self.with("remove", statements, |accounts| {
                accounts.remove(name);
                Ok(())
            })
        })
    }

    fn logs_in<'a>(&'a self, name: &'a str, password: &'a SecretString) -> Answer<'a, bool> {
        Box::pin(async move {
            away().await;
            self.with("logs_in", &[], |accounts| {
                let account = accounts.get(name);
                Ok(account.is_some_and(|a| password.constant_time_eq(a.credential.as_bytes())))
            })
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
