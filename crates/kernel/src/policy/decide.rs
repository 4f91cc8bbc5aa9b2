//! The decision, in the two phases the pipeline needs: about the path before the body is decoded,
//! about the parameters after.

use std::borrow::Cow;

use serde::Serialize;
use strongroom_base::JsonMap;

use super::acl::{Acl, NoTrace, Recorder};
use super::capability::Capability;
use super::keys_filter::KeysFilter;
use super::parameters;
use super::parse::Permissions;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The path, relative to the token's namespace, without a leading slash.
    pub path: &'a str,
    /// The capability that the operation needs; for a write see [`Capability::of_write`]. LIST and
    /// SCAN are judged on the folder, whether the path has its trailing slash or not.
    pub capability: Capability,
    /// Is the path root-protected, so that `sudo` is needed beside the capability?
    pub needs_sudo: bool,
    /// The lifetime asked for the wrapping token, if the answer is to be wrapped.
    pub wrap_ttl_seconds: Option<i64>,
    /// The body's members or the query's parameters. The path phase does not look at them.
    pub fields: Option<&'a JsonMap>,
}

impl<'a> Request<'a> {
    /// A request for `capability` on `path` and nothing else.
    pub fn new(path: &'a str, capability: Capability) -> Self {
        Self { path, capability, needs_sudo: false, wrap_ttl_seconds: None, fields: None }
    }

    /// The path as it is judged.
    pub(super) fn judged_path(&self) -> Cow<'a, str> {
        let path = self.path.trim_start_matches('/');
        if self.capability.is_folder_wide() && !path.is_empty() && !path.ends_with('/') {
            return Cow::Owned(format!("{path}/"));
        }
        Cow::Borrowed(path)
    }
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// May the request go on?
    pub allowed: bool,
    /// Was it the root policy?
    pub root: bool,
    /// Does the deciding rule grant `sudo`?
    pub sudo: bool,
    /// Why not, if not. For the explanation, never for the caller's answer.
    pub denial: Option<Denial>,
    /// What the pipeline must write over the request's `limit` parameter (LIST and SCAN only).
    pub limit: Option<i64>,
    /// The deciding rule, for the parameter phase and the accessors of [`Acl`].
    pub(super) rule: Option<usize>,
}

/// Why a request is denied. Names of parameters may stand here, values never.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Denial {
    /// No rule matches the path.
    NoRule,
    /// The deciding rule is a denial.
    Deny,
    /// The deciding rule lacks the capability.
    CapabilityMissing {
        /// Which one.
        capability: &'static str,
    },
    /// The path is root-protected and the deciding rule lacks `sudo`.
    SudoMissing,
    /// The deciding rule wants the answer wrapped.
    WrappingRequired,
    /// The wrapping TTL is longer than the rule allows.
    WrappingTtlTooLong {
        /// The rule's limit.
        max_seconds: i64,
    },
    /// The wrapping TTL is shorter than the rule allows.
    WrappingTtlTooShort {
        /// The rule's limit.
        min_seconds: i64,
    },
    /// Merged rules leave no wrapping TTL that fits.
    WrappingLimitsContradict,
    /// A parameter that must be there is not.
    ParameterRequired {
        /// Its name.
        parameter: String,
    },
    /// The rule denies all parameters.
    AllParametersDenied,
    /// The rule denies the parameter, whatever its value.
    ParameterDenied {
        /// Its name.
        parameter: String,
    },
    /// The rule denies the value that the parameter has.
    ValueDenied {
        /// The parameter's name.
        parameter: String,
    },
    /// The rule allows other parameters only.
    ParameterNotAllowed {
        /// Its name.
        parameter: String,
    },
    /// The rule allows the parameter with other values only.
    ValueNotAllowed {
        /// The parameter's name.
        parameter: String,
    },
    /// The rule wants `limit` and it is not there.
    LimitRequired,
    /// `limit` is neither a number nor `max`.
    LimitNotANumber,
    /// `limit` is below zero or above what the rule allows.
    LimitOutOfRange {
        /// The rule's limit.
        max: i64,
    },
}

impl Decision {
    fn denied(denial: Denial, rule: Option<usize>) -> Self {
        Self { allowed: false, root: false, sudo: false, denial: Some(denial), limit: None, rule }
    }
}

impl Acl {
    /// The first phase: path, capability, `sudo` and wrapping TTL. A request without parameters
    /// still needs the second.
    pub fn decide_path(&self, request: &Request<'_>) -> Decision {
        self.path_phase(request, &mut NoTrace)
    }

    /// The second phase: parameters, on the rule that the first one found. A denied decision stays
    /// as it is.
    pub fn decide_parameters(&self, path: Decision, request: &Request<'_>) -> Decision {
        if !path.allowed || path.root {
            return path;
        }
        let Some(permissions) = self.permissions(&path) else {
            return Decision::denied(Denial::NoRule, None);
        };
        match parameters::check(permissions, request.capability, request.fields) {
            Ok(limit) => Decision { limit, ..path },
            Err(denial) => Decision { allowed: false, denial: Some(denial), ..path },
        }
    }

    /// Both phases.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.run(request, &mut NoTrace)
    }

    /// The one function that decides, with or without a record of what it saw.
    pub(super) fn run<R: Recorder>(&self, request: &Request<'_>, recorder: &mut R) -> Decision {
        let path = self.path_phase(request, recorder);
        self.decide_parameters(path, request)
    }

    fn path_phase<R: Recorder>(&self, request: &Request<'_>, recorder: &mut R) -> Decision {
        if self.root {
            return Decision {
                allowed: true,
                root: true,
                sudo: true,
                denial: None,
                limit: None,
                rule: None,
            };
        }
        let folder = request.capability.is_folder_wide();
        let rule = self.find(&request.judged_path(), folder, recorder);
        let Some(permissions) = rule.and_then(|rule| self.rules.get(rule)) else {
            return Decision::denied(Denial::NoRule, None);
        };
        let permissions = &permissions.permissions;
        let sudo = permissions.capabilities.has(Capability::Sudo);
        let denial = check_path(permissions, request);
        Decision { allowed: denial.is_none(), root: false, sudo, denial, limit: None, rule }
    }

    /// The permissions of the deciding rule.
    fn permissions(&self, decision: &Decision) -> Option<&Permissions> {
        self.rules.get(decision.rule?).map(|rule| &*rule.permissions)
    }

    /// The filter that the deciding rule puts on the keys of a list answer.
    pub fn keys_filter(&self, decision: &Decision) -> Option<&KeysFilter> {
        self.permissions(decision)?.keys_filter.as_deref()
    }

    /// May `key` be shown in the answer of the LIST or SCAN at `path` that `decision` allowed?
    /// Without a filter every key may; with one, an entry needs `read` and a folder `list` on the
    /// path that the filter makes. `needs_sudo` says whether a path is root-protected.
    pub fn may_show(
        &self,
        decision: &Decision,
        path: &str,
        key: &str,
        needs_sudo: impl FnOnce(&str) -> bool,
    ) -> bool {
        let Some(filter) = self.keys_filter(decision) else { return true };
        let path = filter.path_for(path, key);
        let capability = if key.ends_with('/') { Capability::List } else { Capability::Read };
        let needs_sudo = needs_sudo(&path);
        self.decide(&Request { needs_sudo, ..Request::new(&path, capability) }).allowed
    }

    /// The names of the policies that grant `capability` by the deciding rule, for the audit line.
    pub fn granting_policies(&self, decision: &Decision, capability: Capability) -> Vec<&str> {
        if decision.root {
            return vec![super::name::ROOT];
        }
        let Some(rule) = decision.rule.and_then(|rule| self.rules.get(rule)) else {
            return Vec::new();
        };
        let mut names: Vec<&str> = Vec::new();
        for source in &rule.sources {
            let Some(policy) = self.policies.get(source.policy) else { continue };
            let granted = policy
                .rules()
                .get(source.rule)
                .is_some_and(|rule| rule.permissions.capabilities.has(capability));
            if granted && !names.contains(&policy.name().as_str()) {
                names.push(policy.name().as_str());
            }
        }
        names
    }
}

fn check_path(permissions: &Permissions, request: &Request<'_>) -> Option<Denial> {
    let capabilities = permissions.capabilities;
    if capabilities.is_deny() {
        return Some(Denial::Deny);
    }
    if !capabilities.has(request.capability) {
        return Some(Denial::CapabilityMissing { capability: request.capability.name() });
    }
    if request.needs_sudo && !capabilities.has(Capability::Sudo) {
        return Some(Denial::SudoMissing);
    }
    let (min, max) = (permissions.min_wrapping_ttl, permissions.max_wrapping_ttl);
    if min == 0 && max == 0 {
        return None;
    }
    if min != 0 && max != 0 && max < min {
        return Some(Denial::WrappingLimitsContradict);
    }
    let Some(ttl) = request.wrap_ttl_seconds else { return Some(Denial::WrappingRequired) };
    if max != 0 && ttl > max {
        return Some(Denial::WrappingTtlTooLong { max_seconds: max });
    }
    if ttl < min {
        return Some(Denial::WrappingTtlTooShort { min_seconds: min });
    }
    None
}
