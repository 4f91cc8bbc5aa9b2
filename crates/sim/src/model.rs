//! The model: what the server must answer, in plain maps. It shares no code with the core.
//!
//! A step is a function of the model, the caller, the operation and the time. It says the answer,
//! the model after the whole operation, and the model where only a use of the caller's token was
//! taken: what a crash or a failing disk may leave.

mod approle;
mod database;
mod kv;
mod policy;
mod tokens;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_base::time::NANOS_PER_SECOND;

use crate::ops::{Op, Who};
use approle::AppRole;
use database::{Database, Lease};
use kv::{Secret, kv};
pub use policy::{Policy, caps};
use tokens::Token;

/// Any answer will do: what is revoked already may be cleared away or not yet.
pub const ANY: u16 = 1;
/// Success, or 400 that leaves everything as it was: it depends on what was cleared away.
pub const EITHER: u16 = 2;

/// A wrapped value.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wrapped {
    value: String,
    expires: i64,
}

/// Everything that the server holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    mounts: BTreeMap<&'static str, BTreeMap<&'static str, Secret>>,
    policies: BTreeMap<&'static str, Policy>,
    tokens: BTreeMap<u64, Token>,
    wraps: BTreeMap<u64, Wrapped>,
    database: Option<Database>,
    leases: BTreeMap<u64, Lease>,
    approle: Option<AppRole>,
    user: Option<Vec<&'static str>>,
}

/// What the model says of an operation.
pub struct Said {
    /// The status; 0 is any refusal but that of policy (400, 404), [`ANY`] what is not decided.
    pub status: u16,
    /// What the answer shows, as [`shown`] picks it; null where nothing is compared.
    pub data: Value,
    /// The model afterwards.
    pub next: Model,
    /// The model where only a use was taken, if one was to be taken.
    pub used: Option<Model>,
}

impl Said {
    /// The model where nothing came of the operation; `before` is the one it began with.
    pub fn nothing(self, before: &Model) -> Model {
        self.used.unwrap_or_else(|| before.clone())
    }
}

/// What of an answer is compared.
pub fn shown(op: &Op, body: &Value) -> Value {
    let data = &body["data"];
    match op {
        Op::Put { .. } => data["version"].clone(),
        Op::Get { .. } => json!([data["data"]["v"], data["metadata"]["version"]]),
        Op::List { .. } => data["keys"].clone(),
        Op::LookupSelf => json!([data["ttl"], data["policies"]]),
        Op::Give { .. } | Op::RenewLease { .. } => body["lease_duration"].clone(),
        Op::RenewSelf { .. } => body["auth"]["lease_duration"].clone(),
        Op::CreateToken { .. } | Op::Login { .. } | Op::UserLogin { .. } => {
            json!([body["auth"]["lease_duration"], body["auth"]["policies"]])
        }
        Op::Unwrap { .. } => data["v"].clone(),
        _ => Value::Null,
    }
}

impl Model {
    /// Numbers of wrapping tokens.
    pub fn wrapping_tokens(&self) -> Vec<u64> {
        self.wraps.keys().copied().collect()
    }

    /// One step.
    pub fn step(&self, number: u64, who: Who, op: &Op, path: &str, now: i64) -> Said {
        let said = |status, data, next, used| Said { status, data, next, used };
        let mut next = self.clone();
        let mut used = None;
        match who {
            // A wrapping token may unwrap and nothing else; what it tries is its one use.
            Who::Token(caller) if self.wraps.contains_key(&caller) => {
                let live = self.wraps.get(&caller).is_some_and(|w| w.expires > now);
                if live {
                    next.wraps.remove(&caller);
                    used = Some(next.clone());
                }
                return said(403, Value::Null, next, used);
            }
            Who::Token(caller) => {
                if !self.is_live(caller, now) {
                    return said(403, Value::Null, next, None);
                }
                let mut limited = false;
                if let Some(token) = next.tokens.get_mut(&caller)
                    && let Some(left) = &mut token.uses
                {
                    *left -= 1;
                    limited = true;
                }
                if limited {
                    used = Some(next.clone());
                }
                let path = path.split('?').next().unwrap_or(path);
                let slash =
                    if matches!(op, Op::List { .. }) && !path.ends_with('/') { "/" } else { "" };
                let path = format!("{path}{slash}");
                let allowed =
                    self.tokens.get(&caller).is_some_and(|t| self.may(t, &path, op.capability()));
                if !allowed {
                    return said(403, Value::Null, next, used);
                }
            }
            Who::Wrapping(wrap) => {
                let live = self.wraps.get(&wrap).is_some_and(|w| w.expires > now);
                if !live {
                    return said(0, Value::Null, next, None);
                }
                let mut spent = self.clone();
                spent.wraps.remove(&wrap);
                used = Some(spent);
            }
            Who::Root | Who::Nobody => {}
        }
        let before = next.clone();
        let (status, data) = next.effect(number, who, op, now);
        if status >= 400 || status <= ANY {
            return said(status, Value::Null, before, used);
        }
        said(status, data, next, used)
    }

    fn effect(&mut self, number: u64, who: Who, op: &Op, now: i64) -> (u16, Value) {
        match op {
            Op::Put { mount, .. }
            | Op::Get { mount, .. }
            | Op::DeleteLatest { mount, .. }
            | Op::Versions { mount, .. }
            | Op::DeleteSecret { mount, .. }
            | Op::List { mount, .. } => match self.mounts.get_mut(mount) {
                Some(secrets) => kv(secrets, op),
                None => (404, Value::Null),
            },
            Op::SetPolicy { name, policy } => {
                self.policies.insert(name, policy.clone());
                (204, Value::Null)
            }
            Op::DeletePolicy { name } => {
                self.policies.remove(name);
                (204, Value::Null)
            }
            Op::Enable { mount } => match self.mounts.contains_key(mount) {
                true => (400, Value::Null),
                false => {
                    self.mounts.insert(mount, BTreeMap::new());
                    (204, Value::Null)
                }
            },
            Op::Disable { mount } => {
                self.mounts.remove(mount);
                (204, Value::Null)
            }
            Op::Wrap { value, ttl } => {
                let expires = now + ttl * NANOS_PER_SECOND;
                self.wraps.insert(number, Wrapped { value: value.clone(), expires });
                (200, Value::Null)
            }
            Op::Unwrap { wrap } => match self.wraps.remove(wrap) {
                Some(wrapped) if wrapped.expires > now => (200, json!(wrapped.value)),
                _ => (0, Value::Null),
            },
            Op::Give { .. }
            | Op::RenewLease { .. }
            | Op::RevokeLease { .. }
            | Op::RevokePrefix { .. } => self.lease(number, who, op, now),
            Op::EnableDatabase
            | Op::DisableDatabase
            | Op::PutConnection { .. }
            | Op::DeleteConnection
            | Op::PutAccountRole { .. }
            | Op::DeleteAccountRole { .. } => self.database(number, op),
            Op::Rotate => (204, Value::Null),
            Op::ReadTurned { .. } | Op::AckTurned { .. } => (200, Value::Null),
            // What is under way is not the model's business.
            Op::ForceTurned { .. } | Op::AbortTurned { .. } => (ANY, Value::Null),
            Op::SetUser { policies } => {
                self.user = Some(policies.clone());
                (204, Value::Null)
            }
            Op::DeleteUser => {
                self.user = None;
                (204, Value::Null)
            }
            Op::UserLogin { right } => match (self.user.clone(), right) {
                (Some(policies), true) => self.login(number, &policies, None, now),
                _ => (400, Value::Null),
            },
            Op::EnableAppRole
            | Op::DisableAppRole
            | Op::SetRole { .. }
            | Op::SecretId { .. }
            | Op::Login { .. } => self.approle(number, op, now),
            _ => self.tokens(number, who, op, now),
        }
    }
}
