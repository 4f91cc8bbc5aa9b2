//! Explanations through the whole pipeline: who may ask, and what is shown to whom.

use serde_json::{Value, json};
use strongroom_testkit::TestNode;

use super::mounts_tests::start;
use crate::testing::{put_policy, token_of};

/// A denied request of this token, and the id of its explanation.
async fn denied(node: &TestNode, token: &str, path: &str) -> String {
    let got = node.call("READ", path, token, Value::Null).await;
    assert_eq!(got.status, 403, "{got:?}");
    got.explain.expect("a denial carries an id")
}

const DEV: &str = r#"path "secret/data/*" { capabilities = ["list"] }"#;

#[tokio::test]
async fn a_denied_caller_learns_path_capability_and_policy_names() {
    let node = start().await;
    put_policy(&node, "dev", DEV).await;
    let dev = token_of(&node, "dev").await;
    let id = denied(&node, &dev, "secret/data/app").await;
    let got = node.call("READ", &format!("sys/explain/{id}"), &dev, Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    let data = got.data();
    assert_eq!(data["allowed"], false);
    assert_eq!(data["path"], "secret/data/app");
    assert_eq!(data["capability"], "read");
    assert_eq!(data["policies"], json!(["default", "dev"]));
    // What the rules say is for who may read the policies.
    assert_eq!(data["rules"], json!([]));
    assert!(data.get("suggestion").is_none() && data.get("denial").is_none(), "{data}");
    assert!(!got.body.to_string().contains("secret/data/*"), "{data}");

    let whole = node.root("READ", &format!("sys/explain/{id}"), Value::Null).await;
    let data = whole.data();
    assert_eq!(data["rules"][0]["policy"], "dev");
    assert_eq!(data["rules"][0]["standing"], "decided");
    assert_eq!(data["rules"][0]["path"], "secret/data/*");
    assert!(data["suggestion"]["rule"].as_str().unwrap().contains("secret/data/app"), "{data}");
}

#[tokio::test]
async fn another_callers_refusal_is_not_there() {
    let node = start().await;
    put_policy(&node, "dev", DEV).await;
    let why = r#"path "sys/explain/*" { capabilities = ["read"] }"#;
    put_policy(&node, "auditor", why).await;
    let (dev, none) = (token_of(&node, "dev").await, token_of(&node, "none").await);
    let auditor = token_of(&node, "auditor").await;
    let id = denied(&node, &dev, "secret/data/app").await;
    let path = format!("sys/explain/{id}");
    for (token, status) in
        [("", 403), ("hvs.bad", 403), (none.as_str(), 404), (auditor.as_str(), 200)]
    {
        let got = node.call("READ", &path, token, Value::Null).await;
        assert_eq!(got.status, status, "{got:?}");
    }
    // An id that is none, and one that was changed.
    let mut other = id.into_bytes();
    other[0] = if other[0] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).unwrap();
    for id in ["x", other.as_str()] {
        let got = node.root("READ", &format!("sys/explain/{id}"), Value::Null).await;
        assert_eq!(got.status, 404, "{id}: {got:?}");
    }
    // Another namespace's auditor does not see it either.
    node.root("WRITE", "sys/namespaces/ns", json!({})).await;
    let got = node.call_in("ns", "READ", &path, &node.root, Value::Null).await;
    assert_eq!(got.status, 404, "{got:?}");
}

#[tokio::test]
async fn anyone_may_ask_about_itself() {
    let node = start().await;
    put_policy(&node, "dev", DEV).await;
    let dev = token_of(&node, "dev").await;
    node.root("WRITE", "sys/auth/up", json!({"type": "userpass"})).await;
    for (capability, path, allowed) in [
        ("list", "secret/data/x", true),
        ("read", "secret/data/x", false),
        ("read", "auth/token/lookup-self", true),
        ("update", "sys/auth/up", false),
        ("write", "secret/data/x", false),
        ("update", "auth/up/login/x", true),
    ] {
        let body = json!({"capability": capability, "path": path});
        let got = node.call("WRITE", "sys/explain", &dev, body).await;
        assert_eq!((got.status, &got.body["data"]["allowed"]), (200, &json!(allowed)), "{path}");
    }
    for (body, why) in [
        (json!({"capability": "read"}), "missing path"),
        (json!({"capability": "fly", "path": "a"}), "capability must be one of"),
        (json!({"capability": "read", "path": "a", "namespace": "nope"}), "no such namespace"),
        (json!({"capability": "read", "path": "a", "role": "x", "accessor": "y"}), "only one of"),
        (json!({"capability": "read", "path": "a", "token": "hvs.x"}), "invalid token"),
    ] {
        let got = node.call("WRITE", "sys/explain", &dev, body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(got.errors().contains(why), "{body}: {got:?}");
    }
    let body = json!({"capability": "read", "path": "a"});
    assert_eq!(node.call("WRITE", "sys/explain", "", body).await.status, 403);
}

#[tokio::test]
async fn about_others_only_whom_policy_lets() {
    let node = start().await;
    put_policy(&node, "dev", DEV).await;
    put_policy(&node, "asker", r#"path "sys/explain" { capabilities = ["update"] }"#).await;
    let (none, asker) = (token_of(&node, "none").await, token_of(&node, "asker").await);
    node.root("WRITE", "sys/auth/up", json!({"type": "userpass"})).await;
    let made = node.root("WRITE", "auth/token/create", json!({"policies": ["dev"]})).await;
    let accessor = made.body["auth"]["accessor"].as_str().unwrap().to_owned();
    let about = [json!({"accessor": accessor}), json!({"policies": ["dev"]})];
    for subject in about {
        let mut body = json!({"capability": "list", "path": "secret/data/x"});
        body.as_object_mut().unwrap().extend(subject.as_object().unwrap().clone());
        assert_eq!(node.call("WRITE", "sys/explain", &none, body.clone()).await.status, 403);
        let got = node.call("WRITE", "sys/explain", &asker, body.clone()).await;
        assert_eq!(got.data()["allowed"], true, "{body}: {got:?}");
        assert_eq!(got.data()["rules"], json!([]), "the asker may not read the policy");
        let got = node.root("WRITE", "sys/explain", body).await;
        assert_eq!(got.data()["rules"][0]["path"], "secret/data/*");
    }
    // A role: only for who may read it.
    let body = json!({"capability": "list", "path": "secret/data/x", "role": "up/dev"});
    let got = node.call("WRITE", "sys/explain", &asker, body.clone()).await;
    assert_eq!(got.status, 400, "{got:?}");
    let got = node.root("WRITE", "sys/explain", body).await;
    assert_eq!(got.data()["allowed"], true, "{got:?}");
    assert_eq!(got.data()["policies"], json!(["default", "dev"]));
    // threat CVE-2026-45808: an accessor of a namespace above or beside is not there.
    node.root("WRITE", "sys/namespaces/ns", json!({})).await;
    let body = json!({"capability": "read", "path": "a", "accessor": accessor});
    let got = node.call_in("ns", "WRITE", "sys/explain", &node.root, body).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid accessor"));
}

#[tokio::test]
async fn a_denial_of_explanations_holds() {
    // Threat GHSA-xp3c-3jw3-4vcr: of one's own refusals and rights, too.
    let node = crate::testing::node().await;
    let text = "path \"sys/explain*\" { capabilities = [\"deny\"] }";
    put_policy(&node, "shut", text).await;
    let shut = token_of(&node, "shut").await;
    let id = denied(&node, &shut, "sys/mounts").await;
    let got = node.call("READ", &format!("sys/explain/{id}"), &shut, Value::Null).await;
    assert_eq!(got.status, 403, "{got:?}");
    let body = json!({"capability": "read", "path": "sys/mounts"});
    assert_eq!(node.call("WRITE", "sys/explain", &shut, body).await.status, 403);
}

#[tokio::test]
async fn a_batch_token_may_ask_about_its_own_refusal() {
    let node = start().await;
    put_policy(&node, "dev", DEV).await;
    let batch = async || {
        let fields = json!({"policies": ["dev"], "type": "batch", "ttl": "1h"});
        node.root("WRITE", "auth/token/create", fields).await.token()
    };
    let (own, other) = (batch().await, batch().await);
    let id = denied(&node, &own, "secret/data/app").await;
    for (token, status) in [(own, 200), (other, 404)] {
        let got = node.call("READ", &format!("sys/explain/{id}"), &token, Value::Null).await;
        assert_eq!(got.status, status, "{got:?}");
    }
}
