//! `encrypt`, `decrypt`, `rewrap`, `datakey`.

use serde_json::{Value, json};

use super::{ENCRYPTING, Room, b64, unb64};

#[tokio::test]
async fn what_is_encrypted_is_decrypted() {
    let room = Room::new().await;
    for kind in ENCRYPTING {
        room.key(kind, json!({ "type": kind })).await;
        let path = format!("encrypt/{kind}");
        for text in ["", "x", "some text"] {
            let first = room.write(&path, json!({ "plaintext": b64(text) })).await;
            assert_eq!(first["key_version"], 1);
            let ciphertext = first["ciphertext"].as_str().unwrap();
            assert!(ciphertext.starts_with("vault:v1:"), "{ciphertext}");
            assert_ne!(room.encrypt(kind, text).await, ciphertext, "a nonce is used once");
            assert_eq!(room.decrypt(kind, ciphertext).await, text);
        }
    }
}

#[tokio::test]
async fn a_changed_ciphertext_is_refused_without_a_reason() {
    let room = Room::new().await;
    for kind in ENCRYPTING {
        room.key(kind, json!({ "type": kind })).await;
        let good = room.encrypt(kind, "text").await;
        let path = format!("decrypt/{kind}");
        let why = match *kind {
            "rsa-2048" => "failed to RSA decrypt the ciphertext: decryption error",
            _ => "cipher: message authentication failed",
        };
        let body = good.strip_prefix("vault:v1:").unwrap();
        for at in [0, body.len() / 2, body.len() - 5] {
            let mut changed: Vec<u8> = body.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = format!("vault:v1:{}", String::from_utf8(changed).unwrap());
            room.refused(&path, json!({ "ciphertext": changed }), why).await;
        }
        for (ciphertext, why) in [
            ("", "missing ciphertext to decrypt"),
            ("v1:AAAA", "invalid ciphertext: no prefix"),
            ("vault:v1AAAA", "invalid ciphertext: wrong number of fields"),
            ("vault:vx:AAAA", "invalid ciphertext: version number could not be decoded"),
            ("vault:v2:AAAA", "invalid ciphertext: version is too new"),
            ("vault:v-1:AAAA", "too old"),
            ("vault:v1:*", "invalid ciphertext: could not decode base64"),
        ] {
            room.refused(&path, json!({ "ciphertext": ciphertext }), why).await;
        }
        // A ciphertext shorter than its nonce, and one that is a nonce alone.
        for short in ["vault:v1:AAAA", "vault:v1:AAAAAAAAAAAAAAAA", "vault:v0:"] {
            let got = room.call("WRITE", &path, json!({ "ciphertext": short })).await;
            assert_eq!(got.status, 400, "{kind} {short}: {got:?}");
        }
    }
    room.refused("decrypt/none", json!({ "ciphertext": "vault:v1:AAAA" }), "key not found").await;
}

#[tokio::test]
async fn errors_repeat_nothing_of_what_was_sent() {
    // threats CVE-2025-4166, CVE-2025-52893
    let room = Room::new().await;
    room.key("k", json!({})).await;
    room.key("e", json!({ "type": "ed25519" })).await;
    for (path, body) in [
        ("encrypt/k", json!({ "plaintext": "canary*" })),
        ("encrypt/k", json!({ "plaintext": ["canary"] })),
        ("encrypt/k", json!({ "plaintext": "", "associated_data": "canary*" })),
        ("encrypt/k", json!({ "batch_input": [{ "plaintext": "canary*" }] })),
        ("encrypt/k", json!({ "batch_input": [{ "plaintext": ["canary"] }] })),
        ("encrypt/new", json!({ "plaintext": "", "type": "canary" })),
        ("decrypt/k", json!({ "ciphertext": "canary" })),
        ("decrypt/k", json!({ "ciphertext": "vault:v1:canary" })),
        ("sign/e", json!({ "input": "canary*" })),
        ("sign/e/canary", json!({ "input": "" })),
        ("sign/e", json!({ "input": "", "marshaling_algorithm": "canary" })),
        ("sign/e", json!({ "input": "", "salt_length": "canary" })),
        ("verify/e", json!({ "input": "", "signature": "vault:v1:canary*" })),
        ("verify/e", json!({ "input": "", "hmac": "vault:v1:canary*" })),
        ("hmac/k", json!({ "input": "canary*" })),
        ("hmac/k/canary", json!({ "input": "" })),
        ("hash/canary", json!({ "input": "" })),
        ("random/canary", json!({})),
        ("keys/x", json!({ "type": "canary" })),
    ] {
        let got = room.call("WRITE", path, body.clone()).await;
        assert!(got.status == 400 || got.body["data"].is_object(), "{path} {body}: {got:?}");
        assert!(!got.body.to_string().contains("canary"), "{path} {body}: {got:?}");
    }
}

#[tokio::test]
async fn associated_data_must_be_the_same() {
    let room = Room::new().await;
    for kind in ENCRYPTING {
        room.key(kind, json!({ "type": kind })).await;
        let path = format!("encrypt/{kind}");
        let body = json!({ "plaintext": b64("text"), "associated_data": b64("who") });
        if *kind == "rsa-2048" {
            room.refused(&path, body, "'associated_data' provided for non-AEAD cipher suite").await;
            continue;
        }
        let sealed = room.write(&path, body).await["ciphertext"].clone();
        let path = format!("decrypt/{kind}");
        let with = |data: Value| json!({ "ciphertext": sealed, "associated_data": data });
        assert_eq!(unb64(&room.write(&path, with(json!(b64("who")))).await["plaintext"]), "text");
        for other in [json!(b64("you")), Value::Null, json!("")] {
            room.refused(&path, with(other), "message authentication failed").await;
        }
        room.refused(&path, with(json!("*")), "associated_data").await;
    }
}

#[tokio::test]
async fn derived_keys_need_the_same_context() {
    let room = Room::new().await;
    for kind in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"] {
        for convergent in [false, true] {
            let name = format!("{kind}-{convergent}");
            let settings =
                json!({ "type": kind, "derived": true, "convergent_encryption": convergent });
            room.key(&name, settings).await;
            let shown = room.read(&format!("keys/{name}")).await;
            assert_eq!(shown["kdf"], "hkdf_sha256");
            assert_eq!(shown["convergent_encryption"], convergent);
            let (encrypt, decrypt) = (format!("encrypt/{name}"), format!("decrypt/{name}"));
            let body = |text: &str, context: &str| json!({ "plaintext": b64(text), "context": b64(context) });
            let first = room.write(&encrypt, body("text", "a")).await["ciphertext"].clone();
            let again = room.write(&encrypt, body("text", "a")).await["ciphertext"].clone();
            assert_eq!(first == again, convergent, "{name}");
            for (text, context) in [("text", "b"), ("texu", "a")] {
                assert_ne!(room.write(&encrypt, body(text, context)).await["ciphertext"], first);
            }
            let opened = json!({ "ciphertext": first, "context": b64("a") });
            assert_eq!(unb64(&room.write(&decrypt, opened).await["plaintext"]), "text");
            let other = json!({ "ciphertext": first, "context": b64("b") });
            room.refused(&decrypt, other, "message authentication failed").await;
            let none = "missing 'context' for key derivation";
            room.refused(&decrypt, json!({ "ciphertext": first }), none).await;
            room.refused(&encrypt, json!({ "plaintext": "" }), none).await;
            room.refused(&encrypt, json!({ "plaintext": "", "context": "*" }), "base64").await;
        }
    }
}

#[tokio::test]
async fn convergent_nonces_differ_with_the_associated_data() {
    let room = Room::new().await;
    room.key("k", json!({ "derived": true, "convergent_encryption": true })).await;
    let mut seen = Vec::new();
    for data in ["", "a", "b", "a"] {
        let body = json!({
            "plaintext": b64("text"), "context": b64("c"), "associated_data": b64(data),
        });
        let sealed = room.write("encrypt/k", body).await["ciphertext"].clone();
        let body = json!({
            "ciphertext": sealed, "context": b64("c"), "associated_data": b64(data),
        });
        assert_eq!(unb64(&room.write("decrypt/k", body).await["plaintext"]), "text");
        seen.push(sealed.as_str().unwrap().to_owned());
    }
    // The nonce's base64 is the first sixteen characters.
    let nonce = |text: &str| text["vault:v1:".len()..][..16].to_owned();
    assert_eq!(seen[1], seen[3]);
    assert_ne!(nonce(&seen[0]), nonce(&seen[1]));
    assert_ne!(nonce(&seen[1]), nonce(&seen[2]));
}

#[tokio::test]
async fn a_key_that_is_not_there_is_made_by_who_may_create_it() {
    let room = Room::new().await;
    for (name, more, kind, derived) in [
        ("a", json!({}), "aes256-gcm96", false),
        ("b", json!({ "context": b64("c") }), "aes256-gcm96", true),
        ("c", json!({ "type": "chacha20-poly1305" }), "chacha20-poly1305", false),
        ("d", json!({ "context": b64("c"), "convergent_encryption": true }), "aes256-gcm96", true),
    ] {
        let mut body = more;
        body["plaintext"] = json!(b64("x"));
        let made = room.write(&format!("encrypt/{name}"), body).await;
        assert_eq!(made["key_version"], 1);
        let shown = room.read(&format!("keys/{name}")).await;
        assert_eq!((&shown["type"], &shown["derived"]), (&json!(kind), &json!(derived)));
    }
    for (more, why) in [
        (json!({ "convergent_encryption": true }), "so context is required"),
        (json!({ "type": "ecdsa-p256" }), "key type not supported for this operation"),
        (json!({ "type": "rsa-2048" }), "key type not supported for this operation"),
        (json!({ "type": "x" }), "unknown key type"),
    ] {
        let mut body = more;
        body["plaintext"] = json!(b64("x"));
        room.refused("encrypt/new", body, why).await;
        assert_eq!(room.call("READ", "keys/new", Value::Null).await.status, 404);
    }
    let updater = room.token("updater", r#"["update"]"#).await;
    let creator = room.token("creator", r#"["create", "update"]"#).await;
    let body = json!({ "plaintext": b64("x") });
    for (token, name, status) in [
        (&updater, "a", 200),
        (&updater, "fresh", 403),
        (&creator, "fresh", 200),
        (&updater, "fresh", 200),
    ] {
        let path = format!("transit/encrypt/{name}");
        let got = room.node.call("WRITE", &path, token, body.clone()).await;
        assert_eq!(got.status, status, "{name}: {got:?}");
    }
    room.write("config/keys", json!({ "disable_upsert": true })).await;
    assert_eq!(room.read("config/keys").await, json!({ "disable_upsert": true }));
    room.refused("encrypt/other", body.clone(), "encryption key not found").await;
    room.write("config/keys", json!({ "disable_upsert": false })).await;
    room.write("encrypt/other", body).await;
}

/// Policy was asked about an update while the key was there. It goes while a long batch has others
/// take their turn; the batch is then run again, and finds none.
#[tokio::test]
async fn who_may_only_update_makes_no_key_that_has_just_gone() {
    let room = Room::new().await;
    let updater = room.token("updater", r#"["update"]"#).await;
    let creator = room.token("creator", r#"["create", "update"]"#).await;
    for (token, status) in [(&updater, 400), (&creator, 200)] {
        room.key("k", json!({})).await;
        room.write("keys/k/config", json!({ "deletion_allowed": true })).await;
        let items = vec![json!({ "plaintext": "" }); 100];
        let body = json!({ "batch_input": items });
        let encrypt = room.node.call("WRITE", "transit/encrypt/k", token, body);
        let delete = room.call("DELETE", "keys/k", Value::Null);
        let (encrypted, deleted) = tokio::join!(encrypt, delete);
        assert_eq!(deleted.status, 204);
        assert_eq!(encrypted.status, status, "{encrypted:?}");
        let there = room.call("READ", "keys/k", Value::Null).await.status == 200;
        assert_eq!(there, status == 200);
    }
}

#[tokio::test]
async fn batches_fail_item_by_item() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    let batch = |items: Value| json!({ "batch_input": items });
    let done = room
        .write(
            "encrypt/k",
            batch(json!([
                { "plaintext": b64("one"), "reference": "first" },
                { "plaintext": b64("two"), "associated_data": b64("who"), "key_version": "1" },
            ])),
        )
        .await;
    let results = done["batch_results"].as_array().unwrap();
    assert_eq!((&results[0]["reference"], &results[1]["reference"]), (&json!("first"), &json!("")));
    let second = results[1]["ciphertext"].as_str().unwrap();
    assert_eq!(results[1]["key_version"], 1);
    let items = json!([
        { "ciphertext": results[0]["ciphertext"], "reference": "a" },
        { "ciphertext": second, "reference": "b" },
        { "ciphertext": "", "reference": "c" },
        { "ciphertext": second, "associated_data": b64("who"), "reference": "d" },
    ]);
    let expected = json!({ "batch_results": [
        { "plaintext": b64("one"), "reference": "a" },
        { "plaintext": "", "error": "cipher: message authentication failed", "reference": "b" },
        { "plaintext": "", "error": "missing ciphertext to decrypt", "reference": "c" },
        { "plaintext": b64("two"), "reference": "d" },
    ] });
    for (code, status, warned) in [
        (Value::Null, 400, false),
        (json!(200), 200, false),
        (json!("207"), 207, false),
        (json!(600), 400, true),
        (json!(0), 400, true),
        // These have no bodies.
        (json!(204), 400, true),
        (json!(304), 400, true),
    ] {
        let mut body = batch(items.clone());
        body["partial_failure_response_code"] = code.clone();
        let got = room.call("WRITE", "decrypt/k", body).await;
        assert_eq!(got.status, status, "{code}: {got:?}");
        assert_eq!(got.data(), &expected, "{code}");
        assert_eq!(got.body["warnings"].is_array(), warned, "{code}: {got:?}");
    }
    // All of them fail: the code does not count.
    let mut body = batch(json!([{ "ciphertext": "vault:v9:AAAA" }, { "ciphertext": "x" }]));
    body["partial_failure_response_code"] = json!(200);
    let got = room.call("WRITE", "decrypt/k", body).await;
    assert_eq!(got.status, 400);
    let results = got.data()["batch_results"].as_array().unwrap();
    assert_eq!(results[0]["error"], "invalid ciphertext: version is too new");
    assert_eq!(results[1]["error"], "invalid ciphertext: no prefix");
}

#[tokio::test]
async fn batches_that_are_no_batches_are_refused() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    for (path, items, why) in [
        ("encrypt/k", json!([]), "missing batch input to process"),
        ("encrypt/k", json!("x"), "batch_input"),
        ("encrypt/k", json!([7]), "[0] expected a map"),
        ("encrypt/k", json!([{}]), "missing plaintext to encrypt"),
        ("encrypt/k", json!([{ "plaintext": 7 }]), "'[0].plaintext' expected type 'string'"),
        ("decrypt/k", json!([{ "key_version": "x" }]), "'[0].key_version' expected type 'int'"),
        (
            "encrypt/k",
            json!([{ "plaintext": "", "context": "YQ==" }, { "plaintext": "" }]),
            "context should be set either in all the request blocks or in none",
        ),
    ] {
        room.refused(path, json!({ "batch_input": items }), why).await;
    }
}

#[tokio::test]
async fn rewrapping_shows_nothing_and_uses_the_latest_version() {
    let room = Room::new().await;
    for kind in ENCRYPTING {
        room.key(kind, json!({ "type": kind })).await;
        let old = room.encrypt(kind, "text").await;
        room.write(&format!("keys/{kind}/rotate"), json!({})).await;
        let path = format!("rewrap/{kind}");
        let new = room.write(&path, json!({ "ciphertext": old })).await;
        assert_eq!(new["key_version"], 2);
        assert!(new.get("plaintext").is_none());
        let new = new["ciphertext"].as_str().unwrap();
        assert!(new.starts_with("vault:v2:"));
        assert_eq!(room.decrypt(kind, new).await, "text");
        let back = room.write(&path, json!({ "ciphertext": new, "key_version": 1 })).await;
        assert!(back["ciphertext"].as_str().unwrap().starts_with("vault:v1:"));
        room.refused(&path, json!({ "ciphertext": "vault:v1:AAAA" }), "").await;
        // A batch is answered with 200, whatever fails.
        let items = json!([{ "ciphertext": old }, { "ciphertext": "x", "reference": "r" }]);
        let done = room.write(&path, json!({ "batch_input": items })).await;
        let results = done["batch_results"].as_array().unwrap();
        assert_eq!(results[0]["key_version"], 2);
        let new = results[0]["ciphertext"].as_str().unwrap();
        assert_eq!(room.decrypt(kind, new).await, "text");
        let failed = json!({ "error": "invalid ciphertext: no prefix", "reference": "r" });
        assert_eq!(results[1], failed);
    }
}

#[tokio::test]
async fn a_data_key_is_shown_only_where_it_is_asked_for() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    for (bits, length) in [(Value::Null, 44), (json!(128), 24), (json!("512"), 88)] {
        let made = room.write("datakey/plaintext/k", json!({ "bits": bits })).await;
        let plaintext = made["plaintext"].as_str().unwrap();
        assert_eq!(plaintext.len(), length);
        let opened = json!({ "ciphertext": made["ciphertext"] });
        assert_eq!(room.write("decrypt/k", opened).await["plaintext"], plaintext);
        let made = room.write("datakey/wrapped/k", json!({ "bits": bits })).await;
        assert!(made.get("plaintext").is_none(), "{made}");
        assert_eq!(made["key_version"], 1);
    }
    room.refused("datakey/wrapped/k", json!({ "bits": 192 }), "invalid bit length").await;
    room.refused("datakey/other/k", json!({}), "must be 'plaintext' or 'wrapped'").await;
    room.refused("datakey/wrapped/none", json!({}), "encryption key not found").await;
    let body = json!({ "associated_data": b64("who") });
    let made = room.write("datakey/plaintext/k", body).await;
    let opened = json!({ "ciphertext": made["ciphertext"], "associated_data": b64("who") });
    assert_eq!(room.write("decrypt/k", opened).await["plaintext"], made["plaintext"]);
}

#[tokio::test]
async fn inputs_of_a_body_s_size_go_through() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    let text = "x".repeat(8 << 20);
    let sealed = room.encrypt("k", &text).await;
    assert_eq!(room.decrypt("k", &sealed).await, text);
}

#[tokio::test]
async fn using_a_key_writes_nothing() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    let sealed = room.encrypt("k", "text").await;
    let before = room.node.services().store.storage.revision();
    for (path, body) in [
        ("encrypt/k", json!({ "plaintext": "" })),
        ("decrypt/k", json!({ "ciphertext": sealed })),
        ("rewrap/k", json!({ "ciphertext": sealed })),
        ("datakey/wrapped/k", json!({})),
        ("hmac/k", json!({ "input": "" })),
    ] {
        room.write(path, body).await;
    }
    assert_eq!(room.node.services().store.storage.revision(), before);
}
