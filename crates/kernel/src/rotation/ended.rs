//! Holders whose logins end between two rotations.
//!
//! A holder that is noted is looked at when its login ends: what has ended holds nothing. So what is kept
//! of a version's holders follows the number of logins that live, not the time since the last rotation.
//! A look costs what it finds; who lives on is looked at once a day, so that what would lead to versions that
//! are replaced meanwhile is gone in a day, too. While a version drains, the drain looks at its holders by
//! itself, and counts them.

use std::sync::Arc;

use ahash::AHashMap;
use strongroom_base::{Result, Timestamp};
use strongroom_storage::{IndexKey, Key, Value};

use super::Rotations;
use super::consumers::{Consumer, KEY_PREFIX_BYTES};
use super::stored::{Holding, Kept};
use crate::due::{due_entry, due_key, due_until, kinds};
use crate::mounts::MountTable;
use crate::node::Services;
use crate::record::{Id, Scope, Tx, indexes, storage_error};

/// Holders looked at in one transaction.
const PAGE: usize = 256;
/// Seconds until one that lives on is looked at again, at least and at most.
const AGAIN_SECONDS: std::ops::RangeInclusive<i64> = 60..=86_400;

/// A holder that is to be looked at.
#[derive(Clone)]
struct Look {
    subject: Id,
    /// Its key among the names.
    key: IndexKey,
}

impl Look {
    fn write(&self) -> Vec<u8> {
        [&self.subject.to_be_bytes(), self.key.as_slice()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (subject, key) = bytes.split_first_chunk()?;
        let fits = key.len() > KEY_PREFIX_BYTES;
        fits.then(|| Self { subject: Id::from_be_bytes(*subject), key: IndexKey::from_slice(key) })
    }

    fn scope(&self) -> Option<Scope> {
        self.key.first_chunk().map(|scope| Scope(u32::from_be_bytes(*scope)))
    }

    /// The number that the version's holders hang on.
    fn holders(&self) -> Option<Id> {
        let prefix = self.key.get(..KEY_PREFIX_BYTES)?;
        prefix.last_chunk().map(|holders| Id::from_be_bytes(*holders))
    }
}

impl Rotations {
    /// Has a holder that is noted in `tx` looked at when its login ends. One whose end says nothing
    /// is not.
    pub(super) fn look_when_ended(
        &self,
        tx: &Tx,
        scope: Scope,
        (subject, holders): (Id, Id),
        consumer: &Consumer,
        now: Timestamp,
    ) {
        if consumer.ends.is_zero() || consumer.fans_out.is_some() {
            return;
        }
        let key = tx.read(scope).index_key::<Holding>(holders, &consumer.name);
        let at = consumer.ends.min(now.plus_seconds(*AGAIN_SECONDS.end()));
        let due = due_key(at, kinds::HOLDING, tx.new_id());
        tx.put_index(indexes::DUE, &due, &Look { subject, key }.write());
    }

    /// Forgets holders of published versions whose logins have ended. Answers whether there are more to
    /// look at.
    pub(super) async fn forget_ended_holders(
        &self,
        services: &Arc<Services>,
        now: Timestamp,
    ) -> Result<bool> {
        let (from, to) = due_until(kinds::HOLDING, now);
        let page = self.store.storage.scan_index(indexes::DUE, &from, &to, PAGE).done().await;
        let page = page.map_err(storage_error)?;
        if page.is_empty() {
            return Ok(false);
        }
        let table = &services.router.table().await?;
        let looks = &page;
        self.store
            .transact(|tx| async move {
                let mut published = AHashMap::new();
                for (due, value) in looks {
                    tx.delete_index(indexes::DUE, due);
                    self.look(services, table, &tx, (due, value), &mut published, now).await?;
                }
                Ok(())
            })
            .await?;
        Ok(page.len() == PAGE)
    }

    /// One look. `published` remembers the holders' numbers of subjects' published versions.
    async fn look(
        &self,
        services: &Services,
        table: &Arc<MountTable>,
        tx: &Tx,
        (due, value): (&IndexKey, &Value),
        published: &mut AHashMap<Id, Option<Id>>,
        now: Timestamp,
    ) -> Result<()> {
        let Some(look) = Look::read(value) else { return Ok(()) };
        let (Some(scope), Some(holders)) = (look.scope(), look.holders()) else { return Ok(()) };
        let current = match published.get(&look.subject) {
            Some(current) => *current,
            None => {
                let kept = Kept::of_id(tx, scope, look.subject).await?;
                let current = kept.map(|kept| kept.subject.holders);
                published.insert(look.subject, current);
                current
            }
        };
        if current != Some(holders) {
            return Ok(());
        }
        let key = Key::Index(indexes::NAMES, look.key.clone());
        let Some((name, holding)) = tx.read(scope).named_at::<Holding>(&key).await? else {
            return Ok(());
        };
        if !self.lives(services, table, scope, holders, &holding, now).await? {
            tx.write(scope).delete_named::<Holding>(holders, &name);
            return Ok(());
        }
        if let Some(ends) = self.end_of(services, &holding).await?
            && let Some((_, id)) = due_entry(due)
        {
            let (least, most) = AGAIN_SECONDS.into_inner();
            let again = ends.clamp(now.plus_seconds(least), now.plus_seconds(most));
            tx.put_index(indexes::DUE, &due_key(again, kinds::HOLDING, id), value);
        }
        Ok(())
    }

    /// When the login of a holder ends, and tokens below it that read for it; none where nothing says.
    async fn end_of(&self, services: &Services, holding: &Holding) -> Result<Option<Timestamp>> {
        if let Some(batch) = &holding.batch {
            return Ok(Some(batch.expires).filter(|ends| !ends.is_zero()));
        }
        if holding.crowded || holding.fans_out.is_some() {
            return Ok(None);
        }
        let mut latest = Timestamp::ZERO;
        for token in [&holding.login].into_iter().chain(&holding.readers) {
            let Some(token) = services.tokens.by_id(*token).await? else { continue };
            if token.expires.is_zero() {
                return Ok(None);
            }
            latest = latest.max(token.expires);
        }
        Ok(Some(latest).filter(|ends| !ends.is_zero()))
    }
}
