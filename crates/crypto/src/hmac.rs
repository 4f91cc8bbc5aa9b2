//! HMAC-SHA256 with a prepared key, HMAC over any hash, and HKDF-SHA256 (RFC 5869).

use aws_lc_rs::hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::keys::Hash;

/// An HMAC-SHA256 key whose padded blocks are hashed once. A look-up by name or token makes several
/// MACs of a few bytes, so what a MAC costs beside its blocks counts.
pub struct HmacKey(Hmac<Sha256>);

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.0 = prepared(&[]);
        // The stores must not be left out as dead ones.
        std::hint::black_box(self);
    }
}

#[allow(clippy::expect_used)]
fn prepared(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl HmacKey {
    /// Prepares a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(prepared(key))
    }

    /// The MAC of the parts written one after the other. Parts are not framed: where their
    /// borders matter, the caller writes lengths.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// Is `expected` the MAC of the parts? Decided in constant time; a shortened MAC is refused.
    pub fn verify(&self, parts: &[&[u8]], expected: &[u8]) -> bool {
        crate::constant_time_eq(&self.mac(parts), expected)
    }
}

/// The HMAC of `data` under `key`, over any hash.
pub fn hmac(hash: Hash, key: &[u8], data: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac as aws;
    let of = |algorithm| aws::sign(&aws::Key::new(algorithm, key), data).as_ref().to_vec();
    match hash {
        Hash::Sha1 => of(aws::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Hash::Sha224 => of(aws::HMAC_SHA224),
        Hash::Sha256 => of(aws::HMAC_SHA256),
        Hash::Sha384 => of(aws::HMAC_SHA384),
        Hash::Sha512 => of(aws::HMAC_SHA512),
        // aws-lc-rs has none over SHA-3.
        Hash::Sha3_224 => over::<Hmac<sha3::Sha3_224>>(key, data),
        Hash::Sha3_256 => over::<Hmac<sha3::Sha3_256>>(key, data),
        Hash::Sha3_384 => over::<Hmac<sha3::Sha3_384>>(key, data),
        Hash::Sha3_512 => over::<Hmac<sha3::Sha3_512>>(key, data),
    }
}

#[allow(clippy::expect_used)]
fn over<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// A length that HKDF may be asked for.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Most bytes that [`hkdf_sha256_bytes`] gives (RFC 5869 §2.3).
pub const HKDF_BYTES_MAX: usize = 255 * 32;

/// As [`hkdf_sha256`], of any length up to [`HKDF_BYTES_MAX`].
pub fn hkdf_sha256_bytes(
    ikm: &[u8],
    salt: &[u8],
    info: &[u8],
    length: usize,
) -> strongroom_base::Result<strongroom_base::SecretBytes> {
    let failed = |_| strongroom_base::Error::internal("HKDF gives no key of that length");
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm);
    let mut out = vec![0; length];
    let info = [info];
    let okm = prk.expand(&info, Length(length)).map_err(failed)?;
    okm.fill(&mut out).map_err(failed)?;
    Ok(strongroom_base::SecretBytes::new(out))
}

/// 32 bytes derived from `ikm` for the use named by `info`; an empty salt stands for none. The
/// caller wipes the result, or puts it at once into a [`crate::Key256`] or an [`HmacKey`].
#[allow(clippy::expect_used)]
pub fn hkdf_sha256(ikm: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm);
    let mut out = [0; 32];
    prk.expand(&[info], Length(32))
        .and_then(|okm| okm.fill(&mut out))
        .expect("32 bytes are below HKDF-SHA256's limit of 255 × 32");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    /// RFC 4231 §4.2 to §4.4, §4.7 and §4.8 (keys shorter and longer than a block).
    #[test]
    fn rfc_4231() {
        for (key, data, mac) in [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let key = HmacKey::new(&key);
            let mac = unhex(mac);
            assert_eq!(key.mac(&[&data]).as_slice(), mac);
            let (head, tail) = data.split_at(3);
            assert_eq!(key.mac(&[head, b"", tail]).as_slice(), mac);
            assert!(key.verify(&[&data], &mac));
            assert!(!key.verify(&[&data], &mac[..16]));
            assert!(!key.verify(&[head], &mac));
            // The prepared key is not used up.
            assert!(key.verify(&[head, tail], &mac));
        }
    }

    /// RFC 5869 appendix A, test cases 1 to 3: the first 32 bytes of each OKM.
    #[test]
    fn rfc_5869() {
        let count = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        for (ikm, salt, info, okm) in [
            (
                vec![0x0b; 22],
                count(0x00, 0x0c),
                count(0xf0, 0xf9),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
            ),
            (
                count(0x00, 0x4f),
                count(0x60, 0xaf),
                count(0xb0, 0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
            ),
            (
                vec![0x0b; 22],
                vec![],
                vec![],
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
            ),
        ] {
            assert_eq!(hkdf_sha256(&ikm, &salt, &info).as_slice(), unhex(okm));
            for length in [1, 16, 32] {
                let bytes = hkdf_sha256_bytes(&ikm, &salt, &info, length).unwrap();
                assert_eq!(*bytes.expose_secret(), unhex(okm)[..length]);
            }
        }
        assert!(hkdf_sha256_bytes(b"k", b"", b"", HKDF_BYTES_MAX).is_ok());
        assert!(hkdf_sha256_bytes(b"k", b"", b"", HKDF_BYTES_MAX + 1).is_err());
    }

    /// RFC 4231 §4.3 and, for SHA-1 and SHA-3, RFC 2202 §3 (2) and NIST's example values with the
    /// same key and data.
    #[test]
    fn any_hash() {
        for (hash, mac) in [
            (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Hash::Sha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            (Hash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Hash::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Hash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            (Hash::Sha3_224, "7fdb8dd88bd2f60d1b798634ad386811c2cfc85bfaf5d52bbace5e66"),
            (Hash::Sha3_256, "c7d4072e788877ae3596bbb0da73b887c9171f93095b294ae857fbe2645e1ba5"),
            (
                Hash::Sha3_384,
                "f1101f8cbf9766fd6764d2ed61903f21ca9b18f57cf3e1a23ca13508a93243ce\
                 48c045dc007f26a21b3f5e0e9df4c20a",
            ),
            (
                Hash::Sha3_512,
                "5a4bfeab6166427c7a3647b747292b8384537cdb89afb3bf5665e4c5e709350b\
                 287baec921fd7ca0ee7a0c31d022a95e1fc92ba9d77df883960275beb4e62024",
            ),
        ] {
            let made = hmac(hash, b"Jefe", b"what do ya want for nothing?");
            assert_eq!(hex::encode(made), mac, "{hash:?}");
        }
    }
}
