//! One statement, and whether it is about a request.

use super::conditions::Condition;
use super::matching::{arn_fits, fits};

/// What is asked, by whom, of what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The action (`secretsmanager:GetSecretValue`).
    pub action: &'a str,
    /// The resource's ARN, or `*` where the action is about none.
    pub resource: &'a str,
    /// The caller.
    pub principal: &'a Principal,
    /// What conditions see.
    pub context: &'a Context,
}

/// The caller.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Principal {
    /// Its account.
    pub account: String,
    /// Its ARN.
    pub arn: String,
    /// The ARN of the role that it assumed.
    pub role_arn: Option<String>,
}

/// Keys and their values, as conditions see them.
#[derive(Clone, Default, Debug)]
pub struct Context(Vec<(String, Vec<String>)>);

impl Context {
    /// Sets a key.
    pub fn set(&mut self, key: impl Into<String>, values: Vec<String>) {
        let key = key.into();
        self.0.retain(|(name, _)| !name.eq_ignore_ascii_case(&key));
        self.0.push((key, values));
    }

    /// The values of a key, whose name's case does not matter.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        let found = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, values)| values.as_slice()).filter(|values| !values.is_empty())
    }
}

/// Allow or deny.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    Allow,
    Deny,
}

/// A list that a statement names, or names all but.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<T> {
    pub all: Vec<T>,
    /// It is what the statement is not about (`NotAction`).
    pub except: bool,
}

impl<T> Listed<T> {
    fn names(&self, is: impl Fn(&T) -> bool) -> bool {
        self.all.iter().any(is) != self.except
    }
}

/// Whom a statement of a resource's policy names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// `*`.
    Everybody,
    /// An account, by its number or the ARN of its root. To allow it something leaves it to the account's
    /// own documents who of it may: that is no grant.
    Account(String),
    /// A user, role or session, its name as principals have it.
    Arn(String),
}

impl Named {
    fn is(&self, principal: &Principal, effect: Effect) -> bool {
        match self {
            Self::Everybody => true,
            Self::Account(account) => effect == Effect::Deny && *account == principal.account,
            Self::Arn(arn) => *arn == principal.arn || Some(arn) == principal.role_arn.as_ref(),
        }
    }
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    pub effect: Effect,
    /// None in documents of identities.
    pub principals: Option<Listed<Named>>,
    /// In lower case.
    pub actions: Listed<String>,
    pub resources: Listed<String>,
    pub conditions: Vec<Condition>,
}

impl Statement {
    /// Is it about the request?
    pub fn is_about(&self, request: &Request<'_>) -> bool {
        let action = request.action.to_ascii_lowercase();
        let is_caller = |named: &Named| named.is(request.principal, self.effect);
        self.actions.names(|pattern| fits(pattern, &action))
            && self.resources.names(|pattern| resource_fits(pattern, request.resource))
            && self.principals.as_ref().is_none_or(|p| p.names(is_caller))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }

    /// Does it allow something to everybody without a condition that could narrow it?
    pub fn is_public(&self) -> bool {
        let everybody =
            |listed: &Listed<Named>| listed.except || listed.all.contains(&Named::Everybody);
        self.effect == Effect::Allow
            && self.principals.as_ref().is_some_and(everybody)
            && !self.conditions.iter().any(Condition::narrows_callers)
    }
}

/// Wildcards of a resource reach over slashes and colons of its last part, not over the parts before. Names
/// of roles have no case.
fn resource_fits(pattern: &str, resource: &str) -> bool {
    match pattern {
        "*" => true,
        _ if resource.starts_with("arn:aws:iam:") => arn_fits(&pattern.to_lowercase(), resource),
        _ => arn_fits(pattern, resource),
    }
}
