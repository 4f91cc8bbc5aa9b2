//! What a login ends in, of which the kernel makes a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tokens::NewToken;

/// What a login found out: the kernel makes a token of it.
#[derive(Default)]
pub struct Grant {
    /// Shown as `display_name`, after the mount's name.
    pub display_name: String,
    /// Policies of the token.
    pub policies: Vec<String>,
    /// Metadata shown in look-ups and the audit log.
    pub metadata: BTreeMap<String, String>,
    /// The name by which identity knows the caller; none makes a token without an entity.
    pub alias: Option<GrantAlias>,
    /// Names of external groups.
    pub groups: Vec<String>,
    /// Token parameters of the role.
    pub token: TokenParams,
    /// What renewal needs (kept with the token).
    pub internal: BTreeMap<String, String>,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
}

/// An alias of a login.
#[derive(Default)]
pub struct GrantAlias {
    /// The alias' name, unique in the mount.
    pub name: String,
    /// Metadata for templated policies.
    pub metadata: BTreeMap<String, String>,
}

/// The `token_*` parameters that roles and users of every auth method share.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TokenParams {
    /// `token_ttl` in seconds.
    pub ttl: i64,
    /// `token_max_ttl` in seconds.
    pub max_ttl: i64,
    /// `token_policies`.
    pub policies: Vec<String>,
    /// `token_bound_cidrs`.
    pub bound_cidrs: Vec<String>,
    /// `token_explicit_max_ttl` in seconds.
    pub explicit_max_ttl: i64,
    /// `token_no_default_policy`.
    pub no_default_policy: bool,
    /// `token_num_uses`.
    pub num_uses: i64,
    /// `token_period` in seconds.
    pub period: i64,
    /// `token_type`: `default`, `service`, `batch`, `default-service`, `default-batch` or "".
    pub token_type: String,
    /// `token_strictly_bind_ip`.
    #[serde(default)]
    pub strictly_bind_ip: bool,
}

/// A new token as a login's grant asks for it.
impl From<Grant> for NewToken {
    fn from(grant: Grant) -> Self {
        let mut policies = grant.policies;
        policies.extend(grant.token.policies.iter().cloned());
        NewToken {
            display_name: grant.display_name,
            policies,
            metadata: grant.metadata,
            internal: grant.internal,
            params: grant.token,
            ..NewToken::default()
        }
    }
}
