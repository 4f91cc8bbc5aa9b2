//! Commits whose outcome nobody knows: what their callers learn, that their lines come into the audit log once
//! it is known, and that no key is lost.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_base::{Clock, ErrorKind};
use strongroom_kernel::audit::medium::MemoryMedium;
use strongroom_kernel::audit::verify::verify;
use strongroom_kernel::node::{InitRequest, KernelConfig, Node};
use strongroom_kernel::plug::{Registry, Verb};
use strongroom_kernel::reconcile::run_due;
use strongroom_kernel::record::rows;
use strongroom_kernel::seal::ceremony::SharePlan;
use strongroom_storage::memory::{Fault, MemoryStorage};
use strongroom_storage::{ROW_ID_END, Storage, StorageError};
use strongroom_testkit::{Got, MemorySinks, SimRng, TestNode};

use crate::testing::others_turns;

const POLICY: &str = "sys/policies/acl/p";
const IN_DOUBT: &str = "whether it was made is not known";

fn in_doubt(applied: bool) -> Fault {
    Fault { error: StorageError::InDoubt("a test".to_owned()), applied }
}

async fn put_policy(node: &TestNode) -> Got {
    node.root("WRITE", POLICY, json!({ "policy": "path \"a\" {capabilities=[\"read\"]}" })).await
}

/// Response lines of writes of the policy: those without an error, and those with one.
fn lines(node: &TestNode) -> (usize, usize) {
    let log = node.audit.contents();
    verify(&log, None).expect("the log verifies");
    let log = String::from_utf8(log).expect("a text");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_policy = lines.filter(|line| {
        line["type"] == "response"
            && line["request"]["path"] == POLICY
            && line["request"]["operation"] != "read"
    });
    let (failed, done): (Vec<Value>, Vec<Value>) =
        of_policy.partition(|l| l.get("error").is_some());
    (done.len(), failed.len())
}

async fn outbox_rows(node: &TestNode) -> usize {
    let page = node.storage.scan_rows(rows::OUTBOX, 0, ROW_ID_END, 100).done().await;
    page.expect("readable").len()
}

#[tokio::test]
async fn lines_of_a_commit_in_doubt_follow_if_it_was_made() {
    for applied in [true, false] {
        let node = TestNode::start(crate::specs()).await;
        node.storage.break_down(in_doubt(applied));
        let got = put_policy(&node).await;
        assert_eq!(got.status, 503);
        assert!(got.errors().contains(IN_DOUBT), "{}", got.errors());
        assert_eq!(lines(&node), (0, 1));
        // While the store is away nothing is forgotten.
        run_due(&node.services()).await;
        node.storage.repair();
        // Others come in between, with larger ids.
        let other = json!({ "policy": "" });
        node.root("WRITE", "sys/policies/acl/other", other).await;
        node.clock.advance(2);
        run_due(&node.services()).await;
        assert_eq!(lines(&node), (usize::from(applied), 1), "{applied}");
        assert_eq!(outbox_rows(&node).await, 0, "{applied}");
        let there = node.root("READ", POLICY, Value::Null).await;
        assert_eq!(there.status == 200, applied);
    }
}

#[tokio::test]
async fn lines_of_a_commit_in_doubt_outlive_a_crash_and_a_seal() {
    for crash in [true, false] {
        let mut node = TestNode::start(crate::specs()).await;
        node.storage.fail_next(in_doubt(true));
        assert_eq!(put_policy(&node).await.status, 503);
        if crash {
            node.restart(crate::specs()).await;
        } else {
            node.node.seal();
            node.unseal().await;
        }
        assert_eq!(lines(&node), (1, 1), "{crash}");
        assert_eq!(outbox_rows(&node).await, 0, "{crash}");
    }
}

#[tokio::test]
async fn lines_of_a_commit_in_doubt_follow_though_its_caller_was_cut_off() {
    for applied in [true, false] {
        let node = TestNode::start(crate::specs()).await;
        node.storage.hold_commits();
        node.storage.fail_next(in_doubt(applied));
        tokio::select! {
            biased;
            got = put_policy(&node) => panic!("it did not wait for its commit: {got:?}"),
            () = others_turns() => {}
        }
        node.storage.release();
        others_turns().await;
        let failed = lines(&node).1;
        node.clock.advance(2);
        run_due(&node.services()).await;
        assert_eq!(lines(&node), (usize::from(applied), failed), "{applied}");
        assert_eq!(outbox_rows(&node).await, 0, "{applied}");
        let there = node.root("READ", POLICY, Value::Null).await;
        assert_eq!(there.status == 200, applied);
    }
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing_in_doubt() {
    let node = TestNode::start(crate::specs()).await;
    for error in [StorageError::Full, StorageError::Poisoned("a test".to_owned())] {
        node.storage.fail_next(Fault { error, applied: false });
        assert_eq!(put_policy(&node).await.status, 503);
    }
    assert_eq!(put_policy(&node).await.status, 204);
    node.clock.advance(2);
    run_due(&node.services()).await;
    assert_eq!(lines(&node), (1, 2));
    assert_eq!(outbox_rows(&node).await, 0);
}

#[tokio::test]
async fn a_caller_in_doubt_learns_it_though_the_log_fails_too() {
    let node = TestNode::start(crate::specs()).await;
    node.audit.set_broken(true);
    node.storage.fail_next(in_doubt(true));
    let got = put_policy(&node).await;
    assert_eq!(got.status, 503);
    assert!(got.errors().contains(IN_DOUBT), "{}", got.errors());
    // What surely changed nothing is refused for want of a record.
    node.storage.fail_next(Fault { error: StorageError::Full, applied: false });
    let got = put_policy(&node).await;
    assert!(got.errors().contains("cannot be recorded"), "{}", got.errors());
}

/// Initialises a store with one share.
async fn initialise(node: &TestNode) -> strongroom_base::Result<Vec<u8>> {
    let plan = SharePlan::new(1, 1, &[], node.clock.now()).expect("a fit plan");
    let made = node.node.initialise(&InitRequest { plan, root_token: None }).await?;
    Ok(made.shares[0].expose_secret().clone())
}

/// Keys of a store that may have been made are handed out: nobody has others.
#[tokio::test]
async fn an_initialisation_in_doubt_loses_no_key() {
    for (applied, readable) in [(true, true), (true, false), (false, true), (false, false)] {
        let case = format!("made {applied}, readable {readable}");
        let mut node = whole_node().await;
        node.storage = MemoryStorage::new();
        node.audit = Arc::new(MemoryMedium::new(0));
        node.node = Node::new(
            node.storage.clone(),
            Arc::new(Registry::new(crate::specs()).with_node(crate::node_ops::spec())),
            None,
            node.node.config.clone(),
            node.audit.clone(),
            Arc::new(MemorySinks),
            node.clock.clone(),
            SimRng::new(2),
        )
        .await
        .expect("memory storage opens");
        match readable {
            true => node.storage.fail_next(in_doubt(applied)),
            false => node.storage.break_down(in_doubt(applied)),
        }
        let made = initialise(&node).await;
        node.storage.repair();
        if !applied && readable {
            assert_eq!(made.expect_err(&case).kind, ErrorKind::InDoubt);
        } else {
            let key = made.unwrap_or_else(|e| panic!("{case}: {e}"));
            assert_eq!(opens(&node, &hex::encode(key)).await, applied, "{case}");
        }
        // One that was not made can be made; one that was, not again.
        let again = initialise(&node).await;
        assert_eq!(again.is_ok(), !applied, "{case}");
        if let Ok(key) = again {
            assert!(opens(&node, &hex::encode(key)).await, "{case}");
        }
    }
}

/// A node that has the operations on the node itself, too.
async fn whole_node() -> TestNode {
    let registry = Registry::new(crate::specs()).with_node(crate::node_ops::spec());
    TestNode::start_as(registry, KernelConfig::default()).await
}

/// Begins a rekey to one share and gives all shares but the last one needed.
async fn begin_rekey(node: &TestNode) -> (String, String) {
    let plan = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let begun = node.call("WRITE", "sys/rekey/init", "", plan).await;
    let nonce = begun.body["nonce"].as_str().expect("a nonce").to_owned();
    let share = |i: usize| hex::encode(&node.shares[i]);
    let body = json!({ "nonce": nonce, "key": share(0) });
    assert_eq!(node.call("WRITE", "sys/rekey/update", "", body).await.status, 200);
    (nonce, share(1))
}

/// Seals and opens with this key; does it open the store?
async fn opens(node: &TestNode, key: &str) -> bool {
    node.node.seal();
    node.call("WRITE", "sys/unseal", "", json!({ "key": key })).await;
    node.node.active().is_ok()
}

#[tokio::test]
async fn new_shares_in_doubt_are_shown_and_must_be_shown_back() {
    for applied in [true, false] {
        let node = whole_node().await;
        let (nonce, last) = begin_rekey(&node).await;
        node.storage.break_down(in_doubt(applied));
        let body = json!({ "nonce": nonce, "key": last });
        let done = node.call("WRITE", "sys/rekey/update", "", body).await;
        assert_eq!(done.status, 200, "{}", done.errors());
        assert_eq!(done.body["verification_required"], true);
        let key = done.body["keys"][0].as_str().expect("a share").to_owned();
        let verify = json!({ "nonce": done.body["verification_nonce"], "key": key });
        // It cannot be known yet, and can be asked again.
        let early = node.call("WRITE", "sys/rekey/verify", "", verify.clone()).await;
        assert_eq!(early.status, 503);
        node.storage.repair();
        // The key ring turns whichever root key lies on the disk.
        assert_eq!(node.root("WRITE", "sys/rotate", Value::Null).await.status, 204);
        let verified = node.call("WRITE", "sys/rekey/verify", "", verify).await;
        assert_eq!(verified.body["complete"], true, "{}", verified.errors());
        assert_eq!(node.root("WRITE", "sys/rotate", Value::Null).await.status, 204);
        assert!(opens(&node, &key).await, "{applied}");
        // Whichever of the two commits it was that put them in force: it has its lines.
        let log = String::from_utf8(node.audit.contents()).expect("a text");
        let effects = log.lines().filter(|line| line.contains("new key shares"));
        assert_eq!(effects.count(), 2, "{applied}");
    }
}

#[tokio::test]
async fn new_shares_in_doubt_are_in_force_where_the_disk_says_so() {
    for applied in [true, false] {
        let node = whole_node().await;
        let (nonce, last) = begin_rekey(&node).await;
        node.storage.fail_next(in_doubt(applied));
        let body = json!({ "nonce": nonce, "key": last });
        let done = node.call("WRITE", "sys/rekey/update", "", body).await;
        if applied {
            assert_eq!(done.body["verification_required"], false);
            let key = done.body["keys"][0].as_str().expect("a share").to_owned();
            assert!(opens(&node, &key).await);
        } else {
            assert_eq!(done.status, 503);
            assert!(done.errors().contains("of before stay in force"), "{}", done.errors());
            node.node.seal();
            node.unseal().await;
        }
    }
}

#[tokio::test]
async fn new_shares_are_not_lost_with_their_line_of_the_log() {
    let node = whole_node().await;
    let (nonce, last) = begin_rekey(&node).await;
    node.audit.set_broken(true);
    let body = json!({ "nonce": nonce, "key": last });
    let done = node.call("WRITE", "sys/rekey/update", "", body).await;
    assert_eq!(done.status, 200, "{}", done.errors());
    node.audit.set_broken(false);
    let key = done.body["keys"][0].as_str().expect("a share").to_owned();
    assert!(opens(&node, &key).await);
    let log = String::from_utf8(node.audit.contents()).expect("a text");
    assert!(log.contains("new key shares"), "the effect is recorded");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_not_told_as_another() {
    let node = whole_node().await;
    let status = node.call("READ", "sys/seal-status", "", Value::Null).await;
    assert_eq!((status.status, &status.body["n"]), (200, &json!(3)));
    node.storage.break_down(in_doubt(false));
    put_policy(&node).await;
    assert_eq!(node.call("READ", "sys/seal-status", "", Value::Null).await.status, 503);
    node.storage.repair();
    assert_eq!(node.call("READ", "sys/seal-status", "", Value::Null).await.status, 200);
}

#[tokio::test]
async fn the_document_of_the_api_has_the_operations_on_the_node() {
    let node = whole_node().await;
    let document = node.root("READ", "sys/internal/specs/openapi", Value::Null).await;
    for (path, verb) in node.node.registry.node.all() {
        let method = if verb == Verb::Write { "post" } else { "get" };
        let method = if verb == Verb::Delete { "delete" } else { method };
        let shown = &document.body["paths"][format!("/{path}")][method];
        assert!(shown["operationId"].is_string(), "{method} {path}: {shown}");
    }
    let unseal = &document.body["paths"]["/sys/unseal"]["post"]["requestBody"];
    assert!(unseal["content"]["application/json"]["schema"]["properties"]["reset"].is_object());
}
