//! Cert through the whole pipeline.

mod entries;
mod logins;
mod revocation;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_testkit::certificates::{Owner, Wish};
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

/// A node with a cert mount, and a web around it.
struct Room {
    node: TestNode,
    web: Arc<SimWeb>,
    root: Owner,
}

impl Room {
    async fn new() -> Self {
        let web = SimWeb::new();
        let node = TestNode::start([super::over(web.clone())]).await;
        node.mount("cert", "auth/cert/").await;
        let root = Owner::root(node.clock.now().seconds(), "root");
        Self { node, web, root }
    }

    fn now(&self) -> i64 {
        self.node.clock.now().seconds()
    }

    /// A client of the root.
    fn client(&self, name: &str) -> Owner {
        self.root.issue(&Wish::client(self.now(), name))
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, &format!("auth/cert/{path}"), body).await
    }

    async fn ok(&self, path: &str, body: Value) -> Got {
        let got = self.call("WRITE", path, body).await;
        assert!(matches!(got.status, 200 | 204), "{path}: {got:?}");
        got
    }

    /// Trusts the root's clients, as `web`, with these fields besides.
    async fn trust(&self, fields: Value) {
        let mut body = json!({ "certificate": self.root.pem(), "policies": "p" });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ok("certs/web", body).await;
    }

    /// Logs in with these certificates.
    async fn login(&self, shown: &[&Owner]) -> Got {
        self.login_to(shown, json!({})).await
    }

    async fn login_to(&self, shown: &[&Owner], body: Value) -> Got {
        let certificates = shown.iter().map(|one| one.der()).collect();
        self.node.peer.lock().certificates = Arc::new(certificates);
        let got = self.node.call("WRITE", "auth/cert/login", "", body).await;
        if got.status != 200 {
            assert!(got.body["auth"].is_null(), "{got:?}");
        }
        got
    }

    /// The mount's background work, and what it began.
    async fn work(&self) {
        for _ in 0..3 {
            self.node.clock.advance(10);
            strongroom_kernel::reconcile::run_due(&self.node.services()).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }
}

const INVALID: &str = "invalid certificate or no client certificate supplied";
const NO_CHAIN: &str =
    "no chain matching all constraints could be found for this login certificate";
