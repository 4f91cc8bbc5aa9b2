//! Who may do what: the same policies as at Vault's door.

use super::*;

/// Each operation, its body, and the rights it takes with the key's name for `K`.
fn operations(blob: &str) -> Vec<(&'static str, Value, &'static [(&'static str, &'static str)])> {
    let bytes = json!({ "bytes": 32 });
    let sealed = json!({ "ciphertext": blob });
    vec![
        ("encrypt/K", json!({ "plaintext": "AA==" }), &[("encrypt/K", "update")]),
        ("decrypt/K", sealed.clone(), &[("decrypt/K", "update")]),
        ("decrypt", sealed.clone(), &[("decrypt/K", "update")]),
        ("re-encrypt/K", sealed.clone(), &[("rewrap/K", "update")]),
        ("re-encrypt/K", sealed, &[("decrypt/K", "update"), ("encrypt/K", "update")]),
        ("data-key/K", bytes.clone(), &[("datakey/plaintext/K", "update")]),
        ("wrapped-key/K", bytes.clone(), &[("datakey/wrapped/K", "update")]),
        ("random", bytes, &[("random", "update")]),
        ("create-key", json!({}), &[("keys/*", "create")]),
        ("describe-key/K", json!({}), &[("keys/K", "read")]),
        ("list-keys", json!({}), &[("keys/", "list")]),
        ("update-description/K", json!({}), &[("keys/K/config", "update")]),
        ("tag/K", json!({}), &[("keys/K/config", "update")]),
        ("untag/K", json!({}), &[("keys/K/config", "update")]),
        ("list-tags/K", json!({}), &[("keys/K", "read")]),
        ("get-policy/K", json!({}), &[("keys/K", "read")]),
        ("rotation-status/K", json!({}), &[("keys/K", "read")]),
        ("list-rotations/K", json!({}), &[("keys/K", "read")]),
        ("enable-rotation/K", json!({}), &[("keys/K/config", "update")]),
        ("disable-rotation/K", json!({}), &[("keys/K/config", "update")]),
        ("rotate/K", json!({}), &[("keys/K/rotate", "update")]),
        (
            "create-alias/b",
            json!({ "target": "K" }),
            &[("aliases/b", "create"), ("keys/K/config", "update")],
        ),
        (
            "update-alias/b",
            json!({ "target": "K" }),
            &[("aliases/b", "update"), ("keys/K/config", "update")],
        ),
        ("list-aliases", json!({}), &[("aliases/", "list")]),
        ("list-aliases/K", json!({}), &[("keys/K", "read")]),
        ("delete-alias/b", json!({}), &[("aliases/b", "delete"), ("keys/K/config", "update")]),
        ("disable-key/K", json!({}), &[("keys/K/soft-delete", "delete")]),
        ("enable-key/K", json!({}), &[("keys/K/soft-delete-restore", "update")]),
        ("schedule-deletion/K", json!({}), &[("keys/K", "delete"), ("keys/K/config", "update")]),
        ("cancel-deletion/K", json!({}), &[("keys/K/soft-delete-restore", "update")]),
    ]
}

#[tokio::test]
async fn each_operation_takes_what_vaults_door_takes() {
    let room = Room::new().await;
    let key = room.key().await;
    let blob = room.encrypt(&key, "text", json!({})).await;
    let named = |text: &str| text.replace('K', &key);
    for (path, body, rights) in operations(&blob) {
        let body: Value =
            serde_json::from_str(&body.to_string().replace("\"K\"", &format!("{key:?}"))).unwrap();
        let rules: Vec<(String, &str)> = rights.iter().map(|(p, c)| (named(p), *c)).collect();
        // Each right but one is not enough.
        for without in 0..rules.len() {
            let rest = rules.iter().enumerate().filter(|(at, _)| *at != without);
            let rest: Vec<(&str, &str)> = rest.map(|(_, (p, c))| (p.as_str(), *c)).collect();
            let token = room.token(&rest).await;
            let (got, _) = room.named(&token, &named(path), body.clone()).await;
            assert_eq!(got.status, 403, "{path} without {:?}: {got:?}", rules[without]);
            assert!(got.explain.is_some(), "{path}");
        }
        // A denial of the operation's own path holds against all of them.
        let mut all: Vec<(&str, &str)> = rules.iter().map(|(p, c)| (p.as_str(), *c)).collect();
        all.push(("aws/*", "deny"));
        let token = room.token(&all).await;
        assert_eq!(room.named(&token, &named(path), body.clone()).await.0.status, 403, "{path}");
        all.pop();
        let token = room.token(&all).await;
        let (got, _) = room.named(&token, &named(path), body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
    }
}

/// What is not there is refused in the same words to who may not know it.
#[tokio::test]
async fn a_stranger_learns_nothing() {
    let room = Room::new().await;
    let key = room.key().await;
    room.ok("create-alias/app", json!({ "target": key })).await;
    let blob = room.encrypt(&key, "text", json!({})).await;
    let mut foreign = STANDARD.decode(&blob).unwrap();
    foreign[10] ^= 1;
    let foreign = STANDARD.encode(foreign);
    let stranger = room.token(&[("encrypt/other", "update"), ("decrypt/other", "update")]).await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let mut told = Vec::new();
    for (path, body) in [
        (format!("encrypt/{key}"), json!({ "plaintext": "AA==" })),
        (format!("encrypt/{unknown}"), json!({ "plaintext": "AA==" })),
        (format!("encrypt/{key}"), json!({ "plaintext": "*" })),
        (format!("encrypt/{key}"), json!({})),
        ("re-encrypt/alias/app".to_owned(), json!({ "ciphertext": blob })),
        ("re-encrypt/alias/none".to_owned(), json!({ "ciphertext": blob })),
        ("encrypt/alias/app".to_owned(), json!({ "plaintext": "AA==" })),
        ("encrypt/alias/none".to_owned(), json!({})),
        (format!("decrypt/{key}"), json!({ "ciphertext": blob })),
        (format!("decrypt/{unknown}"), json!({ "ciphertext": blob })),
        (format!("describe-key/{key}"), json!({})),
        (format!("describe-key/{unknown}"), json!({})),
        ("delete-alias/app".to_owned(), json!({})),
        ("delete-alias/none".to_owned(), json!({})),
    ] {
        let (got, name) = room.named(&stranger, &path, body).await;
        assert_eq!(got.status, 403, "{path}: {got:?}");
        // That a ciphertext's own key is meant is said in other words, whatever the key.
        if !path.starts_with("re-encrypt") {
            told.push((got.errors(), name));
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    // A ciphertext says its key, and nobody else does.
    let mut told = Vec::new();
    for blob in [&blob, &foreign] {
        let (got, name) = room.named(&stranger, "decrypt", json!({ "ciphertext": blob })).await;
        assert_eq!(got.status, 403, "{got:?}");
        told.push((got.errors(), name));
    }
    assert_eq!(told[0].0, told[1].0);
    // Neither is told what is no ciphertext who may not decrypt with any key.
    for path in ["decrypt", "re-encrypt/alias/app"] {
        let (got, _) = room.named(&stranger, path, json!({ "ciphertext": "AA==" })).await;
        assert_eq!(got.status, 403, "{path}: {got:?}");
    }
}

/// Threats CVE-2026-45808, GHSA-c36x-h252-g9x2: an id, an alias and a blob belong to their mount.
#[tokio::test]
async fn keys_of_two_mounts_are_two() {
    let room = Room::new().await;
    room.node.mount("transit", "other/").await;
    let key = room.key().await;
    room.ok("create-alias/app", json!({ "target": key })).await;
    let blob = room.encrypt(&key, "text", json!({})).await;
    for (path, body) in [
        ("decrypt", json!({ "ciphertext": blob })),
        ("describe-key/alias/app", json!({})),
        (&format!("describe-key/{key}"), json!({})),
    ] {
        let got = room.node.root("AWS", &format!("other/aws/{path}"), body).await;
        assert!(matches!(got.status, 400 | 403), "{path}: {got:?}");
    }
    let listed = room.node.root("AWS", "other/aws/list-keys", json!({})).await;
    assert_eq!(listed.data()["keys"], json!([]));
}

#[tokio::test]
async fn a_list_shows_what_may_be_listed() {
    let room = Room::new().await;
    let keys = [room.key().await, room.key().await];
    room.vault("WRITE", "keys/team-a", json!({})).await;
    let token = room.token(&[("keys/", "list"), ("aliases/", "list")]).await;
    let got = room.node.call("AWS", "transit/aws/list-keys", &token, json!({})).await;
    assert_eq!(got.data()["keys"].as_array().unwrap().len(), 3);
    assert!(keys.iter().all(|key| got.body.to_string().contains(key)));
}
