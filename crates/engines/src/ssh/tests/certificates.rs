//! `sign` and `issue`.

use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_crypto::keys::{Curve, KeyType};
use strongroom_crypto::ssh::{PublicKey, Told, read_private};
use strongroom_kernel::host::{Host, LogLevel, MachineView};
use strongroom_kernel::node::KernelConfig;
use strongroom_testkit::TestNode;

use super::{KINDS, Room, public, told};

#[tokio::test]
async fn a_certificate_says_what_its_role_says() {
    let room = Room::new().await;
    room.role(
        "r",
        json!({
            "default_user": "ubuntu", "allowed_users": "ubuntu,ann", "ttl": "1h",
            "default_extensions": { "permit-pty": "" },
            "default_critical_options": { "source-address": "10.0.0.0/8" },
        }),
    )
    .await;
    let key = public(KeyType::Ed25519);
    let got = room.ok("WRITE", "sign/r", json!({ "public_key": key })).await;
    assert_eq!(got.body["lease_id"], "");
    let said = told(&got).unwrap();
    let now = room.node.clock.now().seconds().unsigned_abs();
    assert!(!said.host);
    assert_eq!(said.principals, ["ubuntu"]);
    assert_eq!((said.valid_after, said.valid_before), (now - 30, now + 3_600));
    assert_eq!(said.extensions.into_iter().collect::<Vec<_>>(), [("permit-pty".into(), "".into())]);
    assert_eq!(said.critical_options["source-address"], "10.0.0.0/8");
    let wire = PublicKey::parse(&key).unwrap();
    assert_eq!(said.key, wire.wire());
    let hash: String =
        strongroom_crypto::sha256(wire.wire()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(said.key_id, format!("vault-root-{hash}"));
    let data = got.data();
    assert_eq!(data["serial_number"], format!("{:x}", said.serial));
    let ca = room.ok("READ", "config/ca", Value::Null).await;
    assert_eq!(data["issuer_id"], ca.data()["issuer_id"]);
    let issuer = PublicKey::parse(ca.data()["public_key"].as_str().unwrap()).unwrap();
    assert_eq!(said.issuer, issuer.wire());
    let again = room.sign("r", json!({})).await.unwrap();
    assert_ne!(again.serial, said.serial);
}

#[tokio::test]
async fn keys_of_all_kinds_are_signed_and_made() {
    let room = Room::new().await;
    room.role("r", json!({ "default_user": "u" })).await;
    for kind in KINDS {
        let key = public(kind);
        let said = room.sign("r", json!({ "public_key": key })).await.unwrap();
        assert_eq!(said.key, PublicKey::parse(&key).unwrap().wire());
    }
    for (body, kind, name) in [
        (json!({}), KeyType::Rsa(2_048), "rsa"),
        (json!({ "key_type": "rsa", "key_bits": 3072 }), KeyType::Rsa(3_072), "rsa"),
        (json!({ "key_type": "ec" }), KeyType::Ec(Curve::P256), "ec"),
        (json!({ "key_type": "ec", "key_bits": 384 }), KeyType::Ec(Curve::P384), "ec"),
        (json!({ "key_type": "ec", "key_bits": 521 }), KeyType::Ec(Curve::P521), "ec"),
        (json!({ "key_type": "ed25519" }), KeyType::Ed25519, "ed25519"),
    ] {
        let got = room.ok("WRITE", "issue/r", body).await;
        let said = told(&got).unwrap();
        assert_eq!(got.data()["private_key_type"], name);
        let private = read_private(got.data()["private_key"].as_str().unwrap()).unwrap();
        assert_eq!(private.key_type(), kind);
        assert_eq!(PublicKey::of(&private.public().unwrap()).unwrap().wire(), said.key);
    }
    for (body, problem) in [
        (json!({ "key_type": "dsa" }), "unknown ssh key pair algorithm"),
        (
            json!({ "key_bits": 1024 }),
            "unsupported bit length for RSA key: 2048, 3072, 4096 and 8192 are supported",
        ),
    ] {
        assert_eq!(told(&room.call("WRITE", "issue/r", body).await).unwrap_err(), problem);
    }
}

/// Counts what is done on threads of its own: RSA keys that are made.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl Host for Counting {
    fn machine(&self) -> MachineView {
        MachineView::default()
    }
    fn loggers(&self) -> Vec<(String, LogLevel)> {
        Vec::new()
    }
    fn set_log_level(&self, _: Option<&str>, _: Option<LogLevel>) -> bool {
        false
    }
    fn run_heavy(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        work();
    }
}

/// Whoever is refused costs no key.
#[tokio::test]
async fn no_key_is_made_for_what_is_refused() {
    let host = std::sync::Arc::new(Counting::default());
    let specs = strongroom_system::specs().into_iter().chain([super::super::spec()]);
    let config = KernelConfig { host: host.clone(), ..KernelConfig::default() };
    let room = Room { node: TestNode::start_with(specs, config).await };
    room.node.mount("ssh", "ssh/").await;
    room.ok("WRITE", "config/ca", json!({ "key_type": "ed25519" })).await;
    let made = || host.0.load(std::sync::atomic::Ordering::SeqCst);
    room.role("r", json!({ "allowed_users": "u", "max_ttl": "1h" })).await;
    room.role("ec", json!({ "default_user": "u", "allowed_user_key_lengths": { "ec": 256 } }))
        .await;
    for (role, body) in [
        ("r", json!({})),
        ("r", json!({ "valid_principals": "v" })),
        ("r", json!({ "valid_principals": "u", "ttl": "2h" })),
        ("r", json!({ "valid_principals": "u", "key_id": "x" })),
        ("r", json!({ "valid_principals": "u", "cert_type": "host" })),
        ("r", json!({ "valid_principals": "u", "extensions": { "permit-pty": "" } })),
        ("ec", json!({})),
        ("ec", json!({ "key_type": "rsa", "key_bits": 4096 })),
    ] {
        let got = room.call("WRITE", &format!("issue/{role}"), body.clone()).await;
        assert_eq!((got.status, made()), (400, 0), "{role} {body}: {got:?}");
    }
    let got = room.call("WRITE", "issue/r", json!({ "valid_principals": "u" })).await;
    assert_eq!((got.status, made()), (200, 1), "{got:?}");
}

/// Threat CVE-2024-7594: a certificate without principals is good for every one of them.
#[tokio::test]
async fn without_principals_only_where_the_role_says_so() {
    let room = Room::new().await;
    let unsafe_text = "refusing to issue unsafe, globally-valid certificate with no principals \
                       specified; set valid_principals or default_user";
    for (role, asked, expect) in [
        (json!({}), json!({}), Err(unsafe_text)),
        (json!({}), json!({ "valid_principals": " , ," }), Err(unsafe_text)),
        (json!({ "allowed_users": "ann" }), json!({}), Err(unsafe_text)),
        (json!({ "allowed_users": "*" }), json!({}), Err(unsafe_text)),
        (json!({ "default_user": " ," }), json!({}), Err(unsafe_text)),
        (
            json!({ "allow_host_certificates": true }),
            json!({ "cert_type": "host" }),
            Err(unsafe_text),
        ),
        (
            json!({ "allow_host_certificates": true, "allowed_domains": "*", "default_user": "u" }),
            json!({ "cert_type": "host" }),
            Err(unsafe_text),
        ),
        (json!({ "allow_empty_principals": true }), json!({}), Ok(vec![])),
        (
            json!({ "allow_empty_principals": true, "default_user": "u", "allowed_users": "u" }),
            json!({}),
            Ok(vec!["u"]),
        ),
    ] {
        room.role("r", role.clone()).await;
        let said = room.sign("r", asked.clone()).await;
        let said = said.as_ref().map(|s| s.principals.iter().map(String::as_str).collect());
        assert_eq!(said.map_err(String::as_str), expect, "{role} {asked}");
    }
}

#[tokio::test]
async fn principals_are_those_of_the_role() {
    let room = Room::new().await;
    let wrong = |n: i32| Err(format!("entry {n} is not a valid value for valid_principals"));
    let none = || Err("role is not configured to allow any principals".to_owned());
    let ok = |names: &[&str]| Ok(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let hosts = |more: Value| {
        let mut body =
            json!({ "allow_host_certificates": true, "allowed_domains": "a.com, b.org" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (role, kind, asked, expect) in [
        (json!({ "allowed_users": "ann,bob" }), "user", "ann", ok(&["ann"])),
        (json!({ "allowed_users": "ann, bob" }), "user", " bob,ann,bob", ok(&["ann", "bob"])),
        (json!({ "allowed_users": "ann" }), "user", "ann,root", wrong(2)),
        (json!({ "allowed_users": "ann" }), "user", "Ann", wrong(1)),
        (json!({ "allowed_users": "*" }), "user", "root,x", ok(&["root", "x"])),
        (json!({ "allowed_users": "*,ann" }), "user", "root", wrong(1)),
        (json!({}), "user", "root", none()),
        (json!({ "default_user": "u" }), "user", "root", none()),
        (json!({ "default_user": "u" }), "user", "u", none()),
        (json!({ "default_user": "u" }), "user", "", ok(&["u"])),
        (json!({ "default_user": "u", "allowed_users": "ann" }), "user", "", wrong(1)),
        (json!({ "default_user": "u,v", "allowed_users": "v,u" }), "user", "", ok(&["u", "v"])),
        (hosts(json!({})), "host", "a.com", wrong(1)),
        (
            hosts(json!({ "allow_bare_domains": true })),
            "host",
            "a.com,b.org",
            ok(&["a.com", "b.org"]),
        ),
        (hosts(json!({ "allow_bare_domains": true })), "host", "x.a.com", wrong(1)),
        (
            hosts(json!({ "allow_subdomains": true })),
            "host",
            "x.a.com,y.x.b.org",
            ok(&["x.a.com", "y.x.b.org"]),
        ),
        (hosts(json!({ "allow_subdomains": true })), "host", "a.com", wrong(1)),
        (hosts(json!({ "allow_subdomains": true })), "host", ".a.com", wrong(1)),
        (hosts(json!({ "allow_subdomains": true })), "host", "xa.com", wrong(1)),
        (hosts(json!({ "allow_subdomains": true })), "host", "a.com.evil.net", wrong(1)),
        (hosts(json!({ "allowed_domains": "*" })), "host", "any.net", ok(&["any.net"])),
        (hosts(json!({ "allowed_domains": "" })), "host", "a.com", none()),
        (hosts(json!({ "default_user": "u" })), "user", "", ok(&["u"])),
    ] {
        room.role("r", role.clone()).await;
        let said = room.sign("r", json!({ "cert_type": kind, "valid_principals": asked })).await;
        if let Ok(said) = &said {
            assert_eq!(said.host, kind == "host");
        }
        assert_eq!(said.map(|said| said.principals), expect, "{role} {asked}");
    }
    let many: Vec<String> = (0..257).map(|n| format!("u{n}")).collect();
    room.role("r", json!({ "allowed_users": "*" })).await;
    let refused = room.sign("r", json!({ "valid_principals": many.join(",") })).await;
    assert_eq!(refused.unwrap_err(), "a certificate has at most 256 principals");
}

#[tokio::test]
async fn kinds_of_certificates_are_those_of_the_role() {
    let room = Room::new().await;
    let both =
        json!({ "allow_host_certificates": true, "allowed_domains": "*", "allowed_users": "*" });
    room.role("both", both).await;
    room.role("users", json!({ "allowed_users": "*" })).await;
    let hosts = json!({ "allow_user_certificates": false, "allow_host_certificates": true, "allowed_domains": "*" });
    room.role("hosts", hosts).await;
    for (role, kind, expect) in [
        ("both", "user", Ok(false)),
        ("both", "host", Ok(true)),
        ("users", "user", Ok(false)),
        ("users", "host", Err("cert_type 'host' is not allowed by role")),
        ("hosts", "user", Err("cert_type 'user' is not allowed by role")),
        ("hosts", "host", Ok(true)),
        ("both", "x", Err("cert_type must be either 'user' or 'host'")),
    ] {
        let said = room.sign(role, json!({ "cert_type": kind, "valid_principals": "x" })).await;
        assert_eq!(said.as_ref().map(|s| s.host).map_err(String::as_str), expect, "{role} {kind}");
    }
}

#[tokio::test]
async fn options_and_extensions_are_those_of_the_role() {
    let room = Room::new().await;
    let defaults = json!({ "a": "1" });
    let no_options = || Err("critical options not on allowed list");
    let no_extensions = || Err("extensions not on allowed list");
    for (allowed, asked, options, extensions) in [
        ("", json!({}), Ok(json!({ "a": "1" })), Ok(json!({ "a": "1" }))),
        ("", json!({ "b": "2" }), Ok(json!({ "b": "2" })), no_extensions()),
        (
            "b, c",
            json!({ "b": "2", "c": "" }),
            Ok(json!({ "b": "2", "c": "" })),
            Ok(json!({ "b": "2", "c": "" })),
        ),
        ("b", json!({ "b": "2", "c": "" }), no_options(), no_extensions()),
        ("b", json!({ "a": "1" }), no_options(), no_extensions()),
        ("*", json!({ "b": "2" }), no_options(), Ok(json!({ "b": "2" }))),
        ("b", json!({ "b": true }), Ok(json!({ "b": "1" })), Ok(json!({ "b": "1" }))),
    ] {
        let role = |field: &str| {
            json!({
                "default_user": "u", format!("default_{field}"): defaults, format!("allowed_{field}"): allowed,
            })
        };
        room.role("o", role("critical_options")).await;
        let said = room.sign("o", json!({ "critical_options": asked })).await;
        let said = said.map(|s| json!(s.critical_options));
        assert_eq!(
            said.as_ref().map_err(String::as_str),
            options.as_ref().map_err(|e| *e),
            "{allowed} {asked}"
        );
        room.role("e", role("extensions")).await;
        let said =
            room.sign("e", json!({ "extensions": asked })).await.map(|s| json!(s.extensions));
        assert_eq!(
            said.as_ref().map_err(String::as_str),
            extensions.as_ref().map_err(|e| *e),
            "{allowed} {asked}"
        );
    }
}

#[tokio::test]
async fn certificates_end_in_time() {
    let room = Room::new().await;
    let tune = json!({ "default_lease_ttl": "2h", "max_lease_ttl": "10h" });
    assert_eq!(room.node.root("WRITE", "sys/mounts/ssh/tune", tune).await.status, 204);
    let larger = |most: i64| Err(format!("ttl is larger than maximum allowed {most}"));
    for (role, asked, expect) in [
        (json!({}), json!({}), Ok(7_200)),
        (json!({}), json!({ "ttl": "" }), Ok(7_200)),
        (json!({}), json!({ "ttl": "3h" }), Ok(10_800)),
        (json!({}), json!({ "ttl": "11h" }), larger(36_000)),
        (json!({ "ttl": "1h" }), json!({}), Ok(3_600)),
        (json!({ "ttl": "1h" }), json!({ "ttl": "2h" }), Ok(7_200)),
        (json!({ "ttl": "20h" }), json!({}), Ok(36_000)),
        (json!({ "ttl": "1h", "max_ttl": "90m" }), json!({ "ttl": "2h" }), larger(5_400)),
        (json!({ "max_ttl": "90m" }), json!({}), Ok(5_400)),
        (json!({ "max_ttl": "90m" }), json!({ "ttl": 0 }), Ok(5_400)),
        // The role's own maximum counts, as documented.
        (json!({ "max_ttl": "20h" }), json!({ "ttl": "15h" }), Ok(54_000)),
        (json!({}), json!({ "ttl": -5 }), Err("ttl must not be negative".to_owned())),
    ] {
        let mut body = role.clone();
        body["default_user"] = "u".into();
        body["not_before_duration"] = "2m".into();
        room.role("r", body).await;
        let now = room.node.clock.now().seconds().unsigned_abs();
        let said = room.sign("r", asked.clone()).await;
        let said = said.map(|s| {
            assert_eq!(s.valid_after, now - 120);
            s.valid_before - now
        });
        assert_eq!(said, expect, "{role} {asked}");
    }
}

#[tokio::test]
async fn keys_are_those_that_the_role_allows() {
    let room = Room::new().await;
    let weak = "AAAAB3NzaC1yc2EAAAADAQABAAAAgQ".to_owned(); // cut off: see below
    let refused = |why: &str| Err(format!("public_key failed to meet the key requirements: {why}"));
    let size = "key is of an invalid size";
    for (lengths, kind, expect) in [
        (json!({}), KeyType::Rsa(2_048), Ok(())),
        (json!({ "rsa": 2048 }), KeyType::Rsa(2_048), Ok(())),
        (json!({ "ssh-rsa": [3072, 2048] }), KeyType::Rsa(2_048), Ok(())),
        (json!({ "rsa": "3072,4096" }), KeyType::Rsa(2_048), refused(size)),
        (json!({ "ec": 256 }), KeyType::Rsa(2_048), refused("key of type rsa is not allowed")),
        (json!({ "ec": 256 }), KeyType::Ec(Curve::P256), Ok(())),
        (json!({ "ecdsa": [256, 521] }), KeyType::Ec(Curve::P521), Ok(())),
        (json!({ "ecdsa": 256 }), KeyType::Ec(Curve::P384), refused(size)),
        (json!({ "ecdsa-sha2-nistp384": 0 }), KeyType::Ec(Curve::P384), Ok(())),
        (
            json!({ "ecdsa-sha2-nistp384": 0 }),
            KeyType::Ec(Curve::P256),
            refused("key of type ec is not allowed"),
        ),
        (json!({ "ed25519": 0 }), KeyType::Ed25519, Ok(())),
        (json!({ "ssh-ed25519": 123 }), KeyType::Ed25519, Ok(())),
        (json!({ "rsa": 2048 }), KeyType::Ed25519, refused("key of type ed25519 is not allowed")),
    ] {
        let role = json!({ "default_user": "u", "allowed_user_key_lengths": lengths });
        room.role("r", role).await;
        let said = room.sign("r", json!({ "public_key": public(kind) })).await;
        assert_eq!(said.map(|_| ()), expect, "{lengths} {kind:?}");
        // What is made obeys the same rule.
        let (name, bits) = (kind.name(), kind.bits());
        let got =
            room.call("WRITE", "issue/r", json!({ "key_type": name, "key_bits": bits })).await;
        assert_eq!(got.status, if expect.is_ok() { 200 } else { 400 }, "{lengths} {kind:?}");
    }
    for (problem, key) in [
        ("missing public_key", json!("")),
        ("missing public_key", Value::Null),
        ("failed to parse public_key as SSH key: it is not a public key of SSH", json!(weak)),
        ("failed to parse public_key as SSH key: it is not a public key of SSH", json!("hello")),
    ] {
        assert_eq!(room.sign("r", json!({ "public_key": key })).await.unwrap_err(), problem);
    }
}

/// RSA keys below 2048 bits and DSA keys are signed only for roles that name them.
#[tokio::test]
async fn weak_keys_are_refused_unless_the_role_names_them() {
    let room = Room::new().await;
    let (rsa, dsa) = (wire_rsa(1_024), wire_dsa());
    for (lengths, key, expect) in [
        (
            json!({}),
            &rsa,
            Err("RSA keys of less than 2048 bits are not signed unless the role allows them"),
        ),
        (json!({ "rsa": 2048 }), &rsa, Err("key is of an invalid size")),
        (json!({ "rsa": 1024 }), &rsa, Ok(())),
        (json!({}), &dsa, Err("keys of type dsa are not signed unless the role allows them")),
        (json!({ "dsa": 1024 }), &dsa, Ok(())),
    ] {
        let role = json!({ "default_user": "u", "allowed_user_key_lengths": lengths });
        room.role("r", role).await;
        let said = room.sign("r", json!({ "public_key": key })).await.map(|_| ());
        let expect =
            expect.map_err(|why| format!("public_key failed to meet the key requirements: {why}"));
        assert_eq!(said, expect, "{lengths}");
    }
}

fn encoded(parts: &[&[u8]]) -> String {
    use base64::Engine as _;
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
        out.extend_from_slice(part);
    }
    base64::engine::general_purpose::STANDARD.encode(out)
}

fn number(bits: usize) -> Vec<u8> {
    let mut number = vec![0xff; bits / 8 + 1];
    number[0] = 0;
    number
}

fn wire_rsa(bits: usize) -> String {
    encoded(&[b"ssh-rsa", &[1, 0, 1], &number(bits)])
}

fn wire_dsa() -> String {
    encoded(&[b"ssh-dss", &number(1_024), &number(160), &[2], &[3]])
}

#[tokio::test]
async fn key_ids_are_what_the_role_says() {
    let room = Room::new().await;
    room.node.policy("signer", "path \"ssh/sign/*\" { capabilities = [\"update\"] }").await;
    let named = json!({ "policies": ["signer"], "display_name": "{{role_name}}" });
    let token = room.node.root("WRITE", "auth/token/create", named).await.token();
    for (format, own, asked, expect) in [
        ("x-{{role_name}}-{{ token_display_name }}", false, "", Ok("x-r-token---role-name-")),
        ("plain", false, "", Ok("plain")),
        ("{{other}} {{role_name}} {{", false, "", Ok("{{other}} r {{")),
        ("plain", true, "mine", Ok("mine")),
        ("plain", true, "", Ok("plain")),
        ("plain", false, "mine", Err("setting key_id is not allowed by role")),
    ] {
        let role =
            json!({ "default_user": "u", "key_id_format": format, "allow_user_key_ids": own });
        room.role("r", role).await;
        let said = room.sign_as(&token, "r", json!({ "key_id": asked })).await;
        let said = said.as_ref().map(|s| s.key_id.as_str());
        assert_eq!(said.map_err(String::as_str), expect, "{format}");
    }
    room.role("r", json!({ "default_user": "u", "key_id_format": "{{public_key_hash}}" })).await;
    let said: Told = room.sign("r", json!({})).await.unwrap();
    assert_eq!(said.key_id.len(), 64);
}

#[tokio::test]
async fn rsa_issuers_sign_as_the_role_says_and_others_as_they_can() {
    let room = Room::bare().await;
    for (ca, signer, expect) in [
        ("rsa", "", Ok("rsa-sha2-256")),
        ("rsa", "default", Ok("rsa-sha2-256")),
        ("rsa", "rsa-sha2-256", Ok("rsa-sha2-256")),
        ("rsa", "rsa-sha2-512", Ok("rsa-sha2-512")),
        ("ed25519", "default", Ok("ssh-ed25519")),
        ("ed25519", "rsa-sha2-256", Err("the signing algorithm is for RSA issuers alone")),
    ] {
        room.ok(
            "WRITE",
            "config/ca",
            json!({ "key_type": ca, "key_bits": if ca == "rsa" { 2048 } else { 0 } }),
        )
        .await;
        room.role("r", json!({ "default_user": "u", "algorithm_signer": signer })).await;
        let said = room.sign("r", json!({})).await;
        assert_eq!(said.as_ref().map(|s| s.signed_with.as_str()).map_err(String::as_str), expect);
    }
    let refused = room.sign("gone", json!({})).await;
    assert_eq!(refused.unwrap_err(), "unknown role: gone");
    let otp = json!({ "key_type": "otp", "default_user": "u" });
    room.ok("WRITE", "roles/otp", otp).await;
    for path in ["sign/otp", "issue/otp"] {
        let got = room.call("WRITE", path, json!({ "public_key": "x" })).await;
        assert_eq!(
            (got.status, got.errors().as_str()),
            (400, "role key type 'otp' not allowed to sign")
        );
    }
}
