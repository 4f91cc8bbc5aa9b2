//! What of `sys/` is served in every namespace, and what in the root alone.

use serde_json::json;

use super::mounts_tests::start;

/// The routes of the root namespace alone. A new operation that is about the whole server comes
/// here; one that is missing here is reachable for the owners of namespaces.
const ROOT_ONLY: &[&str] = &[
    "audit",
    "audit-hash/{path..}",
    "audit/{path..}",
    "config/auditing/request-headers",
    "config/auditing/request-headers/{header}",
    "config/cors",
    "config/reload/{subsystem}",
    "config/state/sanitized",
    "config/ui/headers",
    "config/ui/headers/{header}",
    "generate-root-token/attempt",
    "generate-root-token/update",
    "ha-status",
    "host-info",
    "in-flight-req",
    "internal/counters/tokens",
    "internal/inspect/router/{tag}",
    "key-status",
    "loggers",
    "loggers/{name..}",
    "metrics",
    "monitor",
    "pprof",
    "pprof/{profile..}",
    "quotas/config",
    "quotas/rate-limit/",
    "quotas/rate-limit/{name}",
    "rekey/backup",
    "rekey/recovery-key-backup",
    "rotate",
    "rotate/config",
    "rotate/keyring",
    "rotate/keyring/config",
    "rotate/recovery/backup",
    "rotate/recovery/init",
    "rotate/recovery/update",
    "rotate/recovery/verify",
    "rotate/root/backup",
    "rotate/root/init",
    "rotate/root/update",
    "rotate/root/verify",
    "seal",
    "step-down",
    "storage/raft/autopilot/configuration",
    "storage/raft/autopilot/state",
    "storage/raft/bootstrap/answer",
    "storage/raft/bootstrap/challenge",
    "storage/raft/configuration",
    "storage/raft/demote",
    "storage/raft/join",
    "storage/raft/promote",
    "storage/raft/remove-peer",
    "storage/raft/snapshot",
    "storage/raft/snapshot-force",
    "strongroom/audit/public-key",
    "version-history",
];

#[tokio::test]
async fn the_whole_server_is_the_root_namespaces_business() {
    let node = start().await;
    node.root("WRITE", "sys/namespaces/ns", json!({})).await;
    let spec = super::spec();
    let only = spec.routes.iter().filter(|r| r.root_namespace_only).map(|r| r.pattern);
    let mut only: Vec<&str> = only.collect();
    only.sort_unstable();
    only.dedup();
    assert_eq!(only, ROOT_ONLY);
    for route in spec.routes.iter().filter(|r| r.root_namespace_only) {
        let path = route.pattern.replace("..}", "}").replace(['{', '}'], "");
        let verb = format!("{:?}", route.verb).to_uppercase();
        let path = format!("sys/{path}");
        let got = node.call_in("ns", &verb, &path, &node.root, json!({})).await;
        assert_eq!(
            (got.status, got.errors().as_str()),
            (400, "operation only available in root namespace"),
            "{verb} {path}"
        );
    }
    // The seal among them changed nothing.
    assert_eq!(node.root("READ", "sys/mounts", json!(null)).await.status, 200);
}
