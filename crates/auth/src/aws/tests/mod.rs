//! AWS through the whole pipeline, against a twin of STS and IAM.

mod answers;
mod parsers;
mod requests;
mod roles;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_cloudwire::caller_identity::{self, BODY, Signed};
use strongroom_testkit::clouds::aws::{Aws, Caller};
use strongroom_testkit::servers::http::Asked;
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

const ACCOUNT: &str = "123456789012";
const OTHER: &str = "999999999999";
const STS: &str = "https://sts.amazonaws.com/";
const IAM: &str = "https://iam.amazonaws.com/";
const SERVER_ID: &str = "vault.example.com";

/// A node with the method mounted, and the AWS around it.
struct World {
    node: TestNode,
    accessor: String,
    web: Arc<SimWeb>,
    aws: Arc<Aws>,
}

impl World {
    async fn new() -> Self {
        let web = SimWeb::new();
        let specs = strongroom_system::specs();
        let node = TestNode::start(specs.into_iter().chain([super::spec(web.clone())])).await;
        let accessor = node.mount("aws", "auth/aws/").await;
        let aws = Aws::new(node.clock.clone());
        let world = Self { node, accessor, web, aws };
        for url in [STS, IAM] {
            world.serve(url);
        }
        world
    }

    /// The twin answers at `url`.
    fn serve(&self, url: &str) {
        let aws = self.aws.clone();
        self.web.serve(url, move |call| aws.answer(&Asked::of(call)).into_answer());
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/aws/{path}"), body).await
    }

    async fn must(&self, path: &str, body: Value) {
        let got = self.write(path, body).await;
        assert!(got.status < 300, "{path}: {got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/aws/{path}"), Value::Null).await
    }

    fn signed(&self, caller: &Caller) -> Signed {
        let now = self.node.clock.now();
        caller_identity::signed(&caller.credentials(), "", SERVER_ID, now)
    }

    async fn send(&self, body: Value) -> Got {
        self.node.call("WRITE", "auth/aws/login", "", body).await
    }

    async fn login(&self, caller: &Caller, role: &str) -> Got {
        self.send(login(&self.signed(caller), role)).await
    }

    /// A session of the role `name`, which STS knows; IAM knows the role at `path`.
    fn session(&self, account: &str, path: &str, name: &str, id: &str) -> Caller {
        let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/i-0123");
        let caller = Caller::new(&format!("ASIA{id}"), &arn, &format!("{id}:i-0123"));
        self.aws.knows(&caller);
        self.aws.has(&format!("arn:aws:iam::{account}:role/{path}{name}"), id);
        caller
    }

    fn user(&self, account: &str, path: &str, name: &str, id: &str) -> Caller {
        let arn = format!("arn:aws:iam::{account}:user/{path}{name}");
        let caller = Caller::new(&format!("AKIA{id}"), &arn, id);
        self.aws.knows(&caller);
        self.aws.has(&arn, id);
        caller
    }

    /// Credentials of our own in an account.
    async fn own_credentials(&self, account: &str) {
        let arn = format!("arn:aws:iam::{account}:user/strongroom");
        let own = Caller::new("AKIAOWN", &arn, "AIDAOWN");
        self.aws.knows(&own);
        let body = json!({ "access_key": own.access_key, "secret_key": own.secret_key() });
        self.must("config/client", body).await;
    }
}

/// The body of a login.
fn login(signed: &Signed, role: &str) -> Value {
    let headers: serde_json::Map<String, Value> =
        signed.headers.iter().map(|(n, v)| (n.clone(), json!([v]))).collect();
    json!({
        "role": role,
        "iam_http_request_method": "POST",
        "iam_request_url": STANDARD.encode(&signed.url),
        "iam_request_body": STANDARD.encode(BODY),
        "iam_request_headers": STANDARD.encode(Value::Object(headers).to_string()),
    })
}

fn refused(got: &Got, status: u16, text: &str) {
    assert_eq!(got.status, status, "{text}: {got:?}");
    assert!(got.errors().contains(text), "{text}: {got:?}");
    assert!(got.body["auth"].is_null(), "{got:?}");
}
