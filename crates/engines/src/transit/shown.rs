//! A key as callers see it: its settings, and of each version what is no secret.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::{Json, JsonMap, Result};
use strongroom_crypto::keys::{Curve, KeyType, PublicKey, pem};
use strongroom_kernel::plug::ReadCx;

use super::batch::by_version;
use super::encoding::encode;
use super::key::{Derivation, Key};
use super::kind::Kind;
use super::material::derived_pair;
use super::ring::{Ring, stored};

/// A key as it is shown.
pub async fn show(
    cx: &ReadCx<'_>,
    name: &str,
    ring: &Ring,
    context: Option<&[u8]>,
) -> Result<Json> {
    let key = &ring.key;
    let kind = key.kind;
    let mut shown = json!({
        "allow_plaintext_backup": key.allow_plaintext_backup,
        "auto_rotate_period": key.auto_rotate_seconds,
        "deletion_allowed": key.deletion_allowed,
        "derived": key.is_derived(),
        "exportable": key.exportable,
        "imported_key": key.imported,
        "latest_version": key.latest(),
        "min_available_version": key.min_available_version,
        "min_decryption_version": key.min_decryption_version,
        "min_encryption_version": key.min_encryption_version,
        "name": name,
        "soft_deleted": key.soft_deleted,
        "supports_decryption": kind.encrypts(),
        "supports_derivation": kind.derives(),
        "supports_encryption": kind.encrypts(),
        "supports_signing": kind.signs(),
        "type": kind.name(),
    });
    let Json::Object(map) = &mut shown else { return Ok(shown) };
    if key.key_size != 0 {
        map.insert("key_size".to_owned(), json!(key.key_size));
    }
    if !kind.parameter_set().is_empty() {
        map.insert("parameter_set".to_owned(), json!(kind.parameter_set()));
    }
    if key.imported {
        map.insert("imported_key_allow_rotation".to_owned(), json!(key.allow_rotation));
    }
    if !key.deletion.is_zero() {
        // A member of ours: AWS's door has the key deleted then.
        map.insert("deletion_time".to_owned(), json!(key.deletion.to_string()));
    }
    for (name, event) in [("backup_info", key.backup), ("restore_info", key.restore)] {
        if let Some(event) = event {
            let event = json!({ "time": event.time.to_string(), "version": event.version });
            map.insert(name.to_owned(), event);
        }
    }
    show_derivation(map, key);
    if kind != Kind::Hmac {
        let mut versions = BTreeMap::new();
        for number in key.usable() {
            versions.insert(number, show_version(cx, ring, number, context).await?);
        }
        map.insert("keys".to_owned(), by_version(versions));
    }
    Ok(shown)
}

fn show_derivation(map: &mut JsonMap, key: &Key) {
    match key.derivation {
        Derivation::None => return,
        Derivation::Hkdf => map.insert("kdf".to_owned(), json!("hkdf_sha256")),
        Derivation::Counter => {
            map.insert("kdf_mode".to_owned(), json!("hmac-sha256-counter"));
            map.insert("kdf".to_owned(), json!("hmac-sha256-counter"))
        }
    };
    map.insert("convergent_encryption".to_owned(), json!(key.convergent));
    if key.convergent {
        map.insert("convergent_encryption_version".to_owned(), json!(-1));
    }
}

/// A version as it is shown: when it was made, and for pairs the public key.
async fn show_version(
    cx: &ReadCx<'_>,
    ring: &Ring,
    number: u64,
    context: Option<&[u8]>,
) -> Result<Json> {
    let key = &ring.key;
    let created = key.created(number);
    if matches!(key.kind, Kind::Cipher(_) | Kind::Hmac) {
        return Ok(json!(created.seconds()));
    }
    // Its private half is not even parsed.
    let version = stored(&cx.view(), key, number).await?;
    let shown = |name: &str, public_key: String| {
        json!({
            "certificate_chain": chain_pem(&version.chain),
            "creation_time": created.to_string(),
            "name": name,
            "public_key": public_key,
        })
    };
    let Kind::Pair(key_type) = key.kind else {
        let name = format!("{}-{}", key.kind.name(), key.kind.parameter_set());
        return Ok(shown(&name, post_quantum_public(key.kind, &version.public)));
    };
    let public = PublicKey::from_spki_der(&version.public)?;
    let (name, public_key) = match key_type {
        KeyType::Ec(Curve::P256) => ("P-256", public.to_pem()),
        KeyType::Ec(Curve::P384) => ("P-384", public.to_pem()),
        KeyType::Ec(Curve::P521) => ("P-521", public.to_pem()),
        KeyType::Rsa(_) => (key.kind.name(), public.to_pem()),
        KeyType::Ed25519 if !key.is_derived() => ("ed25519", encode(public.raw())),
        KeyType::Ed25519 => {
            let derived = match context {
                None => String::new(),
                Some(_) => {
                    let loaded = ring.load(&cx.view(), number).await?;
                    encode(&derived_pair(key, &loaded, context)?.public_key())
                }
            };
            ("ed25519", derived)
        }
    };
    Ok(shown(name, public_key))
}

/// A public key of ML-DSA in PEM; one of ML-KEM as FIPS 203 encodes it, in base64.
pub fn post_quantum_public(kind: Kind, public: &[u8]) -> String {
    match kind {
        Kind::MlDsa(_) => pem("PUBLIC KEY", public).expose_secret().trim_end().to_owned(),
        _ => encode(public),
    }
}

/// A chain of certificates as PEM.
pub fn chain_pem(chain: &[Vec<u8>]) -> String {
    let all: Vec<String> = chain
        .iter()
        .map(|der| pem("CERTIFICATE", der).expose_secret().trim_end().to_owned())
        .collect();
    all.join("\n")
}
