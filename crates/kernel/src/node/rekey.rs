//! New keys for an open store: a further term of the key ring, a new root key with new shares.

use strongroom_base::{Error, Result, Secret, SecretBytes};

use super::Services;
use crate::barrier::{KeyUses, USES_BLOCK};
use crate::record::Scope;
use crate::seal::ceremony::SharePlan;
use crate::seal::{
    AUTO, RootKey, ShareKey, Shares, open_ring, put_meta, put_ring, put_shares, root_from_key,
    root_key,
};

impl Services {
    /// Adds a term to the key ring: new records are encrypted under it, old ones stay readable.
    /// Answers the term.
    pub async fn rotate(&self) -> Result<u32> {
        let _one = self.rekeying.lock().await;
        let ring = self.store.barrier.ring().rotated(&*self.store.rng, self.store.now());
        let root = self.root_key.read().duplicate();
        // After a rekey of which it is not known whether it was made, the one on disk may be another: a ring
        // under this one would be opened by nothing.
        if open_ring(&self.store.storage, &root).await?.is_none() {
            return Err(Error::unavailable(
                "the root key was changed by a rekey that did not end well: seal and unseal first",
            ));
        }
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

    /// Puts a new root key and the share set of `k` in force, for all seals, in one transaction.
    pub async fn install_shares(&self, k: &SecretBytes, plan: &SharePlan) -> Result<()> {
        let _one = self.rekeying.lock().await;
        let k = root_key(k.expose_secret()).ok_or_else(|| Error::internal("a share key"))?;
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
        if let Err(error) = tx.commit().await {
            // Where it is not known whether it was made, what is on disk says it, if that can be read.
            let made = open_ring(&self.store.storage, &root).await.is_ok_and(|ring| ring.is_some());
            if !made {
                return Err(error);
            }
        }
        *self.root_key.write() = root;
        Ok(())
    }
}
