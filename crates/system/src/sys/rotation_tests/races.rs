//! Reads and promotions that meet.

use super::*;

/// A read that has seen the old version and has not answered when the new one is published: it
/// answers with the new one, or the drain knows of it.
#[tokio::test]
async fn a_read_in_the_middle_of_a_promotion_is_not_lost() {
    for held_before in [false, true] {
        let (node, world) = start().await;
        let node = Arc::new(node);
        role(&node, "app", json!({})).await;
        let token = consumer(&node, "reader").await;
        if held_before {
            creds(&node, "app", &token).await;
        }
        world.fault("read", Some(Fault::Hangs));
        let (reads, by) = (node.clone(), token.clone());
        let read = tokio::spawn(async move { creds(&reads, "app", &by).await });
        world.died.notified().await;
        world.fault("read", None);
        assert_eq!(rotate(&node, "app").await.status, 204);
        world.go_on.notify_one();
        let got = read.await.expect("answers");
        settle(&node).await;
        assert!(world.logs_in(&got), "what was answered works: {got} {held_before}");
        assert_eq!(got["version"], 2, "it was run again");
    }
}

/// Many readers while a role is rotated over and over: whatever was answered last works.
#[tokio::test]
async fn what_was_read_last_always_works() {
    let (node, world) = start().await;
    let node = Arc::new(node);
    role(&node, "app", json!({ "drain": 100_000 })).await;
    let mut readers = Vec::new();
    for n in 0..20 {
        let (node, world) = (node.clone(), world.clone());
        readers.push(tokio::spawn(async move {
            let token = consumer(&node, &format!("c{n}")).await;
            for turn in 0..30 {
                let got = creds(&node, "app", &token).await;
                for _ in 0..(n + turn) % 7 {
                    assert!(world.logs_in(&got), "{got} by {n} in turn {turn}");
                    tokio::task::yield_now().await;
                }
                assert!(world.logs_in(&got), "{got} by {n} in turn {turn}");
            }
            let body = json!({ "token": token });
            assert_eq!(node.root("WRITE", "auth/token/revoke", body).await.status, 204);
        }));
    }
    let mut rotations = 0;
    while readers.iter().any(|reader| !reader.is_finished()) {
        rotations += u64::from(rotate(&node, "app").await.status == 204);
        settle(&node).await;
    }
    for reader in readers {
        reader.await.expect("reads");
    }
    settle(&node).await;
    assert!(rotations > 3, "{rotations}");
    assert_eq!(state(&node, "app").await, "");
    assert_eq!(world.users().len(), 1);
}

/// A worker that hangs outside while the node is sealed and opened again has its subject for
/// itself.
#[tokio::test]
async fn a_subject_has_one_worker_in_all_lives_of_a_node() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "period": 100 })).await;
    world.asked();
    world.fault("set", Some(Fault::Hangs));
    node.clock.advance(100);
    let services = node.services();
    services.rotations.reconcile(&services, services.store.now()).await.expect("reconciles");
    drop(services);
    world.died.notified().await;
    assert_eq!(node.root("WRITE", "sys/seal", json!({})).await.status, 204);
    node.unseal().await;
    settle(&node).await;
    assert_eq!(world.asked(), ["prepare", "set"], "somebody is at it");
    world.fault("set", None);
    world.go_on.notify_one();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    settle(&node).await;
    // What the old life did is not noted, so it is done once more.
    assert_eq!(world.asked(), ["set", "test", "promote", "revoke", "refused"]);
    assert_eq!(status(&node, "app").await.expect("there").version, 2);
}

/// A mount whose outside hangs holds up its own subjects alone, and takes a bounded number of
/// workers.
#[tokio::test]
async fn a_mount_that_hangs_holds_up_no_other() {
    const COUNT: usize = 20;
    const AT_A_TIME: usize = 8;
    let (node, world) = start().await;
    for n in 0..COUNT {
        role(&node, &format!("r{n}"), json!({ "period": 100 })).await;
    }
    world.asked();
    world.fault("set", Some(Fault::Hangs));
    node.clock.advance(100);
    let services = node.services();
    services.rotations.reconcile(&services, services.store.now()).await.expect("reconciles");
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let sets = world.asked().iter().filter(|what| **what == "set").count();
    assert_eq!(sets, AT_A_TIME, "so many at a time");
    world.fault("set", None);
    for _ in 0..AT_A_TIME {
        world.go_on.notify_one();
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }
    settle(&node).await;
    for n in 0..COUNT {
        let status = status(&node, &format!("r{n}")).await.expect("there");
        assert_eq!(status.version, 2, "r{n}");
    }
}
