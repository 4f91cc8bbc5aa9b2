//! What is asked at AWS's door, and what at Vault's is the same deed.

use serde_json::json;

use super::Subject;
use crate::{
    engines::transit::input,
    http::request,
    work::{Random, value},
};

/// Secrets of each kind.
pub const SECRETS: usize = 1_000;
/// Secrets in one batch: as many as AWS allows.
const BATCH: usize = 20;
/// Promised: at most so many times the CPU of the same deed at Vault's door.
const OF_VAULT: f64 = 1.5;

/// One kind of request.
pub struct Work {
    /// For tables and `--only`.
    pub name: &'static str,
    /// The operation, as its target says it.
    pub operation: &'static str,
    /// Deeds in one request.
    pub each: usize,
    /// Its body.
    pub body: fn(&Subject, &mut Random) -> String,
    /// May the same request be sent twice?
    pub repeats: bool,
    /// The same deed at Vault's door.
    pub vault: fn(&Subject, &mut Random) -> Vec<u8>,
    /// Promised: the CPU of a deed is at most so many times that at Vault's door.
    pub of_vault: Option<f64>,
    /// Is it set beside moto by the promise?
    pub of_moto: bool,
}

/// The name of a secret of a set.
pub fn name(set: &str, n: usize) -> String {
    format!("{set}/app-{}/secret-{n}", n / 100)
}

/// A value, as both doors keep it: an object with one member.
pub fn object(random: &mut Random) -> String {
    json!({ "value": value(random) }).to_string()
}

/// A token of a client request, which makes each of them another.
pub fn token(random: &mut Random) -> String {
    let (a, b) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

fn one(set: &str, random: &mut Random) -> String {
    name(set, random.below(SECRETS))
}

fn id(_: &Subject, random: &mut Random) -> String {
    json!({ "SecretId": one("aws-read", random) }).to_string()
}

fn read(subject: &Subject, random: &mut Random) -> Vec<u8> {
    request("GET", &format!("secret/data/{}", one("read", random)), &subject.token, "")
}

fn transit(deed: &str, subject: &Subject, body: &serde_json::Value) -> Vec<u8> {
    request("POST", &format!("transit/{deed}/bench"), &subject.token, &body.to_string())
}

/// All of them.
pub const WORKS: &[Work] = &[
    Work {
        name: "get-secret-value",
        repeats: true,
        operation: "secretsmanager.GetSecretValue",
        each: 1,
        body: id,
        vault: read,
        of_vault: Some(OF_VAULT),
        of_moto: true,
    },
    Work {
        name: "put-secret-value",
        repeats: false,
        operation: "secretsmanager.PutSecretValue",
        each: 1,
        body: |_, random| {
            json!({
                "SecretId": one("aws-write", random), "SecretString": object(random),
                "ClientRequestToken": token(random),
            })
            .to_string()
        },
        vault: |subject, random| {
            let body = format!("{{\"data\":{}}}", object(random));
            let path = format!("secret/data/{}", one("write", random));
            request("POST", &path, &subject.token, &body)
        },
        of_vault: Some(OF_VAULT),
        of_moto: true,
    },
    Work {
        name: "describe-secret",
        repeats: true,
        operation: "secretsmanager.DescribeSecret",
        each: 1,
        body: id,
        vault: |subject, random| {
            let path = format!("secret/metadata/{}", one("read", random));
            request("GET", &path, &subject.token, "")
        },
        of_vault: Some(OF_VAULT),
        of_moto: false,
    },
    Work {
        name: "batch-get-20",
        repeats: true,
        operation: "secretsmanager.BatchGetSecretValue",
        each: BATCH,
        body: |_, random| {
            let ids: Vec<String> = (0..BATCH).map(|_| one("aws-read", random)).collect();
            json!({ "SecretIdList": ids }).to_string()
        },
        vault: read,
        of_vault: None,
        of_moto: false,
    },
    Work {
        name: "kms-encrypt",
        repeats: true,
        operation: "TrentService.Encrypt",
        each: 1,
        body: |subject, random| {
            json!({ "KeyId": subject.key, "Plaintext": input(random) }).to_string()
        },
        vault: |subject, random| {
            transit("encrypt", subject, &json!({ "plaintext": input(random) }))
        },
        of_vault: Some(OF_VAULT),
        of_moto: false,
    },
    Work {
        name: "kms-decrypt",
        repeats: true,
        operation: "TrentService.Decrypt",
        each: 1,
        body: |subject, random| {
            json!({ "CiphertextBlob": subject.blobs[random.below(subject.blobs.len())] })
                .to_string()
        },
        vault: |subject, random| {
            let text = &subject.texts[random.below(subject.texts.len())];
            transit("decrypt", subject, &json!({ "ciphertext": text }))
        },
        of_vault: Some(OF_VAULT),
        of_moto: false,
    },
];
