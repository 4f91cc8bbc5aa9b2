//! The material of keys: how it is made, and which form a version keeps it in.

use strongroom_base::{Error, Result, SecretBytes};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::ml_dsa::MlDsaKey;
use strongroom_crypto::ml_kem::MlKemKey;
use strongroom_crypto::sign::SigningKey;
use strongroom_kernel::plug::ReadCx;

use super::key::{Key, Version};
use super::kind::Kind;
use super::ring::Loaded;

/// The material of a new version.
pub async fn generate(cx: &ReadCx<'_>, kind: Kind, key_size: usize) -> Result<Version> {
    let random = |length: usize| {
        let mut bytes = vec![0; length];
        cx.rng().fill(&mut bytes);
        bytes
    };
    let mut version = Version::made_at(cx.now());
    match kind {
        Kind::Cipher(cipher) => version.secret = random(cipher.key_bytes()),
        Kind::Hmac => version.secret = random(key_size),
        Kind::Pair(KeyType::Ed25519) => {
            let seed = SecretBytes::new(random(32));
            let pair = ed25519_pair(seed.expose_secret())?;
            take_pair(&mut version, &pair)?;
        }
        Kind::Pair(key_type) => take_pair(&mut version, &generate_pair(cx, key_type).await?)?,
        Kind::MlDsa(set) => take_ml_dsa(&mut version, &MlDsaKey::generate(set, cx.rng())?),
        Kind::MlKem(set) => take_ml_kem(&mut version, &MlKemKey::generate(set)?),
    }
    if kind != Kind::Hmac {
        version.hmac = random(32);
    }
    Ok(version)
}

/// A new pair. One of RSA is made where it holds up no other request.
pub async fn generate_pair(cx: &ReadCx<'_>, key_type: KeyType) -> Result<PrivateKey> {
    match key_type {
        KeyType::Rsa(_) => cx.heavy(move || PrivateKey::generate(key_type)).await?,
        _ => PrivateKey::generate(key_type),
    }
}

/// The pair of a seed (RFC 8032 §5.1.5).
pub fn ed25519_pair(seed: &[u8]) -> Result<PrivateKey> {
    // PKCS#8 of Ed25519 is the seed behind a head that is always the same (RFC 8410 §7).
    const HEAD: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let mut der = HEAD.to_vec();
    der.extend_from_slice(seed);
    PrivateKey::from_pkcs8_der(SecretBytes::new(der).expose_secret())
}

/// Puts both halves of a pair into a version.
pub fn take_pair(version: &mut Version, pair: &PrivateKey) -> Result<()> {
    version.secret = pair.to_pkcs8_der().expose_secret().clone();
    version.public = pair.public()?.spki_der().to_vec();
    Ok(())
}

/// The same of a pair of ML-DSA.
pub fn take_ml_dsa(version: &mut Version, pair: &MlDsaKey) {
    version.secret.clone_from(pair.to_pkcs8_der().expose_secret());
    version.public = pair.spki_der().to_vec();
}

/// The same of a pair of ML-KEM, both halves as FIPS 203 encodes them.
pub fn take_ml_kem(version: &mut Version, pair: &MlKemKey) {
    version.secret.clone_from(pair.to_bytes().expose_secret());
    version.public = pair.public_bytes().to_vec();
}

/// The pair that a context derives of an Ed25519 key.
pub fn derived_pair(key: &Key, version: &Loaded, context: Option<&[u8]>) -> Result<SigningKey> {
    let seed = version.derive(key.derivation, context, 32)?;
    let seed = seed.expose_secret().as_slice().try_into();
    SigningKey::from_seed(seed.map_err(|_| Error::internal("a seed is not of 32 bytes"))?)
}
