//! Keys and their versions: settings, rotation, trimming, deletion.

use serde_json::{Value, json};

use super::{Room, b64};

#[tokio::test]
async fn a_key_is_shown_as_it_was_made() {
    let room = Room::new().await;
    for (kind, encrypts, signs, derives) in [
        ("aes128-gcm96", true, false, true),
        ("aes256-gcm96", true, false, true),
        ("chacha20-poly1305", true, false, true),
        ("xchacha20-poly1305", true, false, true),
        ("ed25519", false, true, true),
        ("ecdsa-p256", false, true, false),
        ("ecdsa-p384", false, true, false),
        ("ecdsa-p521", false, true, false),
        ("rsa-2048", true, true, false),
        ("hmac", false, false, false),
    ] {
        let made = room.write(&format!("keys/{kind}"), json!({ "type": kind })).await;
        let shown = room.read(&format!("keys/{kind}")).await;
        assert_eq!(made, shown);
        let mut expected = json!({
            "name": kind, "type": kind, "derived": false, "deletion_allowed": false,
            "min_available_version": 0, "min_decryption_version": 1, "min_encryption_version": 0,
            "latest_version": 1, "exportable": false, "allow_plaintext_backup": false,
            "supports_encryption": encrypts, "supports_decryption": encrypts,
            "supports_signing": signs, "supports_derivation": derives, "auto_rotate_period": 0,
            "imported_key": false, "soft_deleted": false,
        });
        if kind == "hmac" {
            expected["key_size"] = json!(32);
        } else if signs {
            let version = &shown["keys"]["1"];
            assert_eq!(version["creation_time"], "2026-01-01T00:00:00Z");
            assert_eq!(version["certificate_chain"], "");
            let public = version["public_key"].as_str().unwrap();
            let name = match kind {
                "ecdsa-p256" => "P-256",
                "ecdsa-p384" => "P-384",
                "ecdsa-p521" => "P-521",
                other => other,
            };
            assert_eq!(version["name"], name);
            match kind {
                "ed25519" => assert_eq!(public.len(), 44),
                _ => assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}"),
            }
            expected["keys"] = shown["keys"].clone();
        } else {
            expected["keys"] = json!({ "1": 1_767_225_600 });
        }
        assert_eq!(shown, expected, "{kind}");
    }
    let listed = room.call("LIST", "keys", Value::Null).await;
    assert_eq!(listed.data()["keys"].as_array().unwrap().len(), 10);
    let page = room.call("LIST", "keys?after=ecdsa-p256&limit=2", Value::Null).await;
    assert_eq!(page.data()["keys"], json!(["ecdsa-p384", "ecdsa-p521"]));
    // It stays as it is.
    let got = room.call("WRITE", "keys/ed25519", json!({ "type": "rsa-4096" })).await;
    assert_eq!(got.data()["type"], "ed25519");
    assert!(got.body["warnings"][0].as_str().unwrap().contains("already existed"));
}

#[tokio::test]
async fn what_is_wrong_makes_no_key() {
    let room = Room::new().await;
    for (body, why) in [
        (json!({ "type": "aes512" }), "unknown key type"),
        (json!({ "convergent_encryption": true }), "requires derivation to be enabled"),
        (json!({ "type": "rsa-2048", "derived": true }), "not supported for keys of type rsa-2048"),
        (json!({ "type": "ecdsa-p256", "derived": true }), "not supported for keys of type"),
        (json!({ "type": "hmac", "derived": true }), "not supported for keys of type hmac"),
        (
            json!({ "type": "ed25519", "derived": true, "convergent_encryption": true }),
            "convergent encryption not supported for keys of type ed25519",
        ),
        (json!({ "auto_rotate_period": "59m" }), "at least an hour"),
        (json!({ "auto_rotate_period": -1 }), "at least an hour"),
        (json!({ "key_size": 32 }), "key_size is not valid for algorithm aes256-gcm96"),
        (json!({ "type": "hmac", "key_size": 31 }), "invalid key_size 31"),
        (json!({ "type": "hmac", "key_size": 513 }), "invalid key_size 513"),
        (json!({ "derived": "maybe" }), "derived"),
    ] {
        room.refused("keys/k", body, why).await;
        assert_eq!(room.call("READ", "keys/k", Value::Null).await.status, 404);
    }
    assert_eq!(room.call("WRITE", "keys/-k", json!({})).await.status, 404);
    assert_eq!(room.call("LIST", "keys", Value::Null).await.status, 404);
}

#[tokio::test]
async fn versions_can_be_bounded_and_trimmed() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    let mut sealed = Vec::new();
    for number in 1..=5 {
        sealed.push(room.encrypt("k", "text").await);
        assert!(sealed[number - 1].starts_with(&format!("vault:v{number}:")));
        if number < 5 {
            let shown = room.write("keys/k/rotate", json!({})).await;
            assert_eq!(shown["latest_version"], number + 1);
        }
    }
    for old in &sealed {
        assert_eq!(room.decrypt("k", old).await, "text");
    }
    for (body, why) in [
        (json!({ "min_decryption_version": -1 }), "min decryption version cannot be negative"),
        (json!({ "min_decryption_version": 6 }), "latest key version is 5"),
        (json!({ "min_encryption_version": -1 }), "min encryption version cannot be negative"),
        (json!({ "min_encryption_version": 6 }), "latest key version is 5"),
        (
            json!({ "min_decryption_version": 3, "min_encryption_version": 2 }),
            "must be greater than or equal to min decryption version",
        ),
        (json!({ "auto_rotate_period": 60 }), "at least an hour"),
    ] {
        room.refused("keys/k/config", body, why).await;
    }
    room.refused("keys/none/config", json!({}), "no existing key named none").await;
    let got = room.call("WRITE", "keys/k/config", json!({ "min_decryption_version": 0 })).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("forcing minimum to 1"));
    let bounds = json!({ "min_decryption_version": 3, "min_encryption_version": 4 });
    let shown = room.write("keys/k/config", bounds).await;
    let numbers: Vec<&String> = shown["keys"].as_object().unwrap().keys().collect();
    assert_eq!(numbers, ["3", "4", "5"]);
    let too_old = "ciphertext or signature version is disallowed by policy (too old)";
    for (at, old) in sealed.iter().enumerate() {
        match at {
            0 | 1 => room.refused("decrypt/k", json!({ "ciphertext": old }), too_old).await,
            _ => assert_eq!(room.decrypt("k", old).await, "text"),
        }
    }
    for (version, why) in [
        (-1, "requested version for encryption is negative"),
        (3, "less than the minimum encryption key version"),
        (6, "higher than the latest key version"),
    ] {
        let body = json!({ "plaintext": "", "key_version": version });
        room.refused("encrypt/k", body, why).await;
    }
    let body = json!({ "plaintext": "", "key_version": 4 });
    assert_eq!(room.write("encrypt/k", body).await["key_version"], 4);
    // What was only out of use comes back.
    let bounds = json!({ "min_decryption_version": 2, "min_encryption_version": 2 });
    room.write("keys/k/config", bounds).await;
    assert_eq!(room.decrypt("k", &sealed[1]).await, "text");
    for (body, why) in [
        (json!({}), "missing min_available_version"),
        (json!({ "min_available_version": -1 }), "cannot be negative"),
        (json!({ "min_available_version": 0 }), "should be positive"),
        (json!({ "min_available_version": 3 }), "cannot be greater than"),
    ] {
        room.refused("keys/k/trim", body, why).await;
    }
    let shown = room.write("keys/k/trim", json!({ "min_available_version": 2 })).await;
    assert_eq!((&shown["min_available_version"], &shown["latest_version"]), (&json!(2), &json!(5)));
    for (path, body, why) in [
        ("trim", json!({ "min_available_version": 1 }), "cannot be decremented"),
        (
            "config",
            json!({ "min_decryption_version": 1 }),
            "min decryption version should not be less then min available version",
        ),
        (
            "config",
            json!({ "min_encryption_version": 0 }),
            "min encryption version should not be less than min available version",
        ),
    ] {
        room.refused(&format!("keys/k/{path}"), body, why).await;
    }
    room.refused("decrypt/k", json!({ "ciphertext": sealed[0] }), too_old).await;
    assert_eq!(room.decrypt("k", &sealed[1]).await, "text");
    room.write("keys/k/rotate", json!({})).await;
    assert!(room.encrypt("k", "x").await.starts_with("vault:v6:"));
    room.key("new", json!({})).await;
    let body = json!({ "min_available_version": 1 });
    room.refused("keys/new/trim", body, "minimum encryption version is not set").await;
}

#[tokio::test]
async fn a_key_rotates_by_itself_when_its_time_has_come() {
    let room = Room::new().await;
    room.key("hourly", json!({ "auto_rotate_period": "1h" })).await;
    room.key("pair", json!({ "type": "ecdsa-p256", "auto_rotate_period": "2h" })).await;
    room.key("big", json!({ "type": "rsa-2048", "auto_rotate_period": "1h" })).await;
    room.key("huge", json!({ "type": "rsa-2048", "auto_rotate_period": "1h" })).await;
    room.key("never", json!({})).await;
    let latest =
        async |name: &str| room.read(&format!("keys/{name}")).await["latest_version"].clone();
    room.node.clock.advance(3_599);
    room.settle().await;
    assert_eq!(latest("hourly").await, 1);
    room.node.clock.advance(61);
    for _ in 0..4 {
        room.settle().await;
    }
    for (name, version) in [("hourly", 2), ("pair", 1), ("big", 2), ("huge", 2), ("never", 1)] {
        assert_eq!(latest(name).await, version, "{name}");
    }
    // By hand, it is put off.
    room.node.clock.advance(3_000);
    room.write("keys/hourly/rotate", json!({})).await;
    room.node.clock.advance(1_200);
    room.settle().await;
    assert_eq!((latest("hourly").await, latest("pair").await), (json!(3), json!(2)));
    room.write("keys/hourly/config", json!({ "auto_rotate_period": 0 })).await;
    room.call("DELETE", "keys/pair/soft-delete", Value::Null).await;
    room.node.clock.advance(100_000);
    room.settle().await;
    assert_eq!((latest("hourly").await, latest("pair").await), (json!(3), json!(2)));
    room.write("keys/pair/soft-delete-restore", json!({})).await;
    room.node.clock.advance(61);
    room.settle().await;
    assert_eq!(latest("pair").await, 3);
}

#[tokio::test]
async fn a_key_is_deleted_only_where_that_is_allowed() {
    let room = Room::new().await;
    room.key("k", json!({})).await;
    let sealed = room.encrypt("k", "text").await;
    let got = room.call("DELETE", "keys/k", Value::Null).await;
    assert_eq!(got.status, 400);
    assert!(got.errors().contains("deletion is not allowed for this key"), "{got:?}");
    assert_eq!(room.decrypt("k", &sealed).await, "text");
    room.write("keys/k/config", json!({ "deletion_allowed": true })).await;
    assert_eq!(room.call("DELETE", "keys/k", Value::Null).await.status, 204);
    room.refused("decrypt/k", json!({ "ciphertext": sealed }), "key not found").await;
    assert_eq!(room.call("DELETE", "keys/k", Value::Null).await.status, 400);
    // One of the same name is another.
    room.key("k", json!({})).await;
    room.refused("decrypt/k", json!({ "ciphertext": sealed }), "authentication failed").await;
}

#[tokio::test]
async fn a_soft_deleted_key_is_out_of_use() {
    let room = Room::new().await;
    room.key("k", json!({ "exportable": true })).await;
    room.key("s", json!({ "type": "ed25519" })).await;
    let sealed = room.encrypt("k", "text").await;
    let input = json!({ "input": b64("x") });
    let signature = room.write("sign/s", input.clone()).await["signature"].clone();
    let mac = room.write("hmac/k", input.clone()).await["hmac"].clone();
    for name in ["k", "s"] {
        let path = format!("keys/{name}/soft-delete");
        let got = room.call("DELETE", &path, Value::Null).await;
        assert_eq!((got.status, &got.data()["soft_deleted"]), (200, &json!(true)));
        let got = room.call("DELETE", &path, Value::Null).await;
        assert!(got.body["warnings"][0].as_str().unwrap().contains("already marked"));
    }
    for (path, body) in [
        ("encrypt/k", json!({ "plaintext": "" })),
        ("decrypt/k", json!({ "ciphertext": sealed })),
        ("rewrap/k", json!({ "ciphertext": sealed })),
        ("datakey/wrapped/k", json!({})),
        ("hmac/k", input.clone()),
        ("verify/k", json!({ "input": b64("x"), "hmac": mac })),
        ("sign/s", input.clone()),
        ("verify/s", json!({ "input": b64("x"), "signature": signature })),
        ("keys/k/rotate", json!({})),
    ] {
        room.refused(path, body, "refusing to use soft-deleted key").await;
    }
    // It is listed, shown and configured.
    assert_eq!(room.read("keys/k").await["soft_deleted"], true);
    room.write("keys/k/config", json!({ "deletion_allowed": true })).await;
    let shown = room.write("keys/k/soft-delete-restore", json!({})).await;
    assert_eq!(shown["soft_deleted"], false);
    assert_eq!(room.decrypt("k", &sealed).await, "text");
    let got = room.call("WRITE", "keys/k/soft-delete-restore", json!({})).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("already restored"));
    for (method, path) in [
        ("DELETE", "keys/none/soft-delete"),
        ("WRITE", "keys/none/soft-delete-restore"),
        ("READ", "keys/none"),
    ] {
        assert_eq!(room.call(method, path, json!({})).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn settings_of_the_mount() {
    let room = Room::new().await;
    assert_eq!(room.read("cache-config").await, json!({ "size": 0 }));
    room.refused("cache-config", json!({ "size": 9 }), "0 or a value greater or equal to 10").await;
    assert_eq!(room.write("cache-config", json!({ "size": 500 })).await, json!({ "size": 500 }));
    assert_eq!(room.read("cache-config").await, json!({ "size": 500 }));
    assert_eq!(room.read("config/keys").await, json!({ "disable_upsert": false }));
}

#[tokio::test]
async fn tools() {
    let room = Room::new().await;
    for (path, body, sum) in [
        (
            "hash",
            json!({ "input": b64("abc") }),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "hash/sha3-224",
            json!({ "input": b64("abc"), "algorithm": "sha2-512" }),
            "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
        ),
        (
            "hash",
            json!({ "input": b64("abc"), "algorithm": "sha2-224", "format": "base64" }),
            "Iwl9IjQF2CKGQqR3vaJVsyqtvOS9oLP342ydpw==",
        ),
    ] {
        assert_eq!(room.write(path, body).await["sum"], sum, "{path}");
    }
    room.refused("hash", json!({}), "input missing").await;
    room.refused("hash", json!({ "input": "*" }), "unable to decode input as base64").await;
    room.refused("hash", json!({ "input": "", "format": "x" }), "encoding format").await;
    for (path, body, length) in [
        ("random", json!({}), 44),
        ("random", json!({ "bytes": 3, "format": "hex" }), 6),
        ("random/6", json!({}), 8),
        ("random/platform/9", json!({ "bytes": 1 }), 12),
        ("random/all", json!({ "bytes": 12 }), 16),
    ] {
        let made = room.write(path, body.clone()).await;
        assert_eq!(made["random_bytes"].as_str().unwrap().len(), length, "{path} {body}");
    }
    for (path, body) in [
        ("random/0", json!({})),
        ("random/131073", json!({})),
        ("random", json!({ "bytes": -1 })),
        ("random/x/5", json!({})),
        ("random", json!({ "format": "x" })),
    ] {
        room.refused(path, body, "").await;
    }
}

/// A table that is always being changed does not keep its keys from rotating.
#[tokio::test]
async fn rotation_goes_on_beside_changes() {
    let room = Room::new().await;
    for n in 0..20 {
        room.key(&format!("k{n}"), json!({ "auto_rotate_period": "1h" })).await;
    }
    room.node.clock.advance(3_700);
    let changes = async {
        for n in 0..40 {
            let period = format!("{}h", 2 + n % 3);
            room.key(&format!("other{n}"), json!({ "auto_rotate_period": period })).await;
            tokio::task::yield_now().await;
        }
    };
    let rotates = async {
        for _ in 0..12 {
            room.settle().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(changes, rotates);
    for n in 0..20 {
        assert_eq!(room.read(&format!("keys/k{n}")).await["latest_version"], 2, "{n}");
    }
}

#[tokio::test]
async fn a_key_of_many_versions_is_used_as_before() {
    let room = Room::new().await;
    room.key("k", json!({ "exportable": true })).await;
    let mut sealed = vec![room.encrypt("k", "text").await];
    for _ in 0..99 {
        room.write("keys/k/rotate", json!({})).await;
        sealed.push(room.encrypt("k", "text").await);
    }
    // More than stay loaded, twice.
    for _ in 0..2 {
        for old in &sealed {
            assert_eq!(room.decrypt("k", old).await, "text");
        }
    }
    let exported = room.read("export/encryption-key/k").await;
    assert_eq!(exported["keys"].as_object().unwrap().len(), 100);
}
