//! Tests of the engine through the whole pipeline.

mod certificates;
mod crypt;
mod lives;
mod moving;
mod post_quantum;
mod signing;
mod threats;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_testkit::{Got, TestNode};

/// A node with `transit/`.
struct Room {
    node: TestNode,
}

impl Room {
    async fn new() -> Self {
        let specs = strongroom_system::specs();
        let node = TestNode::start(specs.into_iter().chain([super::spec()])).await;
        node.mount("transit", "transit/").await;
        Self { node }
    }

    /// As root; the answer as it is.
    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, &format!("transit/{path}"), body).await
    }

    /// A write as root; must be answered with 2xx.
    async fn write(&self, path: &str, body: Value) -> Value {
        let got = self.call("WRITE", path, body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
        got.data().clone()
    }

    /// A read as root; must be answered with 200.
    async fn read(&self, path: &str) -> Value {
        let got = self.call("READ", path, Value::Null).await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
        got.data().clone()
    }

    /// A write as root that must be refused with 400 and this text in its errors.
    async fn refused(&self, path: &str, body: Value, why: &str) {
        let got = self.call("WRITE", path, body.clone()).await;
        assert_eq!(got.status, 400, "{path} {body}: {got:?}");
        assert!(got.errors().contains(why), "{path} {body}: {got:?}");
    }

    /// A key with these settings.
    async fn key(&self, name: &str, settings: Value) {
        self.write(&format!("keys/{name}"), settings).await;
    }

    /// The ciphertext of a text.
    async fn encrypt(&self, name: &str, text: &str) -> String {
        let body = json!({ "plaintext": b64(text) });
        let sealed = self.write(&format!("encrypt/{name}"), body).await;
        sealed["ciphertext"].as_str().unwrap().to_owned()
    }

    /// The text of a ciphertext.
    async fn decrypt(&self, name: &str, ciphertext: &str) -> String {
        let body = json!({ "ciphertext": ciphertext });
        unb64(&self.write(&format!("decrypt/{name}"), body).await["plaintext"])
    }

    /// Runs the background work that is due.
    async fn settle(&self) {
        strongroom_kernel::reconcile::run_due(&self.node.services()).await;
    }
}

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

fn unb64(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap()
}

/// Every type that encrypts without being derived.
const ENCRYPTING: &[&str] =
    &["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305", "rsa-2048"];

impl Room {
    /// A token that may do this to `transit/encrypt/*`.
    async fn token(&self, policy: &str, capabilities: &str) -> String {
        let text = format!("path \"transit/encrypt/*\" {{ capabilities = {capabilities} }}");
        self.node.policy(policy, &text).await;
        let body = json!({ "policies": [policy] });
        self.node.root("WRITE", "auth/token/create", body).await.token()
    }
}
