//! LDAP: people log in with a name and a password that a directory knows.
//!
//! Invariants:
//! * an empty password is refused before anything is asked (RFC 4513 §5.1.2);
//! * a name is brought into one spelling before anything else sees it, by the rules of directories
//!   themselves: letters of two widths or compositions, runs of spaces, and case unless the
//!   configuration says otherwise (threats: CVE-2025-6004, CVE-2025-6013);
//! * an unknown name, one whose user is filtered out, and a wrong password read the same, and ask
//!   the directory the same number of times;
//! * a directory that fails is no wrong password: nobody is locked out for it;
//! * the password of the service account is never shown.

mod config;
mod login;
mod lookup;
mod mapping;
mod spelling;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_connectors::directory::Directory;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use crate::turns::Turns;

/// An LDAP mount.
pub struct Ldap {
    directory: Arc<dyn Directory>,
    turns: Turns,
}

/// The surface of LDAP, over what reaches directories.
pub fn spec(directory: Arc<dyn Directory>) -> Spec {
    let spec = EngineSpec::new("ldap", Class::Auth, move |_| {
        Ok(Ldap { directory: directory.clone(), turns: Turns::default() })
    });
    let spec = config::add(spec);
    let spec = mapping::add(spec);
    let spec = login::add(spec);
    spec.case_shown("name")
        .case_shown("username")
        .docs("People log in with a name and a password that a directory knows.")
        .build()
}
