//! `sys/rekey/*` and `sys/rekey-recovery-key/*` (API pages of these names): new shares, authorised
//! by those in force. Without an automatic seal the shares are unseal keys, beside one they are
//! recovery keys; there is one share set either way.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Result, SecretBytes, SecretString, fields};
use strongroom_kernel::node::{Node, Services};
use strongroom_kernel::plug::{NodeCall, NodeOp, Reply, ops};
use strongroom_kernel::record::Scope;
use strongroom_kernel::seal::ceremony::{
    Authority, Progress, RekeyPlan, RekeyStatus, RekeyUpdate, RekeyVerifyStatus, RekeyVerifyUpdate,
    Share, Taken,
};
use strongroom_kernel::seal::{self, RekeyBackup, Shares};

/// The services and the share set of an open store whose key ceremonies are served.
pub(super) async fn open(node: &Arc<Node>, call: &NodeCall<'_>) -> Result<(Arc<Services>, Shares)> {
    let services = node.active()?;
    if !node.config.unauthenticated_key_ceremonies && !call.authorised {
        return Err(Error::unsupported());
    }
    let set = seal::shares(&node.storage).await?;
    Ok((services, set.ok_or_else(|| Error::internal("the store has no share set"))?))
}

/// May the caller cancel what others gave shares for?
pub(super) async fn authority<'n>(
    node: &Arc<Node>,
    call: &NodeCall<'_>,
    nonce: Option<&'n str>,
) -> Result<Authority<'n>> {
    if call.authorised {
        return Ok(Authority::Token);
    }
    if let (Some(token), Ok(services)) = (call.token, node.active()) {
        let table = services.router.table().await?;
        let found = services.tokens.check(&table, token, node.clock.now()).await?;
        if found.is_some_and(|t| t.is_root()) {
            return Ok(Authority::Token);
        }
    }
    Ok(nonce.map_or(Authority::Anyone, Authority::Nonce))
}

fields! {
    /// Tells how far the rekey under way is.
    pub struct ReadRekey {}
}

ops! { ReadRekey RekeyStatus, Read; }

impl NodeOp for ReadRekey {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<RekeyStatus>> {
        let (_, set) = open(node, call).await?;
        let status = node.ceremonies.lock().rekeying.status(usize::from(set.threshold));
        Ok(Reply::data(status).bare())
    }
}

fields! {
    /// Begins a rekey.
    pub struct StartRekey {
        /// How many new shares.
        secret_shares: Option<i64>,
        /// How many of them open the store.
        secret_threshold: Option<i64>,
        /// Public OpenPGP keys to encrypt the new shares to.
        pgp_keys: Option<Vec<String>>,
        /// Keep a copy of the encrypted shares.
        backup: Option<bool>,
        /// The new shares count only after they were shown back.
        require_verification: Option<bool>,
        /// Accepted and without effect.
        stored_shares: Option<i64>,
    }
}

ops! { StartRekey RekeyStatus, Write; }

impl NodeOp for StartRekey {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<RekeyStatus>> {
        let (_, set) = open(node, call).await?;
        let now = node.clock.now();
        let threshold = usize::from(set.threshold);
        if node.ceremonies.lock().rekeying.plan().is_some() {
            return Err(Error::bad_request("rekey already in progress"));
        }
        let plan = RekeyPlan::new(
            self.secret_shares.unwrap_or(0),
            self.secret_threshold.unwrap_or(0),
            &self.pgp_keys.unwrap_or_default(),
            self.backup == Some(true),
            self.require_verification == Some(true),
            now,
        )?;
        let mut ceremonies = node.ceremonies.lock();
        ceremonies.rekeying.start(plan, threshold, &*node.rng, now)?;
        Ok(Reply::data(ceremonies.rekeying.status(threshold)).bare())
    }
}

fields! {
    /// Gives the rekey under way up.
    pub struct CancelRekey {
        /// The nonce of the rekey: needed once a share has been given.
        nonce: Option<String>,
    }
}

ops! { CancelRekey (), Delete; }

impl NodeOp for CancelRekey {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<()>> {
        open(node, call).await?;
        let authority = authority(node, call, self.nonce.as_deref()).await?;
        node.ceremonies.lock().rekeying.cancel(authority, node.clock.now())?;
        Ok(Reply::none())
    }
}

fields! {
    /// Gives one of the shares in force; with the last one needed there are new shares.
    pub struct UpdateRekey {
        /// The share.
        key: Option<SecretString>,
        /// The nonce of the rekey.
        nonce: Option<String>,
    }
}

/// The answer of an update: progress, or the new shares.
#[derive(Serialize)]
#[serde(untagged)]
pub enum RekeyAnswer {
    /// More shares are needed.
    Progress(RekeyStatus),
    /// The new shares.
    Done(RekeyUpdate),
}

ops! { UpdateRekey RekeyAnswer, Write; }

impl NodeOp for UpdateRekey {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<RekeyAnswer>> {
        let (services, set) = open(node, call).await?;
        if call.wraps {
            // Wrapping may fail when the new shares are in force already.
            return Err(Error::bad_request("new key shares cannot be wrapped"));
        }
        let now = node.clock.now();
        let share = Share::parse(self.key.as_ref().map_or("", |k| k.expose_secret().as_str()))?;
        let nonce = self.nonce.unwrap_or_default();
        let progress = node.ceremonies.lock().rekeying.offer(&nonce, share, now)?;
        let Progress::Key(old) = progress else {
            let status = node.ceremonies.lock().rekeying.status(usize::from(set.threshold));
            return Ok(Reply::data(RekeyAnswer::Progress(status)).bare());
        };
        if !services.is_share_key(&set, old.expose_secret()).await? {
            return Err(Error::bad_request("unable to validate the given key shares"));
        }
        let new = SecretBytes::new(node.rng.array::<32>().to_vec());
        let (mut done, taken) = {
            let mut ceremonies = node.ceremonies.lock();
            let rekeying = &mut ceremonies.rekeying;
            let plan = rekeying.plan().ok_or_else(not_started)?;
            let out = plan.shares.hand_out(&new, &*node.rng)?;
            let mut done = RekeyUpdate::new(&nonce, plan, &out, "");
            if plan.verification_required {
                done.verify(rekeying.verify_before_use(new.duplicate(), &*node.rng, now)?);
                (done, None)
            } else {
                (done, rekeying.take())
            }
        };
        if done.backup
            && let Err(e) = keep_backup(&services, &done).await
        {
            taken.into_iter().for_each(|taken| node.ceremonies.lock().rekeying.put_back(taken));
            return Err(e);
        }
        if let Some(taken) = taken {
            done = put_in_force(node, &services, &new, taken, done).await?;
        }
        done.complete = true;
        Ok(Reply::data(RekeyAnswer::Done(done)).bare().recorded())
    }
}

fn not_started() -> Error {
    Error::bad_request("no barrier rekey in progress")
}

/// Puts the new shares in force. Where the storage fails so that nobody knows whether they are, they are handed
/// out all the same: they must be shown back before the others may go, which puts them in force if they are not.
async fn put_in_force(
    node: &Arc<Node>,
    services: &Arc<Services>,
    key: &SecretBytes,
    taken: Taken<RekeyPlan>,
    mut done: RekeyUpdate,
) -> Result<RekeyUpdate> {
    let installed = services.install_shares(key, &taken.plan().shares).await;
    let mut ceremonies = node.ceremonies.lock();
    match installed {
        Ok(()) => {
            // Its threshold was that of the old shares.
            let _ = ceremonies.root.cancel(Authority::Token, node.clock.now());
        }
        Err(error) => {
            let rekeying = &mut ceremonies.rekeying;
            rekeying.put_back(taken);
            if error.kind != ErrorKind::InDoubt {
                return Err(error);
            }
            tracing::error!(%error, "it is not known whether the new key shares are in force");
            let now = node.clock.now();
            done.verify(rekeying.verify_before_use(key.duplicate(), &*node.rng, now)?);
        }
    }
    Ok(done)
}

/// Keeps a copy of the encrypted shares (`sys/rekey/backup`).
async fn keep_backup(services: &Arc<Services>, done: &RekeyUpdate) -> Result<()> {
    let mut keys = BTreeMap::<String, Vec<String>>::new();
    for (fingerprint, share) in done.pgp_fingerprints.iter().flatten().zip(&done.keys) {
        keys.entry(fingerprint.clone()).or_default().push(share.clone());
    }
    let backup = &RekeyBackup { nonce: done.nonce.clone(), keys };
    services
        .store
        .transact(|tx| async move { tx.write(Scope::ROOT).put_named(0, "", backup) })
        .await
}

fields! {
    /// Tells how far the verification of the new shares is.
    pub struct ReadRekeyVerify {}
}

ops! { ReadRekeyVerify RekeyVerifyStatus, Read; }

impl NodeOp for ReadRekeyVerify {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<RekeyVerifyStatus>> {
        open(node, call).await?;
        let status = node.ceremonies.lock().rekeying.verify_status()?;
        Ok(Reply::data(status).bare())
    }
}

fields! {
    /// Shows one of the new shares back; with the last one needed they count.
    pub struct UpdateRekeyVerify {
        /// The new share.
        key: Option<SecretString>,
        /// The nonce of the verification.
        nonce: Option<String>,
    }
}

/// The answer of a verification's update.
#[derive(Serialize)]
#[serde(untagged)]
pub enum VerifyAnswer {
    /// More shares are needed.
    Progress(RekeyVerifyStatus),
    /// The new shares count.
    Done(RekeyVerifyUpdate),
}

ops! { UpdateRekeyVerify VerifyAnswer, Write; }

impl NodeOp for UpdateRekeyVerify {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<VerifyAnswer>> {
        let (services, _) = open(node, call).await?;
        let share = Share::parse(self.key.as_ref().map_or("", |k| k.expose_secret().as_str()))?;
        let nonce = self.nonce.unwrap_or_default();
        let progress =
            node.ceremonies.lock().rekeying.verify(&nonce, share, &*node.rng, node.clock.now())?;
        let answer = match progress {
            Progress::More => {
                VerifyAnswer::Progress(node.ceremonies.lock().rekeying.verify_status()?)
            }
            Progress::Key(key) => {
                let taken = node.ceremonies.lock().rekeying.take().ok_or_else(not_started)?;
                let installed = services.install_shares(&key, &taken.plan().shares).await;
                let mut ceremonies = node.ceremonies.lock();
                if let Err(error) = installed {
                    // The new shares can be shown again.
                    ceremonies.rekeying.put_back(taken);
                    return Err(error);
                }
                // Its threshold was that of the old shares.
                let _ = ceremonies.root.cancel(Authority::Token, node.clock.now());
                VerifyAnswer::Done(RekeyVerifyUpdate { nonce, complete: true })
            }
        };
        Ok(Reply::data(answer).bare())
    }
}

fields! {
    /// Starts the verification of the new shares again.
    pub struct RestartRekeyVerify {
        /// The nonce of the verification: needed once a share has been shown.
        nonce: Option<String>,
    }
}

ops! { RestartRekeyVerify RekeyVerifyStatus, Delete; }

impl NodeOp for RestartRekeyVerify {
    async fn run(self, node: &Arc<Node>, call: &NodeCall<'_>) -> Result<Reply<RekeyVerifyStatus>> {
        open(node, call).await?;
        let authority = authority(node, call, self.nonce.as_deref()).await?;
        let mut ceremonies = node.ceremonies.lock();
        ceremonies.rekeying.restart_verification(authority, &*node.rng, node.clock.now())?;
        let status = ceremonies.rekeying.verify_status()?;
        Ok(Reply::data(status).bare())
    }
}
