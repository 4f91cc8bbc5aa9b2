//! New identities.

use age::secrecy::ExposeSecret;
use age::x25519;
use strongroom_base::{Rng, SecretString};

use crate::Result;
use crate::hybrid::HybridIdentity;

/// The kinds of identities that are made here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// X25519: what every implementation reads.
    X25519,
    /// ML-KEM-768 with X25519.
    Hybrid,
}

/// A new identity and its recipient, as texts.
pub struct Pair {
    /// `AGE-SECRET-KEY-…`.
    pub identity: SecretString,
    /// `age1…`.
    pub recipient: String,
}

/// Makes a pair. (X25519's randomness is the crate `age`'s own, from the system.)
pub fn generate(kind: Kind, rng: &dyn Rng) -> Result<Pair> {
    Ok(match kind {
        Kind::X25519 => {
            let identity = x25519::Identity::generate();
            let text = identity.to_string();
            Pair {
                identity: SecretString::new(text.expose_secret().to_owned()),
                recipient: identity.to_public().to_string(),
            }
        }
        Kind::Hybrid => {
            let identity = HybridIdentity::generate(rng)?;
            Pair { identity: identity.to_text(), recipient: identity.to_recipient().to_string() }
        }
    })
}
