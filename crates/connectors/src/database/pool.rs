//! Connections that wait for work, and a bound for those that there are.
//!
//! A pool knows nothing of how a connection is made or how it is seen to be alive: whoever holds a
//! slot asks for kept connections until one is good, and else makes one.
//!
//! Invariants:
//! * there are never more connections than slots, those at work and those that wait together;
//! * nobody waits for a slot longer than they said.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{DatabaseError, Settings, unreachable};

/// Connections at a time where the operator gives no number.
const OPEN_DEFAULT: usize = 4;

/// Connections of one kind to one database.
pub struct Pool<C> {
    idle: Mutex<Vec<(C, Instant)>>,
    slots: Arc<Semaphore>,
    idle_max: usize,
    /// Zero is for as long as they last.
    lifetime: Duration,
}

/// The right to have one connection open.
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// A connection at work. Dropping it closes it.
pub struct Lent<C> {
    /// The connection.
    pub connection: C,
    /// Was it made just now?
    pub fresh: bool,
    /// Does nobody know what state it is in? Then it is not kept.
    pub broken: bool,
    since: Instant,
    _slot: Slot,
}

impl<C> Pool<C> {
    /// An empty pool.
    pub fn new(settings: &Settings) -> Self {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let open = match number(settings.max_open_connections) {
            0 => OPEN_DEFAULT,
            open => open.min(Semaphore::MAX_PERMITS),
        };
        let idle_max = match number(settings.max_idle_connections) {
            0 => open,
            idle => idle.min(open),
        };
        Self {
            idle: Mutex::new(Vec::new()),
            slots: Arc::new(Semaphore::new(open)),
            idle_max,
            lifetime: settings.max_connection_lifetime,
        }
    }

    /// Waits until there may be one connection more.
    pub async fn slot(&self, limit: Duration) -> Result<Slot, DatabaseError> {
        match timeout(limit, self.slots.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Slot { _permit: permit }),
            Ok(Err(_)) => Err(unreachable("the connections to the database are closed")),
            Err(_) => Err(unreachable("all connections to the database stayed busy")),
        }
    }

    /// The same for a connection that was made in another way than those that are kept: one of these
    /// is closed if need be.
    pub async fn room(&self, limit: Duration) -> Result<Slot, DatabaseError> {
        let slot = self.slot(limit).await?;
        drop(self.kept());
        Ok(slot)
    }

    /// The connection that was used last, if one is kept that is not too old.
    pub fn kept(&self) -> Option<(C, Instant)> {
        loop {
            // The lock is not held while connections are dropped.
            let (connection, since) = self.idle.lock().pop()?;
            if self.lifetime.is_zero() || since.elapsed() < self.lifetime {
                return Some((connection, since));
            }
        }
    }

    /// Keeps a connection for the next one, if there is room.
    pub fn give_back(&self, lent: Lent<C>) {
        // The slot is free when the connection is back, not before.
        let Lent { connection, since, broken, .. } = lent;
        let mut idle = self.idle.lock();
        if !broken && idle.len() < self.idle_max && !self.slots.is_closed() {
            idle.push((connection, since));
        }
    }

    /// Keeps none of those that wait; they are the answer.
    pub fn clear(&self) -> Vec<C> {
        let idle = std::mem::take(&mut *self.idle.lock());
        idle.into_iter().map(|(connection, _)| connection).collect()
    }

    /// The same, and lets nobody in any more.
    pub fn close(&self) -> Vec<C> {
        self.slots.close();
        self.clear()
    }
}

impl Slot {
    /// A connection that was made just now.
    pub fn fresh<C>(self, connection: C) -> Lent<C> {
        Lent { connection, fresh: true, broken: false, since: Instant::now(), _slot: self }
    }

    /// A connection that was kept.
    pub fn kept<C>(self, (connection, since): (C, Instant)) -> Lent<C> {
        Lent { connection, fresh: false, broken: false, since, _slot: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(open: u32, idle: u32, lifetime: Duration) -> Pool<u32> {
        Pool::new(&Settings {
            max_open_connections: open,
            max_idle_connections: idle,
            max_connection_lifetime: lifetime,
            ..Settings::default()
        })
    }

    const LIMIT: Duration = Duration::from_millis(10);

    async fn lend(pool: &Pool<u32>, number: u32) -> Lent<u32> {
        let slot = pool.slot(LIMIT).await.unwrap_or_else(|e| panic!("{number}: {e}"));
        match pool.kept() {
            Some(kept) => slot.kept(kept),
            None => slot.fresh(number),
        }
    }

    #[tokio::test]
    async fn there_are_as_many_as_allowed_and_so_many_wait() {
        // Open, idle; how many there may be, how many are kept.
        for (open, idle, most, kept) in [(0, 0, 4, 4), (1, 9, 1, 1), (3, 2, 3, 2), (3, 0, 3, 3)] {
            let pool = pool(open, idle, Duration::ZERO);
            let mut lent = Vec::new();
            for number in 0..most {
                lent.push(lend(&pool, number).await);
            }
            let error = pool.slot(LIMIT).await.err().expect("no more than that");
            assert!(error.text.contains("stayed busy"), "{error}");
            lent.drain(..).for_each(|lent| pool.give_back(lent));
            for number in 100..100 + most {
                lent.push(lend(&pool, number).await);
            }
            let fresh = lent.iter().filter(|lent| lent.fresh && lent.connection >= 100).count();
            assert_eq!(lent.len() - fresh, kept, "{open} {idle}");
        }
    }

    #[tokio::test]
    async fn what_is_old_or_broken_is_not_kept() {
        let hour = Duration::from_secs(3600);
        for (lifetime, broken, kept) in [
            (Duration::ZERO, false, true),
            (hour, false, true),
            (hour, true, false),
            (Duration::from_nanos(1), false, false),
        ] {
            let pool = pool(2, 2, lifetime);
            let mut lent = lend(&pool, 1).await;
            let made = lent.since;
            lent.broken = broken;
            pool.give_back(lent);
            let next = lend(&pool, 2).await;
            assert_eq!(next.connection == 1, kept, "{lifetime:?} {broken}");
            // Its age counts from when it was made.
            assert_eq!(next.since == made, kept, "{lifetime:?} {broken}");
        }
    }

    #[tokio::test]
    async fn a_connection_of_another_kind_has_its_room() {
        let pool = pool(2, 2, Duration::ZERO);
        let (one, other) = (lend(&pool, 1).await, lend(&pool, 2).await);
        assert!(pool.room(LIMIT).await.is_err());
        pool.give_back(one);
        pool.give_back(other);
        let room = pool.room(LIMIT).await.unwrap_or_else(|e| panic!("{e}"));
        assert!(!lend(&pool, 3).await.fresh, "one was kept");
        drop(room);
        assert!(lend(&pool, 4).await.fresh, "the other was closed");
    }

    #[tokio::test]
    async fn a_closed_pool_keeps_and_gives_nothing() {
        let pool = pool(2, 2, Duration::ZERO);
        let (one, other) = (lend(&pool, 1).await, lend(&pool, 2).await);
        pool.give_back(one);
        assert_eq!(pool.close(), [1]);
        pool.give_back(other);
        assert_eq!(pool.close(), [0_u32; 0]);
        let error = pool.slot(LIMIT).await.err().expect("it is closed");
        assert!(error.text.contains("are closed"), "{error}");
    }
}
