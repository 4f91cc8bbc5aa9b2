//! Namespaces through the whole pipeline.

use serde_json::{Value, json};
use strongroom_testkit::{Got, TestNode};

use crate::testing;

async fn make(node: &TestNode, within: &str, name: &str) -> Got {
    let path = format!("sys/namespaces/{name}");
    node.call_in(within, "WRITE", &path, &node.root, json!({})).await
}

#[tokio::test]
async fn what_is_refused() {
    let node = testing::node().await;
    assert_eq!(node.root("LIST", "sys/namespaces", Value::Null).await.status, 404);
    for (name, why) in [
        // threat GHSA-mwr2-wmgp-crj6
        ("root", "reserved"),
        ("ROOT", "reserved"),
        ("sys", "reserved"),
        ("Auth", "reserved"),
        ("identity", "reserved"),
        ("a/b", "cannot contain /"),
        ("a b", "not allowed"),
        ("a+", "not allowed"),
        ("a*", "not allowed"),
    ] {
        let got = make(&node, "", name).await;
        assert_eq!(got.status, 400, "{name}: {got:?}");
        assert!(got.errors().contains(why), "{name}: {got:?}");
    }
    node.mount("token", "busy/deep/").await;
    let got = make(&node, "", "busy").await;
    assert_eq!(got.errors(), "new namespace conflicts with existing mount: busy/deep/");
    for body in [json!({"custom_metadata": {"a": 1}}), json!({"custom_metadata": {"": "x"}})] {
        let got = node.root("WRITE", "sys/namespaces/a", body).await;
        assert_eq!(got.status, 400, "{got:?}");
    }
    let none = testing::token_of(&node, "none").await;
    for (verb, path) in [
        ("LIST", "sys/namespaces"),
        ("READ", "sys/namespaces/a"),
        ("WRITE", "sys/namespaces/a"),
        ("PATCH", "sys/namespaces/a"),
        ("DELETE", "sys/namespaces/a"),
    ] {
        assert_eq!(node.call(verb, path, &none, json!({})).await.status, 403, "{verb}");
    }
    assert_eq!(node.root("READ", "sys/namespaces/a", Value::Null).await.status, 404);
    let patch = json!({"custom_metadata": {"a": "b"}});
    assert_eq!(node.root("PATCH", "sys/namespaces/a", patch).await.status, 404);
}

#[tokio::test]
async fn each_is_a_room_of_its_own() {
    let node = testing::node().await;
    let body = json!({"custom_metadata": {"owner": "kim", "floor": "2"}});
    let made = node.root("WRITE", "sys/namespaces/team", body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let data = made.data();
    assert_eq!(data["path"], "team/");
    assert_eq!(data["id"].as_str().map(str::len), Some(6));
    assert_eq!(data["custom_metadata"], json!({"owner": "kim", "floor": "2"}));
    assert_eq!((&data["tainted"], &data["locked"]), (&json!(false), &json!(false)));
    assert_eq!(node.root("READ", "sys/namespaces/team", Value::Null).await.data(), data);

    assert_eq!(make(&node, "team", "web").await.data()["path"], "team/web/");
    let got = node.root("LIST", "sys/namespaces", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["team/"]));
    assert_eq!(&got.data()["key_info"]["team/"], data);
    let got = node.root("SCAN", "sys/namespaces", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["team/", "team/web/"]));
    let got = node.root("LIST", "team/sys/namespaces", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["web/"]));

    // Mounts and policies of its own.
    let got = node.call_in("team", "READ", "sys/mounts", &node.root, Value::Null).await;
    let paths: Vec<&String> = got.data().as_object().expect("mounts").keys().collect();
    assert_eq!(paths, ["cubbyhole/", "identity/", "sys/"]);
    let got = node.call_in("team", "LIST", "sys/policies/acl", &node.root, Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["default"]));
    // No mount hides a namespace.
    let got = node.root("WRITE", "sys/mounts/team/kv", json!({"type": "kv"})).await;
    assert_eq!(got.status, 400, "{got:?}");

    // A token of the room means nothing beside it.
    let body = json!({"policies": ["default"]});
    let token = node.call_in("team", "WRITE", "auth/token/create", &node.root, body).await.token();
    let look = "auth/token/lookup-self";
    assert_eq!(node.call_in("team", "READ", look, &token, Value::Null).await.status, 200);
    assert_eq!(node.call_in("", "READ", look, &token, Value::Null).await.status, 403);

    let patch = json!({"custom_metadata": {"owner": null, "room": "7"}});
    let got = node.root("PATCH", "sys/namespaces/team", patch).await;
    assert_eq!(got.data()["custom_metadata"], json!({"floor": "2", "room": "7"}));
    assert_eq!(node.root("PATCH", "sys/namespaces/team", json!({})).await.status, 400);
    let patch = json!({"custom_metadata": null});
    let got = node.root("PATCH", "sys/namespaces/team", patch).await;
    assert_eq!(got.data()["custom_metadata"], json!({}));
}

#[tokio::test]
async fn deletion_ends_all_at_once_and_leaves_nothing() {
    let node = testing::node().await;
    // The key ring's accounts are opened.
    settle(&node).await;
    let before = testing::records(&node).await;
    make(&node, "", "team").await;
    make(&node, "team", "web").await;
    let body = json!({"policies": ["default"]});
    let token = node.call_in("team", "WRITE", "auth/token/create", &node.root, body).await.token();

    let got = node.root("DELETE", "sys/namespaces/team", Value::Null).await;
    assert_eq!(got.errors(), "unable to delete namespace containing child namespaces");
    let web = "sys/namespaces/web";
    let got = node.call_in("team", "DELETE", web, &node.root, Value::Null).await;
    assert_eq!(got.data()["status"], "in-progress");
    settle(&node).await;
    assert_eq!(node.call_in("team", "READ", web, &node.root, Value::Null).await.status, 404);

    let got = node.root("DELETE", "sys/namespaces/team", Value::Null).await;
    assert_eq!(got.data()["status"], "in-progress");
    assert_eq!(node.root("READ", "sys/namespaces/team", Value::Null).await.data()["tainted"], true);
    // Threat GHSA-vv66-6rp4-wr4f: asking again begins nothing anew and stops nothing.
    let got = node.root("DELETE", "sys/namespaces/team", Value::Null).await;
    assert_eq!(got.data()["status"], "in-progress");
    let look = "auth/token/lookup-self";
    assert_eq!(node.call_in("team", "READ", look, &token, Value::Null).await.status, 403);
    assert_eq!(make(&node, "", "team").await.status, 400, "its name is not free yet");
    settle(&node).await;
    let got = node.root("DELETE", "sys/namespaces/team", Value::Null).await;
    assert_eq!(got.body["warnings"], json!(["requested namespace does not exist"]));
    // The counter of scopes is the one record that stays.
    assert!(testing::records(&node).await <= before + 1);
    assert_eq!(make(&node, "", "team").await.status, 200, "and free again");
}

/// Lets the background work come to its end.
async fn settle(node: &TestNode) {
    for _ in 0..4 {
        let services = node.services();
        strongroom_kernel::reconcile::run_due(&services).await;
        services.leases.idle().await;
        node.clock.advance(6);
    }
}
