//! The types of keys, and what each can do.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_base::{Error, Result};
use strongroom_crypto::cipher::Cipher;
use strongroom_crypto::keys::{Curve, KeyType};
use strongroom_crypto::ml_dsa::MlDsa;
use strongroom_crypto::ml_kem::MlKem;

/// A key's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Symmetric encryption.
    Cipher(Cipher),
    /// Signatures, and for RSA encryption too.
    Pair(KeyType),
    /// HMAC only, with a key of a chosen length.
    Hmac,
    /// Signatures that a quantum computer is not known to forge.
    MlDsa(MlDsa),
    /// Encryption that a quantum computer is not known to break.
    MlKem(MlKem),
}

/// Every type: its name on the wire with its set of parameters, where it has several, and its number
/// in records and in backups. Up to 11 these are OpenBao's, which are Vault's but for the last two.
const ALL: &[(Kind, &str, &str, u8)] = &[
    (Kind::Cipher(Cipher::Aes256Gcm), "aes256-gcm96", "", 0),
    (Kind::Pair(KeyType::Ec(Curve::P256)), "ecdsa-p256", "", 1),
    (Kind::Pair(KeyType::Ed25519), "ed25519", "", 2),
    (Kind::Pair(KeyType::Rsa(2_048)), "rsa-2048", "", 3),
    (Kind::Pair(KeyType::Rsa(4_096)), "rsa-4096", "", 4),
    (Kind::Cipher(Cipher::ChaCha20Poly1305), "chacha20-poly1305", "", 5),
    (Kind::Pair(KeyType::Ec(Curve::P384)), "ecdsa-p384", "", 6),
    (Kind::Pair(KeyType::Ec(Curve::P521)), "ecdsa-p521", "", 7),
    (Kind::Cipher(Cipher::Aes128Gcm), "aes128-gcm96", "", 8),
    (Kind::Pair(KeyType::Rsa(3_072)), "rsa-3072", "", 9),
    (Kind::Hmac, "hmac", "", 10),
    (Kind::Cipher(Cipher::XChaCha20Poly1305), "xchacha20-poly1305", "", 11),
    (Kind::MlDsa(MlDsa::MlDsa44), "ml-dsa", "44", 144),
    (Kind::MlDsa(MlDsa::MlDsa65), "ml-dsa", "65", 165),
    (Kind::MlDsa(MlDsa::MlDsa87), "ml-dsa", "87", 187),
    (Kind::MlKem(MlKem::MlKem512), "ml-kem", "512", 212),
    (Kind::MlKem(MlKem::MlKem768), "ml-kem", "768", 213),
    (Kind::MlKem(MlKem::MlKem1024), "ml-kem", "1024", 214),
];

/// The type of a key where nothing is said.
pub const DEFAULT_NAME: &str = "aes256-gcm96";

impl Kind {
    /// By its name on the wire, of those that have one set of parameters.
    pub fn named(name: &str) -> Option<Self> {
        Self::of(name, "")
    }

    /// By its name and set of parameters, as a request has them.
    pub fn asked(name: &str, set: Option<&str>) -> Result<Self> {
        let set = set.unwrap_or_default();
        if let Some(kind) = Self::named(name).or_else(|| Self::of(name, set)) {
            return Ok(kind);
        }
        Err(Error::bad_request(match ALL.iter().any(|(_, known, ..)| *known == name) {
            true => format!("invalid parameter set {set} for key type {name}"),
            false => "unknown key type".to_owned(),
        }))
    }

    fn of(name: &str, set: &str) -> Option<Self> {
        let found = ALL.iter().find(|(_, known, of, _)| *known == name && *of == set);
        found.map(|(kind, ..)| *kind)
    }

    /// By its number in records.
    pub fn numbered(number: u64) -> Option<Self> {
        ALL.iter().find(|(.., known)| u64::from(*known) == number).map(|(kind, ..)| *kind)
    }

    fn row(self) -> Option<&'static (Kind, &'static str, &'static str, u8)> {
        ALL.iter().find(|(kind, ..)| *kind == self)
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, ..)| name)
    }

    /// Its set of parameters, or "".
    pub fn parameter_set(self) -> &'static str {
        self.row().map_or("", |(_, _, set, _)| set)
    }

    /// Its number in records.
    pub fn number(self) -> u8 {
        self.row().map_or(u8::MAX, |(.., number)| *number)
    }

    /// Does it encrypt and decrypt?
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Cipher(_) | Self::MlKem(_) | Self::Pair(KeyType::Rsa(_)))
    }

    /// Does it sign and verify?
    pub fn signs(self) -> bool {
        matches!(self, Self::Pair(_) | Self::MlDsa(_))
    }

    /// Can keys be derived of it, one for each context?
    pub fn derives(self) -> bool {
        matches!(self, Self::Cipher(_) | Self::Pair(KeyType::Ed25519))
    }

    /// Does it take associated data?
    pub fn authenticates_more(self) -> bool {
        matches!(self, Self::Cipher(_) | Self::MlKem(_))
    }

    /// Does a new one take a core for long?
    pub fn is_slow_to_make(self) -> bool {
        matches!(self, Self::Pair(KeyType::Rsa(_)))
    }

    /// Refuses derivation and convergence where the type has none.
    pub fn check_derivation(self, derived: bool, convergent: bool) -> Result<()> {
        let name = self.name();
        match self {
            Self::Cipher(_) => Ok(()),
            Self::Pair(KeyType::Ed25519) if !convergent => Ok(()),
            Self::Pair(KeyType::Ed25519) => Err(Error::bad_request(format!(
                "convergent encryption not supported for keys of type {name}"
            ))),
            _ if derived || convergent => Err(Error::bad_request(format!(
                "key derivation and convergent encryption not supported for keys of type {name}"
            ))),
            _ => Ok(()),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::numbered(number.into())
            .ok_or_else(|| serde::de::Error::custom("no type of key has this number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        for (kind, name, set, number) in ALL {
            assert_eq!(Kind::asked(name, Some(set)).ok(), Some(*kind));
            assert_eq!(Kind::numbered((*number).into()), Some(*kind));
            assert_eq!((kind.name(), kind.parameter_set(), kind.number()), (*name, *set, *number));
            // Where there is one set, it need not be said, and another is passed over.
            for other in [None, Some("1")] {
                assert_eq!(Kind::asked(name, other).is_ok(), set.is_empty());
            }
        }
        assert_eq!(ALL.len(), 18);
        assert_eq!(Kind::named("aes512"), None);
        assert!(Kind::named(DEFAULT_NAME).is_some());
    }
}
