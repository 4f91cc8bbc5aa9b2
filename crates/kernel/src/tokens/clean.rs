//! The token reconciler: what expired is revoked, what hung on revoked tokens is removed.
//!
//! Nothing here decides whether a token is good: that was decided by its row and its times. So it
//! may run late, stop anywhere, and run twice.

use strongroom_base::{Result, Timestamp};
use strongroom_storage::{Change, Key};

use super::Grounds;
use super::create::CustomId;
use super::prefixes::RevokedPrefix;
use super::{Token, Tokens};
use crate::audit::Recorded;
use crate::audit::background::Effect;
use crate::due::{due_entry, due_key, due_until, kinds, link, link_ids, links};
use crate::mounts::MountTable;
use crate::node::Services;
use crate::pipeline::CubbyholeEntry;
use crate::record::{Id, Record, Scope, Tx, indexes, name_prefix, prefix_end, storage_error};

/// Tokens of one transaction.
const BATCH: usize = 128;
/// What hangs on one token and is removed in one transaction.
const STEP: usize = 256;

impl Tokens {
    /// Does up to about `budget` items of work. Answers whether more is left.
    pub async fn reconcile(
        &self,
        services: &Services,
        now: Timestamp,
        budget: usize,
    ) -> Result<bool> {
        let mut left = budget;
        while left > 0 {
            let done = self.expire(services, now, left.min(BATCH)).await?;
            if done == 0 {
                break;
            }
            left = left.saturating_sub(done);
        }
        while left > 0 {
            let done = self.clean(services, now, left).await?;
            if done == 0 {
                break;
            }
            left = left.saturating_sub(done);
        }
        let swept = self.sweep(services, now, left.clamp(BATCH, STEP)).await?;
        Ok(left == 0 || !swept)
    }

    /// Revokes up to `limit` tokens whose time is over. Answers how many it looked at.
    async fn expire(&self, services: &Services, now: Timestamp, limit: usize) -> Result<usize> {
        let (from, to) = due_until(kinds::TOKEN, now);
        let page = self.store.storage.scan_index(indexes::DUE, &from, &to, limit).done().await;
        let entries: Vec<_> =
            page.map_err(storage_error)?.iter().filter_map(|(key, _)| due_entry(key)).collect();
        if entries.is_empty() {
            return Ok(0);
        }
        let (count, entries) = (entries.len(), &entries);
        let recorded = self
            .store
            .transact(|tx| async move {
                let mut ended = Vec::new();
                for (at, id) in entries {
                    match self.read(&tx, *id).await? {
                        Some(token) if token.is_expired(now) => {
                            self.retire(services, &tx, &token).await?;
                            ended.push(*id);
                        }
                        _ => {}
                    }
                    // A renewed token has another entry; this one is spent in any case.
                    tx.delete_index(indexes::DUE, &due_key(*at, kinds::TOKEN, *id));
                }
                self.record(services, &tx, "expired", &ended)
            })
            .await?;
        if let Some(recorded) = recorded {
            services.audit.committed(recorded).await;
        }
        Ok(count)
    }

    /// The audit lines of tokens that end without a request: one pair for those of a transaction.
    fn record(
        &self,
        services: &Services,
        tx: &Tx,
        reason: &'static str,
        ended: &[Id],
    ) -> Result<Option<Recorded>> {
        if ended.is_empty() {
            return Ok(None);
        }
        let accessors: Vec<String> = ended.iter().map(|id| self.accessor(*id)).collect();
        let effect = Effect {
            reason,
            operation: "revoke",
            namespace: None,
            mount: None,
            path: "auth/token/",
            lease_id: "",
            accessors: &accessors,
            error: None,
        };
        services.audit.record_effect_in(tx, &effect).map(Some)
    }

    /// Removes a token; it leaves work behind only where something hangs on it.
    async fn retire(&self, services: &Services, tx: &Tx, token: &Token) -> Result<()> {
        let bare = self.linked(tx, links::CHILD, token.id, 1).await?.is_empty()
            && self.linked(tx, links::TOKEN_LEASE, token.id, 1).await?.is_empty()
            && self.cubbyhole(services, tx, token.namespace, token.id, 1).await?.is_empty();
        if bare {
            self.remove_row(tx, token);
        } else {
            self.revoke(tx, token);
        }
        Ok(())
    }

    /// Removes what hangs on revoked tokens, up to about `limit` items. Answers how many there
    /// were.
    async fn clean(&self, services: &Services, now: Timestamp, limit: usize) -> Result<usize> {
        let revoked = prefix_end(&[links::REVOKED]);
        let from = [links::REVOKED];
        let page =
            self.store.storage.scan_index(indexes::LINKS, &from, &revoked, BATCH).done().await;
        let mut done = 0;
        for (key, value) in page.map_err(storage_error)? {
            let Some((id, _)) = link_ids(&key) else { continue };
            let namespace = value.as_ref().try_into().map_or(0, u32::from_be_bytes);
            loop {
                let (items, finished, recorded) = self
                    .store
                    .transact(|tx| async move {
                        self.clean_one(services, &tx, id, Scope(namespace), now).await
                    })
                    .await?;
                if let Some(recorded) = recorded {
                    services.audit.committed(recorded).await;
                }
                done += items + 1;
                if finished || done >= limit {
                    break;
                }
            }
            if done >= limit {
                break;
            }
        }
        Ok(done)
    }

    /// One step for one revoked token. Answers how many items it removed, whether it was all, and
    /// the lines of the children that went with it.
    async fn clean_one(
        &self,
        services: &Services,
        tx: &Tx,
        id: Id,
        namespace: Scope,
        now: Timestamp,
    ) -> Result<(usize, bool, Option<Recorded>)> {
        let orphaned = link(links::ORPHANED, id, 0);
        let keeps_children = tx.get_index(indexes::LINKS, &orphaned).await?.is_some();
        let children = self.linked(tx, links::CHILD, id, STEP).await?;
        let mut ended = Vec::new();
        for child in &children {
            match self.read(tx, *child).await? {
                Some(mut token) if keeps_children => {
                    (token.parent, token.orphan) = (0, true);
                    self.update(tx, &token, token.expires)?;
                }
                Some(token) => {
                    self.revoke(tx, &token);
                    ended.push(*child);
                }
                None => {}
            }
            tx.delete_index(indexes::LINKS, &link(links::CHILD, id, *child));
        }
        let leases = self.linked(tx, links::TOKEN_LEASE, id, STEP).await?;
        for lease in &leases {
            services.leases.expire_now(tx, *lease, now).await?;
            tx.delete_index(indexes::LINKS, &link(links::TOKEN_LEASE, id, *lease));
        }
        let entries = self.cubbyhole(services, tx, namespace, id, STEP).await?;
        let items = children.len() + leases.len() + entries.len();
        let finished = [children.len(), leases.len(), entries.len()].iter().all(|n| *n < STEP);
        for entry in entries {
            tx.change(Change::Delete(entry));
        }
        if finished {
            tx.delete_index(indexes::LINKS, &link(links::REVOKED, id, 0));
            tx.delete_index(indexes::LINKS, &orphaned);
        }
        let recorded = self.record(services, tx, "its parent was revoked", &ended)?;
        Ok((items, finished, recorded))
    }

    /// Keys of up to `limit` entries of a token's cubbyhole.
    async fn cubbyhole(
        &self,
        services: &Services,
        tx: &Tx,
        namespace: Scope,
        id: Id,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let table = services.router.table().await?;
        let Some(mount) = table.at(namespace, "cubbyhole/") else { return Ok(Vec::new()) };
        let from = name_prefix(mount.mount.scope, CubbyholeEntry::KIND, id);
        let page = tx.scan_index(indexes::NAMES, &from, &prefix_end(&from), limit).await?;
        Ok(page.into_iter().map(|(key, _)| Key::Index(indexes::NAMES, key)).collect())
    }

    /// Revokes tokens of auth mounts, namespaces and paths that have ended: they are refused
    /// already. It walks all tokens, and only while something has ended since the last whole walk.
    /// Answers whether the walk is through.
    async fn sweep(&self, services: &Services, now: Timestamp, limit: usize) -> Result<bool> {
        let table = services.router.table().await?;
        let prefixes = self.revoked_prefixes().await?;
        // Once more when they cover nothing but rows: then they are forgotten.
        let mut settled = Vec::new();
        if !prefixes.is_empty() {
            let max_ttls = table.iter().map(|entry| services.config.mount_ttls(&entry.mount).1);
            let max_ttl = max_ttls.max().unwrap_or(0);
            settled.extend(prefixes.iter().filter(|p| p.is_settled(now, max_ttl)).cloned());
        }
        let target = Target { ended: table.ended(), prefixes: prefixes.to_vec(), settled };
        let after = {
            let mut sweep = self.sweep.lock();
            if !sweep.target.includes(&target) {
                sweep.after = Some(0);
            }
            sweep.target = target;
            match sweep.after {
                Some(after) => after,
                None => return Ok(true),
            }
        };
        let page = self.page(after, limit).await?;
        let mut dead: Vec<Id> = Vec::new();
        for token in &page {
            if !table.serves(token.namespace, token.mount, token.created)
                || self.is_of_revoked_prefix(token).await?
            {
                dead.push(token.id);
            }
        }
        self.retire_all(services, &dead).await?;
        let settled = {
            let mut sweep = self.sweep.lock();
            if sweep.after == Some(after) {
                sweep.after = page.last().map(|token| token.id);
            }
            match sweep.after {
                Some(_) => return Ok(false),
                None => std::mem::take(&mut sweep.target.settled),
            }
        };
        if !settled.is_empty() {
            self.forget_prefixes(&settled).await?;
        }
        Ok(true)
    }

    async fn retire_all(&self, services: &Services, ids: &[Id]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let recorded = self
            .store
            .transact(|tx| async move {
                let mut ended = Vec::new();
                for id in ids {
                    if let Some(token) = self.read(&tx, *id).await? {
                        self.retire(services, &tx, &token).await?;
                        ended.push(*id);
                    }
                }
                let reason = "its mount, namespace or path was revoked";
                self.record(services, &tx, reason, &ended)
            })
            .await?;
        if let Some(recorded) = recorded {
            services.audit.committed(recorded).await;
        }
        Ok(())
    }

    /// Have all tokens of the mounts and namespaces that `table` knows as gone been revoked?
    /// Before, their records must not be removed.
    pub fn is_swept(&self, table: &MountTable) -> bool {
        let sweep = self.sweep.lock();
        sweep.after.is_none() && table.ended().iter().all(|end| sweep.target.ended.contains(end))
    }

    /// Removes chosen ids whose tokens are gone. Answers how many there were.
    pub async fn tidy(&self) -> Result<usize> {
        self.store
            .transact(|tx| async move {
                let mut removed = 0;
                for (text, CustomId(id)) in tx.read(Scope::ROOT).all::<CustomId>(0).await? {
                    let text = strongroom_base::SecretString::new(text);
                    if self.read(&tx, id).await?.is_none() {
                        tx.write(Scope::ROOT).delete_named::<CustomId>(0, text.expose_secret());
                        removed += 1;
                    }
                }
                Ok(removed)
            })
            .await
    }
}

/// How far the walk over all tokens has come.
#[derive(Default)]
pub(super) struct Sweep {
    target: Target,
    /// The last token looked at; `None` when it is through.
    after: Option<Id>,
}

/// What a walk looks for.
#[derive(Default)]
struct Target {
    /// Mounts that have ended.
    ended: Vec<(Scope, Timestamp)>,
    /// Paths whose tokens are revoked.
    prefixes: Vec<RevokedPrefix>,
    /// Those that are forgotten after the walk.
    settled: Vec<RevokedPrefix>,
}

impl Target {
    /// Does a walk for this find all that one for `other` would?
    fn includes(&self, other: &Self) -> bool {
        other.ended.iter().all(|end| self.ended.contains(end))
            && other.prefixes.iter().all(|prefix| self.prefixes.contains(prefix))
            && other.settled.iter().all(|prefix| self.settled.contains(prefix))
    }
}
