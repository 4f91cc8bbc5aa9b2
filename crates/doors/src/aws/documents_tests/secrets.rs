//! Values that other operations than GetSecretValue read.

use super::*;

#[tokio::test]
async fn what_changes_nothing_leaves_no_trace_and_a_deletion_does() {
    let world = World::new().await;
    world.secret("db").await;
    let id = json!({"SecretId": "db"});
    let changed = async || {
        let described = world.ask("secretsmanager.DescribeSecret", id.clone()).await.unwrap();
        (described["LastChangedDate"].as_f64().unwrap(), described["DeletedDate"].as_f64())
    };
    let (before, _) = changed().await;
    world.room.node.clock.advance(60);
    world.ask("secretsmanager.DeleteResourcePolicy", id.clone()).await.unwrap();
    assert_eq!(changed().await.0, before);
    let policy =
        document(&[statement("Deny", "secretsmanager:PutSecretValue", r#","Principal":"*""#)]);
    let put = json!({"SecretId": "db", "ResourcePolicy": policy});
    world.ask("secretsmanager.PutResourcePolicy", put.clone()).await.unwrap();
    let (put_at, _) = changed().await;
    assert!(put_at > before);
    world.room.node.clock.advance(60);
    world.ask("secretsmanager.PutResourcePolicy", put).await.unwrap();
    assert_eq!(changed().await.0, put_at);
    world.room.node.clock.advance(60);
    world.ask("secretsmanager.DeleteSecret", id.clone()).await.unwrap();
    let (at, deleted) = changed().await;
    assert!(at > put_at && deleted == Some(at), "{at} {deleted:?}");
}

#[tokio::test]
async fn a_policy_is_checked_for_a_secret_that_is_there() {
    let world = World::new().await;
    world.secret("db").await;
    let policy = document(&[statement("Deny", "secretsmanager:*", r#","Principal":"*""#)]);
    let check = |id: &str| json!({"SecretId": id, "ResourcePolicy": policy});
    let target = "secretsmanager.ValidateResourcePolicy";
    let good = json!({"PolicyValidationPassed": true, "ValidationErrors": []});
    assert_eq!(world.ask(target, check("db")).await, Ok(good.clone()));
    let missing = Err("ResourceNotFoundException".to_owned());
    assert_eq!(world.ask(target, check("none")).await, missing);
    let arn = format!("arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:db-AbCdEf");
    assert_eq!(world.ask(target, check(&arn)).await, missing);
    assert_eq!(world.ask(target, json!({"ResourcePolicy": policy})).await, Ok(good.clone()));
    // Who may see neither is told the same of both.
    let list = r#"path "secret/metadata/" { capabilities = ["list"] }"#;
    world.room.node.policy("none", list).await;
    let stranger = world.room.key("nobody").await;
    for id in ["db", "none"] {
        assert_eq!(world.ask_as(&stranger, target, check(id)).await, Ok(good.clone()), "{id}");
    }
}

/// An operator reads what is wrong; it is no operation that AWS's clients would take for a missing one.
#[tokio::test]
async fn a_region_without_its_mount_says_so() {
    let room = Room::new().await;
    let all = r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    room.node.policy("all", all).await;
    room.role("ci", json!({"token_policies": "all"})).await;
    let key = room.key("ci").await;
    for (target, service, name) in [
        ("secretsmanager.ListSecrets", "secretsmanager", "InvalidRequestException"),
        ("AmazonSSM.DescribeParameters", "ssm", "UnsupportedOperationException"),
    ] {
        let wire = Wire::json(target, "{}").signed(&key, "us-east-1", service, room.now());
        let (status, body) = room.send(&wire).await;
        assert_eq!((status, code(&body).as_str()), (400, name), "{body}");
        assert!(body.contains("an operator has to enable the mount"), "{body}");
    }
}

#[tokio::test]
async fn values_read_otherwise_are_judged_as_values() {
    let world = World::new().await;
    world.secret("db").await;
    let batch = async |body: Value| {
        let got = world.ask("secretsmanager.BatchGetSecretValue", body).await.unwrap();
        (got["SecretValues"].as_array().unwrap().len(), got["Errors"][0]["ErrorCode"].clone())
    };
    let reference = async |selector: &str| {
        let body = json!({"Name": format!("{REFERENCE}{selector}"), "WithDecryption": true});
        world.ask("AmazonSSM.GetParameter", body).await.map(|_| ())
    };
    let by_id = json!({"SecretIdList": ["db"]});
    let by_name = json!({"Filters": [{"Key": "name", "Values": ["db"]}]});
    let when = |key: &str, value: &str| {
        let key = format!("secretsmanager:{key}");
        statement(
            "Deny",
            "secretsmanager:GetSecretValue",
            &format!(r#","Condition":{{"StringLike":{{"{key}":"{value}"}}}}"#),
        )
    };
    let all = statement("Allow", "*", "");
    world.limit(&[all.clone(), when("VersionStage", "AWSCURRENT")]).await;
    for body in [&by_id, &by_name] {
        assert_eq!(batch(body.clone()).await, (0, json!("AccessDeniedException")), "{body}");
    }
    assert_eq!(reference("").await, refused());
    assert_eq!(reference(":AWSCURRENT").await, refused());
    assert_eq!(reference(&format!(":{TOKEN}")).await, Ok(()));
    world.limit(&[all.clone(), when("VersionId", TOKEN)]).await;
    assert_eq!(reference(&format!(":{TOKEN}")).await, refused());
    assert_eq!(reference(":AWSCURRENT").await, Ok(()));
    assert_eq!(batch(by_id.clone()).await.0, 1);
    world.limit(&[all.clone(), when("SecretId", "*db*")]).await;
    for body in [&by_id, &by_name] {
        assert_eq!(batch(body.clone()).await.0, 0, "{body}");
    }
    assert_eq!(reference("").await, refused());
    world.limit(&[all, when("SecretId", "other")]).await;
    assert_eq!(batch(by_id).await.0, 1);
    assert_eq!(batch(by_name).await.0, 1);
    assert_eq!(reference("").await, Ok(()));
}
