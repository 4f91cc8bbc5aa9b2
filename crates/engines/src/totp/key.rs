//! What is stored of a key, and of the codes that were taken.

use serde::{Deserialize, Serialize};
use strongroom_base::{SecretString, Timestamp};
use strongroom_crypto::totp::{OtpHash, hotp};
use strongroom_kernel::record::Record;
use zeroize::Zeroize;

/// A key's record.
#[derive(Default, Serialize, Deserialize)]
pub struct Key {
    /// The shared secret.
    pub secret: Vec<u8>,
    /// Whose service.
    pub issuer: String,
    /// Whose account.
    pub account_name: String,
    /// Seconds of a step.
    pub period: u64,
    /// `SHA1`, `SHA256` or `SHA512`.
    pub algorithm: Algorithm,
    /// Of a code: 6 or 8.
    pub digits: u32,
    /// Steps before and after the present one whose codes are good, too: 0 or 1.
    pub skew: u64,
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Record for Key {
    const KIND: u8 = 1;
}

/// The hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Algorithm {
    /// SHA-1.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Sha1, Self::Sha256, Self::Sha512];
        all.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn hash(self) -> OtpHash {
        match self {
            Self::Sha1 => OtpHash::Sha1,
            Self::Sha256 => OtpHash::Sha256,
            Self::Sha512 => OtpHash::Sha512,
        }
    }
}

impl Key {
    /// The step that a time is in.
    pub fn step(&self, now: Timestamp) -> u64 {
        u64::try_from(now.seconds()).unwrap_or_default() / self.period.max(1)
    }

    /// The code of a step.
    pub fn code(&self, step: u64) -> SecretString {
        hotp(&self.secret, step, self.algorithm.hash(), self.digits)
    }

    /// Are its codes those of `other`?
    pub fn has_codes_of(&self, other: &Self) -> bool {
        strongroom_crypto::constant_time_eq(&self.secret, &other.secret)
            && (self.period, self.algorithm, self.digits)
                == (other.period, other.algorithm, other.digits)
    }
}

/// What was tried of a key's codes.
#[derive(Default, Serialize, Deserialize)]
pub struct Tries {
    /// Steps whose codes were taken, of those that the skew still lets in.
    pub taken: Vec<u64>,
    /// Wrong codes since `since`.
    pub wrong: u32,
    /// When the first of them came.
    pub since: Timestamp,
}

impl Record for Tries {
    const KIND: u8 = 2;
}
