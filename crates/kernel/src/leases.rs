//! Leases: what the kernel keeps of credentials that engines gave out for a time.
//!
//! A lease is a row, a due entry, and two links: from the path that gave it out and from the token
//! that asked for it. Its id is the path and the masked row id, so a look-up needs no index, and
//! the paths are a sorted folder of their own, so a prefix is found without looking at leases.
//!
//! Invariants:
//! * a lease is registered in the transaction that made its credential, and that transaction
//!   depends on the token's row: a token that is being revoked gets no more leases;
//! * what is made outside of the store is made after its intent ([`intents`]);
//! * a lease goes only with its credential: until the engine has revoked it, the row stays and is
//!   tried again, visibly so once it has failed for long;
//! * a lease is renewed within its maximum only (threat CVE-2021-32923).

mod intents;
mod paths;
mod queues;
mod revoke;
mod stuck;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, ErrorKind, Json, Result, Timestamp};
use zeroize::Zeroize;

use crate::due::{due_key, kinds, link, links};
use crate::ids;
use crate::namespaces::Namespace;
use crate::node::Services;
use crate::pipeline::background;
use crate::plug::{NewLease, ReadCx, Request, WriteCx};
use crate::record::{Id, Scope, Store, Tx, indexes, rows};
use crate::tokens::{Bounds, Lifetime, lifetime, suffix};

use queues::Target;

pub use intents::{Intent, OpenIntents};
pub use paths::LeaseKey;
pub use stuck::{Stuck, Tally};

/// The lease store.
pub struct Leases {
    store: Arc<Store>,
    running: Arc<queues::Running>,
    open: OpenIntents,
    tally: stuck::Counters,
}

/// A lease as an answer shows it.
pub struct Leased {
    /// `MOUNT/PATH/ID`.
    pub id: String,
    /// Seconds.
    pub duration: i64,
    /// Can it be renewed?
    pub renewable: bool,
}

/// A lease's record.
#[derive(Serialize, Deserialize)]
pub struct Lease {
    /// The row's id.
    #[serde(skip)]
    pub id: Id,
    /// Its namespace.
    pub namespace: Scope,
    /// The mount that revokes it.
    pub mount: Scope,
    /// The lease path's id.
    path_id: Id,
    /// The path within the namespace of the request that made it.
    pub path: String,
    /// The token it goes with: the one that asked for it, or a batch token's parent; 0 is none.
    pub token: Id,
    /// The end of the batch token that asked for it; zero where it was no batch token.
    batch_expires: Timestamp,
    /// When it was made.
    pub issued: Timestamp,
    /// When it was renewed last; zero is never.
    pub renewed: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When the reconciler looks at it.
    due: Timestamp,
    /// Seconds it was made for.
    ttl: i64,
    /// Most seconds over all renewals as the engine said; 0 is the mount's.
    max_ttl: i64,
    /// Can it be renewed?
    pub renewable: bool,
    /// What the engine needs, as JSON text.
    internal: String,
    /// Is it being revoked, before its time?
    pub revoked: bool,
    /// Is it to be dropped even if the engine fails?
    forced: bool,
    /// Failed revocations.
    pub attempts: u32,
    /// What the engine said to the last one.
    pub error: String,
    /// Is its credential only about to be made?
    #[serde(default)]
    intent: bool,
    /// Which of its mount's targets its credential lies in, as a number; 0 is the only one.
    #[serde(default)]
    target: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.internal.zeroize();
    }
}

/// Failed revocations after which a lease is shown as irrevocable. It is still tried, seldom.
pub const ATTEMPTS_VISIBLE: u32 = 6;

impl Lease {
    /// Has its revocation failed for so long that someone should look?
    pub fn is_irrevocable(&self) -> bool {
        self.attempts >= ATTEMPTS_VISIBLE
    }

    /// Is its time over at `now`?
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }

    /// Why it can't be renewed at `now`, if it can't.
    pub fn renewable(&self, now: Timestamp) -> Result<()> {
        if self.is_irrevocable() {
            Err(Error::bad_request("lease is expired and has failed previous revocation attempts"))
        } else if self.is_expired(now) || self.intent {
            Err(expired())
        } else if !self.renewable {
            Err(Error::bad_request("lease is not renewable"))
        } else {
            Ok(())
        }
    }

    fn internal(&self) -> Result<Json> {
        serde_json::from_str(&self.internal)
            .map_err(|_| Error::internal("a lease's record is damaged"))
    }
}

impl Leases {
    /// The leases of `store`, in a process where these intents are open.
    pub fn new(store: Arc<Store>, open: OpenIntents) -> Self {
        Self { store, running: Default::default(), open, tally: Default::default() }
    }

    /// Registers a lease in the transaction that made its credential, or tells of it where there was
    /// an intent. Answers it with warnings about what was capped.
    pub async fn register(
        &self,
        services: &Services,
        tx: &Tx,
        request: &Request,
        new: &NewLease,
        intent: Option<&Intent>,
    ) -> Result<(Leased, Vec<String>)> {
        let id = match intent {
            Some(intent) => {
                self.fulfil(tx, intent).await?;
                intent.id
            }
            None => tx.new_id(),
        };
        let (lease, warnings) = self.new_lease(services, tx, request, new, id).await?;
        self.put_links(tx, &lease);
        put_due(tx, lease.due, &lease);
        tx.write(Scope::ROOT).put_row(rows::LEASES, id, &lease)?;
        let leased = Leased {
            id: self.text(&lease, &request.namespace),
            duration: lease.ttl,
            renewable: lease.renewable,
        };
        Ok((leased, warnings))
    }

    /// A lease as `new` has it, within its bounds.
    async fn new_lease(
        &self,
        services: &Services,
        tx: &Tx,
        request: &Request,
        new: &NewLease,
        id: Id,
    ) -> Result<(Lease, Vec<String>)> {
        let (mount_ttl, mount_max_ttl) = services.config.mount_ttls(&request.mount);
        let bounds = Bounds {
            ttl: new.ttl_seconds.unwrap_or(0),
            max_ttl: new.max_ttl_seconds.unwrap_or(0),
            mount_ttl,
            mount_max_ttl,
            ..Bounds::default()
        };
        let life = lifetime(bounds, request.now, request.now).ok_or_else(past_maximum)?;
        let (token, batch_expires) = match &request.token {
            Some(token) if token.batch => (token.parent, token.expires),
            Some(token) => (token.id, Timestamp::ZERO),
            None => (0, Timestamp::ZERO),
        };
        if token != 0 {
            services.tokens.hold(tx, token).await?;
        }
        let life = within(life, batch_expires, request.now)?;
        let lease = Lease {
            id,
            namespace: request.namespace.scope,
            mount: request.mount.scope,
            path_id: self.path_id(tx, request).await?,
            path: request.full_path.trim_end_matches('/').to_owned(),
            token,
            batch_expires,
            issued: request.now,
            renewed: Timestamp::ZERO,
            expires: life.expires,
            due: life.expires,
            ttl: life.ttl,
            max_ttl: new.max_ttl_seconds.unwrap_or(0),
            renewable: new.renewable,
            internal: new.internal.to_string(),
            revoked: false,
            forced: false,
            attempts: 0,
            error: String::new(),
            intent: false,
            target: self.target(services, request.mount.scope, &new.internal).await?,
        };
        Ok((lease, life.warnings))
    }

    /// The number of the target that a lease with this `internal` has. It tells nothing of its name.
    async fn target(&self, services: &Services, mount: Scope, internal: &Json) -> Result<u64> {
        let table = services.router.table().await?;
        let Some(entry) = table.of_scope(mount) else { return Ok(0) };
        let Some((spec, engine)) = entry.spec.as_ref().zip(entry.engine.as_ref()) else {
            return Ok(0);
        };
        let Some(target) = &spec.lease_target else { return Ok(0) };
        let name = target(&**engine, internal)?;
        if name.is_empty() {
            return Ok(0);
        }
        let parts: [&[u8]; 3] = [b"lease target", &mount.0.to_be_bytes(), name.as_bytes()];
        let digest = self.store.barrier.digest(Scope::ROOT, &parts);
        Ok(digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }

    /// The links to a lease from its path and its token.
    fn put_links(&self, tx: &Tx, lease: &Lease) {
        tx.put_index(indexes::LINKS, &link(links::PATH_LEASE, lease.path_id, lease.id), &[]);
        if lease.token != 0 {
            tx.put_index(indexes::LINKS, &link(links::TOKEN_LEASE, lease.token, lease.id), &[]);
        }
    }

    /// A lease's id as callers see it.
    pub fn text(&self, lease: &Lease, namespace: &Namespace) -> String {
        let id = ids::LEASE.derive(&self.store.barrier, lease.id);
        format!("{}/{id}{}", lease.path, suffix(namespace))
    }

    /// The last segment of a lease's id.
    pub(crate) fn segment(&self, id: Id, namespace: &Namespace) -> String {
        format!("{}{}", ids::LEASE.derive(&self.store.barrier, id), suffix(namespace))
    }

    /// The lease with this id, as a caller in `namespace` may see it: leases of other namespaces
    /// are not there (threats CVE-2026-45808, CVE-2026-40264).
    pub async fn find(&self, tx: &Tx, namespace: &Namespace, id: &str) -> Result<Option<Lease>> {
        let id = id.trim_matches('/');
        let Some((_, last)) = id.rsplit_once('/') else { return Ok(None) };
        let masked = last.split_once('.').map_or(last, |(masked, _)| masked);
        let Some(row) = ids::LEASE.resolve(&self.store.barrier, masked) else { return Ok(None) };
        let lease = self.read(tx, row).await?;
        Ok(lease.filter(|l| l.namespace == namespace.scope && self.text(l, namespace) == id))
    }

    /// The record as a transaction sees it.
    pub async fn read(&self, tx: &Tx, id: Id) -> Result<Option<Lease>> {
        let lease = tx.read(Scope::ROOT).row::<Lease>(rows::LEASES, id).await?;
        Ok(lease.map(|mut lease| {
            lease.id = id;
            lease
        }))
    }

    /// Renews a lease through its engine. Answers it with warnings about what was capped.
    pub async fn renew(
        &self,
        cx: &mut WriteCx<'_>,
        mut lease: Lease,
        increment: i64,
    ) -> Result<(Leased, Vec<String>)> {
        let (services, now) = (cx.kernel().clone(), cx.now());
        lease.renewable(now)?;
        if lease.token != 0 {
            let held = services.tokens.hold(cx.kernel_tx(), lease.token).await;
            held.map_err(|e| if e.kind == ErrorKind::PermissionDenied { expired() } else { e })?;
        }
        let table = services.router.table().await?;
        let entry = table.of_scope(lease.mount).cloned();
        let entry = entry.filter(|e| e.mount.honours(lease.issued)).ok_or_else(expired)?;
        let (mount_ttl, mount_max_ttl) = services.config.mount_ttls(&entry.mount);
        let bounds = Bounds {
            asked: increment.max(0),
            ttl: lease.ttl,
            max_ttl: lease.max_ttl,
            mount_ttl,
            mount_max_ttl,
            ..Bounds::default()
        };
        let life = lifetime(bounds, lease.issued, now).ok_or_else(past_maximum)?;
        let mut life = within(life, lease.batch_expires, now)?;
        let (spec, engine) = entry.spec.as_ref().zip(entry.engine.as_ref()).ok_or_else(expired)?;
        if let Some(renew) = &spec.renew_lease {
            let request = background(&*services.store.rng, &entry, &lease.path, now);
            let tx = cx.kernel_tx();
            let read = ReadCx::new(tx, &services, &request);
            let mut inner = WriteCx::new(read);
            let held = renew(&**engine, &mut inner, &lease.internal()?, life.ttl).await?;
            let after = inner.after;
            cx.after.extend(after);
            if held < life.ttl {
                // The engine may hold it shorter, but not for ever by saying zero.
                life.ttl = held.max(1);
                life.expires = life.expires.min(now.plus_seconds(life.ttl));
            }
        }
        let tx = cx.kernel_tx();
        delete_due(tx, &lease);
        (lease.renewed, lease.expires, lease.due) = (now, life.expires, life.expires);
        put_due(tx, lease.due, &lease);
        tx.write(Scope::ROOT).put_row(rows::LEASES, lease.id, &lease)?;
        let id = self.text(&lease, &entry.namespace);
        Ok((Leased { id, duration: life.ttl, renewable: lease.renewable }, life.warnings))
    }

    /// Marks a lease as to be revoked: it is over at once, and the reconciler goes to its engine.
    pub async fn expire_now(&self, tx: &Tx, id: Id, now: Timestamp) -> Result<()> {
        match self.read(tx, id).await? {
            Some(lease) => self.mark(tx, lease, now, false),
            None => Ok(()),
        }
    }

    /// As [`Leases::expire_now`]; a forced one is dropped after one attempt.
    pub(crate) fn mark(
        &self,
        tx: &Tx,
        mut lease: Lease,
        now: Timestamp,
        forced: bool,
    ) -> Result<()> {
        // What is due is the reconciler's already, and may be at its engine: another mark would
        // have it taken back twice.
        if lease.due <= now && (lease.forced || !forced) {
            return Ok(());
        }
        delete_due(tx, &lease);
        lease.revoked = true;
        lease.forced |= forced;
        lease.expires = lease.expires.min(now);
        lease.due = now;
        put_due(tx, now, &lease);
        tx.write(Scope::ROOT).put_row(rows::LEASES, lease.id, &lease)
    }

    /// Removes a lease whose credential is gone.
    fn remove(&self, tx: &Tx, lease: &Lease) {
        tx.write(Scope::ROOT).delete_row(rows::LEASES, lease.id);
        delete_due(tx, lease);
        tx.delete_index(indexes::LINKS, &link(links::PATH_LEASE, lease.path_id, lease.id));
        if lease.token != 0 {
            tx.delete_index(indexes::LINKS, &link(links::TOKEN_LEASE, lease.token, lease.id));
        }
        if lease.is_irrevocable() {
            stuck::delete_stuck(tx, lease);
        }
        if lease.intent {
            tx.delete_index(indexes::LINKS, &intents::intent_link(lease.id));
        }
    }
}

/// The due entry holds the target, so that one that is busy is passed over without a read.
fn put_due(tx: &Tx, at: Timestamp, lease: &Lease) {
    let key = due_key(at, kinds::LEASE, lease.id);
    tx.put_index(indexes::DUE, &key, &Target::of(lease).to_bytes());
}

fn delete_due(tx: &Tx, lease: &Lease) {
    tx.delete_index(indexes::DUE, &due_key(lease.due, kinds::LEASE, lease.id));
}

fn past_maximum() -> Error {
    Error::bad_request("past the max TTL, cannot renew")
}

fn expired() -> Error {
    Error::bad_request("lease expired")
}

/// A life that ends with a batch token's at the latest.
fn within(mut life: Lifetime, batch_expires: Timestamp, now: Timestamp) -> Result<Lifetime> {
    if batch_expires.is_zero() || life.expires <= batch_expires {
        return Ok(life);
    }
    if batch_expires <= now {
        return Err(expired());
    }
    life.ttl = now.seconds_until(batch_expires);
    life.expires = batch_expires;
    Ok(life)
}
