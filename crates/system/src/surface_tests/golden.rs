//! What is decided about each operation, as one list.

use std::collections::BTreeSet;
use std::path::Path;

use super::{operations, verb_name};

/// The list, beside this file. Each line: the operation, who may call it (`open` and `login` need
/// no token; `token` needs policy; `sudo` needs sudo besides; `needs` policy on other paths;
/// `wrapping` policy or a wrapping token; `node` is served in any state, without policy), and
/// whether only the root namespace has it.
const LIST: &str = include_str!("operations.txt");

fn surface() -> String {
    let mut lines = BTreeSet::new();
    for operation in operations() {
        let route = operation.route();
        let root = if route.root_namespace_only { " root" } else { "" };
        let (verb, mount, rule) = (operation.verb(), &operation.mount, operation.rule());
        lines.insert(format!("{mount}{} {verb} {rule}{root}", route.pattern));
    }
    for (path, verb) in crate::node_ops::spec().all() {
        lines.insert(format!("{path} {} node", verb_name(verb)));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A new operation comes into the list with its rule, by `UPDATE_EXPECT=1` and a look at the
/// difference.
#[test]
#[allow(clippy::disallowed_methods)]
fn every_operation_is_decided_about() {
    let surface = surface();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/surface_tests/operations.txt");
        std::fs::write(file, surface).expect("the list is written");
        return;
    }
    for (have, want) in surface.lines().zip(LIST.lines()) {
        assert_eq!(have, want, "operations.txt says something else; UPDATE_EXPECT=1 rewrites it");
    }
    assert_eq!(surface.lines().count(), LIST.lines().count());
}

/// The paths that Vault documents as root-protected ("Policies", "Root protected API endpoints"),
/// as far as this server has them, with the verbs they protect.
const ROOT_PROTECTED: &[&str] = &[
    "auth/token/accessors LIST",
    "pki/root DELETE",
    "pki/root/sign-self-issued WRITE",
    "sys/audit READ",
    "sys/audit/{path..} WRITE",
    "sys/audit/{path..} DELETE",
    "sys/auth/{path..} READ",
    "sys/auth/{path..} WRITE",
    "sys/auth/{path..} DELETE",
    "sys/auth/{path..}/tune READ",
    "sys/auth/{path..}/tune WRITE",
    "sys/config/auditing/request-headers READ",
    "sys/config/auditing/request-headers/{header} READ",
    "sys/config/auditing/request-headers/{header} WRITE",
    "sys/config/auditing/request-headers/{header} DELETE",
    "sys/config/cors READ",
    "sys/config/cors WRITE",
    "sys/config/cors DELETE",
    "sys/config/ui/headers LIST",
    "sys/config/ui/headers/{header} READ",
    "sys/config/ui/headers/{header} WRITE",
    "sys/config/ui/headers/{header} DELETE",
    "sys/internal/inspect/router/{tag} READ",
    "sys/leases READ",
    "sys/leases/lookup/{prefix..} LIST",
    "sys/leases/revoke-force/{prefix..} WRITE",
    "sys/leases/revoke-prefix/{prefix..} WRITE",
    "sys/plugins/catalog/{type}/{name} READ",
    "sys/plugins/catalog/{type}/{name} WRITE",
    "sys/plugins/catalog/{type}/{name} DELETE",
    "sys/remount WRITE",
    "sys/revoke-force/{prefix..} WRITE",
    "sys/revoke-prefix/{prefix..} WRITE",
    "sys/rotate WRITE",
    "sys/rotate/keyring WRITE",
    "sys/seal WRITE",
    "sys/step-down WRITE",
];

#[test]
fn what_vault_protects_needs_sudo() {
    for path in ROOT_PROTECTED {
        let line = LIST.lines().find(|line| line.starts_with(&format!("{path} ")));
        let line = line.unwrap_or_else(|| panic!("{path} is not served"));
        assert!(line.contains(" sudo"), "{line}");
    }
}

/// All that strangers reach: without a token, or before the token is judged by policy.
const OPEN: &[&str] = &[
    "auth/approle/login WRITE login",
    "auth/aws/login WRITE login",
    "auth/azure/login WRITE login",
    "auth/cert/login WRITE login",
    "auth/gcp/login WRITE login",
    "auth/github/login WRITE login",
    "auth/jwt/cel/login WRITE login",
    "auth/jwt/login WRITE login",
    "auth/jwt/oidc/auth_url WRITE open",
    "auth/jwt/oidc/callback READ login",
    "auth/jwt/oidc/callback WRITE open",
    "auth/jwt/oidc/poll WRITE login",
    "auth/kubernetes/login WRITE login",
    "auth/ldap/login/{username..} WRITE login",
    "auth/oidc/cel/login WRITE login",
    "auth/oidc/login WRITE login",
    "auth/oidc/oidc/auth_url WRITE open",
    "auth/oidc/oidc/callback READ login",
    "auth/oidc/oidc/callback WRITE open",
    "auth/oidc/oidc/poll WRITE login",
    "auth/userpass/login/{username} WRITE login",
    "identity/oidc/.well-known/keys READ open",
    "identity/oidc/.well-known/openid-configuration READ open",
    "pki/acme/account/{kid} WRITE open",
    "pki/acme/account/{kid}/orders WRITE open",
    "pki/acme/authorization/{auth_id} WRITE open",
    "pki/acme/challenge/{auth_id}/{challenge_type} WRITE open",
    "pki/acme/directory READ open",
    "pki/acme/key-change WRITE open",
    "pki/acme/new-account WRITE open",
    "pki/acme/new-nonce READ open",
    "pki/acme/new-order WRITE open",
    "pki/acme/order/{order_id} WRITE open",
    "pki/acme/order/{order_id}/cert WRITE open",
    "pki/acme/order/{order_id}/finalize WRITE open",
    "pki/acme/orders WRITE open",
    "pki/acme/revoke-cert WRITE open",
    "pki/ca READ open",
    "pki/ca/pem READ open",
    "pki/ca_chain READ open",
    "pki/cert/ca READ open",
    "pki/cert/ca/raw READ open",
    "pki/cert/ca/raw/pem READ open",
    "pki/cert/ca_chain READ open",
    "pki/cert/crl READ open",
    "pki/cert/crl/raw READ open",
    "pki/cert/crl/raw/pem READ open",
    "pki/cert/delta-crl READ open",
    "pki/cert/delta-crl/raw READ open",
    "pki/cert/delta-crl/raw/pem READ open",
    "pki/cert/{serial} READ open",
    "pki/cert/{serial}/raw READ open",
    "pki/cert/{serial}/raw/pem READ open",
    "pki/crl READ open",
    "pki/crl/delta READ open",
    "pki/crl/delta/pem READ open",
    "pki/crl/pem READ open",
    "pki/issuer/{issuer_ref}/acme/account/{kid} WRITE open",
    "pki/issuer/{issuer_ref}/acme/account/{kid}/orders WRITE open",
    "pki/issuer/{issuer_ref}/acme/authorization/{auth_id} WRITE open",
    "pki/issuer/{issuer_ref}/acme/challenge/{auth_id}/{challenge_type} WRITE open",
    "pki/issuer/{issuer_ref}/acme/directory READ open",
    "pki/issuer/{issuer_ref}/acme/key-change WRITE open",
    "pki/issuer/{issuer_ref}/acme/new-account WRITE open",
    "pki/issuer/{issuer_ref}/acme/new-nonce READ open",
    "pki/issuer/{issuer_ref}/acme/new-order WRITE open",
    "pki/issuer/{issuer_ref}/acme/order/{order_id} WRITE open",
    "pki/issuer/{issuer_ref}/acme/order/{order_id}/cert WRITE open",
    "pki/issuer/{issuer_ref}/acme/order/{order_id}/finalize WRITE open",
    "pki/issuer/{issuer_ref}/acme/orders WRITE open",
    "pki/issuer/{issuer_ref}/acme/revoke-cert WRITE open",
    "pki/issuer/{issuer_ref}/crl READ open",
    "pki/issuer/{issuer_ref}/crl/delta READ open",
    "pki/issuer/{issuer_ref}/crl/delta/der READ open",
    "pki/issuer/{issuer_ref}/crl/delta/pem READ open",
    "pki/issuer/{issuer_ref}/crl/der READ open",
    "pki/issuer/{issuer_ref}/crl/pem READ open",
    "pki/issuer/{issuer_ref}/der READ open",
    "pki/issuer/{issuer_ref}/json READ open",
    "pki/issuer/{issuer_ref}/pem READ open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/account/{kid} WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/account/{kid}/orders WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/authorization/{auth_id} WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/challenge/{auth_id}/{challenge_type} WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/directory READ open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/key-change WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/new-account WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/new-nonce READ open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/new-order WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/order/{order_id} WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/order/{order_id}/cert WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/order/{order_id}/finalize WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/orders WRITE open",
    "pki/issuer/{issuer_ref}/roles/{role}/acme/revoke-cert WRITE open",
    "pki/issuers/ LIST open",
    "pki/ocsp WRITE open",
    "pki/ocsp/{req..} READ open",
    "pki/roles/{role}/acme/account/{kid} WRITE open",
    "pki/roles/{role}/acme/account/{kid}/orders WRITE open",
    "pki/roles/{role}/acme/authorization/{auth_id} WRITE open",
    "pki/roles/{role}/acme/challenge/{auth_id}/{challenge_type} WRITE open",
    "pki/roles/{role}/acme/directory READ open",
    "pki/roles/{role}/acme/key-change WRITE open",
    "pki/roles/{role}/acme/new-account WRITE open",
    "pki/roles/{role}/acme/new-nonce READ open",
    "pki/roles/{role}/acme/new-order WRITE open",
    "pki/roles/{role}/acme/order/{order_id} WRITE open",
    "pki/roles/{role}/acme/order/{order_id}/cert WRITE open",
    "pki/roles/{role}/acme/order/{order_id}/finalize WRITE open",
    "pki/roles/{role}/acme/orders WRITE open",
    "pki/roles/{role}/acme/revoke-cert WRITE open",
    "pki/unified-ocsp WRITE open",
    "pki/unified-ocsp/{req..} READ open",
    "ssh/issuer/{issuer_ref}/public_key READ open",
    "ssh/public_key READ open",
    "ssh/verify WRITE open",
    "sys/decode-token WRITE node",
    "sys/explain WRITE open",
    "sys/explain/{id} READ open",
    "sys/generate-root/attempt DELETE node",
    "sys/generate-root/attempt READ node",
    "sys/generate-root/attempt WRITE node",
    "sys/generate-root/update WRITE node",
    "sys/health READ node",
    "sys/init READ node",
    "sys/init WRITE node",
    "sys/internal/specs/openapi READ open",
    "sys/internal/ui/mounts READ open",
    "sys/internal/ui/mounts/{path..} READ open",
    "sys/internal/ui/namespaces READ open",
    "sys/internal/ui/resultant-acl READ open",
    "sys/leader READ node",
    "sys/mfa/validate WRITE open",
    "sys/rekey-recovery-key/init DELETE node",
    "sys/rekey-recovery-key/init READ node",
    "sys/rekey-recovery-key/init WRITE node",
    "sys/rekey-recovery-key/update WRITE node",
    "sys/rekey-recovery-key/verify DELETE node",
    "sys/rekey-recovery-key/verify READ node",
    "sys/rekey-recovery-key/verify WRITE node",
    "sys/rekey/init DELETE node",
    "sys/rekey/init READ node",
    "sys/rekey/init WRITE node",
    "sys/rekey/update WRITE node",
    "sys/rekey/verify DELETE node",
    "sys/rekey/verify READ node",
    "sys/rekey/verify WRITE node",
    "sys/seal-status READ node",
    "sys/storage/raft/bootstrap/answer WRITE open root",
    "sys/storage/raft/bootstrap/challenge WRITE open root",
    "sys/storage/raft/join WRITE open root",
    "sys/unseal WRITE node",
    "sys/wrapping/lookup READ open",
    "sys/wrapping/lookup WRITE open",
];

#[test]
fn strangers_reach_these_and_nothing_else() {
    let is_open = |line: &&str| {
        let rule = line.split(' ').nth(2).unwrap_or_default();
        matches!(rule, "open" | "login" | "node")
    };
    let open: Vec<&str> = LIST.lines().filter(is_open).collect();
    assert_eq!(open, OPEN);
}
