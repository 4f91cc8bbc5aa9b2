//! What is stored of a key, and of the codes that were taken.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;
use strongroom_crypto::totp::{Codes, OtpHash};
use strongroom_kernel::record::{ReadView, Record};
use zeroize::Zeroize;

/// The most steps that a skew may let in on either side.
pub const SKEW_MAX: u64 = 1;

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
    pub algorithm: OtpHash,
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

impl Key {
    /// How its codes are made.
    pub fn codes(&self) -> Codes {
        let Self { period, algorithm: hash, digits, skew, .. } = *self;
        Codes { period, hash, digits, skew }
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
    /// Steps whose codes were taken, of those that a skew could still let in.
    pub taken: Vec<u64>,
    /// Wrong codes since `since`, of all callers.
    pub wrong: u32,
    /// When the first of them came.
    pub since: Timestamp,
    /// The same of each entity; those without one are one together.
    #[serde(default)]
    pub wrong_by: BTreeMap<String, u32>,
}

impl Record for Tries {
    const KIND: u8 = 2;
}

impl Tries {
    /// Forgets steps that no skew lets in any more.
    pub fn forget(&mut self, step: u64) {
        let window = step.saturating_sub(SKEW_MAX)..=step.saturating_add(SKEW_MAX);
        self.taken.retain(|taken| window.contains(taken));
    }
}

/// Codes that were taken of a key that was removed, or got other codes: they stay taken if it comes
/// back. By [`Spent::name`].
#[derive(Serialize, Deserialize)]
pub struct Spent {
    /// Their steps.
    pub taken: Vec<u64>,
    /// When the last of them is none any more.
    pub until: Timestamp,
}

impl Record for Spent {
    const KIND: u8 = 3;
}

impl Spent {
    /// The record's name: by the key's name, and by what its codes come of.
    pub fn name(view: &ReadView<'_>, name: &str, key: &Key) -> String {
        let facts = format!("{} {} {}", key.period, key.algorithm.name(), key.digits);
        let parts = [b"totp spent", name.as_bytes(), facts.as_bytes(), &key.secret];
        HEXLOWER.encode(&view.digest_of(&parts))
    }

    /// Of the steps that were taken of a key.
    pub fn of(key: &Key, tries: &Tries) -> Option<Self> {
        let last = tries.taken.iter().max()?;
        let end = last.saturating_add(1 + SKEW_MAX).saturating_mul(key.period);
        let until = Timestamp::from_seconds(i64::try_from(end).unwrap_or(i64::MAX));
        Some(Self { taken: tries.taken.clone(), until })
    }
}
