//! Quotas and locked users through the whole pipeline.

use serde_json::{Value, json};
use strongroom_testkit::{Got, TestNode};

async fn node() -> TestNode {
    let specs = crate::testing::with_auth();
    let node = TestNode::start(specs).await;
    node.mount("approle", "auth/approle/").await;
    node.mount("userpass", "auth/userpass/").await;
    node
}

async fn put(node: &TestNode, name: &str, body: Value) -> Got {
    node.root("WRITE", &format!("sys/quotas/rate-limit/{name}"), body).await
}

/// How many of `tries` requests to `path` are served at once.
async fn served(node: &TestNode, path: &str, tries: usize) -> usize {
    let mut served = 0;
    for _ in 0..tries {
        let got = node.call("READ", path, &node.root, Value::Null).await;
        if got.status != 429 {
            served += 1;
        } else {
            assert!(got.errors().ends_with("rate limit quota exceeded"), "{got:?}");
        }
    }
    served
}

#[tokio::test]
async fn rules_read_as_they_were_written() {
    let node = node().await;
    assert_eq!(node.root("LIST", "sys/quotas/rate-limit", Value::Null).await.status, 404);
    for (name, body, expect) in [
        (
            "global",
            json!({ "rate": 1000 }),
            json!({ "path": "", "role": "", "rate": 1000, "interval": 1, "block_interval": 0,
                    "inheritable": true }),
        ),
        (
            "mount",
            json!({ "rate": 10.5, "path": "auth/userpass", "interval": "1m", "block_interval": 5 }),
            json!({ "path": "auth/userpass/", "role": "", "rate": 10.5, "interval": 60,
                    "block_interval": 5, "inheritable": false }),
        ),
        (
            "path",
            json!({ "rate": 1, "path": "auth/userpass/users/*" }),
            json!({ "path": "auth/userpass/users/*", "role": "", "rate": 1, "interval": 1,
                    "block_interval": 0, "inheritable": false }),
        ),
        (
            "role",
            json!({ "rate": 1, "path": "auth/approle/", "role": "web" }),
            json!({ "path": "auth/approle/", "role": "web", "rate": 1, "interval": 1,
                    "block_interval": 0, "inheritable": false }),
        ),
    ] {
        assert_eq!(put(&node, name, body).await.status, 204, "{name}");
        let path = format!("sys/quotas/rate-limit/{name}");
        let got = node.root("READ", &path, Value::Null).await;
        let mut expect = expect;
        expect["type"] = json!("rate-limit");
        expect["name"] = json!(name);
        assert_eq!(*got.data(), expect);
    }
    let list = node.root("LIST", "sys/quotas/rate-limit", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["global", "mount", "path", "role"]));
    for (body, text) in [
        (json!({}), "'rate' is invalid"),
        (json!({ "rate": 0 }), "'rate' is invalid"),
        (json!({ "rate": 1, "block_interval": -1 }), "'block' is invalid"),
        (json!({ "rate": 1, "path": "nope/" }), "invalid mount path"),
        (json!({ "rate": 1 }), "exists under the name \"global\""),
        (json!({ "rate": 1, "path": "sys/", "role": "r" }), "not a valid auth method"),
        (json!({ "rate": 1, "path": "auth/userpass", "role": "r" }), "does not support use"),
        (
            json!({ "rate": 1, "path": "auth/approle/x", "role": "r" }),
            "both a path suffix and a role",
        ),
    ] {
        let got = put(&node, "bad", body.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{body}: {got:?}");
    }
    let got = node.root("DELETE", "sys/quotas/rate-limit/global", Value::Null).await;
    assert_eq!(got.status, 204);
    let got = node.root("READ", "sys/quotas/rate-limit/global", Value::Null).await;
    assert_eq!(got.status, 404);
}

#[tokio::test]
async fn the_most_specific_rule_counts() {
    let node = node().await;
    for (name, path, rate) in [
        ("all", "", 50),
        ("mount", "auth/userpass", 4),
        ("glob", "auth/userpass/users/*", 3),
        ("path", "auth/userpass/users/bob", 2),
    ] {
        let body = json!({ "path": path, "rate": rate, "interval": 60 });
        assert_eq!(put(&node, name, body).await.status, 204, "{name}");
    }
    assert_eq!(served(&node, "auth/userpass/users/bob", 8).await, 2);
    assert_eq!(served(&node, "auth/userpass/users/eve", 8).await, 3);
    assert_eq!(served(&node, "auth/userpass/other", 8).await, 4);
    assert_eq!(served(&node, "identity/entity/id/x", 8).await, 8);
    node.come_from("10.0.0.9");
    assert_eq!(served(&node, "auth/userpass/users/bob", 8).await, 2, "each address for itself");
    node.clock.advance(60);
    assert_eq!(served(&node, "auth/userpass/users/bob", 8).await, 2, "the next interval");
    node.root("DELETE", "sys/quotas/rate-limit/path", Value::Null).await;
    assert_eq!(served(&node, "auth/userpass/users/bob", 8).await, 3, "now the prefix counts");
}

#[tokio::test]
async fn exempt_paths_are_not_counted() {
    let node = node().await;
    put(&node, "all", json!({ "rate": 5, "interval": 600 })).await;
    let body = json!({ "rate_limit_exempt_paths": ["identity/*", "sys/quotas/config"] });
    assert_eq!(node.root("WRITE", "sys/quotas/config", body).await.status, 204);
    assert_eq!(served(&node, "identity/entity/id/x", 20).await, 20);
    let got = node.root("READ", "sys/quotas/config", Value::Null).await;
    assert_eq!(
        *got.data(),
        json!({
            "enable_rate_limit_audit_logging": false,
            "enable_rate_limit_response_headers": false,
            "rate_limit_exempt_paths": ["identity/*", "sys/quotas/config"],
        })
    );
    assert!(served(&node, "auth/userpass/users/x", 20).await <= 5);
}

#[tokio::test]
async fn who_goes_beyond_is_blocked_for_a_while() {
    let node = node().await;
    let body = json!({ "path": "identity/", "rate": 1, "interval": 1, "block_interval": 60 });
    put(&node, "block", body).await;
    assert_eq!(served(&node, "identity/entity/id/x", 3).await, 1);
    node.clock.advance(30);
    assert_eq!(served(&node, "identity/entity/id/x", 3).await, 0);
    node.clock.advance(31);
    assert_eq!(served(&node, "identity/entity/id/x", 1).await, 1);
}

#[tokio::test]
async fn logins_can_be_limited_by_role() {
    let node = node().await;
    for role in ["web", "other"] {
        let body =
            json!({ "role_id": role, "bind_secret_id": false, "token_bound_cidrs": "0.0.0.0/0" });
        let got = node.root("WRITE", &format!("auth/approle/role/{role}"), body).await;
        assert_eq!(got.status, 204, "{got:?}");
    }
    put(&node, "mount", json!({ "path": "auth/approle", "rate": 3, "interval": 60 })).await;
    let body = json!({ "path": "auth/approle", "role": "web", "rate": 2, "interval": 60 });
    put(&node, "role", body).await;
    let mut statuses = Vec::new();
    for role in ["web", "web", "web", "other", "other", "other", "other"] {
        let body = json!({ "role_id": role });
        statuses.push(node.call("WRITE", "auth/approle/login", "", body).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 200, 200, 429]);
}

#[tokio::test]
async fn locked_users_are_told_and_unlocked() {
    let node = node().await;
    let login = async |name: &str| {
        let path = format!("auth/userpass/login/{name}");
        node.call("WRITE", &path, "", json!({ "password": "x" })).await.status
    };
    for name in ["Bob", "bob", "BOB", "bob", "bob"] {
        assert_eq!(login(name).await, 400);
    }
    assert_eq!(login("bob").await, 403);
    let got = node.root("READ", "sys/locked-users", Value::Null).await;
    let mount = &got.data()["by_namespace"][0]["mount_accessors"][0];
    assert_eq!(mount["alias_identifiers"], json!(["bob"]));
    assert_eq!((&got.data()["total"], &mount["counts"]), (&json!(1), &json!(1)));
    let accessor = mount["mount_accessor"].as_str().unwrap().to_owned();
    let got = node.root("READ", "sys/locked-users?mount_accessor=other", Value::Null).await;
    assert_eq!(got.data()["total"], 0);
    // threats CVE-2025-6004, CVE-2025-6013: unlocking knows no spellings either
    let path = format!("sys/locked-users/{accessor}/unlock/BOB");
    assert_eq!(node.root("WRITE", &path, Value::Null).await.status, 204);
    assert_eq!(login("bob").await, 400);
}
