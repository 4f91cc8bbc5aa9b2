//! How certificates, keys and chains are written in answers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Json, JsonMap, Result};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::Certificate;

use super::bad;
use super::plan::Made;

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    pub kind: FormatKind,
    /// Is the private key in PKCS#8, and not in the form of its kind?
    pub pkcs8: bool,
    /// Are self-signed certificates left out of the chain?
    pub without_roots: bool,
}

/// The form of certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormatKind {
    /// PEM.
    Pem,
    /// DER in base64.
    Der,
    /// PEM, key and chain with the certificate.
    Bundle,
}

impl Format {
    /// From the names of the wire.
    pub fn new(format: Option<&str>, key: Option<&str>, without_roots: bool) -> Result<Self> {
        let kind = match format {
            None | Some("" | "pem") => FormatKind::Pem,
            Some("der") => FormatKind::Der,
            Some("pem_bundle") => FormatKind::Bundle,
            Some(_) => {
                return Err(bad(
                    "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
                ));
            }
        };
        Ok(Self { kind, pkcs8: key == Some("pkcs8"), without_roots })
    }

    /// A certificate.
    pub fn certificate(self, certificate: &Certificate) -> String {
        match self.kind {
            FormatKind::Der => STANDARD.encode(certificate.der()),
            _ => certificate.pem(),
        }
    }

    /// A private key.
    pub fn private_key(self, key: &PrivateKey) -> Result<String> {
        Ok(match (self.kind, self.pkcs8) {
            (FormatKind::Der, true) => STANDARD.encode(key.to_pkcs8_der().expose_secret()),
            (FormatKind::Der, false) => STANDARD.encode(key.to_traditional_der()?.expose_secret()),
            (_, true) => key.to_pkcs8_pem().expose_secret().trim_end().to_owned(),
            (_, false) => key.to_traditional_pem()?.expose_secret().trim_end().to_owned(),
        })
    }

    /// A chain.
    pub fn chain(self, chain: &[Arc<Certificate>]) -> Vec<String> {
        let kept = |c: &&Arc<Certificate>| !self.without_roots || !c.is_self_signed();
        chain.iter().filter(kept).map(|c| self.certificate(c)).collect()
    }
}

/// A certificate as answers have it.
pub fn answer(made: &Made, format: Format) -> Result<JsonMap> {
    let mut data = JsonMap::new();
    let mut put = |name: &str, value: Json| data.insert(name.to_owned(), value);
    let certificate = &made.certificate;
    put("not_before", certificate.not_before.into());
    put("expiration", certificate.not_after.into());
    put("serial_number", certificate.serial_text().into());
    let chain = format.chain(&made.chain);
    if let Some(issuer) = made.chain.first() {
        put("issuing_ca", format.certificate(issuer).into());
    }
    let mut written = format.certificate(certificate);
    if let Some(key) = &made.key {
        let key_text = format.private_key(key)?;
        if format.kind == FormatKind::Bundle {
            written = format!("{key_text}\n{written}");
        }
        put("private_key", key_text.into());
        put("private_key_type", key.key_type().name().into());
    }
    if format.kind == FormatKind::Bundle {
        for link in &made.chain {
            written.push('\n');
            written.push_str(&link.pem());
        }
    }
    put("certificate", written.into());
    if !chain.is_empty() {
        put("ca_chain", chain.into());
    }
    Ok(data)
}
