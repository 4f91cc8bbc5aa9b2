//! Revocation: what is due goes back to its engine ([`super::queues`]). What fails is tried again,
//! later each time, and shown once it has failed for long ([`super::stuck`]).

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, Timestamp};

use super::stuck::{alarm, put_stuck};
use super::{ATTEMPTS_VISIBLE, Lease, Leases, delete_due, put_due};
use crate::audit::Recorded;
use crate::audit::background::Effect;
use crate::due::{due_key, kinds};
use crate::mounts::{MountEntry, MountTable};
use crate::node::Services;
use crate::pipeline::{CatchPanic, background};
use crate::plug::{AfterCommit, ReadCx, WriteCx};
use crate::record::{CONFLICT_RETRIES_MAX, Id, Scope, Tx, indexes, rows};

/// Seconds until the second attempt; doubled for each one more.
const RETRY_SECONDS: i64 = 10;
/// Seconds between attempts at most.
const RETRY_SECONDS_MAX: i64 = 3_600;
/// Seconds between two walks over the leases of mounts that serve no more.
const WALK_SECONDS: i64 = 60;

impl Leases {
    /// Starts what is due, up to about `budget` leases. Answers whether more is left; what was
    /// started goes on by itself ([`Leases::idle`]).
    pub async fn reconcile(
        &self,
        services: &Arc<Services>,
        now: Timestamp,
        budget: usize,
    ) -> Result<bool> {
        self.end_intents(now).await?;
        let table = services.router.table().await?;
        let mut done = self.walk_marked_paths(now, budget).await?;
        if let Some(ended) = self.walk_is_due(&table, now) {
            let walked = self.walk_ended(&table, &ended, now, budget).await?;
            if walked < budget {
                self.running.state.lock().ended = (table.ended(), now);
            }
            done += walked;
        }
        let more = self.start_due(services, now).await?;
        Ok(more || done >= budget)
    }

    /// Whose leases are to be walked now: everything's when something has ended since the last
    /// walk, else now and then those of mounts that serve no more. A request that was under way
    /// when its mount ended may have made one since.
    fn walk_is_due(&self, table: &MountTable, now: Timestamp) -> Option<Vec<(Scope, Timestamp)>> {
        let state = self.running.state.lock();
        let (known, at) = &state.ended;
        let mut ended = table.ended();
        if ended.iter().all(|end| known.contains(end)) {
            ended.retain(|(_, until)| *until == Timestamp::MAX);
            if now < at.plus_seconds(WALK_SECONDS) {
                ended.clear();
            }
        }
        (!ended.is_empty()).then_some(ended)
    }

    /// Revokes a lease in the transaction of `cx`, now; one that is only being made, as soon as its
    /// request has ended. A forced one goes whatever the engine says.
    pub async fn revoke_now(
        &self,
        cx: &mut WriteCx<'_>,
        lease: &Lease,
        forced: bool,
    ) -> Result<()> {
        let (services, tx) = (cx.kernel().clone(), cx.kernel_tx());
        if lease.intent && self.open.holds(lease.id) {
            // Its request will find it revoked; what was made until then is taken back after that.
            let marked = self.read(tx, lease.id).await?;
            return marked.map_or(Ok(()), |lease| self.mark(tx, lease, cx.now(), forced));
        }
        match self.ask_engine(&services, tx, lease, cx.now()).await {
            Ok(after) => {
                cx.after.extend(after);
                cx.after_commit(|services| services.leases.tally.note_revoked());
                if !forced && lease.again(cx.now()).is_some() {
                    let stored = self.read(tx, lease.id).await?;
                    return stored
                        .map_or(Ok(()), |lease| self.taken_back(tx, lease, forced, cx.now()));
                }
            }
            Err(e) if forced => {
                tracing::warn!(path = lease.path, error = %e, "a lease is dropped unrevoked");
                cx.after_commit(|services| services.leases.tally.note_forced());
            }
            Err(e) => {
                self.tally.note_failed();
                if lease.is_irrevocable() {
                    self.note_error(lease.id, &e).await?;
                }
                return Err(e);
            }
        }
        self.remove(cx.kernel_tx(), lease);
        Ok(())
    }

    /// Asks the lease's engine to revoke it, within `tx`.
    async fn ask_engine(
        &self,
        services: &Arc<Services>,
        tx: &Tx,
        lease: &Lease,
        now: Timestamp,
    ) -> Result<Vec<AfterCommit>> {
        let table = services.router.table().await?;
        let entry = table.of_scope(lease.mount).or_else(|| table.of_gone(lease.mount));
        let Some(entry) = entry else {
            // Nobody is left who could revoke it. A mount's records stay until it has no leases,
            // so this is a store that was damaged or edited.
            tracing::warn!(mount = lease.mount.0, "a lease is dropped: its mount is not there");
            return Ok(Vec::new());
        };
        CatchPanic::new(revoke_in(services, tx, entry, lease, now)).await
    }

    /// Removes a lease whose credential was taken back; an intent stays until it is taken back once
    /// more, whoever had it revoked before: what was asked of the outside may still come.
    fn taken_back(&self, tx: &Tx, mut lease: Lease, forced: bool, now: Timestamp) -> Result<()> {
        match lease.again(now).filter(|_| !forced) {
            Some(again) => {
                delete_due(tx, &lease);
                lease.due = again;
                put_due(tx, again, &lease);
                tx.write(Scope::ROOT).put_row(rows::LEASES, lease.id, &lease)
            }
            None => {
                self.remove(tx, &lease);
                Ok(())
            }
        }
    }

    /// One attempt of the reconciler.
    pub(super) async fn attempt(
        &self,
        services: &Arc<Services>,
        at: Timestamp,
        id: Id,
    ) -> Result<()> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let tx = self.store.begin();
            let now = self.store.now();
            let lease = self.read(&tx, id).await?.filter(|lease| lease.due == at);
            let mut after = Vec::new();
            let mut recorded = None;
            match lease {
                Some(lease) => match self.ask_engine(services, &tx, &lease, now).await {
                    Ok(done) => {
                        after = done;
                        recorded = Some(self.record(services, &tx, &lease, None).await?);
                        let forced = lease.forced;
                        self.taken_back(&tx, lease, forced, now)?;
                    }
                    Err(e) => return self.failed(services, id, at, &e).await,
                },
                // Renewed, revoked or marked anew: another entry stands for it now.
                None => tx.delete_index(indexes::DUE, &due_key(at, kinds::LEASE, id)),
            }
            match tx.commit().await {
                Ok(_) => {
                    if let Some(recorded) = recorded {
                        self.tally.note_revoked();
                        services.audit.committed(recorded).await;
                    }
                    after.into_iter().for_each(|action| action(services));
                    return Ok(());
                }
                Err(e) if e.kind == ErrorKind::Conflict => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::unavailable("a revocation kept conflicting with other requests"))
    }

    /// The audit lines of an attempt.
    async fn record(
        &self,
        services: &Services,
        tx: &Tx,
        lease: &Lease,
        error: Option<&str>,
    ) -> Result<Recorded> {
        let table = services.router.table().await?;
        let entry = table.of_scope(lease.mount).or_else(|| table.of_gone(lease.mount));
        let namespace = table.namespaces.of_scope(lease.namespace);
        let lease_id = namespace.map(|n| self.text(lease, n)).unwrap_or_default();
        let effect = Effect {
            reason: match lease {
                Lease { intent: true, .. } => "unfinished",
                Lease { revoked: true, .. } => "revoked",
                _ => "expired",
            },
            operation: "revoke",
            namespace: namespace.map(|n| &**n),
            mount: entry.map(|e| &*e.mount),
            path: &lease.path,
            lease_id: &lease_id,
            accessors: &[],
            error,
        };
        services.audit.record_effect_in(tx, &effect)
    }

    /// Notes a failed attempt: the next is later, at a time that is not the same for all.
    async fn failed(
        &self,
        services: &Services,
        id: Id,
        at: Timestamp,
        error: &Error,
    ) -> Result<()> {
        let text = error.public.join("; ");
        let jitter = u16::from_be_bytes(self.store.rng.array());
        let text = &text;
        self.tally.note_failed();
        let noted = self
            .store
            .transact(|tx| async move {
                let Some(mut lease) = self.read(&tx, id).await?.filter(|l| l.due == at) else {
                    return Ok(None);
                };
                let recorded = self.record(services, &tx, &lease, Some(text)).await?;
                if lease.forced {
                    self.remove(&tx, &lease);
                    return Ok(Some((recorded, lease)));
                }
                delete_due(&tx, &lease);
                lease.attempts = lease.attempts.saturating_add(1);
                lease.error.clone_from(text);
                lease.due = self.store.now().plus_seconds(delay(lease.attempts, jitter));
                put_due(&tx, lease.due, &lease);
                if lease.is_irrevocable() {
                    put_stuck(&tx, &lease);
                }
                tx.write(Scope::ROOT).put_row(rows::LEASES, id, &lease)?;
                Ok(Some((recorded, lease)))
            })
            .await?;
        let Some((recorded, lease)) = noted else { return Ok(()) };
        services.audit.committed(recorded).await;
        if lease.forced {
            self.tally.note_forced();
            tracing::warn!(path = lease.path, error = text, "a lease is dropped unrevoked");
        } else if lease.attempts == ATTEMPTS_VISIBLE {
            alarm(&*services.router.table().await?, &lease);
        }
        Ok(())
    }
}

/// Seconds until the attempt after the `attempts`-th: doubled each time, three quarters of it up to
/// all of it by `jitter`.
fn delay(attempts: u32, jitter: u16) -> i64 {
    let doubled = RETRY_SECONDS.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let most = doubled.min(RETRY_SECONDS_MAX);
    let least = most * 3 / 4;
    least + (most - least) * i64::from(jitter) / i64::from(u16::MAX)
}

/// Runs the engine's revocation in `tx`.
async fn revoke_in(
    services: &Arc<Services>,
    tx: &Tx,
    entry: &MountEntry,
    lease: &Lease,
    now: Timestamp,
) -> Result<Vec<AfterCommit>> {
    let served = entry.spec.as_ref().zip(entry.engine.as_ref());
    let Some((spec, engine)) = served else {
        return Err(Error::unavailable("this binary has no plug-in of the lease's type"));
    };
    let Some(revoke) = &spec.revoke_lease else { return Ok(Vec::new()) };
    let request = background(&*services.store.rng, entry, &lease.path, now);
    let read = ReadCx::new(tx, services, &request);
    let mut cx = WriteCx::new(read);
    revoke(&**engine, &mut cx, &lease.internal()?).await?;
    Ok(cx.after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_lie_further_apart_each_time_but_not_without_bound() {
        for (attempts, most) in [(1, 10), (2, 20), (6, 320), (10, 3_600), (u32::MAX, 3_600)] {
            assert_eq!(delay(attempts, u16::MAX), most);
            assert_eq!(delay(attempts, 0), most * 3 / 4);
        }
    }
}
