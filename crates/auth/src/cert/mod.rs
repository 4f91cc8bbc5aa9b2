//! Cert: clients log in by the certificate that their TLS connection (or the proxy before it) shows.
//!
//! Invariants:
//! * a certificate of an authority counts with its whole chain: times, usages, constraints and
//!   signatures; one that is configured itself counts only as that very certificate, and not by its
//!   key or name (threats CVE-2024-2048, CVE-2022-41316, CVE-2026-39388);
//! * revocation lists are records: the first login reads them as any later one does;
//! * a responder is asked only about a certificate that fits in all else: strangers cannot make the
//!   server ask anybody;
//! * a token is renewed only with the certificate that it was given for, unless that is turned off.
//!
//! It knows nothing of TLS: who shows a certificate has its key, the listener sees to that.

mod certs;
mod config;
mod crls;
mod login;
mod matching;
mod refresh;
mod signatures;
mod statuses;
mod stored;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use strongroom_base::Json;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use crate::Outside;

/// Seconds between two looks whether a revocation list is to be fetched again.
const LOOK_SECONDS: i64 = 10;

/// A cert mount. Certificates, lists and settings are records; the object holds what responders
/// said, for as long as they said that it holds, and which signatures were good.
pub struct Cert {
    web: Arc<dyn Web>,
    statuses: statuses::Statuses,
    refresh: Arc<refresh::Refresh>,
    signatures: signatures::Signatures,
}

/// The surface of cert.
pub fn spec(outside: &Outside) -> Spec {
    over(outside.web.clone())
}

fn over(web: Arc<dyn Web>) -> Spec {
    let spec = EngineSpec::new("cert", Class::Auth, move |_| {
        Ok(Cert {
            web: web.clone(),
            statuses: statuses::Statuses::default(),
            refresh: Default::default(),
            signatures: Default::default(),
        })
    });
    let spec = login::add(spec);
    let spec = certs::add(spec);
    let spec = crls::add(spec);
    let spec = config::add(spec);
    spec.case_insensitive("name")
        .reconciles(LOOK_SECONDS)
        .docs("Clients log in by the certificate of their TLS connection.")
        .build()
}

/// A list that was never set is null, as Vault shows it.
fn list_or_null(list: &[String]) -> Json {
    if list.is_empty() { Json::Null } else { list.to_vec().into() }
}
