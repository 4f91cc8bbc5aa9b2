//! ML-KEM (FIPS 203): agreeing on a key with the owner of a public one, in a way that a quantum
//! computer is not known to break; and encryption by it.
//!
//! A sealed text is the encapsulation, and behind it the plaintext under AES-256-GCM. Its key is made
//! of the shared secret by HKDF-SHA256 with [`INFO`] and used for this one text, so its nonce is zero.
//! Whoever has the public key can make such a text without us.

use aws_lc_rs::kem::{
    Algorithm, AlgorithmId, Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_512, ML_KEM_768,
    ML_KEM_1024, SharedSecret,
};
use strongroom_base::{Error, Result, Secret, SecretBytes};

use crate::cipher::{Cipher, CipherKey};
use crate::hkdf_sha256;

/// What the key of a sealed text is derived with.
pub const INFO: &[u8] = b"strongroom ml-kem aes256-gcm";
/// The nonce of a key that is used once.
const NONCE: [u8; 12] = [0; 12];

/// A set of parameters, by its strength.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MlKem {
    /// ML-KEM-512.
    MlKem512,
    /// ML-KEM-768.
    MlKem768,
    /// ML-KEM-1024.
    MlKem1024,
}

impl MlKem {
    fn algorithm(self) -> &'static Algorithm<AlgorithmId> {
        match self {
            Self::MlKem512 => &ML_KEM_512,
            Self::MlKem768 => &ML_KEM_768,
            Self::MlKem1024 => &ML_KEM_1024,
        }
    }

    /// The rank of its matrices, of which all lengths follow (FIPS 203 §8).
    fn rank(self) -> usize {
        match self {
            Self::MlKem512 => 2,
            Self::MlKem768 => 3,
            Self::MlKem1024 => 4,
        }
    }

    /// Bytes of an encapsulation.
    pub fn encapsulation_bytes(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1_088,
            Self::MlKem1024 => 1_568,
        }
    }
}

/// A pair of keys.
pub struct MlKemKey {
    parameters: MlKem,
    private: DecapsulationKey,
    public: EncapsulationKey,
    /// The private half as FIPS 203 encodes it: what is stored.
    bytes: SecretBytes,
    public_bytes: Vec<u8>,
}

impl std::fmt::Debug for MlKemKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MlKemKey(…)")
    }
}

impl MlKemKey {
    /// A new pair. Its randomness is the library's own, as that of all keys of its kind.
    pub fn generate(parameters: MlKem) -> Result<Self> {
        let failed = |_| Error::internal("a key could not be generated");
        let private = DecapsulationKey::generate(parameters.algorithm()).map_err(failed)?;
        let bytes = private.key_bytes().map_err(failed)?;
        Self::from_bytes(parameters, bytes.as_ref())
    }

    /// The pair of a private half as FIPS 203 encodes it (`dk`, which has the public half in it). The
    /// halves are tried on each other.
    pub fn from_bytes(parameters: MlKem, bytes: &[u8]) -> Result<Self> {
        let refused = || Error::bad_request("the private key is none of this parameter set");
        // FIPS 203, algorithm 16: the secret's 384 bytes for each rank, then the public half.
        let from = 384 * parameters.rank();
        let public_bytes = bytes.get(from..2 * from + 32).ok_or_else(refused)?.to_vec();
        let algorithm = parameters.algorithm();
        let private = DecapsulationKey::new(algorithm, bytes).map_err(|_| refused())?;
        let public = EncapsulationKey::new(algorithm, &public_bytes).map_err(|_| refused())?;
        let bytes = Secret::new(bytes.to_vec());
        let key = Self { parameters, private, public, bytes, public_bytes };
        let (encapsulation, ours) = key.public.encapsulate().map_err(|_| refused())?;
        let theirs = key.private.decapsulate(encapsulation).map_err(|_| refused())?;
        match crate::constant_time_eq(ours.as_ref(), theirs.as_ref()) {
            true => Ok(key),
            false => Err(refused()),
        }
    }

    /// The private half as FIPS 203 encodes it.
    pub fn to_bytes(&self) -> &SecretBytes {
        &self.bytes
    }

    /// The public half as FIPS 203 encodes it.
    pub fn public_bytes(&self) -> &[u8] {
        &self.public_bytes
    }

    /// Seals a text for the owner of the private half.
    pub fn seal(&self, associated_data: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("a shared secret could not be made");
        let (encapsulation, secret) = self.public.encapsulate().map_err(failed)?;
        let sealed = key(&secret)?.seal(&NONCE, associated_data, plaintext)?;
        let mut out = encapsulation.as_ref().to_vec();
        // The nonce, which a cipher writes in front, is known.
        out.extend_from_slice(sealed.get(NONCE.len()..).unwrap_or_default());
        Ok(out)
    }

    /// Opens a sealed text; none where it is none, or of others.
    pub fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Option<SecretBytes> {
        let (encapsulation, rest) =
            sealed.split_at_checked(self.parameters.encapsulation_bytes())?;
        let secret = self.shared_secret(encapsulation)?;
        key(&secret).ok()?.open(associated_data, &[&NONCE, rest].concat())
    }

    /// The shared secret of an encapsulation; one of others gives another secret (FIPS 203 §6.3).
    pub(crate) fn shared_secret(&self, encapsulation: &[u8]) -> Option<SharedSecret> {
        self.private.decapsulate(Ciphertext::from(encapsulation)).ok()
    }
}

fn key(secret: &SharedSecret) -> Result<CipherKey> {
    let key = Secret::new(hkdf_sha256(secret.as_ref(), &[], INFO));
    CipherKey::new(Cipher::Aes256Gcm, key.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_owner_alone() {
        let all = [MlKem::MlKem512, MlKem::MlKem768, MlKem::MlKem1024];
        for (parameters, (public, private)) in
            all.into_iter().zip([(800, 1_632), (1_184, 2_400), (1_568, 3_168)])
        {
            let key = MlKemKey::generate(parameters).unwrap();
            assert_eq!(key.public_bytes().len(), public);
            assert_eq!(key.to_bytes().expose_secret().len(), private);
            let sealed = key.seal(b"more", b"plain").unwrap();
            assert_eq!(sealed.len(), parameters.encapsulation_bytes() + 5 + 16);
            let again = MlKemKey::from_bytes(parameters, key.to_bytes().expose_secret()).unwrap();
            let opened = again.open(b"more", &sealed).unwrap();
            assert_eq!(opened.expose_secret(), b"plain");
            assert_ne!(key.seal(b"more", b"plain").unwrap(), sealed);
            let other = MlKemKey::generate(parameters).unwrap();
            assert!(other.open(b"more", &sealed).is_none());
            assert!(key.open(b"less", &sealed).is_none());
            for at in [0, sealed.len() / 2, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(key.open(b"more", &changed).is_none(), "{at}");
            }
            for length in [0, parameters.encapsulation_bytes(), sealed.len() - 1] {
                assert!(key.open(b"more", &sealed[..length]).is_none(), "{length}");
            }
            // Halves that do not belong together, and bytes that are no key.
            let mut mixed = key.to_bytes().expose_secret().clone();
            let from = 384 * parameters.rank();
            mixed[from..2 * from + 32].copy_from_slice(other.public_bytes());
            assert!(MlKemKey::from_bytes(parameters, &mixed).is_err());
            assert!(MlKemKey::from_bytes(parameters, &mixed[1..]).is_err());
            assert!(MlKemKey::from_bytes(parameters, &[]).is_err());
        }
    }
}
