//! Orders, authorizations and challenges as they are made (RFC 8555 §7.4 and §7.5).

use super::*;

#[tokio::test]
async fn an_order_has_an_authorization_for_each_name() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let names = ["a.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"];
    let (path, order) = client.order(&names).await;
    assert_eq!(order["status"], "pending");
    assert_eq!(order["identifiers"], identifiers(&names)["identifiers"]);
    assert_eq!(order["finalize"], client.url(&format!("{path}/finalize")));
    assert_eq!(order["expires"], "2026-01-02T00:00:00Z");
    assert!(order.get("certificate").is_none());
    let authorizations = client.authorizations(&order).await;
    let all = ["http-01", "dns-01", "tls-alpn-01"];
    for ((_, found), (value, wildcard, expected)) in authorizations.iter().zip([
        (identifier("a.example.com"), false, &all[..]),
        (identifier("example.com"), true, &["dns-01"]),
        (identifier("192.0.2.1"), false, &["http-01"]),
        (identifier("2001:db8::1"), false, &["http-01"]),
    ]) {
        assert_eq!((&found["identifier"], &found["wildcard"]), (&value, &json!(wildcard)));
        assert_eq!(kinds(found), expected, "{value}");
        assert_eq!(found["status"], "pending");
    }
    // RFC 8555 §11.3: 128 bits at least, and each another one.
    let tokens: std::collections::BTreeSet<String> = authorizations
        .iter()
        .flat_map(|(_, a)| a["challenges"].as_array().unwrap().clone())
        .map(|c| c["token"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tokens.len(), 6);
    assert!(tokens.iter().all(|token| URL_SAFE_NO_PAD.decode(token).unwrap().len() >= 16));
    assert_eq!(client.get(&path).await.body, order);
    let got = client.get("orders").await;
    assert_eq!(got.body, json!({ "orders": [client.url(&path)] }));
}

/// threat GHSA-g892-p242-8g86: a role's limits hold for every name and address of an order.
#[tokio::test]
async fn a_role_says_what_can_be_ordered() {
    let room = Room::new().await;
    let role = json!({
        "allowed_domains": "example.com",
        "allow_subdomains": true,
        "allow_wildcard_certificates": false,
        "allow_ip_sans": false,
        "key_type": "ec",
    });
    room.ok("WRITE", "pki/roles/web", role).await;
    let client = Client::registered(&room, "roles/web/acme/").await;
    for (names, fits) in [
        (&["a.example.com"][..], true),
        (&["a.example.com", "b.example.com"], true),
        (&["a.example.com", "a.example.org"], false),
        (&["example.com"], false),
        (&["*.example.com"], false),
        (&["a.example.com.evil.org"], false),
        (&["192.0.2.1"], false),
        (&["a.example.com", "192.0.2.1"], false),
    ] {
        let got = client.post("new-order", identifiers(names)).await;
        if fits {
            assert_eq!(got.status, 201, "{names:?}: {got:?}");
        } else {
            assert_eq!(problem(&got), (400, "rejectedIdentifier".to_owned()), "{names:?}");
        }
        assert!(!got.body.to_string().contains("evil"), "a submitted name is not repeated");
    }
    for (payload, kind) in [
        (json!({}), "malformed"),
        (json!({ "identifiers": [] }), "malformed"),
        (json!({ "identifiers": [{ "type": "dns", "value": "*.*.example.com" }] }), "malformed"),
        (json!({ "identifiers": [{ "type": "email", "value": "a@b" }] }), "unsupportedIdentifier"),
        (
            json!({ "identifiers": [identifier("a.example.com")], "notAfter": "2030-01-01T00:00:00Z" }),
            "malformed",
        ),
    ] {
        assert_eq!(problem(&client.post("new-order", payload.clone()).await).1, kind, "{payload}");
    }
}

#[tokio::test]
async fn one_challenge_at_a_time_is_looked_at() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (path, order) = client.order(&["a.example.com"]).await;
    let (authorization, body) = client.authorizations(&order).await.remove(0);
    let at = |kind: &str| client.below(challenge(&body, kind)["url"].as_str().unwrap());
    // Fetching it does not begin it.
    let got = client.get(&at("http-01")).await;
    assert_eq!(got.body["status"], "pending");
    let up = client.url(&authorization);
    let links: Vec<&str> =
        got.headers.iter().filter(|(n, _)| *n == "link").map(|(_, v)| v.as_str()).collect();
    assert!(links.contains(&format!("<{up}>;rel=\"up\"").as_str()), "{links:?}");
    assert_eq!(links.len(), 2);
    room.work().await;
    assert!(room.outside.looks().is_empty());
    let got = client.post(&at("http-01"), json!({ "keyAuthorization": "x" })).await;
    assert_eq!(problem(&got).1, "malformed");
    assert_eq!(
        problem(&client.post(&format!("challenge/{}/dns-02", "x"), json!({})).await).1,
        "malformed"
    );
    let got = client.post(&at("http-01"), json!({})).await;
    assert_eq!((got.status, &got.body["status"]), (200, &json!("processing")), "{got:?}");
    assert!(!got.header("retry-after").is_empty());
    // Asking again changes nothing, another one has to wait.
    assert_eq!(client.post(&at("http-01"), json!({})).await.body["status"], "processing");
    assert_eq!(problem(&client.post(&at("dns-01"), json!({})).await).1, "malformed");
    let got = client.get(&authorization).await;
    assert!(!got.header("retry-after").is_empty());
    // One that is given up is not looked at any more.
    let got = client.post(&authorization, json!({ "status": "deactivated" })).await;
    assert_eq!(got.body["status"], "deactivated");
    room.work().await;
    assert_eq!(client.get(&path).await.body["status"], "invalid");
    assert_eq!(client.get("orders").await.body, json!({ "orders": [] }));
    assert_eq!(problem(&client.post(&at("http-01"), json!({})).await).1, "malformed");
    let got = client.post(&authorization, json!({ "status": "deactivated" })).await;
    assert_eq!(problem(&got).1, "malformed");
    let got = client.post(&authorization, json!({ "status": "valid" })).await;
    assert_eq!(problem(&got).1, "malformed");
}

#[tokio::test]
async fn an_order_ends() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (path, order) = client.order(&["a.example.com"]).await;
    client.prove(&order, "http-01").await;
    assert_eq!(client.get(&path).await.body["status"], "ready");
    room.node.clock.advance(24 * 3_600);
    assert_eq!(client.get(&path).await.body["status"], "invalid");
    let csr = json!({ "csr": encode(csr(&new_key(), "", &["a.example.com"])) });
    let got = client.post(&format!("{path}/finalize"), csr).await;
    assert_eq!(problem(&got), (403, "orderNotReady".to_owned()));
}
