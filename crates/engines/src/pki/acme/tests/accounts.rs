//! Accounts (RFC 8555 §7.3), and what lets them in.

use super::*;

#[tokio::test]
async fn an_account_is_made_once_and_found_by_its_key() {
    let room = Room::new().await;
    let mut client = Client::new(&room, "acme/");
    let find = json!({ "onlyReturnExisting": true }).to_string();
    let got = client.send(Signer::Key, "new-account", &find).await;
    assert_eq!(problem(&got), (400, "accountDoesNotExist".to_owned()));
    client.register(json!({ "contact": ["mailto:a@example.com"] })).await;
    let kid = client.kid.clone().unwrap();
    for payload in [find.as_str(), "{}"] {
        let got = client.send(Signer::Key, "new-account", payload).await;
        assert_eq!((got.status, got.header("location")), (200, kid.as_str()), "{got:?}");
        assert_eq!(got.body["status"], "valid");
        assert_eq!(got.body["contact"], json!(["mailto:a@example.com"]));
        assert_eq!(got.body["orders"], format!("{kid}/orders"));
    }
    let path = client.below(&kid);
    let got = client.post(&path, json!({ "contact": [] })).await;
    assert_eq!((got.status, got.body.get("contact")), (200, None), "{got:?}");
    let got = client.get(&format!("{path}/orders")).await;
    assert_eq!(got.body, json!({ "orders": [] }));
    let got = client.post("new-account", json!({})).await;
    assert_eq!(problem(&got).1, "malformed", "an account makes no account");
}

#[tokio::test]
async fn an_ended_account_does_nothing_any_more() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (order, _) = client.order(&["a.example.com"]).await;
    let path = client.below(client.kid.as_deref().unwrap());
    for status in ["revoked", "pending", ""] {
        let got = client.post(&path, json!({ "status": status })).await;
        assert_eq!(problem(&got).1, "malformed");
    }
    let got = client.post(&path, json!({ "status": "deactivated" })).await;
    assert_eq!((got.status, &got.body["status"]), (200, &json!("deactivated")), "{got:?}");
    for path in [&path, &order, "orders", "new-order"] {
        let got = client.post(path, json!({ "status": "valid" })).await;
        assert_eq!(problem(&got), (401, "unauthorized".to_owned()), "{path}");
    }
    let got = client.send(Signer::Key, "new-account", "{}").await;
    assert_eq!(problem(&got).1, "unauthorized", "its key is not let in again");
}

/// An account sees its own records: others' look as if they were not there.
#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let room = Room::new().await;
    room.ok("WRITE", "pki/roles/web", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    let one = Client::registered(&room, "acme/").await;
    let other = Client::registered(&room, "acme/").await;
    let (path, order) = one.order(&["a.example.com"]).await;
    let (authorization, body) = one.authorizations(&order).await.remove(0);
    let challenge = one.below(challenge(&body, "http-01")["url"].as_str().unwrap());
    let account = one.below(one.kid.as_deref().unwrap());
    for (path, kind) in [
        (path.clone(), "malformed"),
        (format!("{path}/cert"), "malformed"),
        (authorization, "malformed"),
        (challenge, "malformed"),
        (account.clone(), "unauthorized"),
        (format!("{account}/orders"), "unauthorized"),
    ] {
        assert_eq!(problem(&other.get(&path).await).1, kind, "{path}");
        let made_up = path.replace(|c: char| c.is_ascii_digit(), "0");
        if kind == "malformed" {
            assert_eq!(other.get(&made_up).await.status, other.get(&path).await.status);
        }
    }
    // Nor does an account count in another directory.
    let mut stray = Client::new(&room, "roles/web/acme/");
    stray.key = PrivateKey::from_pkcs8_der(one.key.to_pkcs8_der().expose_secret()).unwrap();
    stray.kid = one.kid.clone();
    assert_eq!(problem(&stray.get("orders").await).1, "malformed");
    let got = stray.send(Signer::Key, "new-account", "{}").await;
    assert_eq!(problem(&got).1, "malformed");
}

#[tokio::test]
async fn what_an_account_may_be() {
    let room = Room::new().await;
    let long = format!("mailto:{}", "a".repeat(320));
    let many: Vec<String> = (0..11).map(|i| format!("mailto:{i}@example.com")).collect();
    for (payload, kind) in [
        (json!({ "contact": "mailto:a@example.com" }), "malformed"),
        (json!({ "contact": [1] }), "malformed"),
        (json!({ "contact": ["a@example.com"] }), "invalidContact"),
        (json!({ "contact": ["mailto:a\n@example.com"] }), "invalidContact"),
        (json!({ "contact": [long] }), "invalidContact"),
        (json!({ "contact": many }), "invalidContact"),
        (json!({ "termsOfServiceAgreed": "yes" }), "malformed"),
        (json!({ "onlyReturnExisting": 1 }), "malformed"),
        (json!({ "externalAccountBinding": "x" }), "malformed"),
        (json!([]), "malformed"),
    ] {
        let client = Client::new(&room, "acme/");
        let got = client.send(Signer::Key, "new-account", &payload.to_string()).await;
        assert_eq!(problem(&got).1, kind, "{payload}");
    }
}

#[tokio::test]
async fn a_new_key_takes_the_old_ones_place() {
    let room = Room::new().await;
    let mut client = Client::registered(&room, "acme/").await;
    let stranger = Client::registered(&room, "acme/").await;
    let kid = client.kid.clone().unwrap();
    let new = new_key();
    let inner = |key: &PrivateKey, url: &str, account: &str, old: Value| {
        let header = json!({ "alg": "ES256", "jwk": jwk_json(key), "url": url });
        sign(key, &header, &json!({ "account": account, "oldKey": old }).to_string())
    };
    let url = client.url("key-change");
    let old = jwk_json(&client.key);
    let other_url = client.url("new-order");
    for (what, message) in [
        ("another URL", inner(&new, &other_url, &kid, old.clone())),
        ("another account", inner(&new, &url, stranger.kid.as_deref().unwrap(), old.clone())),
        ("another old key", inner(&new, &url, &kid, jwk_json(&new))),
        ("no signature of the new key", {
            let mut message = inner(&new, &url, &kid, old.clone());
            message["signature"] = inner(&new_key(), &url, &kid, old.clone())["signature"].clone();
            message
        }),
        ("nothing", json!({})),
    ] {
        let got = client.post("key-change", message).await;
        assert!(
            matches!(problem(&got).1.as_str(), "malformed" | "unauthorized"),
            "{what}: {got:?}"
        );
    }
    let taken = inner(&stranger.key, &url, &kid, old.clone());
    let got = client.post("key-change", taken).await;
    assert_eq!((got.status, got.header("location")), (409, stranger.kid.as_deref().unwrap()));
    let got = client.post("key-change", inner(&new, &url, &kid, old)).await;
    assert_eq!(got.status, 200, "{got:?}");
    // The old key is nobody's now, the new one the account's.
    assert_eq!(problem(&client.get("orders").await).1, "malformed");
    let find = json!({ "onlyReturnExisting": true }).to_string();
    let got = client.send(Signer::Key, "new-account", &find).await;
    assert_eq!(problem(&got).1, "accountDoesNotExist");
    client.key = new;
    assert_eq!(client.get("orders").await.status, 200);
    let got = client.send(Signer::Key, "new-account", &find).await;
    assert_eq!((got.status, got.header("location")), (200, kid.as_str()));
}

/// A binding of this secret for an account's key.
pub fn binding(client: &Client<'_>, id: &str, secret: &str, path: &str, key: &PrivateKey) -> Value {
    let header = json!({ "alg": "HS256", "kid": id, "url": client.url(path) });
    let (protected, payload) = (encode(header.to_string()), encode(jwk(key).canonical()));
    let secret = URL_SAFE_NO_PAD.decode(secret).unwrap();
    let signed = format!("{protected}.{payload}");
    let mac = strongroom_crypto::HmacKey::new(&secret).mac(&[signed.as_bytes()]);
    json!({ "protected": protected, "payload": payload, "signature": encode(mac) })
}

#[tokio::test]
async fn external_accounts_let_one_account_in() {
    let room = Room::new().await;
    let before = Client::registered(&room, "acme/").await;
    room.acme(json!({ "eab_policy": "new-account-required" })).await;
    assert_eq!(before.get("orders").await.status, 200, "accounts from before go on");
    let got = room.node.call_raw("READ", "pki/acme/directory", b"").await;
    assert_eq!(got.body["meta"]["externalAccountRequired"], true);
    // Only who has a token of ours makes secrets.
    assert_eq!(room.node.call_raw("WRITE", "pki/acme/new-eab", b"").await.status, 403);
    let made = room.ok("WRITE", "pki/acme/new-eab", json!({})).await;
    let data = made.data();
    let (id, secret) = (data["id"].as_str().unwrap(), data["key"].as_str().unwrap());
    assert_eq!(
        (&data["key_type"], &data["acme_directory"]),
        (&json!("hs"), &json!("acme/directory"))
    );
    assert!(secret.starts_with("vault-eab-0-"), "{secret}");
    let listed = room.ok("LIST", "pki/eab", Value::Null).await;
    assert_eq!(listed.data()["keys"], json!([id]));
    assert!(listed.data()["key_info"][id].get("key").is_none(), "the secret is shown once");
    let other = room.ok("WRITE", "pki/issuer/default/acme/new-eab", json!({})).await;
    let (elsewhere, its_secret) =
        (other.data()["id"].as_str().unwrap(), other.data()["key"].as_str().unwrap());
    let client = Client::new(&room, "acme/");
    let stranger = new_key();
    let got = client.send(Signer::Key, "new-account", "{}").await;
    assert_eq!(problem(&got), (401, "externalAccountRequired".to_owned()));
    let made_up = "00000000-0000-0000-0000-000000000000";
    for (what, shown, kind) in [
        (
            "another secret",
            binding(&client, id, its_secret, "new-account", &client.key),
            "unauthorized",
        ),
        ("nobody's", binding(&client, made_up, secret, "new-account", &client.key), "unauthorized"),
        (
            "another directory's",
            binding(&client, elsewhere, its_secret, "new-account", &client.key),
            "unauthorized",
        ),
        ("another URL", binding(&client, id, secret, "new-order", &client.key), "unauthorized"),
        ("another key", binding(&client, id, secret, "new-account", &stranger), "malformed"),
        ("nothing", json!({}), "malformed"),
    ] {
        let payload = json!({ "externalAccountBinding": shown }).to_string();
        let got = client.send(Signer::Key, "new-account", &payload).await;
        assert_eq!(problem(&got).1, kind, "{what}: {got:?}");
    }
    let shown = binding(&client, id, secret, "new-account", &client.key);
    let payload = json!({ "externalAccountBinding": shown }).to_string();
    let got = client.send(Signer::Key, "new-account", &payload).await;
    assert_eq!((got.status, &got.body["externalAccountBinding"]), (201, &shown), "{got:?}");
    // Once.
    let second = Client::new(&room, "acme/");
    let shown = binding(&second, id, secret, "new-account", &second.key);
    let payload = json!({ "externalAccountBinding": shown }).to_string();
    let got = second.send(Signer::Key, "new-account", &payload).await;
    assert_eq!(problem(&got).1, "unauthorized");
    // And always, if that is wanted.
    room.acme(json!({ "eab_policy": "always-required" })).await;
    assert_eq!(problem(&before.get("orders").await).1, "externalAccountRequired");
    room.ok("DELETE", &format!("pki/eab/{elsewhere}"), Value::Null).await;
    let gone = room.ok("DELETE", &format!("pki/eab/{elsewhere}"), Value::Null).await;
    assert!(gone.body["warnings"].is_array(), "{gone:?}");
    assert!(room.refused("DELETE", "pki/eab/x", Value::Null).await.contains("key_id"));
    assert_eq!(room.node.root("LIST", "pki/eab", Value::Null).await.status, 404);
}

#[tokio::test]
async fn strangers_make_so_many_accounts_and_no_more() {
    let room = Room::new().await;
    room.node.come_from("192.0.2.7");
    let key_pairs = super::super::limits::ACCOUNTS_PER_ADDRESS;
    for _ in 0..key_pairs {
        Client::registered(&room, "acme/").await;
    }
    let late = Client::new(&room, "acme/");
    let got = late.send(Signer::Key, "new-account", "{}").await;
    assert_eq!(problem(&got), (429, "rateLimited".to_owned()));
    assert!(got.header("retry-after").parse::<i64>().is_ok_and(|s| s > 0), "{got:?}");
    room.node.come_from("192.0.2.8");
    Client::registered(&room, "acme/").await;
}
