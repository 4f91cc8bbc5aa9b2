//! Moving and copying: what comes along, and who may.

use super::*;

async fn history(room: &Room, path: &str) -> Vec<Value> {
    let view = room.ok("READ", &format!("secret/metadata/{path}"), json!(null)).await;
    let numbers = view["versions"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut out = Vec::new();
    for number in numbers {
        let read = format!("secret/data/{path}?version={number}");
        out.push(room.call("READ", &read, json!(null)).await.data()["data"].clone());
    }
    out
}

#[tokio::test]
async fn a_secret_moves_with_its_versions_and_metadata() {
    let room = Room::new().await;
    room.put("a/x", json!({"n": 1})).await;
    room.put("a/x", json!({"n": 2})).await;
    room.ok("WRITE", "secret/metadata/a/x", json!({"custom_metadata": {"k": "v"}})).await;
    let before = room.ok("READ", "secret/metadata/a/x", json!(null)).await;
    let moved = room.ok("WRITE", "secret/move/a/x", json!({"to": "b/c/y"})).await;
    assert_eq!(moved, json!({"from": "secret/a/x", "secrets": 1, "to": "secret/b/c/y"}));
    assert_eq!(room.ok("READ", "secret/metadata/b/c/y", json!(null)).await, before);
    assert_eq!(history(&room, "b/c/y").await, [json!({"n": 1}), json!({"n": 2})]);
    assert_eq!(room.keys("SCAN", "secret/metadata").await, ["b/c/y"], "the old folder is gone");
    // A trailing slash names the folder that takes it; a neighbour keeps the folder.
    room.put("b/c/z", json!({})).await;
    room.ok("WRITE", "secret/move/b/c/y", json!({"to": "b/c/d/"})).await;
    assert_eq!(room.keys("SCAN", "secret/metadata").await, ["b/c/d/y", "b/c/z"]);
    room.ok("WRITE", "secret/move/b/c/d/y", json!({"to": "b/y"})).await;
    assert_eq!(room.keys("SCAN", "secret/metadata").await, ["b/c/z", "b/y"]);
}

#[tokio::test]
async fn a_copy_is_another_secret() {
    let room = Room::new().await;
    room.put("a", json!({"n": 1})).await;
    room.put("a", json!({"n": 2})).await;
    room.ok("WRITE", "secret/copy/a", json!({"to": "b"})).await;
    room.put("a", json!({"n": 3})).await;
    room.ok("WRITE", "secret/destroy/a", json!({"versions": [1, 2]})).await;
    assert_eq!(history(&room, "b").await, [json!({"n": 1}), json!({"n": 2})]);
    room.ok("DELETE", "secret/metadata/b", json!(null)).await;
    assert_eq!(room.get("a").await, Ok(json!({"n": 3})));
}

#[tokio::test]
async fn folders_move_and_copy_whole() {
    let room = Room::new().await;
    for path in ["t/a", "t/u/b", "t/u/v/c", "t", "other"] {
        room.put(path, json!({"p": path})).await;
    }
    let body = json!({"to": "s/t2", "recursive": true});
    let moved = room.ok("WRITE", "secret/move/t", body).await;
    assert_eq!(moved["secrets"], json!(3));
    let all = ["other", "s/t2/a", "s/t2/u/b", "s/t2/u/v/c", "t"];
    assert_eq!(room.keys("SCAN", "secret/metadata").await, all, "the secret `t` stays");
    assert_eq!(room.get("s/t2/u/v/c").await, Ok(json!({"p": "t/u/v/c"})));
    // Within one parent, and back up.
    room.ok("WRITE", "secret/move/s/t2", json!({"to": "s/t3", "recursive": true})).await;
    room.ok("WRITE", "secret/move/s/t3/u", json!({"to": "u", "recursive": true})).await;
    let all = ["other", "s/t3/a", "t", "u/b", "u/v/c"];
    assert_eq!(room.keys("SCAN", "secret/metadata").await, all);
    // A moved folder is still known by its new place when its last secret goes.
    room.ok("DELETE", "secret/metadata/u/v/c", json!(null)).await;
    assert_eq!(room.keys("LIST", "secret/metadata/u").await, ["b"]);
    room.ok("DELETE", "secret/metadata/u/b", json!(null)).await;
    room.ok("WRITE", "secret/copy/s", json!({"to": "c", "recursive": true})).await;
    let all = ["c/t3/a", "other", "s/t3/a", "t"];
    assert_eq!(room.keys("SCAN", "secret/metadata").await, all);
}

#[tokio::test]
async fn other_mounts_take_secrets_too() {
    let room = Room::new().await;
    for path in ["t/a", "t/u/b"] {
        room.put(path, json!({"p": path})).await;
    }
    let body = json!({"to": "x", "to_mount": "other", "recursive": true});
    room.ok("WRITE", "secret/copy/t", body.clone()).await;
    assert_eq!(room.keys("SCAN", "other/metadata").await, ["x/a", "x/u/b"]);
    let got = room.call("WRITE", "secret/move/t", body).await;
    assert_eq!(got.status, 400, "there is a folder already: {got:?}");
    let body = json!({"to": "y", "to_mount": "/other/", "recursive": true});
    room.ok("WRITE", "secret/move/t", body).await;
    assert!(room.keys("SCAN", "secret/metadata").await.is_empty());
    let got = room.ok("READ", "other/data/y/u/b", json!(null)).await;
    assert_eq!(got["data"], json!({"p": "t/u/b"}));
    for to_mount in ["plain", "none", "sys", "other/../secret"] {
        let body = json!({"to": "z", "to_mount": to_mount});
        let got = room.call("WRITE", "secret/move/z", body).await;
        assert_eq!(got.status, 400, "{to_mount} {got:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused() {
    let room = Room::new().await;
    for path in ["a", "b", "t/x", "t/u/y", "s/x"] {
        room.put(path, json!({})).await;
    }
    for (path, body, status) in [
        ("a", json!({"to": "b"}), 400),
        ("a", json!({"to": "a"}), 400),
        ("a", json!({"to": ""}), 400),
        ("a", json!({}), 400),
        ("a", json!({"to": "x/../y"}), 400),
        ("a", json!({"to": "x//y"}), 400),
        ("a/", json!({"to": "c"}), 400),
        ("none", json!({"to": "c"}), 404),
        ("none", json!({"to": "c", "recursive": true}), 404),
        ("t", json!({"to": "c"}), 404),
        ("t", json!({"to": "t/u/z", "recursive": true}), 400),
        ("t", json!({"to": "t", "recursive": true}), 400),
        ("t", json!({"to": "s", "recursive": true}), 400),
    ] {
        for verb in ["move", "copy"] {
            let got = room.call("WRITE", &format!("secret/{verb}/{path}"), body.clone()).await;
            assert_eq!(got.status, status, "{verb} {path} {body} {got:?}");
        }
    }
    assert_eq!(room.keys("SCAN", "secret/metadata").await, ["a", "b", "s/x", "t/u/y", "t/x"]);
}

/// One case of the rights table: what it is about, the rules, and whether copy and move go through.
type Case = (&'static str, &'static [(&'static str, &'static str)], u16, u16);

/// threat: "moving or copying never shows a value to who could not read it".
const RIGHTS: &[Case] = &[
    ("nothing", &[], 403, 403),
    (
        "a right on the endpoint alone",
        &[("secret/move/*", "update"), ("secret/copy/*", "update")],
        403,
        403,
    ),
    ("read and create", &[("secret/data/s", "read"), ("secret/data/d", "create")], 200, 403),
    (
        "read, create and delete",
        &[("secret/data/s", "read"), ("secret/data/d", "create"), ("secret/metadata/s", "delete")],
        200,
        200,
    ),
    (
        "update is not create",
        &[("secret/data/s", "read"), ("secret/data/d", "update"), ("secret/metadata/s", "delete")],
        403,
        403,
    ),
    (
        "no read",
        &[("secret/data/d", "create read"), ("secret/metadata/s", "delete read")],
        403,
        403,
    ),
    (
        "all but read on the source",
        &[
            ("secret/data/s", "create update patch delete list"),
            ("secret/data/d", "create read"),
            ("secret/metadata/s", "delete"),
        ],
        403,
        403,
    ),
    (
        "move on both, which shows nothing",
        &[
            ("secret/data/s", "move"),
            ("secret/data/d", "move create"),
            ("secret/metadata/s", "delete"),
        ],
        200,
        200,
    ),
    (
        "move on the source alone",
        &[("secret/data/s", "move"), ("secret/data/d", "create"), ("secret/metadata/s", "delete")],
        403,
        403,
    ),
    (
        "move, but the destination can be read",
        &[
            ("secret/data/s", "move"),
            ("secret/data/d", "move create read"),
            ("secret/metadata/s", "delete"),
        ],
        403,
        403,
    ),
    (
        "move, but the destination's field names can be read",
        &[
            ("secret/data/s", "move"),
            ("secret/data/d", "move create"),
            ("secret/subkeys/d", "read"),
            ("secret/metadata/s", "delete"),
        ],
        403,
        403,
    ),
    (
        "move, but the destination's metadata can be read",
        &[
            ("secret/data/s", "move"),
            ("secret/data/d", "move create"),
            ("secret/metadata/d", "read"),
            ("secret/metadata/s", "delete"),
        ],
        403,
        403,
    ),
    (
        "move, but the destination is listed with details",
        &[
            ("secret/data/s", "move"),
            ("secret/data/d", "move create"),
            ("secret/detailed-metadata/", "list"),
            ("secret/metadata/s", "delete"),
        ],
        403,
        403,
    ),
    (
        "a denial of the endpoint holds",
        &[("secret/*", "create read update delete list"), ("secret/move/*", "deny")],
        200,
        403,
    ),
    (
        "a denial of the source holds",
        &[("secret/*", "create read update delete list move"), ("secret/data/s", "deny")],
        403,
        403,
    ),
];

#[tokio::test]
async fn rights_of_moves_and_copies() {
    for (what, rules, copies, moves) in RIGHTS {
        for (verb, status) in [("copy", *copies), ("move", *moves)] {
            let room = Room::new().await;
            room.put("s", json!({"x": "canary"})).await;
            let token = room.token(rules).await;
            let path = format!("secret/{verb}/s");
            let got = room.node.call("WRITE", &path, &token, json!({"to": "d"})).await;
            assert_eq!(got.status, status, "{verb} with {what}: {got:?}");
            assert_eq!(got.explain.is_some(), status == 403, "{verb} with {what}");
            assert_eq!(room.get("d").await.is_ok(), status == 200, "{verb} with {what}");
            assert_eq!(room.get("s").await.is_ok(), status != 200 || verb == "copy");
            // Whoever could not read the source reads nothing of it now.
            if room.node.call("READ", "secret/data/s", &token, json!(null)).await.status == 403 {
                let seen = room.node.call("READ", "secret/data/d", &token, json!(null)).await;
                assert!(!seen.body.to_string().contains("canary"), "{verb} with {what}");
            }
        }
    }
}

#[tokio::test]
async fn a_folder_needs_the_rights_on_all_that_is_in_it() {
    let all = "create read update delete list";
    for (what, denied, status) in [
        ("nothing denied", None, 200),
        ("one secret inside", Some("secret/data/t/u/b"), 403),
        ("the list of a folder inside", Some("secret/metadata/t/u/"), 403),
        ("one destination", Some("secret/data/n/u/b"), 403),
    ] {
        for verb in ["copy", "move"] {
            let room = Room::new().await;
            room.put("t/a", json!({})).await;
            room.put("t/u/b", json!({})).await;
            let mut rules = vec![("secret/*", all)];
            rules.extend(denied.map(|path| (path, "deny")));
            let token = room.token(&rules).await;
            let body = json!({"to": "n", "recursive": true});
            let got = room.node.call("WRITE", &format!("secret/{verb}/t"), &token, body).await;
            assert_eq!(got.status, status, "{verb}: {what}");
            assert_eq!(room.get("n/u/b").await.is_ok(), status == 200, "{verb}: {what}");
        }
    }
}

#[tokio::test]
async fn settings_and_labels_need_a_right_of_their_own() {
    let room = Room::new().await;
    room.put("s", json!({"x": 1})).await;
    room.ok("WRITE", "secret/metadata/s", json!({"custom_metadata": {"k": "v"}})).await;
    let data = [("secret/data/s", "read"), ("secret/data/d", "create")];
    let token = room.token(&data).await;
    let got = room.node.call("WRITE", "secret/copy/s", &token, json!({"to": "d"})).await;
    assert_eq!(got.status, 403);
    let token = room.token(&[&data[..], &[("secret/metadata/d", "create")]].concat()).await;
    let got = room.node.call("WRITE", "secret/copy/s", &token, json!({"to": "d"})).await;
    assert_eq!(got.status, 200, "{got:?}");
}

#[tokio::test]
async fn deleted_values_do_not_come_back_elsewhere() {
    let mine = [
        ("secret/data/s", "read"),
        ("secret/metadata/s", "delete"),
        ("secret/data/d", "create read"),
        ("secret/undelete/d", "update"),
    ];
    for (verb, status) in [("copy", 200), ("move", 403)] {
        let room = Room::new().await;
        room.put("s", json!({"x": "old"})).await;
        room.put("s", json!({"x": "new"})).await;
        room.ok("WRITE", "secret/delete/s", json!({"versions": [1]})).await;
        let token = room.token(&mine).await;
        let path = format!("secret/{verb}/s");
        let got = room.node.call("WRITE", &path, &token, json!({"to": "d"})).await;
        assert_eq!(got.status, status, "{verb} {got:?}");
        let body = json!({"versions": [1]});
        room.node.call("WRITE", "secret/undelete/d", &token, body).await;
        let got = room.node.call("READ", "secret/data/d?version=1", &token, json!(null)).await;
        assert_eq!(got.status, 404, "{verb}");
    }
}

#[tokio::test]
async fn rules_about_parameters_are_not_passed_by_a_copy() {
    let room = Room::new().await;
    room.put("s", json!({"x": 1})).await;
    for rule in [
        "denied_parameters = { \"data\" = [] }",
        "required_parameters = [\"options\"]",
        "allowed_parameters = { \"options\" = [] }",
        "min_wrapping_ttl = \"1m\"",
    ] {
        let text = format!(
            "path \"secret/data/s\" {{ capabilities = [\"read\"] }}\n\
             path \"secret/data/d\" {{ capabilities = [\"create\", \"read\"]\n {rule} }}\n"
        );
        let token = room.token_of(text).await;
        let got = room.node.call("WRITE", "secret/copy/s", &token, json!({"to": "d"})).await;
        assert_eq!(got.status, 403, "{rule} {got:?}");
    }
}
