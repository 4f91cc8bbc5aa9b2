//! The bounded cache of record bytes (ciphertext to whoever reads this process's memory through it).
//!
//! It also remembers what is *not* there, so that a look-up of a name that does not exist is cheap.
//!
//! Invariants:
//! * the bytes held are bounded;
//! * an entry is never older than the newest published revision: commits write their changes into
//!   the cache before they are published, and a reader's fill carries the revision it began at and
//!   is dropped if its shard changed since. (By shard and not by key: the window is some
//!   microseconds, and a dropped fill only costs a later read.)
//!
//! What is written is kept, since it is mostly read soon; but not what is gone, or what is in a table of
//! which little is ever read by itself: else a million tokens and leases at rest would push out
//! everything else.

use super::Passing;
use crate::{Change, Key, Revision, Value};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

const SHARDS: usize = 32;
/// What an entry costs beside its value: slot, map entry, allocation.
const ENTRY_OVERHEAD: usize = 144;
/// A row range of at most this many ids is removed id by id.
const IDS_ONE_BY_ONE: u64 = 256;

pub(super) struct Cache {
    shards: Box<[Mutex<Shard>]>,
    hasher: ahash::RandomState,
    shard_bytes: usize,
    passing: Passing,
}

/// What the cache knows of a key.
pub(super) enum Known {
    /// The record, or that there is none.
    Yes(Option<Value>),
    /// Nothing.
    No,
}

/// Where a key lives; computed once per read.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

#[derive(Default)]
struct Shard {
    /// By the hash of the key: a slot holds the key itself, so two keys of one hash never mix.
    slots_by_hash: HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    changed_at: Revision,
    hits: u64,
    misses: u64,
}

struct Slot {
    hash: u64,
    key: Key,
    value: Option<Value>,
    used: bool,
}

impl Slot {
    fn cost(&self) -> usize {
        cost(&self.key, self.value.as_ref())
    }
}

fn cost(key: &Key, value: Option<&Value>) -> usize {
    let spilled = match key {
        Key::Index(_, key) if key.spilled() => key.len(),
        _ => 0,
    };
    ENTRY_OVERHEAD + spilled + value.map_or(0, |v| v.len())
}

#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Cache {
    /// A cache of so many bytes. What is in the tables `passing` is not kept for having been written.
    pub(super) fn new(bytes: usize, passing: Passing) -> Self {
        Self {
            passing,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
            shard_bytes: bytes / SHARDS,
        }
    }

    pub(super) fn place(&self, key: &Key) -> Place {
        Place(self.hasher.hash_one(key))
    }

    fn shard(&self, place: Place) -> &Mutex<Shard> {
        // The map inside uses the low and the topmost bits.
        &self.shards[(place.0 >> 32) as usize % SHARDS]
    }

    /// Looks a key up.
    pub(super) fn get(&self, place: Place, key: &Key) -> Known {
        self.shard(place).lock().get(place.0, key)
    }

    /// Keeps what a reader that began at `revision` found.
    pub(super) fn fill(&self, place: Place, key: &Key, revision: Revision, value: Option<&Value>) {
        let mut shard = self.shard(place).lock();
        if shard.changed_at <= revision {
            shard.put(self.shard_bytes, place.0, key, value);
        }
    }

    /// Takes over the changes of a batch that becomes visible with `revision`.
    pub(super) fn update(&self, revision: Revision, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(key, value) => self.set(revision, key, Some(value)),
                Change::Delete(key) => self.set(revision, key, None),
                Change::DeleteRows { table, from, to } => {
                    if to.saturating_sub(*from) <= IDS_ONE_BY_ONE {
                        (*from..*to).for_each(|id| self.set(revision, &Key::Row(*table, id), None));
                    } else {
                        self.remove_where(
                            revision,
                            |key| matches!(key, Key::Row(t, id) if t == table && (from..to).contains(&id)),
                        );
                    }
                }
                Change::DeleteIndexRange { table, from, to } => self.remove_where(
                    revision,
                    |key| matches!(key, Key::Index(t, k) if t == table && (from..to).contains(&k)),
                ),
                Change::Everything => self.remove_where(revision, |_| true),
            }
        }
    }

    fn set(&self, revision: Revision, key: &Key, value: Option<&Value>) {
        let passing = match key {
            Key::Row(table, _) => self.passing.rows.contains(table),
            Key::Index(table, _) => self.passing.indexes.contains(table),
        };
        let keep = value.is_some() && !passing;
        let place = self.place(key);
        let mut shard = self.shard(place).lock();
        shard.changed_at = revision;
        if keep || shard.slots_by_hash.contains_key(&place.0) {
            shard.put(self.shard_bytes, place.0, key, value);
        }
    }

    fn remove_where(&self, revision: Revision, gone: impl Fn(&Key) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.changed_at = revision;
            for at in 0..shard.slots.len() {
                if shard.slots[at].as_ref().is_some_and(|slot| gone(&slot.key)) {
                    shard.remove(at);
                }
            }
        }
    }

    /// Hits and misses since the start.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(hits, misses), shard| {
            let shard = shard.lock();
            (hits + shard.hits, misses + shard.misses)
        })
    }
}

impl Shard {
    fn get(&mut self, hash: u64, key: &Key) -> Known {
        if let Some(at) = self.slots_by_hash.get(&hash)
            && let Some(Some(slot)) = self.slots.get_mut(*at as usize)
            && slot.key == *key
        {
            slot.used = true;
            self.hits += 1;
            return Known::Yes(slot.value.clone());
        }
        self.misses += 1;
        Known::No
    }

    fn put(&mut self, limit: usize, hash: u64, key: &Key, value: Option<&Value>) {
        let cost = cost(key, value);
        let old = self.slots_by_hash.get(&hash).copied();
        // A value that would push out a good part of the shard is not worth keeping.
        if cost > limit / 4 {
            if let Some(at) = old {
                self.remove(at as usize);
            }
            return;
        }
        if let Some(at) = old
            && let Some(Some(slot)) = self.slots.get_mut(at as usize)
        {
            self.bytes = self.bytes - slot.cost() + cost;
            if slot.key != *key {
                slot.key = key.clone();
            }
            slot.value = value.cloned();
        } else {
            let slot = Slot { hash, key: key.clone(), value: value.cloned(), used: false };
            self.bytes += cost;
            let at = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            });
            self.slots[at as usize] = Some(slot);
            self.slots_by_hash.insert(hash, at);
        }
        self.evict(limit);
    }

    /// The clock algorithm: what was used since the hand's last round stays for another one.
    fn evict(&mut self, limit: usize) {
        while self.bytes > limit && !self.slots.is_empty() {
            self.hand = (self.hand + 1) % self.slots.len();
            match &mut self.slots[self.hand] {
                Some(slot) if slot.used => slot.used = false,
                Some(_) => self.remove(self.hand),
                None => {}
            }
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(slot) = self.slots[at].take() {
            self.bytes -= slot.cost();
            self.slots_by_hash.remove(&slot.hash);
            self.free.push(at as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IndexTable, RowTable};

    const TABLE: RowTable = RowTable(0);

    fn value(text: &str) -> Value {
        text.as_bytes().into()
    }

    fn known(cache: &Cache, id: u64) -> Option<Option<Value>> {
        let key = Key::Row(TABLE, id);
        match cache.get(cache.place(&key), &key) {
            Known::Yes(value) => Some(value),
            Known::No => None,
        }
    }

    /// A reader began at revision 4 and found `found`; meanwhile revision 5 brought `change`.
    #[test]
    fn a_fill_never_undoes_a_later_change() {
        let range = |to| Change::DeleteRows { table: TABLE, from: 0, to };
        for (change, expect) in [
            (Change::Put(Key::Row(TABLE, 1), value("new")), Some(Some(value("new")))),
            (Change::Delete(Key::Row(TABLE, 1)), None),
            (range(2), None),
            (range(1 << 20), None),
            (Change::Everything, None),
        ] {
            let cache = Cache::new(1 << 20, Passing::default());
            let key = Key::Row(TABLE, 1);
            let place = cache.place(&key);
            cache.update(5, std::slice::from_ref(&change));
            for found in [Some(value("old")), None] {
                cache.fill(place, &key, 4, found.as_ref());
                assert_eq!(known(&cache, 1), expect, "{change:?}");
            }
            // What a reader finds that began after the change is kept.
            cache.fill(place, &key, 5, Some(&value("newest")));
            assert_eq!(known(&cache, 1), Some(Some(value("newest"))));
        }
    }

    #[test]
    fn what_is_held_is_bounded_and_what_is_used_stays() {
        const BYTES: usize = 256 << 10;
        let cache = Cache::new(BYTES, Passing::default());
        let put = |id| {
            cache.fill(
                cache.place(&Key::Row(TABLE, id)),
                &Key::Row(TABLE, id),
                0,
                Some(&value(&"x".repeat(100))),
            )
        };
        (0..8).for_each(put);
        for id in 8..20_000 {
            put(id);
            (0..8).for_each(|hot| assert!(known(&cache, hot).is_some(), "{hot} after {id}"));
        }
        let held: usize = cache.shards.iter().map(|shard| shard.lock().bytes).sum();
        assert!(held <= BYTES && held > BYTES / 2, "{held} bytes");
        // A value that would push out a good part of the cache is not kept, nor what it replaces.
        let (key, large) = (Key::Row(TABLE, 0), value(&"x".repeat(BYTES)));
        cache.update(1, &[Change::Put(key, large)]);
        assert!(known(&cache, 0).is_none());
    }

    #[test]
    fn what_was_written_is_kept_where_it_may_be_read() {
        const ROWS: RowTable = RowTable(3);
        const ENTRIES: IndexTable = IndexTable(1);
        let cache = Cache::new(1 << 20, Passing { rows: &[ROWS], indexes: &[ENTRIES] });
        let index = |table| Key::Index(table, crate::IndexKey::from_slice(b"key"));
        for (key, text, kept) in [
            (Key::Row(TABLE, 1), "row", true),
            (Key::Row(ROWS, 1), "row", false),
            (index(IndexTable(0)), "id", true),
            (index(ENTRIES), "id", false),
        ] {
            let known = |cache: &Cache| match cache.get(cache.place(&key), &key) {
                Known::Yes(value) => Some(value),
                Known::No => None,
            };
            cache.update(5, &[Change::Put(key.clone(), value(text))]);
            assert_eq!(known(&cache), kept.then(|| Some(value(text))), "{key:?}");
            // What was read is kept, and follows later changes.
            cache.fill(cache.place(&key), &key, 5, Some(&value(text)));
            cache.update(6, &[Change::Put(key.clone(), value("changed"))]);
            assert_eq!(known(&cache), Some(Some(value("changed"))), "{key:?}");
            cache.update(7, &[Change::Delete(key.clone())]);
            assert_eq!(known(&cache), Some(None), "{key:?}");
        }
    }
}
