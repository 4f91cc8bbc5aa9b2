//! Bounded memory of values derived from records, emptied by the change feed.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use strongroom_base::Result;
use strongroom_storage::Change;

const SHARDS: usize = 32;

type Listener = Arc<dyn Fn(&Change) + Send + Sync>;

/// Everything that must hear of changes before a commit returns.
#[derive(Default)]
pub struct DerivedSet {
    listeners: RwLock<Vec<Listener>>,
}

impl DerivedSet {
    /// Adds a listener; it must be quick and do no I/O.
    pub fn listen(&self, listener: impl Fn(&Change) + Send + Sync + 'static) {
        self.listeners.write().push(Arc::new(listener));
    }

    /// Tells all listeners of a batch.
    pub fn invalidate(&self, changes: &[Change]) {
        for listener in self.listeners.read().iter() {
            for change in changes {
                listener(change);
            }
        }
    }
}

struct Shard<K, V> {
    map: AHashMap<K, Arc<V>>,
    /// Rises with every removal by the change feed: a fill that began before one is not kept.
    removals: u64,
}

/// A bounded map from a key to a value built of records.
///
/// Invariant: a value that was built from records older than the last acknowledged commit is never
/// returned after that commit's acknowledgement.
pub struct Derived<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: ahash::RandomState,
    per_shard_max: usize,
}

impl<K: Hash + Eq + Clone, V> Derived<K, V> {
    /// A map of at most about `max` values.
    pub fn new(max: usize) -> Self {
        let shard = || Mutex::new(Shard { map: AHashMap::new(), removals: 0 });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            // The shard decides which fills a removal undoes, so it must not differ between two
            // runs of a simulation. Within a shard the map has its own, random hasher.
            hasher: ahash::RandomState::with_seeds(1, 2, 3, 4),
            per_shard_max: (max / SHARDS).max(1),
        }
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, V>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// The value if it is there.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.shard(key).lock().map.get(key).cloned()
    }

    /// The value, built by `fill` if it is not there. A `None` is not remembered.
    pub async fn get_or_fill<Fut>(
        &self,
        key: &K,
        fill: impl FnOnce() -> Fut,
    ) -> Result<Option<Arc<V>>>
    where
        Fut: Future<Output = Result<Option<V>>>,
    {
        let removals = {
            let shard = self.shard(key).lock();
            if let Some(value) = shard.map.get(key) {
                return Ok(Some(value.clone()));
            }
            shard.removals
        };
        // Boxed: most callers find the value, and their futures need no room for the fill.
        let Some(value) = Box::pin(fill()).await? else { return Ok(None) };
        let value = Arc::new(value);
        let mut shard = self.shard(key).lock();
        if shard.removals == removals {
            if shard.map.len() >= self.per_shard_max {
                // Any victim will do: what is in use comes back with the next request.
                if let Some(victim) = shard.map.keys().next().cloned() {
                    shard.map.remove(&victim);
                }
            }
            shard.map.insert(key.clone(), value.clone());
        }
        Ok(Some(value))
    }

    /// Drops the value of `key`: called by the change feed.
    pub fn remove(&self, key: &K) {
        let mut shard = self.shard(key).lock();
        shard.removals += 1;
        shard.map.remove(key);
    }

    /// Drops everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.removals += 1;
            shard.map.clear();
        }
    }
}
