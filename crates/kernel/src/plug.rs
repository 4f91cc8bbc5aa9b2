//! What a plug-in is: operations with their wire fields, and one `spec()` that shows the whole
//! surface of an engine or auth method.
//!
//! An operation is a *query* (cannot write) or a *command* (may write); the trait it implements
//! says which. A *login* is a command of an auth method that ends in a [`Grant`], of which the
//! kernel makes a token.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::fields::Fields;
use strongroom_base::{
    Error, FieldSource, FieldSpec, Json, JsonMap, RawFields, Result, Rng, SecretString, Timestamp,
};
use strongroom_storage::BoxFuture;

use crate::leases::Leased;
use crate::mounts::Mount;
use crate::namespaces::Namespace;
use crate::node::{Node, Services};
use crate::policy::{Acl, Capability};
use crate::record::{ReadView, Tx, WriteView};
use crate::tokens::{NewToken, Token};

/// What a caller wants to do with a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Verb {
    /// GET.
    Read,
    /// POST or PUT: create or update.
    Write,
    /// LIST, or GET with `list=true`.
    List,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
    /// SCAN: a recursive list.
    Scan,
}

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Anyone: no token is looked at.
    Open,
    /// Whom policy allows.
    Token,
    /// Whom policy allows with `sudo` besides.
    Sudo,
    /// Whom policy allows everything that the operation's [`Need`]s name. A denial of the request's
    /// own path holds besides; a grant of it is not asked for.
    Needs,
    /// As [`Rule::Token`]; but the caller may be a wrapping token, and one whose token is not good
    /// is told that, as clients that unwrap expect.
    Wrapping,
}

/// A right that an operation needs, on a path that need not be its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The path within the request's namespace, the mount's path included.
    pub path: String,
    /// The capability.
    pub capability: Capability,
}

impl Need {
    /// `capability` on `path`.
    pub fn new(path: impl Into<String>, capability: Capability) -> Self {
        Self { path: path.into(), capability }
    }
}

/// What an operation of [`Rule::Needs`] needs, from its mount, captures and fields alone: it is
/// asked before any record is read.
pub type NeedsFn = fn(&Mount, &[(&'static str, String)], &RawFields) -> Result<Vec<Need>>;

/// The caller's rights, for operations that touch more than the path they are called by.
#[derive(Clone)]
pub struct Rights {
    pub(crate) acl: Arc<Acl>,
    /// What stands before a path of the request's namespace for the token's policies.
    pub(crate) prefix: String,
    pub(crate) wrap_ttl: Option<i64>,
    /// The decision about a list and its path, where the deciding rule filters the keys.
    pub(crate) filtered: Option<(crate::policy::Decision, String)>,
}

impl Rights {
    /// Does policy allow `capability` on `path` (within the request's namespace)? `fields` are the
    /// parameters by which a rule's parameter constraints are judged.
    pub fn allow(&self, path: &str, capability: Capability, fields: Option<&JsonMap>) -> bool {
        let path = format!("{}{path}", self.prefix);
        let mut ask = crate::policy::Request::new(&path, capability);
        ask.wrap_ttl_seconds = self.wrap_ttl;
        ask.fields = fields;
        self.acl.decide(&ask).allowed
    }

    /// The refusal of what [`Rights::allow`] does not allow, with what an explanation needs.
    pub fn denied(&self, path: &str, capability: Capability, fields: Option<&JsonMap>) -> Error {
        let path = format!("{}{path}", self.prefix);
        let mut ask = crate::policy::Request::new(&path, capability);
        ask.wrap_ttl_seconds = self.wrap_ttl;
        ask.fields = fields;
        crate::pipeline::denied_by_policy(&self.acl, &ask)
    }

    /// Takes out of a list's answer what the deciding rule hides; `needs_sudo` says whether a path
    /// is root-protected. False where nothing is left.
    pub(crate) fn filter_list(&self, data: &mut Json, needs_sudo: impl Fn(&str) -> bool) -> bool {
        let Some((decision, path)) = &self.filtered else { return true };
        let Some(Json::Array(keys)) = data.get_mut("keys") else { return true };
        let shown = |key: &Json| {
            let key = key.as_str().unwrap_or_default();
            self.acl.may_show(decision, path, key, &needs_sudo)
        };
        keys.retain(shown);
        let left: Vec<String> = keys.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect();
        if let Some(Json::Object(info)) = data.get_mut("key_info") {
            info.retain(|key, _| left.contains(key));
        }
        !left.is_empty()
    }

    /// The right to list (or scan) the folder at `path`, with what its rule hides of it.
    /// `fields` may hold the `limit` of the page.
    pub fn list(
        &self,
        path: &str,
        capability: Capability,
        fields: Option<&JsonMap>,
    ) -> Option<ListRight<'_>> {
        let path = format!("{}{path}", self.prefix);
        let mut ask = crate::policy::Request::new(&path, capability);
        ask.fields = fields;
        let decision = self.acl.decide(&ask);
        decision.allowed.then_some(ListRight { acl: &self.acl, decision, path })
    }
}

/// The right to list one folder.
pub struct ListRight<'a> {
    acl: &'a Acl,
    decision: crate::policy::Decision,
    path: String,
}

impl ListRight<'_> {
    /// May this entry of the folder be shown?
    pub fn may_show(&self, key: &str) -> bool {
        // What an engine lists itself lies below its own mount, where nothing is root-protected.
        self.acl.may_show(&self.decision, &self.path, key, |_| false)
    }
}

/// An operation.
pub trait Op: Fields + Send + 'static {
    /// What it answers.
    type Reply: Serialize + Send + 'static;
    /// Its verb.
    const VERB: Verb;
    /// Who may call it.
    const RULE: Rule = Rule::Token;
    /// Is it about the whole server, and so refused in every namespace but the root?
    const ROOT_NAMESPACE_ONLY: bool = false;
}

/// The form of an answer's body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Shape {
    /// Vault's envelope with `data`.
    #[default]
    Envelope,
    /// The envelope, with `data`'s members repeated at the top level, as older paths have it.
    Flat,
    /// `data` is the whole body.
    Bare,
    /// [`Reply::raw`] is the body, of this content type.
    Raw(&'static str),
}

/// What an operation answers.
pub struct Reply<T> {
    /// The data; none gives 204.
    pub data: Option<T>,
    /// The body where the shape is raw.
    pub raw: Vec<u8>,
    /// The body's form.
    pub shape: Shape,
    /// A status other than 200 (204 without data).
    pub status: Option<u16>,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
    /// A token that the operation made.
    pub auth: Option<AuthBlock>,
    /// A lease for the data, to be registered with the same commit.
    pub lease: Option<NewLease>,
    /// A lease that was there before and that the answer is about.
    pub leased: Option<Leased>,
    /// A wrapping that the operation made itself (`sys/wrapping/wrap`).
    pub wrap_info: Option<WrapInfo>,
    /// Lease fields of an answer that has no lease of its own: `lease_duration` in seconds.
    pub lease_duration: Option<i64>,
}

impl<T> Reply<T> {
    fn empty() -> Self {
        Self {
            data: None,
            raw: Vec::new(),
            shape: Shape::Envelope,
            status: None,
            warnings: Vec::new(),
            auth: None,
            lease: None,
            leased: None,
            wrap_info: None,
            lease_duration: None,
        }
    }

    /// An answer with data.
    pub fn data(data: T) -> Self {
        Self { data: Some(data), ..Self::empty() }
    }

    /// 204.
    pub fn none() -> Self {
        Self::empty()
    }

    /// A body of its own.
    pub fn raw(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { raw: body, shape: Shape::Raw(content_type), ..Self::empty() }
    }

    /// An answer that carries a token.
    pub fn auth(auth: AuthBlock) -> Self {
        Self { auth: Some(auth), ..Self::empty() }
    }

    /// With `data`'s members at the top level too.
    pub fn flat(mut self) -> Self {
        self.shape = Shape::Flat;
        self
    }

    /// With `data` as the whole body.
    pub fn bare(mut self) -> Self {
        self.shape = Shape::Bare;
        self
    }

    /// With another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With one more warning.
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// With warnings.
    pub fn warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// The same with its data as JSON.
    pub fn into_json(self) -> Result<Reply<Json>>
    where
        T: Serialize + 'static,
    {
        let mut data = self.data;
        // What is JSON already is taken as it is: copying a tree costs as much as parsing it.
        let json = match (&mut data as &mut dyn Any).downcast_mut::<Option<Json>>() {
            Some(json) => json.take(),
            None => match data {
                Some(data) => Some(
                    serde_json::to_value(data)
                        .map_err(|_| Error::internal("an answer does not serialise"))?,
                ),
                None => None,
            },
        };
        Ok(Reply {
            data: json,
            raw: self.raw,
            shape: self.shape,
            status: self.status,
            warnings: self.warnings,
            auth: self.auth,
            lease: self.lease,
            leased: self.leased,
            wrap_info: self.wrap_info,
            lease_duration: self.lease_duration,
        })
    }
}

/// The `auth` block of an answer.
#[derive(Serialize)]
pub struct AuthBlock {
    /// The token. Serialised by the door only.
    #[serde(serialize_with = "expose")]
    pub client_token: SecretString,
    /// Its accessor.
    pub accessor: String,
    /// All policies, sorted.
    pub policies: Vec<String>,
    /// Those of the token itself.
    pub token_policies: Vec<String>,
    /// Those of its entity and groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity_policies: Vec<String>,
    /// Metadata.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Seconds to live; 0 is forever.
    pub lease_duration: i64,
    /// Can it be renewed?
    pub renewable: bool,
    /// The entity, or "".
    pub entity_id: String,
    /// `service` or `batch`.
    pub token_type: &'static str,
    /// Has it no parent?
    pub orphan: bool,
    /// Always null: a login that needs a second factor carries no token.
    pub mfa_requirement: Option<Json>,
    /// Uses left; 0 is without limit.
    pub num_uses: i64,
}

fn expose<S: serde::Serializer>(secret: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(secret.expose_secret())
}

/// The `wrap_info` block of an answer.
#[derive(Serialize)]
pub struct WrapInfo {
    /// The wrapping token.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// Its accessor.
    pub accessor: String,
    /// Seconds to live.
    pub ttl: i64,
    /// RFC 3339.
    pub creation_time: String,
    /// The path whose answer it holds.
    pub creation_path: String,
    /// Accessor of the wrapped token, where the answer holds one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wrapped_accessor: String,
}

/// A lease an engine asks for.
pub struct NewLease {
    /// Seconds; `None` takes the mount's default.
    pub ttl_seconds: Option<i64>,
    /// Most seconds over all renewals; `None` takes the mount's maximum.
    pub max_ttl_seconds: Option<i64>,
    /// Can it be renewed?
    pub renewable: bool,
    /// What the engine needs to renew and revoke; stored encrypted.
    pub internal: Json,
}

/// What a login found out: the kernel makes a token of it.
#[derive(Default)]
pub struct Grant {
    /// Shown as `display_name`, after the mount's name.
    pub display_name: String,
    /// Policies of the token.
    pub policies: Vec<String>,
    /// Metadata shown in look-ups and the audit log.
    pub metadata: BTreeMap<String, String>,
    /// The name by which identity knows the caller; none makes a token without an entity.
    pub alias: Option<GrantAlias>,
    /// Names of external groups.
    pub groups: Vec<String>,
    /// Token parameters of the role.
    pub token: TokenParams,
    /// What renewal needs (kept with the token).
    pub internal: BTreeMap<String, String>,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
}

/// An alias of a login.
#[derive(Default)]
pub struct GrantAlias {
    /// The alias' name, unique in the mount.
    pub name: String,
    /// Metadata for templated policies.
    pub metadata: BTreeMap<String, String>,
}

/// The `token_*` parameters that roles and users of every auth method share.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TokenParams {
    /// `token_ttl` in seconds.
    pub ttl: i64,
    /// `token_max_ttl` in seconds.
    pub max_ttl: i64,
    /// `token_policies`.
    pub policies: Vec<String>,
    /// `token_bound_cidrs`.
    pub bound_cidrs: Vec<String>,
    /// `token_explicit_max_ttl` in seconds.
    pub explicit_max_ttl: i64,
    /// `token_no_default_policy`.
    pub no_default_policy: bool,
    /// `token_num_uses`.
    pub num_uses: i64,
    /// `token_period` in seconds.
    pub period: i64,
    /// `token_type`: `default`, `service`, `batch`, `default-service`, `default-batch` or "".
    pub token_type: String,
    /// `token_strictly_bind_ip`.
    #[serde(default)]
    pub strictly_bind_ip: bool,
}

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
    /// The path below the mount.
    pub path: String,
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
    /// The caller's rights; none on open paths.
    pub rights: Option<Rights>,
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
}

impl<'a> ReadCx<'a> {
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

    /// A password by the policy called `name` of the request's namespace; `None` where there is no
    /// such policy.
    pub async fn password(&self, name: &str) -> Result<Option<SecretString>> {
        let view = self.tx.read(self.request.namespace.scope);
        let policy = crate::password_policy::read(&view, name).await?;
        Ok(policy.map(|policy| policy.generate(self.rng())))
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
    pub(crate) _queue: Option<tokio::sync::OwnedMutexGuard<()>>,
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
    /// The mount's records, to change.
    pub fn edit(&self) -> WriteView<'a> {
        self.read.tx.write(self.read.request.mount.scope)
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
            self._queue = Some(self.read.services.queues.wait(scope, record).await);
            self.read.tx.refresh();
            // What was committed meanwhile is no conflict: nothing of it has been read yet.
            self.read.tx.renew();
        }
    }

    /// Runs `action` once the transaction is durable.
    pub fn after_commit(&mut self, action: impl FnOnce(&Arc<Services>) + Send + Sync + 'static) {
        self.after.push(Box::new(action));
    }
}

/// An operation that cannot write.
pub trait Query<O: Op>: Send + Sync {
    /// Answers it.
    fn query(&self, cx: &ReadCx<'_>, op: O)
    -> impl Future<Output = Result<Reply<O::Reply>>> + Send;
}

/// An operation that may write. It may be run again when another transaction got in between, so
/// it has no effect but through its context.
pub trait Command<O: Op>: Send + Sync {
    /// Carries it out.
    fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: O,
    ) -> impl Future<Output = Result<Reply<O::Reply>>> + Send;
}

/// A login of an auth method.
pub trait Login<O: Op>: Send + Sync {
    /// Verifies the caller.
    fn login(&self, cx: &mut WriteCx<'_>, op: O) -> impl Future<Output = Result<Grant>> + Send;
}

/// Decides between create and update, by the path alone.
pub trait Exists<O: Op>: Send + Sync {
    /// Is there something at the path that `captures` describe?
    fn exists(
        &self,
        cx: &ReadCx<'_>,
        captures: &[(&'static str, String)],
    ) -> impl Future<Output = Result<bool>> + Send;
}

/// Tells the role of a login, for quotas that name one.
pub trait ResolveRole: Send + Sync {
    /// The role's name; `None` where the login names none that exists.
    fn role(
        &self,
        cx: &ReadCx<'_>,
        source: &FieldSource<'_>,
    ) -> impl Future<Output = Result<Option<String>>> + Send;
}

/// Renews a login's token: the role may have changed, or be gone.
pub trait Renew: Send + Sync {
    /// The token parameters that hold now; an error refuses the renewal.
    fn renew(
        &self,
        cx: &mut WriteCx<'_>,
        token: &Token,
    ) -> impl Future<Output = Result<TokenParams>> + Send;
}

/// What a plug-in does with leases of its own.
pub trait LeaseKind: Send + Sync {
    /// Extends the credential; answers the seconds that hold.
    fn renew_lease(
        &self,
        cx: &mut WriteCx<'_>,
        internal: &Json,
        seconds: i64,
    ) -> impl Future<Output = Result<i64>> + Send;
    /// Takes the credential back.
    fn revoke_lease(
        &self,
        cx: &mut WriteCx<'_>,
        internal: &Json,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// Work of a mount without a request: bounded, idempotent, on the active node only.
pub trait Reconcile: Send + Sync {
    /// Does some of it; answers whether more is left.
    fn reconcile(&self, cx: &mut WriteCx<'_>) -> impl Future<Output = Result<bool>> + Send;
}

/// An engine object, erased.
pub type Engine = Arc<dyn Any + Send + Sync>;
type AnyEngine = dyn Any + Send + Sync;
type QueryFn = Box<
    dyn for<'a> Fn(
            &'a AnyEngine,
            &'a ReadCx<'a>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Reply<Json>>>
        + Send
        + Sync,
>;
type CommandFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Reply<Json>>>
        + Send
        + Sync,
>;
type LoginFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Grant>>
        + Send
        + Sync,
>;
type ExistsFn = Box<
    dyn for<'a> Fn(
            &'a AnyEngine,
            &'a ReadCx<'a>,
            &'a [(&'static str, String)],
        ) -> BoxFuture<'a, Result<bool>>
        + Send
        + Sync,
>;
type RoleFn = Box<
    dyn for<'a> Fn(
            &'a AnyEngine,
            &'a ReadCx<'a>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Option<String>>>
        + Send
        + Sync,
>;
/// Who a login's captures and fields name.
pub type AliasFn = fn(&FieldSource<'_>) -> Option<String>;
type RenewFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            &'a Token,
        ) -> BoxFuture<'a, Result<TokenParams>>
        + Send
        + Sync,
>;
type LeaseRenewFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            &'a Json,
            i64,
        ) -> BoxFuture<'a, Result<i64>>
        + Send
        + Sync,
>;
type LeaseRevokeFn = Box<
    dyn for<'a, 'b> Fn(&'a AnyEngine, &'a mut WriteCx<'b>, &'a Json) -> BoxFuture<'a, Result<()>>
        + Send
        + Sync,
>;
type ReconcileFn = Box<
    dyn for<'a, 'b> Fn(&'a AnyEngine, &'a mut WriteCx<'b>) -> BoxFuture<'a, Result<bool>>
        + Send
        + Sync,
>;

/// How an operation runs.
pub enum Handler {
    /// It cannot write.
    Query(QueryFn),
    /// It may write.
    Command(CommandFn),
    /// It ends in a token.
    Login(LoginFn),
}

/// One route of a plug-in.
pub struct Route {
    /// The pattern as `spec()` wrote it: `roles/{name}`, `data/{path..}`.
    pub pattern: &'static str,
    segments: Vec<Segment>,
    /// The verb.
    pub verb: Verb,
    /// Who may call it.
    pub rule: Rule,
    /// Is it served in the root namespace only?
    pub root_namespace_only: bool,
    /// Its fields.
    pub fields: &'static [FieldSpec],
    /// What it does.
    pub help: &'static str,
    /// How it runs.
    pub handler: Handler,
    /// What it needs, where its rule is [`Rule::Needs`].
    pub needs: Option<NeedsFn>,
    /// Who a login names: its failures are counted for the lockout.
    pub alias: Option<AliasFn>,
}

#[derive(Debug)]
enum Segment {
    Literal(&'static str),
    Capture(&'static str),
    Greedy(&'static str),
}

impl Route {
    fn new<O: Op>(pattern: &'static str, handler: Handler) -> Self {
        let segments = pattern
            .trim_end_matches('/')
            .split('/')
            .filter(|s| !s.is_empty())
            .map(|s| match s.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => match name.strip_suffix("..") {
                    Some(name) => Segment::Greedy(name),
                    None => Segment::Capture(name),
                },
                None => Segment::Literal(s),
            })
            .collect();
        Self {
            pattern,
            segments,
            verb: O::VERB,
            rule: O::RULE,
            root_namespace_only: O::ROOT_NAMESPACE_ONLY,
            fields: O::SPECS,
            help: O::HELP,
            handler,
            needs: None,
            alias: None,
        }
    }

    /// The captures of `path` if the pattern matches it, and how literal the match is (for each
    /// segment: literal before capture before greedy; a greedy capture that literals follow comes
    /// before one at the end).
    ///
    /// Invariant: policy judges `a` and `a/` apart, so `a/` never reads or changes what `a` names
    /// (threat CVE-2026-3605): where it is no list, a greedy capture keeps the slash, and nothing
    /// else takes one.
    fn matches(&self, path: &str) -> Option<(Captures, u64)> {
        let mut captures = Captures::new();
        let mut rank = 0_u64;
        let mut rest = path.strip_suffix('/').unwrap_or(path);
        let listing = matches!(self.verb, Verb::List | Verb::Scan);
        let slash = !listing && rest.len() != path.len();
        for (i, segment) in self.segments.iter().enumerate() {
            rank <<= 2;
            if let Segment::Greedy(name) = segment {
                let tail = &self.segments[i + 1..];
                let rest = cut_tail(rest, tail)?;
                // Only lists have a root: the empty path.
                if rest.is_empty() && !(listing && tail.is_empty()) {
                    return None;
                }
                if slash && !tail.is_empty() {
                    return None;
                }
                captures.push((name, if slash { format!("{rest}/") } else { rest.to_owned() }));
                rank = rank << (2 * tail.len()) | tail.len() as u64;
                return Some((captures, self.normal_rank(rank)));
            }
            if rest.is_empty() {
                return None;
            }
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(text) if *text == head => rank |= 2,
                Segment::Capture(name) => {
                    rank |= 1;
                    captures.push((name, head.to_owned()));
                }
                _ => return None,
            }
            rest = tail;
        }
        (rest.is_empty() && !slash).then(|| (captures, self.normal_rank(rank)))
    }

    /// Does it serve `path`, whatever the verb?
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.matches(path).is_some()
    }

    /// The names of its captures.
    pub fn capture_names(&self) -> Vec<&'static str> {
        let names = self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture(name) | Segment::Greedy(name) => Some(*name),
        });
        names.collect()
    }

    /// Ranks of patterns with different numbers of segments, made comparable.
    fn normal_rank(&self, rank: u64) -> u64 {
        rank << (2 * (24 - self.segments.len().min(24)))
    }
}

/// `path` without the literals of `tail` at its end.
fn cut_tail<'p>(path: &'p str, tail: &[Segment]) -> Option<&'p str> {
    tail.iter().rev().try_fold(path, |rest, segment| {
        let Segment::Literal(text) = segment else { return None };
        rest.strip_suffix(text)?.strip_suffix('/')
    })
}

impl Route {
    /// `path` with the captures called one of `names` in lower case; `None` where that changes
    /// nothing.
    fn fold_case(&self, path: &str, names: &[&str]) -> Option<String> {
        let mut folded = String::new();
        let mut changed = false;
        let mut segments = self.segments.iter();
        let mut greedy = false;
        for (i, segment) in path.split('/').enumerate() {
            if i > 0 {
                folded.push('/');
            }
            let fold = match segments.next() {
                Some(Segment::Capture(name)) => names.contains(name),
                Some(Segment::Greedy(name)) => {
                    greedy = names.contains(name);
                    greedy
                }
                Some(Segment::Literal(_)) => false,
                None => greedy,
            };
            if fold {
                let lower = segment.to_lowercase();
                changed |= lower != segment;
                folded.push_str(&lower);
            } else {
                folded.push_str(segment);
            }
        }
        changed.then_some(folded)
    }
}

/// Path captures by name.
pub type Captures = Vec<(&'static str, String)>;

/// What a path leads to within a mount.
pub enum Matched<'a> {
    /// An operation.
    Route(&'a Route, Captures),
    /// The path is served, but not with this verb.
    OtherVerb,
    /// Nothing serves the path.
    Nothing,
}

/// Is the plug-in a secrets engine, an auth method, or built in?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Mounted anywhere.
    Secret,
    /// Mounted below `auth/`.
    Auth,
    /// One per namespace, made with it.
    System,
}

/// A plug-in's whole surface, erased.
pub struct Spec {
    /// The type's name on the wire (`kv`, `approle`).
    pub kind: &'static str,
    /// Its class.
    pub class: Class,
    /// All routes.
    pub routes: Vec<Route>,
    /// Help for the mount.
    pub docs: &'static str,
    exists: Vec<(&'static str, ExistsFn)>,
    /// Captures whose case does not matter: policy sees them in lower case.
    case_insensitive: Vec<&'static str>,
    /// Those of them that operations see as they were written.
    case_shown: Vec<&'static str>,
    /// The role of a login.
    pub role: Option<RoleFn>,
    /// Renewal of its tokens.
    pub renew: Option<RenewFn>,
    /// Renewal of its leases.
    pub renew_lease: Option<LeaseRenewFn>,
    /// Revocation of its leases.
    pub revoke_lease: Option<LeaseRevokeFn>,
    /// Its background work, and how many seconds lie between two runs.
    pub reconcile: Option<(i64, ReconcileFn)>,
    /// Surfaces that other options of a mount choose: option, value, surface.
    variants: Vec<(&'static str, &'static str, Arc<Spec>)>,
    open: Box<dyn Fn(&Mount) -> Result<Engine> + Send + Sync>,
}

impl Spec {
    /// Makes the engine object of a mount; refuses options that the type does not take.
    pub fn open(&self, mount: &Mount) -> Result<Engine> {
        match self.variant(mount) {
            Some(variant) => variant.open(mount),
            None => (self.open)(mount),
        }
    }

    /// The surface that a mount's options choose, where it is another one than this.
    pub fn variant(&self, mount: &Mount) -> Option<&Arc<Spec>> {
        let chosen = |(option, value, _): &&(&str, &str, _)| {
            mount.options.get(*option).is_some_and(|v| v == value)
        };
        self.variants.iter().find(chosen).map(|(_, _, spec)| spec)
    }

    /// Finds the operation for a path and verb.
    pub fn find(&self, path: &str, verb: Verb) -> Matched<'_> {
        let mut best: Option<(&Route, Captures, u64)> = None;
        let mut other = false;
        for route in &self.routes {
            if route.verb != verb && other {
                continue;
            }
            let Some((captures, rank)) = route.matches(path) else { continue };
            if route.verb != verb {
                other = true;
            } else if best.as_ref().is_none_or(|(_, _, r)| rank > *r) {
                best = Some((route, captures, rank));
            }
        }
        match best {
            Some((route, captures, _)) => Matched::Route(route, captures),
            None if other => Matched::OtherVerb,
            None => Matched::Nothing,
        }
    }

    /// `path`, which leads to `route`, in the one spelling that policy judges; `None` where it has
    /// it already.
    pub fn one_spelling(&self, route: &Route, path: &str) -> Option<String> {
        if self.case_insensitive.is_empty() || !path.chars().any(char::is_uppercase) {
            return None;
        }
        route.fold_case(path, &self.case_insensitive)
    }

    /// Gives `folded` the captures of `written` whose case operations show.
    pub fn show_case(&self, folded: &mut Captures, written: Captures) {
        for (folded, written) in folded.iter_mut().zip(written) {
            if self.case_shown.contains(&folded.0) {
                *folded = written;
            }
        }
    }

    /// The existence check for a route's path.
    pub fn exists_for(&self, route: &Route) -> Option<&ExistsFn> {
        self.exists.iter().find(|(pattern, _)| *pattern == route.pattern).map(|(_, f)| f)
    }
}

/// Builds a [`Spec`]; `E` is the engine's type.
pub struct EngineSpec<E> {
    spec: Spec,
    _engine: std::marker::PhantomData<fn() -> E>,
}

fn engine<E: 'static>(any: &AnyEngine) -> Result<&E> {
    any.downcast_ref::<E>().ok_or_else(|| Error::internal("an engine has another type"))
}

impl<E: Send + Sync + 'static> EngineSpec<E> {
    /// A plug-in called `kind`, whose objects `open` makes.
    pub fn new(
        kind: &'static str,
        class: Class,
        open: impl Fn(&Mount) -> Result<E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            spec: Spec {
                kind,
                class,
                routes: Vec::new(),
                docs: "",
                exists: Vec::new(),
                case_insensitive: Vec::new(),
                case_shown: Vec::new(),
                role: None,
                renew: None,
                renew_lease: None,
                revoke_lease: None,
                reconcile: None,
                variants: Vec::new(),
                open: Box::new(move |mount| Ok(Arc::new(open(mount)?))),
            },
            _engine: std::marker::PhantomData,
        }
    }

    /// Adds a query.
    pub fn query<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Query<O>,
    {
        let run: QueryFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                engine::<E>(any)?.query(cx, op).await?.into_json()
            })
        });
        self.spec.routes.push(Route::new::<O>(pattern, Handler::Query(run)));
        self
    }

    /// Adds a command.
    pub fn command<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Command<O>,
    {
        let run: CommandFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                engine::<E>(any)?.command(cx, op).await?.into_json()
            })
        });
        self.spec.routes.push(Route::new::<O>(pattern, Handler::Command(run)));
        self
    }

    /// Adds a login. Its rule is [`Rule::Open`].
    pub fn login<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Login<O>,
    {
        let run: LoginFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                engine::<E>(any)?.login(cx, op).await
            })
        });
        let mut route = Route::new::<O>(pattern, Handler::Login(run));
        route.rule = Rule::Open;
        self.spec.routes.push(route);
        self
    }

    /// The login added last names whom `alias` says, in one spelling: the lockout counts by it.
    pub fn counts_failures_of(mut self, alias: AliasFn) -> Self {
        if let Some(route) = self.spec.routes.last_mut() {
            route.alias = Some(alias);
        }
        self
    }

    /// The case of captures called `name` does not matter, but operations show it as it was
    /// written.
    pub fn case_shown(mut self, name: &'static str) -> Self {
        self.spec.case_shown.push(name);
        self.case_insensitive(name)
    }

    /// The case of captures called `name` does not matter: policy and operations see them in lower
    /// case.
    pub fn case_insensitive(mut self, name: &'static str) -> Self {
        self.spec.case_insensitive.push(name);
        self
    }

    /// Its logins have roles, which quotas can name.
    pub fn resolves_roles(mut self) -> Self
    where
        E: ResolveRole,
    {
        self.spec.role = Some(Box::new(|any, cx, source| {
            Box::pin(async move { engine::<E>(any)?.role(cx, &source).await })
        }));
        self
    }

    /// Decides between create and update for writes to `pattern`.
    pub fn exists<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Exists<O>,
    {
        let run: ExistsFn = Box::new(|any, cx, captures| {
            Box::pin(async move { engine::<E>(any)?.exists(cx, captures).await })
        });
        self.spec.exists.push((pattern, run));
        self
    }

    /// Its tokens' renewal asks [`Renew`].
    pub fn renews(mut self) -> Self
    where
        E: Renew,
    {
        self.spec.renew = Some(Box::new(|any, cx, token| {
            Box::pin(async move { engine::<E>(any)?.renew(cx, token).await })
        }));
        self
    }

    /// It has leases.
    pub fn leases(mut self) -> Self
    where
        E: LeaseKind,
    {
        self.spec.renew_lease = Some(Box::new(|any, cx, internal, seconds| {
            Box::pin(async move { engine::<E>(any)?.renew_lease(cx, internal, seconds).await })
        }));
        self.spec.revoke_lease = Some(Box::new(|any, cx, internal| {
            Box::pin(async move { engine::<E>(any)?.revoke_lease(cx, internal).await })
        }));
        self
    }

    /// It has background work, done every `seconds`.
    pub fn reconciles(mut self, seconds: i64) -> Self
    where
        E: Reconcile,
    {
        let run: ReconcileFn =
            Box::new(|any, cx| Box::pin(async move { engine::<E>(any)?.reconcile(cx).await }));
        self.spec.reconcile = Some((seconds, run));
        self
    }

    /// What the operations of [`Rule::Needs`] at `pattern` need.
    pub fn needs(mut self, pattern: &'static str, needs: NeedsFn) -> Self {
        for route in self.spec.routes.iter_mut().filter(|r| r.pattern == pattern) {
            if route.rule == Rule::Needs {
                route.needs = Some(needs);
            }
        }
        self
    }

    /// Mounts whose `option` is `value` have another surface.
    pub fn variant(mut self, option: &'static str, value: &'static str, spec: Spec) -> Self {
        self.spec.variants.push((option, value, Arc::new(spec)));
        self
    }

    /// All routes at or below these paths are about the whole server: every namespace but the root
    /// refuses them.
    pub fn root_namespace_only(mut self, paths: &[&str]) -> Self {
        for route in &mut self.spec.routes {
            let at_or_below = |path: &&str| {
                let rest = route.pattern.strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            route.root_namespace_only |= paths.iter().any(at_or_below);
        }
        self
    }

    /// Help text of the mount.
    pub fn docs(mut self, docs: &'static str) -> Self {
        self.spec.docs = docs;
        self
    }

    /// The erased specification.
    pub fn build(self) -> Spec {
        self.spec
    }
}

/// An operation on the node itself, served in any state of its life, without a token: initialising,
/// unsealing, health. They lie below the root namespace's `sys/`.
pub trait NodeOp: Op {
    /// Carries it out.
    fn run(
        self,
        node: &Arc<Node>,
        call: &NodeCall<'_>,
    ) -> impl Future<Output = Result<Reply<Self::Reply>>> + Send;
}

/// What a node operation may know of the request around it.
pub struct NodeCall<'a> {
    /// Where it came from.
    pub peer: &'a Peer,
    /// A token, if one came along: some operations let its holder do more.
    pub token: Option<&'a SecretString>,
    /// Query parameters.
    pub query: &'a [(String, String)],
    /// The verb.
    pub verb: Verb,
}

pub(crate) type NodeFn = Box<
    dyn for<'a> Fn(
            &'a Arc<Node>,
            &'a NodeCall<'a>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Reply<Json>>>
        + Send
        + Sync,
>;

/// The node operations of this binary.
#[derive(Default)]
pub struct NodeSpec {
    routes: Vec<(&'static str, Verb, &'static [FieldSpec], NodeFn)>,
}

impl NodeSpec {
    /// Adds an operation at a path below `/v1/`, literal.
    pub fn op<O: NodeOp>(mut self, path: &'static str) -> Self {
        let run: NodeFn = Box::new(|node, call, source| {
            Box::pin(async move { O::decode(&source)?.run(node, call).await?.into_json() })
        });
        self.routes.push((path, O::VERB, O::SPECS, run));
        self
    }

    /// The operation at a path; `Err` where the path is one of the node's but not with this verb.
    pub(crate) fn find(
        &self,
        path: &str,
        verb: Verb,
    ) -> Option<Result<(&'static [FieldSpec], &NodeFn)>> {
        let path = path.trim_end_matches('/');
        let mut other = false;
        for (at, v, fields, run) in &self.routes {
            if *at == path {
                if *v == verb {
                    return Some(Ok((fields, run)));
                }
                other = true;
            }
        }
        other.then(|| Err(Error::unsupported()))
    }
}

/// All plug-ins of this binary, by class and type.
#[derive(Default)]
pub struct Registry {
    specs: BTreeMap<(u8, &'static str), Arc<Spec>>,
    /// Operations on the node itself.
    pub node: NodeSpec,
}

impl Registry {
    /// A registry of `specs`.
    pub fn new(specs: impl IntoIterator<Item = Spec>) -> Self {
        let specs = specs.into_iter().map(|s| ((s.class as u8, s.kind), Arc::new(s))).collect();
        Self { specs, node: NodeSpec::default() }
    }

    /// With these node operations.
    pub fn with_node(mut self, node: NodeSpec) -> Self {
        self.node = node;
        self
    }

    /// The plug-in called `kind`.
    pub fn get(&self, class: Class, kind: &str) -> Option<&Arc<Spec>> {
        self.specs.iter().find(|((c, k), _)| *c == class as u8 && *k == kind).map(|(_, s)| s)
    }

    /// All plug-ins of a class, by name.
    pub fn of_class(&self, class: Class) -> impl Iterator<Item = &Arc<Spec>> {
        self.specs.iter().filter(move |((c, _), _)| *c == class as u8).map(|(_, s)| s)
    }
}

/// A new token as a login's grant asks for it.
impl From<Grant> for NewToken {
    fn from(grant: Grant) -> Self {
        let mut policies = grant.policies;
        policies.extend(grant.token.policies.iter().cloned());
        NewToken {
            display_name: grant.display_name,
            policies,
            metadata: grant.metadata,
            internal: grant.internal,
            params: grant.token,
            ..NewToken::default()
        }
    }
}

/// Raw fields of an operation run by the kernel itself.
pub fn no_fields() -> RawFields {
    RawFields::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    strongroom_base::fields! {
        /// Reads something.
        struct ReadIt {
            /// Its name.
            name: String,
        }
    }

    impl Op for ReadIt {
        type Reply = Json;
        const VERB: Verb = Verb::Read;
    }

    impl Query<ReadIt> for () {
        async fn query(&self, _: &ReadCx<'_>, op: ReadIt) -> Result<Reply<Json>> {
            Ok(Reply::data(Json::String(op.name)))
        }
    }

    #[test]
    fn captures_without_case_have_one_spelling() {
        let spec = EngineSpec::new("x", Class::Auth, |_| Ok(()))
            .query::<ReadIt>("role/{name}/Field")
            .query::<ReadIt>("Other/{what}")
            .query::<ReadIt>("all/{name..}")
            .case_insensitive("name")
            .build();
        for (path, expect) in [
            ("role/MyRole/Field", Some("role/myrole/Field")),
            ("role/ÄB/Field", Some("role/äb/Field")),
            ("role/myrole/Field", None),
            ("Other/Thing", None),
            ("all/A/b/C", Some("all/a/b/c")),
        ] {
            let Matched::Route(route, _) = spec.find(path, Verb::Read) else { panic!("{path}") };
            assert_eq!(spec.one_spelling(route, path).as_deref(), expect, "{path}");
        }
    }
}
