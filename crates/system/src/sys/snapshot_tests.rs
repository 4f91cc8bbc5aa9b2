//! What snapshots refuse; what they do is tested on the built server, whose store lies in files.

use serde_json::Value;

use crate::testing;

#[tokio::test]
async fn a_store_in_memory_has_none() {
    let node = testing::node().await;
    let got = node.root("READ", "sys/storage/raft/snapshot", Value::Null).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "raft storage is not in use"));
    for path in ["snapshot", "snapshot-force"] {
        let got = node.root("WRITE", &format!("sys/storage/raft/{path}"), Value::Null).await;
        assert_eq!((got.status, got.errors().as_str()), (400, "the body must be a snapshot"));
    }
}
