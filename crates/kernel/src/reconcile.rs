//! Work without a request: what follows from records sooner or later, done in bounded, idempotent
//! pieces by the active node.
//!
//! A piece of work takes no input and can be stopped at any moment: it looks at the records anew
//! each time, so a crash only delays it. The server calls [`tick`] each second; nothing here sleeps.
//!
//! The kernel's own work never waits for that of engines, which may take long: a key to be made.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{ErrorKind, Result, Timestamp};
use strongroom_storage::{BoxFuture, Change, RowTable};

use crate::audit::background::Effect;
use crate::mounts::{Mount, MountEntry, MountTable, TOP};
use crate::namespaces::Namespace;
use crate::node::Services;
use crate::pipeline::{CatchPanic, background};
use crate::plug::{ReadCx, WriteCx};
use crate::record::{Scope, Store, Tx, indexes, prefix_end, rows, storage_error};
use crate::refusals::Refusals;

/// How long a disabled mount can be brought back if nothing else is set, in seconds.
pub const MOUNT_RECOVERY_SECONDS: i64 = 7 * 24 * 3_600;
/// Records removed in one transaction.
const REMOVALS_MAX: usize = 500;
/// Lines of failed work that may be written at once.
const WARNINGS: u64 = 30;
/// Nanoseconds after which there may be one more.
const NANOS_PER_WARNING: u64 = 10_000_000_000;
/// Seconds until work that failed is tried again.
const RETRY_SECONDS: i64 = 10;
/// Seconds until the agenda is looked at again though nothing on it is due: mounts may have come.
const IDLE_SECONDS: i64 = 60;

/// How far a piece of work got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is more to do at once.
    More,
    /// All is done for now.
    Done,
}

/// A piece of the kernel's own work.
struct Work {
    /// For logs.
    name: &'static str,
    /// Seconds between two runs.
    every: i64,
    run: for<'a> fn(&'a Arc<Services>, Timestamp) -> BoxFuture<'a, Result<Progress>>,
}

/// The kernel's own work. Each line is one piece.
const WORK: &[Work] = &[
    Work { name: "audit log", every: 1, run: |s, now| Box::pin(keep_audit_log(s, now)) },
    Work { name: "key ring", every: 1, run: |s, _| Box::pin(keep_key_ring(s)) },
    Work { name: "tokens", every: 1, run: |s, now| Box::pin(keep_tokens(s, now)) },
    Work { name: "leases", every: 1, run: |s, now| Box::pin(keep_leases(s, now)) },
    Work { name: "rotations", every: 1, run: |s, now| Box::pin(keep_rotations(s, now)) },
    Work { name: "deleted mounts", every: 60, run: |s, now| Box::pin(remove_mounts(s, now)) },
    Work { name: "deleted namespaces", every: 5, run: |s, _| Box::pin(remove_namespaces(s)) },
];

/// When which piece of work is due next.
#[derive(Default)]
pub struct Agenda {
    due: Mutex<BTreeMap<Item, Timestamp>>,
    /// One pass at a time.
    passing: tokio::sync::Mutex<()>,
    /// Failures that were told lately.
    warnings: Warnings,
    /// Held while engines work.
    engines: Arc<tokio::sync::Mutex<()>>,
}

/// Lines of failed work: a disk that stays broken fails all of it each second.
struct Warnings(Refusals);

impl Default for Warnings {
    fn default() -> Self {
        Self(Refusals::bounded(WARNINGS, NANOS_PER_WARNING))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// By its place in [`WORK`].
    Kernel(usize),
    /// The engine of a mount.
    Mount(Scope),
}

/// Passes of one call of [`tick`]: the server asks again a second later.
const PASSES_MAX: usize = 50;

/// Tokens or leases of one round: what is more waits for the next.
const ITEMS: usize = 4_096;

/// Does what is due now of the kernel's own work, and has engines begin with theirs, unless they are
/// at it still.
pub async fn tick(services: &Arc<Services>) {
    let now = services.store.now();
    if services.store.storage.failure().is_some() {
        // Nothing can be done, and the storage has told why.
        return;
    }
    for _ in 0..PASSES_MAX {
        if services.reconcile_once(now).await > now {
            break;
        }
    }
    let Ok(turn) = services.agenda.engines.clone().try_lock_owned() else { return };
    let services = services.clone();
    tokio::spawn(async move {
        for _ in 0..PASSES_MAX {
            if !services.reconcile_engines(now).await {
                break;
            }
        }
        drop(turn);
    });
}

/// As [`tick`], to the end of what engines do.
pub async fn run_due(services: &Arc<Services>) {
    tick(services).await;
    drop(services.agenda.engines.lock().await);
}

impl Services {
    /// Does one piece of everything of the kernel that is due; answers when something is due again
    /// (now, if there is more to do at once).
    async fn reconcile_once(self: &Arc<Self>, now: Timestamp) -> Timestamp {
        let _one = self.agenda.passing.lock().await;
        for (index, work) in WORK.iter().enumerate() {
            if self.agenda.is_due(Item::Kernel(index), now) {
                let outcome = CatchPanic::new((work.run)(self, now)).await;
                self.agenda.note(Item::Kernel(index), work.name, work.every, now, outcome);
            }
        }
        self.agenda.next(now)
    }

    /// One piece for each engine that has something due. Answers whether there is more.
    async fn reconcile_engines(self: &Arc<Self>, now: Timestamp) -> bool {
        let mut mounts: Vec<Arc<MountEntry>> = match self.router.table().await {
            Ok(table) => table.iter().cloned().collect(),
            Err(_) => Vec::new(),
        };
        // The same order in each run of a simulation.
        mounts.sort_unstable_by_key(|entry| entry.mount.scope);
        self.agenda.keep(|scope| mounts.iter().any(|e| e.mount.scope == scope));
        let mut more = false;
        for entry in &mounts {
            // A life that ended meanwhile does nothing any more.
            let node = self.node.upgrade().and_then(|node| node.active().ok());
            if !node.is_some_and(|active| Arc::ptr_eq(&active, self)) {
                return false;
            }
            let Some(every) = entry.spec.as_ref().and_then(|s| s.reconcile.as_ref()) else {
                continue;
            };
            let item = Item::Mount(entry.mount.scope);
            if self.agenda.is_due(item, now) {
                let outcome = CatchPanic::new(reconcile_mount(self, entry, now)).await;
                self.agenda.note(item, entry.mount.kind.as_str(), every.0, now, outcome);
                more |= self.agenda.is_due(item, now);
            }
        }
        more
    }
}

impl Agenda {
    fn is_due(&self, item: Item, now: Timestamp) -> bool {
        self.due.lock().get(&item).is_none_or(|at| *at <= now)
    }

    fn note(&self, item: Item, name: &str, every: i64, now: Timestamp, outcome: Result<Progress>) {
        let next = match outcome {
            Ok(Progress::More) => now,
            Ok(Progress::Done) => now.plus_seconds(every.max(1)),
            // Another transaction got in between: nothing is wrong.
            Err(e) if e.kind == ErrorKind::Conflict => now,
            Err(e) => {
                let nanos = u64::try_from(now.0).unwrap_or_default();
                if let Some(left_out) = self.warnings.0.take(nanos) {
                    let told = "background work failed; it is tried again";
                    tracing::warn!(work = name, error = %e, left_out, "{told}");
                }
                now.plus_seconds(every.clamp(1, RETRY_SECONDS))
            }
        };
        self.due.lock().insert(item, next);
    }

    /// Forgets mounts that are gone.
    fn keep(&self, stands: impl Fn(Scope) -> bool) {
        self.due.lock().retain(|item, _| match item {
            Item::Kernel(_) => true,
            Item::Mount(scope) => stands(*scope),
        });
    }

    fn next(&self, now: Timestamp) -> Timestamp {
        let idle = now.plus_seconds(IDLE_SECONDS);
        let due = self.due.lock();
        let own = due.iter().filter(|(item, _)| matches!(item, Item::Kernel(_)));
        own.map(|(_, at)| *at).min().map_or(idle, |at| at.clamp(now, idle))
    }
}

/// Signs the audit log's head, moves lines on, forgets what is older than it must be kept.
async fn keep_audit_log(services: &Arc<Services>, now: Timestamp) -> Result<Progress> {
    services.audit.tick(now).await?;
    Ok(Progress::Done)
}

/// Ends expired tokens and removes what revoked ones leave behind.
async fn keep_tokens(services: &Arc<Services>, now: Timestamp) -> Result<Progress> {
    let more = services.tokens.reconcile(services, now, ITEMS).await?;
    Ok(if more { Progress::More } else { Progress::Done })
}

/// Revokes what is due.
async fn keep_leases(services: &Arc<Services>, now: Timestamp) -> Result<Progress> {
    let more = services.leases.reconcile(services, now, ITEMS).await?;
    Ok(if more { Progress::More } else { Progress::Done })
}

/// Rotates what is due.
async fn keep_rotations(services: &Arc<Services>, now: Timestamp) -> Result<Progress> {
    let more = services.rotations.reconcile(services, now).await?;
    Ok(if more { Progress::More } else { Progress::Done })
}

/// Gives the key ring a new term well before the old one's key has been used too often.
async fn keep_key_ring(services: &Arc<Services>) -> Result<Progress> {
    let (_, created) = services.store.barrier.active_term();
    let rotation = crate::key_rotation::read(&services.store).await?;
    if rotation.is_due(services.store.barrier.uses(), created, services.store.now()) {
        services.rotate().await?;
    }
    services.reserve_uses().await?;
    Ok(Progress::Done)
}

/// Runs a mount's own background work in one transaction.
async fn reconcile_mount(
    services: &Arc<Services>,
    entry: &MountEntry,
    now: Timestamp,
) -> Result<Progress> {
    let (Some(spec), Some(engine)) = (&entry.spec, &entry.engine) else {
        return Ok(Progress::Done);
    };
    let Some((_, run)) = &spec.reconcile else { return Ok(Progress::Done) };
    let request = background(&*services.store.rng, entry, &entry.mount.path, now);
    let tx = services.store.begin();
    let read = ReadCx::new(&tx, services, &request);
    let mut cx = WriteCx::new(read);
    let more = run(&**engine, &mut cx).await?;
    let (after, effects) = (std::mem::take(&mut cx.after), std::mem::take(&mut cx.effects));
    drop(cx);
    let mut recorded = Vec::new();
    for (operation, path) in effects {
        let path = format!("{}{path}", entry.mount.path);
        let effect = Effect {
            reason: "its time had come",
            operation,
            namespace: Some(&entry.namespace),
            mount: Some(&entry.mount),
            path: &path,
            lease_id: "",
            accessors: &[],
            error: None,
        };
        recorded.push(services.audit.record_effect_in(&tx, &effect)?);
    }
    tx.commit().await?;
    for lines in recorded {
        services.audit.committed(lines).await;
    }
    for action in after {
        action(services);
    }
    Ok(if more { Progress::More } else { Progress::Done })
}

/// Removes the content of mounts that were disabled longer ago than they can be brought back.
async fn remove_mounts(services: &Arc<Services>, now: Timestamp) -> Result<Progress> {
    let table = services.router.table().await?;
    for entry in table.deleted() {
        let deleted = entry.mount.deleted.unwrap_or(now);
        if deleted.plus_seconds(services.config.mount_undelete) <= now
            && remove_mount(services, &table, entry).await? == Progress::More
        {
            return Ok(Progress::More);
        }
    }
    Ok(Progress::Done)
}

/// One step of a mount's removal: some of its content, or, when there is none left, its record.
/// It waits until all it gave out was revoked (threat GHSA-vv66-6rp4-wr4f) and no rotation is under
/// way: `Done` then says that there is nothing to do yet.
async fn remove_mount(
    services: &Arc<Services>,
    table: &MountTable,
    entry: &MountEntry,
) -> Result<Progress> {
    let (namespace, mount) = (entry.namespace.scope, &entry.mount);
    let leased = services.leases.any_of_mount(&services.store.begin(), entry).await?;
    let rotating = services.rotations.end_mount(services, entry).await?;
    if leased || rotating || !services.tokens.is_swept(table) {
        return Ok(Progress::Done);
    }
    if services.rotations.forget_some(mount.scope).await? {
        return Ok(Progress::More);
    }
    if clear_scope(&services.store, mount.scope).await? == Progress::More {
        return Ok(Progress::More);
    }
    let tx = services.store.begin();
    tx.write(namespace).delete_named::<Mount>(TOP, mount.record_name());
    services.leases.forget_mount(&tx, namespace, mount.scope);
    record_removal(services, &tx, Some(&entry.namespace), Some(mount), &mount.path).await?;
    Ok(Progress::More)
}

/// One step of the removal of a deleted namespace. One that must wait does not hold up others,
/// but those above it.
async fn remove_namespaces(services: &Arc<Services>) -> Result<Progress> {
    let table = services.router.table().await?;
    for namespace in table.namespaces.iter().filter(|n| n.deleted.is_some()) {
        let is_child = |n: &Arc<Namespace>| n.parent == namespace.scope && !n.is_root();
        if !table.namespaces.iter().any(is_child)
            && remove_namespace(services, &table, namespace).await? == Progress::More
        {
            return Ok(Progress::More);
        }
    }
    Ok(Progress::Done)
}

/// One step for a namespace without others below it: a piece of one of its mounts, then of its own
/// records, then the tombstone.
async fn remove_namespace(
    services: &Arc<Services>,
    table: &MountTable,
    namespace: &Namespace,
) -> Result<Progress> {
    let scope = namespace.scope;
    let mounts = table.of(scope).chain(table.deleted().filter(|e| e.namespace.scope == scope));
    let mut waiting = false;
    for entry in mounts {
        if remove_mount(services, table, entry).await? == Progress::More {
            return Ok(Progress::More);
        }
        waiting = true;
    }
    if waiting {
        return Ok(Progress::Done);
    }
    if clear_scope(&services.store, scope).await? == Progress::More {
        return Ok(Progress::More);
    }
    let tx = services.store.begin();
    tx.write(namespace.parent).delete_named::<Namespace>(TOP, namespace.name());
    record_removal(services, &tx, Some(namespace), None, &namespace.path).await?;
    Ok(Progress::More)
}

/// Commits the end of a mount's or namespace's removal with its audit lines.
async fn record_removal(
    services: &Services,
    tx: &Tx,
    namespace: Option<&Namespace>,
    mount: Option<&Mount>,
    path: &str,
) -> Result<()> {
    let effect = Effect {
        reason: "it was deleted",
        operation: "remove",
        namespace,
        mount,
        path,
        lease_id: "",
        accessors: &[],
        error: None,
    };
    let recorded = services.audit.record_effect_in(tx, &effect)?;
    tx.commit().await?;
    services.audit.committed(recorded).await;
    Ok(())
}

/// Row tables that hold records of scopes.
const ROW_TABLES: [RowTable; 5] =
    [rows::VALUES, rows::HEADS, rows::TOKENS, rows::LEASES, rows::OUTBOX];

/// Removes one batch of a scope's records. They lie in contiguous ranges of each table.
async fn clear_scope(store: &Arc<Store>, scope: Scope) -> Result<Progress> {
    let tx = store.begin();
    let (from, to) = scope.rows();
    for table in ROW_TABLES {
        let page = store.storage.scan_rows(table, from, to, REMOVALS_MAX).done().await;
        if let Some((last, _)) = page.map_err(storage_error)?.last() {
            tx.change(Change::DeleteRows { table, from, to: last + 1 });
            tx.commit().await?;
            return Ok(Progress::More);
        }
    }
    let from = scope.0.to_be_bytes();
    let page = tx.scan_index(indexes::NAMES, &from, &prefix_end(&from), REMOVALS_MAX).await?;
    let Some((last, _)) = page.last() else { return Ok(Progress::Done) };
    let mut to = last.clone();
    to.push(0);
    let (table, from) = (indexes::NAMES, from.as_slice().into());
    tx.change(Change::DeleteIndexRange { table, from, to });
    tx.commit().await?;
    Ok(Progress::More)
}
