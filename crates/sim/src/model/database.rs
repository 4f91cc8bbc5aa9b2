//! The database mount: its connection, its roles, and the leases of the accounts it gave out.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_base::time::NANOS_PER_SECOND;

use super::{ANY, EITHER, Model};
use crate::ops::{Op, Who};

/// The database mount.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Database {
    /// The request that made it: what another one gave out is not this one's.
    incarnation: u64,
    /// Is there a connection?
    connected: bool,
    roles: BTreeMap<&'static str, Role>,
    /// When all leases of a role were revoked last: until this time, and at it.
    swept: BTreeMap<&'static str, i64>,
}

/// What accounts of a role get, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Role {
    ttl: i64,
    /// Over all renewals.
    max: i64,
}

/// A lease of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    issued: i64,
    expires: i64,
    mount: u64,
    role: &'static str,
    /// Most seconds over all renewals, as its role had it when it was made.
    max: i64,
    /// The token it ends with; `None` is the root token.
    token: Option<u64>,
    /// The end of the batch token that asked for it: no renewal passes it.
    within: i64,
    /// All of its role were revoked, and some could not be, or this one was made at that moment: whether
    /// it is gone already, goes later, or stays, nobody was told.
    doubtful: bool,
}

impl Model {
    /// Numbers of leases.
    pub fn leases(&self) -> Vec<u64> {
        self.leases.keys().copied().collect()
    }

    /// The revocation of all leases of a role did not come to its end.
    pub fn doubt(&mut self, role: &str) {
        for lease in self.leases.values_mut().filter(|lease| lease.role == role) {
            lease.doubtful = true;
        }
    }

    /// Is it unknown whether the lease is there?
    pub fn doubts(&self, number: u64) -> bool {
        self.leases.get(&number).is_some_and(|lease| lease.doubtful)
    }

    /// Is the database mount there?
    pub fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// Has it a connection?
    pub fn is_connected(&self) -> bool {
        self.database.as_ref().is_some_and(|database| database.connected)
    }

    /// Has it the role?
    pub fn has_role(&self, role: &str) -> bool {
        self.database.as_ref().is_some_and(|database| database.roles.contains_key(role))
    }

    /// Must the account of this lease still be there?
    pub fn holds_lease(&self, number: u64, now: i64) -> bool {
        self.lease_end(number, now).is_some()
    }

    /// When the lease ends, if its account must still be there.
    pub fn lease_end(&self, number: u64, now: i64) -> Option<i64> {
        let lease = self.leases.get(&number)?;
        let mount = self.database.as_ref().map(|database| database.incarnation);
        let holds = lease.expires > now
            && mount == Some(lease.mount)
            && lease.token.is_none_or(|token| self.is_live(token, now));
        holds.then_some(lease.expires)
    }

    pub(super) fn database(&mut self, number: u64, op: &Op) -> (u16, Value) {
        match op {
            Op::EnableDatabase if self.database.is_some() => return (400, Value::Null),
            Op::EnableDatabase => {
                self.database = Some(Database { incarnation: number, ..Database::default() });
            }
            Op::DisableDatabase => self.database = None,
            _ => {
                let Some(database) = &mut self.database else { return (404, Value::Null) };
                match op {
                    Op::PutConnection { .. } => database.connected = true,
                    Op::DeleteConnection => database.connected = false,
                    Op::PutAccountRole { role, ttl, max } => {
                        database.roles.insert(role, Role { ttl: *ttl, max: *max });
                    }
                    Op::DeleteAccountRole { role } => {
                        database.roles.remove(role);
                    }
                    _ => return (0, Value::Null),
                }
            }
        }
        (204, Value::Null)
    }

    pub(super) fn lease(&mut self, number: u64, who: Who, op: &Op, now: i64) -> (u16, Value) {
        match op {
            Op::Give { role } => self.give(number, who, role, now),
            Op::RenewLease { lease, increment }
                if self.doubts(*lease) && self.holds_lease(*lease, now) =>
            {
                match self.renew(*lease, *increment, now) {
                    (200, _) => (EITHER, Value::Null),
                    refused => refused,
                }
            }
            Op::RevokeLease { lease } if self.doubts(*lease) => {
                self.leases.remove(lease);
                (EITHER, Value::Null)
            }
            Op::RenewLease { lease, increment } if self.holds_lease(*lease, now) => {
                self.renew(*lease, *increment, now)
            }
            Op::RevokeLease { lease } if self.holds_lease(*lease, now) => {
                if !self.is_connected() {
                    return (400, Value::Null);
                }
                self.leases.remove(lease);
                (204, Value::Null)
            }
            Op::RevokePrefix { role, sync } => {
                let connected = self.is_connected();
                let held =
                    self.leases.iter().any(|(n, l)| l.role == *role && self.holds_lease(*n, now));
                if *sync && held && !connected {
                    return (400, Value::Null);
                }
                self.leases.retain(|_, lease| lease.role != *role);
                if let Some(database) = &mut self.database {
                    database.swept.insert(role, now);
                }
                match (sync, connected) {
                    (false, _) => (202, Value::Null),
                    (true, true) => (204, Value::Null),
                    // What has ended and could not be taken back yet is among them, or not.
                    (true, false) => (EITHER, Value::Null),
                }
            }
            _ => (ANY, Value::Null),
        }
    }

    fn give(&mut self, number: u64, who: Who, role: &'static str, now: i64) -> (u16, Value) {
        let Some(database) = &self.database else { return (404, Value::Null) };
        let found = database.roles.get(role).filter(|_| database.connected);
        let Some(Role { ttl, max }) = found.copied() else { return (400, Value::Null) };
        let mut expires = now + ttl.min(max) * NANOS_PER_SECOND;
        let mount = database.incarnation;
        let (mut token, mut within) = (None, i64::MAX);
        if let Who::Token(caller) = who
            && let Some(own) = self.tokens.get(&caller)
        {
            token = Some(caller);
            if own.batch {
                token = own.parent;
                within = own.expires;
                expires = expires.min(within);
            }
        }
        // What is issued at that very time may be among what is revoked, or not.
        let doubtful = database.swept.get(role) == Some(&now);
        let lease = Lease { issued: now, expires, mount, role, max, token, within, doubtful };
        self.leases.insert(number, lease);
        (200, json!((expires - now) / NANOS_PER_SECOND))
    }

    fn renew(&mut self, number: u64, increment: i64, now: i64) -> (u16, Value) {
        let Some(mut lease) = self.leases.get(&number).cloned() else { return (0, Value::Null) };
        let database = self.database.iter().find(|database| database.connected);
        // What the role allows now counts, beside what it allowed then.
        let Some(role) = database.and_then(|database| database.roles.get(lease.role)) else {
            return (400, Value::Null);
        };
        let end = lease.issued + lease.max.min(role.max) * NANOS_PER_SECOND;
        let end = end.min(lease.within);
        if end <= now {
            return (400, Value::Null);
        }
        lease.expires = (now + increment * NANOS_PER_SECOND).min(end);
        let left = (lease.expires - now) / NANOS_PER_SECOND;
        self.leases.insert(number, lease);
        (200, json!(left))
    }
}
