//! SSH: certificates for users' keys.

use serde_json::json;
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey, Scheme};
use strongroom_crypto::ssh::PublicKey;

use super::{Primitive, Requests, Workload};
use crate::{http::request, server::Server};

/// Different keys, so that no answer is that of the request before.
const KEYS: usize = 64;
/// Bytes that a certificate's signature is over, about.
const CERTIFICATE_BYTES: usize = 400;

/// SSH's workloads.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "ssh-sign-ed25519",
            prepare: |server, token| signing(server, token, "ed25519", 0),
            primitive: Some(|| sign(KeyType::Ed25519, Scheme::Ed25519)),
            ..Workload::default()
        },
        Workload {
            name: "ssh-sign-rsa2048",
            of_primitive: Some(1.4),
            prepare: |server, token| signing(server, token, "rsa", 2_048),
            primitive: Some(|| sign(KeyType::Rsa(2_048), Scheme::Pkcs1(Hash::Sha256))),
            ..Workload::default()
        },
    ]
}

fn signing(server: &Server, token: &str, kind: &str, bits: u32) -> Result<Requests, String> {
    let issuer = json!({ "key_type": kind, "key_bits": bits });
    server.call("POST", &format!("ssh/issuers/import/{kind}"), &server.root, &issuer)?;
    let role = json!({
        "key_type": "ca", "allow_user_certificates": true, "issuer_ref": kind,
        "allowed_users": "ann,bob", "default_user": "ann", "ttl": "1h",
        "default_extensions": { "permit-pty": "" },
    });
    server.call("POST", &format!("ssh/roles/{kind}"), &server.root, &role)?;
    let mut all = Vec::with_capacity(KEYS);
    for _ in 0..KEYS {
        let key = PrivateKey::generate(KeyType::Ed25519).and_then(|key| key.public());
        let line = key.and_then(|key| PublicKey::of(&key)).map_err(|e| e.to_string())?.line();
        let body = json!({ "public_key": line }).to_string();
        all.push(request("POST", &format!("ssh/sign/{kind}"), token, &body));
    }
    Ok(Box::new(move |random| all[random.below(all.len())].clone()))
}

#[allow(clippy::expect_used)]
fn sign(kind: KeyType, scheme: Scheme) -> Primitive {
    let key = PrivateKey::generate(kind).expect("a key is made");
    let message = vec![3; CERTIFICATE_BYTES];
    Box::new(move || {
        std::hint::black_box(key.sign(scheme, std::hint::black_box(&message)).is_ok());
    })
}
