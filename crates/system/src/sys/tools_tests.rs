//! Tools, password policies, plug-ins and path-help through the whole pipeline.

use serde_json::{Value, json};

use super::mounts_tests::start;
use crate::testing::token_of;

/// Texts observed: bao 2.6.2, where they do not repeat a value that was sent.
#[tokio::test]
async fn hashes_and_randomness() {
    let node = start().await;
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (path, body, status, text) in [
        ("hash", json!({"input": "YWJj"}), 200, abc),
        ("hash/sha2-256", json!({"input": "YWJj", "algorithm": "sha2-512"}), 200, abc),
        (
            "hash",
            json!({"input": "YWJj", "format": "base64"}),
            200,
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        ),
        ("hash/zz", json!({"input": "YWJj"}), 400, "unsupported algorithm"),
        ("hash", json!({"input": "!!"}), 400, "unable to decode input as base64"),
        ("hash", json!({"input": "", "format": "zz"}), 400, "unsupported encoding format"),
        ("random", json!({"bytes": 0}), 400, "'bytes' cannot be less than 1"),
        ("random", json!({"bytes": 131_073}), 400, "'bytes' should be less than 131072"),
        ("random/zz", json!({}), 400, "error parsing url-set byte count"),
        ("random/zz/4", json!({}), 400, "unsupported entropy source"),
        ("random", json!({"format": "zz"}), 400, "unsupported encoding format"),
        ("random/seal/5", json!({}), 200, "no seal/entropy augmentation"),
    ] {
        let got = node.root("WRITE", &format!("sys/tools/{path}"), body.clone()).await;
        assert_eq!(got.status, status, "{path} {body}: {got:?}");
        assert!(got.body.to_string().contains(text), "{path} {body}: {got:?}");
    }
    for (path, body, length) in [
        ("random", json!({}), 44),
        ("random/5", json!({"format": "hex"}), 10),
        ("random/platform/5", json!({"format": "hex"}), 10),
        ("random/all", json!({"bytes": "131072", "format": "hex"}), 262_144),
    ] {
        let got = node.root("WRITE", &format!("sys/tools/{path}"), body.clone()).await;
        let text = got.data()["random_bytes"].as_str().unwrap();
        assert_eq!(text.len(), length, "{path} {body}");
    }
}

#[tokio::test]
async fn password_policies_are_kept_and_used() {
    let node = start().await;
    let path = "sys/policies/password/p";
    let text = "length = 20\nrule \"charset\" { charset = \"abc\" min-chars = 1 }";
    for (verb, path, body, status, error) in [
        ("LIST", "sys/policies/password", json!(null), 404, ""),
        ("READ", path, json!(null), 404, "policy does not exist"),
        ("READ", "sys/policies/password/p/generate", json!(null), 404, "policy does not exist"),
        ("DELETE", path, json!(null), 204, ""),
        ("WRITE", path, json!({}), 400, "missing policy"),
        (
            "WRITE",
            path,
            json!({"policy": "length = 20"}),
            400,
            "invalid password policy: no charset specified",
        ),
        ("WRITE", path, json!({"policy": text}), 204, ""),
        ("LIST", "sys/policies/password?after=p", json!(null), 404, ""),
    ] {
        let got = node.root(verb, path, body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (status, error), "{verb} {path} {body}");
    }
    assert_eq!(node.root("READ", path, Value::Null).await.data()["policy"], text);
    let list = node.root("LIST", "sys/policies/password", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["p"]));
    let made = node.root("READ", &format!("{path}/generate"), Value::Null).await;
    let password = made.data()["password"].as_str().unwrap();
    assert!(password.len() == 20 && password.chars().all(|c| "abc".contains(c)), "{made:?}");
    let none = token_of(&node, "none").await;
    let got = node.call("READ", &format!("{path}/generate"), &none, Value::Null).await;
    assert_eq!(got.status, 403, "{got:?}");
}

#[tokio::test]
async fn the_catalog_shows_what_is_built_in() {
    let node = start().await;
    for (verb, path, body, status, error) in [
        ("LIST", "sys/plugins/catalog/zz", json!(null), 405, "unsupported operation"),
        ("LIST", "sys/plugins/catalog/database", json!(null), 404, ""),
        ("READ", "sys/plugins/catalog/secret/nope", json!(null), 404, ""),
        (
            "WRITE",
            "sys/plugins/catalog/secret/x",
            json!({"command": "x", "sha256": "00"}),
            400,
            "could not set plugin, plugin directory is not configured",
        ),
        ("DELETE", "sys/plugins/catalog/secret/kv", json!(null), 204, ""),
        (
            "WRITE",
            "sys/plugins/reload/backend",
            json!({}),
            400,
            "plugin or mounts must be provided",
        ),
        (
            "WRITE",
            "sys/plugins/reload/backend",
            json!({"plugin": "a", "mounts": "b"}),
            400,
            "plugin and mounts cannot be set at the same time",
        ),
        (
            "WRITE",
            "sys/plugins/reload/backend",
            json!({"mounts": ["zz/"]}),
            400,
            "cannot fetch mount entry on \"zz/\"",
        ),
        ("WRITE", "sys/plugins/reload/backend", json!({"plugin": "kv"}), 200, ""),
    ] {
        let got = node.root(verb, path, body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (status, error), "{verb} {path} {body}");
    }
    let all = node.root("READ", "sys/plugins/catalog", Value::Null).await;
    assert_eq!(all.data()["secret"], json!(["kv", "transit"]));
    assert_eq!(all.data()["auth"], json!(["userpass"]));
    let kv = node.root("READ", "sys/plugins/catalog/secret/kv", Value::Null).await;
    assert_eq!((&kv.data()["builtin"], &kv.data()["name"]), (&json!(true), &json!("kv")));
}

#[tokio::test]
async fn paths_tell_what_they_are_for() {
    let node = start().await;
    node.root("WRITE", "sys/mounts/k", json!({"type": "kv"})).await;
    let none = token_of(&node, "none").await;
    // Whoever has a token may ask, whatever its policies; a stranger may not.
    for (path, text) in [
        ("sys/mounts?help=1", "Lists the secrets engines"),
        ("sys/mounts/k/tune?help=1", "max_lease_ttl (duration)"),
        ("sys/auth/x?help=1", "Needs sudo."),
        ("k?help=1", "Keeps texts."),
    ] {
        let got = node.call("READ", path, &none, Value::Null).await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
        assert!(got.body["help"].as_str().unwrap().contains(text), "{path}: {got:?}");
        assert_eq!(node.call("READ", path, "", Value::Null).await.status, 403, "{path}");
    }
    let got = node.call("READ", "nope?help=1", &none, Value::Null).await;
    assert_eq!(got.status, 404, "{got:?}");
    let document = node.root("READ", "sys/internal/specs/openapi", Value::Null).await;
    let path = &document.body["paths"]["/sys/mounts/{path}/tune"];
    assert!(path["post"]["requestBody"].is_object(), "{path}");
    assert_eq!(document.body["paths"]["/sys/auth/{path}"]["x-vault-sudo"], true);
    assert!(document.body["paths"]["/k/{name}"]["get"].is_object());
    // With a parameter in the place of where engines are mounted.
    let at = "sys/internal/specs/openapi?generic_mount_paths=true";
    let generic = node.root("READ", at, Value::Null).await;
    let paths = generic.body["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/sys/mounts/{path}/tune") && !paths.contains_key("/k/{name}"));
    let parameters = paths["/{k_mount_path}/{name}"]["parameters"].as_array().expect("parameters");
    let mounted = parameters.iter().find(|p| p["name"] == "k_mount_path").expect("the mount");
    assert_eq!((&mounted["in"], &mounted["schema"]["default"]), (&"path".into(), &"k".into()));
    assert!(paths.contains_key("/auth/token/create") && paths.contains_key("/cubbyhole/{path}"));
    // It says what there is, and shows no value of anything: no field of a secret as an example.
    fn names<'j>(json: &'j Value, found: &mut Vec<&'j str>) {
        match json {
            Value::Object(map) => map.iter().for_each(|(name, value)| match (&**name, value) {
                // The names there are the fields' own.
                ("properties" | "paths", Value::Object(inner)) => {
                    inner.values().for_each(|value| names(value, found));
                }
                _ => {
                    found.push(name);
                    names(value, found);
                }
            }),
            Value::Array(all) => all.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(&document.body, &mut found);
    assert!(found.contains(&"requestBody"));
    for value in ["example", "examples", "default", "const"] {
        assert!(!found.contains(&value), "{value}");
    }
}
