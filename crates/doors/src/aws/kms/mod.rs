//! AWS KMS (API version 2014-11-01): the shapes of its operations, in and out. What they do, transit's
//! operations below `aws/` say.
//!
//! Invariants:
//! * a key is named by its id, its ARN, an alias or an alias's ARN, and answered by its ARN;
//! * what is not served is refused by its name, never passed over: grants, asymmetric keys, MACs, imported
//!   material, custom key stores.

mod aliases;
mod crypt;
mod keys;
mod names;
#[cfg(test)]
mod tests;

use strongroom_base::{Error, Json, JsonMap, Result};

use super::input::{Input, put, required};
use super::{Make, Operation, Planned, Scope};

/// The service's name in ARNs and signatures.
const SERVICE: &str = "kms";

/// All operations of the service.
pub const OPERATIONS: &[Operation] = &[
    Operation { name: "Encrypt", plan: crypt::encrypt },
    Operation { name: "Decrypt", plan: crypt::decrypt },
    Operation { name: "ReEncrypt", plan: crypt::re_encrypt },
    Operation { name: "GenerateDataKey", plan: crypt::data_key },
    Operation { name: "GenerateDataKeyWithoutPlaintext", plan: crypt::wrapped_key },
    Operation { name: "GenerateRandom", plan: crypt::random },
    Operation { name: "CreateKey", plan: keys::create },
    Operation { name: "DescribeKey", plan: keys::describe },
    Operation { name: "ListKeys", plan: keys::list },
    Operation { name: "EnableKey", plan: |scope, input| keys::plain(scope, input, "enable-key") },
    Operation { name: "DisableKey", plan: |scope, input| keys::plain(scope, input, "disable-key") },
    Operation { name: "UpdateKeyDescription", plan: keys::update_description },
    Operation { name: "ScheduleKeyDeletion", plan: keys::schedule_deletion },
    Operation { name: "CancelKeyDeletion", plan: keys::cancel_deletion },
    Operation { name: "EnableKeyRotation", plan: keys::enable_rotation },
    Operation {
        name: "DisableKeyRotation",
        plan: |scope, input| keys::plain(scope, input, "disable-rotation"),
    },
    Operation { name: "GetKeyRotationStatus", plan: keys::rotation_status },
    Operation { name: "RotateKeyOnDemand", plan: keys::rotate },
    Operation { name: "ListKeyRotations", plan: keys::list_rotations },
    Operation { name: "PutKeyPolicy", plan: keys::put_policy },
    Operation { name: "GetKeyPolicy", plan: keys::get_policy },
    Operation { name: "ListKeyPolicies", plan: keys::list_policies },
    Operation { name: "TagResource", plan: keys::tag },
    Operation { name: "UntagResource", plan: keys::untag },
    Operation { name: "ListResourceTags", plan: keys::list_tags },
    Operation { name: "CreateAlias", plan: aliases::create },
    Operation { name: "UpdateAlias", plan: aliases::update },
    Operation { name: "DeleteAlias", plan: aliases::delete },
    Operation { name: "ListAliases", plan: aliases::list },
    Operation { name: "CreateGrant", plan: unsupported },
    Operation { name: "ListGrants", plan: unsupported },
    Operation { name: "ListRetirableGrants", plan: unsupported },
    Operation { name: "RetireGrant", plan: unsupported },
    Operation { name: "RevokeGrant", plan: unsupported },
    Operation { name: "Sign", plan: unsupported },
    Operation { name: "Verify", plan: unsupported },
    Operation { name: "GenerateMac", plan: unsupported },
    Operation { name: "VerifyMac", plan: unsupported },
    Operation { name: "GetPublicKey", plan: unsupported },
    Operation { name: "DeriveSharedSecret", plan: unsupported },
    Operation { name: "Encapsulate", plan: unsupported },
    Operation { name: "Decapsulate", plan: unsupported },
    Operation { name: "GetKeyLastUsage", plan: unsupported },
    Operation { name: "GenerateDataKeyPair", plan: unsupported },
    Operation { name: "GenerateDataKeyPairWithoutPlaintext", plan: unsupported },
    Operation { name: "GetParametersForImport", plan: unsupported },
    Operation { name: "ImportKeyMaterial", plan: unsupported },
    Operation { name: "DeleteImportedKeyMaterial", plan: unsupported },
    Operation { name: "ReplicateKey", plan: unsupported },
    Operation { name: "UpdatePrimaryRegion", plan: unsupported },
    Operation { name: "CreateCustomKeyStore", plan: unsupported },
    Operation { name: "ConnectCustomKeyStore", plan: unsupported },
    Operation { name: "DescribeCustomKeyStores", plan: unsupported },
    Operation { name: "DisconnectCustomKeyStore", plan: unsupported },
    Operation { name: "UpdateCustomKeyStore", plan: unsupported },
    Operation { name: "DeleteCustomKeyStore", plan: unsupported },
];

/// The failure of what there is not here.
fn is_unsupported() -> Error {
    Error::bad_request("this server has no such operation, or not with these members")
        .called("UnsupportedOperationException")
}

fn unsupported(_: &Scope, _: JsonMap) -> Result<Planned> {
    Err(is_unsupported())
}

/// The answer of an operation without one.
fn nothing(_: &Scope, _: Json) -> Json {
    Json::Object(JsonMap::new())
}

/// An operation on the key that `KeyId` names: by its id or ARN alone ([`names::managed`]: those that manage
/// keys take no alias), or by an alias, too ([`names::key`]).
fn on(
    named: fn(&Scope, &str) -> Result<names::Named>,
    scope: &Scope,
    input: &mut Input,
    operation: &str,
    body: JsonMap,
    make: Make,
) -> Result<Planned> {
    let asked = required(input.text_within("KeyId", 1, 2_048)?, "KeyId")?;
    let key = named(scope, &asked)?;
    let path = scope.transit(operation, &key.path);
    let planned = Planned::new(path, body, make).about(key.arn);
    Ok(match key.path.strip_prefix(names::ALIAS) {
        Some(_) => planned.key("kms:RequestAlias", vec![key.path.clone()]),
        None => planned,
    })
}

/// Which page of a list is asked for.
fn page(input: &mut Input, body: &mut JsonMap) -> Result<()> {
    put(body, "limit", input.integer("Limit", 1, 1_000)?);
    put(body, "marker", input.text_within("Marker", 1, 1_024)?);
    Ok(())
}
