//! Operations on keys: their description, state, rotation, policies and tags.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result};

use super::super::input::{Input, given, put, required, tag_keys, tags, text_of};
use super::super::{Planned, Scope};
use super::crypt::SYMMETRIC;
use super::names::key_arn;
use super::names::{key, managed};
use super::{is_unsupported, nothing, on, page};

/// Bytes of a policy that are handed on; the engine says what is too long.
const POLICY_CHARS_MAX: usize = 131_072;

/// What a key may be for, in the model.
const USAGES: &[&str] = &[
    "SIGN_VERIFY",
    "ENCRYPT_DECRYPT",
    "GENERATE_VERIFY_MAC",
    "KEY_AGREEMENT",
    "ENCAPSULATE_DECAPSULATE",
];
/// The kinds of keys in the model.
const SPECS: &[&str] = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    SYMMETRIC,
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];
/// Where key material comes from, in the model.
const ORIGINS: &[&str] = &["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

/// A key as `KeyMetadata` has it.
fn metadata(scope: &Scope, mut answer: Json) -> Json {
    let id = text_of(&answer, "key_id");
    let arn = key_arn(scope, &id);
    let state = text_of(&answer, "state");
    let flag = |field: &str| answer.get(field).and_then(Json::as_bool).unwrap_or(false);
    let (multi_region, imported) = (flag("multi_region"), flag("is_imported"));
    let mut shown = json!({
        "AWSAccountId": scope.account(),
        "KeyId": id,
        "Arn": arn,
        "CreationDate": given(&mut answer, "created"),
        "Enabled": state == "Enabled",
        "Description": text_of(&answer, "description"),
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": state,
        "Origin": if imported { "EXTERNAL" } else { "AWS_KMS" },
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": SYMMETRIC,
        "KeySpec": SYMMETRIC,
        "EncryptionAlgorithms": [SYMMETRIC],
        "MultiRegion": multi_region,
    });
    if let Json::Object(shown) = &mut shown {
        put(shown, "DeletionDate", given(&mut answer, "deletion"));
        put(shown, "CurrentKeyMaterialId", given(&mut answer, "material"));
        if imported {
            put(shown, "ExpirationModel", Some("KEY_MATERIAL_DOES_NOT_EXPIRE"));
        }
        if multi_region {
            let configuration = json!({
                "MultiRegionKeyType": "PRIMARY",
                "PrimaryKey": { "Arn": arn, "Region": scope.region },
                "ReplicaKeys": [],
            });
            put(shown, "MultiRegionConfiguration", Some(configuration));
        }
    }
    json!({ "KeyMetadata": shown })
}

/// Refuses all but symmetric keys, made here.
fn check_kind(input: &mut Input) -> Result<()> {
    let usage = input.one_of("KeyUsage", USAGES)?;
    let old = input.one_of("CustomerMasterKeySpec", SPECS)?;
    let new = input.one_of("KeySpec", SPECS)?;
    if old.is_some() && new.is_some() {
        let text = "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. \
                    CustomerMasterKeySpec is deprecated.";
        return Err(Error::bad_request(text).called("ValidationException"));
    }
    let origin = input.one_of("Origin", ORIGINS)?;
    if new.or(old).is_some_and(|spec| spec != SYMMETRIC)
        || origin.is_some_and(|origin| origin != "AWS_KMS")
        || input.has("CustomKeyStoreId")
        || input.has("XksKeyId")
    {
        return Err(is_unsupported());
    }
    if usage.is_some_and(|usage| usage != "ENCRYPT_DECRYPT") {
        let text = "a key of this KeyUsage is not of the KeySpec SYMMETRIC_DEFAULT";
        return Err(Error::bad_request(text).called("ValidationException"));
    }
    Ok(())
}

pub fn create(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    check_kind(&mut input)?;
    input.boolean("BypassPolicyLockoutSafetyCheck")?;
    let mut body = JsonMap::new();
    put(&mut body, "description", input.text_within("Description", 0, 8_192)?);
    put(&mut body, "policy", input.text_within("Policy", 1, POLICY_CHARS_MAX)?);
    put(&mut body, "multi_region", input.boolean("MultiRegion")?);
    let tags = tags(&mut input, "TagKey", "TagValue")?;
    let keys = tags.as_deref().map(tag_keys).unwrap_or_default();
    put(&mut body, "tags", tags);
    let mut planned = Planned::new(scope.transit("create-key", ""), body, metadata);
    planned.keys = keys;
    Ok(planned)
}

pub fn describe(scope: &Scope, input: JsonMap) -> Result<Planned> {
    on(key, scope, &mut Input::new(input), "describe-key", JsonMap::new(), metadata)
}

/// An operation on a key that takes and answers nothing else.
pub fn plain(scope: &Scope, input: JsonMap, operation: &str) -> Result<Planned> {
    on(managed, scope, &mut Input::new(input), operation, JsonMap::new(), nothing)
}

/// A page of a list: its entries as `shape` has them, and where it ends.
pub(super) fn listed(
    mut answer: Json,
    field: &str,
    shape: impl Fn(Json) -> Json,
) -> (Json, JsonMap) {
    let entries = match given(&mut answer, field) {
        Some(Json::Array(list)) => list.into_iter().map(shape).collect(),
        _ => Vec::new(),
    };
    let next = given(&mut answer, "next");
    let mut out = JsonMap::new();
    out.insert("Truncated".to_owned(), next.is_some().into());
    put(&mut out, "NextMarker", next);
    (Json::Array(entries), out)
}

fn keys_of(scope: &Scope, answer: Json) -> Json {
    let (keys, mut out) = listed(answer, "keys", |id| {
        let id = id.as_str().unwrap_or_default();
        json!({ "KeyId": id, "KeyArn": key_arn(scope, id) })
    });
    out.insert("Keys".to_owned(), keys);
    Json::Object(out)
}

pub fn list(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    page(&mut input, &mut body)?;
    Ok(Planned::new(scope.transit("list-keys", ""), body, keys_of))
}

pub fn update_description(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let description = input.text_within("Description", 0, 8_192)?;
    let mut body = JsonMap::new();
    put(&mut body, "description", Some(required(description, "Description")?));
    on(managed, scope, &mut input, "update-description", body, nothing)
}

fn scheduled(scope: &Scope, mut answer: Json) -> Json {
    json!({
        "KeyId": key_arn(scope, &text_of(&answer, "key_id")),
        "DeletionDate": given(&mut answer, "deletion"),
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": given(&mut answer, "days"),
    })
}

pub fn schedule_deletion(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    put(&mut body, "days", input.integer("PendingWindowInDays", 7, 30)?);
    on(managed, scope, &mut input, "schedule-deletion", body, scheduled)
}

/// An answer of the key's ARN alone.
fn key_id(scope: &Scope, answer: Json) -> Json {
    json!({ "KeyId": key_arn(scope, &text_of(&answer, "key_id")) })
}

pub fn cancel_deletion(scope: &Scope, input: JsonMap) -> Result<Planned> {
    on(managed, scope, &mut Input::new(input), "cancel-deletion", JsonMap::new(), key_id)
}

pub fn enable_rotation(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    put(&mut body, "days", input.integer("RotationPeriodInDays", 90, 2_560)?);
    on(managed, scope, &mut input, "enable-rotation", body, nothing)
}

fn rotation(scope: &Scope, mut answer: Json) -> Json {
    let mut out = JsonMap::new();
    put(&mut out, "KeyRotationEnabled", given(&mut answer, "enabled"));
    put(&mut out, "KeyId", Some(key_arn(scope, &text_of(&answer, "key_id"))));
    put(&mut out, "RotationPeriodInDays", given(&mut answer, "days"));
    put(&mut out, "NextRotationDate", given(&mut answer, "next"));
    Json::Object(out)
}

pub fn rotation_status(scope: &Scope, input: JsonMap) -> Result<Planned> {
    on(managed, scope, &mut Input::new(input), "rotation-status", JsonMap::new(), rotation)
}

pub fn rotate(scope: &Scope, input: JsonMap) -> Result<Planned> {
    on(managed, scope, &mut Input::new(input), "rotate", JsonMap::new(), key_id)
}

fn rotations(scope: &Scope, answer: Json) -> Json {
    let arn = key_arn(scope, &text_of(&answer, "key_id"));
    let (list, mut out) = listed(answer, "rotations", |mut rotation| {
        let current = rotation.get("is_current").and_then(Json::as_bool).unwrap_or(false);
        let mut out = JsonMap::new();
        put(&mut out, "KeyId", Some(arn.as_str()));
        put(&mut out, "KeyMaterialId", given(&mut rotation, "material"));
        put(&mut out, "KeyMaterialState", Some(if current { "CURRENT" } else { "NON_CURRENT" }));
        put(&mut out, "RotationDate", given(&mut rotation, "time"));
        let by_itself = rotation.get("is_by_itself").and_then(Json::as_bool);
        let cause = by_itself.map(|yes| if yes { "AUTOMATIC" } else { "ON_DEMAND" });
        put(&mut out, "RotationType", cause);
        Json::Object(out)
    });
    out.insert("Rotations".to_owned(), list);
    Json::Object(out)
}

pub fn list_rotations(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    let included = input.one_of("IncludeKeyMaterial", &["ALL_KEY_MATERIAL", "ROTATIONS_ONLY"])?;
    put(&mut body, "all_material", Some(included == Some("ALL_KEY_MATERIAL")));
    page(&mut input, &mut body)?;
    on(managed, scope, &mut input, "list-rotations", body, rotations)
}

/// Refuses the name of any policy but the one that a key has.
fn policy_name(input: &mut Input) -> Result<()> {
    match input.text_within("PolicyName", 1, 128)?.as_deref() {
        None | Some("default") => Ok(()),
        Some(_) => Err(Error::bad_request("No such policy exists").called("NotFoundException")),
    }
}

pub fn put_policy(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    policy_name(&mut input)?;
    input.boolean("BypassPolicyLockoutSafetyCheck")?;
    let policy = input.text_within("Policy", 1, POLICY_CHARS_MAX)?;
    let mut body = JsonMap::new();
    put(&mut body, "policy", Some(required(policy, "Policy")?));
    on(managed, scope, &mut input, "put-policy", body, nothing)
}

/// The policy of keys that were given none: all is left to the account.
fn default_policy(scope: &Scope) -> String {
    let account = format!("arn:aws:iam::{}:root", scope.account());
    json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": { "AWS": account },
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
    .to_string()
}

fn policy(scope: &Scope, answer: Json) -> Json {
    let policy = match text_of(&answer, "policy") {
        policy if policy.is_empty() => default_policy(scope),
        policy => policy,
    };
    json!({ "Policy": policy, "PolicyName": "default" })
}

pub fn get_policy(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    policy_name(&mut input)?;
    on(managed, scope, &mut input, "get-policy", JsonMap::new(), policy)
}

fn policies(_: &Scope, _: Json) -> Json {
    json!({ "PolicyNames": ["default"], "Truncated": false })
}

pub fn list_policies(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    page(&mut input, &mut JsonMap::new())?;
    on(managed, scope, &mut input, "get-policy", JsonMap::new(), policies)
}

pub fn tag(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let tags = required(tags(&mut input, "TagKey", "TagValue")?, "Tags")?;
    let keys = tag_keys(&tags);
    let mut body = JsonMap::new();
    put(&mut body, "tags", Some(tags));
    let mut planned = on(managed, scope, &mut input, "tag", body, nothing)?;
    planned.keys.extend(keys);
    Ok(planned)
}

pub fn untag(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let names = required(input.texts("TagKeys")?, "TagKeys")?;
    let mut body = JsonMap::new();
    put(&mut body, "tags", Some(names.clone()));
    let mut planned = on(managed, scope, &mut input, "untag", body, nothing)?;
    planned.keys.push(("aws:TagKeys".into(), names));
    Ok(planned)
}

fn tags_of(_: &Scope, answer: Json) -> Json {
    let (tags, mut out) = listed(
        answer,
        "tags",
        |tag| json!({ "TagKey": text_of(&tag, "key"), "TagValue": text_of(&tag, "value") }),
    );
    out.insert("Tags".to_owned(), tags);
    Json::Object(out)
}

pub fn list_tags(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    page(&mut input, &mut body)?;
    on(managed, scope, &mut input, "list-tags", body, tags_of)
}
