//! Rotation by functions: the engine asks a stand-in of the Lambda API, which calls back as functions do.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_connectors::web::{self, Answer, Answering, Call, Web};
use strongroom_testkit::databases::SimServers;

use strongroom_kernel::rotation::RotationStatus;

use super::*;

mod trials;

const V1: &str = "11111111-1111-4111-8111-111111111111";
const V2: &str = "22222222-2222-4222-8222-222222222222";
const V3: &str = "33333333-3333-4333-8333-333333333333";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:rotate";
/// What a function's answer may hold, and nobody sees.
const CANARY: &str = "hunter2-of-the-function";
const ENDPOINT: &str = "http://lambda.test:9001";

/// The Lambda API with one function, which rotates as AWS's templates do.
#[derive(Default)]
struct Lambda {
    node: OnceLock<Arc<TestNode>>,
    calls: Mutex<Vec<(Call, Value)>>,
    /// The step that fails, and how: a status, or 0 for a failure of the function.
    fails: Mutex<Option<(&'static str, u16)>>,
    /// What happens to the secret while this step is done.
    meddles: Mutex<Option<(&'static str, Meddling)>>,
    /// The secret called `slow` waits for this one's release.
    slow: Arc<tokio::sync::Mutex<()>>,
    waiting: AtomicU64,
}

type Meddling = fn(Arc<TestNode>, &'static str) -> Pin<Box<dyn Future<Output = ()> + Send>>;

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
        let arn = body["SecretId"].as_str().unwrap();
        let path = if arn.contains(":slow-") { "slow" } else { "app/db" };
        if path == "slow" && body["Step"] == "createSecret" {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            drop(self.slow.lock().await);
        }
        let call = async |operation: &str, body: Value| {
            node.root("AWS", &format!("secret/aws/{operation}/{path}"), body).await
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
                Some((_, status)) => {
                    answer.status = status;
                    answer.body = CANARY.as_bytes().into();
                }
                None => {
                    self.step(&body).await;
                    let meddles = *self.meddles.lock();
                    if let Some((at, meddle)) = meddles.filter(|(at, _)| step == *at) {
                        meddle(self.node.get().unwrap().clone(), at).await;
                    }
                }
            }
            Ok(answer)
        })
    }
}

async fn room() -> (Room, Arc<Lambda>) {
    let lambda = Arc::new(Lambda::default());
    let databases = SimServers::default().databases();
    let outside = crate::kv::Outside { web: lambda.clone(), databases };
    let room = Room::of(crate::kv::spec_with(outside)).await;
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

    /// Has what is due done, to its end.
    pub(super) async fn reconcile(&self) {
        let services = self.node.services();
        strongroom_kernel::reconcile::run_due(&services).await;
        services.rotations.idle().await;
    }

    /// Seconds go by, and what falls due is done.
    pub(super) async fn later(&self, seconds: i64) {
        self.node.clock.advance(seconds);
        self.reconcile().await;
    }

    /// The rotation of `app/db`, as the kernel has it.
    pub(super) async fn status(&self) -> RotationStatus {
        let services = self.node.services();
        let tx = services.store.begin();
        let table = services.router.table().await.unwrap();
        let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
        let status = services.rotations.status(&tx, scope, "data/app/db").await.unwrap();
        status.unwrap()
    }

    pub(super) async fn described(&self) -> Value {
        self.aws("describe-secret", "app/db", json!({})).await.unwrap()
    }
}

#[tokio::test]
async fn a_function_rotates_a_secret_in_four_steps() {
    let (room, lambda) = room().await;
    room.functions().await;
    let rules = json!({"rotation_lambda_arn": FUNCTION, "automatically_after_days": 10});
    *lambda.fails.lock() = Some(("createSecret", 0));
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
    *lambda.fails.lock() = None;
    lambda.calls.lock().clear();
    room.later(20).await;
    {
        let calls = lambda.calls.lock();
        let (call, body) = &calls[0];
        // Threat "answers of outside services are bounded in size": no more of it is looked at.
        assert_eq!(call.body_max, 64 * 1_024);
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
    assert_eq!(described["last_rotated_date"], json!(1_767_225_600.0 + 20.0));
    assert_eq!(described["next_rotation_date"], json!(1_767_225_600.0 + 10.0 * 86_400.0));
    assert_eq!(described["rotation_rules"], json!({"automatically_after_days": 10}));
    assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
    // The same request again finds it done.
    room.rotate(V2, json!({})).await.unwrap();
    room.later(10 * 86_400 - 25).await;
    assert_eq!(lambda.steps(), Vec::<String>::new());
    room.later(10).await;
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
    room.later(100 * 86_400).await;
    assert_eq!(lambda.steps(), Vec::<String>::new());
    // The function of before is taken up again.
    room.rotate(V3, json!({})).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
}

#[tokio::test]
async fn a_run_that_fails_leaves_the_secret_as_it_was_and_is_tried_again() {
    for (step, how, asked, again) in [
        ("createSecret", 0, 1, 4),
        ("setSecret", 500, 2, 4),
        ("testSecret", 1, 3, 2),
        ("finishSecret", 302, 4, 2),
    ] {
        let (room, lambda) = room().await;
        room.functions().await;
        *lambda.fails.lock() = Some((step, how));
        room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION})).await.unwrap();
        room.reconcile().await;
        room.reconcile().await;
        assert_eq!(lambda.steps().len(), asked, "{step}: once, for now");
        let described = room.described().await;
        assert!(described.get("last_rotated_date").is_none(), "{step}");
        assert_eq!(
            described["version_ids_to_stages"],
            json!({V1: ["AWSCURRENT"], V2: ["AWSPENDING"]}),
            "{step}"
        );
        let status = room.status().await;
        assert_eq!(status.attempts, 1, "{step}");
        assert!(status.error.starts_with(&format!("{step}: ")), "{}", status.error);
        // Threats CVE-2025-4166 and CVE-2025-52893.
        let log = String::from_utf8_lossy(&room.node.audit.contents()).into_owned();
        for shown in [&status.error, &log, &room.described().await.to_string()] {
            assert!(!shown.contains(CANARY), "{step}");
        }
        let said = room.rotate(V3, json!({})).await.unwrap_err();
        assert_eq!(said.0, "InvalidRequestException", "{step}: one run at a time");
        // It is tried again by itself, or at once by who asks again.
        *lambda.fails.lock() = None;
        if asked % 2 == 0 {
            room.rotate(V2, json!({})).await.unwrap();
            room.reconcile().await;
        } else {
            room.later(20).await;
        }
        assert_eq!(lambda.steps().len(), again, "{step}");
        assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
        assert_eq!(room.status().await.outcomes.len(), 1);
    }
}

/// API pages "DescribeSecret" and "RotationRulesType".
#[tokio::test]
async fn the_dates_of_a_rotation_are_those_that_aws_tells() {
    let (room, lambda) = room().await;
    room.functions().await;
    let rules = json!({"rotation_lambda_arn": FUNCTION, "schedule_expression": "rate(10 days)"});
    room.rotate(V2, rules).await.unwrap();
    let described = room.described().await;
    assert_eq!(described["rotation_rules"], json!({"schedule_expression": "rate(10 days)"}));
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
    let seen = async || {
        let described = room.described().await;
        let days = described["rotation_rules"]["automatically_after_days"].clone();
        (days, described["last_rotated_date"].as_f64(), described["next_rotation_date"].as_f64())
    };
    let (days, last, next) = seen().await;
    assert_eq!((days, next.is_some()), (json!(10), true));
    // What waits for its turn is no rotation, and what somebody publishes is one.
    room.later(4 * 86_400).await;
    let put = json!({"secret_string": "x", "version_stages": ["blue"]});
    room.aws("put-secret-value", "app/db", put).await.unwrap();
    assert_eq!(seen().await, (json!(10), last, next));
    room.aws("update-secret", "app/db", json!({"secret_string": "by hand"})).await.unwrap();
    let later = |time: Option<f64>| time.map(|time| time + 4.0 * 86_400.0);
    let (days, by_hand, after) = seen().await;
    assert_eq!((days, after), (json!(10), later(next)));
    assert!(by_hand >= later(last), "{by_hand:?} {last:?}");
    room.later(7 * 86_400).await;
    assert_eq!(lambda.steps().len(), 0, "it is counted from what was put");
    room.later(4 * 86_400).await;
    assert_eq!(lambda.steps().len(), 4);
    room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
    assert_eq!(seen().await, (Value::Null, None, None));
    let described = room.described().await;
    assert_eq!(described["rotation_enabled"], false);
    assert_eq!(described["rotation_rules"], json!({"schedule_expression": "rate(10 days)"}));
}

/// AWS takes a version that somebody put under AWSPENDING for the one of a rotation that is under way.
#[tokio::test]
async fn what_stands_under_awspending_holds_up_a_rotation() {
    let (room, lambda) = room().await;
    room.functions().await;
    let function = json!({"rotation_lambda_arn": FUNCTION});
    let put = |token: &str| {
        json!({"client_request_token": token, "secret_string": "by hand",
        "version_stages": ["AWSPENDING"]})
    };
    room.aws("put-secret-value", "app/db", put(V3)).await.unwrap();
    for more in [json!({}), json!({"rotate_immediately": false})] {
        let mut body = function.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let said = room.rotate(V2, body).await.unwrap_err();
        let text = "A previous rotation isn't complete. That rotation will be reattempted.";
        assert!(said.0 == "InvalidRequestException" && said.1.contains(text), "{said:?}");
    }
    assert!(room.described().await.get("rotation_enabled").is_none(), "nothing was changed");
    // The version's own token takes it up.
    room.rotate(V3, function.clone()).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
    assert_eq!(room.get("app/db").await, Ok(json!({"value": "by hand"})));
    // On the current version it holds up nothing.
    let label = json!({"version_stage": "AWSPENDING", "move_to_version_id": V3});
    let _ = room.aws("update-secret-version-stage", "app/db", label).await;
    room.rotate(V2, json!({})).await.unwrap();
    room.reconcile().await;
    assert_eq!(room.get("app/db").await, Ok(json!({"value": "rotated"})));
    // Nor where that version was the current one once.
    let label = json!({"version_stage": "AWSPENDING", "move_to_version_id": V1,
        "remove_from_version_id": V2});
    room.aws("update-secret-version-stage", "app/db", label).await.unwrap();
    let again = "44444444-4444-4444-8444-444444444444";
    room.rotate(again, json!({})).await.unwrap();
    room.reconcile().await;
    assert_eq!(room.described().await["version_ids_to_stages"][again][0], "AWSPENDING");
}

#[tokio::test]
async fn a_run_looks_at_its_secret_before_each_step() {
    async fn aws(node: &TestNode, operation: &str, body: Value) {
        let got = node.root("AWS", &format!("secret/aws/{operation}/app/db"), body).await;
        assert_eq!(got.status, 200, "{got:?}");
    }
    let deleted: Meddling =
        |node, _| Box::pin(async move { aws(&node, "delete-secret", json!({})).await });
    let purged: Meddling = |node, _| {
        let force = json!({"force_delete_without_recovery": true});
        Box::pin(async move { aws(&node, "delete-secret", force).await })
    };
    let cancelled: Meddling =
        |node, _| Box::pin(async move { aws(&node, "cancel-rotate-secret", json!({})).await });
    let relabelled: Meddling = |node, _| {
        let off = json!({"version_stage": "AWSPENDING", "remove_from_version_id": V2});
        Box::pin(async move { aws(&node, "update-secret-version-stage", off).await })
    };
    for (name, meddle) in [
        ("deleted", deleted),
        ("purged", purged),
        ("cancelled", cancelled),
        ("relabelled", relabelled),
    ] {
        for (step, asked) in [("createSecret", 1), ("setSecret", 2), ("testSecret", 3)] {
            let (room, lambda) = room().await;
            room.functions().await;
            *lambda.meddles.lock() = Some((step, meddle));
            room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION})).await.unwrap();
            room.reconcile().await;
            assert_eq!(lambda.steps().len(), asked, "{name} in {step}");
            let current = room.get("app/db").await;
            match name {
                "deleted" | "purged" => assert_eq!(current, Err(404)),
                _ => assert_eq!(current, Ok(json!({"value": "first"}))),
            }
        }
    }
}

/// A function that hangs holds up neither other secrets nor other mounts' work, and is called once.
#[tokio::test]
async fn a_slow_function_holds_up_nobody() {
    let (room, lambda) = room().await;
    room.functions().await;
    let body = json!({"client_request_token": V1, "secret_string": "first"});
    room.aws("create-secret", "slow", body).await.unwrap();
    let turn = lambda.slow.clone().lock_owned().await;
    let body = json!({"client_request_token": V2, "rotation_lambda_arn": FUNCTION,
        "region": "us-east-1", "arn": "arn:aws:secretsmanager:us-east-1:1:secret:slow"});
    room.aws("rotate-secret", "slow", body.clone()).await.unwrap();
    while lambda.waiting.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION})).await.unwrap();
    room.aws("rotate-secret", "slow", body).await.unwrap();
    // The mount's own work goes on.
    let services = room.node.services();
    strongroom_kernel::reconcile::run_due(&services).await;
    while room.get("app/db").await != Ok(json!({"value": "rotated"})) {
        tokio::task::yield_now().await;
    }
    assert_eq!(lambda.waiting.load(Ordering::Relaxed), 1, "one call for one step");
    drop(turn);
    room.reconcile().await;
    let of_slow = |(_, body): &&(Call, Value)| body["SecretId"].as_str().unwrap().contains("slow");
    let calls = lambda.calls.lock().iter().filter(of_slow).count();
    assert_eq!(calls, 4);
    assert_eq!(room.get("slow").await, Ok(json!({"value": "rotated"})));
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
    lambda.calls.lock().clear();
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
    room.later(2 * 86_400).await;
    assert_eq!(lambda.steps().len(), 0, "a deletion that is scheduled holds it up");
    room.aws("restore-secret", "app/db", json!({})).await.unwrap();
    room.later(5).await;
    assert_eq!(lambda.steps().len(), 4, "its time had come");
    let force = json!({"force_delete_without_recovery": true});
    room.aws("delete-secret", "app/db", force).await.unwrap();
    room.later(2 * 86_400).await;
    assert_eq!(lambda.steps().len(), 0);
    // One of the same name is another secret.
    let body = json!({"client_request_token": V1, "secret_string": "first"});
    room.aws("create-secret", "app/db", body).await.unwrap();
    assert!(room.described().await.get("rotation_enabled").is_none());
    room.rotate(V2, json!({"rotation_lambda_arn": FUNCTION})).await.unwrap();
    room.reconcile().await;
    assert_eq!(lambda.steps().len(), 4);
    // The end of the time for taking it back is the end of its rotation, too.
    room.aws("delete-secret", "app/db", json!({})).await.unwrap();
    room.later(31 * 86_400).await;
    let mut names = room.call("LIST", "secret/metadata/app", Value::Null).await;
    assert_eq!((names.status, std::mem::take(&mut names.body)["data"].take()), (404, Value::Null));
    assert_eq!(lambda.steps().len(), 0);
}
