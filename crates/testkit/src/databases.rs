//! Database servers of a simulation: the twin of the drivers in `connectors`. They keep accounts in
//! memory, outlive the server's processes, and fail when a test says so.
//!
//! A configuration's `connection_url` is `sim://{{username}}:{{password}}@SERVER/`; a server is
//! there when it is named first. Statements are texts: one that holds `FAIL` is refused, one that
//! holds `NOTHING` does nothing.
//!
//! What goes wrong is planned call by call ([`SimServers::fail`]) or left to a [`Weather`], which
//! also sees everything that comes to a server.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{SecretString, Timestamp};
use strongroom_connectors::database::{
    Answer, Credential, CredentialKind, Database, DatabaseError, Databases, Driver, DriverTraits,
    NewAccount, Settings,
};

/// What a call is told, for those who watch it.
pub use strongroom_connectors::database::FailureKind;

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
    /// The server is given up, and does it when [`SimServers::arrive`] says so. Only accounts are
    /// made so late; other calls meet [`Fault::Unreachable`].
    Late,
    /// All is well: the fault is one of a later call.
    None,
}

/// A wait.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What becomes of calls, where a test leaves it to chance. It must not call the servers.
pub trait Weather: Send + Sync {
    /// The way of a call to a server, and the way of its answer back.
    fn pause(&self) -> Pause;

    /// What goes wrong with a call of this name.
    fn fault(&self, call: &'static str) -> Fault;

    /// A call came to a server.
    fn came(&self, call: &Came<'_>);
}

/// A call that came to a server.
#[derive(Debug)]
pub struct Came<'a> {
    /// `create`, `remove`, …
    pub call: &'static str,
    /// The account it is about; "" where it is about none.
    pub account: &'a str,
    /// Did the server do it?
    pub done: bool,
    /// What the caller is told, if it is told anything.
    pub told: Result<(), FailureKind>,
    /// The fault that it met.
    pub fault: Fault,
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
    weather: Option<Arc<dyn Weather>>,
    /// Accounts that are under way, with their servers.
    late: Vec<(String, String, Account)>,
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

    /// Leaves to `weather` what becomes of calls.
    pub fn set_weather(&self, weather: Arc<dyn Weather>) {
        self.0.lock().weather = Some(weather);
    }

    /// What is late comes to its servers now.
    pub fn arrive(&self) {
        let late = std::mem::take(&mut self.0.lock().late);
        for (server, name, account) in late {
            self.server(&server, |s| s.accounts.insert(name.clone(), account));
            let told = Err(FailureKind::Unreachable);
            self.tell(&Came {
                call: "create",
                account: &name,
                done: true,
                told,
                fault: Fault::Late,
            });
        }
    }

    fn weather(&self) -> Option<Arc<dyn Weather>> {
        self.0.lock().weather.clone()
    }

    fn tell(&self, came: &Came<'_>) {
        if let Some(weather) = self.weather() {
            weather.came(came);
        }
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

/// A call as it comes to a server.
struct Call<'a> {
    name: &'static str,
    /// The account it is about, or "".
    account: &'a str,
    statements: &'a [String],
    /// What is made, if it is made late.
    made: Option<&'a Account>,
}

impl SimDatabase {
    /// One call: its way, what the server does, the way back.
    async fn with<T>(
        &self,
        call: Call<'_>,
        work: impl FnOnce(&mut BTreeMap<String, Account>) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.away().await;
        if self.world.servers.0.lock().process != self.world.process {
            return Err(unreachable());
        }
        let weather = self.world.servers.weather();
        let chance = weather.as_ref().map_or(Fault::None, |weather| weather.fault(call.name));
        let (fault, done, told) = self.serve(&call, chance, work);
        if let (Fault::Late, Some(made)) = (fault, call.made) {
            let late = (self.server.clone(), call.account.to_owned(), made.clone());
            self.world.servers.0.lock().late.push(late);
        }
        let short = told.as_ref().map(|_| ()).map_err(|e| e.kind);
        let (name, account) = (call.name, call.account);
        self.world.servers.tell(&Came { call: name, account, done, told: short, fault });
        if weather.is_some() {
            self.away().await;
        }
        told
    }

    /// Lets others run between a call and its effect, as a network does.
    async fn away(&self) {
        match self.world.servers.weather() {
            Some(weather) => weather.pause().await,
            None => tokio::task::yield_now().await,
        }
    }

    /// Logs in as the administrator, and does `work`; after that the planned fault. Answers the
    /// fault, whether the work was done, and what the caller is told.
    fn serve<T>(
        &self,
        call: &Call<'_>,
        chance: Fault,
        work: impl FnOnce(&mut BTreeMap<String, Account>) -> Result<T, DatabaseError>,
    ) -> (Fault, bool, Result<T, DatabaseError>) {
        self.world.servers.server(&self.server, |server| {
            *server.calls.entry(call.name).or_default() += 1;
            let fault = server.faults.pop_front().unwrap_or(chance);
            if server.down || matches!(fault, Fault::Unreachable | Fault::Late) {
                return (fault, false, Err(unreachable()));
            }
            let admin = server.accounts.get(&self.username);
            if admin.is_none_or(|a| !self.password.constant_time_eq(a.credential.as_bytes())) {
                let text = "the server does not take the administrator's password";
                let error = DatabaseError::new(FailureKind::Credential, text);
                return (fault, false, Err(error));
            }
            if fault == Fault::Refused || call.statements.iter().any(|s| s.contains("FAIL")) {
                return (fault, false, Err(refused("the server refuses")));
            }
            let nothing = call.statements.iter().any(|s| s.contains("NOTHING"));
            let done = if nothing {
                let mut shadow = server.accounts.clone();
                work(&mut shadow)
            } else {
                work(&mut server.accounts)
            };
            let is_done = done.is_ok() && !nothing;
            let told = if fault == Fault::AnswerLost { Err(unreachable()) } else { done };
            (fault, is_done, told)
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

impl Database for SimDatabase {
    fn verify(&self) -> Answer<'_, ()> {
        Box::pin(
            self.with(
                Call { name: "verify", account: "", statements: &[], made: None },
                |_| Ok(()),
            ),
        )
    }

    fn create<'a>(&'a self, account: NewAccount<'a>) -> Answer<'a, ()> {
        let made = Account {
            credential: text(account.credential),
            expires: account.expires,
            statements: account.statements.to_vec(),
        };
        Box::pin(async move {
            let NewAccount { name, statements, .. } = account;
            let call = Call { name: "create", account: name, statements, made: Some(&made) };
            let done = self.with(call, |accounts| {
                if accounts.contains_key(name) {
                    return Err(refused("there is an account of this name"));
                }
                accounts.insert(name.to_owned(), made.clone());
                Ok(())
            });
            done.await
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        expires: Timestamp,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        let call = Call { name: "renew", account: name, statements, made: None };
        Box::pin(self.with(call, move |accounts| {
            let account = accounts.get_mut(name).ok_or_else(|| refused("no such account"))?;
            account.expires = expires;
            Ok(())
        }))
    }

    fn set_credential<'a>(
        &'a self,
        name: &'a str,
        credential: &'a Credential,
        statements: &'a [String],
    ) -> Answer<'a, ()> {
        let call = Call { name: "set_credential", account: name, statements, made: None };
        Box::pin(self.with(call, move |accounts| {
            let account = accounts.get_mut(name).ok_or_else(|| refused("no such account"))?;
            account.credential = text(credential);
            Ok(())
        }))
    }

    fn imitate<'a>(
        &'a self,
        model: &'a str,
        name: &'a str,
        password: &'a SecretString,
    ) -> Answer<'a, ()> {
        let call = Call { name: "imitate", account: name, statements: &[], made: None };
        Box::pin(self.with(call, move |accounts| {
            if !accounts.contains_key(model) {
                return Err(refused("no such account"));
            }
            let account = accounts.entry(name.to_owned()).or_insert_with(|| Account {
                credential: String::new(),
                expires: Timestamp::MAX,
                statements: vec![format!("LIKE {model}")],
            });
            account.credential = password.expose_secret().clone();
            Ok(())
        }))
    }

    fn end_password<'a>(
        &'a self,
        name: &'a str,
        now: &'a SecretString,
        next: &'a SecretString,
    ) -> Answer<'a, ()> {
        let call = Call { name: "end_password", account: name, statements: &[], made: None };
        Box::pin(self.with(call, move |accounts| {
            let account = accounts.get_mut(name).ok_or_else(|| refused("no such account"))?;
            if !now.constant_time_eq(account.credential.as_bytes()) {
                return Err(refused("the account has another password"));
            }
            account.credential = next.expose_secret().clone();
            Ok(())
        }))
    }

    fn remove<'a>(&'a self, name: &'a str, statements: &'a [String]) -> Answer<'a, ()> {
        let call = Call { name: "remove", account: name, statements, made: None };
        Box::pin(self.with(call, move |accounts| {
            accounts.remove(name);
            Ok(())
        }))
    }

    fn logs_in<'a>(&'a self, name: &'a str, password: &'a SecretString) -> Answer<'a, bool> {
        let call = Call { name: "logs_in", account: name, statements: &[], made: None };
        Box::pin(self.with(call, move |accounts| {
            let account = accounts.get(name);
            Ok(account.is_some_and(|a| password.constant_time_eq(a.credential.as_bytes())))
        }))
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
