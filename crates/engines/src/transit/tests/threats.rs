//! What systems of this kind have failed by before.

use serde_json::{Value, json};

use super::{Room, b64};

/// Threat GHSA-8w8f-r2xv-4q4j: no combination of parameters is a failure of the server's own. Each
/// field of each operation has each odd value, with the others as they should be.
#[tokio::test]
async fn odd_parameters_are_refused_and_break_nothing() {
    let room = Room::new().await;
    for kind in ["aes256-gcm96", "ed25519", "ecdsa-p521", "hmac"] {
        room.key(kind, json!({ "type": kind })).await;
    }
    room.key("d", json!({ "derived": true, "convergent_encryption": true })).await;
    let sealed = room.encrypt("aes256-gcm96", "text").await;
    let operations = [
        ("keys/new", json!({ "type": "aes256-gcm96", "derived": true, "key_size": 0 })),
        ("keys/h", json!({ "type": "hmac", "key_size": 32, "auto_rotate_period": "1h" })),
        (
            "keys/aes256-gcm96/config",
            json!({ "min_decryption_version": 1, "min_encryption_version": 1 }),
        ),
        ("keys/aes256-gcm96/trim", json!({ "min_available_version": 1 })),
        ("keys/other/import", json!({ "type": "ed25519", "ciphertext": "", "public_key": "" })),
        ("keys/ed25519/import_version", json!({ "version": 1, "hash_function": "SHA256" })),
        ("keys/ed25519/csr", json!({ "version": 1, "csr": "" })),
        ("keys/ed25519/set-certificate", json!({ "version": 1, "certificate_chain": "" })),
        (
            "encrypt/aes256-gcm96",
            json!({
                "plaintext": b64("x"), "context": "", "key_version": 1, "associated_data": "",
                "type": "aes256-gcm96", "convergent_encryption": false, "batch_input": null,
                "partial_failure_response_code": 400,
            }),
        ),
        ("encrypt/d", json!({ "plaintext": "", "context": b64("c"), "associated_data": "" })),
        ("decrypt/aes256-gcm96", json!({ "ciphertext": sealed, "batch_input": null })),
        ("rewrap/aes256-gcm96", json!({ "ciphertext": sealed, "key_version": 1 })),
        ("datakey/wrapped/aes256-gcm96", json!({ "bits": 256, "key_version": 1 })),
        (
            "sign/ecdsa-p521",
            json!({
                "input": "", "prehashed": true, "hash_algorithm": "sha1", "key_version": 1,
                "marshaling_algorithm": "jws", "salt_length": "1", "signature_algorithm": "pss",
            }),
        ),
        ("sign/ed25519", json!({ "input": "", "context": "", "batch_input": null })),
        (
            "verify/ecdsa-p521",
            json!({ "input": "", "signature": "vault:v1:AA==", "hmac": null, "prehashed": true }),
        ),
        ("verify/hmac", json!({ "input": "", "hmac": "vault:v1:AA==", "batch_input": null })),
        ("hmac/hmac", json!({ "input": "", "algorithm": "sha1", "key_version": 1 })),
        ("hash", json!({ "input": "", "algorithm": "sha2-256", "format": "hex" })),
        ("random", json!({ "bytes": 1, "format": "hex", "source": "all" })),
        ("restore", json!({ "backup": "", "name": "x", "force": true })),
        ("derive-key/x", json!({ "base_key_name": "ed25519", "peer_public_key": "" })),
        ("cache-config", json!({ "size": 0 })),
        ("config/keys", json!({ "disable_upsert": false })),
    ];
    let long = "A".repeat(100_000);
    let odd = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("äöü"),
        json!("===="),
        json!("vault:v9223372036854775807:AAAA"),
        json!("vault:v-9223372036854775808:"),
        json!(b64("{\"policy\":{\"type\":3,\"latest_version\":1,\"keys\":{\"1\":{}}}}")),
        json!(long),
        json!([]),
        json!([{}]),
        json!([{ "plaintext": null, "input": "AA==", "ciphertext": "vault:v1:", "hmac": "" }]),
        json!([[[]]]),
        json!({ "a": {} }),
    ];
    for (path, body) in &operations {
        for field in body.as_object().unwrap().keys() {
            for value in &odd {
                let mut body = body.clone();
                body[field] = value.clone();
                let got = room.call("WRITE", path, body).await;
                let fine = matches!(got.status, 200 | 204 | 400);
                assert!(fine, "{path} {field}: {got:?}");
            }
        }
    }
    assert_eq!(room.decrypt("aes256-gcm96", &sealed).await, "text");
}

/// Threats CVE-2025-62513, CVE-2025-62705: nothing that is encrypted, signed, exported or backed up
/// stands in the audit log as it is.
#[tokio::test]
async fn the_audit_log_has_neither_plaintexts_nor_keys() {
    let room = Room::new().await;
    let open = json!({ "exportable": true, "allow_plaintext_backup": true });
    room.key("k", open).await;
    let canary = b64("the canary of an input");
    let item = json!({ "plaintext": canary, "input": canary });
    let sealed = room.write("encrypt/k", item.clone()).await["ciphertext"].clone();
    room.write("encrypt/k", json!({ "batch_input": [item] })).await;
    room.write("decrypt/k", json!({ "ciphertext": sealed })).await;
    room.write("hmac/k", json!({ "input": canary })).await;
    room.refused("encrypt/k", json!({ "plaintext": canary, "key_version": 9 }), "").await;
    let mut secrets = vec![canary];
    let data_key = room.write("datakey/plaintext/k", json!({})).await;
    secrets.push(data_key["plaintext"].as_str().unwrap().to_owned());
    let exported = room.read("export/encryption-key/k").await;
    secrets.push(exported["keys"]["1"].as_str().unwrap().to_owned());
    let backup = room.read("backup/k").await;
    secrets.push(backup["backup"].as_str().unwrap().to_owned());
    room.write("restore/again", json!({ "backup": backup["backup"] })).await;
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    assert!(log.contains("transit/encrypt/k"));
    for secret in secrets {
        assert!(secret.len() > 20 && !log.contains(&secret));
    }
}

/// Threats CVE-2026-45808, GHSA-c36x-h252-g9x2: a key belongs to its mount; another one's of the same
/// name opens nothing of it, in the same namespace or in another.
#[tokio::test]
async fn keys_of_two_mounts_are_two() {
    let room = Room::new().await;
    room.node.mount("transit", "other/").await;
    room.key("k", json!({})).await;
    let sealed = room.encrypt("k", "text").await;
    let body = json!({ "ciphertext": sealed });
    let got = room.node.root("WRITE", "other/decrypt/k", body.clone()).await;
    assert_eq!(got.status, 400);
    room.node.root("WRITE", "other/keys/k", json!({})).await;
    let got = room.node.root("WRITE", "other/decrypt/k", body.clone()).await;
    assert!(got.errors().contains("message authentication failed"), "{got:?}");
    room.node.root("WRITE", "sys/namespaces/team", json!({})).await;
    let got = room.node.call_in("team", "WRITE", "transit/decrypt/k", &room.node.root, body).await;
    assert_eq!(got.status, 404, "{got:?}");
}
