//! Authenticated encryption: AES-256-GCM with a prepared key.
//!
//! Invariant (of the caller): a nonce is used once per key. A random 96-bit nonce is good for 2^32
//! records under one key (NIST SP 800-38D §8.3); the barrier rotates well before.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use strongroom_base::{Error, Result, SecretBytes};
use zeroize::Zeroize;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes by which a ciphertext is longer than its plaintext.
pub const TAG_BYTES: usize = 16;

/// An AES-256-GCM key whose key schedule is computed once. aws-lc wipes it when it is freed; the
/// bytes it was made of are not kept.
pub struct Key256(LessSafeKey);

impl std::fmt::Debug for Key256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key256(…)")
    }
}

impl Key256 {
    /// Prepares a key. The caller goes on answering for wiping `key`.
    #[allow(clippy::expect_used)]
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key)
            .expect("AES-256-GCM takes every key of exactly 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// The key that HKDF-SHA256 derives from `ikm` for the use named by `info`.
    pub fn derive(ikm: &[u8], salt: &[u8], info: &[u8]) -> Self {
        let mut bytes = crate::hkdf_sha256(ikm, salt, info);
        let key = Self::new(&bytes);
        bytes.zeroize();
        key
    }

    /// Appends ciphertext and tag of `plaintext` to `out`; `aad` is authenticated with it.
    pub fn seal_into(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        // Out of place: the plaintext is never copied into the caller's buffer.
        out.resize(start + plaintext.len() + TAG_BYTES, 0);
        let (ciphertext, tag) = out[start..].split_at_mut(plaintext.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plaintext, ciphertext, &[], tag)
            .map_err(|_| {
                out.truncate(start);
                Error::internal("a plaintext is too long for AES-GCM")
            })
    }

    /// Appends the plaintext of `ciphertext` (with its tag at the end) to `out`. On failure `out`
    /// is as it was.
    pub fn open_into(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(length) = ciphertext.len().checked_sub(TAG_BYTES) else {
            return Err(unauthentic());
        };
        let start = out.len();
        let (body, tag) = ciphertext.split_at(length);
        out.resize(start + length, 0);
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_separate_gather(nonce, Aad::from(aad), body, tag, &mut out[start..]).map_err(
            |_| {
                out[start..].zeroize();
                out.truncate(start);
                unauthentic()
            },
        )
    }

    /// The plaintext of `ciphertext` (with its tag at the end).
    pub fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes> {
        let mut out = Vec::new();
        self.open_into(nonce, aad, ciphertext, &mut out)?;
        Ok(SecretBytes::new(out))
    }
}

/// The key, the nonce, the associated data or the ciphertext is another than at sealing; which one
/// can't be told.
fn unauthentic() -> Error {
    Error::internal("a ciphertext does not authenticate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    /// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, test cases 13
    /// to 16 (the 256-bit keys with a 96-bit IV): key, IV, AAD, plaintext, ciphertext and tag.
    const VECTORS: &[[&str; 5]] = &[
        [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "",
            "530f8afbc74536b9a963b4f1c4cb738b",
        ],
        [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ],
        [
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
             76fc6ece0f4e1768cddf8853bb2d551b",
        ],
    ];

    #[test]
    fn published_vectors() {
        for vector in VECTORS {
            let [key, nonce, aad, plain, sealed] = vector.map(unhex);
            let key = Key256::new(key.as_slice().try_into().unwrap());
            let nonce: [u8; 12] = nonce.as_slice().try_into().unwrap();
            let mut out = b"kept".to_vec();
            key.seal_into(nonce, &aad, &plain, &mut out).unwrap();
            assert_eq!(out[..4], *b"kept");
            assert_eq!(out[4..], *sealed);
            assert_eq!(*key.open(nonce, &aad, &sealed).unwrap().expose_secret(), plain);
        }
    }

    #[test]
    fn any_change_is_refused_and_leaves_the_buffer_alone() {
        let key = Key256::new(&[7; 32]);
        let mut sealed = Vec::new();
        key.seal_into([1; 12], b"record 5", b"attack at dawn", &mut sealed).unwrap();

        let mut out = b"kept".to_vec();
        let mut refused = |key: &Key256, nonce, aad: &[u8], sealed: &[u8]| {
            assert!(key.open_into(nonce, aad, sealed, &mut out).is_err());
            assert_eq!(out, b"kept");
        };
        refused(&Key256::new(&[8; 32]), [1; 12], b"record 5", &sealed);
        refused(&key, [2; 12], b"record 5", &sealed);
        refused(&key, [1; 12], b"record 6", &sealed);
        refused(&key, [1; 12], b"", &sealed);
        for cut in 0..sealed.len() {
            refused(&key, [1; 12], b"record 5", &sealed[..cut]);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            refused(&key, [1; 12], b"record 5", &changed);
        }
        key.open_into([1; 12], b"record 5", &sealed, &mut out).unwrap();
        assert_eq!(out, b"keptattack at dawn");
    }

    #[test]
    fn a_derived_key_is_the_one_that_hkdf_gives() {
        let derived = Key256::derive(b"term key", b"", b"namespace 1 mount 2");
        let bytes = crate::hkdf_sha256(b"term key", b"", b"namespace 1 mount 2");
        let mut sealed = Vec::new();
        derived.seal_into([0; 12], b"", b"x", &mut sealed).unwrap();
        assert!(Key256::new(&bytes).open([0; 12], b"", &sealed).is_ok());
        let other = Key256::derive(b"term key", b"", b"namespace 1 mount 3");
        assert!(other.open([0; 12], b"", &sealed).is_err());
    }
}
