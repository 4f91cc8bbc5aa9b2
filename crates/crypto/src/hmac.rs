//! HMAC-SHA256 with a prepared key, and HKDF-SHA256 (RFC 5869).

use aws_lc_rs::hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

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

/// A length that HKDF may be asked for.
struct Bytes32;

impl hkdf::KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// 32 bytes derived from `ikm` for the use named by `info`; an empty salt stands for none. The
/// caller wipes the result, or puts it at once into a [`crate::Key256`] or an [`HmacKey`].
#[allow(clippy::expect_used)]
pub fn hkdf_sha256(ikm: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm);
    let mut out = [0; 32];
    prk.expand(&[info], Bytes32)
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
        }
    }
}
