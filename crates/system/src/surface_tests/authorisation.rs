//! The authorisation matrix (design §11): every operation × {no token, a token that is none, a
//! policy that says nothing, one that denies, one that allows, sudo, a token of another namespace}.

use serde_json::{Value, json};

use super::{Operation, node, operations, reopen, token};

/// Refusals that have the status of a failure at the peers, as their clients expect.
const REFUSED_AS_500: [(&str, &str); 2] = [
    ("READ transit/backup/x", "exporting is disallowed on the policy"),
    ("READ pki/issuer/x", "unable to find PKI issuer for reference"),
];

/// Operations that may refuse, by rules of their own, a caller whom policy allows.
const OWN_REFUSALS: &[&str] = &[
    // A wrapping token that is none, as clients expect it.
    "WRITE sys/wrapping/lookup",
    "READ sys/wrapping/lookup",
    // Who did not sign is nobody to them, whatever its token may.
    "AWS auth/aws-door/aws/caller-identity",
    "AWS auth/aws-door/aws/refused",
    "AWS auth/aws-door/aws/session-token",
    "AWS auth/aws-door/aws/assume-role",
    "AWS auth/aws-door/aws/assume-role-with-web-identity",
];

/// A body that says what is to be done elsewhere, where the rights for that are asked about.
fn body(operation: &Operation) -> Value {
    match operation.rule() {
        "needs" => json!({
            "to": "kv-version-2/y", "role_arn": "arn:aws:iam::000000000000:role/x",
            "role_session_name": "surface", "account": "000000000000",
        }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn every_operation_refuses_whom_policy_does_not_allow() {
    let node = node().await;
    let foreign = token(&node, "other", "everything").await;
    for operation in operations() {
        let (verb, path, name) = (operation.verb(), operation.path(), operation.name());
        let rule = operation.rule();
        if matches!(rule, "open" | "login") {
            continue;
        }
        let call = async |token: &str| {
            let got = node.call(&verb, &path, token, body(&operation)).await;
            assert!(node.node.active().is_ok(), "{name}: a refused request sealed the store");
            got
        };
        // Who unwraps is told what is wrong with the wrapping token; both are refusals.
        let refused: &[u16] = if rule == "wrapping" { &[400, 403] } else { &[403] };
        for stranger in ["", "hvs.nobody", "nonsense"] {
            let got = call(stranger).await;
            assert!(refused.contains(&got.status), "{name} as {stranger:?}: {got:?}");
            assert!(got.explain.is_none() || got.status == 403, "{name}");
        }
        for policy in ["nothing", "denied"] {
            let got = call(&token(&node, "", policy).await).await;
            assert_eq!(got.status, 403, "{name} with {policy}: {got:?}");
            // What refuses whoever did not sign is no policy.
            let by_policy = policy == "denied" || !OWN_REFUSALS.contains(&name.as_str());
            let explained = got.explain.is_some() || !by_policy;
            assert!(explained, "{name}: a denial by policy explains itself");
        }
        let got = call(&foreign).await;
        assert!(refused.contains(&got.status), "{name} from below: {got:?}");
        if rule == "sudo" {
            let got = call(&token(&node, "", "everything").await).await;
            assert_eq!(got.status, 403, "{name} without sudo: {got:?}");
        }
    }
}

#[tokio::test]
async fn every_operation_serves_whom_policy_allows() {
    let node = node().await;
    for operation in operations() {
        let (verb, path, name) = (operation.verb(), operation.path(), operation.name());
        if matches!(operation.rule(), "open" | "login" | "wrapping")
            || OWN_REFUSALS.contains(&name.as_str())
        {
            continue;
        }
        let policy = if operation.rule() == "sudo" { "sudo" } else { "everything" };
        let token = token(&node, "", policy).await;
        let got = node.call(&verb, &path, &token, json!({})).await;
        assert_ne!(got.status, 403, "{name}: {got:?}");
        let refusal =
            REFUSED_AS_500.iter().any(|(op, text)| *op == name && got.errors().starts_with(text));
        assert!(got.status != 500 || refusal, "{name}: {got:?}");
        reopen(&node).await;
    }
}

/// A token escapes its parent's end only by sudo; the operations ask for it themselves.
#[tokio::test]
async fn orphans_need_sudo() {
    let node = node().await;
    for (policy, made, revoked) in [("everything", 400, 400), ("sudo", 200, 204)] {
        let caller = token(&node, "", policy).await;
        let body = json!({ "no_parent": true });
        let got = node.call("WRITE", "auth/token/create", &caller, body).await;
        assert_eq!(got.status, made, "{policy}: {got:?}");
        let child = node.call("WRITE", "auth/token/create", &caller, json!({})).await.token();
        let body = json!({ "token": child });
        let got = node.call("WRITE", "auth/token/revoke-orphan", &caller, body).await;
        assert_eq!(got.status, revoked, "{policy}: {got:?}");
    }
}

#[tokio::test]
async fn what_is_the_root_namespaces_is_nobody_elses() {
    let node = node().await;
    for operation in operations().iter().filter(|o| o.route().root_namespace_only) {
        for caller in [node.root.clone(), token(&node, "other", "everything").await] {
            let (verb, path) = (operation.verb(), operation.path());
            let got = node.call_in("other", &verb, &path, &caller, json!({})).await;
            let text = "operation only available in root namespace";
            assert_eq!((got.status, got.errors().as_str()), (400, text), "{}", operation.name());
        }
    }
}

/// The internal operations (threat GHSA-rh46-vc3j-w2w3): no verb and no path of the wire names the
/// revocation, renewal or reconciling of a plug-in.
#[tokio::test]
async fn internal_operations_have_no_path() {
    let node = node().await;
    for mount in ["auth/userpass", "auth/approle", "auth/token", "identity", "sys"] {
        for internal in ["renew", "revoke", "rollback", "help", "reconcile", "alias-lookahead"] {
            let path = format!("{mount}/{internal}");
            // `auth/token/renew` and `sys/revoke` are operations of their own, by policy.
            let served = operations().iter().any(|o| o.path() == path);
            let stranger = node.call("WRITE", &path, "", Value::Null).await;
            assert_eq!(stranger.status, 403, "{path}");
            if !served {
                let got = node.root("WRITE", &path, json!({ "operation": internal })).await;
                assert!(matches!(got.status, 404 | 405), "{path}: {got:?}");
            }
        }
    }
}
