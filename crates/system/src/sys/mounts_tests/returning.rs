//! Disabled mounts that come back, or do not.

use super::*;

/// The UUID of the one mount that can be brought back.
async fn deleted(node: &TestNode) -> String {
    let got = node.root("LIST", "sys/strongroom/deleted-mounts", Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.data()["keys"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_time_in_which_a_mount_comes_back_is_configured() {
    let config = KernelConfig { mount_undelete: 60, ..KernelConfig::default() };
    let node = start_with(config).await;
    for (wait, status) in [(50, 200), (70, 404)] {
        node.root("WRITE", "sys/mounts/a", json!({"type": "kv"})).await;
        assert_eq!(node.root("DELETE", "sys/mounts/a", Value::Null).await.status, 204);
        let restore = format!("sys/strongroom/deleted-mounts/{}/restore", deleted(&node).await);
        node.clock.advance(wait);
        run_due(&node.services()).await;
        let got = node.root("WRITE", &restore, json!({})).await;
        assert_eq!(got.status, status, "{got:?}");
    }
}

#[tokio::test]
async fn a_deleted_mount_comes_back_within_its_time() {
    let node = start().await;
    check(
        &node,
        &[
            ("WRITE", "sys/mounts/a", json!({"type": "kv"}), 204, ""),
            ("WRITE", "a/k", json!({"value": "v"}), 204, ""),
            ("DELETE", "sys/mounts/a", json!(null), 204, ""),
            (
                "READ",
                "a/k",
                json!(null),
                404,
                "no handler for route \"a/k\". route entry not found.",
            ),
            ("WRITE", "sys/mounts/a", json!({"type": "kv"}), 204, ""),
        ],
    )
    .await;
    let id = deleted(&node).await;
    let path = format!("sys/strongroom/deleted-mounts/{id}");
    let shown = node.root("READ", &path, Value::Null).await;
    assert_eq!((&shown.data()["path"], &shown.data()["type"]), (&json!("a/"), &json!("kv")));
    let restore = format!("{path}/restore");
    check(
        &node,
        &[
            ("WRITE", &restore, json!({}), 400, "path is already in use at a/"),
            ("WRITE", &restore, json!({"path": "sys/x"}), 400, "cannot mount \"sys/x/\""),
            ("WRITE", &restore, json!({"path": "b"}), 200, ""),
            ("WRITE", &restore, json!({"path": "c"}), 404, ""),
            ("READ", "b/k", json!(null), 200, ""),
            ("DELETE", "sys/mounts/b", json!(null), 204, ""),
        ],
    )
    .await;
    // A sealing in between changes nothing, nor does the clean-up before the time is over.
    node.clock.advance(MOUNT_RECOVERY_SECONDS - 10);
    node.node.seal();
    node.unseal().await;
    run_due(&node.services()).await;
    let restore = format!("sys/strongroom/deleted-mounts/{}/restore", deleted(&node).await);
    check(
        &node,
        &[
            ("WRITE", &restore, json!({}), 200, ""),
            ("READ", "b/k", json!(null), 200, ""),
            ("DELETE", "sys/mounts/b", json!(null), 204, ""),
        ],
    )
    .await;
    node.clock.advance(MOUNT_RECOVERY_SECONDS + 1);
    check(
        &node,
        &[
            ("LIST", "sys/strongroom/deleted-mounts", json!(null), 404, ""),
            ("WRITE", &restore, json!({}), 404, ""),
        ],
    )
    .await;
    run_due(&node.services()).await;
    node.clock.advance(60);
    run_due(&node.services()).await;
    let table = node.services().router.table().await.unwrap();
    assert_eq!(table.deleted().count(), 0, "its record went with its content");
}

#[tokio::test]
async fn giving_up_a_deleted_mount_is_final_and_returning_revives_no_token() {
    let node = start().await;
    check(&node, &[("WRITE", "sys/auth/up", json!({"type": "userpass"}), 204, "")]).await;
    let before = node.call("WRITE", "auth/up/login/all", "", json!({})).await.token();
    node.clock.advance(1);
    check(&node, &[("DELETE", "sys/auth/up", json!(null), 204, "")]).await;
    let restore = format!("sys/strongroom/deleted-mounts/{}/restore", deleted(&node).await);
    check(
        &node,
        &[
            ("WRITE", &restore, json!({"path": "token/x"}), 400, "cannot mount \"token/x/\""),
            ("WRITE", &restore, json!({"path": "door"}), 200, ""),
        ],
    )
    .await;
    node.clock.advance(1);
    assert_eq!(node.call("READ", "sys/mounts", &before, Value::Null).await.status, 403);
    let after = node.call("WRITE", "auth/door/login/all", "", json!({})).await.token();
    assert_eq!(node.call("READ", "sys/mounts", &after, Value::Null).await.status, 200);
    check(&node, &[("DELETE", "sys/auth/door", json!(null), 204, "")]).await;
    let path = format!("sys/strongroom/deleted-mounts/{}", deleted(&node).await);
    check(
        &node,
        &[
            ("DELETE", &path, json!(null), 204, ""),
            ("READ", &path, json!(null), 404, ""),
            ("WRITE", &format!("{path}/restore"), json!({}), 404, ""),
        ],
    )
    .await;
}
