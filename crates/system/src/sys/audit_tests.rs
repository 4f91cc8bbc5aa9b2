//! What the audit log shows of requests, and that nothing goes on without it.

use serde_json::{Value, json};
use strongroom_base::{Error, RequestPath, Result, SecretString};
use strongroom_kernel::audit::AuditOptions;
use strongroom_kernel::audit::medium::Medium;
use strongroom_kernel::node::KernelConfig;
use strongroom_kernel::pipeline::{Call, handle};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, Grant, GrantAlias, Login, Reply, Spec, Verb, WriteCx, ops,
};
use strongroom_kernel::record::rows;
use strongroom_testkit::{Got, TestNode, render};

use crate::testing::{records, settle};

/// An engine and auth method of which everything goes wrong that can.
struct Odd;

strongroom_base::fields! {
    /// Answers, in one of several ways.
    pub struct Answer {
        /// Which.
        how: String,
        /// A secret.
        secret: Option<SecretString>,
    }
}
strongroom_base::fields! {
    /// Logs in, in one of several ways.
    pub struct Enter {
        /// Which.
        how: String,
    }
}

ops! {
    Answer Value, Write;
    Enter (), Write;
}

const SECRET: &str = "c4n4ry";

impl Command<Answer> for Odd {
    async fn command(&self, _: &mut WriteCx<'_>, op: Answer) -> Result<Reply<Value>> {
        let nested = json!({ "a": [SECRET, { "b": SECRET, "n": 7, "t": true }], "c": null });
        match op.how.as_str() {
            "nested" => Ok(Reply::data(nested)),
            "raw" => Ok(Reply::raw("text/plain", SECRET.as_bytes().to_vec())),
            "failed" => Err(Error::not_found().with_data(nested)),
            "panic" => panic!("{SECRET}"),
            _ => Ok(Reply::none()),
        }
    }
}

impl Login<Enter> for Odd {
    async fn login(&self, cx: &mut WriteCx<'_>, op: Enter) -> Result<Grant> {
        let alias = GrantAlias { name: "somebody".to_owned(), ..GrantAlias::default() };
        let grant = Grant { alias: Some(alias), ..Grant::default() };
        match op.how.as_str() {
            "well" => Ok(grant),
            "panic" => panic!("{SECRET}"),
            _ => {
                // It has done its part, and then finds that it may not.
                cx.edit().put_row_bytes(strongroom_kernel::record::rows::HEADS, 1, b"half")?;
                Err(Error::bad_request("no"))
            }
        }
    }
}

fn odd(class: Class) -> Spec {
    EngineSpec::new("odd", class, |_| Ok(Odd))
        .command::<Answer>("answer/{how}")
        .login::<Enter>("login/{how}")
        .build()
}

async fn start() -> TestNode {
    let mut specs = crate::specs();
    specs.push(odd(Class::Secret));
    specs.push(odd(Class::Auth));
    let node = TestNode::start(specs).await;
    node.mount("odd", "odd/").await;
    node.mount("odd", "auth/odd/").await;
    node
}

/// Sends a request with headers.
async fn with_headers(node: &TestNode, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let call = Call {
        namespace: String::new(),
        path: RequestPath::parse(path).expect("a path"),
        verb: Verb::Write,
        protocol: Default::default(),
        head: false,
        token: Some(SecretString::new(node.root.clone())),
        inline: None,
        credential: None,
        body: body.to_owned().into(),
        query: Vec::new(),
        fields: None,
        upload: None,
        wrap_ttl: None,
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        peer: Default::default(),
        bounds: Default::default(),
    };
    render(handle(&node.node, call).await)
}

#[tokio::test]
async fn bodies_are_taken_as_the_peer_takes_them() {
    let node = start().await;
    let make = async |kind: &str, body: &str| {
        let headers = [("content-type", kind)];
        let headers = if kind.is_empty() { &[][..] } else { &headers };
        with_headers(&node, "auth/token/create", headers, body).await
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded; charset=utf-8");
    // Nothing, in its several forms.
    for body in ["", " \n", "null", " null\n", "{}"] {
        for kind in ["", json] {
            assert_eq!(make(kind, body).await.status, 200, "{kind} {body:?}");
        }
    }
    for body in ["[]", "[{}]", "1", "true", "\"x\"", "nul", "nullx", "{}x", "{} {}", "{\"a\":1"] {
        for kind in ["", json, "text/plain"] {
            assert_eq!(make(kind, body).await.status, 400, "{kind} {body:?}");
        }
    }
    // JSON under the type of a form is JSON; a name that comes again goes on after a comma.
    let name = async |got: Got| {
        assert_eq!(got.status, 200, "{got:?}");
        let body = json!({ "token": got.token() });
        let found = node.root("WRITE", "auth/token/lookup", body).await;
        found.data()["display_name"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(name(make(form, " {\"display_name\":\"j\"}").await).await, "token-j");
    let both = make(form, "display_name=a&policies=p&policies=q&display_name=b").await;
    assert_eq!(both.body["auth"]["token_policies"], json!(["default", "p", "q"]));
    assert_eq!(name(both).await, "token-a-b");
    for body in ["null", "display_name", "%zz=1", "=1"] {
        assert_eq!(make(form, body).await.status, 400, "{body:?}");
    }
    // Of a member that comes twice the last counts, and numbers are as large as they are.
    let twice = make(json, r#"{"display_name":"a","display_name":"b"}"#).await;
    assert_eq!(name(twice).await, "token-b");
    let huge = make(json, r#"{"num_uses":100000000000000000000000000}"#).await;
    assert_eq!(huge.status, 400, "{huge:?}");
}

fn lines(node: &TestNode) -> Vec<Value> {
    let log = String::from_utf8(node.audit.contents()).expect("a text");
    log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn request_headers_are_shown_as_configured() {
    let node = start().await;
    let at = "sys/config/auditing/request-headers";
    node.root("WRITE", &format!("{at}/X-Plain"), json!({})).await;
    node.root("WRITE", &format!("{at}/x-hashed"), json!({ "hmac": true })).await;
    let got = node.root("READ", at, Value::Null).await;
    let both = json!({ "x-plain": { "hmac": false }, "x-hashed": { "hmac": true } });
    assert_eq!(got.data()["headers"], both);
    let headers = [("x-plain", "p"), ("x-hashed", "h"), ("x-other", "o")];
    with_headers(&node, "odd/answer/none", &headers, "{}").await;
    let lines = lines(&node);
    for line in &lines[lines.len() - 2..] {
        let hash = node.services().audit.hash("h");
        let shown = json!({ "x-plain": ["p"], "x-hashed": [hash] });
        assert_eq!(line["request"]["headers"], shown, "{line}");
    }
    node.root("DELETE", &format!("{at}/x-plain"), Value::Null).await;
    with_headers(&node, "odd/answer/none", &headers, "{}").await;
    let last = self::lines(&node).pop().expect("a line");
    assert_eq!(last["request"]["headers"].as_object().map(|h| h.len()), Some(1));
}

/// Threats CVE-2025-62513, CVE-2025-62705, CVE-2026-46358, CVE-2024-8365: every type of value, and
/// whoever calls.
#[tokio::test]
async fn no_secret_of_any_type_is_plain_in_the_log() {
    let node = start().await;
    let device = json!({ "type": "file", "options": { "file_path": SECRET } });
    node.root("WRITE", "sys/audit/f", device).await;
    let nested = format!(r#"{{"secret":"{SECRET}","x":{{"{}":["{SECRET}"]}}}}"#, "k");
    for how in ["nested", "raw", "failed", "none", "panic"] {
        let path = format!("odd/answer/{how}");
        with_headers(&node, &path, &[("x-vault-mfa", SECRET)], &nested).await;
        // A body that is no JSON, and a gzipped one.
        with_headers(&node, &path, &[], SECRET).await;
        with_headers(&node, &path, &[], &format!("PK{SECRET}")).await;
        let body = json!({ "secret": SECRET, "password": SECRET });
        for token in ["", SECRET, node.root.as_str()] {
            node.call("WRITE", &path, token, body.clone()).await;
            node.call_with("", "WRITE", &path, token, body.clone(), Some(60)).await;
            node.call("WRITE", "auth/odd/login/well", token, body.clone()).await;
        }
    }
    let log = String::from_utf8(node.audit.contents()).expect("a text");
    assert!(!log.contains(SECRET), "{}", log.lines().find(|l| l.contains(SECRET)).unwrap_or(""));
    for token in ["hvs.", "hvb."] {
        assert!(!log.contains(token), "a token is plain");
    }
    // What was hashed can be found again by who knows it.
    assert!(log.contains(&node.services().audit.hash(SECRET)));
}

/// Threat GHSA-8w8f-r2xv-4q4j: a panic is that request's failure alone, and tells nothing.
#[tokio::test]
async fn a_panic_is_one_recorded_500() {
    let node = start().await;
    for (path, token) in [("odd/answer/panic", node.root.as_str()), ("auth/odd/login/panic", "")] {
        let got = node.call("WRITE", path, token, json!({})).await;
        assert_eq!((got.status, got.errors().as_str()), (500, "internal error"), "{path}");
        let last = lines(&node).pop().expect("a line");
        assert_eq!((&last["type"], &last["request"]["path"]), (&json!("response"), &json!(path)));
        assert_eq!(last["error"], "internal error");
    }
    assert_eq!(node.root("WRITE", "odd/answer/none", json!({})).await.status, 204);
    assert!(node.node.in_flight.all().is_empty());
}

/// Threat CVE-2026-46405: what a failed login did on its way is undone, and there is no token.
#[tokio::test]
async fn a_failed_login_leaves_nothing() {
    let node = start().await;
    settle(&node).await;
    let before = records(&node).await;
    for how in ["badly", "panic"] {
        let got = node.call("WRITE", &format!("auth/odd/login/{how}"), "", json!({})).await;
        assert!(matches!(got.status, 400 | 500), "{got:?}");
        assert!(got.body["auth"].is_null() && got.token().is_empty());
    }
    settle(&node).await;
    assert_eq!(records(&node).await, before);
    assert!(!lines(&node).iter().any(|line| !line["response"]["auth"].is_null()));
    let got = node.call("WRITE", "auth/odd/login/well", "", json!({})).await;
    assert_eq!(got.status, 200);
    settle(&node).await;
    assert!(records(&node).await > before);
}

/// What cannot be recorded is refused, and has no effect; what is recorded with its effect goes on,
/// and comes into the log when that takes lines again (threats: "If the node's own audit log cannot
/// record a request").
#[tokio::test]
async fn what_cannot_be_recorded_is_refused() {
    let node = start().await;
    let token = crate::testing::token_of(&node, "all").await;
    node.audit.set_broken(true);
    for (verb, path, caller) in [
        ("READ", "auth/token/lookup-self", token.as_str()),
        ("READ", "sys/mounts", ""),
        ("WRITE", "odd/answer/panic", token.as_str()),
    ] {
        let got = node.call(verb, path, caller, Value::Null).await;
        assert_eq!(got.status, 503, "{verb} {path}: {got:?}");
        assert!(got.body.get("data").is_none(), "{got:?}");
    }
    let got = node.root("READ", "sys/health", Value::Null).await;
    assert_ne!(got.status, 403, "{got:?}");
    node.audit.set_broken(false);
    let got = node.call("READ", "auth/token/lookup-self", &token, Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    let key = hex::decode(node.services().audit.public_key()).expect("a key");
    let verified = strongroom_kernel::audit::verify::verify(&node.audit.contents(), Some(&key));
    assert!(verified.is_ok(), "{verified:?}");
}

/// A device that takes no lines lags; requests go on, and operators see it (threats: "a stalled
/// sink only lags"; observed: bao 2.6.2 hangs).
#[tokio::test]
async fn a_stalled_device_only_lags() {
    let node = start().await;
    let got = node.root("WRITE", "sys/audit/s", json!({ "type": "socket" })).await;
    assert_eq!(got.status, 204, "{got:?}");
    for _ in 0..50 {
        assert_eq!(node.root("WRITE", "odd/answer/none", json!({})).await.status, 204);
    }
    let shown = async |name: &str| {
        let got = node.root("READ", "sys/metrics", Value::Null).await;
        let gauges = got.body["Gauges"].as_array().expect("a list").clone();
        let found = gauges.iter().find(|g| g["Name"] == name).map(|g| g["Value"].clone());
        found.and_then(|value| value.as_u64()).unwrap_or(0)
    };
    // The device's own task finds out when it is let run.
    while shown("strongroom_audit_sink_failing").await == 0 {
        tokio::task::yield_now().await;
    }
    assert!(shown("strongroom_audit_sink_lag").await >= 100);
    assert_eq!(node.root("DELETE", "sys/audit/s", Value::Null).await.status, 204);
    assert_eq!(shown("strongroom_audit_sink_failing").await, 0);
}

/// Nobody waits for the sync of a whole segment: one that is long enough ends after it was synced, with
/// the next lines.
#[tokio::test]
async fn a_segment_is_synced_before_it_ends() {
    const LENGTH: u64 = 50_000;
    let mut specs = crate::specs();
    specs.push(odd(Class::Secret));
    let audit = AuditOptions { segment_bytes: LENGTH, ..AuditOptions::default() };
    let node = TestNode::start_with(specs, KernelConfig { audit, ..KernelConfig::default() }).await;
    node.mount("odd", "odd/").await;
    let write = async || {
        assert_eq!(node.root("WRITE", "odd/answer/none", json!({})).await.status, 204);
        node.audit.segments().expect("segments")
    };
    let mut segments = write().await;
    while segments[0].bytes < LENGTH {
        segments = write().await;
        assert_eq!(segments.len(), 1);
    }
    assert_eq!(write().await.len(), 1, "it is long enough, and not synced yet");
    node.services().audit.tick(node.services().store.now()).await.expect("a tick");
    assert_eq!(write().await.len(), 2);
    // Without any sync it grows, but not without end.
    let mut written = 0;
    while write().await.len() == 2 {
        written += 1;
        assert!(written < 1_000);
    }
    let bytes = node.audit.segments().expect("segments")[1].bytes;
    assert!((4 * LENGTH..5 * LENGTH).contains(&bytes), "{bytes}");
}

/// The rows that carry lines through a crash stay until the lines are in the log.
#[tokio::test]
async fn the_outbox_is_kept_while_the_log_cannot_be_written() {
    let node = crate::testing::node().await;
    let services = node.services();
    let store = services.store.clone();
    let left = async || {
        let page = store.storage.scan_rows(rows::OUTBOX, 0, 1 << 40, 100).done().await;
        page.expect("a scan").len()
    };
    let tick = async || services.audit.tick(store.now()).await;
    tick().await.expect("a tick");
    assert_eq!(left().await, 0);
    node.audit.set_broken(true);
    let policy = json!({ "policy": "path \"a\" { capabilities = [\"read\"] }" });
    let got = node.root("WRITE", "sys/policies/acl/p", policy).await;
    assert_eq!(got.status, 204, "{got:?}");
    for _ in 0..2 {
        assert!(tick().await.is_err());
        assert_eq!(left().await, 1);
    }
    node.audit.set_broken(false);
    tick().await.expect("a tick");
    tick().await.expect("a tick");
    assert_eq!(left().await, 0);
    let log = String::from_utf8(node.audit.contents()).expect("text");
    assert_eq!(log.matches("\"path\":\"sys/policies/acl/p\"").count(), 2);
}

/// Old segments wait for a device that lags, until the disk is full.
#[tokio::test]
async fn retention_waits_for_a_device_that_lags() {
    let mut specs = crate::specs();
    specs.push(odd(Class::Secret));
    let config = KernelConfig {
        audit: AuditOptions {
            segment_bytes: 1_000,
            retention: Some(60),
            ..AuditOptions::default()
        },
        ..KernelConfig::default()
    };
    let node = TestNode::start_with(specs, config).await;
    node.mount("odd", "odd/").await;
    let write = async || {
        for _ in 0..20 {
            assert_eq!(node.root("WRITE", "odd/answer/none", json!({})).await.status, 204);
        }
        node.services().audit.tick(node.services().store.now()).await.expect("a tick");
        node.audit.segments().expect("segments").len()
    };
    assert_eq!(write().await, 1, "what nobody waits for goes when it is old");
    let device = json!({ "type": "socket" });
    assert_eq!(node.root("WRITE", "sys/audit/s", device).await.status, 204);
    let (some, more) = (write().await, write().await);
    assert!(some > 2 && more > some, "{some} {more}");
    node.audit.set_full(true);
    node.services().audit.tick(node.services().store.now()).await.expect("a tick");
    node.audit.set_full(false);
    assert_eq!(node.audit.segments().expect("segments").len(), 1, "the room is needed");
    assert!(write().await > 2);
    assert_eq!(node.root("DELETE", "sys/audit/s", Value::Null).await.status, 204);
    assert_eq!(write().await, 1, "nobody waits any more");
}
