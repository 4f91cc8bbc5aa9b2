//! Rotation by functions: the engine asks a stand-in of the Lambda API, which calls back as functions do.

use std::sync::OnceLock;

use parking_lot::Mutex;
use strongroom_connectors::web::{self, Answer, Answering, Call, Web};

use super::*;

const V1: &str = "11111111-1111-4111-8111-111111111111";
const V2: &str = "22222222-2222-4222-8222-222222222222";
const V3: &str = "33333333-3333-4333-8333-333333333333";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:rotate";
const ENDPOINT: &str = "http://lambda.test:9001";

/// The Lambda API with one function, which rotates as AWS's templates do.
#[derive(Default)]
struct Lambda {
    node: OnceLock<Arc<TestNode>>,
    calls: Mutex<Vec<(Call, Value)>>,
    /// The step that fails, and how: a status, or 0 for a failure of the function.
    fails: Mutex<Option<(&'static str, u16)>>,
}

impl std::fmt::Debug for Lambda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lambda")
    }
}

impl Lambda {
    /// The steps that were asked for since.
    fn steps(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.calls.lock());
        calls.iter().map(|(_, body)| body["Step"].as_str().unwrap().to_owned()).collect()
    }

    async fn step(&self, body: &Value) {
        let node = self.node.get().unwrap();
        let call = async |operation: &str, body: Value| {
            node.root("AWS", &format!("secret/aws/{operation}/app/db"), body).await
        };
        let token = &body["ClientRequestToken"];
        match body["Step"].as_str().unwrap() {
            "createSecret" => {
                let pending = json!({"version_id": token, "version_stage": "AWSPENDING"});
                if call("get-secret-value", pending).await.status == 404 {
                    let body = json!({"client_request_token": token,
                        "version_stages": ["AWSPENDING"], "secret_string": "rotated"});
                    assert_eq!(call("put-secret-value", body).await.status, 200);
                }
            }
            "finishSecret" => {
                let current =
                    call("get-secret-value", json!({})).await.data()["version_id"].clone();
                let body = json!({"version_stage": "AWSCURRENT", "remove_from_version_id": current,
                    "move_to_version_id": token});
                assert_eq!(call("update-secret-version-stage", body).await.status, 200);
            }
            _ => {}
        }
    }
}

impl Web for Lambda {
    fn call(&self, call: Call) -> Answering<'_> {
        Box::pin(async move {
            let body: Value = serde_json::from_slice(call.body.expose_secret()).unwrap();
            let step = body["Step"].clone();
            self.calls.lock().push((call, body.clone()));
            let mut answer = Answer {
                status: 200,
                headers: Default::default(),
                body: b"null".as_slice().into(),
            };
            let failing = *self.fails.lock();
            match failing.filter(|(fails, _)| step == *fails) {
                Some((_, 0)) => {
                    answer.headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
                }
                Some((_, 1)) => return Err(web::Failure::new("timed out")),
                Some((_, status)) => answer.status = status,
                None => self.step(&body).await,
            }
            Ok(answer)
        })
    }
}

async fn room() -> (Room, Arc<Lambda>) {
    let lambda = Arc::new(Lambda::default());
    let room = Room::of(crate::kv::spec_with(lambda.clone())).await;
    lambda.node.set(room.node.clone()).ok().unwrap();
    let body = json!({"client_request_token": V1, "secret_string": "first"});
    room.aws("create-secret", "app/db", body).await.unwrap();
    (room, lambda)
}

impl Room {
    async fn functions(&self) {
        let body = json!({"endpoint": ENDPOINT, "access_key": "AKIAEXAMPLE", "secret_key": "hunter2",
            "allowed_urls": ["https://functions.test/mine/"]});
        self.ok("WRITE", "secret/config/rotation-functions", body).await;
    }

    async fn rotate(&self, token: &str, more: Value) -> Result<Value, Failure> {
        let mut body = json!({"client_request_token": token, "region": "us-east-1",
            "arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.aws("rotate-secret", "app/db", body).await
    }

    async fn reconcile(&self) {
        strongroom_kernel::reconcile::run_due(&self.node.services()).await;
    }

    async fn described(&self) -> Value {
        self.aws("describe-secret", "app/db", json!({})).await.unwrap()
    }
}

#[tokio::test]
async fn a_function_rotates_a_secret_in_four_steps() {
    let (room, lambda) = room().await;
    room.functions().await;
    let rules = json!({"rotation_lambda_arn": FUNCTION, "automatically_after_days": 10});
    let begun = room.rotate(V2, rules).await.unwrap();
    assert_eq!(begun["version_id"], V2);
    // It is there at once, without a value; and the function finds rotation enabled.
    let described = room.described().await;
    assert_eq!(described["rotation_enabled"], true);
    assert_eq!(described["version_ids_to_stages"], json!({V1: ["AWSCURRENT"], V2: ["AWSPENDING"]}));
    let pending = json!({"version_stage": "AWSPENDING"});
    let said = room.aws("get-secret-value", "app/db", pending).await.unwrap_err();
    assert_eq!(said.0, "ResourceNotFoundException");
    let said = room.rotate(V3, json!({})).await.unwrap_err();
    assert_eq!(said.0, "InvalidRequestException", "one run at a time");
    room.rotate(V2, json!({})).await.unwrap();

    room.reconcile().await;
    {
        let calls = lambda.calls.lock();
        let (call, body) = &calls[0];
        assert_eq!(
            call.url,
            format!(
                "{ENDPOINT}/2015-03-31/functions/\
                 arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Arotate/invocations"
            )
        );
        let arn = body["SecretId"].as_str().unwrap();
        assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-"));
        assert!(arn.ends_with(described["suffix"].as_str().unwrap()));
        assert_eq!(body["ClientRequestToken"], V2);
        assert_eq!(call.headers["x-amz-invocation-type"], "RequestResponse");
        let signed = call.headers["authorization"].to_str().unwrap();
        assert!(signed.contains("AKIAEXAMPLE/20260101/us-east-1/lambda/aws4_request"), "{signed}");
    }
    assert_eq!(lambda.steps(), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    let described = room.described().await;
    assert_eq!(
        described["version_ids_to_stages"],
        json!({V1: ["AWSPREVIOUS"], V2: ["AWSPENDING", "AWSCURRENT"]})
    );
    assert_eq!(described["last_rotated_date"], json!(1_767_225_600.0));
    assert_eq!(described["next_rotation_date"], json!(1_767_225_600.0 + 10.0 * 86_400.0));
    assert_eq!(described["rotation_rules"], json!({"automatically_after_days": 10}));
    assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
    // The same request again finds it done.
    room.rotate(V2, json!({})).await.unwrap();
    room.node.clock.advance(10 * 86_400 - 1);
    room.reconcile().await;
    assert_eq!(lambda.steps(), Vec::<String>::new());
    room.node.clock.advance(5);
    room.reconcile().await;
    assert_eq!(lambda.steps(), ["createSecret", "setSecret", "testSecret", "finishSecret"]);
    // Its ARN is what the function knows it by.
    for to in ["app/other", "elsewhere/db"] {
        let got = room.call("WRITE", "secret/move/app/db", json!({ "to": to })).await;
        assert_eq!(got.status, 400, "{got:?}");
    }
    let got = room.call("WRITE", "secret/move/app", json!({"to": "b", "recursive": true})).await;
    assert_eq!(got.status, 400, "{got:?}");
    room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
    let described = room.described().await;
    assert_eq!(described["rotation_enabled"], false);
    assert_eq!(described["rotation_lambda_arn"], FUNCTION);
    assert!(described.get("next_rotation_date").is_none());
    room.node.clock.advance(100 * 86_400);
    room.reconcile().await;
    assert_eq!(lambda.steps(), Vec::<String>::new());
    // The function of before is taken up again.
    room.rotate(V3, json!({})).await.unwrap();
    room.node.clock.advance(5);
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
}

#[tokio::test]
async fn a_run_that_fails_leaves_the_secret_as_it_was() {
    for (step, how, asked) in [
        ("createSecret", 0, 1),
        ("setSecret", 500, 2),
        ("testSecret", 1, 3),
        ("finishSecret", 302, 4),
    ] {
        let (room, lambda) = room().await;
        room.functions().await;
        *lambda.fails.lock() = Some((step, how));
        room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION})).await.unwrap();
        room.reconcile().await;
        room.reconcile().await;
        assert_eq!(lambda.steps().len(), asked, "{step}: it is not made again by itself");
        let described = room.described().await;
        assert!(described.get("last_rotated_date").is_none(), "{step}");
        assert_eq!(
            described["version_ids_to_stages"],
            json!({V1: ["AWSCURRENT"], V2: ["AWSPENDING"]}),
            "{step}"
        );
        // The next takes it up, or begins anew.
        *lambda.fails.lock() = None;
        let token = if asked % 2 == 0 { V2 } else { V3 };
        room.rotate(token, json!({})).await.unwrap();
        room.node.clock.advance(5);
        room.reconcile().await;
        assert_eq!(lambda.steps().len(), 4, "{step}");
        assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
    }
}

#[tokio::test]
async fn not_now_tries_the_function_alone() {
    let (room, lambda) = room().await;
    room.functions().await;
    let body = json!({"rotation_lambda_arn": "https://functions.test/mine/rotate",
        "schedule_expression": "rate(1 day)", "duration": "2h", "rotate_immediately": false});
    room.rotate(V2, body).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.calls.lock()[0].0.url, "https://functions.test/mine/rotate");
    assert!(!lambda.calls.lock()[0].0.headers.contains_key("authorization"));
    assert_eq!(lambda.steps(), ["testSecret"]);
    let described = room.described().await;
    assert_eq!(described["version_ids_to_stages"], json!({V1: ["AWSCURRENT"]}));
    assert_eq!(
        described["rotation_rules"],
        json!({"schedule_expression": "rate(1 day)", "duration": "2h"})
    );
    assert!(described.get("last_rotated_date").is_none());
    room.node.clock.advance(86_400);
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
}

#[tokio::test]
async fn calls_go_where_an_operator_says_and_nowhere_else() {
    let (room, lambda) = room().await;
    let rotate = async |function: &str| {
        let said = room.rotate(V2, json!({"rotation_lambda_arn": function})).await;
        said.map(|_| ()).map_err(|e| e.0)
    };
    let refused = Err("InvalidRequestException".to_owned());
    assert_eq!(rotate(FUNCTION).await, refused, "no endpoint yet");
    room.functions().await;
    for function in [
        "https://functions.test/other",
        "https://functions.test/mine",
        "https://functions.test/mine/../other",
        "https://functions.test/mine/%2e%2e/other",
        "https://functions.test.evil/mine/x",
        "http://functions.test/mine/x",
    ] {
        assert_eq!(rotate(function).await, refused, "{function}");
    }
    assert_eq!(room.described().await.get("rotation_enabled"), None, "nothing is kept");
    for body in [
        json!({"endpoint": "ftp://x"}),
        json!({"endpoint": "https://user@x"}),
        json!({"endpoint": "https://x?y"}),
        json!({"allowed_urls": ["x"]}),
        json!({"ca_cert": "none"}),
    ] {
        let got = room.call("WRITE", "secret/config/rotation-functions", body.clone()).await;
        assert_eq!(got.status, 400, "{body}");
    }
    let read = room.ok("READ", "secret/config/rotation-functions", json!(null)).await;
    assert_eq!(read["endpoint"], ENDPOINT);
    assert!(!read.to_string().contains("hunter2"));
    // Another endpoint does not get the key of the one before.
    let other = json!({"endpoint": "http://other.test"});
    room.ok("WRITE", "secret/config/rotation-functions", other).await;
    rotate(FUNCTION).await.unwrap();
    room.reconcile().await;
    assert!(!lambda.calls.lock()[0].0.headers.contains_key("authorization"));
    room.ok("DELETE", "secret/config/rotation-functions", json!(null)).await;
    let got = room.call("READ", "secret/config/rotation-functions", json!(null)).await;
    assert_eq!(got.status, 404);
}

#[tokio::test]
async fn a_secret_that_goes_is_rotated_no_more() {
    let (room, lambda) = room().await;
    room.functions().await;
    let rules = json!({"rotation_lambda_arn": FUNCTION, "automatically_after_days": 1});
    room.rotate(V2, rules.clone()).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
    room.aws("delete-secret", "app/db", json!({})).await.unwrap();
    room.node.clock.advance(2 * 86_400);
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 0, "a deletion that is scheduled holds it up");
    room.aws("restore-secret", "app/db", json!({})).await.unwrap();
    room.node.clock.advance(86_400);
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
    room.aws("delete-secret", "app/db", json!({"force_delete_without_recovery": true}))
        .await
        .unwrap();
    room.node.clock.advance(2 * 86_400);
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 0);
}
