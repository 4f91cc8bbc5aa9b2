//! What an operation gets to know and to work with: the request, and one mount's records.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_base::{Error, JsonMap, Result, Rng, SecretString, Timestamp};
use strongroom_storage::StorageError;

use super::rotation::Held;
use super::{Access, NewLease, Rights, Uploading, Verb};
use crate::identity::{Directory, EntityState, GrantAlias};
use crate::leases::Intent;
use crate::mount::Mount;
use crate::namespaces::Namespace;
use crate::node::Services;
use crate::password_policy::{self, DEFAULT_TEXT, PasswordPolicy};
use crate::policy::Capability;
use crate::record::{ReadView, Tx, WriteView, storage_error};
use crate::tokens::Token;

/// How often a transaction is moved to now while work outside of it goes on.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The address; none for a unix socket.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The verified or presented client certificate chain (DER), leaf first.
    pub certificates: Arc<Vec<Vec<u8>>>,
}

/// What an operation may know of the request around it.
pub struct Request {
    /// A UUID.
    pub id: String,
    /// Guarded time at its start.
    pub now: Timestamp,
    /// The namespace it addresses.
    pub namespace: Arc<Namespace>,
    /// The mount it addresses.
    pub mount: Arc<Mount>,
    /// The verb.
    pub verb: Verb,
    /// Only the answer's head is asked for (HEAD).
    pub head: bool,
    /// The path below the mount.
    pub path: String,
    /// Was it written in another spelling than this?
    pub respelled: bool,
    /// The mount's path and the path below it.
    pub full_path: String,
    /// Where it came from.
    pub peer: Peer,
    /// The caller's token; none on open paths.
    pub token: Option<Arc<Token>>,
    /// The token's text as it came: only for the operations that wrap or revoke it.
    pub token_text: Option<Arc<SecretString>>,
    /// The wrap TTL asked for, in seconds.
    pub wrap_ttl: Option<i64>,
    /// Request headers that the mount lets through, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Query parameters, of requests that have a body besides.
    pub query: Vec<(String, String)>,
    /// The body, of requests whose body is read while it comes.
    pub upload: Option<Uploading>,
    /// The caller's rights; none on open paths.
    pub rights: Option<Rights>,
    /// What limits a caller whose credential was verified with the request.
    pub access: Option<Arc<dyn Access>>,
}

impl Request {
    /// The caller's entity, or "".
    pub fn entity_id(&self) -> &str {
        self.token.as_ref().map_or("", |t| t.entity_id.as_str())
    }

    /// May the caller do this at another path of the namespace? See [`Rights::allow`].
    pub fn may(&self, path: &str, capability: Capability, fields: Option<&JsonMap>) -> bool {
        self.rights.as_ref().is_some_and(|rights| rights.allow(path, capability, fields))
    }

    /// Refuses a lease to who is known for this request alone: nobody would be there to renew or
    /// revoke it.
    pub(crate) fn may_have_leases(&self) -> Result<()> {
        if self.token.as_ref().is_some_and(|token| token.inline) {
            let text = "requests with inline authentication cannot generate leases";
            return Err(Error::bad_request(text));
        }
        Ok(())
    }

    /// The caller's display name, or "".
    pub fn display_name(&self) -> &str {
        self.token.as_ref().map_or("", |t| t.display_name.as_str())
    }

    /// A header that the mount lets through.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// The context of a query: one mount, read-only.
pub struct ReadCx<'a> {
    pub(crate) tx: &'a Tx,
    pub(crate) services: &'a Arc<Services>,
    /// The request.
    pub request: &'a Request,
    /// Versions of rotated credentials that the answer has.
    pub(crate) held: Mutex<Vec<Held>>,
}

impl<'a> ReadCx<'a> {
    pub(crate) fn new(tx: &'a Tx, services: &'a Arc<Services>, request: &'a Request) -> Self {
        Self { tx, services, request, held: Mutex::default() }
    }

    /// The mount's records.
    pub fn view(&self) -> ReadView<'a> {
        self.tx.read(self.request.mount.scope)
    }

    /// Guarded time at the request's start.
    pub fn now(&self) -> Timestamp {
        self.request.now
    }

    /// Randomness.
    pub fn rng(&self) -> &'a dyn Rng {
        &*self.services.store.rng
    }

    /// The mount's TTLs in seconds, with the system's where it has none: (default, maximum).
    pub fn ttls(&self) -> (i64, i64) {
        self.services.config.mount_ttls(&self.request.mount)
    }

    /// The caller's entity and its groups, for templates of roles; `None` where its token has no
    /// entity of its own namespace.
    pub async fn identity(&self) -> Result<Option<Arc<EntityState>>> {
        let Some(token) = &self.request.token else { return Ok(None) };
        let table = self.services.router.table().await?;
        let caller = self.services.caller(&table, token.clone()).await?;
        Ok(caller.and_then(|caller| caller.entity))
    }

    /// A password by the policy called `name` of the request's namespace, or by Vault's default
    /// where `name` is empty; `None` where there is no such policy.
    pub async fn password(&self, name: &str) -> Result<Option<SecretString>> {
        if name.is_empty() {
            return Ok(Some(PasswordPolicy::parse(DEFAULT_TEXT)?.generate(self.rng())));
        }
        let view = self.tx.read(self.request.namespace.scope);
        let policy = password_policy::read(&view, name).await?;
        Ok(policy.map(|policy| policy.generate(self.rng())))
    }

    /// Does `work`, which takes a core for long, where it holds up no other request. What others
    /// commit meanwhile is no conflict, as long as nothing of it has been read.
    pub async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.outside(self.services.heavy.run(work)).await
    }

    /// Waits for `work` that goes on outside of the store: at another service. What others commit
    /// meanwhile is no conflict, as long as nothing of it has been read.
    pub async fn outside<T>(&self, work: impl Future<Output = T> + Send) -> T {
        let mut work = std::pin::pin!(work);
        let mut done = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
        loop {
            self.tx.refresh();
            if let Poll::Ready(done) = done {
                return done;
            }
            // Storage knows what changed lately only.
            let waited = tokio::time::timeout(REFRESH_EVERY, work.as_mut()).await;
            done = waited.map_or(Poll::Pending, Poll::Ready);
        }
    }

    /// The kernel's services: for the `system` crate alone (a test looks for other uses).
    pub fn kernel(&self) -> &'a Arc<Services> {
        self.services
    }

    /// The whole transaction: for the `system` crate alone.
    pub fn kernel_tx(&self) -> &'a Tx {
        self.tx
    }
}

/// The context of a command: one mount, one transaction.
pub struct WriteCx<'a> {
    pub(crate) read: ReadCx<'a>,
    /// Keys of what must happen after the commit.
    pub(crate) after: Vec<AfterCommit>,
    /// What counts once the caller has the answer.
    pub(crate) told: Option<AfterCommit>,
    pub(crate) _queue: Option<tokio::sync::OwnedMutexGuard<()>>,
    /// When waiting for a turn ends.
    pub(crate) deadline: Option<tokio::time::Instant>,
    /// What it is about to make outside of the store.
    pub(crate) intent: Option<Intent>,
    /// What it did without a request, and to which path: each has lines in the audit log.
    pub(crate) effects: Vec<(&'static str, String)>,
    /// Its turn did not come in time: nothing of this transaction may be committed.
    pub(crate) late: bool,
    /// The groups that a renewal found.
    pub(crate) groups: Option<Vec<String>>,
}

/// Something the kernel does once the transaction is durable.
pub type AfterCommit = Box<dyn FnOnce(&Arc<Services>) + Send + Sync>;

impl<'a> std::ops::Deref for WriteCx<'a> {
    type Target = ReadCx<'a>;
    fn deref(&self) -> &ReadCx<'a> {
        &self.read
    }
}

impl<'a> WriteCx<'a> {
    pub(crate) fn new(read: ReadCx<'a>) -> Self {
        Self {
            read,
            after: Vec::new(),
            told: None,
            _queue: None,
            deadline: None,
            intent: None,
            effects: Vec::new(),
            late: false,
            groups: None,
        }
    }

    /// The mount's records, to change.
    pub fn edit(&self) -> WriteView<'a> {
        self.read.tx.write(self.read.request.mount.scope)
    }

    /// Has identity know a caller by this alias before it first comes: whoever is verified without a
    /// login is found by it, and never made.
    pub async fn introduce(&self, alias: &GrantAlias) -> Result<()> {
        let Request { namespace, mount, .. } = self.read.request;
        let (identity, tx) = (&self.read.services.identity, self.read.tx);
        let directory = Directory::new(tx, namespace.scope);
        if directory.entity_of_alias(&mount.accessor, &alias.name).await?.is_none() {
            identity.login(tx, namespace, mount, alias, &[]).await?;
        }
        Ok(())
    }

    /// Another mount of this plug-in's type in the same namespace, and its records to change: for
    /// operations that carry something over. The caller must ask for the rights on it.
    pub async fn sibling(&self, path: &str) -> Result<Option<(Arc<Mount>, WriteView<'a>)>> {
        let table = self.read.services.router.table().await?;
        let own = &self.read.request.mount;
        let entry = table.at(self.read.request.namespace.scope, path);
        let entry = entry.filter(|e| e.mount.kind == own.kind && e.mount.class == own.class);
        Ok(entry.map(|e| (e.mount.clone(), self.read.tx.write(e.mount.scope))))
    }

    /// Waits for its turn among the commands that name the same record, before reading it: they
    /// then do not conflict. At most once per command.
    pub async fn queue(&mut self, record: &str) {
        if self._queue.is_none() {
            let scope = self.read.request.mount.scope;
            let turn = self.read.services.queues.wait(scope, record);
            self._queue = match self.deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, turn).await.ok(),
                None => Some(turn.await),
            };
            self.late = self._queue.is_none();
            self.read.tx.refresh();
            // What was committed meanwhile is no conflict: nothing of it has been read yet.
            self.read.tx.renew();
        }
    }

    /// To be called before anything is made outside of the store, with the lease it will have: once
    /// this is done it is durable how to take it back, and it is taken back unless this command
    /// answers with that lease. Answers when the lease will end. The command must have read what it
    /// needs before.
    ///
    /// A conflict with another transaction is found here, before anything is made. Where the outcome
    /// is not clear (a statement that timed out), the command must see to it that the outside does
    /// not go on with it for longer than a few minutes: it is taken back at once and once more then.
    pub async fn intend(&mut self, new: &NewLease) -> Result<Timestamp> {
        if self.intent.is_some() {
            return Err(Error::internal("a command intends one lease"));
        }
        self.read.request.may_have_leases()?;
        let services = self.read.services;
        let intent = services.leases.intend(services, self.read.request, new).await?;
        self.read.tx.refresh();
        if !self.read.tx.still_stands() {
            services.leases.withdraw(&intent).await?;
            return Err(storage_error(StorageError::Conflict));
        }
        let expires = intent.expires();
        self.intent = Some(intent);
        Ok(expires)
    }

    /// Takes the word back: nothing was made.
    pub async fn withdraw(&mut self) -> Result<()> {
        match self.intent.take() {
            Some(intent) => self.read.services.leases.withdraw(&intent).await,
            None => Ok(()),
        }
    }

    /// Says what background work does (`rotate`), and to which path below the mount, for the audit
    /// log. What a request does is told by the request's own lines.
    pub fn effect(&mut self, operation: &'static str, path: impl Into<String>) {
        self.effects.push((operation, path.into()));
    }

    /// A renewal found the caller in these groups, as [`super::Grant::groups`] names them: his entity is
    /// in no other external group of this mount from now on.
    pub fn found_groups(&mut self, names: Vec<String>) {
        self.groups = Some(names);
    }

    /// Runs `action` once the transaction is durable.
    pub fn after_commit(&mut self, action: impl FnOnce(&Arc<Services>) + Send + Sync + 'static) {
        self.after.push(Box::new(action));
    }
}
