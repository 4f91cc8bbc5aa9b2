//! Seals: how the root key, which wraps the key ring, is kept (design §9; docs/formats/seals.md).
//!
//! Records before the barrier lie plain in [`indexes::META`]:
//! * `keyring`: the ring, encrypted under the root key;
//! * `seal/shares`: the root key, encrypted under a random key K that is split into shares;
//! * `seal/auto`: the root key, wrapped by the automatic seal.
//!
//! K also lies inside the barrier, so that the root key can be wrapped again without the shares.

pub mod ceremony;
mod restored;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use strongroom_base::{Error, ErrorKind, Result, Rng, Secret, SecretBytes, Timestamp};
use strongroom_crypto::aead::Key256;
use strongroom_crypto::digest::Sha256;
use strongroom_storage::{BoxFuture, Change, Key, Storage};

use self::ceremony::SharePlan;
pub use self::restored::Restored;
use crate::barrier::KeyRing;
use crate::record::{Record, decode, encode, indexes, storage_error};

/// A root key, or the key that shares are made of.
pub type RootKey = Secret<[u8; 32]>;

/// An automatic seal: wraps the root key with a key held elsewhere.
pub trait Seal: Send + Sync + 'static {
    /// The type in `sys/seal-status` (`static`).
    fn kind(&self) -> &'static str;
    /// Wraps the root key.
    fn wrap<'a>(&'a self, key: &'a RootKey) -> BoxFuture<'a, Result<Vec<u8>>>;
    /// Unwraps what [`Seal::wrap`] made.
    fn unwrap<'a>(&'a self, wrapped: &'a [u8]) -> BoxFuture<'a, Result<RootKey>>;
    /// The id of the key that wraps now, if the seal's keys have ids.
    fn key_id(&self) -> Option<&str> {
        None
    }
    /// Did the key that wraps now wrap this? A seal that cannot tell says yes.
    fn is_current(&self, _wrapped: &[u8]) -> bool {
        true
    }
}

/// Key holders' operations under way: unsealing, rekeying, generating a root token.
#[derive(Debug)]
pub struct Ceremonies {
    /// Opening the store.
    pub unsealing: ceremony::Unsealing,
    /// New shares.
    pub rekeying: ceremony::Rekeying,
    /// A new root token.
    pub root: ceremony::RootGeneration,
}

impl Default for Ceremonies {
    fn default() -> Self {
        use ceremony::Purpose;
        Self {
            unsealing: ceremony::Unsealing::new(Purpose::Unseal),
            rekeying: ceremony::Rekeying::new(Purpose::Rekey),
            root: ceremony::RootGeneration::new(Purpose::GenerateRoot),
        }
    }
}

/// The share set, as stored beside the barrier.
#[derive(Clone, Serialize, Deserialize)]
pub struct Shares {
    /// How many shares there are.
    pub count: u8,
    /// How many open the store.
    pub threshold: u8,
    /// The root key under K.
    pub wrapped: Vec<u8>,
    /// When the set was made.
    pub created: Timestamp,
    /// A digest of the rest, by which a damaged record is told from wrong shares. Empty in sets of
    /// earlier versions.
    #[serde(default)]
    pub check: Vec<u8>,
}

impl Shares {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(SHARES).update(&[self.count, self.threshold]).update(&self.wrapped);
        hash.finish()
    }

    /// Is the record other than it was written?
    pub fn is_damaged(&self) -> bool {
        !self.check.is_empty() && self.check != self.digest()
    }
}

/// K, inside the barrier.
#[derive(Serialize, Deserialize)]
pub struct ShareKey(pub Vec<u8>);

impl Record for ShareKey {
    const KIND: u8 = 206;
}

impl Drop for ShareKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// The encrypted shares of the last rekey that asked for a copy: fingerprint of the public key →
/// OpenPGP messages, hex.
#[derive(Serialize, Deserialize)]
pub struct RekeyBackup {
    /// Of the rekey.
    pub nonce: String,
    /// The shares.
    pub keys: std::collections::BTreeMap<String, Vec<String>>,
}

impl Record for RekeyBackup {
    const KIND: u8 = 251;
}

/// The name of the key ring's record.
pub const KEYRING: &[u8] = b"keyring";
/// The name of the share set's record.
pub const SHARES: &[u8] = b"seal/shares";
/// The name of the automatic seal's record.
pub const AUTO: &[u8] = b"seal/auto";

/// A record outside the barrier.
pub async fn meta(storage: &Arc<dyn Storage>, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let key = Key::Index(indexes::META, SmallVec::from_slice(name));
    let value = storage.get(&key).done().await.map_err(storage_error)?;
    Ok(value.map(|v| v.to_vec()))
}

/// The change that sets a record outside the barrier.
pub fn put_meta(name: &[u8], value: &[u8]) -> Change {
    Change::Put(Key::Index(indexes::META, SmallVec::from_slice(name)), value.into())
}

/// The change that removes a record outside the barrier.
pub fn delete_meta(name: &[u8]) -> Change {
    Change::Delete(Key::Index(indexes::META, SmallVec::from_slice(name)))
}

/// Encrypts `plain` under `key`, with `what` as associated data.
pub fn wrap_with(key: &RootKey, what: &[u8], plain: &[u8], rng: &dyn Rng) -> Result<Vec<u8>> {
    let nonce: [u8; 12] = rng.array();
    let mut out = nonce.to_vec();
    Key256::new(key.expose_secret()).seal_into(nonce, what, plain, &mut out)?;
    Ok(out)
}

/// Decrypts what [`wrap_with`] made; `None` where the key does not fit.
pub fn unwrap_with(key: &RootKey, what: &[u8], wrapped: &[u8]) -> Option<SecretBytes> {
    let nonce: [u8; 12] = wrapped.get(..12)?.try_into().ok()?;
    Key256::new(key.expose_secret()).open(nonce, what, wrapped.get(12..)?).ok()
}

/// 32 bytes as a root key.
pub fn root_key(bytes: &[u8]) -> Option<RootKey> {
    bytes.try_into().ok().map(Secret::new)
}

/// Is there a store behind `storage`?
pub async fn is_initialised(storage: &Arc<dyn Storage>) -> Result<bool> {
    Ok(meta(storage, KEYRING).await?.is_some())
}

/// The key ring under a root key; `None` where the key does not fit.
pub async fn open_ring(storage: &Arc<dyn Storage>, root: &RootKey) -> Result<Option<KeyRing>> {
    let wrapped = meta(storage, KEYRING).await?.ok_or_else(Error::sealed)?;
    let Some(plain) = unwrap_with(root, KEYRING, &wrapped) else { return Ok(None) };
    KeyRing::decode(plain.expose_secret()).map(Some)
}

/// The failure where a root key that is known to be right does not open the key ring.
pub fn damaged_ring() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the keys are right, but the store's key ring is damaged: restore a backup of the store",
    )
    .because("the record of the key ring does not open under its root key")
}

/// The change that stores the key ring under a root key.
pub fn put_ring(root: &RootKey, ring: &KeyRing, rng: &dyn Rng) -> Result<Change> {
    let plain = ring.encode()?;
    Ok(put_meta(KEYRING, &wrap_with(root, KEYRING, plain.expose_secret(), rng)?))
}

/// The share set, if there is one.
pub async fn shares(storage: &Arc<dyn Storage>) -> Result<Option<Shares>> {
    let Some(bytes) = meta(storage, SHARES).await? else { return Ok(None) };
    match decode::<Shares>(&bytes) {
        Ok(set) if !set.is_damaged() => Ok(Some(set)),
        _ => Err(Error::new(
            ErrorKind::Internal,
            "the store's record of the key shares is damaged: restore a backup of the store",
        )
        .because("the record seal/shares does not decode, or not to what was written")),
    }
}

/// The change that stores a share set over `k`.
pub fn put_shares(
    root: &RootKey,
    k: &RootKey,
    plan: &SharePlan,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<Change> {
    let number = |n: usize| u8::try_from(n).map_err(|_| Error::bad_request("too many shares"));
    let mut set = Shares {
        count: number(plan.shares())?,
        threshold: number(plan.threshold())?,
        wrapped: wrap_with(k, SHARES, root.expose_secret(), rng)?,
        created: now,
        check: Vec::new(),
    };
    set.check = set.digest().to_vec();
    Ok(put_meta(SHARES, &encode(&set)?))
}

/// The root key from the key that enough shares combine to; `None` where it does not fit.
pub fn root_from_key(set: &Shares, k: &[u8]) -> Option<RootKey> {
    let k = root_key(k)?;
    root_key(unwrap_with(&k, SHARES, &set.wrapped)?.expose_secret())
}
