//! RSA signatures that others make and aws-lc-rs has no verifier for: over any hash, without one, and
//! with a PSS salt of any length.
//!
//! Only the public operation is done here, on what everybody may know, so its time tells nothing;
//! nothing here signs.

use num_bigint::BigUint;

use super::{Hash, PublicKey};

/// What a signature's hash says of itself in PKCS#1 v1.5: the DER of `DigestInfo` before the digest
/// (RFC 8017 §9.2, notes; FIPS 202 hashes by their NIST identifiers).
fn digest_info(hash: Hash) -> Vec<u8> {
    let nist = |last: u8, length: u8| {
        let mut out = vec![0x30, 17 + length, 0x30, 0x0d, 0x06, 0x09];
        out.extend_from_slice(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last]);
        out.extend_from_slice(&[0x05, 0x00, 0x04, length]);
        out
    };
    match hash {
        Hash::Sha1 => {
            let mut out = vec![0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a];
            out.extend_from_slice(&[0x05, 0x00, 0x04, 0x14]);
            out
        }
        Hash::Sha224 => nist(4, 28),
        Hash::Sha256 => nist(1, 32),
        Hash::Sha384 => nist(2, 48),
        Hash::Sha512 => nist(3, 64),
        Hash::Sha3_224 => nist(7, 28),
        Hash::Sha3_256 => nist(8, 32),
        Hash::Sha3_384 => nist(9, 48),
        Hash::Sha3_512 => nist(10, 64),
    }
}

/// The salt that a PSS signature must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnySalt {
    /// Of whatever length.
    Any,
    /// Of so many bytes.
    Exactly(usize),
}

impl PublicKey {
    /// What the signature of an RSA key is over: the encoded message, as long as the modulus.
    fn recover(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let (modulus, exponent) = self.rsa()?;
        if signature.len() != modulus.len() {
            return None;
        }
        let length = modulus.len();
        let (n, e) = (BigUint::from_bytes_be(&modulus), BigUint::from_bytes_be(&exponent));
        let s = BigUint::from_bytes_be(signature);
        if s >= n || !e.bit(0) || e.bits() > 33 {
            return None;
        }
        let bytes = s.modpow(&e, &n).to_bytes_be();
        let mut out = vec![0; length.checked_sub(bytes.len())?];
        out.extend_from_slice(&bytes);
        Some(out)
    }

    /// Is this the PKCS#1 v1.5 signature of a digest by this RSA key? Without a hash, `digest` is what
    /// was signed as it is, of any length that fits.
    pub fn verify_pkcs1_of_any(&self, hash: Option<Hash>, digest: &[u8], signature: &[u8]) -> bool {
        if hash.is_some_and(|hash| hash.bytes() != digest.len()) {
            return false;
        }
        let Some(recovered) = self.recover(signature) else { return false };
        let info = hash.map(digest_info).unwrap_or_default();
        let Some(padding) = recovered.len().checked_sub(3 + info.len() + digest.len()) else {
            return false;
        };
        if padding < 8 {
            return false;
        }
        let mut expected = vec![0x00, 0x01];
        expected.resize(2 + padding, 0xff);
        expected.push(0x00);
        expected.extend_from_slice(&info);
        expected.extend_from_slice(digest);
        recovered == expected
    }

    /// Is this the PSS signature of a digest by this RSA key (RFC 8017 §9.1.2)?
    pub fn verify_pss_of_any(
        &self,
        hash: Hash,
        salt: AnySalt,
        digest: &[u8],
        signature: &[u8],
    ) -> bool {
        self.pss_matches(hash, salt, digest, signature).unwrap_or(false)
    }

    fn pss_matches(
        &self,
        hash: Hash,
        salt: AnySalt,
        digest: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let recovered = self.recover(signature)?;
        let (modulus, _) = self.rsa()?;
        let modulus_bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
        let bits = modulus_bits.checked_sub(1)?;
        let length = bits.div_ceil(8);
        // A modulus of 8k + 1 bits leaves a whole byte of zeros in front.
        let (front, encoded) = recovered.split_at_checked(recovered.len().checked_sub(length)?)?;
        if front.iter().any(|byte| *byte != 0) || digest.len() != hash.bytes() {
            return Some(false);
        }
        let (masked, rest) = encoded.split_at_checked(length.checked_sub(hash.bytes() + 1)?)?;
        let (seed, trailer) = rest.split_at_checked(hash.bytes())?;
        let unused = 8 * length - bits;
        let mask = 0xff_u8.checked_shr(u32::try_from(unused).ok()?).unwrap_or(0);
        if trailer != [0xbc] || *masked.first()? & !mask != 0 {
            return Some(false);
        }
        let mut block: Vec<u8> =
            masked.iter().zip(mgf1(hash, seed, masked.len())).map(|(a, b)| a ^ b).collect();
        *block.first_mut()? &= mask;
        let one = block.iter().position(|byte| *byte != 0)?;
        if block.get(one) != Some(&1) {
            return Some(false);
        }
        let used = block.get(one + 1..)?;
        if matches!(salt, AnySalt::Exactly(length) if used.len() != length) {
            return Some(false);
        }
        let mut message = vec![0; 8];
        message.extend_from_slice(digest);
        message.extend_from_slice(used);
        Some(hash.digest(&message) == seed)
    }
}

/// RFC 8017, appendix B.2.1.
fn mgf1(hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + hash.bytes());
    let mut counter = 0_u32;
    while out.len() < length {
        let mut block = seed.to_vec();
        block.extend_from_slice(&counter.to_be_bytes());
        out.extend_from_slice(&hash.digest(&block));
        counter += 1;
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::super::{KeyType, PrivateKey, Salt, Scheme};
    use super::*;

    #[test]
    fn agrees_with_the_librarys_signatures() {
        let key = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap();
        let public = key.public().unwrap();
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let digest = hash.digest(b"message");
            let signature = key.sign_digest(Scheme::Pkcs1(hash), &digest).unwrap();
            assert!(public.verify_pkcs1_of_any(Some(hash), &digest, &signature));
            assert!(!public.verify_pkcs1_of_any(None, &digest, &signature));
            assert!(!public.verify_pss_of_any(hash, AnySalt::Any, &digest, &signature));
            for (salt, length) in [(Salt::Digest, hash.bytes()), (Salt::Max, 254 - hash.bytes())] {
                let signature = key.sign_digest(Scheme::Pss(hash, salt), &digest).unwrap();
                for (salt, good) in [
                    (AnySalt::Any, true),
                    (AnySalt::Exactly(length), true),
                    (AnySalt::Exactly(length - 1), false),
                ] {
                    let verified = public.verify_pss_of_any(hash, salt, &digest, &signature);
                    assert_eq!(verified, good, "{hash:?} {salt:?}");
                }
                let mut other = digest.clone();
                other[0] ^= 1;
                assert!(!public.verify_pss_of_any(hash, AnySalt::Any, &other, &signature));
                for at in [0, 1, 128, 255] {
                    let mut changed = signature.clone();
                    changed[at] ^= 1;
                    assert!(!public.verify_pss_of_any(hash, AnySalt::Any, &digest, &changed));
                }
                assert!(!public.verify_pss_of_any(hash, AnySalt::Any, &digest, &signature[1..]));
            }
        }
    }
}
