//! `tidy` and `config/auto-tidy`.

use serde_json::{Value, json};

use super::Room;

const HOUR: i64 = 3_600;

async fn count(room: &Room, list: &str) -> usize {
    let got = room.call("LIST", &format!("pki/{list}"), Value::Null).await;
    got.data()["keys"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn expired_certificates_and_their_revocations_go() {
    let room = Room::new().await;
    for i in 0..7 {
        let body = json!({ "common_name": format!("h{i}.example"), "ttl": "1h" });
        let leaf = room.issue("any", body).await;
        if i < 2 {
            room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
        }
    }
    let kept = room.issue("any", json!({ "common_name": "long.example", "ttl": "500h" })).await;
    let tidy = json!({ "tidy_cert_store": true, "tidy_revoked_certs": true, "page_size": 5 });
    // Nothing is old enough yet.
    room.later(2 * HOUR).await;
    let got = room.call("WRITE", "pki/tidy", tidy.clone()).await;
    assert_eq!(got.status, 202, "{got:?}");
    let again = room.call("WRITE", "pki/tidy", tidy.clone()).await;
    assert_eq!(again.status, 200);
    assert!(again.body["warnings"].to_string().contains("already in progress"));
    room.later(10).await;
    let status = room.ok("READ", "pki/tidy-status", Value::Null).await;
    assert_eq!(status.data()["state"], "Finished", "{status:?}");
    assert_eq!(status.data()["cert_store_deleted_count"], 0);
    assert_eq!((count(&room, "certs").await, room.crl("default").await.entries.len()), (9, 2));
    // After the safety buffer they are.
    let number = room.crl("default").await.number();
    room.later(73 * HOUR).await;
    room.call("WRITE", "pki/tidy", tidy).await;
    room.later(10).await;
    let status = room.ok("READ", "pki/tidy-status", Value::Null).await;
    assert_eq!(status.data()["cert_store_deleted_count"], 7, "{status:?}");
    assert_eq!(status.data()["revoked_cert_deleted_count"], 2);
    assert_eq!((count(&room, "certs").await, count(&room, "certs/revoked").await), (2, 0));
    let crl = room.crl("default").await;
    assert!(crl.entries.is_empty() && crl.number() > number);
    room.ok("READ", &format!("pki/cert/{}", kept.serial_text()), Value::Null).await;
}

#[tokio::test]
async fn runs_begin_by_themselves_and_can_be_stopped() {
    let room = Room::new().await;
    room.issue("any", json!({ "common_name": "a.example", "ttl": "1h" })).await;
    let said = room.refused("WRITE", "pki/config/auto-tidy", json!({ "enabled": true })).await;
    assert!(said.contains("no tidy operations were requested"), "{said}");
    let body = json!({ "enabled": true, "tidy_cert_store": true, "safety_buffer": "1s",
        "interval_duration": "4h", "maintain_stored_certificate_counts": true });
    let got = room.ok("WRITE", "pki/config/auto-tidy", body).await;
    assert_eq!(got.data()["interval_duration"], 4 * HOUR);
    assert_eq!(got.data()["revoked_safety_buffer"], 1);
    room.later(2 * HOUR).await;
    assert_eq!(count(&room, "certs").await, 2);
    room.later(3 * HOUR).await;
    assert_eq!(count(&room, "certs").await, 1);
    let status = room.ok("READ", "pki/tidy-status", Value::Null).await;
    assert_eq!(status.data()["current_cert_store_count"], 1);
    assert_ne!(status.data()["last_auto_tidy_finished"], "0001-01-01T00:00:00Z");
    let got = room.ok("WRITE", "pki/tidy-cancel", json!({})).await;
    assert!(got.body["warnings"].to_string().contains("none is currently running"));
    room.call("WRITE", "pki/tidy", json!({ "tidy_cert_store": true })).await;
    let got = room.ok("WRITE", "pki/tidy-cancel", json!({})).await;
    assert_eq!(got.data()["state"], "Cancelled");
    for (body, text) in [
        (json!({ "safety_buffer": 0 }), "safety_buffer"),
        (json!({ "safety_buffer": i64::MAX }), "a hundred years at most"),
        (json!({ "issuer_safety_buffer": "1000000h" }), "a hundred years at most"),
        (json!({ "page_size": 2 }), "page_size"),
        (json!({ "pause_duration": "-1s" }), "negative pause_duration"),
    ] {
        let said = room.refused("WRITE", "pki/tidy", body).await;
        assert!(said.contains(text), "{said}");
    }
}

#[tokio::test]
async fn expired_issuers_go_but_for_the_default() {
    let room = Room::bare().await;
    for name in ["One", "Two"] {
        let body = json!({ "common_name": name, "key_type": "ec", "ttl": "1h" });
        room.ok("WRITE", "pki/root/generate/internal", body).await;
    }
    room.later(3 * HOUR).await;
    let body = json!({ "tidy_expired_issuers": true, "issuer_safety_buffer": "1h" });
    room.call("WRITE", "pki/tidy", body).await;
    room.later(10).await;
    assert_eq!((count(&room, "issuers").await, count(&room, "keys").await), (1, 2));
}
