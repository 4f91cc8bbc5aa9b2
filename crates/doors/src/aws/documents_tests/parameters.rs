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
async fn a_policy_that_was_kept_for_a_parameter_holds() {
    let world = World::new().await;
    let put = |overwrite: bool| json!({"Name": "/app/db", "Value": "x", "Type": "String", "Overwrite": overwrite});
    world.ask("AmazonSSM.PutParameter", put(false)).await.unwrap();
    let deny = document(&[statement("Deny", "ssm:*", r#","Principal":"*""#)]);
    world.kept_policy("ssm/app/db", &deny).await;
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
    let path = "secret/aws/delete-resource-policy/ssm/app/db";
    assert_eq!(world.room.node.root("AWS", path, json!({})).await.status, 200);
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
        world.kept_policy("ssm/app/db", &policy).await;
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

/// What one service is refused, the other does not do in its place.
#[tokio::test]
async fn parameters_are_no_secrets_and_secrets_no_parameters() {
    let world = World::new().await;
    let put = json!({"Name": "/dn/x", "Value": "canary", "Type": "SecureString"});
    world.ask("AmazonSSM.PutParameter", put).await.unwrap();
    let seen = world.room.node.root("AWS", "secret/aws/describe-secret/ssm/dn/x", json!({})).await;
    let suffix = seen.data()["suffix"].as_str().unwrap().to_owned();
    let arn = format!("arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:ssm/dn/x");
    let arns = [arn.clone(), format!("{arn}-{suffix}"), "ssm/dn/x".to_owned()];
    let plain = document(&[statement("Deny", "ssm:*", r#","Principal":"*""#)]);
    for id in &arns {
        for (operation, more) in [
            ("GetSecretValue", json!({})),
            ("DescribeSecret", json!({})),
            ("PutSecretValue", json!({"SecretString": "x"})),
            ("UpdateSecret", json!({"SecretString": "x"})),
            (
                "UpdateSecretVersionStage",
                json!({"VersionStage": "AWSPENDING", "MoveToVersionId": TOKEN}),
            ),
            ("ListSecretVersionIds", json!({})),
            ("DeleteSecret", json!({})),
            ("RestoreSecret", json!({})),
            ("TagResource", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
            ("UntagResource", json!({"TagKeys": ["a"]})),
            ("PutResourcePolicy", json!({"ResourcePolicy": plain})),
            ("GetResourcePolicy", json!({})),
            ("DeleteResourcePolicy", json!({})),
            ("RotateSecret", json!({"RotationLambdaARN": "strongroom-mysql-single-user"})),
            ("CancelRotateSecret", json!({})),
        ] {
            let mut body = more;
            body["SecretId"] = json!(id);
            let said = world.ask(&format!("secretsmanager.{operation}"), body).await;
            assert_eq!(said, Err("ResourceNotFoundException".to_owned()), "{operation} {id}");
        }
        let batch = json!({"SecretIdList": [id]});
        let got = world.ask("secretsmanager.BatchGetSecretValue", batch).await.unwrap();
        assert_eq!(got["SecretValues"], json!([]), "{got}");
        assert_eq!(got["Errors"][0]["ErrorCode"], "ResourceNotFoundException", "{got}");
        let force = json!({"SecretId": id, "ForceDeleteWithoutRecovery": true});
        world.ask("secretsmanager.DeleteSecret", force).await.unwrap();
    }
    for filters in [
        json!([]),
        json!([{"Key": "name", "Values": ["ssm/"]}]),
        json!([{"Key": "all", "Values": ["x"]}]),
    ] {
        let body = json!({"Filters": filters, "IncludePlannedDeletion": true});
        let got = world.ask("secretsmanager.ListSecrets", body).await.unwrap();
        assert_eq!(got, json!({"SecretList": []}), "{filters}");
        if filters != json!([]) {
            let body = json!({"Filters": filters});
            let got = world.ask("secretsmanager.BatchGetSecretValue", body).await.unwrap();
            assert_eq!(got, json!({"SecretValues": [], "Errors": []}), "{filters}");
        }
    }
    // A secret of the name that the parameter's path has is another thing, at both.
    world.secret("ssm/dn/x").await;
    let name = json!({"Name": "/dn/x", "WithDecryption": true});
    let got = world.ask("AmazonSSM.GetParameter", name.clone()).await.unwrap();
    assert_eq!(got["Parameter"]["Value"], "canary");
    let secret = json!({"SecretId": "ssm/dn/x"});
    let got = world.ask("secretsmanager.GetSecretValue", secret.clone()).await.unwrap();
    assert_eq!((&got["SecretString"], &got["Name"]), (&json!("x"), &json!("ssm/dn/x")));
    let at = world.room.node.root("READ", "secret/data/~ssm/dn/x", Value::Null).await;
    assert_eq!(at.data()["data"], json!({"value": "x"}));
    let got = world.ask("secretsmanager.ListSecrets", json!({})).await.unwrap();
    assert_eq!(got["SecretList"].as_array().unwrap().len(), 1);
    let by_path = json!({"Path": "/", "Recursive": true});
    let got = world.ask("AmazonSSM.GetParametersByPath", by_path).await.unwrap();
    assert_eq!(got["Parameters"].as_array().unwrap().len(), 1);
    // A reference means the secret, and needs what both services need.
    let reference =
        json!({"Name": "/aws/reference/secretsmanager/ssm/dn/x", "WithDecryption": true});
    let got = world.ask("AmazonSSM.GetParameter", reference.clone()).await.unwrap();
    assert_eq!(got["Parameter"]["Value"], "x");
    let all = statement("Allow", "*", "");
    world.limit(&[all.clone(), statement("Deny", "ssm:*", "")]).await;
    assert_eq!(world.ask("AmazonSSM.GetParameter", name.clone()).await, refused());
    assert!(world.ask("secretsmanager.GetSecretValue", secret.clone()).await.is_ok());
    world.limit(&[all, statement("Deny", "secretsmanager:*", "")]).await;
    assert!(world.ask("AmazonSSM.GetParameter", name).await.is_ok());
    assert_eq!(world.ask("secretsmanager.GetSecretValue", secret).await, refused());
    assert_eq!(world.ask("AmazonSSM.GetParameter", reference).await, refused());
}

#[tokio::test]
async fn a_version_names_its_writer_by_the_arn() {
    let world = World::new().await;
    let put = json!({"Name": "/app/db", "Value": "1", "Type": "String"});
    world.ask("AmazonSSM.PutParameter", put).await.unwrap();
    let body = json!({"data": {"value": "2"}});
    world.room.node.root("WRITE", "secret/data/ssm/app/db", body).await;
    let name = json!({"Name": "/app/db"});
    let history = world.ask("AmazonSSM.GetParameterHistory", name).await.unwrap();
    let user =
        |at: usize| history["Parameters"][at]["LastModifiedUser"].as_str().unwrap().to_owned();
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ci");
    assert_eq!(user(0), arn);
    assert_ne!(user(1), arn, "another door's writer is not the one before");
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
