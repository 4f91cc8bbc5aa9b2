//! What changed lately: by it a transaction learns whether something it read was changed by another
//! one since.
//!
//! Invariants:
//! * memory is bounded: beyond [`CAPACITY`] changes the oldest are forgotten and `floor` rises; for
//!   a transaction that began before `floor` the answer is "changed", which is always safe;
//! * a change is noted **before** readers can see it, so nobody who saw a new record is told that
//!   it did not change.

use crate::{Change, IndexKey, IndexTable, Key, Revision, RowTable};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How many changes are remembered.
const CAPACITY: usize = 32_768;
/// How many removed ranges are remembered: each look-up walks those newer than its snapshot.
const RANGES_CAPACITY: usize = 512;

/// The changes since `floor`.
#[derive(Default)]
pub(crate) struct Recent {
    rows: HashMap<(RowTable, u64), Revision, ahash::RandomState>,
    index: BTreeMap<(IndexTable, IndexKey), Revision>,
    order: VecDeque<(Revision, Key)>,
    row_ranges: VecDeque<(Revision, RowTable, u64, u64)>,
    index_ranges: VecDeque<(Revision, IndexTable, IndexKey, IndexKey)>,
    /// Everything that changed after this revision is known.
    floor: Revision,
}

impl Recent {
    /// Knows nothing of what happened up to `floor`.
    pub(crate) fn starting_at(floor: Revision) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Notes a change that becomes visible with `revision`.
    pub(crate) fn note(&mut self, revision: Revision, change: &Change) {
        match change {
            Change::Put(key, _) | Change::Delete(key) => self.note_key(revision, key),
            Change::DeleteRows { table, from, to } => {
                self.row_ranges.push_back((revision, *table, *from, *to));
                if self.row_ranges.len() > RANGES_CAPACITY
                    && let Some((gone, ..)) = self.row_ranges.pop_front()
                {
                    self.floor = self.floor.max(gone);
                }
            }
            Change::DeleteIndexRange { table, from, to } => {
                self.index_ranges.push_back((revision, *table, from.clone(), to.clone()));
                if self.index_ranges.len() > RANGES_CAPACITY
                    && let Some((gone, ..)) = self.index_ranges.pop_front()
                {
                    self.floor = self.floor.max(gone);
                }
            }
            Change::Everything => *self = Self::starting_at(revision),
        }
    }

    fn note_key(&mut self, revision: Revision, key: &Key) {
        match key {
            Key::Row(table, id) => {
                self.rows.insert((*table, *id), revision);
            }
            Key::Index(table, key) => {
                self.index.insert((*table, key.clone()), revision);
            }
        }
        self.order.push_back((revision, key.clone()));
        if self.order.len() > CAPACITY
            && let Some((gone, key)) = self.order.pop_front()
        {
            self.forget(gone, key);
        }
    }

    fn forget(&mut self, gone: Revision, key: Key) {
        self.floor = self.floor.max(gone);
        match key {
            Key::Row(table, id) => {
                if self.rows.get(&(table, id)) == Some(&gone) {
                    self.rows.remove(&(table, id));
                }
            }
            Key::Index(table, key) => {
                let name = (table, key);
                if self.index.get(&name) == Some(&gone) {
                    self.index.remove(&name);
                }
            }
        }
    }

    /// Have these keys and ranges stayed as they were at `since`?
    pub(crate) fn unchanged(
        &self,
        since: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool {
        if keys.is_empty() && ranges.is_empty() {
            return true;
        }
        since >= self.floor
            && keys.iter().all(|key| !self.key_changed(since, key))
            && ranges.iter().all(|(table, from, to)| !self.range_changed(since, *table, from, to))
    }

    fn key_changed(&self, since: Revision, key: &Key) -> bool {
        let newer = |revision: Option<&Revision>| revision.is_some_and(|r| *r > since);
        match key {
            Key::Row(table, id) => {
                newer(self.rows.get(&(*table, *id)))
                    || self
                        .row_ranges
                        .iter()
                        .rev()
                        .take_while(|r| r.0 > since)
                        .any(|(_, removed, from, to)| removed == table && (from..to).contains(&id))
            }
            Key::Index(table, key) => {
                // Without the check, every look-up would clone its key to make the map's key type.
                (!self.index.is_empty() && newer(self.index.get(&(*table, key.clone()))))
                    || self
                        .index_ranges
                        .iter()
                        .rev()
                        .take_while(|r| r.0 > since)
                        .any(|(_, removed, from, to)| removed == table && (from..to).contains(&key))
            }
        }
    }

    fn range_changed(
        &self,
        since: Revision,
        table: IndexTable,
        from: &IndexKey,
        to: &IndexKey,
    ) -> bool {
        if from >= to {
            return false;
        }
        self.index.range((table, from.clone())..(table, to.clone())).any(|(_, r)| *r > since)
            || self.index_ranges.iter().rev().take_while(|r| r.0 > since).any(
                |(_, removed, gone_from, gone_to)| {
                    *removed == table && gone_from < to && from < gone_to
                },
            )
    }
}
