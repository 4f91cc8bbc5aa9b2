//! Roles: create, change, read, delete, list, and end their sessions.

use strongroom_base::{Error, Json, JsonMap, Result, Timestamp, Ttl, capture, fields};
use strongroom_cloudwire::iam::{Document, Kind};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, GrantAlias, Query, ReadCx, Reply, WriteCx, names, ops,
};
use strongroom_kernel::tokens::normalise_policies;

use super::stored::{self, KeyOfRole, KeyPair, PreparedRole, Role};
use super::{AwsDoor, arns};
use crate::token_params::read_cidrs;

/// Seconds of the longest session of a role, unless it says otherwise, and the bounds of what it may say
/// (API page "CreateRole").
const SESSION_SECONDS: i64 = 3_600;
const SESSION_SECONDS_MIN: i64 = 900;
const SESSION_SECONDS_MAX: i64 = 43_200;
/// Characters of a role's name (API page "CreateRole").
const NAME_CHARS_MAX: usize = 64;
/// Roles that one role trusts.
const TRUSTED_MAX: usize = 100;

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        /// The role's name; its case does not matter.
        role: String,
        /// Policies of its callers.
        token_policies (policies): Option<Vec<String>>,
        /// CIDR blocks that its callers may come from.
        token_bound_cidrs: Option<Vec<String>>,
        /// Leave the `default` policy away?
        token_no_default_policy: Option<bool>,
        /// An IAM document that limits its callers beside the policies; "" takes it away.
        policy_document: Option<String>,
        /// Roles whose callers may assume this one; `*` for all of this mount.
        trusted_roles: Option<Vec<String>>,
        /// The auth mount (jwt, kubernetes) that vouches for web identities; "" for none.
        web_identity_mount: Option<String>,
        /// The role of that mount.
        web_identity_role: Option<String>,
        /// Seconds that temporary keys are good for at most: 15 minutes to 12 hours.
        max_session_ttl: Option<Ttl>,
        /// Is it off, with all its keys?
        disabled: Option<bool>,
    }
}
fields! {
    /// Reads a role.
    pub struct ReadRole {
        /// The role's name.
        role: String,
    }
}
fields! {
    /// Deletes a role and its keys.
    pub struct DeleteRole {
        /// The role's name.
        role: String,
    }
}
fields! {
    /// Lists the roles.
    pub struct ListRoles {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}
fields! {
    /// Ends all temporary keys of a role that were made until now.
    pub struct RevokeSessions {
        /// The role's name.
        role: String,
    }
}

ops! {
    PutRole (), Write;
    ReadRole JsonMap, Read;
    DeleteRole (), Delete;
    ListRoles Keys, List;
    RevokeSessions (), Write;
}

pub(super) fn add(spec: EngineSpec<AwsDoor>) -> EngineSpec<AwsDoor> {
    spec.query::<ListRoles>("role/")
        .query::<ReadRole>("role/{role}")
        .command::<PutRole>("role/{role}")
        .exists::<PutRole>("role/{role}")
        .command::<DeleteRole>("role/{role}")
        .command::<RevokeSessions>("role/{role}/revoke-sessions")
}

impl Exists<PutRole> for AwsDoor {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = capture(captures, "role").unwrap_or_default();
        Ok(stored::role(&cx.view(), name).await?.is_some())
    }
}

impl Command<PutRole> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let name = op.role.to_lowercase();
        names::check(&name)?;
        if name.len() > NAME_CHARS_MAX {
            return Err(Error::bad_request("the name of a role has at most 64 characters"));
        }
        cx.queue(&name).await;
        let old = stored::role(&cx.view(), &name).await?;
        let mut role = old.map_or_else(|| fresh(cx), |old| old.role.clone());
        apply(&mut role, op)?;
        stored::prepare_sessions(cx).await?;
        cx.edit().put_named(0, &name, &role)?;
        cx.introduce(&GrantAlias { name, ..GrantAlias::default() }).await?;
        Ok(Reply::none())
    }
}

fn fresh(cx: &WriteCx<'_>) -> Role {
    Role {
        id: cx.edit().new_id(),
        unique_id: arns::unique_id(cx.rng()),
        policies: Vec::new(),
        bound_cidrs: Vec::new(),
        no_default_policy: false,
        document: String::new(),
        trusted_roles: Vec::new(),
        web_identity_mount: String::new(),
        web_identity_role: String::new(),
        max_session_ttl: SESSION_SECONDS,
        disabled: false,
        sessions_since: Timestamp::ZERO,
        created: cx.now(),
    }
}

fn apply(role: &mut Role, op: PutRole) -> Result<()> {
    if let Some(policies) = op.token_policies {
        role.policies = normalise_policies(policies);
        if role.policies.iter().any(|policy| policy == "root") {
            return Err(Error::bad_request("auth methods cannot create root tokens"));
        }
    }
    if let Some(cidrs) = op.token_bound_cidrs {
        role.bound_cidrs = read_cidrs("token_bound_cidrs", cidrs)?;
    }
    role.no_default_policy = op.token_no_default_policy.unwrap_or(role.no_default_policy);
    if let Some(document) = op.policy_document {
        if !document.is_empty() {
            Document::parse(&document, Kind::Identity)
                .map_err(|e| Error::bad_request(format!("malformed policy document: {e}")))?;
        }
        role.document = document;
    }
    if let Some(trusted) = op.trusted_roles {
        if trusted.len() > TRUSTED_MAX {
            return Err(Error::bad_request("a role trusts at most 100 others"));
        }
        for name in trusted.iter().filter(|name| *name != "*") {
            names::check(name)
                .map_err(|_| Error::bad_request("trusted_roles must be names of roles"))?;
        }
        role.trusted_roles = trusted.iter().map(|name| name.to_lowercase()).collect();
    }
    if let Some(mount) = op.web_identity_mount {
        role.web_identity_mount = mount_path(&mount)?;
    }
    if let Some(other) = op.web_identity_role {
        role.web_identity_role = other.to_lowercase();
    }
    if role.web_identity_mount.is_empty() != role.web_identity_role.is_empty() {
        return Err(Error::bad_request(
            "web_identity_mount and web_identity_role go together: set both or none",
        ));
    }
    if let Some(Ttl(seconds)) = op.max_session_ttl {
        if !(SESSION_SECONDS_MIN..=SESSION_SECONDS_MAX).contains(&seconds) {
            return Err(Error::bad_request("max_session_ttl must be from 15 minutes to 12 hours"));
        }
        role.max_session_ttl = seconds;
    }
    role.disabled = op.disabled.unwrap_or(role.disabled);
    Ok(())
}

/// `jwt`, `auth/jwt` and `auth/jwt/` are one.
fn mount_path(text: &str) -> Result<String> {
    let name = text.trim_matches('/');
    let name = name.strip_prefix("auth/").unwrap_or(name);
    if name.is_empty() {
        return Ok(String::new());
    }
    let path = format!("auth/{name}/");
    let good = strongroom_base::RequestPath::parse(&path).is_ok();
    if good {
        Ok(path)
    } else {
        Err(Error::bad_request("web_identity_mount is no path of a mount"))
    }
}

fn text_or_null(text: &str) -> Json {
    if text.is_empty() { Json::Null } else { text.into() }
}

fn view(prepared: &PreparedRole) -> JsonMap {
    let role = &prepared.role;
    [
        ("token_policies", Json::from(role.policies.clone())),
        ("token_bound_cidrs", Json::from(role.bound_cidrs.clone())),
        ("token_no_default_policy", role.no_default_policy.into()),
        ("policy_document", text_or_null(&role.document)),
        ("trusted_roles", Json::from(role.trusted_roles.clone())),
        ("web_identity_mount", text_or_null(&role.web_identity_mount)),
        ("web_identity_role", text_or_null(&role.web_identity_role)),
        ("max_session_ttl", role.max_session_ttl.into()),
        ("disabled", role.disabled.into()),
        ("created", role.created.to_go_string().into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

impl Query<ReadRole> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<JsonMap>> {
        let role = stored::role(&cx.view(), &op.role).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(view(&role)))
    }
}

impl Command<DeleteRole> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        let name = op.role.to_lowercase();
        cx.queue(&name).await;
        let Some(prepared) = stored::role(&cx.view(), &name).await? else {
            return Ok(Reply::none());
        };
        let keys = cx.view().names::<KeyOfRole>(prepared.role.id).await?;
        let edit = cx.edit();
        for key in keys.iter() {
            edit.delete_named::<KeyPair>(0, key);
        }
        edit.delete_all::<KeyOfRole>(prepared.role.id);
        edit.delete_named::<Role>(0, &name);
        Ok(Reply::none())
    }
}

impl Query<ListRoles> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        lists::of_records::<Role>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Command<RevokeSessions> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeSessions) -> Result<Reply<()>> {
        let name = op.role.to_lowercase();
        cx.queue(&name).await;
        let role = stored::role(&cx.view(), &name).await?.ok_or_else(Error::not_found)?;
        let mut role = role.role.clone();
        role.sessions_since = cx.now();
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none())
    }
}
