//! What a program answers: `pb.Auth`, or why not.
//!
//! Invariant: a struct is made by a program's own text alone: an object in a claim is never taken for
//! one.

use std::collections::BTreeMap;

use cel::Value;
use cel::common::types::{self, Type};
use cel::objects::Key;
use strongroom_base::{Error, Result};
use strongroom_kernel::plug::{Grant, GrantAlias, TokenParams};
use strongroom_kernel::tokens::normalise_policies;

use super::super::policies::MAY_NOT_STAND;
use crate::token_params::{self, read_cidrs};

/// The structs of programs.
pub const STRUCTS: &[&str] = &[AUTH, "pb.LeaseOptions", ALIAS];
/// What lets a caller in.
const AUTH: &str = "pb.Auth";
/// Who somebody is.
const ALIAS: &str = "logical.Alias";
/// Characters of a program's own text that a caller is told.
const MESSAGE_MAX: usize = 512;
/// Nanoseconds of a second: times of `pb.Auth` are in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// A field of a struct.
pub struct StructField {
    /// The struct.
    pub of: &'static str,
    /// The field.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
}

/// What a field takes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
    /// A whole number.
    Int,
    /// A whole number that is not below zero.
    Uint,
    /// Yes or no.
    Bool,
    /// A struct.
    Struct(&'static str),
}

impl Kind {
    /// The library's name of it.
    pub fn of_cel(self) -> Type {
        match self {
            Self::Text => types::STRING_TYPE,
            Self::List => types::LIST_TYPE,
            Self::Map => types::MAP_TYPE,
            Self::Int => types::INT_TYPE,
            Self::Uint => types::UINT_TYPE,
            Self::Bool => types::BOOL_TYPE,
            Self::Struct(name) => Type::new_struct(name.to_owned()),
        }
    }
}

const fn field(of: &'static str, name: &'static str, kind: Kind) -> StructField {
    StructField { of, name, kind }
}

/// The fields that programs set. Others of the peer's have no effect there, or would let a program say
/// what only the server knows.
pub const FIELDS: &[StructField] = &[
    field(AUTH, "display_name", Kind::Text),
    field(AUTH, "policies", Kind::List),
    field(AUTH, "metadata", Kind::Map),
    field(AUTH, "period", Kind::Int),
    field(AUTH, "num_uses", Kind::Int),
    field(AUTH, "alias", Kind::Struct(ALIAS)),
    field(AUTH, "group_aliases", Kind::List),
    field(AUTH, "bound_cidrs", Kind::List),
    field(AUTH, "explicit_max_ttl", Kind::Int),
    field(AUTH, "token_type", Kind::Uint),
    field(AUTH, "no_default_policy", Kind::Bool),
    field(AUTH, "lease_options", Kind::Struct("pb.LeaseOptions")),
    field("pb.LeaseOptions", "TTL", Kind::Int),
    field("pb.LeaseOptions", "MaxTTL", Kind::Int),
    field("pb.LeaseOptions", "renewable", Kind::Bool),
    field(ALIAS, "name", Kind::Text),
    field(ALIAS, "metadata", Kind::Map),
];

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::bad_request(format!("error executing cel program: {}", text.into())))
}

/// The grant that a program's answer stands for; `message` is the role's own for a plain no.
pub fn grant(answer: Option<Value>, message: &str) -> Result<Grant> {
    match answer {
        None => refuse("the program failed"),
        Some(Value::Bool(false)) if message.is_empty() => {
            refuse("the CEL role blocked authorization with boolean false return")
        }
        Some(Value::Bool(false)) => refuse(message),
        Some(Value::String(text)) => {
            let text: String = text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect();
            refuse(format!("the CEL role blocked authorization with message: {text}"))
        }
        Some(Value::Struct(auth)) if auth.name() == AUTH => {
            let read = auth
                .field_values()
                .into_iter()
                .map(|(name, value)| Value::try_from(&*value).map(|value| (name, value)));
            let Ok(fields) = read.collect::<Result<BTreeMap<_, _>, _>>() else {
                return refuse("the program's answer is odd");
            };
            Fields(fields).grant()
        }
        Some(_) => refuse("the program returned an unexpected type"),
    }
}

/// The fields of a struct.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn of(value: &Value, name: &str) -> Option<Self> {
        let Value::Struct(whole) = value else { return None };
        if whole.name() != name {
            return None;
        }
        let read = whole
            .field_values()
            .into_iter()
            .map(|(name, value)| Value::try_from(&*value).ok().map(|value| (name, value)));
        read.collect::<Option<_>>().map(Self)
    }

    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Value::String(text)) => text.as_str().to_owned(),
            _ => String::new(),
        }
    }

    fn is(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Bool(true)))
    }

    fn number(&self, name: &str) -> Result<i64> {
        match self.0.get(name) {
            None => Ok(0),
            Some(Value::Int(number)) if *number >= 0 => Ok(*number),
            Some(Value::UInt(number)) if *number <= i64::MAX as u64 => Ok(*number as i64),
            Some(_) => refuse(format!("{name} is below zero, or too large")),
        }
    }

    /// Whole seconds of a time that is in nanoseconds.
    fn seconds(&self, name: &str) -> Result<i64> {
        match self.number(name)? {
            0 => Ok(0),
            nanos if nanos < SECOND => {
                refuse(format!("{name} is in nanoseconds: a second is {SECOND}"))
            }
            nanos => Ok(nanos / SECOND),
        }
    }

    fn list(&self, name: &str) -> &[Value] {
        match self.0.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let texts = self.list(name).iter().map(|one| match one {
            Value::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        });
        match texts.collect() {
            Some(texts) => Ok(texts),
            None => refuse(format!("{name} is no list of strings")),
        }
    }

    fn pairs(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let Some(Value::Map(map)) = self.0.get(name) else { return Ok(BTreeMap::new()) };
        let pairs = map.map.iter().map(|pair| match pair {
            (Key::String(name), Value::String(text)) => {
                Some((name.as_str().to_owned(), text.as_str().to_owned()))
            }
            _ => None,
        });
        match pairs.collect() {
            Some(pairs) => Ok(pairs),
            None => refuse(format!("{name} is no map of strings")),
        }
    }

    fn policies(&self) -> Result<Vec<String>> {
        let policies = self.texts("policies")?;
        // Threat GHSA-59w7-v8rr-pr4p: a claim may be part of a name.
        let fits = |name: &String| {
            name.len() <= 256
                && name.bytes().all(|b| b.is_ascii_graphic() && !MAY_NOT_STAND.contains(&b))
        };
        if !policies.iter().all(fits) {
            return refuse("a name in policies is none");
        }
        Ok(normalise_policies(policies))
    }

    fn alias(value: &Value) -> Result<GrantAlias> {
        let Some(alias) = Self::of(value, ALIAS) else {
            return refuse(format!("an alias is no {ALIAS}"));
        };
        let name = alias.text("name");
        if name.is_empty() {
            return refuse("an alias has no name");
        }
        Ok(GrantAlias { name, metadata: alias.pairs("metadata")? })
    }

    fn token(&self) -> Result<TokenParams> {
        let lease =
            self.0.get("lease_options").and_then(|lease| Self::of(lease, "pb.LeaseOptions"));
        let lease = lease.unwrap_or(Self(BTreeMap::new()));
        let token_type = match self.number("token_type")? {
            0 => "default",
            1 | 3 => "service",
            2 | 4 => "batch",
            _ => return refuse("token_type is none"),
        };
        let params = TokenParams {
            ttl: lease.seconds("TTL")?,
            max_ttl: lease.seconds("MaxTTL")?,
            policies: self.policies()?,
            bound_cidrs: read_cidrs("bound_cidrs", self.texts("bound_cidrs")?)?,
            explicit_max_ttl: self.seconds("explicit_max_ttl")?,
            no_default_policy: self.is("no_default_policy"),
            num_uses: self.number("num_uses")?,
            period: self.seconds("period")?,
            token_type: token_type.to_owned(),
            strictly_bind_ip: false,
        };
        token_params::check(&params)?;
        Ok(params)
    }

    fn grant(&self) -> Result<Grant> {
        let groups = self.list("group_aliases").iter().map(|group| Ok(Self::alias(group)?.name));
        Ok(Grant {
            display_name: self.text("display_name"),
            metadata: self.pairs("metadata")?,
            alias: self.0.get("alias").map(Self::alias).transpose()?,
            groups: groups.collect::<Result<_>>()?,
            token: self.token()?,
            ..Grant::default()
        })
    }
}
