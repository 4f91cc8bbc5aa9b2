//! KMS and Parameter Store of the built server, with boto3 and the AWS Encryption SDK.

use serde_json::json;

use crate::hvac::script_on;
use crate::product::{self, Server};

const ACCOUNT: &str = "123456789012";

/// Runs a script against a server with the door.
fn script(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = product::settings(folder.path());
    settings["door"] = json!({ "aws": {
        "address": "127.0.0.1:0", "tls_disable": true, "account": ACCOUNT,
        "region": {
            "us-east-1": {},
            "eu-west-1": { "mount": "eu", "transit": "eu-transit" },
        },
    }});
    // Two listeners may not have one address; port 0 stands for two.
    settings["listener"]["tcp"]["address"] = json!("localhost:0");
    let server = Server::start(folder.path(), &settings);
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
