//! Kinds of keys by their names, and their making.

use strongroom_base::{Error, Result};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey};
use strongroom_kernel::plug::ReadCx;

/// The kind of key that a request names: by OpenSSH's name or by that of the algorithm. `bits` 0 is
/// the usual size, which for RSA is `rsa_bits`.
pub fn kind(name: &str, bits: i64, rsa_bits: u32) -> Result<KeyType> {
    let known = match name {
        "ssh-rsa" => "rsa",
        "ssh-ed25519" => "ed25519",
        "ecdsa-sha2-nistp256" => return Ok(KeyType::Ec(Curve::P256)),
        "ecdsa-sha2-nistp384" => return Ok(KeyType::Ec(Curve::P384)),
        "ecdsa-sha2-nistp521" => return Ok(KeyType::Ec(Curve::P521)),
        name => name,
    };
    let bits = match (known, u32::try_from(bits).unwrap_or(u32::MAX)) {
        ("rsa", 0) => rsa_bits,
        (_, bits) => bits,
    };
    match known {
        "rsa" | "ec" | "ed25519" => KeyType::named(known, bits),
        _ => Err(Error::bad_request("unknown ssh key pair algorithm")),
    }
}

/// Makes a key, off the threads that serve requests: RSA takes its time.
pub async fn generate(cx: &ReadCx<'_>, kind: KeyType) -> Result<PrivateKey> {
    match kind {
        KeyType::Rsa(_) => cx.heavy(move || PrivateKey::generate(kind)).await?,
        KeyType::Ec(_) | KeyType::Ed25519 => PrivateKey::generate(kind),
    }
}
