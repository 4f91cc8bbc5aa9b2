//! Planted canaries: what callers send stands in no error text, in no audit line and on no disk
//! (threats: CVE-2025-4166, CVE-2025-52893, CVE-2024-8365, CVE-2025-62513, CVE-2025-62705,
//! CVE-2026-46358).

use serde_json::{Value, json};
use strongroom_base::FieldKind;
use strongroom_storage::{INDEX_TABLES, IndexTable, ROW_TABLES, RowTable, Storage};
use strongroom_testkit::TestNode;

use super::{failure, node, operations, reopen};

/// What is planted.
const CANARY: &str = "c4n4ry";

/// Fields that name something or describe it: paths, names, descriptions, types. Vault shows them
/// in errors, or in the log as part of a token or mount. No secret goes into one.
const NAMES: &[(&str, &str)] = &[
    // A plug-in's type.
    ("mounts/{path..}", "type"),
    ("auth/{path..}", "type"),
    ("plugins/reload/backend", "mounts"),
    // Paths: they are the names of the answer's members.
    ("capabilities", "path"),
    ("capabilities", "paths"),
    ("capabilities-accessor", "path"),
    ("capabilities-accessor", "paths"),
    ("capabilities-self", "path"),
    ("capabilities-self", "paths"),
    // What a token is called, and whose policies it has.
    ("create", "display_name"),
    ("create", "meta"),
    ("create", "policies"),
    ("create-orphan", "display_name"),
    ("create-orphan", "meta"),
    ("create-orphan", "policies"),
    ("create/{role_name}", "display_name"),
    ("create/{role_name}", "meta"),
    ("create/{role_name}", "policies"),
    // AWS's texts name the secret, the version and the label that were not there.
    ("aws/create-secret/{path..}", "name"),
    ("aws/get-secret-value/{path..}", "version_id"),
    ("aws/get-secret-value/{path..}", "version_stage"),
];

fn is_name(pattern: &str, field: &str) -> bool {
    NAMES.contains(&(pattern, field))
}

/// Values that hold the canary, of the type that a field wants and of others.
fn values(kind: FieldKind) -> Vec<Value> {
    let text = format!("{CANARY}-value");
    let mut all =
        vec![json!(text), json!([text]), json!({ "k": text }), json!({ "a": { "b": [text] } })];
    if kind == FieldKind::Pairs {
        all.push(json!([format!("k={text}")]));
    }
    all
}

/// All bytes of the storage.
async fn disk(node: &TestNode) -> Vec<u8> {
    let mut bytes = Vec::new();
    for table in 0..ROW_TABLES {
        let rows = node.storage.scan_rows(RowTable(table), 0, 1 << 62, usize::MAX);
        for (_, value) in rows.done().await.expect("readable") {
            bytes.extend_from_slice(&value);
        }
    }
    for table in 0..INDEX_TABLES {
        let all = node.storage.scan_index(IndexTable(table), &[], &[0xff; 64], usize::MAX);
        for (key, value) in all.done().await.expect("readable") {
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(&value);
        }
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The log's lines since `seen`, as text.
fn news(node: &TestNode, seen: &mut usize) -> String {
    let log = node.audit.contents();
    let text = String::from_utf8_lossy(&log[*seen..]).into_owned();
    *seen = log.len();
    text
}

#[tokio::test]
async fn nothing_that_is_sent_comes_back_in_errors_logs_or_on_disk() {
    let node = node().await;
    let mut seen = node.audit.contents().len();
    let mut found = Vec::new();
    for operation in operations() {
        let route = operation.route();
        let (verb, path) = (operation.verb(), operation.path());
        let captures = route.capture_names();
        let fields = route.fields.iter().filter(|f| !captures.contains(&f.name));
        let fields = fields.filter(|f| !is_name(route.pattern, f.name));
        for field in fields {
            for value in values(field.kind) {
                let name = if field.rest { "some_field" } else { field.name };
                let body = json!({ name: value });
                let got = node.root(&verb, &path, body.clone()).await;
                reopen(&node).await;
                if failure(got.status, &got.body).contains(CANARY) {
                    let (name, errors) = (operation.name(), got.errors());
                    found.push(format!("error of {} {name} {body}: {errors}", route.pattern));
                }
            }
        }
        for line in news(&node, &mut seen).lines().filter(|line| line.contains(CANARY)) {
            found.push(format!("log of {} {}: {line}", route.pattern, operation.name()));
        }
    }
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
    assert!(!holds(&disk(&node).await, CANARY), "the storage shows what was sent");
}
