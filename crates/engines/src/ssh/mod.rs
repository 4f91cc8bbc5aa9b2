//! Access to machines by SSH: certificates that an authority here signs, and one-time passwords
//! that a helper on the machine asks about.
//!
//! * [`role`] is what is stored of a role, [`roles`] has its operations; [`zero_address`] says which
//!   roles are good for any address;
//! * [`issuer`] is what is stored of an authority's key, [`issuers`] has its operations;
//! * [`sign`] makes certificates; [`grant`] says what one of a role may hold;
//! * [`otp`] makes and checks one-time passwords.
//!
//! Invariants:
//! * an authority's private key is in its record and in the memory that signs with it, and in no
//!   answer;
//! * a certificate that is good for every principal is made where its role says so by
//!   `allow_empty_principals`, and nowhere else (threat: CVE-2024-7594);
//! * certificates are not stored: signing writes nothing, and costs the same however many there are;
//! * a one-time password is a record under its MAC, and goes with the first that shows it.

mod grant;
mod issuer;
mod issuers;
mod keys;
mod otp;
mod role;
mod roles;
mod sign;
#[cfg(test)]
mod tests;
mod zero_address;

use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// The engine of a mount.
pub struct SshEngine;

/// The surface of `ssh`.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("ssh", Class::Secret, |_| Ok(SshEngine));
    let spec = zero_address::add(roles::add(spec));
    let spec = sign::add(issuers::add(spec));
    otp::add(spec)
        .leases()
        .docs("Signs SSH certificates, and makes one-time passwords for SSH.")
        .build()
}
