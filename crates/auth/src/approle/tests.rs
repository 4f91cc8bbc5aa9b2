//! AppRole through the whole pipeline.

use serde_json::{Value, json};
use strongroom_testkit::{Got, TestNode};

async fn node() -> TestNode {
    let node = TestNode::start([super::spec()]).await;
    node.mount("approle", "auth/approle/").await;
    node
}

async fn read(node: &TestNode, path: &str) -> Value {
    let got = node.root("READ", &format!("auth/approle/{path}"), Value::Null).await;
    assert_eq!(got.status, 200, "{path}: {got:?}");
    got.data().clone()
}

async fn write(node: &TestNode, path: &str, body: Value) -> Got {
    node.root("WRITE", &format!("auth/approle/{path}"), body).await
}

async fn role_id(node: &TestNode, role: &str) -> String {
    let path = format!("role/{role}/role-id");
    read(node, &path).await["role_id"].as_str().unwrap().to_owned()
}

/// A fresh secret id and its accessor.
async fn secret_id(node: &TestNode, role: &str, body: Value) -> (String, String) {
    let got = write(node, &format!("role/{role}/secret-id"), body).await;
    assert_eq!(got.status, 200, "{got:?}");
    let text = |name: &str| got.data()[name].as_str().unwrap().to_owned();
    (text("secret_id"), text("secret_id_accessor"))
}

async fn login(node: &TestNode, role_id: &str, secret_id: &str) -> Got {
    let body = json!({ "role_id": role_id, "secret_id": secret_id });
    node.call("WRITE", "auth/approle/login", "", body).await
}

#[tokio::test]
async fn a_role_reads_as_it_was_written() {
    let node = node().await;
    assert_eq!(node.root("LIST", "auth/approle/role/", Value::Null).await.status, 404);
    let body = json!({
        "token_policies": "b,a", "token_ttl": "1h", "secret_id_ttl": 600, "secret_id_num_uses": "3",
        "secret_id_bound_cidrs": ["127.0.0.0/8"], "period": "2h",
    });
    assert_eq!(write(&node, "role/Web", body).await.status, 204);
    assert_eq!(
        read(&node, "role/web").await,
        json!({
            "bind_secret_id": true, "secret_id_bound_cidrs": ["127.0.0.0/8"],
            "secret_id_num_uses": 3, "secret_id_ttl": 600, "local_secret_ids": false,
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
            "token_no_default_policy": false, "token_period": 7200, "period": 7200,
            "token_policies": ["b", "a"], "token_type": "default", "token_ttl": 3600,
            "token_num_uses": 0, "token_strictly_bind_ip": false,
        })
    );
    let list = node.root("LIST", "auth/approle/role", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["web"]));
    let before = role_id(&node, "web").await;
    assert_eq!(write(&node, "role/WEB", json!({ "token_ttl": 60 })).await.status, 204);
    assert_eq!(role_id(&node, "wEb").await, before, "a change keeps the role id");
    assert_eq!(read(&node, "role/web").await["token_ttl"], 60);
    let gone = node.root("DELETE", "auth/approle/role/WEB", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(node.root("READ", "auth/approle/role/web", Value::Null).await.status, 404);
    let again = node.root("DELETE", "auth/approle/role/web", Value::Null).await;
    assert_eq!(again.status, 204);
}

#[tokio::test]
async fn what_a_role_refuses() {
    let node = node().await;
    write(&node, "role/taken", json!({ "role_id": "mine" })).await;
    for (body, text) in [
        (json!({ "role_id": "mine" }), "role_id already in use"),
        (json!({ "role_id": "" }), "invalid role_id supplied"),
        (json!({ "bind_secret_id": false }), "at least one constraint"),
        (json!({ "secret_id_num_uses": -1 }), "secret_id_num_uses cannot be negative"),
        (json!({ "secret_id_bound_cidrs": "x" }), "failed to parse secret_id_bound_cidrs"),
        (json!({ "token_ttl": 10, "token_max_ttl": 5 }), "cannot be greater"),
        (json!({ "period": "10000h" }), "is greater than the backend's maximum lease TTL"),
        (json!({ "token_type": "odd" }), "invalid 'token_type' value"),
    ] {
        let got = write(&node, "role/other", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(got.errors().contains(text), "{body}: {}", got.errors());
    }
    let got = write(&node, "role/taken", json!({ "local_secret_ids": true })).await;
    assert!(got.errors().contains("can only be modified during role creation"), "{got:?}");
    assert_eq!(write(&node, "role/b d", json!({})).await.status, 404);
    let warned = write(&node, "role/w", json!({ "token_type": "default-batch" })).await;
    assert_eq!(warned.status, 200);
    assert_eq!(read(&node, "role/w").await["token_type"], "batch");
}

#[tokio::test]
async fn each_setting_can_be_read_written_and_set_back() {
    let node = node().await;
    write(&node, "role/r", json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    for (path, name, value, default) in [
        ("policies", "token_policies", json!(["p"]), json!([])),
        ("secret-id-bound-cidrs", "secret_id_bound_cidrs", json!(["1.2.3.4"]), Value::Null),
        ("bound-cidr-list", "bound_cidr_list", json!(["1.2.3.4"]), Value::Null),
        ("bind-secret-id", "bind_secret_id", json!(false), json!(true)),
        ("secret-id-num-uses", "secret_id_num_uses", json!(7), json!(0)),
        ("secret-id-ttl", "secret_id_ttl", json!(70), json!(0)),
        ("period", "token_period", json!(71), json!(0)),
        ("token-num-uses", "token_num_uses", json!(8), json!(0)),
        ("token-ttl", "token_ttl", json!(72), json!(0)),
        ("token-max-ttl", "token_max_ttl", json!(73), json!(0)),
        ("token-bound-cidrs", "token_bound_cidrs", json!(["127.0.0.1"]), json!([])),
    ] {
        let path = format!("role/r/{path}");
        let empty = write(&node, &path, json!({})).await;
        if name != "token_bound_cidrs" {
            assert_eq!(empty.status, 400, "{path}");
            assert!(empty.errors().starts_with("missing "), "{path}: {}", empty.errors());
        }
        let set = write(&node, &path, json!({ name: value })).await;
        assert_eq!(set.status, 204, "{path}: {set:?}");
        assert_eq!(read(&node, &path).await[name], value, "{path}");
        let reset = node.root("DELETE", &format!("auth/approle/{path}"), Value::Null).await;
        assert_eq!(reset.status, 204, "{path}: {reset:?}");
        assert_eq!(read(&node, &path).await[name], default, "{path}");
        let nowhere = path.replace("role/r/", "role/none/");
        assert_eq!(write(&node, &nowhere, json!({ name: value })).await.status, 404, "{path}");
        let got = node.root("READ", &format!("auth/approle/{nowhere}"), Value::Null).await;
        assert_eq!(got.status, 404, "{path}");
    }
    assert_eq!(read(&node, "role/r/local-secret-ids").await, json!({ "local_secret_ids": false }));
}

#[tokio::test]
async fn a_login_gives_a_token_with_the_roles_parameters() {
    let node = node().await;
    write(&node, "role/web", json!({ "token_policies": ["b", "A"], "token_ttl": 60 })).await;
    let id = role_id(&node, "web").await;
    let (secret, _) = secret_id(&node, "web", json!({ "metadata": { "team": "x" } })).await;
    let got = login(&node, &id, &secret).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["policies"], json!(["a", "b", "default"]));
    assert_eq!(auth["metadata"], json!({ "role_name": "web", "team": "x" }));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(60), &json!(true)));
    assert_eq!(auth["orphan"], true);
    let entity = auth["entity_id"].as_str().unwrap();
    assert_eq!(entity.len(), 36);
    let again = login(&node, &format!(" {id} "), &secret).await;
    assert_eq!(again.body["auth"]["entity_id"], entity, "one entity per role id");
    assert_ne!(again.token(), got.token());
}

#[tokio::test]
async fn wrong_logins_read_the_same() {
    let node = node().await;
    write(&node, "role/a", json!({})).await;
    write(&node, "role/b", json!({})).await;
    let (a, b) = (role_id(&node, "a").await, role_id(&node, "b").await);
    let (secret, _) = secret_id(&node, "a", json!({})).await;
    for (id, secret, text) in [
        ("unknown", secret.as_str(), "invalid role or secret ID"),
        (&a, "wrong", "invalid role or secret ID"),
        // threat CVE-2023-24999: a secret id is its role's alone
        (&b, &secret, "invalid role or secret ID"),
        ("", &secret, "missing role_id"),
        (&a, "", "missing secret_id"),
    ] {
        let got = login(&node, id, secret).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text));
        assert!(got.body["auth"].is_null());
    }
}

#[tokio::test]
async fn an_expired_secret_id_is_refused_at_once_and_tidied_later() {
    let node = node().await;
    write(&node, "role/web", json!({ "secret_id_ttl": 100 })).await;
    let id = role_id(&node, "web").await;
    let (secret, accessor) = secret_id(&node, "web", json!({})).await;
    assert_eq!(login(&node, &id, &secret).await.status, 200);
    node.clock.advance(99);
    assert_eq!(login(&node, &id, &secret).await.status, 200);
    node.clock.advance(1);
    // threat: refused by its own clock check, before any clean-up
    assert_eq!(login(&node, &id, &secret).await.errors(), "invalid role or secret ID");
    let lookup = write(&node, "role/web/secret-id/lookup", json!({ "secret_id": secret })).await;
    assert_eq!(lookup.status, 204);
    let accessors = node.root("LIST", "auth/approle/role/web/secret-id", Value::Null).await;
    assert_eq!(accessors.data()["keys"], json!([accessor]));
    assert_eq!(write(&node, "tidy/secret-id", json!({})).await.status, 202);
    let accessors = node.root("LIST", "auth/approle/role/web/secret-id", Value::Null).await;
    assert_eq!(accessors.status, 404, "{accessors:?}");
    let (young, _) = secret_id(&node, "web", json!({})).await;
    assert_eq!(write(&node, "tidy/secret-id", json!({})).await.status, 202);
    assert_eq!(login(&node, &id, &young).await.status, 200, "what lives is left alone");
    node.clock.advance(7_200);
    assert_eq!(write(&node, "tidy/secret-id", json!({})).await.status, 202);
    let accessors = node.root("LIST", "auth/approle/role/web/secret-id", Value::Null).await;
    assert_eq!(accessors.status, 404, "{accessors:?}");
}

#[tokio::test]
async fn uses_are_counted_down_to_none() {
    let node = node().await;
    write(&node, "role/web", json!({ "secret_id_num_uses": 2 })).await;
    let id = role_id(&node, "web").await;
    let (secret, accessor) = secret_id(&node, "web", json!({})).await;
    let by_accessor = "role/web/secret-id-accessor/lookup";
    let body = json!({ "secret_id_accessor": accessor });
    let got = write(&node, by_accessor, body.clone()).await;
    assert_eq!(got.data()["secret_id_num_uses"], 2);
    assert_eq!(login(&node, &id, &secret).await.status, 200);
    let got = write(&node, by_accessor, body.clone()).await;
    assert_eq!(got.data()["secret_id_num_uses"], 1);
    // The last use is given once, also to logins at the same time.
    let both = tokio::join!(login(&node, &id, &secret), login(&node, &id, &secret));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(write(&node, by_accessor, body).await.status, 404);
}

#[tokio::test]
async fn settings_of_secret_ids_stay_within_the_roles() {
    let node = node().await;
    let role = json!({
        "secret_id_num_uses": 5, "secret_id_ttl": 60, "secret_id_bound_cidrs": "127.0.0.0/8",
        "token_bound_cidrs": "10.0.0.0/8",
    });
    write(&node, "role/web", role).await;
    for (body, text) in [
        (json!({ "num_uses": 6 }), "num_uses cannot be higher"),
        (json!({ "num_uses": 0 }), "num_uses cannot be higher"),
        (json!({ "num_uses": -1 }), "num_uses cannot be negative"),
        (json!({ "ttl": 61 }), "ttl cannot be longer"),
        (json!({ "ttl": 0 }), "ttl cannot be longer"),
        (json!({ "ttl": -5 }), "ttl cannot be longer"),
        (json!({ "cidr_list": "10.0.0.0/8" }), "subset relationship"),
        (json!({ "token_bound_cidrs": "11.0.0.0/8" }), "subset relationship"),
        (json!({ "cidr_list": "x" }), "failed to parse cidr_list"),
    ] {
        let got = write(&node, "role/web/secret-id", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(got.errors().contains(text), "{body}: {}", got.errors());
    }
    let body = json!({ "num_uses": 1, "ttl": 30, "cidr_list": "127.0.0.1", "metadata": "a=b,c=d" });
    let (secret, accessor) = secret_id(&node, "web", body).await;
    let got = write(&node, "role/web/secret-id/lookup", json!({ "secret_id": secret })).await;
    let view = got.data();
    assert_eq!(view["secret_id_accessor"], json!(accessor));
    assert_eq!(view["metadata"], json!({ "a": "b", "c": "d" }));
    assert_eq!(view["cidr_list"], json!(["127.0.0.1"]));
    assert_eq!(view["token_bound_cidrs"], json!([]));
    assert_eq!(view["secret_id_ttl"], 30);
    assert_eq!(view["creation_time"], "2026-01-01T00:00:00Z");
    assert_eq!(view["expiration_time"], "2026-01-01T00:00:30Z");
    let id = role_id(&node, "web").await;
    node.come_from("127.0.0.2");
    assert!(login(&node, &id, &secret).await.errors().contains("unauthorized"));
    node.come_from("127.0.0.1");
    assert_eq!(login(&node, &id, &secret).await.status, 200);
}

#[tokio::test]
async fn secret_ids_and_accessors_are_their_roles_alone() {
    // threat CVE-2023-24999
    let node = node().await;
    write(&node, "role/a", json!({})).await;
    write(&node, "role/b", json!({})).await;
    let (secret, accessor) = secret_id(&node, "a", json!({})).await;
    let by_accessor = json!({ "secret_id_accessor": accessor });
    for path in ["lookup", "destroy"] {
        let path = format!("role/b/secret-id-accessor/{path}");
        assert_eq!(write(&node, &path, by_accessor.clone()).await.status, 404, "{path}");
    }
    let got = write(&node, "role/b/secret-id/destroy", json!({ "secret_id": secret })).await;
    assert_eq!(got.status, 204);
    let id = role_id(&node, "a").await;
    assert_eq!(login(&node, &id, &secret).await.status, 200, "nobody destroyed it");
    let got = write(&node, "role/a/secret-id-accessor/destroy", by_accessor).await;
    assert_eq!(got.status, 204);
    assert_eq!(login(&node, &id, &secret).await.status, 400);
    let custom = json!({ "secret_id": "hunter2" });
    assert_eq!(write(&node, "role/a/custom-secret-id", custom.clone()).await.status, 200);
    let twice = write(&node, "role/a/custom-secret-id", custom.clone()).await;
    assert_eq!(twice.errors(), "SecretID is already registered");
    assert_eq!(write(&node, "role/b/custom-secret-id", custom.clone()).await.status, 200);
    assert_eq!(login(&node, &id, "hunter2").await.status, 200);
    let got = node.root("DELETE", "auth/approle/role/a/secret-id/destroy", custom).await;
    assert_eq!(got.status, 204);
    assert_eq!(login(&node, &id, "hunter2").await.status, 400);
    let other = role_id(&node, "b").await;
    assert_eq!(login(&node, &other, "hunter2").await.status, 200);
}

#[tokio::test]
async fn a_deleted_roles_secret_ids_do_not_come_back() {
    let node = node().await;
    write(&node, "role/a", json!({ "role_id": "fixed" })).await;
    let (secret, _) = secret_id(&node, "a", json!({})).await;
    node.root("DELETE", "auth/approle/role/a", Value::Null).await;
    assert_eq!(login(&node, "fixed", &secret).await.status, 400);
    write(&node, "role/a", json!({ "role_id": "fixed" })).await;
    assert_eq!(login(&node, "fixed", &secret).await.status, 400);
    assert_eq!(write(&node, "role/a/role-id", json!({ "role_id": "new" })).await.status, 204);
    let (secret, _) = secret_id(&node, "a", json!({})).await;
    assert_eq!(login(&node, "fixed", &secret).await.status, 400);
    assert_eq!(login(&node, "new", &secret).await.status, 200);
}

#[tokio::test]
async fn policy_judges_role_names_in_one_spelling() {
    // threat: where a name is case-insensitive, a deny can't be passed by another spelling
    let node = node().await;
    node.policy(
        "p",
        r#"path "auth/approle/role/*" { capabilities = ["read", "update"] }
           path "auth/approle/role/prod/*" { capabilities = ["deny"] }
           path "auth/approle/role/prod" { capabilities = ["deny"] }
           path "auth/approle/role/Spelt/role-id" { capabilities = ["read"] }"#,
    )
    .await;
    write(&node, "role/prod", json!({ "token_policies": "p" })).await;
    write(&node, "role/spelt", json!({})).await;
    let id = role_id(&node, "prod").await;
    let (secret, _) = secret_id(&node, "prod", json!({})).await;
    let token = login(&node, &id, &secret).await.token();
    for (path, expect) in [
        ("role/prod/role-id", 403),
        ("role/PROD/role-id", 403),
        ("role/Prod", 403),
        ("role/SPELT/role-id", 200),
        ("role/Spelt/role-id", 200),
    ] {
        let got = node.call("READ", &format!("auth/approle/{path}"), &token, Value::Null).await;
        assert_eq!(got.status, expect, "{path}");
    }
}

#[tokio::test]
async fn too_many_failures_lock_a_role_id() {
    let node = node().await;
    write(&node, "role/web", json!({})).await;
    let id = role_id(&node, "web").await;
    let (secret, _) = secret_id(&node, "web", json!({})).await;
    for _ in 0..5 {
        assert_eq!(login(&node, &id, "wrong").await.status, 400);
    }
    assert_eq!(login(&node, &id, &secret).await.status, 403);
    node.clock.advance(900);
    assert_eq!(login(&node, &id, &secret).await.status, 200);
}

#[tokio::test]
async fn the_store_holds_no_secret_id() {
    let node = node().await;
    write(&node, "role/web", json!({})).await;
    let custom = json!({ "secret_id": "planted-canary" });
    write(&node, "role/web/custom-secret-id", custom).await;
    let (services, mut seen) = (node.services(), 0);
    let tx = services.store.begin();
    let table = services.router.table().await.unwrap();
    let mount = table.at(strongroom_kernel::record::Scope::ROOT, "auth/approle/").unwrap();
    for (_, role) in tx.read(mount.mount.scope).all::<super::stored::Role>(0).await.unwrap() {
        let view = tx.read(mount.mount.scope);
        for (name, record) in view.all::<super::stored::SecretId>(role.id).await.unwrap() {
            assert!(!format!("{name}{record:?}").contains("canary"));
            seen += 1;
        }
    }
    assert_eq!(seen, 1);
}
