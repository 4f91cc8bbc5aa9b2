//! Roots, intermediates, imports, and the care of issuers and keys.

use serde_json::{Value, json};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::x509::{Certificate, Request, pem_blocks};

use super::{Room, certificate, from_pem};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn roots_of_every_kind() {
    let room = Room::bare().await;
    for (kind, bits, label) in [
        ("ec", 256, "EC PRIVATE KEY"),
        ("ec", 384, "EC PRIVATE KEY"),
        ("ec", 521, "EC PRIVATE KEY"),
        ("ed25519", 0, "PRIVATE KEY"),
        ("rsa", 2048, "RSA PRIVATE KEY"),
    ] {
        let body = json!({ "common_name": format!("{kind} {bits}"), "key_type": kind,
            "key_bits": bits, "ttl": "8760h" });
        let got = room.ok("WRITE", "pki/root/generate/exported", body).await;
        let root = certificate(&got);
        assert!(root.is_self_signed() && root.authority() == Some(None), "{kind} {bits}");
        let key = text(&got.data()["private_key"]);
        assert!(key.starts_with(&format!("-----BEGIN {label}-----")), "{key}");
        let key = PrivateKey::from_pem(&key).unwrap();
        assert_eq!(key.public().unwrap().spki_der(), root.spki);
        assert_eq!(got.data()["private_key_type"], kind);
    }
    for (body, how, said) in [
        (json!({ "common_name": "x" }), "kms", "KMS are not supported"),
        (json!({ "common_name": "x" }), "elsewhere", "\"exported\" path parameter"),
        (json!({ "common_name": "x", "key_type": "ec", "key_bits": 224 }), "internal", "P-224"),
        (json!({ "common_name": "x", "key_type": "any" }), "internal", "unknown key type"),
        (json!({ "common_name": "x", "key_bits": 1024 }), "internal", "unsafe"),
        (json!({ "common_name": "x", "key_type": "ec" }), "existing", "invalid parameter"),
        (json!({ "common_name": "x", "key_ref": "none" }), "existing", "unable to find PKI key"),
        (json!({ "common_name": "x", "issuer_name": "default" }), "internal", "reserved keyword"),
        (json!({ "common_name": "x", "issuer_name": "a/b" }), "internal", "invalid characters"),
    ] {
        let got = room.refused("WRITE", &format!("pki/root/generate/{how}"), body).await;
        assert!(got.contains(said), "{got}");
    }
}

#[tokio::test]
async fn what_a_root_says() {
    let room = Room::bare().await;
    let body = json!({ "common_name": "Root", "key_type": "ec", "max_path_length": 1,
        "permitted_dns_domains": "example.com", "organization": "Org", "alt_names": "ca.example.com",
        "key_usage": "DigitalSignature", "not_before_duration": "1h", "issuer_name": "first",
        "key_name": "first-key" });
    let got = room.ok("WRITE", "pki/issuers/generate/root/internal", body).await;
    let root = certificate(&got);
    assert_eq!(root.authority(), Some(Some(1)));
    assert_eq!(root.subject.to_string(), "CN=Root,O=Org");
    assert!(root.extension("2.5.29.30").is_some());
    assert_eq!(
        (&got.data()["issuer_name"], &got.data()["key_name"]),
        (&json!("first"), &json!("first-key"))
    );
    let warnings = got.body["warnings"].to_string();
    assert!(warnings.contains("authority information access"), "{warnings}");
    // The same key once more, by its name; then the names are taken.
    let body = json!({ "common_name": "Again", "key_ref": "first-key" });
    let again = room.ok("WRITE", "pki/root/generate/existing", body).await;
    assert_eq!(again.data()["key_id"], got.data()["key_id"]);
    assert_eq!(certificate(&again).spki, root.spki);
    let body = json!({ "common_name": "x", "issuer_name": "first" });
    let said = room.refused("WRITE", "pki/root/generate/internal", body).await;
    assert_eq!(said, "issuer name already in use");
}

/// A root in one mount, an intermediate in another: CSR, signature, import, issue.
#[tokio::test]
async fn an_intermediate_of_another_mount() {
    let room = Room::new().await;
    room.node.mount("pki", "inter/").await;
    let body = json!({ "common_name": "Inter", "key_type": "ec", "organization": "Org",
        "add_basic_constraints": true });
    let got = room.ok("WRITE", "inter/intermediate/generate/internal", body).await;
    assert!(got.data().get("private_key").is_none());
    let csr = text(&got.data()["csr"]);
    let (blocks, _) = pem_blocks(&csr).unwrap();
    let request = Request::from_der(&blocks[0].der).unwrap();
    assert!(request.is_signed() && request.wants_authority());
    let body = json!({ "csr": csr, "ttl": "4380h", "max_path_length": 0, "use_csr_values": true });
    let signed = room.ok("WRITE", "pki/root/sign-intermediate", body).await;
    let inter = certificate(&signed);
    assert!(inter.is_issued_by(&room.ca().await));
    assert_eq!(inter.authority(), Some(Some(0)));
    assert_eq!(inter.subject.to_string(), "CN=Inter,O=Org");
    assert_eq!(signed.data()["ca_chain"].as_array().unwrap().len(), 2);
    let chain: Vec<String> =
        signed.data()["ca_chain"].as_array().unwrap().iter().map(text).collect();
    let body = json!({ "certificate": chain.join("\n") });
    let set = room.ok("WRITE", "inter/intermediate/set-signed", body).await;
    assert_eq!(set.data()["imported_issuers"].as_array().unwrap().len(), 2, "{set:?}");
    room.ok("WRITE", "inter/roles/any", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    let body = json!({ "common_name": "leaf.example", "ttl": "1h" });
    let got = room.ok("WRITE", "inter/issue/any", body).await;
    let leaf = certificate(&got);
    assert!(leaf.is_issued_by(&inter));
    let chain = got.data()["ca_chain"].as_array().unwrap();
    assert_eq!(chain.len(), 2, "{got:?}");
    assert_eq!(from_pem(chain[0].as_str().unwrap()), inter);
    assert_eq!(from_pem(chain[1].as_str().unwrap()), room.ca().await);
    // One with a path length of zero signs no further one.
    let csr =
        room.ok("WRITE", "inter/intermediate/generate/internal", json!({ "common_name": "I2" }));
    let body = json!({ "csr": csr.await.data()["csr"] });
    let said = room.refused("WRITE", "inter/root/sign-intermediate", body).await;
    assert!(said.contains("max path length of zero"), "{said}");
    // An issuer's certificate is revoked by whoever issued it.
    let body = json!({ "serial_number": inter.serial_text() });
    room.ok("WRITE", "pki/revoke", body).await;
    assert_eq!(super::serials(&room.crl("default").await), [inter.serial_text()]);
}

#[tokio::test]
async fn bundles_are_imported_once() {
    let room = Room::new().await;
    let other = Room::bare().await;
    let body = json!({ "common_name": "Other", "key_type": "ec", "format": "pem_bundle" });
    let got = other.ok("WRITE", "pki/root/generate/exported", body).await;
    let bundle = text(&got.data()["certificate"]);
    let said =
        room.refused("WRITE", "pki/issuers/import/cert", json!({ "pem_bundle": bundle })).await;
    assert!(said.contains("private keys found in the PEM bundle"), "{said}");
    let body = json!({ "pem_bundle": format!("subject=/CN=Other\n{bundle}\n") });
    let first = room.ok("WRITE", "pki/issuers/import/bundle", body.clone()).await;
    let issuer = text(&first.data()["imported_issuers"][0]);
    let key = text(&first.data()["imported_keys"][0]);
    assert_eq!(first.data()["mapping"][&issuer], key);
    let again = room.ok("WRITE", "pki/config/ca", body).await;
    assert_eq!(again.data()["imported_issuers"], Value::Null);
    assert_eq!(again.data()["existing_issuers"], json!([issuer]));
    assert_eq!(again.data()["existing_keys"], json!([key]));
    // It issues by its id; the default is what it was.
    let path = format!("pki/issuer/{issuer}/issue/any");
    let leaf =
        certificate(&room.ok("WRITE", &path, json!({ "common_name": "a.b", "ttl": "1h" })).await);
    assert!(leaf.is_issued_by(&from_pem(&bundle)));
    assert_ne!(room.ca().await, from_pem(&bundle));
    let leaf = room.issue("any", json!({ "common_name": "a.b" })).await;
    for (body, said) in [
        (json!({ "pem_bundle": leaf.pem() }), "Refusing to import non-CA certificate"),
        (json!({ "pem_bundle": "/tmp/ca.pem" }), "too short"),
        (json!({}), "were empty"),
        (json!({ "pem_bundle": "x".repeat(100) }), "invalid PEM data"),
        (json!({ "pem_bundle": "a", "certificate": "b" }), "both provided"),
    ] {
        let got = room.refused("WRITE", "pki/issuers/import/bundle", body).await;
        assert!(got.contains(said), "{got}");
    }
}

#[tokio::test]
async fn keys_are_listed_named_and_removed() {
    let room = Room::bare().await;
    assert_eq!(room.call("LIST", "pki/keys", Value::Null).await.status, 404);
    let body = json!({ "key_type": "ed25519", "key_name": "one" });
    let one = room.ok("WRITE", "pki/keys/generate/internal", body).await;
    assert!(one.data().get("private_key").is_none());
    let two = room.ok("WRITE", "pki/keys/generate/exported", json!({ "key_type": "ec" })).await;
    let pem = text(&two.data()["private_key"]);
    let got = room.ok("WRITE", "pki/keys/import", json!({ "pem_bundle": pem })).await;
    assert_eq!(got.data()["key_id"], two.data()["key_id"]);
    assert!(got.body["warnings"].to_string().contains("already imported"));
    let fresh = PrivateKey::generate(KeyType::named("ec", 384).unwrap()).unwrap();
    let pem = fresh.to_traditional_pem().unwrap().expose_secret().clone();
    let body = json!({ "pem_bundle": pem, "key_name": "three" });
    let three = room.ok("WRITE", "pki/keys/import", body).await;
    assert_eq!(three.data()["key_type"], "ec");
    let listed = room.ok("LIST", "pki/keys", Value::Null).await;
    assert_eq!(listed.data()["keys"].as_array().unwrap().len(), 3);
    let id = text(&one.data()["key_id"]);
    assert_eq!(listed.data()["key_info"][&id], json!({ "key_name": "one", "is_default": true }));
    let shown = room.ok("READ", "pki/key/one", Value::Null).await;
    assert_eq!(shown.data()["key_id"], id.as_str());
    assert_eq!(text(&shown.data()["subject_key_id"]).len(), 59);
    room.ok("WRITE", "pki/key/one", json!({ "key_name": "uno" })).await;
    room.refused("READ", "pki/key/one", Value::Null).await;
    room.refused("WRITE", "pki/key/uno", json!({ "key_name": "three" })).await;
    room.ok("WRITE", "pki/config/keys", json!({ "default": "three" })).await;
    let got = room.ok("READ", "pki/config/keys", Value::Null).await;
    assert_eq!(got.data()["default"], three.data()["key_id"]);
    room.ok("DELETE", "pki/key/uno", Value::Null).await;
    room.ok("DELETE", "pki/key/uno", Value::Null).await;
    room.root("Root").await;
    let used = room.ok("READ", "pki/issuer/default", Value::Null).await;
    let path = format!("pki/key/{}", text(&used.data()["key_id"]));
    let said = room.refused("DELETE", &path, Value::Null).await;
    assert!(said.contains("Key in Use by Issuer"), "{said}");
}

#[tokio::test]
async fn issuers_are_changed_and_removed() {
    let room = Room::new().await;
    let second = room.root("Second").await;
    let id = text(&second.data()["issuer_id"]);
    let path = format!("pki/issuer/{id}");
    let shown = room.ok("READ", &path, Value::Null).await;
    assert_eq!(shown.data()["usage"], "crl-signing,issuing-certificates,ocsp-signing,read-only");
    assert_eq!(shown.data()["leaf_not_after_behavior"], "err");
    assert_eq!(shown.data()["manual_chain"], Value::Null);
    assert_eq!(shown.data()["ca_chain"].as_array().unwrap().len(), 1);
    let body = json!({ "issuer_name": "second", "leaf_not_after_behavior": "permit",
        "issuing_certificates": "http://x.example/ca", "manual_chain": "self,default" });
    let got = room.ok("WRITE", &path, body).await;
    assert_eq!(got.data()["issuer_name"], "second");
    assert_eq!(got.data()["ca_chain"].as_array().unwrap().len(), 2);
    // A patch leaves the rest.
    room.ok("PATCH", "pki/issuer/second", json!({ "usage": "read-only,crl-signing" })).await;
    let got = room.ok("READ", "pki/issuer/second", Value::Null).await;
    assert_eq!(got.data()["usage"], "crl-signing,read-only");
    assert_eq!(got.data()["leaf_not_after_behavior"], "permit");
    let body = json!({ "common_name": "a.b", "ttl": "1h" });
    let said = room.refused("WRITE", "pki/issuer/second/issue/any", body.clone()).await;
    assert!(said.contains("requested usage issuing-certificates"), "{said}");
    for (body, said) in [
        (json!({ "usage": "cooking" }), "valid values are"),
        (json!({ "leaf_not_after_behavior": "whatever" }), "leaf_not_after_behavior"),
        (json!({ "revocation_signature_algorithm": "SHA256WithRSA" }), "unable to use issuer"),
        (json!({ "revocation_signature_algorithm": "MD5" }), "Unknown signature algorithm"),
        (json!({ "ocsp_servers": "no url" }), "ocsp_servers"),
        (json!({ "manual_chain": "default" }), "self-reference"),
        (json!({ "issuer_name": "default" }), "reserved keyword"),
    ] {
        let got = room.refused("PATCH", "pki/issuer/second", body).await;
        assert!(got.contains(said), "{got}");
    }
    // The default can be another one, and follow the latest.
    room.ok("WRITE", "pki/issuer/second", json!({ "issuer_name": "second" })).await;
    let body = json!({ "default": "second", "default_follows_latest_issuer": true });
    let got = room.ok("WRITE", "pki/config/issuers", body.clone()).await;
    assert_eq!(got.data()["default"], id.as_str());
    let third = room.root("Third").await;
    assert_eq!(room.ca().await, certificate(&third));
    room.refused("WRITE", "pki/config/issuers", json!({ "default": "default" })).await;
    room.refused("WRITE", "pki/config/issuers", json!({ "default": "nobody" })).await;
    let listed = room.node.call("LIST", "pki/issuers", "", Value::Null).await;
    assert_eq!(listed.data()["keys"].as_array().unwrap().len(), 3, "open to strangers: {listed:?}");
    let got = room.ok("DELETE", "pki/issuer/default", Value::Null).await;
    assert!(got.body["warnings"].to_string().contains("default issuer"), "{got:?}");
    let said = room.refused("WRITE", "pki/issue/any", json!({ "common_name": "a.b" })).await;
    assert!(said.contains("no default issuer currently configured"), "{said}");
    room.ok("WRITE", "pki/issuer/second/issue/any", json!({ "common_name": "a.b", "ttl": "1h" }))
        .await;
}

#[tokio::test]
async fn a_root_is_rotated_and_replaced_and_all_is_removed() {
    let room = Room::new().await;
    let old = room.ca().await;
    let body = json!({ "common_name": "Next Root", "key_type": "ec" });
    let next = room.ok("WRITE", "pki/root/rotate/internal", body).await;
    assert_eq!(next.data()["issuer_name"], "next");
    assert_eq!(room.ca().await, old);
    room.ok("WRITE", "pki/root/replace", json!({})).await;
    assert_eq!(room.ca().await, certificate(&next));
    let got = room.ok("DELETE", "pki/root", Value::Null).await;
    assert!(got.body["warnings"].to_string().contains("deletes all keys and issuers"));
    assert_eq!(room.call("LIST", "pki/issuers", Value::Null).await.status, 404);
    assert_eq!(room.call("LIST", "pki/keys", Value::Null).await.status, 404);
    room.root("Root").await;
    room.ok("READ", "pki/cert/ca", Value::Null).await;
}

/// What becomes of certificates that would outlive their issuer, or of what an expired one signs.
#[tokio::test]
async fn issuers_end() {
    let room = Room::bare().await;
    let body = json!({ "common_name": "Short", "key_type": "ec", "ttl": "10h" });
    let ca = certificate(&room.ok("WRITE", "pki/root/generate/internal", body).await);
    room.role("any", json!({ "allow_any_name": true, "key_type": "ec" })).await;
    let asked = json!({ "common_name": "a.b", "ttl": "20h" });
    let said = room.refused("WRITE", "pki/issue/any", asked.clone()).await;
    assert!(said.contains("beyond the expiration of the CA certificate"), "{said}");
    room.ok("PATCH", "pki/issuer/default", json!({ "leaf_not_after_behavior": "truncate" })).await;
    assert_eq!(room.issue("any", asked.clone()).await.not_after, ca.not_after);
    room.ok("PATCH", "pki/issuer/default", json!({ "leaf_not_after_behavior": "permit" })).await;
    assert!(room.issue("any", asked.clone()).await.not_after > ca.not_after);
    room.node.clock.advance(11 * 3_600);
    for behaviour in ["err", "truncate", "permit"] {
        let body = json!({ "leaf_not_after_behavior": behaviour });
        room.ok("PATCH", "pki/issuer/default", body).await;
        let said = room.refused("WRITE", "pki/issue/any", asked.clone()).await;
        assert!(said.contains("CA certificate expired"), "{behaviour}: {said}");
    }
    assert_eq!(
        room.ok("LIST", "pki/certs", Value::Null).await.data()["keys"].as_array().unwrap().len(),
        3
    );
}

#[tokio::test]
async fn a_revoked_issuer_issues_nothing_and_stands_on_its_issuers_list() {
    let room = Room::new().await;
    let root = room.ok("READ", "pki/issuer/default", Value::Null).await;
    let root_id = text(&root.data()["issuer_id"]);
    let csr = json!({ "common_name": "Inter", "key_type": "ec" });
    let csr = room.ok("WRITE", "pki/intermediate/generate/internal", csr).await;
    let body = json!({ "csr": csr.data()["csr"] });
    let signed = room.ok("WRITE", "pki/root/sign-intermediate", body).await;
    let inter = certificate(&signed);
    let body = json!({ "certificate": inter.pem() });
    let set = room.ok("WRITE", "pki/intermediate/set-signed", body).await;
    let id = text(&set.data()["imported_issuers"][0]);
    let leaf = format!("pki/issuer/{id}/issue/any");
    let ask = json!({ "common_name": "a.b", "ttl": "1h" });
    let got = room.ok("WRITE", &leaf, ask.clone()).await;
    let serial = text(&got.data()["serial_number"]);
    let got = room.ok("WRITE", &format!("pki/issuer/{id}/revoke"), json!({})).await;
    assert_eq!(got.data()["revoked"], true);
    assert!(got.data()["revocation_time"].as_i64().unwrap() > 0);
    let said = room.refused("WRITE", &leaf, ask).await;
    assert!(said.contains("requested usage issuing-certificates"), "{said}");
    let body = json!({ "usage": "issuing-certificates" });
    let said = room.refused("PATCH", &format!("pki/issuer/{id}"), body).await;
    assert!(said.contains("This issuer was revoked"), "{said}");
    assert_eq!(super::serials(&room.crl(&root_id).await), [inter.serial_text()]);
    // What it had issued can still be revoked, on its own list.
    room.ok("WRITE", "pki/revoke", json!({ "serial_number": serial })).await;
    assert_eq!(super::serials(&room.crl(&id).await), [serial]);
    let got = room.ok("WRITE", &format!("pki/issuer/{root_id}/revoke"), json!({})).await;
    let warnings = got.body["warnings"].to_string();
    assert!(warnings.contains("self-signed") && warnings.contains("default issuer"), "{warnings}");
    assert!(!super::serials(&room.crl(&root_id).await).contains(&room.ca().await.serial_text()));
}

#[tokio::test]
async fn cross_signing_and_signing_what_is_self_issued() {
    let room = Room::new().await;
    let old = room.ca().await;
    let second = room.root("Second").await;
    let key = text(&second.data()["key_id"]);
    let body = json!({ "common_name": "Second", "key_ref": key });
    let csr = room.ok("WRITE", "pki/intermediate/cross-sign", body).await;
    assert_eq!(csr.data()["key_id"], key.as_str());
    let body = json!({ "csr": csr.data()["csr"], "common_name": "Second" });
    let crossed = certificate(&room.ok("WRITE", "pki/root/sign-intermediate", body).await);
    let second = certificate(&second);
    assert!(crossed.is_issued_by(&old));
    assert_eq!((&crossed.spki, &crossed.subject), (&second.spki, &second.subject));
    assert_eq!(crossed.subject_key_id(), second.subject_key_id());
    let body = json!({ "certificate": second.pem() });
    let got = room.ok("WRITE", "pki/root/sign-self-issued", body.clone()).await;
    let again = certificate(&got);
    assert!(again.is_issued_by(&old));
    assert_eq!(again.serial(), second.serial());
    let leaf = room.issue("any", json!({ "common_name": "a.b" })).await;
    for (pem, said) in [
        (leaf.pem(), "not a CA certificate"),
        (crossed.pem(), "not self-issued"),
        ("nonsense".to_owned(), "PEM-decoded"),
    ] {
        let body = json!({ "certificate": pem });
        let got = room.refused("WRITE", "pki/issuer/default/sign-self-issued", body).await;
        assert!(got.contains(said), "{got}");
    }
}

#[tokio::test]
async fn urls_with_templates() {
    let room = Room::new().await;
    let body = json!({ "enable_templating": true,
        "issuing_certificates": "{{cluster_aia_path}}/issuer/{{issuer_id}}/der",
        "ocsp_servers": "{{cluster_path}}/ocsp" });
    let got = room.ok("WRITE", "pki/config/urls", body).await;
    assert!(got.body["warnings"].to_string().contains("issuance may fail"), "{got:?}");
    let said = room.refused("WRITE", "pki/issue/any", json!({ "common_name": "a.b" })).await;
    assert!(said.contains("unable to template AIA URLs"), "{said}");
    room.refused("WRITE", "pki/config/cluster", json!({ "path": "no url" })).await;
    let body =
        json!({ "path": "https://pki.example/v1/pki", "aia_path": "http://cdn.example/pki" });
    room.ok("WRITE", "pki/config/cluster", body.clone()).await;
    assert_eq!(room.ok("READ", "pki/config/cluster", Value::Null).await.data(), &body);
    let leaf = room.issue("any", json!({ "common_name": "a.b" })).await;
    let info = String::from_utf8_lossy(leaf.extension("1.3.6.1.5.5.7.1.1").unwrap()).into_owned();
    assert!(info.contains("http://cdn.example/pki/issuer/"), "{info}");
    assert!(info.contains("https://pki.example/v1/pki/ocsp"), "{info}");
    let said =
        room.refused("WRITE", "pki/config/urls", json!({ "enable_templating": false })).await;
    assert!(said.contains("invalid URL found"), "{said}");
}

/// A certificate of a stranger is read, or refused, and never more than that.
#[tokio::test]
async fn bytes_of_strangers() {
    let room = Room::new().await;
    let der = room.ca().await.der().to_vec();
    for at in 0..der.len().min(400) {
        for bit in [0x01, 0x80] {
            let mut changed = der.clone();
            changed[at] ^= bit;
            let _ = Certificate::from_der(&changed).map(|c| {
                let _ = (c.alt_names(), c.key_usage(), c.authority(), c.subject.to_string());
                c.is_self_signed()
            });
        }
        let _ = Certificate::from_der(&der[..at]);
    }
}
