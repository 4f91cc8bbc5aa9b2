//! Queues of commands that name the same record: they wait before they read, so that they do not
//! conflict when they commit.

use std::sync::Arc;

use strongroom_base::Rng;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::record::Scope;

/// Two records may share a queue: they then wait for each other in vain, which costs time only.
const QUEUES: usize = 4_096;

/// All queues.
pub struct Queues {
    queues: Box<[Arc<Mutex<()>>]>,
    hasher: ahash::RandomState,
}

impl Queues {
    /// Queues whose places nobody can foresee who does not know what `rng` drew.
    pub fn new(rng: &dyn Rng) -> Self {
        let seed = || u64::from_le_bytes(rng.array());
        Self {
            queues: (0..QUEUES).map(|_| Arc::default()).collect(),
            hasher: ahash::RandomState::with_seeds(seed(), seed(), seed(), seed()),
        }
    }

    /// Waits for the turn at `record` of `scope`; the turn ends when the guard is dropped.
    pub async fn wait(&self, scope: Scope, record: &str) -> OwnedMutexGuard<()> {
        let index = self.hasher.hash_one((scope, record)) as usize % QUEUES;
        self.queues[index].clone().lock_owned().await
    }
}
