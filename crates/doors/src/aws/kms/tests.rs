//! Requests as AWS's clients write them, and answers as they read them.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap};

use super::super::scope::tests::regions;
use super::super::{Planned, Scope};
use super::OPERATIONS;

const ID: &str = "12345678-9abc-4def-8012-3456789abcde";

fn scope() -> Scope {
    regions().scope("us-east-1").unwrap()
}

fn plan(name: &str, input: Json) -> Result<Planned, Error> {
    let operation = OPERATIONS.iter().find(|o| o.name == name).unwrap();
    let Json::Object(input) = input else { panic!("{input}") };
    (operation.plan)(&scope(), input)
}

fn code(name: &str, input: Json) -> &'static str {
    match plan(name, input.clone()) {
        Ok(_) => panic!("{name} {input} is taken"),
        Err(e) => {
            let text = e.public.join(" ");
            assert!(!text.contains("canary"), "{text}");
            e.code.unwrap()
        }
    }
}

/// The path of an operation's call, and its body.
fn call(name: &str, input: Json) -> (String, Json) {
    let planned = plan(name, input.clone()).unwrap_or_else(|e| panic!("{name} {input}: {e}"));
    (planned.path, Json::Object(planned.body))
}

#[test]
fn keys_are_named_in_four_ways() {
    let arn = |rest: &str| format!("arn:aws:kms:us-east-1:123456789012:{rest}");
    for (asked, path, about) in [
        (ID.to_owned(), ID, format!("key/{ID}")),
        (arn(&format!("key/{ID}")), ID, format!("key/{ID}")),
        ("alias/app/db".to_owned(), "alias/app/db", "alias/app/db".to_owned()),
        (arn("alias/app/db"), "alias/app/db", "alias/app/db".to_owned()),
    ] {
        let planned = plan("DescribeKey", json!({ "KeyId": asked })).ok().unwrap();
        assert_eq!(planned.path, format!("transit/aws/describe-key/{path}"));
        assert_eq!(planned.resource, arn(&about));
    }
    for (asked, name) in [
        (json!("arn:aws:kms:us-west-2:123456789012:key/canary"), "NotFoundException"),
        (json!("arn:aws:kms:us-east-1:000000000000:key/canary"), "NotFoundException"),
        (json!("arn:aws:s3:us-east-1:123456789012:key/canary"), "InvalidArnException"),
        (json!("arn:canary"), "InvalidArnException"),
        (json!(arn("canary")), "InvalidArnException"),
        (json!("../canary"), "NotFoundException"),
        (json!("alias/../canary"), "NotFoundException"),
        (json!("alias//canary"), "NotFoundException"),
        (json!("alias/"), "NotFoundException"),
        (json!(arn("key/")), "NotFoundException"),
        (json!(""), "ValidationException"),
        (json!("k".repeat(2_049)), "ValidationException"),
        (Json::Null, "ValidationException"),
        (json!(5), "SerializationException"),
    ] {
        assert_eq!(code("DescribeKey", json!({ "KeyId": asked })), name, "{asked}");
    }
}

/// `Invalid keyId` is what AWS answers to an alias of an operation that manages keys.
#[test]
fn aliases_name_keys_that_are_used_and_none_that_are_managed() {
    let extra = json!({ "TargetKeyId": ID, "AliasName": "alias/x", "Description": "d", "Policy": "{}",
        "Tags": [{ "TagKey": "a", "TagValue": "b" }], "TagKeys": ["a"], "Plaintext": "eA==",
        "KeySpec": "AES_256" });
    let asked = |name: &str, key: &str| {
        let mut input = extra.clone();
        input["KeyId"] = json!(key);
        plan(name, input)
    };
    for name in [
        "EnableKey",
        "DisableKey",
        "UpdateKeyDescription",
        "ScheduleKeyDeletion",
        "CancelKeyDeletion",
        "EnableKeyRotation",
        "DisableKeyRotation",
        "GetKeyRotationStatus",
        "RotateKeyOnDemand",
        "ListKeyRotations",
        "PutKeyPolicy",
        "GetKeyPolicy",
        "ListKeyPolicies",
        "TagResource",
        "UntagResource",
        "ListResourceTags",
        "ListAliases",
    ] {
        for alias in ["alias/app", "arn:aws:kms:us-east-1:123456789012:alias/app"] {
            let error = asked(name, alias).err().unwrap();
            assert_eq!(error.code, Some("NotFoundException"), "{name}");
            assert_eq!(error.public, ["Invalid keyId alias/app"], "{name}");
        }
        assert!(asked(name, ID).is_ok(), "{name}");
    }
    for name in ["DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"] {
        assert!(asked(name, "alias/app").is_ok(), "{name}");
    }
}

#[test]
fn members_are_checked_before_anything_is_asked() {
    const INVALID: &str = "ValidationException";
    const UNSUPPORTED: &str = "UnsupportedOperationException";
    for (name, input, failure) in [
        ("Encrypt", json!({ "KeyId": ID }), INVALID),
        ("Encrypt", json!({ "KeyId": ID, "Plaintext": "" }), INVALID),
        ("Encrypt", json!({ "KeyId": ID, "Plaintext": 1 }), "SerializationException"),
        (
            "Encrypt",
            json!({ "KeyId": ID, "Plaintext": "AA==", "EncryptionContext": { "canary": 1 } }),
            "SerializationException",
        ),
        (
            "Encrypt",
            json!({ "KeyId": ID, "Plaintext": "AA==", "EncryptionAlgorithm": "canary" }),
            INVALID,
        ),
        (
            "Encrypt",
            json!({ "KeyId": ID, "Plaintext": "AA==", "EncryptionAlgorithm": "SM2PKE" }),
            "InvalidKeyUsageException",
        ),
        (
            "Encrypt",
            json!({ "KeyId": ID, "Plaintext": "AA==", "GrantTokens": ["canary"] }),
            "InvalidGrantTokenException",
        ),
        ("Decrypt", json!({ "KeyId": ID }), INVALID),
        ("Decrypt", json!({ "CiphertextBlob": "AA==", "Recipient": {} }), UNSUPPORTED),
        ("GenerateDataKey", json!({ "KeyId": ID }), INVALID),
        (
            "GenerateDataKey",
            json!({ "KeyId": ID, "KeySpec": "AES_256", "NumberOfBytes": 32 }),
            INVALID,
        ),
        ("GenerateDataKey", json!({ "KeyId": ID, "KeySpec": "canary" }), INVALID),
        ("GenerateDataKey", json!({ "KeyId": ID, "NumberOfBytes": 0 }), INVALID),
        ("GenerateDataKey", json!({ "KeyId": ID, "NumberOfBytes": 1_025 }), INVALID),
        ("GenerateDataKeyWithoutPlaintext", json!({ "KeyId": ID }), INVALID),
        ("GenerateRandom", json!({}), INVALID),
        ("GenerateRandom", json!({ "NumberOfBytes": 1_025 }), INVALID),
        ("CreateKey", json!({ "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY" }), UNSUPPORTED),
        ("CreateKey", json!({ "KeySpec": "HMAC_256" }), UNSUPPORTED),
        ("CreateKey", json!({ "Origin": "EXTERNAL" }), UNSUPPORTED),
        ("CreateKey", json!({ "KeyUsage": "SIGN_VERIFY" }), INVALID),
        ("CreateKey", json!({ "KeySpec": "canary" }), INVALID),
        (
            "CreateKey",
            json!({ "KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT" }),
            INVALID,
        ),
        ("CreateKey", json!({ "Tags": [{ "TagKey": "canary" }] }), INVALID),
        ("ScheduleKeyDeletion", json!({ "KeyId": ID, "PendingWindowInDays": 6 }), INVALID),
        ("ScheduleKeyDeletion", json!({ "KeyId": ID, "PendingWindowInDays": 31 }), INVALID),
        ("EnableKeyRotation", json!({ "KeyId": ID, "RotationPeriodInDays": 89 }), INVALID),
        ("ListKeys", json!({ "Limit": 0 }), INVALID),
        ("PutKeyPolicy", json!({ "KeyId": ID }), INVALID),
        ("GetKeyPolicy", json!({ "KeyId": ID, "PolicyName": "canary" }), "NotFoundException"),
        ("CreateAlias", json!({ "AliasName": "canary", "TargetKeyId": ID }), INVALID),
        (
            "CreateAlias",
            json!({ "AliasName": "alias/canary canary", "TargetKeyId": ID }),
            "InvalidAliasNameException",
        ),
        ("CreateAlias", json!({ "AliasName": "alias/a", "TargetKeyId": "alias/canary" }), INVALID),
        ("CreateGrant", json!({}), UNSUPPORTED),
        ("Sign", json!({}), UNSUPPORTED),
        ("GenerateMac", json!({}), UNSUPPORTED),
        ("ImportKeyMaterial", json!({}), UNSUPPORTED),
    ] {
        assert_eq!(code(name, input.clone()), failure, "{name} {input}");
    }
}

#[test]
fn requests_become_calls() {
    let context = json!({ "b": "2", "a": "1" });
    let (path, body) = call(
        "Encrypt",
        json!({ "KeyId": "alias/a", "Plaintext": "AA==", "EncryptionContext": context, "X": 1 }),
    );
    assert_eq!(path, "transit/aws/encrypt/alias/a");
    assert_eq!(body, json!({ "plaintext": "AA==", "context": context }));
    let planned = plan(
        "Encrypt",
        json!({
            "KeyId": "alias/a", "Plaintext": "AA==", "EncryptionContext": { "app": "db" },
        }),
    )
    .ok()
    .unwrap();
    let keys: Vec<String> =
        planned.keys.iter().map(|(n, v)| format!("{n}={}", v.join(","))).collect();
    assert_eq!(
        keys,
        [
            "kms:RequestAlias=alias/a",
            "kms:EncryptionContextKeys=app",
            "kms:EncryptionContext:app=db",
        ]
    );
    for (spec, bytes) in [("AES_256", 32), ("AES_128", 16)] {
        let (path, body) = call("GenerateDataKey", json!({ "KeyId": ID, "KeySpec": spec }));
        assert_eq!(path, format!("transit/aws/data-key/{ID}"));
        assert_eq!(body, json!({ "bytes": bytes }));
    }
    // A ciphertext that names a key, with and without one beside it, and one that names none.
    let mut blob = b"SRK\x01\x00".to_vec();
    blob.extend(0x1234_5678_9abc_4def_8012_3456_789a_bcde_u128.to_be_bytes());
    blob.resize(58, 0);
    use base64::Engine as _;
    let blob = base64::engine::general_purpose::STANDARD.encode(blob);
    let decrypt = |input| plan("Decrypt", input).ok().unwrap();
    let own = decrypt(json!({ "CiphertextBlob": blob }));
    assert_eq!(own.path, format!("transit/aws/decrypt-own/{ID}"));
    assert!(own.resource.ends_with(&format!(":key/{ID}")));
    let named = decrypt(json!({ "CiphertextBlob": blob, "KeyId": "alias/a" }));
    assert_eq!(named.path, "transit/aws/decrypt/alias/a");
    let odd = decrypt(json!({ "CiphertextBlob": "AA==" }));
    assert_eq!((odd.path.as_str(), odd.resource.as_str()), ("transit/aws/decrypt", "*"));
    let (path, body) = call(
        "ReEncrypt",
        json!({
            "CiphertextBlob": "AA==", "DestinationKeyId": ID, "SourceKeyId": "alias/old",
            "SourceEncryptionContext": { "a": "1" },
        }),
    );
    assert_eq!(path, format!("transit/aws/re-encrypt/{ID}"));
    assert_eq!(body["source_key"], "alias/old");
    let (path, _) = call("CreateAlias", json!({ "AliasName": "alias/a/b", "TargetKeyId": ID }));
    assert_eq!(path, "transit/aws/create-alias/a/b");
}

fn answer(name: &str, input: Json, data: Json) -> Json {
    let planned = plan(name, input).ok().unwrap();
    planned.shape.answer(&scope(), data)
}

#[test]
fn answers_have_arns_and_no_empty_member() {
    let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{ID}");
    let key = json!({ "KeyId": ID });
    let shown = answer(
        "DescribeKey",
        key.clone(),
        json!({
            "key_id": ID, "created": 1.5, "state": "PendingDeletion", "description": "d",
            "is_imported": false, "multi_region": true, "deletion": 2.5, "material": "m",
        }),
    );
    assert_eq!(
        shown,
        json!({ "KeyMetadata": {
        "AWSAccountId": "123456789012", "KeyId": ID, "Arn": arn, "CreationDate": 1.5,
        "Enabled": false, "Description": "d", "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "PendingDeletion", "Origin": "AWS_KMS", "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "MultiRegion": true, "DeletionDate": 2.5,
        "CurrentKeyMaterialId": "m",
        "MultiRegionConfiguration": {
            "MultiRegionKeyType": "PRIMARY",
            "PrimaryKey": { "Arn": arn, "Region": "us-east-1" },
            "ReplicaKeys": [],
        },
    } })
    );
    let listed = answer("ListKeys", json!({}), json!({ "keys": [ID], "next": null }));
    assert_eq!(listed, json!({ "Truncated": false, "Keys": [{ "KeyId": ID, "KeyArn": arn }] }));
    let listed = answer("ListKeys", json!({}), json!({ "keys": [], "next": "m" }));
    assert_eq!(listed, json!({ "Truncated": true, "NextMarker": "m", "Keys": [] }));
    let sealed = json!({ "KeyId": ID, "Plaintext": "AA==" });
    let data = json!({ "key_id": ID, "material": "m", "ciphertext": "c" });
    assert_eq!(
        answer("Encrypt", sealed, data),
        json!({
            "KeyId": arn, "CiphertextBlob": "c", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        })
    );
    let made = json!({ "KeyId": ID, "KeySpec": "AES_256" });
    let data = json!({ "key_id": ID, "material": "m", "ciphertext": "c", "plaintext": "p" });
    assert_eq!(
        answer("GenerateDataKey", made, data),
        json!({
            "KeyId": arn, "CiphertextBlob": "c", "Plaintext": "p", "KeyMaterialId": "m",
        })
    );
    let policy = answer("GetKeyPolicy", key.clone(), json!({ "key_id": ID, "policy": "" }));
    assert!(policy["Policy"].as_str().unwrap().contains("arn:aws:iam::123456789012:root"));
    let status = json!({ "key_id": ID, "enabled": false });
    let status = answer("GetKeyRotationStatus", key.clone(), status);
    assert_eq!(status, json!({ "KeyRotationEnabled": false, "KeyId": arn }));
    assert_eq!(answer("EnableKey", key, Json::Null), Json::Object(JsonMap::new()));
}
