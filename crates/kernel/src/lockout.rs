//! Lockout: who fails to log in too often is refused for a while, whatever he then brings.
//!
//! Counters live in the memory of the active node and are bounded; a restart forgets them.
//! Invariants:
//! * one identity is one counter, whatever the case or the spaces its name is written with
//!   (threats: CVE-2025-6004, CVE-2025-6013);
//! * names nobody has are counted like others, so that being locked says nothing about a name;
//! * making room never drops a locked identity while one that is not locked is there.

use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;
use strongroom_base::{Error, Result, Timestamp};

use crate::mounts::{Mount, UserLockout};
use crate::node::KernelConfig;
use crate::record::Scope;

/// Failed logins until an identity is locked (Vault's default).
pub const THRESHOLD: u64 = 5;
/// Seconds an identity stays locked (Vault's default: 15 minutes).
pub const DURATION_SECONDS: i64 = 900;
/// Seconds without a failure after which counting starts again (Vault's default: 15 minutes).
pub const COUNTER_RESET_SECONDS: i64 = 900;
/// Identities counted at a time; about 100 bytes each.
const COUNTERS_MAX: usize = 65_536;
/// Counters compared when one must go.
const VICTIMS: usize = 16;

/// The settings that hold for one mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockoutRule {
    /// Failed logins until an identity is locked.
    pub threshold: u64,
    /// Seconds it stays locked.
    pub duration: i64,
    /// Seconds without a failure after which counting starts again.
    pub counter_reset: i64,
}

impl LockoutRule {
    /// The rule of a mount: its own settings, else those of the server for its type, else those
    /// for all types, else Vault's defaults. `None` where lockout is off.
    pub fn of(mount: &Mount, config: &KernelConfig) -> Option<Self> {
        let own = &mount.config.user_lockout;
        let kind = config.user_lockout_of.get(&mount.kind).unwrap_or(&config.user_lockout);
        if own.disable || kind.disable {
            return None;
        }
        let pick = |get: fn(&UserLockout) -> Option<i64>, default| {
            [own, kind].iter().find_map(|l| get(l).filter(|v| *v > 0)).unwrap_or(default)
        };
        let threshold = [own, kind].iter().find_map(|l| l.threshold.filter(|v| *v > 0));
        Some(Self {
            threshold: threshold.unwrap_or(THRESHOLD),
            duration: pick(|l| l.duration, DURATION_SECONDS),
            counter_reset: pick(|l| l.counter_reset, COUNTER_RESET_SECONDS),
        })
    }
}

#[derive(Clone, Copy)]
struct Counter {
    failures: u64,
    last: Timestamp,
}

impl Counter {
    fn is_locked(&self, rule: &LockoutRule, now: Timestamp) -> bool {
        self.failures >= rule.threshold && now < self.last.plus_seconds(rule.duration)
    }
}

/// A mount and a name in one spelling.
type Who = (Scope, String);

/// The counters of all mounts.
#[derive(Default)]
pub struct Lockouts {
    counters: Mutex<AHashMap<Who, Counter>>,
    /// How many there are: most logins find none and take no lock.
    count: AtomicUsize,
}

/// An identity's name in one spelling.
pub fn one_spelling(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Lockouts {
    /// Refuses a locked identity like any wrong credential of a token: 403.
    pub fn check(
        &self,
        mount: Scope,
        name: &str,
        rule: &LockoutRule,
        now: Timestamp,
    ) -> Result<()> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let counters = self.counters.lock();
        match counters.get(&(mount, one_spelling(name))) {
            Some(counter) if counter.is_locked(rule, now) => Err(Error::denied()),
            _ => Ok(()),
        }
    }

    /// Counts a failed login.
    pub fn failed(&self, mount: Scope, name: &str, rule: &LockoutRule, now: Timestamp) {
        let mut counters = self.counters.lock();
        let who = (mount, one_spelling(name));
        if !counters.contains_key(&who) && counters.len() >= COUNTERS_MAX {
            // The fewest failures go first, of those the oldest: a flood of fresh names pushes
            // itself out, not who is locked or close to it.
            let victim = counters
                .iter()
                .take(VICTIMS)
                .min_by_key(|(_, c)| (c.failures, c.last))
                .map(|(who, _)| who.clone());
            if let Some(victim) = victim {
                counters.remove(&victim);
            }
        }
        let counter = counters.entry(who).or_insert(Counter { failures: 0, last: now });
        if now >= counter.last.plus_seconds(rule.counter_reset) {
            counter.failures = 0;
        }
        counter.failures += 1;
        counter.last = now;
        self.count.store(counters.len(), Ordering::Relaxed);
    }

    /// Forgets an identity's failures: it logged in, or an operator unlocked it.
    pub fn forget(&self, mount: Scope, name: &str) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut counters = self.counters.lock();
        counters.remove(&(mount, one_spelling(name)));
        self.count.store(counters.len(), Ordering::Relaxed);
    }

    /// How many identities are locked, by the rules of their mounts.
    pub fn count_locked(
        &self,
        rule: impl Fn(Scope) -> Option<LockoutRule>,
        now: Timestamp,
    ) -> usize {
        let counters = self.counters.lock();
        let locked = counters.iter().filter(|((mount, _), counter)| {
            rule(*mount).is_some_and(|rule| counter.is_locked(&rule, now))
        });
        locked.count()
    }

    /// The locked identities of a mount, sorted.
    pub fn locked(&self, mount: Scope, rule: &LockoutRule, now: Timestamp) -> Vec<String> {
        let counters = self.counters.lock();
        let mut names: Vec<String> = counters
            .iter()
            .filter(|((m, _), counter)| *m == mount && counter.is_locked(rule, now))
            .map(|((_, name), _)| name.clone())
            .collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: Scope = Scope(7);
    const RULE: LockoutRule = LockoutRule { threshold: 3, duration: 60, counter_reset: 30 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000 + seconds)
    }

    #[test]
    fn one_identity_is_counted_once_whatever_its_spelling() {
        // threats CVE-2025-6004, CVE-2025-6013
        let lockouts = Lockouts::default();
        for name in ["bob", "BOB", " Bob "] {
            assert!(lockouts.check(MOUNT, "bob", &RULE, at(0)).is_ok());
            lockouts.failed(MOUNT, name, &RULE, at(0));
        }
        for name in ["bob", "bOb", "bob "] {
            assert!(lockouts.check(MOUNT, name, &RULE, at(59)).is_err(), "{name:?}");
        }
        assert!(lockouts.check(Scope(8), "bob", &RULE, at(0)).is_ok(), "another mount");
        assert_eq!(lockouts.locked(MOUNT, &RULE, at(59)), ["bob"]);
        assert!(lockouts.check(MOUNT, "bob", &RULE, at(60)).is_ok(), "its time is over");
        lockouts.forget(MOUNT, "BOB");
        assert!(lockouts.check(MOUNT, "bob", &RULE, at(1)).is_ok());
    }

    #[test]
    fn counting_starts_again_after_a_pause_or_a_success() {
        let lockouts = Lockouts::default();
        for seconds in [0, 29, 60] {
            lockouts.failed(MOUNT, "bob", &RULE, at(seconds));
        }
        assert!(lockouts.check(MOUNT, "bob", &RULE, at(60)).is_ok());
        lockouts.forget(MOUNT, "bob");
        lockouts.failed(MOUNT, "bob", &RULE, at(61));
        assert!(lockouts.check(MOUNT, "bob", &RULE, at(61)).is_ok());
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_frees_nobody() {
        let lockouts = Lockouts::default();
        for _ in 0..3 {
            lockouts.failed(MOUNT, "bob", &RULE, at(0));
        }
        for i in 0..COUNTERS_MAX + 1_000 {
            lockouts.failed(MOUNT, &format!("stranger {i}"), &RULE, at(1));
        }
        assert_eq!(lockouts.count.load(Ordering::Relaxed), COUNTERS_MAX);
        assert!(lockouts.check(MOUNT, "bob", &RULE, at(2)).is_err());
    }

    #[test]
    fn a_mounts_own_settings_come_first() {
        let mut config = KernelConfig::default();
        let mut mount = crate::mounts::test_mount("userpass");
        let vaults = LockoutRule { threshold: 5, duration: 900, counter_reset: 900 };
        assert_eq!(LockoutRule::of(&mount, &config), Some(vaults));
        config.user_lockout.threshold = Some(9);
        let kind = UserLockout { threshold: Some(7), ..Default::default() };
        config.user_lockout_of.insert("userpass".to_owned(), kind);
        assert_eq!(LockoutRule::of(&mount, &config), Some(LockoutRule { threshold: 7, ..vaults }));
        mount.config.user_lockout.threshold = Some(2);
        assert_eq!(LockoutRule::of(&mount, &config), Some(LockoutRule { threshold: 2, ..vaults }));
        mount.config.user_lockout.disable = true;
        assert_eq!(LockoutRule::of(&mount, &config), None);
    }
}
