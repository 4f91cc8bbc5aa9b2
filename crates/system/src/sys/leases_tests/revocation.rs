//! Revocations that fail, hang or are many.

use serde_json::{Value, json};
use strongroom_kernel::reconcile::run_due;
use strongroom_testkit::TestNode;

use super::{RELEASED, give, lookup, start};
use crate::testing::{settle, token_of};

#[tokio::test]
async fn what_can_not_be_revoked_is_tried_again_later_and_becomes_visible() {
    let (node, outside) = start().await;
    outside.lock().down = true;
    let id = give(&node, "a", &node.root).await;
    node.clock.advance(600);
    settle(&node).await;
    settle(&node).await;
    assert_eq!(outside.lock().attempts, 1, "not again at once");
    let count = "sys/leases/count?type=irrevocable";
    let got = node.root("READ", count, Value::Null).await;
    assert_eq!(got.data()["lease_count"], json!(0));
    for attempts in 2..=6 {
        node.clock.advance(320);
        settle(&node).await;
        assert_eq!(outside.lock().attempts, attempts);
    }
    let got = node.root("READ", count, Value::Null).await;
    assert_eq!(got.data()["lease_count"], json!(1));
    let got = node.root("READ", "sys/leases?type=irrevocable", Value::Null).await;
    assert_eq!(got.data()["leases"][0]["lease_id"], json!(id));
    assert_eq!(got.data()["leases"][0]["error"], json!("the outside is down"));
    let got = lookup(&node, &id).await;
    assert_eq!(got.data()["revoke_error"], json!("the outside is down"));
    let metrics = metrics(&node).await;
    for line in [
        "# TYPE vault_expire_num_irrevocable_leases gauge",
        "vault_expire_num_irrevocable_leases 1",
        "strongroom_leases_irrevocable{mount=\"db/\"} 1",
        "strongroom_lease_revocation_failures 6",
        "strongroom_leases_revoked 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
    let got = node.root("WRITE", "sys/leases/renew", json!({"lease_id": id})).await;
    assert_eq!(got.errors(), "lease is expired and has failed previous revocation attempts");
    outside.lock().down = false;
    node.clock.advance(3600);
    settle(&node).await;
    assert!(outside.lock().credentials.is_empty());
    let got = node.root("READ", count, Value::Null).await;
    assert_eq!(got.data()["lease_count"], json!(0));
}

async fn metrics(node: &TestNode) -> String {
    let got = node.root("READ", "sys/metrics?format=prometheus", Value::Null).await;
    got.body.as_str().expect("a text").to_owned()
}

/// Lets what is due fail until it is shown as irrevocable.
pub(super) async fn fail_for_long(node: &TestNode) {
    for wait in [600, 320, 320, 320, 320, 320] {
        node.clock.advance(wait);
        settle(node).await;
    }
}

#[tokio::test]
async fn what_can_not_be_revoked_is_tried_again_by_hand() {
    let (node, outside) = start().await;
    let mut ids = Vec::new();
    for role in ["a", "ab", "b"] {
        ids.push(give(&node, role, &node.root).await);
    }
    outside.lock().down = true;
    fail_for_long(&node).await;
    let stuck = async || {
        let got = node.root("READ", "sys/leases/count?type=irrevocable", Value::Null).await;
        got.data()["lease_count"].as_u64().expect("a number")
    };
    assert_eq!(stuck().await, 3);
    // By its id: at once, with an answer that says what came of it, waited for or not.
    for sync in [true, false] {
        let fields = json!({ "lease_id": ids[0], "sync": sync });
        let got = node.root("WRITE", "sys/leases/revoke", fields).await;
        assert_eq!((got.status, got.errors().as_str()), (503, "the outside is down"), "{got:?}");
    }
    assert_eq!(stuck().await, 3, "it is not dropped");
    outside.lock().down = false;
    let fields = json!({ "lease_id": ids[0], "sync": false });
    assert_eq!(node.root("WRITE", "sys/leases/revoke", fields).await.status, 202);
    assert_eq!(stuck().await, 2);
    // By a folder of ids, that is no prefix of letters.
    for (prefix, count, left) in [("db/creds/a", 0, 2), ("db/creds/ab/", 1, 1), ("", 1, 0)] {
        let path = format!("sys/strongroom/leases/retry/{prefix}");
        let got = node.root("WRITE", path.trim_end_matches('/'), json!({})).await;
        assert_eq!(got.data(), &json!({ "lease_count": count }), "{prefix}: {got:?}");
        settle(&node).await;
        assert_eq!(stuck().await, left, "{prefix}");
    }
    assert!(outside.lock().credentials.is_empty());
    let caller = token_of(&node, "all").await;
    let got = node.call("WRITE", "sys/strongroom/leases/retry", &caller, json!({})).await;
    assert_eq!(got.status, 403, "it needs sudo");
    let metrics = metrics(&node).await;
    assert!(metrics.contains("\nvault_expire_num_irrevocable_leases 0\n"), "{metrics}");
    assert!(metrics.contains("\nstrongroom_leases_revoked 3\n"), "{metrics}");
    assert!(!metrics.contains("strongroom_leases_irrevocable{"), "{metrics}");
}

#[tokio::test]
async fn a_target_that_hangs_holds_up_only_its_own() {
    let (node, outside) = start().await;
    for role in ["hangs", "fine"] {
        for _ in 0..20 {
            give(&node, role, &node.root).await;
        }
    }
    outside.lock().hangs = Some("hangs".to_owned());
    node.clock.advance(600);
    let services = node.services();
    run_due(&services).await;
    // Those of the other target go, whatever comes of these.
    while outside.lock().credentials.len() > 20 {
        tokio::task::yield_now().await;
    }
    while services.leases.being_revoked() > 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(outside.lock().credentials.len(), 20);
    // And go on going while these still hang.
    give(&node, "fine", &node.root).await;
    node.clock.advance(600);
    run_due(&services).await;
    while outside.lock().credentials.len() > 20 {
        tokio::task::yield_now().await;
    }
    outside.lock().hangs = None;
    RELEASED.notify_waiters();
    settle(&node).await;
    assert!(outside.lock().credentials.is_empty());
}

#[tokio::test]
async fn more_are_due_than_a_queue_takes_and_one_round_suffices() {
    let (node, outside) = start().await;
    for _ in 0..1_500 {
        give(&node, "a", &node.root).await;
    }
    node.clock.advance(600);
    // One pass of the reconciler; the queue's workers look for the rest themselves.
    let services = node.services();
    services.leases.reconcile(&services, services.store.now(), 4_096).await.expect("reconciles");
    services.leases.idle().await;
    assert_eq!(outside.lock().credentials.len(), 0);
    assert_eq!(outside.lock().attempts, 1_500, "none twice");
}

#[tokio::test]
async fn whoever_waits_for_many_is_told_that_there_are_more() {
    let (node, outside) = start().await;
    for _ in 0..1_100 {
        give(&node, "a", &node.root).await;
    }
    let got = node.root("WRITE", "sys/leases/revoke-prefix/db", json!({})).await;
    assert_eq!(got.status, 202, "{got:?}");
    assert!(got.body["warnings"][0].as_str().is_some_and(|w| w.starts_with("There are too many")));
    // One round of the reconciler walks along all of them.
    let services = node.services();
    services.leases.reconcile(&services, services.store.now(), 4_096).await.expect("reconciles");
    services.leases.idle().await;
    assert!(outside.lock().credentials.is_empty());
    // What fails ends it, and what went before it is no good any more.
    let first = give(&node, "a", &node.root).await;
    let second = give(&node, "b", &node.root).await;
    outside.lock().refuses = Some("b".to_owned());
    let got = node.root("WRITE", "sys/leases/revoke-prefix/db", json!({})).await;
    let want = format!("failed to revoke {second:?} (2 / 2): refused");
    assert_eq!((got.status, got.errors()), (400, want));
    let expired = lookup(&node, &first).await;
    assert_eq!(expired.data()["ttl"], json!(0), "{expired:?}");
    assert_eq!(lookup(&node, &second).await.data()["ttl"], json!(600));
}
