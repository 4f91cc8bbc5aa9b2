//! Version 1, and its way to version 2.

use super::*;
use strongroom_kernel::mounts::Mount;
use strongroom_storage::Storage;

#[tokio::test]
async fn a_write_replaces_what_was_there() {
    let room = Room::new().await;
    for (method, path, body, status, data) in [
        ("READ", "plain/a", json!(null), 404, json!(null)),
        ("WRITE", "plain/a", json!({"x": 1, "z": "y"}), 204, json!(null)),
        ("READ", "plain/a", json!(null), 200, json!({"x": 1, "z": "y"})),
        // Names that other endpoints use as parameters are plain members here.
        ("WRITE", "plain/a", json!({"path": "p", "data": {}, "version": 2}), 204, json!(null)),
        ("READ", "plain/a", json!(null), 200, json!({"path": "p", "data": {}, "version": 2})),
        ("WRITE", "plain/a", json!({}), 400, json!(null)),
        ("WRITE", "plain/a", json!(null), 400, json!(null)),
        ("WRITE", "plain/a/", json!({"x": 1}), 400, json!(null)),
        ("READ", "plain/a/", json!(null), 404, json!(null)),
        ("READ", "plain", json!(null), 404, json!(null)),
        ("PATCH", "plain/a", json!({"x": 1}), 405, json!(null)),
        ("WRITE", "plain/a/b/c", json!({"x": 1}), 204, json!(null)),
        ("LIST", "plain", json!(null), 200, json!({"keys": ["a", "a/"]})),
        ("LIST", "plain/a/b/", json!(null), 200, json!({"keys": ["c"]})),
        ("LIST", "plain/none", json!(null), 404, json!(null)),
        ("SCAN", "plain", json!(null), 200, json!({"keys": ["a", "a/b/c"]})),
        ("DELETE", "plain/a", json!(null), 204, json!(null)),
        ("DELETE", "plain/a", json!(null), 204, json!(null)),
        ("READ", "plain/a", json!(null), 404, json!(null)),
        ("LIST", "plain", json!(null), 200, json!({"keys": ["a/"]})),
        ("WRITE", "plain/config", json!({"k": "v"}), 204, json!(null)),
        ("READ", "plain/config", json!(null), 200, json!({"k": "v"})),
    ] {
        let got = room.call(method, path, body.clone()).await;
        assert_eq!((got.status, got.data()), (status, &data), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn readers_are_told_how_long_to_keep_it() {
    let room = Room::new().await;
    for (body, seconds) in [
        (json!({"x": 1}), 2_764_800),
        (json!({"ttl": "1h"}), 3_600),
        (json!({"ttl": 90}), 90),
        (json!({"lease": "30"}), 30),
        (json!({"ttl": "1m", "lease": "9m"}), 60),
        (json!({"ttl": "soon"}), 2_764_800),
        (json!({"ttl": {"x": 1}}), 2_764_800),
    ] {
        room.ok("WRITE", "plain/a", body.clone()).await;
        let got = room.call("READ", "plain/a", json!(null)).await;
        assert_eq!(got.body["lease_duration"], json!(seconds), "{body}");
        assert_eq!(got.body["lease_id"], json!(""));
    }
}

#[tokio::test]
async fn an_overwritten_value_leaves_nothing_behind() {
    let room = Room::new().await;
    let rows = || {
        use strongroom_kernel::record::rows::VALUES;
        let node = room.node.clone();
        async move {
            node.storage.scan_rows(VALUES, 0, u64::MAX >> 1, 1_000).done().await.unwrap().len()
        }
    };
    for n in 0..5 {
        room.ok("WRITE", "plain/a", json!({"n": n})).await;
        assert_eq!(rows().await, 1);
    }
    room.ok("DELETE", "plain/a", json!(null)).await;
    assert_eq!(rows().await, 0);
    for n in 0..14 {
        room.put("a", json!({"n": n})).await;
    }
    assert_eq!(rows().await, 10, "trimmed values go");
    room.ok("WRITE", "secret/destroy/a", json!({"versions": [14]})).await;
    assert_eq!(rows().await, 9, "destroyed values go");
    room.ok("DELETE", "secret/metadata/a", json!(null)).await;
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn a_plain_mount_becomes_versioned_by_its_option() {
    let room = Room::new().await;
    room.ok("WRITE", "plain/a/b", json!({"x": 1})).await;
    room.ok("WRITE", "plain/a/b", json!({"x": 2})).await;
    let services = room.node.services();
    let tx = services.store.begin();
    let scope = tx.write(Scope::ROOT);
    let mut mount = scope.named::<Mount>(0, "plain/").await.unwrap().unwrap();
    mount.options.insert("version".to_owned(), "2".to_owned());
    scope.put_named(0, "plain/", &mount).unwrap();
    tx.commit().await.unwrap();

    let got = room.ok("READ", "plain/data/a/b", json!(null)).await;
    assert_eq!((&got["data"], &got["metadata"]["version"]), (&json!({"x": 2}), &json!(1)));
    let body = json!({"data": {"x": 3}, "options": {"cas": 1}});
    let made = room.ok("WRITE", "plain/data/a/b", body).await;
    assert_eq!(made["version"], json!(2));
    assert_eq!(room.keys("SCAN", "plain/metadata").await, ["a/b"]);
    assert_eq!(room.call("READ", "plain/a/b", json!(null)).await.status, 404);
}
