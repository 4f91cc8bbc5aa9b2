//! Keys of ML-DSA and ML-KEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_crypto::keys::{Hash, PublicKey};
use strongroom_crypto::keywrap;
use strongroom_crypto::ml_dsa::{MlDsa, verify};
use strongroom_crypto::ml_kem::{MlKem, MlKemKey};

use super::{Room, b64, unb64};

const SIGNING: [(&str, MlDsa); 3] =
    [("44", MlDsa::MlDsa44), ("65", MlDsa::MlDsa65), ("87", MlDsa::MlDsa87)];
const SEALING: [(&str, MlKem); 3] =
    [("512", MlKem::MlKem512), ("768", MlKem::MlKem768), ("1024", MlKem::MlKem1024)];

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("a text")).expect("base64")
}

fn signature_of(made: &Value) -> Vec<u8> {
    let text = made["signature"].as_str().expect("a signature");
    STANDARD.decode(text.strip_prefix("vault:v1:").expect("of version 1")).expect("base64")
}

#[tokio::test]
async fn signatures_verify_here_and_by_the_public_key() {
    let room = Room::new().await;
    for (set, parameters) in SIGNING {
        let name = format!("d{set}");
        room.key(&name, json!({ "type": "ml-dsa", "parameter_set": set })).await;
        let shown = room.read(&format!("keys/{name}")).await;
        assert_eq!((&shown["type"], &shown["parameter_set"]), (&json!("ml-dsa"), &json!(set)));
        for (what, expect) in [
            ("supports_signing", true),
            ("supports_encryption", false),
            ("supports_decryption", false),
            ("supports_derivation", false),
        ] {
            assert_eq!(shown[what], expect, "{what}");
        }
        assert_eq!(shown["keys"]["1"]["name"], format!("ml-dsa-{set}"));
        let pem = shown["keys"]["1"]["public_key"].as_str().unwrap();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
        let spki =
            bytes(&room.read(&format!("export/public-key/{name}?format=der")).await["keys"]["1"]);
        let input = json!({ "input": b64("message") });
        let made = room.write(&format!("sign/{name}"), input.clone()).await;
        assert!(verify(parameters, &spki, b"message", &signature_of(&made)));
        for (text, valid) in [("message", true), ("massage", false)] {
            let body = json!({ "input": b64(text), "signature": made["signature"] });
            let verified = room.write(&format!("verify/{name}"), body).await;
            assert_eq!(verified["valid"], valid, "{text}");
        }
        // A version that was rotated away verifies on.
        room.write(&format!("keys/{name}/rotate"), json!({})).await;
        let body = json!({ "input": b64("message"), "signature": made["signature"] });
        assert_eq!(room.write(&format!("verify/{name}"), body).await["valid"], true);
        let later = room.write(&format!("sign/{name}"), input).await;
        assert!(later["signature"].as_str().unwrap().starts_with("vault:v2:"));
        let jws = json!({ "input": b64("m"), "marshaling_algorithm": "jws" });
        let made = room.write(&format!("sign/{name}"), jws).await;
        let mut body = json!({ "input": b64("m"), "signature": made["signature"] });
        body["marshaling_algorithm"] = "jws".into();
        assert_eq!(room.write(&format!("verify/{name}"), body).await["valid"], true);
    }
}

#[tokio::test]
async fn what_is_sealed_by_the_public_key_is_opened() {
    let room = Room::new().await;
    for (set, parameters) in SEALING {
        let name = format!("k{set}");
        let settings = json!({ "type": "ml-kem", "parameter_set": set, "exportable": true });
        room.key(&name, settings).await;
        let sealed = room.encrypt(&name, "plain").await;
        assert_eq!(room.decrypt(&name, &sealed).await, "plain");
        let body = json!({ "plaintext": b64("plain"), "associated_data": b64("more") });
        let sealed = room.write(&format!("encrypt/{name}"), body).await["ciphertext"].clone();
        let mut body = json!({ "ciphertext": sealed });
        room.refused(&format!("decrypt/{name}"), body.clone(), "message authentication failed")
            .await;
        body["associated_data"] = b64("more").into();
        let opened = room.write(&format!("decrypt/{name}"), body).await;
        assert_eq!(unb64(&opened["plaintext"]), "plain");
        // The exported key is the very one, and its owner seals without us.
        let own = bytes(&room.read(&format!("export/encryption-key/{name}")).await["keys"]["1"]);
        let own = MlKemKey::from_bytes(parameters, &own).unwrap();
        let public = &room.read(&format!("keys/{name}")).await["keys"]["1"]["public_key"];
        assert_eq!(bytes(public), own.public_bytes());
        let outside = STANDARD.encode(own.seal(b"", b"from outside").unwrap());
        assert_eq!(room.decrypt(&name, &format!("vault:v1:{outside}")).await, "from outside");
        let data_key = room.write(&format!("datakey/plaintext/{name}"), json!({})).await;
        let body = json!({ "ciphertext": data_key["ciphertext"] });
        let opened = room.write(&format!("decrypt/{name}"), body.clone()).await;
        assert_eq!(opened["plaintext"], data_key["plaintext"]);
        room.write(&format!("keys/{name}/rotate"), json!({})).await;
        let again = room.write(&format!("rewrap/{name}"), body).await;
        assert!(again["ciphertext"].as_str().unwrap().starts_with("vault:v2:"));
    }
}

#[tokio::test]
async fn what_they_cannot_do_is_refused() {
    let room = Room::new().await;
    for (body, why) in [
        (json!({ "type": "ml-dsa" }), "invalid parameter set  for key type ml-dsa"),
        (
            json!({ "type": "ml-dsa", "parameter_set": "66" }),
            "invalid parameter set 66 for key type ml-dsa",
        ),
        (
            json!({ "type": "ml-kem", "parameter_set": "44" }),
            "invalid parameter set 44 for key type ml-kem",
        ),
        (json!({ "type": "slh-dsa", "parameter_set": "x" }), "unknown key type"),
        (json!({ "type": "hybrid", "parameter_set": "65" }), "unknown key type"),
        (
            json!({ "type": "ml-dsa", "parameter_set": "65", "derived": true }),
            "not supported for keys of type ml-dsa",
        ),
    ] {
        room.refused("keys/none", body, why).await;
    }
    room.key("d", json!({ "type": "ml-dsa", "parameter_set": "44", "exportable": true })).await;
    room.key("k", json!({ "type": "ml-kem", "parameter_set": "512", "exportable": true })).await;
    for (path, body, why) in [
        (
            "sign/d",
            json!({ "input": b64("m"), "prehashed": true }),
            "keys of type ml-dsa sign messages, not their digests",
        ),
        ("encrypt/d", json!({ "plaintext": b64("m") }), "not supported for key type ml-dsa"),
        ("sign/k", json!({ "input": b64("m") }), "key type ml-kem does not support signing"),
        ("decrypt/k", json!({ "ciphertext": "vault:v1:AAAA" }), "message authentication failed"),
        ("keys/d/csr", json!({}), "certificates are not supported for keys of type ml-dsa"),
        (
            "keys/other/import",
            json!({ "type": "ml-dsa", "parameter_set": "44", "public_key": "x" }),
            "provided type does not support public_key import",
        ),
    ] {
        room.refused(path, body, why).await;
    }
    for path in ["export/signing-key/d?format=raw", "export/encryption-key/k?format=pem"] {
        assert_eq!(room.call("READ", path, Value::Null).await.status, 400, "{path}");
    }
    // HMACs every key makes.
    let made = room.write("hmac/d", json!({ "input": b64("m") })).await;
    let body = json!({ "input": b64("m"), "hmac": made["hmac"] });
    assert_eq!(room.write("verify/d", body).await["valid"], true);
}

/// By backup, and wrapped for another mount.
#[tokio::test]
async fn they_move() {
    let room = Room::new().await;
    let public = room.read("wrapping_key").await;
    let wrapping = PublicKey::from_pem(public["public_key"].as_str().unwrap()).unwrap();
    for (kind, set) in [("ml-dsa", "65"), ("ml-kem", "768")] {
        let settings = json!({
            "type": kind, "parameter_set": set, "exportable": true, "allow_plaintext_backup": true,
        });
        room.key(kind, settings).await;
        let use_it = async |name: &str, made: Option<&Value>| match (kind, made) {
            ("ml-dsa", None) => {
                room.write(&format!("sign/{name}"), json!({ "input": b64("m") })).await
            }
            ("ml-dsa", Some(made)) => {
                let body = json!({ "input": b64("m"), "signature": made["signature"] });
                room.write(&format!("verify/{name}"), body).await["valid"].clone()
            }
            (_, None) => json!({ "ciphertext": room.encrypt(name, "m").await }),
            (_, Some(made)) => {
                let text = made["ciphertext"].as_str().unwrap();
                json!(room.decrypt(name, text).await == "m")
            }
        };
        let made = use_it(kind, None).await;
        let backup = room.read(&format!("backup/{kind}")).await;
        let restored = format!("restored-{kind}");
        room.write(&format!("restore/{restored}"), json!({ "backup": backup["backup"] })).await;
        assert_eq!(use_it(&restored, Some(&made)).await, true, "{kind}");
        let shown = room.read(&format!("keys/{restored}")).await;
        assert_eq!(shown["parameter_set"], set);
        // As it is exported, wrapped as keys/NAME/import wants it.
        let what = if kind == "ml-dsa" { "signing-key" } else { "encryption-key" };
        let format = if kind == "ml-dsa" { "?format=der" } else { "" };
        let key = bytes(&room.read(&format!("export/{what}/{kind}{format}")).await["keys"]["1"]);
        let aes = [7; 32];
        let mut wrapped = wrapping.encrypt_oaep(Hash::Sha256, &aes).unwrap();
        wrapped.extend(keywrap::wrap(&aes, &key).unwrap());
        let body = json!({
            "type": kind, "parameter_set": set, "ciphertext": STANDARD.encode(&wrapped),
        });
        let imported = format!("imported-{kind}");
        room.write(&format!("keys/{imported}/import"), body.clone()).await;
        assert_eq!(use_it(&imported, Some(&made)).await, true, "{kind}");
        let other = if kind == "ml-dsa" { "87" } else { "1024" };
        let mut body = body;
        body["parameter_set"] = other.into();
        room.refused("keys/other/import", body, "error parsing asymmetric key").await;
    }
}
