//! What this crate's tests share.

use serde_json::{Value, json};
use strongroom_kernel::plug::Plugin;
use strongroom_kernel::policies::PolicyRecord;
use strongroom_kernel::record::Scope;
use strongroom_testkit::TestNode;
use strongroom_testkit::directory::SimDirectory;
use strongroom_testkit::files::SimFiles;
use strongroom_testkit::web::SimWeb;

/// A node with this crate's plug-ins, and the policies `all` (everything but sudo), `sudo` (with
/// it) and `none`.
pub async fn node() -> TestNode {
    let node = TestNode::start(crate::specs()).await;
    let path = |caps: &str| format!("path \"*\" {{ capabilities = [{caps}] }}");
    let caps = r#""create", "read", "update", "delete", "list""#;
    put_policy(&node, "all", &path(caps)).await;
    put_policy(&node, "sudo", &path(&format!("{caps}, \"sudo\""))).await;
    put_policy(&node, "none", "").await;
    node
}

/// Writes a policy of the root namespace.
pub async fn put_policy(node: &TestNode, name: &str, text: &str) {
    let services = node.services();
    let written = services.store.now();
    services
        .store
        .transact(|tx| async move {
            let text = text.to_owned();
            let record = PolicyRecord { text, written, version: 1, settings: Default::default() };
            tx.write(Scope::ROOT).put_named(0, name, &record)
        })
        .await
        .expect("the policy is written");
}

/// A token made by root with these fields.
pub async fn token(node: &TestNode, fields: Value) -> String {
    let got = node.root("WRITE", "auth/token/create", fields).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.token()
}

/// A token with this policy.
pub async fn token_of(node: &TestNode, policy: &str) -> String {
    token(node, json!({ "policies": [policy], "ttl": "1h" })).await
}

/// Runs all of the reconcilers' work.
pub async fn settle(node: &TestNode) {
    let services = node.services();
    loop {
        let now = services.store.now();
        let tokens = services.tokens.reconcile(&services, now, 10_000).await.expect("reconciles");
        let leases = services.leases.reconcile(&services, now, 10_000).await.expect("reconciles");
        services.leases.idle().await;
        let rotations = services.rotations.reconcile(&services, now).await.expect("reconciles");
        services.rotations.idle().await;
        if !tokens && !leases && !rotations {
            return;
        }
    }
}

/// Counts the rows and index entries of the store.
pub async fn records(node: &TestNode) -> usize {
    use strongroom_storage::{INDEX_TABLES, IndexTable, ROW_TABLES, RowTable, Storage};
    let mut count = 0;
    for table in 0..ROW_TABLES {
        // What waits for the audit log comes and goes by itself.
        if RowTable(table) != strongroom_kernel::record::rows::OUTBOX {
            let page = node.storage.scan_rows(RowTable(table), 0, 1 << 62, usize::MAX);
            count += page.done().await.expect("readable").len();
        }
    }
    for table in 0..INDEX_TABLES {
        let page = node.storage.scan_index(IndexTable(table), &[], &[0xff; 64], usize::MAX);
        count += page.done().await.expect("readable").len();
    }
    count
}

/// The system's plug-ins, and every auth method, whose outside nobody is in.
pub(crate) fn with_auth() -> Vec<Plugin> {
    let methods = strongroom_auth::plugins(&strongroom_auth::Outside {
        web: SimWeb::new(),
        files: SimFiles::new(),
        directory: SimDirectory::new(),
        cluster: None,
    });
    crate::specs().into_iter().map(Plugin::from).chain(methods).collect()
}

/// Lets whatever is ready go on until it waits.
pub async fn others_turns() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
