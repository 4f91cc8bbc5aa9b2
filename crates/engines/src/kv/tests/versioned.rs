//! The endpoints of version 2: shapes, statuses and texts, as observed of bao 2.6.2.

use super::*;

fn meta(version: u64) -> Value {
    json!({
        "created_time": NOW, "custom_metadata": null, "deletion_time": "", "destroyed": false,
        "version": version,
    })
}

#[tokio::test]
async fn data_in_all_its_forms() {
    let room = Room::new().await;
    let secret = "secret/data/a";
    let cases: Vec<(&str, &str, Value, u16, Value)> = vec![
        ("READ", secret, json!(null), 404, json!({"errors": []})),
        ("WRITE", secret, json!({"data": {"z": 1.50, "a": "b", "n": null}}), 200, meta(1)),
        ("WRITE", secret, json!({"data": {"x": 1}, "options": {"cas": "1"}}), 200, meta(2)),
        ("WRITE", secret, json!({"data": null}), 200, meta(3)),
        ("WRITE", secret, json!({"data": {"x": 1}}), 200, meta(4)),
        ("PATCH", secret, json!({"data": {"x": null, "y": {"k": 1}}}), 200, meta(5)),
        ("READ", secret, json!(null), 200, json!({"data": {"y": {"k": 1}}, "metadata": meta(5)})),
        (
            "READ",
            "secret/data/a?version=1",
            json!(null),
            200,
            json!({"data": {"z": 1.50, "a": "b", "n": null}, "metadata": meta(1)}),
        ),
        (
            "READ",
            "secret/data/a?version=-1",
            json!(null),
            200,
            json!({"data": {"y": {"k": 1}}, "metadata": meta(5)}),
        ),
        ("READ", "secret/data/a?version=9", json!(null), 404, json!({"errors": []})),
        ("READ", "secret/data/a/", json!(null), 404, json!({"errors": []})),
        ("DELETE", "secret/data/a/", json!(null), 204, json!(null)),
        ("DELETE", "secret/data/none", json!(null), 204, json!(null)),
        ("PATCH", "secret/data/none", json!({"data": {}}), 404, json!({"errors": []})),
    ];
    for (method, path, body, status, expected) in cases {
        let got = room.call(method, path, body.clone()).await;
        let shown = if got.status == 200 { got.data().clone() } else { got.body.clone() };
        assert_eq!((got.status, shown), (status, expected), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn refusals_have_vaults_texts() {
    let room = Room::new().await;
    room.put("a", json!({"x": 1})).await;
    for (method, path, body, status, text) in [
        (
            "WRITE",
            "secret/data/a",
            json!({"data": {}, "options": {"cas": 0}}),
            400,
            "check-and-set parameter did not match the current version",
        ),
        (
            "WRITE",
            "secret/data/new",
            json!({"data": {}, "options": {"cas": 1}}),
            400,
            "check-and-set parameter did not match the current version",
        ),
        (
            "WRITE",
            "secret/data/a",
            json!({"data": {}, "options": {"cas": -1}}),
            400,
            "check-and-set parameter did not match the current version",
        ),
        (
            "WRITE",
            "secret/data/a",
            json!({"data": {}, "options": {"cas": "zz"}}),
            400,
            "error parsing check-and-set parameter",
        ),
        ("WRITE", "secret/data/a", json!({"x": 1}), 400, "no data provided"),
        ("PATCH", "secret/data/a", json!({"x": 1}), 400, "no data provided"),
        (
            "WRITE",
            "secret/data/a",
            json!({"data": "text"}),
            400,
            "error converting input for field \"data\": expected an object",
        ),
        (
            "READ",
            "secret/data/a?version=x",
            json!(null),
            400,
            "error converting input for field \"version\": expected a whole number",
        ),
        ("WRITE", "secret/data/", json!({"data": {}}), 400, "cannot write to a path ending in '/'"),
        (
            "WRITE",
            "secret/data/a/",
            json!({"data": {}}),
            400,
            "cannot write to a path ending in '/'",
        ),
        ("WRITE", "secret/metadata/", json!({}), 400, "cannot write to a path ending in '/'"),
        ("WRITE", "secret/delete/a", json!({}), 400, "No version number provided"),
        ("WRITE", "secret/undelete/a", json!({"versions": []}), 400, "No version number provided"),
        ("WRITE", "secret/destroy/a", json!({}), 400, "no version number provided"),
        (
            "WRITE",
            "secret/metadata/a",
            json!({"delete_version_after": "-1s"}),
            400,
            "error converting input for field \"delete_version_after\": \
             cannot provide negative value",
        ),
        ("DELETE", "secret/config", json!(null), 405, "unsupported operation"),
        ("READ", "secret/undelete/a", json!(null), 405, "unsupported operation"),
        ("DELETE", "secret/subkeys/a", json!(null), 405, "unsupported operation"),
    ] {
        let got = room.call(method, path, body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (status, text), "{method} {path} {body}");
    }
    assert_eq!(room.get("a").await, Ok(json!({"x": 1})), "nothing was changed");
}

#[tokio::test]
async fn errors_repeat_no_value() {
    // threats CVE-2025-4166, CVE-2025-52893
    let room = Room::new().await;
    for (method, path, body) in [
        ("WRITE", "secret/data/a", json!({"data": "canary"})),
        ("WRITE", "secret/data/a", json!({"data": {"k": "v"}, "options": {"cas": "canary"}})),
        ("WRITE", "secret/metadata/a", json!({"custom_metadata": {"k": ["canary"]}})),
        ("WRITE", "secret/metadata/a", json!({"custom_metadata": "canary"})),
        ("WRITE", "secret/metadata/a", json!({"max_versions": "canary"})),
        ("WRITE", "secret/destroy/a", json!({"versions": "canary"})),
        ("WRITE", "secret/move/a", json!({"to": "canary/../b"})),
    ] {
        let got = room.call(method, path, body).await;
        assert_eq!(got.status, 400, "{path}");
        assert!(!got.body.to_string().contains("canary"), "{}", got.body);
    }
}

#[tokio::test]
async fn a_path_with_a_slash_is_not_the_path_without() {
    // threat CVE-2026-3605: policy judges `a/`, so the engine must not act on `a`.
    let room = Room::new().await;
    room.put("a", json!({"x": "hidden"})).await;
    let everything = "create read update patch delete list";
    let token = room
        .token(&[
            ("secret/*", everything),
            ("secret/data/a", "deny"),
            ("secret/metadata/a", "deny"),
            ("secret/destroy/a", "deny"),
        ])
        .await;
    for (method, path) in [
        ("READ", "secret/data/a/"),
        ("WRITE", "secret/data/a/"),
        ("PATCH", "secret/data/a/"),
        ("DELETE", "secret/data/a/"),
        ("READ", "secret/metadata/a/"),
        ("DELETE", "secret/metadata/a/"),
        ("READ", "secret/subkeys/a/"),
        ("WRITE", "secret/destroy/a/"),
    ] {
        let body = json!({"data": {"x": "mine"}, "versions": [1]});
        let got = room.node.call(method, path, &token, body).await;
        assert!(!got.body.to_string().contains("hidden"), "{method} {path}");
    }
    assert_eq!(room.get("a").await, Ok(json!({"x": "hidden"})));
}

#[tokio::test]
async fn a_deleted_version_is_404_with_its_metadata() {
    let room = Room::new().await;
    room.put("a", json!({"x": 1})).await;
    room.ok("DELETE", "secret/data/a", json!(null)).await;
    let gone = |destroyed: bool| {
        let deletion = if destroyed { "" } else { NOW };
        json!({"data": null, "metadata": {
            "created_time": NOW, "custom_metadata": null, "deletion_time": deletion,
            "destroyed": destroyed, "version": 1,
        }})
    };
    let got = room.call("READ", "secret/data/a", json!(null)).await;
    assert_eq!((got.status, got.data()), (404, &gone(false)));
    let got = room.call("PATCH", "secret/data/a", json!({"data": {"x": 2}})).await;
    assert_eq!((got.status, got.data()), (404, &gone(false)["metadata"]));
    let got = room.call("READ", "secret/subkeys/a", json!(null)).await;
    assert_eq!((got.status, &got.data()["subkeys"]), (404, &json!(null)));

    room.ok("WRITE", "secret/undelete/a", json!({"versions": [1]})).await;
    assert_eq!(room.get("a").await, Ok(json!({"x": 1})));
    room.ok("WRITE", "secret/destroy/a", json!({"versions": "1,7,0,-3"})).await;
    let got = room.call("READ", "secret/data/a?version=1", json!(null)).await;
    assert_eq!((got.status, got.data()), (404, &gone(true)));
    room.ok("WRITE", "secret/undelete/a", json!({"versions": [1]})).await;
    assert_eq!(room.get("a").await, Err(404), "destroyed is for good");
}

#[tokio::test]
async fn metadata_reads_writes_and_patches() {
    let room = Room::new().await;
    room.put("a", json!({"x": 1})).await;
    let body = json!({"custom_metadata": {"b": "1", "a": 2}, "max_versions": 3,
        "delete_version_after": "30s"});
    assert_eq!(room.call("WRITE", "secret/metadata/a", body).await.status, 204);
    let mut expected = json!({
        "cas_required": false, "created_time": NOW, "current_metadata_version": 1,
        "current_version": 1, "custom_metadata": {"a": "2", "b": "1"},
        "delete_version_after": "30s", "max_versions": 3, "metadata_cas_required": false,
        "oldest_version": 0, "updated_time": NOW,
        "versions": {"1": {"created_time": NOW, "deletion_time": "", "destroyed": false}},
    });
    assert_eq!(room.ok("READ", "secret/metadata/a", json!(null)).await, expected);
    let patch = json!({"custom_metadata": {"b": null, "c": "d"}, "max_versions": null});
    assert_eq!(room.call("PATCH", "secret/metadata/a", patch).await.status, 204);
    expected["custom_metadata"] = json!({"a": "2", "c": "d"});
    expected["max_versions"] = json!(0);
    expected["current_metadata_version"] = json!(2);
    assert_eq!(room.ok("READ", "secret/metadata/a", json!(null)).await, expected);
    // Nothing to change changes nothing; what is not there can't be patched.
    for (method, path, status) in [
        ("WRITE", "secret/metadata/a", 204),
        ("PATCH", "secret/metadata/a", 204),
        ("READ", "secret/metadata/none", 404),
        ("DELETE", "secret/metadata/none", 204),
    ] {
        assert_eq!(room.call(method, path, json!({})).await.status, status, "{method} {path}");
    }
    let got = room.call("PATCH", "secret/metadata/none", json!({"max_versions": 1})).await;
    assert_eq!(got.status, 404);
    assert_eq!(room.ok("READ", "secret/metadata/a", json!(null)).await, expected);
    // A secret may begin with its metadata.
    room.ok("WRITE", "secret/metadata/early", json!({"custom_metadata": {"k": "v"}})).await;
    assert_eq!(room.get("early").await, Err(404));
    let data = json!({"data": {"x": 1}, "options": {"cas": 0}});
    let made = room.ok("WRITE", "secret/data/early", data).await;
    assert_eq!((&made["version"], &made["custom_metadata"]), (&json!(1), &json!({"k": "v"})));
}

#[tokio::test]
async fn metadata_changes_can_demand_their_version() {
    let room = Room::new().await;
    let path = "secret/metadata/a";
    for (method, body, status, text) in [
        ("WRITE", json!({"max_versions": 1, "metadata_cas": 1}), 400, "must be 0 when creating"),
        ("WRITE", json!({"metadata_cas_required": true, "metadata_cas": 0}), 204, ""),
        ("WRITE", json!({"max_versions": 2}), 400, "parameter required"),
        ("PATCH", json!({"max_versions": 2}), 400, "parameter required"),
        ("WRITE", json!({"max_versions": 2, "metadata_cas": 7}), 400, "does not match"),
        ("PATCH", json!({"max_versions": 2, "metadata_cas": 1}), 204, ""),
        ("WRITE", json!({"max_versions": 3, "metadata_cas": 1}), 400, "does not match"),
        ("WRITE", json!({"max_versions": 3, "metadata_cas": 2}), 204, ""),
    ] {
        let got = room.call(method, path, body.clone()).await;
        assert_eq!(got.status, status, "{method} {body} {got:?}");
        assert!(got.errors().contains(text), "{method} {body} {got:?}");
    }
}

#[tokio::test]
async fn the_mounts_settings_bind_its_secrets() {
    let room = Room::new().await;
    let fresh = json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0,
        "metadata_cas_required": false});
    assert_eq!(room.ok("READ", "secret/config", json!(null)).await, fresh);
    let body = json!({"cas_required": true, "delete_version_after": "1h", "max_versions": 2});
    assert_eq!(room.call("WRITE", "secret/config", body).await.status, 204);
    let set = json!({"cas_required": true, "delete_version_after": "1h0m0s", "max_versions": 2,
        "metadata_cas_required": false});
    assert_eq!(room.ok("READ", "secret/config", json!(null)).await, set);
    let got = room.call("WRITE", "secret/data/a", json!({"data": {}})).await;
    assert_eq!(got.errors(), "check-and-set parameter required for this call");
    let got = room.call("WRITE", "secret/metadata/a", json!({"cas_required": false})).await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.body["warnings"],
        json!(["\"cas_required\" set to false, but is mandated by backend config. \
                This value will be ignored."])
    );
    for cas in 0..4 {
        let body = json!({"data": {"n": cas}, "options": {"cas": cas}});
        room.ok("WRITE", "secret/data/a", body).await;
    }
    let got = room.ok("READ", "secret/metadata/a", json!(null)).await;
    let kept: Vec<&String> = got["versions"].as_object().unwrap().keys().collect();
    assert_eq!(kept, ["3", "4"]);
    assert_eq!(got["oldest_version"], json!(3));
    assert_eq!(got["versions"]["4"]["deletion_time"], json!("2026-01-01T01:00:00Z"));
    // Any negative duration turns deletion off for every secret, and shows as -1s.
    let body = json!({"delete_version_after": "-5s", "cas_required": false});
    room.ok("WRITE", "secret/config", body).await;
    let got = room.ok("READ", "secret/config", json!(null)).await;
    assert_eq!(got["delete_version_after"], json!("-1s"));
    room.ok("WRITE", "secret/metadata/a", json!({"delete_version_after": "10s"})).await;
    let made = room.ok("WRITE", "secret/data/a", json!({"data": {}})).await;
    assert_eq!(made["deletion_time"], json!(""));
}

#[tokio::test]
async fn versions_end_by_their_own_clock() {
    let room = Room::new().await;
    room.ok("WRITE", "secret/config", json!({"delete_version_after": "1h"})).await;
    room.ok("WRITE", "secret/metadata/a", json!({"delete_version_after": "30s"})).await;
    let made = room.ok("WRITE", "secret/data/a", json!({"data": {"x": 1}})).await;
    assert_eq!(made["deletion_time"], json!("2026-01-01T00:00:30Z"), "the shorter of both");
    room.node.clock.advance(29);
    assert_eq!(room.get("a").await, Ok(json!({"x": 1})));
    room.node.clock.advance(1);
    assert_eq!(room.get("a").await, Err(404));
    room.ok("WRITE", "secret/undelete/a", json!({"versions": [1]})).await;
    assert_eq!(room.get("a").await, Ok(json!({"x": 1})));
    room.node.clock.advance(30);
    assert_eq!(room.get("a").await, Err(404), "an undeleted version ends again");
}

#[tokio::test]
async fn the_oldest_versions_go_first() {
    let room = Room::new().await;
    for n in 1..=12 {
        room.put("a", json!({"n": n})).await;
    }
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["oldest_version"], json!(3), "10 are kept where nothing else is said");
    assert_eq!(view["versions"].as_object().unwrap().len(), 10);
    for (version, status) in [(1, 404), (2, 404), (3, 200), (12, 200)] {
        let path = format!("secret/data/a?version={version}");
        assert_eq!(room.call("READ", &path, json!(null)).await.status, status, "{version}");
    }
    // Fewer versions take effect with the next write, more keep what is there.
    room.ok("WRITE", "secret/metadata/a", json!({"max_versions": 2})).await;
    room.put("a", json!({"n": 13})).await;
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    let kept: Vec<&String> = view["versions"].as_object().unwrap().keys().collect();
    assert_eq!(kept, ["12", "13"]);
    room.ok("WRITE", "secret/metadata/a", json!({"max_versions": 3})).await;
    room.put("a", json!({"n": 14})).await;
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["versions"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn lists_and_scans() {
    let room = Room::new().await;
    for path in ["a", "a/b/c", "a/b-d", "d", "a.x"] {
        room.put(path, json!({"p": path})).await;
    }
    for (method, path, expected) in [
        ("LIST", "secret/metadata", vec!["a", "a.x", "a/", "d"]),
        ("LIST", "secret/metadata/", vec!["a", "a.x", "a/", "d"]),
        ("LIST", "secret/metadata/a", vec!["b-d", "b/"]),
        ("LIST", "secret/metadata/a/b/", vec!["c"]),
        ("LIST", "secret/metadata?after=a&limit=2", vec!["a.x", "a/"]),
        ("LIST", "secret/metadata?after=zz", vec![]),
        ("LIST", "secret/metadata?limit=0", vec!["a", "a.x", "a/", "d"]),
        ("LIST", "secret/metadata/zzz", vec![]),
        ("LIST", "secret/metadata/d", vec![]),
        ("SCAN", "secret/metadata", vec!["a", "a.x", "a/b-d", "a/b/c", "d"]),
        ("SCAN", "secret/metadata/a", vec!["b-d", "b/c"]),
        ("SCAN", "secret/metadata?after=a.x&limit=2", vec!["a/b-d", "a/b/c"]),
        ("LIST", "secret/detailed-metadata/a", vec!["b-d", "b/"]),
        ("SCAN", "secret/detailed-metadata/a", vec!["b-d", "b/c"]),
    ] {
        let got = room.call(method, path, json!(null)).await;
        assert_eq!(keys_of(&got), expected, "{method} {path}");
        assert_eq!(got.status, if expected.is_empty() { 404 } else { 200 }, "{method} {path}");
    }
    let details = room.ok("LIST", "secret/detailed-metadata/a", json!(null)).await;
    assert_eq!(details["key_info"]["b-d"]["current_version"], json!(1));
    assert_eq!(details["key_info"]["b/"], json!({}), "a folder has no metadata");
}

#[tokio::test]
async fn a_folder_goes_with_its_last_secret() {
    let room = Room::new().await;
    for path in ["t/a/x", "t/a/y", "t/b/z"] {
        room.put(path, json!({})).await;
    }
    for (path, folders) in [("t/a/x", vec!["a/", "b/"]), ("t/a/y", vec!["b/"]), ("t/b/z", vec![])] {
        room.ok("DELETE", &format!("secret/metadata/{path}"), json!(null)).await;
        assert_eq!(room.keys("LIST", "secret/metadata/t").await, folders);
    }
    assert!(room.keys("LIST", "secret/metadata").await.is_empty());
    room.put("t/a/x", json!({"again": true})).await;
    assert_eq!(room.get("t/a/x").await, Ok(json!({"again": true})));
    let version = room.ok("READ", "secret/metadata/t/a/x", json!(null)).await;
    assert_eq!(version["current_version"], json!(1), "nothing is left of the one before");
}

#[tokio::test]
async fn subkeys_show_no_value() {
    let room = Room::new().await;
    room.put("a", json!({"x": {"y": {"z": 1}, "e": {}}, "l": [1]})).await;
    for (query, subkeys) in [
        ("", json!({"x": {"y": {"z": null}, "e": null}, "l": null})),
        ("?depth=1", json!({"x": null, "l": null})),
        ("?depth=2&version=1", json!({"x": {"y": null, "e": null}, "l": null})),
    ] {
        let got = room.ok("READ", &format!("secret/subkeys/a{query}"), json!(null)).await;
        assert_eq!(got, json!({"subkeys": subkeys, "metadata": meta(1)}), "{query}");
    }
}

#[tokio::test]
async fn paths_that_are_no_endpoints_get_a_hint() {
    let room = Room::new().await;
    let wrong = "Invalid path for a versioned K/V secrets engine.";
    let top = "Non-listing operations on the root of a K/V v2 mount are not supported.";
    for (method, path, text) in [
        ("READ", "secret/foo", wrong),
        ("WRITE", "secret/foo", wrong),
        ("PATCH", "secret/foo", wrong),
        ("DELETE", "secret/foo/bar", wrong),
        ("LIST", "secret/foo", wrong),
        ("LIST", "secret/", wrong),
        ("SCAN", "secret/foo", wrong),
        ("LIST", "secret/config", wrong),
        ("READ", "secret/data", top),
        ("WRITE", "secret/metadata", top),
    ] {
        let got = room.call(method, path, json!({"x": 1})).await;
        assert_eq!(got.status, 404, "{method} {path}");
        assert_eq!(got.body["warnings"].as_array().map(Vec::len), Some(1), "{method} {path}");
        let warning = got.body["warnings"][0].as_str().unwrap_or_default();
        assert!(warning.starts_with(text), "{method} {path}: {got:?}");
    }
}

#[tokio::test]
async fn objects_keep_their_order_and_numbers() {
    let room = Room::new().await;
    let text = r#"{"z":1.10,"a":12345678901234567890.5,"m":{"y":[1,2.50],"b":"é\n"}}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    room.put("a", value).await;
    assert_eq!(room.get("a").await.unwrap().to_string(), text);
}

#[tokio::test]
async fn create_and_update_are_two_capabilities() {
    let room = Room::new().await;
    let creator = room.token(&[("secret/data/*", "create"), ("secret/metadata/*", "create")]).await;
    let updater = room.token(&[("secret/data/*", "update"), ("secret/metadata/*", "update")]).await;
    let data = json!({"data": {"x": 1}});
    for (who, path, status) in [
        (&updater, "secret/data/a", 403),
        (&creator, "secret/data/a", 200),
        (&creator, "secret/data/a", 403),
        (&updater, "secret/data/a", 200),
        (&creator, "secret/metadata/a", 403),
        (&updater, "secret/metadata/b", 403),
        (&creator, "secret/metadata/b", 204),
        (&updater, "secret/metadata/b", 204),
        (&creator, "secret/delete/a", 403),
    ] {
        let mut body = data.clone();
        if path.contains("metadata") {
            body = json!({"max_versions": 3});
        }
        let got = room.node.call("WRITE", path, who, body).await;
        assert_eq!(got.status, status, "{path} {got:?}");
    }
}
