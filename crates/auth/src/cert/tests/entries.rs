//! Settings and entries.

use super::*;
use strongroom_crypto::x509::usages;

#[tokio::test]
async fn settings_are_read_as_they_were_written() {
    let room = Room::new().await;
    let mut expect = json!({ "disable_binding": false, "enable_identity_alias_metadata": false,
                             "ocsp_cache_size": 100 });
    assert_eq!(*room.call("READ", "config", Value::Null).await.data(), expect);
    room.ok("config", json!({ "disable_binding": "true", "ocsp_cache_size": 2 })).await;
    expect["disable_binding"] = true.into();
    expect["ocsp_cache_size"] = 2.into();
    assert_eq!(*room.call("READ", "config", Value::Null).await.data(), expect);
    for size in [1, 100_001, -1] {
        let got = room.call("WRITE", "config", json!({ "ocsp_cache_size": size })).await;
        assert_eq!(got.errors(), "invalid cache size, must be >= 2 and <= 100000");
    }
}

#[tokio::test]
async fn entries_are_written_read_listed_and_deleted() {
    let room = Room::new().await;
    let body = json!({
        "certificate": room.root.pem(), "allowed_common_names": "a,b", "lease": 60,
        "required_extensions": ["1.2.3:x:*"], "token_max_ttl": "2h", "ocsp_enabled": 1,
    });
    room.ok("certs/Web", body).await;
    let got = room.call("READ", "certs/WEB", Value::Null).await;
    let expect = json!({
        "certificate": room.root.pem(), "display_name": "web", "allowed_names": null,
        "allowed_common_names": ["a", "b"], "allowed_dns_sans": null, "allowed_email_sans": null,
        "allowed_uri_sans": null, "allowed_organizational_units": null,
        "required_extensions": ["1.2.3:x:*"], "allowed_metadata_extensions": null,
        "ocsp_ca_certificates": "", "ocsp_enabled": true, "ocsp_servers_override": null,
        "ocsp_fail_open": false, "ocsp_query_all_servers": false,
        "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 7200,
        "token_no_default_policy": false, "token_period": 0, "token_policies": [],
        "token_type": "default", "token_ttl": 60, "ttl": 60, "token_num_uses": 0,
        "token_strictly_bind_ip": false,
    });
    assert_eq!(*got.data(), expect);
    // What is not given stays.
    room.ok("certs/web", json!({ "display_name": "d", "allowed_common_names": [] })).await;
    let got = room.call("READ", "certs/web", Value::Null).await;
    assert_eq!((&got.data()["display_name"], &got.data()["token_ttl"]), (&json!("d"), &json!(60)));
    assert_eq!(got.data()["allowed_common_names"], Value::Null);
    room.ok("certs/api", json!({ "certificate": room.root.pem() })).await;
    let list = room.call("LIST", "certs", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["api", "web"]));
    let page = room.call("LIST", "certs?after=api&limit=1", Value::Null).await;
    assert_eq!(page.data()["keys"], json!(["web"]));
    for name in ["web", "api"] {
        assert_eq!(room.call("DELETE", &format!("certs/{name}"), Value::Null).await.status, 204);
    }
    assert_eq!(room.call("READ", "certs/web", Value::Null).await.status, 404);
    assert_eq!(room.call("LIST", "certs", Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_an_entry_refuses() {
    let room = Room::new().await;
    let server =
        room.root.issue(&Wish { usages: &["1.3.6.1.5.5.7.3.1"], ..Wish::client(room.now(), "s") });
    let (good, bad) = (room.root.pem(), room.root.pem().replace("MII", "hunter2"));
    for (body, text) in [
        (json!({}), "failed to parse certificate"),
        (json!({ "certificate": "hunter2" }), "failed to parse certificate"),
        (json!({ "certificate": bad }), "failed to parse certificate"),
        // One that can't be read is not passed over for one that can.
        (json!({ "certificate": format!("{good}\n{bad}") }), "failed to parse certificate"),
        (
            json!({ "certificate": good, "ocsp_ca_certificates": "hunter2" }),
            "failed to parse ocsp_ca_certificates",
        ),
        (
            json!({ "certificate": server.pem() }),
            "nonCA certificates should have TLS client authentication set as an extended key usage",
        ),
        (json!({ "certificate": good, "required_extensions": "hunter2" }), "oid:value"),
        (
            json!({ "certificate": good, "allowed_metadata_extensions": "hunter2" }),
            "must be object identifiers",
        ),
        (json!({ "certificate": good, "ocsp_servers_override": "file:///hunter2" }), "HTTP URLs"),
        (
            json!({ "certificate": good, "token_ttl": 9, "token_max_ttl": 8 }),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
    ] {
        let got = room.call("WRITE", "certs/a", body).await;
        assert_eq!(got.status, 400, "{text}: {got:?}");
        assert!(got.errors().contains(text) && !got.errors().contains("hunter2"), "{got:?}");
    }
    let any = room.root.issue(&Wish { usages: &[usages::ANY], ..Wish::client(room.now(), "s") });
    let none = room.root.issue(&Wish { usages: &[], ..Wish::client(room.now(), "s") });
    for own in [any, none] {
        room.ok("certs/own", json!({ "certificate": own.pem() })).await;
    }
    let got =
        room.ok("certs/long", json!({ "certificate": good, "ttl": "9000h", "period": "9000h" }));
    let warnings = got.await.body["warnings"].to_string();
    assert!(warnings.contains("Given ttl of 32400000 seconds is greater than"), "{warnings}");
    assert!(warnings.contains("Given period of 32400000 seconds is greater than"), "{warnings}");
}
