//! Certificates that were revoked: by lists, and by what responders say.

use super::*;
use strongroom_base::Timestamp;
use strongroom_crypto::keys::Hash;
use strongroom_crypto::ocsp::Status;
use strongroom_crypto::x509::{CrlTemplate, Extension, SignatureAlgorithm};

const CRL_URL: &str = "http://crl.test/root.crl";
const OCSP_URL: &str = "http://ocsp.test/";

/// Serves the list of the room's root.
fn publish(room: &Room, from: i64, until: i64, revoked: &[&Owner]) {
    room.web.answer(CRL_URL, 200, room.root.list(from, until, revoked));
}

#[tokio::test]
async fn lists_are_written_read_listed_and_deleted() {
    let room = Room::new().await;
    let (now, client) = (room.now(), room.client("kim"));
    let pem = room.root.list_pem(now, now + 60, &[&client]);
    room.ok("crls/Root", json!({ "crl": pem })).await;
    let serial = strongroom_crypto::keys::to_decimal(client.certificate.serial());
    let got = room.call("READ", "crls/ROOT", Value::Null).await;
    assert_eq!(*got.data(), json!({ "serials": { serial: {} } }));
    assert_eq!(room.call("LIST", "crls", Value::Null).await.data()["keys"], json!(["root"]));
    assert_eq!(room.call("DELETE", "crls/root", Value::Null).await.status, 204);
    for method in ["READ", "DELETE"] {
        let got = room.call(method, "crls/root", Value::Null).await;
        assert_eq!((got.status, got.errors().as_str()), (400, "no such CRL root"));
    }
    assert_eq!(room.call("LIST", "crls", Value::Null).await.status, 404);
    room.web.answer("http://crl.test/none", 404, "hunter2");
    room.web.answer("http://crl.test/html", 200, "<p>hunter2");
    for (body, status, text) in [
        (json!({}), 400, "one of 'crl' or 'url' must be provided"),
        (json!({ "url": "" }), 400, "empty CRL url"),
        (json!({ "crl": "hunter2" }), 400, "failed to parse CRL"),
        (json!({ "crl": room.root.pem() }), 400, "failed to parse CRL"),
        (json!({ "url": "http://crl.test/down" }), 502, "error fetching the CRL"),
        (json!({ "url": "http://crl.test/none" }), 502, "unexpected response code 404"),
        (json!({ "url": "http://crl.test/html" }), 502, "failed to parse CRL"),
    ] {
        let got = room.call("WRITE", "crls/a", body).await;
        assert_eq!(got.status, status, "{text}: {got:?}");
        assert!(got.errors().contains(text) && !got.errors().contains("hunter2"), "{got:?}");
    }
}

/// threat CVE-2022-41316: a list is in force from the first request on.
#[tokio::test]
async fn the_first_login_after_a_start_sees_the_lists() {
    let mut room = Room::new().await;
    room.trust(json!({})).await;
    let (now, client, other) = (room.now(), room.client("kim"), room.client("lee"));
    assert_eq!(room.login(&[&client]).await.status, 200);
    room.ok("crls/root", json!({ "crl": room.root.list_pem(now, now + 60, &[&client]) })).await;
    room.node.restart([super::super::over(room.web.clone())]).await;
    assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
    assert_eq!(room.login(&[&other]).await.status, 200);
    // That its time is over takes nothing back.
    room.node.clock.advance(120);
    assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
    room.call("DELETE", "crls/root", Value::Null).await;
    assert_eq!(room.login(&[&client]).await.status, 200);
}

#[tokio::test]
async fn lists_count_for_pinned_certificates_and_for_authorities() {
    let room = Room::new().await;
    let now = room.now();
    let own = room.client("kim");
    room.ok("certs/own", json!({ "certificate": own.pem() })).await;
    room.ok("crls/a", json!({ "crl": room.root.list_pem(now, now + 60, &[&own]) })).await;
    assert_eq!(room.login(&[&own]).await.errors(), INVALID);
    room.trust(json!({})).await;
    let middle = room.root.issue(&Wish::authority(now, "middle"));
    let client = middle.issue(&Wish::client(now, "lee"));
    assert_eq!(room.login(&[&client, &middle]).await.status, 200);
    room.ok("crls/a", json!({ "crl": room.root.list_pem(now, now + 60, &[&middle]) })).await;
    assert_eq!(room.login(&[&client, &middle]).await.errors(), NO_CHAIN);
}

#[tokio::test]
async fn a_list_of_a_known_authority_is_signed_by_it() {
    let room = Room::new().await;
    room.trust(json!({})).await;
    let (now, twin) = (room.now(), Owner::root(room.now(), "root"));
    let got =
        room.call("WRITE", "crls/a", json!({ "crl": twin.list_pem(now, now + 60, &[]) })).await;
    assert_eq!(got.errors(), "the CRL is not signed by its issuer");
    let other = Owner::root(now, "other");
    room.ok("crls/a", json!({ "crl": other.list_pem(now, now + 60, &[]) })).await;
}

#[tokio::test]
async fn published_lists_are_fetched_again() {
    let room = Room::new().await;
    room.trust(json!({})).await;
    let (now, kim, lee) = (room.now(), room.client("kim"), room.client("lee"));
    publish(&room, now, now + 600, &[&kim]);
    room.ok("crls/root", json!({ "url": CRL_URL })).await;
    let got = room.call("READ", "crls/root", Value::Null).await;
    let cdp = json!({ "url": CRL_URL, "valid_until": "2026-01-01T00:10:00Z" });
    assert_eq!(got.data()["cdp"], cdp);
    assert_eq!(room.login(&[&kim]).await.errors(), NO_CHAIN);
    assert_eq!(room.login(&[&lee]).await.status, 200);
    publish(&room, now + 300, now + 1_200, &[&kim, &lee]);
    room.work().await;
    assert_eq!(room.web.calls(CRL_URL), 1, "its time is not over");
    room.node.clock.advance(600);
    room.work().await;
    assert_eq!(room.web.calls(CRL_URL), 2);
    assert_eq!(room.login(&[&lee]).await.errors(), NO_CHAIN);
    // Nobody answers, or with an older list, or a forged one: the one before stays.
    room.node.clock.advance(900);
    room.web.down(CRL_URL);
    room.work().await;
    publish(&room, now, now + 9_000, &[]);
    room.node.clock.advance(60);
    room.work().await;
    let forged = Owner::root(now, "root").list(now + 400, now + 9_000, &[]);
    // Nor does one that nobody here could have signed count, because it is somebody else's.
    let foreign = Owner::root(now, "other").list(now + 400, now + 900_000, &[]);
    // Nor one that continues another.
    let mut partial = CrlTemplate {
        issuer: room.root.certificate.subject.clone(),
        this_update: now + 400,
        next_update: now + 9_000,
        entries: Vec::new(),
        extensions: vec![Extension::crl_number(2)],
    };
    partial.extensions.push(Extension::delta_indicator(1));
    let algorithm = SignatureAlgorithm::Ecdsa(Hash::Sha256);
    let partial = partial.sign(&room.root.key, algorithm).unwrap();
    let (fetched, bad) = (room.web.calls(CRL_URL), [forged, foreign, partial]);
    for (list, n) in bad.into_iter().zip(1..) {
        room.web.answer(CRL_URL, 200, list);
        room.node.clock.advance(60);
        room.work().await;
        assert_eq!(room.web.calls(CRL_URL), fetched + n);
        assert_eq!(room.login(&[&lee]).await.errors(), NO_CHAIN);
    }
    for revoked in [&kim, &lee] {
        assert_eq!(room.login(&[revoked]).await.errors(), NO_CHAIN);
    }
    publish(&room, now + 400, now + 90_000, &[&kim]);
    room.node.clock.advance(60);
    room.work().await;
    assert_eq!(room.login(&[&lee]).await.status, 200);
}

/// Has the responder at `url` answer this of all certificates, for `seconds`.
fn responds(room: &Room, url: &str, status: Status, seconds: Option<i64>) {
    let (now, key) = (room.now(), room.root.key.to_pkcs8_der());
    let key = strongroom_crypto::keys::PrivateKey::from_pkcs8_der(key.expose_secret()).unwrap();
    let responder = Owner { key, certificate: room.root.certificate.clone() };
    room.web.serve(url, move |call| {
        let until = seconds.map(|seconds| now + seconds);
        SimWeb::reply(200, responder.answer(call.body.expose_secret(), status, now, until))
    });
}

/// A client whose certificate says whom to ask about it.
fn asked_of(room: &Room, name: &str) -> Owner {
    let extensions = vec![Extension::authority_info(&[OCSP_URL.to_owned()], &[]).unwrap()];
    room.root.issue(&Wish { extensions, ..Wish::client(room.now(), name) })
}

const REVOKED: Status = Status::Revoked(Timestamp(1_700_000_000_000_000_000));
const NOT_FOUND_OUT: &str = "the revocation status of the certificate could not be found out";

#[tokio::test]
async fn responders_are_asked_where_the_entry_says_so() {
    let room = Room::new().await;
    let client = asked_of(&room, "kim");
    room.trust(json!({})).await;
    assert_eq!(room.login(&[&client]).await.status, 200);
    assert_eq!(room.web.calls(OCSP_URL), 0);
    room.trust(json!({ "ocsp_enabled": true })).await;
    let got = room.login(&[&client]).await;
    assert_eq!((got.status, got.errors().as_str()), (502, NOT_FOUND_OUT), "nobody answers");
    responds(&room, OCSP_URL, Status::Good, None);
    assert_eq!(room.login(&[&client]).await.status, 200);
    responds(&room, OCSP_URL, REVOKED, None);
    assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
    responds(&room, OCSP_URL, Status::Unknown, None);
    assert_eq!(room.login(&[&client]).await.errors(), NOT_FOUND_OUT);
    // A certificate that tells nobody to ask.
    assert_eq!(room.login(&[&room.client("lee")]).await.errors(), NOT_FOUND_OUT);
    // Whoever does not fit otherwise makes nobody ask.
    let calls = room.web.calls(OCSP_URL);
    let stranger = Owner::root(room.now(), "root").issue(&Wish {
        extensions: vec![Extension::authority_info(&[OCSP_URL.to_owned()], &[]).unwrap()],
        ..Wish::client(room.now(), "kim")
    });
    assert_eq!(room.login(&[&stranger]).await.errors(), INVALID);
    room.trust(json!({ "allowed_common_names": "lee" })).await;
    assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
    assert_eq!(room.web.calls(OCSP_URL), calls);
}

#[tokio::test]
async fn who_may_come_in_though_nobody_answers() {
    let room = Room::new().await;
    let client = asked_of(&room, "kim");
    room.trust(json!({ "ocsp_enabled": true, "ocsp_fail_open": true })).await;
    assert_eq!(room.login(&[&client]).await.status, 200);
    responds(&room, OCSP_URL, Status::Unknown, None);
    assert_eq!(room.login(&[&client]).await.status, 200);
    responds(&room, OCSP_URL, REVOKED, None);
    assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
}

#[tokio::test]
async fn answers_of_others_do_not_count() {
    let room = Room::new().await;
    let (now, client) = (room.now(), asked_of(&room, "kim"));
    room.trust(json!({ "ocsp_enabled": true })).await;
    let other = Owner::root(now, "other");
    let pem = other.pem();
    room.web.serve(OCSP_URL, move |call| {
        let body = call.body.expose_secret();
        SimWeb::reply(200, other.answer(body, Status::Good, now, None))
    });
    assert_eq!(room.login(&[&client]).await.errors(), NOT_FOUND_OUT);
    room.trust(json!({ "ocsp_enabled": true, "ocsp_ca_certificates": pem })).await;
    assert_eq!(room.login(&[&client]).await.status, 200);
    // Who may answer for certificates may not issue them.
    let (key, now) = (strongroom_testkit::certificates::key(), room.now());
    let wish = Wish::client(now, "kim");
    let of_responder = Owner::root(now, "other").issue_for(&wish, key);
    assert_eq!(room.login(&[&of_responder]).await.errors(), INVALID);
    room.web.answer(OCSP_URL, 200, "no answer");
    assert_eq!(room.login(&[&client]).await.errors(), NOT_FOUND_OUT);
}

#[tokio::test]
async fn statuses_are_remembered_for_as_long_as_they_hold() {
    let room = Room::new().await;
    let client = asked_of(&room, "kim");
    room.trust(json!({ "ocsp_enabled": true })).await;
    responds(&room, OCSP_URL, Status::Good, Some(600));
    for _ in 0..3 {
        assert_eq!(room.login(&[&client]).await.status, 200);
    }
    assert_eq!(room.web.calls(OCSP_URL), 1);
    room.node.clock.advance(601);
    responds(&room, OCSP_URL, REVOKED, Some(600));
    for _ in 0..3 {
        assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
    }
    assert_eq!(room.web.calls(OCSP_URL), 2);
    // There is room for two.
    room.ok("config", json!({ "ocsp_cache_size": 2 })).await;
    responds(&room, OCSP_URL, Status::Good, Some(600));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(room.login(&[&asked_of(&room, name)]).await.status, 200);
    }
}

#[tokio::test]
async fn several_responders() {
    let room = Room::new().await;
    let client = room.client("kim");
    let servers = ["http://one.test/", "http://two.test/"];
    room.trust(json!({ "ocsp_enabled": true, "ocsp_servers_override": servers })).await;
    responds(&room, servers[1], Status::Good, None);
    assert_eq!(room.login(&[&client]).await.status, 200, "the first is down");
    room.trust(json!({ "ocsp_query_all_servers": true })).await;
    assert_eq!(room.login(&[&client]).await.errors(), NOT_FOUND_OUT);
    responds(&room, servers[0], Status::Good, None);
    assert_eq!(room.login(&[&client]).await.status, 200);
    responds(&room, servers[1], REVOKED, None);
    assert_eq!(room.login(&[&client]).await.errors(), NO_CHAIN);
}

#[tokio::test]
async fn responders_for_pinned_certificates() {
    let room = Room::new().await;
    let own = asked_of(&room, "kim");
    responds(&room, OCSP_URL, Status::Good, None);
    let fields = |certificate: String| json!({ "certificate": certificate, "ocsp_enabled": true });
    room.ok("certs/own", fields(own.pem())).await;
    assert_eq!(room.login(&[&own]).await.errors(), NOT_FOUND_OUT, "its issuer is not known");
    // Its issuer is known by its signature, whoever shows it.
    assert_eq!(room.login(&[&own, &room.root]).await.status, 200);
    room.ok("certs/own", fields(format!("{}\n{}", own.pem(), room.root.pem()))).await;
    assert_eq!(room.login(&[&own]).await.status, 200);
    responds(&room, OCSP_URL, REVOKED, None);
    assert_eq!(room.login(&[&own]).await.errors(), INVALID);
    let alone = Owner::self_signed(&Wish::client(room.now(), "lee"));
    room.ok("certs/alone", fields(alone.pem())).await;
    assert_eq!(room.login(&[&alone]).await.status, 200, "nobody stands behind it");
}
