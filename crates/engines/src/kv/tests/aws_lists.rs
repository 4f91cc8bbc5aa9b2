//! AWS's lists: secrets, batches, versions.

use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_kernel::record::Record;
use strongroom_storage::memory::Fault;
use strongroom_storage::{Change, Key, StorageError};

use super::*;
use crate::kv::aws::accessed::LastAccess;
use crate::kv::aws::limits::LIST_READS_MAX;
use crate::kv::secret::Head;
use crate::kv::store;

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
async fn parameters_are_in_no_list() {
    let room = Room::new().await;
    room.made(&["ssm/x", "~ssm/y", "a/ssm/z", "a/b", "ssm", "ssm/deep/er"]).await;
    assert_eq!(room.listed(json!({})).await, ["~ssm/y", "a/ssm/z", "a/b", "ssm"]);
    for sort in ["name", "last-changed-date", "last-accessed-date"] {
        assert_eq!(room.listed(json!({"sort_by": sort})).await.len(), 4, "{sort}");
    }
    // The region's place stands before.
    let listed = room.aws("list-secrets", "a", json!({})).await.unwrap();
    assert_eq!(paths(&listed["secrets"]), ["a/b"]);
    for (key, value, expect) in [
        ("name", "ssm/", &["~ssm/y"][..]),
        ("name", "ssm/deep/", &[]),
        ("name", "ssm", &["~ssm/y", "ssm"]),
        ("name", "!ssm", &["a/ssm/z", "a/b"]),
        ("all", "er", &[]),
        ("all", "ssm", &["~ssm/y", "a/ssm/z", "ssm"]),
    ] {
        let filters = json!([{"key": key, "values": [value]}]);
        assert_eq!(room.listed(json!({"filters": filters})).await, expect, "{key} {value}");
        let got =
            room.aws("batch-get-secret-value", "", json!({"filters": filters})).await.unwrap();
        assert_eq!(paths(&got["secret_values"]), expect, "{key} {value}");
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
    assert_eq!(
        errors[0]["message"],
        "User is not authorized to perform: secretsmanager:GetSecretValue on resource: b because no \
         identity-based policy allows the secretsmanager:GetSecretValue action"
    );
    let one = json!({"secrets": [{"id": "a", "path": "a"}]});
    let data = room.aws_as(&token, "batch-get-secret-value", "", one).await.unwrap();
    assert_eq!(data["errors"], json!([]), "an empty list is there, too");
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
    let odd = json!({"secrets": [
        {"id": "x", "path": "x/../a"},
        {"id": "?", "error_code": "ValidationException", "message": "Invalid name."},
        {"id": "a", "path": "a"},
    ]});
    let data = room.aws("batch-get-secret-value", "", odd).await.unwrap();
    assert_eq!(paths(&data["secret_values"]), ["a"], "one bad name is no other's fault");
    let codes: Vec<&Value> =
        data["errors"].as_array().unwrap().iter().map(|e| &e["error_code"]).collect();
    assert_eq!(codes, ["InvalidParameterException", "ValidationException"]);

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

/// Heads without values, many of them in one commit.
async fn many(room: &Room, count: u64, path: impl Fn(u64) -> String) {
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
    let tx = services.store.begin();
    let edit = tx.write(scope);
    for n in 0..count {
        let head = Head::new(u128::from(n) + 1, services.store.now());
        let secret = store::Secret { row: edit.new_id(), head };
        store::save(&edit, &path(n), &secret, true).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn orders_by_times_are_bounded_and_others_are_not() {
    let room = Room::new().await;
    let most = LIST_READS_MAX as u64;
    many(&room, most + 1, |n| format!("f{}/s{n:05}", n % 5)).await;
    for by in ["last-changed-date", "last-accessed-date"] {
        let said = room.aws("list-secrets", "", json!({"sort_by": by})).await.unwrap_err();
        assert_eq!(said.0, "InvalidParameterException", "{by}");
        let folder = json!([{"key": "name", "values": ["f3/s"]}]);
        let body = json!({"sort_by": by, "filters": folder, "sort_order": "desc"});
        let data = room.aws("list-secrets", "", body).await.unwrap();
        assert_eq!(data["secrets"].as_array().unwrap().len(), 40, "{by}");
    }
    for (by, order, first, last) in [
        ("created-date", "asc", "f0/s00000", "f4/s00099"),
        ("created-date", "desc", "f0/s00200", "f1/s00101"),
        ("name", "asc", "f0/s00000", "f2/s00092"),
        ("name", "desc", "f4/s00199", "f2/s00102"),
    ] {
        let data = room.aws("list-secrets", "", json!({"sort_by": by, "sort_order": order})).await;
        let paths = paths(&data.unwrap()["secrets"]);
        let ends = (paths[0].as_str(), paths[99].as_str());
        assert_eq!(ends, (first, last), "{by} {order}");
    }
    // A search that finds little ends early, and goes on.
    let words = json!([{"key": "description", "values": ["word"]}]);
    let data = room.aws("list-secrets", "", json!({"filters": words})).await.unwrap();
    assert_eq!(data["secrets"], json!([]));
    let body = json!({"filters": words, "next_token": data["next_token"]});
    let data = room.aws("list-secrets", "", body).await.unwrap();
    assert_eq!((&data["secrets"], data.get("next_token")), (&json!([]), None));
    // What is made, moved or removed is seen at once, though the orders are remembered.
    room.ok("WRITE", "secret/move/f0/s00000", json!({"to": "f1/s00000"})).await;
    room.ok("DELETE", "secret/metadata/f1/s00001", Value::Null).await;
    let body = json!({"client_request_token": null, "secret_string": "x"});
    room.aws("create-secret", "f1/s00001", body).await.unwrap();
    let paths_of =
        async |body: Value| paths(&room.aws("list-secrets", "", body).await.unwrap()["secrets"]);
    assert_eq!(paths_of(json!({"max_results": 2})).await, ["f1/s00000", "f2/s00002"]);
    assert_eq!(paths_of(json!({"max_results": 1, "sort_order": "desc"})).await, ["f1/s00001"]);
}

#[tokio::test]
async fn the_day_of_the_last_read_is_kept_and_costs_one_write() {
    const DAY: i64 = 86_400;
    let room = Room::new().await;
    room.made(&["a", "b", "c"]).await;
    let shown = async |path: &str| {
        room.aws("describe-secret", path, json!({})).await.unwrap()["last_accessed_date"].clone()
    };
    assert_eq!(shown("a").await, Value::Null, "a write is no read");
    // The records of days are of this kind.
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
    let prefix: Vec<u8> = scope.0.to_be_bytes().into_iter().chain([LastAccess::KIND]).collect();
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    services.store.derived.listen(move |change| {
        if let Change::Put(Key::Index(_, key), _) = change
            && key.starts_with(&prefix)
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let writes = || written.load(Ordering::Relaxed);
    let reconcile = async || {
        room.node.clock.advance(6);
        strongroom_kernel::reconcile::run_due(&room.node.services()).await;
    };
    let revision = || services.store.storage.revision();
    reconcile().await;
    let before = revision();
    for _ in 0..3 {
        room.aws("get-secret-value", "a", json!({})).await.unwrap();
        room.get("b").await.unwrap();
    }
    assert_eq!(revision(), before, "a read writes nothing");
    let today = json!(1_767_225_600.0);
    assert_eq!((shown("a").await, shown("b").await), (today.clone(), today.clone()));
    assert_eq!(shown("c").await, Value::Null);
    reconcile().await;
    assert_eq!(writes(), 2);
    for _ in 0..3 {
        room.aws("get-secret-value", "a", json!({})).await.unwrap();
        reconcile().await;
    }
    assert_eq!(writes(), 2, "once a day");
    assert_eq!(shown("a").await, today);
    room.node.clock.advance(DAY);
    room.aws("get-secret-value", "a", json!({})).await.unwrap();
    assert_eq!(shown("a").await, json!(1_767_225_600.0 + DAY as f64));
    assert_eq!(shown("b").await, today);
    let by = json!({"sort_by": "last-accessed-date"});
    assert_eq!(room.listed(by).await, ["c", "b", "a"]);
    // Made anew, it is another secret.
    let gone = json!({"force_delete_without_recovery": true});
    room.aws("delete-secret", "a", gone).await.unwrap();
    room.made(&["a"]).await;
    reconcile().await;
    assert_eq!(shown("a").await, Value::Null);
}

/// A day that a failed transaction was to store is stored by the next one.
#[tokio::test]
async fn the_day_of_the_last_read_outlives_a_failed_commit() {
    let room = Room::new().await;
    room.made(&["a"]).await;
    let days = async || {
        let services = room.node.services();
        let tx = services.store.begin();
        let table = services.router.table().await.unwrap();
        let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
        tx.read(scope).names::<LastAccess>(0).await.unwrap().len()
    };
    room.node.clock.advance(6);
    strongroom_kernel::reconcile::run_due(&room.node.services()).await;
    for error in [StorageError::Conflict, StorageError::Full] {
        room.aws("get-secret-value", "a", json!({})).await.unwrap();
        for _ in 0..3 {
            room.node.storage.fail_next(Fault { error: error.clone(), applied: false });
        }
        for _ in 0..4 {
            room.node.clock.advance(60);
            strongroom_kernel::reconcile::run_due(&room.node.services()).await;
        }
        assert_eq!(days().await, 1, "{error:?}");
        let gone = json!({"force_delete_without_recovery": true});
        room.aws("delete-secret", "a", gone).await.unwrap();
        room.made(&["a"]).await;
        assert_eq!(days().await, 0);
    }
}
