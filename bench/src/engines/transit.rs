//! Transit: encryption of 1 KiB, one at a time and a hundred, and signatures of 1 KiB.

use serde_json::json;
use strongroom_crypto::cipher::{Cipher, CipherKey};
use strongroom_crypto::keys::{Curve, Hash, KeyType, PrivateKey, Scheme};

use super::{Primitive, Requests, Workload};
use crate::{http::request, server::Server, work::Random};

/// Bytes of what is encrypted and signed.
const INPUT_BYTES: usize = 1_024;
/// Items of a batch.
const BATCH: usize = 100;
/// Different inputs, so that no answer is that of the request before.
const INPUTS: usize = 64;

/// Transit's workloads.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "transit-encrypt",
            below_peer: Some(10.0),
            prepare: |server, token| encrypting(server, token, 1),
            primitive: Some(seal),
            ..Workload::default()
        },
        Workload {
            name: "transit-decrypt",
            below_peer: Some(10.0),
            prepare: decrypting,
            primitive: Some(open),
            ..Workload::default()
        },
        Workload {
            name: "transit-encrypt-batch",
            operations: BATCH,
            prepare: |server, token| encrypting(server, token, BATCH),
            primitive: Some(seal),
            ..Workload::default()
        },
        Workload {
            name: "transit-sign-ed25519",
            below_peer: Some(10.0),
            prepare: |server, token| signing(server, token, "ed25519"),
            primitive: Some(|| sign(KeyType::Ed25519, Scheme::Ed25519)),
            ..Workload::default()
        },
        Workload {
            name: "transit-sign-p256",
            below_peer: Some(10.0),
            prepare: |server, token| signing(server, token, "ecdsa-p256"),
            primitive: Some(|| sign(KeyType::Ec(Curve::P256), Scheme::Ecdsa(Hash::Sha256))),
            ..Workload::default()
        },
        Workload {
            name: "transit-sign-rsa2048",
            of_primitive: Some(1.4),
            prepare: |server, token| signing(server, token, "rsa-2048"),
            primitive: Some(|| sign(KeyType::Rsa(2_048), Scheme::Pkcs1(Hash::Sha256))),
            ..Workload::default()
        },
    ]
}

/// Base64 of as many bytes as an input has, without a crate for it: any letters are base64.
pub fn input(random: &mut Random) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text: String = (0..INPUT_BYTES.div_ceil(3) * 4 - 2)
        .map(|_| char::from(LETTERS[random.below(64)]))
        .collect();
    text.push_str("==");
    text
}

fn key(server: &Server, name: &str, kind: &str) -> Result<(), String> {
    let body = json!({ "type": kind });
    server.call("POST", &format!("transit/keys/{name}"), &server.root, &body).map(|_| ())
}

/// Requests of which each is one of these, by chance.
fn one_of(path: String, token: &str, bodies: Vec<String>) -> Requests {
    let all: Vec<Vec<u8>> = bodies.iter().map(|body| request("POST", &path, token, body)).collect();
    Box::new(move |random| all[random.below(all.len())].clone())
}

fn encrypting(server: &Server, token: &str, items: usize) -> Result<Requests, String> {
    key(server, "encrypt", "aes256-gcm96")?;
    let mut random = Random::new(11);
    let body = |random: &mut Random| match items {
        1 => json!({ "plaintext": input(random) }).to_string(),
        items => {
            let items: Vec<_> = (0..items).map(|_| json!({ "plaintext": input(random) })).collect();
            json!({ "batch_input": items }).to_string()
        }
    };
    let bodies = (0..INPUTS).map(|_| body(&mut random)).collect();
    Ok(one_of("transit/encrypt/encrypt".to_owned(), token, bodies))
}

fn decrypting(server: &Server, token: &str) -> Result<Requests, String> {
    key(server, "encrypt", "aes256-gcm96")?;
    let mut random = Random::new(12);
    let mut bodies = Vec::new();
    for _ in 0..INPUTS {
        let body = json!({ "plaintext": input(&mut random) });
        let sealed = server.call("POST", "transit/encrypt/encrypt", &server.root, &body)?.json();
        bodies.push(json!({ "ciphertext": sealed["data"]["ciphertext"] }).to_string());
    }
    Ok(one_of("transit/decrypt/encrypt".to_owned(), token, bodies))
}

fn signing(server: &Server, token: &str, kind: &str) -> Result<Requests, String> {
    key(server, kind, kind)?;
    let mut random = Random::new(13);
    let body = |random: &mut Random| match kind {
        "rsa-2048" => json!({ "input": input(random), "signature_algorithm": "pkcs1v15" }),
        _ => json!({ "input": input(random) }),
    };
    let bodies = (0..INPUTS).map(|_| body(&mut random).to_string()).collect();
    Ok(one_of(format!("transit/sign/{kind}"), token, bodies))
}

#[allow(clippy::expect_used)]
fn cipher() -> CipherKey {
    CipherKey::new(Cipher::Aes256Gcm, &[7; 32]).expect("AES takes 32 bytes")
}

fn seal() -> Primitive {
    let (key, plain) = (cipher(), vec![1; INPUT_BYTES]);
    Box::new(move || {
        std::hint::black_box(key.seal(&[2; 12], &[], std::hint::black_box(&plain)).is_ok());
    })
}

#[allow(clippy::expect_used)]
fn open() -> Primitive {
    let key = cipher();
    let sealed = key.seal(&[2; 12], &[], &[1; INPUT_BYTES]).expect("a plaintext is sealed");
    Box::new(move || {
        std::hint::black_box(key.open(&[], std::hint::black_box(&sealed)).is_some());
    })
}

#[allow(clippy::expect_used)]
fn sign(kind: KeyType, scheme: Scheme) -> Primitive {
    let key = PrivateKey::generate(kind).expect("a key is made");
    let message = vec![3; INPUT_BYTES];
    Box::new(move || {
        std::hint::black_box(key.sign(scheme, std::hint::black_box(&message)).is_ok());
    })
}
