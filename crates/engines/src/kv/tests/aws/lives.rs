//! What becomes of secrets: settings, deletion, tags, ARNs, rotation; and passwords.

use super::*;

#[tokio::test]
async fn what_is_deleted_at_vault_is_not_found() {
    let room = Room::new().await;
    room.secret("a", V1, "one").await;
    room.put_text("a", V2, "two").await;
    room.ok("DELETE", "secret/data/a", json!(null)).await;
    assert_eq!(code(room.text("a").await), "ResourceNotFoundException");
    let said = room.aws("get-secret-value", "a", json!({"version_id": V2})).await;
    assert_eq!(code(said), "ResourceNotFoundException");
    room.ok("WRITE", "secret/undelete/a", json!({"versions": [2]})).await;
    assert_eq!(room.text("a").await.unwrap(), "two");
    // A label moved there would bring back what only `undelete` may.
    room.ok("WRITE", "secret/delete/a", json!({"versions": [1]})).await;
    let body = json!({"version_stage": "AWSCURRENT", "remove_from_version_id": V2,
        "move_to_version_id": V1});
    let said = room.aws("update-secret-version-stage", "a", body).await;
    assert_eq!(code(said), "InvalidRequestException");
    room.ok("WRITE", "secret/destroy/a", json!({"versions": [1]})).await;
    let body = json!({"client_request_token": V1, "secret_string": "one"});
    assert_eq!(code(room.aws("put-secret-value", "a", body).await), "ResourceExistsException");
}

#[tokio::test]
async fn vaults_settings_hold() {
    let room = Room::new().await;
    room.put("a", json!({"k": 1})).await;
    let settings = json!({"cas_required": true, "metadata_cas_required": true, "max_versions": 2});
    room.ok("WRITE", "secret/metadata/a", settings).await;
    let body = json!({"client_request_token": V1, "secret_string": "x"});
    assert_eq!(
        code(room.aws("put-secret-value", "a", body.clone()).await),
        "InvalidRequestException"
    );
    assert_eq!(code(room.aws("update-secret", "a", body).await), "InvalidRequestException");
    let tags = json!({"tags": [{"key": "a", "value": "b"}]});
    assert_eq!(code(room.aws("tag-resource", "a", tags).await), "InvalidRequestException");
    let described = room.aws("update-secret", "a", json!({"description": "d"})).await;
    assert_eq!(code(described), "InvalidRequestException");
    // A pending version publishes nothing; and who moves AWSCURRENT names the current version.
    let body = json!({"client_request_token": V1, "secret_string": "x",
        "version_stages": ["AWSPENDING"]});
    room.aws("put-secret-value", "a", body).await.unwrap();
    let current = room.aws("get-secret-value", "a", json!({})).await.unwrap();
    let body = json!({"version_stage": "AWSCURRENT", "move_to_version_id": V1,
        "remove_from_version_id": current["version_id"]});
    room.aws("update-secret-version-stage", "a", body).await.unwrap();
    assert_eq!(room.get("a").await, Ok(json!({"value": "x"})));
    // So many versions as the secret keeps; one made here keeps a hundred.
    let settings = json!({"cas_required": false, "metadata_cas_required": false, "max_versions": 2,
        "metadata_cas": 1});
    room.ok("WRITE", "secret/metadata/a", settings).await;
    room.secret("b", V1, "x").await;
    for n in 0..12 {
        for path in ["a", "b"] {
            let token = format!("00000000-0000-4000-8000-0000000000{n:02}");
            room.put_text(path, &token, "y").await;
        }
    }
    // That of a rotation is spared, as it has its label still.
    for (path, kept) in [("a", 3), ("b", 13)] {
        let view = room.ok("READ", &format!("secret/metadata/{path}"), json!(null)).await;
        assert_eq!(view["versions"].as_object().unwrap().len(), kept, "{path}");
    }
}

#[tokio::test]
async fn a_deletion_waits_and_can_be_taken_back() {
    let room = Room::new().await;
    let made = room.secret("a", V1, "x").await;
    let day = 86_400.0;
    let deleted =
        room.aws("delete-secret", "a", json!({"recovery_window_in_days": 7})).await.unwrap();
    assert_eq!(deleted["deletion_date"], json!(1_767_225_600.0 + 7.0 * day));
    assert_eq!(room.get("a").await, Err(404));
    let body = json!({"secret_string": "y", "client_request_token": V2});
    for (operation, body) in [
        ("get-secret-value", json!({})),
        ("put-secret-value", body.clone()),
        ("update-secret", body.clone()),
        ("delete-secret", json!({})),
        ("create-secret", body),
        ("tag-resource", json!({"tags": []})),
        ("rotate-secret", json!({})),
        ("cancel-rotate-secret", json!({})),
    ] {
        let (code, text) = room.aws(operation, "a", body).await.unwrap_err();
        assert_eq!(code, "InvalidRequestException", "{operation}");
        let marked =
            text.contains("marked for deletion") || text.contains("scheduled for deletion");
        assert!(marked, "{operation}: {text}");
    }
    let described = room.aws("describe-secret", "a", json!({})).await.unwrap();
    assert_eq!(described["deleted_date"], json!(1_767_225_600.0));
    room.aws("restore-secret", "a", json!({})).await.unwrap();
    room.aws("restore-secret", "a", json!({})).await.unwrap();
    assert_eq!(room.text("a").await.unwrap(), "x");
    assert!(
        room.aws("describe-secret", "a", json!({})).await.unwrap().get("deleted_date").is_none()
    );
    // By itself after the days, 30 where nothing was said.
    room.aws("delete-secret", "a", json!({})).await.unwrap();
    let reconcile = async || {
        let services = room.node.services();
        let table = services.router.table().await.unwrap();
        let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
        let tx = services.store.begin();
        let now = services.store.now();
        crate::kv::store::purge_due(&tx.write(scope), now, 10).await.unwrap();
        tx.commit().await.unwrap();
    };
    room.node.clock.advance(30 * 86_400 - 1);
    reconcile().await;
    room.aws("describe-secret", "a", json!({})).await.unwrap();
    room.node.clock.advance(1);
    reconcile().await;
    assert_eq!(
        code(room.aws("describe-secret", "a", json!({})).await),
        "ResourceNotFoundException"
    );
    // By force, whether it is there or not, or already on its way.
    let force = json!({"force_delete_without_recovery": true});
    assert_eq!(room.aws("delete-secret", "a", force.clone()).await.unwrap()["path"], "a");
    let again = room.secret("a", V1, "x").await;
    assert_ne!(again["suffix"], made["suffix"], "another secret");
    room.aws("delete-secret", "a", json!({})).await.unwrap();
    room.aws("delete-secret", "a", force).await.unwrap();
    assert_eq!(room.keys("LIST", "secret/metadata").await, Vec::<String>::new());
    reconcile().await;
    room.secret("a", V1, "x").await;
}

#[tokio::test]
async fn tags_are_the_labels_of_all_doors() {
    let room = Room::new().await;
    room.put("a", json!({"k": 1})).await;
    room.ok("WRITE", "secret/metadata/a", json!({"custom_metadata": {"kv": "1"}})).await;
    let tag = async |list: &[(&str, &str)]| {
        let tags: Vec<Value> = list.iter().map(|(k, v)| json!({"key": k, "value": v})).collect();
        room.aws("tag-resource", "a", json!({ "tags": tags })).await
    };
    let tags = async || room.aws("describe-secret", "a", json!({})).await.unwrap()["tags"].clone();
    tag(&[("z", "1"), ("b", "2")]).await.unwrap();
    tag(&[("a", "3"), ("z", "4")]).await.unwrap();
    let pair = |k: &str, v: &str| json!({"key": k, "value": v});
    assert_eq!(
        tags().await,
        json!([pair("z", "4"), pair("b", "2"), pair("a", "3"), pair("kv", "1")])
    );
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["custom_metadata"], json!({"a": "3", "b": "2", "kv": "1", "z": "4"}));
    let untag = json!({"tag_keys": ["b", "kv", "none"]});
    room.aws("untag-resource", "a", untag).await.unwrap();
    tag(&[("b", "5")]).await.unwrap();
    assert_eq!(tags().await, json!([pair("z", "4"), pair("a", "3"), pair("b", "5")]));
    room.aws("untag-resource", "a", json!({"tag_keys": ["a", "b", "z"]})).await.unwrap();
    assert_eq!(tags().await, json!([]));
    // At the limit and above.
    let names: Vec<String> = (0..=TAGS_MAX).map(|n| n.to_string()).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
    tag(&many[..TAGS_MAX]).await.unwrap();
    tag(&many[..1]).await.unwrap();
    assert_eq!(code(tag(&many[TAGS_MAX..]).await), "InvalidParameterException");
    assert_eq!(tags().await.as_array().unwrap().len(), TAGS_MAX);
}

#[tokio::test]
async fn an_arn_means_one_secret() {
    let room = Room::new().await;
    let made = room.secret("app/db", V1, "db").await;
    let suffix = made["suffix"].as_str().unwrap();
    let get = async |path: &str, suffix: &str, whole: &str| {
        let body = json!({"suffix": suffix, "whole": whole});
        room.aws("get-secret-value", path, body).await.map(|d| d["secret_string"].clone())
    };
    assert_eq!(get("app/db", suffix, &format!("app/db-{suffix}")).await.unwrap(), "db");
    assert_eq!(code(get("app/db", "AAAAAA", "app/db-AAAAAA").await), "ResourceNotFoundException");
    // A name that ends as an ARN does.
    room.secret("app/db-AAAAAA", V1, "other").await;
    assert_eq!(get("app/db", "AAAAAA", "app/db-AAAAAA").await.unwrap(), "other");
    // The whole name wins over what is left of it.
    let shadow = format!("app/db-{suffix}");
    room.secret(&shadow, V1, "whole").await;
    assert_eq!(get("app/db", suffix, &shadow).await.unwrap(), "whole");
    let gone = json!({"force_delete_without_recovery": true});
    room.aws("delete-secret", &shadow, gone).await.unwrap();
    assert_eq!(get("app/db", suffix, &shadow).await.unwrap(), "db");
    // threat CVE-2026-3605
    for whole in ["app/../app/db-AAAAAA", "/app/db-AAAAAA", ""] {
        assert_eq!(code(get("app/db", "AAAAAA", whole).await), "ResourceNotFoundException");
    }
    // Each of both readings needs its own right.
    let other = room.token(&[("secret/data/app/db-AAAAAA", "read")]).await;
    let body = json!({"suffix": "AAAAAA", "whole": "app/db-AAAAAA"});
    let read = room.aws_as(&other, "get-secret-value", "app/db", body.clone()).await.unwrap();
    assert_eq!(read["secret_string"], "other");
    let body_of_db = json!({"suffix": suffix, "whole": format!("app/db-{suffix}")});
    assert_eq!(code(room.aws_as(&other, "get-secret-value", "app/db", body_of_db).await), "403");
    let first = room.token(&[("secret/data/app/db", "read")]).await;
    let said = room.aws_as(&first, "get-secret-value", "app/db", body).await;
    assert_eq!(code(said), "ResourceNotFoundException");
}

#[tokio::test]
async fn rotation_and_replication_do_not_pretend() {
    let room = Room::new().await;
    room.secret("a", V1, "x").await;
    for (operation, body) in [
        ("rotate-secret", json!({})),
        ("rotate-secret", json!({"rotation_lambda_arn": "arn:aws:lambda:x"})),
        ("cancel-rotate-secret", json!({})),
        ("replicate-secret-to-regions", json!({"add_replica_regions": [{"Region": "x"}]})),
        ("stop-replication-to-replica", json!({})),
    ] {
        let said = room.aws(operation, "a", body).await;
        assert_eq!(code(said), "InvalidRequestException", "{operation}");
    }
    let removed = room.aws("remove-regions-from-replication", "a", json!({})).await.unwrap();
    assert_eq!(removed["replication_status"], json!([]));
    assert_eq!(room.staged("a").await, json!({V1: ["AWSCURRENT"]}));
}

#[tokio::test]
async fn random_passwords_keep_what_was_asked() {
    let room = Room::new().await;
    let draw = async |body: Value| {
        let data = room.aws("get-random-password", "", body).await?;
        Ok::<_, Failure>(data["random_password"].as_str().unwrap().to_owned())
    };
    for body in [
        json!({"password_length": 0}),
        json!({"password_length": -1}),
        json!({"password_length": 3}),
        json!({"password_length": 3, "require_each_included_type": true}),
        json!({"password_length": 4_097}),
        json!({"exclude_numbers": true, "exclude_punctuation": true, "exclude_uppercase": true,
            "exclude_lowercase": true}),
        json!({"password_length": 4, "include_space": true}),
    ] {
        assert_eq!(code(draw(body.clone()).await), "InvalidParameterException", "{body}");
    }
    let password = draw(json!({})).await.unwrap();
    assert_eq!(password.len(), 32);
    assert_ne!(draw(json!({})).await.unwrap(), password);
    for _ in 0..20 {
        let password = draw(json!({"password_length": 4})).await.unwrap();
        for kind in [
            char::is_ascii_lowercase,
            char::is_ascii_uppercase,
            char::is_ascii_digit,
            char::is_ascii_punctuation,
        ] as [fn(&char) -> bool; 4]
        {
            assert_eq!(password.chars().filter(kind).count(), 1, "{password}");
        }
        let body = json!({"exclude_punctuation": true, "exclude_uppercase": true,
            "exclude_characters": "abc123", "password_length": 4_096});
        let password = draw(body).await.unwrap();
        assert!(password.bytes().all(|b| b"defghijklmnopqrstuvwxyz4567890".contains(&b)));
    }
    // The least length is asked for by the types alone.
    for body in [
        json!({"password_length": 1, "require_each_included_type": false}),
        json!({"password_length": 1, "exclude_punctuation": true, "exclude_uppercase": true,
            "exclude_numbers": true}),
    ] {
        assert_eq!(draw(body).await.unwrap().len(), 1);
    }
    let only = json!({"exclude_punctuation": true, "exclude_uppercase": true,
        "exclude_lowercase": true, "exclude_characters": "012345678", "password_length": 4});
    assert_eq!(draw(only).await.unwrap(), "9999");
}
