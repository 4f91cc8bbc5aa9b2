//! What ends a rotation before its time: force, abort, and the removal of what it is about.

use super::*;

/// Brings a role with one frozen consumer into a state, and answers what it held.
async fn bring_into(node: &TestNode, world: &Shared, wanted: &str) -> Json {
    role(node, "app", json!({ "drain": 100_000 })).await;
    let token = consumer(node, "frozen").await;
    let first = creds(node, "app", &token).await;
    let fault = match wanted {
        "create" => Some("prepare"),
        "set" | "test" | "promote" | "revoke" | "undo" => Some(match wanted {
            "set" => "set",
            "test" => "test",
            "promote" => "promote",
            "revoke" => "revoke",
            _ => "undo",
        }),
        _ => None,
    };
    if let Some(step) = fault {
        world.fault(step, Some(Fault::Fails));
    }
    match wanted {
        "idle" => {}
        "draining" => drain(node, "app").await,
        "revoke" => {
            drain(node, "app").await;
            creds(node, "app", &token).await;
            settle(node).await;
        }
        "undo" => {
            world.fault("test", Some(Fault::SaysNo));
            assert_eq!(rotate(node, "app").await.status, 502);
        }
        _ => assert_eq!(rotate(node, "app").await.status, 502, "{wanted}"),
    }
    let state = state(node, "app").await;
    assert_eq!(state, if wanted == "idle" { "" } else { wanted });
    first
}

const STATES: [&str; 8] =
    ["idle", "create", "set", "test", "promote", "draining", "revoke", "undo"];

#[tokio::test]
async fn abort_rolls_back_what_is_not_published() {
    for state in STATES {
        let (node, world) = start().await;
        let first = bring_into(&node, &world, state).await;
        let got = post(&node, "abort", "app").await;
        let (status, error) = match state {
            "idle" => (400, "no rotation is under way"),
            "undo" => (400, "rolled back already"),
            "draining" | "revoke" => (400, "is published"),
            _ => (204, ""),
        };
        assert_eq!(got.status, status, "{state}: {got:?}");
        assert!(got.errors().contains(error), "{state}: {got:?}");
        world.outside.lock().faults.clear();
        settle(&node).await;
        if status == 204 {
            assert_eq!(world.users(), ["app-a"], "{state}");
            assert!(world.logs_in(&first), "{state}");
            let outcome = shown(&node, "app").await["last_outcomes"][0].clone();
            assert_eq!(outcome["ending"], "aborted", "{state}");
            assert_eq!(outcome["error"], "it was called off", "{state}");
        }
    }
}

#[tokio::test]
async fn force_ends_a_drain_and_hurries_all_else() {
    for state in STATES {
        let (node, world) = start().await;
        let first = bring_into(&node, &world, state).await;
        let got = post(&node, "force", "app").await;
        if state == "idle" {
            assert_eq!(got.status, 400);
            continue;
        }
        assert_eq!(got.status, 200, "{state}: {got:?}");
        assert_eq!(got.data()["state"], state);
        assert_eq!(got.data()["consumers_left"], u64::from(state == "draining"), "{state}");
        settle(&node).await;
        let shown = shown(&node, "app").await;
        match state {
            "draining" => {
                assert!(!world.logs_in(&first));
                let outcome = &shown["last_outcomes"][0];
                assert_eq!(outcome["left"], json!(["token-frozen at 127.0.0.1"]));
            }
            // The fault is still there: what it was taking back is left behind, and said so.
            "revoke" | "undo" => {
                assert_eq!(shown["state"], "idle", "{state}");
                assert_eq!(shown["last_outcomes"][0]["ending"], "left behind", "{state}");
                assert!(!shown["last_outcomes"][0]["error"].as_str().expect("text").is_empty());
            }
            // One more attempt, at once.
            _ => assert_eq!(shown["attempts"], 2, "{state}: {shown}"),
        }
    }
}

#[tokio::test]
async fn a_role_that_is_removed_leaves_nothing_behind() {
    for state in STATES {
        let (node, world) = start().await;
        let first = bring_into(&node, &world, state).await;
        let before = node.root("DELETE", "db/roles/app", Value::Null).await;
        assert_eq!(before.status, 204, "{state}: {before:?}");
        let again = node.root("WRITE", "db/roles/app", json!({})).await;
        if state != "idle" {
            // What it left is being taken back: the name is not free yet.
            assert_eq!(again.status, 503, "{state}: {again:?}");
            assert_eq!(shown(&node, "app").await["removed"], true, "{state}");
        }
        world.outside.lock().faults.clear();
        if state == "draining" {
            settle(&node).await;
            assert!(world.logs_in(&first), "a consumer still lives on it");
            assert_eq!(post(&node, "force", "app").await.status, 200);
        }
        node.clock.advance(3_600);
        settle(&node).await;
        let users = world.users();
        let kept = match state {
            "idle" => vec!["app-a"],
            "draining" | "revoke" => vec!["app-b"],
            _ => vec!["app-a"],
        };
        assert_eq!(users, kept, "{state}");
        if state != "idle" {
            assert!(status(&node, "app").await.is_none(), "{state}");
        }
    }
}

#[tokio::test]
async fn a_mount_that_is_removed_leaves_nothing_behind() {
    for state in STATES {
        let (node, world) = start().await;
        bring_into(&node, &world, state).await;
        assert_eq!(node.root("DELETE", "sys/mounts/db", Value::Null).await.status, 204);
        node.clock.advance(3_600);
        settle(&node).await;
        if state == "draining" {
            assert_eq!(world.users(), ["app-a", "app-b"], "it may be brought back");
        }
        // The outside is there again; the mount's time is over.
        world.outside.lock().faults.clear();
        node.clock.advance(8 * 24 * 3_600);
        crate::testing::settle(&node).await;
        let services = node.services();
        for _ in 0..5 {
            strongroom_kernel::reconcile::run_due(&services).await;
            services.leases.idle().await;
            services.rotations.idle().await;
            node.clock.advance(61);
        }
        let kept = if matches!(state, "draining" | "revoke") { "app-b" } else { "app-a" };
        assert_eq!(world.users(), [kept], "{state}");
        let got = node.root("LIST", "sys/strongroom/deleted-mounts", Value::Null).await;
        assert_eq!(got.data()["keys"].as_array().map_or(0, Vec::len), 0, "{state}: {got:?}");
        assert_eq!(services.rotations.counts().await.expect("counts").running, 0);
        assert!(due(&node).await.is_empty(), "{state}");
    }
}

/// The due entries of rotations.
async fn due(node: &TestNode) -> Vec<Vec<u8>> {
    use strongroom_kernel::due::{due_until, kinds};
    use strongroom_kernel::record::indexes;
    use strongroom_storage::Storage;
    let (from, to) = due_until(kinds::ROTATION, strongroom_base::Timestamp(i64::MAX - 1));
    let page = node.storage.scan_index(indexes::DUE, &from, &to, 100).done().await;
    page.expect("readable").into_iter().map(|(key, _)| key.to_vec()).collect()
}

/// An outside that never comes back does not keep a mount's records for ever.
#[tokio::test]
async fn a_mount_gives_up_what_it_cannot_take_back() {
    let (node, world) = start().await;
    bring_into(&node, &world, "revoke").await;
    assert_eq!(node.root("DELETE", "sys/mounts/db", Value::Null).await.status, 204);
    let services = node.services();
    for _ in 0..30 {
        node.clock.advance(3_600);
        settle(&node).await;
    }
    assert_eq!(services.rotations.counts().await.expect("counts").running, 0);
    let lines = String::from_utf8(node.audit.contents()).expect("text");
    assert!(lines.contains("\"reason\":\"it is given up\""));
}

#[tokio::test]
async fn a_disabled_mount_rotates_nothing_until_it_is_back() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "period": 1_000 })).await;
    world.asked();
    assert_eq!(node.root("DELETE", "sys/mounts/db", Value::Null).await.status, 204);
    node.clock.advance(2_000);
    settle(&node).await;
    assert!(world.asked().is_empty());
    let got = node.root("LIST", "sys/strongroom/deleted-mounts", Value::Null).await;
    let id = got.data()["keys"][0].as_str().expect("an id").to_owned();
    let path = format!("sys/strongroom/deleted-mounts/{id}/restore");
    let got = node.root("WRITE", &path, json!({})).await;
    assert!(got.status < 300, "{got:?}");
    node.clock.advance(3_600);
    settle(&node).await;
    assert_eq!(status(&node, "app").await.expect("there").version, 2);
}
