//! Signatures that were found good: who logs in again and again shows the same certificate each time.
//!
//! Invariants:
//! * what is remembered is that a certificate, all its bytes, is signed by a key: that does not change. Its
//!   time, its usages, its names and its revocation are looked at each time;
//! * only what was good is remembered, and of that a bounded number.

use std::collections::HashSet;

use parking_lot::Mutex;
use strongroom_crypto::sha256;
use strongroom_crypto::x509::Certificate;

/// How many are remembered. Then all are forgotten.
const REMEMBERED_MAX: usize = 8_192;

/// By the digests of certificate and key.
#[derive(Default)]
pub struct Signatures(Mutex<HashSet<[[u8; 32]; 2]>>);

impl Signatures {
    /// Is `certificate` signed by the key of `issuer`?
    pub fn is_good(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let pair = [sha256(certificate.der()), sha256(&issuer.spki)];
        if self.0.lock().contains(&pair) {
            return true;
        }
        if !certificate.is_signed_by(&issuer.spki) {
            return false;
        }
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(pair);
        true
    }
}
