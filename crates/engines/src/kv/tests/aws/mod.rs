//! AWS Secrets Manager's operations, one secret at a time.

mod lives;
mod values;

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
