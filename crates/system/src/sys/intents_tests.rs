//! What is made outside of the store is never left behind, whatever becomes of its request.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_base::{Error, Json, Result};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, LeaseKind, NewLease, Reply, Spec, WriteCx, ops,
};
use strongroom_testkit::TestNode;
use tokio::sync::Notify;

use crate::testing::{records, settle, token};

/// What the test engine made.
#[derive(Default)]
struct Outside {
    there: Mutex<BTreeSet<String>>,
    asked_to_revoke: Mutex<usize>,
    /// A `waits` was made.
    made: Notify,
    /// It may go on.
    go_on: Notify,
}

type Shared = Arc<Outside>;

struct Maker(Shared);

strongroom_base::fields! {
    /// Makes something.
    pub struct Make {
        /// What becomes of the request.
        fate: String,
    }
}

ops! { Make Json, Write; }

impl Command<Make> for Maker {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Make) -> Result<Reply<Json>> {
        let lease = NewLease {
            ttl_seconds: Some(600),
            max_ttl_seconds: Some(3_600),
            renewable: true,
            internal: json!({ "name": op.fate }),
        };
        cx.intend(&lease).await?;
        if op.fate == "unreachable" {
            cx.withdraw().await?;
            return Err(Error::unavailable("the outside is not there"));
        }
        self.0.there.lock().insert(op.fate.clone());
        match op.fate.as_str() {
            "refused" => return Err(Error::bad_request("refused by the outside")),
            "panics" => panic!("on purpose"),
            "waits" => {
                self.0.made.notify_one();
                self.0.go_on.notified().await;
            }
            _ => {}
        }
        let mut reply = Reply::data(json!({ "name": op.fate }));
        reply.lease = (op.fate != "leaseless").then(|| Box::new(lease));
        Ok(reply)
    }
}

impl LeaseKind for Maker {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, _: &Json, ttl: i64) -> Result<i64> {
        Ok(ttl)
    }

    async fn revoke_lease(&self, _: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        *self.0.asked_to_revoke.lock() += 1;
        self.0.there.lock().remove(internal["name"].as_str().unwrap_or_default());
        Ok(())
    }
}

fn maker(outside: Shared) -> Spec {
    EngineSpec::new("maker", Class::Secret, move |_| Ok(Maker(outside.clone())))
        .command::<Make>("make/{fate}")
        .leases()
        .build()
}

async fn start() -> (Arc<TestNode>, Shared) {
    let outside = Shared::default();
    let node = TestNode::start(crate::specs().into_iter().chain([maker(outside.clone())])).await;
    node.mount("maker", "db/").await;
    (Arc::new(node), outside)
}

/// A request that has made something and waits.
async fn waiting(
    node: &Arc<TestNode>,
    outside: &Shared,
    caller: &str,
) -> tokio::task::JoinHandle<strongroom_testkit::Got> {
    let (runs, caller) = (node.clone(), caller.to_owned());
    let request =
        tokio::spawn(async move { runs.call("WRITE", "db/make/waits", &caller, json!({})).await });
    outside.made.notified().await;
    request
}

#[tokio::test]
async fn what_was_made_and_not_told_is_taken_back() {
    for (fate, status, asked) in [
        ("refused", 400, 1),
        ("panics", 500, 1),
        ("leaseless", 200, 1),
        // Nothing was made, so nobody is asked.
        ("unreachable", 503, 0),
        ("fine", 200, 0),
    ] {
        let (node, outside) = start().await;
        // The first of a path gives the path its number.
        let _ = node.root("WRITE", "db/make/unreachable", json!({})).await;
        let before = records(&node).await;
        let got = node.root("WRITE", &format!("db/make/{fate}"), json!({})).await;
        assert_eq!(got.status, status, "{fate}: {got:?}");
        // Once at once, and once more in case the outside was slower than that.
        for times in [1, 2] {
            settle(&node).await;
            assert_eq!(*outside.asked_to_revoke.lock(), asked * times, "{fate}");
            assert_eq!(outside.there.lock().len(), usize::from(fate == "fine"), "{fate}");
            node.clock.advance(300);
        }
        if fate == "unreachable" {
            assert_eq!(records(&node).await, before, "nothing is left of it");
        }
        let path = format!("sys/leases/lookup/db/make/{fate}");
        let listed = node.root("LIST", &path, Value::Null).await;
        let keys = listed.data()["keys"].as_array().map_or(0, Vec::len);
        assert_eq!(keys, usize::from(fate == "fine"), "{fate}");
        let lines = String::from_utf8(node.audit.contents()).expect("text");
        assert_eq!(lines.contains("\"reason\":\"unfinished\""), asked == 1, "{fate}");
        let intent = lines.find("\"operation\":\"intend\"").expect("the intent has a line");
        let revoked = lines.find("\"operation\":\"revoke\"");
        assert!(revoked.is_none_or(|at| at > intent), "{fate}");
    }
}

#[tokio::test]
async fn what_is_being_made_is_taken_back_only_once_its_request_has_ended() {
    // What ends a lease meanwhile, and what the caller of it is.
    for ends in ["nothing", "the prefix", "the token"] {
        let (node, outside) = start().await;
        node.policy("make", r#"path "db/*" { capabilities = ["create", "update"] }"#).await;
        let caller = token(&node, json!({ "policies": ["make"] })).await;
        let request = waiting(&node, &outside, &caller).await;
        let got = match ends {
            "the prefix" => node.root("WRITE", "sys/leases/revoke-prefix/db", json!({})).await,
            "the token" => {
                node.root("WRITE", "auth/token/revoke", json!({ "token": caller })).await
            }
            _ => node.root("READ", "sys/mounts", Value::Null).await,
        };
        assert!(got.status < 300, "{ends}: {got:?}");
        settle(&node).await;
        assert_eq!(*outside.asked_to_revoke.lock(), 0, "{ends}: it may still be made");
        outside.go_on.notify_one();
        let got = request.await.expect("answers");
        settle(&node).await;
        let told = ends == "nothing";
        assert_eq!(got.status < 300, told, "{ends}: {got:?}");
        assert_eq!(outside.there.lock().contains("waits"), told, "{ends}");
    }
}

#[tokio::test]
async fn whoever_dies_between_making_and_telling_leaves_nothing_behind() {
    let (node, outside) = start().await;
    let request = waiting(&node, &outside, &node.root.clone()).await;
    assert!(outside.there.lock().contains("waits"));
    request.abort();
    let _ = request.await;
    settle(&node).await;
    assert!(outside.there.lock().is_empty());
    // What the outside does late is found the second time.
    outside.there.lock().insert("waits".to_owned());
    node.clock.advance(300);
    settle(&node).await;
    assert!(outside.there.lock().is_empty());
    let listed = node.root("LIST", "sys/leases/lookup/db/make/waits", Value::Null).await;
    assert_eq!(listed.data()["keys"], Value::Null);
}

/// A request goes on outside while the node is sealed and opened again, and is not forgotten.
#[tokio::test]
async fn what_is_made_in_an_earlier_life_of_the_node_is_taken_back() {
    let (node, outside) = start().await;
    let request = waiting(&node, &outside, &node.root.clone()).await;
    assert_eq!(node.root("WRITE", "sys/seal", json!({})).await.status, 204);
    node.unseal().await;
    settle(&node).await;
    assert_eq!(*outside.asked_to_revoke.lock(), 0, "it may still be made");
    outside.go_on.notify_one();
    let got = request.await.expect("answers");
    assert_eq!(got.status, 503, "{got:?}");
    settle(&node).await;
    assert!(outside.there.lock().is_empty());
}
