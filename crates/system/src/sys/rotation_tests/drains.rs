//! Who holds up a drain, and what ends it.

use super::*;

#[tokio::test]
async fn the_credential_of_before_is_good_until_the_last_has_moved() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 3_600 })).await;
    let mut tokens = Vec::new();
    for n in 0..40 {
        tokens.push(consumer(&node, &format!("c{n}")).await);
        creds(&node, "app", &tokens[n]).await;
    }
    let first = creds(&node, "app", &tokens[0]).await;
    drain(&node, "app").await;
    for (moved, token) in tokens.iter().enumerate() {
        let left = 40 - moved;
        assert_eq!(progress(&node, "app").await, format!("{moved}/40 moved, {left} left"));
        assert!(world.logs_in(&first));
        let second = creds(&node, "app", token).await;
        assert!(world.logs_in(&second));
        assert_eq!(second["version"], 2);
        node.services().rotations.idle().await;
    }
    // Without a pass of the reconciler: the last one's move is enough.
    assert!(!world.logs_in(&first));
    assert_eq!(state(&node, "app").await, "");
    let shown = shown(&node, "app").await;
    assert_eq!(shown["last_outcomes"][0]["ending"], "done", "{shown}");
    assert_eq!(shown["last_outcomes"][0]["consumers_moved"], 40);
    assert_eq!(shown["last_outcomes"][0]["consumers_left"], 0);
}

/// What each consumer does once the drain runs, and whether that ends the drain.
#[tokio::test]
async fn what_ends_a_consumers_hold() {
    for (what, ends) in [
        ("nothing", false),
        ("reads", true),
        ("reads again by a child", true),
        ("acknowledges", true),
        ("is acknowledged by accessor", true),
        ("is acknowledged by number", true),
        ("is revoked", true),
        ("revokes itself", true),
        ("expires", true),
        ("is renewed in time", false),
        ("its parent is revoked", true),
    ] {
        let (node, world) = start().await;
        role(&node, "app", json!({ "drain": 100_000 })).await;
        node.policy(
            "parent",
            "path \"db/creds/*\" { capabilities = [\"read\"] }
             path \"sys/rotation/ack/*\" { capabilities = [\"update\"] }
             path \"auth/token/create\" { capabilities = [\"update\"] }
             path \"auth/token/renew-self\" { capabilities = [\"update\"] }
             path \"auth/token/revoke-self\" { capabilities = [\"update\"] }",
        )
        .await;
        let fields = json!({ "policies": ["parent"], "ttl": "2h", "no_default_policy": true });
        let parent = crate::testing::token(&node, fields.clone()).await;
        let child = node.call("WRITE", "auth/token/create", &parent, fields).await.token();
        let token = if what.contains("parent") { &child } else { &parent };
        let first = creds(&node, "app", token).await;
        drain(&node, "app").await;
        let holder = shown(&node, "app").await["rotation"]["consumers"]["holding"][0].clone();
        let ack = "sys/rotation/ack/db/roles/app";
        match what {
            "reads" => drop(creds(&node, "app", token).await),
            "reads again by a child" => drop(creds(&node, "app", &child).await),
            "acknowledges" => {
                let got = node.call("WRITE", ack, token, json!({})).await;
                assert_eq!(got.data()["acknowledged"], 1, "{got:?}");
            }
            "is acknowledged by accessor" => {
                let accessor = holder["accessor"].clone();
                let got = node.root("WRITE", ack, json!({ "accessor": accessor })).await;
                assert_eq!(got.data()["acknowledged"], 1, "{got:?}");
            }
            "is acknowledged by number" => {
                let consumer = holder["consumer"].clone();
                let got = node.root("WRITE", ack, json!({ "consumer": consumer })).await;
                assert_eq!(got.data()["acknowledged"], 1, "{got:?}");
            }
            "is revoked" | "its parent is revoked" => {
                let body = json!({ "token": parent });
                assert_eq!(node.root("WRITE", "auth/token/revoke", body).await.status, 204);
            }
            "revokes itself" => {
                let got = node.call("WRITE", "auth/token/revoke-self", token, json!({})).await;
                assert_eq!(got.status, 204);
            }
            "expires" => node.clock.advance(2 * 3_600),
            "is renewed in time" => {
                node.clock.advance(3_600);
                let got = node.call("WRITE", "auth/token/renew-self", token, json!({})).await;
                assert_eq!(got.status, 200, "{got:?}");
                node.clock.advance(3_600);
            }
            _ => {}
        }
        settle(&node).await;
        assert_eq!(world.logs_in(&first), !ends, "{what}");
        assert_eq!(state(&node, "app").await, if ends { "" } else { "draining" }, "{what}");
    }
}

#[tokio::test]
async fn the_deadline_names_who_was_frozen() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 3_600 })).await;
    let (frozen, moves) = (consumer(&node, "frozen").await, consumer(&node, "moves").await);
    let first = creds(&node, "app", &frozen).await;
    node.come_from("10.0.0.7");
    creds(&node, "app", &moves).await;
    node.clock.advance(5);
    drain(&node, "app").await;
    creds(&node, "app", &moves).await;
    settle(&node).await;
    let consumers = shown(&node, "app").await["rotation"]["consumers"].clone();
    assert_eq!(consumers["progress"], "1/2 moved, 1 left");
    assert_eq!(consumers["holding"][0]["display_name"], "token-frozen");
    assert_eq!(consumers["holding"][0]["remote_address"], "127.0.0.1");
    assert_eq!(consumers["holding"][0]["since"], "2026-01-01T00:00:00Z");
    let accessor = consumers["holding"][0]["accessor"].as_str().expect("an accessor").to_owned();
    let found = node.root("WRITE", "auth/token/lookup-accessor", json!({ "accessor": accessor }));
    assert_eq!(found.await.data()["display_name"], "token-frozen");
    node.clock.advance(3_599);
    settle(&node).await;
    assert!(world.logs_in(&first), "until the deadline");
    node.clock.advance(1);
    settle(&node).await;
    assert!(!world.logs_in(&first));
    let outcome = shown(&node, "app").await["last_outcomes"][0].clone();
    assert_eq!(outcome["left"], json!(["token-frozen at 127.0.0.1"]), "{outcome}");
    assert_eq!((&outcome["consumers_moved"], &outcome["consumers_left"]), (&json!(1), &json!(1)));
    let lines = String::from_utf8(node.audit.contents()).expect("text");
    assert!(lines.contains("\"reason\":\"its drain is over\""));
    // The frozen one reads on, and gets what works.
    assert!(world.logs_in(&creds(&node, "app", &frozen).await));
}

/// A clock that steps brings the deadline nearer by its step, and no more.
#[tokio::test]
async fn a_step_of_the_clock_ends_no_drain_but_what_it_passes() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 3_600 })).await;
    let token = consumer(&node, "frozen").await;
    let first = creds(&node, "app", &token).await;
    drain(&node, "app").await;
    node.clock.advance(1_000);
    settle(&node).await;
    node.clock.advance(-500);
    settle(&node).await;
    assert!(world.logs_in(&first));
    node.clock.advance(3_099);
    settle(&node).await;
    assert!(world.logs_in(&first));
    node.clock.advance(1);
    settle(&node).await;
    assert!(!world.logs_in(&first));
}

/// A rotation whose time comes during a drain begins when that is over, and not before.
#[tokio::test]
async fn one_rotation_at_a_time() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "period": 1_000, "drain": 5_000 })).await;
    let token = consumer(&node, "reader").await;
    let first = creds(&node, "app", &token).await;
    node.clock.advance(1_000);
    settle(&node).await;
    assert_eq!(state(&node, "app").await, "draining");
    let got = rotate(&node, "app").await;
    assert_eq!(got.status, 400);
    assert!(got.errors().contains("the drain can be ended by force"), "{got:?}");
    node.clock.advance(2_000);
    settle(&node).await;
    assert_eq!(status(&node, "app").await.expect("there").version, 2);
    assert!(world.logs_in(&first));
    let second = creds(&node, "app", &token).await;
    settle(&node).await;
    // The first is gone; the third was due, and the second is held now.
    assert_eq!(status(&node, "app").await.expect("there").version, 3);
    assert!(world.logs_in(&second) && !world.logs_in(&first));
    assert_eq!(state(&node, "app").await, "draining");
}

#[tokio::test]
async fn a_drain_ends_though_more_have_ended_than_a_look_sees() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 100_000 })).await;
    let mut first = Value::Null;
    let token = consumer(&node, "many").await;
    for n in 0..600 {
        node.come_from(&format!("10.0.{}.{}", n / 250, n % 250));
        first = creds(&node, "app", &token).await;
    }
    drain(&node, "app").await;
    assert_eq!(progress(&node, "app").await, "0/600 moved, 600 left");
    assert_eq!(
        node.root("WRITE", "auth/token/revoke", json!({ "token": token })).await.status,
        204
    );
    settle(&node).await;
    assert!(!world.logs_in(&first));
    let outcome = shown(&node, "app").await["last_outcomes"][0].clone();
    assert_eq!(outcome["consumers_ended"], 600, "{outcome}");
}

/// The server dies between the commit of a read and its answer: the consumer has nothing newer.
#[tokio::test]
async fn a_consumer_whose_answer_was_lost_has_not_moved() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 3_600 })).await;
    let token = consumer(&node, "unlucky").await;
    let first = creds(&node, "app", &token).await;
    drain(&node, "app").await;
    node.lost("READ", "db/creds/app", &token, Value::Null).await;
    node.node.seal();
    node.unseal().await;
    settle(&node).await;
    assert!(world.logs_in(&first), "it has only this one");
    creds(&node, "app", &token).await;
    settle(&node).await;
    assert!(!world.logs_in(&first), "it has the next one now");
}
