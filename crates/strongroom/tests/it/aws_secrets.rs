//! Secrets Manager of the built server, as boto3, AWS's caching library for Python and its command line
//! meet it, beside hvac.

use serde_json::json;

use crate::hvac::script_on;
use crate::product::{self, Server};

#[test]
fn boto3_and_hvac_share_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = product::settings(folder.path());
    settings["door"] = json!({ "aws": {} });
    let server = Server::start(folder.path(), &settings);
    let given = json!({ "url": format!("http://{}", server.address()) });
    script_on(
        &server,
        folder.path(),
        "../aws/secrets_manager.py",
        &[("AWS_DOOR", &given.to_string())],
    );
}

#[test]
fn clients_outlive_a_server_that_cannot_serve() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = product::settings(folder.path());
    settings["door"] = json!({ "aws": {} });
    let server = Server::start(folder.path(), &settings);
    let given = json!({ "url": format!("http://{}", server.address()) });
    script_on(&server, folder.path(), "../aws/overload.py", &[("AWS_DOOR", &given.to_string())]);
}
