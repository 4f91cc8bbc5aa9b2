//! AES-256-GCM with nonces of any length and the tag kept apart: how SOPS seals each value of a
//! file. Its nonces have 32 bytes, so the counter block is made of the nonce by GHASH
//! (NIST SP 800-38D §7.1), which aws-lc-rs does not offer.
//!
//! Nonces of up to 64 bytes open: nobody is known to have made longer ones.
//!
//! A random 32-byte nonce makes a counter block as random as a 96-bit one; one file's values are
//! far below the 2^32 that such a key is good for.

use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::generic_array::{ArrayLength, GenericArray};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::consts;
use aes_gcm::aes::cipher::typenum::Unsigned;
use strongroom_base::SecretBytes;
use zeroize::Zeroize;

/// Bytes of a nonce as SOPS makes them.
pub const NONCE_BYTES: usize = 32;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;

/// A key for values.
pub struct ValueKey {
    usual: AesGcm<Aes256, consts::U32>,
    cipher: Aes256,
}

impl std::fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValueKey(…)")
    }
}

impl ValueKey {
    /// Prepares a key. The caller goes on answering for wiping `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        let cipher = <Aes256 as aes_gcm::aes::cipher::KeyInit>::new(key.into());
        Self { usual: AesGcm::from(cipher.clone()), cipher }
    }

    /// Seals a value where it stands; its tag.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        value: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        let tag = self.usual.encrypt_in_place_detached(nonce.into(), aad, value).ok()?;
        Some(tag.into())
    }

    /// Opens a value. Nothing if it is not authentic, or the nonce has no length that can be.
    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], tag: &[u8]) -> Option<SecretBytes> {
        let mut value = sealed.to_vec();
        let opened = match nonce.len() {
            NONCE_BYTES => open_with(&self.usual, nonce, aad, &mut value, tag),
            _ => self.open_unusual(nonce, aad, &mut value, tag),
        };
        if opened.is_none() {
            value.zeroize();
            return None;
        }
        Some(SecretBytes::new(value))
    }

    /// With a nonce that SOPS does not make, but reads.
    #[cold]
    fn open_unusual(&self, nonce: &[u8], aad: &[u8], value: &mut [u8], tag: &[u8]) -> Option<()> {
        /// The cipher's type has the length in it.
        macro_rules! lengths {
            ($($length:ident)*) => {
                $(if nonce.len() == consts::$length::USIZE {
                    return open_with(&self.of::<consts::$length>(), nonce, aad, value, tag);
                })*
            };
        }
        lengths!(
            U1 U2 U3 U4 U5 U6 U7 U8 U9 U10 U11 U12 U13 U14 U15 U16 U17 U18 U19 U20 U21 U22 U23 U24 U25
            U26 U27 U28 U29 U30 U31 U33 U34 U35 U36 U37 U38 U39 U40 U41 U42 U43 U44 U45 U46 U47 U48 U49
            U50 U51 U52 U53 U54 U55 U56 U57 U58 U59 U60 U61 U62 U63 U64
        );
        None
    }

    fn of<N: ArrayLength<u8>>(&self) -> AesGcm<Aes256, N> {
        AesGcm::from(self.cipher.clone())
    }
}

fn open_with<N: ArrayLength<u8>>(
    key: &AesGcm<Aes256, N>,
    nonce: &[u8],
    aad: &[u8],
    value: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    if tag.len() != TAG_BYTES || nonce.len() != N::USIZE {
        return None;
    }
    let (nonce, tag) = (GenericArray::from_slice(nonce), GenericArray::from_slice(tag));
    key.decrypt_in_place_detached(nonce, aad, value, tag).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by Go's `crypto/cipher` (`NewGCMWithNonceSize`), apart from this code: the key is
    /// 0, 1, … 31, the nonce 100, 101, …, the additional data `a:b:`, the value `hello`.
    const VECTORS: [(usize, &str, &str); 12] = [
        (1, "86fc2522be", "fdb1006064fbecc93c5ee89b81a40e39"),
        (8, "0b095f1546", "fc51dbc2f8fef7471e1cf300c341b4fb"),
        (12, "207eb20a16", "615db1f4840cc3195698a393736f1002"),
        (13, "ed04c897e0", "907af419ddcecc637ec9d7b0742fe269"),
        (16, "b0d62f3d8b", "4ac8098791539fc112aa436fef771048"),
        (17, "7858afa18d", "bc2ad3c12ff2c845a7d8cf08fb241178"),
        (31, "48d10540e6", "8fef0f4fe90d5f7b5477582eaf38dbb5"),
        (32, "a224bfab27", "fe7259bfea08086a357e3dfbeb0c3238"),
        (33, "b64ede1919", "9f737fbbad2c4be4b3e2dd814cf54286"),
        (48, "f088923bda", "d891bed417cde3250dba1647c9e99855"),
        (63, "5e31fb1ee8", "0bf5e33b53ab1ff4cb110ca6501dc2cb"),
        (64, "7d525dd38e", "fd88e0bf98105e2a3f6ad2c16086b177"),
    ];

    fn key() -> [u8; 32] {
        std::array::from_fn(|at| at as u8)
    }

    #[test]
    fn agrees_with_another_implementation() {
        for (length, sealed, tag) in VECTORS {
            let nonce: Vec<u8> = (0..length).map(|at| 100 + at as u8).collect();
            let (sealed, tag) = (hex::decode(sealed).unwrap(), hex::decode(tag).unwrap());
            let opened = ValueKey::new(&key()).open(&nonce, b"a:b:", &sealed, &tag).unwrap();
            assert_eq!(opened.expose_secret(), b"hello", "{length}");
        }
        let mut value = *b"hello";
        let nonce = std::array::from_fn(|at| 100 + at as u8);
        let tag = ValueKey::new(&key()).seal(&nonce, b"a:b:", &mut value).unwrap();
        assert_eq!(
            (hex::encode(value), hex::encode(tag)),
            (VECTORS[7].1.into(), VECTORS[7].2.into())
        );
    }

    #[test]
    fn any_change_is_refused() {
        let key = ValueKey::new(&key());
        let nonce = [7; NONCE_BYTES];
        let mut sealed = *b"attack at dawn";
        let tag = key.seal(&nonce, b"path:", &mut sealed).unwrap();
        assert!(key.open(&nonce, b"path:", &sealed, &tag).is_some());
        assert!(key.open(&nonce, b"other:", &sealed, &tag).is_none());
        assert!(key.open(&[8; NONCE_BYTES], b"path:", &sealed, &tag).is_none());
        assert!(key.open(&nonce[..31], b"path:", &sealed, &tag).is_none());
        assert!(key.open(&[], b"path:", &sealed, &tag).is_none());
        assert!(key.open(&[7; 65], b"path:", &sealed, &tag).is_none());
        assert!(key.open(&nonce, b"path:", &sealed, &tag[..15]).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed;
            changed[at] ^= 1;
            assert!(key.open(&nonce, b"path:", &changed, &tag).is_none(), "{at}");
        }
        assert_eq!(format!("{key:?}"), "ValueKey(…)");
    }
}
