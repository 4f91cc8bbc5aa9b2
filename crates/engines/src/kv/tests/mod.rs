//! Tests of the engine through the whole pipeline, on memory storage.

mod aws;
mod aws_lists;
mod aws_model;
mod aws_rights;
mod aws_rotation;
mod aws_rotators;
mod model;
mod plain;
mod relocation;
mod searching;
mod union;
mod versioned;
mod writers;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_base::Rng;
use strongroom_kernel::mounts::{create, new_record};
use strongroom_kernel::plug::Class;
use strongroom_kernel::policies::PolicyRecord;
use strongroom_kernel::record::Scope;
use strongroom_kernel::tokens::NewToken;
use strongroom_testkit::{Got, SimRng, TestNode};

/// A source of small random numbers.
struct Dice(Arc<SimRng>);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        u64::from_le_bytes(self.0.bytes()) % sides
    }

    fn pick<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }
}

/// The moment at which the simulated clock stands.
const NOW: &str = "2026-01-01T00:00:00Z";

/// A node with `secret/` and `other/` (version 2) and `plain/` (version 1).
struct Room {
    node: Arc<TestNode>,
}

impl Room {
    async fn new() -> Self {
        Self::of(crate::kv::spec()).await
    }

    async fn of(spec: strongroom_kernel::plug::Spec) -> Self {
        let node = TestNode::start([spec]).await;
        let services = node.services();
        let tx = services.store.begin();
        let now = services.store.now();
        for (path, version) in [("secret/", "2"), ("other/", "2"), ("plain/", "")] {
            let mut mount = new_record(&tx, "kv", path, Class::Secret, "", now);
            if !version.is_empty() {
                mount.options.insert("version".to_owned(), version.to_owned());
            }
            create(&tx, Scope::ROOT, mount).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self { node: Arc::new(node) }
    }

    /// As root; the answer as it is.
    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, path, body).await
    }

    /// As root; must be answered with 200 or 204.
    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let got = self.call(method, path, body).await;
        assert!(matches!(got.status, 200 | 204), "{method} {path}: {got:?}");
        got.body["data"].clone()
    }

    /// Writes `data` to `secret/data/PATH`.
    async fn put(&self, path: &str, data: Value) {
        self.ok("WRITE", &format!("secret/data/{path}"), json!({ "data": data })).await;
    }

    /// The value at `secret/data/PATH`, or the status of what came instead.
    async fn get(&self, path: &str) -> Result<Value, u16> {
        let got = self.call("READ", &format!("secret/data/{path}"), Value::Null).await;
        if got.status == 200 { Ok(got.data()["data"].clone()) } else { Err(got.status) }
    }

    /// The keys of a list, empty where it is 404.
    async fn keys(&self, method: &str, path: &str) -> Vec<String> {
        let got = self.call(method, path, Value::Null).await;
        keys_of(&got)
    }

    /// A token with a policy of these lines: path and capabilities.
    async fn token(&self, rules: &[(&str, &str)]) -> String {
        let text: String = rules
            .iter()
            .map(|(path, capabilities)| {
                let list: Vec<String> = capabilities.split(' ').map(|c| format!("{c:?}")).collect();
                format!("path {path:?} {{ capabilities = [{}] }}\n", list.join(", "))
            })
            .collect();
        self.token_of(text).await
    }

    /// A token with a policy of this text.
    async fn token_of(&self, text: String) -> String {
        let services = self.node.services();
        let tx = services.store.begin();
        let now = services.store.now();
        let name = format!("policy-{}", tx.new_id());
        let policy = PolicyRecord { text, written: now, version: 1, settings: Default::default() };
        tx.write(Scope::ROOT).put_named(0, &name, &policy).unwrap();
        let new = NewToken { policies: vec![name], ..NewToken::default() };
        let created = services.tokens.create(&tx, new, "", now).unwrap();
        tx.commit().await.unwrap();
        created.text.expose_secret().clone()
    }
}

/// An AWS operation as root: its data, or what AWS calls the failure and its text.
impl Room {
    async fn aws(&self, operation: &str, path: &str, body: Value) -> Result<Value, Failure> {
        let token = self.node.root.clone();
        self.aws_as(&token, operation, path, body).await
    }

    async fn aws_as(
        &self,
        token: &str,
        operation: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, Failure> {
        let slash = if path.is_empty() { "" } else { "/" };
        let path = format!("secret/aws/{operation}{slash}{path}");
        let got = self.node.call("AWS", &path, token, body).await;
        if got.status == 200 {
            return Ok(got.data().clone());
        }
        let code = got.body["code"].as_str().map_or_else(|| got.status.to_string(), str::to_owned);
        Err((code, got.errors()))
    }
}

/// What AWS calls a failure (or the status of one without a name), and its text.
type Failure = (String, String);

fn keys_of(got: &Got) -> Vec<String> {
    let keys = got.data()["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect()
}
