//! Tests of the engine through the whole pipeline.

mod authorities;
mod issuing;
mod lists;
mod roles;
mod threats;
mod tidying;

use serde_json::{Value, json};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::x509::{
    Certificate, Crl, Extension, GeneralName, Name, NameBuilder, RequestTemplate,
    SignatureAlgorithm, attributes, pem_blocks,
};
use strongroom_testkit::challenges::SimChallenges;
use strongroom_testkit::{Got, TestNode};

/// A node with `pki/`.
pub struct Room {
    pub node: TestNode,
}

impl Room {
    /// Without an issuer.
    pub async fn bare() -> Self {
        let specs =
            strongroom_system::specs().into_iter().chain([super::spec(SimChallenges::new())]);
        let node = TestNode::start(specs).await;
        node.mount("pki", "pki/").await;
        let room = Self { node };
        let tune = json!({ "max_lease_ttl": "87600h" });
        room.ok("WRITE", "sys/mounts/pki/tune", tune).await;
        room
    }

    /// With a root of an EC key, of ten years, and a role `any` for all names.
    pub async fn new() -> Self {
        let room = Self::bare().await;
        room.root("Root").await;
        room.role("any", json!({ "allow_any_name": true, "key_type": "ec" })).await;
        room
    }

    /// A root with this name; its answer.
    pub async fn root(&self, name: &str) -> Got {
        let body = json!({ "common_name": name, "key_type": "ec", "ttl": "87600h" });
        self.ok("WRITE", "pki/root/generate/internal", body).await
    }

    /// As root; the answer as it is.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, path, body).await
    }

    /// As root; must be answered with 2xx.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Got {
        let got = self.call(method, path, body).await;
        assert!(matches!(got.status, 200..=204), "{method} {path}: {got:?}");
        got
    }

    /// As root; must be refused with 400; the texts.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let got = self.call(method, path, body).await;
        assert_eq!(got.status, 400, "{method} {path}: {got:?}");
        got.errors()
    }

    /// A role.
    pub async fn role(&self, name: &str, body: Value) -> Got {
        self.ok("WRITE", &format!("pki/roles/{name}"), body).await
    }

    /// A certificate of a role.
    pub async fn issue(&self, role: &str, body: Value) -> Certificate {
        certificate(&self.ok("WRITE", &format!("pki/issue/{role}"), body).await)
    }

    /// The default issuer's certificate.
    pub async fn ca(&self) -> Certificate {
        let got = self.ok("READ", "pki/cert/ca", Value::Null).await;
        certificate(&got)
    }

    /// The list of an issuer.
    pub async fn crl(&self, issuer: &str) -> Crl {
        let (issuer, kind) = issuer.split_once('/').map_or((issuer, ""), |(i, _)| (i, "/delta"));
        let path = format!("pki/issuer/{issuer}/crl{kind}");
        let got = self.ok("READ", &path, Value::Null).await;
        read_crl(got.data()["crl"].as_str().unwrap())
    }

    /// Runs background work until none is left.
    pub async fn settle(&self) {
        let services = self.node.services();
        for _ in 0..3 {
            strongroom_kernel::reconcile::run_due(&services).await;
            services.leases.idle().await;
        }
    }

    /// Moves the clock on, and lets follow what follows.
    pub async fn later(&self, seconds: i64) {
        self.node.clock.advance(seconds);
        self.settle().await;
    }
}

/// The certificate of an answer.
pub fn certificate(got: &Got) -> Certificate {
    from_pem(got.data()["certificate"].as_str().unwrap_or_default())
}

/// The last certificate of a PEM text's first kind.
pub fn from_pem(text: &str) -> Certificate {
    let (blocks, _) = pem_blocks(text).unwrap();
    let block = blocks.iter().find(|block| block.label == "CERTIFICATE").unwrap();
    Certificate::from_der(&block.der).unwrap()
}

pub fn read_crl(pem: &str) -> Crl {
    let (blocks, _) = pem_blocks(pem).unwrap();
    Crl::from_der(&blocks[0].der).unwrap()
}

/// Serial numbers on a list, as the API has them.
pub fn serials(crl: &Crl) -> Vec<String> {
    crl.entries.iter().map(|e| strongroom_crypto::x509::colons(&e.serial)).collect()
}

/// A key for CSRs.
pub fn key() -> PrivateKey {
    PrivateKey::generate(KeyType::named("ec", 256).unwrap()).unwrap()
}

/// A CSR with these names, in PEM.
pub fn csr(key: &PrivateKey, common_name: &str, names: &[GeneralName]) -> String {
    let names = names.to_vec();
    let extensions = match names.is_empty() {
        true => Vec::new(),
        false => vec![Extension::alt_names(&names, false).unwrap()],
    };
    csr_with(key, subject(common_name), extensions)
}

pub fn subject(common_name: &str) -> Name {
    NameBuilder::default().step(attributes::COMMON_NAME, &[common_name]).build()
}

pub fn csr_with(key: &PrivateKey, subject: Name, extensions: Vec<Extension>) -> String {
    let algorithm = SignatureAlgorithm::for_key(key.key_type(), 0, false);
    RequestTemplate { subject, extensions }.sign(key, algorithm).unwrap().pem()
}

pub fn dns(name: &str) -> GeneralName {
    GeneralName::Dns(name.to_owned())
}

/// The alternative names of a certificate, as short texts.
pub fn names(certificate: &Certificate) -> Vec<String> {
    let names = certificate.alt_names().unwrap();
    let short = |name: GeneralName| match name {
        GeneralName::Dns(text) | GeneralName::Email(text) | GeneralName::Uri(text) => text,
        GeneralName::Ip(ip) => ip.to_string(),
        GeneralName::Other(oid, text) => format!("{oid};{text}"),
        GeneralName::Unknown(_) => "?".to_owned(),
    };
    names.into_iter().map(short).collect()
}
