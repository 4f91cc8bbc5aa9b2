//! AWS Secrets Manager's operations, one secret at a time.

use super::*;
use crate::kv::aws::limits::{
    STAGES_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX, VALUE_BYTES_MAX,
};

/// Client request tokens, as SDKs make them.
const V1: &str = "11111111-1111-4111-8111-111111111111";
const V2: &str = "22222222-2222-4222-8222-222222222222";
const V3: &str = "33333333-3333-4333-8333-333333333333";
/// One that is no UUID.
const ODD: &str = "a-token-of-another-kind-with-40-letters!";

impl Room {
    async fn put_text(&self, path: &str, token: &str, text: &str) {
        let body = json!({"client_request_token": token, "secret_string": text});
        self.aws("put-secret-value", path, body).await.unwrap();
    }

    /// The current value, or what is said instead.
    async fn text(&self, path: &str) -> Result<String, Failure> {
        let data = self.aws("get-secret-value", path, json!({})).await?;
        Ok(data["secret_string"].as_str().unwrap().to_owned())
    }

    /// The versions and their labels.
    async fn staged(&self, path: &str) -> Value {
        self.aws("describe-secret", path, json!({})).await.unwrap()["version_ids_to_stages"].clone()
    }

    async fn secret(&self, path: &str, token: &str, text: &str) -> Value {
        let body = json!({"client_request_token": token, "secret_string": text});
        self.aws("create-secret", path, body).await.unwrap()
    }
}

fn code<T: std::fmt::Debug>(said: Result<T, Failure>) -> String {
    said.unwrap_err().0
}

#[tokio::test]
async fn what_is_wrong_in_itself_is_refused_before_it_is_looked_up() {
    let room = Room::new().await;
    let long = |n: usize| "x".repeat(n);
    let tag = |key: &str, value: &str| json!({"tags": [{"key": key, "value": value}]});
    for (operation, body, code, text) in [
        (
            "put-secret-value",
            json!({}),
            "InvalidRequestException",
            "You must provide either SecretString or SecretBinary.",
        ),
        (
            "put-secret-value",
            json!({"secret_string": "x", "secret_binary": "eA=="}),
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value in the same \
             secret.",
        ),
        ("put-secret-value", json!({"secret_string": ""}), "ValidationException", ""),
        ("put-secret-value", json!({"secret_binary": ""}), "ValidationException", ""),
        ("put-secret-value", json!({"secret_binary": "?"}), "SerializationException", ""),
        (
            "put-secret-value",
            json!({"secret_string": long(VALUE_BYTES_MAX + 1)}),
            "ValidationException",
            "",
        ),
        (
            "put-secret-value",
            json!({"secret_string": "x", "client_request_token": long(31)}),
            "InvalidParameterException",
            "ClientRequestToken must be 32-64 characters long.",
        ),
        (
            "put-secret-value",
            json!({"secret_string": "x", "client_request_token": long(65)}),
            "InvalidParameterException",
            "ClientRequestToken must be 32-64 characters long.",
        ),
        (
            "put-secret-value",
            json!({"secret_string": "x", "version_stages": []}),
            "ValidationException",
            "",
        ),
        (
            "put-secret-value",
            json!({"secret_string": "x", "version_stages": vec!["x"; STAGES_MAX + 1]}),
            "ValidationException",
            "",
        ),
        (
            "put-secret-value",
            json!({"secret_string": "x", "version_stages": [long(257)]}),
            "ValidationException",
            "",
        ),
        ("create-secret", json!({"description": long(2_049)}), "ValidationException", ""),
        ("create-secret", json!({"kms_key_id": long(2_049)}), "ValidationException", ""),
        ("create-secret", tag("aws:x", "y"), "InvalidParameterException", ""),
        ("create-secret", tag("", "y"), "ValidationException", ""),
        ("create-secret", tag(&long(TAG_KEY_CHARS_MAX + 1), "y"), "ValidationException", ""),
        ("tag-resource", tag("x", &long(TAG_VALUE_CHARS_MAX + 1)), "ValidationException", ""),
        (
            "create-secret",
            json!({"add_replica_regions": [{"Region": "eu-west-1"}]}),
            "InvalidRequestException",
            "",
        ),
        (
            "delete-secret",
            json!({"recovery_window_in_days": 6, "force_delete_without_recovery": true}),
            "InvalidParameterException",
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ),
        (
            "delete-secret",
            json!({"recovery_window_in_days": 31}),
            "InvalidParameterException",
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ),
        (
            "delete-secret",
            json!({"recovery_window_in_days": 7, "force_delete_without_recovery": true}),
            "InvalidParameterException",
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ),
        (
            "update-secret-version-stage",
            json!({"version_stage": "x"}),
            "InvalidParameterException",
            "",
        ),
        (
            "update-secret-version-stage",
            json!({"version_stage": "", "move_to_version_id": V1}),
            "ValidationException",
            "",
        ),
        (
            "rotate-secret",
            json!({"automatically_after_days": 1_001}),
            "InvalidParameterException",
            "RotationRules.AutomaticallyAfterDays must be within 1-1000.",
        ),
        ("list-secret-version-ids", json!({"max_results": 0}), "ValidationException", ""),
        ("list-secret-version-ids", json!({"max_results": 101}), "ValidationException", ""),
        // And what is only not there.
        (
            "put-secret-value",
            json!({"secret_string": "x"}),
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        ),
        ("get-secret-value", json!({}), "ResourceNotFoundException", ""),
        ("describe-secret", json!({}), "ResourceNotFoundException", ""),
        ("update-secret", json!({}), "ResourceNotFoundException", ""),
        ("delete-secret", json!({}), "ResourceNotFoundException", ""),
        ("restore-secret", json!({}), "ResourceNotFoundException", ""),
        ("tag-resource", tag("a", "b"), "ResourceNotFoundException", ""),
        ("untag-resource", json!({"tag_keys": ["a"]}), "ResourceNotFoundException", ""),
        ("list-secret-version-ids", json!({}), "ResourceNotFoundException", ""),
        ("rotate-secret", json!({}), "ResourceNotFoundException", ""),
        ("cancel-rotate-secret", json!({}), "ResourceNotFoundException", ""),
    ] {
        let said = room.aws(operation, "none", body.clone()).await.unwrap_err();
        assert_eq!(said.0, code, "{operation} {body}: {said:?}");
        assert!(text.is_empty() || said.1 == text, "{operation} {body}: {said:?}");
    }
    assert_eq!(room.keys("LIST", "secret/metadata").await, Vec::<String>::new());
}

#[tokio::test]
async fn vault_reaches_none_of_it() {
    // threat GHSA-rh46-vc3j-w2w3
    let room = Room::new().await;
    room.secret("a", V1, "x").await;
    for verb in ["WRITE", "READ", "LIST", "DELETE"] {
        let got = room.call(verb, "secret/aws/get-secret-value/a", json!({})).await;
        assert_eq!(got.status, 404, "{got:?}");
    }
}

#[tokio::test]
async fn a_new_secret_tells_what_was_said_of_it() {
    let room = Room::new().await;
    let made =
        room.aws("create-secret", "app/db", json!({"client_request_token": V1})).await.unwrap();
    assert_eq!(made["path"], "app/db");
    assert!(made.get("version_id").is_none(), "{made}");
    let described = room.aws("describe-secret", "app/db", json!({})).await.unwrap();
    let members: Vec<&String> = described.as_object().unwrap().keys().collect();
    assert_eq!(members, ["path", "suffix", "last_changed_date", "created_date"]);
    assert_eq!(described["created_date"], json!(1_767_225_600.0));
    assert_eq!(described["suffix"], made["suffix"]);
    // It has no value at any door.
    assert_eq!(
        room.text("app/db").await.unwrap_err(),
        (
            "ResourceNotFoundException".to_owned(),
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
                .to_owned()
        )
    );
    assert_eq!(room.get("app/db").await, Err(404));
    // The same request again is done; another one finds the name taken.
    let again = room.aws("create-secret", "app/db", json!({"client_request_token": V1})).await;
    assert_eq!(again.unwrap(), made);
    for body in [
        json!({"client_request_token": V2, "name": "app/db"}),
        json!({"client_request_token": V1, "name": "app/db", "secret_string": "x"}),
        json!({"name": "app/db"}),
    ] {
        let said = room.aws("create-secret", "app/db", body).await.unwrap_err();
        let text = "The operation failed because the secret app/db already exists.";
        assert_eq!(said, ("ResourceExistsException".to_owned(), text.to_owned()));
    }
    let body = json!({
        "client_request_token": V1, "secret_string": "x", "description": "d", "kms_key_id": "alias/k",
        "tags": [{"key": "z", "value": "1"}, {"key": "a", "value": ""}],
    });
    let made = room.aws("create-secret", "full", body.clone()).await.unwrap();
    assert_eq!(made["version_id"], V1);
    assert_eq!(room.aws("create-secret", "full", body).await.unwrap(), made);
    let described = room.aws("describe-secret", "full", json!({})).await.unwrap();
    assert_eq!(described["description"], "d");
    assert_eq!(described["kms_key_id"], "alias/k");
    assert_eq!(
        described["tags"],
        json!([{"key": "z", "value": "1"}, {"key": "a", "value": ""}]),
        "in the order of addition"
    );
    assert_eq!(described["version_ids_to_stages"], json!({V1: ["AWSCURRENT"]}));
}

#[tokio::test]
async fn a_put_is_done_once() {
    let room = Room::new().await;
    let made = room.secret("a", V1, "one").await;
    let suffix = made["suffix"].as_str().unwrap();
    for token in [V2, ODD] {
        let body = json!({"client_request_token": token, "secret_string": token});
        let first = room.aws("put-secret-value", "a", body.clone()).await.unwrap();
        assert_eq!(first["version_id"], token);
        assert_eq!(room.aws("put-secret-value", "a", body.clone()).await.unwrap(), first);
        assert_eq!(room.aws("update-secret", "a", body).await.unwrap()["version_id"], token);
        for other in [
            json!({"client_request_token": token, "secret_string": "other"}),
            json!({"client_request_token": token, "secret_binary": "b25l"}),
        ] {
            let mut other = other;
            other["arn"] = json!("arn:a");
            let said = room.aws("put-secret-value", "a", other).await.unwrap_err();
            let text = format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a \
                 version of secret arn:a-{suffix}."
            );
            assert_eq!(said, ("ResourceExistsException".to_owned(), text));
        }
    }
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["current_version"], 3);
    // The token of a version that is not the current one changes nothing either.
    room.put_text("a", V1, "one").await;
    assert_eq!(room.text("a").await.unwrap(), ODD);
    // What is written by Vault has an id, too, and nobody else's token is that id.
    room.put("a", json!({"k": "v"})).await;
    let read = room.aws("get-secret-value", "a", json!({})).await.unwrap();
    let id = read["version_id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    let body = json!({"client_request_token": id, "secret_string": r#"{"k":"v"}"#});
    assert_eq!(room.aws("put-secret-value", "a", body).await.unwrap()["version_id"], id);
    let body = json!({"client_request_token": id, "secret_string": "other"});
    assert_eq!(code(room.aws("put-secret-value", "a", body).await), "ResourceExistsException");
    // Without a token one is drawn.
    let body = json!({"secret_string": "drawn"});
    let first = room.aws("put-secret-value", "a", body.clone()).await.unwrap();
    assert_ne!(room.aws("put-secret-value", "a", body).await.unwrap(), first);
}

#[tokio::test]
async fn values_come_back_byte_for_byte() {
    let room = Room::new().await;
    let exact = "x".repeat(VALUE_BYTES_MAX);
    for text in ["plain", "{\"b\": 1.50,\n \"a\":  \"\\u00e9\"}", "[1]", "é\u{0}\r\n ", &exact] {
        let path = "text";
        room.aws("delete-secret", path, json!({"force_delete_without_recovery": true}))
            .await
            .unwrap();
        room.secret(path, V1, text).await;
        assert_eq!(room.text(path).await.unwrap(), text);
        assert_eq!(room.get(path).await, Ok(json!({"value": text})));
    }
    // A KV object is one JSON string here, and text that is an object stays one over it.
    room.put("object", json!({"b": 1, "a": "é"})).await;
    assert_eq!(room.text("object").await.unwrap(), r#"{"b":1,"a":"é"}"#);
    let spaced = "{ \"b\": 2.50 }";
    room.put_text("object", V1, spaced).await;
    assert_eq!(room.text("object").await.unwrap(), spaced);
    let kv = room.call("READ", "secret/data/object", json!(null)).await;
    assert_eq!(kv.data()["data"].to_string(), r#"{"b":2.50}"#);
    room.put_text("object", V2, "no object").await;
    assert_eq!(room.get("object").await, Ok(json!({"value": "no object"})));
    // Over text, an object is text, until KV writes another form.
    room.put_text("object", V3, r#"{"b":3}"#).await;
    assert_eq!(room.get("object").await, Ok(json!({"value": r#"{"b":3}"#})));
    room.put("object", json!({"value": "kept"})).await;
    assert_eq!(room.text("object").await.unwrap(), "kept");
    // Bytes.
    let body = json!({"client_request_token": V1, "secret_binary": "/wB7fQ=="});
    room.aws("create-secret", "bytes", body).await.unwrap();
    let read = room.aws("get-secret-value", "bytes", json!({})).await.unwrap();
    assert_eq!((read.get("secret_string"), &read["secret_binary"]), (None, &json!("/wB7fQ==")));
    assert_eq!(room.get("bytes").await, Ok(json!({"value_base64": "/wB7fQ=="})));
    // What is larger than AWS takes was written by another door and stays readable.
    let large = "y".repeat(2 * VALUE_BYTES_MAX);
    room.put("large", json!({"k": large})).await;
    assert_eq!(room.text("large").await.unwrap().len(), large.len() + 8);
}

#[tokio::test]
async fn labels_follow_the_versions() {
    let room = Room::new().await;
    room.aws("create-secret", "a", json!({})).await.unwrap();
    let put = async |token: &str, stages: Value| {
        let body = json!({"client_request_token": token, "secret_string": token,
            "version_stages": stages});
        room.aws("put-secret-value", "a", body).await.unwrap()["version_stages"].clone()
    };
    // The first value is the current one besides.
    assert_eq!(put(V1, json!(["AWSPENDING"])).await, json!(["AWSPENDING", "AWSCURRENT"]));
    assert_eq!(room.text("a").await.unwrap(), V1);
    // Other labels leave AWSCURRENT where it is, and KV does not see the version.
    assert_eq!(put(V2, json!(["AWSPENDING", "blue"])).await, json!(["AWSPENDING", "blue"]));
    assert_eq!(room.staged("a").await, json!({V1: ["AWSCURRENT"], V2: ["AWSPENDING", "blue"]}));
    assert_eq!(room.get("a").await, Ok(json!({"value": V1})));
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["versions"].as_object().unwrap().len(), 1);
    let get = async |body: Value| {
        let data = room.aws("get-secret-value", "a", body).await?;
        Ok::<_, Failure>(data["secret_string"].as_str().unwrap().to_owned())
    };
    assert_eq!(get(json!({"version_stage": "blue"})).await.unwrap(), V2);
    assert_eq!(get(json!({"version_id": V2})).await.unwrap(), V2);
    assert_eq!(get(json!({"version_id": V2, "version_stage": "blue"})).await.unwrap(), V2);
    let text = "You provided a VersionStage that is not associated to the provided VersionId.";
    let said = get(json!({"version_id": V2, "version_stage": "AWSCURRENT"})).await.unwrap_err();
    assert_eq!(said, ("InvalidRequestException".to_owned(), text.to_owned()));
    let said = get(json!({"version_id": V3})).await.unwrap_err().1;
    assert_eq!(
        said,
        format!("Secrets Manager can't find the specified secret value for VersionId: {V3}")
    );

    // A rotation's last step: the pending version becomes the current one and keeps its label.
    let step = async |stage: &str, from: Value, to: Value| {
        let body = json!({"version_stage": stage, "remove_from_version_id": from,
            "move_to_version_id": to, "arn": "arn"});
        room.aws("update-secret-version-stage", "a", body).await
    };
    let said = step("AWSCURRENT", json!(null), json!(V2)).await.unwrap_err();
    let text = format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently \
         attached to version {V1}, so you must explicitly reference that version in \
         RemoveFromVersionId."
    );
    assert_eq!(said, ("InvalidParameterException".to_owned(), text));
    for (stage, from, to, expect) in [
        ("AWSCURRENT", json!(V2), json!(V2), "InvalidParameterException"),
        ("AWSCURRENT", json!(V1), json!(null), "InvalidParameterException"),
        ("AWSCURRENT", json!(V1), json!(V3), "ResourceNotFoundException"),
        ("AWSCURRENT", json!(V3), json!(V2), "ResourceNotFoundException"),
        ("blue", json!(null), json!(V1), "InvalidParameterException"),
        ("green", json!(V1), json!(null), "InvalidParameterException"),
    ] {
        let said = step(stage, from.clone(), to.clone()).await;
        assert_eq!(code(said), expect, "{stage} {from} {to}");
    }
    step("AWSCURRENT", json!(V1), json!(V2)).await.unwrap();
    assert_eq!(
        room.staged("a").await,
        json!({V1: ["AWSPREVIOUS"], V2: ["AWSPENDING", "blue", "AWSCURRENT"]})
    );
    assert_eq!(room.get("a").await, Ok(json!({"value": V2})));
    // Once more is no change.
    step("AWSCURRENT", json!(V2), json!(V2)).await.unwrap();
    step("AWSCURRENT", json!(null), json!(V2)).await.unwrap();
    step("AWSPENDING", json!(V2), json!(null)).await.unwrap();
    step("green", json!(null), json!(V1)).await.unwrap();
    assert_eq!(
        room.staged("a").await,
        json!({V1: ["green", "AWSPREVIOUS"], V2: ["blue", "AWSCURRENT"]})
    );
    // Back again: KV sees a third publication, AWS the same two versions.
    step("AWSCURRENT", json!(V2), json!(V1)).await.unwrap();
    assert_eq!(
        room.staged("a").await,
        json!({V2: ["blue", "AWSPREVIOUS"], V1: ["green", "AWSCURRENT"]})
    );
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["current_version"], 3);
    // AWSPREVIOUS can be taken off, and comes back with the next publication.
    step("AWSPREVIOUS", json!(V2), json!(null)).await.unwrap();
    assert_eq!(
        code(get(json!({"version_stage": "AWSPREVIOUS"})).await),
        "ResourceNotFoundException"
    );
    room.put_text("a", V3, "three").await;
    assert_eq!(get(json!({"version_stage": "AWSPREVIOUS"})).await.unwrap(), V1);
    // So many labels and no more.
    for n in 0..STAGES_MAX - 2 {
        step(&format!("l{n}"), json!(null), json!(V3)).await.unwrap();
    }
    assert_eq!(code(step("more", json!(null), json!(V3)).await), "LimitExceededException");
}

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
        json!({"password_length": 3}),
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
    let only = json!({"exclude_punctuation": true, "exclude_uppercase": true,
        "exclude_lowercase": true, "exclude_characters": "012345678", "password_length": 4});
    assert_eq!(draw(only).await.unwrap(), "9999");
}
