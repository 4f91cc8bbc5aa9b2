//! A *ceremony* is what key holders do together: each gives their share, and when enough of them
//! are there, the key of which they are shares. Unsealing, rekeying and generating a root token are
//! the same ceremony with another purpose; this module is its state machine and knows neither the
//! barrier nor the storage nor HTTP.
//!
//! * Invariant: the same share never counts twice; shares are compared in constant time (threats:
//!   GHSA-34fc-gh42-pj53, CVE-2023-25000).
//! * Invariant: once the shares are combined, or the ceremony ends in any way, the shares are wiped.
//! * Invariant: once a share has been given, only somebody who names the nonce or holds a token can
//!   cancel a rekey or a root generation (threats: CVE-2026-5807, CVE-2025-52894). After
//!   [`UNTOUCHED_SECONDS_MAX`] without a share anybody can again, as with Vault since 1.17.18, so
//!   that nobody blocks the endpoint for good. Unsealing is reset by anybody, as clients expect:
//!   while the store is sealed there is nobody to ask.
//!
//! The nonce names an operation, so that holders notice when another one was put in its place. It
//! is no secret by itself: status replies show it, because Vault's own command line takes it from
//! there when it asks a holder for a share. A server that faces strangers withholds it
//! ([`view::RekeyStatus::withhold_nonce`] and its like) or turns the open endpoints off.

pub mod plan;
pub mod view;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Result, Rng, SecretBytes, Timestamp};
use strongroom_crypto::{constant_time_eq, shamir};
use zeroize::Zeroize;

pub use plan::{HandedOut, RekeyPlan, RootPlan, SharePlan};
pub use view::{
    GenerateRootStatus, RekeyStatus, RekeyUpdate, RekeyVerifyStatus, RekeyVerifyUpdate,
    UnsealProgress,
};

/// Bytes of the shortest share that is looked at.
pub const SHARE_BYTES_MIN: usize = 16;
/// Bytes of the longest: a 256-bit key and its x coordinate.
pub const SHARE_BYTES_MAX: usize = 33;
/// Characters of a share on the wire, either encoding.
const SHARE_TEXT_MAX: usize = 1024;
/// Seconds without a share after which anybody can cancel an operation.
pub const UNTOUCHED_SECONDS_MAX: i64 = 600;

/// A key holder's share (or the whole key where there is one holder), of a possible length.
#[derive(Debug)]
pub struct Share(SecretBytes);

impl Share {
    /// Reads a share as the wire carries it: hex or base64. What is both counts as hex only where
    /// its length is possible (as with Vault: a base64 text may happen to be valid hex).
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return refused("'key' must be specified in request body as JSON");
        }
        if text.len() > SHARE_TEXT_MAX {
            return refused("'key' must be a valid hex or base64 string");
        }
        if let Ok(mut bytes) = hex::decode(text) {
            if possible(bytes.len()) {
                return Ok(Self(SecretBytes::new(bytes)));
            }
            bytes.zeroize();
        }
        match STANDARD.decode(text) {
            Ok(bytes) => Self::new(SecretBytes::new(bytes)),
            Err(_) => refused("'key' must be a valid hex or base64 string"),
        }
    }

    /// A share of these bytes.
    pub fn new(bytes: SecretBytes) -> Result<Self> {
        match bytes.expose_secret().len() {
            n if n < SHARE_BYTES_MIN => {
                refused(format!("key is shorter than minimum {SHARE_BYTES_MIN} bytes"))
            }
            n if n > SHARE_BYTES_MAX => {
                refused(format!("key is longer than maximum {SHARE_BYTES_MAX} bytes"))
            }
            _ => Ok(Self(bytes)),
        }
    }

    /// The share's bytes, for whoever keeps a list of what real shares look like.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

fn possible(length: usize) -> bool {
    (SHARE_BYTES_MIN..=SHARE_BYTES_MAX).contains(&length)
}

fn refused<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::bad_request(text))
}

/// What the holders come together for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Opening the store.
    Unseal,
    /// New unseal shares.
    Rekey,
    /// New recovery shares.
    RecoveryRekey,
    /// A new root token.
    GenerateRoot,
}

impl Purpose {
    fn already_started(self) -> &'static str {
        match self {
            Self::Unseal => "unseal already in progress",
            Self::Rekey | Self::RecoveryRekey => "rekey already in progress",
            Self::GenerateRoot => "root generation already in progress",
        }
    }

    fn not_started(self) -> &'static str {
        match self {
            Self::Unseal => "no unseal in progress",
            Self::Rekey => "no barrier rekey in progress",
            Self::RecoveryRekey => "no recovery rekey in progress",
            Self::GenerateRoot => "no root generation in progress",
        }
    }

    fn repeated(self) -> &'static str {
        match self {
            Self::RecoveryRekey => {
                "given key has already been provided during this rekey operation"
            }
            _ => "given key has already been provided during this generation operation",
        }
    }

    /// The key that shares of this purpose give, in error texts.
    fn key(self) -> &'static str {
        match self {
            Self::Unseal => "combined key",
            Self::RecoveryRekey => "recovery key",
            Self::Rekey | Self::GenerateRoot => "root key",
        }
    }
}

/// Why a caller may cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authority<'a> {
    /// No reason given.
    Anyone,
    /// The caller names the operation. An empty nonce is none.
    Nonce(&'a str),
    /// The caller's token is allowed to.
    Token,
}

/// What a share led to.
#[derive(Debug)]
pub enum Progress {
    /// More shares are needed.
    More,
    /// Enough shares: this is what they combine to. Whether it is the right key only its use can
    /// tell; with a wrong one the holders start over.
    Key(SecretBytes),
}

/// The ceremony of one purpose: idle, or with an operation under way whose plan is `P`.
#[derive(Debug)]
pub struct Ceremony<P> {
    purpose: Purpose,
    running: Option<Running<P>>,
}

/// Opening the store.
pub type Unsealing = Ceremony<()>;
/// New unseal or recovery shares.
pub type Rekeying = Ceremony<RekeyPlan>;
/// A new root token.
pub type RootGeneration = Ceremony<RootPlan>;

#[derive(Debug)]
struct Running<P> {
    plan: P,
    nonce: String,
    shares: Collection,
    /// When the operation was started or a share was last given.
    touched: Timestamp,
    /// Set once the new shares are handed out and must be shown back before they count.
    verification: Option<Verification>,
}

/// An operation whose end is being carried out.
#[derive(Debug)]
pub struct Taken<P>(Running<P>);

impl<P> Taken<P> {
    /// Its plan.
    pub fn plan(&self) -> &P {
        &self.0.plan
    }
}

#[derive(Debug)]
struct Verification {
    nonce: String,
    shares: Collection,
    key: SecretBytes,
}

impl<P> Ceremony<P> {
    /// An idle ceremony.
    pub fn new(purpose: Purpose) -> Self {
        Self { purpose, running: None }
    }

    /// Starts an operation that `threshold` shares complete, and returns its nonce.
    pub fn start(
        &mut self,
        plan: P,
        threshold: usize,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<String> {
        if self.running.is_some() {
            return refused(self.purpose.already_started());
        }
        let nonce = rng.uuid();
        self.running = Some(Running {
            plan,
            nonce: nonce.clone(),
            shares: Collection::new(threshold),
            touched: now,
            verification: None,
        });
        Ok(nonce)
    }

    /// The plan of the operation under way.
    pub fn plan(&self) -> Option<&P> {
        self.running.as_ref().map(|running| &running.plan)
    }

    /// The nonce of the operation under way.
    pub fn nonce(&self) -> Option<&str> {
        self.running.as_ref().map(|running| running.nonce.as_str())
    }

    /// How many shares have been given.
    pub fn progress(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.shares.given.len())
    }

    /// Takes a share for the operation that `nonce` names. The last one needed gives the key; the
    /// operation stays, with no share given, until [`Ceremony::finish`].
    pub fn offer(&mut self, nonce: &str, share: Share, now: Timestamp) -> Result<Progress> {
        let purpose = self.purpose;
        let Some(running) = &mut self.running else {
            return refused(purpose.not_started());
        };
        if running.verification.is_some() {
            return refused("rekey operation already finished; verification must be performed");
        }
        if !constant_time_eq(nonce.as_bytes(), running.nonce.as_bytes()) {
            return refused("incorrect nonce supplied");
        }
        if running.shares.holds(&share) {
            return refused(purpose.repeated());
        }
        running.touched = now;
        running.shares.take(share, purpose.key())
    }

    /// Ends the operation: it is done. Gives back its plan.
    pub fn finish(&mut self) -> Option<P> {
        self.take().map(|Taken(running)| running.plan)
    }

    /// Takes the operation out, so that nobody else goes on with it while its end is carried out.
    pub fn take(&mut self) -> Option<Taken<P>> {
        self.running.take().map(Taken)
    }

    /// Goes on with an operation whose end could not be carried out, in place of any that was started
    /// meanwhile.
    pub fn put_back(&mut self, Taken(running): Taken<P>) {
        self.running = Some(running);
    }

    /// Gives the operation up and wipes its shares. Without one under way there is nothing to do,
    /// and that is no error.
    pub fn cancel(&mut self, authority: Authority<'_>, now: Timestamp) -> Result<()> {
        if let Some(running) = &self.running {
            let given = running.verification.is_some() || !running.shares.given.is_empty();
            self.permit(given, &running.nonce, authority, now)?;
        }
        self.running = None;
        Ok(())
    }

    /// May a caller undo what `nonce` names, after shares have been `given` for it?
    fn permit(
        &self,
        given: bool,
        nonce: &str,
        authority: Authority<'_>,
        now: Timestamp,
    ) -> Result<()> {
        let touched = self.running.as_ref().map_or(Timestamp::ZERO, |running| running.touched);
        let permitted = match authority {
            Authority::Token => true,
            Authority::Nonce(named) if !named.is_empty() => {
                constant_time_eq(named.as_bytes(), nonce.as_bytes())
            }
            Authority::Nonce(_) | Authority::Anyone => {
                !given
                    || self.purpose == Purpose::Unseal
                    || now >= touched.plus_seconds(UNTOUCHED_SECONDS_MAX)
            }
        };
        match (permitted, authority) {
            (true, _) => Ok(()),
            (false, Authority::Nonce(named)) if !named.is_empty() => {
                refused("incorrect nonce supplied")
            }
            (false, _) => refused(
                "key shares have been provided: canceling needs the nonce of the operation or a token",
            ),
        }
    }
}

impl Ceremony<()> {
    /// Takes a share for unsealing, which nobody has to start: the first share does. A share that
    /// was given already changes nothing. After the last one needed, the ceremony is idle again.
    pub fn unseal(
        &mut self,
        share: Share,
        threshold: usize,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<Progress> {
        let purpose = self.purpose;
        let running = self.running.get_or_insert_with(|| Running {
            plan: (),
            nonce: rng.uuid(),
            shares: Collection::new(threshold),
            touched: now,
            verification: None,
        });
        if running.shares.holds(&share) {
            return Ok(Progress::More);
        }
        running.touched = now;
        let progress = running.shares.take(share, purpose.key());
        if !matches!(progress, Ok(Progress::More)) {
            self.running = None;
        }
        progress
    }

    /// The members of seal-status that tell of the ceremony.
    pub fn status(&self, threshold: usize, shares: usize) -> UnsealProgress {
        UnsealProgress {
            t: threshold,
            n: shares,
            progress: self.progress(),
            nonce: self.nonce().unwrap_or_default().to_owned(),
        }
    }
}

impl Ceremony<RekeyPlan> {
    /// The new shares of `key` have been handed out; they count only after enough of them were
    /// shown back. Returns the nonce of that verification.
    pub fn verify_before_use(
        &mut self,
        key: SecretBytes,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<String> {
        let Some(running) = &mut self.running else {
            return refused("no rekey in progress");
        };
        let nonce = rng.uuid();
        let shares = Collection::new(running.plan.shares.threshold());
        running.shares.wipe();
        running.touched = now;
        running.verification = Some(Verification { nonce: nonce.clone(), shares, key });
        Ok(nonce)
    }

    /// Takes one of the new shares. [`Progress::Key`] is the new key, now verified: the caller puts
    /// it in force and calls [`Ceremony::finish`]. Wrong shares cost the progress and the nonce.
    pub fn verify(
        &mut self,
        nonce: &str,
        share: Share,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<Progress> {
        let Some(running) = &mut self.running else {
            return refused("no rekey in progress");
        };
        let Some(verification) = &mut running.verification else {
            return refused("no rekey verification in progress");
        };
        if !constant_time_eq(nonce.as_bytes(), verification.nonce.as_bytes()) {
            return refused("incorrect nonce supplied");
        }
        if verification.shares.holds(&share) {
            return refused("given key has already been provided during this verify operation");
        }
        running.touched = now;
        let progress = verification.shares.take(share, "key for verification");
        let failure = match progress {
            Ok(Progress::Key(key)) if !key.constant_time_eq(verification.key.expose_secret()) => {
                refused("rekey verification failed; incorrect key shares supplied")
            }
            Ok(progress) => return Ok(progress),
            Err(e) => Err(e),
        };
        verification.nonce = rng.uuid();
        failure
    }

    /// Forgets the new shares shown so far and changes the verification's nonce; the rekey itself
    /// stays. Outside of a verification there is nothing to do.
    pub fn restart_verification(
        &mut self,
        authority: Authority<'_>,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<()> {
        let verification = self.running.as_ref().and_then(|running| running.verification.as_ref());
        let Some(verification) = verification else {
            return Ok(());
        };
        let given = !verification.shares.given.is_empty();
        self.permit(given, &verification.nonce, authority, now)?;
        if let Some(verification) =
            self.running.as_mut().and_then(|running| running.verification.as_mut())
        {
            verification.shares.wipe();
            verification.nonce = rng.uuid();
        }
        Ok(())
    }

    /// Is the rekey waiting for the new shares to be shown back?
    pub fn verifying(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.verification.is_some())
    }
}

/// Shares that have been given.
#[derive(Debug)]
struct Collection {
    threshold: usize,
    given: Vec<SecretBytes>,
}

impl Collection {
    fn new(threshold: usize) -> Self {
        Self { threshold, given: Vec::new() }
    }

    /// Looks at every share whatever it finds: the time tells only how many there are.
    fn holds(&self, share: &Share) -> bool {
        let equal = |given: &SecretBytes| given.constant_time_eq(share.bytes());
        self.given.iter().fold(false, |found, given| found | equal(given))
    }

    fn wipe(&mut self) {
        self.given.clear();
    }

    fn take(&mut self, share: Share, key: &str) -> Result<Progress> {
        self.given.push(share.0);
        if self.given.len() < self.threshold {
            return Ok(Progress::More);
        }
        let mut given = std::mem::take(&mut self.given);
        if self.threshold <= 1 {
            // The only holder's share is the key itself.
            return given.pop().map_or(Ok(Progress::More), |key| Ok(Progress::Key(key)));
        }
        let shares: Vec<&[u8]> = given.iter().map(|s| s.expose_secret().as_slice()).collect();
        match shamir::combine(&shares) {
            Ok(combined) => Ok(Progress::Key(combined)),
            Err(e) => {
                let why = e.public.first().map_or("", String::as_str);
                refused(format!("failed to compute {key}: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
