//! Labels, tags, and the end.

use super::*;

#[tokio::test]
async fn labels() {
    let room = Room::new().await;
    room.put("a", "String", "1").await;
    room.put("a", "String", "2").await;
    let path = "label-parameter-version/ssm/a";
    for labels in [json!([]), json!(vec!["x"; 11]), json!(["x".repeat(101)])] {
        room.refused(path, json!({ "labels": labels }), "ValidationException").await;
    }
    let body = json!({ "labels": ["x"], "version": 9 });
    room.refused(path, body, "ParameterVersionNotFound").await;
    let labels = json!(["prod", "1st", "awsx", "SSMx", "a b"]);
    let done = room.ok(path, json!({ "labels": labels })).await;
    assert_eq!(done, json!({ "invalid": ["1st", "awsx", "SSMx", "a b"], "version": 2 }));
    assert_eq!(room.get("a", json!({ "selector": "prod" })).await["value"], "2");
    // A label is on one version.
    room.ok(path, json!({ "labels": ["prod"], "version": 1 })).await;
    assert_eq!(room.get("a", json!({ "selector": "prod" })).await["value"], "1");
    let names: Vec<String> = (0..10).map(|n| format!("l{n}")).collect();
    let body = json!({ "labels": names, "version": 1 });
    room.refused(path, body, "ParameterVersionLabelLimitExceeded").await;
    let path = "unlabel-parameter-version/ssm/a";
    let done = room.ok(path, json!({ "labels": ["prod", "none"], "version": 1 })).await;
    assert_eq!(done, json!({ "removed": ["prod"], "invalid": ["none"] }));
    let body = json!({ "selector": "prod" });
    room.refused("get-parameter/ssm/a", body, "ParameterVersionNotFound").await;
}

#[tokio::test]
async fn a_version_with_a_label_is_not_dropped() {
    let room = Room::new().await;
    for n in 0..100 {
        room.put("a", "String", &n.to_string()).await;
    }
    room.ok("label-parameter-version/ssm/a", json!({ "version": 1, "labels": ["keep"] })).await;
    let body = json!({ "value": "x", "overwrite": true });
    room.refused("put-parameter/ssm/a", body, "ParameterMaxVersionLimitExceeded").await;
    let body = json!({ "version": 1, "labels": ["keep"] });
    room.ok("unlabel-parameter-version/ssm/a", body).await;
    assert_eq!(room.put("a", "String", "x").await["version"], 101);
    let body = json!({ "selector": "1" });
    room.refused("get-parameter/ssm/a", body, "ParameterVersionNotFound").await;
    assert_eq!(room.get("a", json!({ "selector": "2" })).await["value"], "1");
}

#[tokio::test]
async fn tags_are_the_secrets_labels() {
    let room = Room::new().await;
    room.put("a", "String", "x").await;
    let tags = json!([{ "key": "team", "value": "red" }, { "key": "app", "value": "" }]);
    let many: Vec<Value> =
        (0..51).map(|n| json!({ "key": format!("k{n}"), "value": "" })).collect();
    let body = json!({ "tags": many });
    room.refused("add-tags-to-parameter/ssm/a", body, "TooManyTagsError").await;
    room.ok("add-tags-to-parameter/ssm/a", json!({ "tags": tags })).await;
    assert_eq!(room.ok("list-tags-for-parameter/ssm/a", json!({})).await["tags"], tags);
    let shown = room.vault("READ", "metadata/ssm/a", Value::Null).await;
    assert_eq!(shown.data()["custom_metadata"], json!({ "team": "red", "app": "" }));
    room.ok("remove-tags-from-parameter/ssm/a", json!({ "tag_keys": ["team"] })).await;
    let left = room.ok("list-tags-for-parameter/ssm/a", json!({})).await["tags"].clone();
    assert_eq!(left, json!([{ "key": "app", "value": "" }]));
    for path in ["add-tags-to-parameter", "remove-tags-from-parameter", "list-tags-for-parameter"] {
        room.refused(&format!("{path}/ssm/none"), json!({}), "InvalidResourceId").await;
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_may_come_anew() {
    let room = Room::new().await;
    let body = json!({ "value": "x", "type": "String", "rooted": true });
    room.ok("put-parameter/ssm/a", body).await;
    room.ok("delete-parameter/ssm/a", Value::Null).await;
    room.refused("delete-parameter/ssm/a", Value::Null, "ParameterNotFound").await;
    assert_eq!(room.vault("READ", "metadata/ssm/a", Value::Null).await.status, 404);
    let body = json!({ "value": "y", "type": "SecureString" });
    assert_eq!(room.ok("put-parameter/ssm/a", body).await["version"], 1);
    let shown = room.get("a", json!({})).await;
    assert_eq!((&shown["type"], &shown["rooted"]), (&json!("SecureString"), &json!(false)));
    // Moved at Vault's door, it is what it was.
    room.vault("WRITE", "move/ssm/a", json!({ "to": "ssm/b" })).await;
    assert_eq!(room.get("b", json!({ "decrypt": true })).await["value"], "y");
}
