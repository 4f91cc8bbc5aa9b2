//! RSAES-OAEP (RFC 8017 §7.1), without a label and with MGF1 over the same hash.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use strongroom_base::{Error, Result, SecretBytes};
use zeroize::Zeroize;

use super::{Hash, KeyType, PrivateKey, PublicKey, mismatch};

fn algorithm(hash: Hash) -> Result<&'static OaepAlgorithm> {
    match hash {
        Hash::Sha1 => Ok(&OAEP_SHA1_MGF1SHA1),
        Hash::Sha256 => Ok(&OAEP_SHA256_MGF1SHA256),
        Hash::Sha384 => Ok(&OAEP_SHA384_MGF1SHA384),
        Hash::Sha512 => Ok(&OAEP_SHA512_MGF1SHA512),
        _ => Err(Error::bad_request(
            "the hash function is not supported for OAEP: SHA1, SHA256, SHA384 and SHA512 are",
        )),
    }
}

impl PublicKey {
    /// Encrypts for the owner of an RSA key.
    pub fn encrypt_oaep(&self, hash: Hash, plaintext: &[u8]) -> Result<Vec<u8>> {
        let KeyType::Rsa(_) = self.key_type() else { return Err(mismatch()) };
        let broken = |_| Error::bad_request("the RSA key cannot be used to encrypt");
        let key = PublicEncryptingKey::from_der(self.spki_der()).map_err(broken)?;
        let key = OaepPublicEncryptingKey::new(key)
            .map_err(|_| Error::internal("an RSA key was refused"))?;
        let algorithm = algorithm(hash)?;
        if plaintext.len() > key.max_plaintext_size(algorithm) {
            return Err(Error::bad_request("message too long for RSA key size"));
        }
        let mut out = vec![0; key.ciphertext_size()];
        key.encrypt(algorithm, plaintext, &mut out, None)
            .map_err(|_| Error::internal("a plaintext could not be encrypted"))?;
        Ok(out)
    }
}

/// An RSA key prepared to decrypt: it is parsed once.
pub struct OaepKey(OaepPrivateDecryptingKey);

impl OaepKey {
    /// Of an RSA key.
    pub fn new(key: &PrivateKey) -> Result<Self> {
        let KeyType::Rsa(_) = key.key_type() else { return Err(mismatch()) };
        let broken = "an RSA key cannot be used to decrypt";
        let key = PrivateDecryptingKey::from_pkcs8(key.to_pkcs8_der().expose_secret())
            .map_err(|_| Error::internal(broken))?;
        Ok(Self(OaepPrivateDecryptingKey::new(key).map_err(|_| Error::internal(broken))?))
    }

    /// The plaintext; `Ok(None)` where the ciphertext is not one for this key and hash. Why cannot be
    /// told, and must not (Manger's attack).
    pub fn decrypt(&self, hash: Hash, ciphertext: &[u8]) -> Result<Option<SecretBytes>> {
        let mut out = vec![0; self.0.min_output_size()];
        let decrypted = self.0.decrypt(algorithm(hash)?, ciphertext, &mut out, None);
        match decrypted.map(|plain| plain.len()) {
            Ok(length) => {
                if let Some(rest) = out.get_mut(length..) {
                    rest.zeroize();
                }
                out.truncate(length);
                Ok(Some(SecretBytes::new(out)))
            }
            Err(_) => {
                out.zeroize();
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Curve;
    use super::*;

    #[test]
    fn what_is_encrypted_is_decrypted_by_the_same_key_and_hash_alone() {
        let key = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap();
        let other = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap();
        let public = key.public().unwrap();
        let (key, other) = (OaepKey::new(&key).unwrap(), OaepKey::new(&other).unwrap());
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let room = 256 - 2 * hash.bytes() - 2;
            for length in [0, 1, room] {
                let plain = vec![5; length];
                let sealed = public.encrypt_oaep(hash, &plain).unwrap();
                let opened = key.decrypt(hash, &sealed).unwrap().unwrap();
                assert_eq!(*opened.expose_secret(), plain, "{hash:?}");
                assert!(other.decrypt(hash, &sealed).unwrap().is_none());
                let another = if hash == Hash::Sha1 { Hash::Sha256 } else { Hash::Sha1 };
                assert!(key.decrypt(another, &sealed).unwrap().is_none());
                assert!(key.decrypt(hash, &sealed[1..]).unwrap().is_none());
            }
            assert!(public.encrypt_oaep(hash, &vec![5; room + 1]).is_err());
        }
        assert!(public.encrypt_oaep(Hash::Sha224, b"x").is_err());
        let curve = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
        assert!(curve.public().unwrap().encrypt_oaep(Hash::Sha256, b"x").is_err());
        assert!(OaepKey::new(&curve).is_err());
    }
}
