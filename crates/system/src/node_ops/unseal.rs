//! `sys/unseal` (API page "/sys/unseal").

use std::sync::Arc;

use strongroom_base::{Error, Result, SecretString, fields};
use strongroom_kernel::node::{Life, Node};
use strongroom_kernel::plug::{NodeCall, NodeOp, Reply, ops};
use strongroom_kernel::seal::ceremony::{Authority, Progress, Share};
use strongroom_kernel::seal::{self, damaged_ring, root_from_key};

use super::status::{SealStatus, seal_status};

fields! {
    /// Takes one key share; with the last one needed the store opens.
    pub struct Unseal {
        /// The share, as hex or base64.
        key: Option<SecretString>,
        /// Forgets the shares given so far.
        reset: Option<bool>,
        /// Accepted for clients that send it; there is nothing to migrate.
        migrate: Option<bool>,
    }
}

ops! { Unseal SealStatus, Write; }

impl NodeOp for Unseal {
    async fn run(self, node: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<SealStatus>> {
        let reset = self.reset == Some(true);
        let key = self.key.as_ref().map_or("", |k| k.expose_secret().as_str());
        if key.is_empty() && !reset {
            return Err(Error::bad_request(
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            ));
        }
        let share = if reset { None } else { Some(Share::parse(key)?) };
        match *node.life() {
            Life::Uninitialised => return Err(Error::bad_request("Vault is not initialized")),
            Life::Active(_) => return Ok(Reply::data(seal_status(node).await?).bare()),
            Life::Sealed => {}
        }
        if node.auto_seal.is_some() && !node.config.recovery_opens {
            return Err(Error::bad_request("the configuration lets the automatic seal alone open"));
        }
        let now = node.clock.now();
        let Some(share) = share else {
            // There may be nothing to reset.
            let _ = node.ceremonies.lock().unsealing.cancel(Authority::Anyone, now);
            return Ok(Reply::data(seal_status(node).await?).bare());
        };
        let set = seal::shares(&node.storage).await?;
        let set = set.ok_or_else(|| Error::internal("the store has no share set"))?;
        let threshold = usize::from(set.threshold);
        let progress =
            node.ceremonies.lock().unsealing.unseal(share, threshold, &*node.rng, now)?;
        if let Progress::Key(key) = progress {
            let invalid = || Error::bad_request("Unseal failed, invalid key");
            let root = root_from_key(&set, key.expose_secret()).ok_or_else(invalid)?;
            // The shares' own record opened under their key, so it is not they that are wrong.
            if !node.unseal(root).await? {
                return Err(damaged_ring());
            }
        }
        Ok(Reply::data(seal_status(node).await?).bare())
    }
}
