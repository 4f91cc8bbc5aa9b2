//! How often an entity has tried to pass a method: guesses are limited, whoever makes them (threats:
//! CVE-2025-6015, CVE-2025-55003).
//!
//! Counters live in the memory of the active node and are bounded; a restart forgets them.
//! Invariants:
//! * a try is counted before it is looked at, so that tries at the same time do not pass for one;
//! * making room never drops a counter that refuses while one that does not is there.

use ahash::AHashMap;
use parking_lot::Mutex;
use strongroom_base::Timestamp;

use crate::record::Id;

/// Counters kept at a time; about 150 bytes each.
const COUNTERS_MAX: usize = 65_536;
/// Counters compared when one must go.
const VICTIMS: usize = 16;

/// A method's number, and an entity.
type Who = (Id, String);

struct Counter {
    tries: u32,
    since: Timestamp,
    /// Whose try was counted last: a request that is run again has tried once.
    request: String,
}

/// The counters of all methods.
#[derive(Default)]
pub struct Attempts {
    counters: Mutex<AHashMap<Who, Counter>>,
}

/// What a try is counted by.
pub struct Try<'a> {
    /// The method's number.
    pub method: Id,
    /// The entity's id.
    pub entity: &'a str,
    /// The request's id.
    pub request: &'a str,
    /// Seconds after which counting begins anew.
    pub seconds: i64,
    /// Most tries in that time.
    pub most: u32,
}

impl Attempts {
    /// Counts a try. `Err` is how often it was tried, and the seconds until it may be again.
    pub fn count(&self, of: &Try<'_>, now: Timestamp) -> Result<(), (u32, i64)> {
        let mut counters = self.counters.lock();
        let who = (of.method, of.entity.to_owned());
        if !counters.contains_key(&who) && counters.len() >= COUNTERS_MAX {
            let victim = counters.iter().take(VICTIMS).min_by_key(|(_, c)| (c.tries, c.since));
            if let Some(victim) = victim.map(|(who, _)| who.clone()) {
                counters.remove(&victim);
            }
        }
        let fresh = || Counter { tries: 0, since: now, request: String::new() };
        let counter = counters.entry(who).or_insert_with(fresh);
        let end = counter.since.plus_seconds(of.seconds);
        if now >= end {
            *counter = fresh();
        }
        let again = counter.request == of.request;
        if !again && counter.tries >= of.most {
            let end = counter.since.plus_seconds(of.seconds);
            return Err((counter.tries.saturating_add(1), now.seconds_until(end)));
        }
        if !again {
            counter.tries += 1;
            of.request.clone_into(&mut counter.request);
        }
        Ok(())
    }

    /// Forgets an entity's tries: it passed.
    pub fn forget(&self, method: Id, entity: &str) {
        self.counters.lock().remove(&(method, entity.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000 + seconds)
    }

    fn try_of<'a>(method: Id, entity: &'a str, request: &'a str) -> Try<'a> {
        Try { method, entity, request, seconds: 90, most: 3 }
    }

    #[test]
    fn tries_are_counted_by_method_and_entity() {
        let attempts = Attempts::default();
        for (i, request) in ["a", "b", "c"].into_iter().enumerate() {
            let seconds = i as i64 * 10;
            assert_eq!(attempts.count(&try_of(1, "e", request), at(seconds)), Ok(()));
        }
        assert_eq!(attempts.count(&try_of(1, "e", "c"), at(30)), Ok(()), "the same try again");
        assert_eq!(attempts.count(&try_of(1, "e", "d"), at(30)), Err((4, 60)));
        assert_eq!(attempts.count(&try_of(2, "e", "d"), at(30)), Ok(()), "another method");
        assert_eq!(attempts.count(&try_of(1, "f", "d"), at(30)), Ok(()), "another entity");
        assert_eq!(attempts.count(&try_of(1, "e", "d"), at(89)), Err((4, 1)));
        assert_eq!(attempts.count(&try_of(1, "e", "d"), at(90)), Ok(()), "its time is over");
        attempts.forget(1, "e");
        for request in ["x", "y", "z"] {
            assert_eq!(attempts.count(&try_of(1, "e", request), at(91)), Ok(()));
        }
        assert!(attempts.count(&try_of(1, "e", "w"), at(91)).is_err());
    }

    #[test]
    fn a_flood_is_bounded_and_frees_nobody() {
        let attempts = Attempts::default();
        for request in ["a", "b", "c"] {
            attempts.count(&try_of(1, "e", request), at(0)).unwrap();
        }
        for i in 0..COUNTERS_MAX + 1_000 {
            attempts.count(&try_of(1, &format!("other {i}"), "r"), at(1)).unwrap();
        }
        assert_eq!(attempts.counters.lock().len(), COUNTERS_MAX);
        assert!(attempts.count(&try_of(1, "e", "d"), at(2)).is_err());
    }
}
