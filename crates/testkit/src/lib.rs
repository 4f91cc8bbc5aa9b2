//! An in-process node for tests: the real kernel on memory storage, with a clock and randomness
//! that the test owns. It stays out of the release graph.

// A test that cannot be set up fails.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod certificates;
pub mod challenges;
pub mod clouds;
pub mod databases;
pub mod directory;
pub mod files;
pub mod fuzz;
pub mod servers;
pub mod web;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_base::{Clock, ErrorKind, RequestPath, Rng, SecretString, Timestamp};
use strongroom_kernel::audit::medium::MemoryMedium;
use strongroom_kernel::audit::sinks::{Sink, SinkFactory};
use strongroom_kernel::mounts;
use strongroom_kernel::node::{InitRequest, KernelConfig, Life, Node, Services, class_of};
use strongroom_kernel::pipeline::{Answer, Bounds, Call, InlineLogin, handle};
use strongroom_kernel::plug::{Beyond, Peer, Plugin, Protocol, Registry, Shape, Verb};
use strongroom_kernel::policies::PolicyRecord;
use strongroom_kernel::record::Scope;
use strongroom_kernel::seal;
use strongroom_kernel::seal::ceremony::SharePlan;
use strongroom_storage::Storage;
use strongroom_storage::memory::MemoryStorage;

/// A clock that moves when the test says so.
pub struct SimClock {
    nanos: AtomicI64,
}

impl SimClock {
    /// A clock that stands at 2026-01-01.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { nanos: AtomicI64::new(1_767_225_600_000_000_000) })
    }

    /// Moves the clock on.
    pub fn advance(&self, seconds: i64) {
        self.nanos.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.nanos.load(Ordering::SeqCst))
    }
    fn monotonic_nanos(&self) -> u64 {
        self.nanos.load(Ordering::SeqCst) as u64
    }
}

/// Randomness by seed (SplitMix64): the same in each run.
pub struct SimRng(AtomicU64);

impl SimRng {
    /// A generator of `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Rng for SimRng {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// Sinks of the type `file` that take every line and forget it, and of the type `socket` that take
/// none.
pub struct MemorySinks;

struct Stalled;

impl Sink for Stalled {
    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

struct Discard;

impl Sink for Discard {
    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

impl SinkFactory for MemorySinks {
    fn open(
        &self,
        kind: &str,
        _: &std::collections::BTreeMap<String, String>,
    ) -> strongroom_base::Result<Box<dyn Sink>> {
        match kind {
            "file" => Ok(Box::new(Discard)),
            "socket" => Ok(Box::new(Stalled)),
            _ => Err(strongroom_base::Error::bad_request("unknown backend type")),
        }
    }
}

/// A running node.
pub struct TestNode {
    /// The node.
    pub node: Arc<Node>,
    /// Its clock.
    pub clock: Arc<SimClock>,
    /// Its audit log.
    pub audit: Arc<MemoryMedium>,
    /// Its storage.
    pub storage: Arc<MemoryStorage>,
    /// The first root token.
    pub root: String,
    /// The unseal keys (3, of which 2 open the store).
    pub shares: Vec<Vec<u8>>,
    /// The address requests come from.
    pub peer: Mutex<Peer>,
    /// What requests may take.
    pub bounds: Mutex<Bounds>,
}

/// An answer as a test looks at it: status and the body that Vault's door would send.
#[derive(Debug, Clone)]
pub struct Got {
    /// The HTTP status.
    pub status: u16,
    /// The envelope (or bare body); null where there is none.
    pub body: Value,
    /// The explain id of a denial.
    pub explain: Option<String>,
    /// The body of an answer that is no JSON, as it came.
    pub raw: Vec<u8>,
    /// Its content type; "" where it is Vault's own.
    pub content_type: &'static str,
    /// Headers that the operation set.
    pub headers: Vec<(&'static str, String)>,
}

impl Got {
    /// A status and a body.
    pub fn of(status: u16, body: Value) -> Self {
        Self { status, body, explain: None, raw: Vec::new(), content_type: "", headers: Vec::new() }
    }

    /// The first header of this name; "" where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }

    /// `data` of the envelope.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// All error texts, joined.
    pub fn errors(&self) -> String {
        let texts = self.body["errors"].as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
    }

    /// The token of the `auth` block.
    pub fn token(&self) -> String {
        self.body["auth"]["client_token"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestNode {
    /// A node of these plug-ins on fresh memory storage, initialised and unsealed.
    pub async fn start(specs: impl IntoIterator<Item = impl Into<Plugin>>) -> Self {
        Self::start_with(specs, KernelConfig::default()).await
    }

    /// As [`TestNode::start`], with settings.
    pub async fn start_with(
        specs: impl IntoIterator<Item = impl Into<Plugin>>,
        config: KernelConfig,
    ) -> Self {
        Self::start_as(Registry::new(specs), config).await
    }

    /// As [`TestNode::start`], of a registry that has more than plug-ins: operations on the node itself.
    pub async fn start_as(registry: Registry, config: KernelConfig) -> Self {
        let storage = MemoryStorage::new();
        let clock = SimClock::new();
        let audit = Arc::new(MemoryMedium::new(0));
        let node = Node::new(
            storage.clone() as Arc<dyn Storage>,
            Arc::new(registry),
            None,
            Arc::new(config),
            audit.clone(),
            Arc::new(MemorySinks),
            clock.clone(),
            SimRng::new(1),
        )
        .await
        .expect("memory storage opens");
        let made = node
            .initialise(&InitRequest {
                plan: SharePlan::new(3, 2, &[], clock.now()).expect("a fit plan"),
                root_token: None,
            })
            .await
            .expect("an empty store is initialised");
        let shares: Vec<Vec<u8>> = made.shares.iter().map(|s| s.expose_secret().clone()).collect();
        let test = Self {
            node,
            clock,
            audit,
            storage,
            root: made.root_token.expose_secret().clone(),
            shares,
            bounds: Mutex::default(),
            peer: Mutex::new(Peer { ip: Some([127, 0, 0, 1].into()), ..Peer::default() }),
        };
        test.unseal().await;
        test
    }

    /// The process dies, and another one of these plug-ins starts over the same storage. What the
    /// old one was at may not come back.
    pub async fn restart(&mut self, specs: impl IntoIterator<Item = impl Into<Plugin>>) {
        self.node = Node::new(
            self.storage.clone() as Arc<dyn Storage>,
            Arc::new(Registry::new(specs)),
            None,
            self.node.config.clone(),
            self.audit.clone(),
            Arc::new(MemorySinks),
            self.clock.clone(),
            self.node.rng.clone(),
        )
        .await
        .expect("memory storage opens");
        self.unseal().await;
    }

    /// Opens the store with two of its shares.
    pub async fn unseal(&self) {
        let storage: Arc<dyn Storage> = self.storage.clone();
        let set = seal::shares(&storage).await.expect("readable").expect("there");
        let two: Vec<&[u8]> = self.shares.iter().take(2).map(Vec::as_slice).collect();
        let key = strongroom_crypto::shamir::combine(&two).expect("two shares combine");
        let root = seal::root_from_key(&set, key.expose_secret()).expect("the shares fit");
        assert!(self.node.unseal(root).await.expect("unseals"));
    }

    /// The services of the active node.
    pub fn services(&self) -> Arc<Services> {
        match &*self.node.life() {
            Life::Active(services) => services.clone(),
            _ => panic!("the node is sealed"),
        }
    }

    /// Mounts a plug-in below `path` of the root namespace, without asking the `system` crate;
    /// answers the accessor.
    pub async fn mount(&self, kind: &str, path: &str) -> String {
        let services = self.services();
        let now = self.clock.now();
        services
            .store
            .transact(|tx| async move {
                let class = class_of(path);
                let record = mounts::new_record(&tx, kind, path, class, "", now);
                Ok(mounts::create(&tx, Scope::ROOT, record).await?.accessor)
            })
            .await
            .expect("mounts")
    }

    /// Sets a policy of the root namespace, without asking the `system` crate.
    pub async fn policy(&self, name: &str, text: &str) {
        let record = PolicyRecord {
            text: text.to_owned(),
            written: self.clock.now(),
            version: 1,
            settings: Default::default(),
        };
        let (services, record) = (self.services(), &record);
        services
            .store
            .transact(|tx| async move { tx.write(Scope::ROOT).put_named(0, name, record) })
            .await
            .expect("a policy is stored");
    }

    /// A token with these rights on paths of a mount: capabilities, with spaces between.
    pub async fn token_with(&self, mount: &str, rights: &[(&str, &str)]) -> String {
        let rules = rights.iter().map(|(path, capabilities)| {
            let list: Vec<String> = capabilities.split(' ').map(|c| format!("{c:?}")).collect();
            format!("path \"{mount}{path}\" {{ capabilities = [{}] }}\n", list.join(", "))
        });
        let name = self.node.rng.uuid();
        self.policy(&name, &rules.collect::<String>()).await;
        let body = json!({ "policies": [name], "no_default_policy": true });
        self.root("WRITE", "auth/token/create", body).await.token()
    }

    /// Requests come from `ip` from now on.
    pub fn come_from(&self, ip: &str) {
        self.peer.lock().ip = Some(ip.parse().expect("an address"));
    }

    /// Sends a request. `method` is READ, WRITE, LIST, DELETE, PATCH or SCAN; a query may follow
    /// the path.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Got {
        self.call_in("", method, path, token, body).await
    }

    /// As the root token.
    pub async fn root(&self, method: &str, path: &str, body: Value) -> Got {
        self.call(method, path, &self.root, body).await
    }

    /// As [`TestNode::call`], in a namespace.
    pub async fn call_in(
        &self,
        namespace: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> Got {
        self.call_with(namespace, method, path, token, body, None).await
    }

    /// As [`TestNode::call`], with a wrap TTL in seconds.
    pub async fn call_with(
        &self,
        namespace: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
        wrap_ttl: Option<i64>,
    ) -> Got {
        self.send(self.request(namespace, method, path, token, body, wrap_ttl)).await
    }

    /// As [`TestNode::call`], and the name of the failure in a protocol whose failures have names: its
    /// own, or the kind's.
    pub async fn named(&self, method: &str, path: &str, token: &str, body: Value) -> (Got, String) {
        let Some(call) = self.request("", method, path, token, body, None) else {
            return (self.send(None).await, "bad path".to_owned());
        };
        let answer = handle(&self.node, call).await;
        let name = match &answer.result {
            Ok(_) => String::new(),
            Err(e) => e.code.map_or_else(|| format!("{:?}", e.kind), str::to_owned),
        };
        (render(answer), name)
    }

    /// Sends a request with a body of any kind and without a token; `HEAD` is a `READ` whose
    /// answer's head counts.
    pub async fn call_raw(&self, method: &str, path: &str, body: &[u8]) -> Got {
        let head = method == "HEAD";
        let verb = if head { "READ" } else { method };
        let call = self.request("", verb, path, "", Value::Null, None);
        let body = Bytes::copy_from_slice(body);
        self.send(call.map(|call| Call { head, body, ..call })).await
    }

    /// Reads without a token, with these headers.
    pub async fn open(&self, path: &str, headers: &[(String, String)]) -> Got {
        let call = self.request("", "READ", path, "", Value::Null, None);
        self.send(call.map(|call| Call { headers: headers.to_vec(), ..call })).await
    }

    /// Sends a request that brings its login along, in place of a token.
    pub async fn call_inline(
        &self,
        method: &str,
        path: &str,
        body: Value,
        login: InlineLogin,
    ) -> Got {
        self.call_inline_with(method, path, "", body, login).await
    }

    /// As [`TestNode::call_inline`], with a token beside it.
    pub async fn call_inline_with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
        login: InlineLogin,
    ) -> Got {
        let call = self.request("", method, path, token, body, None).expect("a path");
        let call = Call { inline: Some(Box::new(login)), ..call };
        render(handle(&self.node, call).await)
    }

    /// Sends a request whose answer is lost on its way.
    pub async fn lost(&self, method: &str, path: &str, token: &str, body: Value) {
        let call = self.request("", method, path, token, body, None).expect("a path");
        drop(handle(&self.node, call).await);
    }

    async fn send(&self, call: Option<Call>) -> Got {
        match call {
            Some(call) => render(handle(&self.node, call).await),
            None => Got::of(400, json!({"errors": ["bad path"]})),
        }
    }

    /// None where the path is none.
    fn request(
        &self,
        namespace: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
        wrap_ttl: Option<i64>,
    ) -> Option<Call> {
        let verb = match method {
            "READ" => Verb::Read,
            "WRITE" => Verb::Write,
            "LIST" => Verb::List,
            "DELETE" => Verb::Delete,
            "PATCH" => Verb::Patch,
            "SCAN" => Verb::Scan,
            // An operation of AWS's protocol, past the door's translation.
            "AWS" => Verb::Write,
            other => panic!("no verb {other}"),
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Some(Call {
            namespace: namespace.to_owned(),
            path: RequestPath::parse(path).ok()?,
            verb,
            protocol: if method == "AWS" { Protocol::Aws } else { Protocol::Vault },
            head: false,
            token: (!token.is_empty()).then(|| SecretString::new(token.to_owned())),
            inline: None,
            credential: None,
            body: if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) },
            fields: None,
            query,
            upload: None,
            wrap_ttl,
            headers: Vec::new(),
            peer: self.peer.lock().clone(),
            bounds: *self.bounds.lock(),
        })
    }
}

/// The status of a failure, as Vault's door has it.
fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::BadRequest | ErrorKind::Conflict => 400,
        ErrorKind::PermissionDenied => 403,
        ErrorKind::NotFound | ErrorKind::NoRoute => 404,
        ErrorKind::Unsupported => 405,
        ErrorKind::PreconditionFailed => 412,
        ErrorKind::TooLarge => 413,
        ErrorKind::RateLimited => 429,
        ErrorKind::Internal => 500,
        ErrorKind::Upstream => 502,
        ErrorKind::Sealed | ErrorKind::Standby | ErrorKind::Unavailable | ErrorKind::InDoubt => 503,
    }
}

/// An answer as Vault's door would send it.
pub fn render(answer: Answer) -> Got {
    let explain = answer.explain.clone();
    let mut headers: Vec<(&'static str, String)> = match &answer.result {
        Ok(reply) => reply.headers.iter().map(|h| (h.name, h.value.clone())).collect(),
        Err(e) => e.foreign.as_ref().map(|foreign| foreign.headers.clone()).unwrap_or_default(),
    };
    if answer.of_inline_login {
        headers.push(("x-vault-inline-auth-failed", "true".to_owned()));
    }
    Got { explain, headers, ..render_body(answer) }
}

fn render_body(answer: Answer) -> Got {
    let reply = match answer.result {
        Ok(mut reply) => {
            if let Some(Beyond::Told(told)) = reply.beyond.take().map(|beyond| *beyond) {
                told.is_sent();
            }
            reply
        }
        Err(e) => {
            if let Some(foreign) = e.foreign {
                return raw(foreign.status, foreign.content_type, foreign.body);
            }
            let mut body = match e.data {
                Some(data) => json!({ "data": *data, "errors": e.public }),
                None => json!({ "errors": e.public }),
            };
            // What a door of another protocol calls the failure.
            if let Some(code) = e.code {
                body["code"] = json!(code);
            }
            return Got::of(status(e.kind), body);
        }
    };
    if let Shape::Raw(content_type) = reply.shape {
        return raw(reply.status.unwrap_or(200), content_type, reply.raw);
    }
    let empty = reply.data.is_none()
        && reply.auth.is_none()
        && reply.wrap_info.is_none()
        && answer.lease.is_none()
        && reply.warnings.is_empty();
    if empty {
        return Got::of(reply.status.unwrap_or(204), Value::Null);
    }
    if reply.shape == Shape::Bare {
        return Got::of(reply.status.unwrap_or(200), reply.data.unwrap_or_default());
    }
    let lease = answer.lease;
    let mut body = json!({
        "request_id": answer.request_id,
        "lease_id": lease.as_ref().map_or("", |l| l.id.as_str()),
        "renewable": lease.as_ref().is_some_and(|l| l.renewable),
        "lease_duration": lease.as_ref().map_or(reply.lease_duration.unwrap_or(0), |l| l.duration),
        "data": reply.data,
        "wrap_info": reply.wrap_info,
        "warnings": (!reply.warnings.is_empty()).then_some(&reply.warnings),
        "auth": reply.auth,
        "mount_type": answer.mount_kind,
    });
    if reply.shape == Shape::Flat
        && let Value::Object(data) = body["data"].clone()
        && let Value::Object(top) = &mut body
    {
        for (name, value) in data {
            top.entry(name).or_insert(value);
        }
    }
    Got::of(reply.status.unwrap_or(200), body)
}

/// A body that is not the door's own: as JSON, else as a text.
fn raw(status: u16, content_type: &'static str, raw: Vec<u8>) -> Got {
    let text = || Value::String(String::from_utf8_lossy(&raw).into_owned());
    let body = serde_json::from_slice(&raw).unwrap_or_else(|_| text());
    Got { raw, content_type, ..Got::of(status, body) }
}
