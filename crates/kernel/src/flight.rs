//! The requests that are being served now (`sys/in-flight-req`).
//!
//! Invariant: a request is listed from before its first step until its answer is made, whatever
//! its outcome; nothing of its body or query is kept.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;
use strongroom_base::Timestamp;

use crate::plug::{Peer, Verb};

/// Parts that are locked apart, so that requests do not wait for each other.
const SHARDS: usize = 16;

/// One request.
pub struct Flight {
    /// Its UUID.
    pub id: String,
    /// When it came.
    pub started: Timestamp,
    /// Where it came from.
    pub peer: Peer,
    /// Its path below `/v1/`.
    pub path: String,
    /// Its verb.
    pub verb: Verb,
    /// Who sent it, once that is known: an entity's id or a token's accessor.
    pub client: OnceLock<String>,
}

/// All requests in flight.
#[derive(Default)]
pub struct InFlight {
    shards: [Mutex<AHashMap<u64, Arc<Flight>>>; SHARDS],
    next: AtomicU64,
}

impl InFlight {
    fn shard(&self, number: u64) -> &Mutex<AHashMap<u64, Arc<Flight>>> {
        // The remainder is below the length.
        #[allow(clippy::indexing_slicing)]
        &self.shards[number as usize % SHARDS]
    }

    /// Lists a request for as long as the answer lives.
    pub fn enter(self: &Arc<Self>, flight: Flight) -> Boarded {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let flight = Arc::new(flight);
        self.shard(number).lock().insert(number, flight.clone());
        Boarded { all: self.clone(), number, flight }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// The requests, oldest first.
    pub fn all(&self) -> Vec<Arc<Flight>> {
        let mut all: Vec<(u64, Arc<Flight>)> = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().iter().map(|(number, flight)| (*number, flight.clone())));
        }
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, flight)| flight).collect()
    }
}

/// A listed request; its drop takes it off the list.
pub struct Boarded {
    all: Arc<InFlight>,
    number: u64,
    flight: Arc<Flight>,
}

impl Boarded {
    /// Lists what is done for this request before it.
    pub fn before(&self, id: String, path: String, verb: Verb) -> Self {
        let (started, peer) = (self.flight.started, self.flight.peer.clone());
        self.all.enter(Flight { id, started, peer, path, verb, client: OnceLock::new() })
    }

    /// Says who sent it.
    pub fn of_client(&self, client: &str) {
        // A request has one sender.
        let _ = self.flight.client.set(client.to_owned());
    }
}

impl Drop for Boarded {
    fn drop(&mut self) {
        self.all.shard(self.number).lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(id: &str) -> Flight {
        Flight {
            id: id.to_owned(),
            started: Timestamp(0),
            peer: Peer::default(),
            path: "a".to_owned(),
            verb: Verb::Read,
            client: OnceLock::new(),
        }
    }

    #[test]
    fn listed_while_it_lives() {
        let all = Arc::new(InFlight::default());
        let boarded: Vec<Boarded> = (0..40).map(|n| all.enter(flight(&n.to_string()))).collect();
        let ids: Vec<String> = all.all().iter().map(|f| f.id.clone()).collect();
        assert_eq!(ids, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
        boarded[3].of_client("me");
        assert_eq!(all.all()[3].client.get().map(String::as_str), Some("me"));
        drop(boarded);
        assert!(all.all().is_empty());
    }
}
