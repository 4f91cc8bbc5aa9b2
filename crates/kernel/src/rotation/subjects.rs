//! Subjects: how they come, change and go.

use std::sync::Arc;

use strongroom_base::{Result, Timestamp};

use super::plan::RotationPlan;
use super::requests::being_removed;
use super::stored::{Kept, Mark, State, Subject};
use super::{Rotations, holdings};
use crate::due::links;
use crate::mounts::MountEntry;
use crate::node::Services;
use crate::record::{Id, Scope, Tx, indexes, storage_error};

/// Subjects whose records are removed in one transaction, with a mount.
const REMOVALS_MAX: usize = 256;

impl Rotations {
    /// Makes a subject, or changes how it is rotated. A new one may have a credential already, that
    /// others have read unnoted: it is version 1 then.
    pub(crate) async fn put(
        tx: &Tx,
        (scope, name): (Scope, &str),
        plan: &RotationPlan,
        has_one: bool,
        now: Timestamp,
    ) -> Result<()> {
        plan.check()?;
        if Self::change_plan(tx, (scope, name), plan, now).await? {
            return Ok(());
        }
        let next = plan.next(Timestamp::ZERO, now);
        let holders = if has_one { tx.new_id() } else { 0 };
        if has_one && plan.two_accounts {
            holdings::note_unknown(tx, scope, holders, now)?;
        }
        let subject = Subject {
            id: tx.new_id(),
            plan: plan.clone(),
            version: u64::from(has_one),
            holders,
            rotated: Timestamp::ZERO,
            next,
            due: next,
            attempts: 0,
            failures: 0,
            error: String::new(),
            run: None,
            removed: false,
            outcomes: Vec::new(),
        };
        Kept::new(scope, name, subject).save(tx)
    }

    /// Changes how a subject is rotated, if it is there.
    pub(crate) async fn change_plan(
        tx: &Tx,
        (scope, name): (Scope, &str),
        plan: &RotationPlan,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(mut kept) = Kept::read(tx, scope, name).await? else { return Ok(false) };
        if kept.subject.removed {
            return Err(being_removed());
        }
        let subject = &mut kept.subject;
        if plan.two_accounts && !subject.plan.two_accounts && subject.version > 0 {
            holdings::note_unknown(tx, scope, subject.holders, now)?;
        }
        if subject.plan != *plan {
            subject.plan = plan.clone();
            subject.next = plan.next(subject.rotated, now);
            if subject.run.is_none() {
                subject.due = subject.next;
            }
            kept.save(tx)?;
        }
        Ok(true)
    }

    /// Takes a subject for rotated just now by other hands than its rotation's: the next time is counted from
    /// here. False where it is not there, or is being rotated.
    pub(crate) async fn note_rotated(
        tx: &Tx,
        (scope, name): (Scope, &str),
        now: Timestamp,
    ) -> Result<bool> {
        let Some(mut kept) = Kept::read(tx, scope, name).await? else { return Ok(false) };
        let subject = &mut kept.subject;
        if subject.removed || subject.run.is_some() {
            return Ok(false);
        }
        subject.rotated = now;
        subject.next = subject.plan.next(now, now);
        subject.due = subject.next;
        kept.save(tx)?;
        Ok(true)
    }

    /// Has a mount a subject of this name?
    pub(crate) async fn is_any(tx: &Tx, scope: Scope, name: &str) -> Result<bool> {
        Ok(tx.read(scope).cached::<Subject>(0, name).await?.is_some())
    }

    /// Has a mount a subject whose name begins so?
    pub(crate) async fn any_below(tx: &Tx, scope: Scope, prefix: &str) -> Result<bool> {
        let names = tx.read(scope).names::<Subject>(0).await?;
        let first = names.partition_point(|name| name.as_str() < prefix);
        Ok(names.get(first).is_some_and(|name| name.starts_with(prefix)))
    }

    /// The number of a subject, for [`Rotations::nudge`].
    pub async fn number(&self, tx: &Tx, scope: Scope, name: &str) -> Result<Option<Id>> {
        Ok(Kept::read(tx, scope, name).await?.map(|kept| kept.subject.id))
    }

    /// The names of a mount's subjects, sorted.
    pub async fn names(&self, tx: &Tx, scope: Scope) -> Result<Arc<Vec<String>>> {
        tx.read(scope).names::<Subject>(0).await
    }

    /// Removes a subject: at once, or with the rotation that is under way. Its engine's records may
    /// go with this transaction: what is still to be taken back is in the journal.
    pub(crate) async fn remove(tx: &Tx, scope: Scope, name: &str, now: Timestamp) -> Result<()> {
        let Some(mut kept) = Kept::read(tx, scope, name).await? else { return Ok(()) };
        let Some(run) = &kept.subject.run else {
            kept.remove(tx);
            return Ok(());
        };
        if run.state.is_before_promotion() {
            kept.give_up("it was removed", true, now);
        }
        kept.subject.removed = true;
        kept.save(tx)
    }

    /// Prepares the end of a mount: ends its drains. Answers whether a rotation is still under way;
    /// the mount's records must stay until none is.
    pub(crate) async fn end_mount(
        &self,
        services: &Arc<Services>,
        entry: &MountEntry,
    ) -> Result<bool> {
        let scope = entry.mount.scope;
        let (from, to) = crate::due::links_from(links::ROTATING, u64::from(scope.0));
        let page =
            self.store.storage.scan_index(indexes::LINKS, &from, &to, REMOVALS_MAX).done().await;
        let page = page.map_err(storage_error)?;
        let now = self.store.now();
        for (key, value) in &page {
            let draining = Mark::read(value).is_some_and(|mark| mark.state == State::Draining);
            let Some((_, id)) = crate::due::link_ids(key).filter(|_| draining) else { continue };
            self.store
                .transact(|tx| async move {
                    let kept = Kept::of_id(&tx, scope, id).await?;
                    let Some(mut kept) = kept else { return Ok(()) };
                    match &mut kept.subject.run {
                        Some(run) if run.state == State::Draining && !run.forced => {
                            run.forced = true;
                        }
                        _ => return Ok(()),
                    }
                    kept.subject.due = now;
                    kept.save(&tx)
                })
                .await?;
            self.nudge(services, scope, id);
        }
        Ok(!page.is_empty())
    }

    /// Removes some of a mount's subjects; answers whether there were any. None has a rotation
    /// under way.
    pub(crate) async fn forget_some(&self, scope: Scope) -> Result<bool> {
        let tx = self.store.begin();
        let names = self.names(&tx, scope).await?;
        for name in names.iter().take(REMOVALS_MAX) {
            if let Some(kept) = Kept::read(&tx, scope, name).await? {
                kept.remove(&tx);
            }
        }
        tx.commit().await?;
        Ok(!names.is_empty())
    }
}
