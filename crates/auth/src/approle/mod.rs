//! AppRole: machines log in with a role id and a secret id.
//!
//! Invariants:
//! * role names have one spelling, lower case, and policy judges paths in it;
//! * a secret id belongs to one role, and so does its accessor (threat: CVE-2023-24999);
//! * an expired or used-up secret id is refused at the login itself;
//! * the store never holds a secret id.
//!
//! It knows nothing of tokens, entities or lockout: a login answers a grant.

mod login;
mod roles;
mod secret_ids;
mod settings;
mod stored;
#[cfg(test)]
mod tests;
mod tidy;

use strongroom_base::Json;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// An AppRole mount. It holds nothing: all is in records.
pub struct AppRole;

/// The surface of AppRole.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("approle", Class::Auth, |_| Ok(AppRole));
    let spec = login::add(spec);
    let spec = roles::add(spec);
    let spec = secret_ids::add(spec);
    let spec = settings::add(spec);
    let spec = tidy::add(spec);
    spec.case_insensitive("role_name")
        .docs("Machines log in with a role id and a secret id.")
        .build()
}

/// A list that was never set is null, as Vault shows it.
fn list_or_null(list: Vec<String>) -> Json {
    if list.is_empty() { Json::Null } else { list.into() }
}
