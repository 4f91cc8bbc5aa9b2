//! Another store in the place of this node's: what a snapshot's restoration ends in.
//!
//! Invariants:
//! * nothing of the life before reaches the new store: its log is ended, its commits carry a term
//!   that the storage refuses, and its services are dropped with all that was derived;
//! * the audit log goes on: it is the node's, not the store's, and says what happened;
//! * no key of the store's encrypts on after a restoration. An older store does not know how often
//!   its newest key was used after it was copied, so the first thing an open store gets is a new
//!   term. (Nonces are random, so none is repeated by the store's having gone back; the term keeps
//!   the count of messages per key, on which that rests, an honest one.) Ids go on behind all that
//!   either store gave out: the storage sees to that.

use std::sync::Arc;

use strongroom_base::{Error, Result};

use super::{Life, Node, Services};
use crate::record::{encode, storage_error};
use crate::seal::{self, Restored};
use crate::snapshot::Checked;

impl Node {
    /// Puts a checked snapshot in the place of the store. The node is as after an unseal where the
    /// keys at hand open it, else sealed. On failure the node serves what it served before.
    pub async fn restore(self: &Arc<Self>, snapshot: Checked) -> Result<()> {
        let _one = self.changing.lock().await;
        let services = self.active()?;
        let copies = self.storage.copies().ok_or_else(Error::unsupported)?;
        let before = services.current_root().await?;
        services.audit.finish(self.clock.now()).await?;
        let delivered = services.audit.sinks.delivered_by_all();
        self.seal();
        services.audit.end().await;
        let restored = Restored {
            at: self.clock.now(),
            delivered: delivered.unwrap_or_else(|| services.audit.last_index()),
            same_keys: snapshot.root.is_some(),
        };
        // With them the last thing goes that holds keys, but for requests that are in flight yet.
        drop(services);
        let change = seal::put_meta(Restored::NAME, &encode(&restored)?);
        let staged = snapshot.staged;
        let replaced = tokio::task::spawn_blocking(move || copies.replace(staged, &[change])).await;
        match replaced.map_err(Error::internal)? {
            Ok(()) => {
                *self.ceremonies.lock() = Default::default();
                tracing::warn!("a snapshot was put in the place of the store");
                match snapshot.root {
                    Some(root) => self.unseal_alone(root).await.map(|_| ()),
                    None => {
                        tracing::warn!("the store is sealed: it opens with the snapshot's keys");
                        Ok(())
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot was not put in the place of the store");
                self.unseal_alone(before).await?;
                if let Life::Active(services) = &*self.life() {
                    services.audit.record_not_restored(&error.to_string()).await?;
                }
                Err(storage_error(error))
            }
        }
    }
}

impl Services {
    /// What an open store gets before anything else after it was put in the place of another.
    pub(super) async fn begin_after_restore(&self, restored: &Restored) -> Result<()> {
        self.rotate().await?;
        self.audit.record_restored(restored).await
    }
}
