//! `creds`: accounts live as long as their leases.

use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::x509::{
    Certificate, Extension, KeyUsage, NameBuilder, SignatureAlgorithm, Template, attributes,
    pem_blocks,
};

use super::Room;

#[tokio::test]
async fn an_account_is_there_until_its_lease_ends() {
    let room = Room::new().await;
    room.role("app", json!({ "default_ttl": 600, "max_ttl": 3600 })).await;
    let got = room.ok("READ", "database/creds/app", Value::Null).await;
    assert_eq!(got.body["lease_duration"], 600);
    assert_eq!(got.body["renewable"], true);
    let members: Vec<&String> = got.data().as_object().unwrap().keys().collect();
    assert_eq!(members, ["password", "username"]);
    let name = got.data()["username"].as_str().unwrap();
    let password = got.data()["password"].as_str().unwrap();
    assert!(name.starts_with("v-root-app-"), "{name}");
    assert_eq!(password.len(), 20);
    assert!(room.servers.lets_in("db", name, password));
    let made = room.servers.account("db", name).unwrap();
    assert_eq!(made.statements, ["CREATE {{name}}"]);
    assert_eq!(made.expires, room.node.clock.now().plus_seconds(605), "a little after the lease");
    room.later(599).await;
    assert_eq!(room.accounts(), [name]);
    room.later(2).await;
    assert!(room.accounts().is_empty(), "the lease has ended");
}

#[tokio::test]
async fn renewing_moves_the_accounts_end_within_its_maximum() {
    let room = Room::new().await;
    room.role("app", json!({ "default_ttl": 600, "max_ttl": 1000 })).await;
    let account = room.account("app").await;
    room.later(500).await;
    let renew = json!({ "lease_id": account.lease, "increment": 300 });
    let got = room.ok("WRITE", "sys/leases/renew", renew).await;
    assert_eq!(got.body["lease_duration"], 300);
    let ends = |after| room.node.clock.now().plus_seconds(after);
    assert_eq!(room.servers.account("db", &account.name).unwrap().expires, ends(305));
    // The role allows less by now than when the lease was made.
    room.role("app", json!({ "max_ttl": 700 })).await;
    let renew = json!({ "lease_id": account.lease, "increment": 600 });
    let got = room.ok("WRITE", "sys/leases/renew", renew.clone()).await;
    assert_eq!(got.body["lease_duration"], 200);
    room.ok("DELETE", "database/roles/app", Value::Null).await;
    let got = room.call("WRITE", "sys/leases/renew", renew).await;
    assert!(got.errors().contains("could not find role with name \"app\""), "{got:?}");
    room.later(201).await;
    assert!(room.accounts().is_empty());
}

#[tokio::test]
async fn accounts_go_with_their_lease_token_or_mount() {
    for what in ["lease", "prefix", "token", "mount"] {
        let room = Room::new().await;
        room.role("app", json!({})).await;
        let got = room.ok("WRITE", "auth/token/create", json!({ "policies": ["root"] })).await;
        let token = got.token();
        let got = room.node.call("READ", "database/creds/app", &token, Value::Null).await;
        assert!(room.accounts().len() == 1, "{got:?}");
        let (path, body) = match what {
            "lease" => ("sys/leases/revoke", json!({ "lease_id": got.body["lease_id"] })),
            "prefix" => ("sys/leases/revoke-prefix/database/creds/app", json!({})),
            "token" => ("auth/token/revoke", json!({ "token": token })),
            _ => ("sys/mounts/database", Value::Null),
        };
        let method = if what == "mount" { "DELETE" } else { "WRITE" };
        room.ok(method, path, body).await;
        room.settle().await;
        assert!(room.accounts().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn only_allowed_roles_of_known_connections_give_accounts() {
    let room = Room::new().await;
    let allowed = json!({ "allowed_roles": "web-*,app" });
    room.ok("WRITE", "database/config/main", allowed).await;
    for (role, db, status, problem) in [
        ("app", "main", 200, ""),
        ("web-1", "main", 200, ""),
        ("other", "main", 400, "\"other\" is not an allowed role"),
        ("lost", "gone", 400, "failed to find entry for connection with name: \"gone\""),
    ] {
        room.role(role, json!({ "db_name": db })).await;
        let got = room.call("READ", &format!("database/creds/{role}"), Value::Null).await;
        assert_eq!((got.status, got.errors().as_str()), (status, problem), "{role}");
    }
    let got = room.call("READ", "database/creds/nobody", Value::Null).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "unknown role: nobody"));
    assert_eq!(room.accounts().len(), 2);
}

#[tokio::test]
async fn passwords_and_names_are_as_the_operator_wants_them() {
    let room = Room::new().await;
    for (name, characters) in [("digits", "0123456789"), ("letters", "abcdef")] {
        let policy = format!("length = 12\nrule \"charset\" {{ charset = {characters:?} }}");
        let path = format!("sys/policies/password/{name}");
        room.ok("WRITE", &path, json!({ "policy": policy })).await;
    }
    room.role("own", json!({ "credential_config": { "password_policy": "letters" } })).await;
    room.role("plain", json!({})).await;
    let fits = |password: &str, set: &str| password.chars().all(|c| set.contains(c));
    assert!(!fits(&room.account("plain").await.password, "0123456789"));
    let config = json!({
        "password_policy": "digits",
        "username_template": "{{.RoleName | uppercase}}-{{random 4}}",
    });
    room.ok("WRITE", "database/config/main", config).await;
    let account = room.account("plain").await;
    assert!(fits(&account.password, "0123456789"), "the connection's");
    assert!(account.name.starts_with("PLAIN-") && account.name.len() == 10, "{}", account.name);
    assert!(fits(&room.account("own").await.password, "abcdef"), "the role's own");
    room.ok("DELETE", "sys/policies/password/digits", Value::Null).await;
    let before = room.accounts().len();
    let got = room.call("READ", "database/creds/plain", Value::Null).await;
    assert_eq!(got.status, 400);
    assert!(got.errors().contains("no password policy \"digits\""), "{got:?}");
    assert_eq!(room.accounts().len(), before);
}

#[tokio::test]
async fn an_account_may_have_a_key_in_place_of_a_password() {
    let room = Room::new().await;
    room.role("k", json!({ "credential_type": "rsa_private_key" })).await;
    let got = room.ok("READ", "database/creds/k", Value::Null).await;
    let name = got.data()["username"].as_str().unwrap();
    let key = got.data()["rsa_private_key"].as_str().unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(got.data().get("password"), None);
    let there = room.servers.account("db", name).unwrap().credential;
    assert!(there.starts_with("-----BEGIN PUBLIC KEY-----\n"));
}

/// A certificate authority of its own.
pub fn authority() -> (Certificate, PrivateKey) {
    let key = PrivateKey::generate(KeyType::named("ec", 384).unwrap()).unwrap();
    let name = NameBuilder::default().step(attributes::COMMON_NAME, &["Accounts"]).build();
    let template = Template {
        serial: vec![1],
        issuer: name.clone(),
        subject: name,
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
        spki: key.public().unwrap().spki_der().to_vec(),
        extensions: vec![Extension::basic_constraints(true, None)],
    };
    let algorithm = SignatureAlgorithm::for_key(key.key_type(), 0, false);
    (template.sign(&key, algorithm).unwrap(), key)
}

/// Another certificate of the same key, for an authority or not.
pub fn signed(key: &PrivateKey, ca: &Certificate, authority: bool) -> Certificate {
    let template = Template {
        serial: vec![2],
        issuer: ca.subject.clone(),
        subject: ca.subject.clone(),
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
        spki: ca.spki.clone(),
        extensions: vec![Extension::basic_constraints(authority, None)],
    };
    template.sign(key, SignatureAlgorithm::for_key(key.key_type(), 0, false)).unwrap()
}

/// The database knows the certificate's subject, and the caller has the certificate with its key; it
/// ends with the account.
#[tokio::test]
async fn accounts_by_certificates() {
    let room = Room::new().await;
    let (ca, ca_key) = authority();
    for (kind, bits) in [("rsa", 2_048), ("ec", 256), ("ec", 521), ("ed25519", 0)] {
        let config = json!({
            "common_name_template": "{{.DisplayName}}-{{.RoleName}}",
            "ca_cert": ca.pem(),
            "ca_private_key": ca_key.to_traditional_pem().unwrap().expose_secret(),
            "key_type": kind, "key_bits": bits, "signature_bits": 512,
        });
        room.role(
            "app",
            json!({
                "credential_type": "client_certificate", "credential_config": config,
                "default_ttl": 600,
            }),
        )
        .await;
        let got = room.ok("READ", "database/creds/app", Value::Null).await;
        let data = got.data();
        let text = |name: &str| data[name].as_str().unwrap_or_else(|| panic!("{name}: {data}"));
        assert_eq!(data.as_object().unwrap().len(), 4, "{data}");
        assert_eq!(text("private_key_type"), kind);
        let (blocks, _) = pem_blocks(text("client_certificate")).unwrap();
        let certificate = Certificate::from_der(&blocks[0].der).unwrap();
        assert!(certificate.is_issued_by(&ca) && !certificate.is_authority());
        let key = PrivateKey::from_pem(text("private_key")).unwrap();
        assert_eq!(key.public().unwrap().spki_der(), certificate.spki);
        let now = room.node.clock.now().seconds();
        assert_eq!((certificate.not_before, certificate.not_after), (now - 30, now + 605));
        let usage = certificate.key_usage().unwrap();
        assert!(usage.has(KeyUsage::DIGITAL_SIGNATURE) && !usage.has(KeyUsage::CERT_SIGN));
        let made = room.servers.account("db", text("username")).unwrap();
        assert_eq!(made.credential, "CN=root-app");
        assert_eq!(certificate.subject.to_string(), made.credential);
        assert!(!got.body.to_string().contains("ca_private_key"));
        room.later(601).await;
        assert!(room.accounts().is_empty());
    }
    // A name that no certificate can have leaves nothing behind.
    let config = json!({
        "common_name_template": "{{.RoleName}}".repeat(30), "ca_cert": ca.pem(), "key_type": "ec",
        "ca_private_key": ca_key.to_pkcs8_pem().expose_secret(),
    });
    let role = json!({ "credential_type": "client_certificate", "credential_config": config });
    room.role("app", role).await;
    let got = room.call("READ", "database/creds/app", Value::Null).await;
    assert!(got.status == 400 && got.errors().contains("common name"), "{got:?}");
    assert!(room.accounts().is_empty());
}
