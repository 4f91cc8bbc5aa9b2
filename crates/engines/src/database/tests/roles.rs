//! `roles`.

use serde_json::{Value, json};

use super::Room;

#[tokio::test]
async fn a_role_is_shown_as_it_was_written() {
    let room = Room::new().await;
    let path = "database/roles/app";
    let body =
        json!({ "db_name": "main", "creation_statements": "CREATE a, b", "default_ttl": "1h" });
    assert_eq!(room.call("WRITE", path, body).await.status, 204);
    let expected = json!({
        "db_name": "main",
        "creation_statements": ["CREATE a, b"],
        "revocation_statements": [],
        "rollback_statements": [],
        "renew_statements": [],
        "default_ttl": 3600,
        "max_ttl": 0,
        "credential_type": "password",
    });
    assert_eq!(room.ok("READ", path, Value::Null).await.data(), &expected);
    let body = json!({ "revocation_statements": ["DROP", ""], "max_ttl": 7200 });
    room.ok("WRITE", path, body).await;
    let got = room.ok("READ", path, Value::Null).await;
    assert_eq!(got.data()["revocation_statements"], json!(["DROP"]));
    assert_eq!(got.data()["creation_statements"], json!(["CREATE a, b"]));
    assert_eq!(got.data()["max_ttl"], 7200);
    room.role("web", json!({})).await;
    let got = room.ok("LIST", "database/roles", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["app", "web"]));
    room.ok("DELETE", path, Value::Null).await;
    assert_eq!(room.call("READ", path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn credentials_have_settings_with_defaults() {
    let room = Room::new().await;
    let (ca, key) = super::accounts::authority();
    let certificate = json!({
        "common_name_template": "{{.RoleName}}", "ca_cert": ca.pem(),
        "ca_private_key": key.to_pkcs8_pem().expose_secret(), "key_type": "ec",
    });
    for (kind, config, shown) in [
        ("password", json!({}), Value::Null),
        (
            "password",
            json!({ "password_policy": "p", "other": "x" }),
            json!({ "password_policy": "p" }),
        ),
        ("rsa_private_key", json!({}), json!({ "format": "pkcs8", "key_bits": 2048 })),
        (
            "rsa_private_key",
            json!({ "key_bits": 4096 }),
            json!({ "format": "pkcs8", "key_bits": 4096 }),
        ),
        (
            "client_certificate",
            certificate,
            json!({
                "common_name_template": "{{.RoleName}}", "ca_cert": ca.pem(), "key_type": "ec",
                "key_bits": 256, "signature_bits": 256,
            }),
        ),
    ] {
        room.role("r", json!({ "credential_type": kind, "credential_config": config })).await;
        let got = room.ok("READ", "database/roles/r", Value::Null).await;
        assert_eq!(got.data()["credential_type"], kind);
        assert_eq!(got.data()["credential_config"], shown, "{kind} {config}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let room = Room::new().await;
    let (ca, key) = super::accounts::authority();
    let leaf = super::accounts::signed(&key, &ca, false);
    let with = |more: Value| {
        let mut config = json!({
            "common_name_template": "x", "ca_cert": ca.pem(), "key_type": "ec",
            "ca_private_key": key.to_pkcs8_pem().expose_secret(),
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({
            "db_name": "d", "credential_type": "client_certificate", "credential_config": config,
        })
    };
    for (body, problem) in [
        (json!({}), "database name is required"),
        (json!({ "db_name": "d", "credential_type": "x" }), "invalid credential_type"),
        (json!({ "db_name": "d", "default_ttl": -1 }), "default_ttl must not be negative"),
        (json!({ "db_name": "d", "creation_statements": 7 }), "creation_statements"),
        (
            json!({ "db_name": "d", "credential_type": "rsa_private_key",
                    "credential_config": { "key_bits": 1024 } }),
            "credential_config validation failed: invalid key_bits",
        ),
        (
            json!({ "db_name": "d", "credential_type": "client_certificate",
                    "credential_config": { "key_type": "ed25519" } }),
            "missing required common_name_template",
        ),
        (with(json!({ "ca_cert": "c" })), "certificate not found in the PEM bundle"),
        (with(json!({ "ca_cert": leaf.pem() })), "not marked for CA use"),
        (with(json!({ "ca_private_key": "c" })), "private key not found in the PEM bundle"),
        (
            with(
                json!({ "ca_private_key": super::accounts::authority().1.to_pkcs8_pem().expose_secret() }),
            ),
            "the private key is not the certificate's",
        ),
        (with(json!({ "common_name_template": "{{" })), "failed to create template"),
        (with(json!({ "key_bits": 224 })), "invalid key_bits"),
        (with(json!({ "key_type": "dsa" })), "invalid key_type"),
        (with(json!({ "signature_bits": 1 })), "invalid signature_bits"),
    ] {
        let got = room.call("WRITE", "database/roles/r", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(got.errors().contains(problem), "{body}: {got:?}");
        assert_eq!(room.call("READ", "database/roles/r", Value::Null).await.status, 404);
    }
    let got = room.call("WRITE", "database/roles/-x", json!({ "db_name": "d" })).await;
    assert_eq!(got.status, 404);
}
