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
    assert_eq!(tidy().await, [3, 0, 0, 1], "the order that was not fulfilled");
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
