//! A repository's key, and contents under it.
//!
//! Invariant: equal contents give equal blobs under a key, and no nonce serves two contents: it is a
//! MAC of the content.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use strongroom_base::{Secret, SecretBytes, SecretString};
use strongroom_crypto::cipher::{Cipher, CipherKey};
use strongroom_crypto::{HmacKey, constant_time_eq, hkdf_sha256};
use zeroize::Zeroize;

use crate::{Error, Result};

const MAGIC: &[u8; 12] = b"\0SRGITCRYPT\0";
const VERSION: u8 = 1;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
/// What stands before the nonce.
pub const HEADER_BYTES: usize = MAGIC.len() + 1 + ID_BYTES;
const ROOT_BYTES: usize = 32;
const FILE_PREFIX: &str = "strongroom-git-crypt-key-1:";

/// Does a content begin as an encrypted one does?
pub fn is_encrypted(content: &[u8]) -> bool {
    content.starts_with(MAGIC)
}

/// The id of the key that a content says it is encrypted with.
pub fn id_of(content: &[u8]) -> Option<String> {
    let id = content.get(HEADER_BYTES - ID_BYTES..HEADER_BYTES);
    id.filter(|_| is_encrypted(content)).map(hex::encode)
}

/// A repository's key.
pub struct Key {
    root: Secret<[u8; ROOT_BYTES]>,
    cipher: CipherKey,
    nonce: HmacKey,
    id: [u8; ID_BYTES],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

impl Key {
    /// The key of 32 random bytes.
    pub fn of(root: [u8; ROOT_BYTES]) -> Result<Self> {
        let root = Secret::new(root);
        let derived = |info: &[u8]| Secret::new(hkdf_sha256(root.expose_secret(), &[], info));
        let encryption = derived(b"strongroom git-crypt v1 encryption");
        let nonce = derived(b"strongroom git-crypt v1 nonce");
        let whole = derived(b"strongroom git-crypt v1 id");
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(whole.expose_secret()).for_each(|(to, from)| *to = *from);
        Ok(Self {
            cipher: CipherKey::new(Cipher::XChaCha20Poly1305, encryption.expose_secret())?,
            nonce: HmacKey::new(nonce.expose_secret()),
            id,
            root,
        })
    }

    /// Its id, which is no secret.
    pub fn id(&self) -> String {
        hex::encode(self.id)
    }

    /// As a file.
    pub fn to_file(&self) -> SecretString {
        let mut root = BASE64_STANDARD.encode(self.root.expose_secret());
        let file = SecretString::new(format!("{FILE_PREFIX}{root}\n"));
        root.zeroize();
        file
    }

    /// Reads a file.
    pub fn from_file(file: &[u8]) -> Result<Self> {
        let no_key = || Error::new("this is no key of strongroom git-crypt");
        let text = std::str::from_utf8(file).map_err(|_| no_key())?;
        let root = text.trim_end().strip_prefix(FILE_PREFIX).ok_or_else(no_key)?;
        let mut bytes = BASE64_STANDARD.decode(root).map_err(|_| no_key())?;
        let root = <[u8; ROOT_BYTES]>::try_from(bytes.as_slice());
        bytes.zeroize();
        Self::of(root.map_err(|_| no_key())?)
    }

    fn header(&self) -> Vec<u8> {
        [&MAGIC[..], &[VERSION], &self.id].concat()
    }

    fn nonce_of(&self, plain: &[u8]) -> [u8; NONCE_BYTES] {
        let mac = self.nonce.mac(&[plain]);
        std::array::from_fn(|at| mac.get(at).copied().unwrap_or_default())
    }

    /// Encrypts a content.
    pub fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut out = self.header();
        // The nonce stands before what is sealed.
        out.extend(self.cipher.seal(&self.nonce_of(plain), &self.header(), plain)?);
        Ok(out)
    }

    /// Decrypts what [`Self::encrypt`] made.
    pub fn decrypt(&self, content: &[u8]) -> Result<SecretBytes> {
        let (header, sealed) = content
            .split_at_checked(HEADER_BYTES)
            .filter(|_| is_encrypted(content))
            .ok_or_else(|| Error::new("the content is not encrypted"))?;
        let (version, id) = header.get(MAGIC.len()..).unwrap_or_default().split_at(1);
        if version != [VERSION] {
            return Err(Error::new("the content is encrypted in a newer way than this program's"));
        }
        if id != self.id {
            let (theirs, ours) = (hex::encode(id), self.id());
            return Err(Error::new(format!(
                "the content is encrypted with the key {theirs}, and this repository's is {ours}"
            )));
        }
        let broken = || Error::new("the encrypted content was changed or cut off");
        let plain = self.cipher.open(header, sealed).ok_or_else(broken)?;
        let nonce = sealed.get(..NONCE_BYTES).unwrap_or_default();
        match constant_time_eq(&self.nonce_of(plain.expose_secret()), nonce) {
            true => Ok(plain),
            false => Err(broken()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::of([byte; ROOT_BYTES]).unwrap()
    }

    #[test]
    fn contents_go_there_and_back_and_are_always_the_same() {
        for plain in [&b""[..], b"a", b"\0SRGITCRYPT\0", &[7; 100_000]] {
            let blob = key(1).encrypt(plain).unwrap();
            assert_eq!(blob.len(), HEADER_BYTES + NONCE_BYTES + plain.len() + 16);
            assert!(is_encrypted(&blob) && blob == key(1).encrypt(plain).unwrap());
            assert_ne!(blob, key(2).encrypt(plain).unwrap());
            assert_eq!(key(1).decrypt(&blob).unwrap().expose_secret(), plain);
        }
        let (a, b) = (key(1).encrypt(b"a").unwrap(), key(1).encrypt(b"b").unwrap());
        assert_ne!(a[HEADER_BYTES..][..NONCE_BYTES], b[HEADER_BYTES..][..NONCE_BYTES]);
    }

    /// docs/formats/git-crypt.md must go on describing what is written.
    #[test]
    fn the_format_stays() {
        let blob = key(1).encrypt(b"plain").unwrap();
        assert_eq!(hex::encode(&blob[..13]), "0053524749544352595054".to_owned() + "0001");
        assert_eq!(key(1).id().len(), 16);
        assert_eq!(hex::encode(&blob[13..21]), key(1).id());
        let file = key(1).to_file();
        assert_eq!(
            file.expose_secret(),
            "strongroom-git-crypt-key-1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
        );
        assert_eq!(Key::from_file(file.expose_secret().as_bytes()).unwrap().id(), key(1).id());
    }

    #[test]
    fn what_was_changed_is_refused() {
        let blob = key(1).encrypt(b"plain").unwrap();
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            assert!(key(1).decrypt(&changed).is_err(), "{at}");
            assert!(key(1).decrypt(&blob[..at]).is_err(), "{at}");
        }
        let told = key(2).decrypt(&blob).unwrap_err().to_string();
        assert!(told.contains(&key(1).id()) && told.contains(&key(2).id()), "{told}");
        for file in [&b""[..], b"key", b"strongroom-git-crypt-key-1:AQ==\n", b"\xff"] {
            assert!(Key::from_file(file).is_err());
        }
    }
}
