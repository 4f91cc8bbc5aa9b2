//! Certificates: what gets into them, fetching and revoking them (RFC 8555 §7.4 and §7.6).

use super::*;
use strongroom_crypto::x509::ids;

fn seconds(certificate: &Certificate) -> i64 {
    certificate.not_after - certificate.not_before
}

#[tokio::test]
async fn a_proved_name_gets_a_certificate() {
    let room = Room::new().await;
    room.ok("WRITE", "pki/roles/web", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    room.acme(json!({ "max_ttl": "24h" })).await;
    for directory in ["acme/", "roles/web/acme/"] {
        let client = Client::registered(&room, directory).await;
        let names = ["a.example.com", "192.0.2.1"];
        let chain = client.certificate(&names, "http-01").await;
        let [leaf, root] = chain.as_slice() else { panic!("two: {}", chain.len()) };
        assert!(leaf.is_issued_by(root) && root.is_self_signed());
        let expect = names.map(general);
        assert_eq!(leaf.alt_names().unwrap().len(), 2, "{directory}");
        assert!(expect.iter().all(|name| leaf.alt_names().unwrap().contains(name)));
        // A role wants a common name, which clients leave out.
        let common_name = leaf.subject.last(attributes::COMMON_NAME);
        assert_eq!(common_name, if directory == "acme/" { "" } else { "a.example.com" });
        // For servers alone, whatever the role says.
        let usages = leaf.extension(ids::EXTENDED_USAGE).unwrap();
        assert_eq!(usages, Extension::extended_usage(&["1.3.6.1.5.5.7.3.1"]).unwrap().value);
        assert!(!leaf.is_authority());
        assert!(seconds(leaf) <= 24 * 3_600 + 60, "{}", seconds(leaf));
        // It is kept with all others.
        let serial = leaf.serial_text();
        let got = room.ok("READ", &format!("pki/cert/{serial}"), Value::Null).await;
        assert!(got.data()["certificate"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    }
}

#[tokio::test]
async fn a_role_may_say_what_certificates_are_for() {
    let room = Room::new().await;
    let role = json!({ "allow_any_name": true, "key_type": "ec", "server_flag": false });
    room.ok("WRITE", "pki/roles/web", role).await;
    room.acme(json!({ "allow_role_ext_key_usage": true })).await;
    let client = Client::registered(&room, "roles/web/acme/").await;
    let chain = client.certificate(&["a.example.com"], "dns-01").await;
    let usages = chain[0].extension(ids::EXTENDED_USAGE).unwrap();
    assert_eq!(usages, Extension::extended_usage(&["1.3.6.1.5.5.7.3.2"]).unwrap().value);
}

/// How long a certificate counts: never longer than 90 days, than ACME's own maximum, than the role's,
/// than its issuer.
#[tokio::test]
async fn certificates_end() {
    let day = 24 * 3_600;
    for (role, acme, hours) in [
        (json!({}), json!({}), 768),
        (json!({ "ttl": "8000h" }), json!({}), 2_160),
        (json!({ "ttl": "8000h" }), json!({ "max_ttl": "4800h" }), 4_800),
        (json!({ "ttl": "8000h", "max_ttl": "8000h" }), json!({ "max_ttl": "87600h" }), 8_000),
        (json!({ "ttl": "48h" }), json!({}), 48),
        (json!({ "not_after": "2026-01-05T00:00:00Z" }), json!({}), 96),
        (json!({ "not_after": "2036-01-05T00:00:00Z" }), json!({}), 2_160),
    ] {
        let room = Room::new().await;
        let mut body = json!({ "allow_any_name": true, "key_type": "ec" });
        body.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
        room.ok("WRITE", "pki/roles/web", body).await;
        if acme != json!({}) {
            room.acme(acme.clone()).await;
        }
        let client = Client::registered(&room, "roles/web/acme/").await;
        let chain = client.certificate(&["a.example.com"], "dns-01").await;
        let lives = seconds(&chain[0]);
        assert!((lives - hours * 3_600).abs() < 120, "{role} {acme}: {lives}");
    }
    // The issuer's end, though it says that what would outlive it is refused.
    let room = Room::without_acme().await;
    room.ok("DELETE", "pki/root", Value::Null).await;
    let root = json!({ "common_name": "Short", "key_type": "ec", "ttl": "72h" });
    room.ok("WRITE", "pki/root/generate/internal", root).await;
    room.ok("WRITE", "pki/config/cluster", json!({ "path": MOUNT })).await;
    room.acme(json!({ "enabled": true })).await;
    let client = Client::registered(&room, "acme/").await;
    let chain = client.certificate(&["a.example.com"], "dns-01").await;
    assert!(seconds(&chain[0]) <= 3 * day + 60);
}

/// threat GHSA-g892-p242-8g86: nothing gets into a certificate that was not proved.
#[tokio::test]
async fn requests_that_say_something_else() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (path, order) = client.order(&["a.example.com", "192.0.2.1"]).await;
    let finalize = format!("{path}/finalize");
    let (a, ip) = (general("a.example.com"), general("192.0.2.1"));
    let both = [a.clone(), ip.clone()];
    let key = new_key();
    let good = csr_with(&key, "", &both, Vec::new());
    let got = client.post(&finalize, json!({ "csr": encode(&good) })).await;
    assert_eq!(problem(&got), (403, "orderNotReady".to_owned()), "nothing is proved");
    client.prove(&order, "http-01").await;
    let with = |name: GeneralName| [both.as_slice(), &[name]].concat();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let authority = vec![Extension::basic_constraints(true, None)];
    for (what, csr) in [
        ("one name less", csr_with(&key, "", std::slice::from_ref(&a), Vec::new())),
        ("another name", csr_with(&key, "", &with(general("b.example.com")), Vec::new())),
        ("a wildcard", csr_with(&key, "", &with(general("*.example.com")), Vec::new())),
        ("another address", csr_with(&key, "", &with(general("192.0.2.2")), Vec::new())),
        (
            "an e-mail address",
            csr_with(&key, "", &with(GeneralName::Email("a@example.com".to_owned())), Vec::new()),
        ),
        (
            "a URI",
            csr_with(&key, "", &with(GeneralName::Uri("spiffe://x/y".to_owned())), Vec::new()),
        ),
        (
            "another kind of name",
            csr_with(
                &key,
                "",
                &with(GeneralName::Other("1.3.6.1.4.1.311.20.2.3".to_owned(), "a@b".to_owned())),
                Vec::new(),
            ),
        ),
        ("another common name", csr_with(&key, "b.example.com", &both, Vec::new())),
        ("a common name that is none", csr_with(&key, "Example Ltd", &both, Vec::new())),
        ("no names", csr_with(&key, "", &[], Vec::new())),
        ("an authority's", csr_with(&key, "", &both, authority)),
        ("a forged signature", forged),
        ("the account's key", csr_with(&client.key, "", &both, Vec::new())),
    ] {
        let got = client.post(&finalize, json!({ "csr": encode(csr) })).await;
        assert_eq!(problem(&got), (400, "badCSR".to_owned()), "{what}: {got:?}");
    }
    for bad in [json!({}), json!({ "csr": 1 }), json!({ "csr": "?" })] {
        assert_eq!(problem(&client.post(&finalize, bad).await).1, "malformed");
    }
    assert_eq!(problem(&client.get(&format!("{path}/cert")).await).1, "orderNotReady");
    let named = csr_with(&key, "A.example.com", &both, Vec::new());
    let got = client.post(&finalize, json!({ "csr": encode(named) })).await;
    assert_eq!(got.body["status"], "valid", "{got:?}");
    // One order, one certificate.
    let got = client.post(&finalize, json!({ "csr": encode(good) })).await;
    assert_eq!(problem(&got).1, "orderNotReady");
}

/// A role that allows less by the time an order is fulfilled holds.
#[tokio::test]
async fn the_role_counts_when_the_certificate_is_made() {
    let room = Room::new().await;
    room.ok("WRITE", "pki/roles/web", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    let client = Client::registered(&room, "roles/web/acme/").await;
    let (path, order) = client.order(&["a.example.com"]).await;
    client.prove(&order, "dns-01").await;
    let role =
        json!({ "allow_any_name": false, "allowed_domains": "example.org", "key_type": "ec" });
    room.ok("WRITE", "pki/roles/web", role).await;
    let csr = json!({ "csr": encode(csr(&new_key(), "", &["a.example.com"])) });
    let got = client.post(&format!("{path}/finalize"), csr.clone()).await;
    assert_eq!(problem(&got).1, "rejectedIdentifier");
    let role = json!({ "allow_any_name": true, "key_type": "rsa" });
    room.ok("WRITE", "pki/roles/web", role).await;
    let got = client.post(&format!("{path}/finalize"), csr).await;
    assert_eq!(problem(&got).1, "badCSR", "the role wants another kind of key");
}

#[tokio::test]
async fn certificates_are_revoked_by_whom_they_belong_to() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let other = Client::registered(&room, "acme/").await;
    let (path, order) = client.order(&["a.example.com"]).await;
    client.prove(&order, "dns-01").await;
    let key = new_key();
    let body = json!({ "csr": encode(csr(&key, "", &["a.example.com"])) });
    client.post(&format!("{path}/finalize"), body).await;
    let chain = super::chain(&client.get(&format!("{path}/cert")).await);
    let leaf = &chain[0];
    let payload = json!({ "certificate": encode(leaf.der()) });
    let got = other.post("revoke-cert", payload.clone()).await;
    assert_eq!(problem(&got), (401, "unauthorized".to_owned()), "another account");
    let stranger = new_key();
    let got = other.send(Signer::Other(&stranger), "revoke-cert", &payload.to_string()).await;
    assert_eq!(problem(&got), (401, "unauthorized".to_owned()), "another key");
    for (payload, kind) in [
        (json!({}), "malformed"),
        (json!({ "certificate": "x" }), "malformed"),
        (json!({ "certificate": encode(chain[1].der()) }), "unauthorized"),
        (json!({ "certificate": encode(leaf.der()), "reason": 1 }), "badRevocationReason"),
        (json!({ "certificate": encode(leaf.der()), "reason": "0" }), "malformed"),
    ] {
        let got = client.post("revoke-cert", payload.clone()).await;
        assert_eq!(problem(&got).1, kind, "{payload}");
    }
    let serial = leaf.serial_text();
    let revoked = async || {
        let got = room.ok("READ", &format!("pki/cert/{serial}"), Value::Null).await;
        got.data()["revocation_time"].as_i64().unwrap_or_default() > 0
    };
    assert!(!revoked().await);
    // The certificate's own key, without an account.
    let got = other.send(Signer::Other(&key), "revoke-cert", &payload.to_string()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(revoked().await);
    let got = client.post("revoke-cert", payload).await;
    assert_eq!(problem(&got).1, "alreadyRevoked");
    // And the account that got it.
    let chain = client.certificate(&["b.example.com"], "dns-01").await;
    let payload = json!({ "certificate": encode(chain[0].der()), "reason": 0 });
    assert_eq!(client.post("revoke-cert", payload).await.status, 200);
}

/// RFC 8555 §7.6: also by an account that has proved all of its names.
#[tokio::test]
async fn who_has_proved_all_names_may_revoke() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let names = ["a.example.com", "*.b.example.com"];
    let leaf = client.certificate(&names, "dns-01").await.remove(0);
    let payload = json!({ "certificate": encode(leaf.der()), "reason": 0 });
    let other = Client::registered(&room, "acme/").await;
    let refused = async |why: &str| {
        let got = other.post("revoke-cert", payload.clone()).await;
        assert_eq!(problem(&got), (401, "unauthorized".to_owned()), "{why}");
    };
    let (_, first) = other.order(&["a.example.com", "b.example.com"]).await;
    refused("nothing is proved").await;
    other.prove(&first, "dns-01").await;
    refused("a name without its wildcard is another one").await;
    let (_, second) = other.order(&["*.b.example.com"]).await;
    other.prove(&second, "dns-01").await;
    // Given up again.
    let (path, _) = other.authorizations(&second).await.remove(0);
    let got = other.post(&path, json!({ "status": "deactivated" })).await;
    assert_eq!(got.status, 200, "{got:?}");
    refused("it was given up").await;
    let (_, second) = other.order(&["*.b.example.com"]).await;
    other.prove(&second, "dns-01").await;
    room.node.clock.advance(15 * 24 * 3_600);
    refused("it has expired").await;
    let (_, third) = other.order(&names).await;
    other.prove(&third, "dns-01").await;
    let got = other.post("revoke-cert", payload.clone()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(problem(&client.post("revoke-cert", payload).await).1, "alreadyRevoked");
}
