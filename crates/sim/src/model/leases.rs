//! Leases of credentials.

use serde_json::{Value, json};
use strongroom_base::time::NANOS_PER_SECOND;

use super::{ANY, Model};
use crate::giver::{LEASE_MAX, TTLS};
use crate::ops::{Op, Who};

/// A lease of a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    issued: i64,
    expires: i64,
    /// The token it ends with; `None` is the root token.
    token: Option<u64>,
    /// The end of the batch token that asked for it: no renewal passes it.
    within: i64,
}

impl Model {
    /// Numbers of leases.
    pub fn leases(&self) -> Vec<u64> {
        self.leases.keys().copied().collect()
    }

    /// Must the credential of this lease still be there?
    pub fn holds_lease(&self, number: u64, now: i64) -> bool {
        self.leases.get(&number).is_some_and(|lease| {
            lease.expires > now && lease.token.is_none_or(|token| self.is_live(token, now))
        })
    }

    pub(super) fn lease(&mut self, number: u64, who: Who, op: &Op, now: i64) -> (u16, Value) {
        match op {
            Op::Give { role } => {
                let ttl = TTLS.iter().find(|(name, _)| name == role).map_or(0, |(_, ttl)| *ttl);
                let mut expires = now + ttl * NANOS_PER_SECOND;
                let mut token = None;
                let mut within = i64::MAX;
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
                self.leases.insert(number, Lease { issued: now, expires, token, within });
                (200, json!((expires - now) / NANOS_PER_SECOND))
            }
            Op::RenewLease { lease, increment } if self.holds_lease(*lease, now) => {
                let Some(lease) = self.leases.get_mut(lease) else { return (0, Value::Null) };
                let end = (lease.issued + LEASE_MAX * NANOS_PER_SECOND).min(lease.within);
                lease.expires = (now + increment * NANOS_PER_SECOND).min(end);
                (200, json!((lease.expires - now) / NANOS_PER_SECOND))
            }
            Op::RevokeLease { lease } if self.holds_lease(*lease, now) => {
                self.leases.remove(lease);
                (204, Value::Null)
            }
            _ => (ANY, Value::Null),
        }
    }
}
