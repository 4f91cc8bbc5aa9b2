//! How AWS names callers.

use strongroom_base::{Rng, SecretString};
use strongroom_crypto::otp;

/// What AWS's ids are made of.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters of an access key behind its prefix.
const KEY_CHARS: usize = 16;
/// Characters of a secret key: 40 of 62 are 238 bits.
const SECRET_CHARS: usize = 40;
/// Characters of the id of a user or role behind its prefix.
const ID_CHARS: usize = 17;

fn chars(rng: &dyn Rng, count: usize) -> String {
    let bytes: [u8; 32] = rng.array();
    let sign = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('A', char::from);
    bytes.iter().take(count).map(sign).collect()
}

/// A random access key that begins with `prefix` (`AKIA`, `ASIA`).
pub fn access_key(rng: &dyn Rng, prefix: &str) -> String {
    format!("{prefix}{}", chars(rng, KEY_CHARS))
}

/// A random secret key.
pub fn secret_key(rng: &dyn Rng) -> SecretString {
    otp::base62(SECRET_CHARS, rng)
}

/// A random id without its prefix.
pub fn unique_id(rng: &dyn Rng) -> String {
    chars(rng, ID_CHARS)
}

/// A role under its own keys.
pub fn user(account: &str, role: &str) -> String {
    format!("arn:aws:iam::{account}:user/{role}")
}

/// A role.
pub fn role(account: &str, role: &str) -> String {
    format!("arn:aws:iam::{account}:role/{role}")
}

/// A role that somebody assumed.
pub fn assumed(account: &str, role: &str, session: &str) -> String {
    format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
}

/// The name of a role of `account`, in lower case; `None` where the ARN is no such.
pub fn role_of(arn: &str, account: &str) -> Option<String> {
    let rest = arn.strip_prefix("arn:aws:iam::")?.strip_prefix(account)?.strip_prefix(":role/")?;
    // A role of AWS may stand below a path, which is not part of its name.
    let name = rest.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(name.to_lowercase())
}
