//! A node's life: uninitialised, sealed, or active. What needs keys lives only inside the last, and
//! dropping it wipes them.

mod rekey;
mod restore;
mod seal_key;

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use strongroom_base::{Clock, Error, ErrorKind, Result, Rng, Secret, SecretBytes, SecretString};
use strongroom_storage::Storage;

use crate::audit::medium::Medium;
use crate::audit::sinks::SinkFactory;
use crate::audit::{AuditLog, AuditOptions};
use crate::barrier::{Barrier, KeyRing, KeyUses};
use crate::flight::InFlight;
use crate::heavy::Heavy;
use crate::host::{Host, NoHost};
use crate::identity::Identity;
use crate::leases::{Leases, OpenIntents};
use crate::lockout::Lockouts;
use crate::logins::Logins;
use crate::mfa::Mfa;
use crate::mounts::{Mount, Router, create_builtin};
use crate::plug::{Class, Registry};
use crate::policies::{Policies, PolicyRecord};
use crate::queues::Queues;
use crate::quotas::Quotas;
use crate::reconcile::{Agenda, MOUNT_RECOVERY_SECONDS};
use crate::record::{Record, Scope, Store};
use crate::refusals::Refusals;
use crate::requests::Requests;
use crate::rotation::{Claims, Rotations};
use crate::seal::{self, RootKey, Seal};
use crate::tokens::{NewToken, Tokens};
use crate::troubles::Troubles;
use crate::usage::UsageCounts;

/// The version that clients are told, constant: they take features from it (design §10).
pub const VAULT_VERSION: &str = "1.18.5";

/// Vault's default for `default_lease_ttl` and `max_lease_ttl`: 768 h.
pub const LEASE_TTL_SECONDS: i64 = 768 * 3_600;

/// Settings of the kernel.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// Seconds of a lease or token whose mount and role say nothing.
    pub default_lease_ttl: i64,
    /// Most seconds of one whose mount and role say nothing.
    pub max_lease_ttl: i64,
    /// `api_addr`.
    pub api_addr: String,
    /// `cluster_addr`.
    pub cluster_addr: String,
    /// `cluster_name` as configured.
    pub cluster_name: String,
    /// What only the process around the kernel knows.
    pub host: Arc<dyn Host>,
    /// This node as one of the integrated storage, where that is configured.
    pub raft: Option<RaftNode>,
    /// Is `sys/internal/inspect` served?
    pub introspection_endpoint: bool,
    /// Is `sys/raw` served?
    pub raw_storage_endpoint: bool,
    /// Are `sys/rekey` and `sys/generate-root` served without a token, as Vault does?
    pub unauthenticated_key_ceremonies: bool,
    /// The configuration that `sys/config/state/sanitized` shows.
    pub sanitized: serde_json::Value,
    /// The audit log.
    pub audit: AuditOptions,
    /// May audit devices be enabled by the API?
    pub api_audit: bool,
    /// May recovery shares open the store beside an automatic seal?
    pub recovery_opens: bool,
    /// Seconds for which a disabled mount can be brought back.
    pub mount_undelete: i64,
    /// Lockout of users, where neither the auth mount nor its type says anything.
    pub user_lockout: crate::mounts::UserLockout,
    /// Lockout of users by type of auth method, where the mount says nothing.
    pub user_lockout_of: std::collections::BTreeMap<String, crate::mounts::UserLockout>,
}

/// The only node of an integrated storage.
#[derive(Clone, Debug, Default)]
pub struct RaftNode {
    /// Its name.
    pub id: String,
    /// Its cluster address: `host:port`.
    pub address: String,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            default_lease_ttl: LEASE_TTL_SECONDS,
            max_lease_ttl: LEASE_TTL_SECONDS,
            api_addr: String::new(),
            cluster_addr: String::new(),
            cluster_name: String::new(),
            host: Arc::new(NoHost),
            raft: None,
            introspection_endpoint: false,
            raw_storage_endpoint: false,
            unauthenticated_key_ceremonies: true,
            sanitized: serde_json::Value::Null,
            audit: AuditOptions::default(),
            api_audit: true,
            recovery_opens: true,
            mount_undelete: MOUNT_RECOVERY_SECONDS,
            user_lockout: Default::default(),
            user_lockout_of: Default::default(),
        }
    }
}

impl KernelConfig {
    /// A mount's TTLs in seconds: (default, maximum).
    pub fn mount_ttls(&self, mount: &Mount) -> (i64, i64) {
        let or = |own: i64, system: i64| if own > 0 { own } else { system };
        let max = or(mount.config.max_lease_ttl, self.max_lease_ttl);
        let default = or(mount.config.default_lease_ttl, self.default_lease_ttl);
        (if max > 0 { default.min(max) } else { default }, max)
    }
}

/// Everything an active node's requests use. Each part knows only what it was made with.
pub struct Services {
    /// Records.
    pub store: Arc<Store>,
    /// Mounts and namespaces.
    pub router: Router,
    /// Tokens.
    pub tokens: Tokens,
    /// Policies.
    pub policies: Policies,
    /// Entities and groups.
    pub identity: Identity,
    /// Leases.
    pub leases: Leases,
    /// Rotations of credentials.
    pub rotations: Rotations,
    /// Rate limits.
    pub quotas: Quotas,
    /// Failed logins.
    pub lockouts: Lockouts,
    /// Second factors of logins.
    pub mfa: Mfa,
    /// How many logins there were.
    pub logins: Logins,
    /// How many tokens and leases there are.
    pub usage: UsageCounts,
    /// What strangers may have recorded.
    pub refusals: Refusals,
    /// The audit log.
    pub audit: Arc<AuditLog>,
    /// Queues of commands.
    pub queues: Queues,
    /// Background work.
    pub agenda: Agenda,
    /// Settings.
    pub config: Arc<KernelConfig>,
    /// Work that takes a core for long.
    pub heavy: Heavy,
    /// The root key, for rotation and rekey.
    pub root_key: RwLock<RootKey>,
    /// One change of keys at a time.
    pub rekeying: tokio::sync::Mutex<()>,
    /// The node: for the operations that end this life.
    pub node: std::sync::Weak<Node>,
    /// The cluster's name and id.
    pub cluster: Cluster,
}

impl Services {
    /// Has this node's disk only the room left that is kept back for revocation, sealing and the
    /// repair of the audit log?
    pub fn is_full(&self) -> bool {
        self.audit.is_full() || self.store.storage.is_full()
    }
}

/// The cluster's name and id, made at initialisation.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Cluster {
    /// `cluster_name`.
    pub name: String,
    /// `cluster_id`: a UUID.
    pub id: String,
}

impl Record for Cluster {
    const KIND: u8 = 207;
}

/// What a node is at a moment.
pub enum Life {
    /// The storage holds no store yet.
    Uninitialised,
    /// There is a store, and no keys.
    Sealed,
    /// Serving.
    Active(Arc<Services>),
}

/// One server process' kernel.
pub struct Node {
    /// The storage.
    pub storage: Arc<dyn Storage>,
    /// The plug-ins of this binary.
    pub registry: Arc<Registry>,
    /// The automatic seal, if one is configured.
    pub auto_seal: Option<Arc<dyn Seal>>,
    /// Settings.
    pub config: Arc<KernelConfig>,
    /// Where the node's audit log lies.
    pub audit_medium: Arc<dyn Medium>,
    /// Makes audit sinks.
    pub sinks: Arc<dyn SinkFactory>,
    /// Guarded time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The requests that are being served.
    pub in_flight: Arc<InFlight>,
    pub(crate) troubles: Troubles,
    /// What is counted of requests.
    pub requests: Requests,
    open_intents: OpenIntents,
    rotating: Claims,
    life: ArcSwap<Life>,
    /// The log of the last active life: what still wants to record there ends before the next
    /// begins, or two would write one chain.
    last_audit: Mutex<Weak<AuditLog>>,
    /// One change of life at a time.
    changing: tokio::sync::Mutex<()>,
    /// Shares given so far, of unsealing, rekeying and the like; the `system` crate's.
    pub ceremonies: Mutex<seal::Ceremonies>,
}

/// What initialisation asks for.
pub struct InitRequest {
    /// How the key is split and to whom the shares go.
    pub plan: seal::ceremony::SharePlan,
    /// A text for the root token; none draws one.
    pub root_token: Option<SecretString>,
}

/// What initialisation gives, once.
pub struct Initialised {
    /// The shares.
    pub shares: Vec<SecretBytes>,
    /// The first root token.
    pub root_token: SecretString,
}

impl Node {
    /// A node over `storage`; it looks whether there is a store.
    pub async fn new(
        storage: Arc<dyn Storage>,
        registry: Arc<Registry>,
        auto_seal: Option<Arc<dyn Seal>>,
        config: Arc<KernelConfig>,
        audit_medium: Arc<dyn Medium>,
        sinks: Arc<dyn SinkFactory>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Arc<Self>> {
        let life =
            if seal::is_initialised(&storage).await? { Life::Sealed } else { Life::Uninitialised };
        Ok(Arc::new(Self {
            storage,
            registry,
            auto_seal,
            config,
            audit_medium,
            sinks,
            clock,
            rng,
            in_flight: Arc::default(),
            troubles: Troubles::default(),
            requests: Requests::default(),
            open_intents: OpenIntents::default(),
            rotating: Claims::default(),
            life: ArcSwap::from_pointee(life),
            last_audit: Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
            ceremonies: Mutex::default(),
        }))
    }

    /// What the node is now.
    pub fn life(&self) -> Arc<Life> {
        self.life.load_full()
    }

    /// The services, or 503.
    pub fn active(&self) -> Result<Arc<Services>> {
        match &**self.life.load() {
            Life::Active(services) => Ok(services.clone()),
            _ => Err(Error::sealed()),
        }
    }

    /// Makes the store: keys, share set, automatic seal's record, built-in mounts and policies and
    /// the first root token, in one transaction. The node is sealed afterwards.
    pub async fn initialise(&self, request: &InitRequest) -> Result<Initialised> {
        let _one = self.changing.lock().await;
        if seal::is_initialised(&self.storage).await? {
            return Err(Error::bad_request("Vault is already initialized"));
        }
        let (rng, now) = (&*self.rng, self.clock.now());
        let root: RootKey = Secret::new(rng.array());
        let k: RootKey = Secret::new(rng.array());
        let ring = KeyRing::generate(rng, now);
        let barrier = Arc::new(Barrier::new(ring.clone(), self.rng.clone()));
        let store = Store::new(self.storage.clone(), barrier, self.clock.clone(), self.rng.clone());
        let tx = store.begin();
        tx.change(seal::put_ring(&root, &ring, rng)?);
        tx.change(seal::put_shares(&root, &k, &request.plan, rng, now)?);
        let secret = SecretBytes::new(k.expose_secret().to_vec());
        let handed_out = request.plan.hand_out(&secret, rng)?;
        if let Some(auto) = &self.auto_seal {
            tx.change(seal::put_meta(seal::AUTO, &auto.wrap(&root).await?));
        }
        let scope = tx.write(Scope::ROOT);
        scope.put_named(0, "", &seal::ShareKey(k.expose_secret().to_vec()))?;
        let name = match self.config.cluster_name.as_str() {
            "" => format!("vault-cluster-{}", hex::encode(rng.array::<4>())),
            name => name.to_owned(),
        };
        scope.put_named(0, "", &Cluster { name, id: rng.uuid() })?;
        create_builtin(&tx, Scope::ROOT, now).await?;
        let text = crate::policy::DEFAULT_TEXT.to_owned();
        let policy = PolicyRecord { text, written: now, version: 1, settings: Default::default() };
        scope.put_named(0, "default", &policy)?;
        let mut first = root_token();
        first.id = request.root_token.as_ref().map(SecretString::duplicate);
        let created = Tokens::new(store.clone()).create(&tx, first, "", now)?;
        if let Err(error) = tx.commit().await {
            if error.kind != ErrorKind::InDoubt {
                return Err(error);
            }
            // What is on disk says whether it was made. Where that cannot be read, its keys are handed out
            // all the same: nobody has others.
            self.storage.settled().await;
            let made = match seal::is_initialised(&self.storage).await {
                Ok(true) => seal::open_ring(&self.storage, &root).await.map(|ring| ring.is_some()),
                unmade => unmade,
            };
            if let Ok(false) = made {
                return Err(error);
            }
        }
        self.life.store(Arc::new(Life::Sealed));
        Ok(Initialised { shares: handed_out.shares, root_token: created.text })
    }

    /// Opens the store with a root key. False where the key does not fit.
    pub async fn unseal(self: &Arc<Self>, root: RootKey) -> Result<bool> {
        let _one = self.changing.lock().await;
        self.unseal_alone(root).await
    }

    /// As [`Node::unseal`]; nobody else changes the life meanwhile.
    async fn unseal_alone(self: &Arc<Self>, root: RootKey) -> Result<bool> {
        if matches!(**self.life.load(), Life::Active(_)) {
            return Ok(true);
        }
        let Some(ring) = seal::open_ring(&self.storage, &root).await? else { return Ok(false) };
        let barrier = Arc::new(Barrier::new(ring, self.rng.clone()));
        let store = Store::new(self.storage.clone(), barrier, self.clock.clone(), self.rng.clone());
        if let Some(reserved) = store.begin().read(Scope::ROOT).named::<KeyUses>(0, "").await? {
            store.barrier.resume_uses(&reserved);
        }
        let cluster = store.begin().read(Scope::ROOT).named::<Cluster>(0, "").await?;
        let restored = seal::Restored::read(&self.storage).await?;
        let last = self.last_audit.lock().upgrade();
        if let Some(last) = last {
            last.end().await;
        }
        let services = Services {
            router: Router::new(store.clone(), self.registry.clone()),
            tokens: Tokens::new(store.clone()),
            policies: Policies::new(store.clone()),
            identity: Identity::new(store.clone()),
            leases: Leases::new(store.clone(), self.open_intents.clone()),
            rotations: Rotations::new(store.clone(), self.rotating.clone()),
            quotas: Quotas::new(store.clone()),
            lockouts: Lockouts::default(),
            mfa: Mfa::new(store.clone()),
            logins: Logins::default(),
            usage: UsageCounts::new(store.clone()),
            refusals: Refusals::default(),
            audit: AuditLog::open(
                store.clone(),
                self.audit_medium.clone(),
                self.sinks.clone(),
                self.config.audit.clone(),
                restored.as_ref(),
            )
            .await?,
            queues: Queues::new(&*self.rng),
            agenda: Agenda::default(),
            heavy: Heavy::new(self.config.host.clone()),
            config: self.config.clone(),
            root_key: RwLock::new(root),
            rekeying: tokio::sync::Mutex::new(()),
            node: Arc::downgrade(self),
            cluster: cluster.ok_or_else(|| Error::internal("the cluster record is missing"))?,
            store,
        };
        services.router.table().await?;
        *self.last_audit.lock() = Arc::downgrade(&services.audit);
        if let Some(restored) = &restored {
            services.begin_after_restore(restored).await?;
        }
        if let Some(auto) = &self.auto_seal
            && let Err(e) = services.renew_seal(&**auto).await
        {
            tracing::warn!(error = %e, "the root key was not wrapped by the seal's newest key");
        }
        if let Err(e) = crate::versions::note(&services.store).await {
            // A store that can't be written may still be read.
            tracing::warn!(error = %e, "the version's first start was not noted");
        }
        self.life.store(Arc::new(Life::Active(Arc::new(services))));
        Ok(true)
    }

    /// Opens the store by the automatic seal, if there is one and a store for it.
    pub async fn unseal_automatically(self: &Arc<Self>) -> Result<bool> {
        let Some(auto) = &self.auto_seal else { return Ok(false) };
        let Some(wrapped) = seal::meta(&self.storage, seal::AUTO).await? else { return Ok(false) };
        let root = auto.unwrap(&wrapped).await?;
        if self.unseal(root).await? { Ok(true) } else { Err(seal::damaged_ring()) }
    }

    /// Seals: the services go, and with the last request in flight their keys.
    pub fn seal(&self) {
        if let Ok(services) = self.active() {
            services.audit.take_no_more();
        }
        self.config.host.end_log_lines();
        self.life.rcu(|life| match **life {
            Life::Active(_) => Arc::new(Life::Sealed),
            _ => life.clone(),
        });
    }
}

/// A root token: no parent, no end.
pub fn root_token() -> NewToken {
    NewToken {
        display_name: "root".to_owned(),
        policies: vec!["root".to_owned()],
        path: "auth/token/root".to_owned(),
        namespace: Scope::ROOT,
        mount: Scope::ROOT,
        ..NewToken::default()
    }
}

/// The mount class of a path's text: `auth/…` or not.
pub fn class_of(path: &str) -> Class {
    if path.starts_with("auth/") { Class::Auth } else { Class::Secret }
}
