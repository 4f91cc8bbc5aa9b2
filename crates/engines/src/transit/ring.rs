//! A key ready for use: its settings with the versions that were asked for, each parsed once.
//!
//! Invariants:
//! * a ring is derived of the key's record and forgotten with the record's next change, so what is
//!   used is never older than what was acknowledged;
//! * a version that may not be used any more ([`Key::usable`]) is not loaded;
//! * of many versions the newest, and some others, stay loaded;
//! * secrets are wiped when the ring is forgotten.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use strongroom_base::{Error, Result, SecretBytes};
use strongroom_crypto::cipher::{Cipher, CipherKey};
use strongroom_crypto::hmac::{HmacKey, hkdf_sha256_bytes};
use strongroom_crypto::keys::{OaepKey, PrivateKey, PublicKey};
use strongroom_crypto::ml_dsa::MlDsaKey;
use strongroom_crypto::ml_kem::MlKemKey;
use strongroom_kernel::record::{ReadView, rows};

use super::key::{Derivation, Key, Version};
use super::kind::Kind;
use super::limits::{LOADED_MAX, NEWEST};

/// What every use of a soft-deleted key is told.
const SOFT_DELETED: &str = "refusing to use soft-deleted key";
/// What every use of a key is told that AWS's door has scheduled for deletion.
const TO_BE_DELETED: &str = "refusing to use a key that is scheduled for deletion";
const NO_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived \
    key, which means additional, per-request information must be included in order to perform \
    operations with the key";

/// A key with its versions.
pub struct Ring {
    /// Its settings.
    pub key: Key,
    /// For each usable version, oldest first.
    loaded: Vec<OnceLock<Arc<Loaded>>>,
    /// How many of them are there.
    count: AtomicUsize,
}

/// A version, parsed.
pub struct Loaded {
    /// Its number.
    pub number: u64,
    /// Certificates, leaf first, in DER.
    pub chain: Vec<Vec<u8>>,
    /// What it works with.
    pub material: Material,
    hmac: SecretBytes,
}

/// What a version works with.
pub enum Material {
    /// A cipher's key: the bytes, and prepared unless keys are derived of it.
    Cipher(Cipher, SecretBytes, Option<CipherKey>),
    /// A pair, or its public half.
    Pair(Pair),
    /// The key of HMACs alone.
    Hmac,
    /// A pair for signatures.
    MlDsa(Box<MlDsaKey>),
    /// A pair for encryption.
    MlKem(Box<MlKemKey>),
}

/// A pair of keys, or its public half.
pub struct Pair {
    /// The private half; none where it was not imported.
    pub private: Option<PrivateKey>,
    /// The public half.
    pub public: PublicKey,
    decrypts: OnceLock<OaepKey>,
}

/// What a version is asked for.
#[derive(Clone, Copy)]
pub enum Use {
    /// To encrypt.
    Encryption,
    /// To sign.
    Signing,
    /// To wrap a key.
    Wrapping,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Self::Encryption => "encryption",
            Self::Signing => "signing",
            Self::Wrapping => "key wrapping",
        }
    }
}

impl Ring {
    /// Of a key's record.
    pub fn new(key: Key) -> Self {
        let usable = key.usable();
        let count = (usable.end() + 1).saturating_sub(*usable.start());
        let loaded = (0..count).map(|_| OnceLock::new()).collect();
        Self { key, loaded, count: AtomicUsize::new(0) }
    }

    /// The key of this name, ready for use.
    pub async fn find(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Self>>> {
        view.prepared::<Key, Self>(0, name, |key| Ok(Self::new(key))).await
    }

    /// The same; an error of the caller's where there is none.
    pub async fn of(view: &ReadView<'_>, name: &str, missing: &str) -> Result<Arc<Self>> {
        Self::find(view, name).await?.ok_or_else(|| Error::bad_request(missing))
    }

    /// Refuses a key that is out of use, soft-deleted or soon to be deleted.
    pub fn in_use(&self) -> Result<()> {
        self.key.in_use()
    }

    /// A version, by its number.
    pub async fn load(&self, view: &ReadView<'_>, number: u64) -> Result<Arc<Loaded>> {
        let missing = || Error::bad_request("no such key version");
        let usable = self.key.usable();
        let at = number.checked_sub(*usable.start()).ok_or_else(missing)?;
        let slot = usize::try_from(at).ok().and_then(|at| self.loaded.get(at));
        let slot = slot.ok_or_else(missing)?;
        if let Some(loaded) = slot.get() {
            return Ok(loaded.clone());
        }
        let stored = stored(view, &self.key, number).await?;
        let loaded = Arc::new(Loaded::parse(&self.key, number, stored)?);
        // A key with thousands of versions does not keep them all in plain.
        let is_new = self.key.latest() - number < NEWEST as u64;
        if !is_new && self.count.fetch_add(1, Ordering::Relaxed) >= LOADED_MAX {
            return Ok(loaded);
        }
        Ok(slot.get_or_init(|| loaded).clone())
    }

    /// The version that a caller asks for by `key_version`: 0 is the latest.
    pub async fn load_for(
        &self,
        view: &ReadView<'_>,
        asked: i64,
        purpose: Use,
    ) -> Result<Arc<Loaded>> {
        let refused = |why: &str| {
            let purpose = purpose.name();
            Error::bad_request(format!("requested version for {purpose} is {why}"))
        };
        let number = match u64::try_from(asked) {
            Ok(0) => self.key.latest(),
            Ok(number) if number > self.key.latest() => {
                return Err(refused("higher than the latest key version"));
            }
            Ok(number) if number < self.key.min_encryption_version => {
                return Err(refused("less than the minimum encryption key version"));
            }
            Ok(number) => number,
            Err(_) => return Err(refused("negative")),
        };
        self.load(view, number).await
    }

    /// The version that something made earlier (`what`) names.
    pub async fn load_of(
        &self,
        view: &ReadView<'_>,
        asked: i64,
        what: &str,
    ) -> Result<Arc<Loaded>> {
        let too_old = "ciphertext or signature version is disallowed by policy (too old)";
        let number = u64::try_from(asked).map_err(|_| Error::bad_request(too_old))?;
        if number > self.key.latest() {
            return Err(Error::bad_request(format!("invalid {what}: version is too new")));
        }
        if number < self.key.min_decryption_version {
            return Err(Error::bad_request(too_old));
        }
        self.load(view, number).await
    }
}

impl Key {
    /// Refuses a key that is out of use, soft-deleted or soon to be deleted. The failures have the names
    /// that AWS gives them.
    pub fn in_use(&self) -> Result<()> {
        match (self.deletion.is_zero(), self.soft_deleted) {
            (true, false) => Ok(()),
            (true, true) => Err(Error::bad_request(SOFT_DELETED).called("DisabledException")),
            (false, _) => Err(self.is_to_be_deleted()),
        }
    }

    /// The failure of what cannot be done with a key that is soon to be deleted.
    pub fn is_to_be_deleted(&self) -> Error {
        Error::bad_request(TO_BE_DELETED).called("KMSInvalidStateException")
    }
}

/// A version's row.
pub async fn stored(view: &ReadView<'_>, key: &Key, number: u64) -> Result<Version> {
    let row = key.row(number).ok_or_else(|| Error::bad_request("no such key version"))?;
    let version = view.row::<Version>(rows::VALUES, row).await?;
    version.ok_or_else(|| Error::internal("a key's version is missing"))
}

impl Loaded {
    fn parse(key: &Key, number: u64, mut stored: Version) -> Result<Self> {
        let secret = SecretBytes::new(std::mem::take(&mut stored.secret));
        let mut hmac = SecretBytes::new(std::mem::take(&mut stored.hmac));
        let material = match key.kind {
            Kind::Cipher(cipher) => {
                let ready = match key.derivation {
                    Derivation::None => Some(CipherKey::new(cipher, secret.expose_secret())?),
                    _ => None,
                };
                Material::Cipher(cipher, secret, ready)
            }
            Kind::Pair(_) => {
                let private = match secret.expose_secret().as_slice() {
                    [] => None,
                    der => Some(PrivateKey::from_pkcs8_der(der)?),
                };
                let public = PublicKey::from_spki_der(&stored.public)?;
                Material::Pair(Pair { private, public, decrypts: OnceLock::new() })
            }
            Kind::Hmac => {
                hmac = secret;
                Material::Hmac
            }
            Kind::MlDsa(set) => {
                let key = MlDsaKey::from_pkcs8_der(set, secret.expose_secret())?;
                Material::MlDsa(Box::new(key))
            }
            Kind::MlKem(set) => {
                Material::MlKem(Box::new(MlKemKey::from_bytes(set, secret.expose_secret())?))
            }
        };
        let chain = std::mem::take(&mut stored.chain);
        Ok(Self { number, chain, material, hmac })
    }

    /// The key of its HMACs.
    pub fn hmac_key(&self) -> Result<&[u8]> {
        match self.hmac.expose_secret().as_slice() {
            [] => Err(Error::bad_request("no HMAC key exists for that key version")),
            key => Ok(key),
        }
    }

    /// Its pair.
    pub fn pair(&self) -> Result<&Pair> {
        match &self.material {
            Material::Pair(pair) => Ok(pair),
            _ => Err(Error::internal("a key's version is not a pair")),
        }
    }

    /// The key of so many bytes that `context` derives of it.
    pub fn derive(
        &self,
        derivation: Derivation,
        context: Option<&[u8]>,
        length: usize,
    ) -> Result<SecretBytes> {
        let context = context.ok_or_else(|| Error::bad_request(NO_CONTEXT))?;
        let secret = self.derivable()?;
        match derivation {
            Derivation::Hkdf => hkdf_sha256_bytes(secret.expose_secret(), &[], context, length),
            Derivation::Counter => {
                // One block of the counter mode: counter 0, the context, 256 bits.
                let mac = HmacKey::new(secret.expose_secret());
                let block = mac.mac(&[&[0; 4], context, &256_u32.to_be_bytes()]);
                let derived = SecretBytes::new(block.to_vec());
                if length > derived.expose_secret().len() {
                    return Err(Error::bad_request("could not derive key, length too small"));
                }
                Ok(SecretBytes::new(derived.expose_secret().iter().take(length).copied().collect()))
            }
            Derivation::None => Err(Error::internal("a key is derived that has no derivation")),
        }
    }

    /// What keys are derived of. For Ed25519 that is, as with its peers, the private key with its
    /// public half behind it.
    fn derivable(&self) -> Result<SecretBytes> {
        match &self.material {
            Material::Cipher(_, secret, _) => Ok(secret.duplicate()),
            Material::Pair(pair) => ed25519_bytes(pair),
            Material::Hmac | Material::MlDsa(_) | Material::MlKem(_) => {
                Err(Error::bad_request("derivation not supported for this key"))
            }
        }
    }
}

/// An Ed25519 key as OpenBao stores and exports it: seed and public key.
pub fn ed25519_bytes(pair: &Pair) -> Result<SecretBytes> {
    let private = pair.private.as_ref().ok_or_else(|| {
        Error::bad_request("requested version for signing does not contain a private part")
    })?;
    let seed = private.ed25519_seed()?;
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(seed.expose_secret());
    bytes.extend_from_slice(pair.public.raw());
    Ok(SecretBytes::new(bytes))
}

impl Pair {
    /// The private half, ready to decrypt.
    pub fn decrypting(&self) -> Result<&OaepKey> {
        if let Some(ready) = self.decrypts.get() {
            return Ok(ready);
        }
        let private = self.private.as_ref().ok_or_else(|| {
            Error::bad_request(
                "cannot decrypt ciphertext, key version does not have a private counterpart",
            )
        })?;
        let ready = OaepKey::new(private)?;
        Ok(self.decrypts.get_or_init(|| ready))
    }
}
