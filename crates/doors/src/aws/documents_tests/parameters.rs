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

#[tokio::test]
async fn it_holds_by_the_names_that_secrets_manager_gives_its_actions() {
    let world = World::new().await;
    let put = |value: &str| json!({"Name": "/app/db", "Value": value, "Type": "String", "Overwrite": true});
    for value in ["1", "2"] {
        world.ask("AmazonSSM.PutParameter", put(value)).await.unwrap();
    }
    let name = json!({"Name": "/app/db"});
    let label = json!({"Name": "/app/db", "ParameterVersion": 1, "Labels": ["l"]});
    let resource = json!({"ResourceType": "Parameter", "ResourceId": "/app/db"});
    let mut tag = resource.clone();
    tag["Tags"] = json!([{"Key": "a", "Value": "b"}]);
    let mut untag = resource.clone();
    untag["TagKeys"] = json!(["a"]);
    let deny = async |action: &str, more: &str| {
        let policy = document(&[statement("Deny", action, &format!(r#","Principal":"*"{more}"#))]);
        let body = json!({"SecretId": "ssm/app/db", "ResourcePolicy": policy});
        world.ask("secretsmanager.PutResourcePolicy", body).await.unwrap();
    };
    let said = async |operation: &str, body: &Value| {
        world.ask(&format!("AmazonSSM.{operation}"), body.clone()).await.map(|_| ())
    };
    // Of a secret's own ARN and of another's.
    let read = "secretsmanager:GetSecretValue";
    let of = |name: &str| {
        format!(r#","Resource":"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:{name}-??????""#)
    };
    deny(read, &of("ssm/app/other")).await;
    assert_eq!(said("GetParameter", &name).await, Ok(()));
    deny(read, &of("ssm/app/db")).await;
    let by_path = json!({"Path": "/app"});
    for (operation, body) in [
        ("GetParameter", &name),
        ("GetParameters", &json!({"Names": ["/app/db"]})),
        ("GetParameterHistory", &name),
        ("GetParametersByPath", &by_path),
        ("GetParametersByPath", &json!({"Path": "/", "Recursive": true})),
    ] {
        assert_eq!(said(operation, body).await, refused(), "{operation}");
    }
    assert_eq!(said("ListTagsForResource", &resource).await, Ok(()));
    // A version's label decides as it does there.
    let old = r#","Condition":{"StringNotEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}"#;
    deny(read, old).await;
    assert_eq!(said("GetParameter", &name).await, Ok(()));
    assert_eq!(said("GetParameter", &json!({"Name": "/app/db:1"})).await, refused());
    assert_eq!(said("GetParameterHistory", &name).await, refused());
    for (action, operation, body) in [
        ("PutSecretValue", "PutParameter", &put("3")),
        ("UpdateSecretVersionStage", "LabelParameterVersion", &label),
        ("UpdateSecretVersionStage", "UnlabelParameterVersion", &label),
        ("TagResource", "AddTagsToResource", &tag),
        ("UntagResource", "RemoveTagsFromResource", &untag),
        ("DescribeSecret", "ListTagsForResource", &resource),
        ("DeleteSecret", "DeleteParameters", &json!({"Names": ["/app/db"]})),
        ("DeleteSecret", "DeleteParameter", &name),
    ] {
        deny(&format!("secretsmanager:{action}"), "").await;
        assert_eq!(said(operation, body).await, refused(), "{operation}");
        deny("secretsmanager:RotateSecret", "").await;
        assert_eq!(said(operation, body).await, Ok(()), "{operation}");
        if operation == "DeleteParameters" {
            world.ask("AmazonSSM.PutParameter", put("4")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn one_bad_name_is_no_others_fault() {
    let world = World::new().await;
    let put = json!({"Name": "/a", "Value": "x", "Type": "String"});
    world.ask("AmazonSSM.PutParameter", put).await.unwrap();
    let bad = ["a b", "/a//b", "/a:", "arn:aws:ssm:eu-west-1:1:parameter/a", "/x=00", "/none"];
    let names: Vec<&str> = bad.iter().copied().chain(["/a"]).collect();
    let got = world.ask("AmazonSSM.GetParameters", json!({"Names": names})).await.unwrap();
    assert_eq!(got["Parameters"][0]["Name"], "/a");
    assert_eq!(got["InvalidParameters"], json!(bad));
    let done = world.ask("AmazonSSM.DeleteParameters", json!({"Names": names})).await.unwrap();
    assert_eq!(done, json!({"DeletedParameters": ["/a"], "InvalidParameters": bad}));
    let got = world.ask("AmazonSSM.GetParameters", json!({"Names": ["a b"]})).await.unwrap();
    assert_eq!(got, json!({"Parameters": [], "InvalidParameters": ["a b"]}));
    world.secret("db").await;
    let ids = json!(["a b", "db", "x=00", "arn:aws:secretsmanager:eu-west-1:1:secret:db"]);
    let batch = json!({"SecretIdList": ids});
    let got = world.ask("secretsmanager.BatchGetSecretValue", batch).await.unwrap();
    assert_eq!(got["SecretValues"][0]["Name"], "db");
    let said: Vec<(&Value, &Value)> = got["Errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (&error["SecretId"], &error["ErrorCode"]))
        .collect();
    assert_eq!(
        said,
        [
            (&ids[0], &json!("ValidationException")),
            (&ids[2], &json!("InvalidParameterException")),
            (&ids[3], &json!("ResourceNotFoundException")),
        ]
    );
}
