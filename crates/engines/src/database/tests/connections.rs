//! `config`, `reset`, `reload`.

use serde_json::{Value, json};

use super::{ADMIN, Room, connection};

#[tokio::test]
async fn what_was_configured_is_shown_without_its_secrets() {
    let room = Room::bare().await;
    let mut body = connection("db", &["a", "b*"]);
    body["private_key"] = "key-material".into();
    body["tls_certificate_key"] = "more-key-material".into();
    body["max_open_connections"] = 7.into();
    body["root_rotation_statements"] = "ALTER a, b; NEXT".into();
    body["password_policy"] = "strict".into();
    let got = room.call("WRITE", "database/config/main", body).await;
    assert_eq!((got.status, &got.body), (204, &Value::Null));
    let got = room.ok("READ", "database/config/main", Value::Null).await;
    assert_eq!(
        got.data(),
        &json!({
            "plugin_name": "sim-database-plugin",
            "plugin_version": "",
            "connection_details": {
                "connection_url": "sim://{{username}}:{{password}}@db/",
                "username": "admin",
                "max_open_connections": 7,
            },
            "allowed_roles": ["a", "b*"],
            "root_credentials_rotate_statements": ["ALTER a, b; NEXT"],
            "password_policy": "strict",
        })
    );
    let got = room.ok("LIST", "database/config", Value::Null).await;
    assert_eq!(got.data(), &json!({ "keys": ["main"] }));
}

#[tokio::test]
async fn a_write_changes_what_it_names_and_nothing_else() {
    let room = Room::new().await;
    room.ok("WRITE", "database/config/main", json!({ "allowed_roles": "x,y" })).await;
    let got = room.ok("READ", "database/config/main", Value::Null).await;
    assert_eq!(got.data()["allowed_roles"], json!(["x", "y"]));
    assert_eq!(got.data()["connection_details"]["username"], "admin");
    room.role("x", json!({})).await;
    assert!(!room.account("x").await.password.is_empty(), "the password is still known");
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_changes_nothing() {
    let room = Room::new().await;
    let before = room.ok("READ", "database/config/main", Value::Null).await;
    for (change, problem) in [
        (json!({ "plugin_name": "no-such-plugin" }), "unable to find plugin \"no-such-plugin\""),
        (json!({ "plugin_name": "" }), "empty plugin name"),
        (json!({ "plugin_version": "v1.2.3" }), "leave plugin_version out"),
        (json!({ "connection_url": "nowhere" }), "error creating database object: "),
        (json!({ "password": "wrong-passw0rd" }), "error verifying connection: "),
        (json!({ "username_template": "{{.Nobody}}" }), "unable to initialize username template"),
        (json!({ "max_open_connections": "many" }), "invalid max_open_connections"),
    ] {
        let got = room.call("WRITE", "database/config/main", change.clone()).await;
        assert_eq!(got.status, 400, "{change}: {got:?}");
        assert!(got.errors().contains(problem), "{change}: {got:?}");
        assert!(!got.errors().contains("passw0rd"), "{got:?}");
        let after = room.ok("READ", "database/config/main", Value::Null).await;
        assert_eq!(before.data(), after.data(), "{change}");
    }
    let got = room.call("WRITE", "database/config/new", json!({})).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "empty plugin name"));
    for (method, path) in [("READ", "database/config/new"), ("LIST", "database/roles")] {
        assert_eq!(room.call(method, path, Value::Null).await.status, 404);
    }
}

#[tokio::test]
async fn a_connection_is_verified_unless_it_is_said_not_to() {
    let room = Room::bare().await;
    let mut body = connection("db", &["*"]);
    body["password"] = "wrong".into();
    assert_eq!(room.call("WRITE", "database/config/main", body.clone()).await.status, 400);
    body["verify_connection"] = false.into();
    room.ok("WRITE", "database/config/main", body).await;
    assert_eq!(room.servers.calls("db", "verify"), 1);
    room.role("r", json!({})).await;
    let got = room.call("READ", "database/creds/r", Value::Null).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(room.accounts().is_empty());
}

#[tokio::test]
async fn a_password_in_the_address_is_warned_of_and_never_shown() {
    let room = Room::bare().await;
    let mut body = connection("db", &["*"]);
    body["connection_url"] = format!("sim://admin:{ADMIN}@db/").into();
    let got = room.ok("WRITE", "database/config/main", body).await;
    assert!(got.body["warnings"][0].as_str().unwrap().starts_with("Password found in"));
    let got = room.ok("READ", "database/config/main", Value::Null).await;
    assert_eq!(got.data()["connection_details"]["connection_url"], "sim://admin:xxxxx@db/");
}

#[tokio::test]
async fn one_pool_is_open_for_each_connection_and_none_when_the_node_is_sealed() {
    let room = Room::new().await;
    room.role("r", json!({})).await;
    for _ in 0..3 {
        room.account("r").await;
    }
    assert_eq!(room.servers.open_pools("db"), 1);
    for (method, path, body) in [
        ("WRITE", "database/config/main", json!({ "allowed_roles": "*" })),
        ("WRITE", "database/reset/main", json!({})),
        ("WRITE", "database/reload/sim-database-plugin", json!({})),
    ] {
        room.ok(method, path, body).await;
        room.account("r").await;
        assert_eq!(room.servers.open_pools("db"), 1, "{path}");
    }
    room.node.node.seal();
    assert_eq!(room.servers.open_pools("db"), 0);
    room.node.unseal().await;
    room.account("r").await;
    room.ok("DELETE", "database/config/main", Value::Null).await;
    assert_eq!(room.servers.open_pools("db"), 0);
}

#[tokio::test]
async fn reset_and_reload_name_what_they_did() {
    let room = Room::new().await;
    room.ok("WRITE", "database/config/other", connection("db", &[])).await;
    let got = room.ok("WRITE", "database/reload/sim-database-plugin", json!({})).await;
    assert_eq!(got.data(), &json!({ "connections": ["main", "other"], "count": 2 }));
    for path in ["database/reset/nothing", "database/reload/nothing"] {
        assert_eq!(room.call("WRITE", path, json!({})).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn the_catalog_has_the_drivers() {
    let room = Room::bare().await;
    let got = room.ok("READ", "sys/plugins/catalog", Value::Null).await;
    assert_eq!(got.data()["database"], json!(["sim-database-plugin"]));
    let path = "sys/plugins/catalog/database/sim-database-plugin";
    assert_eq!(room.ok("READ", path, Value::Null).await.data()["builtin"], true);
}

/// Terraform's provider panics on numbers and flags that are texts, and on a lifetime that is none;
/// the command line sends texts only.
#[tokio::test]
async fn details_are_shown_in_one_way_however_they_were_written() {
    let room = Room::bare().await;
    for (member, written, shown) in [
        ("max_open_connections", json!("7"), json!(7)),
        ("max_open_connections", json!(7), json!(7)),
        ("max_open_connections", json!(""), json!("")),
        ("max_idle_connections", json!("-1"), json!(-1)),
        ("max_connection_lifetime", json!("5m"), json!("5m")),
        ("max_connection_lifetime", json!(300), json!("300s")),
        ("port", json!("6379"), json!(6379)),
        ("disable_escaping", json!("true"), json!(true)),
        ("tls", json!("false"), json!(false)),
        ("insecure_tls", json!(true), json!(true)),
        ("username_template", json!("7"), json!("7")),
        ("anything", json!({"else": [1]}), json!({"else": [1]})),
    ] {
        let mut body = connection("db", &["*"]);
        body[member] = written.clone();
        body["verify_connection"] = false.into();
        room.ok("WRITE", "database/config/main", body).await;
        let got = room.ok("READ", "database/config/main", Value::Null).await;
        assert_eq!(got.data()["connection_details"][member], shown, "{member} {written}");
        room.ok("DELETE", "database/config/main", Value::Null).await;
    }
    let mut body = connection("db", &[]);
    body["allowed_roles"] = "".into();
    room.ok("WRITE", "database/config/main", body).await;
    let got = room.ok("READ", "database/config/main", Value::Null).await;
    assert_eq!(got.data()["allowed_roles"], json!([]));
    assert_eq!(got.data()["root_credentials_rotate_statements"], json!([]));
}

#[tokio::test]
async fn a_password_of_digits_may_be_written_as_a_number() {
    let room = Room::bare().await;
    room.servers.put("db", "17", "4711");
    let mut body = connection("db", &["*"]);
    (body["username"], body["password"]) = (17.into(), 4711.into());
    room.ok("WRITE", "database/config/main", body).await;
    let got = room.ok("READ", "database/config/main", Value::Null).await;
    assert_eq!(got.data()["connection_details"]["username"], "17");
    assert_eq!(got.data()["connection_details"].get("password"), None);
}

/// What is secret in a connection, an account and a rotation is in no line of the audit log, whether
/// of a request, of an answer or of an error.
#[tokio::test]
async fn the_audit_log_has_no_passwords() {
    let room = Room::bare().await;
    let mut body = connection("db", &["*"]);
    body["private_key"] = "canary-key".into();
    body["tls_certificate_key"] = "canary-bundle".into();
    body["service_account_json"] = "canary-account".into();
    body["more"] = json!({ "deep": ["canary-more"] });
    room.ok("WRITE", "database/config/main", body.clone()).await;
    let got = room.ok("READ", "database/config/main", Value::Null).await;
    let details = got.data()["connection_details"].to_string();
    for name in ["key", "bundle", "account"] {
        assert!(!details.contains(&format!("canary-{name}")), "{details}");
    }
    body["password"] = "canary-wrong".into();
    assert_eq!(room.call("WRITE", "database/config/main", body).await.status, 400);
    room.role("app", json!({})).await;
    let account = room.account("app").await;
    room.servers.put("db", "static", "canary-first");
    let role = json!({ "db_name": "main", "username": "static", "rotation_period": "1h" });
    room.ok("WRITE", "database/static-roles/static", role).await;
    let got = room.ok("READ", "database/static-creds/static", Value::Null).await;
    let rotated = got.data()["password"].as_str().unwrap().to_owned();
    room.ok("WRITE", "database/rotate-root/main", json!({})).await;
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    assert!(log.contains("database/config/main") && log.contains("database/static-creds/static"));
    for secret in ["canary-", ADMIN, &account.password, &rotated] {
        assert!(!log.contains(secret), "{secret}");
    }
}
