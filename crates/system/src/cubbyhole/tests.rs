use serde_json::{Value, json};

use crate::testing::{node, token_of};

#[tokio::test]
async fn values_are_seen_by_their_token_alone() {
    let node = node().await;
    let (own, other) = (token_of(&node, "all").await, token_of(&node, "all").await);
    let value = json!({"a": 1, "b": {"c": [1.50, null, "x"]}});
    assert_eq!(node.call("WRITE", "cubbyhole/a/b", &own, value.clone()).await.status, 204);
    for (token, verb, path, status) in [
        (&own, "READ", "cubbyhole/a/b", 200),
        (&other, "READ", "cubbyhole/a/b", 404),
        (&node.root, "READ", "cubbyhole/a/b", 404),
        (&other, "LIST", "cubbyhole/", 404),
        (&other, "DELETE", "cubbyhole/a/b", 204),
        (&own, "READ", "cubbyhole/a/b", 200),
        (&own, "READ", "cubbyhole/a", 404),
        (&own, "LIST", "cubbyhole/b", 404),
        (&own, "DELETE", "cubbyhole/zzz", 204),
    ] {
        let got = node.call(verb, path, token, Value::Null).await;
        assert_eq!(got.status, status, "{verb} {path}");
    }
    let got = node.call("READ", "cubbyhole/a/b", &own, Value::Null).await;
    assert_eq!(got.data(), &value);
    node.call("DELETE", "cubbyhole/a/b", &own, Value::Null).await;
    assert_eq!(node.call("READ", "cubbyhole/a/b", &own, Value::Null).await.status, 404);
}

#[tokio::test]
async fn folders_are_listed_level_by_level() {
    let node = node().await;
    for path in ["b/c/d", "a", "b/c/e", "b"] {
        node.root("WRITE", &format!("cubbyhole/{path}"), json!({"v": 1})).await;
    }
    for (folder, want) in [
        ("", json!(["a", "b", "b/"])),
        ("b", json!(["c/"])),
        ("b/", json!(["c/"])),
        ("b/c", json!(["d", "e"])),
        ("?after=a", json!(["b", "b/"])),
        ("?limit=1", json!(["a"])),
        ("b/c?after=e", json!(null)),
    ] {
        let got = node.root("LIST", &format!("cubbyhole/{folder}"), Value::Null).await;
        assert_eq!(got.data()["keys"], want, "{folder:?}");
    }
}

#[tokio::test]
async fn a_write_needs_fields() {
    let node = node().await;
    let got = node.root("WRITE", "cubbyhole/a", json!({})).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "missing data fields"));
}
