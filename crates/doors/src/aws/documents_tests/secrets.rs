//! Values that other operations than GetSecretValue read.

use super::*;

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
