//! The `sys/` mount: one file per noun, and here the list of them.

mod audit;
#[cfg(test)]
mod audit_tests;
mod browsers;
mod callers;
mod capabilities;
mod ceremonies;
#[cfg(test)]
mod ceremonies_tests;
mod deleted_mounts;
#[cfg(test)]
mod doubt_tests;
mod explain;
#[cfg(test)]
mod explain_tests;
mod inspect;
#[cfg(test)]
mod intents_tests;
mod leases;
#[cfg(test)]
mod leases_tests;
mod lockout;
mod metrics;
mod mfa;
mod monitor;
mod mount_settings;
mod mount_tune;
mod mounts;
#[cfg(test)]
mod mounts_tests;
mod namespace_locks;
#[cfg(test)]
mod namespaced_tests;
mod namespaces;
#[cfg(test)]
mod namespaces_tests;
mod observe;
mod paging;
mod password_policies;
mod plugins;
mod policies;
#[cfg(test)]
mod policies_tests;
mod process;
mod quotas;
#[cfg(test)]
mod quotas_tests;
mod raft;
mod remount;
mod rotation;
#[cfg(test)]
mod rotation_tests;
mod seal;
mod snapshot;
#[cfg(test)]
mod snapshot_tests;
mod tools;
#[cfg(test)]
mod tools_tests;
#[cfg(test)]
mod torn_tests;
mod ui;
#[cfg(test)]
mod ui_tests;
mod wrapping;
#[cfg(test)]
mod wrapping_tests;

pub use metrics::open_metrics;
pub use process::in_flight;
use strongroom_base::SecretString;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// The `sys/` mount of one namespace. It holds nothing: all is in records.
pub struct System;

/// What is about the whole server, and refused in every namespace but the root (as OpenBao lists
/// them; the key ring is one for all namespaces here). Kept in full, also where an operation is not
/// there yet: a new one below these paths is refused from its first day.
const ROOT_NAMESPACE_ONLY: &[&str] = &[
    "audit",
    "audit-hash",
    "config/auditing",
    "config/cors",
    "config/reload",
    "config/state",
    "config/ui",
    "generate-root",
    "generate-root-token",
    "ha-status",
    "health",
    "host-info",
    "in-flight-req",
    "init",
    "internal/inspect/router",
    "key-status",
    "loggers",
    "metrics",
    "monitor",
    "pprof",
    "quotas",
    "raw",
    "rekey",
    "rekey-recovery-key",
    "replication",
    "rotate",
    "seal",
    "step-down",
    "storage",
    "strongroom/audit",
    "unseal",
    "version-history",
];

/// What is served on a full disk from the room that is kept back: revocation, sealing, and the
/// repair of the audit log (design §8).
const ON_FULL_DISK: &[&str] = &[
    "audit",
    "leases/revoke",
    "leases/revoke-force",
    "leases/revoke-prefix",
    "revoke",
    "revoke-force",
    "revoke-prefix",
    "rotation/ack",
    "rotation/force",
    "seal",
    "step-down",
];

/// The surface of `sys/`.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("system", Class::System, |_| Ok(System));
    let spec = mounts::add_mounts(spec);
    let spec = namespaces::add_namespaces(spec);
    let spec = namespace_locks::add_namespace_locks(spec);
    let spec = deleted_mounts::add_deleted_mounts(spec);
    let spec = remount::add_remount(spec);
    let spec = plugins::add_plugins(spec);
    let spec = policies::add_policies(spec);
    let spec = password_policies::add_password_policies(spec);
    let spec = explain::add_explain(spec);
    let spec = tools::add_tools(spec);
    let spec = capabilities::add_capabilities(spec);
    let spec = ui::add_ui(spec);
    let spec = leases::add_leases(spec);
    let spec = rotation::add_rotation(spec);
    let spec = quotas::add_quotas(spec);
    let spec = lockout::add_lockout(spec);
    let spec = mfa::add_mfa(spec);
    let spec = wrapping::add_wrapping(spec);
    let spec = seal::add_seal(spec);
    let spec = ceremonies::add_ceremonies(spec);
    let spec = metrics::add_metrics(spec);
    let spec = observe::add_observe(spec);
    let spec = audit::add_audit(spec);
    let spec = browsers::add_browsers(spec);
    let spec = process::add_process(spec);
    let spec = inspect::add_inspect(spec);
    let spec = monitor::add_monitor(spec);
    let spec = raft::add_raft(spec);
    let spec = snapshot::add_snapshot(spec);
    spec.root_namespace_only(ROOT_NAMESPACE_ONLY)
        .on_full_disk(ON_FULL_DISK)
        .while_locked("namespaces/api-lock/unlock")
        .docs("Control, policy and debugging of this server.")
        .build()
}

/// Serialises a secret that an answer is there to carry.
pub(crate) fn expose<S: serde::Serializer>(secret: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(secret.expose_secret())
}
