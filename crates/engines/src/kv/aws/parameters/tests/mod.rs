//! Tests of Parameter Store through the whole pipeline, past the door.

mod folders;
mod lives;
mod rights;
mod values;

use serde_json::{Value, json};
use strongroom_kernel::mounts::{create, new_record};
use strongroom_kernel::plug::{Class, Protocol};
use strongroom_kernel::record::Scope;
use strongroom_testkit::{Got, TestNode};

/// A node with `secret/`, version 2.
struct Room {
    node: TestNode,
}

impl Room {
    async fn new() -> Self {
        let specs = strongroom_system::specs();
        let node = TestNode::start(specs.into_iter().chain([crate::kv::spec()])).await;
        let services = node.services();
        let tx = services.store.begin();
        let now = services.store.now();
        let mut mount = new_record(&tx, "kv", "secret/", Class::Secret, "", now);
        mount.options.insert("version".to_owned(), "2".to_owned());
        create(&tx, Scope::ROOT, mount).await.unwrap();
        tx.commit().await.unwrap();
        Self { node }
    }

    /// The answer to a caller at AWS's door, and the name of a failure.
    async fn named(&self, token: &str, path: &str, body: Value) -> (Got, String) {
        self.node.named("AWS", &format!("secret/aws/{path}"), token, body).await
    }

    /// As root; must be answered with 2xx.
    async fn ok(&self, path: &str, body: Value) -> Value {
        let (got, _) = self.named(&self.node.root, path, body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
        got.body["data"].clone()
    }

    /// As root; must be refused with this name, and say nothing of what was sent.
    async fn refused(&self, path: &str, body: Value, code: &str) {
        let (got, name) = self.named(&self.node.root, path, body.clone()).await;
        assert_eq!(name, code, "{path} {body}: {got:?}");
        assert!(!got.errors().contains("canary"), "{path}: {got:?}");
    }

    /// Makes a parameter, or overwrites it.
    async fn put(&self, path: &str, kind: &str, value: &str) -> Value {
        let body = json!({ "value": value, "type": kind, "overwrite": true });
        self.ok(&format!("put-parameter/ssm/{path}"), body).await
    }

    async fn get(&self, path: &str, body: Value) -> Value {
        self.ok(&format!("get-parameter/ssm/{path}"), body).await
    }

    /// At Vault's door, as root.
    async fn vault(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, &format!("secret/{path}"), body).await
    }

    /// A token with these rights on paths of the mount.
    async fn token(&self, rules: &[(&str, &str)]) -> String {
        self.node.token_with("secret/", rules).await
    }
}

/// The members called `name` of a list.
fn each(list: &Value, name: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter().map(|entry| entry[name].as_str().unwrap_or_default().to_owned()).collect()
}

/// Threat GHSA-rh46-vc3j-w2w3: none of these is reached by Vault's protocol, whatever path it names.
#[tokio::test]
async fn vaults_protocol_reaches_none_of_them() {
    let room = Room::new().await;
    room.put("a", "String", "x").await;
    let spec = crate::kv::spec();
    let versioned = &spec.variants().next().unwrap().2;
    let ours = versioned.routes.iter().filter(|r| r.pattern.contains("parameter"));
    let mut count = 0;
    for route in ours {
        count += 1;
        assert!(route.protocol == Protocol::Aws && route.needs.is_some(), "{}", route.pattern);
        let path = route.pattern.replace("{path..}", "ssm/a");
        let got = room.vault("WRITE", &path, json!({ "value": "y", "overwrite": true })).await;
        assert_eq!(got.status, 404, "{path}: {got:?}");
    }
    assert_eq!(count, 15);
    assert_eq!(room.get("a", json!({})).await["value"], "x");
}
