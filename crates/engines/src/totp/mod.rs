//! Codes by time (RFC 6238): made for a key of somebody else's (a *generator*), or a key made here
//! whose codes are checked (a *provider*).
//!
//! * [`key`] is what is stored of a key, [`keys`] has its operations;
//! * [`code`] makes and checks codes.
//!
//! Invariants:
//! * a key leaves once: in the answer that made it, if it is exported;
//! * a code is good once, also after a restart (threats: CVE-2025-6014, CVE-2025-55003): the steps
//!   whose codes were taken are records, and as many as the skew lets in; they outlive their key;
//! * wrong codes are counted by key and entity, and by key for all (threat: CVE-2025-6015).

mod code;
mod key;
mod keys;

#[cfg(test)]
mod tests;

use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// Seconds between two looks for work without a request.
const RECONCILE_SECONDS: i64 = 60;

/// The engine of a mount.
pub struct TotpEngine;

/// The surface of `totp`.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("totp", Class::Secret, |_| Ok(TotpEngine));
    code::add(keys::add(spec))
        .reconciles(RECONCILE_SECONDS)
        .docs("Makes and checks one-time codes by time.")
        .build()
}
