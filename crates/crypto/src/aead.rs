//! Authenticated encryption with a prepared key: AES-256-GCM, and ChaCha20-Poly1305 where a format
//! wants that.
//!
//! Invariant (of the caller): a nonce is used once per key. A random 96-bit nonce is good for 2^32
//! records under one key (NIST SP 800-38D §8.3); the barrier rotates well before.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use strongroom_base::{Error, Result, SecretBytes};
use zeroize::Zeroize;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes by which a ciphertext is longer than its plaintext.
pub const TAG_BYTES: usize = 16;

/// A key whose schedule is computed once. aws-lc wipes it when it is freed; the bytes it was made of
/// are not kept.
pub struct Key256(LessSafeKey);

impl std::fmt::Debug for Key256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key256(…)")
    }
}

impl Key256 {
    /// Prepares a key for AES-256-GCM. The caller goes on answering for wiping `key`.
    #[allow(clippy::expect_used)]
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key)
            .expect("AES-256-GCM takes every key of exactly 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Prepares a key for ChaCha20-Poly1305 (RFC 8439).
    #[allow(clippy::expect_used)]
    pub fn chacha20_poly1305(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key)
            .expect("ChaCha20-Poly1305 takes every key of exactly 32 bytes");
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
        self.seal_to(nonce, aad, plaintext, &mut out[start..]).inspect_err(|_| out.truncate(start))
    }

    /// Puts ciphertext and tag of `plaintext` into `out`, which has room for just that.
    pub fn seal_to(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        let failed = || Error::internal("a plaintext is too long to be sealed");
        if out.len() != plaintext.len() + TAG_BYTES {
            return Err(failed());
        }
        let (ciphertext, tag) = out.split_at_mut(plaintext.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plaintext, ciphertext, &[], tag)
            .map_err(|_| failed())
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
        out.resize(start + length, 0);
        self.open_to(nonce, aad, ciphertext, &mut out[start..]).inspect_err(|_| out.truncate(start))
    }

    /// Puts the plaintext of `ciphertext` (with its tag at the end) into `out`, which has room for just
    /// that. On failure there is nothing of it in `out`.
    pub fn open_to(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        if ciphertext.len() != out.len() + TAG_BYTES {
            return Err(unauthentic());
        }
        let (body, tag) = ciphertext.split_at(out.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_separate_gather(nonce, Aad::from(aad), body, tag, out).map_err(|_| {
            out.zeroize();
            unauthentic()
        })
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

    /// RFC 8439, section 2.8.2.
    #[test]
    fn the_rfc_s_example_of_the_other_cipher() {
        let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
        let key = Key256::chacha20_poly1305(&key);
        let nonce = *b"\x07\0\0\0\x40\x41\x42\x43\x44\x45\x46\x47";
        let aad = unhex("50515253c0c1c2c3c4c5c6c7");
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
                      for the future, sunscreen would be it.";
        let mut sealed = vec![0; plain.len() + TAG_BYTES];
        key.seal_to(nonce, &aad, plain, &mut sealed).unwrap();
        assert_eq!(hex::encode(&sealed[..16]), "d31a8d34648e60db7b86afbc53ef7ec2");
        assert_eq!(hex::encode(&sealed[plain.len()..]), "1ae10b594f09e26a7e902ecbd0600691");
        let mut opened = vec![0; plain.len()];
        key.open_to(nonce, &aad, &sealed, &mut opened).unwrap();
        assert_eq!(opened, plain);
        sealed[3] ^= 1;
        assert!(key.open_to(nonce, &aad, &sealed, &mut opened).is_err());
        assert!(opened.iter().all(|byte| *byte == 0));
        // Rooms of another size.
        assert!(key.open_to(nonce, &aad, &sealed, &mut [0; 3]).is_err());
        assert!(key.seal_to(nonce, &aad, b"abc", &mut [0; 3]).is_err());
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
