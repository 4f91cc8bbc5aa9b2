//! Intents: a lease is there before its credential is. Whoever makes something outside of the store
//! first commits what is needed to take it back; only then it goes outside, and the transaction
//! with its answer makes a lease of the intent. Where that transaction never comes (the request
//! failed, the process died), the intent ends as a lease does whose time is over.
//!
//! Invariants:
//! * nothing is made outside before its intent is durable;
//! * an intent whose request still runs is not taken back: what is asked meanwhile (its token or
//!   mount ends, an operator revokes its prefix) waits for the request, which then fails;
//! * all other intents are taken back at once, at the next round or the first after a start, and
//!   once more a while later, in case the outside was slower than that.

use std::sync::Arc;

use ahash::AHashSet;
use parking_lot::Mutex;
use strongroom_base::{Error, Result, Timestamp};

use super::{Lease, Leases};
use crate::audit::background::Effect;
use crate::due::{link, link_ids, links, links_from};
use crate::node::Services;
use crate::plug::{NewLease, Request};
use crate::record::{Id, Scope, Tx, indexes, rows};

/// Intents looked at in one round.
const PAGE: usize = 4_096;

/// How long after its beginning an intent that was taken back is taken back once more, in seconds:
/// what its request had asked of the outside may have come about after the first time.
pub(super) const AGAIN_SECONDS: i64 = 300;

/// The intents whose requests run. They are the process's: a request goes on outside while the node
/// is sealed and opened again.
#[derive(Clone, Default)]
pub struct OpenIntents(Arc<Mutex<AHashSet<Id>>>);

impl OpenIntents {
    /// Does the request of this intent still run?
    pub(super) fn holds(&self, intent: Id) -> bool {
        self.0.lock().contains(&intent)
    }
}

/// An intent of a request that runs. Dropped without having become a lease, it is taken back.
pub struct Intent {
    pub(super) id: Id,
    expires: Timestamp,
    open: OpenIntents,
}

impl Intent {
    /// When the lease will end.
    pub(crate) fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        self.open.0.lock().remove(&self.id);
    }
}

impl Leases {
    /// Commits the intent to make the credential of `new`, in a transaction of its own.
    pub(crate) async fn intend(
        &self,
        services: &Services,
        request: &Request,
        new: &NewLease,
    ) -> Result<Intent> {
        let id = self.store.storage.next_id();
        self.open.0.lock().insert(id);
        let mut intent = Intent { id, expires: Timestamp::ZERO, open: self.open.clone() };
        let recorded = self.store.transact(|tx| async move {
            let (mut lease, _) = self.new_lease(services, &tx, request, new, id).await?;
            (lease.intent, lease.due) = (true, Timestamp::MAX);
            self.put_links(&tx, &lease);
            tx.put_index(indexes::LINKS, &intent_link(id), &[]);
            tx.write(Scope::ROOT).put_row(rows::LEASES, id, &lease)?;
            let lease_id = self.text(&lease, &request.namespace);
            let effect = Effect {
                reason: "a credential is about to be made",
                operation: "intend",
                namespace: Some(&request.namespace),
                mount: Some(&request.mount),
                path: &lease.path,
                lease_id: &lease_id,
                accessors: &[],
                error: None,
            };
            Ok((lease.expires, services.audit.record_effect_in(&tx, &effect)?))
        });
        let (expires, recorded) = recorded.await?;
        intent.expires = expires;
        services.audit.committed(recorded).await;
        Ok(intent)
    }

    /// Makes a lease of an intent, in the transaction that tells of its credential.
    pub(super) async fn fulfil(&self, tx: &Tx, intent: &Intent) -> Result<()> {
        let lease = self.read(tx, intent.id).await?;
        if lease.is_none_or(|lease| lease.revoked) {
            return Err(Error::unavailable("the lease was revoked while it was being made"));
        }
        tx.delete_index(indexes::LINKS, &intent_link(intent.id));
        Ok(())
    }

    /// Forgets an intent: nothing was made.
    pub(crate) async fn withdraw(&self, intent: &Intent) -> Result<()> {
        let id = intent.id;
        self.store
            .transact(|tx| async move {
                if let Some(lease) = self.read(&tx, id).await? {
                    self.remove(&tx, &lease);
                }
                Ok(())
            })
            .await
    }

    /// Ends the intents whose requests have ended: they are due now.
    pub(super) async fn end_intents(&self, now: Timestamp) -> Result<()> {
        let (from, to) = links_from(links::INTENT, 0);
        let page = self.store.begin().scan_index(indexes::LINKS, &from, &to, PAGE).await?;
        let ids = page.iter().filter_map(|(key, _)| link_ids(key)).map(|(_, id)| id);
        for id in ids.filter(|id| !self.open.holds(*id)) {
            let ended = self.store.transact(|tx| async move {
                let link = intent_link(id);
                // It may have become a lease since the page was read.
                if tx.get_index(indexes::LINKS, &link).await?.is_some() {
                    tx.delete_index(indexes::LINKS, &link);
                    self.expire_now(&tx, id, now).await?;
                }
                Ok(())
            });
            if let Err(error) = ended.await {
                // One must not hold up all others, nor what is due.
                tracing::warn!(%error, "an unfinished lease could not be ended; it is tried again");
            }
        }
        Ok(())
    }
}

impl Lease {
    /// When it is to be taken back once more, having been taken back at `now`.
    pub(super) fn again(&self, now: Timestamp) -> Option<Timestamp> {
        let again = self.issued.plus_seconds(AGAIN_SECONDS);
        (self.intent && now < again).then_some(again)
    }
}

pub(super) fn intent_link(id: Id) -> [u8; 17] {
    link(links::INTENT, 0, id)
}
