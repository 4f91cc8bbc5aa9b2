//! Keys that come and go: `import`, `export`, `byok-export`, `backup`, `restore`; and what OpenBao has
//! made with keys that it has given away.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey, PublicKey};
use strongroom_crypto::keywrap;

use super::{Room, b64, unb64};

/// What OpenBao made: for each key its backup, its exports, and what it made with it.
const OPENBAO: &str = include_str!("testdata/openbao.json");

fn with(body: Value, more: &Value) -> Value {
    let mut body = body;
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().unwrap().iter()
}

#[tokio::test]
async fn what_openbao_made_is_read() {
    let room = Room::new().await;
    let vectors: Value = serde_json::from_str(OPENBAO).unwrap();
    let message = b64(vectors["message"].as_str().unwrap());
    let mut checked = 0;
    for case in list(&vectors, "cases") {
        let name = case["name"].as_str().unwrap();
        room.write("restore", json!({ "backup": case["backup"] })).await;
        for made in list(case, "ciphertexts") {
            let body = with(json!({ "ciphertext": made["ciphertext"] }), &made["with"]);
            let opened = room.write(&format!("decrypt/{name}"), body).await;
            assert_eq!(opened["plaintext"], message, "{name} {made}");
            checked += 1;
        }
        for made in list(case, "signatures") {
            let body = json!({ "input": message, "signature": made["signature"] });
            let body = with(body, &made["with"]);
            let verified = room.write(&format!("verify/{name}"), body.clone()).await;
            assert_eq!(verified["valid"], true, "{name} {made}");
            let other = with(body, &json!({ "input": b64("something else") }));
            let verified = room.write(&format!("verify/{name}"), other).await;
            assert_eq!(verified["valid"], false, "{name} {made}");
            checked += 1;
        }
        for made in list(case, "hmacs") {
            let body = with(json!({ "input": message, "hmac": made["hmac"] }), &made["with"]);
            let verified = room.write(&format!("verify/{name}"), body).await;
            assert_eq!(verified["valid"], true, "{name} {made}");
            checked += 1;
        }
        for (path, keys) in case["exports"].as_object().unwrap() {
            let (what, query) = path.split_once('?').unwrap_or((path, ""));
            let shown = room.read(&format!("export/{what}/{name}?{query}")).await;
            assert_eq!(&shown["keys"], keys, "{name} {path}");
            checked += 1;
        }
        assert_eq!(room.read(&format!("keys/{name}")).await["latest_version"], 2);
    }
    assert!(checked > 300, "{checked}");
}

#[tokio::test]
async fn convergent_ciphertexts_are_openbaos() {
    let room = Room::new().await;
    let vectors: Value = serde_json::from_str(OPENBAO).unwrap();
    let message = b64(vectors["message"].as_str().unwrap());
    for case in list(&vectors, "cases") {
        let name = case["name"].as_str().unwrap();
        if case["settings"]["convergent_encryption"] != true {
            continue;
        }
        room.write("restore", json!({ "backup": case["backup"] })).await;
        for (at, made) in list(case, "ciphertexts").enumerate() {
            let version = at / 2 + 1;
            let body = json!({ "plaintext": message, "key_version": version });
            let sealed = room.write(&format!("encrypt/{name}"), with(body, &made["with"])).await;
            assert_eq!(sealed["ciphertext"], made["ciphertext"], "{name} {made}");
        }
    }
}

const ALL: &[&str] = &[
    "aes128-gcm96",
    "aes256-gcm96",
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "hmac",
];

#[tokio::test]
async fn a_backup_is_restored_as_it_was() {
    let room = Room::new().await;
    for kind in ALL {
        let settings = json!({
            "type": kind, "exportable": true, "allow_plaintext_backup": true,
            "auto_rotate_period": "24h",
        });
        room.key(kind, settings).await;
        for _ in 0..3 {
            room.write(&format!("keys/{kind}/rotate"), json!({})).await;
        }
        let bounds = json!({ "min_decryption_version": 3, "min_encryption_version": 3 });
        room.write(&format!("keys/{kind}/config"), bounds).await;
        let trim = json!({ "min_available_version": 2 });
        room.write(&format!("keys/{kind}/trim"), trim).await;
        let mac = room.write(&format!("hmac/{kind}"), json!({ "input": "" })).await;
        let backup = room.read(&format!("backup/{kind}")).await["backup"].clone();
        let shown = room.read(&format!("keys/{kind}")).await;
        assert_eq!(shown["backup_info"]["version"], 4);
        let again = json!({ "backup": backup });
        let got = room.call("WRITE", "restore", again.clone()).await;
        assert_eq!((got.status, got.errors()), (500, format!("key \"{kind}\" already exists")));
        room.write(&format!("restore/other-{kind}"), again.clone()).await;
        let mut restored = room.read(&format!("keys/other-{kind}")).await;
        assert_eq!(restored["restore_info"]["version"], 4);
        let members = restored.as_object_mut().unwrap();
        members.remove("restore_info");
        members.insert("name".to_owned(), json!(kind));
        assert_eq!(restored, shown, "{kind}");
        let body = json!({ "input": "", "hmac": mac["hmac"] });
        let verified = room.write(&format!("verify/other-{kind}"), body).await;
        assert_eq!(verified["valid"], true, "{kind}");
        // What was out of use can be brought back; what was trimmed cannot.
        let bounds = json!({ "min_decryption_version": 2 });
        let shown = room.write(&format!("keys/other-{kind}/config"), bounds).await;
        if *kind != "hmac" {
            assert_eq!(shown["keys"].as_object().unwrap().len(), 3);
        }
        let forced = json!({ "backup": backup, "force": true });
        assert_eq!(room.call("WRITE", "restore", forced).await.status, 204);
    }
}

#[tokio::test]
async fn a_backup_is_given_only_where_that_is_allowed() {
    let room = Room::new().await;
    room.key("a", json!({ "exportable": true })).await;
    room.key("b", json!({ "allow_plaintext_backup": true })).await;
    for (name, why) in [
        ("a", "plaintext backup is disallowed on the policy"),
        ("b", "exporting is disallowed on the policy"),
    ] {
        let got = room.call("READ", &format!("backup/{name}"), Value::Null).await;
        assert_eq!((got.status, got.errors().as_str()), (500, why));
    }
    let got = room.call("READ", "backup/none", Value::Null).await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn a_damaged_backup_restores_nothing() {
    let room = Room::new().await;
    room.key("k", json!({ "exportable": true, "allow_plaintext_backup": true })).await;
    room.key(
        "p",
        json!({ "type": "ecdsa-p256", "exportable": true, "allow_plaintext_backup": true }),
    )
    .await;
    let plain =
        |backup: &Value| -> Value { serde_json::from_str(&unb64(&backup["backup"])).unwrap() };
    let symmetric = plain(&room.read("backup/k").await);
    let pair = plain(&room.read("backup/p").await);
    room.key("h", json!({ "type": "hmac", "exportable": true, "allow_plaintext_backup": true }))
        .await;
    let mac = plain(&room.read("backup/h").await);
    let change = |from: &Value, pointer: &str, value: Value| {
        let mut changed = from.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        STANDARD.encode(changed.to_string())
    };
    for backup in [
        "*".to_owned(),
        b64("no JSON"),
        b64("{}"),
        b64(r#"{"policy":7}"#),
        change(&symmetric, "/policy/type", json!(99)),
        change(&symmetric, "/policy/type", json!(8)),
        change(&symmetric, "/policy/type", json!(1)),
        change(&symmetric, "/policy/latest_version", json!(0)),
        change(&symmetric, "/policy/latest_version", json!(2)),
        change(&symmetric, "/policy/latest_version", json!(-1)),
        change(&symmetric, "/policy/latest_version", json!(1e15)),
        change(&symmetric, "/policy/latest_version", json!(u64::MAX)),
        change(&symmetric, "/policy/min_available_version", json!(u64::MAX)),
        change(&symmetric, "/policy/auto_rotate_period", json!(1_000_000_000)),
        change(&symmetric, "/policy/auto_rotate_period", json!(-1_000_000_000)),
        far_away(&symmetric),
        change(&mac, "/policy/keys/1/key", json!("AA==")),
        change(&symmetric, "/policy/min_decryption_version", json!(2)),
        change(&symmetric, "/policy/min_available_version", json!(5)),
        change(&symmetric, "/policy/keys/1/key", json!("AAAA")),
        change(&symmetric, "/policy/keys/1/key", json!("*")),
        change(&symmetric, "/policy/convergent_encryption", json!(true)),
        change(&symmetric, "/policy/version_template", json!("v{{version}}:")),
        change(&symmetric, "/policy/name", json!("../x")),
        change(&symmetric, "/policy/name", json!("")),
        change(&pair, "/policy/keys/1/ec_d", json!(0)),
        change(&pair, "/policy/keys/1/ec_d", json!("12")),
        change(&pair, "/policy/type", json!(6)),
        change(&pair, "/policy/type", json!(2)),
        change(&pair, "/policy/type", json!(3)),
    ] {
        let body = json!({ "backup": backup });
        let got = room.call("WRITE", "restore", with(body, &json!({ "force": true }))).await;
        assert_eq!(got.status, 400, "{backup}: {got:?}");
    }
    room.refused("restore", json!({}), "'backup' must be supplied").await;
    let listed = room.call("LIST", "keys", Value::Null).await;
    assert_eq!(listed.data()["keys"], json!(["h", "k", "p"]));
}

/// A backup whose versions are the last that a number can name.
fn far_away(backup: &Value) -> String {
    let mut changed = backup.clone();
    for name in ["latest_version", "min_available_version", "min_decryption_version"] {
        changed["policy"][name] = json!(u64::MAX);
    }
    changed["policy"]["keys"] = json!({ u64::MAX.to_string(): changed["policy"]["keys"]["1"] });
    STANDARD.encode(changed.to_string())
}

#[tokio::test]
async fn a_key_leaves_only_where_that_is_allowed() {
    let room = Room::new().await;
    for kind in ALL {
        room.key(kind, json!({ "type": kind })).await;
        for what in ["encryption-key", "signing-key", "hmac-key"] {
            let got = room.call("READ", &format!("export/{what}/{kind}"), Value::Null).await;
            assert_eq!(got.status, 400, "{kind} {what}: {got:?}");
            assert_eq!(got.errors(), "private key material is not exportable");
        }
        let got = room.call("READ", &format!("byok-export/rsa-2048/{kind}"), Value::Null).await;
        assert!(got.status == 400, "{kind}: {got:?}");
        let got = room.call("READ", &format!("export/public-key/{kind}"), Value::Null).await;
        let has_public = kind.starts_with("e") || kind.starts_with("rsa");
        assert_eq!(got.status == 200, has_public, "{kind}: {got:?}");
        // It cannot be taken back.
        for exportable in [true, false] {
            let body = json!({ "exportable": exportable });
            room.write(&format!("keys/{kind}/config"), body).await;
        }
        let got = room.call("READ", &format!("export/hmac-key/{kind}/latest"), Value::Null).await;
        assert_eq!(got.status, 200, "{kind}");
    }
    for (path, why) in [
        ("export/x/ed25519", "invalid export type"),
        ("export/encryption-key/ed25519", "encryption not supported for the key"),
        ("export/signing-key/aes256-gcm96", "signing not supported for the key"),
        ("export/public-key/aes256-gcm96", "does not fit a key of type aes256-gcm96"),
        ("export/certificate-chain/hmac", "certificate chain not supported for keys"),
        ("export/certificate-chain/ed25519", "does not have a certificate chain imported"),
        ("export/signing-key/ed25519?format=x", "invalid format"),
        ("export/signing-key/rsa-2048?format=raw", "unknown key format for rsa key"),
        ("export/signing-key/ecdsa-p256?format=raw", "unknown key format for ec key"),
        ("export/encryption-key/aes256-gcm96?format=der", "unknown format for symmetric key"),
        ("export/hmac-key/ed25519?format=pem", "unknown format for symmetric key"),
        ("export/signing-key/ed25519/0", "version for export is below minimum decryption version"),
        ("export/signing-key/ed25519/v2", "version does not exist or cannot be found"),
        ("export/signing-key/ed25519/x", "invalid key version"),
    ] {
        let got = room.call("READ", path, Value::Null).await;
        assert_eq!(got.status, 400, "{path}: {got:?}");
        assert!(got.errors().contains(why), "{path}: {got:?}");
    }
    assert_eq!(room.call("READ", "export/signing-key/none", Value::Null).await.status, 404);
    let body = json!({ "type": "ed25519", "derived": true, "exportable": true });
    room.key("derived", body).await;
    let got = room.call("READ", "export/public-key/derived", Value::Null).await;
    assert_eq!(got.status, 400);
}

/// A key as `import` takes it.
fn wrapped(under: &PublicKey, hash: Hash, key: &[u8]) -> String {
    let aes = [9; 32];
    let mut out = under.encrypt_oaep(hash, &aes).unwrap();
    out.extend_from_slice(&keywrap::wrap(&aes, key).unwrap());
    STANDARD.encode(out)
}

#[tokio::test]
async fn keys_are_imported() {
    let room = Room::new().await;
    let before = json!({ "ciphertext": STANDARD.encode([1; 600]) });
    room.refused("keys/early/import", before, "could not be unwrapped").await;
    let pem = room.read("wrapping_key").await["public_key"].clone();
    assert_eq!(room.read("wrapping_key").await["public_key"], pem);
    let under = PublicKey::from_pem(pem.as_str().unwrap()).unwrap();
    assert_eq!(under.key_type(), KeyType::Rsa(4_096));
    assert_eq!(room.call("LIST", "keys", Value::Null).await.status, 404);
    let vectors: Value = serde_json::from_str(OPENBAO).unwrap();
    let message = b64(vectors["message"].as_str().unwrap());
    for case in list(&vectors, "cases").filter(|case| case["settings"]["derived"] != true) {
        let name = case["name"].as_str().unwrap();
        let exports = &case["exports"];
        let key = match name {
            "hmac" => &exports["hmac-key"],
            _ if name.contains("96") || name.contains("poly") => &exports["encryption-key"],
            _ => &exports["signing-key?format=der"],
        };
        let bytes = |version: &str| STANDARD.decode(key[version].as_str().unwrap()).unwrap();
        for (at, (function, hash)) in [
            (json!("SHA256"), Hash::Sha256),
            (Value::Null, Hash::Sha256),
            (json!("sha1"), Hash::Sha1),
            (json!("SHA384"), Hash::Sha384),
            (json!("SHA512"), Hash::Sha512),
        ]
        .into_iter()
        .enumerate()
        {
            let ciphertext = wrapped(&under, hash, &bytes("1"));
            let body = json!({ "type": name, "hash_function": function, "ciphertext": ciphertext });
            room.write(&format!("keys/{name}-{at}/import"), body).await;
        }
        let shown = room.read(&format!("keys/{name}-0")).await;
        assert_eq!((&shown["imported_key"], &shown["type"]), (&json!(true), &json!(name)));
        let next = json!({ "ciphertext": wrapped(&under, Hash::Sha256, &bytes("2")) });
        room.write(&format!("keys/{name}-0/import_version"), next).await;
        assert_eq!(room.read(&format!("keys/{name}-0")).await["latest_version"], 2);
        for made in list(case, "ciphertexts") {
            let body = with(json!({ "ciphertext": made["ciphertext"] }), &made["with"]);
            let opened = room.write(&format!("decrypt/{name}-0"), body).await;
            assert_eq!(opened["plaintext"], message, "{name}");
        }
        for made in list(case, "signatures").take(2) {
            let body = json!({ "input": message, "signature": made["signature"] });
            let verified = room.write(&format!("verify/{name}-0"), with(body, &made["with"])).await;
            assert_eq!(verified["valid"], true, "{name}");
        }
        let rotate = format!("keys/{name}-0/rotate");
        room.refused(&rotate, json!({}), "does not allow rotation within Vault").await;
    }
    imports_that_are_refused(&room, &under).await;
    halves(&room, &under).await;
}

async fn imports_that_are_refused(room: &Room, under: &PublicKey) {
    let aes = wrapped(under, Hash::Sha256, &[1; 32]);
    let ec = PrivateKey::generate(KeyType::named("ec", 256).unwrap()).unwrap();
    let ec_wrapped = wrapped(under, Hash::Sha256, ec.to_pkcs8_der().expose_secret());
    let public = ec.public().unwrap().to_pem();
    let good = STANDARD.decode(&aes).unwrap();
    let damaged = |at: usize| {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        STANDARD.encode(damaged)
    };
    let unwrapped = "could not be unwrapped with this mount's wrapping key";
    for (body, why) in [
        (json!({ "type": "aes128-gcm96", "ciphertext": aes }), "invalid key size 32 bytes"),
        (json!({ "type": "ecdsa-p256", "ciphertext": aes }), "error parsing asymmetric key"),
        (json!({ "type": "ecdsa-p384", "ciphertext": ec_wrapped }), "invalid key type: expected"),
        (json!({ "type": "ed25519", "ciphertext": ec_wrapped }), "invalid key type: expected"),
        (json!({ "type": "rsa-2048", "ciphertext": ec_wrapped }), "invalid key type: expected"),
        (json!({ "type": "x", "ciphertext": aes }), "unknown key type"),
        (json!({ "hash_function": "SHA1", "ciphertext": aes }), unwrapped),
        (json!({ "hash_function": "SHA224", "ciphertext": aes }), "SHA224 is not supported"),
        (json!({ "hash_function": "MD5", "ciphertext": aes }), "unknown hash function"),
        (json!({ "ciphertext": damaged(5) }), unwrapped),
        (json!({ "ciphertext": damaged(515) }), unwrapped),
        (json!({ "ciphertext": STANDARD.encode(&good[..512]) }), "ciphertext is too short"),
        (json!({ "ciphertext": "" }), "ciphertext is too short"),
        (json!({ "ciphertext": "*" }), "illegal base64"),
        (json!({}), "provided type does not support public_key import"),
        (json!({ "type": "ecdsa-p256" }), "error parsing public key"),
        (json!({ "type": "ed25519", "public_key": public }), "invalid key type: expected ed25519"),
        (
            json!({ "ciphertext": aes, "convergent_encryption": false }),
            "import cannot be used on keys with convergent encryption enabled",
        ),
        (
            json!({ "ciphertext": aes, "auto_rotate_period": "24h" }),
            "allow_rotation must be set to true if auto-rotation is enabled",
        ),
    ] {
        room.refused("keys/fresh/import", body, why).await;
        assert_eq!(room.call("READ", "keys/fresh", Value::Null).await.status, 404, "{why}");
    }
    let again = json!({ "ciphertext": aes });
    room.refused("keys/hmac-0/import", again.clone(), "cannot be used with an existing key").await;
    room.refused("keys/none/import_version", again.clone(), "no key found with name none").await;
    room.key("own", json!({})).await;
    room.refused("keys/own/import_version", again, "only be used with an imported key").await;
    // Rotated here, it is no longer what came from outside.
    let body = json!({ "ciphertext": aes, "allow_rotation": true });
    room.write("keys/turning/import", body.clone()).await;
    assert_eq!(room.read("keys/turning").await["imported_key_allow_rotation"], true);
    room.write("keys/turning/rotate", json!({})).await;
    let body = json!({ "ciphertext": aes });
    room.refused("keys/turning/import_version", body, "only be used with an imported key").await;
}

/// Public keys first, private ones later.
async fn halves(room: &Room, under: &PublicKey) {
    for (kind, key_type) in [
        ("ecdsa-p256", KeyType::named("ec", 256).unwrap()),
        ("ed25519", KeyType::Ed25519),
        ("rsa-2048", KeyType::Rsa(2_048)),
    ] {
        let pair = PrivateKey::generate(key_type).unwrap();
        let other = PrivateKey::generate(key_type).unwrap();
        let path = |what: &str| format!("keys/half-{kind}/{what}");
        let public = json!({ "type": kind, "public_key": pair.public().unwrap().to_pem() });
        room.write(&path("import"), public.clone()).await;
        let sign = format!("sign/half-{kind}");
        let none = "requested version for signing does not contain a private part";
        room.refused(&sign, json!({ "input": "" }), none).await;
        let secret =
            |pair: &PrivateKey| wrapped(under, Hash::Sha256, pair.to_pkcs8_der().expose_secret());
        let mut sealed = Value::Null;
        if kind == "rsa-2048" {
            let body = json!({ "plaintext": b64("text") });
            sealed = room.write(&format!("encrypt/half-{kind}"), body).await["ciphertext"].clone();
            let body = json!({ "ciphertext": sealed });
            let none = "key version does not have a private counterpart";
            room.refused(&format!("decrypt/half-{kind}"), body, none).await;
        }
        for (body, why) in [
            (json!({ "version": 1, "ciphertext": secret(&other) }), "key pair does not match"),
            (with(public, &json!({ "version": 1 })), "already has a public key set"),
            (json!({ "version": 2, "ciphertext": secret(&pair) }), "no such key version"),
        ] {
            room.refused(&path("import_version"), body, why).await;
        }
        // The private half completes the latest version; another key is a version of its own.
        room.write(&path("import_version"), json!({ "ciphertext": secret(&pair) })).await;
        assert_eq!(room.read(&format!("keys/half-{kind}")).await["latest_version"], 1);
        room.write(&sign, json!({ "input": "" })).await;
        if kind == "rsa-2048" {
            let body = json!({ "ciphertext": sealed });
            let opened = room.write(&format!("decrypt/half-{kind}"), body).await;
            assert_eq!(unb64(&opened["plaintext"]), "text");
        }
        let body = json!({ "version": 1, "ciphertext": secret(&pair) });
        room.refused(&path("import_version"), body, "key version cannot be updated").await;
        room.write(&path("import_version"), json!({ "ciphertext": secret(&other) })).await;
        assert_eq!(room.read(&format!("keys/half-{kind}")).await["latest_version"], 2);
    }
}

#[tokio::test]
async fn a_key_goes_wrapped_to_another_mount() {
    let room = Room::new().await;
    room.node.mount("transit", "other/").await;
    let there = async |path: &str, body: Value| {
        let got = room.node.root("WRITE", &format!("other/{path}"), body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
        got.data().clone()
    };
    let under = room.node.root("READ", "other/wrapping_key", Value::Null).await;
    let body = json!({ "type": "rsa-4096", "public_key": under.data()["public_key"] });
    room.write("keys/there/import", body).await;
    for kind in ALL {
        room.key(kind, json!({ "type": kind, "exportable": true })).await;
        let mac = room.write(&format!("hmac/{kind}"), json!({ "input": "" })).await["hmac"].clone();
        let path = format!("byok-export/there/{kind}/latest?hash=SHA512");
        let wrapped = room.read(&path).await["keys"]["1"].clone();
        let body = json!({ "type": kind, "hash_function": "SHA512", "ciphertext": wrapped });
        there(&format!("keys/{kind}/import"), body).await;
        if *kind == "hmac" {
            let body = json!({ "input": "", "hmac": mac });
            assert_eq!(there("verify/hmac", body).await["valid"], true);
        } else if kind.starts_with('e') || kind.starts_with("rsa") {
            let made = there(&format!("sign/{kind}"), json!({ "input": "" })).await;
            let body = json!({ "input": "", "signature": made["signature"] });
            assert_eq!(room.write(&format!("verify/{kind}"), body).await["valid"], true);
        } else {
            let sealed = room.encrypt(kind, "text").await;
            let opened = there(&format!("decrypt/{kind}"), json!({ "ciphertext": sealed })).await;
            assert_eq!(unb64(&opened["plaintext"]), "text");
        }
    }
    for (path, why) in [
        ("byok-export/none/hmac", "no such destination key to export to"),
        ("byok-export/there/none", "no such source key for export"),
        ("byok-export/hmac/ed25519", "must be a rsa key"),
        ("byok-export/ed25519/hmac", "must be a rsa key"),
        ("byok-export/there/hmac/2", "version does not exist"),
        ("byok-export/there/hmac?hash=MD5", "unknown hash function"),
    ] {
        let got = room.call("READ", path, Value::Null).await;
        assert_eq!(got.status, 400, "{path}: {got:?}");
        assert!(got.errors().contains(why), "{path}: {got:?}");
    }
}
