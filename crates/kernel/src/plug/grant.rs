//! What a login ends in, of which the kernel makes a token.

use std::collections::BTreeMap;

use strongroom_base::{Json, Timestamp};

use super::Reply;
use crate::identity::GrantAlias;
use crate::tokens::{NewToken, TokenParams};

/// What a login found out: the kernel makes a token of it.
#[derive(Clone, Default)]
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
    /// When what the caller has shown ends by itself; zero for never. The token does not outlive it.
    pub ends: Timestamp,
}

/// What one step of a login ends in, where a login takes several.
pub enum Step {
    /// The login is done: a token is made.
    Token(Box<Grant>),
    /// Something else is to happen before, or elsewhere: no token is made.
    Reply(Box<Reply<Json>>),
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
            ends: grant.ends,
            ..NewToken::default()
        }
    }
}
