//! The `sys/` mount: one file per noun, and here the list of them.

mod audit;
mod capabilities;
mod leases;
#[cfg(test)]
mod leases_tests;
mod lockout;
mod mount_settings;
mod mounts;
mod namespaces;
#[cfg(test)]
mod namespaces_tests;
mod policies;
mod quotas;
#[cfg(test)]
mod quotas_tests;
mod seal;
mod ui;
mod wrapping;
#[cfg(test)]
mod wrapping_tests;

use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// The `sys/` mount of one namespace. It holds nothing: all is in records.
pub struct System;

/// The surface of `sys/`.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("system", Class::System, |_| Ok(System));
    let spec = mounts::add_mounts(spec);
    let spec = namespaces::add_namespaces(spec);
    let spec = policies::add_policies(spec);
    let spec = capabilities::add_capabilities(spec);
    let spec = ui::add_ui(spec);
    let spec = leases::add_leases(spec);
    let spec = quotas::add_quotas(spec);
    let spec = lockout::add_lockout(spec);
    let spec = wrapping::add_wrapping(spec);
    let spec = seal::add_seal(spec);
    let spec = audit::add_audit(spec);
    spec.docs("Control, policy and debugging of this server.").build()
}
