//! `roles` and `config/zeroaddress`.

use serde_json::{Value, json};

use super::Room;

#[tokio::test]
async fn a_role_is_shown_with_what_counts_for_its_kind() {
    let room = Room::bare().await;
    let otp = json!({
        "key_type": "OTP", "default_user": "ubuntu", "cidr_list": "10.0.0.0/8, 192.168.1.7/32",
        "port": 2222, "ttl": "1h", "allow_user_certificates": true,
    });
    assert_eq!(room.call("WRITE", "roles/o", otp).await.status, 204);
    let shown = json!({
        "allowed_users": "", "cidr_list": "10.0.0.0/8, 192.168.1.7/32", "default_user": "ubuntu",
        "exclude_cidr_list": "", "key_type": "otp", "port": 2222,
    });
    assert_eq!(room.ok("READ", "roles/o", Value::Null).await.data(), &shown);
    room.role("c", json!({ "default_extensions": "{\"permit-pty\": \"\"}" })).await;
    let mut shown = json!({
        "algorithm_signer": "default",
        "allow_bare_domains": false,
        "allow_commas_in_identity_templates": false,
        "allow_empty_principals": false,
        "allow_host_certificates": false,
        "allow_subdomains": false,
        "allow_user_certificates": true,
        "allow_user_key_ids": false,
        "allowed_critical_options": "",
        "allowed_domains": "",
        "allowed_domains_template": false,
        "allowed_extensions": "",
        "allowed_user_key_lengths": {},
        "allowed_users": "",
        "allowed_users_template": false,
        "default_critical_options": {},
        "default_extensions": { "permit-pty": "" },
        "default_extensions_template": false,
        "default_user": "",
        "default_user_template": false,
        "issuer_ref": "default",
        "key_id_format": "",
        "key_type": "ca",
        "max_ttl": 0,
        "not_before_duration": 30,
        "ttl": 0,
    });
    assert_eq!(room.ok("READ", "roles/c", Value::Null).await.data(), &shown);
    let all = json!({
        "ttl": "1h", "max_ttl": "7d", "not_before_duration": "1m", "allowed_users": "a,b",
        "allowed_user_key_lengths": { "rsa": [2048, 4096], "ec": "256,384", "ed25519": 0 },
        "algorithm_signer": "rsa-sha2-512", "issuer_ref": " Default ",
        "default_critical_options": { "force-command": "/bin/true" },
    });
    room.role("c", all).await;
    let changes = json!({
        "ttl": 3600, "max_ttl": 604_800, "not_before_duration": 60, "allowed_users": "a,b",
        "allowed_user_key_lengths": { "rsa": [2048, 4096], "ec": [256, 384], "ed25519": [0] },
        "algorithm_signer": "rsa-sha2-512", "default_extensions": {},
        "default_critical_options": { "force-command": "/bin/true" },
    });
    shown.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    assert_eq!(room.ok("READ", "roles/c", Value::Null).await.data(), &shown, "the whole role anew");
    let listed = json!({
        "keys": ["c", "o"],
        "key_info": { "c": { "issuer_ref": "default", "key_type": "ca" }, "o": { "key_type": "otp" } },
    });
    assert_eq!(room.ok("LIST", "roles", Value::Null).await.data(), &listed);
    let got = room.ok("LIST", "roles?after=c&limit=1", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["o"]));
    room.ok("DELETE", "roles/c", Value::Null).await;
    assert_eq!(room.call("READ", "roles/c", Value::Null).await.status, 404);
}

#[tokio::test]
async fn wrong_roles_are_refused_and_nothing_is_stored() {
    let room = Room::bare().await;
    let ca = |more: Value| {
        let mut body = json!({ "key_type": "ca", "allow_user_certificates": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, problem) in [
        (json!({}), "missing key type"),
        (json!({ "key_type": "x" }), "invalid key type"),
        (json!({ "key_type": "dynamic" }), "dynamic key type roles are no longer supported"),
        (json!({ "key_type": "otp" }), "missing default user"),
        (
            json!({ "key_type": "otp", "default_user": "u", "cidr_list": "10.0.0.0/33" }),
            "failed to validate cidr_list",
        ),
        (
            json!({ "key_type": "otp", "default_user": "u", "exclude_cidr_list": "10.0.0.1" }),
            "failed to validate exclude_cidr_list",
        ),
        (
            json!({ "key_type": "otp", "default_user": "u", "port": 65_536 }),
            "port must be between 1 and 65535",
        ),
        (
            json!({ "key_type": "otp", "default_user": "u", "port": -1 }),
            "port must be between 1 and 65535",
        ),
        (
            json!({ "key_type": "ca" }),
            "Either 'allow_user_certificates' or 'allow_host_certificates' must be set to 'true'",
        ),
        (
            ca(json!({ "ttl": 2, "max_ttl": 1 })),
            "\"ttl\" value must be less than \"max_ttl\" when both are specified",
        ),
        (ca(json!({ "ttl": -1 })), "ttl must not be negative"),
        (ca(json!({ "max_ttl": -1 })), "max_ttl must not be negative"),
        (ca(json!({ "not_before_duration": -1 })), "not_before_duration must not be negative"),
        (ca(json!({ "algorithm_signer": "ssh-dss" })), "unknown algorithm signer"),
        (
            ca(json!({ "algorithm_signer": "ssh-rsa" })),
            "the algorithm_signer ssh-rsa signs with SHA-1, which OpenSSH does not accept: use \
             default, rsa-sha2-256 or rsa-sha2-512",
        ),
        (
            ca(
                json!({ "allowed_users_template": true, "allowed_users": "a{{identity.entity.name" }),
            ),
            "the template of allowed_users has braces that do not pair",
        ),
        (
            ca(json!({ "default_extensions_template": true, "default_extensions": { "x": "}}" } })),
            "the template of default_extensions has braces that do not pair",
        ),
        (
            ca(json!({ "allowed_user_key_lengths": { "rsa": "big" } })),
            "error converting input for field \"allowed_user_key_lengths\": expected an object of \
             kinds of keys and their lengths",
        ),
    ] {
        let got = room.call("WRITE", "roles/r", body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (400, problem), "{body}");
        assert_eq!(room.call("READ", "roles/r", Value::Null).await.status, 404, "{body}");
    }
    assert_eq!(room.call("WRITE", "roles/a b", ca(json!({}))).await.status, 404);
}

#[tokio::test]
async fn roles_for_any_address_are_roles() {
    let room = Room::bare().await;
    let path = "config/zeroaddress";
    assert_eq!(room.call("READ", path, Value::Null).await.status, 404);
    for body in [json!({}), json!({ "roles": "" }), json!({ "roles": "gone" })] {
        assert_eq!(room.call("WRITE", path, body).await.status, 400);
    }
    for name in ["a", "b"] {
        let otp = json!({ "key_type": "otp", "default_user": "u" });
        room.ok("WRITE", &format!("roles/{name}"), otp).await;
    }
    assert_eq!(room.call("WRITE", path, json!({ "roles": "a,b" })).await.status, 204);
    let got = room.ok("READ", path, Value::Null).await;
    assert_eq!(got.data(), &json!({ "roles": ["a", "b"] }));
    room.ok("DELETE", "roles/a", Value::Null).await;
    let got = room.ok("READ", path, Value::Null).await;
    assert_eq!(got.data(), &json!({ "roles": ["b"] }), "it went with the role");
    assert_eq!(room.call("DELETE", path, Value::Null).await.status, 204);
    assert_eq!(room.call("READ", path, Value::Null).await.status, 404);
}
