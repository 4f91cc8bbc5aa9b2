//! Keys, ciphertexts and contexts.

use super::*;

/// Clients read these texts: Terraform waits until a key `is pending deletion`.
#[tokio::test]
async fn failures_name_the_key_in_the_words_of_aws() {
    let world = World::new().await;
    let (id, arn) = world.kms_key().await;
    let alias = json!({"AliasName": "alias/app", "TargetKeyId": id});
    world.ask("TrentService.CreateAlias", alias).await.unwrap();
    let blob = world.encrypt(&id, json!({})).await;
    let said = async |operation: &str, body: Value| {
        let (status, body) =
            world.raw(&world.key, &format!("TrentService.{operation}"), body).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let text = body.get("message").or_else(|| body.get("Message")).cloned().unwrap_or_default();
        (status, body["__type"].as_str().unwrap().to_owned(), text.as_str().unwrap().to_owned())
    };
    let used = [
        ("Encrypt", json!({"KeyId": id, "Plaintext": "eA=="})),
        ("Encrypt", json!({"KeyId": "alias/app", "Plaintext": "eA=="})),
        ("GenerateDataKey", json!({"KeyId": arn, "KeySpec": "AES_256"})),
        ("Decrypt", json!({"CiphertextBlob": blob})),
        ("ReEncrypt", json!({"CiphertextBlob": blob, "DestinationKeyId": id})),
        ("RotateKeyOnDemand", json!({"KeyId": id})),
        ("EnableKeyRotation", json!({"KeyId": id})),
    ];
    world.ask("TrentService.DisableKey", json!({"KeyId": id})).await.unwrap();
    for (operation, body) in used.clone() {
        let want = (400, "DisabledException".to_owned(), format!("{arn} is disabled."));
        assert_eq!(said(operation, body).await, want, "{operation}");
    }
    let state = "KMSInvalidStateException".to_owned();
    let not = (400, state.clone(), format!("{arn} is not pending deletion."));
    assert_eq!(said("CancelKeyDeletion", json!({"KeyId": id})).await, not);
    world.ask("TrentService.ScheduleKeyDeletion", json!({"KeyId": id})).await.unwrap();
    let managed = [
        ("ScheduleKeyDeletion", json!({"KeyId": id})),
        ("EnableKey", json!({"KeyId": id})),
        ("TagResource", json!({"KeyId": arn, "Tags": [{"TagKey": "a", "TagValue": "b"}]})),
        ("CreateAlias", json!({"AliasName": "alias/other", "TargetKeyId": id})),
    ];
    for (operation, body) in used.into_iter().chain(managed) {
        let want = (400, state.clone(), format!("{arn} is pending deletion."));
        assert_eq!(said(operation, body).await, want, "{operation}");
    }
    let none = "00000000-0000-4000-8000-000000000000";
    let place = format!("arn:aws:kms:us-east-1:{ACCOUNT}");
    for (asked, text) in [
        (none.to_owned(), format!("Key '{place}:key/{none}' does not exist")),
        (format!("{place}:key/{none}"), format!("Key '{place}:key/{none}' does not exist")),
        ("alias/none".to_owned(), format!("Alias {place}:alias/none is not found.")),
        (format!("{place}:alias/none"), format!("Alias {place}:alias/none is not found.")),
    ] {
        let want = (400, "NotFoundException".to_owned(), text);
        assert_eq!(said("DescribeKey", json!({"KeyId": asked})).await, want);
        let body = json!({"KeyId": asked, "Plaintext": "eA=="});
        assert_eq!(said("Encrypt", body).await, want);
    }
    // Who may not use the key is told the same of one that is there, out of use, and not there.
    let stranger = world.room.key("nobody").await;
    let mut told = Vec::new();
    for asked in [id.as_str(), none] {
        let body = json!({"KeyId": asked, "Plaintext": "eA=="});
        let (status, body) = world.raw(&stranger, "TrentService.Encrypt", body).await;
        told.push((status, body.replace(asked, "KEY")));
    }
    assert!(told[0] == told[1] && told[0].1.contains("AccessDeniedException"), "{told:?}");
}

#[tokio::test]
async fn a_ciphertext_is_read_in_one_way() {
    let world = World::new().await;
    let (key, arn) = world.kms_key().await;
    let blob = world.encrypt(&key, json!({})).await;
    let deny = statement("Deny", "kms:Decrypt", &format!(r#","Resource":"{arn}""#));
    world.limit(&[statement("Allow", "*", ""), deny]).await;
    let decrypt =
        async |blob: &str| world.ask("TrentService.Decrypt", json!({"CiphertextBlob": blob})).await;
    assert_eq!(decrypt(&blob).await, refused());
    let (first, last) = blob.split_at(8);
    for odd in [format!("{first}\n{last}"), format!("{blob}\r\n"), format!(" {blob}")] {
        let said = decrypt(&odd).await;
        assert_eq!(said, Err("InvalidCiphertextException".to_owned()), "{odd:?}");
    }
    world.free().await;
    assert!(decrypt(&blob).await.is_ok());
}

#[tokio::test]
async fn each_half_of_a_re_encryption_sees_its_own_context() {
    let world = World::new().await;
    let (key, _) = world.kms_key().await;
    let blob = world.encrypt(&key, json!({"team": "red"})).await;
    let again = async |source: &str, destination: &str| {
        let body = json!({
            "CiphertextBlob": blob, "DestinationKeyId": key,
            "SourceEncryptionContext": {"team": source},
            "DestinationEncryptionContext": {"team": destination},
        });
        world.ask("TrentService.ReEncrypt", body).await.map(|_| ())
    };
    let when = |team: &str| {
        format!(r#","Condition":{{"StringEquals":{{"kms:EncryptionContext:team":"{team}"}}}}"#)
    };
    let all = statement("Allow", "*", "");
    world.limit(&[all.clone(), statement("Deny", "kms:ReEncryptFrom", &when("red"))]).await;
    assert_eq!(again("red", "blue").await, refused());
    world.limit(&[all.clone(), statement("Deny", "kms:ReEncryptFrom", &when("blue"))]).await;
    assert_eq!(again("red", "blue").await, Ok(()));
    world.limit(&[all.clone(), statement("Deny", "kms:ReEncryptTo", &when("blue"))]).await;
    assert_eq!(again("red", "blue").await, refused());
    world.limit(&[all, statement("Deny", "kms:ReEncryptTo", &when("red"))]).await;
    assert_eq!(again("red", "blue").await, Ok(()));
}

#[tokio::test]
async fn documents_are_asked_about_a_key_or_the_request_is_refused() {
    let world = World::new().await;
    let (key, arn) = world.kms_key().await;
    let deny = statement("Deny", "kms:*", &format!(r#","Resource":"{arn}""#));
    world.limit(&[statement("Allow", "*", ""), deny]).await;
    // What the door knows of this request has no region and no account.
    let wire = Wire::json("TrentService.GenerateRandom", r#"{"NumberOfBytes":7}"#);
    let wire = wire.signed(&world.key, "us-east-1", "kms", world.room.now());
    let path = format!("transit/aws/data-key/{key}");
    let (status, body) = world.room.send_to(&wire, Some(&path)).await.unwrap();
    assert_eq!((status, code(&body).as_str()), (400, "AccessDeniedException"), "{body}");
}
