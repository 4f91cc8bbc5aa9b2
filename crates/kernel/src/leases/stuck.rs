//! Leases that could not be revoked for long: they are never dropped by themselves. Each is listed,
//! counted, told of in the log as an error when it comes to this, and tried again each hour, or when
//! somebody says so.

use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use strongroom_base::{Error, Result, Timestamp};

use super::{Lease, Leases, delete_due, put_due};
use crate::due::{link, link_ids, links, links_from};
use crate::mounts::MountTable;
use crate::namespaces::Namespace;
use crate::record::{Id, Scope, Tx, indexes};

/// Leases looked at in one step.
const STEP: usize = 256;
/// Links counted in one step.
const PAGE: usize = 4_096;
/// Those that are counted: the rest would say nothing new.
const COUNT_MAX: usize = 100_000;

/// Leases of one mount that could not be revoked.
pub struct Stuck {
    /// The mount.
    pub mount: Scope,
    /// How many.
    pub leases: u64,
}

/// What became of revocations since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Credentials that were taken back.
    pub revoked: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Leases that were dropped unrevoked, because somebody forced it.
    pub forced: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    revoked: AtomicU64,
    failed: AtomicU64,
    forced: AtomicU64,
}

impl Counters {
    pub(super) fn note_revoked(&self) {
        self.revoked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_forced(&self) {
        self.forced.fetch_add(1, Ordering::Relaxed);
    }
}

fn stuck_link(lease: &Lease) -> [u8; 17] {
    link(links::IRREVOCABLE, u64::from(lease.namespace.0), lease.id)
}

/// Its value is the mount, so that they are counted without being opened.
pub(super) fn put_stuck(tx: &Tx, lease: &Lease) {
    tx.put_index(indexes::LINKS, &stuck_link(lease), &lease.mount.0.to_be_bytes());
}

pub(super) fn delete_stuck(tx: &Tx, lease: &Lease) {
    tx.delete_index(indexes::LINKS, &stuck_link(lease));
}

/// Tells of a lease that could not be revoked for long. Its path is in no secret's way: whoever reads
/// the log may see where to look, not the credential's name.
pub(super) fn alarm(table: &MountTable, lease: &Lease) {
    let entry = table.of_scope(lease.mount).or_else(|| table.of_gone(lease.mount));
    let namespace = table.namespaces.of_scope(lease.namespace);
    tracing::error!(
        namespace = namespace.map_or("", |n| n.path.as_str()),
        mount = entry.map_or("", |e| e.mount.path.as_str()),
        path = lease.path,
        attempts = lease.attempts,
        error = lease.error,
        "a lease cannot be revoked: what it stands for lives on; it is tried again each hour, and \
         at once by `lease retry`"
    );
}

impl Leases {
    /// What became of revocations since the store was opened.
    pub fn tally(&self) -> Tally {
        let Counters { revoked, failed, forced } = &self.tally;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally { revoked: read(revoked), failed: read(failed), forced: read(forced) }
    }

    /// Leases of a namespace that could not be revoked, up to `limit`.
    pub async fn irrevocable(&self, tx: &Tx, namespace: Scope, limit: usize) -> Result<Vec<Lease>> {
        let (from, to) = links_from(links::IRREVOCABLE, u64::from(namespace.0));
        let page = tx.scan_index(indexes::LINKS, &from, &to, limit).await?;
        let mut out = Vec::with_capacity(page.len());
        for (key, _) in page {
            let Some((_, id)) = link_ids(&key) else { continue };
            out.extend(self.read(tx, id).await?);
        }
        Ok(out)
    }

    /// Counts the leases of all namespaces that could not be revoked, by mount; not beyond a hundred
    /// thousand.
    pub async fn count_irrevocable(&self) -> Result<Vec<Stuck>> {
        let mut counts: AHashMap<u32, u64> = AHashMap::new();
        let (mut from, to) = (vec![links::IRREVOCABLE], [links::IRREVOCABLE + 1]);
        let mut all = 0;
        while all < COUNT_MAX {
            let page = self.store.storage.scan_index(indexes::LINKS, &from, &to, PAGE).done().await;
            let page = page.map_err(crate::record::storage_error)?;
            for (_, value) in &page {
                let mount = value.first_chunk().map_or(0, |mount| u32::from_be_bytes(*mount));
                *counts.entry(mount).or_default() += 1;
            }
            all += page.len();
            let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { break };
            from = last.to_vec();
            from.push(0);
        }
        let mut out: Vec<Stuck> = counts
            .into_iter()
            .map(|(mount, leases)| Stuck { mount: Scope(mount), leases })
            .collect();
        out.sort_unstable_by_key(|stuck| stuck.mount);
        Ok(out)
    }

    /// Has all leases of a namespace that could not be revoked and lie in `folder` tried again at
    /// once. Answers how many.
    pub async fn retry(
        &self,
        namespace: &Namespace,
        folder: &str,
        now: Timestamp,
    ) -> Result<usize> {
        let (mut from, to) = links_from(links::IRREVOCABLE, u64::from(namespace.scope.0));
        let mut hastened = 0;
        loop {
            let start = &from;
            let step = self.store.transact(|tx| {
                let to = &to;
                async move {
                    let page = tx.scan_index(indexes::LINKS, start, to, STEP).await?;
                    let mut done = 0;
                    for (_, id) in page.iter().filter_map(|(key, _)| link_ids(key)) {
                        let lease = self.read(&tx, id).await?;
                        let lease = lease.filter(|lease| is_within(&lease.path, folder));
                        if let Some(lease) = lease {
                            hasten(&tx, lease, now)?;
                            done += 1;
                        }
                    }
                    let last = page.last().filter(|_| page.len() == STEP);
                    Ok((last.map(|(key, _)| key.clone()), done))
                }
            });
            let (last, done) = step.await?;
            hastened += done;
            let Some(mut next) = last else { return Ok(hastened) };
            next.push(0);
            from = next;
        }
    }

    /// Notes what an attempt by hand came to, so that a look-up shows what is wrong now.
    pub(super) async fn note_error(&self, id: Id, error: &Error) -> Result<()> {
        let text = &error.public.join("; ");
        self.store
            .transact(|tx| async move {
                if let Some(mut lease) = self.read(&tx, id).await? {
                    lease.error.clone_from(text);
                    tx.write(Scope::ROOT).put_row(crate::record::rows::LEASES, id, &lease)?;
                }
                Ok(())
            })
            .await
    }
}

/// Does `path` lie in `folder`, or is it that? All do in the empty one.
fn is_within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Makes a lease due that waits for its next attempt.
fn hasten(tx: &Tx, mut lease: Lease, now: Timestamp) -> Result<()> {
    if lease.due <= now {
        return Ok(());
    }
    delete_due(tx, &lease);
    lease.due = now;
    put_due(tx, now, &lease);
    tx.write(Scope::ROOT).put_row(crate::record::rows::LEASES, lease.id, &lease)
}
