//! `sys/generate-root/*` (API page "/sys/generate-root"): a new root token, authorised by shares,
//! encoded so that only who began can read it.

use std::sync::Arc;

use strongroom_base::{Error, Result, SecretString, fields};
use strongroom_kernel::node::{Node, root_token};
use strongroom_kernel::plug::{NodeCall, NodeOp, Op, Reply, Verb};
use strongroom_kernel::seal::ceremony::{GenerateRootStatus, Progress, RootPlan, Share};

use super::rekey::{authority, open};

/// Characters of a one-time pad: those of a token with its prefix.
const OTP_CHARS: usize = 28;

fields! {
    /// Tells how far the root generation under way is.
    pub struct ReadAttempt {}
}

impl Op for ReadAttempt {
    type Reply = GenerateRootStatus;
    const VERB: Verb = Verb::Read;
}

impl NodeOp for ReadAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<GenerateRootStatus>> {
        let (_, set) = open(node, call).await?;
        let required = usize::from(set.threshold);
        Ok(Reply::data(node.ceremonies.lock().root.status(required, OTP_CHARS)).bare())
    }
}

fields! {
    /// Begins to generate a root token.
    pub struct StartAttempt {
        /// A one-time pad of 28 characters; drawn and shown once if not given.
        otp: Option<SecretString>,
        /// A public OpenPGP key to encrypt the token to instead.
        pgp_key: Option<String>,
    }
}

impl Op for StartAttempt {
    type Reply = GenerateRootStatus;
    const VERB: Verb = Verb::Write;
}

impl NodeOp for StartAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<GenerateRootStatus>> {
        let (_, set) = open(node, call).await?;
        let now = node.clock.now();
        let required = usize::from(set.threshold);
        if node.ceremonies.lock().root.plan().is_some() {
            return Err(Error::bad_request("root generation already in progress"));
        }
        let otp = self.otp.as_ref().map_or("", |o| o.expose_secret().as_str());
        let pgp_key = self.pgp_key.unwrap_or_default();
        let plan = RootPlan::new(otp, &pgp_key, OTP_CHARS, &*node.rng, now)?;
        let drawn = if otp.is_empty() { plan.otp().map(SecretString::duplicate) } else { None };
        let mut ceremonies = node.ceremonies.lock();
        ceremonies.root.start(plan, required, &*node.rng, now)?;
        let mut status = ceremonies.root.status(required, OTP_CHARS);
        if let Some(otp) = drawn {
            status.otp = otp.expose_secret().clone();
        }
        Ok(Reply::data(status).bare())
    }
}

fields! {
    /// Gives the root generation under way up.
    pub struct CancelAttempt {
        /// The nonce of the generation: needed once a share has been given.
        nonce: Option<String>,
    }
}

impl Op for CancelAttempt {
    type Reply = ();
    const VERB: Verb = Verb::Delete;
}

impl NodeOp for CancelAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<()>> {
        open(node, call).await?;
        let authority = authority(node, call, self.nonce.as_deref()).await?;
        node.ceremonies.lock().root.cancel(authority, node.clock.now())?;
        Ok(Reply::none())
    }
}

fields! {
    /// Gives one share; with the last one needed the answer carries the token, encoded.
    pub struct UpdateAttempt {
        /// The share.
        key: Option<SecretString>,
        /// The nonce of the generation.
        nonce: Option<String>,
    }
}

impl Op for UpdateAttempt {
    type Reply = GenerateRootStatus;
    const VERB: Verb = Verb::Write;
}

impl NodeOp for UpdateAttempt {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<GenerateRootStatus>> {
        let (services, set) = open(node, call).await?;
        let now = node.clock.now();
        let required = usize::from(set.threshold);
        let share = Share::parse(self.key.as_ref().map_or("", |k| k.expose_secret().as_str()))?;
        let nonce = self.nonce.unwrap_or_default();
        let progress = node.ceremonies.lock().root.offer(&nonce, share, now)?;
        let Progress::Key(key) = progress else {
            return Ok(Reply::data(node.ceremonies.lock().root.status(required, 0)).bare());
        };
        if !services.is_share_key(&set, key.expose_secret()).await? {
            return Err(Error::bad_request("unable to validate the given key shares"));
        }
        let tx = services.store.begin();
        let created = services.tokens.create(&tx, root_token(), "", now)?;
        tx.commit().await?;
        let plan = node.ceremonies.lock().root.finish();
        let plan = plan.ok_or_else(|| Error::bad_request("no root generation in progress"))?;
        let encoded = plan.encode(&created.text, &*node.rng)?;
        Ok(Reply::data(GenerateRootStatus::finished(&nonce, required, &plan, &encoded)).bare())
    }
}
