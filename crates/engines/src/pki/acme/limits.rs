//! How much strangers may have us do and keep: new accounts and identifiers of orders, by the
//! address they come from, by account, and together. What is counted is bounded itself.
//!
//! Nobody takes all that there is for all: who comes from one address may have the less, the more
//! others have taken, and so may a site of IPv6, whose owner has thousands of networks. However many
//! come, there is something left for who comes next.

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

/// What everybody may have, as long as there is anything.
const SOME: f64 = 10.0;
/// A site may have one of so many parts of all.
const PARTS_FOR_SITE: f64 = 2.0;

/// Callers that are counted.
const COUNTED_MAX: usize = 20_000;
const HOUR: i64 = 3_600;

/// Who does what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    AccountsFrom(u64),
    AccountsWithin(u64),
    IdentifiersFrom(u64),
    IdentifiersWithin(u64),
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

/// One of those that a request counts for.
struct Counted {
    who: Who,
    /// What leaks away in an hour.
    per_hour: u32,
    /// What there may be at most.
    max: f64,
}

impl Limits {
    /// A new account.
    pub fn account(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Error> {
        let mut levels = self.0.lock();
        let shares = Shares { levels: &levels, all: (Who::Accounts, ACCOUNTS), now };
        let mut counted = vec![shares.of(Who::AccountsFrom(network(from)), ACCOUNTS_PER_ADDRESS)];
        counted.extend(within(from).map(|site| shares.of_site(Who::AccountsWithin(site))));
        counted.push(Counted::all(Who::Accounts, ACCOUNTS));
        take(&mut levels, &counted, 1, now)
    }

    /// An order of so many identifiers.
    pub fn order(
        &self,
        from: Option<IpAddr>,
        account: &str,
        identifiers: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut levels = self.0.lock();
        let shares = Shares { levels: &levels, all: (Who::Identifiers, IDENTIFIERS), now };
        let address = Who::IdentifiersFrom(network(from));
        let mut counted = vec![shares.of(address, IDENTIFIERS_PER_CALLER)];
        counted.extend(within(from).map(|site| shares.of_site(Who::IdentifiersWithin(site))));
        counted.push(Counted::all(Who::IdentifiersOf(account.to_owned()), IDENTIFIERS_PER_CALLER));
        counted.push(Counted::all(Who::Identifiers, IDENTIFIERS));
        take(&mut levels, &counted, identifiers, now)
    }
}

/// What callers may have of what there is for all.
struct Shares<'l> {
    levels: &'l BTreeMap<Who, Level>,
    all: (Who, u32),
    now: Timestamp,
}

impl Shares<'_> {
    /// A caller who may have `per_hour` where nobody else has anything.
    fn of(&self, who: Who, per_hour: u32) -> Counted {
        self.share(who, per_hour, f64::from(per_hour))
    }

    fn of_site(&self, who: Who) -> Counted {
        self.share(who, self.all.1, f64::from(self.all.1) / PARTS_FOR_SITE)
    }

    fn share(&self, who: Who, per_hour: u32, most: f64) -> Counted {
        let level = |who: &Who, max| self.levels.get(who).map_or(0.0, |l| l.left(max, self.now));
        let (all, all_max) = (level(&self.all.0, self.all.1), f64::from(self.all.1));
        let others = (all - level(&who, per_hour)).max(0.0);
        Counted { who, per_hour, max: part(most, all_max, others).max(SOME) }
    }
}

/// What somebody may have of `most` where others have so much of `all`: the square makes it less
/// faster than they come, so that they never take all.
fn part(most: f64, all: f64, others: f64) -> f64 {
    let free = ((all - others) / all).clamp(0.0, 1.0);
    most * free * free
}

impl Counted {
    fn all(who: Who, per_hour: u32) -> Self {
        Self { who, per_hour, max: f64::from(per_hour) }
    }
}

fn take(
    levels: &mut BTreeMap<Who, Level>,
    counted: &[Counted],
    amount: usize,
    now: Timestamp,
) -> Result<(), Error> {
    let amount = amount as f64;
    let level_of = |levels: &BTreeMap<Who, Level>, one: &Counted| {
        levels.get(&one.who).map_or(0.0, |level| level.left(one.per_hour, now))
    };
    for one in counted {
        let over = level_of(levels, one) + amount - one.max;
        if over > 0.0 {
            let wait = (over * HOUR as f64 / f64::from(one.per_hour)).ceil() as i64;
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
    for one in counted {
        let level = level_of(levels, one);
        levels.insert(one.who.clone(), Level { amount: level + amount, at: now });
    }
    Ok(())
}

/// May somebody of a site have one more of `max` places, of which `taken` are taken, `of_site` by the
/// site itself?
pub fn has_place(max: usize, taken: usize, of_site: usize) -> bool {
    let (all, others) = (max as f64, taken.saturating_sub(of_site) as f64);
    taken < max && (of_site as f64) < part(all / PARTS_FOR_SITE, all, others).max(1.0)
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

/// The first 48 bits of IPv6: what the owner of a site has.
fn within(from: Option<IpAddr>) -> Option<u64> {
    match from.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(v6)) => u64::try_from(v6.to_bits() >> 80).ok(),
        _ => None,
    }
}

/// Whose a caller is, for places of which there are few: a site of IPv6, an address of IPv4.
pub fn site(from: Option<IpAddr>) -> u64 {
    within(from).map_or_else(|| network(from), |site| site << 16)
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

    /// Few who take what they can leave something for who comes next.
    #[test]
    fn there_is_always_something_left() {
        let now = Timestamp::from_seconds(1_000_000);
        let greedy = |mut one: Box<dyn FnMut() -> bool>| (0..).take_while(|_| one()).count();
        let limits = std::rc::Rc::new(Limits::default());
        let mut taken = 0;
        for i in 0..200_u32 {
            let (limits, ip) = (limits.clone(), Some(IpAddr::from((7 << 24 | i).to_be_bytes())));
            let got = greedy(Box::new(move || limits.account(ip, now).is_ok()));
            assert!(got > 0 && got <= ACCOUNTS_PER_ADDRESS as usize, "{i}");
            taken += got;
        }
        assert!(taken > 5_000 && taken < ACCOUNTS as usize, "{taken}");
        // Networks of one site of IPv6 have a part together.
        let limits = std::rc::Rc::new(Limits::default());
        let mut taken = 0;
        for i in 0..200_u128 {
            let ip = Some(IpAddr::from((0x2001_0db8_0001_u128 << 80 | i << 64).to_be_bytes()));
            let (limits, account) = (limits.clone(), i.to_string());
            taken += greedy(Box::new(move || limits.order(ip, &account, 100, now).is_ok()));
        }
        assert_eq!(taken, 250, "half of what there is");
        limits.order(ip("2001:db8:2::1"), "other", 100, now).unwrap();
        for (taken, of_site, has) in
            [(0, 0, true), (499, 499, true), (500, 500, false), (999, 0, true), (1_000, 0, false)]
        {
            assert_eq!(has_place(VALIDATIONS, taken, of_site), has, "{taken} {of_site}");
        }
        assert_eq!(site(ip("2001:db8:1:2::3")), site(ip("2001:db8:1:9::4")));
        assert_ne!(site(ip("2001:db8:1:2::3")), site(ip("2001:db8:2:2::3")));
        assert_ne!(site(ip("192.0.2.1")), site(ip("192.0.2.2")));
    }
}
