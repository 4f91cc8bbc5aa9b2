//! What is stored of a key: its settings, and for each version a row of its own that is appended
//! once, so that a key with many versions costs no more to use, to rotate or to configure.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::record::{Id, Record};
use zeroize::Zeroize;

use super::kind::Kind;
use super::limits::{VERSION_MAX, VERSIONS_MAX};

/// How a derived key's keys come of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Derivation {
    /// It is used as it is.
    None,
    /// HKDF-SHA256 (RFC 5869) with the context as info.
    Hkdf,
    /// HMAC-SHA256 in counter mode (NIST SP 800-108), as OpenBao's imported keys and Vault's oldest.
    Counter,
}

/// When something happened to a key, and which version was its latest then.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The time.
    pub time: Timestamp,
    /// The version.
    pub version: u64,
}

/// A key's settings.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// Its type.
    pub kind: Kind,
    /// Whether and how keys are derived of it.
    pub derivation: Derivation,
    /// Do equal plaintexts have equal ciphertexts?
    pub convergent: bool,
    /// May it be exported?
    pub exportable: bool,
    /// May it be backed up as it is?
    pub allow_plaintext_backup: bool,
    /// May it be deleted?
    pub deletion_allowed: bool,
    /// Is it out of use until it is restored?
    pub soft_deleted: bool,
    /// Does its latest version come from outside?
    pub imported: bool,
    /// If so, may it be rotated all the same?
    pub allow_rotation: bool,
    /// The oldest version that decrypts and verifies.
    pub min_decryption_version: u64,
    /// The oldest version that encrypts and signs; 0 sets no bound.
    pub min_encryption_version: u64,
    /// The oldest version that there is; 0 where none was trimmed.
    pub min_available_version: u64,
    /// Bytes of an HMAC key; 0 for other types.
    pub key_size: usize,
    /// Seconds between automatic rotations; 0 is never.
    pub auto_rotate_seconds: i64,
    /// The last backup.
    pub backup: Option<Event>,
    /// The last restoration.
    pub restore: Option<Event>,
    /// Do convergent nonces depend on associated data? Those of keys that come from OpenBao do not, so
    /// that what was searched for there is found here.
    pub binds_associated_data: bool,
    /// The number of the oldest version that there is.
    first: u64,
    /// The versions that there are, oldest first.
    versions: Vec<Slot>,
    /// Its id at AWS's door; 0 for keys from before there was one, which get theirs in the background.
    #[serde(default)]
    pub id: u128,
    /// Is it one that AWS calls multi-Region? Its id is written in another way then.
    #[serde(default)]
    pub multi_region: bool,
    /// When it goes for good; zero where it stays.
    #[serde(default)]
    pub deletion: Timestamp,
}

/// Where a version lies, and what a list of versions says of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slot {
    row: Id,
    created: Timestamp,
    /// Was it made by the key's period, and not by hand?
    #[serde(default)]
    by_itself: bool,
}

impl Record for Key {
    const KIND: u8 = 1;
}

impl Key {
    /// A key without a version.
    pub fn new(kind: Kind, derivation: Derivation, convergent: bool) -> Self {
        Self {
            kind,
            derivation,
            convergent,
            exportable: false,
            allow_plaintext_backup: false,
            deletion_allowed: false,
            soft_deleted: false,
            imported: false,
            allow_rotation: false,
            min_decryption_version: 1,
            min_encryption_version: 0,
            min_available_version: 0,
            key_size: 0,
            auto_rotate_seconds: 0,
            backup: None,
            restore: None,
            binds_associated_data: true,
            first: 1,
            versions: Vec::new(),
            id: 0,
            multi_region: false,
            deletion: Timestamp::ZERO,
        }
    }

    /// A key whose oldest version has this number, to be filled from a backup.
    pub fn starting_at(mut self, first: u64) -> Self {
        self.first = first.max(1);
        self
    }

    /// Is it used by way of a context?
    pub fn is_derived(&self) -> bool {
        self.derivation != Derivation::None
    }

    /// The number of the latest version.
    pub fn latest(&self) -> u64 {
        (self.first + self.versions.len() as u64).saturating_sub(1)
    }

    /// The numbers of the versions that there are.
    pub fn numbers(&self) -> std::ops::RangeInclusive<u64> {
        self.first..=self.latest()
    }

    /// The numbers of the versions that are in use: older ones are kept, and shown nowhere.
    pub fn usable(&self) -> std::ops::RangeInclusive<u64> {
        self.min_decryption_version.max(self.first)..=self.latest()
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        let at = number.checked_sub(self.first)?;
        self.versions.get(usize::try_from(at).ok()?)
    }

    /// The row of a version.
    pub fn row(&self, number: u64) -> Option<Id> {
        self.slot(number).map(|slot| slot.row)
    }

    /// When a version was made.
    pub fn created(&self, number: u64) -> Timestamp {
        self.slot(number).map_or(Timestamp::ZERO, |slot| slot.created)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = Id> {
        self.versions.iter().map(|slot| slot.row)
    }

    /// Adds the next version.
    pub fn push(&mut self, row: Id, created: Timestamp) -> Result<()> {
        if self.versions.len() >= VERSIONS_MAX || self.latest() >= VERSION_MAX {
            return Err(Error::bad_request("the key has too many versions: trim it"));
        }
        self.versions.push(Slot { row, created, by_itself: false });
        Ok(())
    }

    /// The latest version was made by the key's period.
    pub fn rotated_by_itself(&mut self) {
        if let Some(slot) = self.versions.last_mut() {
            slot.by_itself = true;
        }
    }

    /// Was a version made by the key's period?
    pub fn is_by_itself(&self, number: u64) -> bool {
        self.slot(number).is_some_and(|slot| slot.by_itself)
    }

    /// Puts another row in the place of a version's.
    pub fn replace(&mut self, number: u64, row: Id) -> Option<Id> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.versions.get_mut(at).map(|old| std::mem::replace(&mut old.row, row))
    }

    /// Takes out the rows of all versions before this one.
    pub fn trim(&mut self, number: u64) -> Vec<Id> {
        let count = number.saturating_sub(self.first).min(self.versions.len() as u64);
        self.first += count;
        let gone = self.versions.drain(..usize::try_from(count).unwrap_or(0));
        gone.map(|slot| slot.row).collect()
    }

    /// When it is to be rotated by itself, if ever.
    pub fn rotation_due(&self) -> Option<Timestamp> {
        let rotates = self.auto_rotate_seconds > 0 && (!self.imported || self.allow_rotation);
        rotates.then(|| self.created(self.latest()).plus_seconds(self.auto_rotate_seconds))
    }
}

/// A version of a key, as its row holds it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Version {
    /// When it was made.
    pub created: Timestamp,
    /// A symmetric key's bytes, or a private key in PKCS#8; empty where only the public half is
    /// known.
    pub secret: Vec<u8>,
    /// The public half, as SubjectPublicKeyInfo; empty for symmetric keys.
    pub public: Vec<u8>,
    /// The key of its HMACs; empty where it is the secret itself.
    pub hmac: Vec<u8>,
    /// Certificates for its public half, leaf first, in DER.
    pub chain: Vec<Vec<u8>>,
}

impl Version {
    /// One that has no material yet.
    pub fn made_at(created: Timestamp) -> Self {
        Self {
            created,
            secret: Vec::new(),
            public: Vec::new(),
            hmac: Vec::new(),
            chain: Vec::new(),
        }
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.hmac.zeroize();
    }
}

/// A key that rotates by itself, by the key's name: what the reconciler looks through.
#[derive(Serialize, Deserialize)]
pub struct Rotating {
    /// When.
    pub due: Timestamp,
}

impl Record for Rotating {
    const KIND: u8 = 2;
}

/// The pair under whose public half keys are wrapped to be imported; one for each mount.
#[derive(Serialize, Deserialize)]
pub struct WrappingKey {
    /// The private key, in PKCS#8.
    pub secret: Vec<u8>,
}

impl Record for WrappingKey {
    const KIND: u8 = 3;
}

impl Drop for WrappingKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// What is set for the whole mount.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Does encrypting with a key that is not there fail?
    pub disable_upsert: bool,
    /// Keys that the cache is to hold; 0 sets no bound.
    pub cache_size: i64,
    /// Has every key an id? Those from before there were any get theirs in the background.
    #[serde(default)]
    pub ids_given: bool,
}

impl Record for Settings {
    const KIND: u8 = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_counted_from_one_and_trimmed_from_the_front() {
        let mut key = Key::new(Kind::Hmac, Derivation::None, false);
        for row in 10..15 {
            key.push(row, Timestamp(row as i64)).unwrap();
        }
        assert_eq!(
            (key.latest(), key.row(1), key.row(5), key.row(6)),
            (5, Some(10), Some(14), None)
        );
        assert_eq!(key.row(0), None);
        key.min_decryption_version = 3;
        assert_eq!(key.usable(), 3..=5);
        assert_eq!(key.trim(3), [10, 11]);
        assert_eq!((key.latest(), key.row(2), key.row(3)), (5, None, Some(12)));
        assert_eq!(key.replace(4, 20), Some(13));
        assert_eq!(key.replace(1, 20), None);
        assert!(key.trim(3).is_empty());
        key.auto_rotate_seconds = 60;
        assert_eq!(key.rotation_due(), Some(Timestamp(14).plus_seconds(60)));
        key.imported = true;
        assert_eq!(key.rotation_due(), None);
    }
}
