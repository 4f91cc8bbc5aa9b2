//! Who counts as a consumer.

use std::net::IpAddr;

use strongroom_kernel::plug::Peer;
use strongroom_kernel::rotation::{FANS_OUT, POD_UID};

use super::*;

async fn read_from(node: &TestNode, token: &str, address: &str) -> Json {
    node.come_from(address);
    creds(node, "app", token).await
}

async fn made(node: &TestNode, by: &str, fields: Value) -> String {
    let got = node.call("WRITE", "auth/token/create", by, fields).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.token()
}

async fn parent(node: &TestNode, fields: Value) -> String {
    node.policy(
        "parent",
        "path \"db/creds/*\" { capabilities = [\"read\"] }
         path \"auth/token/create\" { capabilities = [\"update\", \"sudo\"] }",
    )
    .await;
    let mut all = json!({ "policies": ["parent"], "ttl": "10h" });
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("one").clone());
    made(node, &node.root, all).await
}

#[tokio::test]
async fn one_login_at_two_addresses_is_two_consumers() {
    let (node, world) = start().await;
    role(&node, "app", json!({})).await;
    let token = consumer(&node, "pods").await;
    let first = read_from(&node, &token, "10.0.0.1").await;
    // An address in its other spelling is the same.
    for address in ["10.0.0.2", "::ffff:10.0.0.2", "10.0.0.1"] {
        read_from(&node, &token, address).await;
    }
    drain(&node, "app").await;
    read_from(&node, &token, "10.0.0.1").await;
    settle(&node).await;
    assert_eq!(progress(&node, "app").await, "1/2 moved, 1 left");
    let other = read_from(&node, &token, "10.0.0.3").await;
    assert!(world.logs_in(&other) && world.logs_in(&first));
    assert_eq!(progress(&node, "app").await, "1/2 moved, 1 left");
    read_from(&node, &token, "10.0.0.2").await;
    settle(&node).await;
    assert!(!world.logs_in(&first));
}

#[tokio::test]
async fn a_pod_is_known_by_its_uid_and_a_certificate_by_its_serial() {
    // SEQUENCE { SEQUENCE { INTEGER serial } }
    let certificate = |serial: u8| vec![0x30, 5, 0x30, 3, 2, 1, serial];
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    let pod = json!({ "policies": ["read"], "meta": { POD_UID: "pod-1" } });
    let pod = crate::testing::token(&node, pod).await;
    let plain = consumer(&node, "plain").await;
    for (token, address, serial) in [
        (&pod, "10.0.0.1", Some(7)),
        (&pod, "10.0.0.2", None),
        (&plain, "10.0.0.1", Some(7)),
        (&plain, "10.0.0.2", Some(7)),
        (&plain, "10.0.0.2", Some(8)),
        (&plain, "10.0.0.2", None),
    ] {
        let certificates = serial.map(|serial| vec![certificate(serial)]).unwrap_or_default();
        let ip: IpAddr = address.parse().expect("an address");
        *node.peer.lock() = Peer { ip: Some(ip), port: 1, certificates: Arc::new(certificates) };
        creds(&node, "app", token).await;
    }
    *node.peer.lock() = Peer::default();
    creds(&node, "app", &plain).await;
    drain(&node, "app").await;
    // The pod; certificates 7 and 8; the address; and nowhere.
    assert_eq!(progress(&node, "app").await, "0/5 moved, 5 left");
    let consumers = shown(&node, "app").await["rotation"]["consumers"]["holding"].clone();
    let of = |name: &str| -> Vec<String> {
        let all = consumers.as_array().expect("a list").iter();
        let mut all: Vec<String> = all
            .filter_map(|c| c[name].as_str())
            .filter(|t| !t.is_empty())
            .map(String::from)
            .collect();
        all.sort();
        all
    };
    assert_eq!(of("pod_uid"), ["pod-1"]);
    assert_eq!(of("certificate_serial"), ["07", "08"]);
}

#[tokio::test]
async fn child_tokens_count_as_their_login() {
    let (node, world) = start().await;
    role(&node, "app", json!({})).await;
    let login = parent(&node, json!({})).await;
    let fields = json!({ "policies": ["parent"], "ttl": "5h" });
    let child = made(&node, &login, fields.clone()).await;
    let grandchild = made(&node, &child, fields).await;
    let first = creds(&node, "app", &grandchild).await;
    creds(&node, "app", &child).await;
    drain(&node, "app").await;
    assert_eq!(progress(&node, "app").await, "0/1 moved, 1 left");
    creds(&node, "app", &login).await;
    settle(&node).await;
    assert!(!world.logs_in(&first));
}

/// What root makes by hand does not hang together.
#[tokio::test]
async fn tokens_made_by_root_are_logins_of_their_own() {
    let (node, world) = start().await;
    role(&node, "app", json!({})).await;
    let (one, other) = (consumer(&node, "one").await, consumer(&node, "other").await);
    let first = creds(&node, "app", &one).await;
    creds(&node, "app", &other).await;
    drain(&node, "app").await;
    creds(&node, "app", &one).await;
    creds(&node, "app", &node.root).await;
    settle(&node).await;
    assert!(world.logs_in(&first));
    assert_eq!(progress(&node, "app").await, "1/2 moved, 1 left");
}

/// A child that outlives its login still holds what it read.
#[tokio::test]
async fn an_orphaned_child_holds_what_it_read() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 100_000 })).await;
    let login = parent(&node, json!({})).await;
    let fields = json!({ "policies": ["parent"], "ttl": "5h" });
    let child = made(&node, &login, fields).await;
    let first = creds(&node, "app", &child).await;
    drain(&node, "app").await;
    let body = json!({ "token": login });
    assert_eq!(node.root("WRITE", "auth/token/revoke-orphan", body).await.status, 204);
    crate::testing::settle(&node).await;
    assert!(world.logs_in(&first));
    assert_eq!(creds(&node, "app", &child).await["version"], 2);
    settle(&node).await;
    assert!(!world.logs_in(&first), "it has moved on as its own login");
}

#[tokio::test]
async fn batch_tokens_hold_until_they_end() {
    // Whether it has a parent, what happens, and whether that ends the drain.
    for (orphan, what, ends) in [
        (true, "nothing", false),
        (true, "reads", true),
        (true, "another reads", false),
        (true, "expires", true),
        (false, "nothing", false),
        (false, "reads", true),
        (false, "its parent reads", true),
        (false, "its parent is revoked", true),
    ] {
        let (node, world) = start().await;
        role(&node, "app", json!({ "drain": 100_000 })).await;
        let login = parent(&node, json!({})).await;
        let fields = json!({
            "policies": ["read"], "type": "batch", "ttl": "1h", "no_parent": orphan,
        });
        let batch = made(&node, &login, fields.clone()).await;
        let other = made(&node, &login, fields).await;
        let first = creds(&node, "app", &batch).await;
        drain(&node, "app").await;
        match what {
            "reads" => drop(creds(&node, "app", &batch).await),
            "another reads" => drop(creds(&node, "app", &other).await),
            "its parent reads" => drop(creds(&node, "app", &login).await),
            "expires" => node.clock.advance(3_600),
            "its parent is revoked" => {
                let body = json!({ "token": login });
                assert_eq!(node.root("WRITE", "auth/token/revoke", body).await.status, 204);
            }
            _ => {}
        }
        settle(&node).await;
        assert_eq!(world.logs_in(&first), !ends, "{orphan} {what}");
    }
}

#[tokio::test]
async fn whoever_gives_on_what_it_reads_counts_at_the_deadline() {
    for (wrapped, note) in
        [(false, "synced, consumers unknown"), (true, "wrapped, consumers unknown")]
    {
        let (node, world) = start().await;
        role(&node, "app", json!({ "drain": 3_600 })).await;
        let meta = if wrapped { json!({}) } else { json!({ FANS_OUT: "true" }) };
        let fields = json!({ "policies": ["read"], "meta": meta });
        let token = crate::testing::token(&node, fields).await;
        let ttl = wrapped.then_some(60);
        let read = async || {
            let path = "db/creds/app";
            let got = node.call_with("", "READ", path, &token, Value::Null, ttl).await;
            assert_eq!(got.status, 200, "{got:?}");
            got
        };
        read().await;
        let first = creds(&node, "app", &node.root).await;
        drain(&node, "app").await;
        creds(&node, "app", &node.root).await;
        read().await;
        let shown = shown(&node, "app").await["rotation"]["consumers"].clone();
        assert_eq!(shown["progress"], "1/2 moved, 1 left");
        assert_eq!(shown["holding"][0]["note"], note);
        let body = json!({ "consumer": shown["holding"][0]["consumer"] });
        let got = node.root("WRITE", "sys/rotation/ack/db/roles/app", body).await;
        assert_eq!(got.data()["acknowledged"], 0, "{got:?}");
        assert!(got.body["warnings"][0].is_string(), "{got:?}");
        let body = json!({ "token": token });
        assert_eq!(node.root("WRITE", "auth/token/revoke", body).await.status, 204);
        settle(&node).await;
        assert!(world.logs_in(&first), "{note}");
        node.clock.advance(3_600);
        settle(&node).await;
        assert!(!world.logs_in(&first), "{note}");
    }
}

/// A consumer that holds the newest version costs a read and no write.
#[tokio::test]
async fn a_read_of_what_is_held_writes_nothing() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    let token = consumer(&node, "reader").await;
    let commits = || node.services().store.storage.counters().commits;
    let mut writes = Vec::new();
    for _ in 0..3 {
        let before = commits();
        creds(&node, "app", &token).await;
        writes.push(commits() - before);
    }
    // A query's audit lines are no commit; a command's are.
    assert!(writes[0] > 0, "{writes:?}");
    assert_eq!(writes[1..], [0, 0], "{writes:?}");
}

/// Who read a credential while it had one account is not known once it has two.
#[tokio::test]
async fn readers_of_one_account_count_until_the_deadline() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "one_account": true })).await;
    let token = consumer(&node, "reader").await;
    let first = creds(&node, "app", &token).await;
    role(&node, "app", json!({ "drain": 3_600 })).await;
    drain(&node, "app").await;
    creds(&node, "app", &token).await;
    settle(&node).await;
    assert!(world.logs_in(&first));
    let consumers = shown(&node, "app").await["rotation"]["consumers"].clone();
    assert_eq!(consumers["holding"][0]["note"], "consumers were not noted then");
    node.clock.advance(3_600);
    settle(&node).await;
    assert!(!world.logs_in(&first));
}

/// And what has one account again notes nobody, and leaves nothing of those it noted.
#[tokio::test]
async fn what_comes_to_have_one_account_forgets_who_held_it() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    let before = crate::testing::records(&node).await;
    for address in ["10.0.0.1", "10.0.0.2"] {
        read_from(&node, &node.root.clone(), address).await;
    }
    role(&node, "app", json!({ "one_account": true })).await;
    assert_eq!(rotate(&node, "app").await.status, 204);
    settle(&node).await;
    assert_eq!(state(&node, "app").await, "");
    assert_eq!(crate::testing::records(&node).await, before);
}
