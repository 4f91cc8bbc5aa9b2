//! The drain: who still holds the version of before.
//!
//! Its holders are one range of keys. A look stops at the first one that lives, and removes those
//! before it whose logins have ended, so it costs what it removes and one more. It does not conflict
//! with consumers that move meanwhile; only the transaction that ends the drain reads the whole
//! range, and finds it empty.

use std::sync::Arc;

use strongroom_base::{Result, Timestamp};
use strongroom_storage::{Change, IndexKey, Key};

use super::machine::Job;
use super::stored::{Drained, Ended, Holding, Kept, Moved, State};
use super::{Left, Rotations, Step};
use crate::mounts::MountTable;
use crate::node::Services;
use crate::record::{
    Id, Record, Scope, Store, Tx, indexes, name_prefix, prefix_end, storage_error,
};

/// Holders looked at in one step.
const PAGE: usize = 512;
/// Holders that are counted at most; more are shown as so many.
pub const COUNT_MAX: usize = 100_000;
/// Holders that an ended rotation remembers by name.
const NAMES_MAX: usize = 20;

/// Does anybody hold the version with this number?
pub(super) async fn is_held(tx: &Tx, scope: Scope, holders: Id) -> Result<bool> {
    Ok(holders != 0 && tx.read(scope).any::<Holding>(holders).await?)
}

/// Removes what is kept about a version's holders, a piece at a time.
pub(super) async fn clear(store: &Arc<Store>, scope: Scope, holders: Id) -> Result<()> {
    for kind in [Holding::KIND, Moved::KIND, Ended::KIND] {
        loop {
            let page = page(store, scope, kind, holders, None, PAGE).await?;
            if page.is_empty() {
                break;
            }
            let tx = store.begin();
            for (key, _) in page {
                tx.change(Change::Delete(Key::Index(indexes::NAMES, key)));
            }
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Keys of a version's holders, or of those that were, after `after`.
pub(super) async fn page(
    store: &Store,
    scope: Scope,
    kind: u8,
    holders: Id,
    after: Option<&IndexKey>,
    limit: usize,
) -> Result<Vec<(IndexKey, strongroom_storage::Value)>> {
    let prefix = name_prefix(scope, kind, holders);
    let mut from = after.unwrap_or(&prefix).clone();
    if after.is_some() {
        from.push(0);
    }
    let end = prefix_end(&prefix);
    let page = store.storage.scan_index(indexes::NAMES, &from, &end, limit).done().await;
    page.map_err(storage_error)
}

/// Counts them, up to [`COUNT_MAX`].
async fn count(store: &Store, scope: Scope, kind: u8, holders: Id) -> Result<u64> {
    Ok(page(store, scope, kind, holders, None, COUNT_MAX).await?.len() as u64)
}

impl Rotations {
    /// One look at a drain.
    pub(super) async fn drain(&self, job: &Job<'_>) -> Result<Step> {
        let Some(old) = job.run.old else { return Ok(Step::Waits) };
        let over = job.run.forced || job.run.deadline <= job.now;
        let (scope, name) = (job.kept.scope, job.kept.name.as_str());
        let current = job.kept.subject.holders;
        self.note_moves(scope, job.kept.subject.id, old.holders, job.now).await?;
        if self.anybody_left(job.services, scope, old.holders, current, job.now).await? && !over {
            return Ok(Step::Waits);
        }
        let left = if over {
            self.left(job.services, scope, name, NAMES_MAX, job.now).await?
        } else {
            Vec::new()
        };
        let mut drained = self.drained(scope, old.holders).await?;
        drained.names = left.iter().map(Left::to_string).collect();
        let accessors: Vec<String> = left.iter().map(|left| left.accessor.clone()).collect();
        let reason = match (drained.left, job.run.forced) {
            (0, _) => "every consumer has moved on",
            (_, true) => "its drain was ended by force",
            (_, false) => "its drain is over",
        };
        let (drained, accessors) = (&drained, &accessors);
        let done = self.store.transact(|tx| async move {
            let Some(mut kept) = job.again(&tx).await? else { return Ok(None) };
            // Whoever came to hold it since the look is found here, or conflicts with this.
            if !over && is_held(&tx, scope, old.holders).await? {
                return Ok(None);
            }
            kept.enter(State::Revoke, job.now);
            if let Some(run) = &mut kept.subject.run {
                run.drained = drained.clone();
            }
            kept.save(&tx)?;
            super::machine::note(job.services, &tx, job.entry, name, reason, accessors, None)
                .map(Some)
        });
        match done.await? {
            Some(recorded) => {
                job.services.audit.committed(recorded).await;
                Ok(Step::More)
            }
            None => Ok(Step::Waits),
        }
    }

    /// What has become of a version's holders so far.
    pub(super) async fn drained(&self, scope: Scope, holders: Id) -> Result<Drained> {
        Ok(Drained {
            moved: count(&self.store, scope, Moved::KIND, holders).await?,
            ended: count(&self.store, scope, Ended::KIND, holders).await?,
            left: count(&self.store, scope, Holding::KIND, holders).await?,
            names: Vec::new(),
        })
    }

    /// Is there a holder that lives? Removes those whose logins have ended up to the first that
    /// has not.
    async fn anybody_left(
        &self,
        services: &Services,
        scope: Scope,
        holders: Id,
        current: Id,
        now: Timestamp,
    ) -> Result<bool> {
        let table = services.router.table().await?;
        loop {
            let page = page(&self.store, scope, Holding::KIND, holders, None, PAGE).await?;
            let full = page.len() == PAGE;
            let mut ended = Vec::new();
            let mut lives = false;
            for (key, _) in page {
                let read = self.holding(scope, &key).await?;
                let Some((_, holding)) = read else { continue };
                if self.lives(services, &table, scope, current, &holding, now).await? {
                    lives = true;
                    break;
                }
                ended.push(key);
            }
            let any = !ended.is_empty();
            self.forget_ended(services, &table, scope, holders, current, ended, now).await?;
            if lives {
                return Ok(true);
            }
            if !full || !any {
                return Ok(false);
            }
        }
    }

    /// Removes holders whose logins have ended, and counts them. They are looked at once more: one
    /// may have read it again by a token that lives.
    #[allow(clippy::too_many_arguments)]
    async fn forget_ended(
        &self,
        services: &Services,
        table: &Arc<MountTable>,
        scope: Scope,
        holders: Id,
        current: Id,
        ended: Vec<IndexKey>,
        now: Timestamp,
    ) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let ended = &ended;
        self.store
            .transact(|tx| async move {
                for key in ended {
                    let key = Key::Index(indexes::NAMES, key.clone());
                    let Some((name, holding)) = tx.read(scope).named_at::<Holding>(&key).await?
                    else {
                        continue;
                    };
                    if !self.lives(services, table, scope, current, &holding, now).await? {
                        let edit = tx.write(scope);
                        edit.delete_named::<Holding>(holders, &name);
                        edit.put_named(holders, &name, &Ended(now))?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// A holder by its key.
    async fn holding(&self, scope: Scope, key: &IndexKey) -> Result<Option<(String, Holding)>> {
        let tx = self.store.begin();
        tx.read(scope).named_at::<Holding>(&Key::Index(indexes::NAMES, key.clone())).await
    }

    /// Does whoever holds a version still live there? `current` is the number of the holders of the
    /// newer one.
    pub(super) async fn lives(
        &self,
        services: &Services,
        table: &Arc<MountTable>,
        scope: Scope,
        current: Id,
        holding: &Holding,
        now: Timestamp,
    ) -> Result<bool> {
        if holding.fans_out.is_some() {
            // Who has it is not known, so nor is whether they have ended.
            return Ok(true);
        }
        if let Some(batch) = &holding.batch {
            let over = !batch.expires.is_zero() && batch.expires <= now;
            use crate::tokens::Grounds;
            return Ok(!over && table.serves(batch.namespace, batch.mount, batch.created));
        }
        if self.is_live(services, table, holding.login, now).await? || holding.crowded {
            return Ok(true);
        }
        // Tokens below a login outlive it where it was revoked alone; each is its own login then.
        for reader in &holding.readers {
            if self.is_live(services, table, *reader, now).await? {
                let name = super::consumers::name_of(*reader, &holding.narrowed);
                let tx = self.store.begin();
                if tx.read(scope).named::<Holding>(current, &name).await?.is_none() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn is_live(
        &self,
        services: &Services,
        table: &Arc<MountTable>,
        token: Id,
        now: Timestamp,
    ) -> Result<bool> {
        match services.tokens.by_id(token).await? {
            Some(token) => services.tokens.is_live(table, &token, now).await,
            None => Ok(false),
        }
    }

    /// Those who are left at the version of before, up to `limit`, the longest there first.
    pub async fn left(
        &self,
        services: &Services,
        scope: Scope,
        subject: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Left>> {
        let kept = Kept::read(&self.store.begin(), scope, subject).await?;
        let Some(kept) = kept else { return Ok(Vec::new()) };
        let old = kept.subject.run.as_ref().and_then(|run| run.old);
        let Some(old) = old else { return Ok(Vec::new()) };
        let table = services.router.table().await?;
        let mut out = Vec::new();
        let mut after = None;
        while out.len() < limit {
            let page =
                page(&self.store, scope, Holding::KIND, old.holders, after.as_ref(), PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().map(|(key, _)| key.clone());
            for (key, _) in page {
                let Some((_, holding)) = self.holding(scope, &key).await? else { continue };
                let current = kept.subject.holders;
                if self.lives(services, &table, scope, current, &holding, now).await? {
                    out.push(Left::of(services, &key, holding));
                }
            }
            if !full {
                break;
            }
        }
        out.sort_by(|a, b| (a.since, &a.consumer).cmp(&(b.since, &b.consumer)));
        out.truncate(limit);
        Ok(out)
    }
}
