//! Certificates.

use super::algorithm::{Signed, signed};
use super::extension::{Extension, KeyUsage, ids};
use super::general_name::GeneralName;
use super::name::Name;
use super::tlv::{self, Reader, Tlv};
use super::{Malformed, Result, SignatureAlgorithm, colons, time, to_pem};
use crate::keys::{PrivateKey, PublicKey};

/// Bytes of a certificate.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// A certificate that was read.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    serial: Vec<u8>,
    negative: bool,
    /// Whose signature it has.
    pub issuer: Name,
    /// Whose it is.
    pub subject: Name,
    /// The first second of its validity.
    pub not_before: i64,
    /// The last second of its validity.
    pub not_after: i64,
    /// The key of its subject: SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Its extensions.
    pub extensions: Vec<Extension>,
    /// How it is signed; none where it is in a way that is not known here.
    pub algorithm: Option<SignatureAlgorithm>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Certificate {
    /// Reads a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        if der.len() > BYTES_MAX {
            return Err(Malformed("it is too large"));
        }
        let parts = Signed::read(der)?;
        let mut body = parts.body.inside();
        body.optional(tlv::context_around(0))?;
        let number = body.expect(tlv::INTEGER)?;
        let serial = number.unsigned()?.to_vec();
        let negative = number.value.first().is_some_and(|first| *first >= 0x80);
        body.expect(tlv::SEQUENCE)?;
        let issuer = Name::read(&body.next()?)?;
        let mut validity = body.sequence()?;
        let not_before = time::decode(&validity.next()?)?;
        let not_after = time::decode(&validity.next()?)?;
        let subject = Name::read(&body.next()?)?;
        let spki = body.expect(tlv::SEQUENCE)?.raw.to_vec();
        let mut extensions = Vec::new();
        while !body.is_empty() {
            let next = body.next()?;
            if next.tag == tlv::context_around(3) {
                extensions = Extension::read_all(next.value)?;
            }
        }
        let algorithm = parts.algorithm;
        let der = der.to_vec();
        Ok(Self {
            der,
            serial,
            negative,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            extensions,
            algorithm,
        })
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its PEM, without a line break at its end.
    pub fn pem(&self) -> String {
        to_pem("CERTIFICATE", &self.der)
    }

    /// Its serial number, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Is its serial number one that RFC 5280 allows: above zero?
    pub fn has_proper_serial(&self) -> bool {
        !self.negative && self.serial.iter().any(|byte| *byte != 0)
    }

    /// Its serial number as Vault's API has it.
    pub fn serial_text(&self) -> String {
        colons(&self.serial)
    }

    /// Its key.
    pub fn public_key(&self) -> strongroom_base::Result<PublicKey> {
        PublicKey::from_spki_der(&self.spki)
    }

    /// An extension's value.
    pub fn extension(&self, id: &str) -> Option<&[u8]> {
        self.extensions.iter().find(|e| e.oid == id).map(|e| e.value.as_slice())
    }

    /// Is it an authority's? And how many authorities may follow below it, where that is limited?
    pub fn authority(&self) -> Option<Option<u32>> {
        read_basic_constraints(self.extension(ids::BASIC_CONSTRAINTS)?).ok().flatten()
    }

    /// Has it Basic Constraints, whatever they say?
    pub fn is_authority(&self) -> bool {
        self.authority().is_some()
    }

    /// Its Key Usage; none where it says nothing of it.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        let bits = Reader::new(self.extension(ids::KEY_USAGE)?).next().ok()?;
        let (_, bytes) = bits.bit_string().ok()?;
        let first = bytes.first().copied().unwrap_or(0).reverse_bits();
        let second = bytes.get(1).copied().unwrap_or(0).reverse_bits();
        Some(KeyUsage(u16::from(first) | u16::from(second) << 8))
    }

    /// Its Subject Key Identifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        let value = Reader::new(self.extension(ids::SUBJECT_KEY_ID)?).next().ok()?;
        Some(value.value)
    }

    /// The key identifier of its Authority Key Identifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        let mut parts = Reader::new(self.extension(ids::AUTHORITY_KEY_ID)?).sequence().ok()?;
        parts.optional(tlv::context(0)).ok()?.map(|id| id.value)
    }

    /// Its alternative names.
    pub fn alt_names(&self) -> Result<Vec<GeneralName>> {
        self.extension(ids::ALT_NAME).map_or(Ok(Vec::new()), GeneralName::read_all)
    }

    /// Does the owner of `issuer` stand behind it: by name, key identifier, right to sign, and
    /// signature?
    pub fn is_issued_by(&self, issuer: &Self) -> bool {
        self.names_issuer(issuer) && self.is_signed_by(&issuer.spki)
    }

    /// Is all but the signature as if `issuer` stood behind it?
    pub(super) fn names_issuer(&self, issuer: &Self) -> bool {
        let ids = (self.authority_key_id(), issuer.subject_key_id());
        let same_key = !matches!(ids, (Some(a), Some(b)) if a != b);
        let may_sign = issuer.key_usage().is_none_or(|usage| usage.has(KeyUsage::CERT_SIGN));
        self.issuer == issuer.subject && same_key && may_sign
    }

    /// Is its signature one of this key?
    pub fn is_signed_by(&self, spki: &[u8]) -> bool {
        let (Ok(parts), Ok(key)) = (Signed::read(&self.der), PublicKey::from_spki_der(spki)) else {
            return false;
        };
        let Some(algorithm) = parts.algorithm else { return false };
        key.verify(algorithm.scheme(), parts.body.raw, parts.signature).is_ok_and(|good| good)
    }

    /// Is it signed by its own key, and named so?
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject && self.is_signed_by(&self.spki)
    }
}

/// None where it is no authority's; else the path length, where there is one.
pub(super) fn read_basic_constraints(value: &[u8]) -> Result<Option<Option<u32>>> {
    let mut parts = Reader::new(value).sequence()?;
    let authority = match parts.optional(tlv::BOOLEAN)? {
        Some(authority) => authority.boolean()?,
        None => false,
    };
    let length = parts.optional(tlv::INTEGER)?.map(|length: Tlv<'_>| length.small()).transpose()?;
    Ok(authority.then_some(length))
}

/// What a certificate shall say.
pub struct Template {
    /// The bytes of its serial number.
    pub serial: Vec<u8>,
    /// Whose signature it will have.
    pub issuer: Name,
    /// Whose it is.
    pub subject: Name,
    /// The first second of its validity.
    pub not_before: i64,
    /// The last second of its validity.
    pub not_after: i64,
    /// The key of its subject.
    pub spki: Vec<u8>,
    /// Its extensions.
    pub extensions: Vec<Extension>,
}

impl Template {
    /// The certificate, signed.
    pub fn sign(
        &self,
        key: &PrivateKey,
        algorithm: SignatureAlgorithm,
    ) -> strongroom_base::Result<Certificate> {
        let body = self.body(algorithm).map_err(super::internal)?;
        if body.len() > BYTES_MAX - 4_096 {
            return Err(strongroom_base::Error::bad_request("the certificate would be too large"));
        }
        let der = signed(&body, key, algorithm)?;
        Certificate::from_der(&der).map_err(super::internal)
    }

    fn body(&self, algorithm: SignatureAlgorithm) -> Result<Vec<u8>> {
        if self.serial.iter().all(|b| *b == 0) {
            return Err(Malformed("a serial number is zero"));
        }
        let version = tlv::tlv(tlv::context_around(0), &tlv::number(2));
        let validity = [time::encode(self.not_before), time::encode(self.not_after)];
        let mut parts = vec![
            version,
            tlv::unsigned(&self.serial),
            algorithm.der(),
            self.issuer.der().to_vec(),
            tlv::sequence(validity),
            self.subject.der().to_vec(),
            self.spki.clone(),
        ];
        if !self.extensions.is_empty() {
            let extensions = Extension::all_der(&self.extensions)?;
            parts.push(tlv::tlv(tlv::context_around(3), &extensions));
        }
        Ok(tlv::sequence(parts))
    }
}
