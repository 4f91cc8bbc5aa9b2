//! OCSP through the whole pipeline. Requests and answers are bytes here; OpenSSL's view of them has a
//! test of its own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use strongroom_crypto::keys::Hash;
use strongroom_crypto::x509::{Certificate, pem_blocks};
use strongroom_testkit::challenges::SimChallenges;
use strongroom_testkit::{Got, TestNode};

struct Room(TestNode);

fn certificate(got: &Got) -> Certificate {
    let pem = got.data()["certificate"].as_str().expect("a certificate");
    let (blocks, _) = pem_blocks(pem).unwrap();
    let block = blocks.iter().find(|block| block.label == "CERTIFICATE").expect("one");
    Certificate::from_der(&block.der).unwrap()
}

impl Room {
    async fn new() -> Self {
        let specs = strongroom_system::specs();
        let spec = super::super::spec(SimChallenges::new());
        let node = TestNode::start(specs.into_iter().chain([spec])).await;
        node.mount("pki", "pki/").await;
        let room = Self(node);
        room.ok("WRITE", "pki/roles/any", json!({ "allow_any_name": true, "key_type": "ec" }))
            .await;
        room
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Got {
        let got = self.0.root(method, path, body).await;
        assert!(matches!(got.status, 200..=204), "{method} {path}: {got:?}");
        got
    }

    async fn root(&self, name: &str) -> Certificate {
        let body = json!({ "common_name": name, "key_type": "ec", "issuer_name": name });
        certificate(&self.ok("WRITE", "pki/root/generate/internal", body).await)
    }

    async fn issue(&self) -> Certificate {
        let body = json!({ "common_name": "a.example.com", "ttl": "1h" });
        certificate(&self.ok("WRITE", "pki/issue/any", body).await)
    }

    async fn ask(&self, request: &[u8]) -> Got {
        self.0.call_raw("WRITE", "pki/ocsp", request).await
    }
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match body.len() {
        length @ 0..0x80 => out.push(length as u8),
        length @ 0x80..0x100 => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(body);
    out
}

/// Who is asked about: by SHA-1, as clients do.
fn id(issuer: &Certificate, serial: &[u8]) -> Vec<u8> {
    let algorithm = [0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
    let name = Hash::Sha1.digest(issuer.subject.der());
    let key = Hash::Sha1.digest(issuer.public_key().unwrap().raw());
    let mut number = serial.to_vec();
    if number[0] & 0x80 != 0 {
        number.insert(0, 0);
    }
    tlv(0x30, &[&algorithm, &tlv(4, &[&name]), &tlv(4, &[&key]), &tlv(2, &[&number])])
}

fn request(ids: &[Vec<u8>]) -> Vec<u8> {
    let singles: Vec<Vec<u8>> = ids.iter().map(|id| tlv(0x30, &[id])).collect();
    let singles: Vec<&[u8]> = singles.iter().map(Vec::as_slice).collect();
    tlv(0x30, &[&tlv(0x30, &[&tlv(0x30, &singles)])])
}

/// What an answer says of each: it stands behind the certificate's id.
fn said(got: &Got, ids: &[Vec<u8>]) -> Vec<&'static str> {
    assert_eq!((got.status, got.content_type), (200, "application/ocsp-response"), "{got:?}");
    let status = |id: &Vec<u8>| {
        let at = got.raw.windows(id.len()).position(|window| window == id).expect("it is told of");
        match got.raw[at + id.len()] {
            0x80 => "good",
            0xa1 => "revoked",
            0x82 => "unknown",
            other => panic!("a status {other:x}"),
        }
    };
    ids.iter().map(status).collect()
}

#[tokio::test]
async fn good_revoked_and_unknown() {
    let room = Room::new().await;
    let root = room.root("one").await;
    let (kept, taken) = (room.issue().await, room.issue().await);
    let body = json!({ "serial_number": taken.serial_text() });
    room.ok("WRITE", "pki/revoke", body).await;
    let stranger = {
        let other = Room::new().await;
        other.root("one").await
    };
    let ids = [
        id(&root, kept.serial()),
        id(&root, taken.serial()),
        id(&root, &[7]),
        id(&stranger, kept.serial()),
    ];
    let expect = ["good", "revoked", "good", "unknown"];
    assert_eq!(said(&room.ask(&request(&ids)).await, &ids), expect);
    for (id, expect) in ids.iter().zip(expect) {
        let id = std::slice::from_ref(id);
        let der = request(id);
        assert_eq!(said(&room.ask(&der).await, id), [expect]);
        // By GET, in both alphabets.
        for text in [STANDARD.encode(&der), URL_SAFE_NO_PAD.encode(&der)] {
            let got = room.0.call_raw("READ", &format!("pki/ocsp/{text}"), b"").await;
            // Two slashes side by side are the door's to bring into one spelling.
            if !text.contains("//") {
                assert_eq!(said(&got, id), [expect], "{text}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_ocsps_words() {
    let room = Room::new().await;
    room.root("one").await;
    let long = vec![0x30; strongroom_crypto::ocsp::REQUEST_BYTES_MAX];
    for body in [&b""[..], b"{}", b"hello", &[0x30, 0], &long] {
        let got = room.ask(body).await;
        assert_eq!((got.status, got.raw.as_slice()), (400, &[0x30, 3, 0x0a, 1, 1][..]), "{got:?}");
        assert_eq!(got.content_type, "application/ocsp-response");
    }
    let longer = vec![0x30; strongroom_crypto::ocsp::REQUEST_BYTES_MAX + 1];
    assert_eq!(room.ask(&longer).await.status, 413);
    let got = room.0.call_raw("READ", "pki/ocsp/MEIw", b"").await;
    assert_eq!((got.status, got.raw.as_slice()), (400, &[0x30, 3, 0x0a, 1, 1][..]));
    for (method, path, body) in
        [("WRITE", "pki/unified-ocsp", &b"\x30\x00"[..]), ("READ", "pki/unified-ocsp/MEIw", b"")]
    {
        let got = room.0.call_raw(method, path, body).await;
        assert!(got.status == 400 && got.errors().contains("unified-ocsp"), "{got:?}");
    }
}

#[tokio::test]
async fn who_may_not_sign_does_not_tell() {
    let unauthorized = (401, vec![0x30, 3, 0x0a, 1, 6]);
    let room = Room::new().await;
    let of = |got: Got| (got.status, got.raw);
    // Nobody is there.
    let stranger = Room::new().await.root("one").await;
    let foreign = request(&[id(&stranger, &[7])]);
    assert_eq!(of(room.ask(&foreign).await), unauthorized);
    let root = room.root("one").await;
    let own = request(&[id(&root, &[7])]);
    assert_eq!(room.ask(&own).await.status, 200);
    let usage = json!({ "usage": "read-only,issuing-certificates,crl-signing" });
    room.ok("WRITE", "pki/issuer/default", usage).await;
    assert_eq!(of(room.ask(&own).await), unauthorized);
    assert_eq!(of(room.ask(&foreign).await), unauthorized);
    let usage = json!({ "usage": "read-only,issuing-certificates,crl-signing,ocsp-signing" });
    room.ok("WRITE", "pki/issuer/default", usage).await;
    assert_eq!(room.ask(&own).await.status, 200);
    room.ok("WRITE", "pki/config/crl", json!({ "ocsp_disable": true })).await;
    assert_eq!(of(room.ask(&own).await), unauthorized);
    assert_eq!(of(room.ask(b"x").await), unauthorized);
}

/// Each issuer answers for its own certificates, whichever is the default.
#[tokio::test]
async fn an_answer_is_its_issuers() {
    let room = Room::new().await;
    let one = room.root("one").await;
    let certificate = room.issue().await;
    let two = room.root("two").await;
    room.ok("WRITE", "pki/config/issuers", json!({ "default": "two" })).await;
    let ids = [id(&one, certificate.serial()), id(&two, certificate.serial())];
    for (asked, signer) in ids.iter().zip([&one, &two]) {
        let got = room.ask(&request(std::slice::from_ref(asked))).await;
        let name = tlv(0xa1, &[signer.subject.der()]);
        assert!(got.raw.windows(name.len()).any(|window| window == name), "{got:?}");
    }
    // One signature is one issuer's: it does not tell of another's.
    assert_eq!(said(&room.ask(&request(&ids)).await, &ids), ["good", "unknown"]);
}

/// `ocsp_expiry` is how long an answer holds; 0 says that there is always newer knowledge.
#[tokio::test]
async fn answers_hold_as_long_as_configured() {
    let room = Room::new().await;
    let root = room.root("one").await;
    let asked = [id(&root, &[7])];
    let holds = async || {
        let got = room.ask(&request(&asked)).await;
        let at = got.raw.windows(asked[0].len()).position(|w| w == asked[0]).unwrap();
        // The status, this update, and the next one if there is one.
        let rest = &got.raw[at + asked[0].len() + 2..];
        let time = |at: usize| String::from_utf8_lossy(&rest[at..at + 15]).into_owned();
        (time(2), (rest[17] == 0xa0).then(|| time(21)))
    };
    let now = "20260101000000Z".to_owned();
    assert_eq!(holds().await, (now.clone(), Some("20260101120000Z".to_owned())));
    room.ok("WRITE", "pki/config/crl", json!({ "ocsp_expiry": "30m" })).await;
    assert_eq!(holds().await, (now.clone(), Some("20260101003000Z".to_owned())));
    room.ok("WRITE", "pki/config/crl", json!({ "ocsp_expiry": "0" })).await;
    assert_eq!(holds().await, (now, None));
}

/// A number that two authorities gave is revoked of the one alone; and an issuer that was revoked as
/// one is revoked here as it is on the list.
#[tokio::test]
async fn a_number_is_its_authoritys() {
    let room = Room::new().await;
    let one = room.root("one").await;
    let leaf = room.issue().await;
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": leaf.serial_text() })).await;
    let two = room.root("two").await;
    let ids = [id(&one, leaf.serial()), id(&two, leaf.serial())];
    for (asked, status) in ids.iter().zip(["revoked", "good"]) {
        let asked = std::slice::from_ref(asked);
        assert_eq!(said(&room.ask(&request(asked)).await, asked), [status]);
    }
    // An intermediate of another mount, whose certificate is not kept here.
    room.0.mount("pki", "above/").await;
    let body = json!({ "common_name": "above", "key_type": "ec", "format": "pem_bundle" });
    let above = room.ok("WRITE", "above/root/generate/exported", body).await;
    let bundle = above.data()["certificate"].clone();
    let above = certificate(&above);
    let body = json!({ "common_name": "below", "key_type": "ec" });
    let csr = room.ok("WRITE", "pki/intermediate/generate/internal", body).await;
    let body = json!({ "csr": csr.data()["csr"], "common_name": "below" });
    let below = certificate(&room.ok("WRITE", "above/root/sign-intermediate", body).await);
    for pem in [bundle, below.pem().into()] {
        room.ok("WRITE", "pki/issuers/import/bundle", json!({ "pem_bundle": pem })).await;
    }
    let asked = [id(&above, below.serial())];
    assert_eq!(said(&room.ask(&request(&asked)).await, &asked), ["good"]);
    let listed = room.ok("LIST", "pki/issuers", Value::Null).await;
    for issuer in listed.data()["keys"].as_array().unwrap() {
        let issuer = issuer.as_str().unwrap();
        let shown = room.ok("READ", &format!("pki/issuer/{issuer}"), Value::Null).await;
        if certificate(&shown) == below {
            room.ok("WRITE", &format!("pki/issuer/{issuer}/revoke"), Value::Null).await;
        }
    }
    assert_eq!(said(&room.ask(&request(&asked)).await, &asked), ["revoked"]);
}
