//! X-Wing: ML-KEM-768 and X25519 side by side, of which one unbroken is enough; and encryption by it
//! (HPKE in its base mode, RFC 9180 §5.1.1 and §6.1, with HKDF-SHA256 and ChaCha20-Poly1305).
//!
//! Sources: draft-connolly-cfrg-xwing-kem, and draft-ietf-hpke-pq-03, which calls it MLKEM768-X25519
//! and gives it the number 0x647a.
//!
//! Invariants:
//! * What is stored of a pair is its seed of 32 bytes; all else follows of it.
//! * A key of HPKE seals one text: its nonce is the first of its sequence.

use aws_lc_rs::agreement::{self, UnparsedPublicKey, X25519};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use ml_kem::{EncodedSizeUser, KemCore};
use sha3::digest::{ExtendableOutput, Update, XofReader};
use strongroom_base::{Error, Result, Rng, Secret, SecretBytes};
use zeroize::Zeroize;

use crate::HmacKey;
use crate::cipher::{Cipher, CipherKey};

/// Bytes of the seed that a pair is made of.
pub const SEED_BYTES: usize = 32;
/// Bytes of a public key: that of ML-KEM-768, then that of X25519.
pub const PUBLIC_BYTES: usize = ML_KEM_PUBLIC_BYTES + X25519_BYTES;
/// Bytes of an encapsulation: that of ML-KEM-768, then the ephemeral public key of X25519.
pub const ENCAPSULATION_BYTES: usize = ML_KEM_ENCAPSULATION_BYTES + X25519_BYTES;

const ML_KEM_PUBLIC_BYTES: usize = 1_184;
const ML_KEM_ENCAPSULATION_BYTES: usize = 1_088;
const X25519_BYTES: usize = 32;
/// What separates this combination from others (§5.3 of the draft).
const LABEL: &[u8] = br"\.//^\";
/// "HPKE", and the numbers of the KEM, of HKDF-SHA256 and of ChaCha20-Poly1305 (RFC 9180 §7).
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";

type SharedSecret = Secret<[u8; 32]>;

/// A pair of keys.
pub struct XWingKey {
    seed: Secret<[u8; SEED_BYTES]>,
    ml_kem: DecapsulationKey,
    x25519: agreement::PrivateKey,
    public: Vec<u8>,
}

impl std::fmt::Debug for XWingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("XWingKey(…)")
    }
}

impl XWingKey {
    /// A new pair.
    pub fn generate(rng: &dyn Rng) -> Result<Self> {
        let mut seed = [0; SEED_BYTES];
        rng.fill(&mut seed);
        let key = Self::from_seed(&seed);
        seed.zeroize();
        key
    }

    /// The pair of a seed (§5.2 of the draft).
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self> {
        let failed = || Error::internal("a key could not be made of its seed");
        let mut shake = sha3::Shake256::default();
        shake.update(seed);
        let mut expanded = shake.finalize_xof();
        let (mut d, mut z, mut scalar) = ([0; 32], [0; 32], [0; 32]);
        expanded.read(&mut d);
        expanded.read(&mut z);
        expanded.read(&mut scalar);
        // aws-lc-rs makes no keys of seeds; what is made here once, it uses.
        let (private, public) = ml_kem::MlKem768::generate_deterministic(&d.into(), &z.into());
        let mut private = private.as_bytes();
        let ml_kem = DecapsulationKey::new(&ML_KEM_768, &private);
        let x25519 = agreement::PrivateKey::from_private_key(&X25519, &scalar);
        private.as_mut_slice().zeroize();
        d.zeroize();
        z.zeroize();
        scalar.zeroize();
        let (ml_kem, x25519) = (ml_kem.map_err(|_| failed())?, x25519.map_err(|_| failed())?);
        let mut all = public.as_bytes().to_vec();
        all.extend_from_slice(x25519.compute_public_key().map_err(|_| failed())?.as_ref());
        Ok(Self { seed: Secret::new(*seed), ml_kem, x25519, public: all })
    }

    /// The seed: what is stored.
    pub fn seed(&self) -> &Secret<[u8; SEED_BYTES]> {
        &self.seed
    }

    /// The public key.
    pub fn public_bytes(&self) -> &[u8] {
        &self.public
    }

    /// Opens what [`seal`] made for this pair with the same `info`; none if it was for another.
    ///
    /// # Errors
    /// What is no encapsulation: of another length, or with a point of low order.
    pub fn open(
        &self,
        info: &[u8],
        encapsulation: &[u8],
        sealed: &[u8],
    ) -> Result<Option<SecretBytes>> {
        let secret = self.shared_secret(encapsulation);
        let secret = secret.ok_or_else(|| Error::bad_request("this is no encapsulation"))?;
        let (key, nonce) = schedule(&secret, info)?;
        Ok(key.open(&[], &[&nonce[..], sealed].concat()))
    }

    /// The shared secret of an encapsulation. One of others gives another secret; a point of low
    /// order, and a wrong length, none.
    fn shared_secret(&self, encapsulation: &[u8]) -> Option<SharedSecret> {
        let (ml_kem, x25519) = encapsulation.split_at_checked(ML_KEM_ENCAPSULATION_BYTES)?;
        let theirs = self.ml_kem.decapsulate(Ciphertext::from(ml_kem)).ok()?;
        let own = self.public.get(ML_KEM_PUBLIC_BYTES..)?;
        agree(&self.x25519, x25519, |point| combine(theirs.as_ref(), point, x25519, own))
    }
}

/// Seals a text for the owner of a public key; the encapsulation and the sealed text. `info` says what
/// it is for.
pub fn seal(public: &[u8], info: &[u8], plaintext: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let (encapsulation, secret) = encapsulate(public)?;
    let (key, nonce) = schedule(&secret, info)?;
    let mut sealed = key.seal(&nonce, &[], plaintext)?;
    // The nonce, which a cipher writes in front, is known.
    sealed.drain(..nonce.len());
    Ok((encapsulation, sealed))
}

/// Are these bytes a public key?
pub fn is_public_key(public: &[u8]) -> bool {
    // The library looks at the coefficients only when it uses them.
    halves(public).is_some_and(|(ml_kem, _)| ml_kem.encapsulate().is_ok())
}

fn halves(public: &[u8]) -> Option<(EncapsulationKey, &[u8])> {
    let (ml_kem, x25519) = public.split_at_checked(ML_KEM_PUBLIC_BYTES)?;
    let ml_kem = EncapsulationKey::new(&ML_KEM_768, ml_kem).ok()?;
    (x25519.len() == X25519_BYTES).then_some((ml_kem, x25519))
}

/// A new shared secret and its encapsulation. The randomness is the library's own, as that of all keys
/// of its kind.
fn encapsulate(public: &[u8]) -> Result<(Vec<u8>, SharedSecret)> {
    let failed = || Error::internal("a shared secret could not be made");
    let (ml_kem, x25519) =
        halves(public).ok_or_else(|| Error::bad_request("no such public key"))?;
    let (mut encapsulation, ours) = {
        let (encapsulation, ours) = ml_kem.encapsulate().map_err(|_| failed())?;
        (encapsulation.as_ref().to_vec(), ours)
    };
    let ephemeral = agreement::PrivateKey::generate(&X25519).map_err(|_| failed())?;
    let shown = ephemeral.compute_public_key().map_err(|_| failed())?;
    let secret =
        agree(&ephemeral, x25519, |point| combine(ours.as_ref(), point, shown.as_ref(), x25519));
    encapsulation.extend_from_slice(shown.as_ref());
    Ok((encapsulation, secret.ok_or_else(|| Error::bad_request("no such public key"))?))
}

fn agree(
    own: &agreement::PrivateKey,
    theirs: &[u8],
    then: impl FnOnce(&[u8]) -> SharedSecret,
) -> Option<SharedSecret> {
    let theirs = UnparsedPublicKey::new(&X25519, theirs);
    agreement::agree(own, theirs, (), |point| Ok(then(point))).ok()
}

/// One secret of two (§5.3 of the draft).
fn combine(ml_kem: &[u8], x25519: &[u8], encapsulation: &[u8], public: &[u8]) -> SharedSecret {
    use sha3::digest::Digest;
    let mut hash = sha3::Sha3_256::new();
    for part in [ml_kem, x25519, encapsulation, public, LABEL] {
        Digest::update(&mut hash, part);
    }
    Secret::new(hash.finalize().into())
}

/// The key and the first nonce of a shared secret (RFC 9180 §5.1, mode 0).
fn schedule(secret: &SharedSecret, info: &[u8]) -> Result<(CipherKey, [u8; 12])> {
    let none = extract(&[], b"psk_id_hash", &[]);
    let context = [&[0][..], &none, &extract(&[], b"info_hash", info)].concat();
    let secret = Secret::new(extract(secret.expose_secret(), b"secret", &[]));
    let key = Secret::new(expand::<32>(&secret, b"key", &context));
    let nonce = expand(&secret, b"base_nonce", &context);
    Ok((CipherKey::new(Cipher::ChaCha20Poly1305, key.expose_secret())?, nonce))
}

fn extract(salt: &[u8], label: &[u8], input: &[u8]) -> [u8; 32] {
    HmacKey::new(salt).mac(&[b"HPKE-v1", SUITE, label, input])
}

/// At most the 32 bytes of one block.
fn expand<const N: usize>(secret: &SharedSecret, label: &[u8], info: &[u8]) -> [u8; N] {
    let length = (N as u16).to_be_bytes();
    let block =
        HmacKey::new(secret.expose_secret()).mac(&[&length, b"HPKE-v1", SUITE, label, info, &[1]]);
    std::array::from_fn(|at| block.get(at).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vector of the draft's appendix C: of which seed comes which shared secret.
    #[test]
    fn a_seed_gives_the_key_of_the_draft() {
        let seed: [u8; 32] =
            hex::decode("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
                .unwrap()
                .try_into()
                .unwrap();
        let key = XWingKey::from_seed(&seed).unwrap();
        assert_eq!(key.public_bytes().len(), PUBLIC_BYTES);
        assert_eq!(hex::encode(&key.public_bytes()[..16]), "e2236b35a8c24b39b10aa1323a96a919");
        assert_eq!(key.seed().expose_secret(), &seed);
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_owner_alone() {
        let key = XWingKey::from_seed(&[7; 32]).unwrap();
        let other = XWingKey::from_seed(&[8; 32]).unwrap();
        let (encapsulation, sealed) = seal(key.public_bytes(), b"for", b"plain").unwrap();
        assert_eq!((encapsulation.len(), sealed.len()), (ENCAPSULATION_BYTES, 5 + 16));
        let opened = key.open(b"for", &encapsulation, &sealed).unwrap().unwrap();
        assert_eq!(opened.expose_secret(), b"plain");
        assert!(other.open(b"for", &encapsulation, &sealed).unwrap().is_none());
        assert!(key.open(b"four", &encapsulation, &sealed).unwrap().is_none());
        for at in [0, ML_KEM_ENCAPSULATION_BYTES - 1, ENCAPSULATION_BYTES - 32] {
            let mut changed = encapsulation.clone();
            changed[at] ^= 1;
            assert!(key.open(b"for", &changed, &sealed).unwrap().is_none(), "{at}");
        }
        // A point of low order agrees on nothing.
        let mut low = encapsulation.clone();
        low[ML_KEM_ENCAPSULATION_BYTES..].fill(0);
        assert!(key.open(b"for", &low, &sealed).is_err());
        for length in [0, 1, ML_KEM_ENCAPSULATION_BYTES, ENCAPSULATION_BYTES - 1] {
            assert!(key.open(b"for", &encapsulation[..length], &sealed).is_err(), "{length}");
        }
        assert!(key.open(b"for", &encapsulation, &sealed[..20]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_public_key_is_told() {
        let key = XWingKey::from_seed(&[7; 32]).unwrap();
        assert!(is_public_key(key.public_bytes()));
        for length in [0, 32, ML_KEM_PUBLIC_BYTES, PUBLIC_BYTES - 1] {
            assert!(!is_public_key(&key.public_bytes()[..length]), "{length}");
            assert!(seal(&key.public_bytes()[..length], b"", b"").is_err(), "{length}");
        }
        // Coefficients beyond the modulus (FIPS 203 §7.2).
        assert!(!is_public_key(&[0xff; PUBLIC_BYTES]));
        // X25519's half of low order: nothing may be sealed to it.
        let mut low = key.public_bytes().to_vec();
        low[ML_KEM_PUBLIC_BYTES..].fill(0);
        assert!(seal(&low, b"", b"").is_err());
    }
}
