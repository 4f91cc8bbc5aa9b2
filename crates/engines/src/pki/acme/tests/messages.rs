//! What a message must be (RFC 8555 §6).

use super::*;

#[tokio::test]
async fn the_directory_says_where_to_go() {
    let room = Room::new().await;
    room.ok("WRITE", "pki/roles/web", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    for directory in
        ["acme/", "roles/web/acme/", "issuer/default/acme/", "issuer/default/roles/web/acme/"]
    {
        let got = room.node.call_raw("READ", &format!("pki/{directory}directory"), b"").await;
        assert_eq!((got.status, got.content_type), (200, "application/json"), "{directory}");
        for (member, path) in [
            ("newNonce", "new-nonce"),
            ("newAccount", "new-account"),
            ("newOrder", "new-order"),
            ("revokeCert", "revoke-cert"),
            ("keyChange", "key-change"),
        ] {
            assert_eq!(got.body[member], format!("{MOUNT}/{directory}{path}"));
        }
        assert_eq!(got.body["meta"]["externalAccountRequired"], false);
        assert!(got.body.get("newAuthz").is_none());
        for (method, status) in [("HEAD", 200), ("READ", 204)] {
            let path = format!("pki/{directory}new-nonce");
            let got = room.node.call_raw(method, &path, b"").await;
            assert_eq!(got.status, status, "{got:?}");
            assert!(!got.header("replay-nonce").is_empty());
            assert_eq!(got.header("cache-control"), "no-store");
            assert_eq!(got.header("link"), format!("<{MOUNT}/{directory}directory>;rel=\"index\""));
        }
    }
}

#[tokio::test]
async fn a_message_is_signed_for_one_url_and_one_time() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let good = client.get("orders").await;
    assert_eq!(good.status, 200, "{good:?}");
    let other = new_key();
    // What is changed in header and message, and the problem.
    type Change = fn(&mut Value);
    let headers: &[(&str, Change, (u16, &str))] = &[
        (
            "another URL",
            |h| h["url"] = format!("{MOUNT}/acme/new-order").into(),
            (401, "unauthorized"),
        ),
        (
            "another mount",
            |h| h["url"] = "https://evil.example/v1/pki/acme/orders".into(),
            (401, "unauthorized"),
        ),
        ("no URL", |h| drop(h.as_object_mut().unwrap().remove("url")), (400, "malformed")),
        ("no nonce", |h| drop(h.as_object_mut().unwrap().remove("nonce")), (400, "badNonce")),
        (
            "an old nonce",
            |h| h["nonce"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
            (400, "badNonce"),
        ),
        ("no algorithm", |h| drop(h.as_object_mut().unwrap().remove("alg")), (400, "malformed")),
        ("none", |h| h["alg"] = "none".into(), (400, "badSignatureAlgorithm")),
        ("a MAC", |h| h["alg"] = "HS256".into(), (400, "badSignatureAlgorithm")),
        ("another algorithm", |h| h["alg"] = "RS256".into(), (400, "badSignatureAlgorithm")),
        ("extensions", |h| h["crit"] = json!(["exp"]), (400, "malformed")),
        ("no key", |h| drop(h.as_object_mut().unwrap().remove("kid")), (400, "malformed")),
        (
            "nobody's account",
            |h| {
                h["kid"] =
                    format!("{MOUNT}/acme/account/00000000-0000-0000-0000-000000000000").into()
            },
            (400, "accountDoesNotExist"),
        ),
    ];
    for (what, change, expect) in headers {
        let mut header = client.header(&Signer::Account, "orders").await;
        change(&mut header);
        let got = client.send_raw("orders", &sign(&client.key, &header, "")).await;
        assert_eq!(problem(&got), (expect.0, expect.1.to_owned()), "{what}: {got:?}");
    }
    let mut both = client.header(&Signer::Account, "orders").await;
    both["jwk"] = jwk_json(&client.key);
    let got = client.send_raw("orders", &sign(&client.key, &both, "")).await;
    assert_eq!(problem(&got).1, "malformed", "both kid and jwk");
    let header = client.header(&Signer::Account, "orders").await;
    let got = client.send_raw("orders", &sign(&other, &header, "")).await;
    assert_eq!(problem(&got).1, "malformed", "another's signature");
    let messages: &[(&str, Change)] = &[
        ("an unprotected header", |m| m["header"] = json!({})),
        ("several signatures", |m| m["signatures"] = json!([])),
        ("no payload", |m| drop(m.as_object_mut().unwrap().remove("payload"))),
        ("no signature", |m| m["signature"] = "".into()),
        ("padding", |m| m["signature"] = format!("{}==", m["signature"].as_str().unwrap()).into()),
        ("another payload", |m| m["payload"] = encode("{}").into()),
    ];
    for (what, change) in messages {
        let header = client.header(&Signer::Account, "orders").await;
        let mut message = sign(&client.key, &header, "");
        change(&mut message);
        let got = client.send_raw("orders", &message).await;
        assert_eq!(problem(&got).1, "malformed", "{what}: {got:?}");
    }
    // Once, and then no more.
    let header = client.header(&Signer::Account, "orders").await;
    let message = sign(&client.key, &header, "");
    assert_eq!(client.send_raw("orders", &message).await.status, 200);
    let again = client.send_raw("orders", &message).await;
    assert_eq!(problem(&again), (400, "badNonce".to_owned()));
    // The nonce of a refusal can be used.
    assert_eq!(client.get("orders").await.status, 200);
    // The algorithms that would be taken are told.
    let mut header = client.header(&Signer::Account, "orders").await;
    header["alg"] = "ES256K".into();
    let got = client.send_raw("orders", &sign(&client.key, &header, "")).await;
    assert!(got.body["algorithms"].as_array().is_some_and(|a| a.contains(&json!("ES256"))));
}

#[tokio::test]
async fn what_is_no_message_at_all() {
    let room = Room::new().await;
    for (body, status) in [
        (&b""[..], 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"\x30\x03\x02\x01\x00", 400),
        (b"{\"protected\":1,\"payload\":\"\",\"signature\":\"\"}", 400),
        (b"{\"protected\":\"\",\"payload\":\"\",\"signature\":\"\"}", 400),
    ] {
        let got = room.node.call_raw("WRITE", "pki/acme/new-order", body).await;
        assert_eq!(got.status, status, "{got:?}");
    }
    let got = room.node.call_raw("READ", "pki/acme/new-order", b"").await;
    assert_ne!(got.status, 200);
}

/// What the path says counts, and nothing of a body (whatever it is called).
#[tokio::test]
async fn a_body_chooses_no_role_and_no_issuer() {
    let room = Room::new().await;
    let role =
        json!({ "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec" });
    room.ok("WRITE", "pki/roles/narrow", role).await;
    room.ok("WRITE", "pki/roles/wide", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    let client = Client::registered(&room, "roles/narrow/acme/").await;
    let header = client.header(&Signer::Account, "new-order").await;
    let payload = identifiers(&["a.example.org"]).to_string();
    let mut message = sign(&client.key, &header, &payload);
    message["role"] = "wide".into();
    message["issuer_ref"] = "default".into();
    let got = client.send_raw("new-order", &message).await;
    assert_eq!(problem(&got), (400, "rejectedIdentifier".to_owned()));
}

#[tokio::test]
async fn without_a_path_or_when_disabled_nothing_is_served() {
    let room = Room::without_acme().await;
    let disabled = room.node.call_raw("READ", "pki/acme/directory", b"").await;
    assert_eq!((disabled.status, disabled.header("replay-nonce")), (404, ""));
    let refused = room.refused("WRITE", "pki/config/acme", json!({ "enabled": true })).await;
    assert!(refused.contains("'path'"), "{refused}");
    let got = room.node.call_raw("WRITE", "pki/acme/new-account", b"{}").await;
    assert_eq!(got.status, 404, "{got:?}");
}
