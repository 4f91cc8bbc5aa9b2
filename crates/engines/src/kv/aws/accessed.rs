//! When a secret's value was last read, at any door: the day, as Secrets Manager shows it.
//!
//! Invariants:
//! * a read writes nothing: it is noted in memory, and the reconciler stores what is noted, at most one small
//!   record a day for each secret;
//! * a note is there until it is durable: what a transaction that failed was to store, the next one does;
//! * a note may be lost with the node, and the next read of the day makes another;
//! * memory is bounded: what does not fit is noted by a later read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{Id, ReadView, Record, WriteView, rows};

use super::limits::{ACCESSED_KNOWN_MAX, ACCESSED_PENDING_MAX, ACCESSED_STORED_MAX};
use crate::kv::secret::Head;
use crate::kv::tree;

const SECONDS_PER_DAY: i64 = 86_400;

/// The day of the last read, by the head's row in decimal.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct LastAccess {
    /// Days since 1970.
    pub day: i64,
}

impl Record for LastAccess {
    const KIND: u8 = 8;
}

#[derive(Default)]
struct Notes {
    today: i64,
    /// Secrets whose read today is noted or stored.
    known: BTreeSet<Id>,
    /// Days that are not stored yet.
    pending: BTreeMap<Id, i64>,
}

/// The reads of a mount that are not stored yet.
#[derive(Default)]
pub struct Accessed(Mutex<Notes>);

fn day_of(time: Timestamp) -> i64 {
    time.seconds().div_euclid(SECONDS_PER_DAY)
}

impl Accessed {
    /// Notes that a value of the secret with this head's row was read.
    pub fn note(&self, row: Id, now: Timestamp) {
        let today = day_of(now);
        let mut notes = self.0.lock();
        if notes.today != today || notes.known.len() >= ACCESSED_KNOWN_MAX {
            notes.today = today;
            notes.known.clear();
        }
        if notes.known.contains(&row) || notes.pending.len() >= ACCESSED_PENDING_MAX {
            return;
        }
        notes.known.insert(row);
        notes.pending.insert(row, today);
    }

    /// The beginning of the day on which the secret was read last.
    pub async fn of(&self, view: &ReadView<'_>, row: Id) -> Result<Option<Timestamp>> {
        let noted = self.0.lock().pending.get(&row).copied();
        let stored = view.cached::<LastAccess>(tree::TOP, &row.to_string()).await?;
        let day = noted.max(stored.map(|stored| stored.day));
        Ok(day.map(|day| Timestamp::from_seconds(day.saturating_mul(SECONDS_PER_DAY))))
    }

    /// Stores some of what is noted; true where more is left. It is noted until the transaction is durable:
    /// what fails is stored by the next one.
    pub async fn store(self: &Arc<Self>, cx: &mut WriteCx<'_>) -> Result<bool> {
        let (some, more) = {
            let notes = self.0.lock();
            let some: Vec<(Id, i64)> = notes
                .pending
                .iter()
                .take(ACCESSED_STORED_MAX)
                .map(|(row, day)| (*row, *day))
                .collect();
            let more = notes.pending.len() > some.len();
            (some, more)
        };
        let edit = cx.edit();
        for &(row, day) in &some {
            let name = row.to_string();
            let stored = edit.cached::<LastAccess>(tree::TOP, &name).await?;
            if stored.is_some_and(|stored| stored.day >= day) {
                continue;
            }
            // One that went meanwhile has no record again.
            if edit.row::<Head>(rows::HEADS, row).await?.is_some() {
                edit.put_named(tree::TOP, &name, &LastAccess { day })?;
            }
        }
        if !some.is_empty() {
            let accessed = self.clone();
            cx.after_commit(move |_| accessed.stored(&some));
        }
        Ok(more)
    }

    /// Forgets what is stored now, but for a later day that was noted meanwhile.
    fn stored(&self, some: &[(Id, i64)]) {
        let mut notes = self.0.lock();
        for (row, day) in some {
            if notes.pending.get(row) == Some(day) {
                notes.pending.remove(row);
            }
        }
    }
}

/// Removes what is stored of a secret that goes.
pub(in crate::kv) async fn forget(edit: &WriteView<'_>, row: Id) -> Result<()> {
    let name = row.to_string();
    if edit.cached::<LastAccess>(tree::TOP, &name).await?.is_some() {
        edit.delete_named::<LastAccess>(tree::TOP, &name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_noted_once_and_memory_is_bounded() {
        let accessed = Accessed::default();
        let at = |day: i64, second: i64| Timestamp::from_seconds(day * SECONDS_PER_DAY + second);
        let pending = || accessed.0.lock().pending.clone();
        accessed.note(7, at(100, 0));
        accessed.note(7, at(100, 86_399));
        assert_eq!(pending(), BTreeMap::from([(7, 100)]));
        accessed.note(7, at(101, 0));
        assert_eq!(pending(), BTreeMap::from([(7, 101)]));
        // Stored meanwhile: no other note of that day.
        accessed.0.lock().pending.clear();
        accessed.note(7, at(101, 5));
        assert!(pending().is_empty());
        for row in 0..2 * ACCESSED_PENDING_MAX as Id {
            accessed.note(1_000 + row, at(101, 6));
        }
        assert_eq!(pending().len(), ACCESSED_PENDING_MAX);
        // What found no room is noted later.
        accessed.0.lock().pending.clear();
        let late = 1_000 + 2 * ACCESSED_PENDING_MAX as Id - 1;
        accessed.note(late, at(101, 7));
        assert_eq!(pending(), BTreeMap::from([(late, 101)]));
    }
}
