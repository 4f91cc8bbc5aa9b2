//! Who stands behind whom: the chains of issuers, worked out whenever the set of issuers changes.

use std::sync::Arc;

use strongroom_crypto::x509::Certificate;

use super::stored::Issuer;

/// Certificates of a chain.
const CHAIN_MAX: usize = 64;

/// An issuer while chains are worked out.
pub struct Link {
    /// Its id.
    pub id: String,
    /// Its record.
    pub issuer: Issuer,
    /// Its certificate.
    pub certificate: Arc<Certificate>,
    /// Is its record to be written?
    pub changed: bool,
}

/// The ids of the issuers behind `link`, itself first: its own issuers, then theirs.
pub fn chain_of(link: &Link, all: &[Link]) -> Vec<String> {
    let mut chain = vec![link];
    let mut at = 0;
    while let Some(current) = chain.get(at).copied() {
        at += 1;
        if current.certificate.is_self_signed() {
            continue;
        }
        for behind in all {
            let known = chain.iter().any(|c| c.id == behind.id);
            // The same key and name by another signature is beside it, and not behind it.
            let beside = behind.certificate.spki == link.certificate.spki
                && behind.certificate.subject == link.certificate.subject;
            if !known
                && !beside
                && chain.len() < CHAIN_MAX
                && current.certificate.is_issued_by(&behind.certificate)
            {
                chain.push(behind);
            }
        }
    }
    chain.into_iter().map(|link| link.id.clone()).collect()
}
