//! `sys/init` (API page "/sys/init").

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::{Error, Result, SecretBytes, fields};
use strongroom_crypto::pgp::Recipient;
use strongroom_kernel::node::{InitRequest, Life, Node};
use strongroom_kernel::plug::{NodeCall, NodeOp, Reply, ops};
use strongroom_kernel::seal::ceremony::SharePlan;
use zeroize::Zeroize;

fields! {
    /// Tells whether there is a store.
    pub struct ReadInit {}
}

/// `GET sys/init`.
#[derive(Serialize)]
pub struct InitView {
    initialized: bool,
}

ops! { ReadInit InitView, Read; }

impl NodeOp for ReadInit {
    async fn run(self, node: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<InitView>> {
        let initialized = !matches!(*node.life(), Life::Uninitialised);
        Ok(Reply::data(InitView { initialized }).bare())
    }
}

fields! {
    /// Makes a new store and shows its key shares and first root token, once.
    pub struct Initialise {
        /// How many shares the key is split into.
        secret_shares: Option<i64>,
        /// How many shares open the store.
        secret_threshold: Option<i64>,
        /// Public OpenPGP keys, one for each share, to encrypt it to.
        pgp_keys: Option<Vec<String>>,
        /// How many recovery shares there are, beside an automatic seal.
        recovery_shares: Option<i64>,
        /// How many recovery shares are needed together.
        recovery_threshold: Option<i64>,
        /// Public OpenPGP keys for the recovery shares.
        recovery_pgp_keys: Option<Vec<String>>,
        /// A public OpenPGP key to encrypt the root token to.
        root_token_pgp_key: Option<String>,
        /// Accepted and without effect: the root key always is stored, wrapped.
        stored_shares: Option<i64>,
    }
}

/// The answer of `PUT sys/init`; wiped when dropped.
#[derive(Serialize, Default)]
pub struct Initialised {
    keys: Vec<String>,
    keys_base64: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_keys_base64: Vec<String>,
    root_token: String,
}

impl Drop for Initialised {
    fn drop(&mut self) {
        let lists = [&mut self.keys, &mut self.keys_base64];
        lists.into_iter().for_each(Zeroize::zeroize);
        self.recovery_keys.zeroize();
        self.recovery_keys_base64.zeroize();
        self.root_token.zeroize();
    }
}

ops! { Initialise Initialised, Write; }

impl NodeOp for Initialise {
    async fn run(self, node: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<Initialised>> {
        if !matches!(*node.life(), Life::Uninitialised) {
            return Err(Error::bad_request("Vault is already initialized"));
        }
        let now = node.clock.now();
        let automatic = node.auto_seal.is_some();
        let (shares, threshold, pgp_keys) = if automatic {
            if self.secret_shares.is_some_and(|n| n > 1) {
                return Err(Error::bad_request(
                    "parameters secret_shares,secret_threshold not applicable to seal type; \
                     use recovery_shares and recovery_threshold",
                ));
            }
            (self.recovery_shares, self.recovery_threshold, self.recovery_pgp_keys)
        } else {
            (self.secret_shares, self.secret_threshold, self.pgp_keys)
        };
        let pgp_keys = pgp_keys.unwrap_or_default();
        // Clients that speak to an automatic seal may leave the recovery shares out.
        let default = i64::from(automatic);
        let plan =
            SharePlan::new(shares.unwrap_or(default), threshold.unwrap_or(default), &pgp_keys, now)
                .map_err(|mut e| {
                    for text in &mut e.public {
                        text.insert_str(0, "invalid seal configuration: ");
                    }
                    e
                })?;
        let recipient = self
            .root_token_pgp_key
            .filter(|key| !key.is_empty())
            .map(|key| Recipient::parse(&key, now))
            .transpose()?;
        let made = node.initialise(&InitRequest { plan, root_token: None }).await?;
        let root_token = match recipient {
            Some(to) => to.encrypt(made.root_token.expose_secret().as_bytes(), &*node.rng)?,
            None => made.root_token.expose_secret().clone(),
        };
        let hex = |s: &SecretBytes| hex::encode(s.expose_secret());
        let base64 = |s: &SecretBytes| STANDARD.encode(s.expose_secret());
        let (keys, keys_base64) =
            (made.shares.iter().map(hex).collect(), made.shares.iter().map(base64).collect());
        let mut view = Initialised::default();
        view.root_token = root_token;
        if automatic {
            (view.recovery_keys, view.recovery_keys_base64) = (keys, keys_base64);
            if node.unseal_automatically().await.is_err() {
                return Err(Error::unavailable("the automatic seal does not open the new store"));
            }
        } else {
            (view.keys, view.keys_base64) = (keys, keys_base64);
        }
        Ok(Reply::data(view).bare())
    }
}
