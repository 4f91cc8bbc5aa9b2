//! What one request may take: time, the shape of its body; and that a panic is one 500, through the
//! whole pipeline.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_base::Result;
use strongroom_base::json::JsonLimits;
use strongroom_kernel::pipeline::Bounds;
use strongroom_kernel::plug::{Class, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_testkit::TestNode;
use tokio::sync::Notify;
use tokio::time::Instant;

/// An engine whose operations end when the test says so.
struct Slow(Arc<Notify>);

strongroom_base::fields! {
    /// Waits.
    pub struct Wait {
        /// What it names.
        name: String,
    }
}
strongroom_base::fields! {
    /// Waits for its turn at a record, then for the test.
    pub struct Hold {
        /// The record.
        name: String,
        /// Goes on at once.
        quick: Option<bool>,
    }
}
strongroom_base::fields! {
    /// Panics.
    pub struct Panic {
        /// What it names.
        name: String,
    }
}

ops! {
    Wait Value, Read;
    Hold Value, Write;
    Panic (), Delete;
}

impl Query<Wait> for Slow {
    async fn query(&self, _: &ReadCx<'_>, _: Wait) -> Result<Reply<Value>> {
        self.0.notified().await;
        Ok(Reply::data(json!({})))
    }
}
impl Command<Hold> for Slow {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Hold) -> Result<Reply<Value>> {
        cx.queue(&op.name).await;
        if op.quick != Some(true) {
            self.0.notified().await;
        }
        Ok(Reply::data(json!({ "name": op.name })))
    }
}
impl Command<Panic> for Slow {
    async fn command(&self, _: &mut WriteCx<'_>, _: Panic) -> Result<Reply<()>> {
        panic!("canary-of-the-panic")
    }
}

async fn start() -> (Arc<TestNode>, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let held = go.clone();
    let mut specs = crate::specs();
    specs.push(
        EngineSpec::new("kv", Class::Secret, move |_| Ok(Slow(held.clone())))
            .query::<Wait>("{name}")
            .command::<Hold>("{name}")
            .command::<Panic>("{name}")
            .build(),
    );
    let node = TestNode::start(specs).await;
    node.root("WRITE", "sys/mounts/slow", json!({"type": "kv"})).await;
    (Arc::new(node), go)
}

/// No time at all: what has to wait is given up, what has not is done.
pub fn at_once() -> Bounds {
    Bounds { deadline: Some(Instant::now()), ..Bounds::default() }
}

#[tokio::test]
async fn a_request_ends_at_its_deadline() {
    let (node, go) = start().await;
    let late = "the request took longer than max_request_duration allows";
    *node.bounds.lock() = at_once();
    let got = node.root("READ", "slow/a", Value::Null).await;
    assert_eq!((got.status, got.errors().as_str()), (503, late));

    // A command that waits for its turn gives up; the one before it is not touched.
    *node.bounds.lock() = Bounds::default();
    let first = tokio::spawn({
        let node = node.clone();
        async move { node.root("WRITE", "slow/a", json!({})).await }
    });
    tokio::task::yield_now().await;
    *node.bounds.lock() = at_once();
    let quick = json!({ "quick": true });
    let got = node.root("WRITE", "slow/a", quick.clone()).await;
    assert_eq!((got.status, got.errors().as_str()), (503, late));
    assert_eq!(node.root("WRITE", "slow/b", quick.clone()).await.status, 200);
    go.notify_waiters();
    assert_eq!(first.await.unwrap().data()["name"], "a");
    assert_eq!(node.root("WRITE", "slow/a", quick).await.status, 200);
}

#[tokio::test]
async fn a_body_is_within_what_its_listener_allows() {
    let (node, _) = start().await;
    let body = json!({ "quick": true, "more": { "a": ["b"] } });
    assert_eq!(node.root("WRITE", "slow/a", body.clone()).await.status, 200);
    let json = JsonLimits { depth: 2, ..JsonLimits::default() };
    *node.bounds.lock() = Bounds { json, ..Bounds::default() };
    let got = node.root("WRITE", "slow/a", body.clone()).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "JSON input is nested too deeply"));
    let json = JsonLimits { strings: 3, ..JsonLimits::default() };
    *node.bounds.lock() = Bounds { json, ..Bounds::default() };
    let got = node.root("WRITE", "slow/a", body).await;
    assert_eq!(
        (got.status, got.errors().as_str()),
        (400, "JSON input has too many or too long values")
    );
}

/// Threat GHSA-8w8f-r2xv-4q4j.
#[tokio::test]
async fn a_panic_is_one_500_and_has_its_line() {
    let (node, _) = start().await;
    let got = node.root("DELETE", "slow/fatal", Value::Null).await;
    assert_eq!((got.status, got.errors().as_str()), (500, "internal error"));
    assert_eq!(node.root("WRITE", "slow/a", json!({ "quick": true })).await.status, 200);
    let log = String::from_utf8(node.audit.contents()).unwrap();
    let of_it: Vec<&str> = log.lines().filter(|line| line.contains("slow/fatal")).collect();
    assert_eq!(of_it.len(), 2, "{log}");
    assert!(of_it[1].contains("internal error"), "{}", of_it[1]);
    assert!(!log.contains("canary-of-the-panic"));
}
