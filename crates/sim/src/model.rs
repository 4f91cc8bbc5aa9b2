//! The model: what the server must answer, in plain maps. It shares no code with the core.
//!
//! A step is a function of the model, the caller, the operation and the time. It says the answer,
//! the model after the whole operation, and the model where only a use of the caller's token was
//! taken: what a crash or a failing disk may leave.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_base::time::NANOS_PER_SECOND;

use crate::giver::{LEASE_MAX, TTLS};
use crate::ops::{LOGIN_TTL, Op, Who};

/// Capabilities as bits.
pub mod caps {
    /// `read`
    pub const READ: u8 = 1;
    /// `create` and `update`
    pub const WRITE: u8 = 2;
    /// `delete`
    pub const DELETE: u8 = 4;
    /// `list`
    pub const LIST: u8 = 8;
    /// `deny`
    pub const DENY: u8 = 16;
}

/// Any answer will do: what is revoked already may be cleared away or not yet.
pub const ANY: u16 = 1;

/// The longest life of a token: 768 h.
const MAX_TTL: i64 = 768 * 3_600;
/// Versions that a secret keeps.
const VERSIONS_MAX: u64 = 10;

/// A policy: patterns (exact, or with a `*` at the end) and what they allow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy(pub Vec<(&'static str, u8)>);

impl Policy {
    /// As HCL.
    pub fn text(&self) -> String {
        let mut out = String::from("# simulated\n");
        for (pattern, bits) in &self.0 {
            let names: Vec<&str> = [
                (caps::READ, "\"read\""),
                (caps::WRITE, "\"create\", \"update\""),
                (caps::DELETE, "\"delete\""),
                (caps::LIST, "\"list\""),
                (caps::DENY, "\"deny\""),
            ]
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, name)| *name)
            .collect();
            let names = names.join(", ");
            out.push_str(&format!("path \"{pattern}\" {{ capabilities = [{names}] }}\n"));
        }
        out
    }
}

/// A version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    value: String,
    deleted: bool,
    destroyed: bool,
}

/// A secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Secret {
    current: u64,
    versions: BTreeMap<u64, Version>,
}

/// A token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    policies: Vec<String>,
    created: i64,
    expires: i64,
    explicit_max: i64,
    /// Uses left; `None` is without limit.
    uses: Option<i64>,
    parent: Option<u64>,
    batch: bool,
    /// Made by the AppRole mount of this incarnation.
    approle: Option<u64>,
    /// Made by the user's login.
    user: bool,
}

/// A wrapped value.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wrapped {
    value: String,
    expires: i64,
}

/// A lease of a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Lease {
    issued: i64,
    expires: i64,
    /// The token it ends with; `None` is the root token.
    token: Option<u64>,
    /// The end of the batch token that asked for it: no renewal passes it.
    within: i64,
}

/// The AppRole mount.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct AppRole {
    incarnation: u64,
    role: Option<Vec<&'static str>>,
    secrets: BTreeMap<u64, i64>,
}

/// Everything that the server holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    mounts: BTreeMap<&'static str, BTreeMap<&'static str, Secret>>,
    policies: BTreeMap<&'static str, Policy>,
    tokens: BTreeMap<u64, Token>,
    wraps: BTreeMap<u64, Wrapped>,
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

/// The pattern that counts for a path among these rules, and what it grants: exact before the
/// longest prefix, equal patterns together, deny over all.
fn granted<'a>(rules: impl Iterator<Item = &'a (&'static str, u8)>, path: &str) -> u8 {
    let mut best: Option<(usize, u8)> = None;
    for (pattern, bits) in rules {
        let rank = match pattern.strip_suffix('*') {
            Some(prefix) if path.starts_with(prefix) => prefix.len(),
            None if *pattern == path => usize::MAX,
            _ => continue,
        };
        best = match best {
            Some((r, _)) if r > rank => best,
            Some((r, b)) if r == rank => Some((r, b | bits)),
            _ => Some((rank, *bits)),
        };
    }
    match best {
        Some((_, bits)) if bits & caps::DENY == 0 => bits,
        _ => 0,
    }
}

/// What every token may by the policy `default`.
const DEFAULT: &[(&str, u8)] = &[
    ("auth/token/lookup-self", caps::READ),
    ("auth/token/renew-self", caps::WRITE),
    ("auth/token/revoke-self", caps::WRITE),
    ("sys/wrapping/wrap", caps::WRITE),
];

impl Model {
    /// Numbers of the tokens that live.
    pub fn live_tokens(&self, now: i64) -> Vec<u64> {
        self.tokens.keys().copied().filter(|n| self.is_live(*n, now)).collect()
    }

    /// Numbers of wrapping tokens.
    pub fn wrapping_tokens(&self) -> Vec<u64> {
        self.wraps.keys().copied().collect()
    }

    /// Numbers of secret ids.
    pub fn secret_ids(&self) -> Vec<u64> {
        self.approle.iter().flat_map(|a| a.secrets.keys().copied()).collect()
    }

    fn is_live(&self, number: u64, now: i64) -> bool {
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

    fn may(&self, token: &Token, path: &str, capability: u8) -> bool {
        let none = Policy::default();
        let own = token.policies.iter().map(|name| {
            self.policies.iter().find(|(n, _)| *n == name).map_or(&none, |(_, policy)| policy)
        });
        let own = own.flat_map(|policy| policy.0.iter());
        let default = token.policies.iter().any(|p| p == "default");
        let default = DEFAULT.iter().filter(|_| default);
        granted(own.chain(default), path) & capability != 0
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
            Op::Give { .. } | Op::RenewLease { .. } | Op::RevokeLease { .. } => {
                self.lease(number, who, op, now)
            }
            Op::Rotate => (204, Value::Null),
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

    fn lease(&mut self, number: u64, who: Who, op: &Op, now: i64) -> (u16, Value) {
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

    fn approle(&mut self, number: u64, op: &Op, now: i64) -> (u16, Value) {
        if let Op::EnableAppRole = op {
            if self.approle.is_some() {
                return (400, Value::Null);
            }
            self.approle = Some(AppRole { incarnation: number, ..AppRole::default() });
            return (204, Value::Null);
        }
        let Some(approle) = &mut self.approle else {
            return match op {
                Op::DisableAppRole => (204, Value::Null),
                Op::Login { .. } => (403, Value::Null),
                _ => (404, Value::Null),
            };
        };
        match op {
            Op::DisableAppRole => {
                self.approle = None;
                (204, Value::Null)
            }
            Op::SetRole { policies } => {
                approle.role = Some(policies.clone());
                (204, Value::Null)
            }
            Op::SecretId { uses } if approle.role.is_some() => {
                approle.secrets.insert(number, *uses);
                (200, Value::Null)
            }
            Op::Login { secret } => {
                let Some(left) = approle.secrets.get_mut(secret) else { return (400, Value::Null) };
                let last = *left == 1;
                *left = if *left > 0 { *left - 1 } else { 0 };
                if last {
                    approle.secrets.remove(secret);
                }
                let incarnation = approle.incarnation;
                let policies = approle.role.clone().unwrap_or_default();
                self.login(number, &policies, Some(incarnation), now)
            }
            _ => (0, Value::Null),
        }
    }

    fn login(
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

    fn tokens(&mut self, number: u64, who: Who, op: &Op, now: i64) -> (u16, Value) {
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
        let Op::CreateToken { policies, ttl, explicit_max, uses, orphan, batch } = op else {
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

fn kv(secrets: &mut BTreeMap<&'static str, Secret>, op: &Op) -> (u16, Value) {
    match op {
        Op::Put { path, value, cas, .. } => {
            let secret = secrets.get(path).cloned().unwrap_or_default();
            if cas.is_some_and(|cas| cas != secret.current) {
                return (400, Value::Null);
            }
            let secret = secrets.entry(path).or_default();
            secret.current += 1;
            let version = Version { value: value.clone(), deleted: false, destroyed: false };
            secret.versions.insert(secret.current, version);
            let oldest = (secret.current + 1).saturating_sub(VERSIONS_MAX);
            secret.versions.retain(|n, _| *n >= oldest);
            (200, json!(secret.current))
        }
        Op::Get { path, version, .. } => {
            let Some(secret) = secrets.get(path) else { return (404, Value::Null) };
            let number = if *version == 0 { secret.current } else { *version };
            match secret.versions.get(&number) {
                Some(v) if !v.deleted && !v.destroyed => (200, json!([v.value, number])),
                _ => (404, Value::Null),
            }
        }
        Op::DeleteLatest { path, .. } => {
            if let Some(secret) = secrets.get_mut(path)
                && let Some(version) = secret.versions.get_mut(&secret.current)
            {
                version.deleted = true;
            }
            (204, Value::Null)
        }
        Op::Versions { path, verb, version, .. } => {
            let found = secrets.get_mut(path).and_then(|s| s.versions.get_mut(version));
            if let Some(found) = found {
                match *verb {
                    "delete" => found.deleted = true,
                    "undelete" => found.deleted = false,
                    _ => found.destroyed = true,
                }
            }
            (204, Value::Null)
        }
        Op::DeleteSecret { path, .. } => {
            secrets.remove(path);
            (204, Value::Null)
        }
        Op::List { folder, .. } => {
            let mut names: Vec<String> = secrets
                .keys()
                .filter_map(|path| path.strip_prefix(folder))
                .map(|rest| match rest.split_once('/') {
                    Some((head, _)) => format!("{head}/"),
                    None => rest.to_owned(),
                })
                .collect();
            names.sort();
            names.dedup();
            if names.is_empty() { (404, Value::Null) } else { (200, json!(names)) }
        }
        _ => (0, Value::Null),
    }
}
