//! Failures of others, and that they are none of ours.

use std::net::IpAddr;

use serde_json::{Value, json};
use strongroom_crypto::x509::{Extension, GeneralName, NameBuilder, attributes};

use super::{Room, csr, csr_with, dns, key, names};

/// GHSA-g892-p242-8g86: role limits apply to every name and IP, whether from the request or from
/// the CSR.
#[tokio::test]
async fn ghsa_g892_p242_8g86_limits_hold_for_csrs_too() {
    let room = Room::new().await;
    let role = json!({ "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec",
        "allowed_ip_sans_cidr": "10.0.0.0/8", "allow_localhost": false });
    room.role("tight", role).await;
    let key = key();
    let ip = |text: &str| GeneralName::Ip(text.parse::<IpAddr>().unwrap());
    let uri = GeneralName::Uri("spiffe://evil/x".to_owned());
    let other = GeneralName::Other("1.3.6.1.4.1.311.20.2.3".to_owned(), "admin".to_owned());
    let good = "a.example.com";
    for (name, sans, fits) in [
        (good, vec![], true),
        (good, vec![dns("b.example.com"), ip("10.1.2.3")], true),
        (good, vec![ip("192.168.0.1")], false),
        (good, vec![ip("10.1.2.3"), ip("8.8.8.8")], false),
        (good, vec![ip("::ffff:8.8.8.8")], false),
        (good, vec![ip("2001:db8::1")], false),
        (good, vec![dns("b.example.com"), dns("evil.org")], false),
        (good, vec![dns("8.8.8.8")], false),
        (good, vec![GeneralName::Email("joe@evil.org".to_owned())], false),
        (good, vec![uri.clone()], false),
        (good, vec![other.clone()], false),
        ("evil.org", vec![], false),
        ("8.8.8.8", vec![], false),
    ] {
        let body = json!({ "csr": csr(&key, name, &sans) });
        let got = room.call("WRITE", "pki/sign/tight", body).await;
        assert_eq!(got.status == 200, fits, "{name} {sans:?}: {got:?}");
    }
    // The same from the request.
    for (body, fits) in [
        (json!({ "common_name": good, "ip_sans": "10.1.2.3" }), true),
        (json!({ "common_name": good, "ip_sans": "10.1.2.3,192.168.0.1" }), false),
        (json!({ "common_name": good, "alt_names": "8.8.8.8" }), false),
        (json!({ "common_name": "8.8.8.8" }), false),
        (json!({ "common_name": good, "alt_names": "b.example.com,evil.org" }), false),
        (json!({ "common_name": good, "uri_sans": "spiffe://evil/x" }), false),
    ] {
        let got = room.call("WRITE", "pki/issue/tight", body.clone()).await;
        assert_eq!(got.status == 200, fits, "{body}: {got:?}");
    }
    // An address that is written as a name is one.
    let body = json!({ "allow_any_name": true, "allow_ip_sans": false, "key_type": "ec" });
    room.role("no-addresses", body).await;
    for name in ["8.8.8.8", "8.8.8.8."] {
        let got =
            room.call("WRITE", "pki/issue/no-addresses", json!({ "common_name": name })).await;
        assert_eq!(got.status, 400, "{name}: {got:?}");
        let body = json!({ "csr": csr(&key, good, &[dns(name)]) });
        let got = room.call("WRITE", "pki/sign/no-addresses", body).await;
        assert_eq!(got.status, 400, "{name}: {got:?}");
    }
    // Names beside: those of the request are judged with a CSR, too.
    let body = json!({ "csr": csr(&key, good, &[]), "other_sans": "1.2.3;UTF8:x" });
    assert_eq!(room.call("WRITE", "pki/sign/tight", body).await.status, 400);
    // The subject's serial number and user ids of a CSR, likewise.
    for kind in [attributes::SERIAL_NUMBER, attributes::USER_ID] {
        let subject = NameBuilder::default()
            .step(attributes::COMMON_NAME, &[good])
            .step(kind, &["7"])
            .build();
        let body = json!({ "csr": csr_with(&key, subject, Vec::new()) });
        let got = room.call("WRITE", "pki/sign/tight", body).await;
        assert_eq!(got.status, 400, "{kind}: {got:?}");
    }
}

/// What of a CSR a role can't judge is not taken over.
#[tokio::test]
async fn what_is_not_judged_is_not_signed() {
    let room = Room::new().await;
    let key = key();
    // A directory name among the alternative ones; an organisation; an authority's extension.
    let directory = GeneralName::Unknown(vec![0xa4, 2, 0x30, 0]);
    let subject = NameBuilder::default()
        .step(attributes::ORGANIZATION, &["Evil Corp"])
        .step(attributes::COMMON_NAME, &["a.example.com"])
        .build();
    let extensions = vec![
        Extension::alt_names(&[dns("a.example.com"), directory], false).unwrap(),
        Extension::basic_constraints(true, None),
        Extension { oid: "1.2.3.4".to_owned(), critical: true, value: vec![5, 0] },
    ];
    let body = json!({ "csr": csr_with(&key, subject, extensions) });
    let leaf = super::certificate(&room.ok("WRITE", "pki/sign/any", body).await);
    assert_eq!(leaf.subject.to_string(), "CN=a.example.com");
    assert_eq!(names(&leaf), ["a.example.com"]);
    assert!(!leaf.is_authority());
    assert!(leaf.extension("1.2.3.4").is_none());
}

/// GHSA-59w7-v8rr-pr4p: what an identity has does not bring in a pattern, or another name.
#[tokio::test]
async fn ghsa_59w7_v8rr_pr4p_templates_bring_in_no_patterns() {
    let room = Room::new().await;
    room.node.mount("userpass", "auth/userpass/").await;
    room.node.policy("pki", r#"path "pki/*" { capabilities = ["update"] }"#).await;
    let body = json!({ "key_type": "ec", "allow_bare_domains": true, "allow_glob_domains": true,
        "allow_localhost": false, "allowed_domains_template": true,
        "allowed_domains": "{{identity.entity.metadata.host}}.example.com" });
    room.role("own", body.clone()).await;
    for (host, asked, fits) in [
        ("joe", "joe.example.com", true),
        ("joe", "kim.example.com", false),
        ("*", "kim.example.com", false),
        ("kim,joe", "kim.example.com", false),
        ("a/b", "a.example.com", false),
    ] {
        let token = room.token_with("host", host).await;
        let got = room.node.call("WRITE", "pki/issue/own", &token, json!({ "common_name": asked }));
        let got = got.await;
        assert_eq!(got.status == 200, fits, "{host} {asked}: {got:?}");
    }
    // Unless the role says that they may.
    let mut trusting = body;
    trusting["allow_globs_in_identity_templates"] = json!(true);
    room.role("own", trusting).await;
    let token = room.token_with("host", "*").await;
    let asked = json!({ "common_name": "kim.example.com" });
    assert_eq!(room.node.call("WRITE", "pki/issue/own", &token, asked).await.status, 200);
    // Root has no identity: nothing is allowed.
    let asked = json!({ "common_name": "joe.example.com" });
    assert_eq!(room.call("WRITE", "pki/issue/own", asked).await.status, 400);
}

impl Room {
    /// The token of a user whose entity has this metadata, with the policy `pki`.
    async fn token_with(&self, name: &str, value: &str) -> String {
        let entity = json!({ "name": "user", "policies": "pki", "metadata": { name: value } });
        let got = self.call("WRITE", "identity/entity/name/user", entity).await;
        assert!(got.status < 300, "{got:?}");
        let entity = self.ok("READ", "identity/entity/name/user", Value::Null).await;
        let id = entity.data()["id"].clone();
        let role = json!({ "allowed_policies": "pki", "allowed_entity_aliases": "user" });
        self.ok("WRITE", "auth/token/roles/r", role).await;
        let accessor = self.ok("READ", "sys/auth", Value::Null).await;
        let accessor = accessor.data()["token/"]["accessor"].clone();
        let alias = json!({ "name": "user", "canonical_id": id, "mount_accessor": accessor });
        self.ok("WRITE", "identity/entity-alias", alias).await;
        let body = json!({ "policies": "pki", "entity_alias": "user" });
        self.ok("WRITE", "auth/token/create/r", body).await.token()
    }
}

/// CVE-2025-4166 and CVE-2025-52893: no error repeats what was submitted.
#[tokio::test]
async fn cve_2025_4166_errors_repeat_nothing() {
    let room = Room::new().await;
    room.role(
        "none",
        json!({ "key_type": "ec", "allow_ip_sans": true,
        "allowed_ip_sans_cidr": "10.0.0.0/8" }),
    )
    .await;
    const CANARY: &str = "c4nary.evil.org";
    let secret = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        "Q0FOQVJZ".repeat(12)
    );
    for (path, body) in [
        ("pki/issue/none", json!({ "common_name": CANARY })),
        ("pki/issue/none", json!({ "common_name": "localhost", "alt_names": CANARY })),
        ("pki/issue/none", json!({ "common_name": "localhost", "ip_sans": CANARY })),
        ("pki/issue/none", json!({ "common_name": "localhost", "uri_sans": CANARY })),
        ("pki/issue/none", json!({ "common_name": "localhost", "other_sans": CANARY })),
        ("pki/issue/none", json!({ "common_name": "localhost", "ttl": CANARY })),
        ("pki/issue/none", json!({ "common_name": "localhost", "not_after": CANARY })),
        ("pki/sign/none", json!({ "csr": CANARY })),
        ("pki/revoke", json!({ "serial_number": CANARY })),
        ("pki/config/ca", json!({ "pem_bundle": secret })),
        ("pki/keys/import", json!({ "pem_bundle": secret })),
        ("pki/revoke-with-key", json!({ "serial_number": "1", "private_key": secret })),
        ("pki/config/urls", json!({ "ocsp_servers": CANARY })),
        ("pki/config/crl", json!({ "expiry": CANARY })),
        ("pki/roles/x", json!({ "not_after_bound": CANARY })),
        ("pki/roles/x", json!({ "allowed_ip_sans_cidr": CANARY })),
    ] {
        let said = room.refused("WRITE", path, body.clone()).await;
        assert!(!said.contains("c4nary") && !said.contains("Q0FOQVJZ"), "{path} {body}: {said}");
    }
}

/// A private key is in the one answer that was asked for it, and in none besides.
#[tokio::test]
async fn private_keys_stay() {
    let room = Room::bare().await;
    let body = json!({ "common_name": "Root", "key_type": "ec" });
    let got = room.ok("WRITE", "pki/root/generate/internal", body).await;
    let issuer = got.data()["issuer_id"].as_str().unwrap().to_owned();
    let key = got.data()["key_id"].as_str().unwrap().to_owned();
    assert!(!got.body.to_string().contains("PRIVATE KEY"));
    for path in [
        format!("pki/issuer/{issuer}"),
        format!("pki/issuer/{issuer}/json"),
        format!("pki/issuer/{issuer}/pem"),
        format!("pki/key/{key}"),
        "pki/keys?list=true".to_owned(),
        "pki/ca/pem".to_owned(),
        "pki/ca_chain".to_owned(),
    ] {
        let got = room.call("READ", &path, Value::Null).await;
        assert!(!got.body.to_string().contains("PRIVATE KEY"), "{path}: {got:?}");
    }
    // Not by asking for the same key again.
    let body = json!({ "common_name": "Again", "key_ref": key });
    let got = room.ok("WRITE", "pki/root/generate/existing", body).await;
    assert!(!got.body.to_string().contains("PRIVATE KEY"));
}

/// A role's issuer is the role's: a body does not choose another one.
#[tokio::test]
async fn a_body_does_not_choose_the_issuer() {
    let room = Room::new().await;
    let body = json!({ "common_name": "Second", "key_type": "ec", "issuer_name": "second" });
    room.ok("WRITE", "pki/root/generate/internal", body).await;
    let asked = json!({ "common_name": "a.b", "ttl": "1h", "issuer_ref": "second" });
    let leaf = room.issue("any", asked).await;
    assert!(leaf.is_issued_by(&room.ca().await));
}

/// What is whole server's is asked for with sudo.
#[tokio::test]
async fn removing_all_takes_sudo() {
    let room = Room::new().await;
    room.node.policy("pki", r#"path "pki/*" { capabilities = ["update", "delete"] }"#).await;
    let token = room.ok("WRITE", "auth/token/create", json!({ "policies": "pki" })).await.token();
    let got = room.node.call("DELETE", "pki/root", &token, Value::Null).await;
    assert_eq!(got.status, 403);
    let pem = room.ca().await.pem();
    let body = json!({ "certificate": pem });
    let got = room.node.call("WRITE", "pki/root/sign-self-issued", &token, body).await;
    assert_eq!(got.status, 403);
}

/// A request of a stranger's making does not hold a core for long.
#[tokio::test]
async fn requests_are_bounded() {
    let room = Room::new().await;
    let key = key();
    let many: Vec<GeneralName> = (0..1_001).map(|i| dns(&format!("h{i}.example.com"))).collect();
    let one = |i: u32| Extension { oid: format!("1.2.3.{i}"), critical: false, value: vec![5, 0] };
    let subject = || super::subject("a.example.com");
    for extensions in [
        vec![Extension::alt_names(&many, false).unwrap()],
        vec![Extension { value: vec![0; 70_000], ..one(1) }],
    ] {
        let body = json!({ "csr": unread_csr(&key, subject(), &extensions) });
        let got = room.call("WRITE", "pki/sign/any", body).await;
        assert_eq!(got.status, 400, "{got:?}");
    }
    let names: Vec<String> = (0..1_001).map(|i| format!("h{i}.example.com")).collect();
    let body = json!({ "common_name": "a.example.com", "alt_names": names });
    let said = room.refused("WRITE", "pki/issue/any", body).await;
    assert!(said.contains("1000 names at most"), "{said}");
}

/// A CSR that our own reader may refuse.
fn unread_csr(
    key: &strongroom_crypto::keys::PrivateKey,
    subject: strongroom_crypto::x509::Name,
    extensions: &[Extension],
) -> String {
    let algorithm = strongroom_crypto::x509::SignatureAlgorithm::for_key(key.key_type(), 0, false);
    let template =
        strongroom_crypto::x509::RequestTemplate { subject, extensions: extensions.to_vec() };
    let der = template.sign_der(key, algorithm).unwrap();
    strongroom_crypto::x509::to_pem("CERTIFICATE REQUEST", &der)
}
