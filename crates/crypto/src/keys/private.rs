//! Private keys.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    RsaPssSaltLength, RsaSignatureEncoding,
};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use pkcs8::PrivateKeyInfoRef;
use sec1::{EcParameters, EcPrivateKey};
use std::sync::LazyLock;
use strongroom_base::{Error, Result, Secret, SecretBytes, SecretString};

use super::public::{EC_PUBLIC_KEY, ED25519, P256, P384, P521, PublicKey, RSA_ENCRYPTION};
use super::{Curve, Hash, KeyType, Salt, Scheme, ecdsa_digest, encoding, mismatch, wrong_length};

/// Bytes of the longest salt: what a key of 8,192 bits has room for.
const SALT_BYTES_MAX: u16 = 1_024 - 2 - 32;

enum Pair {
    Rsa(RsaKeyPair),
    Ec(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key, parsed and ready to sign. `Debug` shows nothing of it.
pub struct PrivateKey {
    pair: Pair,
    /// PKCS#8 (RFC 5958), version 1: what is stored.
    der: SecretBytes,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

impl PrivateKey {
    /// A new key. RSA takes a core for tens of milliseconds to some seconds: such a call belongs on
    /// a thread that serves no requests.
    pub fn generate(key: KeyType) -> Result<Self> {
        let failed = |_| Error::internal("a key could not be generated");
        match key {
            KeyType::Rsa(bits) => {
                let size = match bits {
                    2_048 => KeySize::Rsa2048,
                    3_072 => KeySize::Rsa3072,
                    4_096 => KeySize::Rsa4096,
                    8_192 => KeySize::Rsa8192,
                    _ => return Err(Error::bad_request("unsupported bit length for RSA key")),
                };
                let pair = RsaKeyPair::generate(size).map_err(failed)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                let der = Secret::new(der.as_ref().to_vec());
                Ok(Self { pair: Pair::Rsa(pair), der })
            }
            KeyType::Ec(curve) => {
                let pair = EcdsaKeyPair::generate(signing(curve)).map_err(failed)?;
                let der = pair.to_pkcs8v1().map_err(failed)?;
                let der = Secret::new(der.as_ref().to_vec());
                Ok(Self { pair: Pair::Ec(curve, pair), der })
            }
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let der = pair.to_pkcs8v1().map_err(failed)?;
                let der = Secret::new(der.as_ref().to_vec());
                Ok(Self { pair: Pair::Ed25519(pair), der })
            }
        }
    }

    /// The key of a PKCS#8 document, version 1 or 2. Its parts are checked against each other.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| unreadable())?;
        let refused = |_| unreadable();
        if info.algorithm.oid == RSA_ENCRYPTION {
            let pair = RsaKeyPair::from_pkcs8(der).map_err(refused)?;
            return Ok(Self { pair: Pair::Rsa(pair), der: Secret::new(der.to_vec()) });
        }
        if info.algorithm.oid == ED25519 {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(refused)?;
            let der = pair.to_pkcs8v1().map_err(|_| unreadable())?;
            let der = Secret::new(der.as_ref().to_vec());
            return Ok(Self { pair: Pair::Ed25519(pair), der });
        }
        if info.algorithm.oid != EC_PUBLIC_KEY {
            return Err(Error::bad_request("the private key is of a type that is not supported"));
        }
        let oid: Option<ObjectIdentifier> =
            info.algorithm.parameters.and_then(|any| any.decode_as().ok());
        let curve = oid.and_then(curve_of).ok_or_else(|| {
            Error::bad_request("the private key's curve is not one of P-256, P-384 and P-521")
        })?;
        let inner = EcPrivateKey::from_der(info.private_key.as_bytes());
        let inner = inner.map_err(|_| unreadable())?;
        if inner.public_key.is_none() {
            return Self::from_ec_scalar(curve, inner.private_key);
        }
        let pair = EcdsaKeyPair::from_pkcs8(signing(curve), der).map_err(refused)?;
        let der = pair.to_pkcs8v1().map_err(|_| unreadable())?;
        let der = Secret::new(der.as_ref().to_vec());
        Ok(Self { pair: Pair::Ec(curve, pair), der })
    }

    /// The key of the first private key in a PEM text: PKCS#8, PKCS#1 or SEC 1, unencrypted.
    pub fn from_pem(text: &str) -> Result<Self> {
        for (label, der) in encoding::pem_blocks(text)? {
            let der = der.expose_secret();
            match label.as_str() {
                "PRIVATE KEY" => return Self::from_pkcs8_der(der),
                "RSA PRIVATE KEY" => return Self::from_pkcs1_der(der),
                "EC PRIVATE KEY" => return Self::from_sec1_der(der),
                "ENCRYPTED PRIVATE KEY" => {
                    return Err(Error::bad_request("encrypted private keys are not supported"));
                }
                _ => {}
            }
        }
        Err(Error::bad_request("no private key found in the PEM data"))
    }

    /// The key of a document in any of the three forms.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        if PrivateKeyInfoRef::from_der(der).is_ok() {
            return Self::from_pkcs8_der(der);
        }
        Self::from_pkcs1_der(der).or_else(|_| Self::from_sec1_der(der))
    }

    /// The key of an `RSAPrivateKey` (RFC 8017, appendix A.1.2).
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_der(der).map_err(|_| unreadable())?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unreadable())?;
        let der = Secret::new(der.as_ref().to_vec());
        Ok(Self { pair: Pair::Rsa(pair), der })
    }

    /// The key of an `ECPrivateKey` (RFC 5915) that names its curve.
    pub fn from_sec1_der(der: &[u8]) -> Result<Self> {
        let parsed = EcPrivateKey::from_der(der).map_err(|_| unreadable())?;
        let curve = parsed
            .parameters
            .and_then(|parameters| parameters.named_curve())
            .and_then(curve_of)
            .ok_or_else(unreadable)?;
        if parsed.public_key.is_none() {
            return Self::from_ec_scalar(curve, parsed.private_key);
        }
        let pair =
            EcdsaKeyPair::from_private_key_der(signing(curve), der).map_err(|_| unreadable())?;
        let der = pair.to_pkcs8v1().map_err(|_| unreadable())?;
        let der = Secret::new(der.as_ref().to_vec());
        Ok(Self { pair: Pair::Ec(curve, pair), der })
    }

    /// Its kind.
    pub fn key_type(&self) -> KeyType {
        match &self.pair {
            // A modulus has its full number of bits, so its bytes tell it.
            Pair::Rsa(pair) => {
                KeyType::Rsa(u32::try_from(pair.public_modulus_len()).unwrap_or_default() * 8)
            }
            Pair::Ec(curve, _) => KeyType::Ec(*curve),
            Pair::Ed25519(_) => KeyType::Ed25519,
        }
    }

    /// Its public half.
    pub fn public(&self) -> Result<PublicKey> {
        match &self.pair {
            Pair::Rsa(pair) => PublicKey::from_pkcs1_der(pair.public_key().as_ref()),
            Pair::Ec(curve, pair) => PublicKey::from_point(*curve, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => PublicKey::from_ed25519(pair.public_key().as_ref()),
        }
    }

    /// PKCS#8 (RFC 5958).
    pub fn to_pkcs8_der(&self) -> &SecretBytes {
        &self.der
    }

    /// PKCS#8 in PEM.
    pub fn to_pkcs8_pem(&self) -> SecretString {
        encoding::pem("PRIVATE KEY", self.der.expose_secret())
    }

    /// The form of the key's own kind: PKCS#1 for RSA, SEC 1 for ECDSA, PKCS#8 for Ed25519, which
    /// has no other.
    pub fn to_traditional_der(&self) -> Result<SecretBytes> {
        let broken = |_| Error::internal("a private key cannot be written");
        if let KeyType::Ed25519 = self.key_type() {
            return Ok(self.der.duplicate());
        }
        let info = PrivateKeyInfoRef::from_der(self.der.expose_secret()).map_err(broken)?;
        let inner = info.private_key.as_bytes();
        match self.key_type() {
            KeyType::Ec(curve) => {
                let mut inner = EcPrivateKey::from_der(inner).map_err(broken)?;
                inner.parameters = Some(EcParameters::NamedCurve(curve_oid(curve)));
                Ok(Secret::new(inner.to_der().map_err(broken)?))
            }
            _ => Ok(Secret::new(inner.to_vec())),
        }
    }

    /// [`Self::to_traditional_der`] in PEM.
    pub fn to_traditional_pem(&self) -> Result<SecretString> {
        let label = match self.key_type() {
            KeyType::Rsa(_) => "RSA PRIVATE KEY",
            KeyType::Ec(_) => "EC PRIVATE KEY",
            KeyType::Ed25519 => "PRIVATE KEY",
        };
        Ok(encoding::pem(label, self.to_traditional_der()?.expose_secret()))
    }

    /// The 32 bytes of an Ed25519 key (RFC 8032 calls them the private key).
    pub fn ed25519_seed(&self) -> Result<SecretBytes> {
        let Pair::Ed25519(pair) = &self.pair else { return Err(mismatch()) };
        let broken = |_| Error::internal("a private key cannot be written");
        let seed = pair.seed().map_err(broken)?;
        let seed: aws_lc_rs::encoding::Curve25519SeedBin<'_> =
            seed.as_be_bytes().map_err(broken)?;
        Ok(Secret::new(seed.as_ref().to_vec()))
    }

    /// Signs `message`.
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("a signature could not be made");
        match (&self.pair, scheme) {
            (Pair::Rsa(pair), Scheme::Pkcs1(_) | Scheme::Pss(..)) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(rsa_encoding(scheme)?, &SystemRandom::new(), message, &mut out)
                    .map_err(failed)?;
                Ok(out)
            }
            (Pair::Ec(curve, pair), Scheme::Ecdsa(hash)) => {
                let digest = ecdsa_digest(*curve, &hash.digest(message))?;
                Ok(pair.sign_digest(&digest).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), Scheme::Ed25519) => {
                Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec())
            }
            _ => Err(mismatch()),
        }
    }

    /// The ECDSA signature of a digest by whatever hash: the leftmost bytes count, as many as the
    /// curve's usual hash has.
    pub fn sign_any_digest(&self, digest: &[u8]) -> Result<Vec<u8>> {
        let Pair::Ec(curve, pair) = &self.pair else { return Err(mismatch()) };
        let digest = ecdsa_digest(*curve, digest)?;
        let signature = pair.sign_digest(&digest);
        let signature = signature.map_err(|_| Error::internal("a signature could not be made"))?;
        Ok(signature.as_ref().to_vec())
    }

    /// Signs a message of which only the digest is at hand.
    pub fn sign_digest(&self, scheme: Scheme, digest: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("a signature could not be made");
        let hash = scheme.hash().ok_or_else(|| {
            Error::bad_request("a key of this type signs messages, not their digests")
        })?;
        if digest.len() != hash.bytes() {
            return Err(wrong_length());
        }
        match (&self.pair, scheme) {
            (Pair::Rsa(pair), Scheme::Pkcs1(_) | Scheme::Pss(..)) => {
                let encoding = rsa_encoding(scheme)?;
                let algorithm = hash.algorithm().ok_or_else(unsigned_hash)?;
                let digest = aws_lc_rs::digest::Digest::import_less_safe(digest, algorithm)
                    .map_err(|_| wrong_length())?;
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign_digest(encoding, &digest, &mut out).map_err(failed)?;
                Ok(out)
            }
            (Pair::Ec(curve, pair), Scheme::Ecdsa(_)) => {
                let digest = ecdsa_digest(*curve, digest)?;
                Ok(pair.sign_digest(&digest).map_err(failed)?.as_ref().to_vec())
            }
            _ => Err(mismatch()),
        }
    }
}

fn unreadable() -> Error {
    Error::bad_request("the private key does not parse")
}

fn unsigned_hash() -> Error {
    Error::bad_request("RSA keys sign with SHA2-256, SHA2-384 or SHA2-512")
}

/// The algorithm under which a pair is held. Its hash is that of the lengths of
/// [`ecdsa_digest`], whatever was hashed.
pub(super) fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
    }
}

fn curve_of(oid: ObjectIdentifier) -> Option<Curve> {
    [(P256, Curve::P256), (P384, Curve::P384), (P521, Curve::P521)]
        .into_iter()
        .find_map(|(known, curve)| (known == oid).then_some(curve))
}

pub(super) fn curve_oid(curve: Curve) -> ObjectIdentifier {
    match curve {
        Curve::P256 => P256,
        Curve::P384 => P384,
        Curve::P521 => P521,
    }
}

fn rsa_encoding(scheme: Scheme) -> Result<&'static RsaSignatureEncoding> {
    static PSS_256_MAX: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
    static PSS_384_MAX: RsaSignatureEncoding =
        RSA_PSS_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
    static PSS_512_MAX: RsaSignatureEncoding =
        RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);
    Ok(match scheme {
        Scheme::Pkcs1(Hash::Sha256) => &RSA_PKCS1_SHA256,
        Scheme::Pkcs1(Hash::Sha384) => &RSA_PKCS1_SHA384,
        Scheme::Pkcs1(Hash::Sha512) => &RSA_PKCS1_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Digest) => &RSA_PSS_SHA256,
        Scheme::Pss(Hash::Sha384, Salt::Digest) => &RSA_PSS_SHA384,
        Scheme::Pss(Hash::Sha512, Salt::Digest) => &RSA_PSS_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Max) => &PSS_256_MAX,
        Scheme::Pss(Hash::Sha384, Salt::Max) => &PSS_384_MAX,
        Scheme::Pss(Hash::Sha512, Salt::Max) => &PSS_512_MAX,
        Scheme::Pss(hash, Salt::Exactly(length)) => return salted(hash, length),
        Scheme::Pkcs1(_) | Scheme::Pss(..) => return Err(unsigned_hash()),
        Scheme::Ecdsa(_) | Scheme::Ed25519 => return Err(mismatch()),
    })
}

/// PSS with a salt of this length. The library takes encodings that live for ever, so there is one
/// for each length.
fn salted(hash: Hash, length: u16) -> Result<&'static RsaSignatureEncoding> {
    type Encodings = LazyLock<Vec<RsaSignatureEncoding>>;
    fn all(like: fn(RsaPssSaltLength) -> RsaSignatureEncoding) -> Vec<RsaSignatureEncoding> {
        (0..=SALT_BYTES_MAX).map(|length| like(RsaPssSaltLength::Custom(length))).collect()
    }
    static SHA256: Encodings = LazyLock::new(|| all(|l| RSA_PSS_SHA256.with_pss_salt_length(l)));
    static SHA384: Encodings = LazyLock::new(|| all(|l| RSA_PSS_SHA384.with_pss_salt_length(l)));
    static SHA512: Encodings = LazyLock::new(|| all(|l| RSA_PSS_SHA512.with_pss_salt_length(l)));
    let encodings = match hash {
        Hash::Sha256 => &*SHA256,
        Hash::Sha384 => &*SHA384,
        Hash::Sha512 => &*SHA512,
        _ => return Err(unsigned_hash()),
    };
    encodings.get(usize::from(length)).ok_or_else(|| Error::bad_request("the salt is too long"))
}
