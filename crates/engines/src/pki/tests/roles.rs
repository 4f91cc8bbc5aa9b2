//! What roles allow, and how they are written.

use serde_json::{Value, json};
use strongroom_crypto::x509::{KeyUsage, attributes, ids};

use super::{Room, names};

#[tokio::test]
async fn a_role_is_shown_as_it_was_written() {
    let room = Room::new().await;
    let body = json!({ "allowed_domains": ["a.example", "b.example"], "ttl": "1h", "max_ttl": 7200,
        "key_usage": "", "policy_identifiers": "1.2.3,1.2.4" });
    room.role("web", body).await;
    let got = room.ok("READ", "pki/roles/web", Value::Null).await;
    for (name, value) in [
        ("allowed_domains", json!(["a.example", "b.example"])),
        ("ttl", json!(3_600)),
        ("max_ttl", json!(7_200)),
        ("key_type", json!("rsa")),
        ("key_bits", json!(2_048)),
        ("signature_bits", json!(256)),
        ("key_usage", json!([])),
        ("policy_identifiers", json!(["1.2.3", "1.2.4"])),
        ("allow_localhost", json!(true)),
        ("allow_wildcard_certificates", json!(true)),
        ("issuer_ref", json!("default")),
        ("not_before_duration", json!(30)),
        ("cn_validations", json!(["email", "hostname"])),
        ("generate_lease", json!(false)),
        ("server_flag", json!(true)),
    ] {
        assert_eq!(got.data()[name], value, "{name}");
    }
    // A write replaces, a patch changes.
    room.ok("PATCH", "pki/roles/web", json!({ "ttl": 60 })).await;
    let got = room.ok("READ", "pki/roles/web", Value::Null).await;
    assert_eq!((&got.data()["ttl"], &got.data()["max_ttl"]), (&json!(60), &json!(7_200)));
    room.role("web", json!({})).await;
    let got = room.ok("READ", "pki/roles/web", Value::Null).await;
    assert_eq!((&got.data()["ttl"], &got.data()["allowed_domains"]), (&json!(0), &json!([])));
    let listed = room.ok("LIST", "pki/roles", Value::Null).await;
    assert_eq!(listed.data()["keys"], json!(["any", "web"]));
    room.ok("DELETE", "pki/roles/web", Value::Null).await;
    assert_eq!(room.call("READ", "pki/roles/web", Value::Null).await.status, 404);
    room.refused("PATCH", "pki/roles/web", json!({ "ttl": 1 })).await;
    room.refused("WRITE", "pki/issue/web", json!({ "common_name": "a" })).await;
}

#[tokio::test]
async fn a_role_that_makes_no_sense_is_refused() {
    let room = Room::new().await;
    for (body, text) in [
        (json!({ "ttl": "2h", "max_ttl": "1h" }), "must be less than"),
        (json!({ "key_type": "dsa" }), "unknown key type"),
        (json!({ "key_bits": 1024 }), "unsafe and not supported"),
        (json!({ "key_bits": 2047 }), "unsafe and not supported"),
        (json!({ "key_bits": 2049 }), "unsupported bit length for RSA key"),
        (json!({ "key_type": "ec", "key_bits": 224 }), "P-224 is not supported"),
        (json!({ "key_type": "ec", "key_bits": 255 }), "unsupported bit length for EC key"),
        (json!({ "signature_bits": 255 }), "unsupported hash signature algorithm"),
        (json!({ "key_type": "ec", "signature_bits": 1 }), "unsupported hash signature algorithm"),
        (json!({ "allowed_ip_sans_cidr": "10.0.0.0/99" }), "allowed_ip_sans_cidr"),
        (json!({ "allowed_other_sans": "1.2.3" }), "allowed_other_sans"),
        (json!({ "ext_key_usage_oids": "1.2.x" }), "ext_key_usage_oids"),
        (json!({ "policy_identifiers": "x" }), "policy_identifiers"),
        (json!({ "cn_validations": "disabled,email" }), "cn_validations value incorrect"),
        (json!({ "cn_validations": "email,email" }), "multiple times"),
        (json!({ "cn_validations": "fax" }), "unknown type"),
        (json!({ "not_after_bound": "some day" }), "not_after_bound"),
        (json!({ "not_before_bound": "some day" }), "not_before_bound"),
    ] {
        let said = room.refused("WRITE", "pki/roles/bad", body.clone()).await;
        assert!(said.contains(text), "{body}: {said}");
    }
    assert_eq!(room.call("READ", "pki/roles/bad", Value::Null).await.status, 404);
}

/// Roles, names that are asked for, and whether they are allowed.
#[tokio::test]
async fn names_within_a_role() {
    let room = Room::new().await;
    let sub = json!({ "allowed_domains": "example.com", "allow_subdomains": true });
    let bare = json!({ "allowed_domains": "example.com", "allow_bare_domains": true });
    let glob = json!({ "allowed_domains": "ftp*.example.com,*.dev", "allow_glob_domains": true });
    let any = json!({ "allow_any_name": true });
    let loose = json!({ "allow_any_name": true, "enforce_hostnames": false });
    let none = json!({ "allow_localhost": false });
    let local = json!({ "allow_subdomains": true });
    let tame = json!({ "allowed_domains": "example.com", "allow_subdomains": true,
        "allow_wildcard_certificates": false });
    let mail = json!({ "allowed_domains": "example.com", "allow_bare_domains": true,
        "cn_validations": "email" });
    for (role, name, fits) in [
        (&sub, "a.example.com", true),
        (&sub, "a.b.example.com", true),
        (&sub, "*.example.com", true),
        (&sub, "*.a.example.com", true),
        (&sub, "b*z.example.com", true),
        (&sub, "example.com", false),
        (&sub, "aexample.com", false),
        (&sub, ".example.com", false),
        (&sub, "a.example.com.evil.org", false),
        (&sub, "*.*.example.com", false),
        (&sub, "a.*.example.com", false),
        (&sub, "joe@a.example.com", true),
        (&sub, "joe@example.com", false),
        (&sub, "joe@evil@a.example.com", false),
        (&sub, "joe@*.example.com", false),
        (&sub, "a_b.example.com", false),
        (&sub, "a.example.com,b.evil.org", false),
        (&sub, "localhost", true),
        (&bare, "example.com", true),
        (&bare, "EXAMPLE.com", true),
        (&bare, "joe@example.com", true),
        (&bare, "a.example.com", false),
        (&bare, "*.example.com", false),
        (&glob, "ftp1.example.com", true),
        (&glob, "www.example.com", false),
        (&glob, "x.y.dev", true),
        (&any, "whatever.at.all", true),
        (&any, "no host", false),
        (&any, "-a.example", false),
        (&loose, "no host", true),
        (&none, "localhost", false),
        (&none, "a.example.com", false),
        (&local, "a.localhost", true),
        (&local, "localdomain", true),
        (&tame, "a.example.com", true),
        (&tame, "*.example.com", false),
        (&mail, "joe@example.com", true),
        (&mail, "example.com", false),
    ] {
        let mut body = role.clone();
        body["key_type"] = json!("ec");
        room.role("r", body).await;
        // As the common name, and as one of the others.
        let got = room.call("WRITE", "pki/issue/r", json!({ "common_name": name })).await;
        assert_eq!(got.status == 200, fits, "{role} {name}: {got:?}");
        if !fits {
            let said = got.errors();
            assert!(said.contains("not allowed by this role"), "{said}");
            assert!(!said.contains(name), "an error repeats a name: {said}");
        }
    }
}

/// What is asked for beside names of hosts.
#[tokio::test]
async fn other_names_within_a_role() {
    let room = Room::new().await;
    let upn = "1.3.6.1.4.1.311.20.2.3";
    for (role, asked, expect) in [
        (json!({}), json!({ "ip_sans": "10.0.0.1,::1" }), Ok("10.0.0.1 ::1")),
        (json!({ "allow_ip_sans": false }), json!({ "ip_sans": "10.0.0.1" }), Err("not allowed")),
        (json!({}), json!({ "ip_sans": "ten" }), Err("not a valid IP address")),
        (
            json!({ "allowed_ip_sans_cidr": "10.0.0.0/8,fd00::/8" }),
            json!({ "ip_sans": "10.1.2.3,fd00::1" }),
            Ok("10.1.2.3 fd00::1"),
        ),
        (
            json!({ "allowed_ip_sans_cidr": "10.0.0.0/8" }),
            json!({ "ip_sans": "10.1.2.3,11.0.0.1" }),
            Err("not allowed in this role"),
        ),
        (
            json!({ "allowed_ip_sans_cidr": "10.0.0.0/8" }),
            json!({ "ip_sans": "::ffff:11.0.0.1" }),
            Err("not allowed in this role"),
        ),
        (json!({}), json!({ "uri_sans": "spiffe://a/b" }), Err("not allowed in this role")),
        (
            json!({ "allowed_uri_sans": "spiffe://a/*" }),
            json!({ "uri_sans": "spiffe://a/b" }),
            Ok("spiffe://a/b"),
        ),
        (
            json!({ "allowed_uri_sans": "spiffe://a/*" }),
            json!({ "uri_sans": "spiffe://a/b,spiffe://c/b" }),
            Err("not valid for this role"),
        ),
        (
            json!({ "allowed_uri_sans": "*" }),
            json!({ "uri_sans": "no uri" }),
            Err("not a valid URI"),
        ),
        (json!({}), json!({ "other_sans": format!("{upn};UTF8:joe") }), Err("OID not allowed")),
        (
            json!({ "allowed_other_sans": format!("{upn};UTF8:j*") }),
            json!({ "other_sans": format!("{upn};utf-8:joe") }),
            Ok("1.3.6.1.4.1.311.20.2.3;joe"),
        ),
        (
            json!({ "allowed_other_sans": format!("{upn};UTF8:j*") }),
            json!({ "other_sans": format!("{upn};UTF8:kim") }),
            Err("not allowed for its OID"),
        ),
        (
            json!({ "allowed_other_sans": "*" }),
            json!({ "other_sans": "1.2.3;UTF8:x" }),
            Ok("1.2.3;x"),
        ),
        (
            json!({ "allowed_other_sans": "*" }),
            json!({ "other_sans": "1.2.3;INTEGER:1" }),
            Err("only utf8"),
        ),
        (json!({}), json!({ "serial_number": "7" }), Err("serial_number not allowed")),
        (json!({ "allowed_serial_numbers": "7*" }), json!({ "serial_number": "77" }), Ok("")),
        (json!({}), json!({ "user_ids": "joe" }), Err("user_id is not allowed")),
        (json!({ "allowed_user_ids": "j*" }), json!({ "user_ids": "joe,jim" }), Ok("")),
        (json!({}), json!({ "alt_names": "bücher.localhost" }), Err("not allowed by this role")),
        (
            json!({ "allow_subdomains": true }),
            json!({ "alt_names": "bücher.localhost" }),
            Ok("xn--bcher-kva.localhost"),
        ),
    ] {
        let (mut body, mut ask) = (role.clone(), asked.clone());
        body["key_type"] = json!("ec");
        room.role("r", body).await;
        ask["common_name"] = json!("localhost");
        ask["exclude_cn_from_sans"] = json!(true);
        let got = room.call("WRITE", "pki/issue/r", ask).await;
        match expect {
            Ok(expect) => {
                assert_eq!(got.status, 200, "{role} {asked}: {got:?}");
                assert_eq!(names(&super::certificate(&got)).join(" "), expect, "{role} {asked}");
            }
            Err(text) => {
                assert_eq!(got.status, 400, "{role} {asked}: {got:?}");
                assert!(got.errors().contains(text), "{role} {asked}: {got:?}");
            }
        }
    }
}

#[tokio::test]
async fn subjects_and_usages() {
    let room = Room::new().await;
    let body = json!({ "allow_any_name": true, "key_type": "ec", "ou": "A,B", "organization": "Org",
        "country": "DE", "locality": "L", "province": "P", "street_address": "S",
        "postal_code": "1", "allowed_serial_numbers": "*", "allowed_user_ids": "*",
        "key_usage": "DigitalSignature,CRLSign,nonsense", "ext_key_usage": "OCSPSigning",
        "ext_key_usage_oids": "1.2.3", "client_flag": false, "code_signing_flag": true,
        "basic_constraints_valid_for_non_ca": true, "require_cn": false,
        "policy_identifiers": [{ "oid": "1.3.6.1", "cps": "https://example.com" }] });
    room.role("full", body).await;
    let asked =
        json!({ "common_name": "a.example.com", "serial_number": "7", "user_ids": "u1,u2" });
    let leaf = room.issue("full", asked).await;
    assert_eq!(
        leaf.subject.to_string(),
        "UID=u2,UID=u1,SERIALNUMBER=7,CN=a.example.com,POSTALCODE=1,STREET=S,ST=P,L=L,OU=B,OU=A,\
         O=Org,C=DE"
    );
    let usage = leaf.key_usage().unwrap();
    assert!(usage.has(KeyUsage::DIGITAL_SIGNATURE) && usage.has(KeyUsage::CRL_SIGN));
    assert!(!usage.has(KeyUsage::CERT_SIGN));
    assert!(leaf.extension(ids::BASIC_CONSTRAINTS).is_some() && !leaf.is_authority());
    assert!(leaf.extension(ids::POLICIES).is_some());
    // serverAuth, codeSigning, OCSPSigning and 1.2.3: four identifiers.
    let eku = leaf.extension(ids::EXTENDED_USAGE).unwrap();
    assert_eq!(eku.len(), 2 + 3 * 10 + 4);
    // Without a subject, the alternative names are critical.
    let body = json!({ "allow_any_name": true, "key_type": "ec", "require_cn": false });
    room.role("nameless", body).await;
    let leaf = room.issue("nameless", json!({ "alt_names": "a.example.com" })).await;
    assert!(leaf.subject.is_empty());
    assert!(leaf.extensions.iter().any(|e| e.oid == ids::ALT_NAME && e.critical));
    let said =
        room.refused("WRITE", "pki/issue/any", json!({ "alt_names": "a.example.com" })).await;
    assert!(said.contains("the common_name field is required"), "{said}");
    let leaf =
        room.issue("any", json!({ "common_name": "a.b", "exclude_cn_from_sans": true })).await;
    assert!(names(&leaf).is_empty());
    assert_eq!(leaf.subject.last(attributes::COMMON_NAME), "a.b");
}

/// Kinds of keys: of roles, of requests, of CSRs.
#[tokio::test]
async fn kinds_of_keys() {
    use strongroom_crypto::keys::{KeyType, PrivateKey};
    let room = Room::new().await;
    for (kind, bits, name) in [
        ("ec", 256, "Ec(P256)"),
        ("ec", 384, "Ec(P384)"),
        ("ec", 521, "Ec(P521)"),
        ("ed25519", 0, "Ed25519"),
        ("rsa", 2048, "Rsa(2048)"),
    ] {
        let body = json!({ "allow_any_name": true, "key_type": kind, "key_bits": bits });
        room.role("k", body).await;
        let leaf = room.issue("k", json!({ "common_name": "a.example" })).await;
        assert_eq!(format!("{:?}", leaf.public_key().unwrap().key_type()), name);
        // No usage that the key can't have, whatever the role's default says.
        let usage = leaf.key_usage().unwrap();
        let has = |name: &str| usage.has(KeyUsage::by_name(name).unwrap());
        assert_eq!(has("KeyEncipherment"), kind == "rsa", "{name}");
        assert_eq!(has("KeyAgreement"), kind == "ec", "{name}");
        assert!(leaf.is_issued_by(&room.ca().await), "{name}");
    }
    room.role("free", json!({ "allow_any_name": true, "key_type": "any" })).await;
    let asked = json!({ "common_name": "a.example" });
    let said = room.refused("WRITE", "pki/issue/free", asked.clone()).await;
    assert!(said.contains("role key type \"any\" not allowed"), "{said}");
    let mut chosen = asked.clone();
    chosen["key_type"] = json!("ed25519");
    let leaf = room.issue("free", chosen.clone()).await;
    assert_eq!(leaf.public_key().unwrap().key_type(), KeyType::Ed25519);
    let got = room.ok("WRITE", "pki/issue/any", chosen).await;
    assert!(got.body["warnings"].to_string().contains("ignored"), "{got:?}");
    // CSRs.
    room.role("big", json!({ "allow_any_name": true, "key_type": "ec", "key_bits": 384 })).await;
    for (role, kind, bits, text) in [
        ("any", "ec", 256, ""),
        ("any", "ec", 384, ""),
        ("any", "rsa", 2048, "role requires keys of type ec"),
        ("big", "ec", 256, "role requires a minimum of a 384-bit key"),
        ("free", "ed25519", 0, ""),
        ("free", "rsa", 2048, ""),
    ] {
        let key = PrivateKey::generate(KeyType::named(kind, bits).unwrap()).unwrap();
        let body = json!({ "csr": super::csr(&key, "a.example", &[]) });
        let got = room.call("WRITE", &format!("pki/sign/{role}"), body).await;
        assert_eq!(got.status == 200, text.is_empty(), "{role} {kind}: {got:?}");
        assert!(got.errors().contains(text), "{got:?}");
    }
}

/// How long certificates count.
#[tokio::test]
async fn lifetimes() {
    const HOUR: i64 = 3_600;
    let room = Room::new().await;
    let begin = room.node.clock.clone();
    let now = strongroom_base::Clock::now(&*begin).seconds();
    let at = |seconds: i64| strongroom_base::Timestamp::from_seconds(now + seconds).to_string();
    for (role, asked, expect) in [
        (json!({}), json!({}), Ok(768 * HOUR)),
        (json!({ "ttl": "2h" }), json!({}), Ok(2 * HOUR)),
        (json!({ "ttl": "2h" }), json!({ "ttl": "1h" }), Ok(HOUR)),
        (json!({ "ttl": "2h", "max_ttl": "3h" }), json!({ "ttl": "9h" }), Ok(3 * HOUR)),
        (json!({}), json!({ "ttl": "9000h" }), Ok(9_000 * HOUR)),
        (json!({}), json!({ "ttl": "-1h" }), Err("below zero")),
        (json!({}), json!({ "not_after": at(5 * HOUR) }), Ok(5 * HOUR)),
        (json!({}), json!({ "not_after": "tomorrow" }), Err("YYYY-MM-DDTHH:MM:SSZ")),
        (json!({}), json!({ "not_after": at(5), "ttl": 9 }), Err("Either ttl or not_after")),
        (json!({}), json!({ "not_after": at(-HOUR) }), Err("is later than the certificate's")),
        (json!({ "not_after": at(7 * HOUR) }), json!({}), Ok(7 * HOUR)),
        (
            json!({ "not_after_bound": "forbid" }),
            json!({ "not_after": at(HOUR) }),
            Err("not_after cannot be provided"),
        ),
        (
            json!({ "not_after_bound": "ttl-limited", "ttl": "1h" }),
            json!({ "not_after": at(2 * HOUR) }),
            Err("beyond the TTL of 1h0m0s"),
        ),
        (
            json!({ "not_after_bound": at(2 * HOUR) }),
            json!({ "ttl": "3h" }),
            Err("not_after_bound is set to"),
        ),
        (json!({ "not_after_bound": at(2 * HOUR) }), json!({ "ttl": "1h" }), Ok(HOUR)),
        (
            json!({ "not_before_bound": "forbid" }),
            json!({ "not_before": at(-HOUR) }),
            Err("not_before cannot be provided"),
        ),
        (
            json!({ "not_before_bound": "duration", "not_before_duration": "1m" }),
            json!({ "not_before": at(-HOUR) }),
            Err("older than the allowed not_before_duration of 1m0s"),
        ),
        (json!({}), json!({ "ttl": "87600h" }), Ok(87_600 * HOUR)),
        (json!({}), json!({ "not_after": "9999-12-31T23:59:59Z" }), Err("beyond the expiration")),
        (json!({}), json!({ "not_after": "2300-02-28T00:00:00Z" }), Err("beyond the expiration")),
        (json!({}), json!({ "not_after": "2300-02-30T00:00:00Z" }), Err("YYYY-MM-DDTHH:MM:SSZ")),
        (json!({}), json!({ "not_before": "1500-01-01T00:00:00Z" }), Err("YYYY-MM-DDTHH:MM:SSZ")),
        (
            json!({ "not_after_bound": "ttl-limited", "ttl": "1h", "not_after": at(2 * HOUR) }),
            json!({}),
            Ok(2 * HOUR),
        ),
    ] {
        let (mut body, mut ask) = (role.clone(), asked.clone());
        body["key_type"] = json!("ec");
        room.role("t", body).await;
        ask["common_name"] = json!("localhost");
        let got = room.call("WRITE", "pki/issue/t", ask).await;
        match expect {
            Ok(seconds) => {
                assert_eq!(got.status, 200, "{role} {asked}: {got:?}");
                assert_eq!(super::certificate(&got).not_after - now, seconds, "{role} {asked}");
            }
            Err(text) => {
                assert_eq!(got.status, 400, "{role} {asked}: {got:?}");
                assert!(got.errors().contains(text), "{role} {asked}: {got:?}");
            }
        }
    }
    room.role("t", json!({ "key_type": "ec", "not_before_duration": "10m" })).await;
    let leaf = room.issue("t", json!({ "common_name": "localhost" })).await;
    assert_eq!(leaf.not_before, now - 600);
    let asked = json!({ "common_name": "localhost", "not_before": at(60) });
    assert_eq!(room.issue("t", asked).await.not_before, now + 60);
    let got =
        room.ok("WRITE", "pki/issue/t", json!({ "common_name": "localhost", "ttl": "99999h" }));
    let got = got.await;
    assert!(got.body["warnings"].to_string().contains("so maxTTL is being used"), "{got:?}");
}
