//! What a lease is from its beginning to its end.

use serde_json::{Value, json};
use strongroom_base::Error;
use strongroom_kernel::mounts;
use strongroom_kernel::namespaces::Namespace;
use strongroom_kernel::plug::Class;
use strongroom_kernel::reconcile::run_due;
use strongroom_kernel::record::Scope;
use strongroom_testkit::TestNode;

use super::revocation::fail_for_long;
use super::{disable, give, lookup, start};
use crate::testing::{records, settle, token, token_of};

#[tokio::test]
async fn a_lease_is_shown_listed_renewed_and_revoked() {
    let (node, outside) = start().await;
    let id = give(&node, "a", &node.root).await;
    let (path, last) = id.rsplit_once('/').unwrap_or_default();
    assert_eq!((path, last.len()), ("db/creds/a", 24));
    let got = lookup(&node, &id).await;
    assert_eq!(
        got.data(),
        &json!({
            "id": id, "path": "db/creds/a", "issue_time": "2026-01-01T00:00:00Z",
            "expire_time": "2026-01-01T00:10:00Z", "last_renewal": null, "renewable": true,
            "ttl": 600,
        })
    );
    for (prefix, want) in [
        ("", json!(["db/"])),
        ("db", json!(["creds/"])),
        ("db/creds/", json!(["a/"])),
        ("db/creds/a", json!([last])),
        ("d", json!(null)),
        ("db/creds/b", json!(null)),
    ] {
        let path = format!("sys/leases/lookup/{prefix}");
        let got = node.root("LIST", &path, Value::Null).await;
        assert_eq!(got.data()["keys"], want, "{prefix:?}");
    }
    node.clock.advance(60);
    let fields = json!({"lease_id": id, "increment": 1200});
    let got = node.root("WRITE", "sys/leases/renew", fields).await;
    assert_eq!((got.status, &got.body["lease_id"]), (200, &json!(id)), "{got:?}");
    assert_eq!(got.body["lease_duration"], json!(1200));
    assert_eq!(outside.lock().credentials[&1], 1200);
    assert_eq!(lookup(&node, &id).await.data()["last_renewal"], json!("2026-01-01T00:01:00Z"));
    let got = node.root("WRITE", "sys/leases/revoke", json!({"lease_id": id})).await;
    assert_eq!(got.status, 204, "{got:?}");
    assert!(outside.lock().credentials.is_empty());
    let got = lookup(&node, &id).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid lease"));
}

#[tokio::test]
async fn a_renewal_never_passes_the_maximum() {
    // threat CVE-2021-32923
    let (node, _) = start().await;
    let id = give(&node, "a", &node.root).await;
    for (wait, increment, ttl) in [(0, 9999, 3600), (3000, 9999, 600), (599, 9999, 1), (0, 0, 1)] {
        node.clock.advance(wait);
        let path = format!("sys/leases/renew/{id}");
        let got = node.root("WRITE", &path, json!({"increment": increment})).await;
        assert_eq!(got.body["lease_duration"], json!(ttl), "{got:?}");
    }
    node.clock.advance(1);
    let got = node.root("WRITE", &format!("sys/leases/renew/{id}"), json!({})).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "lease expired"));
}

#[tokio::test]
async fn what_is_no_lease_is_refused() {
    let (node, _) = start().await;
    let id = give(&node, "a", &node.root).await;
    let forged = id.replacen("db/creds/a", "db/creds/b", 1);
    for (path, fields, status, error) in [
        ("lookup", json!({}), 400, "lease_id must be specified"),
        ("lookup", json!({"lease_id": "nope"}), 400, "invalid lease"),
        ("lookup", json!({"lease_id": forged}), 400, "invalid lease"),
        ("renew", json!({}), 400, "lease_id must be specified"),
        ("renew", json!({"lease_id": forged}), 400, "lease not found"),
        ("revoke", json!({}), 400, "lease_id must be specified"),
        ("revoke", json!({"lease_id": forged}), 204, ""),
    ] {
        let got = node.root("WRITE", &format!("sys/leases/{path}"), fields.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (status, error), "{path} {fields}");
    }
    assert_eq!(lookup(&node, &id).await.status, 200);
    let caller = token_of(&node, "all").await;
    for (verb, path) in [
        ("LIST", "sys/leases/lookup/db"),
        ("WRITE", "sys/leases/revoke-prefix/db"),
        ("WRITE", "sys/leases/revoke-force/db"),
        ("READ", "sys/leases?type=irrevocable"),
    ] {
        let got = node.call(verb, path, &caller, Value::Null).await;
        assert_eq!(got.status, 403, "{verb} {path} needs sudo");
    }
}

#[tokio::test]
async fn an_expired_lease_is_revoked_and_leaves_nothing_behind() {
    let (node, outside) = start().await;
    let first = give(&node, "a", &node.root).await;
    node.root("WRITE", "sys/leases/revoke", json!({"lease_id": first})).await;
    settle(&node).await;
    let before = records(&node).await;
    for _ in 0..50 {
        give(&node, "a", &node.root).await;
    }
    node.clock.advance(599);
    settle(&node).await;
    assert_eq!(outside.lock().credentials.len(), 50, "none early");
    node.clock.advance(1);
    settle(&node).await;
    assert!(outside.lock().credentials.is_empty());
    assert_eq!(outside.lock().attempts, 51, "none twice");
    assert_eq!(records(&node).await, before);
}

#[tokio::test]
async fn a_revoked_tokens_leases_are_revoked_with_its_tree() {
    let (node, outside) = start().await;
    let parent = token_of(&node, "all").await;
    let child = node.call("WRITE", "auth/token/create", &parent, json!({})).await.token();
    let batch = node.call("WRITE", "auth/token/create", &parent, json!({"type": "batch"})).await;
    let kept = give(&node, "a", &node.root).await;
    let id = give(&node, "a", &child).await;
    give(&node, "a", &parent).await;
    let fields = json!({"type": "batch", "ttl": "5m"});
    let short = node.call("WRITE", "auth/token/create", &parent, fields).await.token();
    let got = node.call("WRITE", "db/creds/a", &short, json!({})).await;
    assert_eq!(got.body["lease_duration"], json!(300), "no longer than its batch token");
    node.call("WRITE", "db/creds/a", &batch.token(), json!({})).await;
    assert_eq!(outside.lock().credentials.len(), 5);
    node.root("WRITE", "auth/token/revoke", json!({"token": parent})).await;
    settle(&node).await;
    assert_eq!(outside.lock().credentials.len(), 1);
    assert_eq!(lookup(&node, &id).await.status, 400);
    assert_eq!(lookup(&node, &kept).await.status, 200);
}

#[tokio::test]
async fn a_prefix_is_revoked_and_no_more_than_it() {
    let (node, outside) = start().await;
    for role in ["a", "a", "ab", "b"] {
        give(&node, role, &node.root).await;
    }
    let got = node.root("WRITE", "sys/leases/revoke-prefix/db/creds/a", json!({})).await;
    assert_eq!(got.status, 204, "{got:?}");
    assert_eq!(outside.lock().credentials.keys().copied().collect::<Vec<_>>(), [3, 4]);
    let fields = json!({"sync": false});
    let got = node.root("WRITE", "sys/leases/revoke-prefix/db/creds", fields).await;
    assert_eq!(got.status, 202, "{got:?}");
    let late = give(&node, "b", &node.root).await;
    node.clock.advance(1);
    let fresh = give(&node, "b", &node.root).await;
    settle(&node).await;
    assert_eq!(lookup(&node, &fresh).await.status, 200, "made after it");
    assert_eq!(lookup(&node, &late).await.status, 400);
    outside.lock().down = true;
    let got = node.root("WRITE", "sys/leases/revoke-prefix/db", json!({})).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert_eq!(lookup(&node, &fresh).await.status, 200, "all or nothing");
    let got = node.root("WRITE", "sys/leases/revoke-force/db", json!({})).await;
    assert_eq!(got.status, 204, "{got:?}");
    assert_eq!(lookup(&node, &fresh).await.status, 400, "dropped all the same");
}

#[tokio::test]
async fn tokens_are_revoked_by_the_path_they_came_from() {
    let (node, outside) = start().await;
    settle(&node).await;
    let before = records(&node).await;
    node.root("WRITE", "auth/token/roles/one", json!({"allowed_policies": "all"})).await;
    node.root("WRITE", "auth/token/roles/one-more", json!({"allowed_policies": "all"})).await;
    let make = async |path: &str| {
        let got = node.root("WRITE", path, json!({"ttl": "10h"})).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.token()
    };
    let good = async |token: &str| {
        node.call("READ", "auth/token/lookup-self", token, Value::Null).await.status == 200
    };
    let hit = make("auth/token/create/one").await;
    let batch = json!({"ttl": "10h", "type": "batch"});
    let batch = node.root("WRITE", "auth/token/create/one", batch).await.token();
    let child = node.call("WRITE", "auth/token/create-orphan", &hit, json!({})).await.token();
    let below = node.call("WRITE", "auth/token/create", &hit, json!({})).await.token();
    let other = make("auth/token/create/one-more").await;
    give(&node, "a", &hit).await;
    let path = "sys/leases/revoke-prefix/auth/token/create/one";
    assert_eq!(node.root("WRITE", path, json!({})).await.status, 204);
    for (token, lives) in
        [(&hit, false), (&batch, false), (&below, false), (&child, true), (&other, true)]
    {
        assert_eq!(good(token).await, lives);
    }
    node.clock.advance(1);
    let fresh = make("auth/token/create/one").await;
    assert!(good(&fresh).await, "made after it");
    settle(&node).await;
    assert!(outside.lock().credentials.is_empty(), "its leases went with it");
    for _ in 0..2 {
        node.clock.advance(3600);
        settle(&node).await;
        assert!(!good(&hit).await && good(&fresh).await && good(&other).await);
        assert!(!good(&batch).await, "a batch token has no row that could be removed");
    }
    for token in [&fresh, &other, &child] {
        node.root("WRITE", "auth/token/revoke", json!({"token": token})).await;
    }
    for role in ["one", "one-more"] {
        node.root("DELETE", &format!("auth/token/roles/{role}"), Value::Null).await;
    }
    node.clock.advance(768 * 3600);
    settle(&node).await;
    // The lease path stays until leases are tidied.
    assert_eq!(records(&node).await, before + 1);
}

#[tokio::test]
async fn a_disabled_mounts_leases_are_revoked_also_after_a_crash() {
    // threat GHSA-vv66-6rp4-wr4f
    let (node, outside) = start().await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(give(&node, "a", &node.root).await);
    }
    disable(&node).await;
    let got = lookup(&node, &ids[0]).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid lease"), "gone at once");
    assert_eq!(node.root("LIST", "sys/leases/lookup/db", Value::Null).await.status, 404);
    // Nothing in memory tells of it: the node is sealed and opened again.
    node.node.seal();
    node.unseal().await;
    outside.lock().down = true;
    settle(&node).await;
    assert_eq!(outside.lock().credentials.len(), 10);
    // The mount's records stay as long as it has leases, however long ago it was disabled.
    node.clock.advance(30 * 24 * 3600);
    run_due(&node.services()).await;
    let services = node.services();
    let table = services.router.table().await.expect("a table");
    assert_eq!(table.deleted().count(), 1);
    let got = node.root("LIST", "sys/leases/lookup/db/creds/a", Value::Null).await;
    assert_eq!(got.status, 404);
    fail_for_long(&node).await;
    let got = node.root("LIST", "sys/leases/lookup/db/creds/a", Value::Null).await;
    assert_eq!(got.data()["keys"].as_array().map(Vec::len), Some(10), "an operator sees them");
    assert_eq!(lookup(&node, &ids[0]).await.status, 200);
    outside.lock().down = false;
    node.node.seal();
    node.unseal().await;
    node.clock.advance(3600);
    settle(&node).await;
    assert!(outside.lock().credentials.is_empty());
    node.clock.advance(60);
    run_due(&node.services()).await;
    let services = node.services();
    let table = services.router.table().await.expect("a table");
    assert_eq!(table.deleted().count(), 0);
}

#[tokio::test]
async fn a_deleted_namespaces_leases_and_tokens_are_revoked_before_it_goes() {
    // threat GHSA-vv66-6rp4-wr4f
    let (node, outside) = start().await;
    settle(&node).await;
    // The key ring's accounts are opened.
    run_due(&node.services()).await;
    let before = records(&node).await;
    let scope = make_namespace(&node).await;
    let services = node.services();
    services
        .store
        .transact(|tx| async move {
            let now = tx.store().now();
            let mount = mounts::new_record(&tx, "giver", "db/", Class::Secret, "", now);
            mounts::create(&tx, scope, mount).await
        })
        .await
        .expect("mounts");
    let got = node.call_in("ns1", "WRITE", "auth/token/create-orphan", &node.root, json!({})).await;
    let own = got.token();
    assert!(own.ends_with(".abcdef"), "{got:?}");
    for _ in 0..3 {
        let got = node.call_in("ns1", "WRITE", "db/creds/a", &node.root, json!({})).await;
        assert!(got.body["lease_id"].as_str().is_some_and(|id| id.ends_with(".abcdef")));
    }
    outside.lock().down = true;
    services
        .store
        .transact(|tx| async move {
            let root = tx.write(Scope::ROOT);
            let found = root.all::<Namespace>(mounts::TOP).await?;
            let (name, mut namespace) = found.into_iter().next().ok_or_else(Error::not_found)?;
            namespace.deleted = Some(tx.store().now());
            root.put_named(mounts::TOP, &name, &namespace)
        })
        .await
        .expect("deletes");
    let got = node.call_in("ns1", "READ", "auth/token/lookup-self", &own, Value::Null).await;
    assert_eq!(got.status, 403);
    node.node.seal();
    node.unseal().await;
    for _ in 0..3 {
        run_due(&node.services()).await;
        node.services().leases.idle().await;
        node.clock.advance(5);
    }
    assert_eq!(outside.lock().credentials.len(), 3);
    let got = node.root("LIST", "sys/leases/lookup/ns1/db/creds/a", Value::Null).await;
    assert_eq!(got.status, 404);
    fail_for_long(&node).await;
    let got = node.root("LIST", "sys/leases/lookup/ns1/db/creds/a", Value::Null).await;
    assert_eq!(got.data()["keys"].as_array().map(Vec::len), Some(3), "an operator sees them");
    outside.lock().down = false;
    for _ in 0..3 {
        node.clock.advance(3600);
        run_due(&node.services()).await;
        node.services().leases.idle().await;
    }
    assert!(outside.lock().credentials.is_empty());
    // The scope counter stays.
    assert!(records(&node).await <= before + 1);
}

/// Makes the namespace `ns1`, as `sys/namespaces` does.
async fn make_namespace(node: &TestNode) -> Scope {
    let services = node.services();
    services
        .store
        .transact(|tx| async move {
            let scope = mounts::allocate_scope(&tx.write(Scope::ROOT)).await?;
            let namespace = Namespace {
                scope,
                path: "ns1/".to_owned(),
                id: "abcdef".to_owned(),
                ..Namespace::root()
            };
            tx.write(Scope::ROOT).put_named(mounts::TOP, namespace.name(), &namespace)?;
            mounts::create_builtin(&tx, scope, tx.store().now()).await?;
            Ok(scope)
        })
        .await
        .expect("makes a namespace")
}

#[tokio::test]
async fn leases_of_a_namespace_are_not_there_for_others() {
    // threats CVE-2026-45808, CVE-2026-40264, GHSA-c36x-h252-g9x2
    let (node, _) = start().await;
    let id = give(&node, "a", &node.root).await;
    let text = token(&node, json!({"policies": ["all"]})).await;
    let accessor = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    let accessor = accessor.data()["accessor"].clone();
    make_namespace(&node).await;
    for (path, fields) in [
        ("sys/leases/lookup", json!({"lease_id": id})),
        ("sys/leases/renew", json!({"lease_id": id})),
        ("auth/token/lookup", json!({"token": text})),
        ("auth/token/lookup-accessor", json!({"accessor": accessor})),
        ("auth/token/renew-accessor", json!({"accessor": accessor})),
        ("auth/token/renew", json!({"token": text})),
    ] {
        let got = node.call_in("ns1", "WRITE", path, &node.root, fields).await;
        assert!(matches!(got.status, 400 | 403), "{path}: {got:?}");
    }
    for (path, fields) in [
        ("sys/leases/revoke", json!({"lease_id": id})),
        ("auth/token/revoke", json!({"token": text})),
        ("auth/token/revoke-accessor", json!({"accessor": accessor})),
    ] {
        node.call_in("ns1", "WRITE", path, &node.root, fields).await;
    }
    assert_eq!(lookup(&node, &id).await.status, 200);
    let got = node.root("WRITE", "auth/token/lookup", json!({"token": text})).await;
    assert_eq!(got.status, 200);
}

/// The audit log's lines of what nobody asked for.
fn background(node: &TestNode) -> Vec<Value> {
    let text = String::from_utf8(node.audit.contents()).expect("a text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["request"]["data"]["reason"].is_string()).collect()
}

#[tokio::test]
async fn what_ends_by_itself_stands_in_the_audit_log() {
    let (node, outside) = start().await;
    let short = token(&node, json!({ "policies": ["all"], "ttl": "5m" })).await;
    let parent = token(&node, json!({ "policies": ["all"], "ttl": "1h" })).await;
    let got = node.call("WRITE", "auth/token/create", &parent, json!({ "ttl": "30m" })).await;
    let child = got.body["auth"]["accessor"].as_str().expect("an accessor").to_owned();
    let got = node.call("WRITE", "db/creds/a", &short, json!({})).await;
    let lease = got.body["lease_id"].clone();
    let look = node.call("READ", "auth/token/lookup-self", &short, Value::Null).await;
    let accessor = look.data()["accessor"].as_str().expect("an accessor").to_owned();
    settle(&node).await;
    assert_eq!(background(&node), [] as [Value; 0]);

    let hash = |text: &str| json!(node.services().audit.hash(text));
    let pair = |reason: &str, lines: &[Value]| -> Vec<Value> {
        let about = |line: &&Value| line["request"]["data"]["reason"] == reason;
        let found: Vec<Value> = lines.iter().filter(about).cloned().collect();
        let types: Vec<&str> = found.iter().filter_map(|line| line["type"].as_str()).collect();
        assert_eq!(types, ["request", "response"], "{reason}: {lines:?}");
        assert_eq!(found[0]["request"], found[1]["request"]);
        found
    };
    // A token's time is over, and its lease goes with it; the outside does not answer at first.
    outside.lock().down = true;
    node.clock.advance(300);
    settle(&node).await;
    let lines = background(&node);
    let token = pair("expired", &lines);
    assert_eq!(token[0]["request"]["data"]["accessors"], json!([hash(&accessor)]));
    let failed = pair("revoked", &lines);
    assert_eq!(failed[0]["request"]["data"]["lease_id"], lease);
    assert_eq!(failed[0]["request"]["mount_point"], "db/");
    assert_eq!(failed[0]["request"]["operation"], "revoke");
    assert_eq!(failed[0]["error"], Value::Null);
    assert_eq!(failed[1]["error"], "the outside is down");
    outside.lock().down = false;
    node.clock.advance(60);
    settle(&node).await;
    let lines = background(&node);
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[5]["request"]["data"]["lease_id"], lease);
    assert_eq!(lines[5]["error"], Value::Null);
    assert!(outside.lock().credentials.is_empty());

    // A parent goes, and its child with it.
    let got = node.call("WRITE", "auth/token/revoke-self", &parent, Value::Null).await;
    assert_eq!(got.status, 204);
    settle(&node).await;
    let gone = pair("its parent was revoked", &background(&node));
    assert_eq!(gone[0]["request"]["data"]["accessors"], json!([hash(&child)]));

    let log = node.audit.contents();
    let key = node.services().audit.public_key();
    let key = hex::decode(key).expect("a key");
    assert!(strongroom_kernel::audit::verify::verify(&log, Some(&key)).is_ok());
}
