//! How a login names its caller to identity, and what is counted of logins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// An alias of a login.
#[derive(Clone, Default)]
pub struct GrantAlias {
    /// The alias' name, unique in the mount.
    pub name: String,
    /// Metadata for templated policies.
    pub metadata: BTreeMap<String, String>,
}

/// What is counted of logins since the store was opened.
#[derive(Default)]
pub struct LoginTally {
    handled: AtomicU64,
    microseconds: AtomicU64,
    entities: AtomicU64,
}

impl LoginTally {
    /// A login was handled, whatever came of it, in so many nanoseconds.
    pub fn handled(&self, nanoseconds: u64) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(nanoseconds / 1_000, Ordering::Relaxed);
    }

    /// A login made an entity.
    pub(super) fn entity_made(&self) {
        self.entities.fetch_add(1, Ordering::Relaxed);
    }

    /// Logins that were handled, and the milliseconds that took, all together.
    pub fn logins(&self) -> (u64, u64) {
        (self.handled.load(Ordering::Relaxed), self.microseconds.load(Ordering::Relaxed) / 1_000)
    }

    /// Entities that logins made, those of transactions that were run again included.
    pub fn entities(&self) -> u64 {
        self.entities.load(Ordering::Relaxed)
    }
}
