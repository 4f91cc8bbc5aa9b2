//! Roles: create, change, read, delete, list; and their role ids.

use serde::Serialize;
use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, ErrorKind, JsonMap, Result, Ttl, capture, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, ops};

use super::AppRole;
use super::stored::{self, Accessor, Role, RoleOfId, SecretId};
use crate::token_params::{TokenFields, TokenSettings, read_cidrs};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::names;

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        role_name: String,
        /// Must a login bring a secret id?
        bind_secret_id: Option<bool>,
        /// CIDR blocks that logins may come from.
        secret_id_bound_cidrs (bound_cidr_list): Option<Vec<String>>,
        /// Uses of each secret id; 0 is without limit.
        secret_id_num_uses: Option<i64>,
        /// Seconds that each secret id lives; 0 is forever.
        secret_id_ttl: Option<Ttl>,
        /// The role id; without it a random one.
        role_id: Option<String>,
        /// Do its secret ids stay in this cluster? Only when the role is made.
        local_secret_ids: Option<bool>,
    }
}
fields! {
    /// Reads a role.
    pub struct ReadRole {
        /// The role's name.
        role_name: String,
    }
}
fields! {
    /// Deletes a role and all its secret ids.
    pub struct DeleteRole {
        /// The role's name.
        role_name: String,
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
    /// Reads a role's role id.
    pub struct ReadRoleId {
        /// The role's name.
        role_name: String,
    }
}
fields! {
    /// Sets a role's role id.
    pub struct PutRoleId {
        /// The role's name.
        role_name: String,
        /// The role id.
        role_id: Option<String>,
    }
}

/// A role id.
#[derive(Serialize)]
pub struct RoleIdView {
    /// The role id.
    pub role_id: String,
}

ops! {
    PutRole (), Write;
    ReadRole JsonMap, Read;
    DeleteRole (), Delete;
    ListRoles Keys, List;
    ReadRoleId RoleIdView, Read;
    PutRoleId (), Write;
}

pub(super) fn add(spec: EngineSpec<AppRole>) -> EngineSpec<AppRole> {
    spec.query::<ListRoles>("role/")
        .query::<ReadRole>("role/{role_name}")
        .command::<PutRole>("role/{role_name}")
        .exists::<PutRole>("role/{role_name}")
        .command::<DeleteRole>("role/{role_name}")
        .query::<ReadRoleId>("role/{role_name}/role-id")
        .command::<PutRoleId>("role/{role_name}/role-id")
}

/// A path below a role that is not there.
pub(super) fn no_such_role() -> Error {
    Error::new(ErrorKind::NoRoute, "unsupported path")
}

impl Exists<PutRole> for AppRole {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = capture(captures, "role_name").unwrap_or_default();
        Ok(stored::role(&cx.view(), name).await?.is_some())
    }
}

impl Command<PutRole> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let name = op.role_name.to_lowercase();
        names::check(&name)?;
        cx.queue(&name).await;
        let old = stored::role(&cx.view(), &name).await?;
        let (mut role, before) = match &old {
            Some(role) => ((**role).clone(), Some(role.role_id.clone())),
            None => (fresh(cx, name), None),
        };
        let mut warnings = role.token.apply(op.token)?;
        if let Some(local) = op.local_secret_ids {
            if old.is_some() {
                return Err(Error::bad_request(
                    "local_secret_ids can only be modified during role creation",
                ));
            }
            role.local_secret_ids = local;
        }
        if let Some(role_id) = op.role_id {
            role.role_id = role_id;
        }
        if role.role_id.is_empty() {
            return Err(Error::bad_request(
                "invalid role_id supplied, or failed to generate a role_id",
            ));
        }
        role.bind_secret_id = op.bind_secret_id.unwrap_or(role.bind_secret_id);
        if let Some(cidrs) = op.secret_id_bound_cidrs {
            role.secret_id_bound_cidrs = read_cidrs("secret_id_bound_cidrs", cidrs)?;
        }
        role.secret_id_num_uses = op.secret_id_num_uses.unwrap_or(role.secret_id_num_uses);
        if role.secret_id_num_uses < 0 {
            return Err(Error::bad_request("secret_id_num_uses cannot be negative"));
        }
        role.secret_id_ttl = op.secret_id_ttl.map_or(role.secret_id_ttl, |t| t.0);
        let (_, max_ttl) = cx.ttls();
        check_period(&role, max_ttl)?;
        warnings.extend(role.token.beyond_mount(max_ttl).map(str::to_owned));
        stored::put_role(cx, &role, before.as_deref()).await?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// A role with Vault's defaults.
fn fresh(cx: &WriteCx<'_>, name: String) -> Role {
    Role {
        id: cx.edit().new_id(),
        name,
        role_id: cx.rng().uuid(),
        bind_secret_id: true,
        secret_id_bound_cidrs: Vec::new(),
        secret_id_num_uses: 0,
        secret_id_ttl: 0,
        local_secret_ids: false,
        token: TokenSettings::default(),
    }
}

/// Refuses a period beyond what the mount allows.
pub(super) fn check_period(role: &Role, max_ttl: i64) -> Result<()> {
    let period = role.token.params.period;
    if max_ttl > 0 && period > max_ttl {
        return Err(Error::bad_request(format!(
            "period of \"{}\" is greater than the backend's maximum lease TTL of \"{}\"",
            format_go_seconds(period),
            format_go_seconds(max_ttl)
        )));
    }
    Ok(())
}

impl Query<ReadRole> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<JsonMap>> {
        let role = stored::role(&cx.view(), &op.role_name).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        map.insert("bind_secret_id".to_owned(), role.bind_secret_id.into());
        let cidrs = role.secret_id_bound_cidrs.clone();
        map.insert("secret_id_bound_cidrs".to_owned(), super::list_or_null(cidrs));
        map.insert("secret_id_num_uses".to_owned(), role.secret_id_num_uses.into());
        map.insert("secret_id_ttl".to_owned(), role.secret_id_ttl.into());
        map.insert("local_secret_ids".to_owned(), role.local_secret_ids.into());
        role.token.show(&mut map);
        Ok(Reply::data(map))
    }
}

impl Command<DeleteRole> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        let name = op.role_name.to_lowercase();
        cx.queue(&name).await;
        let Some(role) = stored::role(&cx.view(), &name).await? else { return Ok(Reply::none()) };
        let edit = cx.edit();
        edit.delete_all::<SecretId>(role.id);
        edit.delete_all::<Accessor>(role.id);
        edit.delete_named::<RoleOfId>(0, &role.role_id);
        edit.delete_named::<Role>(0, &name);
        Ok(Reply::none())
    }
}

impl Query<ListRoles> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        lists::of_records::<Role>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadRoleId> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRoleId) -> Result<Reply<RoleIdView>> {
        let role = stored::role(&cx.view(), &op.role_name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(RoleIdView { role_id: role.role_id.clone() }))
    }
}

impl Command<PutRoleId> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRoleId) -> Result<Reply<()>> {
        cx.queue(&op.role_name.to_lowercase()).await;
        let old = stored::role(&cx.view(), &op.role_name).await?.ok_or_else(no_such_role)?;
        let role_id = op.role_id.filter(|id| !id.is_empty());
        let role_id = role_id.ok_or_else(|| Error::bad_request("missing role_id"))?;
        let role = Role { role_id, ..(*old).clone() };
        stored::put_role(cx, &role, Some(&old.role_id)).await?;
        Ok(Reply::none())
    }
}
