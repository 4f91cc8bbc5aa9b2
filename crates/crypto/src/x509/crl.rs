//! Revocation lists (RFC 5280 §5).

use super::algorithm::{Signed, signed};
use super::extension::{Extension, ids};
use super::name::Name;
use super::tlv::{self, Reader};
use super::{Result, SignatureAlgorithm, time};
use crate::keys::{PrivateKey, PublicKey};

/// A revoked certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrlEntry {
    /// The bytes of its serial number.
    pub serial: Vec<u8>,
    /// When it was revoked, in seconds.
    pub revoked: i64,
    /// What else is said of it.
    pub extensions: Vec<Extension>,
}

impl CrlEntry {
    /// One of which nothing else is said.
    pub fn new(serial: Vec<u8>, revoked: i64) -> Self {
        Self { serial, revoked, extensions: Vec::new() }
    }

    fn der(&self) -> Result<Vec<u8>> {
        let mut parts = vec![tlv::unsigned(&self.serial), time::encode(self.revoked)];
        if !self.extensions.is_empty() {
            parts.push(Extension::all_der(&self.extensions)?);
        }
        Ok(tlv::sequence(parts))
    }
}

/// What a list shall say.
pub struct CrlTemplate {
    /// Whose list it is.
    pub issuer: Name,
    /// When it was made, in seconds.
    pub this_update: i64,
    /// When the next one will be there at the latest.
    pub next_update: i64,
    /// What is revoked.
    pub entries: Vec<CrlEntry>,
    /// Extensions of the whole list.
    pub extensions: Vec<Extension>,
}

impl CrlTemplate {
    /// The list's DER, signed.
    pub fn sign(
        &self,
        key: &PrivateKey,
        algorithm: SignatureAlgorithm,
    ) -> strongroom_base::Result<Vec<u8>> {
        let mut parts = vec![
            tlv::number(1),
            algorithm.der(),
            self.issuer.der().to_vec(),
            time::encode(self.this_update),
            time::encode(self.next_update),
        ];
        // An empty list has no list of entries (RFC 5280 §5.1.2.6).
        if !self.entries.is_empty() {
            let entries: Result<Vec<_>> = self.entries.iter().map(CrlEntry::der).collect();
            parts.push(tlv::sequence(entries.map_err(super::internal)?));
        }
        let extensions = Extension::all_der(&self.extensions).map_err(super::internal)?;
        parts.push(tlv::tlv(tlv::context_around(0), &extensions));
        signed(&tlv::sequence(parts), key, algorithm)
    }
}

/// A list that was read.
pub struct Crl {
    der: Vec<u8>,
    /// Whose list it is.
    pub issuer: Name,
    /// When it was made, in seconds.
    pub this_update: i64,
    /// When the next one will be there at the latest; 0 where it says nothing of it.
    pub next_update: i64,
    /// What is revoked.
    pub entries: Vec<CrlEntry>,
    /// Extensions of the whole list.
    pub extensions: Vec<Extension>,
}

impl Crl {
    /// Reads a list.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let parts = Signed::read(der)?;
        let mut body = parts.body.inside();
        body.optional(tlv::INTEGER)?;
        body.expect(tlv::SEQUENCE)?;
        let issuer = Name::read(&body.next()?)?;
        let this_update = time::decode(&body.next()?)?;
        let next_update = match body.peek() {
            Some(tlv::UTC_TIME | tlv::GENERALIZED_TIME) => time::decode(&body.next()?)?,
            _ => 0,
        };
        let mut entries = Vec::new();
        if let Some(list) = body.optional(tlv::SEQUENCE)? {
            let mut list = list.inside();
            while !list.is_empty() {
                let mut entry = list.sequence()?;
                let serial = entry.expect(tlv::INTEGER)?.unsigned()?.to_vec();
                let revoked = time::decode(&entry.next()?)?;
                let extensions = match entry.optional(tlv::SEQUENCE)? {
                    Some(extensions) => Extension::read_all(extensions.raw)?,
                    None => Vec::new(),
                };
                entries.push(CrlEntry { serial, revoked, extensions });
            }
        }
        let extensions = match body.optional(tlv::context_around(0))? {
            Some(extensions) => Extension::read_all(extensions.value)?,
            None => Vec::new(),
        };
        let der = der.to_vec();
        Ok(Self { der, issuer, this_update, next_update, entries, extensions })
    }

    /// Is its signature one of this key?
    pub fn is_signed_by(&self, spki: &[u8]) -> bool {
        let (Ok(parts), Ok(key)) = (Signed::read(&self.der), PublicKey::from_spki_der(spki)) else {
            return false;
        };
        let Some(algorithm) = parts.algorithm else { return false };
        key.verify(algorithm.scheme(), parts.body.raw, parts.signature).is_ok_and(|good| good)
    }

    /// Its number.
    pub fn number(&self) -> Option<u64> {
        self.small(ids::CRL_NUMBER)
    }

    /// The number of the complete list that it continues, where it is a delta list.
    pub fn base(&self) -> Option<u64> {
        self.small(ids::DELTA_INDICATOR)
    }

    /// Does it tell of all certificates of its issuer for clients? Not if it continues another list, is
    /// about some reasons or some other kinds of certificates only, or of several issuers, or has
    /// a critical extension that is not looked at here (RFC 5280 §5.2).
    pub fn is_complete(&self) -> bool {
        self.extensions.iter().all(|extension| match extension.oid.as_str() {
            ids::DELTA_INDICATOR => false,
            ids::ISSUING_POINT => is_about_users(&extension.value).unwrap_or(false),
            _ => !extension.critical,
        })
    }

    fn small(&self, id: &str) -> Option<u64> {
        let extension = self.extensions.iter().find(|e| e.oid == id)?;
        let number = Reader::new(&extension.value).next().ok()?;
        let bytes = number.unsigned().ok().filter(|bytes| bytes.len() <= 8)?;
        Some(bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)))
    }
}

/// Does an IssuingDistributionPoint leave certificates of clients in? Its members: [0] the point, [1] only
/// of users, [2] only of authorities, [3] only some reasons, [4] of several issuers, [5] only of
/// attributes.
fn is_about_users(value: &[u8]) -> Result<bool> {
    let mut members = Reader::new(value).sequence()?;
    while !members.is_empty() {
        let member = members.next()?;
        let number = member.tag & 0x1f;
        let is_true = member.value.iter().any(|byte| *byte != 0);
        if number > 1 && is_true {
            return Ok(false);
        }
    }
    Ok(true)
}
