//! Userpass through the whole pipeline.

use serde_json::{Value, json};
use strongroom_testkit::{Got, TestNode};

/// The bcrypt hash of "abc" at cost 6 (jBCrypt's test suite).
const HASH_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";

async fn node() -> TestNode {
    let node = TestNode::start([super::spec()]).await;
    node.mount("userpass", "auth/userpass/").await;
    node
}

async fn write(node: &TestNode, path: &str, body: Value) -> Got {
    node.root("WRITE", &format!("auth/userpass/{path}"), body).await
}

async fn login(node: &TestNode, name: &str, password: &str) -> Got {
    let body = json!({ "password": password });
    node.call("WRITE", &format!("auth/userpass/login/{name}"), "", body).await
}

#[tokio::test]
async fn users_are_written_read_listed_and_deleted() {
    let node = node().await;
    let body = json!({ "password_hash": HASH_OF_ABC, "policies": "b,a", "ttl": "1h" });
    assert_eq!(write(&node, "users/Bob", body).await.status, 204);
    let got = node.root("READ", "auth/userpass/users/BOB", Value::Null).await;
    assert_eq!(
        *got.data(),
        json!({
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
            "token_no_default_policy": false, "token_period": 0, "token_policies": ["a", "b"],
            "policies": ["a", "b"], "token_type": "default", "token_ttl": 3600, "ttl": 3600,
            "token_num_uses": 0, "token_strictly_bind_ip": false,
        })
    );
    let list = node.root("LIST", "auth/userpass/users", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["bob"]));
    assert_eq!(write(&node, "users/bob/policies", json!({ "policies": "c" })).await.status, 204);
    let got = node.root("READ", "auth/userpass/users/bob", Value::Null).await;
    assert_eq!(got.data()["token_policies"], json!(["c"]));
    assert_eq!(login(&node, "bob", "abc").await.status, 200, "a change keeps the password");
    let gone = node.root("DELETE", "auth/userpass/users/BOB", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(node.root("READ", "auth/userpass/users/bob", Value::Null).await.status, 404);
    assert_eq!(node.root("LIST", "auth/userpass/users", Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_a_user_refuses() {
    let node = node().await;
    for (path, body, text) in [
        ("users/a", json!({}), "must provide either password or password_hash"),
        (
            "users/a",
            json!({ "password": "p", "password_hash": HASH_OF_ABC }),
            "only one of password or password_hash may be provided",
        ),
        ("users/a", json!({ "password_hash": "hunter2" }), "not a valid bcrypt hash"),
        ("users/a", json!({ "password": "p".repeat(73) }), "password length exceeds 72 bytes"),
        ("users/none/password", json!({ "password": "p" }), "username does not exist"),
        ("users/none/policies", json!({ "policies": "p" }), "username does not exist"),
    ] {
        let got = write(&node, path, body).await;
        assert_eq!(got.status, 400, "{path}: {got:?}");
        assert!(got.errors().contains(text) && !got.errors().contains("hunter2"), "{got:?}");
    }
}

#[tokio::test]
async fn a_login_gives_a_token_of_the_user() {
    let node = node().await;
    let body = json!({ "password_hash": HASH_OF_ABC, "token_policies": "p", "token_ttl": 60 });
    write(&node, "users/bob", body).await;
    let got = login(&node, "BoB", "abc").await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "p"]));
    assert_eq!(auth["metadata"], json!({ "username": "bob" }));
    assert_eq!(auth["lease_duration"], 60);
    let (services, text) = (node.services(), got.token().into());
    let table = services.router.table().await.unwrap();
    let token = services.tokens.check(&table, &text, token_time(&node)).await;
    assert_eq!(token.unwrap().unwrap().display_name, "userpass-bob");
    assert_eq!(write(&node, "users/bob/password", json!({ "password": "new" })).await.status, 204);
    assert_eq!(login(&node, "bob", "abc").await.errors(), "invalid username or password");
    assert_eq!(login(&node, "bob", "new").await.status, 200);
}

fn token_time(node: &TestNode) -> strongroom_base::Timestamp {
    strongroom_base::Clock::now(&*node.clock)
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_read_the_same() {
    // threat CVE-2025-6011; the equal cost is tested with the hash itself
    let node = node().await;
    write(&node, "users/bob", json!({ "password_hash": HASH_OF_ABC })).await;
    for (name, password) in [("bob", "wrong"), ("nobody", "abc"), ("bob ", "abc")] {
        let got = login(&node, name, password).await;
        assert_eq!((got.status, got.errors().as_str()), (400, "invalid username or password"));
        assert!(got.body["auth"].is_null());
    }
    assert_eq!(login(&node, "bob", "").await.errors(), "missing password");
}

#[tokio::test]
async fn lockout_counts_one_user_once_whatever_the_spelling() {
    // threats CVE-2025-6004, CVE-2025-6013
    let node = node().await;
    write(&node, "users/bob", json!({ "password_hash": HASH_OF_ABC })).await;
    for name in ["bob", "BOB", "bob ", " Bob", "bOb"] {
        assert_eq!(login(&node, name, "wrong").await.status, 400, "{name:?}");
    }
    for name in ["bob", "BOB"] {
        assert_eq!(login(&node, name, "abc").await.status, 403, "{name:?}");
    }
    assert_eq!(login(&node, "other", "abc").await.status, 400);
    node.clock.advance(900);
    assert_eq!(login(&node, "bob", "abc").await.status, 200);
}

#[tokio::test]
async fn a_login_from_elsewhere_is_denied() {
    let node = node().await;
    let body = json!({ "password_hash": HASH_OF_ABC, "token_bound_cidrs": "10.0.0.0/8" });
    write(&node, "users/bob", body).await;
    assert_eq!(login(&node, "bob", "abc").await.status, 403);
    node.come_from("10.1.1.1");
    assert_eq!(login(&node, "bob", "abc").await.status, 200);
}

#[tokio::test]
async fn no_login_gives_the_root_policy() {
    // threats CVE-2025-5999, CVE-2024-9180
    let node = node().await;
    for policy in ["root", "ROOT", " Root "] {
        let body = json!({ "password_hash": HASH_OF_ABC, "token_policies": [policy] });
        write(&node, "users/bob", body).await;
        let got = login(&node, "bob", "abc").await;
        assert_eq!(got.status, 400, "{policy:?}: {got:?}");
        assert!(got.body["auth"].is_null());
    }
}

#[tokio::test]
async fn a_denial_with_capitals_means_every_spelling() {
    // threat: where a name is case-insensitive, a deny can't be passed by another spelling
    let node = node().await;
    node.policy(
        "p",
        r#"path "auth/userpass/users/*" { capabilities = ["read", "update", "list"] }
           path "auth/userpass/users/Bob" { capabilities = ["deny"] }
           path "auth/userpass/users/Eve*" { capabilities = ["deny"] }
           path "AUTH/userpass/users/ann" { capabilities = ["deny"] }"#,
    )
    .await;
    for name in ["ann", "bob", "boby", "eve", "p"] {
        let body = json!({ "password_hash": HASH_OF_ABC, "token_policies": "p" });
        assert_eq!(write(&node, &format!("users/{name}"), body).await.status, 204);
    }
    let token = login(&node, "p", "abc").await.token();
    for (path, status) in [
        ("users/ann", 200),
        ("users/bob", 403),
        ("users/Bob", 403),
        ("users/BOB", 403),
        ("users/bob/password", 405),
        ("users/boby", 200),
        ("users/eve", 403),
        ("users/EVE", 403),
        ("users/evelyn", 403),
    ] {
        let got = node.call("READ", &format!("auth/userpass/{path}"), &token, Value::Null).await;
        assert_eq!(got.status, status, "{path}");
        assert_eq!(got.explain.is_some(), status == 403, "{path}");
    }
}

#[tokio::test]
async fn the_servers_lockout_holds_where_the_mount_says_nothing() {
    use strongroom_kernel::mounts::UserLockout;
    use strongroom_kernel::node::KernelConfig;
    let rule = |threshold| UserLockout { threshold: Some(threshold), ..UserLockout::default() };
    let all = KernelConfig { user_lockout: rule(2), ..KernelConfig::default() };
    let mut by_type = all.clone();
    by_type.user_lockout_of.insert("userpass".to_owned(), rule(3));
    for (config, failures) in [(all, 2), (by_type, 3)] {
        let node = TestNode::start_with([super::spec()], config).await;
        node.mount("userpass", "auth/userpass/").await;
        write(&node, "users/bob", json!({ "password_hash": HASH_OF_ABC })).await;
        for _ in 1..failures {
            assert_eq!(login(&node, "bob", "wrong").await.status, 400);
        }
        assert_eq!(login(&node, "bob", "abc").await.status, 200, "{failures}: not yet");
        for _ in 0..failures {
            assert_eq!(login(&node, "bob", "wrong").await.status, 400);
        }
        assert_eq!(login(&node, "bob", "abc").await.status, 403, "{failures}");
    }
}
