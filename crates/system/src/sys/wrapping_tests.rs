use serde_json::{Value, json};
use strongroom_testkit::{Got, TestNode};

use crate::testing::{node, records, settle, token_of};

const INVALID: &str = "wrapping token is not valid or does not exist";

async fn wrap(node: &TestNode, caller: &str, data: Value) -> String {
    let got = node.call_with("", "WRITE", "sys/wrapping/wrap", caller, data, Some(120)).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.body["wrap_info"]["token"].as_str().unwrap_or_default().to_owned()
}

async fn unwrap(node: &TestNode, caller: &str, body: Value) -> Got {
    node.call("WRITE", "sys/wrapping/unwrap", caller, body).await
}

#[tokio::test]
async fn a_value_comes_out_once_whoever_asks() {
    let node = node().await;
    settle(&node).await;
    let before = records(&node).await;
    let value = json!({"a": 1, "b": {"c": [1.5, null]}});
    for third_party in [false, true] {
        let wrapped = wrap(&node, &node.root, value.clone()).await;
        let (caller, body) = match third_party {
            true => (node.root.clone(), json!({"token": wrapped})),
            false => (wrapped.clone(), Value::Null),
        };
        let got = unwrap(&node, &caller, body.clone()).await;
        assert_eq!((got.status, got.data()), (200, &value));
        for (caller, body) in [(caller, body), (node.root.clone(), json!({"token": wrapped}))] {
            let got = unwrap(&node, &caller, body).await;
            assert_eq!((got.status, got.errors().as_str()), (400, INVALID));
        }
    }
    settle(&node).await;
    assert_eq!(records(&node).await, before, "nothing stays behind");
}

#[tokio::test]
async fn an_answer_comes_out_as_it_was() {
    let node = node().await;
    let fields = json!({"policies": ["none"], "ttl": "1h"});
    let path = "auth/token/create";
    let got = node.call_with("", "WRITE", path, &node.root, fields, Some(60)).await;
    let info = got.body["wrap_info"].clone();
    let wrapped = info["token"].as_str().unwrap_or_default().to_owned();
    assert_eq!(info["ttl"], json!(60));
    assert_eq!(info["creation_path"], json!(path));
    let got = unwrap(&node, &wrapped, Value::Null).await;
    assert_eq!(got.body["auth"]["accessor"], info["wrapped_accessor"]);
    assert_eq!(got.body["auth"]["policies"], json!(["default", "none"]));
    assert_eq!(got.body["wrap_info"], Value::Null);
    let made = got.token();
    let got = node.call("READ", "auth/token/lookup-self", &made, Value::Null).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_lookup_spends_nothing_and_needs_no_other_token() {
    let node = node().await;
    let wrapped = wrap(&node, &node.root, json!({"a": 1})).await;
    let want = json!({
        "creation_path": "sys/wrapping/wrap", "creation_time": "2026-01-01T00:00:00Z",
        "creation_ttl": 120,
    });
    for (verb, caller, body) in [
        ("READ", wrapped.as_str(), Value::Null),
        ("WRITE", wrapped.as_str(), Value::Null),
        ("WRITE", "", json!({"token": wrapped})),
    ] {
        let got = node.call(verb, "sys/wrapping/lookup", caller, body).await;
        assert_eq!((got.status, got.data()), (200, &want), "{verb} {caller}");
    }
    assert_eq!(unwrap(&node, &wrapped, Value::Null).await.status, 200);
}

#[tokio::test]
async fn rewrapping_moves_the_answer() {
    let node = node().await;
    let wrapped = wrap(&node, &node.root, json!({"a": 1})).await;
    node.clock.advance(60);
    let got = node.root("WRITE", "sys/wrapping/rewrap", json!({"token": wrapped})).await;
    let info = &got.body["wrap_info"];
    assert_eq!(info["creation_path"], json!("sys/wrapping/wrap"), "{got:?}");
    assert_eq!(info["ttl"], json!(120));
    let fresh = info["token"].as_str().unwrap_or_default().to_owned();
    assert_eq!(unwrap(&node, &wrapped, Value::Null).await.errors(), INVALID);
    node.clock.advance(119);
    let got = unwrap(&node, &fresh, Value::Null).await;
    assert_eq!(got.data(), &json!({"a": 1}));
}

#[tokio::test]
async fn what_is_no_good_wrapping_token_is_told_so() {
    let node = node().await;
    let other = token_of(&node, "all").await;
    let expired = wrap(&node, &node.root, json!({"a": 1})).await;
    node.clock.advance(120);
    let good = wrap(&node, &node.root, json!({"a": 1})).await;
    let empty = "error validating wrapping token: empty token in request body";
    let (none, denied) = ("error validating wrapping token: token is empty", "permission denied");
    for (operation, caller, body, status, error) in [
        ("unwrap", node.root.as_str(), json!({"token": "nope"}), 400, INVALID),
        ("unwrap", &node.root, json!({"token": other}), 400, INVALID),
        ("unwrap", &node.root, Value::Null, 400, INVALID),
        ("unwrap", "hvs.nope", Value::Null, 400, INVALID),
        // Without a good token of its own, a caller learns whether the other one is good, as a
        // look-up would tell it (observed: bao 2.6.2).
        ("unwrap", "", Value::Null, 403, none),
        ("unwrap", "", json!({}), 403, none),
        ("unwrap", "", json!({"token": ""}), 403, none),
        ("unwrap", "", json!({"token": "nope"}), 400, INVALID),
        ("unwrap", "", json!({"token": other}), 400, INVALID),
        ("unwrap", "", json!({"token": expired}), 400, INVALID),
        ("unwrap", "", json!({"token": good}), 403, denied),
        ("unwrap", "hvs.nope", json!({"token": good}), 403, denied),
        ("rewrap", "", json!({"token": good}), 403, denied),
        ("unwrap", &node.root, json!({"token": ""}), 403, empty),
        // Its own clock check refuses it, no clean-up has run.
        ("unwrap", &node.root, json!({"token": expired}), 400, INVALID),
        ("unwrap", &expired, Value::Null, 400, INVALID),
        ("rewrap", &node.root, json!({"token": "nope"}), 400, INVALID),
        ("lookup", &node.root, json!({"token": expired}), 400, INVALID),
        ("lookup", "", Value::Null, 403, none),
        (
            "wrap",
            &node.root,
            json!({"a": 1}),
            400,
            "endpoint requires response wrapping to be used",
        ),
    ] {
        let path = format!("sys/wrapping/{operation}");
        let got = node.call("WRITE", &path, caller, body).await;
        assert_eq!((got.status, got.errors().as_str()), (status, error), "{operation} {caller}");
    }
    // None of it has spent the good one.
    assert_eq!(unwrap(&node, &good, Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_wrapping_token_can_do_nothing_else() {
    let node = node().await;
    for (verb, path) in [
        ("READ", "auth/token/lookup-self"),
        ("WRITE", "auth/token/create"),
        ("READ", "cubbyhole/other"),
        ("DELETE", "cubbyhole/response"),
        ("WRITE", "sys/wrapping/rewrap"),
    ] {
        let wrapped = wrap(&node, &node.root, json!({"a": 1})).await;
        let got = node.call(verb, path, &wrapped, Value::Null).await;
        assert_eq!(got.status, 403, "{verb} {path}: {got:?}");
    }
}

#[tokio::test]
async fn the_old_way_reads_the_answer_as_text() {
    let node = node().await;
    let wrapped = wrap(&node, &node.root, json!({"a": 1})).await;
    let got = node.call("READ", "cubbyhole/response", &wrapped, Value::Null).await;
    let text = got.data()["response"].as_str().unwrap_or_default();
    let envelope: Value = serde_json::from_str(text).unwrap_or_default();
    assert_eq!(envelope["data"], json!({"a": 1}), "{got:?}");
    assert_eq!(got.body["warnings"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn two_who_unwrap_at_once_do_not_both_get_it() {
    let node = std::sync::Arc::new(node().await);
    for _ in 0..20 {
        let wrapped = wrap(&node, &node.root, json!({"a": 1})).await;
        let tries: Vec<_> = (0..4)
            .map(|i| {
                let (node, wrapped) = (node.clone(), wrapped.clone());
                tokio::spawn(async move {
                    match i % 2 {
                        0 => unwrap(&node, &wrapped, Value::Null).await.status,
                        _ => unwrap(&node, &node.root, json!({"token": wrapped})).await.status,
                    }
                })
            })
            .collect();
        let mut good = 0;
        for one in tries {
            good += u32::from(one.await.expect("does not panic") == 200);
        }
        assert_eq!(good, 1);
    }
}
