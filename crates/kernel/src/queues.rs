//! Queues of commands that name the same record: they wait before they read, so that they do not
//! conflict when they commit.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::record::Scope;

/// Two records may share a queue: they then wait for each other in vain, which costs time only.
const QUEUES: usize = 4_096;

/// All queues.
pub struct Queues {
    queues: Box<[Arc<Mutex<()>>]>,
    hasher: ahash::RandomState,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            queues: (0..QUEUES).map(|_| Arc::default()).collect(),
            hasher: ahash::RandomState::new(),
        }
    }
}

impl Queues {
    /// Waits for the turn at `record` of `scope`; the turn ends when the guard is dropped.
    pub async fn wait(&self, scope: Scope, record: &str) -> OwnedMutexGuard<()> {
        let index = self.hasher.hash_one((scope, record)) as usize % QUEUES;
        self.queues[index].clone().lock_owned().await
    }
}
