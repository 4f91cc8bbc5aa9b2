//! Public keys.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPssSaltLength, UnparsedPublicKey,
};
use der::asn1::{AnyRef, BitStringRef, Null, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use strongroom_base::{Error, Result};

use super::{
    AnySalt, Curve, Hash, KeyType, Salt, Scheme, ecdsa_digest, encoding, mismatch, wrong_length,
};

pub(super) const RSA_ENCRYPTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// `RSAPublicKey` (RFC 8017, appendix A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyType,
    /// SubjectPublicKeyInfo (RFC 5280 §4.1).
    spki: Vec<u8>,
    /// What stands in its bit string: `RSAPublicKey`, a point (uncompressed), 32 bytes.
    raw: Vec<u8>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?})", self.kind)
    }
}

impl PublicKey {
    /// The key of a SubjectPublicKeyInfo. Whether its point lies on the curve shows when it is used.
    pub fn from_spki_der(der: &[u8]) -> Result<Self> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| unreadable())?;
        let raw = info.subject_public_key.as_bytes().ok_or_else(unreadable)?;
        let oid = info.algorithm.oid;
        if oid == RSA_ENCRYPTION {
            return Self::from_pkcs1_der(raw);
        }
        if oid == ED25519 {
            return Self::from_ed25519(raw);
        }
        if oid != EC_PUBLIC_KEY {
            return Err(Error::bad_request("the public key is of a type that is not supported"));
        }
        let named: Option<ObjectIdentifier> =
            info.algorithm.parameters.and_then(|any| any.decode_as().ok());
        let curve = match named {
            Some(P256) => Curve::P256,
            Some(P384) => Curve::P384,
            Some(P521) => Curve::P521,
            _ => {
                return Err(Error::bad_request(
                    "the public key's curve is not one of P-256, P-384 and P-521",
                ));
            }
        };
        Self::from_point(curve, raw)
    }

    /// The key of the first public key in a PEM text.
    pub fn from_pem(text: &str) -> Result<Self> {
        for (label, der) in encoding::pem_blocks(text)? {
            match label.as_str() {
                "PUBLIC KEY" => return Self::from_spki_der(der.expose_secret()),
                "RSA PUBLIC KEY" => return Self::from_pkcs1_der(der.expose_secret()),
                _ => {}
            }
        }
        Err(Error::bad_request("no public key found in the PEM data"))
    }

    /// The key of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self> {
        let parsed = RsaPublicKey::from_der(der).map_err(|_| unreadable())?;
        let modulus = parsed.modulus.as_bytes();
        // One would make every number its own signature.
        let exponent = parsed.exponent.as_bytes();
        if exponent.last().is_none_or(|last| last % 2 == 0) || matches!(exponent, [0 | 1]) {
            return Err(Error::bad_request("the public key's exponent is none of RSA"));
        }
        let first = modulus.first().ok_or_else(unreadable)?;
        let bits = modulus.len() * 8 - first.leading_zeros() as usize;
        let bits = u32::try_from(bits).map_err(|_| unreadable())?;
        let algorithm =
            AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::from(Null)) };
        Self::build(KeyType::Rsa(bits), algorithm, der)
    }

    /// The key of an RSA modulus and exponent, both big-endian.
    pub fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        let number = |bytes| UintRef::new(bytes).map_err(|_| unreadable());
        let key = RsaPublicKey { modulus: number(modulus)?, exponent: number(exponent)? };
        Self::from_pkcs1_der(&key.to_der().map_err(|_| unreadable())?)
    }

    /// The key of an uncompressed point (SEC 1 §2.3.3).
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self> {
        if point.len() != 1 + 2 * curve.bytes() || point.first() != Some(&4) {
            return Err(Error::bad_request("the public key is not an uncompressed point"));
        }
        let (named, algorithm): (_, &'static EcdsaVerificationAlgorithm) = match curve {
            Curve::P256 => (P256, &ECDSA_P256_SHA256_ASN1),
            Curve::P384 => (P384, &ECDSA_P384_SHA384_ASN1),
            Curve::P521 => (P521, &ECDSA_P521_SHA512_ASN1),
        };
        if ParsedPublicKey::new(algorithm, point).is_err() {
            return Err(Error::bad_request("the public key is no point of its curve"));
        }
        let algorithm =
            AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(AnyRef::from(&named)) };
        Self::build(KeyType::Ec(curve), algorithm, point)
    }

    /// The key of the 32 bytes of an Ed25519 key.
    pub fn from_ed25519(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != 32 {
            return Err(unreadable());
        }
        let algorithm = AlgorithmIdentifierRef { oid: ED25519, parameters: None };
        Self::build(KeyType::Ed25519, algorithm, bytes)
    }

    fn build(kind: KeyType, algorithm: AlgorithmIdentifierRef<'_>, raw: &[u8]) -> Result<Self> {
        let subject_public_key = BitStringRef::from_bytes(raw).map_err(|_| unreadable())?;
        let spki = SubjectPublicKeyInfoRef { algorithm, subject_public_key }
            .to_der()
            .map_err(|_| unreadable())?;
        Ok(Self { kind, spki, raw: raw.to_vec() })
    }

    /// Its kind.
    pub fn key_type(&self) -> KeyType {
        self.kind
    }

    /// SubjectPublicKeyInfo (RFC 5280 §4.1).
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        encoding::pem("PUBLIC KEY", &self.spki).expose_secret().clone()
    }

    /// What stands in the bit string of SubjectPublicKeyInfo: an `RSAPublicKey`, an uncompressed
    /// point, or the 32 bytes of an Ed25519 key.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Modulus and exponent of an RSA key, big-endian without leading zeros.
    pub fn rsa(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let KeyType::Rsa(_) = self.kind else { return None };
        let parsed = RsaPublicKey::from_der(&self.raw).ok()?;
        Some((parsed.modulus.as_bytes().to_vec(), parsed.exponent.as_bytes().to_vec()))
    }

    /// Did the key's owner sign `message`? An error where the scheme is none of this key's.
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<bool> {
        match (self.kind, scheme) {
            (KeyType::Rsa(_), Scheme::Pss(hash, Salt::Exactly(_))) => {
                self.verify_digest(scheme, &hash.digest(message), signature)
            }
            (KeyType::Rsa(_), Scheme::Pkcs1(_) | Scheme::Pss(..)) => {
                let key = UnparsedPublicKey::new(rsa_parameters(scheme)?, &self.raw);
                Ok(key.verify(message, signature).is_ok())
            }
            (KeyType::Ec(curve), Scheme::Ecdsa(hash)) => {
                let digest = ecdsa_digest(curve, &hash.digest(message))?;
                let key = UnparsedPublicKey::new(verification(curve), &self.raw);
                Ok(key.verify_digest(&digest, signature).is_ok())
            }
            (KeyType::Ed25519, Scheme::Ed25519) => {
                let key = UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, &self.raw);
                Ok(key.verify(message, signature).is_ok())
            }
            _ => Err(mismatch()),
        }
    }

    /// [`Self::verify`] where only the message's digest is at hand.
    pub fn verify_digest(&self, scheme: Scheme, digest: &[u8], signature: &[u8]) -> Result<bool> {
        let hash = scheme.hash().ok_or_else(|| {
            Error::bad_request("a key of this type signs messages, not their digests")
        })?;
        if digest.len() != hash.bytes() {
            return Err(wrong_length());
        }
        match (self.kind, scheme) {
            (KeyType::Rsa(_), Scheme::Pss(hash, Salt::Exactly(length))) => {
                let salt = AnySalt::Exactly(length.into());
                Ok(self.verify_pss_of_any(hash, salt, digest, signature))
            }
            (KeyType::Rsa(_), Scheme::Pkcs1(_) | Scheme::Pss(..)) => {
                let parameters = rsa_parameters(scheme)?;
                let algorithm = hash.algorithm().ok_or_else(unverified_hash)?;
                let digest =
                    Digest::import_less_safe(digest, algorithm).map_err(|_| wrong_length())?;
                let key = UnparsedPublicKey::new(parameters, &self.raw);
                Ok(key.verify_digest(&digest, signature).is_ok())
            }
            (KeyType::Ec(curve), Scheme::Ecdsa(_)) => {
                let digest = ecdsa_digest(curve, digest)?;
                let key = UnparsedPublicKey::new(verification(curve), &self.raw);
                Ok(key.verify_digest(&digest, signature).is_ok())
            }
            _ => Err(mismatch()),
        }
    }

    /// Is this what `PrivateKey::sign_any_digest` makes of the digest, in DER?
    pub fn verify_any_digest(&self, digest: &[u8], signature: &[u8]) -> Result<bool> {
        let KeyType::Ec(curve) = self.kind else { return Err(mismatch()) };
        let digest = ecdsa_digest(curve, digest)?;
        let key = UnparsedPublicKey::new(verification(curve), &self.raw);
        Ok(key.verify_digest(&digest, signature).is_ok())
    }
}

fn unreadable() -> Error {
    Error::bad_request("the public key does not parse")
}

fn unverified_hash() -> Error {
    Error::bad_request("the signature's hash algorithm is not supported for RSA keys")
}

fn verification(curve: Curve) -> &'static EcdsaVerificationAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_ASN1,
        Curve::P384 => &ECDSA_P384_SHA384_ASN1,
        Curve::P521 => &ECDSA_P521_SHA512_ASN1,
    }
}

fn rsa_parameters(scheme: Scheme) -> Result<&'static RsaParameters> {
    static PSS_256_MAX: RsaParameters =
        RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
    static PSS_384_MAX: RsaParameters =
        RSA_PSS_2048_8192_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
    static PSS_512_MAX: RsaParameters =
        RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);
    Ok(match scheme {
        Scheme::Pkcs1(Hash::Sha1) => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Scheme::Pkcs1(Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
        Scheme::Pkcs1(Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
        Scheme::Pkcs1(Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Digest) => &RSA_PSS_2048_8192_SHA256,
        Scheme::Pss(Hash::Sha384, Salt::Digest) => &RSA_PSS_2048_8192_SHA384,
        Scheme::Pss(Hash::Sha512, Salt::Digest) => &RSA_PSS_2048_8192_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Max) => &PSS_256_MAX,
        Scheme::Pss(Hash::Sha384, Salt::Max) => &PSS_384_MAX,
        Scheme::Pss(Hash::Sha512, Salt::Max) => &PSS_512_MAX,
        Scheme::Pkcs1(_) | Scheme::Pss(..) => return Err(unverified_hash()),
        Scheme::Ecdsa(_) | Scheme::Ed25519 => return Err(mismatch()),
    })
}
