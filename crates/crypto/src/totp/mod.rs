//! One-time codes: HOTP (RFC 4226), from which TOTP (RFC 6238) takes its values; the form in which
//! their keys travel to a telephone, and the picture of it.
//!
//! Invariant: which of the codes that are good now a given one is, and how much of it is right, does
//! not show in the time its check takes.

pub mod picture;
pub mod url;

use std::ops::RangeInclusive;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use strongroom_base::SecretString;

/// The hash under a code. SHA-1 is what nearly every app takes; HMAC over it stands (RFC 6194).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum OtpHash {
    /// SHA-1.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl OtpHash {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// The one of this name, whatever the case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Sha1, Self::Sha256, Self::Sha512];
        all.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name))
    }
}

/// How codes by time are made of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Codes {
    /// Seconds of a step.
    pub period: u64,
    /// The hash.
    pub hash: OtpHash,
    /// Digits of a code: 6 or 8.
    pub digits: u32,
    /// Steps before and after the present one whose codes are good, too: 0 or 1.
    pub skew: u64,
}

impl Codes {
    /// The step that a time, in seconds since 1970, is in.
    pub fn step(&self, seconds: i64) -> u64 {
        u64::try_from(seconds).unwrap_or_default() / self.period.max(1)
    }

    /// The steps whose codes are good at a time.
    pub fn window(&self, seconds: i64) -> RangeInclusive<u64> {
        let step = self.step(seconds);
        step.saturating_sub(self.skew)..=step.saturating_add(self.skew)
    }

    /// Seconds for which a code is good, at most.
    pub fn good_for(&self) -> i64 {
        i64::try_from(self.period.saturating_mul(2 * self.skew + 1)).unwrap_or(i64::MAX)
    }

    /// The code of a step.
    pub fn code(&self, key: &[u8], step: u64) -> SecretString {
        hotp(key, step, self.hash, self.digits)
    }

    /// Has a text the form of a code? It is taken as it is: what had to be trimmed first would be
    /// another spelling of a code that was taken already (threats: CVE-2025-6014, CVE-2025-55003).
    pub fn is_well_formed(&self, code: &str) -> bool {
        code.len() == self.digits as usize && code.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The steps, of those whose codes are good at a time, that have this code. All of them are
    /// looked at, whichever fits.
    pub fn fitting(&self, key: &[u8], seconds: i64, code: &str) -> Vec<u64> {
        let mut fitting: Vec<u64> = self.window(seconds).collect();
        fitting.retain(|step| {
            let own = self.code(key, *step);
            crate::constant_time_eq(own.expose_secret().as_bytes(), code.as_bytes())
        });
        fitting
    }
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

    #[test]
    fn codes_near_a_time() {
        let key = b"12345678901234567890";
        let codes = Codes { period: 30, hash: OtpHash::Sha1, digits: 8, skew: 1 };
        // RFC 6238, appendix B: the code of 59 seconds, which is step 1.
        for (at, steps) in [(-5, vec![1]), (0, vec![1]), (29, vec![1]), (89, vec![1]), (90, vec![])]
        {
            assert_eq!(codes.fitting(key, at, "94287082"), steps, "{at}");
        }
        let narrow = Codes { skew: 0, ..codes };
        assert_eq!(narrow.fitting(key, 59, "94287082"), [1]);
        assert!(narrow.fitting(key, 60, "94287082").is_empty());
        assert_eq!((codes.good_for(), narrow.good_for()), (90, 30));
        for bad in
            ["", "9428708", " 94287082", "94287082 ", "942870820", "9428708a", "９４２８７０８２"]
        {
            assert!(!codes.is_well_formed(bad), "{bad:?}");
            assert!(codes.fitting(key, 59, bad).is_empty(), "{bad:?}");
        }
        assert!(codes.is_well_formed("94287082"));
        for hash in [OtpHash::Sha1, OtpHash::Sha256, OtpHash::Sha512] {
            assert_eq!(OtpHash::named(&hash.name().to_lowercase()), Some(hash));
        }
        assert_eq!(OtpHash::named("MD5"), None);
    }

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
