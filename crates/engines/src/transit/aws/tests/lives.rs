//! States of keys, and their end.

use strongroom_kernel::record::Scope;

use super::super::super::key::Key;
use super::super::stored::Known;
use super::*;

/// Every use of a key at Vault's door must be refused with this text.
async fn refused_by_vault(room: &Room, key: &str, sealed: &Value, why: &str) {
    let input = json!({ "input": "AA==" });
    for (path, body) in [
        ("encrypt", json!({ "plaintext": "AA==" })),
        ("decrypt", json!({ "ciphertext": sealed })),
        ("rewrap", json!({ "ciphertext": sealed })),
        ("datakey/wrapped", json!({})),
        ("datakey/plaintext", json!({})),
        ("hmac", input),
    ] {
        let got = room.vault("WRITE", &format!("{path}/{key}"), body).await;
        assert_eq!(got.status, 400, "{path}: {got:?}");
        assert!(got.errors().contains(why), "{path}: {got:?}");
    }
    let got = room.vault("WRITE", &format!("keys/{key}/rotate"), json!({})).await;
    assert!(got.status == 400 && got.errors().contains(why), "{got:?}");
}

/// Every use of a key here must be refused with this name.
async fn refused_by_kms(room: &Room, key: &str, blob: &str, code: &str) {
    for (path, body) in [
        (format!("encrypt/{key}"), json!({ "plaintext": "AA==" })),
        ("decrypt".to_owned(), json!({ "ciphertext": blob })),
        (format!("decrypt/{key}"), json!({ "ciphertext": blob })),
        (format!("re-encrypt/{key}"), json!({ "ciphertext": blob })),
        (format!("data-key/{key}"), json!({ "bytes": 32 })),
        (format!("wrapped-key/{key}"), json!({ "bytes": 32 })),
        (format!("enable-rotation/{key}"), json!({})),
        (format!("rotate/{key}"), json!({})),
    ] {
        room.refused(&path, body, code).await;
    }
}

#[tokio::test]
async fn a_disabled_key_is_out_of_use_at_every_door() {
    let room = Room::new().await;
    let id = room.key().await;
    let blob = room.encrypt(&id, "text", json!({})).await;
    let got = room.vault("WRITE", &format!("encrypt/{id}"), json!({ "plaintext": "AA==" })).await;
    let sealed = got.data()["ciphertext"].clone();
    let state = async || room.ok(&format!("describe-key/{id}"), json!({})).await["state"].clone();
    room.ok(&format!("disable-key/{id}"), json!({})).await;
    room.ok(&format!("disable-key/{id}"), json!({})).await;
    assert_eq!(state().await, "Disabled");
    refused_by_kms(&room, &id, &blob, "DisabledException").await;
    refused_by_vault(&room, &id, &sealed, "refusing to use soft-deleted key").await;
    assert_eq!(
        room.vault("READ", &format!("keys/{id}"), Value::Null).await.data()["soft_deleted"],
        true
    );
    room.ok(&format!("enable-key/{id}"), json!({})).await;
    assert_eq!(state().await, "Enabled");
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    // And the other way about.
    room.vault("DELETE", &format!("keys/{id}/soft-delete"), Value::Null).await;
    assert_eq!(state().await, "Disabled");
    room.vault("WRITE", &format!("keys/{id}/soft-delete-restore"), json!({})).await;
    assert_eq!(state().await, "Enabled");
    room.refused(&format!("cancel-deletion/{id}"), json!({}), "KMSInvalidStateException").await;
}

#[tokio::test]
async fn a_key_that_is_to_be_deleted_is_out_of_use_and_then_gone() {
    let room = Room::new().await;
    let (id, other) = (room.key().await, room.key().await);
    room.ok("create-alias/app", json!({ "target": id })).await;
    let blob = room.encrypt(&id, "text", json!({})).await;
    let got = room.vault("WRITE", &format!("encrypt/{id}"), json!({ "plaintext": "AA==" })).await;
    let sealed = got.data()["ciphertext"].clone();
    let path = format!("schedule-deletion/{id}");
    for days in [6, 31, 0, -1] {
        room.refused(&path, json!({ "days": days }), "ValidationException").await;
    }
    let done = room.ok(&path, json!({})).await;
    assert_eq!((&done["days"], &done["key_id"]), (&json!(30), &json!(id)));
    const STATE: &str = "KMSInvalidStateException";
    room.refused(&path, json!({ "days": 7 }), STATE).await;
    refused_by_kms(&room, &id, &blob, STATE).await;
    refused_by_vault(&room, &id, &sealed, "scheduled for deletion").await;
    for path in ["enable-key", "disable-key", "tag", "untag", "put-policy", "update-description"] {
        room.refused(&format!("{path}/{id}"), json!({}), STATE).await;
    }
    room.refused("create-alias/x", json!({ "target": id }), STATE).await;
    let shown = room.vault("READ", &format!("keys/{id}"), Value::Null).await;
    assert_eq!(shown.data()["deletion_time"], "2026-01-31T00:00:00Z");
    let restore = format!("keys/{id}/soft-delete-restore");
    let got = room.vault("WRITE", &restore, json!({})).await;
    assert!(got.status == 400 && got.errors().contains("scheduled for deletion"), "{got:?}");
    let shown = room.ok(&format!("describe-key/{id}"), json!({})).await;
    assert_eq!(
        (&shown["state"], &shown["deletion"]),
        (&json!("PendingDeletion"), &done["deletion"])
    );
    // Taken back, it is disabled until it is enabled.
    room.node.clock.advance(29 * DAY);
    room.settle().await;
    room.ok(&format!("cancel-deletion/{id}"), json!({})).await;
    let shown = room.ok(&format!("describe-key/{id}"), json!({})).await;
    assert_eq!((&shown["state"], &shown["deletion"]), (&json!("Disabled"), &Value::Null));
    room.node.clock.advance(30 * DAY);
    room.settle().await;
    room.ok(&format!("enable-key/{id}"), json!({})).await;
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    // Its time comes: from that moment on it is gone, whenever it is cleared away.
    room.ok(&path, json!({ "days": 7 })).await;
    room.node.clock.advance(7 * DAY);
    for path in ["describe-key", "cancel-deletion", "encrypt", "enable-key"] {
        room.refused(&format!("{path}/{id}"), json!({}), "NotFoundException").await;
    }
    room.settle().await;
    assert_eq!(room.vault("READ", &format!("keys/{id}"), Value::Null).await.status, 404);
    room.refused("decrypt", json!({ "ciphertext": blob }), "AccessDeniedException").await;
    room.refused("describe-key/alias/app", json!({}), "NotFoundException").await;
    assert_eq!(room.ok("list-keys", json!({})).await["keys"], json!([other]));
    assert_eq!(room.ok("list-aliases", json!({})).await["aliases"], json!([]));
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    assert!(log.contains(&format!("keys/{id}\"")), "the deletion is in the audit log");
}

#[tokio::test]
async fn who_deletes_at_vaults_door_deletes_what_kms_knows() {
    let room = Room::new().await;
    let id = room.key().await;
    room.ok("create-alias/app", json!({ "target": id })).await;
    let blob = room.encrypt(&id, "text", json!({})).await;
    room.vault("WRITE", &format!("keys/{id}/config"), json!({ "deletion_allowed": true })).await;
    assert_eq!(room.vault("DELETE", &format!("keys/{id}"), Value::Null).await.status, 204);
    room.refused("describe-key/alias/app", json!({}), "NotFoundException").await;
    // A key of the same name is another, and has nothing of the old one.
    room.vault("WRITE", &format!("keys/{id}"), json!({})).await;
    let ids = room.ok("list-keys", json!({})).await["keys"].clone();
    assert_ne!(ids[0], json!(id));
    room.refused("decrypt", json!({ "ciphertext": blob }), "AccessDeniedException").await;
    room.refused(&format!("describe-key/{id}"), json!({}), "NotFoundException").await;
    room.ok("create-alias/app", json!({ "target": ids[0] })).await;
}

#[tokio::test]
async fn a_backup_brings_the_id_along() {
    let room = Room::new().await;
    let id = room.key().await;
    let open =
        json!({ "exportable": true, "allow_plaintext_backup": true, "deletion_allowed": true });
    room.vault("WRITE", &format!("keys/{id}/config"), open).await;
    room.ok("create-alias/app", json!({ "target": id })).await;
    let blob = room.encrypt(&id, "text", json!({})).await;
    let got = room.vault("READ", &format!("backup/{id}"), Value::Null).await;
    let backup = got.data()["backup"].clone();
    // Over the key itself: all stays.
    let body = json!({ "backup": backup, "force": true });
    assert_eq!(room.vault("WRITE", "restore", body).await.status, 204);
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    assert_eq!(room.ok("describe-key/alias/app", json!({})).await["key_id"], json!(id));
    // Under another name: another key.
    room.vault("WRITE", "restore/copy", json!({ "backup": backup })).await;
    let ids = room.ok("list-keys", json!({})).await["keys"].clone();
    assert_eq!(ids.as_array().unwrap().len(), 2);
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    // Over another key: what was said of that one goes with it.
    let other = room.key().await;
    room.ok("create-alias/other", json!({ "target": other })).await;
    let body = json!({ "backup": backup, "force": true });
    room.vault("WRITE", &format!("restore/{other}"), body).await;
    room.refused("describe-key/alias/other", json!({}), "NotFoundException").await;
    room.refused(&format!("describe-key/{other}"), json!({}), "NotFoundException").await;
    // Where the key is gone, its blobs open again.
    room.vault("DELETE", &format!("keys/{id}"), Value::Null).await;
    room.refused("decrypt", json!({ "ciphertext": blob }), "AccessDeniedException").await;
    room.vault("WRITE", "restore/again", json!({ "backup": backup })).await;
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    assert_eq!(room.ok(&format!("describe-key/{id}"), json!({})).await["key_id"], json!(id));
}

/// Keys from before there were ids get theirs in the background, and work until then as they did.
#[tokio::test]
async fn old_keys_get_ids() {
    let room = Room::new().await;
    room.vault("WRITE", "keys/old", json!({})).await;
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let scope = table.at(Scope::ROOT, "transit/").unwrap().mount.scope;
    let tx = services.store.begin();
    let edit = tx.write(scope);
    let mut key = edit.named::<Key>(0, "old").await.unwrap().unwrap();
    edit.delete_named::<Known>(0, &key.kms_id().text());
    key.id = 0;
    edit.put_named(0, "old", &key).unwrap();
    tx.commit().await.unwrap();
    assert_eq!(room.ok("list-keys", json!({})).await["keys"], json!([]));
    let got = room.vault("WRITE", "encrypt/old", json!({ "plaintext": "AA==" })).await;
    assert_eq!(got.status, 200, "{got:?}");
    room.node.clock.advance(61);
    room.settle().await;
    let ids = room.ok("list-keys", json!({})).await["keys"].clone();
    let id = text(&ids[0]);
    let blob = room.encrypt(&id, "text", json!({})).await;
    assert_eq!(room.decrypt(&blob, json!({})).await, "text");
    // Once, and then no more.
    room.node.clock.advance(61);
    room.settle().await;
    assert_eq!(room.ok("list-keys", json!({})).await["keys"], ids);
}
