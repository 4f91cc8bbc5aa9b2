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

/// Where the outside fails, the caller is told, the machine tries again later each time, and goes on
/// once the outside does.
#[tokio::test]
async fn what_fails_is_shown_and_tried_again() {
    for (step, shown_state) in
        [("prepare", "create"), ("set", "set"), ("test", "test"), ("promote", "promote")]
    {
        for fault in [Fault::Fails, Fault::Panics] {
            let (node, world) = start().await;
            role(&node, "app", json!({})).await;
            world.fault(step, Some(fault));
            let got = rotate(&node, "app").await;
            let (code, text) = match fault {
                Fault::Fails => (502, format!("{step} failed outside")),
                _ => (500, "internal error".to_owned()),
            };
            assert_eq!((got.status, got.errors()), (code, text.clone()), "{step}");
            world.asked();
            let mut tried = 0;
            for _ in 0..60 {
                node.clock.advance(60);
                settle(&node).await;
                tried += world.asked().iter().filter(|what| **what == step).count();
            }
            assert!((5..12).contains(&tried), "{step}: {tried} times in an hour");
            let status = status(&node, "app").await.expect("there");
            assert_eq!(status.running.as_ref().map(|r| r.state.name()), Some(shown_state));
            assert_eq!((status.error, status.version), (text, 1), "{step}");
            assert_eq!(status.attempts as usize, 1 + tried);
            world.fault(step, None);
            node.clock.advance(3_600);
            settle(&node).await;
            assert_eq!(state(&node, "app").await, "", "{step}");
            let status = self::status(&node, "app").await.expect("there");
            assert_eq!((status.version, status.error.as_str(), status.attempts), (2, "", 0));
        }
    }
}

/// What is taken back is tried; where it still works that is no end.
#[tokio::test]
async fn a_credential_of_before_that_still_works_is_no_end() {
    for (step, fault, error) in [
        ("revoke", Fault::Fails, "revoke failed outside"),
        ("refused", Fault::Fails, "refused failed outside"),
        ("refused", Fault::SaysNo, "was revoked and still works"),
    ] {
        let (node, world) = start().await;
        role(&node, "app", json!({})).await;
        world.fault(step, Some(fault));
        assert_eq!(rotate(&node, "app").await.status, 204);
        settle(&node).await;
        let status = status(&node, "app").await.expect("there");
        assert!(status.error.contains(error), "{}", status.error);
        assert_eq!(state(&node, "app").await, "revoke");
        world.fault(step, None);
        node.clock.advance(10);
        settle(&node).await;
        assert_eq!(state(&node, "app").await, "", "{error}");
        assert_eq!(world.users(), ["app-b"]);
    }
}

#[tokio::test]
async fn a_failed_test_rolls_back_by_itself_and_is_tried_again() {
    for one_account in [false, true] {
        let (node, world) = start().await;
        role(&node, "app", json!({ "one_account": one_account })).await;
        let first = creds(&node, "app", &node.root).await;
        world.fault("test", Some(Fault::SaysNo));
        let got = rotate(&node, "app").await;
        assert_eq!((got.status, got.errors().as_str()), (502, "the next credential does not work"));
        settle(&node).await;
        assert!(world.logs_in(&first), "it stands");
        assert_eq!(world.users().len(), 1, "the next one is gone");
        let status = status(&node, "app").await.expect("there");
        assert_eq!(
            (status.version, status.error.as_str()),
            (1, "the next credential does not work")
        );
        let outcome = status.outcomes.last().expect("noted");
        assert_eq!(outcome.ending.name(), "rolled back");
        world.fault("test", None);
        node.clock.advance(10);
        settle(&node).await;
        assert_eq!(self::status(&node, "app").await.expect("there").version, 2);
    }
}

/// A role whose first credential does not come off is not there.
#[tokio::test]
async fn the_first_credential_makes_the_role() {
    for (step, fault) in [
        ("prepare", Fault::Fails),
        ("set", Fault::Fails),
        ("set", Fault::Panics),
        ("test", Fault::Fails),
        ("test", Fault::SaysNo),
        ("promote", Fault::Fails),
    ] {
        let (node, world) = start().await;
        world.fault(step, Some(fault));
        let before = crate::testing::records(&node).await;
        let got = node.root("WRITE", "db/roles/app", json!({ "period": 100 })).await;
        assert!(got.status >= 500, "{step}: {got:?}");
        settle(&node).await;
        assert!(status(&node, "app").await.is_none(), "{step}");
        assert!(world.users().is_empty(), "{step}");
        assert_eq!(crate::testing::records(&node).await, before, "{step}");
        let got = node.root("READ", "db/creds/app", Value::Null).await;
        assert_eq!(got.status, 404, "{step}");
    }
}

/// Where even that cannot be taken back, it is shown until it can.
#[tokio::test]
async fn a_first_credential_that_cannot_be_taken_back_is_shown() {
    let (node, world) = start().await;
    world.fault("test", Some(Fault::SaysNo));
    world.fault("undo", Some(Fault::Fails));
    let got = node.root("WRITE", "db/roles/app", json!({})).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert_eq!(state(&node, "app").await, "undo");
    world.outside.lock().faults.clear();
    node.clock.advance(10);
    settle(&node).await;
    assert!(status(&node, "app").await.is_none() && world.users().is_empty());
}

#[tokio::test]
async fn a_window_that_goes_by_waits_for_the_next() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "schedule": "0 6 * * *", "window": 3_600 })).await;
    world.fault("set", Some(Fault::Fails));
    node.clock.advance(6 * 3_600);
    settle(&node).await;
    assert_eq!(state(&node, "app").await, "set");
    node.clock.advance(3_599);
    settle(&node).await;
    assert_eq!(state(&node, "app").await, "set");
    world.asked();
    node.clock.advance(3_600);
    settle(&node).await;
    // What may have been made is taken back, and nothing more is tried today.
    assert_eq!(world.asked(), ["undo"]);
    world.fault("set", None);
    for _ in 0..16 {
        node.clock.advance(3_600);
        settle(&node).await;
    }
    assert!(world.asked().is_empty());
    let status = status(&node, "app").await.expect("there");
    assert_eq!(status.version, 1);
    assert_eq!(status.outcomes.last().expect("noted").ending.name(), "missed");
    assert_eq!(status.next.expect("planned").to_string(), "2026-01-02T06:00:00Z");
    node.clock.advance(6 * 3_600 + 1);
    settle(&node).await;
    assert_eq!(self::status(&node, "app").await.expect("there").version, 2);
}

#[tokio::test]
async fn a_changed_plan_holds_from_the_last_rotation_on() {
    let (node, _world) = start().await;
    role(&node, "app", json!({ "period": 1_000 })).await;
    node.clock.advance(500);
    let next = async |fields: Value| {
        let got = node.root("WRITE", "db/roles/app", fields).await;
        assert_eq!(got.status, 204, "{got:?}");
        let next = status(&node, "app").await.expect("there").next;
        next.map(|at| at.to_string())
    };
    assert_eq!(next(json!({ "period": 1_000 })).await.as_deref(), Some("2026-01-01T00:16:40Z"));
    assert_eq!(next(json!({ "period": 3_600 })).await.as_deref(), Some("2026-01-01T01:00:00Z"));
    assert_eq!(next(json!({ "period": 100 })).await.as_deref(), Some("2026-01-01T00:01:40Z"));
    assert_eq!(next(json!({})).await, None);
    let got = node.root("WRITE", "db/roles/app", json!({ "schedule": "funday * * * *" })).await;
    assert_eq!(got.status, 400);
    assert!(got.errors().contains("minute") && !got.errors().contains("funday"), "{got:?}");
    let late = json!({ "period": 100 });
    next(late).await;
    settle(&node).await;
    assert_eq!(status(&node, "app").await.expect("there").version, 2, "it was due already");
}

/// Each transition is one commit with its audit line.
#[tokio::test]
async fn every_step_has_its_audit_line() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    creds(&node, "app", &node.root).await;
    drain(&node, "app").await;
    creds(&node, "app", &node.root).await;
    settle(&node).await;
    let lines = String::from_utf8(node.audit.contents()).expect("text");
    let mut reasons = Vec::new();
    for line in lines.lines().filter(|line| line.contains("\"operation\":\"rotate\"")) {
        let line: Value = serde_json::from_str(line).expect("a line");
        if line["type"] == "response" {
            assert_eq!(line["request"]["path"], "db/roles/app");
            assert_eq!(line["request"]["mount_point"], "db/");
            reasons.push(line["request"]["data"]["reason"].as_str().unwrap_or_default().to_owned());
        }
    }
    let published = [
        "the next credential is chosen",
        "the next credential is set",
        "it was tried",
        "the next credential is published",
    ];
    let ended = ["every consumer has moved on", "the credential of before is gone"];
    assert_eq!(reasons, [&published[..], &published[..], &ended[..]].concat());
}
