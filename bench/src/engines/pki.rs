//! PKI: certificates with new keys, kept or not, in an empty store and in one of many certificates.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::{Value, json};
use strongroom_crypto::keys::{Curve, Hash, KeyType, PrivateKey, Scheme};

use super::{Primitive, Requests, Workload};
use crate::http::{Connection, request};
use crate::{server::Server, work::Random};

/// Certificates that are there in the store of many.
const MANY: usize = 200_000;
/// Connections that bring them there.
const FILLERS: usize = 16;

/// PKI's workloads. Those in a store of many certificates first make it one, which takes minutes.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "pki-issue-ec",
            below_peer: Some(5.0),
            prepare: |server, token| issuing(server, token, "ec", true),
            primitive: Some(ec),
            ..Workload::default()
        },
        Workload {
            name: "pki-issue-ec-unkept",
            below_peer: Some(5.0),
            prepare: |server, token| issuing(server, token, "ec", false),
            primitive: Some(ec),
            ..Workload::default()
        },
        Workload {
            name: "pki-issue-rsa",
            prepare: |server, token| issuing(server, token, "rsa", true),
            primitive: Some(rsa),
            ..Workload::default()
        },
        Workload {
            name: "pki-issue-rsa-unkept",
            prepare: |server, token| issuing(server, token, "rsa", false),
            primitive: Some(rsa),
            ..Workload::default()
        },
        Workload {
            name: "pki-many-ec",
            named_only: true,
            prepare: |server, token| among_many(server, token, "ec"),
            primitive: Some(ec),
            ..Workload::default()
        },
        Workload {
            name: "pki-many-rsa",
            named_only: true,
            prepare: |server, token| among_many(server, token, "rsa"),
            primitive: Some(rsa),
            ..Workload::default()
        },
    ]
}

/// Requests for certificates of one kind of key.
fn issuing(server: &Server, token: &str, kind: &str, kept: bool) -> Result<Requests, String> {
    let root = &server.root;
    if server.call("GET", "pki/issuer/default", root, &Value::Null).is_err() {
        let body = json!({ "common_name": "Bench", "key_type": "ec", "ttl": "8760h" });
        server.call("POST", "pki/root/generate/internal", root, &body)?;
    }
    let role = format!("{kind}-{}", if kept { "kept" } else { "unkept" });
    let body = json!({ "allowed_domains": "example.com", "allow_subdomains": true,
        "key_type": kind, "no_store": !kept, "max_ttl": "720h" });
    server.call("POST", &format!("pki/roles/{role}"), root, &body)?;
    let (path, token) = (format!("pki/issue/{role}"), token.to_owned());
    Ok(Box::new(move |random| {
        let name = format!("host-{}.example.com", random.below(1_000_000));
        let body = json!({ "common_name": name, "ttl": "24h" }).to_string();
        request("POST", &path, &token, &body)
    }))
}

/// The same where many certificates were kept before.
fn among_many(server: &Server, token: &str, kind: &str) -> Result<Requests, String> {
    let fill = issuing(server, token, "ec", true)?;
    let listed = server.call("LIST", "pki/certs", &server.root, &Value::Null)?.json();
    let there = listed["data"]["keys"].as_array().map_or(0, Vec::len);
    let left = AtomicUsize::new(MANY.saturating_sub(there));
    let one = |seed: usize| -> Result<(), String> {
        let mut connection = Connection::open(server.address).map_err(|e| e.to_string())?;
        let mut random = Random::new(seed as u64 + 100);
        while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            let answer = connection.send(&fill(&mut random), false).map_err(|e| e.to_string())?;
            if !answer.is_good() {
                return Err(format!("filling: status {}", answer.status));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..FILLERS).map(|seed| scope.spawn(move || one(seed))).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))?;
        }
        Ok::<(), String>(())
    })?;
    issuing(server, token, kind, true)
}

/// A new key, and a signature of the issuer's.
#[allow(clippy::expect_used)]
fn with_key(kind: KeyType) -> Primitive {
    let issuer = PrivateKey::generate(KeyType::Ec(Curve::P256)).expect("a key is made");
    let certificate = vec![3; 500];
    Box::new(move || {
        let key = PrivateKey::generate(kind).expect("a key is made");
        let signature = issuer.sign(Scheme::Ecdsa(Hash::Sha256), &certificate);
        std::hint::black_box((key, signature.is_ok()));
    })
}

fn ec() -> Primitive {
    with_key(KeyType::Ec(Curve::P256))
}

fn rsa() -> Primitive {
    with_key(KeyType::Rsa(2_048))
}
