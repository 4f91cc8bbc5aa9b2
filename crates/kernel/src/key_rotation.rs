//! When the key ring gets a new term by itself (`sys/rotate/config`).
//!
//! Invariant: whatever is set, a term's key is not used more than [`TERM_USES_MAX`] times.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};

use crate::barrier::TERM_USES_MAX;
use crate::record::{Record, Scope, Store};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Does it happen by itself?
    pub enabled: bool,
    /// Uses of a term's key after which it happens.
    pub max_operations: u64,
    /// Seconds after which it happens; 0 is never.
    pub interval: i64,
}

impl Record for Rotation {
    const KIND: u8 = 239;
}

impl Default for Rotation {
    fn default() -> Self {
        Self { enabled: true, max_operations: TERM_USES_MAX, interval: 0 }
    }
}

impl Rotation {
    /// Is it time for a new term, after so many uses of the one made at `created`?
    pub fn is_due(&self, uses: u64, created: Timestamp, now: Timestamp) -> bool {
        let old = self.interval > 0 && now >= created.plus_seconds(self.interval);
        uses > TERM_USES_MAX || self.enabled && (old || uses > self.max_operations)
    }
}

/// The settings that hold now.
pub async fn read(store: &Arc<Store>) -> Result<Arc<Rotation>> {
    let tx = store.begin();
    Ok(tx.read(Scope::ROOT).cached::<Rotation>(0, "").await?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_term_by_use_and_by_time() {
        let at = Timestamp::from_seconds;
        let set = Rotation { max_operations: 10, interval: 100, ..Rotation::default() };
        let off = Rotation { enabled: false, ..set.clone() };
        for (rotation, uses, now, due) in [
            (&set, 10, 99, false),
            (&set, 11, 0, true),
            (&set, 0, 100, true),
            (&off, 11, 100, false),
            (&off, TERM_USES_MAX + 1, 0, true),
            (&Rotation::default(), TERM_USES_MAX, 1 << 40, false),
        ] {
            assert_eq!(rotation.is_due(uses, at(0), at(now)), due, "{rotation:?} {uses} {now}");
        }
    }
}
