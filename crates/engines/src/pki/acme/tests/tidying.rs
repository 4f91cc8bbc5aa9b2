//! Removing what is over.

use super::*;

#[tokio::test]
async fn what_is_over_goes() {
    let day = 24 * 3_600;
    let room = Room::new().await;
    room.acme(json!({ "max_ttl": "240h" })).await;
    let used = Client::registered(&room, "acme/").await;
    let unused = Client::registered(&room, "acme/").await;
    let ended = Client::registered(&room, "acme/").await;
    let at = ended.below(ended.kid.as_deref().unwrap());
    ended.post(&at, json!({ "status": "deactivated" })).await;
    used.certificate(&["a.example.com"], "dns-01").await;
    let (pending, _) = used.order(&["b.example.com"]).await;
    room.ok("WRITE", "pki/acme/new-eab", json!({})).await;
    let tidy = async || {
        let body = json!({
            "tidy_acme": true,
            "safety_buffer": "24h",
            "acme_account_safety_buffer": "720h",
        });
        let got = room.node.root("WRITE", "pki/tidy", body).await;
        assert!(matches!(got.status, 200..=204), "{got:?}");
        for _ in 0..10 {
            room.work().await;
        }
        let got = room.ok("READ", "pki/tidy-status", Value::Null).await;
        assert_eq!(got.data()["state"], "Finished", "{got:?}");
        let counts = [
            "total_acme_account_count",
            "acme_account_revoked_count",
            "acme_account_deleted_count",
            "acme_orders_deleted_count",
        ];
        counts.map(|count| got.data()[count].as_i64().unwrap_or(-1))
    };
    assert_eq!(tidy().await, [3, 0, 0, 0], "nothing is over yet");
    assert_eq!(used.get(&pending).await.status, 200);
    room.node.clock.advance(2 * day);
    assert_eq!(tidy().await, [3, 0, 0, 0], "the order that was not fulfilled went by itself");
    assert_eq!(problem(&used.get(&pending).await).1, "malformed");
    room.node.clock.advance(29 * day);
    // The one that was ended goes; the one that nobody used is ended; the one with a certificate
    // keeps its account, though the certificate is over.
    assert_eq!(tidy().await, [3, 1, 1, 1]);
    assert_eq!(problem(&unused.get("orders").await).1, "unauthorized");
    assert_eq!(problem(&ended.get("orders").await).1, "accountDoesNotExist");
    assert_eq!(used.get("orders").await.body, json!({ "orders": [] }));
    assert_eq!(room.node.root("LIST", "pki/eab", Value::Null).await.status, 404);
    room.node.clock.advance(31 * day);
    assert_eq!(tidy().await, [2, 1, 1, 0]);
    // Its key can be let in anew.
    let mut again = Client::new(&room, "acme/");
    again.key = PrivateKey::from_pkcs8_der(ended.key.to_pkcs8_der().expose_secret()).unwrap();
    again.register(json!({})).await;
}

/// What strangers begin and do not end goes, though nobody has anything tidied.
#[tokio::test]
async fn what_strangers_leave_goes_by_itself() {
    let day = 24 * 3_600;
    let room = Room::new().await;
    room.acme(json!({ "max_ttl": "240h" })).await;
    room.work().await;
    let (idle, busy, used) = (
        Client::registered(&room, "acme/").await,
        Client::registered(&room, "acme/").await,
        Client::registered(&room, "acme/").await,
    );
    used.certificate(&["a.example.com"], "dns-01").await;
    let bound = {
        let got = room.ok("WRITE", "pki/acme/new-eab", json!({})).await;
        let (id, secret) = (&got.data()["id"], &got.data()["key"]);
        let (id, secret) = (id.as_str().unwrap(), secret.as_str().unwrap());
        let mut client = Client::new(&room, "acme/");
        let shown = accounts::binding(&client, id, secret, "new-account", &client.key);
        client.register(json!({ "externalAccountBinding": shown })).await;
        client
    };
    let (fulfilled, _) = used.order(&["a.example.com"]).await;
    let mut orders = Vec::new();
    for i in 0..250 {
        orders.push(busy.order(&[&format!("n{i}.example.com")]).await.0);
    }
    room.node.clock.advance(day + 1_800);
    room.work().await;
    let shown = busy.get(&orders[0]).await;
    assert_eq!((shown.status, &shown.body["status"]), (200, &json!("invalid")), "a while longer");
    room.node.clock.advance(2 * 3_600);
    room.work().await;
    for order in orders.iter().chain([&fulfilled]) {
        let client = if *order == fulfilled { &used } else { &busy };
        assert_eq!(problem(&client.get(order).await).1, "malformed", "{order}");
    }
    // The account that came by once and never again goes; who ordered lately, who has a certificate
    // and whom an operator let in stay.
    room.node.clock.advance(88 * day);
    busy.order(&["later.example.com"]).await;
    room.node.clock.advance(2 * day);
    room.work().await;
    assert_eq!(problem(&idle.get("orders").await).1, "accountDoesNotExist");
    for client in [&busy, &used, &bound] {
        assert_eq!(client.get("orders").await.status, 200);
    }
    let got = used.get("orders").await;
    assert_eq!(got.body["orders"].as_array().unwrap().len(), 1, "{got:?}");
    // Its key can come again; and one that was asked about later goes later.
    let mut again = Client::new(&room, "acme/");
    again.key = PrivateKey::from_pkcs8_der(idle.key.to_pkcs8_der().expose_secret()).unwrap();
    again.register(json!({})).await;
    room.node.clock.advance(100 * day);
    room.work().await;
    assert_eq!(problem(&busy.get("orders").await).1, "accountDoesNotExist");
    assert_eq!(used.get("orders").await.status, 200);
}

/// An account with many orders is gone through once, in pieces.
#[tokio::test]
async fn a_huge_account_is_tidied_in_pieces() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    for i in 0..450 {
        client.order(&[&format!("n{i}.example.com")]).await;
    }
    room.ok("WRITE", "pki/tidy", json!({ "tidy_acme": true })).await;
    for _ in 0..5 {
        room.work().await;
    }
    let got = room.ok("READ", "pki/tidy-status", Value::Null).await;
    let shown = ["state", "total_acme_account_count", "acme_orders_deleted_count"];
    let shown = shown.map(|name| got.data()[name].clone());
    assert_eq!(shown, [json!("Finished"), json!(1), json!(0)]);
    // By tidying, before the hour in which they go by themselves.
    room.node.clock.advance(24 * 3_600 + 60);
    room.ok("WRITE", "pki/tidy", json!({ "tidy_acme": true })).await;
    for _ in 0..5 {
        room.work().await;
    }
    let got = room.ok("READ", "pki/tidy-status", Value::Null).await;
    let shown = ["state", "total_acme_account_count", "acme_orders_deleted_count"];
    let shown = shown.map(|name| got.data()[name].clone());
    assert_eq!(shown, [json!("Finished"), json!(1), json!(450)]);
    assert_eq!(client.get("orders").await.body, json!({ "orders": [] }));
}
