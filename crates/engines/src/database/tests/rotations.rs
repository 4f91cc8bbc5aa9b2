//! Accounts that stay: their passwords change, and nobody who uses them is cut off.

use serde_json::{Value, json};
use strongroom_testkit::databases::Fault;

use super::{ADMIN, Room};

/// What `static-creds` shows: account and password.
async fn creds(room: &Room, token: &str, role: &str) -> (String, String) {
    let got =
        room.node.call("READ", &format!("database/static-creds/{role}"), token, Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    let text = |name: &str| got.data()[name].as_str().unwrap().to_owned();
    (text("username"), text("password"))
}

fn lets_in(room: &Room, (name, password): &(String, String)) -> bool {
    room.servers.lets_in("db", name, password)
}

/// A room with the account `app`, and the role `app` that rotates it each hour.
async fn single() -> Room {
    let room = Room::new().await;
    room.servers.put("db", "app", "first-passw0rd");
    let body = json!({ "db_name": "main", "username": "app", "rotation_period": "1h" });
    room.ok("WRITE", "database/static-roles/app", body).await;
    room
}

/// A room with the role `pair`, whose two accounts take turns each day.
async fn pair() -> Room {
    let room = Room::new().await;
    let body = json!({
        "db_name": "main", "usernames": ["blue", "green"], "rotation_period": 86_400,
        "creation_statements": "CREATE", "drain_deadline": 7_200,
    });
    room.ok("WRITE", "database/static-roles/pair", body).await;
    room
}

/// A token that may read static credentials.
async fn consumer(room: &Room) -> String {
    let rule = r#"path "database/static-creds/*" { capabilities = ["read"] }"#;
    room.node.policy("consumer", rule).await;
    let body = json!({ "policies": ["consumer"], "no_parent": true, "ttl": "300h" });
    room.ok("WRITE", "auth/token/create", body).await.token()
}

#[tokio::test]
async fn a_static_role_takes_its_account_over_and_rotates_it() {
    let room = single().await;
    assert!(!room.servers.lets_in("db", "app", "first-passw0rd"), "it was changed at once");
    let got = room.ok("READ", "database/static-creds/app", Value::Null).await;
    let password = got.data()["password"].as_str().unwrap();
    assert_eq!(
        got.data(),
        &json!({
            "username": "app", "password": password, "ttl": 3600, "rotation_period": 3600,
            "last_vault_rotation": "2026-01-01T00:00:00Z",
        })
    );
    assert!(room.servers.lets_in("db", "app", password));
    let got = room.ok("READ", "database/static-roles/app", Value::Null).await;
    assert_eq!(
        got.data(),
        &json!({
            "db_name": "main", "username": "app", "rotation_statements": [],
            "credential_type": "password", "rotation_period": 3600,
            "last_vault_rotation": "2026-01-01T00:00:00Z",
        })
    );
    room.later(1_800).await;
    let before = creds(&room, &room.node.root, "app").await;
    assert_eq!(before.1, password);
    room.later(1_801).await;
    let after = creds(&room, &room.node.root, "app").await;
    assert!(before.1 != after.1 && lets_in(&room, &after) && !lets_in(&room, &before));
    room.ok("WRITE", "database/rotate-role/app", json!({})).await;
    assert!(!lets_in(&room, &after), "at once");
    assert!(lets_in(&room, &creds(&room, &room.node.root, "app").await));
    room.ok("DELETE", "database/static-roles/app", Value::Null).await;
    assert_eq!(room.call("READ", "database/static-creds/app", Value::Null).await.status, 400);
    assert!(room.servers.account("db", "app").is_some(), "the account stays");
}

#[tokio::test]
async fn what_is_wrong_with_a_static_role_is_told() {
    let room = single().await;
    room.role("dynamic", json!({})).await;
    let good = json!({ "db_name": "main", "username": "app", "rotation_period": 60 });
    for (name, change, problem) in [
        ("r", json!({ "db_name": "" }), "database name is a required field"),
        ("r", json!({ "db_name": "gone" }), "connection with name: \"gone\""),
        ("r", json!({ "username": "" }), "username is a required field"),
        ("r", json!({ "usernames": "a,b" }), "not both of them"),
        ("r", json!({ "username": "", "usernames": "a,a" }), "two different names"),
        ("r", json!({ "rotation_period": 4 }), "rotation_period must be 5 seconds or more"),
        ("r", json!({ "rotation_period": null }), "one of rotation_schedule or rotation_period"),
        ("r", json!({ "rotation_schedule": "0 0 * * *" }), "mutually exclusive fields"),
        ("r", json!({ "rotation_window": 7200 }), "rotation_window is invalid with use of"),
        ("r", json!({ "drain_deadline": 7200 }), "for roles with two accounts"),
        ("r", json!({ "creation_statements": "C" }), "for roles with two accounts"),
        ("r", json!({ "rotation_period": null, "rotation_schedule": "daily" }), "schedule"),
        ("r", json!({ "username": "admin" }), "changed by rotate-root"),
        (
            "r",
            json!({ "username": "", "usernames": "a,b", "credential_type": "rsa_private_key" }),
            "two accounts that take turns have passwords",
        ),
        ("dynamic", json!({}), "Role and Static Role names must be unique"),
        ("app", json!({ "username": "other" }), "cannot update static account username"),
    ] {
        let mut body = good.clone();
        for (member, value) in change.as_object().unwrap() {
            body[member] = value.clone();
        }
        let got = room.call("WRITE", &format!("database/static-roles/{name}"), body).await;
        assert_eq!(got.status, 400, "{change}: {got:?}");
        assert!(got.errors().contains(problem), "{change}: {got:?}");
    }
    let body = json!({ "db_name": "main", "creation_statements": "C" });
    let got = room.call("WRITE", "database/roles/app", body).await;
    assert_eq!(got.errors(), "Role and Static Role names must be unique");
    let got = room.ok("LIST", "database/static-roles", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["app"]));
}

#[tokio::test]
async fn a_role_whose_first_password_cannot_be_set_is_not_there() {
    let room = Room::new().await;
    let body = json!({ "db_name": "main", "username": "nobody", "rotation_period": 60 });
    let got = room.call("WRITE", "database/static-roles/r", body.clone()).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(got.errors().contains("failed to change the password"), "{got:?}");
    room.settle().await;
    assert_eq!(room.call("READ", "database/static-roles/r", Value::Null).await.status, 404);
    room.servers.put("db", "nobody", "x");
    room.ok("WRITE", "database/static-roles/r", body).await;
}

#[tokio::test]
async fn a_rotation_that_fails_leaves_the_password_as_it_was_and_is_tried_again() {
    let room = single().await;
    let before = creds(&room, &room.node.root, "app").await;
    room.servers.set_down("db", true);
    room.later(3_601).await;
    assert_eq!(creds(&room, &room.node.root, "app").await, before);
    let got = room.call("WRITE", "database/rotate-role/app", json!({})).await;
    assert_eq!(got.status, 502, "{got:?}");
    room.servers.set_down("db", false);
    room.later(3_601).await;
    let after = creds(&room, &room.node.root, "app").await;
    assert!(before != after && lets_in(&room, &after));
    // The server takes the new password and its answer is lost: it is set once more.
    room.servers.fail("db", &[Fault::AnswerLost]);
    room.call("WRITE", "database/rotate-role/app", json!({})).await;
    room.later(3_601).await;
    assert!(lets_in(&room, &creds(&room, &room.node.root, "app").await));
}

#[tokio::test]
async fn statements_that_change_nothing_are_found_out() {
    let room = single().await;
    let before = creds(&room, &room.node.root, "app").await;
    room.ok("WRITE", "database/static-roles/app", json!({ "rotation_statements": "NOTHING" }))
        .await;
    let got = room.call("WRITE", "database/rotate-role/app", json!({})).await;
    assert!(got.status >= 400, "{got:?}");
    assert_eq!(creds(&room, &room.node.root, "app").await, before);
    assert!(lets_in(&room, &before), "what was there is still good");
}

#[tokio::test]
async fn two_accounts_take_turns_and_cut_nobody_off() {
    let room = pair().await;
    let (one, other) = (consumer(&room).await, consumer(&room).await);
    let first = creds(&room, &one, "pair").await;
    assert_eq!(first.0, "blue");
    assert_eq!(creds(&room, &other, "pair").await, first);
    room.ok("WRITE", "database/rotate-role/pair", json!({})).await;
    room.settle().await;
    let second = creds(&room, &one, "pair").await;
    assert_eq!(second.0, "green");
    room.settle().await;
    assert!(lets_in(&room, &first) && lets_in(&room, &second), "one consumer has not moved yet");
    assert_eq!(creds(&room, &other, "pair").await, second);
    room.settle().await;
    assert!(!lets_in(&room, &first), "all have moved");
    assert!(lets_in(&room, &second));
    room.later(86_401).await;
    let third = creds(&room, &one, "pair").await;
    assert_eq!(third.0, "blue");
    assert!(lets_in(&room, &second) && lets_in(&room, &third));
    // The other one is frozen: the deadline ends it.
    room.later(7_100).await;
    assert!(lets_in(&room, &second));
    room.later(200).await;
    assert!(!lets_in(&room, &second));
}

#[tokio::test]
async fn an_administrators_password_is_known_to_nobody_after_its_rotation() {
    let room = Room::new().await;
    room.role("app", json!({})).await;
    room.ok("WRITE", "database/rotate-root/main", json!({})).await;
    assert!(!room.servers.lets_in("db", "admin", ADMIN));
    assert!(!room.account("app").await.password.is_empty(), "the connection works");
    room.ok("WRITE", "database/rotate-root/main", json!({})).await;
    room.account("app").await;
    // Its answer is lost: it is found out whether it was done.
    room.servers.fail("db", &[Fault::AnswerLost]);
    room.call("WRITE", "database/rotate-root/main", json!({})).await;
    room.later(3_601).await;
    room.account("app").await;
    let path = "database/config/url";
    let mut body = super::connection("db", &["*"]);
    body["password"] = "".into();
    body["verify_connection"] = false.into();
    room.ok("WRITE", path, body).await;
    let got = room.call("WRITE", "database/rotate-root/url", json!({})).await;
    let problem = "unable to rotate root credentials: no password in configuration";
    assert_eq!((got.status, got.errors().as_str()), (400, problem));
}

/// A room in which the server has taken the administrator's next password and its answer was lost.
async fn half_rotated() -> Room {
    let room = Room::new().await;
    room.role("app", json!({})).await;
    room.servers.fail("db", &[Fault::AnswerLost]);
    room.call("WRITE", "database/rotate-root/main", json!({})).await;
    assert!(!room.servers.lets_in("db", "admin", ADMIN));
    room
}

#[tokio::test]
async fn a_password_that_was_configured_during_a_rotation_is_good_after_it_was_called_off() {
    let room = half_rotated().await;
    room.servers.put("db", "admin", "fresh-passw0rd");
    let path = "database/config/main";
    room.ok("WRITE", path, json!({ "password": "fresh-passw0rd" })).await;
    room.servers.fail("db", &[Fault::AnswerLost]);
    room.later(60).await;
    assert!(!room.servers.lets_in("db", "admin", "fresh-passw0rd"));
    room.ok("WRITE", "sys/rotation/abort/database/config/main", json!({})).await;
    room.settle().await;
    assert!(room.servers.lets_in("db", "admin", "fresh-passw0rd"));
    assert!(!room.account("app").await.password.is_empty());
}

#[tokio::test]
async fn a_connection_that_gets_another_administrator_keeps_it() {
    let room = half_rotated().await;
    room.servers.put("db", "second", "second-passw0rd");
    let body = json!({ "username": "second", "password": "second-passw0rd" });
    room.ok("WRITE", "database/config/main", body).await;
    room.later(60).await;
    assert!(room.servers.lets_in("db", "second", "second-passw0rd"));
    assert!(room.servers.lets_in("db", "admin", ADMIN), "it is as it was");
    assert!(!room.account("app").await.password.is_empty());
    let path = "sys/rotation/subjects/database/config/main";
    let got = room.ok("READ", path, Value::Null).await;
    assert_eq!(got.data()["rotation"], Value::Null, "{got:?}");
}

#[tokio::test]
async fn a_connection_that_is_removed_takes_its_rotation_along() {
    let room = half_rotated().await;
    room.ok("DELETE", "database/config/main", Value::Null).await;
    room.later(60).await;
    let path = "sys/rotation/subjects/database/config/main";
    assert_eq!(room.call("READ", path, Value::Null).await.status, 404);
}
