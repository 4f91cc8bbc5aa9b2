//! What clients ask before they ask, and what a token may do: through the whole pipeline.

use serde_json::{Value, json};
use strongroom_testkit::TestNode;

use super::mounts_tests::start;
use crate::testing::{put_policy, token_of};

const SOME: &str = r#"
    path "a/b/c" { capabilities = ["read"] }
    path "k/*"   { capabilities = ["read", "list"] }
    path "k/x"   { capabilities = ["deny"] }
    path "ns/in/*" { capabilities = ["read"] }
"#;

/// A node with mounts, and a token that may use some of them.
async fn with_mounts() -> (TestNode, String) {
    let node = start().await;
    node.root("WRITE", "sys/namespaces/ns", json!({})).await;
    for (namespace, path, body) in [
        ("", "sys/mounts/a/b", json!({"type": "kv"})),
        ("", "sys/mounts/k", json!({"type": "kv-v2"})),
        ("", "sys/mounts/hidden", json!({"type": "kv"})),
        (
            "",
            "sys/auth/up",
            json!({"type": "userpass",
            "description": "people", "config": {"listing_visibility": "unauth"}}),
        ),
        ("ns", "sys/mounts/in", json!({"type": "kv"})),
    ] {
        let got = node.call_in(namespace, "WRITE", path, &node.root, body).await;
        assert_eq!(got.status, 204, "{path}: {got:?}");
    }
    put_policy(&node, "some", SOME).await;
    let token = token_of(&node, "some").await;
    (node, token)
}

#[tokio::test]
async fn only_mounts_the_caller_may_use_are_shown() {
    let (node, some) = with_mounts().await;
    let path = "sys/internal/ui/mounts";
    let names = |got: &Value| {
        let keys = |class: &str| got[class].as_object().unwrap().keys().cloned().collect();
        let (secret, auth): (Vec<String>, Vec<String>) = (keys("secret"), keys("auth"));
        [secret, auth].concat()
    };
    let stranger = node.call("READ", path, "", Value::Null).await;
    assert_eq!(names(stranger.data()), ["up/"]);
    assert_eq!(
        stranger.data()["auth"]["up/"],
        json!({"description": "people", "options": {}, "type": "userpass"})
    );
    assert_eq!(node.call("READ", path, "hvs.bad", Value::Null).await.status, 403);
    let own = node.call("READ", path, &some, Value::Null).await;
    let mut seen = names(own.data());
    seen.retain(|name| !["sys/", "identity/", "cubbyhole/", "token/"].contains(&name.as_str()));
    assert_eq!(seen, ["a/b/", "k/", "up/"]);
    assert!(own.data()["secret"]["k/"]["accessor"].is_string());
}

#[tokio::test]
async fn a_path_leads_to_its_mount_or_to_nothing() {
    let (node, some) = with_mounts().await;
    let hidden = |path: &str| {
        format!(
            "preflight capability check returned 403, please ensure client's policies grant \
             access to path \"{path}/\""
        )
    };
    for (token, path, status, text) in [
        (some.as_str(), "k/data/x", 200, "k/".to_owned()),
        (&some, "a/b/c", 200, "a/b/".to_owned()),
        (&some, "k", 200, "k/".to_owned()),
        (&some, "ns/in/x", 200, "ns/in/".to_owned()),
        (&some, "hidden/x", 403, hidden("hidden/x")),
        (&some, "nope/x", 403, hidden("nope/x")),
        (&node.root, "nope", 403, hidden("nope")),
        (&node.root, "auth/up", 200, "up/".to_owned()),
        ("", "k/x", 403, "permission denied".to_owned()),
        ("hvs.bad", "k/x", 403, "permission denied".to_owned()),
    ] {
        let asked = format!("sys/internal/ui/mounts/{path}");
        let got = node.call("READ", &asked, token, Value::Null).await;
        let found = match got.status {
            200 => got.data()["path"].as_str().unwrap().to_owned(),
            _ => got.errors(),
        };
        assert_eq!((got.status, found), (status, text), "{path}");
    }
    let got = node.call("READ", "sys/internal/ui/mounts/k", &some, Value::Null).await;
    assert_eq!(got.data()["options"]["version"], "2");
}

#[tokio::test]
async fn rights_and_namespaces_for_user_interfaces() {
    let (node, some) = with_mounts().await;
    let path = "sys/internal/ui/resultant-acl";
    let got = node.call("READ", path, &some, Value::Null).await;
    assert_eq!(got.data()["exact_paths"]["a/b/c"]["capabilities"], json!(["read"]));
    assert_eq!(got.data()["exact_paths"]["k/x"]["capabilities"], json!(["deny"]));
    assert_eq!(got.data()["glob_paths"]["k/"]["capabilities"], json!(["list", "read"]));
    let got = node.root("READ", path, Value::Null).await;
    assert_eq!(got.data(), &json!({"root": true}));
    let path = "sys/internal/ui/namespaces";
    assert_eq!(node.call("READ", path, "", Value::Null).await.status, 403);
    let got = node.call("READ", path, &some, Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["ns/"]));
    let none = token_of(&node, "none").await;
    let got = node.call("READ", path, &none, Value::Null).await;
    assert_eq!(got.data()["keys"].as_array().map_or(0, Vec::len), 0, "{got:?}");
}

#[tokio::test]
async fn capabilities_are_told_by_token_accessor_and_for_oneself() {
    let (node, some) = with_mounts().await;
    let made = node.root("WRITE", "auth/token/create", json!({"policies": ["some"]})).await;
    let accessor = made.body["auth"]["accessor"].as_str().unwrap().to_owned();
    let own = "sys/capabilities-self";
    let got = node.call("WRITE", own, &some, json!({"paths": "k/y,k/x,nope"})).await;
    let expected = json!({"k/y": ["list", "read"], "k/x": ["deny"], "nope": ["deny"]});
    assert_eq!(got.data(), &expected);
    assert_eq!(got.body["k/y"], json!(["list", "read"]), "at the top as well");
    let got = node.call("WRITE", own, &some, json!({"path": "a/b/c"})).await;
    assert_eq!(got.data(), &json!({"a/b/c": ["read"], "capabilities": ["read"]}));
    let got = node.root("WRITE", own, json!({"paths": ["x"]})).await;
    assert_eq!(got.data()["x"], json!(["root"]));
    for (path, body) in [
        ("sys/capabilities", json!({"token": some, "paths": ["a/b/c"]})),
        ("sys/capabilities-accessor", json!({"accessor": accessor, "paths": ["a/b/c"]})),
    ] {
        let got = node.root("WRITE", path, body.clone()).await;
        assert_eq!(got.data()["a/b/c"], json!(["read"]), "{path}");
        assert_eq!(node.call("WRITE", path, &some, body.clone()).await.status, 403, "{path}");
        // threats CVE-2026-45808, GHSA-c36x-h252-g9x2: from below, tokens above are not there.
        let got = node.call_in("ns", "WRITE", path, &node.root, body).await;
        assert_eq!(got.status, 400, "{path}: {got:?}");
        assert!(got.errors().starts_with("invalid "), "{got:?}");
    }
    for (path, body, text) in [
        (own, json!({}), "paths must be supplied"),
        ("sys/capabilities", json!({"token": "hvs.bad", "paths": ["a"]}), "invalid token"),
        ("sys/capabilities-accessor", json!({"accessor": "x", "paths": ["a"]}), "invalid accessor"),
    ] {
        let got = node.root("WRITE", path, body).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text), "{path}");
    }
}
