//! Public keys as SSH writes them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::EcdsaCurve;
use ssh_key::public::KeyData;
use strongroom_base::{Error, Result};

use super::wire::Writer;
use crate::keys::{self, Curve, KeyType};

/// Bytes of a public key: the largest that OpenSSH reads is an RSA key of 16,384 bits.
const BYTES_MAX: usize = 16_384;

/// What kind of key, with what decides its strength.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// RSA with a modulus of so many bits.
    Rsa(u32),
    /// DSA with a modulus of so many bits.
    Dsa(u32),
    /// ECDSA.
    Ec(Curve),
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256 in a security key.
    SecurityKeyEc,
    /// Ed25519 in a security key.
    SecurityKeyEd25519,
}

/// A public key of any of the types that certificates are made for.
pub struct PublicKey {
    kind: Kind,
    /// `ssh-ed25519`.
    algorithm: String,
    /// RFC 4253 §6.6: the algorithm's name, then the numbers.
    wire: Vec<u8>,
}

fn unreadable() -> Error {
    Error::bad_request("it is not a public key of SSH")
}

impl PublicKey {
    /// A key as files have it (`ssh-ed25519 AAAA… comment`), or its base64 alone.
    pub fn parse(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let first = words.next().ok_or_else(unreadable)?;
        let encoded = words.next().unwrap_or(first);
        if encoded.len() > BYTES_MAX * 4 / 3 + 4 {
            return Err(unreadable());
        }
        let wire = STANDARD.decode(encoded).map_err(|_| unreadable())?;
        Self::from_wire(wire)
    }

    fn from_wire(wire: Vec<u8>) -> Result<Self> {
        let parsed = ssh_key::PublicKey::from_bytes(&wire).map_err(|_| unreadable())?;
        let bits = |number: &ssh_key::Mpint| {
            let bytes = number.as_positive_bytes().ok_or_else(unreadable)?;
            let first = bytes.first().ok_or_else(unreadable)?;
            let bits = bytes.len() * 8 - first.leading_zeros() as usize;
            u32::try_from(bits).map_err(|_| unreadable())
        };
        let kind = match parsed.key_data() {
            KeyData::Rsa(key) => {
                if key.e.as_positive_bytes().is_none_or(|e| e.last().is_none_or(|e| e % 2 == 0)) {
                    return Err(unreadable());
                }
                Kind::Rsa(bits(&key.n)?)
            }
            KeyData::Dsa(key) => Kind::Dsa(bits(&key.p)?),
            KeyData::Ecdsa(key) => {
                let curve = match key.curve() {
                    EcdsaCurve::NistP256 => Curve::P256,
                    EcdsaCurve::NistP384 => Curve::P384,
                    EcdsaCurve::NistP521 => Curve::P521,
                };
                check_point(curve, key.as_sec1_bytes())?;
                Kind::Ec(curve)
            }
            KeyData::Ed25519(_) => Kind::Ed25519,
            KeyData::SkEcdsaSha2NistP256(key) => {
                check_point(Curve::P256, key.ec_point().as_bytes())?;
                Kind::SecurityKeyEc
            }
            KeyData::SkEd25519(_) => Kind::SecurityKeyEd25519,
            _ => return Err(Error::bad_request("keys of this type are not supported")),
        };
        Ok(Self { kind, algorithm: parsed.algorithm().as_str().to_owned(), wire })
    }

    /// The kind of one of our own, and its algorithm's name.
    pub fn kind_of(key: KeyType) -> (Kind, &'static str) {
        match key {
            KeyType::Rsa(bits) => (Kind::Rsa(bits), "ssh-rsa"),
            KeyType::Ec(curve) => (Kind::Ec(curve), curve_names(curve).0),
            KeyType::Ed25519 => (Kind::Ed25519, "ssh-ed25519"),
        }
    }

    /// One of our own.
    pub fn of(key: &keys::PublicKey) -> Result<Self> {
        let (kind, algorithm) = Self::kind_of(key.key_type());
        let mut wire = Writer::new();
        wire.string(algorithm.as_bytes());
        match key.key_type() {
            KeyType::Rsa(_) => {
                let (modulus, exponent) = key.rsa().ok_or_else(unreadable)?;
                wire.mpint(&exponent).mpint(&modulus);
            }
            KeyType::Ec(curve) => {
                wire.string(curve_names(curve).1.as_bytes()).string(key.raw());
            }
            KeyType::Ed25519 => {
                wire.string(key.raw());
            }
        }
        Ok(Self { kind, algorithm: algorithm.to_owned(), wire: wire.bytes().to_vec() })
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The algorithm's name, such as `ecdsa-sha2-nistp256`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// As it is sent: what a fingerprint is of.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// What follows the algorithm's name there.
    pub(super) fn numbers(&self) -> &[u8] {
        self.wire.get(4 + self.algorithm.len()..).unwrap_or_default()
    }

    /// A line of an `authorized_keys` file, without a comment.
    pub fn line(&self) -> String {
        format!("{} {}\n", self.algorithm, STANDARD.encode(&self.wire))
    }
}

/// The algorithm's and the curve's names (RFC 5656 §6.2, §10.1).
pub(super) fn curve_names(curve: Curve) -> (&'static str, &'static str) {
    match curve {
        Curve::P256 => ("ecdsa-sha2-nistp256", "nistp256"),
        Curve::P384 => ("ecdsa-sha2-nistp384", "nistp384"),
        Curve::P521 => ("ecdsa-sha2-nistp521", "nistp521"),
    }
}

/// Refuses what is no point of the curve.
fn check_point(curve: Curve, point: &[u8]) -> Result<()> {
    let algorithm = match curve {
        Curve::P256 => &ECDSA_P256_SHA256_ASN1,
        Curve::P384 => &ECDSA_P384_SHA384_ASN1,
        Curve::P521 => &ECDSA_P521_SHA512_ASN1,
    };
    ParsedPublicKey::new(algorithm, point).map(|_| ()).map_err(|_| unreadable())
}
