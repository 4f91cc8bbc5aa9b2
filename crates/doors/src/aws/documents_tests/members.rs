//! Members of requests that conditions see.

use super::*;

#[tokio::test]
async fn names_that_differ_in_their_case_alone_are_refused() {
    let world = World::new().await;
    let (key, _) = world.kms_key().await;
    let invalid = || Err("ValidationException".to_owned());
    let tag = |key: &str| json!({"Key": key, "Value": "x"});
    let secret = |tags: Value| {
        json!({
            "Name": "a", "SecretString": "x", "ClientRequestToken": TOKEN, "Tags": tags,
        })
    };
    let tags = json!([tag("team"), tag("Team")]);
    assert_eq!(world.ask("secretsmanager.CreateSecret", secret(tags.clone())).await, invalid());
    let parameter = json!({"Name": "/a", "Value": "x", "Type": "String", "Tags": tags});
    assert_eq!(world.ask("AmazonSSM.PutParameter", parameter).await, invalid());
    let encrypt =
        |context: Value| json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": context});
    let odd = encrypt(json!({"team": "a", "TEAM": "b"}));
    assert_eq!(world.ask("TrentService.Encrypt", odd).await, invalid());
    let odd = json!({
        "CiphertextBlob": world.encrypt(&key, json!({})).await, "DestinationKeyId": key,
        "DestinationEncryptionContext": {"team": "a", "TEAM": "b"},
    });
    assert_eq!(world.ask("TrentService.ReEncrypt", odd).await, invalid());
    let both = secret(json!([tag("team"), tag("teams")]));
    assert!(world.ask("secretsmanager.CreateSecret", both).await.is_ok());
}

#[tokio::test]
async fn what_conditions_see_is_bounded() {
    let world = World::new().await;
    let (key, _) = world.kms_key().await;
    let invalid = || Err("ValidationException".to_owned());
    let encrypt = |length: usize| {
        json!({
            "KeyId": key, "Plaintext": "eA==", "EncryptionContext": {"k": "v".repeat(length)},
        })
    };
    assert!(world.ask("TrentService.Encrypt", encrypt(8_191)).await.is_ok());
    // Denied to this caller: but the length is seen before the documents are.
    world.limit(&[statement("Deny", "*", "")]).await;
    assert_eq!(world.ask("TrentService.Encrypt", encrypt(8_192)).await, invalid());
    let secret = |description: usize, value: usize| {
        json!({
            "Name": "a", "SecretString": "x", "Description": "d".repeat(description),
            "Tags": [{"Key": "k", "Value": "v".repeat(value)}],
        })
    };
    for body in [secret(9_000, 1), secret(1, 9_000)] {
        assert_eq!(world.ask("secretsmanager.CreateSecret", body).await, invalid());
    }
    let many: Vec<Value> =
        (0..1_000).map(|i| json!({"Key": format!("k{i}"), "Value": "v".repeat(256)})).collect();
    let body = json!({"SecretId": "a", "Tags": many});
    assert_eq!(world.ask("secretsmanager.TagResource", body).await, invalid());
    let tags = json!([{"Key": "k", "Value": "v".repeat(257)}]);
    let body = json!({"Name": "/a", "Value": "x", "Type": "String", "Tags": tags});
    assert_eq!(world.ask("AmazonSSM.PutParameter", body).await, invalid());
    assert_eq!(world.ask("secretsmanager.CreateSecret", secret(1, 1)).await, refused());
}
