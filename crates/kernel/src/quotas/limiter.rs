//! Counting one rule's requests per client.

use std::net::IpAddr;

use ahash::AHashMap;
use parking_lot::Mutex;
use strongroom_base::time::NANOS_PER_SECOND;

/// Clients counted per rule, over all shards; about 60 bytes each.
const CLIENTS_MAX: usize = 65_536;
const SHARDS: usize = 64;
const PER_SHARD_MAX: usize = CLIENTS_MAX / SHARDS;

/// What a rule allows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Allowance {
    /// Requests per interval.
    pub requests: u64,
    /// Nanoseconds.
    pub interval: u64,
    /// Nanoseconds that a client which went beyond is refused; 0 until its interval ends.
    pub block: u64,
}

/// One client's interval.
#[derive(Clone, Copy)]
struct Window {
    start: u64,
    used: u64,
    /// Refused until then.
    blocked: u64,
}

/// What came of counting a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counted {
    pub allowed: bool,
    /// Requests left.
    pub remaining: u64,
    /// Seconds until the interval ends.
    pub reset: u64,
    /// Seconds until it is worth asking again.
    pub retry: u64,
}

/// The clients of one rule.
pub(super) struct Limiter {
    allowance: Allowance,
    shards: Box<[Mutex<AHashMap<Option<IpAddr>, Window>>]>,
    hasher: ahash::RandomState,
}

impl Limiter {
    pub fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
        }
    }

    /// Counts a request at `now` (monotonic nanoseconds).
    pub fn count(&self, client: Option<IpAddr>, now: u64) -> Counted {
        let a = self.allowance;
        let client = client.map(|ip| ip.to_canonical());
        let shard = &self.shards[self.hasher.hash_one(client) as usize % SHARDS];
        let mut clients = shard.lock();
        if clients.len() >= PER_SHARD_MAX && !clients.contains_key(&client) {
            make_room(&mut clients, a.interval, now);
        }
        let window = clients.entry(client).or_insert(Window { start: now, used: 0, blocked: 0 });
        if now >= window.start.saturating_add(a.interval) {
            (window.start, window.used) = (now, 0);
        }
        let reset = seconds(window.start.saturating_add(a.interval).saturating_sub(now));
        if now < window.blocked {
            let retry = seconds(window.blocked - now);
            return Counted { allowed: false, remaining: 0, reset, retry };
        }
        if window.used >= a.requests {
            if a.block > 0 {
                window.blocked = now.saturating_add(a.block);
            }
            let retry = if a.block > 0 { seconds(a.block) } else { reset };
            return Counted { allowed: false, remaining: 0, reset, retry };
        }
        window.used += 1;
        Counted { allowed: true, remaining: a.requests - window.used, reset, retry: 0 }
    }
}

/// Whole seconds, rounded up: who waits so long is not too early.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(NANOS_PER_SECOND as u64)
}

/// Drops clients whose interval is over; if that is none, any that is not blocked.
fn make_room(clients: &mut AHashMap<Option<IpAddr>, Window>, interval: u64, now: u64) {
    clients.retain(|_, w| now < w.start.saturating_add(interval) || now < w.blocked);
    if clients.len() < PER_SHARD_MAX {
        return;
    }
    let unblocked = clients.iter().find(|(_, w)| now >= w.blocked).map(|(ip, _)| *ip);
    let victim = unblocked.or_else(|| clients.keys().next().copied());
    if let Some(victim) = victim {
        clients.remove(&victim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from(n).into())
    }

    #[test]
    fn so_many_per_interval_and_client() {
        let limiter = Limiter::new(Allowance { requests: 2, interval: 10 * SECOND, block: 0 });
        let at = |now| limiter.count(ip(1), now * SECOND);
        assert_eq!(at(100), Counted { allowed: true, remaining: 1, reset: 10, retry: 0 });
        assert_eq!(at(104), Counted { allowed: true, remaining: 0, reset: 6, retry: 0 });
        assert_eq!(at(105), Counted { allowed: false, remaining: 0, reset: 5, retry: 5 });
        assert!(limiter.count(ip(2), 105 * SECOND).allowed, "another client");
        assert!(at(110).allowed, "the next interval");
        let mapped = Some("::ffff:0.0.0.1".parse().unwrap());
        assert_eq!(limiter.count(mapped, 111 * SECOND).remaining, 0, "the same client");
    }

    #[test]
    fn who_went_beyond_stays_blocked() {
        let limiter = Limiter::new(Allowance { requests: 1, interval: SECOND, block: 60 * SECOND });
        assert!(limiter.count(ip(1), 0).allowed);
        assert_eq!(limiter.count(ip(1), 1).retry, 60);
        let later = limiter.count(ip(1), 30 * SECOND);
        assert_eq!((later.allowed, later.retry), (false, 31));
        assert!(limiter.count(ip(1), 61 * SECOND).allowed);
    }

    #[test]
    fn a_flood_of_clients_is_bounded() {
        let limiter = Limiter::new(Allowance { requests: 1, interval: SECOND, block: 60 * SECOND });
        limiter.count(ip(0), 0);
        assert!(!limiter.count(ip(0), 1).allowed);
        for n in 1..200_000 {
            limiter.count(ip(n), 2);
        }
        let held: usize = limiter.shards.iter().map(|s| s.lock().len()).sum();
        assert!(held <= CLIENTS_MAX);
        assert!(!limiter.count(ip(0), 3).allowed, "a blocked client is not forgotten");
    }
}
