//! How much strangers may have us do and keep: new accounts and identifiers of orders, by the
//! address they come from, by account, and together. What is counted is bounded itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use strongroom_base::{Error, Timestamp};

use super::problem::Problem;

/// New accounts of one address in an hour.
pub const ACCOUNTS_PER_ADDRESS: u32 = 500;
/// New accounts in an hour.
pub const ACCOUNTS: u32 = 10_000;
/// Identifiers of new orders of one account or address in an hour.
pub const IDENTIFIERS_PER_CALLER: u32 = 10_000;
/// Identifiers of new orders in an hour.
pub const IDENTIFIERS: u32 = 50_000;
/// Identifiers of one order.
pub const IDENTIFIERS_PER_ORDER: usize = 100;
/// Challenges that wait for a look.
pub const VALIDATIONS: usize = 1_000;
/// Contacts of one account, and bytes of one.
pub const CONTACTS: usize = 10;
/// Bytes of one contact.
pub const CONTACT_BYTES: usize = 320;

/// Callers that are counted.
const COUNTED_MAX: usize = 20_000;
const HOUR: i64 = 3_600;

/// Who does what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    AccountsFrom(u64),
    IdentifiersFrom(u64),
    IdentifiersOf(String),
    Accounts,
    Identifiers,
}

/// What was done lately: an amount that leaks away evenly.
struct Level {
    amount: f64,
    at: Timestamp,
}

/// The counts of a mount.
#[derive(Default)]
pub struct Limits(Mutex<BTreeMap<Who, Level>>);

impl Limits {
    /// A new account.
    pub fn account(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Error> {
        let from = Who::AccountsFrom(network(from));
        self.take(&[(from, ACCOUNTS_PER_ADDRESS), (Who::Accounts, ACCOUNTS)], 1, now)
    }

    /// An order of so many identifiers.
    pub fn order(
        &self,
        from: Option<IpAddr>,
        account: &str,
        identifiers: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let counted = [
            (Who::IdentifiersFrom(network(from)), IDENTIFIERS_PER_CALLER),
            (Who::IdentifiersOf(account.to_owned()), IDENTIFIERS_PER_CALLER),
            (Who::Identifiers, IDENTIFIERS),
        ];
        self.take(&counted, identifiers, now)
    }

    fn take(&self, counted: &[(Who, u32)], amount: usize, now: Timestamp) -> Result<(), Error> {
        let amount = amount as f64;
        let mut levels = self.0.lock();
        for (who, max) in counted {
            let level = levels.get(who).map_or(0.0, |level| level.left(*max, now));
            let over = level + amount - f64::from(*max);
            if over > 0.0 {
                let wait = (over * HOUR as f64 / f64::from(*max)).ceil() as i64;
                return Err(too_much(wait.clamp(1, HOUR)));
            }
        }
        if levels.len() + counted.len() > COUNTED_MAX {
            levels.retain(|_, level| level.at.plus_seconds(HOUR) > now);
        }
        if levels.len() + counted.len() > COUNTED_MAX {
            // So many callers at once: what all do together is still counted.
            levels.retain(|who, _| matches!(who, Who::Accounts | Who::Identifiers));
        }
        for (who, max) in counted {
            let level = levels.get(who).map_or(0.0, |level| level.left(*max, now));
            levels.insert(who.clone(), Level { amount: level + amount, at: now });
        }
        Ok(())
    }
}

impl Level {
    /// What is left of it now, where `max` leaks away in an hour.
    fn left(&self, max: u32, now: Timestamp) -> f64 {
        let nanos = now.0.saturating_sub(self.at.0).max(0) as f64;
        let hours = nanos / (HOUR as f64 * 1e9);
        (self.amount - hours * f64::from(max)).max(0.0)
    }
}

/// What of an address one party has: all of IPv4's, the first half of IPv6's.
fn network(from: Option<IpAddr>) -> u64 {
    match from.map(|ip| ip.to_canonical()) {
        None => 0,
        Some(IpAddr::V4(v4)) => 1 << 32 | u64::from(v4.to_bits()),
        Some(IpAddr::V6(v6)) => (v6.to_bits() >> 64) as u64,
    }
}

/// The refusal, with when to come back.
fn too_much(seconds: i64) -> Error {
    let mut error = Problem::RateLimited.says("too many requests for now");
    if let Some(foreign) = &mut error.foreign {
        foreign.headers.push(("retry-after", seconds.to_string()));
    }
    error
}

/// The refusal of one more look while so many wait.
pub fn too_many_validations() -> Error {
    too_much(30)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_so_much_in_an_hour() {
        let limits = Limits::default();
        let now = Timestamp::from_seconds(1_000_000);
        for _ in 0..ACCOUNTS_PER_ADDRESS {
            limits.account(ip("192.0.2.1"), now).unwrap();
        }
        let refused = limits.account(ip("192.0.2.1"), now).unwrap_err();
        let foreign = refused.foreign.unwrap();
        assert_eq!((foreign.status, foreign.headers[0].1.as_str()), (429, "8"));
        limits.account(ip("192.0.2.2"), now).unwrap();
        limits.account(ip("192.0.2.1"), now.plus_seconds(8)).unwrap();
        limits.account(ip("192.0.2.1"), now.plus_seconds(9)).unwrap_err();
        // One party's part of IPv6 is one caller.
        limits.order(ip("2001:db8::1"), "a", 10_000, now).unwrap();
        limits.order(ip("2001:db8::2"), "b", 1, now).unwrap_err();
        limits.order(ip("2001:db8:0:1::1"), "a", 1, now).unwrap_err();
        limits.order(ip("2001:db8:0:1::1"), "b", 1, now).unwrap();
    }

    #[test]
    fn all_together_have_so_much_and_counting_is_bounded() {
        let limits = Limits::default();
        let now = Timestamp::from_seconds(1_000_000);
        for i in 0..ACCOUNTS {
            limits.account(Some(IpAddr::from(i.to_be_bytes())), now).unwrap();
        }
        limits.account(ip("192.0.2.1"), now).unwrap_err();
        for i in 0..IDENTIFIERS {
            limits.order(Some(IpAddr::from(i.to_be_bytes())), &i.to_string(), 1, now).unwrap();
            assert!(limits.0.lock().len() <= COUNTED_MAX);
        }
        limits.order(ip("192.0.2.1"), "x", 1, now).unwrap_err();
        limits.order(ip("192.0.2.1"), "x", 1, now.plus_seconds(1)).unwrap();
    }
}
