//! A certificate from what is asked to what is made: held to the role, then signed.

use std::sync::Arc;

use strongroom_base::Result;
use strongroom_crypto::keys::{PrivateKey, PublicKey};
use strongroom_crypto::x509::{Certificate, Extension, Request, SignatureAlgorithm, Template};
use strongroom_kernel::plug::ReadCx;

use super::authority::Authority;
use super::bad;
use super::extensions::{key_ids, links, policies, subject, usages};
use super::names::{Judge, Names};
use super::role::Role;
use super::validity::{self, Bounds, Validity};

/// What is asked of a certificate, whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub common_name: Option<String>,
    pub alt_names: Vec<String>,
    pub ip_sans: Vec<String>,
    pub uri_sans: Vec<String>,
    pub other_sans: Vec<String>,
    pub user_ids: Vec<String>,
    pub serial_number: Option<String>,
    /// Seconds.
    pub ttl: Option<i64>,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub exclude_cn_from_sans: bool,
    /// Are there no user ids, not even of a CSR?
    pub without_user_ids: bool,
}

/// A certificate that was made.
pub struct Made {
    pub certificate: Certificate,
    /// Its key, where we made it.
    pub key: Option<PrivateKey>,
    /// The issuer's certificate, and those behind it.
    pub chain: Vec<Arc<Certificate>>,
    pub warnings: Vec<String>,
}

/// What a certificate will say, once it was held to the role.
pub struct Plan {
    pub names: Names,
    pub validity: Validity,
    pub warnings: Vec<String>,
}

impl Plan {
    /// Holds what is asked to a role.
    pub async fn new(
        cx: &ReadCx<'_>,
        role: &Role,
        authority: &Authority,
        asked: &Asked,
        csr: Option<&Request>,
    ) -> Result<Self> {
        let names = Judge::new(cx, role).await?.gather(asked, csr)?;
        let bounds = Bounds {
            now: cx.now(),
            ttls: cx.ttls(),
            issuer: Some((&authority.certificate, authority.issuer.leaf_not_after)),
        };
        let (validity, warnings) = validity::of(role, asked, &bounds)?;
        Ok(Self { names, validity, warnings })
    }

    /// The certificate of a key.
    pub fn make(
        self,
        cx: &ReadCx<'_>,
        role: &Role,
        authority: &Authority,
        key: &PublicKey,
    ) -> Result<Made> {
        let subject = subject(role, &self.names);
        let mut extensions = usages(role, key.key_type())?;
        if role.basic_constraints_valid_for_non_ca {
            extensions.push(Extension::basic_constraints(false, None));
        }
        extensions.extend(key_ids(key.spki_der(), &authority.certificate)?);
        extensions.extend(links(authority, &subject, &self.names)?);
        let listed = policies(&role.policy_identifiers)?;
        if !listed.is_empty() {
            extensions.push(Extension::policies(&listed).map_err(malformed)?);
        }
        let template = Template {
            serial: serial_number(cx),
            issuer: authority.certificate.subject.clone(),
            subject,
            not_before: self.validity.not_before,
            not_after: self.validity.not_after,
            spki: key.spki_der().to_vec(),
            extensions,
        };
        let certificate = template.sign(&authority.key, algorithm(role, &authority.key))?;
        let chain = authority.chain.clone();
        Ok(Made { certificate, key: None, chain, warnings: self.warnings })
    }
}

/// What a caller gave that does not go into a certificate.
pub fn malformed(e: strongroom_crypto::x509::Malformed) -> strongroom_base::Error {
    bad(e.to_string())
}

/// 159 random bits.
pub fn serial_number(cx: &ReadCx<'_>) -> Vec<u8> {
    let mut serial: [u8; 20] = cx.rng().array();
    serial[0] &= 0x7f;
    // Zero is no serial number (RFC 5280 §4.1.2.2).
    if serial.iter().all(|byte| *byte == 0) {
        serial[19] = 1;
    }
    serial.to_vec()
}

/// How an issuer with this key signs.
pub fn algorithm(role: &Role, key: &PrivateKey) -> SignatureAlgorithm {
    let bits = u32::try_from(role.signature_bits).unwrap_or(0);
    SignatureAlgorithm::for_key(key.key_type(), bits, role.use_pss)
}
