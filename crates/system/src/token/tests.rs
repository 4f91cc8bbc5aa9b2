use serde_json::{Value, json};

use crate::testing::{node, records, settle, token, token_of};

/// Sends each case as `caller` and compares status and error text (or nothing, for successes).
async fn check(cases: &[(&str, Value, u16, &str)], policy: &str) {
    let node = node().await;
    for (path, fields, status, error) in cases {
        let caller = token_of(&node, policy).await;
        let got = node.call("WRITE", path, &caller, fields.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (*status, *error), "{path} {fields}");
    }
}

#[tokio::test]
async fn what_a_caller_without_sudo_is_refused() {
    let subset = "child policies must be subset of parent";
    let create = "auth/token/create";
    check(
        &[
            (create, json!({"policies": ["other"]}), 400, subset),
            // threats CVE-2025-5999, CVE-2025-64761: no spelling of root passes
            (create, json!({"policies": ["root"]}), 400, subset),
            (create, json!({"policies": [" Root "]}), 400, subset),
            (create, json!({"policies": "ROOT,all"}), 400, subset),
            (
                create,
                json!({"no_parent": true}),
                400,
                "root or sudo privileges required to create orphan token",
            ),
            (
                create,
                json!({"id": "chosen"}),
                400,
                "root or sudo privileges required to specify token id",
            ),
            (
                create,
                json!({"period": "1h"}),
                400,
                "root or sudo privileges required to create periodic token",
            ),
            (
                "auth/token/revoke-orphan",
                json!({"token": "hvs.unknown"}),
                400,
                "root or sudo privileges required to revoke and orphan",
            ),
            (create, json!({}), 200, ""),
            (create, json!({"policies": ["all"], "no_default_policy": true}), 200, ""),
            ("auth/token/create-orphan", json!({}), 200, ""),
        ],
        "all",
    )
    .await;
}

#[tokio::test]
async fn what_everyone_is_refused() {
    let create = "auth/token/create";
    check(
        &[
            (create, json!({"type": "other"}), 400, "invalid 'token_type' value"),
            (create, json!({"num_uses": -1}), 400, "number of uses cannot be negative"),
            (create, json!({"ttl": -1}), 400, "ttl must be positive"),
            (create, json!({"period": "-1s"}), 400, "period must be positive"),
            (create, json!({"explicit_max_ttl": -5}), 400, "explicit_max_ttl must be positive"),
            (
                create,
                json!({"ttl": "hunter2"}),
                400,
                "error converting input for field \"ttl\": expected a duration",
            ),
            (
                create,
                json!({"type": "batch", "num_uses": 2}),
                400,
                "batch tokens cannot have \"num_uses\" set",
            ),
            (
                create,
                json!({"type": "batch", "period": "1h"}),
                400,
                "batch tokens cannot have \"period\" set",
            ),
            (
                create,
                json!({"policies": ["root"]}),
                400,
                "root tokens may not be created without parent token being root",
            ),
            (
                create,
                json!({"policies": ["response-wrapping"]}),
                400,
                "cannot assign policy \"response-wrapping\"",
            ),
            (create, json!({"id": "hvs.x"}), 400, "custom token ID cannot have the 'hvs.' prefix"),
            (create, json!({"id": "a.b"}), 400, "custom token ID cannot have a '.' in the value"),
            ("auth/token/create/nope", json!({}), 400, "unknown role nope"),
            (
                create,
                json!({"entity_alias": "x"}),
                400,
                "'entity_alias' is only allowed in combination with token role",
            ),
            ("auth/token/lookup", json!({"token": "nope"}), 403, "bad token"),
            ("auth/token/renew", json!({}), 400, "missing token ID"),
            ("auth/token/renew", json!({"token": "nope"}), 400, "token not found"),
            ("auth/token/revoke", json!({}), 400, "missing token ID"),
            ("auth/token/revoke", json!({"token": "nope"}), 204, ""),
            (
                "auth/token/revoke-orphan",
                json!({"token": "nope"}),
                400,
                "token to revoke not found",
            ),
            (
                "auth/token/lookup-accessor",
                json!({}),
                400,
                "1 error occurred:\n\t* missing accessor\n\n",
            ),
            (
                "auth/token/lookup-accessor",
                json!({"accessor": "nope"}),
                400,
                "1 error occurred:\n\t* invalid accessor\n\n",
            ),
            ("auth/token/revoke-accessor", json!({"accessor": "nope"}), 200, ""),
        ],
        "sudo",
    )
    .await;
}

#[tokio::test]
async fn a_created_token_is_shown_as_vault_shows_it() {
    let node = node().await;
    let fields = json!({
        "policies": ["all"], "ttl": "1h", "meta": {"a": "b"}, "display_name": "x y!",
        "no_default_policy": true,
    });
    let got = node.root("WRITE", "auth/token/create", fields).await;
    let auth = got.body["auth"].clone();
    let (text, accessor) = (got.token(), auth["accessor"].as_str().unwrap_or(""));
    assert!(text.starts_with("hvs.") && text.len() == 28 && accessor.len() == 24, "{auth}");
    assert_eq!(
        auth,
        json!({
            "client_token": text, "accessor": accessor, "policies": ["all"],
            "token_policies": ["all"], "metadata": {"a": "b"}, "lease_duration": 3600,
            "renewable": true, "entity_id": "", "token_type": "service", "orphan": false,
            "mfa_requirement": null, "num_uses": 0,
        })
    );
    node.clock.advance(10);
    let want = json!({
        "accessor": accessor, "creation_time": 1_767_225_600, "creation_ttl": 3600,
        "display_name": "token-x-y", "entity_id": "", "expire_time": "2026-01-01T01:00:00Z",
        "explicit_max_ttl": 0, "id": text, "issue_time": "2026-01-01T00:00:00Z",
        "meta": {"a": "b"}, "num_uses": 0, "orphan": false, "path": "auth/token/create",
        "policies": ["all"], "renewable": true, "ttl": 3590, "type": "service",
    });
    for (verb, path) in [("READ", "lookup-self"), ("WRITE", "lookup-self"), ("READ", "lookup")] {
        let got = node.call(verb, &format!("auth/token/{path}"), &text, Value::Null).await;
        assert_eq!(got.data(), &want, "{verb} {path}");
    }
    let got = node.root("WRITE", "auth/token/lookup", json!({"token": text})).await;
    assert_eq!(got.data(), &want);
    let got = node.root("READ", &format!("auth/token/lookup?token={text}"), Value::Null).await;
    assert_eq!(got.data(), &want);
    let got = node.root("WRITE", "auth/token/lookup-accessor", json!({"accessor": accessor})).await;
    let mut without_id = want.clone();
    without_id["id"] = json!("");
    assert_eq!(got.data(), &without_id);
}

#[tokio::test]
async fn the_root_token_has_no_end_and_is_not_renewed() {
    let node = node().await;
    let got = node.root("READ", "auth/token/lookup-self", Value::Null).await;
    for (field, want) in [
        ("expire_time", json!(null)),
        ("ttl", json!(0)),
        ("renewable", json!(false)),
        ("policies", json!(["root"])),
        ("orphan", json!(true)),
    ] {
        assert_eq!(got.data()[field], want, "{field}");
    }
    let got = node.root("WRITE", "auth/token/renew-self", json!({})).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "lease is not renewable"));
    // An expiring root token makes no root token without an end.
    let short = token(&node, json!({"ttl": "1h"})).await;
    let got = node.call("WRITE", "auth/token/create", &short, json!({})).await;
    let error = "expiring root tokens cannot create non-expiring root tokens";
    assert_eq!((got.status, got.errors().as_str()), (400, error));
}

#[tokio::test]
async fn renewal_stays_within_its_limits() {
    // threat CVE-2021-32923
    let node = node().await;
    let fields = json!({"policies": ["all"], "ttl": "10m", "explicit_max_ttl": "1h"});
    let text = token(&node, fields).await;
    for (wait, increment, ttl, warnings) in
        [(60, 0, 600, 0), (60, 1200, 1200, 0), (60, 7200, 3420, 1), (3400, 600, 20, 1)]
    {
        node.clock.advance(wait);
        let fields = json!({"increment": increment});
        let got = node.call("WRITE", "auth/token/renew-self", &text, fields).await;
        let found = got.body["warnings"].as_array().map_or(0, Vec::len);
        assert_eq!(got.body["auth"]["lease_duration"], json!(ttl), "{got:?}");
        assert_eq!(found, warnings, "{got:?}");
    }
    node.clock.advance(20);
    let got = node.call("WRITE", "auth/token/renew-self", &text, json!({})).await;
    assert_eq!(got.status, 403, "an expired token is refused by its own clock");
}

#[tokio::test]
async fn renewal_by_accessor_shows_no_token_and_a_lookup_shows_the_renewal() {
    let node = node().await;
    let text = token_of(&node, "all").await;
    let got = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    let accessor = got.data()["accessor"].clone();
    node.clock.advance(5);
    let fields = json!({"accessor": accessor, "increment": "30m"});
    let got = node.root("WRITE", "auth/token/renew-accessor", fields).await;
    assert_eq!(got.body["auth"]["client_token"], json!(""));
    assert_eq!(got.body["auth"]["lease_duration"], json!(1800));
    let got = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    assert_eq!(got.data()["last_renewal"], json!("2026-01-01T00:00:05Z"));
    assert_eq!(got.data()["last_renewal_time"], json!(1_767_225_605));
    assert_eq!(got.data()["ttl"], json!(1800));
    assert_eq!(got.data()["creation_ttl"], json!(3600));
}

#[tokio::test]
async fn batch_tokens_refuse_what_needs_a_row() {
    let node = node().await;
    let batch = token(&node, json!({"type": "batch", "policies": ["sudo"], "ttl": "1h"})).await;
    assert!(batch.starts_with("hvb."));
    for (path, fields, error) in [
        ("auth/token/create", json!({}), "batch tokens cannot create more tokens"),
        ("auth/token/renew-self", json!({}), "batch tokens cannot be renewed"),
        ("auth/token/revoke-self", json!({}), "batch tokens cannot be revoked"),
        ("auth/token/revoke", json!({"token": batch}), "batch tokens cannot be revoked"),
        ("auth/token/revoke-orphan", json!({"token": batch}), "batch tokens cannot be revoked"),
        (
            "cubbyhole/a",
            json!({"a": 1}),
            "cubbyhole operations are only supported by 'service' type tokens",
        ),
    ] {
        let got = node.call("WRITE", path, &batch, fields).await;
        assert_eq!((got.status, got.errors().as_str()), (400, error), "{path}");
    }
    let got = node.root("WRITE", "auth/token/create", json!({"type": "batch"})).await;
    assert_eq!(got.errors(), "batch tokens cannot be root tokens");
    let got = node.call("READ", "auth/token/lookup-self", &batch, Value::Null).await;
    assert_eq!((&got.data()["type"], &got.data()["accessor"]), (&json!("batch"), &json!("")));
    node.clock.advance(3600);
    let got = node.call("READ", "auth/token/lookup-self", &batch, Value::Null).await;
    assert_eq!(got.status, 403);
}

#[tokio::test]
async fn a_batch_token_ends_with_its_parent() {
    let node = node().await;
    let parent = token_of(&node, "all").await;
    let fields = json!({"type": "batch", "ttl": "1h"});
    let got = node.call("WRITE", "auth/token/create", &parent, fields).await;
    let batch = got.token();
    node.root("WRITE", "auth/token/revoke-orphan", json!({"token": parent})).await;
    let got = node.call("READ", "auth/token/lookup-self", &batch, Value::Null).await;
    assert_eq!(got.status, 403, "before the clean-up as after it");
    settle(&node).await;
    let got = node.call("READ", "auth/token/lookup-self", &batch, Value::Null).await;
    assert_eq!(got.status, 403);
}

#[tokio::test]
async fn a_restricted_token_has_no_children_and_ends_with_its_last_use() {
    let node = node().await;
    let text = token(&node, json!({"policies": ["all"], "num_uses": 3})).await;
    let got = node.call("WRITE", "auth/token/create", &text, json!({})).await;
    assert_eq!(got.errors(), "restricted use token cannot generate child tokens");
    let got = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    assert_eq!(got.data()["num_uses"], json!(1));
    let got = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    assert_eq!((got.status, &got.data()["num_uses"]), (200, &json!(0)));
    let got = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    assert_eq!(got.status, 403);
}

/// Observed: bao 2.6.2.
#[tokio::test]
async fn a_last_use_renews_nothing() {
    let node = node().await;
    for (uses, statuses) in [(1, [400, 403, 403]), (2, [200, 400, 403])] {
        let text = token(&node, json!({"policies": ["all"], "num_uses": uses})).await;
        for status in statuses {
            let got = node.call("WRITE", "auth/token/renew-self", &text, json!({})).await;
            assert_eq!(got.status, status, "{uses} uses: {got:?}");
            if status == 400 {
                assert_eq!(got.errors(), "token not found");
            }
        }
    }
}

/// A chain of `n` tokens, each the child of the one before.
async fn chain(node: &strongroom_testkit::TestNode, n: usize) -> Vec<String> {
    let mut chain = vec![token_of(node, "all").await];
    while chain.len() < n {
        let parent = chain.last().cloned().unwrap_or_default();
        let got = node.call("WRITE", "auth/token/create", &parent, json!({})).await;
        assert_eq!(got.status, 200, "{got:?}");
        chain.push(got.token());
    }
    chain
}

async fn is_good(node: &strongroom_testkit::TestNode, token: &str) -> bool {
    node.call("READ", "auth/token/lookup-self", token, Value::Null).await.status == 200
}

#[tokio::test]
async fn revoking_a_parent_ends_the_tree_at_once_and_leaves_nothing_behind() {
    let node = node().await;
    settle(&node).await;
    let before = records(&node).await;
    let chain = chain(&node, 5).await;
    for text in &chain {
        let got = node.call("WRITE", "cubbyhole/a/b", text, json!({"v": 1})).await;
        assert_eq!(got.status, 204, "{got:?}");
    }
    let sibling = node.call("WRITE", "auth/token/create", &chain[1], json!({})).await.token();
    node.call("WRITE", "auth/token/revoke-self", &chain[1], Value::Null).await;
    assert!(is_good(&node, &chain[0]).await);
    for text in chain.iter().skip(1).chain([&sibling]) {
        assert!(!is_good(&node, text).await);
    }
    settle(&node).await;
    assert!(is_good(&node, &chain[0]).await);
    node.root("WRITE", "auth/token/revoke", json!({"token": chain[0]})).await;
    settle(&node).await;
    assert_eq!(records(&node).await, before);
}

#[tokio::test]
async fn orphans_live_on_before_and_after_the_clean_up() {
    let node = node().await;
    let chain = chain(&node, 3).await;
    let got = node.root("WRITE", "auth/token/revoke-orphan", json!({"token": chain[0]})).await;
    assert_eq!(got.status, 204, "{got:?}");
    assert!(!is_good(&node, &chain[0]).await);
    assert!(is_good(&node, &chain[1]).await && is_good(&node, &chain[2]).await);
    for (token, orphan) in [(&chain[1], true), (&chain[2], false)] {
        let got = node.call("READ", "auth/token/lookup-self", token, Value::Null).await;
        assert_eq!(got.data()["orphan"], json!(orphan));
    }
    settle(&node).await;
    assert!(is_good(&node, &chain[1]).await && is_good(&node, &chain[2]).await);
    let got = node.call("READ", "auth/token/lookup-self", &chain[1], Value::Null).await;
    assert_eq!(got.data()["orphan"], json!(true));
}

#[tokio::test]
async fn expiry_takes_the_tree_along_and_a_renewed_token_stays() {
    let node = node().await;
    settle(&node).await;
    let before = records(&node).await;
    let short = token(&node, json!({"policies": ["all"], "ttl": "1m"})).await;
    let child = node.call("WRITE", "auth/token/create", &short, json!({"ttl": "1h"})).await.token();
    node.clock.advance(30);
    node.call("WRITE", "auth/token/renew-self", &short, json!({"increment": 60})).await;
    node.clock.advance(45);
    settle(&node).await;
    assert!(is_good(&node, &short).await && is_good(&node, &child).await);
    node.clock.advance(15);
    assert!(!is_good(&node, &short).await, "refused by its own clock, before any clean-up");
    assert!(!is_good(&node, &child).await);
    settle(&node).await;
    assert_eq!(records(&node).await, before);
}

#[tokio::test]
async fn children_made_while_their_parent_is_revoked_do_not_escape() {
    // threat "OpenBao 2.6 (tried)": revoking a parent ends, and holds, while children are made
    let node = std::sync::Arc::new(node().await);
    settle(&node).await;
    let before = records(&node).await;
    let parent = token_of(&node, "all").await;
    let makers: Vec<_> = (0..8)
        .map(|_| {
            let (node, parent) = (node.clone(), parent.clone());
            tokio::spawn(async move {
                let mut made = Vec::new();
                loop {
                    let got = node.call("WRITE", "auth/token/create", &parent, json!({})).await;
                    match got.status {
                        200 => made.push(got.token()),
                        _ => return (got.status, made),
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    let got = node.root("WRITE", "auth/token/revoke", json!({"token": parent})).await;
    assert_eq!(got.status, 204);
    let mut count = 0;
    for maker in makers {
        let (status, made) = maker.await.expect("does not panic");
        assert_eq!(status, 403);
        for child in made {
            count += 1;
            assert!(!is_good(&node, &child).await);
        }
    }
    assert!(count > 0, "some children were made before");
    settle(&node).await;
    assert_eq!(records(&node).await, before);
}

#[tokio::test]
async fn chosen_ids_are_unique_while_they_live() {
    let node = node().await;
    let make = || node.root("WRITE", "auth/token/create", json!({"id": "chosen"}));
    assert_eq!(make().await.token(), "chosen");
    assert!(is_good(&node, "chosen").await);
    assert_eq!(make().await.errors(), "cannot create a token with a duplicate ID");
    node.root("WRITE", "auth/token/revoke", json!({"token": "chosen"})).await;
    assert!(!is_good(&node, "chosen").await);
    assert_eq!(make().await.status, 200);
    assert!(is_good(&node, "chosen").await);
}

#[tokio::test]
async fn accessors_are_listed_for_sudo_and_in_pages() {
    let node = node().await;
    for _ in 0..4 {
        token_of(&node, "none").await;
    }
    let all = token_of(&node, "all").await;
    let got = node.call("LIST", "auth/token/accessors", &all, Value::Null).await;
    assert_eq!(got.status, 403);
    let got = node.root("LIST", "auth/token/accessors", Value::Null).await;
    let keys = got.data()["keys"].as_array().cloned().unwrap_or_default();
    assert_eq!(keys.len(), 6);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().and_then(Value::as_str).unwrap_or("");
        let path = format!("auth/token/accessors?limit=2&after={after}");
        let got = node.root("LIST", &path, Value::Null).await;
        match got.data()["keys"].as_array() {
            Some(keys) => paged.extend(keys.iter().cloned()),
            None => break,
        }
    }
    assert_eq!(paged, keys);
}

#[tokio::test]
async fn roles_are_kept_as_written_and_bind_their_tokens() {
    let node = node().await;
    let role = "auth/token/roles/r";
    assert_eq!(node.root("READ", role, Value::Null).await.status, 404);
    assert_eq!(node.root("LIST", "auth/token/roles", Value::Null).await.status, 404);
    let suffix = "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w";
    for (fields, status, error) in [
        (json!({"path_suffix": "v1"}), 400, suffix),
        (json!({"path_suffix": "a/b"}), 400, suffix),
        (
            json!({"path_suffix": "a..b"}),
            400,
            "error registering path suffix: path cannot contain parent references",
        ),
        (json!({"token_type": "other"}), 400, "invalid 'token_type' value"),
        (
            json!({"token_type": "batch"}),
            400,
            "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens",
        ),
        (
            json!({"token_type": "batch", "orphan": true}),
            400,
            "'token_type' cannot be 'batch' when role is set to generate renewable tokens",
        ),
        (
            json!({"token_bound_cidrs": "nonsense"}),
            400,
            "error parsing token_bound_cidrs: an entry is neither an address nor a CIDR block",
        ),
        (
            json!({
                "allowed_policies": "All,none", "period": "1h", "path_suffix": "rev1",
                "token_bound_cidrs": "127.0.0.1/32,10.0.0.0/8", "token_num_uses": 5,
            }),
            204,
            "",
        ),
    ] {
        let got = node.root("WRITE", role, fields.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (status, error), "{fields}");
    }
    let got = node.root("READ", role, Value::Null).await;
    assert_eq!(
        got.data(),
        &json!({
            "allowed_entity_aliases": null, "allowed_policies": ["all", "none"],
            "allowed_policies_glob": [], "disallowed_policies": [],
            "disallowed_policies_glob": [], "explicit_max_ttl": 0, "name": "r", "orphan": false,
            "path_suffix": "rev1", "period": 3600, "renewable": true,
            "token_bound_cidrs": ["127.0.0.1", "10.0.0.0/8"], "token_explicit_max_ttl": 0,
            "token_no_default_policy": false, "token_num_uses": 5, "token_period": 3600,
            "token_type": "default-service",
        })
    );
    let got = node.root("LIST", "auth/token/roles", Value::Null).await;
    assert_eq!(got.data(), &json!({"keys": ["r"]}));
    let caller = token_of(&node, "all").await;
    let got = node.call("WRITE", "auth/token/create/r", &caller, json!({"policies": "x"})).await;
    assert!(got.errors().contains("must be subset of the role's allowed policies"), "{got:?}");
    let got = node.call("WRITE", "auth/token/create/r", &caller, json!({"policies": "none"})).await;
    assert_eq!(got.body["auth"]["policies"], json!(["default", "none"]));
    assert_eq!(got.body["auth"]["lease_duration"], json!(3600));
    assert_eq!(got.body["auth"]["num_uses"], json!(5));
    let text = got.token();
    let got = node.call("READ", "auth/token/lookup-self", &text, Value::Null).await;
    for (field, want) in [
        ("role", json!("r")),
        ("path", json!("auth/token/create/r/rev1")),
        ("bound_cidrs", json!(["127.0.0.1", "10.0.0.0/8"])),
    ] {
        assert_eq!(got.data()[field], want, "{field}");
    }
    node.peer.lock().ip = Some([192, 168, 0, 1].into());
    assert!(!is_good(&node, &text).await, "bound to other addresses");
    node.peer.lock().ip = Some([10, 1, 2, 3].into());
    assert!(is_good(&node, &text).await);
    assert_eq!(node.root("DELETE", role, Value::Null).await.status, 204);
    let got = node.call("WRITE", "auth/token/renew-self", &text, json!({})).await;
    assert!(got.errors().contains("original token role \"r\" could not be found"), "{got:?}");
}
