//! Requests that bring their login along, through the whole pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use strongroom_base::{Json, RequestPath, Result};
use strongroom_kernel::pipeline::InlineLogin;
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, LeaseKind, NewLease, Reply, Verb, WriteCx, ops,
};
use strongroom_testkit::{Got, TestNode};

use crate::testing::{records, with_auth};

/// An engine that gives credentials of an outside; how many there are of it.
struct Giver(Arc<AtomicUsize>);

strongroom_base::fields! {
    /// Gives a credential.
    pub struct Give {
        /// Does it intend to, first?
        intends: Option<bool>,
    }
}

ops! { Give Json, Write; }

impl Command<Give> for Giver {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Give) -> Result<Reply<Json>> {
        let (ttl_seconds, internal) = (Some(60), json!({}));
        let lease = NewLease { ttl_seconds, max_ttl_seconds: None, renewable: true, internal };
        if op.intends == Some(true) {
            cx.intend(&lease).await?;
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        let mut reply = Reply::data(json!({ "made": true }));
        reply.lease = Some(Box::new(lease));
        Ok(reply)
    }
}

impl LeaseKind for Giver {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, _: &Json, ttl: i64) -> Result<i64> {
        Ok(ttl)
    }

    async fn revoke_lease(&self, _: &mut WriteCx<'_>, _: &Json) -> Result<()> {
        Ok(())
    }
}

const POLICY: &str = r#"
    path "sys/policies/acl/app" { capabilities = ["read"] }
    path "sys/policies/password/*" { capabilities = ["create", "update", "read"] }
    path "sys/capabilities-self" { capabilities = ["update"] }
    path "cubbyhole/*" { capabilities = ["create", "update", "read"] }
    path "auth/token/*" { capabilities = ["create", "update", "read"] }
    path "giver/*" { capabilities = ["update"] }
    path "sys/wrapping/wrap" { capabilities = ["update"] }
"#;

/// A node with the user kim, whose password is `abc`; and what its giver gave.
async fn node() -> (TestNode, Arc<AtomicUsize>) {
    let made: Arc<AtomicUsize> = Arc::default();
    let outside = made.clone();
    let giver = EngineSpec::new("giver", Class::Secret, move |_| Ok(Giver(outside.clone())))
        .command::<Give>("give")
        .leases()
        .build();
    let specs = with_auth().into_iter().chain([giver.into()]);
    let node = TestNode::start(specs).await;
    node.mount("userpass", "auth/userpass/").await;
    node.mount("approle", "auth/approle/").await;
    node.mount("giver", "giver/").await;
    node.policy("app", POLICY).await;
    // "abc" at cost 6 (jBCrypt's test suite).
    let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
    let body = json!({ "password_hash": hash, "token_policies": "app", "token_num_uses": 1 });
    let got = node.root("WRITE", "auth/userpass/users/kim", body).await;
    assert_eq!(got.status, 204, "{got:?}");
    (node, made)
}

fn to(path: &str, fields: Value) -> InlineLogin {
    let path = RequestPath::parse(path).expect("a path");
    InlineLogin { namespace: None, path, verb: Verb::Write, body: fields.to_string().into() }
}

fn kim(password: &str) -> InlineLogin {
    to("auth/userpass/login/kim", json!({ "password": password }))
}

async fn as_kim(node: &TestNode, method: &str, path: &str, body: Value) -> Got {
    node.call_inline(method, path, body, kim("abc")).await
}

/// Was it the login that failed?
fn of_login(got: &Got) -> bool {
    got.header("x-vault-inline-auth-failed") == "true"
}

#[tokio::test]
async fn queries_and_commands_of_who_logs_in_with_them() {
    let (node, _) = node().await;
    let got = as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
    assert_eq!((got.status, got.data()["name"].as_str()), (200, Some("app")), "{got:?}");
    // The first login made the entity; from now on nothing is written.
    let before = records(&node).await;
    for _ in 0..5 {
        let got = as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
        assert_eq!(got.status, 200);
    }
    assert_eq!(records(&node).await, before);
    let body = json!({ "policy": "length = 20\nrule \"charset\" { charset = \"ab\" }" });
    let got = as_kim(&node, "WRITE", "sys/policies/password/short", body).await;
    assert_eq!(got.status, 204, "{got:?}");
    assert_eq!(node.root("READ", "sys/policies/password/short", Value::Null).await.status, 200);
    // Policy judges as ever.
    let got = as_kim(&node, "READ", "sys/policies/acl/default", Value::Null).await;
    assert_eq!((got.status, of_login(&got)), (403, false));
    assert!(got.explain.is_some());
}

#[tokio::test]
async fn the_rights_of_the_entity_are_there() {
    let (node, _) = node().await;
    let got = node.call("WRITE", "auth/userpass/login/kim", "", json!({ "password": "abc" })).await;
    let entity = got.body["auth"]["entity_id"].as_str().expect("an entity").to_owned();
    node.policy("more", "path \"sys/policies/acl/default\" { capabilities = [\"read\"] }").await;
    let path = format!("identity/entity/id/{entity}");
    assert!(node.root("WRITE", &path, json!({ "policies": "more" })).await.status < 300);
    let got = as_kim(&node, "READ", "sys/policies/acl/default", Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(node.root("WRITE", &path, json!({ "disabled": true })).await.status < 300);
    let got = as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
    assert_eq!((got.status, of_login(&got)), (403, true));
}

#[tokio::test]
async fn a_login_that_fails_is_the_answer() {
    let (node, _) = node().await;
    let unknown = to("auth/userpass/login/nobody", json!({ "password": "abc" }));
    for login in [kim("wrong"), unknown] {
        let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login).await;
        assert_eq!((got.status, got.errors().as_str()), (400, "invalid username or password"));
        assert!(of_login(&got));
    }
    // Nothing but a login can be asked for so.
    for path in [
        "sys/health",
        "sys/policies/acl/app",
        "auth/userpass/users/kim",
        "auth/none/login",
        "auth/token/lookup-self",
        "sys/wrapping/unwrap",
    ] {
        let login = to(path, json!({}));
        let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login).await;
        let text = "specified authentication path was not found";
        assert_eq!((got.status, got.errors().as_str()), (404, text), "{path}");
    }
    // With a verb that it does not have.
    let login = InlineLogin { verb: Verb::Read, ..kim("abc") };
    let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login).await;
    assert_eq!((got.status, of_login(&got)), (404, true));
    // On open paths it is looked at as little as a token is.
    let got = node.call_inline("READ", "sys/internal/ui/mounts", Value::Null, kim("wrong")).await;
    assert_eq!(got.status, 200, "{got:?}");
}

/// threats CVE-2025-6004, CVE-2025-6013, by another way in.
#[tokio::test]
async fn lockout_counts_it() {
    let (node, _) = node().await;
    for name in ["kim", "KIM", "kim", "Kim", "kim"] {
        let login = to(&format!("auth/userpass/login/{name}"), json!({ "password": "wrong" }));
        let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login).await;
        assert_eq!(got.status, 400);
    }
    let got = as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
    assert_eq!((got.status, of_login(&got)), (403, true));
    let got = node.call("WRITE", "auth/userpass/login/kim", "", json!({ "password": "abc" })).await;
    assert_eq!(got.status, 403);
    let locked = node.root("READ", "sys/locked-users", Value::Null).await;
    assert_eq!(locked.data()["total"], 1);
    let metrics = async || {
        let got = node.root("READ", "sys/metrics?format=prometheus", Value::Null).await;
        got.body.as_str().expect("a text").to_owned()
    };
    let text = metrics().await;
    assert!(text.contains("\nvault_core_locked_users 1\n"), "{text}");
    assert!(text.contains("strongroom_logins_refused{mount=\"auth/userpass/\"} 7\n"), "{text}");
    assert!(text.contains("strongroom_logins_succeeded{mount=\"auth/userpass/\"} 0\n"), "{text}");
    // Whom an operator unlocks may try again.
    let accessor = locked.data()["by_namespace"][0]["mount_accessors"][0]["mount_accessor"].clone();
    let accessor = accessor.as_str().expect("an accessor");
    let path = format!("sys/locked-users/{accessor}/unlock/Kim");
    assert_eq!(node.root("WRITE", &path, json!({})).await.status, 204);
    assert_eq!(as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await.status, 200);
    let text = metrics().await;
    assert!(text.contains("\nvault_core_locked_users 0\n"), "{text}");
    assert!(text.contains("strongroom_logins_succeeded{mount=\"auth/userpass/\"} 1\n"), "{text}");
}

#[tokio::test]
async fn quotas_count_the_login_and_the_request() {
    let (node, _) = node().await;
    let quota = |path: &str| json!({ "rate": 2, "interval": "1h", "path": path });
    let name = "sys/quotas/rate-limit/q";
    for path in ["auth/userpass/", "sys/policies/acl/app"] {
        let got = node.root("WRITE", name, quota(path)).await;
        assert!(got.status < 300, "{got:?}");
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let got = as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
            statuses.push((got.status, of_login(&got)));
        }
        let login = path.starts_with("auth/");
        assert_eq!(statuses, [(200, false), (200, false), (429, login), (429, login)], "{path}");
    }
}

#[tokio::test]
async fn a_secret_id_loses_a_use_with_each_request() {
    let (node, _) = node().await;
    let role = "auth/approle/role/web";
    node.root("WRITE", role, json!({ "token_policies": "app", "secret_id_num_uses": 2 })).await;
    let role_id = node.root("READ", &format!("{role}/role-id"), Value::Null).await;
    let secret_id = node.root("WRITE", &format!("{role}/secret-id"), json!({})).await;
    let body = json!({ "role_id": role_id.data()["role_id"],
                       "secret_id": secret_id.data()["secret_id"] });
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let login = to("auth/approle/login", body.clone());
        let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login).await;
        statuses.push(got.status);
    }
    assert_eq!(statuses, [200, 200, 400]);
}

#[tokio::test]
async fn nothing_hangs_on_it() {
    let (node, made) = node().await;
    let before = records(&node).await;
    for (method, path, body, text) in [
        ("WRITE", "giver/give", json!({}), "inline authentication cannot generate leases"),
        (
            "WRITE",
            "giver/give",
            json!({ "intends": true }),
            "inline authentication cannot generate leases",
        ),
        ("WRITE", "auth/token/create", json!({}), "inline authentication cannot create tokens"),
        ("WRITE", "auth/token/create-orphan", json!({}), "cannot create tokens"),
        ("WRITE", "auth/token/renew-self", json!({}), ""),
        ("WRITE", "cubbyhole/a", json!({ "a": 1 }), "only supported by 'service' type tokens"),
        ("READ", "cubbyhole/a", Value::Null, "only supported by 'service' type tokens"),
    ] {
        let got = as_kim(&node, method, path, body).await;
        assert!((400..404).contains(&got.status), "{path}: {got:?}");
        assert!(got.errors().contains(text), "{path}: {got:?}");
    }
    assert_eq!(made.load(Ordering::SeqCst), 0, "nothing was made outside");
    // All that is there now is kim's entity.
    let entity = 6;
    assert!(records(&node).await <= before + entity);
    // A wrapping hangs on nobody.
    let login = kim("abc");
    let got = node.call_inline("WRITE", "sys/wrapping/wrap", json!({ "a": 1 }), login).await;
    assert!(got.status < 500, "{got:?}");
    // A look at itself shows no text that could be brought again.
    let got = as_kim(&node, "READ", "auth/token/lookup-self", Value::Null).await;
    assert_eq!((got.status, got.data()["id"].as_str()), (200, Some("")), "{got:?}");
}

#[tokio::test]
async fn a_token_beside_it_is_refused() {
    let (node, _) = node().await;
    let got = node
        .call_inline_with("READ", "sys/policies/acl/app", &node.root, Value::Null, kim("abc"))
        .await;
    let text = "cannot layer inline authentication with token authentication";
    assert_eq!((got.status, got.errors().as_str()), (400, text));
}

#[tokio::test]
async fn addresses_bind_it() {
    let (node, _) = node().await;
    let body = json!({ "token_bound_cidrs": "10.0.0.0/8" });
    node.root("WRITE", "auth/userpass/users/kim", body).await;
    let got = as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
    assert_eq!((got.status, of_login(&got)), (403, true));
    node.come_from("10.1.1.1");
    assert_eq!(as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await.status, 200);
}

#[tokio::test]
async fn logins_of_another_namespace() {
    let (node, _) = node().await;
    assert!(node.root("WRITE", "sys/namespaces/team", json!({})).await.status < 300);
    let login = || InlineLogin { namespace: Some("team".to_owned()), ..kim("abc") };
    let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login()).await;
    assert_eq!((got.status, of_login(&got)), (404, true), "kim is not of it");
    let body = json!({ "type": "userpass" });
    let got = node.call_in("team", "WRITE", "sys/auth/userpass", &node.root, body).await;
    assert!(got.status < 300, "{got:?}");
    let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
    let body = json!({ "password_hash": hash, "token_policies": "app" });
    let got = node.call_in("team", "WRITE", "auth/userpass/users/kim", &node.root, body).await;
    assert!(got.status < 300, "{got:?}");
    let policy = "path \"sys/policies/acl/app\" { capabilities = [\"read\"] }";
    let body = json!({ "policy": policy });
    let got = node.call_in("team", "WRITE", "sys/policies/acl/app", &node.root, body).await;
    assert!(got.status < 300, "{got:?}");
    // Who is of a namespace has no rights above it.
    let got = node.call_inline("READ", "sys/policies/acl/app", Value::Null, login()).await;
    assert_eq!((got.status, of_login(&got)), (403, false), "{got:?}");
    let got = node.call_inline("READ", "team/sys/policies/acl/app", Value::Null, login()).await;
    assert_eq!(got.status, 200, "{got:?}");
}

#[tokio::test]
async fn both_are_in_the_audit_log() {
    let (node, _) = node().await;
    let before = node.audit.contents().len();
    as_kim(&node, "READ", "sys/policies/acl/app", Value::Null).await;
    let refused = node.call_inline("READ", "sys/policies/acl/app", Value::Null, kim("hunter2"));
    refused.await;
    let log = String::from_utf8(node.audit.contents()[before..].to_vec()).expect("text");
    assert!(!log.contains("hunter2") && !log.contains("\"abc\""));
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["type"] == "response")
        .collect();
    let paths: Vec<&str> =
        lines.iter().map(|line| line["request"]["path"].as_str().expect("a path")).collect();
    let (login, read) = ("auth/userpass/login/kim", "sys/policies/acl/app");
    assert_eq!(paths, [login, read, login, read]);
    // The same accessor says that they belong together.
    let given = &lines[0]["response"]["auth"]["accessor"];
    assert!(given.as_str().is_some_and(|text| text.starts_with("hmac-sha256:")), "{given}");
    assert_eq!(given, &lines[1]["auth"]["accessor"]);
    assert_eq!(lines[1]["auth"]["display_name"], "userpass-kim");
    assert!(lines[0]["response"]["auth"]["client_token"].is_null());
    for failed in &lines[2..] {
        assert_eq!(failed["error"], "invalid username or password");
    }
}
