//! The way of one rotation: when it begins, how it fails, how it ends.

use super::*;

#[tokio::test]
async fn two_accounts_take_turns() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "period": 86_400 })).await;
    assert_eq!(world.asked(), ["prepare", "set", "test", "promote"]);
    assert_eq!(world.users(), ["app-a"]);
    for (version, users) in [(2, ["app-b"]), (3, ["app-a"])] {
        assert_eq!(rotate(&node, "app").await.status, 204);
        settle(&node).await;
        let asked = world.asked();
        assert_eq!(asked, ["prepare", "set", "test", "promote", "revoke", "refused"]);
        // Nobody had read the version before.
        assert_eq!(world.users(), users);
        assert_eq!(status(&node, "app").await.expect("there").version, version);
    }
}

#[tokio::test]
async fn one_account_has_no_drain_and_notes_no_consumers() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "one_account": true, "period": 100 })).await;
    let token = consumer(&node, "reader").await;
    let before = crate::testing::records(&node).await;
    let first = creds(&node, "app", &token).await;
    assert!(world.logs_in(&first));
    assert_eq!(rotate(&node, "app").await.status, 204);
    assert_eq!(state(&node, "app").await, "");
    let second = creds(&node, "app", &token).await;
    assert!(world.logs_in(&second) && !world.logs_in(&first));
    assert_eq!(crate::testing::records(&node).await, before);
}

#[tokio::test]
async fn an_engine_that_does_not_rotate_by_itself_waits_for_its_time() {
    for (fields, seconds) in [
        (json!({ "period": 100 }), 100),
        // The clock stands at midnight.
        (json!({ "schedule": "10 0 * * *" }), 600),
        (json!({ "schedule": "10 0 * * *", "window": 3_600 }), 600),
    ] {
        let (node, _world) = start().await;
        role(&node, "app", fields.clone()).await;
        node.clock.advance(seconds - 1);
        settle(&node).await;
        assert_eq!(status(&node, "app").await.expect("there").version, 1, "{fields}");
        node.clock.advance(1);
        settle(&node).await;
        let status = status(&node, "app").await.expect("there");
        assert_eq!(status.version, 2, "{fields}");
        let next = status.next.expect("scheduled");
        assert!(next > node.services().store.now(), "{fields}");
    }
}
