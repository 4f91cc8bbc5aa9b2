//! `issue`, `sign`, `sign-verbatim`, and finding what was issued.

use serde_json::{Value, json};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::{
    Extension, GeneralName, KeyUsage, Name, SignatureAlgorithm, attributes, ids,
};

use super::{Room, certificate, csr, csr_with, dns, from_pem, key, names, subject};

#[tokio::test]
async fn the_founding_flow() {
    let room = Room::bare().await;
    let body = json!({
        "common_name": "Internal Root", "key_type": "ec", "key_bits": 384, "ttl": "87600h",
    });
    let root = room.ok("WRITE", "pki/root/generate/internal", body).await;
    let data = root.data();
    assert!(data.get("private_key").is_none(), "{root:?}");
    for member in ["issuer_id", "key_id", "serial_number", "expiration", "issuing_ca"] {
        assert!(!data[member].is_null(), "{member}: {root:?}");
    }
    let urls = json!({
        "issuing_certificates": "http://127.0.0.1:8200/v1/pki/ca",
        "crl_distribution_points": "http://127.0.0.1:8200/v1/pki/crl",
    });
    room.ok("WRITE", "pki/config/urls", urls).await;
    let role = json!({ "allowed_domains": "internal,svc.cluster.local", "allow_subdomains": true,
        "max_ttl": "720h", "key_type": "ec" });
    room.role("web", role).await;
    let asked = json!({ "common_name": "db.internal", "alt_names": "db.svc.cluster.local",
        "ip_sans": "10.0.0.1", "ttl": "24h" });
    let got = room.ok("WRITE", "pki/issue/web", asked).await;
    let leaf = certificate(&got);
    let ca = certificate(&root);
    assert!(leaf.is_issued_by(&ca));
    assert!(ca.is_self_signed() && ca.is_authority());
    assert_eq!(ca.algorithm.map(SignatureAlgorithm::name), Some("ECDSAWithSHA384"));
    assert_eq!(leaf.subject.to_string(), "CN=db.internal");
    assert_eq!(names(&leaf), ["db.internal", "db.svc.cluster.local", "10.0.0.1"]);
    assert_eq!(leaf.not_after - leaf.not_before, 24 * 3_600 + 30);
    assert_eq!(got.data()["serial_number"], leaf.serial_text());
    assert_eq!(got.data()["expiration"], leaf.not_after);
    assert_eq!(got.data()["private_key_type"], "ec");
    assert_eq!(from_pem(got.data()["issuing_ca"].as_str().unwrap()), ca);
    assert_eq!(got.data()["ca_chain"].as_array().unwrap().len(), 1);
    let key = PrivateKey::from_pem(got.data()["private_key"].as_str().unwrap()).unwrap();
    assert_eq!(key.public().unwrap().spki_der(), leaf.spki);
    assert!(leaf.extension(ids::CRL_POINTS).is_some());
    assert!(leaf.extension(ids::AUTHORITY_INFO).is_some());
    assert!(!leaf.is_authority());
    assert_eq!(leaf.authority_key_id(), ca.subject_key_id());
    // Found again, by both spellings, by strangers.
    for serial in [leaf.serial_text(), leaf.serial_text().replace(':', "-").to_uppercase()] {
        let found = room.node.call("READ", &format!("pki/cert/{serial}"), "", Value::Null).await;
        assert_eq!(certificate(&found), leaf, "{serial}");
        assert_eq!(found.data()["revocation_time"], 0);
    }
    let listed = room.ok("LIST", "pki/certs", Value::Null).await;
    assert!(listed.data()["keys"].as_array().unwrap().contains(&json!(leaf.serial_text())));
}

#[tokio::test]
async fn strangers_read_files_and_nothing_is_no_error() {
    let room = Room::bare().await;
    for path in ["ca", "ca/pem", "ca_chain", "crl", "crl/pem", "cert/ca/raw", "cert/11:22/raw"] {
        let got = room.node.call("READ", &format!("pki/{path}"), "", Value::Null).await;
        assert_eq!(got.status, 204, "{path}: {got:?}");
    }
    let got = room.node.call("READ", "pki/cert/11:22", "", Value::Null).await;
    assert_eq!(got.status, 404);
    room.root("Root").await;
    let ca = room.ca().await;
    for path in ["ca/pem", "ca_chain", "cert/ca/raw/pem", "issuer/default/pem"] {
        let got = room.node.call("READ", &format!("pki/{path}"), "", Value::Null).await;
        assert_eq!(from_pem(got.body.as_str().unwrap()), ca, "{path}");
    }
    for path in ["crl/pem", "issuer/default/crl/pem", "cert/crl/raw/pem"] {
        let got = room.node.call("READ", &format!("pki/{path}"), "", Value::Null).await;
        let crl = super::read_crl(got.body.as_str().unwrap());
        assert!(crl.is_signed_by(&ca.spki), "{path}");
    }
    for path in ["issuer/default", "roles/x", "keys/", "config/urls", "certs/"] {
        let got = room.node.call("READ", &format!("pki/{path}"), "", Value::Null).await;
        assert_eq!(got.status, 403, "{path}");
    }
}

/// What `format` and `private_key_format` make of an answer.
#[tokio::test]
async fn formats() {
    use base64::Engine as _;
    let room = Room::new().await;
    let decode = |value: &Value| {
        base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
    };
    let ask = |more: Value| {
        let mut body = json!({ "common_name": "a.example.com" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let got = room.ok("WRITE", "pki/issue/any", ask(json!({ "format": "der" }))).await;
    strongroom_crypto::x509::Certificate::from_der(&decode(&got.data()["certificate"])).unwrap();
    PrivateKey::from_sec1_der(&decode(&got.data()["private_key"])).unwrap();
    let pkcs8 = ask(json!({ "format": "der", "private_key_format": "pkcs8" }));
    let got = room.ok("WRITE", "pki/issue/any", pkcs8).await;
    PrivateKey::from_pkcs8_der(&decode(&got.data()["private_key"])).unwrap();
    let got = room.ok("WRITE", "pki/issue/any", ask(json!({ "format": "pem_bundle" }))).await;
    let bundle = got.data()["certificate"].as_str().unwrap();
    let (blocks, rest) = strongroom_crypto::x509::pem_blocks(bundle).unwrap();
    let labels: Vec<&str> = blocks.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(labels, ["EC PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]);
    assert!(!rest);
    let got =
        room.ok("WRITE", "pki/issue/any", ask(json!({ "private_key_format": "pkcs8" }))).await;
    let private = got.data()["private_key"].as_str().unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----"), "{private}");
    let without = ask(json!({ "remove_roots_from_chain": true }));
    let got = room.ok("WRITE", "pki/issue/any", without).await;
    assert!(got.data().get("ca_chain").is_none(), "{got:?}");
    room.refused("WRITE", "pki/issue/any", ask(json!({ "format": "p12" }))).await;
}

#[tokio::test]
async fn a_csr_is_signed_with_its_own_key_and_names() {
    let room = Room::new().await;
    let key = key();
    let request = csr(&key, "a.example.com", &[dns("b.example.com")]);
    let got = room.ok("WRITE", "pki/sign/any", json!({ "csr": request })).await;
    let leaf = certificate(&got);
    assert_eq!(leaf.spki, key.public().unwrap().spki_der());
    assert_eq!(names(&leaf), ["b.example.com", "a.example.com"]);
    assert!(got.data().get("private_key").is_none());
    // By the role, names of the request count instead, or beside.
    let body = json!({ "allow_any_name": true, "key_type": "ec", "use_csr_sans": false,
        "use_csr_common_name": false });
    room.role("api", body).await;
    let body =
        json!({ "csr": request, "common_name": "c.example.com", "alt_names": "d.example.com" });
    let leaf = certificate(&room.ok("WRITE", "pki/sign/api", body).await);
    assert_eq!(leaf.subject.last(attributes::COMMON_NAME), "c.example.com");
    assert_eq!(names(&leaf), ["c.example.com", "d.example.com"]);
    for (body, text) in [
        (json!({}), "\"csr\" is empty"),
        (json!({ "csr": "nonsense" }), "csr contains no data"),
        (json!({ "csr": request.replace("MI", "AA") }), "certificate request"),
    ] {
        let said = room.refused("WRITE", "pki/sign/any", body).await;
        assert!(said.contains(text), "{said}");
    }
}

#[tokio::test]
async fn a_csr_that_its_key_did_not_sign_is_refused() {
    let room = Room::new().await;
    let (mine, other) = (key(), key());
    // The body of one, with the signature of another key.
    let pem = csr(&mine, "a.example.com", &[]);
    let (blocks, _) = strongroom_crypto::x509::pem_blocks(&pem).unwrap();
    let mut der = blocks[0].der.to_vec();
    let point = mine.public().unwrap().raw().to_vec();
    let at = der.windows(point.len()).position(|w| w == point).unwrap();
    let theirs = other.public().unwrap().raw().to_vec();
    der[at..at + theirs.len()].copy_from_slice(&theirs);
    let forged = strongroom_crypto::x509::to_pem("CERTIFICATE REQUEST", &der);
    let said = room.refused("WRITE", "pki/sign/any", json!({ "csr": forged })).await;
    assert_eq!(said, "request signature invalid");
    let listed = room.ok("LIST", "pki/certs", Value::Null).await;
    assert_eq!(listed.data()["keys"].as_array().unwrap().len(), 1, "only the root is stored");
}

#[tokio::test]
async fn verbatim_takes_all_but_what_makes_an_authority() {
    let room = Room::new().await;
    let key = key();
    let usage = KeyUsage::by_name("DigitalSignature").unwrap();
    let extensions = vec![
        Extension::alt_names(&[dns("x_y"), GeneralName::Uri("urn:a".to_owned())], false).unwrap(),
        Extension::basic_constraints(true, None),
        Extension::key_usage(usage),
        Extension { oid: "1.2.3.4".to_owned(), critical: false, value: vec![5, 0] },
    ];
    let name: Name = subject("Anything At All");
    let request = csr_with(&key, name.clone(), extensions);
    for path in ["sign-verbatim", "sign-verbatim/any", "issuer/default/sign-verbatim"] {
        let got = room.ok("WRITE", &format!("pki/{path}"), json!({ "csr": request })).await;
        let leaf = certificate(&got);
        assert_eq!(leaf.subject, name);
        assert_eq!(names(&leaf), ["x_y", "urn:a"]);
        assert!(!leaf.is_authority());
        assert_eq!(leaf.key_usage(), Some(usage));
        assert_eq!(leaf.extension("1.2.3.4"), Some(&[5, 0][..]));
        assert!(got.body["warnings"].to_string().contains("Basic Constraints"), "{got:?}");
    }
}

#[tokio::test]
async fn what_is_not_stored_is_not_found_and_has_no_lease() {
    let room = Room::new().await;
    room.role("gone", json!({ "allow_any_name": true, "no_store": true, "key_type": "ec" })).await;
    let leaf = room.issue("gone", json!({ "common_name": "a.example.com" })).await;
    let path = format!("pki/cert/{}", leaf.serial_text());
    assert_eq!(room.call("READ", &path, Value::Null).await.status, 404);
    let both = json!({ "no_store": true, "generate_lease": true });
    let got = room.role("both", both).await;
    assert_eq!(got.data()["generate_lease"], false);
    assert!(got.body["warnings"].to_string().contains("mutually exclusive"));
}

#[tokio::test]
async fn detailed_lists_and_pages() {
    let room = Room::new().await;
    for i in 0..3 {
        room.issue("any", json!({ "common_name": format!("h{i}.example.com") })).await;
    }
    let all = room.ok("LIST", "pki/certs", Value::Null).await;
    let keys = all.data()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 4);
    let first = keys[0].as_str().unwrap().replace(':', "-");
    let page = room.ok("LIST", &format!("pki/certs?after={first}&limit=2"), Value::Null).await;
    assert_eq!(page.data()["keys"].as_array().unwrap(), &keys[1..3]);
    let detailed = room.ok("LIST", "pki/certs/detailed", Value::Null).await;
    let info = &detailed.data()["key_info"];
    let shown = keys.iter().map(|k| info[k.as_str().unwrap()]["common_name"].as_str().unwrap());
    let mut shown: Vec<&str> = shown.collect();
    shown.sort_unstable();
    assert_eq!(shown, ["Root", "h0.example.com", "h1.example.com", "h2.example.com"]);
    assert_eq!(room.call("LIST", "pki/certs/revoked", Value::Null).await.status, 404);
}

/// Serial numbers have 159 random bits: none is like another, and none is negative.
#[tokio::test]
async fn serial_numbers() {
    let room = Room::new().await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let leaf = room.issue("any", json!({ "common_name": "a.example.com" })).await;
        assert!(leaf.serial().len() >= 16 && leaf.serial().len() <= 20);
        assert!(leaf.serial().len() < 20 || leaf.serial()[0] < 0x80);
        seen.push(leaf.serial().to_vec());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}
