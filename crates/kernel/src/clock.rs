//! Guarded time: the wall clock may step, the server's time does not go back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use strongroom_base::{Clock, Timestamp};

/// A clock that never goes back: when the wall clock does, time goes on by the monotonic clock.
///
/// So a step back revives nothing that had expired, and a step forward ends what it passes, no
/// more.
pub struct GuardedClock {
    inner: Arc<dyn Clock>,
    /// The largest difference of wall clock and monotonic clock seen so far.
    offset: AtomicI64,
}

impl GuardedClock {
    /// A guarded `inner`.
    pub fn new(inner: Arc<dyn Clock>) -> Self {
        Self { inner, offset: AtomicI64::new(i64::MIN) }
    }
}

impl Clock for GuardedClock {
    fn now(&self) -> Timestamp {
        let monotonic = self.inner.monotonic_nanos() as i64;
        let seen = self.inner.now().0.saturating_sub(monotonic);
        let offset = self.offset.fetch_max(seen, Ordering::AcqRel).max(seen);
        Timestamp(monotonic.saturating_add(offset))
    }

    fn monotonic_nanos(&self) -> u64 {
        self.inner.monotonic_nanos()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Default)]
    struct Hands {
        wall: AtomicI64,
        monotonic: AtomicU64,
    }

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp(self.wall.load(Ordering::SeqCst))
        }
        fn monotonic_nanos(&self) -> u64 {
            self.monotonic.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn a_step_back_does_not_stop_or_turn_time() {
        let hands = Arc::new(Hands::default());
        let clock = GuardedClock::new(hands.clone());
        hands.wall.store(1_000, Ordering::SeqCst);
        assert_eq!(clock.now(), Timestamp(1_000));
        hands.wall.store(100, Ordering::SeqCst);
        hands.monotonic.store(50, Ordering::SeqCst);
        assert_eq!(clock.now(), Timestamp(1_050));
        hands.wall.store(2_000, Ordering::SeqCst);
        assert_eq!(clock.now(), Timestamp(2_000));
    }
}
