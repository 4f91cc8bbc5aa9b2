//! Secrets Manager (API version 2017-10-17): the shapes of its operations, in and out. What they do,
//! the kv engine's operations below `aws/` say.
//!
//! Invariants:
//! * members of a wrong type are refused, unknown ones passed over, as AWS does;
//! * an answer has no member without a value;
//! * a secret is named by its name, by its ARN, or by its ARN without the six characters at the end.

mod answers;
mod members;
mod target;

use strongroom_base::{Error, Json, JsonMap, Result};

use super::{Key, Operation, Planned, Scope};
use answers::{BATCH, LIST, NOTHING, SECRET};
use members::{Kind, Member, take};
use target::{about, named};

/// Makes [`Operation`]s on one secret of a table: the name, the engine's operation, the members, and
/// the shape of the answer.
macro_rules! on_secrets {
    ($($name:literal, $operation:expr, $members:expr, $shape:expr;)+) => {
        &[$(Operation { name: $name, plan: |scope, input| {
            on_secret(scope, input, $operation, $members, $shape)
        } }),+]
    };
}

/// The engine's operation that reads a value.
const GET_VALUE: &str = "get-secret-value";

/// The one that rotates: its function is called in the secret's region.
const ROTATE: &str = "rotate-secret";

/// The one that copies to other regions than the secret's own.
const REPLICATE: &str = "replicate-secret-to-regions";

const TOKEN: Member = Member::new("ClientRequestToken", "client_request_token", Kind::Text);
const DESCRIPTION: Member = Member::new("Description", "description", Kind::Text);
const KMS_KEY: Member = Member::new("KmsKeyId", "kms_key_id", Kind::Text);
const STRING: Member = Member::new("SecretString", "secret_string", Kind::Text);
const BINARY: Member = Member::new("SecretBinary", "secret_binary", Kind::Text);
const TAGS: Member = Member::new("Tags", "tags", Kind::Tags);
const VERSION: Member = Member::new("VersionId", "version_id", Kind::Text);
const STAGE: Member = Member::new("VersionStage", "version_stage", Kind::Text);
const MAX_RESULTS: Member = Member::new("MaxResults", "max_results", Kind::Integer);
const NEXT_TOKEN: Member = Member::new("NextToken", "next_token", Kind::Text);
const FILTERS: Member = Member::new("Filters", "filters", Kind::Filters);
const POLICY: Member = Member::new("ResourcePolicy", "resource_policy", Kind::Text);
const POLICY_NAME: Member = Member::new("PolicyName", "policy_name", Kind::Text);
const REPLICA: Member =
    Member::new("CrossAccountReplicaARN", "cross_account_replica_arn", Kind::Text);
const REPLICAS: Member = Member::new("AddReplicaRegions", "add_replica_regions", Kind::Objects);
const OVERWRITE: Member =
    Member::new("ForceOverwriteReplicaSecret", "force_overwrite_replica_secret", Kind::Boolean);

/// Operations on one secret that is there.
const ON_SECRETS: &[Operation] = on_secrets! {
    "GetSecretValue", GET_VALUE, &[VERSION, STAGE], SECRET;
    "DescribeSecret", "describe-secret", &[], SECRET;
    "PutSecretValue", "put-secret-value", &[
        TOKEN,
        STRING,
        BINARY,
        Member::new("VersionStages", "version_stages", Kind::Texts),
    ], SECRET;
    "UpdateSecret", "update-secret", &[TOKEN, DESCRIPTION, KMS_KEY, STRING, BINARY], SECRET;
    "UpdateSecretVersionStage", "update-secret-version-stage", &[
        STAGE.required(),
        Member::new("RemoveFromVersionId", "remove_from_version_id", Kind::Text),
        Member::new("MoveToVersionId", "move_to_version_id", Kind::Text),
    ], SECRET;
    "ListSecretVersionIds", "list-secret-version-ids", &[
        Member::new("IncludeDeprecated", "include_deprecated", Kind::Boolean),
        MAX_RESULTS,
        NEXT_TOKEN,
    ], SECRET;
    "DeleteSecret", "delete-secret", &[
        Member::new("RecoveryWindowInDays", "recovery_window_in_days", Kind::Integer),
        Member::new("ForceDeleteWithoutRecovery", "force_delete_without_recovery", Kind::Boolean),
    ], SECRET;
    "RestoreSecret", "restore-secret", &[], SECRET;
    "TagResource", "tag-resource", &[TAGS.required()], NOTHING;
    "UntagResource", "untag-resource", &[
        Member::new("TagKeys", "tag_keys", Kind::Texts).required(),
    ], NOTHING;
    "PutResourcePolicy", "put-resource-policy", &[
        POLICY.required(),
        POLICY_NAME,
        Member::new("BlockPublicPolicy", "block_public_policy", Kind::Boolean),
    ], SECRET;
    "GetResourcePolicy", "get-resource-policy", &[POLICY_NAME], SECRET;
    "ListResourcePolicies", "list-resource-policies", &[MAX_RESULTS, NEXT_TOKEN], SECRET;
    "DeleteResourcePolicy", "delete-resource-policy", &[POLICY_NAME], SECRET;
    "RotateSecret", ROTATE, &[
        TOKEN,
        Member::new("RotationLambdaARN", "rotation_lambda_arn", Kind::Text),
        Member::new("RotationRules", "", Kind::RotationRules),
        Member::new("RotateImmediately", "rotate_immediately", Kind::Boolean),
    ], SECRET;
    "CancelRotateSecret", "cancel-rotate-secret", &[], SECRET;
    "ReplicateSecretToRegions", REPLICATE, &[REPLICAS.required(), OVERWRITE],
        SECRET;
    "RemoveRegionsFromReplication", "remove-regions-from-replication", &[
        Member::new("RemoveReplicaRegions", "remove_replica_regions", Kind::Texts).required(),
    ], SECRET;
    "AssociateCrossAccountReplica", "associate-cross-account-replica", &[REPLICA.required()], SECRET;
    "DisassociateCrossAccountReplica", "disassociate-cross-account-replica",
        &[REPLICA.required()], SECRET;
    "StopReplicationToReplica", "stop-replication-to-replica", &[], SECRET;
};

/// The others.
const OTHERS: &[Operation] = &[
    Operation { name: "CreateSecret", plan: create },
    Operation { name: "BatchGetSecretValue", plan: batch_get },
    Operation { name: "ListSecrets", plan: list_secrets },
    Operation { name: "GetRandomPassword", plan: random_password },
    Operation { name: "ValidateResourcePolicy", plan: validate_policy },
];

/// All operations of the service.
pub const OPERATIONS: &[Operation] = &joined();

const fn joined() -> [Operation; ON_SECRETS.len() + OTHERS.len()] {
    let mut all = [OTHERS[0]; ON_SECRETS.len() + OTHERS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < OTHERS.len() { OTHERS[i] } else { ON_SECRETS[i - OTHERS.len()] };
        i += 1;
    }
    all
}

fn on_secret(
    scope: &Scope,
    mut input: JsonMap,
    operation: &'static str,
    members: &[Member],
    shape: super::Shape,
) -> Result<Planned> {
    let id = members::secret_id(&mut input)?;
    let target = named(scope, &id)?;
    refuse_managed(&input)?;
    let mut body = take(members, &mut input)?;
    let mut keys = conditions(&body);
    if operation == GET_VALUE
        && !body.contains_key("version_id")
        && !body.contains_key("version_stage")
    {
        keys.push(("secretsmanager:VersionStage".into(), vec!["AWSCURRENT".to_owned()]));
    }
    if [ROTATE, REPLICATE].contains(&operation) {
        body.insert("region".to_owned(), scope.region.as_str().into());
    }
    let path = scope.kv(operation, &target.path);
    let arn = about(&mut body, target);
    let mut planned = Planned::shaped(path, body, shape).about(arn);
    planned.keys = keys;
    Ok(planned.key("secretsmanager:SecretId", vec![id]))
}

/// Refuses what makes a secret another service's, or a copy of another account's: passed over, it would not
/// be what was asked for.
fn refuse_managed(input: &JsonMap) -> Result<()> {
    const MEMBERS: &[&str] = &[
        "Type",
        "CrossAccountPrimaryARN",
        "ExternalSecretRotationMetadata",
        "ExternalSecretRotationRoleArn",
    ];
    let given = |name: &&&str| input.get(**name).is_some_and(|value| !value.is_null());
    match MEMBERS.iter().find(given) {
        None => Ok(()),
        Some(name) => Err(Error::bad_request(format!(
            "{name} is not supported: managed external secrets and replicas of other accounts are not \
             served here."
        ))
        .called("InvalidRequestException")),
    }
}

/// What conditions of IAM documents see of the members.
fn conditions(body: &JsonMap) -> Vec<Key> {
    // With those that the door adds.
    let mut keys: Vec<Key> = Vec::with_capacity(body.len() + 4);
    let texts = |json: &Json| match json {
        Json::Array(list) => list.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        Json::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    };
    const NAMES: &[(&str, &str)] = &[
        ("version_id", "secretsmanager:VersionId"),
        ("version_stage", "secretsmanager:VersionStage"),
        ("name", "secretsmanager:Name"),
        ("description", "secretsmanager:Description"),
        ("kms_key_id", "secretsmanager:KmsKeyId"),
        ("recovery_window_in_days", "secretsmanager:RecoveryWindowInDays"),
        ("force_delete_without_recovery", "secretsmanager:ForceDeleteWithoutRecovery"),
        ("block_public_policy", "secretsmanager:BlockPublicPolicy"),
        ("rotation_lambda_arn", "secretsmanager:RotationLambdaARN"),
        ("tag_keys", "aws:TagKeys"),
    ];
    for (field, value) in body {
        if let Some((_, name)) = NAMES.iter().find(|(own, _)| own == field) {
            keys.push(((*name).into(), texts(value)));
        }
    }
    if let Some(Json::Array(tags)) = body.get("tags") {
        let text = |tag: &Json, name: &str| tag.get(name).and_then(Json::as_str).map(str::to_owned);
        let all = tags.iter().filter_map(|tag| text(tag, "key")).collect();
        keys.push(("aws:TagKeys".into(), all));
        for tag in tags {
            if let Some(name) = text(tag, "key") {
                let value = text(tag, "value").unwrap_or_default();
                keys.push((format!("aws:RequestTag/{name}").into(), vec![value]));
            }
        }
    }
    keys
}

fn create(scope: &Scope, mut input: JsonMap) -> Result<Planned> {
    const MEMBERS: &[Member] = &[
        Member::new("Name", "name", Kind::Text).required(),
        TOKEN,
        DESCRIPTION,
        KMS_KEY,
        STRING,
        BINARY,
        TAGS,
        REPLICAS,
        OVERWRITE,
    ];
    refuse_managed(&input)?;
    let mut body = take(MEMBERS, &mut input)?;
    let name = body.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    let path = scope.kv_path_to_make(&name)?;
    let keys = conditions(&body);
    let arn = scope.secret_arn(&name, None);
    body.insert("arn".to_owned(), arn.as_str().into());
    body.insert("region".to_owned(), scope.region.as_str().into());
    let mut planned = Planned::shaped(scope.kv("create-secret", &path), body, SECRET).about(arn);
    planned.keys = keys;
    Ok(planned)
}

/// The folder of the region's secrets, for operations on all of them.
fn folder(scope: &Scope) -> &str {
    scope.place.prefix.trim_end_matches('/')
}

/// One secret of a list; of an id that is none, what the answer says of it: the others are not its fault.
fn one_of_batch(scope: &Scope, id: &str) -> JsonMap {
    let mut entry = JsonMap::from_iter([("id".to_owned(), id.into())]);
    match named(scope, id) {
        Ok(target) => {
            entry.insert("path".to_owned(), target.path.as_str().into());
            about(&mut entry, target);
        }
        Err(error) => {
            let (code, _) = super::code_of("secretsmanager", &error);
            entry.insert("error_code".to_owned(), code.into());
            entry.insert("message".to_owned(), super::errors::text_of(&error).into());
        }
    }
    entry
}

fn batch_get(scope: &Scope, mut input: JsonMap) -> Result<Planned> {
    const IDS: Member = Member::new("SecretIdList", "ids", Kind::Texts);
    let mut body = take(&[IDS, FILTERS, MAX_RESULTS, NEXT_TOKEN], &mut input)?;
    if let Some(Json::Array(ids)) = body.shift_remove("ids") {
        let secrets = ids.iter().filter_map(Json::as_str).map(|id| {
            members::check_secret_id(id)?;
            Ok(Json::Object(one_of_batch(scope, id)))
        });
        body.insert("secrets".to_owned(), Json::Array(secrets.collect::<Result<_>>()?));
    }
    body.insert("arn".to_owned(), scope.secret_arn("", None).into());
    Ok(Planned::shaped(scope.kv("batch-get-secret-value", folder(scope)), body, BATCH))
}

fn list_secrets(scope: &Scope, mut input: JsonMap) -> Result<Planned> {
    const MEMBERS: &[Member] = &[
        Member::new("IncludePlannedDeletion", "include_planned_deletion", Kind::Boolean),
        FILTERS,
        Member::new("SortBy", "sort_by", Kind::Text),
        Member::new("SortOrder", "sort_order", Kind::Text),
        MAX_RESULTS,
        NEXT_TOKEN,
    ];
    let body = take(MEMBERS, &mut input)?;
    Ok(Planned::shaped(scope.kv("list-secrets", folder(scope)), body, LIST))
}

fn random_password(scope: &Scope, mut input: JsonMap) -> Result<Planned> {
    const MEMBERS: &[Member] = &[
        Member::new("PasswordLength", "password_length", Kind::Integer),
        Member::new("ExcludeCharacters", "exclude_characters", Kind::Text),
        Member::new("ExcludeNumbers", "exclude_numbers", Kind::Boolean),
        Member::new("ExcludePunctuation", "exclude_punctuation", Kind::Boolean),
        Member::new("ExcludeUppercase", "exclude_uppercase", Kind::Boolean),
        Member::new("ExcludeLowercase", "exclude_lowercase", Kind::Boolean),
        Member::new("IncludeSpace", "include_space", Kind::Boolean),
        Member::new("RequireEachIncludedType", "require_each_included_type", Kind::Boolean),
    ];
    let body = take(MEMBERS, &mut input)?;
    Ok(Planned::shaped(scope.kv("get-random-password", ""), body, SECRET))
}

fn validate_policy(scope: &Scope, mut input: JsonMap) -> Result<Planned> {
    const OPERATION: &str = "validate-resource-policy";
    if input.get("SecretId").is_some_and(|id| !id.is_null()) {
        return on_secret(scope, input, OPERATION, &[POLICY.required()], SECRET);
    }
    let body = take(&[POLICY.required()], &mut input)?;
    Ok(Planned::shaped(scope.kv(OPERATION, ""), body, SECRET))
}

#[cfg(test)]
mod tests;
