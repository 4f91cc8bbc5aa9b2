//! Key ceremonies under policy: they work where the open paths are closed, for those whom policy
//! allows them and for nobody else.

use serde_json::{Value, json};
use strongroom_kernel::node::KernelConfig;
use strongroom_testkit::TestNode;

use crate::bounds_tests::at_once;
use crate::testing::{others_turns, put_policy, token_of};

const CEREMONIES: &str = r#"
    path "sys/generate-root-token/*" { capabilities = ["read", "update", "delete"] }
    path "sys/rotate/root/*" { capabilities = ["read", "update", "delete"] }"#;

/// A node whose open paths are closed, and a token that may hold ceremonies.
async fn start() -> (TestNode, String) {
    let config = KernelConfig { unauthenticated_key_ceremonies: false, ..KernelConfig::default() };
    let node = TestNode::start_with(crate::specs(), config).await;
    put_policy(&node, "holder", CEREMONIES).await;
    let token = token_of(&node, "holder").await;
    (node, token)
}

fn hex(share: &[u8]) -> String {
    share.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_ceremony_needs_policy() {
    let (node, _) = start().await;
    let other = token_of(&node, "default").await;
    for (method, path) in [
        ("READ", "sys/generate-root-token/attempt"),
        ("WRITE", "sys/generate-root-token/attempt"),
        ("DELETE", "sys/generate-root-token/attempt"),
        ("WRITE", "sys/generate-root-token/update"),
        ("READ", "sys/rotate/root/init"),
        ("WRITE", "sys/rotate/root/init"),
        ("WRITE", "sys/rotate/recovery/update"),
        ("DELETE", "sys/rotate/recovery/verify"),
        ("READ", "sys/rotate/root/backup"),
    ] {
        for token in ["", other.as_str()] {
            let got = node.call(method, path, token, json!({})).await;
            assert_eq!(got.status, 403, "{method} {path}: {got:?}");
        }
    }
}

#[tokio::test]
async fn shares_make_a_root_token_for_an_allowed_caller() {
    let (node, holder) = start().await;
    let attempt = "sys/generate-root-token/attempt";
    let begun = node.call("WRITE", attempt, &holder, json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let otp = begun.data()["otp"].as_str().unwrap().to_owned();
    assert_eq!(node.call("DELETE", attempt, &holder, Value::Null).await.status, 204);
    let none = node.call("READ", attempt, &holder, Value::Null).await;
    assert_eq!(none.data()["started"], false);

    let begun = node.call("WRITE", attempt, &holder, json!({ "otp": otp })).await;
    let nonce = begun.data()["nonce"].clone();
    let update = "sys/generate-root-token/update";
    let give = |i: usize| json!({"key": hex(&node.shares[i]), "nonce": nonce});
    let first = node.call("WRITE", update, &holder, give(0)).await;
    assert_eq!(
        (first.data()["progress"].clone(), first.data()["complete"].clone()),
        (1.into(), false.into())
    );
    let last = node.call("WRITE", update, &holder, give(1)).await;
    assert_eq!(last.data()["complete"], true, "{last:?}");
    let encoded = last.data()["encoded_token"].as_str().unwrap();
    let token = strongroom_crypto::otp::decode_token(encoded, otp.as_bytes()).unwrap();
    let token = String::from_utf8(token.expose_secret().clone()).unwrap();
    assert_eq!(node.call("READ", "sys/mounts", &token, Value::Null).await.status, 200);
}

/// Begins to make shares anew, gives all that are needed but one, and answers what gives that one.
async fn nearly_made_anew(node: &TestNode, holder: &str) -> Value {
    let asked = json!({"secret_shares": 1, "secret_threshold": 1});
    let begun = node.call("WRITE", "sys/rotate/root/init", holder, asked).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let nonce = begun.data()["nonce"].clone();
    let give = |i: usize| json!({"key": hex(&node.shares[i]), "nonce": nonce});
    let first = node.call("WRITE", "sys/rotate/root/update", holder, give(0)).await;
    assert_eq!(first.data()["progress"], 1, "{first:?}");
    give(1)
}

#[tokio::test]
async fn shares_are_made_anew_for_an_allowed_caller() {
    let (node, holder) = start().await;
    let give = nearly_made_anew(&node, &holder).await;
    let last = node.call("WRITE", "sys/rotate/root/update", &holder, give).await;
    assert_eq!(last.data()["complete"], true, "{last:?}");
    assert_eq!(last.data()["keys"].as_array().unwrap().len(), 1);
    let status = node.call("READ", "sys/rotate/root/init", &holder, Value::Null).await;
    assert_eq!(status.data()["started"], false);
}

/// What a ceremony changes would stay, and nobody would have its keys.
#[tokio::test]
async fn a_ceremony_beyond_its_deadline_is_answered() {
    let (node, holder) = start().await;
    let give = nearly_made_anew(&node, &holder).await;
    *node.bounds.lock() = at_once();
    node.storage.hold_commits();
    let update = node.call("WRITE", "sys/rotate/root/update", &holder, give);
    let release = async {
        others_turns().await;
        node.storage.release();
    };
    let (last, ()) = tokio::join!(update, release);
    assert_eq!(last.data()["keys"].as_array().map(Vec::len), Some(1), "{last:?}");
}
