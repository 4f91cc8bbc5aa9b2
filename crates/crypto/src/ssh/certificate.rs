//! Certificates: OpenSSH's PROTOCOL.certkeys, version 01.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Result};

use super::PublicKey;
use super::public::curve_names;
use super::wire::{Reader, Writer};
use crate::keys::{Hash, KeyType, PrivateKey, Scheme, ecdsa_der_to_fixed};

/// Principals of one certificate: OpenSSH reads no more (`SSHKEY_CERT_MAX_PRINCIPALS`).
pub const PRINCIPALS_MAX: usize = 256;

/// The hash under an RSA issuer's signature (RFC 8332). SHA-1 is not among them: OpenSSH has not
/// taken it since 8.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RsaHash {
    /// `rsa-sha2-256`.
    Sha256,
    /// `rsa-sha2-512`.
    Sha512,
}

/// What a certificate says.
pub struct Certificate<'a> {
    /// Random bytes, so that nobody can foresee what is signed.
    pub nonce: [u8; 32],
    /// Whom it is about.
    pub key: &'a PublicKey,
    /// Its number.
    pub serial: u64,
    /// Is it a host's? Else a user's.
    pub host: bool,
    /// What the server's log shows.
    pub key_id: &'a str,
    /// Users or hosts; none is *any*.
    pub principals: &'a [String],
    /// Seconds since the epoch.
    pub valid_after: u64,
    /// Seconds since the epoch.
    pub valid_before: u64,
    /// Restrictions: whoever does not know one refuses the certificate.
    pub critical_options: &'a BTreeMap<String, String>,
    /// Permissions.
    pub extensions: &'a BTreeMap<String, String>,
}

impl Certificate<'_> {
    /// Signs it: the line of a `-cert.pub` file. `issuer_key` is the issuer's public half; `hash`
    /// is for RSA issuers alone.
    pub fn sign(
        &self,
        issuer: &PrivateKey,
        issuer_key: &PublicKey,
        hash: Option<RsaHash>,
    ) -> Result<String> {
        if self.principals.len() > PRINCIPALS_MAX {
            return Err(Error::bad_request(format!(
                "a certificate has at most {PRINCIPALS_MAX} principals"
            )));
        }
        let name = certificate_name(self.key.algorithm());
        let mut message = Writer::new();
        message.string(name.as_bytes()).string(&self.nonce).raw(self.key.numbers());
        message.u64(self.serial).u32(if self.host { 2 } else { 1 }).string(self.key_id.as_bytes());
        message.string(list(self.principals).bytes());
        message.u64(self.valid_after).u64(self.valid_before);
        message.string(options(self.critical_options).bytes());
        message.string(options(self.extensions).bytes());
        // Reserved; nobody has had a use for it.
        message.string(b"");
        message.string(issuer_key.wire());
        let signature = signature(issuer, hash, message.bytes())?;
        message.string(signature.bytes());
        Ok(format!("{name} {}\n", STANDARD.encode(message.bytes())))
    }
}

/// `ssh-ed25519-cert-v01@openssh.com`. Security keys' names have the domain already.
fn certificate_name(algorithm: &str) -> String {
    let plain = algorithm.strip_suffix("@openssh.com").unwrap_or(algorithm);
    format!("{plain}-cert-v01@openssh.com")
}

fn list(texts: &[String]) -> Writer {
    let mut out = Writer::new();
    for text in texts {
        out.string(text.as_bytes());
    }
    out
}

/// Names in order, each once, as PROTOCOL.certkeys wants them. A value is a string within a string;
/// a flag has none.
fn options(pairs: &BTreeMap<String, String>) -> Writer {
    let mut out = Writer::new();
    for (name, value) in pairs {
        out.string(name.as_bytes());
        if value.is_empty() {
            out.string(b"");
        } else {
            let mut inner = Writer::new();
            inner.string(value.as_bytes());
            out.string(inner.bytes());
        }
    }
    out
}

/// The signature with its algorithm's name: RFC 8332 for RSA, RFC 5656 for ECDSA, RFC 8709 for
/// Ed25519.
fn signature(issuer: &PrivateKey, hash: Option<RsaHash>, message: &[u8]) -> Result<Writer> {
    let mut out = Writer::new();
    match issuer.key_type() {
        KeyType::Rsa(_) => {
            let (name, hash) = match hash {
                None | Some(RsaHash::Sha256) => ("rsa-sha2-256", Hash::Sha256),
                Some(RsaHash::Sha512) => ("rsa-sha2-512", Hash::Sha512),
            };
            let signed = issuer.sign(Scheme::Pkcs1(hash), message)?;
            out.string(name.as_bytes()).string(&signed);
        }
        _ if hash.is_some() => {
            return Err(Error::bad_request("the signing algorithm is for RSA issuers alone"));
        }
        KeyType::Ec(curve) => {
            // The curve's own hash: RFC 5656 §6.2.1.
            let signed = issuer.sign(Scheme::usual(KeyType::Ec(curve)), message)?;
            let fixed = ecdsa_der_to_fixed(curve, &signed)?;
            let mut halves = Reader(&fixed);
            let mut inner = Writer::new();
            for _ in 0..2 {
                inner.mpint(halves.take(curve.bytes()).unwrap_or_default());
            }
            out.string(curve_names(curve).0.as_bytes()).string(inner.bytes());
        }
        KeyType::Ed25519 => {
            let signed = issuer.sign(Scheme::Ed25519, message)?;
            out.string(b"ssh-ed25519").string(&signed);
        }
    }
    Ok(out)
}
