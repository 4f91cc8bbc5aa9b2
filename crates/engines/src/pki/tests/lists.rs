//! Revocation, and lists of what is revoked.

use serde_json::{Value, json};
use strongroom_crypto::keys::{KeyType, PrivateKey};

use super::{Room, serials};

#[tokio::test]
async fn what_is_revoked_is_on_the_list() {
    let room = Room::new().await;
    let leaf = room.issue("any", json!({ "common_name": "a.example" })).await;
    let other = room.issue("any", json!({ "common_name": "b.example" })).await;
    let before = room.crl("default").await;
    assert!(before.entries.is_empty() && before.is_signed_by(&room.ca().await.spki));
    let serial = leaf.serial_text();
    let got = room.ok("WRITE", "pki/revoke", json!({ "serial_number": serial })).await;
    assert_eq!(got.data()["state"], "revoked");
    let at = got.data()["revocation_time"].as_i64().unwrap();
    assert!(got.data()["revocation_time_rfc3339"].as_str().unwrap().ends_with('Z'));
    let after = room.crl("default").await;
    assert_eq!(serials(&after), std::slice::from_ref(&serial));
    assert_eq!(after.entries[0].revoked, at);
    assert!(after.number() > before.number());
    assert_eq!(after.next_update - after.this_update, 72 * 3_600);
    let shown = room.ok("READ", &format!("pki/cert/{serial}"), Value::Null).await;
    assert_eq!(shown.data()["revocation_time"], at);
    assert!(shown.data()["issuer_id"].as_str().unwrap().len() == 36);
    let listed = room.ok("LIST", "pki/certs/revoked", Value::Null).await;
    assert_eq!(listed.data()["keys"], json!([serial]));
    // Once more, by another spelling: the same answer, and no new list.
    room.node.clock.advance(60);
    let again = json!({ "serial_number": serial.replace(':', "-") });
    let again = room.ok("WRITE", "pki/revoke", again).await;
    assert_eq!(again.data(), got.data());
    assert_eq!(room.crl("default").await.number(), after.number());
    // By the certificate itself.
    let got = room.ok("WRITE", "pki/revoke", json!({ "certificate": other.pem() })).await;
    assert_eq!(got.data()["state"], "revoked");
    let mut both = vec![serial, other.serial_text()];
    both.sort();
    let mut shown = serials(&room.crl("default").await);
    shown.sort();
    assert_eq!(shown, both);
    // The same list, again and again, under the same number.
    let (one, two) = (room.crl("default").await, room.crl("default").await);
    assert_eq!((one.number(), one.this_update), (two.number(), two.this_update));
}

#[tokio::test]
async fn what_is_not_stored_is_revoked_by_itself() {
    let room = Room::new().await;
    room.role("gone", json!({ "allow_any_name": true, "no_store": true, "key_type": "ec" })).await;
    let leaf = room.issue("gone", json!({ "common_name": "a.example" })).await;
    let serial = leaf.serial_text();
    let said = room.refused("WRITE", "pki/revoke", json!({ "serial_number": serial })).await;
    assert!(said.contains("not found"), "{said}");
    room.ok("WRITE", "pki/revoke", json!({ "certificate": leaf.pem() })).await;
    assert_eq!(serials(&room.crl("default").await), [serial]);
    // One of another authority is none of ours.
    let other = Room::new().await;
    let foreign = other.issue("any", json!({ "common_name": "a.example" })).await;
    let said = room.refused("WRITE", "pki/revoke", json!({ "certificate": foreign.pem() })).await;
    assert!(said.contains("unable to verify signature"), "{said}");
    for (body, text) in [
        (json!({}), "must be provided"),
        (json!({ "serial_number": "1", "certificate": "x" }), "not both"),
        (json!({ "serial_number": "" }), "must be provided"),
        (json!({ "certificate": "/tmp/a.pem" }), "too short"),
        (json!({ "serial_number": room.ca().await.serial_text() }), "to its own CRL"),
    ] {
        let said = room.refused("WRITE", "pki/revoke", body).await;
        assert!(said.contains(text), "{said}");
    }
}

#[tokio::test]
async fn who_has_the_key_may_revoke() {
    let room = Room::new().await;
    let got = room.ok("WRITE", "pki/issue/any", json!({ "common_name": "a.example" })).await;
    let serial = got.data()["serial_number"].clone();
    let own = got.data()["private_key"].as_str().unwrap();
    let other = super::key().to_pkcs8_pem().expose_secret().clone();
    let rsa = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap();
    let rsa = rsa.to_pkcs8_pem().expose_secret().clone();
    for (key, text) in [
        (other.as_str(), "does not match certificate's public key"),
        (rsa.as_str(), "key type does not match"),
        ("short", "too short"),
    ] {
        let body = json!({ "serial_number": serial, "private_key": key });
        let said = room.refused("WRITE", "pki/revoke-with-key", body).await;
        assert!(said.contains(text), "{said}");
    }
    let body = json!({ "serial_number": serial });
    let said = room.refused("WRITE", "pki/revoke-with-key", body).await;
    assert!(said.contains("Must have private key"), "{said}");
    assert!(room.crl("default").await.entries.is_empty());
    let body = json!({ "serial_number": serial, "private_key": own });
    room.ok("WRITE", "pki/revoke-with-key", body).await;
    assert_eq!(serials(&room.crl("default").await), [serial.as_str().unwrap()]);
}

#[tokio::test]
async fn a_lease_takes_its_certificate_back() {
    let room = Room::new().await;
    let body = json!({ "allow_any_name": true, "generate_lease": true, "key_type": "ec" });
    room.role("leased", body).await;
    let got =
        room.ok("WRITE", "pki/issue/leased", json!({ "common_name": "a.b", "ttl": "1h" })).await;
    let lease = got.body["lease_id"].as_str().unwrap();
    assert!(lease.starts_with("pki/issue/leased/"), "{lease}");
    assert_eq!(got.body["renewable"], false);
    assert_eq!(got.body["lease_duration"], 3_600);
    room.ok("WRITE", "sys/leases/revoke", json!({ "lease_id": lease, "sync": true })).await;
    assert_eq!(
        serials(&room.crl("default").await),
        [got.data()["serial_number"].as_str().unwrap()]
    );
}

#[tokio::test]
async fn expired_certificates_are_not_revoked_unless_that_is_set() {
    let room = Room::new().await;
    let leaf = room.issue("any", json!({ "common_name": "a.example", "ttl": "1m" })).await;
    room.node.clock.advance(61);
    let body = json!({ "serial_number": leaf.serial_text() });
    let got = room.ok("WRITE", "pki/revoke", body.clone()).await;
    assert!(got.body["warnings"].to_string().contains("already expired"), "{got:?}");
    assert!(room.crl("default").await.entries.is_empty());
    room.ok("WRITE", "pki/config/crl", json!({ "allow_expired_cert_revocation": true })).await;
    room.ok("WRITE", "pki/revoke", body).await;
    assert_eq!(room.crl("default").await.entries.len(), 1);
}

#[tokio::test]
async fn settings_of_lists() {
    let room = Room::new().await;
    let got = room.ok("READ", "pki/config/crl", Value::Null).await;
    let expect = json!({ "expiry": "72h", "disable": false, "ocsp_disable": false,
        "ocsp_expiry": "12h", "auto_rebuild": false, "auto_rebuild_grace_period": "12h",
        "enable_delta": false, "delta_rebuild_interval": "15m",
        "allow_expired_cert_revocation": false });
    assert_eq!(got.data(), &expect);
    for (body, text) in [
        (json!({ "expiry": "some" }), "could not be decoded"),
        (json!({ "enable_delta": true }), "auto rebuilding is disabled"),
        (json!({ "auto_rebuild": true, "expiry": "1h" }), "grace period"),
        (
            json!({ "auto_rebuild": true, "enable_delta": true, "delta_rebuild_interval": "72h" }),
            "delta rebuild window",
        ),
    ] {
        let said = room.refused("WRITE", "pki/config/crl", body).await;
        assert!(said.contains(text), "{said}");
    }
    let leaf = room.issue("any", json!({ "common_name": "a.example" })).await;
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
    let number = room.crl("default").await.number();
    room.ok("WRITE", "pki/config/crl", json!({ "disable": true, "expiry": "5h" })).await;
    let crl = room.crl("default").await;
    assert!(crl.entries.is_empty() && crl.number() > number);
    assert_eq!(crl.next_update - crl.this_update, 5 * 3_600);
    room.ok("WRITE", "pki/config/crl", json!({ "disable": false })).await;
    assert_eq!(room.crl("default").await.entries.len(), 1);
    room.node.clock.advance(10);
    let before = room.crl("default").await;
    let got = room.ok("READ", "pki/crl/rotate", Value::Null).await;
    assert_eq!(got.data()["success"], true);
    let after = room.crl("default").await;
    assert!(after.number() > before.number() && after.this_update > before.this_update);
}

#[tokio::test]
async fn lists_are_made_in_good_time_with_deltas_between() {
    let room = Room::new().await;
    let body = json!({ "auto_rebuild": true, "enable_delta": true, "expiry": "24h",
        "auto_rebuild_grace_period": "4h", "delta_rebuild_interval": "10m" });
    room.ok("WRITE", "pki/config/crl", body).await;
    room.settle().await;
    let first = room.crl("default").await;
    let leaf = room.issue("any", json!({ "common_name": "a.example" })).await;
    room.node.clock.advance(60);
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
    room.settle().await;
    // The complete list is what it was, and there is no delta list yet.
    let same = room.crl("default").await;
    assert_eq!((same.number(), same.entries.len()), (first.number(), 0));
    let delta = room.crl("default/delta").await;
    assert!(delta.entries.is_empty());
    room.later(600).await;
    let delta = room.crl("default/delta").await;
    assert_eq!(serials(&delta), [leaf.serial_text()]);
    assert_eq!(delta.base(), first.number());
    assert!(delta.number() > first.number());
    assert!(delta.is_signed_by(&room.ca().await.spki));
    // Four hours before its end, a new complete list has it.
    room.later(20 * 3_600).await;
    let second = room.crl("default").await;
    assert_eq!(serials(&second), [leaf.serial_text()]);
    assert!(second.number() > delta.number());
    // With it begins an empty delta list that continues it.
    let delta = room.crl("default/delta").await;
    assert_eq!((delta.base(), delta.entries.len()), (second.number(), 0));
    // Without delta lists there is none, and that is an error.
    room.ok("WRITE", "pki/config/crl", json!({ "enable_delta": false })).await;
    let got = room.call("READ", "pki/issuer/default/crl/delta", Value::Null).await;
    assert_eq!(got.status, 404);
}

/// What is revoked stays on the list of its authority, whatever becomes of the issuer's record.
#[tokio::test]
async fn revocations_outlive_the_ids_of_issuers() {
    let room = Room::bare().await;
    let body = json!({ "common_name": "Root", "key_type": "ec", "format": "pem_bundle" });
    let got = room.ok("WRITE", "pki/root/generate/exported", body).await;
    let bundle = got.data()["certificate"].clone();
    room.role("any", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    let leaf = room.issue("any", json!({ "common_name": "a.example", "ttl": "1h" })).await;
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
    // Removed, another one the default, and imported again.
    room.ok("DELETE", "pki/issuer/default", Value::Null).await;
    room.root("Other").await;
    room.ok("WRITE", "pki/config/issuers", json!({ "default": other_id(&room).await })).await;
    let got = room.ok("WRITE", "pki/issuers/import/bundle", json!({ "pem_bundle": bundle })).await;
    let id = got.data()["imported_issuers"][0].as_str().unwrap().to_owned();
    assert_eq!(serials(&room.crl(&id).await), [leaf.serial_text()]);
    assert!(room.crl("default").await.entries.is_empty());
    // The same key and name with a new certificate.
    let key = room.ok("READ", &format!("pki/issuer/{id}"), Value::Null).await;
    let body = json!({ "common_name": "Root", "key_ref": key.data()["key_id"] });
    let again = room.ok("WRITE", "pki/root/generate/existing", body).await;
    let again = again.data()["issuer_id"].as_str().unwrap().to_owned();
    assert_ne!(again, id);
    assert_eq!(serials(&room.crl(&again).await), [leaf.serial_text()]);
    // One of both may sign lists: it does for the other, too.
    let body = json!({ "usage": "read-only,issuing-certificates" });
    room.ok("PATCH", &format!("pki/issuer/{again}"), body.clone()).await;
    assert_eq!(serials(&room.crl(&again).await), [leaf.serial_text()]);
    room.ok("PATCH", &format!("pki/issuer/{id}"), body).await;
    let got = room.call("READ", &format!("pki/issuer/{id}/crl"), Value::Null).await;
    assert_eq!(got.status, 404);
}

async fn other_id(room: &Room) -> Value {
    let listed = room.ok("LIST", "pki/issuers", Value::Null).await;
    listed.data()["keys"][0].clone()
}

/// A list of a number never changes: what is revoked at the very time of a list comes after it.
#[tokio::test]
async fn a_revocation_is_later_than_every_list() {
    let room = Room::new().await;
    room.ok("WRITE", "pki/config/crl", json!({ "auto_rebuild": true })).await;
    let leaf = room.issue("any", json!({ "common_name": "a.example" })).await;
    room.ok("READ", "pki/crl/rotate", Value::Null).await;
    let list = room.crl("default").await;
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
    // Another issuer's list is read, so that nothing remembered hides a change.
    let same = room.crl("default").await;
    assert_eq!((same.number(), same.entries.len()), (list.number(), 0));
    room.ok("READ", "pki/crl/rotate", Value::Null).await;
    assert_eq!(serials(&room.crl("default").await), [leaf.serial_text()]);
}
