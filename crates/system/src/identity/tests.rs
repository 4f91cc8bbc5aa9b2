//! Identity through the whole pipeline, with logins of userpass.

use serde_json::{Value, json};
use strongroom_kernel::identity::Directory;
use strongroom_kernel::record::Scope;
use strongroom_testkit::{Got, TestNode};

/// The bcrypt hash of "abc" at cost 6 (jBCrypt's test suite).
const HASH_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";

/// A node with userpass at two paths and a user `bob` in both; answers their accessors too.
async fn node() -> (TestNode, String, String) {
    let specs = crate::testing::with_auth();
    let node = TestNode::start(specs).await;
    let one = node.mount("userpass", "auth/one/").await;
    let two = node.mount("userpass", "auth/two/").await;
    for path in ["auth/one/users/bob", "auth/two/users/bob"] {
        let body = json!({ "password_hash": HASH_OF_ABC });
        assert_eq!(node.root("WRITE", path, body).await.status, 204);
    }
    (node, one, two)
}

async fn read(node: &TestNode, path: &str) -> Value {
    let got = node.root("READ", &format!("identity/{path}"), Value::Null).await;
    assert_eq!(got.status, 200, "{path}: {got:?}");
    got.data().clone()
}

async fn write(node: &TestNode, path: &str, body: Value) -> Got {
    node.root("WRITE", &format!("identity/{path}"), body).await
}

/// Writes, and answers the new id.
async fn make(node: &TestNode, path: &str, body: Value) -> String {
    let got = write(node, path, body).await;
    assert_eq!(got.status, 200, "{path}: {got:?}");
    got.data()["id"].as_str().unwrap().to_owned()
}

async fn list(node: &TestNode, path: &str) -> Value {
    let got = node.root("LIST", &format!("identity/{path}"), Value::Null).await;
    if got.status == 404 { Value::Null } else { got.data().clone() }
}

async fn log_in(node: &TestNode, mount: &str) -> Value {
    let path = format!("auth/{mount}/login/bob");
    let got = node.call("WRITE", &path, "", json!({ "password": "abc" })).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.body["auth"].clone()
}

#[tokio::test]
async fn entities() {
    let (node, _, _) = node().await;
    assert_eq!(list(&node, "entity/id").await, Value::Null);
    let body = json!({ "name": "Ent", "metadata": { "a": "b" }, "policies": ["P1", "p1", "q"] });
    let got = write(&node, "entity", body).await;
    let id = got.data()["id"].as_str().unwrap().to_owned();
    assert_eq!(*got.data(), json!({ "id": id, "name": "Ent", "aliases": null }));
    let expect = json!({
        "id": id, "name": "Ent", "metadata": { "a": "b" }, "merged_entity_ids": null,
        "policies": ["p1", "q"], "disabled": false, "namespace_id": "root", "aliases": [],
        "creation_time": "2026-01-01T00:00:00Z", "last_update_time": "2026-01-01T00:00:00Z",
        "group_ids": [], "direct_group_ids": [], "inherited_group_ids": [],
    });
    assert_eq!(read(&node, "entity/name/ent").await, expect);
    assert_eq!(read(&node, &format!("entity/id/{id}")).await, expect);
    let got = write(&node, "entity/name/eNt", json!({ "policies": "x", "disabled": "true" })).await;
    assert_eq!(got.status, 204);
    let entity = read(&node, "entity/name/ENT").await;
    assert_eq!((&entity["name"], &entity["policies"]), (&json!("eNt"), &json!(["x"])));
    assert_eq!(entity["disabled"], true);
    assert_eq!(
        list(&node, "entity/id").await,
        json!({ "keys": [id], "key_info": { id.as_str(): { "name": "eNt" } } })
    );
    assert_eq!(
        list(&node, "entity/name").await,
        json!({ "keys": ["eNt"], "key_info": { id.as_str(): { "name": "eNt" } } })
    );
    let generated = make(&node, "entity", json!({})).await;
    let name = read(&node, &format!("entity/id/{generated}")).await["name"].clone();
    assert!(name.as_str().unwrap().starts_with("entity_"), "{name}");
    for (path, body, text) in [
        ("entity", json!({ "id": "nope" }), "entity not found from id"),
        ("entity", json!({ "id": generated, "name": "ENT" }), "entity name is already in use"),
        // threats CVE-2025-5999, CVE-2024-9180
        ("entity", json!({ "policies": " Root" }), "policies cannot contain root"),
        ("entity", json!({ "metadata": { "": "x" } }), "invalid entity metadata"),
        ("entity/batch-delete", json!({}), "missing entity ids to delete"),
    ] {
        let got = write(&node, path, body.clone()).await;
        assert_eq!(got.status, 400, "{body}");
        assert!(got.errors().contains(text), "{body}: {}", got.errors());
    }
    let got = write(&node, "entity/batch-delete", json!({ "entity_ids": [id, generated] })).await;
    assert_eq!(got.status, 204);
    assert_eq!(list(&node, "entity/id").await, Value::Null);
    let got = node.root("READ", "identity/entity/name/ent", Value::Null).await;
    assert_eq!(got.status, 404);
    let got = node.root("DELETE", "identity/entity/name/ent", Value::Null).await;
    assert_eq!(got.status, 204);
}

#[tokio::test]
async fn aliases() {
    let (node, one, two) = node().await;
    let entity = make(&node, "entity", json!({ "name": "e" })).await;
    let body = json!({
        "name": "Al", "canonical_id": entity, "mount_accessor": one,
        "custom_metadata": { "k": "v" },
    });
    let alias = make(&node, "entity-alias", body).await;
    let mut expect = json!({
        "id": alias, "canonical_id": entity, "mount_accessor": one, "metadata": null,
        "custom_metadata": { "k": "v" }, "name": "Al", "merged_from_canonical_ids": null,
        "namespace_id": "root", "local": false, "mount_path": "auth/one/",
        "mount_type": "userpass", "creation_time": "2026-01-01T00:00:00Z",
        "last_update_time": "2026-01-01T00:00:00Z",
    });
    assert_eq!(read(&node, &format!("entity-alias/id/{alias}")).await, expect);
    let info = list(&node, "entity-alias/id").await;
    assert_eq!(info["key_info"][&alias]["name"], "Al");
    expect.as_object_mut().unwrap().remove("namespace_id");
    assert_eq!(read(&node, "entity/name/e").await["aliases"], json!([expect]));
    for (body, text) in [
        (json!({ "name": "x", "canonical_id": entity, "mount_accessor": one }), "already exists"),
        (json!({ "name": "x", "mount_accessor": "nope" }), "invalid mount accessor"),
        (json!({ "name": "x" }), "'id' or 'mount_accessor' and 'name' must be provided"),
        (json!({ "id": "nope", "name": "x" }), "invalid alias ID provided"),
        (
            json!({ "name": "x", "canonical_id": "nope", "mount_accessor": two }),
            "invalid canonical ID",
        ),
    ] {
        let got = write(&node, "entity-alias", body.clone()).await;
        assert_eq!(got.status, 400, "{body}");
        assert!(got.errors().contains(text), "{body}: {}", got.errors());
    }
    let other = make(&node, "entity-alias", json!({ "name": "o", "mount_accessor": one })).await;
    let path = format!("entity-alias/id/{other}");
    let got = write(&node, &path, json!({ "name": "AL" })).await;
    assert!(got.errors().contains("combination of mount accessor and name"), "{got:?}");
    // Moving to an entity with an alias of the mount is refused, to another one is done.
    let got = write(&node, &path, json!({ "canonical_id": entity })).await;
    assert!(got.errors().contains("already has an alias for this mount"), "{got:?}");
    let third = make(&node, "entity", json!({ "name": "third" })).await;
    let got = write(&node, &path, json!({ "canonical_id": third, "name": "o2" })).await;
    assert_eq!(*got.data(), json!({ "id": other, "canonical_id": third }));
    assert_eq!(read(&node, "entity/name/third").await["aliases"][0]["name"], "o2");
    let lookup = json!({ "alias_name": "O2", "alias_mount_accessor": one });
    assert_eq!(write(&node, "lookup/entity", lookup.clone()).await.data()["id"], json!(third));
    assert_eq!(write(&node, &path, json!({ "name": "o2" })).await.status, 204, "nothing to do");
    let got = node.root("DELETE", &format!("identity/{path}"), Value::Null).await;
    assert_eq!(got.status, 204);
    assert_eq!(write(&node, "lookup/entity", lookup).await.status, 204);
    let got = node.root("READ", &format!("identity/{path}"), Value::Null).await;
    assert_eq!(got.status, 404);
}

#[tokio::test]
async fn lookups() {
    let (node, one, _) = node().await;
    let entity = make(&node, "entity", json!({ "name": "e" })).await;
    let body = json!({ "name": "al", "canonical_id": entity, "mount_accessor": one });
    let alias = make(&node, "entity-alias", body).await;
    let group = make(&node, "group", json!({ "name": "g", "type": "external" })).await;
    let body = json!({ "name": "ga", "canonical_id": group, "mount_accessor": one });
    let group_alias = make(&node, "group-alias", body).await;
    for (kind, id, name, alias, alias_name) in
        [("entity", &entity, "E", &alias, "AL"), ("group", &group, "G", &group_alias, "GA")]
    {
        let path = format!("lookup/{kind}");
        for query in [
            json!({ "id": id }),
            json!({ "name": name }),
            json!({ "alias_id": alias }),
            json!({ "alias_name": alias_name, "alias_mount_accessor": one }),
        ] {
            let got = write(&node, &path, query.clone()).await;
            assert_eq!(got.data()["id"], json!(id), "{kind} {query}: {got:?}");
        }
        for (query, text) in [
            (json!({}), "query parameter not supplied"),
            (json!({ "alias_name": "x" }), "both 'alias_name' and 'alias_mount_accessor'"),
            (json!({ "id": "x", "name": "y" }), "query parameter conflict"),
        ] {
            let got = write(&node, &path, query.clone()).await;
            assert!(got.status == 400 && got.errors().contains(text), "{query}: {got:?}");
        }
        assert_eq!(write(&node, &path, json!({ "name": "none" })).await.status, 204);
    }
}

#[tokio::test]
async fn groups() {
    let (node, _, _) = node().await;
    let entity = make(&node, "entity", json!({ "name": "e" })).await;
    let body = json!({ "name": "G", "member_entity_ids": [entity], "policies": "GP" });
    let g = make(&node, "group", body).await;
    assert_eq!(
        read(&node, "group/name/g").await,
        json!({
            "id": g, "name": "G", "policies": ["gp"], "member_entity_ids": [entity],
            "member_group_ids": null, "parent_group_ids": null, "metadata": null,
            "creation_time": "2026-01-01T00:00:00Z", "last_update_time": "2026-01-01T00:00:00Z",
            "modify_index": 1, "type": "internal", "namespace_id": "root", "alias": {},
        })
    );
    let h = make(&node, "group", json!({ "name": "H", "member_group_ids": [g] })).await;
    assert_eq!(read(&node, "group/name/G").await["parent_group_ids"], json!([h]));
    let view = read(&node, "entity/name/e").await;
    assert_eq!(view["direct_group_ids"], json!([g]));
    assert_eq!(view["inherited_group_ids"], json!([h]));
    for (path, body, text) in [
        (format!("group/id/{g}"), json!({ "member_group_ids": [h] }), "cyclic relationship"),
        (format!("group/id/{g}"), json!({ "member_group_ids": [g] }), "same as the ID"),
        (format!("group/id/{g}"), json!({ "type": "external" }), "type cannot be changed"),
        (format!("group/id/{g}"), json!({ "name": "h" }), "group name is already in use"),
        ("group/id/nope".to_owned(), json!({}), "invalid group ID"),
        ("group".to_owned(), json!({ "type": "odd" }), "invalid group type"),
        ("group".to_owned(), json!({ "policies": "ROOT " }), "policies cannot contain root"),
        ("group".to_owned(), json!({ "member_entity_ids": "nope" }), "invalid entity ID"),
        ("group".to_owned(), json!({ "member_group_ids": "nope" }), "invalid member group ID"),
        (
            "group".to_owned(),
            json!({ "type": "external", "member_entity_ids": [entity] }),
            "can't be set manually for external groups",
        ),
    ] {
        let got = write(&node, &path, body.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{body}: {got:?}");
    }
    let info = list(&node, "group/id").await;
    assert_eq!(
        info["key_info"][&g],
        json!({ "name": "G", "num_member_entities": 1, "num_parent_groups": 1 })
    );
    assert_eq!(list(&node, "group/name").await["keys"], json!(["G", "H"]));
    // By the name in the body a group is changed, too.
    assert_eq!(write(&node, "group", json!({ "name": "g", "policies": "z" })).await.status, 204);
    let got = node.root("DELETE", &format!("identity/group/id/{h}"), Value::Null).await;
    assert_eq!(got.status, 204);
    assert_eq!(read(&node, "group/name/g").await["parent_group_ids"], Value::Null);
    let got = node.root("DELETE", "identity/entity/name/e", Value::Null).await;
    assert_eq!(got.status, 204);
    assert_eq!(read(&node, "group/name/g").await["member_entity_ids"], Value::Null);
}

#[tokio::test]
async fn group_aliases() {
    let (node, one, two) = node().await;
    let internal = make(&node, "group", json!({ "name": "int" })).await;
    let x = make(&node, "group", json!({ "name": "x", "type": "external" })).await;
    let y = make(&node, "group", json!({ "name": "y", "type": "external" })).await;
    let body = json!({ "name": "ga", "canonical_id": x, "mount_accessor": one });
    let alias = make(&node, "group-alias", body).await;
    assert_eq!(read(&node, "group/name/x").await["alias"]["name"], "ga");
    assert_eq!(list(&node, "group-alias/id").await["keys"], json!([alias]));
    for (body, text) in [
        (json!({ "name": "n" }), "missing mount_accessor"),
        (json!({ "mount_accessor": one }), "missing alias name"),
        (json!({ "name": "n", "mount_accessor": "nope" }), "invalid mount accessor"),
        (
            json!({ "name": "n", "mount_accessor": one, "canonical_id": "nope" }),
            "invalid group ID given in 'canonical_id'",
        ),
        (
            json!({ "name": "n", "mount_accessor": one, "canonical_id": internal }),
            "alias can't be set on an internal group",
        ),
        (json!({ "name": "GA", "mount_accessor": one, "canonical_id": y }), "already in use"),
    ] {
        let got = write(&node, "group-alias", body.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{body}: {got:?}");
    }
    let path = format!("group-alias/id/{alias}");
    let body = json!({ "name": "gb", "mount_accessor": two, "canonical_id": y });
    let got = write(&node, &path, body).await;
    assert_eq!(*got.data(), json!({ "id": alias, "canonical_id": y }));
    assert_eq!(read(&node, "group/name/x").await["alias"], json!({}));
    assert_eq!(read(&node, &path).await["mount_path"], "auth/two/");
    let got = node.root("DELETE", &format!("identity/{path}"), Value::Null).await;
    assert_eq!(got.status, 204);
    assert_eq!(read(&node, "group/name/y").await["alias"], json!({}));
    // Without a group, the alias gets one.
    let body = json!({ "name": "new", "mount_accessor": one });
    let got = write(&node, "group-alias", body).await;
    let group = got.data()["canonical_id"].as_str().unwrap().to_owned();
    assert_eq!(read(&node, &format!("group/id/{group}")).await["type"], "external");
}

#[tokio::test]
async fn merging() {
    let (node, _, _) = node().await;
    let one = log_in(&node, "one").await;
    let two = log_in(&node, "two").await;
    let id = |auth: &Value| auth["entity_id"].as_str().unwrap().to_owned();
    let (into, from) = (id(&one), id(&two));
    let group = make(&node, "group", json!({ "name": "g", "member_entity_ids": [from] })).await;
    for (body, text) in [
        (json!({}), "missing entity id to merge to"),
        (json!({ "to_entity_id": into }), "missing entity ids to merge from"),
        (json!({ "to_entity_id": "x", "from_entity_ids": [from] }), "merge to is invalid"),
        (json!({ "to_entity_id": into, "from_entity_ids": ["x"] }), "merge from is invalid"),
        (json!({ "to_entity_id": into, "from_entity_ids": [into] }), "should not be present"),
    ] {
        let got = write(&node, "entity/merge", body.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{body}: {got:?}");
    }
    let body = json!({ "to_entity_id": into, "from_entity_ids": [from] });
    assert_eq!(write(&node, "entity/merge", body).await.status, 204);
    let view = read(&node, &format!("entity/id/{into}")).await;
    assert_eq!(view["merged_entity_ids"], json!([from]));
    assert_eq!(view["aliases"].as_array().unwrap().len(), 2);
    assert_eq!(view["aliases"][1]["merged_from_canonical_ids"], json!([from]));
    assert_eq!(view["group_ids"], json!([group]));
    let got = node.root("READ", &format!("identity/entity/id/{from}"), Value::Null).await;
    assert_eq!(got.status, 404);
    assert_eq!(id(&log_in(&node, "two").await), into);
    // The old entity's token goes on as one of the new entity.
    let state = node.services().identity.entity(Scope::ROOT, &from).await.unwrap().unwrap();
    assert_eq!(state.view.entity.as_ref().unwrap().id, into);
}

#[tokio::test]
async fn a_merge_of_two_aliases_of_one_mount_says_which_to_keep() {
    let (node, one, _) = node().await;
    let into = make(&node, "entity", json!({ "name": "into" })).await;
    let from = make(&node, "entity", json!({ "name": "from" })).await;
    let mut aliases = Vec::new();
    for (name, entity) in [("a", &into), ("b", &from)] {
        let body = json!({ "name": name, "canonical_id": entity, "mount_accessor": one });
        aliases.push(make(&node, "entity-alias", body).await);
    }
    let mut body = json!({ "to_entity_id": into, "from_entity_ids": [from] });
    let got = write(&node, "entity/merge", body.clone()).await;
    assert_eq!(got.status, 400);
    assert!(got.errors().contains("aliases with the same mount accessor"), "{got:?}");
    assert_eq!(got.data().as_array().unwrap().len(), 2);
    body["conflicting_alias_ids_to_keep"] = json!([aliases[1]]);
    assert_eq!(write(&node, "entity/merge", body).await.status, 204);
    let view = read(&node, "entity/name/into").await;
    assert_eq!(view["aliases"].as_array().unwrap().len(), 1);
    assert_eq!(view["aliases"][0]["id"], json!(aliases[1]));
    let lookup = json!({ "alias_id": aliases[0] });
    assert_eq!(write(&node, "lookup/entity", lookup).await.status, 204);
}

#[tokio::test]
async fn a_login_makes_its_entity_once_and_then_writes_nothing_but_a_token() {
    let (node, one, _) = node().await;
    let auth = log_in(&node, "one").await;
    let entity = read(&node, &format!("entity/id/{}", auth["entity_id"].as_str().unwrap())).await;
    assert_eq!(entity["aliases"][0]["mount_accessor"], json!(one));
    assert_eq!(entity["aliases"][0]["name"], "bob");
    node.clock.advance(10);
    assert_eq!(log_in(&node, "one").await["entity_id"], auth["entity_id"]);
    let again = read(&node, &format!("entity/id/{}", auth["entity_id"].as_str().unwrap())).await;
    assert_eq!(again, entity, "not even a time changed");
    assert_ne!(log_in(&node, "two").await["entity_id"], auth["entity_id"]);
}

#[tokio::test]
async fn policies_of_entity_and_groups_hold_at_once_and_end_at_once() {
    let (node, _, _) = node().await;
    node.policy("seer", r#"path "identity/entity/name" { capabilities = ["list"] }"#).await;
    let auth = log_in(&node, "one").await;
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let entity = auth["entity_id"].as_str().unwrap().to_owned();
    let allowed = async || {
        let got = node.call("LIST", "identity/entity/name", &token, Value::Null).await;
        got.status == 200
    };
    assert!(!allowed().await);
    // On the entity itself.
    let path = format!("entity/id/{entity}");
    write(&node, &path, json!({ "policies": "seer" })).await;
    assert!(allowed().await);
    write(&node, &path, json!({ "policies": [] })).await;
    assert!(!allowed().await);
    // By a group in a group.
    let inner = make(&node, "group", json!({ "name": "in", "member_entity_ids": [entity] })).await;
    let body = json!({ "name": "out", "member_group_ids": [inner], "policies": "seer" });
    make(&node, "group", body).await;
    assert!(allowed().await);
    let again = log_in(&node, "one").await;
    assert_eq!(again["identity_policies"], json!(["seer"]));
    assert_eq!(again["policies"], json!(["default", "seer"]));
    assert_eq!(again["token_policies"], json!(["default"]));
    write(&node, "group/name/in", json!({ "member_entity_ids": [] })).await;
    assert!(!allowed().await);
}

#[tokio::test]
async fn tokens_of_disabled_and_deleted_entities_are_refused() {
    let (node, _, _) = node().await;
    node.policy("default", r#"path "identity/*" { capabilities = ["read"] }"#).await;
    let auth = log_in(&node, "one").await;
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let path = format!("identity/entity/id/{}", auth["entity_id"].as_str().unwrap());
    assert_eq!(node.call("READ", &path, &token, Value::Null).await.status, 200);
    node.root("WRITE", &path, json!({ "disabled": true })).await;
    assert_eq!(node.call("READ", &path, &token, Value::Null).await.status, 403);
    let login = json!({ "password": "abc" });
    let got = node.call("WRITE", "auth/one/login/bob", "", login).await;
    assert_eq!(got.status, 403);
    node.root("WRITE", &path, json!({ "disabled": false })).await;
    assert_eq!(node.call("READ", &path, &token, Value::Null).await.status, 200);
    node.root("DELETE", &path, Value::Null).await;
    assert_eq!(node.call("READ", &path, &token, Value::Null).await.status, 403);
}

#[tokio::test]
async fn templated_policies_follow_the_entity() {
    let (node, one, _) = node().await;
    let text = format!(
        r#"path "identity/entity/name/{{{{identity.entity.aliases.{one}.name}}}}"
           {{ capabilities = ["read"] }}"#
    );
    node.policy("default", &text).await;
    let auth = log_in(&node, "one").await;
    let token = auth["client_token"].as_str().unwrap().to_owned();
    make(&node, "entity", json!({ "name": "bob" })).await;
    make(&node, "entity", json!({ "name": "other" })).await;
    let status = async |name: &str| {
        let path = format!("identity/entity/name/{name}");
        node.call("READ", &path, &token, Value::Null).await.status
    };
    assert_eq!((status("bob").await, status("other").await), (200, 403));
    // threat: policy judges names in lower case
    assert_eq!(status("BOB").await, 200);
    let entity = read(&node, &format!("entity/id/{}", auth["entity_id"].as_str().unwrap())).await;
    let alias = entity["aliases"][0]["id"].as_str().unwrap();
    write(&node, &format!("entity-alias/id/{alias}"), json!({ "name": "other" })).await;
    assert_eq!((status("bob").await, status("other").await), (403, 200));
}

#[tokio::test]
async fn external_groups_follow_the_login() {
    let (node, one, two) = node().await;
    let x =
        make(&node, "group", json!({ "name": "x", "type": "external", "policies": "xp" })).await;
    let body = json!({ "name": "Devs", "canonical_id": x, "mount_accessor": one });
    make(&node, "group-alias", body).await;
    let entity = log_in(&node, "one").await["entity_id"].as_str().unwrap().to_owned();
    let services = node.services();
    let table = services.router.table().await.unwrap();
    let alias = strongroom_kernel::plug::GrantAlias { name: "bob".into(), ..Default::default() };
    for (accessor, groups, expect) in [
        (&one, vec!["devs".to_owned(), "unknown".to_owned()], vec!["xp".to_owned()]),
        (&one, vec!["devs".to_owned()], vec!["xp".to_owned()]),
        (&one, vec![], vec![]),
    ] {
        let entry = table.of_accessor(accessor).unwrap();
        let tx = services.store.begin();
        let login = services
            .identity
            .login(&tx, &entry.namespace, &entry.mount, &alias, &groups)
            .await
            .unwrap();
        let found = (login.id.clone(), login.policies());
        assert_eq!(found, (entity.clone(), expect.clone()), "{groups:?}");
        tx.commit().await.unwrap();
        let tx = services.store.begin();
        let directory = Directory::new(&tx, Scope::ROOT);
        let group = directory.group(&x).await.unwrap().unwrap();
        let members = directory.members(&group).await.unwrap();
        assert_eq!(members.contains(&entity), !expect.is_empty(), "{groups:?}");
    }
    // A login of another mount does not speak for this one's groups.
    let entry = table.of_accessor(&two).unwrap();
    let tx = services.store.begin();
    let groups = ["devs".to_owned()];
    let login = services.identity.login(&tx, &entry.namespace, &entry.mount, &alias, &groups).await;
    assert!(login.unwrap().policies().is_empty());
}

/// A group as the first versions wrote it, its members in its own record, goes on: whoever comes or
/// goes, and whatever is changed.
#[tokio::test]
async fn groups_of_the_first_versions() {
    use strongroom_kernel::identity::Group;
    let (node, one, _) = node().await;
    let [a, b, c] = [
        make(&node, "entity", json!({ "name": "a" })).await,
        make(&node, "entity", json!({ "name": "b" })).await,
        make(&node, "entity", json!({ "name": "c" })).await,
    ];
    let body = json!({ "name": "g", "member_entity_ids": [a, b], "policies": "gp" });
    let id = make(&node, "group", body).await;
    let services = node.services();
    let rewrite = async |change: &dyn Fn(&mut Group)| {
        let tx = services.store.begin();
        let directory = Directory::new(&tx, Scope::ROOT);
        let mut group = (*directory.group(&id).await.unwrap().unwrap()).clone();
        change(&mut group);
        tx.write(Scope::ROOT).put_named(0, &id, &group).unwrap();
        tx.commit().await.unwrap();
    };
    let first = |group: &mut Group| {
        let mut both = vec![a.clone(), b.clone()];
        both.sort();
        (group.at, group.members, group.external) = (0, both, false);
    };
    let members = async || {
        let mut ids = read(&node, &format!("group/id/{id}")).await["member_entity_ids"].clone();
        if let Some(ids) = ids.as_array_mut() {
            ids.sort_by_key(Value::to_string);
        }
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<&String> = ids.to_vec();
        ids.sort();
        json!(ids)
    };
    rewrite(&first).await;
    assert_eq!(members().await, sorted(&[&a, &b]));
    assert_eq!(list(&node, "group/id").await["key_info"][&id]["num_member_entities"], 2);
    write(&node, &format!("group/id/{id}"), json!({ "policies": "other" })).await;
    assert_eq!(members().await, sorted(&[&a, &b]), "what was not named stays");
    rewrite(&first).await;
    write(&node, &format!("group/id/{id}"), json!({ "member_entity_ids": [b, c] })).await;
    assert_eq!(members().await, sorted(&[&b, &c]));
    assert_eq!(read(&node, "entity/name/a").await["group_ids"], json!([]));
    assert_eq!(read(&node, "entity/name/c").await["group_ids"], json!([id]));
    write(&node, &format!("group/id/{id}"), json!({ "member_entity_ids": [a, b] })).await;
    rewrite(&first).await;
    let body = json!({ "entity_ids": [a, b] });
    assert_eq!(write(&node, "entity/batch-delete", body).await.status, 204);
    assert_eq!(members().await, json!(null));
    let _ = one;
}

/// Who comes into a group meets nobody who comes into it at the same time, and what it costs does
/// not grow with the group.
#[tokio::test]
async fn logins_into_one_group_do_not_meet() {
    let (node, one, _) = node().await;
    let x = make(&node, "group", json!({ "name": "x", "type": "external" })).await;
    let body = json!({ "name": "devs", "canonical_id": x, "mount_accessor": one });
    make(&node, "group-alias", body).await;
    let services = node.services();
    let table = services.router.table().await.unwrap();
    let entry = table.of_accessor(&one).unwrap();
    let groups = ["devs".to_owned()];
    let begun = services.store.storage.counters().conflicts;
    let mut waiting = Vec::new();
    for name in ["ann", "ben", "cat", "dan"] {
        let alias = strongroom_kernel::plug::GrantAlias { name: name.into(), ..Default::default() };
        let tx = services.store.begin();
        let login = services.identity.login(&tx, &entry.namespace, &entry.mount, &alias, &groups);
        login.await.unwrap();
        waiting.push(tx);
    }
    for tx in waiting {
        tx.commit().await.expect("no conflict");
    }
    assert_eq!(services.store.storage.counters().conflicts, begun);
    let group = read(&node, &format!("group/id/{x}")).await;
    assert_eq!(group["member_entity_ids"].as_array().unwrap().len(), 4);
    assert_eq!(group["modify_index"], 2, "the group itself was not written: {group}");
}

#[tokio::test]
async fn what_is_counted() {
    let (node, ..) = node().await;
    log_in(&node, "one").await;
    log_in(&node, "two").await;
    log_in(&node, "two").await;
    let text = async || {
        let got = node.root("READ", "sys/metrics?format=prometheus", Value::Null).await;
        got.body.as_str().unwrap().to_owned()
    };
    let first = text().await;
    for line in [
        "vault_core_handle_login_request_count 3",
        "vault_identity_entity_creation 2",
        "vault_identity_num_entities 2",
        "vault_identity_entity_count{namespace=\"root\"} 2",
        "vault_identity_entity_alias_count{mount_point=\"auth/one/\"} 1",
        "vault_identity_entity_alias_count{mount_point=\"auth/two/\"} 1",
    ] {
        assert!(first.contains(&format!("\n{line}\n")), "{line}: {first}");
    }
    // Counting takes time, so it is done now and then.
    make(&node, "entity", json!({})).await;
    assert!(text().await.contains("vault_identity_num_entities 2\n"));
    node.clock.advance(600);
    assert!(text().await.contains("vault_identity_num_entities 3\n"));
}
