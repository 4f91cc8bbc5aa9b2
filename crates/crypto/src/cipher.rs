//! Authenticated encryption by any of the ciphers that transit's keys have, with a prepared key.
//!
//! The barrier has one cipher ([`crate::aead`]); here the cipher is the caller's choice and part of
//! what is promised on the wire: what is sealed is `nonce ‖ ciphertext ‖ tag`, as Vault's ciphertexts
//! hold it.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use strongroom_base::{Error, Result, SecretBytes};
use zeroize::Zeroize;

/// Bytes by which what is sealed is longer than nonce and plaintext: each cipher's tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of the longest nonce.
pub const NONCE_BYTES_MAX: usize = 24;

/// A cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cipher {
    /// AES-128-GCM (NIST SP 800-38D).
    Aes128Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
    /// The same with a nonce of 192 bits (draft-irtf-cfrg-xchacha-03).
    XChaCha20Poly1305,
}

impl Cipher {
    /// Bytes of a key.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            _ => 32,
        }
    }

    /// Bytes of a nonce.
    pub fn nonce_bytes(self) -> usize {
        match self {
            Self::XChaCha20Poly1305 => NONCE_BYTES_MAX,
            _ => 12,
        }
    }

    fn algorithm(self) -> Option<&'static Algorithm> {
        match self {
            Self::Aes128Gcm => Some(&AES_128_GCM),
            Self::Aes256Gcm => Some(&AES_256_GCM),
            Self::ChaCha20Poly1305 => Some(&CHACHA20_POLY1305),
            Self::XChaCha20Poly1305 => None,
        }
    }
}

enum Prepared {
    Short(LessSafeKey),
    /// Wipes itself when it is dropped.
    Extended(Box<XChaCha20Poly1305>),
}

/// A key whose schedule is computed once. `Debug` shows the cipher alone.
pub struct CipherKey {
    cipher: Cipher,
    key: Prepared,
}

impl std::fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CipherKey({:?}, …)", self.cipher)
    }
}

impl CipherKey {
    /// Prepares a key. The caller goes on answering for wiping `key`.
    pub fn new(cipher: Cipher, key: &[u8]) -> Result<Self> {
        let wrong = || Error::internal("a cipher's key is of another length");
        let key = match cipher.algorithm() {
            Some(algorithm) => {
                let key = UnboundKey::new(algorithm, key).map_err(|_| wrong())?;
                Prepared::Short(LessSafeKey::new(key))
            }
            None => {
                let key = XChaCha20Poly1305::new_from_slice(key).map_err(|_| wrong())?;
                Prepared::Extended(Box::new(key))
            }
        };
        Ok(Self { cipher, key })
    }

    /// Its cipher.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// `nonce ‖ ciphertext ‖ tag`; `aad` is authenticated with it.
    ///
    /// Invariant (of the caller): a nonce seals one plaintext under a key.
    pub fn seal(&self, nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
        let failed = || Error::internal("a plaintext could not be sealed");
        if nonce.len() != self.cipher.nonce_bytes() {
            return Err(failed());
        }
        let start = nonce.len();
        let mut out = vec![0; start + plaintext.len() + TAG_BYTES];
        let (head, rest) = out.split_at_mut(start);
        head.copy_from_slice(nonce);
        let (body, tag) = rest.split_at_mut(plaintext.len());
        match &self.key {
            Prepared::Short(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
                key.seal_out_of_place_scatter(nonce, Aad::from(aad), plaintext, body, &[], tag)
                    .map_err(|_| failed())?;
            }
            Prepared::Extended(key) => {
                body.copy_from_slice(plaintext);
                let made = key
                    .encrypt_in_place_detached(XNonce::from_slice(nonce), aad, body)
                    .map_err(|_| failed())?;
                tag.copy_from_slice(&made);
            }
        }
        Ok(out)
    }

    /// The plaintext of what [`Self::seal`] gives; `None` where key, associated data or the bytes
    /// are others than at sealing, which of them cannot be told.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<SecretBytes> {
        let (nonce, rest) = sealed.split_at_checked(self.cipher.nonce_bytes())?;
        let (body, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        let mut out = vec![0; body.len()];
        let opened = match &self.key {
            Prepared::Short(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                key.open_separate_gather(nonce, Aad::from(aad), body, tag, &mut out).is_ok()
            }
            Prepared::Extended(key) => {
                out.copy_from_slice(body);
                let (nonce, tag) = (XNonce::from_slice(nonce), Tag::from_slice(tag));
                key.decrypt_in_place_detached(nonce, aad, &mut out, tag).is_ok()
            }
        };
        if opened {
            return Some(SecretBytes::new(out));
        }
        out.zeroize();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Cipher; 4] =
        [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305, Cipher::XChaCha20Poly1305];

    /// One published vector for each cipher: key, nonce, associated data, plaintext, ciphertext
    /// with tag. AES: McGrew and Viega, appendix B, test cases 4 and 16; ChaCha20: RFC 8439 §2.8.2;
    /// XChaCha20: draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    const VECTORS: [[&str; 5]; 4] = [
        [
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091\
             5bc94fbc3221a5db94fae95ae7121a47",
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
        [
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "070000004041424344454647",
            "50515253c0c1c2c3c4c5c6c7",
            "4c616469657320616e642047656e746c656d656e206f662074686520636c6173\
             73206f66202739393a204966204920636f756c64206f6666657220796f75206f\
             6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73\
             637265656e20776f756c642062652069742e",
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
             3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd060\
             0691",
        ],
        [
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "404142434445464748494a4b4c4d4e4f5051525354555657",
            "50515253c0c1c2c3c4c5c6c7",
            "4c616469657320616e642047656e746c656d656e206f662074686520636c6173\
             73206f66202739393a204966204920636f756c64206f6666657220796f75206f\
             6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73\
             637265656e20776f756c642062652069742e",
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
             731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
             2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
             21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780a\
             cf49",
        ],
    ];

    #[test]
    fn published_vectors() {
        for (cipher, vector) in ALL.into_iter().zip(VECTORS) {
            let [key, nonce, aad, plain, sealed] = vector.map(|text| hex::decode(text).unwrap());
            let key = CipherKey::new(cipher, &key).unwrap();
            let made = key.seal(&nonce, &aad, &plain).unwrap();
            assert_eq!(made, [nonce, sealed].concat(), "{cipher:?}");
            assert_eq!(*key.open(&aad, &made).unwrap().expose_secret(), plain);
        }
    }

    #[test]
    fn any_change_is_refused() {
        for cipher in ALL {
            let key = CipherKey::new(cipher, &vec![7; cipher.key_bytes()]).unwrap();
            let other = CipherKey::new(cipher, &vec![8; cipher.key_bytes()]).unwrap();
            let sealed = key.seal(&vec![1; cipher.nonce_bytes()], b"a", b"attack").unwrap();
            assert_eq!(sealed.len(), cipher.nonce_bytes() + 6 + TAG_BYTES);
            assert!(key.open(b"a", &sealed).is_some());
            assert!(other.open(b"a", &sealed).is_none());
            assert!(key.open(b"", &sealed).is_none());
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(key.open(b"a", &changed).is_none(), "{cipher:?} {at}");
                assert!(key.open(b"a", &sealed[..at]).is_none(), "{cipher:?} {at}");
            }
            assert!(key.seal(&[0; 11], b"", b"").is_err());
            assert!(CipherKey::new(cipher, &[0; 31]).is_err());
            assert_eq!(format!("{key:?}"), format!("CipherKey({cipher:?}, …)"));
        }
    }
}
