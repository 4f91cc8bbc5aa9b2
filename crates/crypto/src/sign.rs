//! Ed25519 signatures (RFC 8032): the audit log's head, exported documents.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use strongroom_base::{Error, Result, Rng, Secret};

/// Bytes of a seed (RFC 8032 calls it the private key).
pub const SEED_BYTES: usize = 32;
/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A signing key. It shows its public key only; whoever stores it stores the seed.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: [u8; PUBLIC_KEY_BYTES],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// A new key and its seed. The seed comes from `rng`, so aws-lc-rs' own generator is not asked.
    pub fn generate(rng: &dyn Rng) -> Result<(Self, Secret<[u8; SEED_BYTES]>)> {
        let seed = Secret::new(rng.array());
        Ok((Self::from_seed(seed.expose_secret())?, seed))
    }

    /// The key of a seed.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| Error::internal("an Ed25519 seed was refused"))?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| Error::internal("an Ed25519 public key is not of 32 bytes"))?;
        Ok(Self { pair, public })
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.public
    }

    /// Signs `message`. Equal messages have equal signatures.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut out = [0; SIGNATURE_BYTES];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }
}

/// Did the owner of `public_key` sign `message`?
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::TestRng;

    /// RFC 8032 §7.1, tests 1 to 3: seed, public key, message, signature.
    #[test]
    fn rfc_8032() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                 5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                 18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let [seed, public, message, signature] =
                [seed, public, message, signature].map(|text| hex::decode(text).unwrap());
            let key = SigningKey::from_seed(seed.as_slice().try_into().unwrap()).unwrap();
            assert_eq!(key.public_key().as_slice(), public);
            assert_eq!(key.sign(&message).as_slice(), signature);
            assert!(verify(&public, &message, &signature));
        }
    }

    #[test]
    fn a_changed_message_key_or_signature_fails() {
        let rng = TestRng::new(3);
        let (key, seed) = SigningKey::generate(&rng).unwrap();
        let (other, _) = SigningKey::generate(&rng).unwrap();
        let signature = key.sign(b"head 1000");
        let again = SigningKey::from_seed(seed.expose_secret()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(verify(&key.public_key(), b"head 1000", &signature));
        assert!(!verify(&key.public_key(), b"head 1001", &signature));
        assert!(!verify(&other.public_key(), b"head 1000", &signature));
        assert!(!verify(&key.public_key()[..31], b"head 1000", &signature));
        assert!(!verify(&key.public_key(), b"head 1000", &signature[..63]));
        for at in 0..SIGNATURE_BYTES {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(!verify(&key.public_key(), b"head 1000", &changed));
        }
    }
}
