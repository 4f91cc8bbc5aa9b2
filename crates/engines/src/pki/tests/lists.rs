//! Revocation, and lists of what is revoked.

use serde_json::{Value, json};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::x509::{Certificate, Extension, SignatureAlgorithm, Template, pem_blocks};

use super::{Room, serials, subject};

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

/// An authority from outside, imported with its key; its certificate and key.
async fn imported(room: &Room, name: &str, serial: u8) -> (Certificate, PrivateKey, String) {
    let key = super::key();
    let template = Template {
        serial: vec![serial],
        issuer: subject(name),
        subject: subject(name),
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
        spki: key.public().unwrap().spki_der().to_vec(),
        extensions: vec![Extension::basic_constraints(true, None)],
    };
    let algorithm = SignatureAlgorithm::for_key(key.key_type(), 0, false);
    let certificate = template.sign(&key, algorithm).unwrap();
    let bundle = format!("{}\n{}", certificate.pem(), key.to_pkcs8_pem().expose_secret());
    let got = room.ok("WRITE", "pki/issuers/import/bundle", json!({ "pem_bundle": bundle })).await;
    let id = got.data()["imported_issuers"][0].as_str().unwrap().to_owned();
    (certificate, key, id)
}

fn leaf_of(authority: &(Certificate, PrivateKey, String), serial: u8, name: &str) -> Certificate {
    let (certificate, key, _) = authority;
    let template = Template {
        serial: vec![serial],
        issuer: certificate.subject.clone(),
        subject: subject(name),
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
        spki: super::key().public().unwrap().spki_der().to_vec(),
        extensions: Vec::new(),
    };
    template.sign(key, SignatureAlgorithm::for_key(key.key_type(), 0, false)).unwrap()
}

/// Numbers are an authority's own: two may have given the same one.
#[tokio::test]
async fn equal_numbers_of_two_authorities_are_revoked_each() {
    let room = Room::bare().await;
    let one = imported(&room, "One", 1).await;
    let two = imported(&room, "Two", 2).await;
    let three = imported(&room, "Three", 3).await;
    let (a, b, c) = (leaf_of(&one, 7, "a"), leaf_of(&two, 7, "b"), leaf_of(&three, 7, "c"));
    let revoke = async |certificate: &Certificate| {
        room.call("WRITE", "pki/revoke", json!({ "certificate": certificate.pem() })).await
    };
    let list = async |authority: &(Certificate, PrivateKey, String)| {
        serials(&room.crl(&authority.2).await)
    };
    assert_eq!(revoke(&a).await.data()["state"], "revoked");
    assert!(list(&two).await.is_empty());
    let first = revoke(&b).await;
    assert_eq!(first.data()["state"], "revoked", "{first:?}");
    assert_eq!((list(&one).await, list(&two).await), (vec!["07".into()], vec!["07".into()]));
    assert!(list(&three).await.is_empty());
    // Once more: the same answer, as for any other.
    assert_eq!(revoke(&b).await.data(), first.data());
    // Two certificates of one authority cannot have one number.
    for again in [leaf_of(&one, 7, "x"), leaf_of(&two, 7, "x")] {
        let got = revoke(&again).await;
        assert!(got.status == 400 && got.errors().contains("same serial"), "{got:?}");
    }
    // Each is found by the name that the list has for it.
    let listed = room.ok("LIST", "pki/certs", Value::Null).await;
    let names: Vec<&str> =
        listed.data()["keys"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for (name, certificate) in names.iter().zip([&a, &b]) {
        let got = room.ok("READ", &format!("pki/cert/{name}"), Value::Null).await;
        assert_eq!(super::certificate(&got), *certificate, "{name}");
        assert!(got.data()["revocation_time"].as_i64().unwrap() > 0);
    }
    let got = room.ok("WRITE", "pki/revoke", json!({ "serial_number": names[1] })).await;
    assert_eq!(got.data(), first.data());
    // A root's own number is not for its list; another's root may have it.
    assert!(revoke(&leaf_of(&one, 1, "x")).await.errors().contains("own CRL"));
    assert!(revoke(&one.0).await.errors().contains("own CRL"));
    assert_eq!(revoke(&leaf_of(&two, 1, "x")).await.data()["state"], "revoked");
    assert_eq!(revoke(&c).await.data()["state"], "revoked");
    // They go with their expiry, each from its list.
    room.node.clock.advance(1_900_000_000 - 1_767_225_600 + 100 * 24 * 3_600);
    let body = json!({ "tidy_cert_store": true, "tidy_revoked_certs": true });
    room.node.root("WRITE", "pki/tidy", body).await;
    for _ in 0..10 {
        room.later(1).await;
    }
    assert!(list(&one).await.is_empty() && list(&two).await.is_empty());
    let (blocks, _) = pem_blocks(&a.pem()).unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(room.call("LIST", "pki/certs", Value::Null).await.status, 404);
}

/// What others know of an issuer's certificates, as one list or as the request says it.
#[tokio::test]
async fn lists_of_what_others_know() {
    let room = Room::new().await;
    let ca = room.ca().await;
    let sign =
        async |body: Value| room.ok("WRITE", "pki/issuer/default/sign-revocation-list", body).await;
    let body = json!({
        "crl_number": 7, "next_update": "1h",
        "revoked_certs": [
            { "serial_number": "00:A1-b2.c3", "revocation_time": "2025-12-31T00:00:00Z",
              "extensions": [{ "id": "2.5.29.21", "value": "CgEB" }] },
            { "serial_number": "01", "revocation_time": 1_700_000_000 },
        ],
        "extensions": [{ "id": "1.2.3.4", "critical": false, "value": "BQA=" }],
    });
    let first = sign(body).await;
    let first = super::read_crl(first.data()["crl"].as_str().unwrap());
    assert!(first.is_signed_by(&ca.spki));
    assert_eq!((first.number(), first.base()), (Some(7), None));
    assert_eq!(first.next_update - first.this_update, 3_600);
    assert_eq!(serials(&first), ["a1:b2:c3", "01"]);
    assert_eq!(first.entries[1].revoked, 1_700_000_000);
    assert_eq!(first.entries[0].extensions[0].oid, "2.5.29.21");
    assert!(first.extensions.iter().any(|e| e.oid == "1.2.3.4" && e.value == [5, 0]));
    // Two of them are one; of two times the first counts, and extensions are left out.
    let pem = |crl: &Value| crl["crl"].as_str().unwrap().to_owned();
    let one = sign(json!({ "revoked_certs": [
        { "serial_number": "01", "revocation_time": 1_600_000_000,
          "extensions": [{ "id": "2.5.29.21", "value": "CgEB" }] },
        { "serial_number": "02", "revocation_time": 1_600_000_001 },
    ]}))
    .await;
    let two = sign(json!({ "revoked_certs": [
        { "serial_number": "01", "revocation_time": 1_500_000_000 },
        { "serial_number": "03", "revocation_time": 1_600_000_002 },
    ]}))
    .await;
    let crls = json!([pem(one.data()), pem(two.data())]);
    let path = "pki/issuer/default/resign-crls";
    let body =
        json!({ "crls": crls, "crl_number": 9, "delta_crl_base_number": 4, "format": "der" });
    let got = room.ok("WRITE", path, body).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("Duplicate serial 01"), "{got:?}");
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD.decode(pem(got.data())).unwrap();
    let both = strongroom_crypto::x509::Crl::from_der(&der).unwrap();
    assert_eq!((both.number(), both.base()), (Some(9), Some(4)));
    assert_eq!(serials(&both), ["01", "02", "03"]);
    assert_eq!(both.entries[0].revoked, 1_500_000_000);
    assert!(both.entries.iter().all(|entry| entry.extensions.is_empty()));
    // Another issuer's is none of this one's.
    let other = Room::new().await;
    let foreign = other.ok("READ", "pki/cert/crl", Value::Null).await;
    let foreign = foreign.data()["certificate"].clone();
    for (body, why) in [
        (json!({ "crls": [foreign] }), "CRL index: 0 was not signed by requested issuer"),
        (json!({ "crls": ["x"] }), "failed decoding crl 0"),
        (json!({ "crl_number": -1 }), "crl_number parameter must be 0 or greater"),
        (json!({ "delta_crl_base_number": -2 }), "must be -1 or greater"),
        (json!({ "next_update": "0s" }), "next_update parameter must be greater than 0"),
        (json!({ "next_update": "x" }), "invalid value for next_update"),
        (json!({ "format": "x" }), "unknown format value"),
    ] {
        let said = room.refused("WRITE", path, body.clone()).await;
        assert!(said.contains(why), "{body}: {said}");
    }
    let revoked = |one: Value| json!({ "revoked_certs": [one] });
    let time = 1_700_000_000;
    for (body, why) in [
        (json!({ "revoked_certs": "x" }), "no list of objects"),
        (revoked(json!({ "revocation_time": time })), "failed parsing serial_number from entry 0"),
        (revoked(json!({ "serial_number": "xyz", "revocation_time": time })), "serial_number"),
        (revoked(json!({ "serial_number": "00", "revocation_time": time })), "serial_number"),
        (revoked(json!({ "serial_number": "01" })), "failed parsing revocation_time from entry 0"),
        (
            json!({ "revoked_certs": [
                { "serial_number": "01", "revocation_time": time },
                { "serial_number": "00:01", "revocation_time": time },
            ]}),
            "duplicate serial number: 01, original entry 0 and 1",
        ),
        (json!({ "extensions": [{ "id": "2.5.29.20", "value": "" }] }), "is reserved"),
        (json!({ "extensions": [{ "id": "x", "value": "" }] }), "no object identifier"),
        (json!({ "extensions": [{ "id": "1.2.3" }] }), "missing 'value' field"),
        (
            json!({ "extensions": [
                { "id": "1.2.3", "value": "" }, { "id": "1.2.3", "value": "" },
            ]}),
            "duplicate extension id: 1.2.3",
        ),
    ] {
        let path = "pki/issuer/default/sign-revocation-list";
        let said = room.refused("WRITE", path, body.clone()).await;
        assert!(said.contains(why), "{body}: {said}");
    }
    // Whose lists an issuer may not sign it does not sign here either.
    let usage = json!({ "usage": "read-only,issuing-certificates" });
    room.ok("WRITE", "pki/issuer/default", usage).await;
    let said = room.refused("WRITE", path, json!({})).await;
    assert!(said.contains("crl-signing"), "{said}");
}

/// Who has seen the list or the certificates since they were made last is told so, where the mount
/// lets the headers through.
#[tokio::test]
async fn what_was_seen_is_not_sent_again() {
    let room = Room::new().await;
    let leaf = room.issue("any", json!({ "common_name": "a.example" })).await;
    let get = async |path: &str, since: Option<String>| {
        let header = since.map(|since| ("if-modified-since".to_owned(), since));
        let headers: Vec<(String, String)> = header.into_iter().collect();
        let got = room.node.open(path, &headers).await;
        (got.status, got.header("last-modified").to_owned())
    };
    let now = || strongroom_base::Clock::now(&*room.node.clock);
    assert_eq!(get("pki/crl", Some(now().to_http_date())).await, (200, String::new()));
    let tune = json!({
        "passthrough_request_headers": ["If-Modified-Since"],
        "allowed_response_headers": ["Last-Modified"],
    });
    room.ok("WRITE", "sys/mounts/pki/tune", tune).await;
    let (lists, certificates) = (
        ["pki/crl", "pki/crl/pem", "pki/cert/crl", "pki/issuer/default/crl"],
        ["pki/ca", "pki/ca/pem", "pki/ca_chain", "pki/cert/ca", "pki/issuer/default/json"],
    );
    let (_, made) = get("pki/crl", None).await;
    for path in lists.into_iter().chain(certificates) {
        let (status, at) = get(path, None).await;
        assert_eq!((status, &at), (200, &made), "{path}");
        assert_eq!(get(path, Some(made.clone())).await, (304, made.clone()), "{path}");
        let before = strongroom_base::Timestamp::parse_http_date(&made).unwrap();
        let before = before.plus_seconds(-1).to_http_date();
        assert_eq!(get(path, Some(before)).await.0, 200, "{path}");
        assert_eq!(get(path, Some("yesterday".to_owned())).await.0, 200, "{path}");
    }
    room.node.clock.advance(60);
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
    for (paths, status) in [(&lists[..], 200), (&certificates[..], 304)] {
        for path in paths {
            assert_eq!(get(path, Some(made.clone())).await.0, status, "{path}");
        }
    }
    room.node.clock.advance(60);
    room.root("Second").await;
    for path in certificates {
        assert_eq!(get(path, Some(made.clone())).await.0, 200, "{path}");
    }
}
