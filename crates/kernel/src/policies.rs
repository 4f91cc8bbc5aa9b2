//! Policies as records, and the compiled rights of a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_storage::{Change, Key};

use crate::identity::EntityState;
use crate::policy::{
    Acl, IdentityView, Policy, RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT, TemplateAllowance,
};
use crate::record::{Derived, Record, Scope, Store, Tx, indexes};

/// A stored ACL policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its text as written.
    pub text: String,
    /// When it was written.
    pub written: Timestamp,
    /// `cas_required`-like settings of OpenBao: the version counts writes.
    #[serde(default)]
    pub version: u64,
    /// Further settings by name.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl Record for PolicyRecord {
    const KIND: u8 = 205;
}

/// Names of [`PolicyRecord::settings`].
pub mod settings {
    /// Every write must name the version it replaces.
    pub const CAS_REQUIRED: &str = "cas_required";
    /// When the policy ends, RFC 3339.
    pub const EXPIRATION: &str = "expiration";
    /// Values of templates may bring in `+` and `*`.
    pub const WILDCARDS: &str = "allow_wildcards_in_identity_templates";
    /// Values of templates may bring in `/`.
    pub const SLASHES: &str = "allow_slashes_in_identity_templates";
}

impl PolicyRecord {
    /// Is a switch among the settings on?
    pub fn is_on(&self, setting: &str) -> bool {
        self.settings.get(setting).is_some_and(|v| v == "true")
    }

    /// When the policy ends, if it does.
    pub fn expiration(&self) -> Option<Timestamp> {
        self.settings.get(settings::EXPIRATION).and_then(|text| Timestamp::parse(text))
    }

    /// Reads the text, with the settings that concern it.
    pub fn parse(&self, name: &str) -> Result<Policy> {
        let allowance = TemplateAllowance {
            wildcards: self.is_on(settings::WILDCARDS),
            slashes: self.is_on(settings::SLASHES),
            ..TemplateAllowance::default()
        };
        Policy::parse_with(name, &self.text, allowance)
    }
}

/// A policy as it is remembered: read, with its end.
struct Parsed {
    policy: Arc<Policy>,
    expires: Option<Timestamp>,
}

/// Compiled policies remembered.
const POLICIES_MAX: usize = 20_000;
/// Compiled sets of policies remembered.
const ACLS_MAX: usize = 5_000;

/// What the compiled rights of a token depend on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct AclKey {
    namespace: Scope,
    policies: Vec<String>,
    /// The entity's state, where a policy is templated; else 0.
    entity: u64,
}

struct CachedAcl {
    epoch: u64,
    acl: Arc<Acl>,
    /// When one of its policies or rules ends.
    until: Option<Timestamp>,
}

/// The policies of all namespaces.
pub struct Policies {
    store: Arc<Store>,
    parsed: Arc<Derived<(Scope, String), Parsed>>,
    acls: Derived<AclKey, CachedAcl>,
    /// Rises with every change of a policy: compiled rights of an older epoch are built anew.
    /// Entities and groups do not count here: their states are part of what rights are known by.
    epoch: Arc<AtomicU64>,
}

/// Is it a change of a policy, or may it be?
fn concerns_rights(change: &Change) -> bool {
    let is_policy = |key: &[u8]| key.get(4).is_none_or(|kind| *kind == PolicyRecord::KIND);
    match change {
        Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key)) => {
            *table == indexes::NAMES && is_policy(key)
        }
        Change::DeleteIndexRange { table, from, to } => {
            // A range that ends within its own kind is of that kind alone.
            *table == indexes::NAMES && (is_policy(from) || from.get(..5) != to.get(..5))
        }
        Change::Everything => true,
        _ => false,
    }
}

impl Policies {
    /// The policies of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let epoch = Arc::new(AtomicU64::new(1));
        let parsed = Arc::new(Derived::new(POLICIES_MAX));
        let (mark, weak) = (epoch.clone(), Arc::downgrade(&parsed));
        store.derived.listen(move |change| {
            if concerns_rights(change) {
                if let Some(parsed) = weak.upgrade() {
                    parsed.clear();
                }
                mark.fetch_add(1, Ordering::Release);
            }
        });
        Self { store, parsed, acls: Derived::new(ACLS_MAX), epoch }
    }

    /// The epoch of rights: what was compiled in an older one may be out of date.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Is there a policy called `name`?
    pub async fn has(&self, namespace: Scope, name: &str) -> Result<bool> {
        Ok(self.parsed(namespace, name).await?.is_some())
    }

    /// The policy called `name`, parsed, and when it ends; `None` where there is none.
    async fn parsed(&self, namespace: Scope, name: &str) -> Result<Option<Arc<Parsed>>> {
        if name == crate::policy::ROOT {
            let root = || Arc::new(Parsed { policy: Arc::new(Policy::root()), expires: None });
            return Ok((namespace == Scope::ROOT).then(root));
        }
        let key = (namespace, name.to_owned());
        self.parsed
            .get_or_fill(&key, || async {
                if name == RESPONSE_WRAPPING {
                    // Built in, in every namespace: nobody can change it.
                    let policy = Arc::new(Policy::parse(name, RESPONSE_WRAPPING_TEXT)?);
                    return Ok(Some(Parsed { policy, expires: None }));
                }
                let tx = self.store.begin();
                let Some(record) = tx.read(namespace).named::<PolicyRecord>(0, name).await? else {
                    return Ok(None);
                };
                let policy = Arc::new(record.parse(name)?);
                Ok(Some(Parsed { policy, expires: record.expiration() }))
            })
            .await
    }

    /// The stored policy called `name`.
    pub async fn read(
        &self,
        tx: &Tx,
        namespace: Scope,
        name: &str,
    ) -> Result<Option<PolicyRecord>> {
        tx.read(namespace).named::<PolicyRecord>(0, name).await
    }

    /// The rights that `policies` give in `namespace`, for an entity.
    pub async fn acl(
        &self,
        namespace: Scope,
        policies: &[String],
        entity: Option<&EntityState>,
    ) -> Result<Arc<Acl>> {
        let epoch = self.epoch();
        let root = [crate::policy::ROOT.to_owned()];
        // Root needs no company, and none can take anything from it.
        let policies = if policies.iter().any(|p| *p == root[0]) { &root[..] } else { policies };
        let now = self.store.now();
        let mut parsed = Vec::with_capacity(policies.len());
        let mut until = None;
        for name in policies {
            let Some(found) = self.parsed(namespace, name).await? else { continue };
            if found.expires.is_some_and(|at| at <= now) {
                continue;
            }
            until = earlier(until, found.expires);
            parsed.push(found.policy.clone());
        }
        let templated = parsed.iter().any(|p| p.is_templated());
        let state = entity.filter(|_| templated).map_or(0, |e| e.serial);
        let key = AclKey { namespace, policies: policies.to_vec(), entity: state };
        if let Some(cached) = self.acls.get(&key) {
            let fresh = cached.until.is_none_or(|until| now < until);
            if cached.epoch == epoch && fresh {
                return Ok(cached.acl.clone());
            }
            self.acls.remove(&key);
        }
        let nobody = IdentityView::default();
        let view = entity.map_or(&nobody, |e| &e.view);
        let acl = Arc::new(Acl::build(&parsed, view, now)?);
        let until = earlier(until, acl.valid_until());
        let built = CachedAcl { epoch, acl: acl.clone(), until };
        self.acls.get_or_fill(&key, || async { Ok(Some(built)) }).await?;
        Ok(acl)
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
