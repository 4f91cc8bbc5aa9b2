//! The barrier: every record passes it on its way to and from storage, encrypted and bound to its
//! place (docs/formats/barrier.md).
//!
//! Invariants:
//! * a record's ciphertext opens only under the scope and key it was written for (AAD);
//! * names are HMACed with a key of their own, which no rotation changes;
//! * keys live in [`Barrier`] only, and are wiped when the last reference goes, that is at seal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Rng, SecretBytes, Timestamp};
use strongroom_crypto::aead::Key256;
use strongroom_crypto::hkdf_sha256;
use strongroom_crypto::hmac::HmacKey;
use zeroize::Zeroize;

use crate::record::Scope;

/// Format version of a sealed record: the first byte.
const FORMAT: u8 = 1;
/// Bytes before the ciphertext: format, term, nonce.
const HEADER_BYTES: usize = 1 + 4 + 12;
/// Records encrypted under one term before the ring rotates by itself. Random 96-bit nonces bound
/// the number of messages per key (NIST SP 800-38D §8.3: 2^32); each term's key is used through
/// keys derived per scope, so this is well before the limit.
pub const TERM_USES_MAX: u64 = 1 << 31;

/// Encryptions reserved on disk at a time: a crash forgets none, it counts up to so many too many.
pub const USES_BLOCK: u64 = 1 << 22;

/// How many encryptions under a term are accounted for on disk.
#[derive(Serialize, Deserialize, Clone, Copy, Default, Debug)]
pub struct KeyUses {
    /// The term.
    pub term: u32,
    /// Encryptions, those in memory only included.
    pub uses: u64,
}

impl crate::record::Record for KeyUses {
    const KIND: u8 = 252;
}

/// One term's key.
#[derive(Serialize, Deserialize, Clone)]
pub struct TermKey {
    /// The term, from 1.
    pub term: u32,
    /// The key.
    #[serde(with = "serde_key")]
    pub key: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
}

impl Drop for TermKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// All keys of the store: wrapped by the root key, it is one record.
#[derive(Serialize, Deserialize, Clone)]
pub struct KeyRing {
    /// Terms, rising; the last one encrypts.
    pub terms: Vec<TermKey>,
    /// HMACs names; never rotated.
    #[serde(with = "serde_key")]
    pub names: [u8; 32],
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        self.names.zeroize();
    }
}

impl KeyRing {
    /// A fresh ring with one term.
    pub fn generate(rng: &dyn Rng, now: Timestamp) -> Self {
        Self {
            terms: vec![TermKey { term: 1, key: rng.array(), created: now }],
            names: rng.array(),
        }
    }

    /// The ring with one more term.
    pub fn rotated(&self, rng: &dyn Rng, now: Timestamp) -> Self {
        let mut next = self.clone();
        let term = self.terms.last().map_or(0, |t| t.term) + 1;
        next.terms.push(TermKey { term, key: rng.array(), created: now });
        next
    }

    /// Plain bytes, to be wrapped by the root key.
    pub fn encode(&self) -> Result<SecretBytes> {
        rmp_serde::to_vec(self).map(SecretBytes::new).map_err(Error::internal)
    }

    /// Reads what [`KeyRing::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        rmp_serde::from_slice(bytes).map_err(|_| Error::internal("key ring is damaged"))
    }
}

/// 32 key bytes as one byte string.
mod serde_key {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(key: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(key)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = [u8; 32];
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("32 bytes")
            }
            fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<[u8; 32], E> {
                v.try_into().map_err(|_| E::custom("32 bytes expected"))
            }
        }
        d.deserialize_bytes(V)
    }
}

/// The keys of one scope, derived once.
struct ScopeKeys {
    names: HmacKey,
    terms: RwLock<BTreeMap<u32, Arc<Key256>>>,
}

/// Encrypts and decrypts records.
pub struct Barrier {
    ring: RwLock<Arc<KeyRing>>,
    rng: Arc<dyn Rng>,
    scopes: RwLock<ahash::AHashMap<Scope, Arc<ScopeKeys>>>,
    /// Encryptions since the ring was last made or loaded.
    uses: AtomicU64,
}

impl Barrier {
    /// A barrier over `ring`.
    pub fn new(ring: KeyRing, rng: Arc<dyn Rng>) -> Self {
        Self {
            ring: RwLock::new(Arc::new(ring)),
            rng,
            scopes: RwLock::new(Default::default()),
            uses: AtomicU64::new(0),
        }
    }

    /// The key ring now.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.read().clone()
    }

    /// Puts a newer ring in place, after it became durable.
    pub fn install(&self, ring: KeyRing) {
        *self.ring.write() = Arc::new(ring);
        self.uses.store(0, Ordering::Relaxed);
    }

    /// The encrypting term and when it was made.
    pub fn active_term(&self) -> (u32, Timestamp) {
        self.ring.read().terms.last().map_or((0, Timestamp::ZERO), |t| (t.term, t.created))
    }

    /// Encryptions under the active term; after a restart, at least so many.
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Goes on counting from what was reserved on disk for the active term.
    pub fn resume_uses(&self, reserved: &KeyUses) {
        if reserved.term == self.active_term().0 {
            self.uses.fetch_max(reserved.uses, Ordering::Relaxed);
        }
    }

    fn scope(&self, scope: Scope) -> Arc<ScopeKeys> {
        if let Some(keys) = self.scopes.read().get(&scope) {
            return keys.clone();
        }
        let ring = self.ring();
        let info = [b"strongroom names".as_slice(), &scope.0.to_be_bytes()].concat();
        let mut name_key = hkdf_sha256(&ring.names, &[], &info);
        let keys = Arc::new(ScopeKeys {
            names: HmacKey::new(&name_key),
            terms: RwLock::new(BTreeMap::new()),
        });
        name_key.zeroize();
        self.scopes.write().entry(scope).or_insert(keys).clone()
    }

    fn key(&self, scope: Scope, term: u32) -> Option<Arc<Key256>> {
        let keys = self.scope(scope);
        if let Some(key) = keys.terms.read().get(&term) {
            return Some(key.clone());
        }
        let ring = self.ring();
        let term_key = ring.terms.iter().find(|t| t.term == term)?;
        let info = [b"strongroom record".as_slice(), &scope.0.to_be_bytes()].concat();
        let mut derived = hkdf_sha256(&term_key.key, &[], &info);
        let key = Arc::new(Key256::new(&derived));
        derived.zeroize();
        keys.terms.write().insert(term, key.clone());
        Some(key)
    }

    /// A keyed digest of `parts` under a purpose key of the scope: for name look-ups, token checks
    /// and the like. Stable over key rotation.
    pub fn digest(&self, scope: Scope, parts: &[&[u8]]) -> [u8; 32] {
        self.scope(scope).names.mac(parts)
    }

    /// Encrypts `plain` for the record that `aad` names.
    pub fn seal(&self, scope: Scope, aad: &[u8], plain: &[u8]) -> Result<Arc<[u8]>> {
        let (term, _) = self.active_term();
        let key = self.key(scope, term).ok_or_else(Error::sealed)?;
        self.uses.fetch_add(1, Ordering::Relaxed);
        let nonce: [u8; 12] = self.rng.array();
        let mut out = Vec::with_capacity(HEADER_BYTES + plain.len() + 16);
        out.push(FORMAT);
        out.extend_from_slice(&term.to_be_bytes());
        out.extend_from_slice(&nonce);
        key.seal_into(nonce, aad, plain, &mut out)?;
        Ok(out.into())
    }

    /// Decrypts the record that `aad` names.
    pub fn open(&self, scope: Scope, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let damaged = || Error::internal("a stored record is damaged or was moved");
        let header = sealed.get(..HEADER_BYTES).ok_or_else(damaged)?;
        if header[0] != FORMAT {
            return Err(Error::internal("a stored record has an unknown format"));
        }
        let term = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let nonce: [u8; 12] = header[5..HEADER_BYTES].try_into().map_err(|_| damaged())?;
        let key = self.key(scope, term).ok_or_else(damaged)?;
        key.open(nonce, aad, &sealed[HEADER_BYTES..]).map_err(|_| damaged())
    }
}
