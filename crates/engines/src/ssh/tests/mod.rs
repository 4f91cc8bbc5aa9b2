//! Tests of the engine through the whole pipeline.

mod certificates;
mod issuers;
mod passwords;
mod roles;
mod templates;

use serde_json::{Value, json};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey};
use strongroom_crypto::ssh::{PublicKey, Told};
use strongroom_testkit::{Got, TestNode};

/// A node with `ssh/`.
struct Room {
    node: TestNode,
}

impl Room {
    async fn bare() -> Self {
        let specs = strongroom_system::specs().into_iter().chain([super::spec()]);
        let node = TestNode::start(specs).await;
        node.mount("ssh", "ssh/").await;
        Self { node }
    }

    /// With an Ed25519 issuer.
    async fn new() -> Self {
        let room = Self::bare().await;
        room.ok("WRITE", "config/ca", json!({ "key_type": "ed25519" })).await;
        room
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, &format!("ssh/{path}"), body).await
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Got {
        let got = self.call(method, path, body).await;
        assert!(matches!(got.status, 200..=204), "{method} {path}: {got:?}");
        got
    }

    /// A role for users' certificates with these members besides.
    async fn role(&self, name: &str, more: Value) {
        let mut body = json!({ "key_type": "ca", "allow_user_certificates": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ok("WRITE", &format!("roles/{name}"), body).await;
    }

    /// Signs a key of its own by a role; what the certificate says, or the error.
    async fn sign(&self, role: &str, more: Value) -> Result<Told, String> {
        let root = self.node.root.clone();
        self.sign_as(&root, role, more).await
    }

    async fn sign_as(&self, token: &str, role: &str, more: Value) -> Result<Told, String> {
        let mut body = json!({ "public_key": public(KeyType::Ed25519) });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told(&self.node.call("WRITE", &format!("ssh/sign/{role}"), token, body).await)
    }
}

/// What the certificate of an answer says, or the error of a refusal.
fn told(got: &Got) -> Result<Told, String> {
    match got.status {
        200 => Ok(Told::read(got.data()["signed_key"].as_str().unwrap()).unwrap()),
        400 => Err(got.errors()),
        _ => panic!("{got:?}"),
    }
}

/// A new public key as a file has it.
fn public(kind: KeyType) -> String {
    line(&PrivateKey::generate(kind).unwrap())
}

fn line(key: &PrivateKey) -> String {
    let line = PublicKey::of(&key.public().unwrap()).unwrap().line();
    format!("{} somebody@somewhere\n", line.trim_end())
}

const KINDS: [KeyType; 5] = [
    KeyType::Ed25519,
    KeyType::Ec(Curve::P256),
    KeyType::Ec(Curve::P384),
    KeyType::Ec(Curve::P521),
    KeyType::Rsa(2_048),
];
