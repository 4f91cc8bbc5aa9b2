//! Asymmetric keys: RSA, ECDSA over the NIST curves, Ed25519. What certificates, SSH and transit
//! have in common: making a key, reading and writing it in its standard forms, signatures.
//!
//! * A private key is parsed once, when a [`PrivateKey`] is made: from there, signing costs the
//!   primitive alone.
//! * A new key's randomness is the library's own, not an argument: a key of which a simulation knew
//!   the randomness would be no secret. So are an ECDSA signature's nonce and a PSS salt.
//! * Errors never hold what was submitted.

mod agree;
mod encoding;
mod oaep;
mod parts;
mod private;
mod public;
mod rsa_legacy;

pub use encoding::{ecdsa_der_to_fixed, ecdsa_fixed_to_der, pem, pem_blocks, pem_in_lines};
pub use oaep::OaepKey;
pub use parts::{RsaParts, from_decimal, to_decimal};
pub use private::PrivateKey;
pub use public::PublicKey;
pub use rsa_legacy::AnySalt;

use aws_lc_rs::digest;
use strongroom_base::{Error, Result};

/// A curve of NIST (FIPS 186-5). P-224 is not among them: the library has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    /// Bits of the field, by which the wire names the curve.
    pub fn bits(self) -> u32 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// Bytes of a coordinate, and of each half of a signature in its fixed form.
    pub fn bytes(self) -> usize {
        self.bits().div_ceil(8) as usize
    }
}

/// What kind of key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum KeyType {
    /// RSA with a modulus of so many bits.
    Rsa(u32),
    /// ECDSA.
    Ec(Curve),
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl KeyType {
    /// From the names of the wire: `rsa`, `ec` or `ed25519`, with `bits` (0 is the usual size).
    pub fn named(name: &str, bits: u32) -> Result<Self> {
        match (name, bits) {
            ("rsa", 0) => Ok(Self::Rsa(2_048)),
            ("rsa", 2_048 | 3_072 | 4_096 | 8_192) => Ok(Self::Rsa(bits)),
            ("ec", 0 | 256) => Ok(Self::Ec(Curve::P256)),
            ("ec", 384) => Ok(Self::Ec(Curve::P384)),
            ("ec", 521) => Ok(Self::Ec(Curve::P521)),
            ("ed25519", _) => Ok(Self::Ed25519),
            ("rsa", _) => Err(Error::bad_request(
                "unsupported bit length for RSA key: 2048, 3072, 4096 and 8192 are supported",
            )),
            ("ec", _) => Err(Error::bad_request(
                "unsupported bit length for EC key: 256, 384 and 521 are supported",
            )),
            _ => Err(Error::bad_request("unknown key type: rsa, ec and ed25519 are supported")),
        }
    }

    /// The wire's name: `rsa`, `ec`, `ed25519`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Ec(_) => "ec",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The wire's number of bits; 0 where a kind has one size only.
    pub fn bits(self) -> u32 {
        match self {
            Self::Rsa(bits) => bits,
            Self::Ec(curve) => curve.bits(),
            Self::Ed25519 => 0,
        }
    }
}

/// A hash that a signature is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hash {
    /// SHA-1: to verify what others signed; nothing here signs with it but where a caller asks.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-224.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl Hash {
    /// Bytes of a digest.
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        match self.algorithm() {
            Some(algorithm) => digest::digest(algorithm, data).as_ref().to_vec(),
            None => <sha3::Sha3_224 as sha3::Digest>::digest(data).to_vec(),
        }
    }

    /// aws-lc-rs' name for it, which has no SHA3-224.
    fn algorithm(self) -> Option<&'static digest::Algorithm> {
        Some(match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &digest::SHA224,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
            Self::Sha3_224 => return None,
            Self::Sha3_256 => &digest::SHA3_256,
            Self::Sha3_384 => &digest::SHA3_384,
            Self::Sha3_512 => &digest::SHA3_512,
        })
    }
}

/// The length of a PSS signature's salt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Salt {
    /// That of the digest: what TLS, X.509 and JOSE prescribe.
    Digest,
    /// As long as the key allows.
    Max,
    /// So many bytes.
    Exactly(u16),
}

/// How a signature is made of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    Pkcs1(Hash),
    /// RSASSA-PSS (RFC 8017 §8.1), with MGF1 over the same hash.
    Pss(Hash, Salt),
    /// ECDSA (FIPS 186-5 §6), its signature in DER (RFC 3279 §2.2.3).
    Ecdsa(Hash),
    /// Ed25519 (RFC 8032), pure: there is no digest of it.
    Ed25519,
}

impl Scheme {
    /// What certificates of an issuer with such a key are signed with unless told otherwise.
    pub fn usual(key: KeyType) -> Self {
        match key {
            KeyType::Rsa(_) => Self::Pkcs1(Hash::Sha256),
            KeyType::Ec(Curve::P256) => Self::Ecdsa(Hash::Sha256),
            KeyType::Ec(Curve::P384) => Self::Ecdsa(Hash::Sha384),
            KeyType::Ec(Curve::P521) => Self::Ecdsa(Hash::Sha512),
            KeyType::Ed25519 => Self::Ed25519,
        }
    }

    /// The hash of the message, if the scheme has one.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::Pkcs1(hash) | Self::Pss(hash, _) | Self::Ecdsa(hash) => Some(hash),
            Self::Ed25519 => None,
        }
    }
}

/// The scheme is none of this key's.
fn mismatch() -> Error {
    Error::bad_request("the signature algorithm does not fit the key's type")
}

/// The digest has another length than its hash.
fn wrong_length() -> Error {
    Error::bad_request("the digest's length is not that of its hash algorithm")
}

/// ECDSA takes the leftmost bits of a digest as a number (FIPS 186-5 §6.4.1): so any digest is,
/// cut or filled with zeros in front, one of the length that the curve's usual hash has.
fn ecdsa_digest(curve: Curve, digest: &[u8]) -> Result<digest::Digest> {
    let usual: &'static digest::Algorithm = match curve {
        Curve::P256 => &digest::SHA256,
        Curve::P384 => &digest::SHA384,
        Curve::P521 => &digest::SHA512,
    };
    let length = usual.output_len();
    let kept = digest.get(..digest.len().min(length)).unwrap_or_default();
    let mut filled = vec![0; length - kept.len()];
    filled.extend_from_slice(kept);
    digest::Digest::import_less_safe(&filled, usual)
        .map_err(|_| Error::internal("a digest was refused"))
}

#[cfg(test)]
mod tests;
