//! Who a signature proves its caller to be: all of it follows from the role, the key and the session.

use std::sync::Arc;

use strongroom_base::{Result, Timestamp};
use strongroom_cloudwire::iam::Principal;
use strongroom_kernel::plug::{Grant, GrantAlias, Standing, TokenParams};

use super::arns;
use super::known::{DOOR, Known};
use super::sessions::Session;
use super::stored::PreparedRole;

/// A verified caller.
pub struct Caller {
    /// As documents name it.
    pub principal: Principal,
    /// Its id in AWS's manner.
    pub user_id: String,
    /// The user's name, where the caller is the role under its own keys.
    pub user_name: Option<String>,
    /// Who stands behind its session, if that was said.
    pub source_identity: Option<String>,
    /// Its role.
    pub role: Arc<PreparedRole>,
    /// What a login would answer.
    pub standing: Arc<Standing>,
}

impl Caller {
    /// The caller with this access key of a role, or of a session of it.
    pub fn new(
        name: String,
        access_key: &str,
        session: Option<&Session>,
        role: Arc<PreparedRole>,
        account: &str,
    ) -> Result<Self> {
        let session_name = session.and_then(|session| session.name.as_deref());
        let unique_id = &role.role.unique_id;
        let (arn, role_arn, user_id) = match session_name {
            None => (arns::user(account, &name), None, format!("AIDA{unique_id}")),
            Some(session) => {
                let role_arn = Some(arns::role(account, &name));
                let user_id = format!("AROA{unique_id}:{session}");
                (arns::assumed(account, &name, session), role_arn, user_id)
            }
        };
        let source_identity = session.and_then(|session| session.source_identity.clone());
        let key = match session {
            None => Some(access_key.to_owned()),
            Some(session) => session.parent.clone(),
        };
        let mut internal = Known {
            arn: arn.clone(),
            user_id: user_id.clone(),
            account: account.to_owned(),
            role: name.clone(),
            key,
            entity: String::new(),
            origin: session.map(Session::origin),
        }
        .into_map()?;
        let shown = ["arn", "role", "account"];
        let metadata = internal
            .iter()
            .filter(|(field, _)| shown.contains(&field.as_str()))
            .map(|(field, value)| (field.clone(), value.clone()))
            .chain([("access_key".to_owned(), access_key.to_owned())])
            .chain(source_identity.clone().map(|source| ("source_identity".to_owned(), source)))
            .collect();
        internal.insert(DOOR.to_owned(), String::new());
        let display_name = match session_name {
            Some(session) => format!("{name}/{session}"),
            None => name.clone(),
        };
        let user_name = session_name.is_none().then(|| name.clone());
        let grant = Grant {
            display_name,
            metadata,
            internal,
            alias: Some(GrantAlias { name, ..GrantAlias::default() }),
            token: TokenParams {
                policies: role.role.policies.clone(),
                bound_cidrs: role.role.bound_cidrs.clone(),
                no_default_policy: role.role.no_default_policy,
                ..TokenParams::default()
            },
            ends: session.map_or(Timestamp::ZERO, |session| session.expires),
            ..Grant::default()
        };
        let principal = Principal { account: account.to_owned(), arn, role_arn };
        let behind = session.map_or_else(Vec::new, |session| session.entities.clone());
        let standing = Arc::new(Standing::new(grant, behind));
        Ok(Self { principal, user_id, user_name, source_identity, role, standing })
    }
}
