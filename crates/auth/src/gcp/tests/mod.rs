//! Google Cloud through the whole pipeline, against a twin of Google's APIs.

mod instances;
mod roles;
mod tokens;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_testkit::clouds::google::{Account, Google};
use strongroom_testkit::servers::http::Asked;
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

const API: &str = "https://www.googleapis.com/";
const IAM: &str = "https://iam.googleapis.com/";
const TOKEN: &str = "https://oauth2.googleapis.com/token";
const COMPUTE: &str = "https://compute.googleapis.com/";
const CRM: &str = "https://cloudresourcemanager.googleapis.com/";

struct World {
    node: TestNode,
    accessor: String,
    web: Arc<SimWeb>,
    google: Arc<Google>,
}

impl World {
    /// A node with the method mounted and credentials for Google.
    async fn new() -> Self {
        let world = Self::without_credentials().await;
        world.must("config", json!({ "credentials": world.google.credentials("") })).await;
        world
    }

    async fn without_credentials() -> Self {
        let web = SimWeb::new();
        let specs = strongroom_system::specs();
        let node = TestNode::start(specs.into_iter().chain([super::spec(web.clone())])).await;
        let accessor = node.mount("gcp", "auth/gcp/").await;
        let google = Google::new(node.clock.clone());
        for url in [API, IAM, TOKEN, COMPUTE, CRM] {
            let google = google.clone();
            web.serve(url, move |call| google.answer(&Asked::of(call)).into_answer());
        }
        Self { node, accessor, web, google }
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/gcp/{path}"), body).await
    }

    async fn must(&self, path: &str, body: Value) {
        let got = self.write(path, body).await;
        assert!(got.status < 300, "{path}: {got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/gcp/{path}"), Value::Null).await
    }

    async fn login(&self, role: &str, jwt: &str) -> Got {
        let body = json!({ "role": role, "jwt": jwt });
        self.node.call("WRITE", "auth/gcp/login", "", body).await
    }

    /// Renews a token; the error's text where it is refused.
    async fn renew(&self, token: &str) -> Result<(), String> {
        let got = self.node.call("WRITE", "auth/token/renew-self", token, json!({})).await;
        if got.status == 200 { Ok(()) } else { Err(got.errors()) }
    }

    /// The account `app` of the project `shop`, and a role `app` that it may take.
    async fn app(&self) -> Arc<Account> {
        let app = self.google.has(Account::new("app", "shop", "111"));
        let body = json!({
            "type": "iam", "bound_service_accounts": app.email, "token_ttl": 60,
            "token_policies": "p",
        });
        self.must("role/app", body).await;
        app
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
