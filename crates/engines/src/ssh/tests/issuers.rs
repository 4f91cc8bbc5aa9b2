//! The authority's keys.

use serde_json::{Value, json};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey};
use strongroom_crypto::ssh::write_private;

use super::{KINDS, Room, line, public};

/// A key pair as a request brings it.
fn brought(key: &PrivateKey) -> Value {
    json!({ "public_key": line(key), "private_key": write_private(key).unwrap().expose_secret() })
}

#[tokio::test]
async fn keys_of_all_kinds_are_made() {
    let room = Room::bare().await;
    room.role("r", json!({ "allowed_users": "ann" })).await;
    for (kind, bits, algorithm, signs) in [
        (None, None, "ssh-rsa", "rsa-sha2-256"),
        (Some("ssh-rsa"), Some(2048), "ssh-rsa", "rsa-sha2-256"),
        (Some("rsa"), Some(3072), "ssh-rsa", "rsa-sha2-256"),
        (Some("ed25519"), Some(0), "ssh-ed25519", "ssh-ed25519"),
        (Some("ssh-ed25519"), None, "ssh-ed25519", "ssh-ed25519"),
        (Some("ec"), None, "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
        (Some("ec"), Some(521), "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
        (Some("ecdsa-sha2-nistp384"), None, "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ] {
        let body = json!({ "key_type": kind, "key_bits": bits, "generate_signing_key": true });
        let got = room.ok("WRITE", "config/ca", body).await;
        let key = got.data()["public_key"].as_str().unwrap();
        assert!(key.starts_with(&format!("{algorithm} AAAA")) && key.ends_with('\n'), "{key}");
        if kind.is_none() {
            assert!(key.len() > 700, "4096 bits");
        }
        let told = room.sign("r", json!({ "valid_principals": "ann" })).await.unwrap();
        assert_eq!(told.signed_with, signs);
        // Nothing that is shown is more than the public half.
        let read = room.ok("READ", "config/ca", Value::Null).await;
        assert_eq!(read.data(), got.data());
        let members: Vec<&String> = read.data().as_object().unwrap().keys().collect();
        assert_eq!(members, ["issuer_id", "issuer_name", "public_key"]);
        let raw = room.node.call("READ", "ssh/public_key", "", Value::Null).await;
        assert_eq!((raw.status, raw.body.as_str()), (200, Some(key)));
    }
    let ids = room.ok("LIST", "issuers", Value::Null).await;
    assert_eq!(ids.data()["keys"].as_array().unwrap().len(), 8);
    assert_eq!(room.call("DELETE", "config/ca", Value::Null).await.status, 204);
    assert_eq!(room.call("LIST", "issuers", Value::Null).await.status, 404);
    for path in ["config/ca", "config/issuers", "issuer/default", "public_key"] {
        let got = room.call("READ", path, Value::Null).await;
        assert_eq!(
            (got.status, got.errors().as_str()),
            (400, "no default issuer currently configured"),
            "{path}"
        );
    }
    let refused = room.sign("r", json!({ "valid_principals": "ann" })).await.unwrap_err();
    assert_eq!(refused, "no default issuer currently configured");
}

#[tokio::test]
async fn keys_are_brought() {
    for kind in KINDS {
        let room = Room::bare().await;
        let key = PrivateKey::generate(kind).unwrap();
        let got = room.ok("WRITE", "config/ca", brought(&key)).await;
        let shown = got.data()["public_key"].as_str().unwrap().trim();
        assert!(line(&key).starts_with(shown), "without its comment");
        let mut pkcs8 = brought(&key);
        pkcs8["private_key"] = key.to_pkcs8_pem().expose_secret().as_str().into();
        pkcs8["generate_signing_key"] = false.into();
        let again = room.ok("WRITE", "config/ca", pkcs8).await;
        assert_eq!(again.data(), got.data(), "the same one");
        assert!(again.body["warnings"][0].as_str().unwrap().contains("already exists"));
    }
}

#[tokio::test]
async fn wrong_keys_are_refused_and_nothing_is_stored() {
    let room = Room::bare().await;
    let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let with = |more: Value| {
        let mut body = brought(&key);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let one = "only one of public_key and private_key set; both must be set to use, or both must \
               be blank to auto-generate";
    for (body, problem) in [
        (
            with(json!({ "generate_signing_key": true })),
            "public_key and private_key must not be set when generate_signing_key is set to true",
        ),
        (with(json!({ "public_key": "" })), one),
        (with(json!({ "private_key": "" })), one),
        (json!({ "generate_signing_key": false }), "missing public_key"),
        (
            with(json!({ "public_key": public(KeyType::Ec(Curve::P256)) })),
            "public_key does not belong to private_key",
        ),
        (
            with(json!({ "public_key": "ssh-rsa x" })),
            "could not parse public_key provided value: it is not a public key of SSH",
        ),
        (
            with(json!({ "private_key": "secret" })),
            "could not parse private_key provided value: no private key found in the PEM data",
        ),
        (json!({ "key_type": "dsa" }), "unknown ssh key pair algorithm"),
        (
            json!({ "key_type": "rsa", "key_bits": 1024 }),
            "unsupported bit length for RSA key: 2048, 3072, 4096 and 8192 are supported",
        ),
        (
            json!({ "key_type": "ec", "key_bits": 224 }),
            "unsupported bit length for EC key: 256, 384 and 521 are supported",
        ),
        (
            json!({ "key_type": "ec", "key_bits": -1 }),
            "unsupported bit length for EC key: 256, 384 and 521 are supported",
        ),
    ] {
        let got = room.call("WRITE", "config/ca", body).await;
        assert_eq!((got.status, got.errors().as_str()), (400, problem));
        assert_eq!(room.call("LIST", "issuers", Value::Null).await.status, 404);
    }
}

#[tokio::test]
async fn several_issuers_have_names_and_one_is_the_default() {
    let room = Room::bare().await;
    let import = |path: &'static str, more: Value| {
        let mut body = json!({ "key_type": "ed25519" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        room.call("WRITE", path, body)
    };
    let first = import("issuers/import/one", json!({})).await;
    assert_eq!(first.data()["issuer_name"], "one");
    let one = first.data()["issuer_id"].as_str().unwrap().to_owned();
    let default = room.ok("READ", "config/issuers", Value::Null).await;
    assert_eq!(default.data(), &json!({ "default": one }), "the first is the default");
    let second = import("issuers/import", json!({ "issuer_name": "two" })).await;
    let two = second.data()["issuer_id"].as_str().unwrap().to_owned();
    let third = import("issuers/import", json!({ "set_default": true })).await;
    assert_eq!(third.data()["issuer_name"], "");
    let three = third.data()["issuer_id"].as_str().unwrap().to_owned();
    let default = room.ok("READ", "config/issuers", Value::Null).await;
    assert_eq!(default.data(), &json!({ "default": three }));
    for (path, problem) in [
        ("issuers/import/one", "issuer name already in use"),
        ("issuers/import/default", "reserved keyword 'default' can not be used as issuer name"),
        ("issuers/import/Default", "reserved keyword 'default' can not be used as issuer name"),
        ("issuers/import/a b", "issuer name contained invalid characters"),
    ] {
        let got = import(path, json!({})).await;
        assert_eq!((got.status, got.errors().as_str()), (400, problem), "{path}");
    }
    let listed = room.ok("LIST", "issuers", Value::Null).await;
    let info = &listed.data()["key_info"];
    assert_eq!(info[&one]["issuer_name"], "one");
    assert_eq!(info[&one]["is_default"], false);
    assert_eq!(info[&three]["is_default"], true);
    assert_eq!(info[&two]["public_key"], second.data()["public_key"]);
    // By id, by name, and as the default.
    for (reference, id) in [
        (one.as_str(), &one),
        ("one", &one),
        ("two", &two),
        ("default", &three),
        ("DEFAULT", &three),
    ] {
        let got = room.ok("READ", &format!("issuer/{reference}"), Value::Null).await;
        assert_eq!(got.data()["issuer_id"].as_str(), Some(id.as_str()));
        let path = format!("ssh/issuer/{reference}/public_key");
        let raw = room.node.call("READ", &path, "", Value::Null).await;
        assert_eq!(raw.body, got.data()["public_key"]);
    }
    let got = room.call("READ", "issuer/four", Value::Null).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "unable to find issuer for reference"));

    // Roles name the issuer that signs for them.
    room.role("by-name", json!({ "issuer_ref": "one", "default_user": "u" })).await;
    room.role("by-id", json!({ "issuer_ref": two, "default_user": "u" })).await;
    room.role("usual", json!({ "default_user": "u" })).await;
    room.role("lost", json!({ "issuer_ref": "four", "default_user": "u" })).await;
    for (role, id) in
        [("by-name", Some(&one)), ("by-id", Some(&two)), ("usual", Some(&three)), ("lost", None)]
    {
        let body = json!({ "public_key": public(KeyType::Ed25519) });
        let got = room.call("WRITE", &format!("sign/{role}"), body).await;
        assert_eq!(got.data()["issuer_id"].as_str(), id.map(String::as_str), "{role}");
        assert_eq!(got.status, if id.is_some() { 200 } else { 400 });
    }

    let got = room.ok("WRITE", "config/issuers", json!({ "default": "two" })).await;
    assert_eq!(got.data(), &json!({ "default": two }));
    assert!(got.body["warnings"][0].as_str().unwrap().contains(&three));
    for body in [json!({}), json!({ "default": "default" }), json!({ "default": "four" })] {
        assert_eq!(room.call("WRITE", "config/issuers", body).await.status, 400);
    }

    let got = room.ok("WRITE", "issuer/one", json!({ "issuer_name": "uno" })).await;
    assert_eq!(got.data()["issuer_name"], "uno");
    assert_eq!(got.body["warnings"], json!(["1 roles reference 'one'"]));
    assert_eq!(room.call("READ", "issuer/one", Value::Null).await.status, 400);
    assert_eq!(room.ok("READ", "issuer/uno", Value::Null).await.data()["issuer_id"], one);
    let got = room.ok("PATCH", "issuer/uno", json!({ "issuer_name": "uno" })).await;
    assert_eq!(got.body["warnings"], Value::Null);
    for name in ["two", "", "default", "x y"] {
        let got = room.call("WRITE", "issuer/uno", json!({ "issuer_name": name })).await;
        assert_eq!(got.status, 400, "{name}");
    }

    let got = room.call("DELETE", "issuer/two", Value::Null).await;
    assert_eq!(got.status, 200);
    let warnings = got.body["warnings"].to_string();
    assert!(warnings.contains(&format!("1 roles reference '{two}'")), "{warnings}");
    assert!(warnings.contains("it was the default issuer"), "{warnings}");
    assert_eq!(room.call("READ", "config/issuers", Value::Null).await.status, 400);
    assert!(room.sign("by-id", json!({})).await.is_err(), "what is gone signs nothing");
    assert_eq!(
        room.call("DELETE", "issuer/two", Value::Null).await.status,
        204,
        "as often as asked"
    );
    assert_eq!(room.call("DELETE", &format!("issuer/{three}"), Value::Null).await.status, 204);
    // A key that went can come again.
    let key = PrivateKey::generate(KeyType::Ed25519).unwrap();
    for _ in 0..2 {
        let got = room.ok("WRITE", "issuers/import/again", brought(&key)).await;
        assert_eq!(got.body["warnings"], Value::Null);
        room.ok("DELETE", "issuer/again", Value::Null).await;
    }
}
