//! `sops`, ours and the original, with keys of AWS's door: both find it by `AWS_ENDPOINT_URL`, as any client
//! of AWS.

use serde_json::{Value as Json, json};

use crate::aws_ready::{REGION, Ready};
use crate::sops_keys::{Desk, PLAIN, WAYS, Whose};

/// A working folder whose programs sign as `tester`.
fn desk(ready: &Ready) -> Desk {
    let (id, secret) = ready.pair();
    Desk::new()
        .with("AWS_ENDPOINT_URL", &ready.url())
        .with("AWS_ACCESS_KEY_ID", id)
        .with("AWS_SECRET_ACCESS_KEY", secret)
        .with("AWS_REGION", REGION)
}

/// A key with an alias; its ARN.
fn key(ready: &Ready, alias: &str) -> String {
    let kms = |words: &[&str]| {
        let output = ready.aws("kms", words);
        serde_json::from_str::<Json>(&output).unwrap_or(Json::Null)
    };
    let made = kms(&["create-key"]);
    let id = made["KeyMetadata"]["KeyId"].as_str().unwrap();
    kms(&["create-alias", "--alias-name", alias, "--target-key-id", id]);
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

#[test]
fn files_under_keys_of_our_kms() {
    let ready = Ready::new();
    let desk = desk(&ready);
    let arn = key(&ready, "alias/files");
    let id = arn.rsplit('/').next().unwrap();
    desk.goes_both_ways(&["--kms", &arn]);
    // An alias, too, as the files of many have it.
    let alias = arn.replace(&format!("key/{id}"), "alias/files");
    desk.goes_both_ways(&["--kms", &alias]);
    // The context is authenticated: whoever changes it in the file gets nothing.
    desk.goes_both_ways(&["--kms", &arn, "--encryption-context", "app:web,env:prod"]);
    let file = desk.read("secret.yaml");
    desk.write("moved.yaml", &file.replace("env: prod", "env: test"));
    for whose in [Whose::Ours, Whose::Original] {
        let told = desk.refused(whose, &["decrypt", "moved.yaml"], 128);
        assert!(told.contains("InvalidCiphertextException"), "{whose:?}: {told}");
    }
    // By a role that the key pair may become.
    let role = format!("{arn}+arn:aws:iam::000000000000:role/deploy");
    desk.goes_both_ways(&["--kms", &role]);
    // Rules of a folder.
    desk.write(".sops.yaml", &format!("creation_rules:\n  - path_regex: plain\n    kms: {arn}\n"));
    for (wraps, unwraps) in WAYS {
        desk.encrypt(wraps, &[], "secret.yaml");
        assert_eq!(desk.ok(unwraps, &["decrypt", "secret.yaml"]), PLAIN);
    }
    // What was wrapped before a rotation of the key is unwrapped after it.
    ready.write(&format!("transit/keys/{id}/rotate"), &json!({}));
    for whose in [Whose::Ours, Whose::Original] {
        assert_eq!(desk.ok(whose, &["decrypt", "secret.yaml"]), PLAIN, "{whose:?}");
        desk.ok(whose, &["rotate", "--in-place", "secret.yaml"]);
    }
}

#[test]
fn files_under_keys_that_one_may_not_use() {
    let ready = Ready::new();
    let good = desk(&ready);
    let arn = key(&ready, "alias/files");
    good.encrypt(Whose::Ours, &["--kms", &arn], "secret.yaml");
    let file = good.read("secret.yaml");
    // A role that encrypts only: CI's.
    let id = arn.rsplit('/').next().unwrap();
    let policy = format!("path \"transit/encrypt/{id}\" {{ capabilities = [\"update\"] }}");
    ready.write("sys/policies/acl/writer", &json!({ "policy": policy }));
    let (id, secret) = ready.pair_of("writer", "writer");
    let writer = Desk::new()
        .with("AWS_ENDPOINT_URL", &ready.url())
        .with("AWS_ACCESS_KEY_ID", &id)
        .with("AWS_SECRET_ACCESS_KEY", &secret);
    writer.write("secret.yaml", &file);
    let wrong = desk(&ready).with("AWS_SECRET_ACCESS_KEY", "wrong");
    wrong.write("secret.yaml", &file);
    for whose in [Whose::Ours, Whose::Original] {
        writer.encrypt(whose, &["--kms", &arn], "own.yaml");
        for name in ["own.yaml", "secret.yaml"] {
            let told = writer.refused(whose, &["decrypt", name], 128);
            assert!(told.contains("AccessDeniedException"), "{whose:?}: {told}");
        }
        let told = wrong.refused(whose, &["decrypt", "secret.yaml"], 128);
        assert!(told.contains("InvalidSignatureException"), "{whose:?}: {told}");
    }
    ready.aws("kms", &["disable-key", "--key-id", &arn]);
    for whose in [Whose::Ours, Whose::Original] {
        let told = good.refused(whose, &["decrypt", "secret.yaml"], 128);
        assert!(told.contains("DisabledException"), "{whose:?}: {told}");
    }
    ready.aws("kms", &["enable-key", "--key-id", &arn]);
    good.ok(Whose::Original, &["decrypt", "secret.yaml"]);
}
