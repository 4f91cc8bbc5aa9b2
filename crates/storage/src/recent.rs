//! What changed lately: by it a transaction learns whether something it read was changed by another
//! one since.
//!
//! Invariants:
//! * memory is bounded: beyond [`CAPACITY`] changes the oldest are forgotten and `floor` rises; for
//!   a transaction that began before `floor` the answer is "changed", which is always safe;
//! * a change is noted **before** readers can see it, so nobody who saw a new record is told that
//!   it did not change;
//! * of a record that is being changed again it is known, too, when it changed before: whoever asks
//!   up to the published revision is told of that one.

use crate::{Change, IndexKey, IndexTable, Key, Revision, RowTable};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How many changes are remembered.
const CAPACITY: usize = 32_768;
/// How many removed ranges are remembered: each look-up walks those newer than its snapshot.
const RANGES_CAPACITY: usize = 512;

/// The changes since `floor`.
#[derive(Default)]
pub(crate) struct Recent {
    rows: HashMap<(RowTable, u64), Changed, ahash::RandomState>,
    index: BTreeMap<(IndexTable, IndexKey), Changed>,
    order: VecDeque<(Revision, Key)>,
    row_ranges: VecDeque<(Revision, RowTable, u64, u64)>,
    index_ranges: VecDeque<(Revision, IndexTable, IndexKey, IndexKey)>,
    /// Everything that changed after this revision is known.
    floor: Revision,
}

/// When a record changed last, and before that. Only one batch at a time is not published, so these
/// two tell of every published state whether the record changed since.
#[derive(Clone, Copy, Default)]
struct Changed {
    last: Revision,
    before: Revision,
}

impl Changed {
    fn again(&mut self, revision: Revision) {
        if self.last < revision {
            *self = Self { last: revision, before: self.last };
        }
    }

    /// Did it change after `since`, and not after `upto`?
    fn within(self, since: Revision, upto: Revision) -> bool {
        let seen = if self.last <= upto { self.last } else { self.before };
        seen > since
    }
}

/// Every revision, the one under way included.
const NEWEST: Revision = Revision::MAX;

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
                self.rows.entry((*table, *id)).or_default().again(revision);
            }
            Key::Index(table, key) => {
                self.index.entry((*table, key.clone())).or_default().again(revision);
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
                if self.rows.get(&(table, id)).is_some_and(|changed| changed.last == gone) {
                    self.rows.remove(&(table, id));
                }
            }
            Key::Index(table, key) => {
                let name = (table, key);
                if self.index.get(&name).is_some_and(|changed| changed.last == gone) {
                    self.index.remove(&name);
                }
            }
        }
    }

    /// Have these keys and ranges stayed as they were at `since`, and does no commit under way change
    /// them?
    pub(crate) fn unchanged(
        &self,
        since: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool {
        self.unchanged_upto(since, NEWEST, keys, ranges)
    }

    /// As [`Recent::unchanged`], but keys may be changed by what comes after `upto`: for whoever
    /// only reads, and has seen none of it.
    pub(crate) fn unchanged_upto(
        &self,
        since: Revision,
        upto: Revision,
        keys: &[Key],
        ranges: &[(IndexTable, IndexKey, IndexKey)],
    ) -> bool {
        if keys.is_empty() && ranges.is_empty() {
            return true;
        }
        since >= self.floor
            && keys.iter().all(|key| !self.key_changed(since, upto, key))
            && ranges.iter().all(|(table, from, to)| !self.range_changed(since, *table, from, to))
    }

    fn key_changed(&self, since: Revision, upto: Revision, key: &Key) -> bool {
        let newer =
            |changed: Option<&Changed>| changed.is_some_and(|changed| changed.within(since, upto));
        match key {
            Key::Row(table, id) => {
                newer(self.rows.get(&(*table, *id)))
                    || self
                        .row_ranges
                        .iter()
                        .rev()
                        .take_while(|r| r.0 > since)
                        .filter(|r| r.0 <= upto)
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
                        .filter(|r| r.0 <= upto)
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
        self.index.range((table, from.clone())..(table, to.clone())).any(|(_, r)| r.last > since)
            || self.index_ranges.iter().rev().take_while(|r| r.0 > since).any(
                |(_, removed, gone_from, gone_to)| {
                    *removed == table && gone_from < to && from < gone_to
                },
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record changed at 3 and is being changed by 5; what readers see ends at `upto`.
    #[test]
    fn a_change_under_way_does_not_hide_the_one_before() {
        let row = Key::Row(RowTable(0), 1);
        let name = Key::Index(IndexTable(0), IndexKey::from_slice(b"a"));
        for key in [row, name] {
            let mut recent = Recent::starting_at(0);
            for revision in [2, 3, 3, 5] {
                recent.note(revision, &Change::Delete(key.clone()));
            }
            for (since, upto, unchanged) in [
                (2, 4, false),
                (3, 4, true),
                (4, 4, true),
                (2, 5, false),
                (4, 5, false),
                (5, 5, true),
                (4, NEWEST, false),
            ] {
                let keys = std::slice::from_ref(&key);
                let told = recent.unchanged_upto(since, upto, keys, &[]);
                assert_eq!(told, unchanged, "{since}..={upto} of {key:?}");
            }
        }
    }

    #[test]
    fn removed_ranges_count_for_keys_once_they_are_published() {
        let mut recent = Recent::starting_at(0);
        recent.note(5, &Change::DeleteRows { table: RowTable(0), from: 0, to: 9 });
        let key = [Key::Row(RowTable(0), 1)];
        assert!(recent.unchanged_upto(4, 4, &key, &[]));
        assert!(!recent.unchanged_upto(4, 5, &key, &[]));
        assert!(!recent.unchanged(4, &key, &[]));
    }
}
