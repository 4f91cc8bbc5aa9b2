//! The root key under the automatic seal's newest key.
//!
//! A seal may name another key than the one that wrapped the root key when the store was last open.
//! The record is then written anew, in one transaction with its line of the audit log: a crash
//! leaves the record of the old key or that of the new one, and until then the seal opens either.
//! So the old key can go once the store was open with the new one.

use strongroom_base::{Error, Result};

use super::Services;
use crate::audit::background::Effect;
use crate::seal::{AUTO, RootKey, Seal, meta, put_meta};

impl Services {
    /// Wraps the root key anew where another key than the seal's newest wrapped it.
    pub(super) async fn renew_seal(&self, auto: &dyn Seal) -> Result<()> {
        let _one = self.rekeying.lock().await;
        let Some(wrapped) = meta(&self.store.storage, AUTO).await? else { return Ok(()) };
        let root = self.current_root().await?;
        let is_root = |key: &RootKey| {
            strongroom_crypto::constant_time_eq(key.expose_secret(), root.expose_secret())
        };
        // A key of the same id may be another one, where the store was opened by its shares.
        if auto.is_current(&wrapped) && auto.unwrap(&wrapped).await.is_ok_and(|key| is_root(&key)) {
            return Ok(());
        }
        let anew = auto.wrap(&root).await?;
        // What could not be opened again may not take the place of what can.
        let opened = auto.unwrap(&anew).await?;
        if !is_root(&opened) {
            return Err(Error::internal("the seal does not open what it has wrapped"));
        }
        let tx = self.store.begin();
        tx.change(put_meta(AUTO, &anew));
        let effect = Effect {
            reason: "the seal has another key",
            operation: "rewrap",
            namespace: None,
            mount: None,
            path: "sys/seal",
            lease_id: "",
            accessors: &[],
            error: None,
        };
        let lines = self.audit.record_effect_in(&tx, &effect)?;
        tx.commit().await?;
        self.audit.committed(lines).await;
        tracing::info!(
            seal = auto.kind(),
            key = auto.key_id().unwrap_or_default(),
            "the root key was wrapped anew by the seal's newest key: the store needs no older one"
        );
        Ok(())
    }
}
