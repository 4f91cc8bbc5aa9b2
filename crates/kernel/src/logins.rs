//! How many logins there were at each mount since the store was opened: for metrics.

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::record::Scope;

/// Logins of one mount.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Those that gave a token.
    pub succeeded: u64,
    /// Those that were refused, for whatever reason.
    pub refused: u64,
}

/// Logins of all mounts.
#[derive(Default)]
pub struct Logins(Mutex<AHashMap<Scope, Tally>>);

impl Logins {
    /// Counts the end of a login.
    pub(crate) fn count(&self, mount: Scope, succeeded: bool) {
        let mut all = self.0.lock();
        let tally = all.entry(mount).or_default();
        match succeeded {
            true => tally.succeeded += 1,
            false => tally.refused += 1,
        }
    }

    /// The logins of the mounts at which there were any, in their order.
    pub fn all(&self) -> Vec<(Scope, Tally)> {
        let mut all: Vec<(Scope, Tally)> = self.0.lock().iter().map(|(m, t)| (*m, *t)).collect();
        all.sort_unstable_by_key(|(mount, _)| mount.0);
        all
    }
}
