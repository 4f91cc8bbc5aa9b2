//! Tests of ACME through the whole pipeline, over simulated hosts and zones, by a client that does
//! what real ones do, and what they should not.

mod accounts;
mod configuration;
mod fulfilment;
mod messages;
mod orders;
mod proofs;
mod tidying;

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use strongroom_crypto::jws::Jwk;
use strongroom_crypto::keys::{Curve, Hash, KeyType, PrivateKey, Scheme, ecdsa_der_to_fixed};
use strongroom_crypto::x509::{
    Certificate, Extension, GeneralName, NameBuilder, RequestTemplate, SignatureAlgorithm,
    attributes,
};
use strongroom_testkit::challenges::SimChallenges;
use strongroom_testkit::{Got, TestNode};

/// Where the mount says it is.
const MOUNT: &str = "https://ca.example/v1/pki";

/// A node with `pki/`, a root in it, and ACME enabled.
struct Room {
    node: TestNode,
    outside: Arc<SimChallenges>,
}

impl Room {
    async fn new() -> Self {
        let room = Self::without_acme().await;
        room.ok("WRITE", "pki/config/cluster", json!({ "path": MOUNT })).await;
        room.ok("WRITE", "pki/config/acme", json!({ "enabled": true })).await;
        room
    }

    async fn without_acme() -> Self {
        let outside = SimChallenges::new();
        let specs = strongroom_system::specs();
        let node =
            TestNode::start(specs.into_iter().chain([super::super::spec(outside.clone())])).await;
        node.mount("pki", "pki/").await;
        let room = Self { node, outside };
        room.ok("WRITE", "sys/mounts/pki/tune", json!({ "max_lease_ttl": "87600h" })).await;
        let root = json!({ "common_name": "Root", "key_type": "ec", "ttl": "87600h" });
        room.ok("WRITE", "pki/root/generate/internal", root).await;
        room
    }

    /// As root; must be answered with 2xx.
    async fn ok(&self, method: &str, path: &str, body: Value) -> Got {
        let got = self.node.root(method, path, body).await;
        assert!(matches!(got.status, 200..=204), "{method} {path}: {got:?}");
        got
    }

    /// As root; must be refused with 400; the texts.
    async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let got = self.node.root(method, path, body).await;
        assert_eq!(got.status, 400, "{method} {path}: {got:?}");
        got.errors()
    }

    async fn acme(&self, body: Value) {
        self.ok("WRITE", "pki/config/acme", body).await;
    }

    /// The mount's background work, until it has nothing to do now.
    async fn work(&self) {
        let services = self.node.services();
        for _ in 0..20 {
            strongroom_kernel::reconcile::run_due(&services).await;
            // What was begun ends here: its answers are there at once.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.node.clock.advance(1);
        }
    }
}

/// A client with a key, and an account once it has one.
struct Client<'r> {
    room: &'r Room,
    /// `acme/`, `roles/web/acme/`.
    directory: String,
    key: PrivateKey,
    kid: Option<String>,
    nonce: RefCell<Option<String>>,
}

/// What a client signs with, for a message.
enum Signer<'k> {
    /// The account.
    Account,
    /// The key itself.
    Key,
    /// Another key.
    Other(&'k PrivateKey),
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn new_key() -> PrivateKey {
    PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap()
}

fn jwk(key: &PrivateKey) -> Jwk {
    Jwk::of(key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn jwk_json(key: &PrivateKey) -> Value {
    serde_json::from_str(jwk(key).canonical()).unwrap()
}

/// A signed message in its flattened form.
fn sign(key: &PrivateKey, header: &Value, payload: &str) -> Value {
    let (protected, payload) = (encode(header.to_string()), encode(payload));
    let signed = format!("{protected}.{payload}");
    let signature = key.sign(Scheme::Ecdsa(Hash::Sha256), signed.as_bytes()).unwrap();
    let signature = encode(ecdsa_der_to_fixed(Curve::P256, &signature).unwrap());
    json!({ "protected": protected, "payload": payload, "signature": signature })
}

impl<'r> Client<'r> {
    fn new(room: &'r Room, directory: &str) -> Self {
        let nonce = RefCell::new(None);
        Self { room, directory: directory.to_owned(), key: new_key(), kid: None, nonce }
    }

    /// With an account.
    async fn registered(room: &'r Room, directory: &str) -> Self {
        let mut client = Self::new(room, directory);
        client.register(json!({ "termsOfServiceAgreed": true })).await;
        client
    }

    async fn register(&mut self, payload: Value) {
        let got = self.send(Signer::Key, "new-account", &payload.to_string()).await;
        assert_eq!(got.status, 201, "{got:?}");
        self.kid = Some(got.header("location").to_owned());
    }

    /// The URL of something in the directory.
    fn url(&self, path: &str) -> String {
        format!("{MOUNT}/{}{path}", self.directory)
    }

    /// The path below the directory of a URL.
    fn below(&self, url: &str) -> String {
        let base = self.url("");
        url.strip_prefix(&base).unwrap_or_else(|| panic!("{url} is not below {base}")).to_owned()
    }

    async fn nonce(&self) -> String {
        if let Some(nonce) = self.nonce.borrow_mut().take() {
            return nonce;
        }
        let path = format!("pki/{}new-nonce", self.directory);
        let got = self.room.node.call_raw("HEAD", &path, b"").await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("replay-nonce").to_owned()
    }

    async fn header(&self, signer: &Signer<'_>, path: &str) -> Value {
        let mut header =
            json!({ "alg": "ES256", "nonce": self.nonce().await, "url": self.url(path) });
        match signer {
            Signer::Account => header["kid"] = self.kid.clone().expect("an account").into(),
            Signer::Key => header["jwk"] = jwk_json(&self.key),
            Signer::Other(key) => header["jwk"] = jwk_json(key),
        }
        header
    }

    /// Sends a message as it is.
    async fn send_raw(&self, path: &str, message: &Value) -> Got {
        let path = format!("pki/{}{path}", self.directory);
        let body = message.to_string();
        let got = self.room.node.call_raw("WRITE", &path, body.as_bytes()).await;
        let nonce = got.header("replay-nonce");
        *self.nonce.borrow_mut() = (!nonce.is_empty()).then(|| nonce.to_owned());
        got
    }

    async fn send(&self, signer: Signer<'_>, path: &str, payload: &str) -> Got {
        let header = self.header(&signer, path).await;
        let key = match signer {
            Signer::Other(key) => key,
            _ => &self.key,
        };
        self.send_raw(path, &sign(key, &header, payload)).await
    }

    /// As the account.
    async fn post(&self, path: &str, payload: Value) -> Got {
        self.send(Signer::Account, path, &payload.to_string()).await
    }

    /// As the account, without a payload.
    async fn get(&self, path: &str) -> Got {
        self.send(Signer::Account, path, "").await
    }

    /// An order for these names; its path and what it says.
    async fn order(&self, names: &[&str]) -> (String, Value) {
        let got = self.post("new-order", identifiers(names)).await;
        assert_eq!(got.status, 201, "{got:?}");
        (self.below(got.header("location")), got.body)
    }

    /// The authorizations of an order: their paths and what they say.
    async fn authorizations(&self, order: &Value) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for url in order["authorizations"].as_array().expect("a list") {
            let path = self.below(url.as_str().expect("a URL"));
            let got = self.get(&path).await;
            assert_eq!(got.status, 200, "{got:?}");
            all.push((path, got.body));
        }
        all
    }

    /// Token and thumbprint.
    fn key_authorization(&self, challenge: &Value) -> String {
        let token = challenge["token"].as_str().expect("a token");
        format!("{token}.{}", jwk(&self.key).thumbprint())
    }

    /// Puts the answers to an authorization's challenges where they are looked for.
    fn prepare(&self, authorization: &Value, kind: &str) {
        let name = authorization["identifier"]["value"].as_str().expect("a name");
        let challenge = challenge(authorization, kind);
        let answer = self.key_authorization(&challenge);
        let outside = &self.room.outside;
        match kind {
            "http-01" => {
                let token = challenge["token"].as_str().expect("a token");
                outside.put_file(name, token, format!("{answer}\n"));
            }
            "dns-01" => {
                let digest = encode(strongroom_crypto::sha256(answer.as_bytes()));
                outside.put_records(name, &["other", &digest]);
            }
            _ => {
                let digest = strongroom_crypto::sha256(answer.as_bytes());
                outside.show(name, vec![tls_certificate(name, &digest)]);
            }
        }
    }

    /// Proves all names of an order.
    async fn prove(&self, order: &Value, kind: &str) {
        for (_, authorization) in self.authorizations(order).await {
            self.prepare(&authorization, kind);
            let url = challenge(&authorization, kind)["url"].as_str().expect("a URL").to_owned();
            let got = self.post(&self.below(&url), json!({})).await;
            assert_eq!(got.status, 200, "{got:?}");
        }
        self.room.work().await;
    }

    /// A certificate for these names: its chain.
    async fn certificate(&self, names: &[&str], kind: &str) -> Vec<Certificate> {
        let (path, order) = self.order(names).await;
        self.prove(&order, kind).await;
        let csr = json!({ "csr": encode(csr(&new_key(), "", names)) });
        let got = self.post(&format!("{path}/finalize"), csr).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.body["status"], "valid", "{got:?}");
        let url = got.body["certificate"].as_str().expect("a URL").to_owned();
        let got = self.get(&self.below(&url)).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.content_type, "application/pem-certificate-chain");
        chain(&got)
    }
}

fn identifiers(names: &[&str]) -> Value {
    let all: Vec<Value> = names.iter().map(|name| identifier(name)).collect();
    json!({ "identifiers": all })
}

fn identifier(name: &str) -> Value {
    let kind = if name.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "dns" };
    json!({ "type": kind, "value": name })
}

/// The challenge of a kind.
fn challenge(authorization: &Value, kind: &str) -> Value {
    let all = authorization["challenges"].as_array().expect("a list");
    all.iter().find(|c| c["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {all:?}")).clone()
}

/// The kinds of challenges.
fn kinds(authorization: &Value) -> Vec<&str> {
    let all = authorization["challenges"].as_array().expect("a list");
    all.iter().filter_map(|c| c["type"].as_str()).collect()
}

/// The certificates of a PEM answer.
fn chain(got: &Got) -> Vec<Certificate> {
    let text = String::from_utf8(got.raw.clone()).unwrap();
    let (blocks, _) = strongroom_crypto::x509::pem_blocks(&text).unwrap();
    blocks.iter().map(|block| Certificate::from_der(&block.der).unwrap()).collect()
}

fn general(name: &str) -> GeneralName {
    match name.parse() {
        Ok(ip) => GeneralName::Ip(ip),
        Err(_) => GeneralName::Dns(name.to_owned()),
    }
}

/// A CSR of this key.
fn csr(key: &PrivateKey, common_name: &str, names: &[&str]) -> Vec<u8> {
    let names: Vec<GeneralName> = names.iter().map(|name| general(name)).collect();
    csr_with(key, common_name, &names, Vec::new())
}

fn csr_with(
    key: &PrivateKey,
    common_name: &str,
    names: &[GeneralName],
    more: Vec<Extension>,
) -> Vec<u8> {
    let mut subject = NameBuilder::default();
    if !common_name.is_empty() {
        subject = subject.step(attributes::COMMON_NAME, &[common_name]);
    }
    let mut extensions = more;
    if !names.is_empty() {
        extensions.push(Extension::alt_names(names, false).unwrap());
    }
    let template = RequestTemplate { subject: subject.build(), extensions };
    let algorithm = SignatureAlgorithm::for_key(key.key_type(), 0, false);
    template.sign(key, algorithm).unwrap().der().to_vec()
}

/// A certificate as RFC 8737 wants it.
fn tls_certificate(name: &str, digest: &[u8]) -> Vec<u8> {
    tls_certificate_with(&[general(name)], digest, true, Vec::new(), &new_key(), None)
}

fn tls_certificate_with(
    names: &[GeneralName],
    digest: &[u8],
    critical: bool,
    more: Vec<Extension>,
    key: &PrivateKey,
    signer: Option<&PrivateKey>,
) -> Vec<u8> {
    let mut value = vec![4, u8::try_from(digest.len()).unwrap()];
    value.extend(digest);
    let mut extensions = vec![
        Extension::alt_names(names, false).unwrap(),
        Extension { oid: "1.3.6.1.5.5.7.1.31".to_owned(), critical, value },
    ];
    extensions.extend(more);
    let name = NameBuilder::default().step(attributes::COMMON_NAME, &["challenge"]).build();
    let template = strongroom_crypto::x509::Template {
        serial: vec![1],
        issuer: name.clone(),
        subject: name,
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
        spki: key.public().unwrap().spki_der().to_vec(),
        extensions,
    };
    let algorithm = SignatureAlgorithm::for_key(key.key_type(), 0, false);
    template.sign(signer.unwrap_or(key), algorithm).unwrap().der().to_vec()
}

/// The type of a problem, and its status: they must say so everywhere.
fn problem(got: &Got) -> (u16, String) {
    assert_eq!(got.content_type, "application/problem+json", "{got:?}");
    assert_eq!(got.body["status"], got.status, "{got:?}");
    assert!(!got.header("replay-nonce").is_empty(), "{got:?}");
    let kind = got.body["type"].as_str().expect("a type");
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").expect("ACME's");
    (got.status, kind.to_owned())
}
