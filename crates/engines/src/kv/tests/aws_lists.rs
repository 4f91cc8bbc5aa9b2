//! AWS's lists: secrets, batches, versions.

use super::*;

impl Room {
    async fn made(&self, names: &[&str]) {
        for name in names {
            let body = json!({"secret_string": format!("value of {name}")});
            self.aws("create-secret", name, body).await.unwrap();
            self.node.clock.advance(1);
        }
    }

    async fn listed_as(&self, token: &str, body: Value) -> Vec<String> {
        let data = self.aws_as(token, "list-secrets", "", body).await.unwrap();
        paths(&data["secrets"])
    }

    async fn listed(&self, body: Value) -> Vec<String> {
        let token = self.node.root.clone();
        self.listed_as(&token, body).await
    }
}

fn paths(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|secret| secret["path"].as_str().unwrap().to_owned()).collect()
}

const NAMES: [&str; 5] = ["z/one", "a/two", "m", "a/b/three", "a/four"];

#[tokio::test]
async fn secrets_come_in_the_order_of_their_creation() {
    let room = Room::new().await;
    assert_eq!(room.listed(json!({})).await, Vec::<String>::new());
    room.made(&NAMES).await;
    assert_eq!(room.listed(json!({})).await, NAMES);
    let mut reversed = NAMES.to_vec();
    reversed.reverse();
    assert_eq!(room.listed(json!({"sort_order": "desc"})).await, reversed);
    let mut sorted = NAMES.to_vec();
    sorted.sort_unstable();
    assert_eq!(room.listed(json!({"sort_by": "name"})).await, sorted);
    // A move keeps the place, a change is no creation.
    room.ok("WRITE", "secret/move/m", json!({"to": "moved"})).await;
    room.aws("tag-resource", "z/one", json!({"tags": [{"key": "k", "value": "v"}]})).await.unwrap();
    assert_eq!(room.listed(json!({})).await, ["z/one", "a/two", "moved", "a/b/three", "a/four"]);
    let changed = room.listed(json!({"sort_by": "last-changed-date", "sort_order": "desc"})).await;
    assert_eq!(changed, ["z/one", "a/four", "a/b/three", "moved", "a/two"]);
    let folder = room.aws("list-secrets", "a", json!({})).await.unwrap();
    assert_eq!(paths(&folder["secrets"]), ["a/two", "a/b/three", "a/four"]);
    assert_eq!(
        paths(&room.aws("list-secrets", "none", json!({})).await.unwrap()["secrets"]).len(),
        0
    );
    for body in [
        json!({"sort_by": "size"}),
        json!({"sort_order": "up"}),
        json!({"max_results": 0}),
        json!({"max_results": -1}),
        json!({"max_results": 101}),
    ] {
        let said = room.aws("list-secrets", "", body.clone()).await.unwrap_err();
        assert_eq!(said.0, "ValidationException", "{body}");
    }
}

#[tokio::test]
async fn what_is_deleted_is_listed_on_demand() {
    let room = Room::new().await;
    room.made(&["a", "b"]).await;
    room.aws("delete-secret", "a", json!({})).await.unwrap();
    assert_eq!(room.listed(json!({})).await, ["b"]);
    assert_eq!(room.listed(json!({"include_planned_deletion": true})).await, ["a", "b"]);
}

#[tokio::test]
async fn pages_follow_each_other_and_tokens_are_nobody_elses() {
    let room = Room::new().await;
    room.made(&NAMES).await;
    for order in ["asc", "desc"] {
        for by in ["created-date", "name", "last-changed-date"] {
            let body = json!({"sort_by": by, "sort_order": order});
            let whole = room.listed(body.clone()).await;
            let (mut pages, mut token) = (Vec::new(), Value::Null);
            loop {
                let mut body = body.clone();
                body["max_results"] = json!(2);
                body["next_token"] = token;
                let data = room.aws("list-secrets", "", body).await.unwrap();
                pages.extend(paths(&data["secrets"]));
                token = data["next_token"].clone();
                if token.is_null() {
                    break;
                }
            }
            assert_eq!(pages, whole, "{by} {order}");
        }
    }
    let first = room.aws("list-secrets", "", json!({"max_results": 2})).await.unwrap();
    let token = first["next_token"].as_str().unwrap();
    // Whatever goes between two pages, nothing that stays is shown twice or left out.
    room.aws("delete-secret", "a/two", json!({"force_delete_without_recovery": true}))
        .await
        .unwrap();
    let next = room.aws("list-secrets", "", json!({"next_token": token})).await.unwrap();
    assert_eq!(paths(&next["secrets"]), ["m", "a/b/three", "a/four"]);
    let mut bent = token.to_owned();
    bent.replace_range(..1, if token.starts_with('A') { "B" } else { "A" });
    for (operation, path, body) in [
        ("list-secrets", "", json!({"next_token": "x"})),
        ("list-secrets", "", json!({"next_token": ""})),
        ("list-secrets", "", json!({"next_token": "A".repeat(4_097)})),
        ("list-secrets", "", json!({"next_token": bent})),
        ("list-secrets", "", json!({"next_token": token, "sort_order": "desc"})),
        ("list-secrets", "", json!({"next_token": token, "include_planned_deletion": true})),
        ("list-secrets", "a", json!({"next_token": token})),
        (
            "list-secrets",
            "",
            json!({"next_token": token, "filters": [{"key": "name", "values": ["a"]}]}),
        ),
        (
            "batch-get-secret-value",
            "",
            json!({"next_token": token, "filters": [{"key": "name", "values": ["a"]}]}),
        ),
        ("list-secret-version-ids", "m", json!({"next_token": token})),
    ] {
        let said = room.aws(operation, path, body.clone()).await.unwrap_err();
        assert_eq!(said.0, "InvalidNextTokenException", "{operation} {body}");
    }
}

#[tokio::test]
async fn filters_see_names_as_aws_has_them() {
    let room = Room::new().await;
    // `/prod/db` and `a b`, as the door writes them.
    room.made(&["~/prod/db", "prod/db", "a b", "prod/Web"]).await;
    room.aws("update-secret", "prod/db", json!({"description": "main database"})).await.unwrap();
    room.aws("tag-resource", "a b", json!({"tags": [{"key": "team", "value": "x"}]}))
        .await
        .unwrap();
    for (key, values, expect) in [
        ("name", json!(["/prod"]), &["~/prod/db"][..]),
        ("name", json!(["/prod/d"]), &["~/prod/db"]),
        ("name", json!(["prod/"]), &["prod/db", "prod/Web"]),
        ("name", json!(["prod/d"]), &["prod/db"]),
        ("name", json!(["none/d"]), &[]),
        ("name", json!(["a=20"]), &["a b"]),
        ("name", json!(["!prod"]), &["~/prod/db", "a b"]),
        ("description", json!(["data"]), &["prod/db"]),
        ("tag-key", json!(["te"]), &["a b"]),
        ("all", json!(["web"]), &["prod/Web"]),
    ] {
        let filters = json!([{"key": key, "values": values}]);
        assert_eq!(room.listed(json!({"filters": filters})).await, expect, "{key} {values}");
    }
}

#[tokio::test]
async fn lists_show_what_the_caller_may_know() {
    let room = Room::new().await;
    room.made(&["open/a", "open/in/b", "closed/c", "open/d"]).await;
    for path in ["open/a", "open/d", "closed/c"] {
        room.aws("update-secret", path, json!({"description": "word"})).await.unwrap();
    }
    let token = room
        .token(&[
            ("secret/metadata/", "list"),
            ("secret/metadata/open/", "list"),
            ("secret/metadata/open/a", "read"),
        ])
        .await;
    let data = room.aws_as(&token, "list-secrets", "", json!({})).await.unwrap();
    assert_eq!(paths(&data["secrets"]), ["open/a", "open/d"]);
    let described: Vec<bool> = data["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.get("description").is_some())
        .collect();
    assert_eq!(described, [true, false]);
    // Filters tell no more.
    let filters = json!([{"key": "description", "values": ["word"]}]);
    assert_eq!(room.listed_as(&token, json!({"filters": filters})).await, ["open/a"]);
    let filters = json!([{"key": "description", "values": ["!word"]}]);
    assert_eq!(room.listed_as(&token, json!({"filters": filters})).await, ["open/d"]);
    // Who may list one folder alone names it in a filter.
    let narrow = room.token(&[("secret/metadata/open/", "list")]).await;
    let said = room.aws_as(&narrow, "list-secrets", "", json!({})).await.unwrap_err();
    assert_eq!(said.0, "403");
    let filters = json!([{"key": "name", "values": ["open/"]}]);
    assert_eq!(room.listed_as(&narrow, json!({"filters": filters})).await, ["open/a", "open/d"]);
}

#[tokio::test]
async fn a_batch_says_of_each_secret_what_is_wrong() {
    let room = Room::new().await;
    room.made(&["a", "b", "c"]).await;
    room.aws("create-secret", "empty", json!({})).await.unwrap();
    room.aws("delete-secret", "c", json!({})).await.unwrap();
    let token = room.token(&[("secret/data/+", "read"), ("secret/data/b", "deny")]).await;
    let secrets: Vec<Value> =
        ["a", "b", "c", "none", "empty"].iter().map(|n| json!({"id": n, "path": n})).collect();
    let body = json!({ "secrets": secrets });
    let data = room.aws_as(&token, "batch-get-secret-value", "", body.clone()).await.unwrap();
    assert_eq!(paths(&data["secret_values"]), ["a"]);
    assert_eq!(data["secret_values"][0]["secret_string"], "value of a");
    let errors = data["errors"].as_array().unwrap();
    let said: Vec<(&str, &str)> = errors
        .iter()
        .map(|e| (e["secret_id"].as_str().unwrap(), e["error_code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [
            ("b", "AccessDeniedException"),
            ("c", "InvalidRequestException"),
            ("none", "ResourceNotFoundException"),
            ("empty", "ResourceNotFoundException"),
        ]
    );
    assert!(errors[1]["message"].as_str().unwrap().contains("currently marked deleted"));
    let both = "Either 'SecretIdList' or 'Filters' must be provided, but not both.";
    let filters = json!([{"key": "name", "values": ["a"]}]);
    for (body, text) in [
        (json!({}), both),
        (json!({"secrets": [], "filters": []}), both),
        (json!({"secrets": secrets, "filters": filters}), both),
        (
            json!({"secrets": secrets, "max_results": 2}),
            "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.",
        ),
    ] {
        let said = room.aws("batch-get-secret-value", "", body).await.unwrap_err();
        assert_eq!(said, ("InvalidParameterException".to_owned(), text.to_owned()));
    }
    let many: Vec<Value> = (0..21).map(|_| json!({"id": "a", "path": "a"})).collect();
    let said = room.aws("batch-get-secret-value", "", json!({"secrets": many})).await.unwrap_err();
    assert_eq!(said.0, "ValidationException");
    // threat CVE-2026-3605
    let odd = json!({"secrets": [{"id": "x", "path": "x/../a"}]});
    let said = room.aws("batch-get-secret-value", "", odd).await.unwrap_err();
    assert_eq!(said.0, "InvalidParameterException");

    // By filters, in pages.
    let filters = json!([{"key": "name", "values": ["!x"]}]);
    let body = json!({"filters": filters, "max_results": 1});
    let first = room.aws("batch-get-secret-value", "", body).await.unwrap();
    assert_eq!(paths(&first["secret_values"]), ["a"]);
    let body = json!({"filters": filters, "next_token": first["next_token"]});
    let rest = room.aws("batch-get-secret-value", "", body).await.unwrap();
    assert_eq!(paths(&rest["secret_values"]), ["b"]);
    assert_eq!(rest["errors"][0]["path"], "empty");
    assert!(rest.get("next_token").is_none());
    let said = room.aws_as(&token, "batch-get-secret-value", "", json!({"filters": filters})).await;
    assert_eq!(said.unwrap_err().0, "403", "filters need what a list needs");
}

#[tokio::test]
async fn versions_are_listed_each_once() {
    let room = Room::new().await;
    room.made(&["a"]).await;
    let token = |n: usize| format!("00000000-0000-4000-8000-00000000000{n}");
    for n in 1..=4 {
        room.node.clock.advance(1);
        let body = json!({"client_request_token": token(n), "secret_string": "x"});
        room.aws("put-secret-value", "a", body).await.unwrap();
    }
    // The second is published again, and was made when it was made.
    let body = json!({"version_stage": "AWSCURRENT", "remove_from_version_id": token(4),
        "move_to_version_id": token(2)});
    room.node.clock.advance(100);
    room.aws("update-secret-version-stage", "a", body).await.unwrap();
    let ids = |data: &Value| -> Vec<String> {
        let list = data["versions"].as_array().unwrap().iter();
        list.map(|v| v["version_id"].as_str().unwrap().to_owned()).collect()
    };
    let labelled = room.aws("list-secret-version-ids", "a", json!({})).await.unwrap();
    assert_eq!(ids(&labelled), [token(2), token(4)]);
    let second = &labelled["versions"][0];
    assert_eq!(second["version_stages"], json!(["AWSCURRENT"]));
    assert_eq!(second["created_date"], json!(1_767_225_600.0 + 3.0));
    assert_eq!(second["kms_key_ids"], json!(["DefaultEncryptionKey"]));
    let body = json!({"include_deprecated": true});
    let all = ids(&room.aws("list-secret-version-ids", "a", body).await.unwrap());
    assert_eq!(all.len(), 5);
    let (mut pages, mut next) = (Vec::new(), Value::Null);
    loop {
        let body = json!({"include_deprecated": true, "max_results": 2, "next_token": next});
        let data = room.aws("list-secret-version-ids", "a", body).await.unwrap();
        pages.extend(ids(&data));
        next = data["next_token"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(pages, all);
}
