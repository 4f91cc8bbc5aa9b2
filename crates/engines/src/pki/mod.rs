//! A certificate authority: issuers with their keys, roles that say what may be issued, the
//! certificates that were, and the lists of those that are taken back.
//!
//! * [`stored`] has the records; [`authority`] finds an issuer with its key, for whoever signs;
//! * [`roles`] say what a caller may ask for, [`names`] and [`validity`] hold a request to it, and
//!   [`plan`] makes the certificate, with its [`extensions`], for [`issue`]; [`certificates`] keeps it and
//!   finds it again, [`format`] writes it;
//! * [`revocation`] takes certificates back, [`crl`] makes the lists, [`signed_lists`] those of what
//!   others know;
//! * [`roots`], [`intermediates`] and [`import`] bring issuers, [`issuers`] and [`keys`] manage
//!   them, [`chain`] knows who stands behind whom;
//! * [`acme`] gives certificates to whoever proves a name, [`ocsp`] tells whether one was taken back;
//! * [`fetch`] is what strangers may read; [`tidy`] removes what is of no use any more.
//!
//! Invariants:
//! * a private key leaves in the answer that made it, where `exported` was asked for, and never
//!   again: no answer, error or log of another operation has it;
//! * every name and address of a certificate was held to the role, whether it came with the request
//!   or in a CSR (threat GHSA-g892-p242-8g86): what is put into a certificate is what was checked;
//! * a certificate is found by its serial number, and issuing reads nothing that grows with what was
//!   issued;
//! * a revocation list is a function of records: any node makes the same list of the same number.

mod acme;
mod authority;
mod ca_fields;
mod certificates;
mod chain;
mod config;
mod crl;
mod domain;
mod extensions;
mod fetch;
mod format;
mod import;
mod intermediates;
mod issue;
mod issuer_fields;
mod issuers;
mod key_choice;
mod keys;
mod names;
mod ocsp;
mod plan;
mod revocation;
mod role;
mod roles;
mod roots;
mod roster;
mod sign_authority;
mod signed_lists;
mod stored;
#[cfg(test)]
mod tests;
mod tidy;
mod validity;
mod verbatim;

use std::sync::Arc;

use strongroom_base::{Error, Result};
use strongroom_connectors::acme::Challenges;
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::x509::Certificate;
use strongroom_kernel::plug::{Class, EngineSpec, ReadCx, Spec};
use strongroom_kernel::record::Derived;

/// Parsed keys and certificates of issuers that are remembered.
const PARSED_MAX: usize = 2_048;
/// Revocation lists that are remembered.
const LISTS_MAX: usize = 1_024;
/// Lists that are made at once.
const MAKERS: usize = 16;
/// Seconds between two looks for work without a request.
const RECONCILE_SECONDS: i64 = 1;

/// The engine of a mount.
pub struct PkiEngine {
    /// Keys by their id: a key never changes, and who asks has found its record.
    keys: Arc<Derived<String, PrivateKey>>,
    /// Issuers' certificates by the issuer's id, likewise.
    certificates: Arc<Derived<String, Certificate>>,
    /// What the ACME server has in memory.
    acme: acme::Acme,
    /// Revocation lists by issuer and kind, with what they were made of.
    lists: Derived<(String, crl::Kind), crl::Built>,
    /// Who makes a list has the turn of its place here.
    makers: [tokio::sync::Mutex<()>; MAKERS],
}

/// The surface of `pki`; `challenges` looks for what ACME's clients promise.
pub fn spec(challenges: Arc<dyn Challenges>) -> Spec {
    let open = move |_: &_| {
        Ok(PkiEngine {
            acme: acme::Acme::new(challenges.clone()),
            keys: Arc::new(Derived::new(PARSED_MAX)),
            certificates: Arc::new(Derived::new(PARSED_MAX)),
            lists: Derived::new(LISTS_MAX),
            makers: Default::default(),
        })
    };
    let spec = EngineSpec::new("pki", Class::Secret, open);
    let spec = roles::add(spec);
    let spec = issue::add(spec);
    let spec = verbatim::add(spec);
    let spec = roots::add(spec);
    let spec = sign_authority::add(spec);
    let spec = intermediates::add(spec);
    let spec = import::add(spec);
    let spec = issuers::add(spec);
    let spec = keys::add(spec);
    let spec = config::add(spec);
    let spec = certificates::add(spec);
    let spec = fetch::add(spec);
    let spec = revocation::add(spec);
    let spec = crl::add(spec);
    let spec = signed_lists::add(spec);
    let spec = ocsp::add(spec);
    let spec = acme::add(spec);
    tidy::add(spec)
        .leases()
        .reconciles(RECONCILE_SECONDS)
        .docs("A certificate authority: issues, signs and revokes X.509 certificates.")
        .build()
}

impl PkiEngine {
    /// A new key. The only place where keys are made.
    async fn generate(&self, cx: &ReadCx<'_>, kind: KeyType) -> Result<PrivateKey> {
        match kind {
            // Primes are looked for on threads of their own.
            KeyType::Rsa(_) => cx.heavy(move || PrivateKey::generate(kind)).await?,
            _ => PrivateKey::generate(kind),
        }
    }
}

/// The caller is wrong.
fn bad(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// Our own record is wrong.
fn damaged(e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal(e)
}
