//! One-time pads and random texts: how generate-root hands out a token, and how tokens, passwords
//! and ids of base-62 characters are drawn.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use strongroom_base::{Error, Result, Rng, SecretBytes, SecretString};
use zeroize::Zeroize;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` random characters of `0-9A-Za-z`, each equally likely.
pub fn base62(length: usize, rng: &dyn Rng) -> SecretString {
    let mut out = String::with_capacity(length);
    let mut pool = [0_u8; 64];
    while out.len() < length {
        rng.fill(&mut pool);
        // 248 = 4 × 62: larger bytes would make the first characters likelier.
        let characters = pool.iter().filter(|byte| **byte < 248);
        for byte in characters.take(length - out.len()) {
            out.push(char::from(BASE62[usize::from(byte % 62)]));
        }
    }
    pool.zeroize();
    SecretString::new(out)
}

/// The two byte strings, which must be of one length, XORed.
pub fn xor(a: &[u8], b: &[u8]) -> Result<SecretBytes> {
    if a.len() != b.len() {
        return Err(Error::bad_request("length of byte slices is not equivalent"));
    }
    Ok(SecretBytes::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect()))
}

/// A token as generate-root answers it: XORed with the one-time pad, in base64 without padding.
pub fn encode_token(token: &[u8], otp: &[u8]) -> Result<String> {
    Ok(STANDARD_NO_PAD.encode(xor(token, otp)?.expose_secret()))
}

/// The reverse of [`encode_token`], for `operator generate-root -decode`; padding is tolerated.
pub fn decode_token(encoded: &str, otp: &[u8]) -> Result<SecretBytes> {
    let encoded = encoded.trim();
    let bytes = STANDARD_NO_PAD
        .decode(encoded)
        .or_else(|_| STANDARD.decode(encoded))
        .map_err(|_| Error::bad_request("error decoding base64 value"))?;
    xor(&bytes, otp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::TestRng;

    #[test]
    fn base62_has_its_length_and_every_character_equally_often() {
        let rng = TestRng::new(1);
        for length in [0, 1, 24, 63, 64, 65, 1000] {
            assert_eq!(base62(length, &rng).expose_secret().len(), length);
        }
        let text = base62(62 * 2000, &rng);
        let mut counts = [0_i64; 62];
        for byte in text.expose_secret().bytes() {
            counts[BASE62.iter().position(|c| *c == byte).unwrap()] += 1;
        }
        // χ² with 61 degrees of freedom is above 120 once in some 10^5 drawings; drawing by
        // `byte % 62` alone gives thousands.
        let chi2: f64 = counts.iter().map(|n| ((n - 2000) as f64).powi(2) / 2000.0).sum();
        assert!(chi2 < 120.0, "{chi2}");
    }

    #[test]
    fn a_token_comes_back_through_its_pad() {
        let rng = TestRng::new(2);
        let token = b"hvs.0123456789abcdefghijklmn";
        let otp = base62(token.len(), &rng);
        let otp = otp.expose_secret().as_bytes();
        let encoded = encode_token(token, otp).unwrap();
        assert!(!encoded.contains('='));
        assert_eq!(decode_token(&encoded, otp).unwrap().expose_secret(), token);
        let padded = format!("{encoded}==");
        assert_eq!(decode_token(&padded, otp).unwrap().expose_secret(), token);
        assert!(encode_token(token, &otp[1..]).is_err());
        assert!(decode_token(&encoded, &otp[1..]).is_err());
        assert!(decode_token("!", otp).is_err());
    }

    #[test]
    fn xor_is_xor() {
        assert_eq!(*xor(&[0b1100], &[0b1010]).unwrap().expose_secret(), [0b0110]);
    }
}
