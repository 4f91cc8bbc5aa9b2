//! Azure through the whole pipeline, against a twin of a tenant and of Resource Manager.

mod places;
mod roles;
mod tokens;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_testkit::clouds::azure::{Azure, CLIENT_ID, CLIENT_SECRET, RESOURCE, TENANT};
use strongroom_testkit::servers::http::Asked;
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

const AUTHORITY: &str = "https://login.microsoftonline.com";
const MANAGER: &str = "https://management.azure.com";
const OID: &str = "bbbbbbbb-0000-0000-0000-000000000001";
const SUBSCRIPTION: &str = "cccccccc-0000-0000-0000-000000000001";

struct World {
    node: TestNode,
    web: Arc<SimWeb>,
    azure: Arc<Azure>,
}

impl World {
    /// A node with the method mounted and configured, with credentials.
    async fn new() -> Self {
        let web = SimWeb::new();
        let specs = strongroom_system::specs();
        let node = TestNode::start(specs.into_iter().chain([super::spec(web.clone())])).await;
        node.mount("azure", "auth/azure/").await;
        let azure = Azure::new(node.clock.clone(), AUTHORITY);
        for url in [AUTHORITY, MANAGER] {
            let azure = azure.clone();
            web.serve(url, move |call| azure.answer(&Asked::of(call)).into_answer());
        }
        let world = Self { node, web, azure };
        let body = json!({
            "tenant_id": TENANT, "resource": RESOURCE, "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        });
        world.must("config", body).await;
        world
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/azure/{path}"), body).await
    }

    async fn must(&self, path: &str, body: Value) {
        let got = self.write(path, body).await;
        assert!(got.status < 300, "{path}: {got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/azure/{path}"), Value::Null).await
    }

    /// Logs in as `body` says, with a token.
    async fn login_with(&self, jwt: &str, body: Value) -> Got {
        let mut body = body;
        body["jwt"] = json!(jwt);
        self.node.call("WRITE", "auth/azure/login", "", body).await
    }

    async fn login(&self, role: &str, jwt: &str) -> Got {
        self.login_with(jwt, json!({ "role": role })).await
    }

    /// A token of the identity, with some more claims.
    fn token(&self, more: Value) -> String {
        self.azure.signer.sign(&self.azure.claims(OID, &more))
    }

    fn now(&self) -> i64 {
        self.node.clock.now().seconds()
    }
}

fn refused(got: &Got, status: u16, text: &str) {
    assert_eq!(got.status, status, "{text}: {got:?}");
    assert!(got.errors().contains(text), "{text}: {got:?}");
    assert!(got.body["auth"].is_null(), "{got:?}");
}
