//! Encryption: what opens, and what does not.

use super::*;

/// A blob with one of its bytes changed.
fn changed(blob: &str, at: usize) -> String {
    let mut bytes = STANDARD.decode(blob).unwrap();
    bytes[at] ^= 1;
    STANDARD.encode(bytes)
}

#[tokio::test]
async fn what_was_changed_does_not_open() {
    let room = Room::new().await;
    let (key, other) = (room.key().await, room.key().await);
    let context = json!({ "app": "db", "stage": "prod" });
    let blob = room.encrypt(&key, "the plaintext", context.clone()).await;
    const INVALID: &str = "InvalidCiphertextException";
    const DENIED: &str = "AccessDeniedException";
    for wrong in [
        json!({}),
        json!({ "app": "db" }),
        json!({ "app": "db", "stage": "prod", "x": "" }),
        json!({ "app": "prod", "stage": "db" }),
        json!({ "App": "db", "stage": "prod" }),
    ] {
        let body = json!({ "ciphertext": blob, "context": wrong });
        room.refused("decrypt", body.clone(), INVALID).await;
        room.refused(&format!("decrypt/{key}"), body, INVALID).await;
    }
    let length = STANDARD.decode(&blob).unwrap().len();
    for at in 0..length {
        let body = json!({ "ciphertext": changed(&blob, at), "context": context });
        // Another id names a key that is not here, and so does the way in which it is written.
        let code = if (4..21).contains(&at) { DENIED } else { INVALID };
        let code = if at == 4 { DENIED } else { code };
        room.refused("decrypt", body.clone(), code).await;
        let code = if (4..21).contains(&at) { "IncorrectKeyException" } else { INVALID };
        room.refused(&format!("decrypt/{key}"), body, code).await;
    }
    for blob in ["", "AAAA", "no base64", &STANDARD.encode(vec![7; 6_145])] {
        room.refused("decrypt", json!({ "ciphertext": blob }), INVALID).await;
    }
    room.refused("decrypt", json!({}), INVALID).await;
    let body = json!({ "ciphertext": blob, "context": context });
    room.refused(&format!("decrypt/{other}"), body.clone(), "IncorrectKeyException").await;
    // Neither does it open at Vault's door, whatever is said to be authenticated with it.
    let sealed = format!("vault:v1:{}", STANDARD.encode(&STANDARD.decode(&blob).unwrap()[41..]));
    let got = room.vault("WRITE", &format!("decrypt/{key}"), json!({ "ciphertext": sealed })).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert_eq!(room.decrypt(&blob, context).await, "the plaintext");
}

#[tokio::test]
async fn a_round_trip() {
    let room = Room::new().await;
    let key = room.key().await;
    let context = json!({ "b": "2", "a": "1" });
    let blob = room.encrypt(&key, "text", context).await;
    assert_eq!(room.decrypt(&blob, json!({ "a": "1", "b": "2" })).await, "text");
    assert_ne!(blob, room.encrypt(&key, "text", json!({ "a": "1", "b": "2" })).await);
    // No context, and an empty one.
    let blob = room.encrypt(&key, "text", json!({})).await;
    assert_eq!(room.decrypt(&blob, Value::Null).await, "text");
    let body = json!({ "ciphertext": blob });
    let opened = room.ok(&format!("decrypt/{key}"), body.clone()).await;
    assert_eq!((text(&opened["key_id"]), text(&opened["material"]).len()), (key.clone(), 64));
    room.ok("create-alias/app", json!({ "target": key })).await;
    assert_eq!(room.ok("decrypt/alias/app", body).await["key_id"], json!(key));
    // From the shortest plaintext to the longest.
    for length in [1, 4_096] {
        let plain = "x".repeat(length);
        let blob = room.encrypt("alias/app", &plain, json!({})).await;
        assert!(STANDARD.decode(&blob).unwrap().len() == length + 57);
        assert_eq!(room.decrypt(&blob, json!({})).await, plain);
    }
    for plain in [json!(""), json!(STANDARD.encode("x".repeat(4_097))), json!("*"), Value::Null] {
        let body = json!({ "plaintext": plain });
        room.refused(&format!("encrypt/{key}"), body, "ValidationException").await;
    }
    let long = json!({ "plaintext": "AA==", "context": { "k": "v".repeat(8_192) } });
    room.refused(&format!("encrypt/{key}"), long, "ValidationException").await;
    for path in ["encrypt", "data-key", "wrapped-key"] {
        let body = json!({ "plaintext": "AA==", "bytes": 32, "dry_run": true });
        room.refused(&format!("{path}/{key}"), body, "DryRunOperationException").await;
    }
}

#[tokio::test]
async fn data_keys_and_random_bytes() {
    let room = Room::new().await;
    let key = room.key().await;
    let context = json!({ "purpose": "file" });
    let body = json!({ "bytes": 32, "context": context });
    let made = room.ok(&format!("data-key/{key}"), body.clone()).await;
    let plain = STANDARD.decode(text(&made["plaintext"])).unwrap();
    assert_eq!(plain.len(), 32);
    let open = json!({ "ciphertext": made["ciphertext"], "context": context });
    assert_eq!(room.ok("decrypt", open).await["plaintext"], made["plaintext"]);
    let made = room.ok(&format!("wrapped-key/{key}"), body).await;
    assert!(made["plaintext"].is_null() && made["ciphertext"].is_string());
    for bytes in [json!(0), json!(1_025), json!(-1), Value::Null] {
        for path in [format!("data-key/{key}"), format!("wrapped-key/{key}"), "random".into()] {
            room.refused(&path, json!({ "bytes": bytes }), "ValidationException").await;
        }
    }
    for bytes in [1, 1_024] {
        let made = room.ok("random", json!({ "bytes": bytes })).await;
        assert_eq!(STANDARD.decode(text(&made["plaintext"])).unwrap().len(), bytes);
    }
}

#[tokio::test]
async fn re_encryption() {
    let room = Room::new().await;
    let (old, new) = (room.key().await, room.key().await);
    let blob = room.encrypt(&old, "text", json!({ "a": "1" })).await;
    let mut body = json!({ "ciphertext": blob, "context": { "b": "2" } });
    let path = format!("re-encrypt/{new}");
    room.refused(&path, body.clone(), "InvalidCiphertextException").await;
    body["source_context"] = json!({ "a": "1" });
    body["source_key"] = json!(new);
    room.refused(&path, body.clone(), "IncorrectKeyException").await;
    for source in [Value::Null, json!(old)] {
        body["source_key"] = source;
        let made = room.ok(&path, body.clone()).await;
        assert_eq!((&made["source_key_id"], &made["key_id"]), (&json!(old), &json!(new)));
        let again = text(&made["ciphertext"]);
        assert_eq!(room.decrypt(&again, json!({ "b": "2" })).await, "text");
        assert!(made["plaintext"].is_null());
    }
    // Under the same key, with another context.
    body["source_key"] = Value::Null;
    let made = room.ok(&format!("re-encrypt/{old}"), body).await;
    assert_eq!(room.decrypt(&text(&made["ciphertext"]), json!({ "b": "2" })).await, "text");
}

#[tokio::test]
async fn keys_of_vaults_door_seal_with_their_own_cipher() {
    let room = Room::new().await;
    for kind in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"] {
        room.vault("WRITE", &format!("keys/{kind}"), json!({ "type": kind })).await;
    }
    let ids = room.ok("list-keys", json!({})).await["keys"].clone();
    let ids: Vec<String> = ids.as_array().unwrap().iter().map(text).collect();
    assert_eq!(ids.len(), 4);
    for id in &ids {
        let blob = room.encrypt(id, "text", json!({ "a": "b" })).await;
        assert_eq!(room.decrypt(&blob, json!({ "a": "b" })).await, "text");
        let body = json!({ "ciphertext": changed(&blob, 57), "context": { "a": "b" } });
        room.refused("decrypt", body, "InvalidCiphertextException").await;
    }
}

/// Threats CVE-2025-62513, CVE-2025-62705: neither plaintexts nor data keys stand in the audit log.
#[tokio::test]
async fn the_audit_log_has_no_plaintext() {
    let room = Room::new().await;
    let key = room.key().await;
    let canary = "the canary of a plaintext";
    let blob = room.encrypt(&key, canary, json!({ "canary-name": "canary-value" })).await;
    room.decrypt(&blob, json!({ "canary-name": "canary-value" })).await;
    let made = room.ok(&format!("data-key/{key}"), json!({ "bytes": 32 })).await;
    let random = room.ok("random", json!({ "bytes": 32 })).await;
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    assert!(log.contains(&format!("transit/aws/encrypt/{key}")));
    let secrets = [STANDARD.encode(canary), text(&made["plaintext"]), text(&random["plaintext"])];
    for secret in secrets.iter().map(String::as_str).chain(["canary-value"]) {
        assert!(!log.contains(secret), "{secret}");
    }
}
