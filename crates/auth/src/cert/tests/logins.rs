//! Who gets in, and who does not.

use super::*;
use strongroom_crypto::x509::{Extension, GeneralName, colons};

/// An extension with a UTF-8 text.
fn text_extension(oid: &str, text: &str) -> Extension {
    let mut value = vec![0x0c, text.len() as u8];
    value.extend_from_slice(text.as_bytes());
    Extension { oid: oid.to_owned(), critical: false, value }
}

#[tokio::test]
async fn a_login_gives_a_token_of_the_entry() {
    let room = Room::new().await;
    room.trust(json!({ "ttl": 60, "display_name": "shown",
                       "allowed_metadata_extensions": "1.2.3.4,1.2.9" }))
        .await;
    room.ok("config", json!({ "enable_identity_alias_metadata": true })).await;
    let id = Extension::subject_key_id(&[0xab, 1]);
    let extensions = vec![id, text_extension("1.2.3.4", "eu")];
    let client = room.root.issue(&Wish { extensions, ..Wish::client(room.now(), "kim") });
    let got = room.login(&[&client]).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(
        (&auth["policies"], &auth["lease_duration"]),
        (&json!(["default", "p"]), &json!(60))
    );
    let serial = u64::from_str_radix(&colons(client.certificate.serial()).replace(':', ""), 16);
    let metadata = json!({
        "cert_name": "web", "common_name": "kim", "serial_number": serial.unwrap().to_string(),
        "subject_key_id": "ab:01", "authority_key_id": "", "1-2-3-4": "eu",
    });
    assert_eq!(auth["metadata"], metadata);
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let token = services.tokens.check(&table, &got.token().into(), room.node.clock.now()).await;
    let token = token.unwrap().unwrap();
    assert_eq!(token.display_name, "cert-shown");
    let entity =
        services.identity.entity(token.namespace, &token.entity_id).await.unwrap().unwrap();
    let alias = &entity.view.entity.as_ref().unwrap().aliases[0];
    assert_eq!((alias.name.as_str(), &alias.metadata["1-2-3-4"]), ("kim", &"eu".to_owned()));
    // The same name in another certificate is the same client.
    let again = room.login(&[&room.client("kim")]).await;
    assert_eq!(again.body["auth"]["entity_id"], auth["entity_id"]);
    assert_ne!(
        room.login(&[&room.client("lee")]).await.body["auth"]["entity_id"],
        auth["entity_id"]
    );
}

#[tokio::test]
async fn who_shows_nothing_good_stays_outside() {
    let room = Room::new().await;
    room.trust(json!({})).await;
    let got = room.login(&[]).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "no client certificate found"));
    let now = room.now();
    let twin = Owner::root(now, "root");
    let stranger = twin.issue(&Wish::client(now, "kim"));
    let plain = room.client("kim");
    let below_client = plain.issue(&Wish::client(now, "lee"));
    for (shown, text) in [
        // threat CVE-2026-39388: a name proves nothing
        (vec![&stranger], INVALID),
        (vec![&stranger, &twin], INVALID),
        (vec![&below_client, &plain], INVALID),
        (vec![&Owner::self_signed(&Wish::client(now, "kim"))], INVALID),
    ] {
        let got = room.login(&shown).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text));
    }
    for (wish, text) in [
        (Wish { days: (-9, -1), ..Wish::client(now, "kim") }, "has expired or is not yet valid"),
        (Wish { days: (1, 9), ..Wish::client(now, "kim") }, "has expired or is not yet valid"),
        (
            Wish { usages: &["1.3.6.1.5.5.7.3.1"], ..Wish::client(now, "kim") },
            "incompatible key usage",
        ),
        (
            Wish {
                extensions: vec![Extension { critical: true, ..text_extension("1.2.3", "x") }],
                ..Wish::client(now, "kim")
            },
            "unhandled critical extension",
        ),
        (Wish::client(now, ""), "missing name in alias"),
    ] {
        let got = room.login(&[&room.root.issue(&wish)]).await;
        assert_eq!(got.status, 400, "{got:?}");
        assert!(got.errors().contains(text), "{got:?}");
    }
    room.node.peer.lock().certificates = Arc::new(vec![b"no certificate".to_vec()]);
    let got = room.node.call("WRITE", "auth/cert/login", "", json!({})).await;
    assert_eq!(got.errors(), INVALID);
    // Who was let in is let in again, and nobody instead of him.
    for _ in 0..2 {
        assert_eq!(room.login(&[&plain]).await.status, 200);
        assert_eq!(room.login(&[&stranger]).await.status, 400);
    }
    room.ok("certs/web", json!({ "certificate": twin.pem() })).await;
    assert_eq!(room.login(&[&plain]).await.status, 400);
    assert_eq!(room.login(&[&stranger]).await.status, 200);
    room.trust(json!({})).await;
    // Its time ends while it is trusted.
    assert_eq!(room.login(&[&plain]).await.status, 200);
    room.node.clock.advance(31 * 86_400);
    assert_eq!(room.login(&[&plain]).await.status, 400);
}

/// threats CVE-2022-41316, CVE-2026-39388: what is trusted is the certificate, not its key.
#[tokio::test]
async fn a_pinned_certificate_is_that_very_one() {
    let room = Room::new().await;
    let own = room.client("kim");
    room.ok("certs/own", json!({ "certificate": own.pem() })).await;
    assert_eq!(room.login(&[&own]).await.status, 200);
    let (pkcs8, now) = (own.key.to_pkcs8_der(), room.now());
    let same_key = || strongroom_crypto::keys::PrivateKey::from_pkcs8_der(pkcs8.expose_secret());
    // Issued again for the same key and name, by the same authority and by another one.
    let twin = Owner::root(now, "root");
    for issuer in [&room.root, &twin] {
        let again = issuer.issue_for(&Wish::client(now, "kim"), same_key().unwrap());
        let got = room.login(&[&again]).await;
        assert_eq!((got.status, got.errors().as_str()), (400, INVALID));
    }
    assert_eq!(room.login(&[&room.client("kim")]).await.errors(), INVALID);
    // An authority behind it in the text is no authority of the entry's.
    let both = format!("{}\n{}", own.pem(), room.root.pem());
    room.ok("certs/own", json!({ "certificate": both })).await;
    assert_eq!(room.login(&[&own]).await.status, 200);
    assert_eq!(room.login(&[&room.client("lee")]).await.errors(), INVALID);
    // It is held to its time, too.
    room.node.clock.advance(31 * 86_400);
    assert_eq!(room.login(&[&own]).await.status, 400);
}

#[tokio::test]
async fn authorities_in_between() {
    let room = Room::new().await;
    room.trust(json!({})).await;
    let now = room.now();
    let middle = room.root.issue(&Wish::authority(now, "middle"));
    let client = middle.issue(&Wish::client(now, "kim"));
    assert_eq!(room.login(&[&client]).await.errors(), INVALID, "nobody shows the way");
    assert_eq!(room.login(&[&client, &middle]).await.status, 200);
    // The way may be configured instead.
    room.ok("certs/middle", json!({ "certificate": middle.pem(), "policies": "m" })).await;
    let got = room.login(&[&client]).await;
    assert_eq!(got.body["auth"]["metadata"]["cert_name"], "middle");
    let got = room.login_to(&[&client, &middle], json!({ "name": "web" })).await;
    assert_eq!(got.body["auth"]["metadata"]["cert_name"], "web");
    // An authority whose time is over stands for nobody.
    let old = room.root.issue(&Wish { days: (-9, -1), ..Wish::authority(now, "old") });
    let below = old.issue(&Wish::client(now, "kim"));
    assert_eq!(room.login(&[&below, &old]).await.errors(), INVALID);
}

#[tokio::test]
async fn names_and_extensions_must_fit() {
    let room = Room::new().await;
    let names = vec![
        GeneralName::Dns("a.example".to_owned()),
        GeneralName::Email("kim@b.example".to_owned()),
        GeneralName::Uri("spiffe://c.example/kim".to_owned()),
    ];
    let extensions = vec![text_extension("1.2.3", "eu-west")];
    let wish =
        Wish { names, units: &["ops", "dev"], extensions, ..Wish::client(room.now(), "kim") };
    let client = room.root.issue(&wish);
    let fields = [
        "allowed_names",
        "allowed_common_names",
        "allowed_dns_sans",
        "allowed_email_sans",
        "allowed_uri_sans",
        "allowed_organizational_units",
        "required_extensions",
    ];
    for (field, patterns, good) in [
        ("allowed_names", "x,k*", true),
        ("allowed_names", "*.example", true),
        ("allowed_names", "kim@*", true),
        ("allowed_names", "spiffe://*", false),
        ("allowed_names", "x", false),
        ("allowed_common_names", "kim", true),
        ("allowed_common_names", "Kim", false),
        ("allowed_common_names", "a.example", false),
        ("allowed_dns_sans", "*.example", true),
        ("allowed_dns_sans", "kim", false),
        ("allowed_email_sans", "*@b.example", true),
        ("allowed_email_sans", "*@c.example", false),
        ("allowed_uri_sans", "spiffe://c.example/*", true),
        ("allowed_uri_sans", "spiffe://d.example/*", false),
        ("allowed_organizational_units", "dev", true),
        ("allowed_organizational_units", "de", false),
        ("required_extensions", "1.2.3:eu-*", true),
        ("required_extensions", "1.2.3:eu-*,1.2.3:*west", true),
        ("required_extensions", "1.2.3:eu-*,1.2.4:*", false),
        ("required_extensions", "1.2.3:us-*", false),
    ] {
        let mut body: serde_json::Map<String, Value> =
            fields.iter().map(|name| ((*name).to_owned(), json!([]))).collect();
        body.insert(field.to_owned(), patterns.into());
        room.trust(Value::Object(body)).await;
        let got = room.login(&[&client]).await;
        let expect = if good { (200, "") } else { (400, NO_CHAIN) };
        assert_eq!((got.status, got.errors().as_str()), expect, "{field} {patterns}");
    }
}

#[tokio::test]
async fn a_login_names_its_entry_or_fits_any() {
    let room = Room::new().await;
    room.ok("certs/a", json!({ "certificate": room.root.pem(), "allowed_common_names": "lee" }))
        .await;
    room.ok("certs/b", json!({ "certificate": room.root.pem(), "policies": "b" })).await;
    let kim = room.client("kim");
    let got = room.login(&[&kim]).await;
    assert_eq!(got.body["auth"]["metadata"]["cert_name"], "b");
    for (name, expect) in [("B", ""), ("a", NO_CHAIN), ("none", INVALID)] {
        let got = room.login_to(&[&kim], json!({ "name": name })).await;
        assert_eq!(got.errors(), expect, "{name}");
    }
    room.ok("certs/b", json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    assert_eq!(room.login(&[&kim]).await.status, 403);
    room.node.come_from("10.1.1.1");
    assert_eq!(room.login(&[&kim]).await.status, 200);
    // threats CVE-2025-5999, CVE-2024-9180
    room.ok("certs/b", json!({ "token_policies": "Root" })).await;
    assert_eq!(room.login(&[&kim]).await.errors(), "auth methods cannot create root tokens");
}
