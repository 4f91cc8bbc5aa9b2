//! Certificate signing requests (RFC 2986).

use super::algorithm::{Signed, signed};
use super::certificate::BYTES_MAX;
use super::extension::{Extension, ids};
use super::general_name::GeneralName;
use super::name::Name;
use super::tlv;
use super::{Malformed, Result, SignatureAlgorithm, oid, to_pem};
use crate::keys::{PrivateKey, PublicKey};

/// A request that was read.
#[derive(Clone, Debug)]
pub struct Request {
    der: Vec<u8>,
    /// Whose it is.
    pub subject: Name,
    /// The key of its subject: SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The extensions it asks for.
    pub extensions: Vec<Extension>,
}

impl Request {
    /// Reads a request. Its signature is not verified here.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        if der.len() > BYTES_MAX {
            return Err(Malformed("it is too large"));
        }
        let parts = Signed::read(der)?;
        let mut body = parts.body.inside();
        body.expect(tlv::INTEGER)?;
        let subject = Name::read(&body.next()?)?;
        let spki = body.expect(tlv::SEQUENCE)?.raw.to_vec();
        let mut extensions = Vec::new();
        if let Some(attributes) = body.optional(tlv::context_around(0))? {
            let mut attributes = attributes.inside();
            while !attributes.is_empty() {
                let mut attribute = attributes.sequence()?;
                let kind = attribute.next()?.oid()?;
                let values = attribute.expect(tlv::SET)?;
                if kind == ids::EXTENSION_REQUEST && extensions.is_empty() {
                    extensions = Extension::read_all(values.value)?;
                }
            }
        }
        Ok(Self { der: der.to_vec(), subject, spki, extensions })
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its PEM, without a line break at its end.
    pub fn pem(&self) -> String {
        to_pem("CERTIFICATE REQUEST", &self.der)
    }

    /// Its key.
    pub fn public_key(&self) -> strongroom_base::Result<PublicKey> {
        PublicKey::from_spki_der(&self.spki)
    }

    /// Does the owner of its key stand behind it?
    pub fn is_signed(&self) -> bool {
        let (Ok(parts), Ok(key)) = (Signed::read(&self.der), self.public_key()) else {
            return false;
        };
        let Some(algorithm) = parts.algorithm else { return false };
        key.verify(algorithm.scheme(), parts.body.raw, parts.signature).is_ok_and(|good| good)
    }

    /// An extension's value.
    pub fn extension(&self, id: &str) -> Option<&[u8]> {
        self.extensions.iter().find(|e| e.oid == id).map(|e| e.value.as_slice())
    }

    /// The alternative names it asks for.
    pub fn alt_names(&self) -> Result<Vec<GeneralName>> {
        self.extension(ids::ALT_NAME).map_or(Ok(Vec::new()), GeneralName::read_all)
    }

    /// Does it ask for an authority's certificate?
    pub fn wants_authority(&self) -> bool {
        let value = self.extension(ids::BASIC_CONSTRAINTS);
        value.is_some_and(|value| {
            super::certificate::read_basic_constraints(value).ok().flatten().is_some()
        })
    }
}

/// What a request shall say.
pub struct RequestTemplate {
    /// Whose it is.
    pub subject: Name,
    /// The extensions it asks for.
    pub extensions: Vec<Extension>,
}

impl RequestTemplate {
    /// The request, signed by its own key.
    pub fn sign(
        &self,
        key: &PrivateKey,
        algorithm: SignatureAlgorithm,
    ) -> strongroom_base::Result<Request> {
        Request::from_der(&self.sign_der(key, algorithm)?).map_err(super::internal)
    }

    /// The same in DER, whether or not it is one that we would read.
    pub fn sign_der(
        &self,
        key: &PrivateKey,
        algorithm: SignatureAlgorithm,
    ) -> strongroom_base::Result<Vec<u8>> {
        let mut attributes = Vec::new();
        if !self.extensions.is_empty() {
            let extensions = Extension::all_der(&self.extensions).map_err(super::internal)?;
            let values = tlv::set_of(vec![extensions]);
            attributes.push(tlv::sequence([oid::known(ids::EXTENSION_REQUEST), values]));
        }
        let body = tlv::sequence([
            tlv::number(0),
            self.subject.der().to_vec(),
            key.public()?.spki_der().to_vec(),
            tlv::all(tlv::context_around(0), attributes),
        ]);
        signed(&body, key, algorithm)
    }
}
