//! `config/acme`, and what directories make of it.

use super::*;

#[tokio::test]
async fn settings_and_their_defaults() {
    let room = Room::without_acme().await;
    let got = room.ok("READ", "pki/config/acme", Value::Null).await;
    let defaults = json!({
        "allowed_issuers": ["*"],
        "allowed_roles": ["*"],
        "allow_role_ext_key_usage": false,
        "default_directory_policy": "sign-verbatim",
        "dns_resolver": "",
        "eab_policy": "not-required",
        "enabled": false,
        "max_ttl": 7_776_000,
    });
    assert_eq!(*got.data(), defaults);
    room.ok("WRITE", "pki/roles/web", json!({ "allow_any_name": true })).await;
    room.ok("WRITE", "pki/roles/gone", json!({ "allow_any_name": true, "no_store": true })).await;
    for (body, said) in [
        (json!({ "allowed_roles": [] }), "non-zero length"),
        (json!({ "allowed_issuers": "" }), "non-zero length"),
        (json!({ "allowed_roles": "web,*" }), "cannot use '*' as role name at index 1"),
        (json!({ "allowed_roles": "none" }), "index 0"),
        (json!({ "allowed_roles": "gone" }), "no_store"),
        (json!({ "allowed_issuers": "default,*" }), "cannot use '*' as issuer name at index 1"),
        (json!({ "allowed_issuers": "none" }), "unable to fetch"),
        (json!({ "default_directory_policy": "role:" }), "no role specified"),
        (json!({ "default_directory_policy": "role:none" }), "not a valid ACME role"),
        (json!({ "default_directory_policy": "role:gone" }), "no_store"),
        (json!({ "default_directory_policy": "anything" }), "not a valid policy"),
        (json!({ "dns_resolver": "192.0.2.1" }), "missing port"),
        (json!({ "dns_resolver": ":53" }), "empty address"),
        (json!({ "dns_resolver": "dns.example.com:53" }), "likely got hostname"),
        (json!({ "eab_policy": "sometimes" }), "valid values"),
        (json!({ "max_ttl": 0 }), "greater than zero"),
        (json!({ "enabled": true }), "'path'"),
    ] {
        let errors = room.refused("WRITE", "pki/config/acme", body.clone()).await;
        assert!(errors.contains(said), "{body}: {errors}");
        assert!(!errors.contains("dns.example.com"), "{errors}");
    }
    assert_eq!(*room.ok("READ", "pki/config/acme", Value::Null).await.data(), defaults);
    let body = json!({ "default_directory_policy": "role:web", "allowed_roles": "other" });
    room.ok("WRITE", "pki/roles/other", json!({ "allow_any_name": true })).await;
    assert!(room.refused("WRITE", "pki/config/acme", body).await.contains("allowed_roles"));
    let body = json!({
        "default_directory_policy": "role:web",
        "allowed_roles": "web,other",
        "allowed_issuers": "default",
        "dns_resolver": "[2001:db8::53]:53",
        "eab_policy": " Always-Required ",
        "max_ttl": "240h",
    });
    let got = room.ok("WRITE", "pki/config/acme", body).await;
    assert_eq!(got.data()["eab_policy"], "always-required");
    assert_eq!(got.data()["max_ttl"], 864_000);
    room.ok("WRITE", "pki/config/cluster", json!({ "path": MOUNT })).await;
    room.acme(json!({ "enabled": true })).await;
    // What it needs is taken away: it says so.
    let got = room.node.root("WRITE", "pki/config/cluster", json!({ "path": "" })).await;
    if got.status < 300 {
        let got = room.ok("READ", "pki/config/acme", Value::Null).await;
        assert!(got.body["warnings"][0].as_str().is_some_and(|w| w.contains("'path'")), "{got:?}");
        let got = room.node.call_raw("READ", "pki/acme/directory", b"").await;
        assert_eq!((got.status, got.content_type), (500, "application/problem+json"));
    }
}

#[tokio::test]
async fn directories_that_are_not_allowed() {
    let room = Room::new().await;
    for role in ["web", "other"] {
        let body = json!({ "allow_any_name": true, "key_type": "ec", "allowed_domains": role });
        room.ok("WRITE", &format!("pki/roles/{role}"), body).await;
    }
    let kept_not = json!({ "allow_any_name": true, "no_store": true });
    room.ok("WRITE", "pki/roles/gone", kept_not).await;
    let second = json!({ "common_name": "Second", "key_type": "ec", "issuer_name": "second" });
    room.ok("WRITE", "pki/root/generate/internal", second).await;
    let status = async |directory: &str| {
        room.node.call_raw("READ", &format!("pki/{directory}/directory"), b"").await.status
    };
    for (config, served, refused) in [
        (
            json!({}),
            &["acme", "roles/web/acme", "issuer/second/acme", "issuer/second/roles/web/acme"][..],
            &["roles/none/acme", "roles/gone/acme", "issuer/none/acme"][..],
        ),
        (
            json!({ "default_directory_policy": "forbid" }),
            &["roles/web/acme"],
            &["acme", "issuer/second/acme"],
        ),
        (
            json!({ "default_directory_policy": "role:web", "allowed_roles": "web" }),
            &["acme", "roles/web/acme"],
            &["roles/other/acme", "issuer/second/roles/other/acme"],
        ),
        (json!({ "allowed_issuers": "default" }), &["acme"], &["issuer/second/acme"]),
    ] {
        room.acme(config.clone()).await;
        for directory in served {
            assert_eq!(status(directory).await, 200, "{directory}: {config}");
        }
        for directory in refused {
            assert!(matches!(status(directory).await, 400 | 500), "{directory}: {config}");
        }
    }
    // An issuer that may not issue.
    room.ok("WRITE", "pki/issuer/default", json!({ "usage": "read-only" })).await;
    assert_eq!(status("acme").await, 500);
}
