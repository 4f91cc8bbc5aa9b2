//! Signature algorithms, as certificates name them.

use super::tlv::{self, Reader, Tlv};
use super::{Malformed, Result, oid};
use crate::keys::{Curve, Hash, KeyType, Salt, Scheme};

/// How something is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignatureAlgorithm {
    /// RSA with PKCS#1 v1.5 padding.
    RsaPkcs1(Hash),
    /// RSA-PSS; the salt is as long as the digest.
    RsaPss(Hash),
    /// ECDSA.
    Ecdsa(Hash),
    /// Ed25519.
    Ed25519,
}

const PSS: &str = "1.2.840.113549.1.1.10";

/// Identifiers and the algorithms they stand for.
const PLAIN: [(&str, SignatureAlgorithm); 8] = {
    use SignatureAlgorithm as A;
    [
        ("1.2.840.113549.1.1.5", A::RsaPkcs1(Hash::Sha1)),
        ("1.2.840.113549.1.1.11", A::RsaPkcs1(Hash::Sha256)),
        ("1.2.840.113549.1.1.12", A::RsaPkcs1(Hash::Sha384)),
        ("1.2.840.113549.1.1.13", A::RsaPkcs1(Hash::Sha512)),
        ("1.2.840.10045.4.3.2", A::Ecdsa(Hash::Sha256)),
        ("1.2.840.10045.4.3.3", A::Ecdsa(Hash::Sha384)),
        ("1.2.840.10045.4.3.4", A::Ecdsa(Hash::Sha512)),
        ("1.3.101.112", A::Ed25519),
    ]
};

/// Names in Vault's API, as Go's x509 package has them; and the same in lower case with dashes left
/// out.
const NAMES: [(&str, SignatureAlgorithm); 10] = {
    use SignatureAlgorithm as A;
    [
        ("SHA256WithRSA", A::RsaPkcs1(Hash::Sha256)),
        ("SHA384WithRSA", A::RsaPkcs1(Hash::Sha384)),
        ("SHA512WithRSA", A::RsaPkcs1(Hash::Sha512)),
        ("ECDSAWithSHA256", A::Ecdsa(Hash::Sha256)),
        ("ECDSAWithSHA384", A::Ecdsa(Hash::Sha384)),
        ("ECDSAWithSHA512", A::Ecdsa(Hash::Sha512)),
        ("SHA256WithRSAPSS", A::RsaPss(Hash::Sha256)),
        ("SHA384WithRSAPSS", A::RsaPss(Hash::Sha384)),
        ("SHA512WithRSAPSS", A::RsaPss(Hash::Sha512)),
        ("PureEd25519", A::Ed25519),
    ]
};

const DIGESTS: [(&str, Hash); 4] = [
    ("1.3.14.3.2.26", Hash::Sha1),
    ("2.16.840.1.101.3.4.2.1", Hash::Sha256),
    ("2.16.840.1.101.3.4.2.2", Hash::Sha384),
    ("2.16.840.1.101.3.4.2.3", Hash::Sha512),
];

impl SignatureAlgorithm {
    /// The algorithm for a key: `bits` (256, 384 or 512) choose the hash of RSA, while a curve has
    /// the hash of its own size.
    pub fn for_key(key: KeyType, bits: u32, pss: bool) -> Self {
        let hash = match bits {
            384 => Hash::Sha384,
            512 => Hash::Sha512,
            _ => Hash::Sha256,
        };
        match key {
            KeyType::Rsa(_) if pss => Self::RsaPss(hash),
            KeyType::Rsa(_) => Self::RsaPkcs1(hash),
            KeyType::Ec(Curve::P256) => Self::Ecdsa(Hash::Sha256),
            KeyType::Ec(Curve::P384) => Self::Ecdsa(Hash::Sha384),
            KeyType::Ec(Curve::P521) => Self::Ecdsa(Hash::Sha512),
            KeyType::Ed25519 => Self::Ed25519,
        }
    }

    /// Can a key of this type sign so?
    pub fn fits(self, key: KeyType) -> bool {
        matches!(
            (self, key),
            (Self::RsaPkcs1(_) | Self::RsaPss(_), KeyType::Rsa(_))
                | (Self::Ecdsa(_), KeyType::Ec(_))
                | (Self::Ed25519, KeyType::Ed25519)
        )
    }

    /// Its name in Vault's API.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, a)| *a == self).map_or("", |(name, _)| *name)
    }

    /// The algorithm of a name; the case does not matter.
    pub fn by_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, a)| *a)
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// As keys call it.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::RsaPkcs1(hash) => Scheme::Pkcs1(hash),
            Self::RsaPss(hash) => Scheme::Pss(hash, Salt::Digest),
            Self::Ecdsa(hash) => Scheme::Ecdsa(hash),
            Self::Ed25519 => Scheme::Ed25519,
        }
    }

    /// The AlgorithmIdentifier.
    pub fn der(self) -> Vec<u8> {
        if let Self::RsaPss(hash) = self {
            return pss(hash);
        }
        let id = PLAIN.iter().find(|(_, a)| *a == self).map_or("", |(id, _)| *id);
        let mut parts = vec![oid::known(id)];
        if let Self::RsaPkcs1(_) = self {
            parts.push(tlv::tlv(tlv::NULL, &[]));
        }
        tlv::sequence(parts)
    }

    /// The algorithm of an AlgorithmIdentifier; none where it is of another kind.
    pub(super) fn read(identifier: &Tlv<'_>) -> Result<Option<Self>> {
        let mut inside = identifier.inside();
        let id = inside.next()?.oid()?;
        if id != PSS {
            return Ok(PLAIN.iter().find(|(i, _)| *i == id).map(|(_, a)| *a));
        }
        let mut parameters = inside.sequence()?;
        let Some(hash) = parameters.optional(tlv::context_around(0))? else {
            return Ok(Some(Self::RsaPss(Hash::Sha1)));
        };
        let id = Reader::new(hash.value).sequence()?.next()?.oid()?;
        let hash = DIGESTS.iter().find(|(i, _)| *i == id).map(|(_, hash)| *hash);
        Ok(hash.map(Self::RsaPss))
    }
}

/// RFC 4055 §3.1, with the parameters that Go and OpenSSL write.
fn pss(hash: Hash) -> Vec<u8> {
    let id = DIGESTS.iter().find(|(_, h)| *h == hash).map_or("", |(id, _)| *id);
    let digest = tlv::sequence([oid::known(id), tlv::tlv(tlv::NULL, &[])]);
    let mask = tlv::sequence([oid::known("1.2.840.113549.1.1.8"), digest.clone()]);
    let parameters = tlv::sequence([
        tlv::tlv(tlv::context_around(0), &digest),
        tlv::tlv(tlv::context_around(1), &mask),
        tlv::tlv(tlv::context_around(2), &tlv::number(hash.bytes() as u64)),
    ]);
    tlv::sequence([oid::known(PSS), parameters])
}

/// What is signed, with its signature: `SEQUENCE { signed, algorithm, BIT STRING }`.
pub(super) fn signed(
    body: &[u8],
    key: &crate::keys::PrivateKey,
    algorithm: SignatureAlgorithm,
) -> strongroom_base::Result<Vec<u8>> {
    let signature = key.sign(algorithm.scheme(), body)?;
    Ok(tlv::sequence([body, &algorithm.der(), &tlv::bit_string(&signature)]))
}

/// The three parts of what is signed.
pub(super) struct Signed<'a> {
    pub body: Tlv<'a>,
    pub algorithm: Option<SignatureAlgorithm>,
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub fn read(der: &'a [u8]) -> Result<Self> {
        let mut outer = Reader::new(der);
        let mut parts = outer.sequence()?;
        outer.end()?;
        let body = parts.expect(tlv::SEQUENCE)?;
        let algorithm = SignatureAlgorithm::read(&parts.expect(tlv::SEQUENCE)?)?;
        let (unused, signature) = parts.next()?.bit_string()?;
        parts.end()?;
        if unused != 0 {
            return Err(Malformed("a signature is not of whole bytes"));
        }
        Ok(Self { body, algorithm, signature })
    }
}
