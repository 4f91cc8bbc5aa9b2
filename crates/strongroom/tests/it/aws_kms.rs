//! KMS and Parameter Store of the built server, with boto3 and the AWS Encryption SDK.

use serde_json::json;

use crate::aws::{ACCOUNT, with_door};
use crate::hvac::script_on;

/// Runs a script against a server with the door.
fn script(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = with_door(folder.path());
    let given = json!({ "url": format!("http://{}", server.addresses[1]), "account": ACCOUNT });
    script_on(&server, folder.path(), name, &[("AWS_DOOR", &given.to_string())]);
}

#[test]
fn boto3_and_the_encryption_sdk_use_keys() {
    script("../aws/kms.py");
}

#[test]
fn boto3_uses_parameters() {
    script("../aws/parameters.py");
}
