//! The form of a ciphertext, byte by byte as docs/formats/kms.md has it.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::fields::{Field, FieldKind};
use strongroom_base::{Error, Json, Result, Rng, SecretBytes};
use strongroom_crypto::cipher::{CipherKey, TAG_BYTES};
use strongroom_crypto::hmac::hkdf_sha256_bytes;

use super::super::limits::{BLOB_BYTES_MAX, PLAINTEXT_BYTES_MAX};
use super::super::ring::{Loaded, Material};

/// What every blob begins with: a mark and the format's number.
const BEGINNING: [u8; 4] = *b"SRK\x01";
/// What the keys of blobs are derived for.
const PURPOSE: &[u8] = b"strongroom kms";
/// Bytes of mark, format, id and version.
const NAMED_BYTES: usize = 25;
/// Bytes of the salt.
const SALT_BYTES: usize = 16;
/// Bytes before what is encrypted.
const HEAD_BYTES: usize = NAMED_BYTES + SALT_BYTES;
/// Bytes by which a blob is longer than its plaintext.
const MORE_BYTES: usize = HEAD_BYTES + TAG_BYTES;

const _: () = assert!(PLAINTEXT_BYTES_MAX + MORE_BYTES <= BLOB_BYTES_MAX);

/// A key's id, in either way to write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyId {
    /// Its number.
    pub number: u128,
    /// Is it the id of what AWS calls a multi-Region key?
    pub multi_region: bool,
}

impl KeyId {
    /// Its text, as requests and answers have it.
    pub fn text(self) -> String {
        if self.multi_region {
            return format!("mrk-{:032x}", self.number);
        }
        let hex = format!("{:032x}", self.number);
        let mut text = String::with_capacity(36);
        for (i, digit) in hex.chars().enumerate() {
            if matches!(i, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        text
    }

    /// A fresh one, by its form a random UUID (RFC 9562 §5.4).
    pub fn fresh(multi_region: bool, rng: &dyn Rng) -> Self {
        let random = u128::from_be_bytes(rng.array());
        let number = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        Self { number, multi_region }
    }
}

/// A blob, taken apart.
pub struct Blob<'b> {
    /// The key's id.
    pub key: KeyId,
    /// Its version.
    pub version: u64,
    named: &'b [u8],
    salt: &'b [u8],
    head: &'b [u8],
    sealed: &'b [u8],
}

/// The id of the key that a ciphertext names, as text; `None` where it is no blob in base64.
pub fn key_of(ciphertext: &str) -> Option<String> {
    Blob::read(Ciphertext::of(ciphertext).bytes()?).map(|blob| blob.key.text())
}

/// A ciphertext of a request. The door reads the key's id out of the same text, for the documents of the
/// caller and for the log: so it is read in one way only.
pub struct Ciphertext(Option<Vec<u8>>);

impl Ciphertext {
    /// Of a text in base64 with its padding, and nothing else in it.
    pub fn of(text: &str) -> Self {
        Self(STANDARD.decode(text).ok())
    }

    /// Its bytes; `None` where it is not in base64.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

impl Field for Ciphertext {
    const KIND: FieldKind = FieldKind::Text;
    fn read(value: &Json) -> Result<Self, &'static str> {
        value.as_str().map(Self::of).ok_or("a string")
    }
}

impl<'b> Blob<'b> {
    /// Takes a blob apart; `None` where it is none.
    pub fn read(blob: &'b [u8]) -> Option<Self> {
        if !(MORE_BYTES + 1..=MORE_BYTES + PLAINTEXT_BYTES_MAX).contains(&blob.len()) {
            return None;
        }
        let (head, sealed) = blob.split_at_checked(HEAD_BYTES)?;
        let (named, salt) = head.split_at_checked(NAMED_BYTES)?;
        let (beginning, rest) = named.split_first_chunk::<4>()?;
        let (form, rest) = rest.split_first()?;
        let (id, version) = rest.split_first_chunk::<16>()?;
        if *beginning != BEGINNING || *form > 1 {
            return None;
        }
        let key = KeyId { number: u128::from_be_bytes(*id), multi_region: *form == 1 };
        let version = u32::from_be_bytes(version.try_into().ok()?);
        Some(Self { key, version: version.into(), named, salt, head, sealed })
    }

    /// The plaintext; `None` where key, context or the bytes are others than at sealing.
    pub fn open(&self, version: &Loaded, context: &[u8]) -> Result<Option<SecretBytes>> {
        let (key, nonce) = key_and_nonce(version, self.named, self.salt)?;
        let mut sealed = nonce;
        sealed.extend_from_slice(self.sealed);
        Ok(key.open(&[self.head, context].concat(), &sealed))
    }
}

/// Seals a plaintext with a version of the key `id`.
pub fn seal(
    id: KeyId,
    version: &Loaded,
    context: &[u8],
    plaintext: &[u8],
    rng: &dyn Rng,
) -> Result<Vec<u8>> {
    let number = u32::try_from(version.number).map_err(Error::internal)?;
    let mut blob = Vec::with_capacity(MORE_BYTES + plaintext.len());
    blob.extend_from_slice(&BEGINNING);
    blob.push(u8::from(id.multi_region));
    blob.extend_from_slice(&id.number.to_be_bytes());
    blob.extend_from_slice(&number.to_be_bytes());
    let salt = rng.array::<SALT_BYTES>();
    let (key, nonce) = key_and_nonce(version, &blob, &salt)?;
    blob.extend_from_slice(&salt);
    let sealed = key.seal(&nonce, &[&blob, context].concat(), plaintext)?;
    // The nonce comes of the salt: it need not stand in the blob.
    blob.extend(sealed.into_iter().skip(nonce.len()));
    Ok(blob)
}

/// The key and the nonce of one blob.
fn key_and_nonce(version: &Loaded, named: &[u8], salt: &[u8]) -> Result<(CipherKey, Vec<u8>)> {
    let Material::Cipher(cipher, secret, _) = &version.material else {
        return Err(Error::internal("a key of another type is no key of AWS KMS"));
    };
    let info = [PURPOSE, named].concat();
    let length = cipher.key_bytes() + cipher.nonce_bytes();
    let both = hkdf_sha256_bytes(secret.expose_secret(), salt, &info, length)?;
    let (key, nonce) = both.expose_secret().split_at(cipher.key_bytes());
    Ok((CipherKey::new(*cipher, key)?, nonce.to_vec()))
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_or_mrk() {
        let id = KeyId { number: 0x1234_5678_9abc_4def_8012_3456_789a_bcde, multi_region: false };
        assert_eq!(id.text(), "12345678-9abc-4def-8012-3456789abcde");
        let id = KeyId { multi_region: true, ..id };
        assert_eq!(id.text(), "mrk-123456789abc4def80123456789abcde");
    }

    #[test]
    fn what_is_no_blob_is_none() {
        let mut blob = vec![0; MORE_BYTES + 1];
        assert!(Blob::read(&blob).is_none());
        blob[..4].copy_from_slice(&BEGINNING);
        let read = Blob::read(&blob).unwrap();
        assert_eq!((read.key.number, read.version, read.sealed.len()), (0, 0, TAG_BYTES + 1));
        blob[4] = 1;
        assert!(key_of(&STANDARD.encode(&blob)).unwrap().starts_with("mrk-"));
        blob[4] = 2;
        assert!(Blob::read(&blob).is_none());
        blob[4] = 0;
        assert!(Blob::read(&blob[..MORE_BYTES]).is_none(), "an empty plaintext");
        blob.resize(MORE_BYTES + PLAINTEXT_BYTES_MAX, 0);
        assert!(Blob::read(&blob).is_some());
        blob.push(0);
        assert!(Blob::read(&blob).is_none(), "a plaintext that is too long");
        assert!(Blob::read(&[]).is_none());
    }
}
