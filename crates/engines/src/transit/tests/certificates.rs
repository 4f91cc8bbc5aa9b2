//! `csr` and `set-certificate`; `derive-key`.

use serde_json::{Value, json};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey, pem};
use strongroom_crypto::x509::{
    Certificate, Extension, NameBuilder, Request, RequestTemplate, SignatureAlgorithm, Template,
    attributes, pem_blocks,
};

use super::Room;

fn request(text: &Value) -> Request {
    let (blocks, _) = pem_blocks(text.as_str().unwrap()).unwrap();
    assert_eq!((blocks.len(), blocks[0].label.as_str()), (1, "CERTIFICATE REQUEST"));
    Request::from_der(&blocks[0].der).unwrap()
}

/// A certificate for a key, by an authority if `authority`.
fn certificate(spki: &[u8], signer: &PrivateKey, authority: bool) -> Certificate {
    let mut extensions = Vec::new();
    if authority {
        extensions.push(Extension::basic_constraints(true, None));
    }
    let name = NameBuilder::default().step(attributes::COMMON_NAME, &["x"]).build();
    Template {
        serial: vec![1],
        issuer: name.clone(),
        subject: name,
        not_before: 0,
        not_after: 4_000_000_000,
        spki: spki.to_vec(),
        extensions,
    }
    .sign(signer, SignatureAlgorithm::for_key(signer.key_type(), 256, false))
    .unwrap()
}

#[tokio::test]
async fn requests_are_signed_with_the_key() {
    let room = Room::new().await;
    let other = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let subject = NameBuilder::default().step(attributes::COMMON_NAME, &["host"]).build();
    let template = RequestTemplate {
        subject: subject.clone(),
        extensions: vec![Extension::basic_constraints(true, None)],
    };
    let given = template.sign(&other, SignatureAlgorithm::for_key(other.key_type(), 256, false));
    let given = given.unwrap();
    for kind in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048"] {
        room.key(kind, json!({ "type": kind })).await;
        let path = format!("keys/{kind}/csr");
        let made = room.write(&path, json!({})).await;
        assert_eq!((&made["name"], &made["type"]), (&json!(kind), &json!(kind)));
        let empty = request(&made["csr"]);
        assert!(empty.is_signed() && empty.subject.is_empty() && empty.extensions.is_empty());
        let made = room.write(&path, json!({ "csr": given.pem(), "version": 1 })).await;
        let made = request(&made["csr"]);
        assert!(made.is_signed() && made.wants_authority());
        assert_eq!(made.subject, subject);
        assert_eq!(made.spki, empty.spki);
        room.refused(&path, json!({ "csr": "x" }), "could not decode PEM CSR").await;
        room.refused(&path, json!({ "version": 2 }), "no such key version").await;
    }
    room.key("aes", json!({})).await;
    room.refused("keys/aes/csr", json!({}), "key type 'aes256-gcm96' does not support").await;
    room.refused("keys/none/csr", json!({}), "key with provided name 'none' not found").await;
    room.key("derived", json!({ "type": "ed25519", "derived": true })).await;
    room.refused("keys/derived/csr", json!({}), "keys with derivation enabled").await;
}

#[tokio::test]
async fn certificates_are_kept_with_their_key() {
    let room = Room::new().await;
    let signer = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let authority = certificate(signer.public().unwrap().spki_der(), &signer, true);
    for kind in ["ecdsa-p384", "ed25519", "rsa-2048"] {
        room.key(kind, json!({ "type": kind })).await;
        let spki = request(&room.write(&format!("keys/{kind}/csr"), json!({})).await["csr"]).spki;
        let leaf = certificate(&spki, &signer, false);
        let chain = format!("{}\n{}", leaf.pem(), authority.pem());
        let path = format!("keys/{kind}/set-certificate");
        let stranger = certificate(signer.public().unwrap().spki_der(), &signer, false);
        for (chain, why) in [
            (String::new(), "did not contain any valid PEM encoded certificate"),
            (stranger.pem(), "does not match the selected key version"),
            (authority.pem(), "first element is not a valid leaf certificate"),
            (format!("{}\n{}", leaf.pem(), leaf.pem()), "last element is not a valid CA"),
            (
                format!("{}\n{}\n{}", leaf.pem(), leaf.pem(), authority.pem()),
                "only one leaf certificate",
            ),
            ("x".repeat(256 * 1024 + 1), "too long"),
        ] {
            room.refused(&path, json!({ "certificate_chain": chain }), why).await;
        }
        let set = room.write(&path, json!({ "certificate_chain": chain })).await;
        assert_eq!(set["certificate_chain"], chain);
        let shown = room.read(&format!("keys/{kind}")).await;
        assert_eq!(shown["keys"]["1"]["certificate_chain"], chain, "{kind}");
        let shown = room.read(&format!("export/certificate-chain/{kind}/1")).await;
        assert_eq!(shown["keys"]["1"], chain);
        let body = json!({ "certificate_chain": chain, "version": 2 });
        room.refused(&path, body, "no such key version").await;
        // The key signs as before, and a new version has none.
        room.write(&format!("sign/{kind}"), json!({ "input": "" })).await;
        room.write(&format!("keys/{kind}/rotate"), json!({})).await;
        let shown = room.read(&format!("keys/{kind}")).await;
        assert_eq!(shown["keys"]["2"]["certificate_chain"], "");
        assert_eq!(shown["keys"]["1"]["certificate_chain"], chain);
    }
    room.key("aes", json!({})).await;
    room.refused("keys/aes/set-certificate", json!({}), "does not support signing").await;
}

#[tokio::test]
async fn two_sides_derive_the_same_key() {
    let room = Room::new().await;
    for (kind, derived) in [
        ("ecdsa-p256", "aes256-gcm96"),
        ("ecdsa-p384", "aes128-gcm96"),
        ("ecdsa-p521", "chacha20-poly1305"),
    ] {
        let (a, b) = (format!("a-{kind}"), format!("b-{kind}"));
        for name in [&a, &b] {
            room.key(name, json!({ "type": kind })).await;
        }
        for (own, peer) in [(&a, &b), (&b, &a)] {
            let public =
                room.read(&format!("keys/{peer}")).await["keys"]["1"]["public_key"].clone();
            let body = json!({
                "base_key_name": own, "peer_public_key": public, "derived_key_type": derived,
            });
            room.write(&format!("derive-key/shared-{own}"), body.clone()).await;
            let again = format!("derive-key/shared-{own}");
            room.refused(&again, body, "a key of this name exists already").await;
        }
        let sealed = room.encrypt(&format!("shared-{a}"), "text").await;
        assert_eq!(room.decrypt(&format!("shared-{b}"), &sealed).await, "text");
        assert_eq!(room.read(&format!("keys/shared-{a}")).await["type"], derived);
    }
    let public = |curve| PrivateKey::generate(KeyType::Ec(curve)).unwrap().public().unwrap();
    let (p256, p384) = (public(Curve::P256), public(Curve::P384));
    let mut outside = p256.spki_der().to_vec();
    *outside.last_mut().unwrap() ^= 1;
    let outside = pem("PUBLIC KEY", &outside).expose_secret().clone();
    room.key("aes", json!({})).await;
    for (body, why) in [
        (json!({ "base_key_name": "a-ecdsa-p256" }), "peer public key not provided"),
        (
            json!({ "base_key_name": "a-ecdsa-p256", "peer_public_key": "x" }),
            "failed to parse supplied peer public key PEM",
        ),
        (
            json!({ "base_key_name": "a-ecdsa-p256", "peer_public_key": p384.to_pem() }),
            "is not on the key's curve",
        ),
        (
            json!({ "base_key_name": "a-ecdsa-p256", "peer_public_key": outside }),
            "failed to parse supplied peer public key PEM",
        ),
        (
            json!({ "base_key_name": "aes", "peer_public_key": p256.to_pem() }),
            "does not support key agreement",
        ),
        (
            json!({ "base_key_name": "none", "peer_public_key": p256.to_pem() }),
            "specified base key not found",
        ),
        (
            json!({
                "base_key_name": "a-ecdsa-p256", "peer_public_key": p256.to_pem(),
                "base_key_version": 2,
            }),
            "higher than the latest key version",
        ),
        (
            json!({
                "base_key_name": "a-ecdsa-p256", "peer_public_key": p256.to_pem(),
                "derived_key_type": "rsa-2048",
            }),
            "unknown key type",
        ),
        (
            json!({ "key_derivation_algorithm": "x", "peer_public_key": p256.to_pem() }),
            "key derivation algorithm not supported",
        ),
    ] {
        room.refused("derive-key/fresh", body, why).await;
        assert_eq!(room.call("READ", "keys/fresh", Value::Null).await.status, 404);
    }
}
