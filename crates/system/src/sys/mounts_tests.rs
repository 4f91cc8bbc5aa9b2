//! Mounts, their settings, moves and returns, through the whole pipeline.

mod keeper;
mod returning;

use serde_json::{Value, json};
use strongroom_kernel::node::KernelConfig;
use strongroom_kernel::reconcile::{MOUNT_RECOVERY_SECONDS, run_due};
use strongroom_testkit::TestNode;

use self::keeper::{door, keeper};
use crate::testing::{put_policy, token_of};

pub(super) async fn start() -> TestNode {
    start_with(KernelConfig::default()).await
}

async fn start_with(config: KernelConfig) -> TestNode {
    let mut specs = crate::specs();
    specs.extend([keeper("kv"), keeper("transit"), door()]);
    let node = TestNode::start_with(specs, config).await;
    let all = r#"path "*" { capabilities = ["create","read","update","delete","list"] }"#;
    put_policy(&node, "all", all).await;
    put_policy(&node, "none", "").await;
    node
}

/// Sends as root and looks at status and errors.
async fn check(node: &TestNode, table: &[(&str, &str, Value, u16, &str)]) {
    for (verb, path, body, status, errors) in table {
        let got = node.root(verb, path, body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (*status, *errors), "{verb} {path} {body}");
    }
}

/// Texts observed: bao 2.6.2, where they do not repeat a value that was sent.
#[tokio::test]
async fn what_cannot_be_enabled() {
    let node = start().await;
    node.root("WRITE", "sys/namespaces/ns", json!({})).await;
    let config = |config: Value| json!({"type": "kv", "config": config});
    let kv = || json!({"type": "kv"});
    check(
        &node,
        &[
            ("WRITE", "sys/mounts/x", json!({}), 400, "backend type must be specified as a string"),
            (
                "WRITE",
                "sys/mounts/x",
                json!({"type": "nope"}),
                400,
                "plugin not found in the catalog: nope",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                json!({"type": "plugin"}),
                400,
                "plugin_name must be provided for plugin backend",
            ),
            ("WRITE", "sys/mounts/sys/x", kv(), 400, "cannot mount \"sys/x/\""),
            ("WRITE", "sys/mounts/auth", kv(), 400, "cannot mount \"auth/\""),
            ("WRITE", "sys/mounts/identity", kv(), 400, "cannot mount \"identity/\""),
            ("WRITE", "sys/mounts/ns/x", kv(), 400, "existing mount at ns/"),
            (
                "WRITE",
                "sys/mounts/x",
                json!({"type": "system"}),
                400,
                "mount type of \"system\" is not mountable",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                json!({"type": "transit", "options": {"version": "2"}}),
                400,
                "secrets engine \"transit\" does not allow setting a version",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                json!({"type": "kv", "options": {"version": "3"}}),
                400,
                "no such version",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                config(json!({"default_lease_ttl": "zz"})),
                400,
                "error converting input for field \"default_lease_ttl\": expected a duration",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                config(json!({"default_lease_ttl": "2h", "max_lease_ttl": "1h"})),
                400,
                "given default lease TTL greater than given max lease TTL",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                config(json!({"default_lease_ttl": 2_764_801})),
                400,
                "given default lease TTL greater than system max lease TTL of 2764800",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                config(json!({"listing_visibility": "zz"})),
                400,
                "invalid listing_visibility: must be \"unauth\", \"hidden\" or empty",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                config(json!({"plugin_version": "v1.2.3"})),
                400,
                "cannot select non-builtin version of secrets plugin kv",
            ),
            (
                "WRITE",
                "sys/mounts/x",
                config(json!({"token_type": "batch"})),
                400,
                "'token_type' can only be modified on auth mounts",
            ),
            (
                "WRITE",
                "sys/auth/x",
                json!({"type": "token"}),
                400,
                "token credential backend cannot be instantiated",
            ),
            (
                "WRITE",
                "sys/auth/x",
                json!({"type": "nope"}),
                400,
                "plugin not found in the catalog: nope",
            ),
            (
                "WRITE",
                "sys/auth/x",
                json!({"type": "userpass", "config": {"token_type": "z"}}),
                400,
                "invalid value for 'token_type'",
            ),
            (
                "WRITE",
                "sys/auth/x",
                json!({"type": "userpass", "options": {"version": "1"}}),
                400,
                "auth method \"userpass\" does not allow setting a version",
            ),
            // Nothing of it was made.
            ("READ", "sys/mounts/x", json!(null), 400, "No secret engine mount at x/"),
            ("READ", "sys/auth/x", json!(null), 400, "No auth engine at x/"),
        ],
    )
    .await;
}

#[tokio::test]
async fn paths_do_not_hide_each_other() {
    let node = start().await;
    let kv = || json!({"type": "kv"});
    let door = || json!({"type": "userpass"});
    check(
        &node,
        &[
            ("WRITE", "sys/mounts/a/b", kv(), 204, ""),
            ("WRITE", "sys/mounts/a", kv(), 400, "path is already in use at a/b/"),
            ("WRITE", "sys/mounts/a/b", kv(), 400, "path is already in use at a/b/"),
            ("WRITE", "sys/mounts/a/b/c", kv(), 400, "path is already in use at a/b/"),
            ("WRITE", "sys/mounts/a/bc", kv(), 204, ""),
            ("WRITE", "sys/auth/up", door(), 204, ""),
            ("WRITE", "sys/auth/up", door(), 400, "path is already in use at up/"),
            ("WRITE", "sys/auth/token/x", door(), 400, "path is already in use at token/"),
            // What is not there and what is are told alike.
            ("DELETE", "sys/mounts/nope", json!(null), 204, ""),
            ("DELETE", "sys/mounts/a", json!(null), 204, ""),
            ("DELETE", "sys/auth/nope", json!(null), 204, ""),
            ("DELETE", "sys/mounts/sys", json!(null), 400, "cannot unmount \"sys/\""),
            ("DELETE", "sys/mounts/cubbyhole", json!(null), 400, "cannot unmount \"cubbyhole/\""),
            (
                "DELETE",
                "sys/auth/token",
                json!(null),
                400,
                "token credential backend cannot be disabled",
            ),
            ("WRITE", "a/b/k", json!({"value": "v"}), 204, ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_mount_is_shown_as_vault_shows_it() {
    let node = start().await;
    let body = json!({
        "type": "kv-v2", "description": "notes", "seal_wrap": true,
        "config": {
            "default_lease_ttl": "1h", "max_lease_ttl": 7200, "listing_visibility": "unauth",
            "audit_non_hmac_request_keys": "a,b", "passthrough_request_headers": ["X-One"],
        },
    });
    check(&node, &[("WRITE", "sys/mounts/notes", body, 204, "")]).await;
    let got = node.root("READ", "sys/mounts/notes", Value::Null).await;
    let mut data = got.data().clone();
    assert_eq!(got.body["type"], "kv", "members stand at the top as well");
    for member in ["accessor", "uuid"] {
        let text = data[member].take();
        assert!(text.as_str().is_some_and(|t| !t.is_empty()), "{member}");
    }
    let expected = json!({
        "accessor": null,
        "config": {
            "default_lease_ttl": 3600, "force_no_cache": false, "max_lease_ttl": 7200,
            "audit_non_hmac_request_keys": ["a", "b"], "listing_visibility": "unauth",
            "passthrough_request_headers": ["X-One"],
        },
        "deprecation_status": "supported", "description": "notes",
        "external_entropy_access": false, "local": false, "options": {"version": "2"},
        "plugin_version": "", "running_plugin_version": super::mount_settings::builtin_version(),
        "running_sha256": "", "seal_wrap": true, "type": "kv", "uuid": null,
    });
    assert_eq!(data, expected);
    let all = node.root("READ", "sys/mounts", Value::Null).await;
    let mut paths: Vec<&String> = all.data().as_object().unwrap().keys().collect();
    paths.sort();
    assert_eq!(paths, ["cubbyhole/", "identity/", "notes/", "sys/"]);
    assert_eq!(all.data()["sys/"]["options"], Value::Null);
    let auth = node.root("READ", "sys/auth", Value::Null).await;
    assert_eq!(auth.data()["token/"]["config"]["token_type"], "default-service");
}

#[tokio::test]
async fn settings_are_tuned() {
    let node = start().await;
    check(&node, &[
        ("WRITE", "sys/mounts/k", json!({"type": "kv"}), 204, ""),
        ("WRITE", "sys/auth/up", json!({"type": "userpass"}), 204, ""),
        ("READ", "sys/mounts/nope/tune", json!(null), 400,
            "cannot fetch sysview for path \"nope/\""),
        ("WRITE", "sys/mounts/nope/tune", json!({"max_lease_ttl": "1h"}), 400,
            "tune of path \"nope/\" failed: no mount entry found"),
        ("WRITE", "sys/mounts/sys/tune", json!({"description": "x"}), 400,
            "cannot tune parameter description of sys/"),
        ("WRITE", "sys/mounts/sys/tune", json!({"audit_non_hmac_request_keys": ["a"]}), 204, ""),
        ("WRITE", "sys/mounts/k/tune",
            json!({"max_lease_ttl": "1h", "default_lease_ttl": "2h"}), 400,
            "backend max lease TTL of 3600 would be less than backend default lease TTL of 7200"),
        ("WRITE", "sys/mounts/k/tune", json!({"token_type": "batch"}), 400,
            "'token_type' can only be modified on auth mounts"),
        ("WRITE", "sys/auth/token/tune", json!({"token_type": "batch"}), 400,
            "'token_type' cannot be set for 'token' or 'ns_token' auth mounts"),
        ("WRITE", "sys/mounts/k/tune", json!({"user_lockout_config": {"lockout_threshold": 3}}),
            400, "tuning of user lockout configuration for auth type \"kv\" not allowed"),
        ("WRITE", "sys/mounts/k/tune", json!({"options": {"version": "7"}}), 400,
            "invalid version provided"),
        ("WRITE", "sys/mounts/k/tune",
            json!({"default_lease_ttl": "90s", "description": "d", "options": {"a": "b"}}), 204, ""),
        ("WRITE", "sys/auth/up/tune", json!({
            "token_type": "service", "max_lease_ttl": "system",
            "user_lockout_config": {"lockout_threshold": "3", "lockout_duration": "5m"}}), 204, ""),
    ]).await;
    let got = node.root("READ", "sys/mounts/k/tune", Value::Null).await;
    assert_eq!(
        got.data(),
        &json!({
            "description": "d", "default_lease_ttl": 90, "max_lease_ttl": 2_764_800,
            "force_no_cache": false, "options": {"a": "b"},
        })
    );
    let got = node.root("READ", "sys/auth/up/tune", Value::Null).await;
    assert_eq!(
        got.data(),
        &json!({
            "description": "", "default_lease_ttl": 2_764_800, "max_lease_ttl": 2_764_800,
            "force_no_cache": false, "token_type": "service",
            "user_lockout_counter_reset_duration": 0, "user_lockout_threshold": 3,
            "user_lockout_duration": 300, "user_lockout_disable": false,
        })
    );
    // Version 1 becomes 2, never the other way.
    let up = node.root("WRITE", "sys/mounts/k/tune", json!({"options": {"version": 2}})).await;
    assert_eq!(up.status, 200, "{up:?}");
    assert!(up.body["warnings"][0].as_str().unwrap().starts_with("Upgrading mount from version 1"));
    check(
        &node,
        &[
            (
                "WRITE",
                "sys/mounts/k/tune",
                json!({"options": {"version": "1"}}),
                400,
                "cannot downgrade mount from version 2",
            ),
            ("WRITE", "sys/mounts/k/tune", json!({"options": {"version": "2"}}), 204, ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn auth_methods_need_sudo_and_engines_do_not() {
    let node = start().await;
    let (all, none) = (token_of(&node, "all").await, token_of(&node, "none").await);
    put_policy(
        &node,
        "sudo",
        r#"path "*" { capabilities = ["create","read","update","delete","list","sudo"] }"#,
    )
    .await;
    let sudo = token_of(&node, "sudo").await;
    for (verb, path, body, plain) in [
        ("READ", "sys/mounts", json!(null), 200),
        ("WRITE", "sys/mounts/m", json!({"type": "kv"}), 204),
        ("WRITE", "sys/mounts/m/tune", json!({"description": "x"}), 204),
        ("DELETE", "sys/mounts/m", json!(null), 204),
        ("READ", "sys/auth", json!(null), 200),
        ("WRITE", "sys/auth/m", json!({"type": "userpass"}), 403),
        ("READ", "sys/auth/token", json!(null), 403),
        ("WRITE", "sys/auth/token/tune", json!({"description": "x"}), 403),
        ("DELETE", "sys/auth/m", json!(null), 403),
        ("WRITE", "sys/remount", json!({"from": "a", "to": "b"}), 403),
        ("LIST", "sys/strongroom/deleted-mounts", json!(null), 200),
        ("WRITE", "sys/strongroom/deleted-mounts/x/restore", json!({}), 403),
        ("DELETE", "sys/strongroom/deleted-mounts/x", json!(null), 403),
        ("LIST", "sys/plugins/catalog/auth", json!(null), 403),
    ] {
        assert_eq!(node.call(verb, path, "", body.clone()).await.status, 403, "{verb} {path}");
        assert_eq!(node.call(verb, path, &none, body.clone()).await.status, 403, "{verb} {path}");
        let got = node.call(verb, path, &all, body.clone()).await;
        assert_eq!(got.status, plain, "{verb} {path}: {got:?}");
        if plain == 403 {
            let got = node.call(verb, path, &sudo, body).await;
            assert_ne!(got.status, 403, "{verb} {path}: {got:?}");
        }
    }
}

#[tokio::test]
async fn a_move_takes_the_content_and_ends_the_tokens() {
    let node = start().await;
    check(
        &node,
        &[
            ("WRITE", "sys/namespaces/ns", json!({}), 200, ""),
            ("WRITE", "sys/mounts/a", json!({"type": "kv"}), 204, ""),
            ("WRITE", "sys/mounts/b", json!({"type": "kv"}), 204, ""),
            ("WRITE", "sys/auth/up", json!({"type": "userpass"}), 204, ""),
            ("WRITE", "a/k", json!({"value": "v"}), 204, ""),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "a"}),
                400,
                "both 'from' and 'to' path must be specified as a string",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "nope", "to": "c"}),
                400,
                "no matching mount at \"nope/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "sys", "to": "c"}),
                400,
                "cannot remount \"sys/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "a", "to": "auth/x"}),
                400,
                "cannot remount to destination \"auth/x/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "auth/up", "to": "x"}),
                400,
                "cannot remount auth mount to non-auth mount \"x/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "auth/token", "to": "auth/x"}),
                400,
                "cannot remount \"auth/token/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "a", "to": "b"}),
                400,
                "path already in use at \"b/\"",
            ),
            (
                // Into itself, and onto itself.
                "WRITE",
                "sys/remount",
                json!({"from": "a", "to": "a/in"}),
                400,
                "path already in use at \"a/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "a", "to": "a"}),
                400,
                "path already in use at \"a/\"",
            ),
            (
                "WRITE",
                "sys/remount",
                json!({"from": "a", "to": "../x"}),
                400,
                "path cannot contain relative segments",
            ),
            ("READ", "sys/remount/status/nope", json!(null), 404, ""),
        ],
    )
    .await;
    let moved = node.root("WRITE", "sys/remount", json!({"from": "a", "to": "ns/deep/a"})).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let id = moved.data()["migration_id"].as_str().unwrap().to_owned();
    let status = node.root("READ", &format!("sys/remount/status/{id}"), Value::Null).await;
    assert_eq!(
        status.data()["migration_info"],
        json!({
            "source_mount": "a/", "target_mount": "ns/deep/a/", "status": "success",
        })
    );
    check(
        &node,
        &[
            ("READ", "ns/deep/a/k", json!(null), 200, ""),
            ("WRITE", "sys/mounts/a", json!({"type": "kv"}), 204, ""),
            ("READ", "a/k", json!(null), 404, ""),
        ],
    )
    .await;

    let before = node.call("WRITE", "auth/up/login/all", "", json!({})).await.token();
    let read = |token: String| {
        let node = &node;
        async move { node.call("READ", "sys/mounts", &token, Value::Null).await.status }
    };
    assert_eq!(read(before.clone()).await, 200);
    node.clock.advance(1);
    check(
        &node,
        &[("WRITE", "sys/remount", json!({"from": "auth/up", "to": "auth/door"}), 200, "")],
    )
    .await;
    node.clock.advance(1);
    assert_eq!(read(before).await, 403);
    let after = node.call("WRITE", "auth/door/login/all", "", json!({})).await.token();
    assert_eq!(read(after).await, 200);
}

#[tokio::test]
async fn the_children_of_a_mounts_tokens_end_with_the_mount_at_once() {
    for (end, body) in [
        ("sys/auth/up", json!(null)),
        ("sys/remount", json!({"from": "auth/up", "to": "auth/there"})),
    ] {
        let node = start().await;
        check(&node, &[("WRITE", "sys/auth/up", json!({"type": "userpass"}), 204, "")]).await;
        let login = node.call("WRITE", "auth/up/login/all", "", json!({})).await.token();
        let mut tokens = Vec::new();
        for kind in ["batch", "service"] {
            let body = json!({"type": kind, "ttl": "1h"});
            let child = node.call("WRITE", "auth/token/create", &login, body).await.token();
            tokens.push(child);
        }
        let got = node.call("WRITE", "auth/token/create", &tokens[1], json!({})).await;
        tokens.extend([got.token(), login]);
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(node.call("READ", "sys/mounts", token, Value::Null).await.status);
        }
        assert_eq!(statuses, [200; 4]);
        // No work in the background has been done yet where they are asked next.
        let verb = if body.is_null() { "DELETE" } else { "WRITE" };
        let got = node.root(verb, end, body).await;
        assert!(got.status < 300, "{got:?}");
        for token in &tokens {
            let got = node.call("READ", "sys/mounts", token, Value::Null).await;
            assert_eq!(got.status, 403, "{end}: {token}");
            let got = node.root("WRITE", "auth/token/lookup", json!({ "token": token })).await;
            assert_eq!(got.status, 403, "{end}: {got:?}");
        }
    }
}

#[tokio::test]
async fn each_namespace_has_its_own_mounts() {
    let node = start().await;
    node.root("WRITE", "sys/namespaces/ns", json!({})).await;
    let body = json!({"type": "kv"});
    let made = node.call_in("ns", "WRITE", "sys/mounts/a", &node.root, body).await;
    assert_eq!(made.status, 204, "{made:?}");
    let inside = node.call_in("ns", "READ", "sys/mounts", &node.root, Value::Null).await;
    assert!(inside.data().get("a/").is_some());
    let outside = node.root("READ", "sys/mounts", Value::Null).await;
    assert!(outside.data().get("a/").is_none());
    // A deleted mount is its namespace's alone.
    node.call_in("ns", "DELETE", "sys/mounts/a", &node.root, Value::Null).await;
    check(&node, &[("LIST", "sys/strongroom/deleted-mounts", json!(null), 404, "")]).await;
    let path = "sys/strongroom/deleted-mounts";
    let inside = node.call_in("ns", "LIST", path, &node.root, Value::Null).await;
    assert_eq!(inside.status, 200, "{inside:?}");
}
