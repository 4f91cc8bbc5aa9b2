//! `creds`: accounts live as long as their leases.

use serde_json::{Value, json};
use strongroom_base::Clock;

use super::Room;

#[tokio::test]
async fn an_account_is_there_until_its_lease_ends() {
    let room = Room::new().await;
    room.role("app", json!({ "default_ttl": 600, "max_ttl": 3600 })).await;
    let got = room.ok("READ", "database/creds/app", Value::Null).await;
    assert_eq!(got.body["lease_duration"], 600);
    assert_eq!(got.body["renewable"], true);
    let members: Vec<&String> = got.data().as_object().unwrap().keys().collect();
    assert_eq!(members, ["password", "username"]);
    let name = got.data()["username"].as_str().unwrap();
    let password = got.data()["password"].as_str().unwrap();
    assert!(name.starts_with("v-root-app-"), "{name}");
    assert_eq!(password.len(), 20);
    assert!(room.servers.lets_in("db", name, password));
    let made = room.servers.account("db", name).unwrap();
    assert_eq!(made.statements, ["CREATE {{name}}"]);
    assert_eq!(made.expires, room.node.clock.now().plus_seconds(605), "a little after the lease");
    room.later(599).await;
    assert_eq!(room.accounts(), [name]);
    room.later(2).await;
    assert!(room.accounts().is_empty(), "the lease has ended");
}

#[tokio::test]
async fn renewing_moves_the_accounts_end_within_its_maximum() {
    let room = Room::new().await;
    room.role("app", json!({ "default_ttl": 600, "max_ttl": 1000 })).await;
    let account = room.account("app").await;
    room.later(500).await;
    let renew = json!({ "lease_id": account.lease, "increment": 300 });
    let got = room.ok("WRITE", "sys/leases/renew", renew).await;
    assert_eq!(got.body["lease_duration"], 300);
    let ends = |after| room.node.clock.now().plus_seconds(after);
    assert_eq!(room.servers.account("db", &account.name).unwrap().expires, ends(305));
    // The role allows less by now than when the lease was made.
    room.role("app", json!({ "max_ttl": 700 })).await;
    let renew = json!({ "lease_id": account.lease, "increment": 600 });
    let got = room.ok("WRITE", "sys/leases/renew", renew.clone()).await;
    assert_eq!(got.body["lease_duration"], 200);
    room.ok("DELETE", "database/roles/app", Value::Null).await;
    let got = room.call("WRITE", "sys/leases/renew", renew).await;
    assert!(got.errors().contains("could not find role with name \"app\""), "{got:?}");
    room.later(201).await;
    assert!(room.accounts().is_empty());
}

#[tokio::test]
async fn accounts_go_with_their_lease_token_or_mount() {
    for what in ["lease", "prefix", "token", "mount"] {
        let room = Room::new().await;
        room.role("app", json!({})).await;
        let got = room.ok("WRITE", "auth/token/create", json!({ "policies": ["root"] })).await;
        let token = got.token();
        let got = room.node.call("READ", "database/creds/app", &token, Value::Null).await;
        assert!(room.accounts().len() == 1, "{got:?}");
        let (path, body) = match what {
            "lease" => ("sys/leases/revoke", json!({ "lease_id": got.body["lease_id"] })),
            "prefix" => ("sys/leases/revoke-prefix/database/creds/app", json!({})),
            "token" => ("auth/token/revoke", json!({ "token": token })),
            _ => ("sys/mounts/database", Value::Null),
        };
        let method = if what == "mount" { "DELETE" } else { "WRITE" };
        room.ok(method, path, body).await;
        room.settle().await;
        assert!(room.accounts().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn only_allowed_roles_of_known_connections_give_accounts() {
    let room = Room::new().await;
    let allowed = json!({ "allowed_roles": "web-*,app" });
    room.ok("WRITE", "database/config/main", allowed).await;
    for (role, db, status, problem) in [
        ("app", "main", 200, ""),
        ("web-1", "main", 200, ""),
        ("other", "main", 400, "\"other\" is not an allowed role"),
        ("lost", "gone", 400, "failed to find entry for connection with name: \"gone\""),
    ] {
        room.role(role, json!({ "db_name": db })).await;
        let got = room.call("READ", &format!("database/creds/{role}"), Value::Null).await;
        assert_eq!((got.status, got.errors().as_str()), (status, problem), "{role}");
    }
    let got = room.call("READ", "database/creds/nobody", Value::Null).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "unknown role: nobody"));
    assert_eq!(room.accounts().len(), 2);
}

#[tokio::test]
async fn passwords_and_names_are_as_the_operator_wants_them() {
    let room = Room::new().await;
    for (name, characters) in [("digits", "0123456789"), ("letters", "abcdef")] {
        let policy = format!("length = 12\nrule \"charset\" {{ charset = {characters:?} }}");
        let path = format!("sys/policies/password/{name}");
        room.ok("WRITE", &path, json!({ "policy": policy })).await;
    }
    room.role("own", json!({ "credential_config": { "password_policy": "letters" } })).await;
    room.role("plain", json!({})).await;
    let fits = |password: &str, set: &str| password.chars().all(|c| set.contains(c));
    assert!(!fits(&room.account("plain").await.password, "0123456789"));
    let config = json!({
        "password_policy": "digits",
        "username_template": "{{.RoleName | uppercase}}-{{random 4}}",
    });
    room.ok("WRITE", "database/config/main", config).await;
    let account = room.account("plain").await;
    assert!(fits(&account.password, "0123456789"), "the connection's");
    assert!(account.name.starts_with("PLAIN-") && account.name.len() == 10, "{}", account.name);
    assert!(fits(&room.account("own").await.password, "abcdef"), "the role's own");
    room.ok("DELETE", "sys/policies/password/digits", Value::Null).await;
    let before = room.accounts().len();
    let got = room.call("READ", "database/creds/plain", Value::Null).await;
    assert_eq!(got.status, 400);
    assert!(got.errors().contains("no password policy \"digits\""), "{got:?}");
    assert_eq!(room.accounts().len(), before);
}

#[tokio::test]
async fn an_account_may_have_a_key_in_place_of_a_password() {
    let room = Room::new().await;
    room.role("k", json!({ "credential_type": "rsa_private_key" })).await;
    let got = room.ok("READ", "database/creds/k", Value::Null).await;
    let name = got.data()["username"].as_str().unwrap();
    let key = got.data()["rsa_private_key"].as_str().unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(got.data().get("password"), None);
    let there = room.servers.account("db", name).unwrap().credential;
    assert!(there.starts_with("-----BEGIN PUBLIC KEY-----\n"));
}
