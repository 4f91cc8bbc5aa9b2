//! Tests of KMS through the whole pipeline, past the door.

mod crypt;
mod keys;
mod lives;
mod rights;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_kernel::plug::Protocol;
use strongroom_testkit::{Got, TestNode};

/// A node with `transit/`.
struct Room {
    node: TestNode,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

impl Room {
    async fn new() -> Self {
        let specs = strongroom_system::specs();
        let node = TestNode::start(specs.into_iter().chain([super::super::spec()])).await;
        node.mount("transit", "transit/").await;
        Self { node }
    }

    /// As root, at AWS's door; the answer as it is.
    async fn call(&self, path: &str, body: Value) -> Got {
        self.node.root("AWS", &format!("transit/aws/{path}"), body).await
    }

    /// As root; must be answered with 2xx.
    async fn ok(&self, path: &str, body: Value) -> Value {
        let got = self.call(path, body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
        got.body["data"].clone()
    }

    /// As root; must be refused with this name. The name is told by the kernel's answer alone.
    async fn refused(&self, path: &str, body: Value, code: &str) {
        let (got, name) = self.named(&self.node.root, path, body.clone()).await;
        assert_eq!(name, code, "{path} {body}: {got:?}");
    }

    /// The answer to a caller, and the name of a failure.
    async fn named(&self, token: &str, path: &str, body: Value) -> (Got, String) {
        let path = format!("transit/aws/{path}");
        self.node.named("AWS", &path, token, body).await
    }

    /// At Vault's door, as root.
    async fn vault(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, &format!("transit/{path}"), body).await
    }

    /// A new key's id.
    async fn key(&self) -> String {
        text(&self.ok("create-key", json!({})).await["key_id"])
    }

    /// The blob of a text.
    async fn encrypt(&self, key: &str, plain: &str, context: Value) -> String {
        let body = json!({ "plaintext": STANDARD.encode(plain), "context": context });
        text(&self.ok(&format!("encrypt/{key}"), body).await["ciphertext"])
    }

    /// The text of a blob.
    async fn decrypt(&self, blob: &str, context: Value) -> String {
        let body = json!({ "ciphertext": blob, "context": context });
        let plain = text(&self.ok("decrypt", body).await["plaintext"]);
        String::from_utf8(STANDARD.decode(plain).unwrap()).unwrap()
    }

    /// A token with these rights on paths of the mount.
    async fn token(&self, rules: &[(&str, &str)]) -> String {
        self.node.token_with("transit/", rules).await
    }

    /// Runs the background work that is due.
    async fn settle(&self) {
        strongroom_kernel::reconcile::run_due(&self.node.services()).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Threat GHSA-rh46-vc3j-w2w3: none of these is reached by Vault's protocol, whatever path it names.
#[tokio::test]
async fn vaults_protocol_reaches_none_of_them() {
    let room = Room::new().await;
    let key = room.key().await;
    for route in super::super::spec().routes.iter().filter(|r| r.pattern.starts_with("aws/")) {
        assert!(route.protocol == Protocol::Aws, "{}", route.pattern);
        assert!(route.needs.is_some(), "{} is refused to everybody", route.pattern);
        let path = route.pattern.replace("{key..}", &key).replace("{alias..}", "a");
        for method in ["WRITE", "READ", "LIST", "DELETE"] {
            let got = room.vault(method, &path, json!({})).await;
            assert_eq!(got.status, 404, "{method} {path}: {got:?}");
        }
    }
}
