//! Extensions of certificates, requests and lists.

use super::general_name::GeneralName;
use super::tlv::{self, Reader};
use super::{Malformed, Result, oid};
use crate::keys::KeyType;

/// Identifiers of extensions.
pub mod ids {
    /// Subject Key Identifier.
    pub const SUBJECT_KEY_ID: &str = "2.5.29.14";
    /// Key Usage.
    pub const KEY_USAGE: &str = "2.5.29.15";
    /// Subject Alternative Name.
    pub const ALT_NAME: &str = "2.5.29.17";
    /// Basic Constraints.
    pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";
    /// CRL Number.
    pub const CRL_NUMBER: &str = "2.5.29.20";
    /// Delta CRL Indicator.
    pub const DELTA_INDICATOR: &str = "2.5.29.27";
    /// What a revocation list is about (RFC 5280 §5.2.5).
    pub const ISSUING_POINT: &str = "2.5.29.28";
    /// Name Constraints.
    pub const NAME_CONSTRAINTS: &str = "2.5.29.30";
    /// CRL Distribution Points.
    pub const CRL_POINTS: &str = "2.5.29.31";
    /// Certificate Policies.
    pub const POLICIES: &str = "2.5.29.32";
    /// Authority Key Identifier.
    pub const AUTHORITY_KEY_ID: &str = "2.5.29.35";
    /// Extended Key Usage.
    pub const EXTENDED_USAGE: &str = "2.5.29.37";
    /// Freshest CRL.
    pub const FRESHEST_CRL: &str = "2.5.29.46";
    /// Authority Information Access.
    pub const AUTHORITY_INFO: &str = "1.3.6.1.5.5.7.1.1";
    /// The attribute of a request that holds extensions.
    pub const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
}

/// Bits of a Key Usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// Signing of certificates.
    pub const CERT_SIGN: Self = Self(1 << 5);
    /// Signing of revocation lists.
    pub const CRL_SIGN: Self = Self(1 << 6);
    /// Signatures of other things.
    pub const DIGITAL_SIGNATURE: Self = Self(1);

    /// The usage of this name, as Go's x509 package and Vault's API have it; the case does not
    /// matter.
    pub fn by_name(name: &str) -> Option<Self> {
        const NAMES: [&str; 9] = [
            "digitalsignature",
            "contentcommitment",
            "keyencipherment",
            "dataencipherment",
            "keyagreement",
            "certsign",
            "crlsign",
            "encipheronly",
            "decipheronly",
        ];
        let name = name.trim().to_ascii_lowercase();
        NAMES.iter().position(|n| *n == name).map(|bit| Self(1 << bit))
    }

    /// Has it all bits of `other`?
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Without what a key of this kind can't do: RSA agrees on no keys (RFC 3279 §2.3.1), curves
    /// encipher none (RFC 8813 §3), and Ed25519 does neither (RFC 9295 §3).
    pub fn possible(self, key: KeyType) -> Self {
        const ENCIPHERS: u16 = 1 << 2 | 1 << 3;
        const AGREES: u16 = 1 << 4 | 1 << 7 | 1 << 8;
        match key {
            KeyType::Rsa(_) => Self(self.0 & !AGREES),
            KeyType::Ec(_) => Self(self.0 & !ENCIPHERS),
            KeyType::Ed25519 => Self(self.0 & !(ENCIPHERS | AGREES)),
        }
    }

    /// With the bits of `other`.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The identifier of an extended usage by its name in Vault's API; the case does not matter.
pub fn extended_usage_oid(name: &str) -> Option<&'static str> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "any" => "2.5.29.37.0",
        "serverauth" => "1.3.6.1.5.5.7.3.1",
        "clientauth" => "1.3.6.1.5.5.7.3.2",
        "codesigning" => "1.3.6.1.5.5.7.3.3",
        "emailprotection" => "1.3.6.1.5.5.7.3.4",
        "ipsecendsystem" => "1.3.6.1.5.5.7.3.5",
        "ipsectunnel" => "1.3.6.1.5.5.7.3.6",
        "ipsecuser" => "1.3.6.1.5.5.7.3.7",
        "timestamping" => "1.3.6.1.5.5.7.3.8",
        "ocspsigning" => "1.3.6.1.5.5.7.3.9",
        "microsoftservergatedcrypto" => "1.3.6.1.4.1.311.10.3.3",
        "netscapeservergatedcrypto" => "2.16.840.1.113730.4.1",
        "microsoftcommercialcodesigning" => "1.3.6.1.4.1.311.2.1.22",
        "microsoftkernelcodesigning" => "1.3.6.1.4.1.311.61.1.1",
        _ => return None,
    })
}

/// A policy a certificate is issued under.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Its identifier, dotted.
    pub oid: String,
    /// Where its text is, or "".
    pub cps: String,
    /// A text to be shown, or "".
    pub notice: String,
}

/// Extensions that are read of one certificate, request or list.
const EXTENSIONS_MAX: usize = 100;

/// One extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extension {
    /// Its identifier, dotted.
    pub oid: String,
    /// Must a verifier understand it?
    pub critical: bool,
    /// Its DER.
    pub value: Vec<u8>,
}

impl Extension {
    fn new(id: &str, critical: bool, value: Vec<u8>) -> Self {
        Self { oid: id.to_owned(), critical, value }
    }

    /// Basic Constraints: is it an authority's, and how many authorities may follow?
    pub fn basic_constraints(authority: bool, path_length: Option<u32>) -> Self {
        let mut parts = Vec::new();
        if authority {
            parts.push(tlv::yes());
        }
        if let (true, Some(length)) = (authority, path_length) {
            parts.push(tlv::number(length.into()));
        }
        Self::new(ids::BASIC_CONSTRAINTS, true, tlv::sequence(parts))
    }

    /// Key Usage.
    pub fn key_usage(usage: KeyUsage) -> Self {
        Self::new(ids::KEY_USAGE, true, tlv::named_bits(usage.0))
    }

    /// Extended Key Usage, of dotted identifiers.
    pub fn extended_usage<T: AsRef<str>>(usages: &[T]) -> Result<Self> {
        let usages: Vec<Vec<u8>> =
            usages.iter().map(|usage| oid::encode(usage.as_ref())).collect::<Result<_>>()?;
        Ok(Self::new(ids::EXTENDED_USAGE, false, tlv::sequence(usages)))
    }

    /// Subject Key Identifier.
    pub fn subject_key_id(id: &[u8]) -> Self {
        Self::new(ids::SUBJECT_KEY_ID, false, tlv::tlv(tlv::OCTET_STRING, id))
    }

    /// Authority Key Identifier.
    pub fn authority_key_id(id: &[u8]) -> Self {
        let id = tlv::tlv(tlv::context(0), id);
        Self::new(ids::AUTHORITY_KEY_ID, false, tlv::sequence([id]))
    }

    /// Subject Alternative Name; critical where the subject has no name (RFC 5280 §4.2.1.6).
    pub fn alt_names(names: &[GeneralName], critical: bool) -> Result<Self> {
        Ok(Self::new(ids::ALT_NAME, critical, GeneralName::all_der(names)?))
    }

    /// Authority Information Access: where to ask about a certificate, and where its issuer is.
    pub fn authority_info(ocsp: &[String], issuers: &[String]) -> Result<Self> {
        let ocsp = ocsp.iter().map(|url| ("1.3.6.1.5.5.7.48.1", url));
        let issuers = issuers.iter().map(|url| ("1.3.6.1.5.5.7.48.2", url));
        let mut parts = Vec::new();
        for (method, url) in ocsp.chain(issuers) {
            let url = GeneralName::Uri(url.clone()).der()?;
            parts.push(tlv::sequence([oid::known(method), url]));
        }
        Ok(Self::new(ids::AUTHORITY_INFO, false, tlv::sequence(parts)))
    }

    /// CRL Distribution Points.
    pub fn crl_points(urls: &[String]) -> Result<Self> {
        Ok(Self::new(ids::CRL_POINTS, false, points(urls)?))
    }

    /// Freshest CRL: where delta lists are.
    pub fn freshest_crl(urls: &[String]) -> Result<Self> {
        Ok(Self::new(ids::FRESHEST_CRL, false, points(urls)?))
    }

    /// Certificate Policies.
    pub fn policies(policies: &[Policy]) -> Result<Self> {
        let mut parts = Vec::new();
        for policy in policies {
            let mut qualifiers = Vec::new();
            if !policy.cps.is_empty() {
                let url = tlv::tlv(tlv::IA5_STRING, policy.cps.as_bytes());
                qualifiers.push(tlv::sequence([oid::known("1.3.6.1.5.5.7.2.1"), url]));
            }
            if !policy.notice.is_empty() {
                let text = tlv::tlv(tlv::UTF8_STRING, policy.notice.as_bytes());
                let notice = tlv::sequence([text]);
                qualifiers.push(tlv::sequence([oid::known("1.3.6.1.5.5.7.2.2"), notice]));
            }
            let mut part = vec![oid::encode(&policy.oid)?];
            if !qualifiers.is_empty() {
                part.push(tlv::sequence(qualifiers));
            }
            parts.push(tlv::sequence(part));
        }
        Ok(Self::new(ids::POLICIES, false, tlv::sequence(parts)))
    }

    /// Name Constraints: the host names that certificates below may have.
    pub fn permitted_domains(domains: &[String]) -> Result<Self> {
        let mut parts = Vec::new();
        for domain in domains {
            parts.push(tlv::sequence([GeneralName::Dns(domain.clone()).der()?]));
        }
        let permitted = tlv::all(tlv::context_around(0), parts);
        Ok(Self::new(ids::NAME_CONSTRAINTS, true, tlv::sequence([permitted])))
    }

    /// CRL Number.
    pub fn crl_number(number: u64) -> Self {
        Self::new(ids::CRL_NUMBER, false, tlv::number(number))
    }

    /// Delta CRL Indicator: the number of the complete list that a delta list continues.
    pub fn delta_indicator(base: u64) -> Self {
        Self::new(ids::DELTA_INDICATOR, true, tlv::number(base))
    }

    pub(super) fn der(&self) -> Result<Vec<u8>> {
        let mut parts = vec![oid::encode(&self.oid)?];
        if self.critical {
            parts.push(tlv::yes());
        }
        parts.push(tlv::tlv(tlv::OCTET_STRING, &self.value));
        Ok(tlv::sequence(parts))
    }

    /// Extensions in their SEQUENCE.
    pub(super) fn all_der(extensions: &[Self]) -> Result<Vec<u8>> {
        let all: Vec<Vec<u8>> = extensions.iter().map(Self::der).collect::<Result<_>>()?;
        Ok(tlv::sequence(all))
    }

    /// The extensions of a SEQUENCE.
    pub(super) fn read_all(der: &[u8]) -> Result<Vec<Self>> {
        let mut all = Reader::new(der).sequence()?;
        let mut out: Vec<Self> = Vec::new();
        while !all.is_empty() {
            let mut one = all.sequence()?;
            let oid = one.next()?.oid()?;
            let critical = match one.optional(tlv::BOOLEAN)? {
                Some(critical) => critical.boolean()?,
                None => false,
            };
            let value = one.expect(tlv::OCTET_STRING)?.value.to_vec();
            if out.len() >= EXTENSIONS_MAX {
                return Err(Malformed("it has too many extensions"));
            }
            // Which one of two would count is nowhere said (RFC 5280 §4.2).
            if out.iter().any(|e| e.oid == oid) {
                return Err(Malformed("an extension is there twice"));
            }
            out.push(Self { oid, critical, value });
        }
        Ok(out)
    }
}

fn points(urls: &[String]) -> Result<Vec<u8>> {
    let mut parts = Vec::new();
    for url in urls {
        let full_name = tlv::all(tlv::context_around(0), [GeneralName::Uri(url.clone()).der()?]);
        let point = tlv::tlv(tlv::context_around(0), &full_name);
        parts.push(tlv::sequence([point]));
    }
    Ok(tlv::sequence(parts))
}
