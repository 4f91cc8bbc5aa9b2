//! Keys, ciphertexts and contexts.

use super::*;

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
