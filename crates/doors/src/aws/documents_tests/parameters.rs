//! Parameters, and what lies behind them.

use super::*;

#[tokio::test]
async fn neither_a_secret_nor_a_version_is_deleted_as_a_parameter() {
    let world = World::new().await;
    world.secret("db").await;
    world
        .ask("AmazonSSM.PutParameter", json!({"Name": "/app/db", "Value": "x", "Type": "String"}))
        .await
        .unwrap();
    for names in [json!([REFERENCE]), json!(["/app/db:1"]), json!([REFERENCE, "/app/db:1", "/x"])] {
        let done = world.ask("AmazonSSM.DeleteParameters", json!({"Names": names})).await.unwrap();
        assert_eq!(done, json!({"DeletedParameters": [], "InvalidParameters": names}));
    }
    // A refusal of all is a refusal of these, too.
    world.limit(&[statement("Deny", "ssm:*", "")]).await;
    let asked = json!({"Names": [REFERENCE]});
    assert_eq!(world.ask("AmazonSSM.DeleteParameters", asked).await, refused());
    world.free().await;
    world.ask("secretsmanager.GetSecretValue", json!({"SecretId": "db"})).await.unwrap();
    let names = json!({"Names": [REFERENCE, "/app/db"]});
    let done = world.ask("AmazonSSM.DeleteParameters", names).await.unwrap();
    assert_eq!(done, json!({"DeletedParameters": ["/app/db"], "InvalidParameters": [REFERENCE]}));
}

#[tokio::test]
async fn the_policy_of_a_secret_holds_for_it_as_a_parameter() {
    let world = World::new().await;
    let put = |overwrite: bool| json!({"Name": "/app/db", "Value": "x", "Type": "String", "Overwrite": overwrite});
    world.ask("AmazonSSM.PutParameter", put(false)).await.unwrap();
    let deny = document(&[statement("Deny", "ssm:*", r#","Principal":"*""#)]);
    let policy = json!({"SecretId": "ssm/app/db", "ResourcePolicy": deny});
    world.ask("secretsmanager.PutResourcePolicy", policy).await.unwrap();
    for (operation, body) in [
        ("GetParameter", json!({"Name": "/app/db"})),
        ("GetParameters", json!({"Names": ["/app/db"]})),
        ("GetParameterHistory", json!({"Name": "/app/db"})),
        ("GetParametersByPath", json!({"Path": "/app"})),
        ("PutParameter", put(true)),
        ("DeleteParameter", json!({"Name": "/app/db"})),
        ("DeleteParameters", json!({"Names": ["/app/db"]})),
        (
            "LabelParameterVersion",
            json!({"Name": "/app/db", "ParameterVersion": 1, "Labels": ["l"]}),
        ),
        ("ListTagsForResource", json!({"ResourceType": "Parameter", "ResourceId": "/app/db"})),
    ] {
        let said = world.ask(&format!("AmazonSSM.{operation}"), body).await;
        assert_eq!(said, refused(), "{operation}");
    }
    let gone = json!({"SecretId": "ssm/app/db"});
    world.ask("secretsmanager.DeleteResourcePolicy", gone).await.unwrap();
    assert!(world.ask("AmazonSSM.GetParametersByPath", json!({"Path": "/app"})).await.is_ok());
}
