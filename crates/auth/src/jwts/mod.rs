//! Tokens that others signed (RFC 7519): what several methods need to believe one.
//!
//! Invariants:
//! * the configuration says which keys and algorithms count, never the token;
//! * who has the right key and a wrong claim learns no more than who has the wrong key, but for what
//!   the peer tells ([`claims`] answers texts, the method decides which are told);
//! * a provider's keys are fetched once for many logins at a time, and an unknown key makes nobody ask
//!   for them more often than each [`key_sets::RETRY_SECONDS`] seconds.

pub mod claims;
pub mod key_sets;

use strongroom_base::JsonMap;
use strongroom_crypto::jws::{Algorithm, Compact, SetKey};

pub use claims::{Leeways, check_times};
pub use key_sets::KeySets;

/// The claims of `token`, where one of `keys` signed it by one of `algorithms` (an empty list stands
/// for all that fit the keys).
pub fn verify(token: &Compact<'_>, keys: &[SetKey], algorithms: &[Algorithm]) -> Option<JsonMap> {
    let algorithm = token.algorithm().ok()?;
    if !algorithms.is_empty() && !algorithms.contains(&algorithm) {
        return None;
    }
    let mut fitting = keys.iter().filter(|key| key.may_sign(token.kid(), algorithm));
    fitting.find_map(|key| token.verify(&key.key).ok())
}

/// Is there a key in `keys` that may have signed `token`?
pub fn has_key_for(token: &Compact<'_>, keys: &[SetKey]) -> bool {
    let Ok(algorithm) = token.algorithm() else { return false };
    keys.iter().any(|key| key.may_sign(token.kid(), algorithm))
}
