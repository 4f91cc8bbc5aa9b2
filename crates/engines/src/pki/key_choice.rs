//! Kinds and sizes of keys and hashes, as requests and roles name them.

use strongroom_base::Result;
use strongroom_crypto::keys::KeyType;

use super::bad;

/// Bits of RSA keys that are accepted at least.
pub const RSA_BITS_MIN: i64 = 2_048;

/// The size of a key: 0 is the usual one.
pub fn default_bits(kind: &str, bits: i64) -> Result<i64> {
    match (kind, bits) {
        ("rsa", 0) => Ok(2_048),
        ("rsa", 2_048 | 3_072 | 4_096 | 8_192) => Ok(bits),
        ("rsa", ..RSA_BITS_MIN) => Err(bad(format!(
            "RSA keys < {RSA_BITS_MIN} bits are unsafe and not supported: got {bits}"
        ))),
        ("rsa", _) => Err(bad(format!("unsupported bit length for RSA key: {bits}"))),
        ("ec", 0) => Ok(256),
        ("ec", 256 | 384 | 521) => Ok(bits),
        ("ec", 224) => Err(bad(
            "unsupported bit length for EC key: 224; P-224 is not supported, use 256, 384 or 521",
        )),
        ("ec", _) => Err(bad(format!("unsupported bit length for EC key: {bits}"))),
        ("ed25519" | "any", _) => Ok(0),
        _ => Err(bad("unknown key type: rsa, ec, ed25519 and, for roles, any are there")),
    }
}

/// The size of a signature's hash, as it is kept: 0 leaves it to the issuer's key. A curve has a hash
/// of its own, whatever is said.
pub fn default_hash(kind: &str, bits: i64) -> Result<i64> {
    match (kind, bits) {
        ("rsa", 0) => Ok(256),
        (_, 0 | 256 | 384 | 512) => Ok(bits),
        _ => Err(bad(format!("unsupported hash signature algorithm: {bits}"))),
    }
}

/// The kind of a new key.
pub fn key_type(kind: &str, bits: i64) -> Result<KeyType> {
    let bits = default_bits(kind, bits)?;
    KeyType::named(kind, u32::try_from(bits).unwrap_or(0))
}
