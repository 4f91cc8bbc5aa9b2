//! Certificates, requests and revocation lists (RFC 5280, RFC 2986): built field by field, and read
//! as others write them.
//!
//! * Names, keys and extensions keep the very bytes they came with. A chain is found, and an issuer
//!   named, by comparing bytes; a value that was decoded and encoded again would be another one.
//! * Reading is lenient in form (string types, lengths, times) and strict in bounds: nothing is
//!   read beyond its frame, and nothing panics on bytes of strangers.
//! * Nothing here decides what may be issued; that is the certificate authority's.

mod algorithm;
mod certificate;
mod chain;
mod constraints;
mod crl;
mod extension;
mod general_name;
mod name;
mod oid;
mod pem;
mod request;
mod status;
#[cfg(test)]
mod tests;
mod time;
mod tlv;
mod told;

pub use algorithm::SignatureAlgorithm;
pub use certificate::{Certificate, Template};
pub use chain::{Chain, Distrust, IsSigned, Purpose};
pub use crl::{Crl, CrlEntry, CrlTemplate};
pub use extension::{Extension, KeyUsage, Policy, extended_usage_oid, ids};
pub use general_name::GeneralName;
pub use name::{Name, NameBuilder, attributes};
pub use oid::is_oid;
pub use pem::{PemBlock, pem_blocks, to_pem};
pub use request::{Request, RequestTemplate};
pub use status::{Question, Told};
pub use time::{rfc3339, rfc3339_seconds};
pub use told::usages;

/// What is wrong with bytes that should have been a certificate or the like. It never repeats them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// The result of reading.
pub type Result<T> = std::result::Result<T, Malformed>;

/// Bytes of a serial number in the form Vault's API has it: pairs of hexadecimal digits with colons
/// between.
pub fn colons(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 {
            out.push(':');
        }
        out.push_str(&hex::encode([*byte]));
    }
    out
}

/// The key identifier of a public key: SHA-1 over the key's own bits (RFC 5280 §4.2.1.2, method 1).
pub fn key_id(spki_der: &[u8]) -> Result<Vec<u8>> {
    let mut fields = tlv::Reader::new(spki_der).sequence()?;
    fields.next()?;
    let (_, bits) = fields.next()?.bit_string()?;
    Ok(crate::keys::Hash::Sha1.digest(bits))
}

/// What we built ourselves does not read: that is our own fault.
fn internal(e: Malformed) -> strongroom_base::Error {
    strongroom_base::Error::internal(e)
}
