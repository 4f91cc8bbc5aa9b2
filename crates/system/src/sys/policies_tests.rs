//! Policies through the whole pipeline. Rows marked "bao" were observed with OpenBao 2.6.2.

use serde_json::{Value, json};
use strongroom_testkit::TestNode;

use crate::testing::{node, token};

const TEXT: &str = r#"path "x" { capabilities = ["read"] }"#;

async fn write(node: &TestNode, verb: &str, name: &str, body: Value) -> (u16, String) {
    let got = node.root(verb, &format!("sys/policies/acl/{name}"), body).await;
    (got.status, got.errors())
}

async fn detail(node: &TestNode, name: &str) -> Value {
    let got = node.root("LIST", "sys/policies/detailed/acl", Value::Null).await;
    got.data()["key_info"][name].clone()
}

#[tokio::test]
async fn names_may_hold_slashes() {
    let node = node().await;
    // Capitals are converted, with a warning.
    for (name, status) in [("a/b", 204), ("A/c", 200), ("ab", 204)] {
        let got = write(&node, "WRITE", name, json!({ "policy": TEXT })).await;
        assert_eq!(got.0, status, "{name}: {got:?}");
    }
    let got = node.root("READ", "sys/policies/acl/A/B", Value::Null).await;
    assert_eq!(got.data(), &json!({ "name": "a/b", "policy": TEXT }), "as Vault shows it");
    let got = node.root("READ", "sys/policy/a/b", Value::Null).await;
    assert_eq!(got.data(), &json!({ "name": "a/b", "rules": TEXT }));
    for (folder, keys) in [("a", Some(json!(["a/b", "a/c"]))), ("b", None), ("ab", None)] {
        for at in ["sys/policies/acl", "sys/policies/detailed/acl"] {
            let got = node.root("LIST", &format!("{at}/{folder}"), Value::Null).await;
            assert_eq!(got.status, if keys.is_some() { 200 } else { 404 }, "{at}/{folder}");
            assert_eq!(keys.as_ref().unwrap_or(&Value::Null), &got.data()["keys"]);
        }
    }
    assert_eq!(write(&node, "WRITE", "a/", json!({ "policy": TEXT })).await.0, 400);
    // They give rights, and take them when they go.
    let fields = json!({ "policies": ["a/b"], "ttl": "1h" });
    let caller = token(&node, fields).await;
    assert_eq!(node.call("READ", "x", &caller, Value::Null).await.status, 404);
    assert_eq!(write(&node, "DELETE", "a/b", Value::Null).await.0, 204);
    assert_eq!(node.call("READ", "x", &caller, Value::Null).await.status, 403);
}

#[tokio::test]
async fn writes_name_versions_and_patches_leave_the_rest() {
    let node = node().await;
    let mismatch = "check-and-set parameter did not match the current version";
    for (verb, body, status, text) in [
        ("PATCH", json!({ "cas_required": true }), 404, ""),
        ("WRITE", json!({}), 400, "'policy' parameter not supplied or empty"),
        ("WRITE", json!({ "policy": TEXT, "cas": 5 }), 400, mismatch),
        ("WRITE", json!({ "policy": TEXT, "cas": -1 }), 204, ""),
        // bao
        (
            "WRITE",
            json!({ "policy": TEXT, "cas": -1 }),
            400,
            "check-and-set parameter set to -1 on existing entry",
        ),
        ("PATCH", json!({ "cas_required": true, "ttl": "1h" }), 200, ""),
        ("WRITE", json!({ "policy": TEXT }), 400, "check-and-set parameter required for this call"),
        ("PATCH", json!({ "cas": 2, "allow_slashes_in_identity_templates": true }), 200, ""),
        ("PATCH", json!({ "cas": 2 }), 400, mismatch),
        (
            "PATCH",
            json!({ "cas": 3, "ttl": "1h", "expiration": "2030-01-01T00:00:00Z" }),
            400,
            "only one of expiration and ttl may be given",
        ),
        ("PATCH", json!({ "cas": 3, "ttl": "-1h" }), 400, "ttl must not be negative"),
    ] {
        let got = write(&node, verb, "p", body.clone()).await;
        assert_eq!((got.0, got.1.as_str()), (status, text), "{verb} {body}");
    }
    assert_eq!(
        detail(&node, "p").await,
        json!({
            "name": "p", "policy": TEXT, "version": 3, "cas_required": true,
            "modified": "2026-01-01T00:00:00Z", "expiration": "2026-01-01T01:00:00Z",
            "allow_wildcards_in_identity_templates": false,
            "allow_slashes_in_identity_templates": true,
        })
    );
    // A write says all of it anew, but that versions must be named.
    assert_eq!(write(&node, "WRITE", "p", json!({ "policy": TEXT, "cas": 3 })).await.0, 204);
    let now = detail(&node, "p").await;
    assert_eq!(now["allow_slashes_in_identity_templates"], false);
    assert_eq!((&now["expiration"], &now["cas_required"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn a_policy_ends_when_its_time_is_over() {
    let node = node().await;
    write(&node, "WRITE", "p", json!({ "policy": TEXT, "ttl": "10m" })).await;
    let caller = token(&node, json!({ "policies": ["p"], "ttl": "1h" })).await;
    assert_eq!(node.call("READ", "x", &caller, Value::Null).await.status, 404);
    node.clock.advance(601);
    assert_eq!(node.call("READ", "x", &caller, Value::Null).await.status, 403);
}

/// Threat GHSA-59w7-v8rr-pr4p: a value brings in a slash only where the policy's writer said so.
#[tokio::test]
async fn templates_admit_what_the_writer_allows() {
    let specs = crate::testing::with_auth();
    let node = TestNode::start(specs).await;
    node.root("WRITE", "sys/auth/up", json!({ "type": "userpass" })).await;
    let entity = json!({ "name": "e", "policies": ["p"], "metadata": { "team": "a/b" } });
    node.root("WRITE", "identity/entity", entity).await;
    let id = node.root("READ", "identity/entity/name/e", Value::Null).await.data()["id"].clone();
    let mounts = node.root("READ", "sys/auth", Value::Null).await;
    let accessor = mounts.data()["up/"]["accessor"].clone();
    let alias = json!({ "name": "bob", "canonical_id": id, "mount_accessor": accessor });
    let got = node.root("WRITE", "identity/entity-alias", alias).await;
    assert!(got.status < 300, "{got:?}");
    let user = json!({ "password": "pw" });
    assert_eq!(node.root("WRITE", "auth/up/users/bob", user.clone()).await.status, 204);
    let caller = node.call("WRITE", "auth/up/login/bob", "", user).await.token();
    let text = r#"path "x/{{identity.entity.metadata.team}}" { capabilities = ["read"] }"#;
    for (allowed, status) in [(false, 403), (true, 404), (false, 403)] {
        let body = json!({ "policy": text, "allow_slashes_in_identity_templates": allowed });
        assert_eq!(write(&node, "WRITE", "p", body).await.0, 204);
        let got = node.call("READ", "x/a/b", &caller, Value::Null).await;
        assert_eq!(got.status, status, "{allowed}: {got:?}");
    }
}

#[tokio::test]
async fn a_name_with_capitals_is_converted_and_its_writer_told() {
    let node = crate::testing::node().await;
    let body = json!({ "policy": "path \"a\" { capabilities = [\"read\"] }" });
    for at in ["sys/policies/acl/Some-Name", "sys/policy/SOME-NAME"] {
        let got = node.root("WRITE", at, body.clone()).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.body["warnings"], json!(["policy name was converted to some-name"]));
    }
    let patched = node.root("PATCH", "sys/policies/acl/Some-Name", body.clone()).await;
    assert_eq!(patched.body["warnings"][0], "policy name was converted to some-name");
    let plain = node.root("WRITE", "sys/policies/acl/some-name", body).await;
    assert_eq!(plain.status, 204);
    let read = node.root("READ", "sys/policies/acl/SOME-name", Value::Null).await;
    assert_eq!(read.data()["name"], "some-name");
}
