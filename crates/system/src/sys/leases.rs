//! Leases: looking at them, renewing and revoking them, one by one or by prefix.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::limits::LIST_ENTRIES_MAX;
use strongroom_base::{Error, Result, Timestamp, Ttl};
use strongroom_kernel::leases::Lease;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::System;

/// Leases revoked while the caller waits; more go on by themselves.
const SYNC_MAX: usize = 512;
/// Irrevocable leases shown without a limit of the caller's.
const IRREVOCABLE_MAX: usize = 10_000;

/// Adds the operations of this file.
pub fn add_leases(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<LookupLease>("leases/lookup")
        .query::<ListLeases>("leases/lookup/{prefix..}")
        .command::<RenewLease>("leases/renew")
        .command::<RenewLease>("leases/renew/{url_lease_id..}")
        .command::<RenewLease>("renew")
        .command::<RenewLease>("renew/{url_lease_id..}")
        .command::<RevokeLease>("leases/revoke")
        .command::<RevokeLease>("leases/revoke/{url_lease_id..}")
        .command::<RevokeLease>("revoke")
        .command::<RevokeLease>("revoke/{url_lease_id..}")
        .command::<RevokePrefix>("leases/revoke-prefix/{prefix..}")
        .command::<RevokePrefix>("revoke-prefix/{prefix..}")
        .command::<RevokeForce>("leases/revoke-force/{prefix..}")
        .command::<RevokeForce>("revoke-force/{prefix..}")
        .command::<TidyLeases>("leases/tidy")
        .query::<CountLeases>("leases/count")
        .query::<Irrevocable>("leases")
        .command::<RetryLeases>("strongroom/leases/retry")
        .command::<RetryLeases>("strongroom/leases/retry/{prefix..}")
}

fn missing() -> Error {
    Error::bad_request("lease_id must be specified")
}

/// The lease id of the body, or of the path.
fn lease_id(body: Option<String>, url: Option<String>) -> Result<String> {
    let given = |id: Option<String>| id.filter(|id| !id.is_empty());
    given(body).or(given(url)).ok_or_else(missing)
}

strongroom_base::fields! {
    /// Shows a lease.
    pub struct LookupLease {
        /// The lease's id.
        lease_id: Option<String>,
    }
}

ops! { LookupLease LeaseView, Write; }

/// A lease as a look-up shows it.
#[derive(Serialize)]
pub struct LeaseView {
    expire_time: Option<String>,
    id: String,
    issue_time: String,
    last_renewal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_path: Option<String>,
    path: String,
    renewable: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    revoke_error: String,
    ttl: i64,
}

impl Query<LookupLease> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupLease) -> Result<Reply<LeaseView>> {
        let id = lease_id(op.lease_id, None)?;
        let (leases, namespace) = (&cx.kernel().leases, &cx.request.namespace);
        let lease = leases.find(cx.kernel_tx(), namespace, &id).await?;
        let table = cx.kernel().router.table().await?;
        let lease = lease.filter(|lease| leases.is_shown(&table, lease));
        let lease = lease.ok_or_else(|| Error::bad_request("invalid lease"))?;
        let namespace_path = (!namespace.is_root()).then(|| namespace.path.clone());
        Ok(Reply::data(LeaseView {
            expire_time: Some(lease.expires.to_string()),
            id,
            issue_time: lease.issued.to_string(),
            last_renewal: (!lease.renewed.is_zero()).then(|| lease.renewed.to_string()),
            namespace_path,
            path: lease.path.clone(),
            renewable: lease.renewable(cx.now()).is_ok(),
            revoke_error: lease.error.clone(),
            ttl: cx.now().seconds_until(lease.expires),
        }))
    }
}

strongroom_base::fields! {
    /// Lists what lies directly below a prefix of lease ids.
    pub struct ListLeases {
        /// The prefix; empty for all.
        prefix: String,
        /// Only keys after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}

ops! { ListLeases Keys, List, Sudo; }

/// A list.
#[derive(Serialize)]
pub struct Keys {
    keys: Vec<String>,
}

impl Query<ListLeases> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ListLeases) -> Result<Reply<Keys>> {
        let services = cx.kernel();
        let table = services.router.table().await?;
        let namespace = &cx.request.namespace;
        let tx = cx.kernel_tx();
        let keys =
            services.leases.list(tx, &table, namespace, &op.prefix, LIST_ENTRIES_MAX).await?;
        let after = op.after.unwrap_or_default();
        let mut keys: Vec<String> =
            keys.into_iter().map(|key| key.0).filter(|key| *key > after).collect();
        if let Some(limit) = op.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) {
            keys.truncate(limit);
        }
        if keys.is_empty() { Err(Error::not_found()) } else { Ok(Reply::data(Keys { keys })) }
    }
}

strongroom_base::fields! {
    /// Renews a lease, within its limits.
    pub struct RenewLease {
        /// The lease's id.
        lease_id: Option<String>,
        /// The lease's id, in the path.
        url_lease_id: Option<String>,
        /// Time to live from now.
        increment: Option<Ttl>,
    }
}

ops! { RenewLease (), Write; }

impl Command<RenewLease> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RenewLease) -> Result<Reply<()>> {
        let id = lease_id(op.lease_id, op.url_lease_id)?;
        let services = cx.kernel().clone();
        let lease = services.leases.find(cx.kernel_tx(), &cx.request.namespace, &id).await?;
        let lease = lease.ok_or_else(|| Error::bad_request("lease not found"))?;
        let increment = op.increment.map_or(0, |Ttl(seconds)| seconds);
        let (leased, warnings) = services.leases.renew(cx, lease, increment).await?;
        Ok(Reply { leased: Some(leased), ..Reply::none() }.status(200).warnings(warnings))
    }
}

strongroom_base::fields! {
    /// Revokes a lease.
    pub struct RevokeLease {
        /// The lease's id.
        lease_id: Option<String>,
        /// The lease's id, in the path.
        url_lease_id: Option<String>,
        /// Wait for it? True without it.
        sync: Option<bool>,
    }
}

ops! { RevokeLease (), Write; }

impl Command<RevokeLease> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeLease) -> Result<Reply<()>> {
        let id = lease_id(op.lease_id, op.url_lease_id)?;
        let services = cx.kernel().clone();
        let lease = services.leases.find(cx.kernel_tx(), &cx.request.namespace, &id).await?;
        let sync = op.sync.unwrap_or(true);
        match lease {
            // Whoever tries by hand what failed again and again wants to know what comes of it.
            Some(lease) if sync || lease.is_irrevocable() => {
                services.leases.revoke_now(cx, &lease, false).await?;
            }
            Some(lease) => services.leases.expire_now(cx.kernel_tx(), lease.id, cx.now()).await?,
            // What is not there is revoked.
            None => {}
        }
        let reply = Reply::none();
        Ok(if sync { reply } else { reply.status(202) })
    }
}

strongroom_base::fields! {
    /// Revokes all leases below a prefix; below `auth/`, all tokens that came from it.
    pub struct RevokePrefix {
        /// The prefix.
        prefix: String,
        /// Wait for them? True without it.
        sync: Option<bool>,
    }
}

ops! { RevokePrefix (), Write, Sudo; }

strongroom_base::fields! {
    /// Revokes all leases below a prefix, and forgets those whose revocation fails: what they
    /// stand for may live on, and is then to be cleaned up by hand.
    pub struct RevokeForce {
        /// The prefix.
        prefix: String,
    }
}

ops! { RevokeForce (), Write, Sudo; }

/// Revokes what lies below `prefix`; up to [`SYNC_MAX`] leases while the caller waits. Answers
/// whether there are more: they follow by themselves.
async fn revoke_below(
    cx: &mut WriteCx<'_>,
    prefix: &str,
    forced: bool,
    sync: bool,
) -> Result<bool> {
    let services = cx.kernel().clone();
    let (table, namespace) = (services.router.table().await?, cx.request.namespace.clone());
    let limit = if sync { SYNC_MAX } else { 0 };
    let (tx, now) = (cx.kernel_tx(), cx.now());
    if prefix.starts_with("auth/") {
        // The tokens that came from there, as well.
        services.tokens.revoke_folder(tx, namespace.scope, prefix, now)?;
    }
    let found = services.leases.revoke_prefix(tx, &table, &namespace, prefix, now, forced, limit);
    let (leases, more) = found.await?;
    for (done, lease) in leases.iter().enumerate() {
        if !sync {
            services.leases.expire_now(cx.kernel_tx(), lease.id, now).await?;
        } else if let Err(e) = services.leases.revoke_now(cx, lease, forced).await {
            end_these(cx, &leases[..done], now).await?;
            let id = services.leases.text(lease, &namespace);
            return Err(Error::bad_request(format!(
                "failed to revoke {id:?} ({} / {}): {}",
                done + 1,
                leases.len(),
                e.public.join("; ")
            )));
        }
    }
    Ok(more)
}

/// Ends leases whose credentials are gone though the request that took them back has failed: nobody
/// shall think that they are good.
async fn end_these(cx: &WriteCx<'_>, leases: &[Lease], now: Timestamp) -> Result<()> {
    let services = cx.kernel();
    let ended = services.store.transact(|tx| async move {
        for lease in leases {
            services.leases.expire_now(&tx, lease.id, now).await?;
        }
        Ok(())
    });
    ended.await
}

/// The answer to a revocation of many.
fn many(sync: bool, more: bool) -> Reply<()> {
    match (sync, more) {
        (true, false) => Reply::none(),
        (true, true) => Reply::none().status(202).warn(
            "There are too many leases to wait for all of them: the others are being revoked.",
        ),
        (false, _) => Reply::none().status(202),
    }
}

impl Command<RevokePrefix> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokePrefix) -> Result<Reply<()>> {
        let sync = op.sync.unwrap_or(true);
        let more = revoke_below(cx, &op.prefix, false, sync).await?;
        Ok(many(sync, more))
    }
}

impl Command<RevokeForce> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeForce) -> Result<Reply<()>> {
        let more = revoke_below(cx, &op.prefix, true, true).await?;
        Ok(many(true, more))
    }
}

strongroom_base::fields! {
    /// Has leases that could not be revoked tried again at once.
    pub struct RetryLeases {
        /// Those below this prefix of lease ids; all without one.
        prefix: Option<String>,
    }
}

ops! { RetryLeases Retried, Write, Sudo; }

/// How many are tried again.
#[derive(Serialize)]
pub struct Retried {
    lease_count: usize,
}

impl Command<RetryLeases> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RetryLeases) -> Result<Reply<Retried>> {
        let prefix = op.prefix.unwrap_or_default();
        let (leases, namespace) = (&cx.kernel().leases, &cx.request.namespace);
        let folder = prefix.trim_end_matches('/');
        let lease_count = leases.retry(namespace, folder, cx.now()).await?;
        Ok(Reply::data(Retried { lease_count }))
    }
}

strongroom_base::fields! {
    /// Forgets what leases that are gone left behind.
    pub struct TidyLeases {}
}

ops! { TidyLeases (), Write; }

impl Command<TidyLeases> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: TidyLeases) -> Result<Reply<()>> {
        cx.after_commit(|services| {
            let services = services.clone();
            tokio::spawn(async move {
                let tidied = async {
                    let table = services.router.table().await?;
                    services.leases.tidy(&table).await
                };
                match tidied.await {
                    Ok(removed) => tracing::info!(removed, "leases are tidy"),
                    Err(e) => tracing::warn!(error = %e, "leases could not be tidied"),
                }
            });
        });
        Ok(Reply::none().status(202).warn(crate::TIDY_STARTED))
    }
}

strongroom_base::fields! {
    /// Counts leases that could not be revoked.
    pub struct CountLeases {
        /// irrevocable.
        r#type: Option<String>,
        /// Those of namespaces below too?
        include_child_namespaces: Option<bool>,
    }
}

ops! { CountLeases Count, Read; }

/// Leases by mount.
#[derive(Serialize)]
pub struct Count {
    counts: BTreeMap<String, usize>,
    lease_count: usize,
}

strongroom_base::fields! {
    /// Shows leases that could not be revoked. They are tried again from time to time.
    pub struct Irrevocable {
        /// irrevocable.
        r#type: Option<String>,
        /// Those of namespaces below too?
        include_child_namespaces: Option<bool>,
        /// At most so many, or none for all.
        limit: Option<String>,
    }
}

ops! { Irrevocable IrrevocableLeases, Read, Sudo; }

/// Leases that could not be revoked.
#[derive(Serialize)]
pub struct IrrevocableLeases {
    lease_count: usize,
    leases: Vec<IrrevocableLease>,
}

#[derive(Serialize)]
struct IrrevocableLease {
    error: String,
    lease_id: String,
    mount_id: String,
}

/// One lease with its id and its mount's accessor.
struct Stuck {
    lease: Lease,
    id: String,
    mount: String,
}

/// Leases that could not be revoked, by when they ended; `kind` must ask for them.
async fn stuck(
    cx: &ReadCx<'_>,
    kind: Option<String>,
    children: Option<bool>,
    limit: usize,
) -> Result<Vec<Stuck>> {
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("irrevocable")) {
        return Err(Error::not_found());
    }
    let services = cx.kernel();
    let table = services.router.table().await?;
    let own = &cx.request.namespace;
    let below = children.unwrap_or(false);
    let mut found = Vec::new();
    for namespace in table.namespaces.iter() {
        if namespace.scope != own.scope && !(below && namespace.is_within(own)) {
            continue;
        }
        let left = limit.saturating_sub(found.len());
        for lease in services.leases.irrevocable(cx.kernel_tx(), namespace.scope, left).await? {
            let entry = table.of_scope(lease.mount).or_else(|| table.of_gone(lease.mount));
            let mount = entry.map_or("mount-accessor-not-found", |e| &e.mount.accessor).to_owned();
            found.push(Stuck { id: services.leases.text(&lease, namespace), lease, mount });
        }
    }
    found.sort_by(|a, b| (a.lease.expires, &a.id).cmp(&(b.lease.expires, &b.id)));
    Ok(found)
}

impl Query<CountLeases> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: CountLeases) -> Result<Reply<Count>> {
        let found = stuck(cx, op.r#type, op.include_child_namespaces, LIST_ENTRIES_MAX).await?;
        let mut counts = BTreeMap::new();
        for stuck in &found {
            *counts.entry(stuck.mount.clone()).or_insert(0) += 1;
        }
        Ok(Reply::data(Count { counts, lease_count: found.len() }))
    }
}

impl Query<Irrevocable> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: Irrevocable) -> Result<Reply<IrrevocableLeases>> {
        let bad = || Error::bad_request("limit must be 'none' or a positive integer");
        let limit = match op.limit.as_deref().unwrap_or("") {
            "" => IRREVOCABLE_MAX,
            none if none.eq_ignore_ascii_case("none") => LIST_ENTRIES_MAX,
            number => number.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?,
        };
        let mut found =
            stuck(cx, op.r#type, op.include_child_namespaces, limit.saturating_add(1)).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let leases: Vec<IrrevocableLease> = found
            .into_iter()
            .map(|stuck| IrrevocableLease {
                error: stuck.lease.error.clone(),
                lease_id: stuck.id,
                mount_id: stuck.mount,
            })
            .collect();
        let reply = Reply::data(IrrevocableLeases { lease_count: leases.len(), leases });
        Ok(if more {
            reply.warn(
                "There are more irrevocable leases than the limit; limit=none shows all of them.",
            )
        } else {
            reply
        })
    }
}
