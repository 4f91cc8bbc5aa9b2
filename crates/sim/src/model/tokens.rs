//! Tokens: made, by logins too, renewed, revoked, and gone with their parents.

use serde_json::{Value, json};
use strongroom_base::time::NANOS_PER_SECOND;

use super::Model;
use super::policy::{DEFAULT, Policy, granted};
use crate::ops::{LOGIN_TTL, Op, Who};

/// The longest life of a token: 768 h.
const MAX_TTL: i64 = 768 * 3_600;

/// A token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) policies: Vec<String>,
    pub(super) created: i64,
    pub(super) expires: i64,
    pub(super) explicit_max: i64,
    /// Uses left; `None` is without limit.
    pub(super) uses: Option<i64>,
    pub(super) parent: Option<u64>,
    pub(super) batch: bool,
    /// Made by the AppRole mount of this incarnation.
    pub(super) approle: Option<u64>,
    /// Made by the user's login.
    pub(super) user: bool,
}

impl Model {
    /// Numbers of the tokens that live.
    pub fn live_tokens(&self, now: i64) -> Vec<u64> {
        self.tokens.keys().copied().filter(|n| self.is_live(*n, now)).collect()
    }

    /// Is a token good at `now`?
    pub fn is_live(&self, number: u64, now: i64) -> bool {
        let Some(token) = self.tokens.get(&number) else { return false };
        if token.expires <= now || token.uses.is_some_and(|left| left <= 0) {
            return false;
        }
        let mount = self.approle.as_ref().map(|a| a.incarnation);
        if token.approle.is_some() && token.approle != mount {
            return false;
        }
        token.parent.is_none_or(|parent| self.is_live(parent, now))
    }

    /// Was the last use of the token taken?
    pub fn is_used_up(&self, number: u64) -> bool {
        self.tokens.get(&number).is_some_and(|token| token.uses == Some(0))
    }

    pub(super) fn may(&self, token: &Token, path: &str, capability: u8) -> bool {
        let none = Policy::default();
        let own = token.policies.iter().map(|name| {
            self.policies.iter().find(|(n, _)| *n == name).map_or(&none, |(_, policy)| policy)
        });
        let own = own.flat_map(|policy| policy.0.iter());
        let default = token.policies.iter().any(|p| p == "default");
        let default = DEFAULT.iter().filter(|_| default);
        granted(own.chain(default), path) & capability != 0
    }

    pub(super) fn login(
        &mut self,
        number: u64,
        policies: &[&'static str],
        approle: Option<u64>,
        now: i64,
    ) -> (u16, Value) {
        let policies = with_default(policies.iter().map(|p| (*p).to_owned()).collect());
        let token = Token {
            policies: policies.clone(),
            created: now,
            expires: now + LOGIN_TTL * NANOS_PER_SECOND,
            explicit_max: 0,
            uses: None,
            parent: None,
            batch: false,
            approle,
            user: approle.is_none(),
        };
        self.tokens.insert(number, token);
        (200, json!([LOGIN_TTL, policies]))
    }

    pub(super) fn tokens(&mut self, number: u64, who: Who, op: &Op, now: i64) -> (u16, Value) {
        let own = match who {
            Who::Token(n) => self.tokens.get(&n).cloned().map(|token| (n, token)),
            _ => None,
        };
        match (op, own) {
            (Op::CreateToken { .. }, own) => self.create(number, op, own, now),
            (Op::LookupSelf, Some((_, token))) => {
                let left = (token.expires - now) / NANOS_PER_SECOND;
                (200, json!([left, token.policies]))
            }
            (Op::RenewSelf { increment }, Some((n, mut token))) => {
                let same = |user: &Vec<&str>| {
                    let policies = user.iter().map(|p| (*p).to_owned()).collect();
                    with_default(policies) == token.policies
                };
                if token.batch || token.user && !self.user.as_ref().is_some_and(same) {
                    return (400, Value::Null);
                }
                if token.uses == Some(0) {
                    // Its last use: what is used up is not renewed.
                    return (400, Value::Null);
                }
                let max = if token.explicit_max > 0 { token.explicit_max } else { MAX_TTL };
                let end = token.created + max * NANOS_PER_SECOND;
                if end <= now {
                    return (0, Value::Null);
                }
                token.expires = (now + increment * NANOS_PER_SECOND).min(end);
                let left = (token.expires - now) / NANOS_PER_SECOND;
                self.tokens.insert(n, token);
                (200, json!(left))
            }
            (Op::RevokeSelf, Some((n, token))) => {
                if token.batch {
                    return (400, Value::Null);
                }
                self.tokens.remove(&n);
                (204, Value::Null)
            }
            (Op::Revoke { token }, _) => {
                if self.wraps.get(token).is_some_and(|w| w.expires > now) {
                    self.wraps.remove(token);
                }
                if self.is_live(*token, now) {
                    if self.tokens.get(token).is_some_and(|t| t.batch) {
                        return (400, Value::Null);
                    }
                    self.tokens.remove(token);
                }
                (204, Value::Null)
            }
            (Op::RevokeOrphan { token }, _) => {
                if self.wraps.get(token).is_some_and(|w| w.expires > now) {
                    self.wraps.remove(token);
                    return (204, Value::Null);
                }
                let batch = self.tokens.get(token).is_some_and(|t| t.batch);
                if batch || !self.is_live(*token, now) {
                    return (400, Value::Null);
                }
                self.tokens.remove(token);
                // A batch token names its parent for good, and ends with it.
                self.tokens.retain(|_, t| !(t.batch && t.parent == Some(*token)));
                for child in self.tokens.values_mut().filter(|t| t.parent == Some(*token)) {
                    child.parent = None;
                }
                (204, Value::Null)
            }
            _ => (0, Value::Null),
        }
    }

    fn create(
        &mut self,
        number: u64,
        op: &Op,
        own: Option<(u64, Token)>,
        now: i64,
    ) -> (u16, Value) {
        let Op::CreateToken { policies, ttl, explicit_max, uses, orphan, batch, .. } = op else {
            return (0, Value::Null);
        };
        if *batch && (*uses != 0 || *explicit_max != 0) {
            return (400, Value::Null);
        }
        let mut names: Vec<String> = policies.iter().map(|p| (*p).to_owned()).collect();
        if let Some((_, parent)) = &own {
            let more = names.iter().any(|n| !parent.policies.contains(n));
            // It is the limit that counts, not what is left of it.
            if parent.batch || parent.uses.is_some() || *orphan || more {
                return (400, Value::Null);
            }
            if names.is_empty() {
                names = parent.policies.clone();
            }
        }
        let names = with_default(names);
        let ttl = if *explicit_max > 0 { (*ttl).min(*explicit_max) } else { *ttl };
        let token = Token {
            policies: names.clone(),
            created: now,
            expires: now + ttl * NANOS_PER_SECOND,
            explicit_max: *explicit_max,
            uses: (*uses > 0).then_some(*uses),
            parent: own.map(|(n, _)| n),
            batch: *batch,
            approle: None,
            user: false,
        };
        self.tokens.insert(number, token);
        (200, json!([ttl, names]))
    }
}

fn with_default(mut names: Vec<String>) -> Vec<String> {
    names.push("default".to_owned());
    names.sort();
    names.dedup();
    names
}
