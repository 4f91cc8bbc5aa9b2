//! The ceremonies' answers, member for member as Vault's API pages "/sys/unseal", "/sys/rekey",
//! "/sys/rekey-recovery-key" and "/sys/generate-root" give them (observed: bao 2.6). They stand at
//! the top level of the body, outside of `data`.
//!
//! Views that carry key material have no `Debug` and are wiped when dropped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::{Error, Result, SecretString};
use zeroize::Zeroize;

use super::{Ceremony, HandedOut, RekeyPlan, RootPlan};

/// The members of seal-status that tell of unsealing; that view flattens them in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct UnsealProgress {
    /// Shares needed.
    pub t: usize,
    /// Shares there are.
    pub n: usize,
    /// Shares given.
    pub progress: usize,
    /// Of the unsealing under way, else empty.
    pub nonce: String,
}

/// `GET` and `PUT sys/rekey/init`, and `sys/rekey/update` while shares are missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RekeyStatus {
    /// Of the rekey under way, else empty.
    pub nonce: String,
    /// Is a rekey under way?
    pub started: bool,
    /// The new threshold.
    pub t: usize,
    /// How many new shares.
    pub n: usize,
    /// Shares given.
    pub progress: usize,
    /// Shares needed.
    pub required: usize,
    /// Of the new shares' recipients; `null` without.
    pub pgp_fingerprints: Option<Vec<String>>,
    /// Will a copy of the encrypted shares be kept?
    pub backup: bool,
    /// Must the new shares be shown back?
    pub verification_required: bool,
    /// Of the verification under way.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verification_nonce: String,
}

impl RekeyStatus {
    /// Blanks the nonces where shares have been given, for a reader without a token.
    pub fn withhold_nonce(&mut self) {
        if self.progress > 0 || !self.verification_nonce.is_empty() {
            self.nonce.clear();
            self.verification_nonce.clear();
        }
    }
}

/// `sys/rekey/update` with the last share needed.
#[derive(Serialize)]
pub struct RekeyUpdate {
    /// Of the rekey.
    pub nonce: String,
    /// True.
    pub complete: bool,
    /// The new shares (encrypted where there are recipients) in hex.
    pub keys: Vec<String>,
    /// The same in base64.
    pub keys_base64: Vec<String>,
    /// Of the recipients; `null` without.
    pub pgp_fingerprints: Option<Vec<String>>,
    /// Has a copy been kept?
    pub backup: bool,
    /// Must the new shares be shown back before they count?
    pub verification_required: bool,
    /// Of that verification.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verification_nonce: String,
}

impl RekeyUpdate {
    /// The answer that hands out the new shares; `verification_nonce` is empty without one.
    pub fn new(nonce: &str, plan: &RekeyPlan, out: &HandedOut, verification_nonce: &str) -> Self {
        let shares = || out.shares.iter().map(|share| share.expose_secret());
        Self {
            nonce: nonce.to_owned(),
            complete: true,
            keys: shares().map(hex::encode).collect(),
            keys_base64: shares().map(|share| STANDARD.encode(share)).collect(),
            pgp_fingerprints: out.fingerprints.clone(),
            backup: plan.backup,
            verification_required: !verification_nonce.is_empty(),
            verification_nonce: verification_nonce.to_owned(),
        }
    }
}

impl RekeyUpdate {
    /// The new shares must be shown back before they count; `nonce` is of that verification.
    pub fn verify(&mut self, nonce: String) {
        self.verification_required = true;
        self.verification_nonce = nonce;
    }
}

impl Drop for RekeyUpdate {
    fn drop(&mut self) {
        self.keys.zeroize();
        self.keys_base64.zeroize();
    }
}

/// `sys/rekey/verify` while new shares are missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RekeyVerifyStatus {
    /// Of the verification.
    pub nonce: String,
    /// Is a verification under way?
    pub started: bool,
    /// The new threshold.
    pub t: usize,
    /// How many new shares.
    pub n: usize,
    /// New shares shown.
    pub progress: usize,
}

impl RekeyVerifyStatus {
    /// Blanks the nonce where shares have been given, for a reader without a token.
    pub fn withhold_nonce(&mut self) {
        if self.progress > 0 {
            self.nonce.clear();
        }
    }
}

/// `sys/rekey/verify` with the last new share needed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RekeyVerifyUpdate {
    /// Of the verification.
    pub nonce: String,
    /// True.
    pub complete: bool,
}

/// `sys/generate-root/attempt` and `update`.
#[derive(Serialize)]
pub struct GenerateRootStatus {
    /// Of the generation under way, else empty.
    pub nonce: String,
    /// Is one under way (or just complete)?
    pub started: bool,
    /// Shares given.
    pub progress: usize,
    /// Shares needed.
    pub required: usize,
    /// Is this the answer that carries the token?
    pub complete: bool,
    /// The token, encoded.
    pub encoded_token: String,
    /// The same; older clients read this one.
    pub encoded_root_token: String,
    /// Of the public key, or empty.
    pub pgp_fingerprint: String,
    /// The one-time pad, once, to whoever started without giving one.
    pub otp: String,
    /// Characters of a one-time pad.
    pub otp_length: usize,
}

impl GenerateRootStatus {
    /// Blanks the nonce where shares have been given, for a reader without a token.
    pub fn withhold_nonce(&mut self) {
        if self.progress > 0 && !self.complete {
            self.nonce.clear();
        }
    }

    /// The answer to the last share needed.
    pub fn finished(nonce: &str, required: usize, plan: &RootPlan, encoded: &SecretString) -> Self {
        Self {
            nonce: nonce.to_owned(),
            started: true,
            progress: required,
            required,
            complete: true,
            encoded_token: encoded.expose_secret().clone(),
            encoded_root_token: encoded.expose_secret().clone(),
            pgp_fingerprint: plan.fingerprint(),
            otp: String::new(),
            otp_length: 0,
        }
    }
}

impl Drop for GenerateRootStatus {
    fn drop(&mut self) {
        self.encoded_token.zeroize();
        self.encoded_root_token.zeroize();
        self.otp.zeroize();
    }
}

impl Ceremony<RekeyPlan> {
    /// The rekey's status; `required` is the threshold of the shares in force.
    pub fn status(&self, required: usize) -> RekeyStatus {
        let plan = self.plan();
        let verification = self.running.as_ref().and_then(|running| running.verification.as_ref());
        RekeyStatus {
            nonce: self.nonce().unwrap_or_default().to_owned(),
            started: plan.is_some(),
            t: plan.map_or(0, |plan| plan.shares.threshold()),
            n: plan.map_or(0, |plan| plan.shares.shares()),
            progress: self.progress(),
            required,
            pgp_fingerprints: plan.and_then(|plan| plan.shares.fingerprints()),
            backup: plan.is_some_and(|plan| plan.backup),
            verification_required: plan.is_some_and(|plan| plan.verification_required),
            verification_nonce: verification.map_or_else(String::new, |v| v.nonce.clone()),
        }
    }

    /// The verification's status; an error without a rekey under way.
    pub fn verify_status(&self) -> Result<RekeyVerifyStatus> {
        let Some(running) = &self.running else {
            return Err(Error::bad_request("no rekey configuration found"));
        };
        let verification = running.verification.as_ref();
        Ok(RekeyVerifyStatus {
            nonce: verification.map_or_else(String::new, |v| v.nonce.clone()),
            started: verification.is_some(),
            t: running.plan.shares.threshold(),
            n: running.plan.shares.shares(),
            progress: verification.map_or(0, |v| v.shares.given.len()),
        })
    }
}

impl Ceremony<RootPlan> {
    /// The generation's status. `otp_length` is 0 in answers to a share.
    pub fn status(&self, required: usize, otp_length: usize) -> GenerateRootStatus {
        GenerateRootStatus {
            nonce: self.nonce().unwrap_or_default().to_owned(),
            started: self.running.is_some(),
            progress: self.progress(),
            required,
            complete: false,
            encoded_token: String::new(),
            encoded_root_token: String::new(),
            pgp_fingerprint: self.plan().map_or_else(String::new, RootPlan::fingerprint),
            otp: String::new(),
            otp_length,
        }
    }
}
