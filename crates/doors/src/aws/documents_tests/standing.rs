//! What is remembered of a caller is who that is; what it may do is asked each time.

use super::*;

#[tokio::test]
async fn changes_of_rights_hold_at_the_next_request() {
    let world = World::new().await;
    let ask = |operation: &str, body: Value| {
        let target = format!("secretsmanager.{operation}");
        let world = &world;
        async move { world.ask_as(&world.key, &target, body).await.map(drop) }
    };
    let id = || json!({ "SecretId": "app/db" });
    let put = || json!({ "SecretId": "app/db", "SecretString": "2" });
    let denied = || Err("AccessDeniedException".to_owned());
    ask("CreateSecret", json!({ "Name": "app/db", "SecretString": "1" })).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask("GetSecretValue", id()).await, Ok(()));
        world.room.role("ci", json!({ "token_policies": "none" })).await;
        assert_eq!(ask("GetSecretValue", id()).await, denied());
        world.room.role("ci", json!({ "token_policies": "all" })).await;
    }
    let reads = r#"path "*" { capabilities = ["read"] }"#;
    assert_eq!(ask("PutSecretValue", put()).await, Ok(()));
    world.room.node.policy("all", reads).await;
    assert_eq!(ask("PutSecretValue", put()).await, denied());
    for seconds in [0, 59, 1, 1, 600] {
        world.room.node.clock.advance(seconds);
        assert_eq!(ask("GetSecretValue", id()).await, Ok(()), "{seconds}");
    }
    // A key that is gone is nobody's, whatever is remembered of it.
    let path = format!("auth/aws-door/role/ci/key/{}", world.key.id);
    world.room.node.root("DELETE", &path, Value::Null).await;
    let unknown = Err("UnrecognizedClientException".to_owned());
    assert_eq!(ask("GetSecretValue", id()).await, unknown);
}
