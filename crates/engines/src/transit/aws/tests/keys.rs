//! Keys as KMS describes them: one record, seen through both doors.

use super::*;

/// All pages of a list.
async fn pages(room: &Room, path: &str, member: &str, limit: i64) -> Vec<Value> {
    let (mut all, mut marker) = (Vec::new(), Value::Null);
    loop {
        let got = room.ok(path, json!({ "limit": limit, "marker": marker })).await;
        let page = got[member].as_array().unwrap();
        assert!(page.len() <= limit as usize);
        all.extend(page.iter().cloned());
        marker = got["next"].clone();
        if marker.is_null() {
            return all;
        }
        assert_eq!(page.len(), limit as usize);
    }
}

#[tokio::test]
async fn a_key_is_one_record_behind_both_doors() {
    let room = Room::new().await;
    let made = room.ok("create-key", json!({ "description": "for files" })).await;
    let id = text(&made["key_id"]);
    assert_eq!(id.len(), 36);
    assert_eq!(room.ok(&format!("describe-key/{id}"), json!({})).await, made);
    assert_eq!((&made["state"], &made["description"]), (&json!("Enabled"), &json!("for files")));
    assert_eq!((&made["created"], &made["multi_region"]), (&json!(1_767_225_600.0), &json!(false)));
    // Vault's door has it by its id as name.
    let shown = room.vault("READ", &format!("keys/{id}"), Value::Null).await;
    assert_eq!(shown.data()["type"], "aes256-gcm96");
    let body = json!({ "plaintext": STANDARD.encode("x") });
    assert_eq!(room.vault("WRITE", &format!("encrypt/{id}"), body).await.status, 200);
    // A multi-Region key's id is written in another way.
    let id = text(&room.ok("create-key", json!({ "multi_region": true })).await["key_id"]);
    assert!(id.starts_with("mrk-") && id.len() == 36, "{id}");
    let blob = room.encrypt(&id, "text", json!({})).await;
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    // Only what is symmetric, and used without a context, is a key of KMS.
    for (name, settings) in [
        ("sym", json!({})),
        ("rsa", json!({ "type": "ecdsa-p256" })),
        ("mac", json!({ "type": "hmac" })),
        ("derived", json!({ "derived": true })),
    ] {
        room.vault("WRITE", &format!("keys/{name}"), settings).await;
    }
    assert_eq!(pages(&room, "list-keys", "keys", 1).await.len(), 3);
    // A name is no id.
    room.refused("describe-key/sym", json!({}), "NotFoundException").await;
    room.refused("describe-key/alias/sym", json!({}), "NotFoundException").await;
}

#[tokio::test]
async fn pages_hold_what_was_asked_for() {
    let room = Room::new().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(room.key().await);
        room.ok(&format!("create-alias/a/{n}"), json!({ "target": ids[n / 4] })).await;
    }
    ids.sort();
    for limit in [1, 3, 7, 100] {
        assert_eq!(pages(&room, "list-keys", "keys", limit).await, ids);
        let aliases = pages(&room, "list-aliases", "aliases", limit).await;
        assert_eq!(aliases.len(), 7);
        assert_eq!(aliases[6]["alias"], "a/6");
    }
    for limit in [0, 1_001, -1] {
        for path in ["list-keys", "list-aliases"] {
            room.refused(path, json!({ "limit": limit }), "ValidationException").await;
        }
    }
    for marker in ["*", "_w"] {
        room.refused("list-keys", json!({ "marker": marker }), "InvalidMarkerException").await;
    }
}

#[tokio::test]
async fn aliases() {
    let room = Room::new().await;
    let (one, two) = (room.key().await, room.key().await);
    for (alias, code) in [
        ("a b", "InvalidAliasNameException"),
        ("a:b", "InvalidAliasNameException"),
        ("aws/ssm", "NotAuthorizedException"),
        (&"a".repeat(251), "InvalidAliasNameException"),
    ] {
        room.refused(&format!("create-alias/{alias}"), json!({ "target": one }), code).await;
    }
    for target in [json!("alias/x"), json!("nothing"), Value::Null] {
        let got = room.call("create-alias/x", json!({ "target": target })).await;
        assert_eq!(got.status, 400, "{target}");
    }
    room.ok(&format!("create-alias/{}", "a".repeat(250)), json!({ "target": one })).await;
    room.ok("create-alias/app", json!({ "target": one })).await;
    let taken = "AlreadyExistsException";
    room.refused("create-alias/app", json!({ "target": two }), taken).await;
    let blob = room.encrypt("alias/app", "text", json!({})).await;
    room.node.clock.advance(60);
    room.refused("update-alias/none", json!({ "target": two }), "NotFoundException").await;
    room.ok("update-alias/app", json!({ "target": two })).await;
    let body = json!({ "ciphertext": blob });
    room.refused("decrypt/alias/app", body, "IncorrectKeyException").await;
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    let listed = room.ok(&format!("list-aliases/{two}"), json!({})).await;
    let alias = &listed["aliases"][0];
    assert_eq!((&alias["alias"], &alias["key_id"]), (&json!("app"), &json!(two)));
    let (created, updated) =
        (alias["created"].as_f64().unwrap(), alias["updated"].as_f64().unwrap());
    assert_eq!(updated - created, 60.0);
    room.ok("delete-alias/app", json!({})).await;
    room.refused("delete-alias/app", json!({}), "NotFoundException").await;
    room.refused("describe-key/alias/app", json!({}), "NotFoundException").await;
    assert_eq!(room.ok(&format!("list-aliases/{two}"), json!({})).await["aliases"], json!([]));
    // A key has so many.
    for n in 0..49 {
        room.ok(&format!("create-alias/n{n}"), json!({ "target": one })).await;
    }
    let body = json!({ "target": one });
    room.refused("create-alias/more", body, "LimitExceededException").await;
    room.refused("describe-key/alias/more", json!({}), "NotFoundException").await;
}

#[tokio::test]
async fn tags_descriptions_and_policies() {
    let room = Room::new().await;
    let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
    let made = room.ok("create-key", json!({ "tags": [tag("z", "1"), tag("a", "2")] })).await;
    let id = text(&made["key_id"]);
    let tags = pages(&room, &format!("list-tags/{id}"), "tags", 1).await;
    assert_eq!(tags, [tag("z", "1"), tag("a", "2")]);
    for (tags, code) in [
        (json!([tag("", "x")]), "TagException"),
        (json!([tag("aws:x", "x")]), "TagException"),
        (json!([tag("k", "1"), tag("k", "2")]), "TagException"),
        (json!([tag(&"k".repeat(129), "")]), "TagException"),
        (json!([tag("k", &"v".repeat(257))]), "TagException"),
        (json!([{ "key": "k" }]), "TagException"),
        (json!("x"), "TagException"),
        (
            Value::from((0..49).map(|n| tag(&format!("t{n}"), "")).collect::<Vec<_>>()),
            "LimitExceededException",
        ),
    ] {
        room.refused(&format!("tag/{id}"), json!({ "tags": tags }), code).await;
    }
    room.ok(&format!("tag/{id}"), json!({ "tags": [tag("z", "3"), tag("n", "")] })).await;
    room.ok(&format!("untag/{id}"), json!({ "tags": ["a", "none"] })).await;
    let tags = room.ok(&format!("list-tags/{id}"), json!({})).await["tags"].clone();
    assert_eq!(tags, json!([tag("z", "3"), tag("n", "")]));
    let long = json!({ "description": "d".repeat(8_193) });
    room.refused("create-key", long.clone(), "ValidationException").await;
    room.refused(&format!("update-description/{id}"), long, "ValidationException").await;
    room.ok(&format!("update-description/{id}"), json!({ "description": "new" })).await;
    let shown = room.ok(&format!("describe-key/{id}"), json!({})).await;
    assert_eq!(shown["description"], "new");
    assert_eq!(room.ok(&format!("get-policy/{id}"), json!({})).await["policy"], "");
    let policy = json!({
        "Statement": [{
            "Effect": "Allow", "Action": "kms:*", "Resource": "*",
            "Principal": { "AWS": "arn:aws:iam::123456789012:root" },
        }],
    })
    .to_string();
    room.ok(&format!("put-policy/{id}"), json!({ "policy": policy })).await;
    assert_eq!(room.ok(&format!("get-policy/{id}"), json!({})).await["policy"], policy);
    let body = json!({ "policy": "{}" });
    room.refused(&format!("put-policy/{id}"), body, "MalformedPolicyDocumentException").await;
    room.refused("create-key", json!({ "policy": "" }), "MalformedPolicyDocumentException").await;
}

#[tokio::test]
async fn rotations() {
    let room = Room::new().await;
    let id = room.key().await;
    let status = async || room.ok(&format!("rotation-status/{id}"), json!({})).await;
    assert_eq!(status().await, json!({ "key_id": id, "enabled": false }));
    for days in [89, 2_561] {
        let body = json!({ "days": days });
        room.refused(&format!("enable-rotation/{id}"), body, "ValidationException").await;
    }
    room.ok(&format!("enable-rotation/{id}"), json!({})).await;
    let shown = status().await;
    assert_eq!((&shown["enabled"], &shown["days"]), (&json!(true), &json!(365)));
    assert_eq!(shown["next"], json!(1_767_225_600.0 + (365 * DAY) as f64));
    let old = room.encrypt(&id, "text", json!({})).await;
    room.ok(&format!("rotate/{id}"), json!({})).await;
    room.node.clock.advance(366 * DAY);
    room.settle().await;
    assert_eq!(room.decrypt(&old, json!({})).await, "text");
    let path = format!("list-rotations/{id}");
    let all = pages(&room, &path, "rotations", 1).await;
    let by_itself: Vec<&Value> = all.iter().map(|r| &r["is_by_itself"]).collect();
    assert_eq!(by_itself, [&json!(false), &json!(true)]);
    assert_eq!((&all[0]["is_current"], &all[1]["is_current"]), (&json!(false), &json!(true)));
    let all = room.ok(&path, json!({ "all_material": true })).await["rotations"].clone();
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert!(all[0]["time"].is_null() && all[0]["material"] != all[1]["material"]);
    let shown = room.ok(&format!("describe-key/{id}"), json!({})).await;
    assert_eq!(shown["material"], all[2]["material"]);
    room.ok(&format!("disable-rotation/{id}"), json!({})).await;
    assert_eq!(status().await["enabled"], false);
    // Vault's period is the same.
    let body = json!({ "auto_rotate_period": "240h" });
    room.vault("WRITE", &format!("keys/{id}/config"), body).await;
    assert_eq!(status().await["days"], 10);
    // Versions that Vault's door takes out of use do not open here either.
    let body = json!({ "min_decryption_version": 2 });
    room.vault("WRITE", &format!("keys/{id}/config"), body).await;
    room.refused("decrypt", json!({ "ciphertext": old }), "InvalidCiphertextException").await;
}
