//! Who may do what: the same policies as at Vault's door.

use super::*;

#[tokio::test]
async fn each_operation_takes_what_vaults_door_takes() {
    let room = Room::new().await;
    room.put("x", "String", "1").await;
    let named = json!({ "parameters": [{ "path": "ssm/x", "name": "x" }] });
    let put = json!({ "value": "1", "type": "String" });
    let tags = json!([{ "key": "k", "value": "v" }]);
    let mut tagged = put.clone();
    tagged["tags"] = tags.clone();
    let over = json!({ "value": "1", "overwrite": true });
    let label = json!({ "labels": ["l"], "version": 1 });
    let operations: Vec<(&str, Value, &[(&str, &str)])> = vec![
        ("put-parameter/ssm/new1", put, &[("data/ssm/new1", "create")]),
        (
            "put-parameter/ssm/new2",
            tagged,
            &[("data/ssm/new2", "create"), ("metadata/ssm/new2", "create")],
        ),
        ("put-parameter/ssm/x", over, &[("data/ssm/x", "update")]),
        ("get-parameter/ssm/x", json!({}), &[("data/ssm/x", "read")]),
        ("get-parameters", named.clone(), &[("data/ssm/x", "read")]),
        (
            "get-parameter-history/ssm/x",
            json!({}),
            &[("data/ssm/x", "read"), ("metadata/ssm/x", "read")],
        ),
        (
            "get-parameters-by-path/ssm",
            json!({}),
            &[("metadata/ssm/", "list"), ("data/ssm/*", "read")],
        ),
        ("describe-parameters/ssm", json!({}), &[("metadata/ssm/", "list")]),
        ("label-parameter-version/ssm/x", label.clone(), &[("metadata/ssm/x", "update")]),
        ("unlabel-parameter-version/ssm/x", label, &[("metadata/ssm/x", "update")]),
        ("add-tags-to-parameter/ssm/x", json!({ "tags": tags }), &[("metadata/ssm/x", "update")]),
        (
            "remove-tags-from-parameter/ssm/x",
            json!({ "tag_keys": ["k"] }),
            &[("metadata/ssm/x", "update")],
        ),
        ("list-tags-for-parameter/ssm/x", json!({}), &[("metadata/ssm/x", "read")]),
        ("delete-parameters", named, &[("metadata/ssm/x", "delete")]),
        ("delete-parameter/ssm/new1", json!({}), &[("metadata/ssm/new1", "delete")]),
    ];
    for (path, body, rights) in operations {
        for without in 0..rights.len() {
            let rest = rights.iter().enumerate().filter(|(at, _)| *at != without);
            let rest: Vec<(&str, &str)> = rest.map(|(_, right)| *right).collect();
            let token = room.token(&rest).await;
            let (got, _) = room.named(&token, path, body.clone()).await;
            assert_eq!(got.status, 403, "{path} without {:?}: {got:?}", rights[without]);
            assert!(got.explain.is_some(), "{path}");
        }
        let mut denied = rights.to_vec();
        denied.push(("aws/*", "deny"));
        let token = room.token(&denied).await;
        assert_eq!(room.named(&token, path, body.clone()).await.0.status, 403, "{path}");
        let token = room.token(rights).await;
        let (got, _) = room.named(&token, path, body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing() {
    let room = Room::new().await;
    room.put("x", "String", "1").await;
    let stranger = room.token(&[("data/ssm/other", "create read update")]).await;
    for (path, body) in [
        ("get-parameter/ssm/PATH", json!({})),
        ("get-parameter/ssm/PATH", json!({ "reference": true, "decrypt": true })),
        ("put-parameter/ssm/PATH", json!({})),
        ("put-parameter/ssm/PATH", json!({ "overwrite": true })),
        ("delete-parameter/ssm/PATH", json!({})),
        ("list-tags-for-parameter/ssm/PATH", json!({})),
    ] {
        let mut told = Vec::new();
        for name in ["x", "none"] {
            let (got, code) =
                room.named(&stranger, &path.replace("PATH", name), body.clone()).await;
            assert_eq!(got.status, 403, "{path}: {got:?}");
            told.push((got.errors(), code));
        }
        assert_eq!(told[0], told[1], "{path}");
    }
}

#[tokio::test]
async fn lists_show_what_may_be_listed() {
    let room = Room::new().await;
    for path in ["open/a", "closed/b"] {
        room.put(path, "String", "1").await;
    }
    let token = room
        .token(&[
            ("metadata/ssm/", "list"),
            ("metadata/ssm/open/*", "list read"),
            ("metadata/ssm/closed/b", "read"),
            ("data/ssm/open/*", "read"),
        ])
        .await;
    let body = json!({ "recursive": true });
    for (path, body) in
        [("describe-parameters/ssm", json!({})), ("get-parameters-by-path/ssm", body)]
    {
        let (got, _) = room.named(&token, path, body).await;
        assert_eq!(each(&got.data()["parameters"], "path"), ["ssm/open/a"], "{path}: {got:?}");
    }
    // Who may list a folder and not read all of it gets none of its values, but sees what may be seen.
    let token = room.token(&[("metadata/ssm/*", "list"), ("data/ssm/open/*", "read")]).await;
    let (got, _) =
        room.named(&token, "get-parameters-by-path/ssm", json!({ "recursive": true })).await;
    assert_eq!(got.status, 403, "{got:?}");
    let (got, _) = room.named(&token, "describe-parameters/ssm", json!({})).await;
    assert_eq!(got.data()["parameters"], json!([]));
}

#[tokio::test]
async fn constraints_on_parameters_hold_for_every_operation() {
    let room = Room::new().await;
    room.put("x", "String", "1").await;
    let rule = |path: &str, capability: &str, constraint: &str| {
        format!("path \"secret/{path}\" {{ capabilities = [{capability:?}] {constraint} }}")
    };
    let tags = json!([{ "key": "k", "value": "v" }]);
    let read = [("data/ssm/x", "read"), ("metadata/ssm/x", "read")];
    for (path, body, rights) in [
        ("get-parameter-history/ssm/x", json!({}), &read[..]),
        (
            "label-parameter-version/ssm/x",
            json!({ "labels": ["l"] }),
            &[("metadata/ssm/x", "update")],
        ),
        (
            "unlabel-parameter-version/ssm/x",
            json!({ "labels": ["l"], "version": 1 }),
            &[("metadata/ssm/x", "update")],
        ),
        ("add-tags-to-parameter/ssm/x", json!({ "tags": tags }), &[("metadata/ssm/x", "update")]),
        (
            "remove-tags-from-parameter/ssm/x",
            json!({ "tag_keys": ["k"] }),
            &[("metadata/ssm/x", "update")],
        ),
        ("list-tags-for-parameter/ssm/x", json!({}), &[("metadata/ssm/x", "read")]),
    ] {
        for (constraint, expect) in [("", true), ("required_parameters = [\"options\"]", false)] {
            let rules: Vec<String> =
                rights.iter().map(|(path, right)| rule(path, right, constraint)).collect();
            room.node.policy("constrained", &rules.join("\n")).await;
            let body_of = json!({ "policies": ["constrained"], "no_default_policy": true });
            let token = room.node.root("WRITE", "auth/token/create", body_of).await.token();
            let (got, _) = room.named(&token, path, body.clone()).await;
            assert_eq!(got.status != 403, expect, "{path} {constraint}: {got:?}");
        }
    }
}
