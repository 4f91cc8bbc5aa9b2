//! ML-DSA (FIPS 204): signatures that a quantum computer is not known to forge. Pure signatures, of
//! messages, with an empty context; private keys as their seed (RFC 9881).

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87,
    ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
    UnparsedPublicKey,
};
use strongroom_base::{Error, Result, Rng, Secret, SecretBytes};

/// Bytes of a seed.
const SEED_BYTES: usize = 32;

/// A set of parameters, by its strength.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MlDsa {
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl MlDsa {
    fn signing(self) -> &'static PqdsaSigningAlgorithm {
        match self {
            Self::MlDsa44 => &ML_DSA_44_SIGNING,
            Self::MlDsa65 => &ML_DSA_65_SIGNING,
            Self::MlDsa87 => &ML_DSA_87_SIGNING,
        }
    }

    fn verification(self) -> &'static PqdsaVerificationAlgorithm {
        match self {
            Self::MlDsa44 => &ML_DSA_44,
            Self::MlDsa65 => &ML_DSA_65,
            Self::MlDsa87 => &ML_DSA_87,
        }
    }
}

/// A private key, ready to sign. `Debug` shows nothing of it.
pub struct MlDsaKey {
    parameters: MlDsa,
    pair: PqdsaKeyPair,
    /// PKCS#8: what is stored.
    der: SecretBytes,
    spki: Vec<u8>,
}

impl std::fmt::Debug for MlDsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MlDsaKey(…)")
    }
}

impl MlDsaKey {
    /// A new key.
    pub fn generate(parameters: MlDsa, rng: &dyn Rng) -> Result<Self> {
        let seed = Secret::new(rng.array::<SEED_BYTES>());
        let pair = PqdsaKeyPair::from_seed(parameters.signing(), seed.expose_secret());
        let pair = pair.map_err(|_| Error::internal("an ML-DSA seed was refused"))?;
        let der = pair.to_pkcs8v1().map_err(|_| unwritable())?;
        let der = Secret::new(der.as_ref().to_vec());
        Self::of(parameters, pair, der)
    }

    /// The key of a PKCS#8 document, which has its seed, its expanded form, or both (RFC 9881 §6).
    pub fn from_pkcs8_der(parameters: MlDsa, der: &[u8]) -> Result<Self> {
        let pair = PqdsaKeyPair::from_pkcs8(parameters.signing(), der);
        let pair = pair.map_err(|_| Error::bad_request("the private key does not parse"))?;
        // As its seed, where there is one; what was expanded does not lead back to it.
        let der = pair.to_pkcs8v1().map_or_else(|_| der.to_vec(), |der| der.as_ref().to_vec());
        Self::of(parameters, pair, Secret::new(der))
    }

    fn of(parameters: MlDsa, pair: PqdsaKeyPair, der: SecretBytes) -> Result<Self> {
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| unwritable())?;
        let spki = spki.as_ref().to_vec();
        Ok(Self { parameters, pair, der, spki })
    }

    /// PKCS#8.
    pub fn to_pkcs8_der(&self) -> &SecretBytes {
        &self.der
    }

    /// The public half: SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The public half as FIPS 204 encodes it.
    pub fn public_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs a message. Two signatures of it differ.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; self.parameters.signing().signature_len()];
        let length = self.pair.sign(message, &mut out);
        let length = length.map_err(|_| Error::internal("a signature could not be made"))?;
        out.truncate(length);
        Ok(out)
    }

    /// Did this key sign the message?
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        verify(self.parameters, &self.spki, message, signature)
    }
}

/// Did the owner of a public key (SubjectPublicKeyInfo, or as FIPS 204 encodes it) sign the message?
pub fn verify(parameters: MlDsa, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(parameters.verification(), public);
    key.verify(message, signature).is_ok()
}

fn unwritable() -> Error {
    Error::internal("an ML-DSA key cannot be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::TestRng;

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let rng = TestRng::new(5);
        let all = [MlDsa::MlDsa44, MlDsa::MlDsa65, MlDsa::MlDsa87];
        for (parameters, length) in all.into_iter().zip([2_420, 3_309, 4_627]) {
            let key = MlDsaKey::generate(parameters, &rng).unwrap();
            let other = MlDsaKey::generate(parameters, &rng).unwrap();
            let mut signature = key.sign(b"message").unwrap();
            assert_eq!(signature.len(), length);
            assert!(key.verify(b"message", &signature));
            assert!(verify(parameters, key.public_bytes(), b"message", &signature));
            assert!(!key.verify(b"massage", &signature));
            assert!(!other.verify(b"message", &signature));
            assert!(!key.verify(b"message", &signature[1..]));
            for elsewhere in all.into_iter().filter(|other| *other != parameters) {
                assert!(!verify(elsewhere, key.spki_der(), b"message", &signature));
                let der = key.to_pkcs8_der().expose_secret();
                assert!(MlDsaKey::from_pkcs8_der(elsewhere, der).is_err());
            }
            signature[length / 2] ^= 1;
            assert!(!key.verify(b"message", &signature));
            // The same again of what is stored; and a seed has one key.
            let der = key.to_pkcs8_der().expose_secret();
            let again = MlDsaKey::from_pkcs8_der(parameters, der).unwrap();
            assert_eq!(again.spki_der(), key.spki_der());
            assert!(key.verify(b"message", &again.sign(b"message").unwrap()));
            assert!(MlDsaKey::from_pkcs8_der(parameters, &der[1..]).is_err());
            assert_eq!(format!("{key:?}"), "MlDsaKey(…)");
        }
    }
}
