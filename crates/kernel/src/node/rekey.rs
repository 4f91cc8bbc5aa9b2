//! New keys for an open store: a further term of the key ring, a new root key with new shares.
//!
//! Invariant: shares are never in force without that somebody has them, nor is what opens the store forgotten:
//! where a commit fails and it is not known whether it was made, what is on disk decides, as soon as it can be
//! read.

use strongroom_base::{Error, ErrorKind, Result, Secret, SecretBytes};

use super::Services;
use crate::audit::background::Effect;
use crate::barrier::{KeyUses, USES_BLOCK};
use crate::record::Scope;
use crate::seal::ceremony::SharePlan;
use crate::seal::{
    AUTO, RootKey, ShareKey, Shares, damaged_ring, open_ring, put_meta, put_ring, put_shares,
    root_from_key, root_key, shares,
};

impl Services {
    /// Adds a term to the key ring: new records are encrypted under it, old ones stay readable.
    /// Answers the term.
    pub async fn rotate(&self) -> Result<u32> {
        let _one = self.rekeying.lock().await;
        let ring = self.store.barrier.ring().rotated(&*self.store.rng, self.store.now());
        let root = self.current_root().await?;
        let tx = self.store.begin();
        tx.change(put_ring(&root, &ring, &*self.store.rng)?);
        tx.commit().await?;
        self.store.barrier.install(ring);
        Ok(self.store.barrier.active_term().0)
    }

    /// Accounts on disk for encryptions to come, well before those accounted for are used up. A
    /// block lasts for longer than lies between two calls.
    pub async fn reserve_uses(&self) -> Result<()> {
        let barrier = &self.store.barrier;
        let (term, uses) = (barrier.active_term().0, barrier.uses());
        let tx = self.store.begin();
        let root = tx.write(Scope::ROOT);
        let reserved = root.named::<KeyUses>(0, "").await?.unwrap_or_default();
        if reserved.term == term && uses + USES_BLOCK / 2 < reserved.uses {
            return Ok(());
        }
        root.put_named(0, "", &KeyUses { term, uses: uses + USES_BLOCK })?;
        tx.commit().await.map(|_| ())
    }

    /// Does `k` combine from the shares in force?
    pub async fn is_share_key(&self, set: &Shares, k: &[u8]) -> Result<bool> {
        let Some(root) = root_from_key(set, k) else { return Ok(false) };
        Ok(open_ring(&self.store.storage, &root).await?.is_some())
    }

    /// Puts a new root key and the share set of `k` in force, for all seals, in one transaction with its line
    /// of the audit log. Where they are in force already there is nothing to do, so that this can be tried
    /// again.
    ///
    /// # Errors
    /// `InDoubt` where it is not known which shares are in force: whoever has those of `k` must keep them, and
    /// those of before.
    pub async fn install_shares(&self, k: &SecretBytes, plan: &SharePlan) -> Result<()> {
        let _one = self.rekeying.lock().await;
        let k = root_key(k.expose_secret()).ok_or_else(|| Error::internal("a share key"))?;
        if self.is_in_force(&k).await? {
            return Ok(());
        }
        let (rng, now) = (&*self.store.rng, self.store.now());
        let root: RootKey = Secret::new(rng.array());
        let tx = self.store.begin();
        tx.change(put_ring(&root, &self.store.barrier.ring(), rng)?);
        tx.change(put_shares(&root, &k, plan, rng, now)?);
        let node = self.node.upgrade().ok_or_else(Error::sealed)?;
        if let Some(auto) = &node.auto_seal {
            tx.change(put_meta(AUTO, &auto.wrap(&root).await?));
        }
        let record = ShareKey(k.expose_secret().to_vec());
        tx.write(Scope::ROOT).put_named(0, "", &record)?;
        let lines = self.audit.record_effect_in(&tx, &REKEYED)?;
        match tx.commit().await {
            Ok(_) => {
                *self.root_key.write() = root;
                self.audit.committed(lines).await;
                Ok(())
            }
            // What is on disk says it, if that can be read; its lines follow then.
            Err(error) if error.kind == ErrorKind::InDoubt => {
                self.store.storage.settled().await;
                match self.is_in_force(&k).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(Error::unavailable(
                        "the storage failed, and the shares of before stay in force",
                    )
                    .because(error)),
                    Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Are the shares of `k` those in force on disk? The root key in memory follows, if so.
    async fn is_in_force(&self, k: &RootKey) -> Result<bool> {
        let Some(set) = shares(&self.store.storage).await? else { return Ok(false) };
        let Some(root) = root_from_key(&set, k.expose_secret()) else { return Ok(false) };
        if open_ring(&self.store.storage, &root).await?.is_none() {
            return Ok(false);
        }
        *self.root_key.write() = root;
        Ok(true)
    }

    /// The root key that opens what is on disk. After a rekey of which it was not known whether it was made,
    /// the one in memory may be that of before: the key of the shares, which lies inside the barrier, leads to
    /// the other.
    pub(crate) async fn current_root(&self) -> Result<RootKey> {
        let root = self.root_key.read().duplicate();
        if open_ring(&self.store.storage, &root).await?.is_some() {
            return Ok(root);
        }
        let k = self.store.begin().read(Scope::ROOT).named::<ShareKey>(0, "").await?;
        let k = k.and_then(|k| root_key(&k.0)).ok_or_else(damaged_ring)?;
        if self.is_in_force(&k).await? {
            return Ok(self.root_key.read().duplicate());
        }
        Err(damaged_ring())
    }
}

/// The line of new shares in the audit log.
const REKEYED: Effect<'static> = Effect {
    reason: "new key shares",
    operation: "rekey",
    namespace: None,
    mount: None,
    path: "sys/rekey",
    lease_id: "",
    accessors: &[],
    error: None,
};
