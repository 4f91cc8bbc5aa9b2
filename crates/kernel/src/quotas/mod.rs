//! Rate-limit quotas: so many requests per interval and client address. Of all rules that fit a
//! request, the most specific one counts it: role, path, path prefix, mount, namespace, and at last
//! the inheritable rules of the namespaces above.
//!
//! Rules are records of the root namespace; their compiled table is built anew when one of them
//! changes. Without rules a request costs one atomic read.

mod limiter;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::{AHashMap, AHashSet};
use serde::{Deserialize, Serialize};
use strongroom_base::time::NANOS_PER_SECOND;
use strongroom_base::{Error, ErrorKind, Result};
use strongroom_storage::{Change, Key};

use crate::mounts::MountEntry;
use crate::namespaces::{Namespace, NamespaceTable};
use crate::plug::Peer;
use crate::rebuilt::Rebuilt;
use crate::record::{Record, Scope, Store, indexes};
use limiter::{Allowance, Limiter};

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuotaRule {
    /// Its name.
    pub name: String,
    /// The namespace it is for.
    pub namespace: Scope,
    /// The mount it is for; none for the whole namespace.
    pub mount: Option<Scope>,
    /// The mount's path within the namespace when the rule was written.
    pub mount_path: String,
    /// The path below the mount, or its beginning before a `*`; "" for the whole mount.
    pub suffix: String,
    /// The role of logins it is for, or "".
    pub role: String,
    /// Requests per interval.
    pub rate: f64,
    /// Seconds.
    pub interval: i64,
    /// Seconds that a client which went beyond is refused.
    pub block_interval: i64,
    /// Is it for the namespaces below, where they have none of their own?
    pub inheritable: bool,
}

impl Record for QuotaRule {
    const KIND: u8 = 230;
}

impl QuotaRule {
    /// What it is for: two rules cannot be for the same.
    pub fn target(&self) -> QuotaTarget {
        match self.mount {
            None => QuotaTarget::Namespace(self.namespace),
            Some(mount) if !self.role.is_empty() => QuotaTarget::Role(mount, self.role.clone()),
            Some(mount) if !self.suffix.is_empty() => QuotaTarget::Path(mount, self.suffix.clone()),
            Some(mount) => QuotaTarget::Mount(mount),
        }
    }

    fn allowance(&self) -> Allowance {
        let nanos = |seconds: i64| {
            u64::try_from(seconds).unwrap_or(0).saturating_mul(NANOS_PER_SECOND as u64)
        };
        Allowance {
            requests: self.rate.ceil().max(1.0) as u64,
            interval: nanos(self.interval.max(1)),
            block: nanos(self.block_interval),
        }
    }
}

/// What a rule is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum QuotaTarget {
    /// All requests of a namespace.
    Namespace(Scope),
    /// All requests of a mount.
    Mount(Scope),
    /// Requests of a mount with this path, or with this beginning before a `*`.
    Path(Scope, String),
    /// Logins of a mount with this role.
    Role(Scope, String),
}

/// Settings of all rules.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct QuotaConfig {
    /// Are refused requests recorded in the audit log?
    pub audit_refused: bool,
    /// Do answers tell limit and rest?
    pub headers: bool,
    /// Paths of the root namespace that no rule counts; a `*` at the end stands for anything.
    pub exempt: Vec<String>,
}

impl Record for QuotaConfig {
    const KIND: u8 = 231;
}

/// Paths that no rule counts, unless an operator says otherwise (OpenBao's list).
const EXEMPT: &[&str] = &[
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
];

impl Default for QuotaConfig {
    fn default() -> Self {
        let exempt = EXEMPT.iter().map(|p| (*p).to_owned()).collect();
        Self { audit_refused: false, headers: false, exempt }
    }
}

/// What a limited answer's headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests per interval.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// Seconds until the interval ends.
    pub reset: u64,
    /// `Retry-After` of a refusal, in seconds.
    pub retry_after: Option<u64>,
}

/// A request as quotas see it.
pub struct Asked<'a> {
    /// All namespaces.
    pub namespaces: &'a NamespaceTable,
    /// The request's.
    pub namespace: &'a Namespace,
    /// Its mount.
    pub mount: Option<&'a MountEntry>,
    /// The path within the namespace.
    pub path: &'a str,
    /// The path below the mount.
    pub below: &'a str,
    /// The role of a login.
    pub role: Option<&'a str>,
    /// Where it comes from.
    pub peer: &'a Peer,
}

/// What quotas say of a request.
#[derive(Default)]
pub struct Verdict {
    /// For the answer, where headers are on.
    pub headers: Option<RateHeaders>,
    /// The refusal.
    pub refused: Option<Error>,
    /// Does the audit log record the refusal?
    pub audited: bool,
}

struct Rule {
    record: QuotaRule,
    limiter: Limiter,
    /// Requests that it refused.
    violations: AtomicU64,
}

#[derive(Default)]
struct Table {
    rules: AHashMap<QuotaTarget, Arc<Rule>>,
    /// Mounts with rules for roles.
    role_mounts: AHashSet<Scope>,
    /// Beginnings of paths, longest first.
    globs: AHashMap<Scope, Vec<(String, Arc<Rule>)>>,
    config: QuotaConfig,
}

impl Table {
    fn rule(&self, asked: &Asked<'_>) -> Option<&Arc<Rule>> {
        if let Some(mount) = asked.mount {
            let mount = mount.mount.scope;
            let found = asked
                .role
                .and_then(|role| self.rules.get(&QuotaTarget::Role(mount, role.to_owned())))
                .or_else(|| {
                    let path = asked.below.trim_end_matches('/').to_owned();
                    self.rules.get(&QuotaTarget::Path(mount, path))
                })
                .or_else(|| {
                    let globs = self.globs.get(&mount)?;
                    globs.iter().find(|(p, _)| asked.below.starts_with(p)).map(|(_, rule)| rule)
                })
                .or_else(|| self.rules.get(&QuotaTarget::Mount(mount)));
            if found.is_some() {
                return found;
            }
        }
        let own = QuotaTarget::Namespace(asked.namespace.scope);
        if let Some(rule) = self.rules.get(&own) {
            return Some(rule);
        }
        let mut namespace = asked.namespace;
        while !namespace.is_root() {
            namespace = asked.namespaces.of_scope(namespace.parent)?;
            let rule = self.rules.get(&QuotaTarget::Namespace(namespace.scope));
            if let Some(rule) = rule.filter(|r| r.record.inheritable) {
                return Some(rule);
            }
        }
        None
    }

    fn is_exempt(&self, asked: &Asked<'_>) -> bool {
        asked.namespace.is_root()
            && self.config.exempt.iter().any(|exempt| match exempt.strip_suffix('*') {
                Some(prefix) => asked.path.starts_with(prefix),
                None => asked.path.trim_end_matches('/') == exempt.trim_end_matches('/'),
            })
    }
}

/// The quotas of all namespaces.
pub struct Quotas {
    store: Arc<Store>,
    table: Rebuilt<Table>,
}

/// Is it a change of a rule, or of what holds for all?
fn concerns(change: &Change) -> bool {
    match change {
        Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key)) => {
            let kind = key.get(4).copied();
            *table == indexes::NAMES
                && (kind == Some(QuotaRule::KIND) || kind == Some(QuotaConfig::KIND))
        }
        Change::DeleteIndexRange { table, .. } => *table == indexes::NAMES,
        Change::Everything => true,
        _ => false,
    }
}

impl Quotas {
    /// The quotas of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let table = Rebuilt::new(&store, concerns);
        Self { store, table }
    }

    async fn table(&self) -> Result<Arc<Table>> {
        self.table.table(|old| self.build(old)).await
    }

    async fn build(&self, old: Arc<Table>) -> Result<Table> {
        let tx = self.store.begin();
        let root = tx.read(Scope::ROOT);
        let config = root.named::<QuotaConfig>(0, "").await?.unwrap_or_default();
        let mut table = Table { config, ..Table::default() };
        for (_, record) in root.all::<QuotaRule>(0).await? {
            let target = record.target();
            // A rule that did not change goes on counting where it was.
            let kept = old.rules.get(&target).filter(|r| r.record == record).cloned();
            let rule = kept.unwrap_or_else(|| {
                let limiter = Limiter::new(record.allowance());
                Arc::new(Rule { limiter, record, violations: AtomicU64::new(0) })
            });
            match &target {
                QuotaTarget::Role(mount, _) => {
                    table.role_mounts.insert(*mount);
                }
                QuotaTarget::Path(mount, path) => {
                    if let Some(prefix) = path.strip_suffix('*') {
                        let globs = table.globs.entry(*mount).or_default();
                        globs.push((prefix.to_owned(), rule.clone()));
                    }
                }
                _ => {}
            }
            table.rules.insert(target, rule);
        }
        for globs in table.globs.values_mut() {
            globs.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        }
        Ok(table)
    }

    /// Are there rules for roles of this mount? Its logins are then counted once their role is
    /// known.
    pub async fn waits_for_role(&self, mount: Scope) -> Result<bool> {
        Ok(self.table().await?.role_mounts.contains(&mount))
    }

    /// Requests that rules have refused since the store was opened or the rule changed, by the rule's
    /// name.
    pub async fn violations(&self) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        for rule in self.table().await?.rules.values() {
            let refused = rule.violations.load(Ordering::Relaxed);
            *all.entry(rule.record.name.clone()).or_default() += refused;
        }
        Ok(all)
    }

    /// Counts a request.
    pub async fn admit(&self, asked: &Asked<'_>) -> Result<Verdict> {
        let table = self.table().await?;
        if table.rules.is_empty() || table.is_exempt(asked) {
            return Ok(Verdict::default());
        }
        let Some(rule) = table.rule(asked) else { return Ok(Verdict::default()) };
        let counted = rule.limiter.count(asked.peer.ip, self.store.clock.monotonic_nanos());
        let headers = RateHeaders {
            limit: rule.record.allowance().requests,
            remaining: counted.remaining,
            reset: counted.reset,
            retry_after: (!counted.allowed).then_some(counted.retry),
        };
        if !counted.allowed {
            rule.violations.fetch_add(1, Ordering::Relaxed);
        }
        let refused = (!counted.allowed)
            .then(|| Error::new(ErrorKind::RateLimited, "rate limit quota exceeded"));
        Ok(Verdict {
            headers: table.config.headers.then_some(headers),
            refused,
            audited: table.config.audit_refused,
        })
    }
}
