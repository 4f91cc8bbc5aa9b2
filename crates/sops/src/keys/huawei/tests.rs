//! Against a service of a few lines; what the original says to one is in the product's tests.

use std::sync::{Arc, Mutex};

use strongroom_web::Call;

use super::*;
use crate::keys::testing::{json as answered, machine};

const KEY: &str = "tr-west-1:0d0466b0-e727-4d9c-b35d-f84bb474a37f";

fn key(id: &str) -> HcKmsKey {
    HcKmsKey { key_id: id.into(), ..HcKmsKey::default() }
}

/// Ciphertexts are the plaintext's base64 backwards.
fn service(call: &Call) -> Answer {
    let url = call.url.as_str();
    if url == "https://iam.tr-west-1.myhuaweicloud.com/v3/projects?name=tr-west-1" {
        return answered(200, &json!({ "projects": [{ "id": "0a1b2c" }] }));
    }
    let body: Json = serde_json::from_slice(call.body.expose_secret()).unwrap_or_default();
    let reversed =
        |name: &str| body[name].as_str().unwrap_or_default().chars().rev().collect::<String>();
    match url.strip_prefix("https://kms.tr-west-1.myhuaweicloud.com/v1.0/0a1b2c/kms/") {
        Some("encrypt-data") => answered(200, &json!({ "cipher_text": reversed("plain_text") })),
        Some("decrypt-data") => answered(200, &json!({ "plain_text": reversed("cipher_text") })),
        _ => {
            let said = json!({ "error": { "error_code": "KMS.0205", "error_msg": "no such key" } });
            answered(404, &said)
        }
    }
}

#[test]
fn a_part_is_wrapped_and_unwrapped() {
    let part = Secret::new(b"a data key of thirty-two bytes!!".to_vec());
    let variables = [("HUAWEICLOUD_SDK_AK", "ACCESS"), ("HUAWEICLOUD_SDK_SK", "a secret key")];
    let machine = machine(&variables).web(service).build();
    let enc = key(KEY).encrypt(&part, &machine).unwrap();
    let opened = key(KEY).decrypt(&enc, &machine).unwrap();
    assert_eq!(opened.expose_secret(), part.expose_secret());
    let failure = key("eu-west-101:1").encrypt(&part, &machine).unwrap_err();
    assert_eq!(
        failure.0,
        "failed to encrypt sops data key with HuaweiCloud KMS: failed to get project id of region \
         'eu-west-101' automatically: HTTP status 404: KMS.0205: no such key"
    );
}

#[test]
fn a_key_names_no_other_host() {
    let called = Arc::new(Mutex::new(Vec::new()));
    let seen = called.clone();
    let variables = [
        ("HUAWEICLOUD_SDK_AK", "ACCESS"),
        ("HUAWEICLOUD_SDK_SK", "a secret key"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "p"),
    ];
    let machine = machine(&variables).web(move |call: &Call| {
        seen.lock().unwrap().push(call.url.clone());
        answered(500, &json!({}))
    });
    let machine = machine.build();
    for id in ["evil.example/:1", "a.b:1", "@evil:1", "x", ":1", "x:", "x:1/../2", ""] {
        assert!(key(id).decrypt("enc", &machine).unwrap_err().0.contains("invalid key ID"), "{id}");
    }
    assert!(called.lock().unwrap().is_empty());
    let failure = key("nowhere-1:1").decrypt("enc", &machine).unwrap_err();
    assert!(failure.0.ends_with("invalid region \"nowhere-1\""), "{failure}");
    key("eu-west-101:1").decrypt("enc", &machine).unwrap_err();
    let urls = called.lock().unwrap();
    assert_eq!(*urls, ["https://kms.eu-west-101.myhuaweicloud.eu/v1.0/p/kms/decrypt-data"]);
}

#[test]
fn credentials_are_found_in_a_file_and_on_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let of_metadata = |call: &Call| {
        assert_eq!(call.url, "http://169.254.169.254/openstack/latest/securitykey");
        let credential = json!({ "access": "M", "secret": "ms", "securitytoken": "mt" });
        answered(200, &json!({ "credential": credential }))
    };
    let found = Credentials::find(&machine(&[("HOME", &home)]).web(of_metadata).build()).unwrap();
    assert_eq!(found.access_key, "M");
    assert_eq!(found.token.unwrap().expose_secret(), "mt");
    std::fs::create_dir(folder.path().join(".huaweicloud")).unwrap();
    let text = "[global]\nak = G\n[basic]\nak = F\nsk=fs\nproject_id = p1\nsecurity_token =\n";
    std::fs::write(folder.path().join(".huaweicloud/credentials"), text).unwrap();
    let found = Credentials::find(&machine(&[("HOME", &home)]).build()).unwrap();
    assert_eq!((found.access_key.as_str(), found.project.as_deref()), ("F", Some("p1")));
    assert_eq!(found.secret_key.expose_secret(), "fs");
    assert!(found.token.is_none());
    // Half a pair in variables is none.
    let half = [("HOME", home.as_str()), ("HUAWEICLOUD_SDK_AK", "V")];
    assert_eq!(Credentials::find(&machine(&half).build()).unwrap().access_key, "F");
}
