//! The machine: the real core over a simulated disk, clock and audit log, that can die and start
//! again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use strongroom_base::time::NANOS_PER_SECOND;
use strongroom_base::{Clock, RequestPath, Rng, SecretString, Timestamp};
use strongroom_kernel::audit::AuditOptions;
use strongroom_kernel::clock::GuardedClock;
use strongroom_kernel::mounts::UserLockout;
use strongroom_kernel::node::{InitRequest, KernelConfig, Node};
use strongroom_kernel::pipeline::{Call, handle};
use strongroom_kernel::plug::{Peer, Plugin, Registry, Verb};
use strongroom_kernel::seal::ceremony::SharePlan;
use strongroom_storage::memory::MemoryStorage;
use strongroom_testkit::challenges::SimChallenges;
use strongroom_testkit::directory::SimDirectory;
use strongroom_testkit::files::SimFiles;
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, MemorySinks, SimRng, render};

use crate::dice::Dice;
use crate::disk::{REQUEST, SimMedium, SimStorage};
use crate::ops::Wire;
use crate::outside::Outside;
use crate::turner;

/// Bytes of an audit segment: small, so that segments end while the core works.
const SEGMENT_BYTES: u64 = 64 << 10;

/// How late the outside does what was given up, in seconds. The server looks for it a while longer.
const LATE_SECONDS: i64 = 250;

/// The machine's clocks: the wall clock steps, the monotonic one goes on.
pub struct Hands {
    wall: AtomicI64,
    monotonic: AtomicU64,
}

impl Hands {
    fn new(wall: i64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(wall), monotonic: AtomicU64::new(0) })
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }
    fn monotonic_nanos(&self) -> u64 {
        self.monotonic.load(Ordering::SeqCst)
    }
}

/// A node and what it stands on.
pub struct Machine {
    /// The node.
    pub node: Arc<Node>,
    /// Its disk.
    pub disk: Arc<SimStorage>,
    /// Its audit log.
    pub medium: Arc<SimMedium>,
    /// What the server gives credentials of.
    pub outside: Arc<Outside>,
    /// What the server rotates credentials of.
    pub turned: turner::Shared,
    /// The first root token.
    pub root: String,
    hands: Arc<Hands>,
    rng: Arc<SimRng>,
    shares: Vec<Vec<u8>>,
    dice: Dice,
    /// Time as it must be: it never goes back, and a step forward counts once.
    expected: i64,
    /// Seconds since all that was late outside had arrived.
    late: i64,
    boots: u64,
}

impl Machine {
    /// A machine with a fresh store, open.
    pub async fn start(seed: u64) -> Result<Self, String> {
        let dice = Dice::new(seed, 2);
        let hands = Hands::new(1_767_225_600 * NANOS_PER_SECOND);
        let rng = SimRng::new(seed);
        let outside = Outside::new(Dice::new(seed, 4));
        let turned = turner::Shared::default();
        turned.lock().stop = outside.stop.clone();
        let disk = SimStorage::new(MemoryStorage::new(), dice.clone(), outside.clone());
        let medium = Arc::new(SimMedium::default());
        let node = boot(&disk, &medium, &hands, &rng, (&outside, &turned)).await?;
        let now = hands.now();
        let plan = SharePlan::new(3, 2, &[], now).map_err(|e| e.to_string())?;
        let made = node
            .initialise(&InitRequest { plan, root_token: None })
            .await
            .map_err(|e| e.to_string())?;
        let shares = made.shares.iter().map(|s| s.expose_secret().clone()).collect();
        let machine = Self {
            node,
            disk,
            medium,
            outside,
            turned,
            root: made.root_token.expose_secret().clone(),
            hands,
            rng,
            shares,
            dice,
            expected: now.0,
            late: 0,
            boots: 0,
        };
        machine.unseal().await?;
        Ok(machine)
    }

    /// Opens the store with two of its shares, as its holders do.
    pub async fn unseal(&self) -> Result<(), String> {
        for share in self.shares.iter().skip(self.boots as usize % 2).take(2) {
            let body = json!({ "key": hex(share) });
            let wire = Wire { method: "WRITE", path: "sys/unseal".into(), body, wrap_ttl: None };
            let got = self.send(0, "", wire).await;
            if got.status != 200 {
                return Err(format!("unsealing answers {got:?}"));
            }
        }
        self.node.active().map(|_| ()).map_err(|e| format!("the node is not open: {e}"))
    }

    /// The process dies, or the power goes; then it starts again and is opened.
    pub async fn restart(&mut self, power_cut: bool) -> Result<(), String> {
        let dice = power_cut.then_some(&self.dice);
        self.medium = self.medium.crash(dice);
        self.outside.process_died();
        self.turned.lock().process_died();
        let outside = self.outside.clone();
        self.disk = SimStorage::new(self.disk.crash(), self.dice.clone(), outside);
        // The guard is in memory: an operator's clock is right again when the machine starts.
        self.hands = Hands::new(self.expected.max(self.hands.now().0));
        self.expected = self.hands.now().0;
        self.boots += 1;
        let outsides = (&*self.outside, &self.turned);
        self.node = boot(&self.disk, &self.medium, &self.hands, &self.rng, outsides).await?;
        self.unseal().await
    }

    /// Time goes on.
    pub fn advance(&mut self, seconds: i64) {
        self.late_by(seconds);
        let nanos = seconds * NANOS_PER_SECOND;
        self.hands.monotonic.fetch_add(nanos as u64, Ordering::SeqCst);
        self.hands.wall.fetch_add(nanos, Ordering::SeqCst);
        self.expected += nanos;
        self.expected = self.expected.max(self.hands.now().0);
    }

    /// What is late outside gets later by these seconds, but not so late that it is forgotten.
    fn late_by(&mut self, seconds: i64) {
        self.late += seconds;
        if self.late > LATE_SECONDS {
            self.outside.servers.arrive();
            self.late = 0;
        }
    }

    /// The wall clock steps.
    pub fn step_wall(&mut self, seconds: i64) {
        self.late_by(seconds.max(0));
        self.hands.wall.fetch_add(seconds * NANOS_PER_SECOND, Ordering::SeqCst);
        self.expected = self.expected.max(self.hands.now().0);
    }

    /// The time that must hold; the error where the core has another one.
    pub fn now(&self) -> Result<i64, String> {
        let core = self.node.clock.now().0;
        if core == self.expected {
            return Ok(core);
        }
        Err(format!("the core's time is {core}, it must be {}", self.expected))
    }

    /// Background work that is due, once.
    pub async fn tick(&self) {
        if let Ok(services) = self.node.active() {
            strongroom_kernel::reconcile::run_due(&services).await;
            services.leases.idle().await;
            services.rotations.idle().await;
        }
    }

    /// Sends a request as `token`.
    pub async fn send(&self, number: u64, token: &str, wire: Wire) -> Got {
        send(self.node.clone(), number, token.to_owned(), wire).await
    }
}

/// The address that a request comes from: it carries the request's number into the audit log.
pub fn address(number: u64) -> [u8; 4] {
    [10, (number >> 16) as u8, (number >> 8) as u8, number as u8]
}

/// Sends a request to a node.
pub async fn send(node: Arc<Node>, number: u64, token: String, wire: Wire) -> Got {
    let verb = match wire.method {
        "READ" => Verb::Read,
        "LIST" => Verb::List,
        "DELETE" => Verb::Delete,
        _ => Verb::Write,
    };
    let (path, query) = wire.path.split_once('?').unwrap_or((&wire.path, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let Ok(path) = RequestPath::parse(path) else {
        return Got::of(400, Value::Null);
    };
    let call = Call {
        namespace: String::new(),
        path,
        verb,
        protocol: Default::default(),
        head: false,
        token: (!token.is_empty()).then(|| SecretString::new(token)),
        inline: None,
        credential: None,
        body: if wire.body.is_null() { Bytes::new() } else { Bytes::from(wire.body.to_string()) },
        fields: None,
        query,
        upload: None,
        wrap_ttl: wire.wrap_ttl,
        headers: Vec::new(),
        peer: Peer { ip: Some(address(number).into()), ..Peer::default() },
        bounds: Default::default(),
    };
    render(REQUEST.scope(number, handle(&node, call)).await)
}

async fn boot(
    disk: &Arc<SimStorage>,
    medium: &Arc<SimMedium>,
    hands: &Arc<Hands>,
    rng: &Arc<SimRng>,
    (outside, turned): (&Outside, &turner::Shared),
) -> Result<Arc<Node>, String> {
    let plugins = strongroom_system::specs()
        .into_iter()
        .map(Plugin::from)
        .chain(strongroom_auth::plugins(&strongroom_auth::Outside {
            web: SimWeb::new(),
            files: SimFiles::new(),
            directory: SimDirectory::new(),
            cluster: None,
        }))
        .chain(strongroom_engines::registry::plugins(
            outside.servers.databases(),
            SimChallenges::new(),
            SimWeb::new(),
        ))
        .chain([turner::spec(turned.clone()).into()]);
    let mut registry = Registry::new(plugins);
    registry.node = strongroom_system::node_ops::spec();
    let config = KernelConfig {
        audit: AuditOptions { segment_bytes: SEGMENT_BYTES, ..AuditOptions::default() },
        // Lockout is memory only, and would hide what a login says.
        user_lockout: UserLockout { disable: true, ..UserLockout::default() },
        user_lockout_of: ["approle", "userpass"]
            .map(|kind| (kind.to_owned(), UserLockout { disable: true, ..Default::default() }))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        cluster_name: "simulated".to_owned(),
        ..KernelConfig::default()
    };
    let rng: Arc<dyn Rng> = rng.clone();
    Node::new(
        disk.clone(),
        Arc::new(registry),
        None,
        Arc::new(config),
        medium.clone(),
        Arc::new(MemorySinks),
        Arc::new(GuardedClock::new(hands.clone())),
        rng,
    )
    .await
    .map_err(|e| e.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
