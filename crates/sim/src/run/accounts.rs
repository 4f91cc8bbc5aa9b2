//! The accounts that clients were told of, and what must become of them outside.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_testkit::Got;

use super::{Asked, Run};
use crate::model::Model;
use crate::ops::Op;
use crate::outside::{Outside, SERVER, TakenBack};

/// Roles with the seconds of their leases at first: a short one, and one that outlives every run.
pub(super) const TTLS: [(&str, i64); 2] = [("short", 600), ("long", 20 * 24 * 3_600)];
/// Most seconds over all renewals.
pub(super) const LEASE_MAX: i64 = 25 * 24 * 3_600;

/// An account that somebody was told of.
struct Account {
    /// The request that made it: its lease.
    lease: u64,
    password: String,
}

/// What clients know of accounts.
#[derive(Default)]
pub(super) struct Accounts {
    /// By name.
    told: BTreeMap<String, Account>,
    /// Requests for accounts, by role.
    asked: BTreeMap<&'static str, BTreeSet<u64>>,
    /// Leases that somebody asked to revoke, with whatever answer, or that may be among them.
    given_up: BTreeSet<u64>,
    /// The first request of those that were sent last.
    begun: u64,
    /// Leases whose renewal had no clear answer: the account may have another end than they.
    unsure: BTreeSet<u64>,
}

impl Accounts {
    /// These are sent now.
    pub(super) fn begin(&mut self, batch: &[Asked]) {
        self.begun = batch.first().map_or(self.begun, |asked| asked.number);
        for asked in batch {
            if let Op::Give { role } = asked.op {
                self.asked.entry(role).or_default().insert(asked.number);
            }
        }
        for asked in batch {
            match asked.op {
                Op::RevokeLease { lease } => {
                    self.given_up.insert(lease);
                }
                Op::RevokePrefix { role, .. } => {
                    self.given_up.extend(self.asked.get(role).into_iter().flatten());
                }
                _ => {}
            }
        }
    }

    /// The account of this lease may go at any time.
    pub(super) fn give_up(&mut self, lease: u64) {
        self.given_up.insert(lease);
    }

    /// Nobody knows what came of this.
    pub(super) fn unanswered(&mut self, asked: &Asked, outside: &Outside) {
        match asked.op {
            Op::RenewLease { lease, .. } => {
                self.unsure.insert(lease);
            }
            // Where one of many fails, all are tried again.
            Op::RevokePrefix { .. } => outside.note_lost(),
            _ => {}
        }
    }

    /// What an answer says must be true outside.
    pub(super) fn answered(
        &mut self,
        asked: &Asked,
        got: &Got,
        outside: &Outside,
    ) -> Result<(), String> {
        match (&asked.op, got.status) {
            (Op::Give { .. }, 200) => {
                let text =
                    |name: &str| got.body["data"][name].as_str().unwrap_or_default().to_owned();
                let (name, password) = (text("username"), text("password"));
                let lets_in = outside.servers.lets_in(SERVER, &name, &password);
                if !lets_in && !outside.is_revoked(&name) {
                    return Err(format!("the account of request {} is not there", asked.number));
                }
                self.told.insert(name, Account { lease: asked.number, password });
            }
            (Op::RenewLease { lease, .. }, 200) => {
                self.unsure.remove(lease);
            }
            (Op::RevokeLease { lease }, 204) => self.all_gone(outside, |l| l == *lease)?,
            (Op::RevokePrefix { role, sync: true }, 204) => {
                let asked_for = self.asked.get(role);
                // Of what was made at the same time nobody knows which was first.
                let first = self.begun;
                self.all_gone(outside, |l| l < first && asked_for.is_some_and(|a| a.contains(&l)))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The accounts of these leases are gone.
    fn all_gone(&self, outside: &Outside, of: impl Fn(u64) -> bool) -> Result<(), String> {
        let mut accounts = self.told.iter().filter(|(_, account)| of(account.lease));
        match accounts.find(|(name, _)| outside.servers.account(SERVER, name).is_some()) {
            Some((_, account)) => {
                Err(format!("the account of request {} is there, though revoked", account.lease))
            }
            None => Ok(()),
        }
    }

    /// Leases that somebody asked to revoke and whose accounts are not `there`.
    pub(super) fn gone(&self, there: &[String]) -> BTreeSet<u64> {
        let gone = self.told.iter().filter(|(name, account)| {
            self.given_up.contains(&account.lease) && !there.contains(name)
        });
        gone.map(|(_, account)| account.lease).collect()
    }

    /// No password of an account stands in `bytes`.
    pub(super) fn no_password(&self, place: &str, bytes: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(bytes);
        match self.told.values().find(|account| text.contains(&account.password)) {
            Some(account) => {
                Err(format!("{place} shows the password of request {}", account.lease))
            }
            None => Ok(()),
        }
    }
}

impl Run {
    /// No account was taken back early, or again without need; those that must be there are, and
    /// do not end before their leases.
    pub(super) fn taken_back(&mut self, before: &[Model]) -> Result<(), String> {
        let now = self.machine.now()?;
        for line in self.machine.outside.heard() {
            self.tell(line);
        }
        for TakenBack { account, times, excused } in self.machine.outside.news()? {
            // What nobody was told of is taken back twice, to be sure.
            let Some(Account { lease, .. }) = self.accounts.told.get(&account) else { continue };
            if !excused {
                return Err(format!("the account of request {lease} was taken back {times} times"));
            }
            let mut worlds = before.iter().chain(&self.worlds);
            let due = worlds.any(|world| !world.holds_lease(*lease, now));
            if !due && !self.accounts.given_up.contains(lease) {
                return Err(format!("the account of request {lease} was taken back early"));
            }
        }
        for (name, Account { lease, .. }) in &self.accounts.told {
            let end = |world: &Model| world.lease_end(*lease, now);
            let ends = self.worlds.iter().map(end).min().flatten();
            let (Some(ends), false) = (ends, self.accounts.given_up.contains(lease)) else {
                continue;
            };
            let account = self.machine.outside.servers.account(SERVER, name);
            let Some(account) = account else {
                return Err(format!("the account of request {lease} is not there any more"));
            };
            if account.expires.0 < ends && !self.accounts.unsure.contains(lease) {
                return Err(format!("the account of request {lease} ends before its lease"));
            }
        }
        self.nobody_is_cut_off(before)
    }

    /// Every account whose lease has ended was taken back.
    pub(super) fn nothing_is_left(&self) -> Result<(), String> {
        let now = self.machine.now()?;
        let there = self.machine.outside.there();
        for (name, Account { lease, .. }) in &self.accounts.told {
            let due = self.worlds.iter().all(|world| !world.holds_lease(*lease, now));
            if due && there.contains(name) {
                return Err(format!("the account of request {lease} was not taken back"));
            }
        }
        Ok(())
    }
}
