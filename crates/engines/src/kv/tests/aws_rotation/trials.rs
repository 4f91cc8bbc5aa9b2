//! The trial of a function (`RotateImmediately` false), beside rotations.

use strongroom_kernel::rotation::Cause;

use super::*;

#[tokio::test]
async fn not_now_tries_the_function_alone() {
    let (room, lambda) = room().await;
    room.functions().await;
    let body = json!({"rotation_lambda_arn": "https://functions.test/mine/rotate",
        "schedule_expression": "rate(1 day)", "duration": "2h", "rotate_immediately": false});
    room.rotate(V2, body).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.calls.lock()[0].0.url, "https://functions.test/mine/rotate");
    assert!(!lambda.calls.lock()[0].0.headers.contains_key("authorization"));
    assert_eq!(lambda.steps(), ["testSecret"]);
    let described = room.described().await;
    assert_eq!(described["version_ids_to_stages"], json!({V1: ["AWSCURRENT"]}));
    assert_eq!(
        described["rotation_rules"],
        json!({"schedule_expression": "rate(1 day)", "duration": "2h"})
    );
    assert!(described.get("last_rotated_date").is_none());
    room.later(86_400).await;
    assert_eq!(lambda.steps().len(), 4);
    // A trial that fails leaves nothing behind either.
    *lambda.fails.lock() = Some(("testSecret", 0));
    room.rotate(V3, json!({"rotate_immediately": false})).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps(), ["testSecret"]);
    assert!(room.described().await["version_ids_to_stages"].get(V3).is_none());
}

fn later_only() -> Value {
    json!({"rotation_lambda_arn": FUNCTION, "schedule_expression": "rate(1 day)",
        "rotate_immediately": false})
}

/// A rotation whose time comes while a function is tried waits for the trial to end.
#[tokio::test]
async fn a_rotation_waits_for_the_trial_of_its_function() {
    let (room, lambda) = room().await;
    room.functions().await;
    *lambda.meddles.lock() = Some(("testSecret", |node, _| {
        Box::pin(async move {
            let services = node.services();
            let is_first = services.rotations.counts().await.unwrap().failed == 0;
            if !is_first {
                return;
            }
            // A day goes by within this call.
            node.clock.advance(86_400);
            strongroom_kernel::reconcile::run_due(&services).await;
            while services.rotations.counts().await.unwrap().failed == 0 {
                tokio::task::yield_now().await;
            }
            // Nor does anybody begin one.
            let body = json!({"client_request_token": V3, "region": "us-east-1"});
            let got = node.root("AWS", "secret/aws/rotate-secret/app/db", body).await;
            assert_eq!(got.body["code"], "InvalidRequestException", "{got:?}");
        })
    }));
    room.rotate(V2, later_only()).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps(), ["testSecret"], "nothing else was called meanwhile");
    assert!(room.status().await.error.contains("trial of its function"));
    let described = room.described().await;
    assert_eq!(described["version_ids_to_stages"], json!({V1: ["AWSCURRENT"]}));
    room.later(30).await;
    assert_eq!(lambda.steps(), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
    assert_eq!(room.status().await.outcomes.len(), 1);
}

/// And nobody tries a function while a rotation by it is under way: that one's version is not touched.
#[tokio::test]
async fn no_trial_begins_beside_a_rotation() {
    let (room, lambda) = room().await;
    room.functions().await;
    *lambda.fails.lock() = Some(("setSecret", 0));
    room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION})).await.unwrap();
    room.reconcile().await;
    for token in [V2, V3] {
        let said = room.rotate(token, later_only()).await.unwrap_err();
        assert_eq!(said.0, "InvalidRequestException", "{token}");
    }
    let described = room.described().await;
    assert_eq!(described["version_ids_to_stages"], json!({V1: ["AWSCURRENT"], V2: ["AWSPENDING"]}));
    *lambda.fails.lock() = None;
    room.later(20).await;
    assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
}

/// One that was begun and finds a rotation when its turn comes steps back.
#[tokio::test]
async fn a_trial_steps_back_for_a_rotation_that_came_first() {
    let (room, lambda) = room().await;
    room.functions().await;
    room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION, "automatically_after_days": 1}))
        .await
        .unwrap();
    room.reconcile().await;
    lambda.steps();
    // Both begin before either is worked on.
    room.rotate(V3, later_only()).await.unwrap();
    let services = room.node.services();
    let tx = services.store.begin();
    let table = services.router.table().await.unwrap();
    let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
    let (name, now) = ("data/app/db", services.store.now());
    services.rotations.begin(&tx, scope, name, Cause::Request, now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(lambda.steps(), [""; 0]);
    for _ in 0..3 {
        room.later(30).await;
    }
    assert_eq!(lambda.steps(), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    let described = room.described().await;
    assert!(described["version_ids_to_stages"].get(V3).is_none(), "{described}");
}

/// A trial leaves labels alone that it did not set, and nothing of it is left when it is called off.
#[tokio::test]
async fn a_trial_leaves_nothing_behind() {
    let (room, lambda) = room().await;
    room.functions().await;
    let label = json!({"version_stage": "mine", "move_to_version_id": V1});
    room.aws("update-secret-version-stage", "app/db", label).await.unwrap();
    let stages = async || room.described().await["version_ids_to_stages"].clone();
    let before = stages().await;
    // The version of this id is there: it is no version to try with.
    room.rotate(V1, later_only()).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps(), [""; 0]);
    assert_eq!(stages().await, before);
    let cancelled: Meddling = |node, _| {
        Box::pin(async move {
            let got = node.root("AWS", "secret/aws/cancel-rotate-secret/app/db", json!({})).await;
            assert_eq!(got.status, 200, "{got:?}");
        })
    };
    let deleted: Meddling = |node, _| {
        Box::pin(async move {
            for operation in ["delete-secret", "restore-secret"] {
                let path = format!("secret/aws/{operation}/app/db");
                let got = node.root("AWS", &path, json!({})).await;
                assert_eq!(got.status, 200, "{got:?}");
            }
        })
    };
    for meddle in [cancelled, deleted] {
        *lambda.meddles.lock() = Some(("testSecret", meddle));
        room.rotate(V3, later_only()).await.unwrap();
        room.reconcile().await;
        room.later(60).await;
        assert_eq!(lambda.steps(), ["testSecret"]);
        assert_eq!(stages().await, before);
    }
}
