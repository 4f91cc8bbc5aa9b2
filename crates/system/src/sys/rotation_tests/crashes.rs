//! A process that dies at any step leaves a rotation that goes on.

use super::*;

const STEPS: [&str; 7] = ["prepare", "set", "test", "promote", "revoke", "refused", "undo"];

#[tokio::test]
async fn a_rotation_goes_on_wherever_its_process_died() {
    for step in STEPS {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let (mut node, world) = start().await;
            role(&node, "app", json!({ "period": 1_000 })).await;
            let reader = consumer(&node, "reader").await;
            let first = creds(&node, "app", &reader).await;
            let undone = step == "undo";
            if undone {
                world.fault("test", Some(Fault::SaysNo));
            }
            world.fault(step, Some(fault));
            node.clock.advance(1_000);
            let services = node.services();
            let now = services.store.now();
            if matches!(step, "revoke" | "refused") {
                settle(&node).await;
                creds(&node, "app", &reader).await;
            } else {
                services.rotations.reconcile(&services, now).await.expect("reconciles");
            }
            world.died.notified().await;
            restart(&mut node, &world).await;
            assert!(undone || matches!(step, "revoke" | "refused") || world.logs_in(&first));
            settle(&node).await;
            if undone {
                // It was rolled back, and is tried again a while later.
                assert_eq!(world.users(), ["app-a"], "{step} {fault:?}");
                node.clock.advance(3_600);
                settle(&node).await;
            }
            let second = creds(&node, "app", &reader).await;
            settle(&node).await;
            assert_eq!(state(&node, "app").await, "", "{step} {fault:?}");
            assert!(world.logs_in(&second) && !world.logs_in(&first), "{step} {fault:?}");
            assert_eq!(world.users(), ["app-b"], "{step} {fault:?}");
            assert_eq!(second["version"], 2, "{step} {fault:?}");
        }
    }
}
