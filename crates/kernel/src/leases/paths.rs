//! Paths that gave out leases: one record per mount and path, sorted as a folder is, so that a
//! prefix is listed or revoked without looking at any other lease.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};

use super::{Lease, Leases};
use crate::due::{link, link_ids, links, links_from};
use crate::mounts::{MountEntry, MountTable};
use crate::namespaces::Namespace;
use crate::plug::Request;
use crate::record::{Id, Record, Scope, Tx, indexes};
use crate::tokens::Grounds;

/// Leases that could not be revoked, of one namespace, of which lists show those of mounts that are
/// gone.
const STUCK_SHOWN_MAX: usize = 10_000;
/// Leases marked in one transaction.
const STEP: usize = 256;

/// A path of a mount that gave out leases. It lies in the namespace's scope, below the mount's
/// number.
#[derive(Serialize, Deserialize)]
struct LeasePath(Id);

impl Record for LeasePath {
    const KIND: u8 = 220;
}

/// One entry of a lease listing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeaseKey(pub String);

/// A lease path within a namespace.
struct Found {
    /// Mount path and path below it.
    full: String,
    id: Id,
    /// The namespace of its mount, where that serves no more.
    gone: Option<Scope>,
}

impl Leases {
    /// The id of the request's path, given to it now if it has none.
    pub(super) async fn path_id(&self, tx: &Tx, request: &Request) -> Result<Id> {
        let scope = tx.write(request.namespace.scope);
        let parent = u64::from(request.mount.scope.0);
        let name = request.path.trim_end_matches('/');
        if let Some(LeasePath(id)) = scope.named::<LeasePath>(parent, name).await? {
            return Ok(id);
        }
        let id = tx.new_id();
        scope.put_named(parent, name, &LeasePath(id))?;
        Ok(id)
    }

    /// Paths of a mount whose names begin with `prefix`.
    async fn paths(&self, tx: &Tx, entry: &MountEntry, prefix: &str) -> Result<Vec<Found>> {
        let scope = tx.read(entry.namespace.scope);
        let parent = u64::from(entry.mount.scope.0);
        let gone = entry.mount.deleted.is_some().then_some(entry.namespace.scope);
        let names = scope.names::<LeasePath>(parent).await?;
        let from = names.partition_point(|name| name.as_str() < prefix);
        let mut found = Vec::new();
        for name in names.iter().skip(from).take_while(|name| name.starts_with(prefix)) {
            if let Some(LeasePath(id)) = scope.named::<LeasePath>(parent, name).await? {
                found.push(Found { full: format!("{}{name}", entry.mount.path), id, gone });
            }
        }
        Ok(found)
    }

    /// Paths within a namespace that are `folder` or lie below it; all where it is empty. Those of
    /// mounts that serve no more are among them, and, by their whole path, those of deleted
    /// namespaces below: an operator can still force what holds up their removal.
    async fn below(
        &self,
        tx: &Tx,
        table: &MountTable,
        namespace: &Namespace,
        folder: &str,
    ) -> Result<Vec<Found>> {
        let within = |path: &str| {
            folder.is_empty()
                || path.strip_prefix(folder).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        let here = |e: &&Arc<MountEntry>| e.namespace.scope == namespace.scope;
        let dead = |e: &&Arc<MountEntry>| {
            e.namespace.is_within(namespace) && !table.namespaces.is_live(e.namespace.scope)
        };
        let entries = table
            .of(namespace.scope)
            .chain(table.deleted().filter(here))
            .chain(table.iter().chain(table.deleted()).filter(|e| !here(e)).filter(dead));
        let mut found = Vec::new();
        for entry in entries {
            let below = entry.namespace.path.strip_prefix(&namespace.path).unwrap_or("");
            let path = format!("{below}{}", entry.mount.path);
            let rest = if within(&path) { Some("") } else { folder.strip_prefix(&path) };
            let Some(rest) = rest else { continue };
            let dead = !table.namespaces.is_live(entry.namespace.scope);
            for path in self.paths(tx, entry, rest).await? {
                let full = format!("{below}{}", path.full);
                if within(&full) {
                    let gone = path.gone.or_else(|| dead.then_some(entry.namespace.scope));
                    found.push(Found { full, id: path.id, gone });
                }
            }
        }
        Ok(found)
    }

    /// Up to `limit` leases of a path, with ids above `after`.
    async fn of_path(&self, tx: &Tx, path: Id, after: Id, limit: usize) -> Result<Vec<Id>> {
        let from = link(links::PATH_LEASE, path, after + 1);
        let (_, to) = links_from(links::PATH_LEASE, path);
        let page = tx.scan_index(indexes::LINKS, &from, &to, limit).await?;
        Ok(page.iter().filter_map(|(key, _)| link_ids(key)).map(|(_, id)| id).collect())
    }

    /// Is a lease one that callers see? With its mount it is gone at once, however long its engine
    /// takes; one that could not be revoked for long is seen all the same.
    pub fn is_shown(&self, table: &MountTable, lease: &Lease) -> bool {
        table.serves(lease.namespace, lease.mount, lease.issued) || lease.is_irrevocable()
    }

    /// Up to `limit` leases of a path that callers see. `stuck` remembers what could not be revoked
    /// in which namespace, by path: it is read once, however many paths are asked for.
    async fn shown_of_path(
        &self,
        tx: &Tx,
        path: &Found,
        limit: usize,
        stuck: &mut BTreeMap<Scope, BTreeMap<Id, Vec<Id>>>,
    ) -> Result<Vec<Id>> {
        let Some(namespace) = path.gone else { return self.of_path(tx, path.id, 0, limit).await };
        let stuck = match stuck.entry(namespace) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(none) => {
                let mut paths = BTreeMap::<Id, Vec<Id>>::new();
                for lease in self.irrevocable(tx, namespace, STUCK_SHOWN_MAX).await? {
                    paths.entry(lease.path_id).or_default().push(lease.id);
                }
                none.insert(paths)
            }
        };
        Ok(stuck.get(&path.id).into_iter().flatten().take(limit).copied().collect())
    }

    /// What lies directly below `prefix`, sorted: last
    /// segments of lease ids, and folders. At most `limit` leases of one path.
    pub async fn list(
        &self,
        tx: &Tx,
        table: &MountTable,
        namespace: &Namespace,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<LeaseKey>> {
        let mut keys = Vec::new();
        let folder = prefix.trim_end_matches('/');
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut stuck = BTreeMap::new();
        for found in self.below(tx, table, namespace, folder).await? {
            if found.full == folder {
                let leases = self.shown_of_path(tx, &found, limit, &mut stuck).await?;
                keys.extend(leases.iter().map(|id| LeaseKey(self.segment(*id, namespace))));
                continue;
            }
            let Some(rest) = found.full.strip_prefix(&prefix) else { continue };
            if !self.shown_of_path(tx, &found, 1, &mut stuck).await?.is_empty() {
                let head = rest.split('/').next().unwrap_or(rest);
                keys.push(LeaseKey(format!("{head}/")));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Revokes every lease of the folder `prefix`, or the one whose id it is. Answers up to `limit`
    /// of them for the caller to revoke, and whether there are more: then the paths are marked in
    /// this transaction, and the leases follow.
    pub async fn revoke_prefix(
        &self,
        tx: &Tx,
        table: &MountTable,
        namespace: &Namespace,
        prefix: &str,
        now: Timestamp,
        forced: bool,
        limit: usize,
    ) -> Result<(Vec<Lease>, bool)> {
        // A whole lease id is a prefix too.
        if let Some(lease) = self.find(tx, namespace, prefix).await? {
            return Ok((vec![lease], false));
        }
        let (mut leases, mut more) = (Vec::new(), false);
        for found in self.below(tx, table, namespace, prefix.trim_end_matches('/')).await? {
            let ids = self.of_path(tx, found.id, 0, limit + 1).await?;
            if ids.is_empty() {
                continue;
            }
            if leases.len() + ids.len() > limit {
                self.mark_path(tx, found.id, now, forced);
                more = true;
            }
            for id in ids.into_iter().take(limit.saturating_sub(leases.len())) {
                leases.extend(self.read(tx, id).await?);
            }
        }
        Ok((leases, more))
    }

    /// Notes that all leases of a path until now are to be revoked.
    fn mark_path(&self, tx: &Tx, path: Id, now: Timestamp, forced: bool) {
        let mut value = [0; 9];
        value[..8].copy_from_slice(&now.0.to_be_bytes());
        value[8] = u8::from(forced);
        tx.put_index(indexes::LINKS, &link(links::PATH_REVOKED, path, 0), &value);
    }

    /// Goes on with marked paths, up to about `limit` leases. Answers how many it marked.
    pub(super) async fn walk_marked_paths(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let (from, to) = ([links::PATH_REVOKED], [links::PATH_REVOKED + 1]);
        let page = self.store.storage.scan_index(indexes::LINKS, &from, &to, limit).done().await;
        let mut done = 0;
        for (key, value) in page.map_err(crate::record::storage_error)? {
            let Some((path, mut after)) = link_ids(&key) else { continue };
            let until =
                value.get(..8).and_then(|b| b.try_into().ok()).map_or(0, i64::from_be_bytes);
            let forced = value.get(8) == Some(&1);
            loop {
                if done >= limit {
                    return Ok(done);
                }
                let step = self.walk_path(path, after, Timestamp(until), forced, now).await?;
                done += step.1;
                match step.0 {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        Ok(done)
    }

    /// One step along a marked path: the mark moves behind the leases it has dealt with. Answers
    /// where it is then, if the path has more of them, and how many there were.
    async fn walk_path(
        &self,
        path: Id,
        after: Id,
        until: Timestamp,
        forced: bool,
        now: Timestamp,
    ) -> Result<(Option<Id>, usize)> {
        self.store
            .transact(|tx| async move {
                let ids = self.of_path(&tx, path, after, STEP).await?;
                for id in &ids {
                    if let Some(lease) = self.read(&tx, *id).await?
                        && lease.issued <= until
                    {
                        self.mark(&tx, lease, now, forced)?;
                    }
                }
                let old = link(links::PATH_REVOKED, path, after);
                tx.delete_index(indexes::LINKS, &old);
                let last = ids.last().copied().filter(|_| ids.len() == STEP);
                if let Some(last) = last {
                    let mut value = [0; 9];
                    value[..8].copy_from_slice(&until.0.to_be_bytes());
                    value[8] = u8::from(forced);
                    let next = link(links::PATH_REVOKED, path, last);
                    tx.put_index(indexes::LINKS, &next, &value);
                }
                Ok((last, ids.len() + 1))
            })
            .await
    }

    /// Marks all leases that `ended` says have ended, up to about `limit` (threat
    /// GHSA-vv66-6rp4-wr4f: the mounts are looked at anew each time, so a crash loses nothing).
    pub(super) async fn walk_ended(
        &self,
        table: &MountTable,
        ended: &[(Scope, Timestamp)],
        now: Timestamp,
        limit: usize,
    ) -> Result<usize> {
        let mut done = 0;
        for (scope, until) in ended {
            let entry = table.of_gone(*scope).or_else(|| table.of_scope(*scope));
            let Some(entry) = entry else { continue };
            let tx = self.store.begin();
            for found in self.paths(&tx, entry, "").await? {
                let mut after = 0;
                while let Some((last, marked)) =
                    self.mark_step(found.id, after, *until, now).await?
                {
                    (after, done) = (last, done + marked);
                    if done >= limit {
                        return Ok(done);
                    }
                }
            }
        }
        Ok(done)
    }

    /// Marks the next leases of a path that were made until `until`. Answers the last one looked
    /// at and how many were marked.
    async fn mark_step(
        &self,
        path: Id,
        after: Id,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<(Id, usize)>> {
        self.store
            .transact(|tx| async move {
                let ids = self.of_path(&tx, path, after, STEP).await?;
                let mut marked = 0;
                for id in &ids {
                    if let Some(lease) = self.read(&tx, *id).await?
                        && !lease.revoked
                        && lease.issued <= until
                    {
                        self.mark(&tx, lease, now, false)?;
                        marked += 1;
                    }
                }
                Ok(ids.last().map(|last| (*last, marked)))
            })
            .await
    }

    /// Forgets a mount's paths, in the transaction that removes its record. It has no lease left.
    pub fn forget_mount(&self, tx: &Tx, namespace: Scope, mount: Scope) {
        tx.write(namespace).delete_all::<LeasePath>(u64::from(mount.0));
    }

    /// Has a mount any lease left? Its records must stay until it has none.
    pub async fn any_of_mount(&self, tx: &Tx, entry: &MountEntry) -> Result<bool> {
        for found in self.paths(tx, entry, "").await? {
            if !self.of_path(tx, found.id, 0, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets paths that have no lease any more, in all namespaces. Answers how many there were.
    pub async fn tidy(&self, table: &MountTable) -> Result<usize> {
        let mut removed = 0;
        for entry in table.iter() {
            removed += self
                .store
                .transact(|tx| async move {
                    let mut removed = 0;
                    let scope = tx.write(entry.namespace.scope);
                    for found in self.paths(&tx, entry, "").await? {
                        if self.of_path(&tx, found.id, 0, 1).await?.is_empty() {
                            let name = found.full.strip_prefix(&entry.mount.path).unwrap_or("");
                            let parent = u64::from(entry.mount.scope.0);
                            scope.delete_named::<LeasePath>(parent, name);
                            removed += 1;
                        }
                    }
                    Ok(removed)
                })
                .await?;
        }
        Ok(removed)
    }
}
