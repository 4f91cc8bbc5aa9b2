//! One-time codes: HOTP (RFC 4226), from which TOTP (RFC 6238) takes its values.

use aws_lc_rs::hmac;
use strongroom_base::SecretString;

/// The hash under a code. SHA-1 is what nearly every app takes; HMAC over it stands (RFC 6194).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtpHash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The code of `counter`, in as many decimal digits (at most nine).
pub fn hotp(key: &[u8], counter: u64, hash: OtpHash, digits: u32) -> SecretString {
    let algorithm = match hash {
        OtpHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        OtpHash::Sha256 => hmac::HMAC_SHA256,
        OtpHash::Sha512 => hmac::HMAC_SHA512,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), &counter.to_be_bytes());
    let tag = tag.as_ref();
    // RFC 4226 §5.3: the last four bits say where the number stands.
    let at = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let four = tag.get(at..at + 4).and_then(|four| four.try_into().ok()).unwrap_or_default();
    let number = u32::from_be_bytes(four) & 0x7fff_ffff;
    let digits = digits.min(9);
    let width = digits as usize;
    SecretString::new(format!("{:0width$}", number % 10_u32.pow(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226, appendix D.
    #[test]
    fn rfc_4226() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (counter, code) in (0..).zip(codes) {
            let made = hotp(b"12345678901234567890", counter, OtpHash::Sha1, 6);
            assert_eq!(made.expose_secret(), code);
        }
    }

    /// RFC 6238, appendix B, at steps of 30 seconds. Its keys are as long as the hash.
    #[test]
    fn rfc_6238() {
        for (time, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000_u64, "65353130", "77737706", "47863826"),
        ] {
            for (hash, length, code) in [
                (OtpHash::Sha1, 20, sha1),
                (OtpHash::Sha256, 32, sha256),
                (OtpHash::Sha512, 64, sha512),
            ] {
                let key: Vec<u8> = b"1234567890".iter().copied().cycle().take(length).collect();
                assert_eq!(hotp(&key, time / 30, hash, 8).expose_secret(), code);
            }
        }
    }
}
