//! Lists.

use super::*;

/// All pages of a list, each at most so long.
async fn pages(room: &Room, path: &str, mut body: Value, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    body["max_results"] = json!(limit);
    loop {
        let got = room.ok(path, body.clone()).await;
        let page = got["parameters"].as_array().unwrap();
        assert!(page.len() <= limit);
        all.extend(page.iter().cloned());
        if got["next"].is_null() {
            return all;
        }
        assert_eq!(page.len(), limit);
        body["next_token"] = got["next"].clone();
    }
}

fn paths(list: &[Value]) -> Vec<&str> {
    list.iter().map(|entry| entry["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn folders_are_read_page_by_page() {
    let room = Room::new().await;
    for path in ["app/b", "app/a", "app/deep/er/c", "app2", "z"] {
        room.put(path, "String", path).await;
    }
    room.vault("WRITE", "data/elsewhere", json!({ "data": {} })).await;
    let by_path = "get-parameters-by-path/ssm/app";
    for limit in [1, 2, 10] {
        let found = pages(&room, by_path, json!({}), limit).await;
        assert_eq!(paths(&found), ["ssm/app/a", "ssm/app/b"]);
        let found = pages(&room, by_path, json!({ "recursive": true }), limit).await;
        assert_eq!(paths(&found), ["ssm/app/a", "ssm/app/b", "ssm/app/deep/er/c"]);
        assert_eq!(found[2]["value"], "app/deep/er/c");
        let found = pages(&room, "describe-parameters/ssm", json!({}), limit).await;
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|entry| entry["value"].is_null() && entry["tier"] == "Standard"));
    }
    let none = room.ok("get-parameters-by-path/ssm/none", json!({ "recursive": true })).await;
    assert_eq!(none, json!({ "parameters": [], "next": null }));
    for most in [0, 11] {
        let body = json!({ "max_results": most });
        room.refused(by_path, body.clone(), "ValidationException").await;
    }
    room.refused("describe-parameters/ssm", json!({ "max_results": 51 }), "ValidationException")
        .await;
    // A token is good for the list that gave it.
    let page = room.ok(by_path, json!({ "max_results": 1 })).await;
    let token = page["next"].clone();
    for (path, body) in [
        ("get-parameters-by-path/ssm", json!({ "next_token": token })),
        (by_path, json!({ "next_token": token, "recursive": true })),
        ("describe-parameters/ssm", json!({ "next_token": token })),
        (by_path, json!({ "next_token": "canary" })),
    ] {
        room.refused(path, body, "InvalidNextToken").await;
    }
}

#[tokio::test]
async fn filters() {
    let room = Room::new().await;
    room.put("app/a", "String", "x").await;
    room.put("app/b", "SecureString", "x").await;
    let body =
        json!({ "value": "x", "type": "StringList", "tags": [{ "key": "team", "value": "red" }] });
    room.ok("put-parameter/ssm/c", body).await;
    let described = async |filters: Value| {
        let got = room.ok("describe-parameters/ssm", json!({ "filters": filters })).await;
        each(&got["parameters"], "path").join(" ")
    };
    let filter = |key: &str, values: Value| json!([{ "key": key, "values": values }]);
    assert_eq!(described(filter("Name", json!(["/app/a", "c"]))).await, "ssm/app/a ssm/c");
    assert_eq!(described(filter("Type", json!(["SecureString"]))).await, "ssm/app/b");
    assert_eq!(described(filter("tag:team", json!(["red"]))).await, "ssm/c");
    assert_eq!(described(filter("Path", json!(["/app"]))).await, "ssm/app/a ssm/app/b");
    room.refused(
        "describe-parameters/ssm",
        json!({ "filters": filter("Canary", json!(["x"])) }),
        "InvalidFilterKey",
    )
    .await;
    // By path, a label says which version is shown.
    room.put("app/a", "String", "new").await;
    room.ok("label-parameter-version/ssm/app/a", json!({ "version": 1, "labels": ["old"] })).await;
    let body = json!({ "filters": filter("Label", json!(["old"])) });
    let got = room.ok("get-parameters-by-path/ssm/app", body).await;
    assert_eq!(each(&got["parameters"], "value"), ["x"]);
}
