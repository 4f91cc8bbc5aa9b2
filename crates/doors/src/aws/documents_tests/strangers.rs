//! Who has no right to a thing learns nothing of it: what is there and what is not answer the same, whatever
//! state it is in and whatever else is wrong with the request.

use super::*;

/// Operations of Secrets Manager on one secret, with members that are good and members that are not.
fn on_secrets(id: &str) -> Vec<(&'static str, Value)> {
    let all = [
        ("GetSecretValue", json!({})),
        ("GetSecretValue", json!({"VersionId": "11111111-1111-4111-8111-111111111111"})),
        ("GetSecretValue", json!({"VersionStage": "NONE"})),
        ("DescribeSecret", json!({})),
        ("PutSecretValue", json!({"SecretString": "y", "ClientRequestToken": TOKEN})),
        ("PutSecretValue", json!({"SecretString": "y", "VersionStages": ["A", "AWSCURRENT"]})),
        ("UpdateSecret", json!({"SecretString": "y", "ClientRequestToken": TOKEN})),
        ("UpdateSecret", json!({"Description": "y"})),
        (
            "UpdateSecretVersionStage",
            json!({"VersionStage": "AWSCURRENT", "MoveToVersionId": TOKEN}),
        ),
        (
            "UpdateSecretVersionStage",
            json!({"VersionStage": "AWSCURRENT", "RemoveFromVersionId": TOKEN}),
        ),
        ("ListSecretVersionIds", json!({})),
        ("ListSecretVersionIds", json!({"NextToken": "eA"})),
        ("DeleteSecret", json!({})),
        ("DeleteSecret", json!({"RecoveryWindowInDays": 7})),
        ("DeleteSecret", json!({"ForceDeleteWithoutRecovery": true})),
        ("RestoreSecret", json!({})),
        ("TagResource", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
        ("UntagResource", json!({"TagKeys": ["a"]})),
        ("PutResourcePolicy", json!({"ResourcePolicy": document(&[everybody()])})),
        ("GetResourcePolicy", json!({})),
        ("DeleteResourcePolicy", json!({})),
        ("RotateSecret", json!({})),
        (
            "RotateSecret",
            json!({"RotationLambdaARN": "f", "RotationRules": {"Duration": "1h", "ScheduleExpression": "rate(1 day)"}}),
        ),
        ("CancelRotateSecret", json!({})),
        ("ReplicateSecretToRegions", json!({"AddReplicaRegions": [{"Region": "eu-west-1"}]})),
        ("RemoveRegionsFromReplication", json!({"RemoveReplicaRegions": ["eu-west-1"]})),
        ("StopReplicationToReplica", json!({})),
    ];
    let mut all: Vec<_> = all
        .into_iter()
        .map(|(operation, mut body)| {
            body["SecretId"] = json!(id);
            (operation, body)
        })
        .collect();
    all.push(("BatchGetSecretValue", json!({"SecretIdList": [id]})));
    all
}

fn on_parameters(name: &str) -> Vec<(&'static str, Value)> {
    let put = |overwrite: bool| json!({"Name": name, "Value": "y", "Type": "String", "Overwrite": overwrite});
    vec![
        ("GetParameter", json!({"Name": name})),
        ("GetParameter", json!({"Name": format!("{name}:7")})),
        ("GetParameters", json!({"Names": [name]})),
        ("GetParameterHistory", json!({"Name": name})),
        ("PutParameter", put(false)),
        ("PutParameter", put(true)),
        ("DeleteParameter", json!({"Name": name})),
        ("DeleteParameters", json!({"Names": [name]})),
        ("LabelParameterVersion", json!({"Name": name, "Labels": ["l"]})),
        ("LabelParameterVersion", json!({"Name": name, "Labels": ["l"], "ParameterVersion": 9})),
        ("UnlabelParameterVersion", json!({"Name": name, "Labels": ["l"], "ParameterVersion": 9})),
        (
            "AddTagsToResource",
            json!({
                "ResourceType": "Parameter", "ResourceId": name,
                "Tags": [{"Key": "a", "Value": "b"}],
            }),
        ),
        (
            "RemoveTagsFromResource",
            json!({"ResourceType": "Parameter", "ResourceId": name, "TagKeys": ["a"]}),
        ),
        ("ListTagsForResource", json!({"ResourceType": "Parameter", "ResourceId": name})),
    ]
}

fn on_keys(id: &str) -> Vec<(&'static str, Value)> {
    let all = [
        ("Encrypt", json!({"Plaintext": "eA=="})),
        ("Decrypt", json!({"CiphertextBlob": "eA=="})),
        ("GenerateDataKey", json!({"KeySpec": "AES_256"})),
        ("GenerateDataKeyWithoutPlaintext", json!({"NumberOfBytes": 7})),
        ("DescribeKey", json!({})),
        ("EnableKey", json!({})),
        ("DisableKey", json!({})),
        ("UpdateKeyDescription", json!({"Description": "d"})),
        ("ScheduleKeyDeletion", json!({"PendingWindowInDays": 7})),
        ("CancelKeyDeletion", json!({})),
        ("EnableKeyRotation", json!({})),
        ("GetKeyRotationStatus", json!({})),
        ("RotateKeyOnDemand", json!({})),
        ("GetKeyPolicy", json!({})),
        ("TagResource", json!({"Tags": [{"TagKey": "a", "TagValue": "b"}]})),
        ("UntagResource", json!({"TagKeys": ["a"]})),
        ("ListResourceTags", json!({})),
    ];
    let with_id = |(operation, mut body): (&'static str, Value)| {
        body["KeyId"] = json!(id);
        (operation, body)
    };
    // What manages keys takes no alias: that is no matter of which there are.
    let used = if id.contains("alias/") { 5 } else { all.len() };
    let mut all: Vec<_> = all.into_iter().take(used).map(with_id).collect();
    if !id.contains("alias/") {
        all.push(("CreateAlias", json!({"AliasName": "alias/new", "TargetKeyId": id})));
        all.push(("UpdateAlias", json!({"AliasName": "alias/known", "TargetKeyId": id})));
        all.push(("ListAliases", json!({"KeyId": id})));
    }
    all
}

fn everybody() -> String {
    statement("Deny", "*", r#","Principal":"*""#)
}

/// What a caller learns of each of some things, by the same requests.
async fn told(
    world: &World,
    key: &Key,
    service: &str,
    names: &[String],
    requests: impl Fn(&str) -> Vec<(&'static str, Value)>,
) {
    let mut expect: Option<Vec<(u16, String)>> = None;
    for name in names {
        let mut said = Vec::new();
        for (operation, body) in requests(name) {
            let target = format!("{service}.{operation}");
            let (status, body) = world.raw(key, &target, body).await;
            assert!(body.contains("AccessDenied"), "{name} {operation}: {status} {body}");
            said.push((status, body.replace(name.trim_start_matches('/'), "NAME")));
        }
        let expect = expect.get_or_insert_with(|| said.clone());
        for (at, (own, first)) in said.iter().zip(expect.iter()).enumerate() {
            let (operation, body) = &requests(name)[at];
            assert_eq!(own, first, "{name}: {operation} {body}");
        }
    }
}

/// A world with two strangers: one whom policy allows nothing, and one whom policy allows all and his
/// document nothing of what is asked.
async fn strangers() -> (World, Vec<Key>) {
    let world = World::new().await;
    world.room.role("none", json!({})).await;
    let limits = document(&[statement("Allow", "sts:*", "")]);
    let narrow = json!({"token_policies": "all", "policy_document": limits});
    world.room.role("narrow", narrow).await;
    let keys = vec![world.room.key("none").await, world.room.key("narrow").await];
    (world, keys)
}

#[tokio::test]
async fn a_secret_that_is_there_reads_like_none() {
    let (world, keys) = strangers().await;
    for name in ["plain1", "gone1", "tagged", "guarded"] {
        world.secret(name).await;
    }
    world.ask("secretsmanager.DeleteSecret", json!({"SecretId": "gone1"})).await.unwrap();
    let tags = json!({"SecretId": "tagged", "Tags": [{"Key": "a", "Value": "b"}]});
    world.ask("secretsmanager.TagResource", tags).await.unwrap();
    let deny = json!({"SecretId": "guarded", "ResourcePolicy": document(&[everybody()])});
    world.ask("secretsmanager.PutResourcePolicy", deny).await.unwrap();
    let names = ["missing", "plain1", "gone1", "tagged", "guarded"].map(str::to_owned);
    let arn = |name: &String| format!("arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:{name}");
    let free = world.ask("secretsmanager.DescribeSecret", json!({"SecretId": "plain1"})).await;
    let whole = free.unwrap()["ARN"].as_str().unwrap().to_owned();
    let guessed = format!("{}AAAAAA", whole.get(..whole.len() - 6).unwrap());
    for key in &keys {
        told(&world, key, "secretsmanager", &names, on_secrets).await;
        let arns: Vec<String> = names.iter().map(arn).collect();
        told(&world, key, "secretsmanager", &arns, on_secrets).await;
        // Whoever has the six characters learns no more than who guesses them.
        for id in [&whole, &guessed] {
            for (operation, body) in on_secrets(id) {
                let target = format!("secretsmanager.{operation}");
                let (_, said) = world.raw(key, &target, body.clone()).await;
                let mut other = body;
                other["SecretId"] = json!(arn(&"plain1".to_owned()));
                if operation != "BatchGetSecretValue" {
                    let (_, without) = world.raw(key, &target, other).await;
                    assert_eq!(said, without, "{operation}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_there_reads_like_none() {
    let (world, keys) = strangers().await;
    for name in ["/plain", "/guarded"] {
        let put = json!({"Name": name, "Value": "x", "Type": "SecureString"});
        world.ask("AmazonSSM.PutParameter", put).await.unwrap();
    }
    world.kept_policy("ssm/guarded", &document(&[everybody()])).await;
    world.secret("there").await;
    let names = ["/missing", "/plain", "/guarded"].map(str::to_owned);
    let references = ["missing", "there"].map(|n| format!("/aws/reference/secretsmanager/{n}"));
    let get = |name: &str| vec![("GetParameter", json!({"Name": name, "WithDecryption": true}))];
    for key in &keys {
        told(&world, key, "AmazonSSM", &names, on_parameters).await;
        told(&world, key, "AmazonSSM", &references, get).await;
    }
}

#[tokio::test]
async fn a_key_that_is_there_reads_like_none() {
    let (world, keys) = strangers().await;
    let (plain, arn) = world.kms_key().await;
    let (disabled, _) = world.kms_key().await;
    let (due, _) = world.kms_key().await;
    world.ask("TrentService.DisableKey", json!({"KeyId": disabled})).await.unwrap();
    let schedule = json!({"KeyId": due, "PendingWindowInDays": 7});
    world.ask("TrentService.ScheduleKeyDeletion", schedule).await.unwrap();
    let alias = json!({"AliasName": "alias/known", "TargetKeyId": plain});
    world.ask("TrentService.CreateAlias", alias).await.unwrap();
    let missing = "00000000-1111-4222-8333-444444444444".to_owned();
    let arns = [arn.replace(&plain, &missing), arn];
    let aliases = ["alias/missing", "alias/known"].map(str::to_owned);
    let delete = |name: &str| vec![("DeleteAlias", json!({"AliasName": name}))];
    for key in &keys {
        let ids = [missing.clone(), plain.clone(), disabled.clone(), due.clone()];
        told(&world, key, "TrentService", &ids, on_keys).await;
        told(&world, key, "TrentService", &arns, on_keys).await;
        told(&world, key, "TrentService", &aliases, on_keys).await;
        told(&world, key, "TrentService", &aliases, delete).await;
    }
}
