//! Sets of public keys (RFC 7517 §5), as providers publish them.

use strongroom_base::Json;

use super::{Algorithm, Jwk, Refused};
use crate::keys::PublicKey;

/// Keys looked at in one set.
const KEYS_MAX: usize = 256;

/// A key of a set.
pub struct SetKey {
    /// Its identifier in the set.
    pub kid: Option<String>,
    /// The one algorithm it is for, if its owner says so.
    pub algorithm: Option<Algorithm>,
    /// The key.
    pub key: PublicKey,
}

impl SetKey {
    /// May it have signed a token with this identifier of a key and algorithm?
    pub fn may_sign(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        (kid.is_none() || self.kid.is_none() || self.kid.as_deref() == kid)
            && self.algorithm.is_none_or(|own| own == algorithm)
            && algorithm.fits(self.key.key_type())
    }
}

/// The keys of a set that sign: what is for other uses, of other types, or unreadable is passed over,
/// as RFC 7517 §5 says.
pub fn parse_set(json: &Json) -> Result<Vec<SetKey>, Refused> {
    let Some(Json::Array(keys)) = json.get("keys") else {
        return Err(Refused::Malformed("a set of keys has 'keys'"));
    };
    Ok(keys.iter().take(KEYS_MAX).filter_map(one).collect())
}

fn one(json: &Json) -> Option<SetKey> {
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    if text("use").is_some_and(|of| of != "sig") {
        return None;
    }
    let algorithm = match text("alg") {
        None => None,
        Some(name) => Some(Algorithm::named(name)?),
    };
    let key = Jwk::parse(json).ok()?.public().clone();
    Some(SetKey { kid: text("kid").map(str::to_owned), algorithm, key })
}
