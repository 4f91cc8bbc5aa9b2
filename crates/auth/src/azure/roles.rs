//! Roles: create, change, read, delete, list.

use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Op, Query, ReadCx, Reply, Verb, WriteCx, names,
};

use super::Azure;
use super::stored::{self, Role};
use crate::token_params::TokenFields;

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        name: String,
        /// Object ids of managed identities; `*` is any.
        bound_service_principal_ids: Option<Vec<String>>,
        /// Object ids of groups; `*` is any.
        bound_group_ids: Option<Vec<String>>,
        /// Subscriptions.
        bound_subscription_ids: Option<Vec<String>>,
        /// Resource groups.
        bound_resource_groups: Option<Vec<String>>,
        /// Locations.
        bound_locations: Option<Vec<String>>,
        /// Scale sets.
        bound_scale_sets: Option<Vec<String>>,
    }
}
fields! {
    /// Reads a role.
    pub struct ReadRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Deletes a role.
    pub struct DeleteRole {
        /// The role's name.
        name: String,
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

impl Op for PutRole {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}
impl Op for ReadRole {
    type Reply = JsonMap;
    const VERB: Verb = Verb::Read;
}
impl Op for DeleteRole {
    type Reply = ();
    const VERB: Verb = Verb::Delete;
}
impl Op for ListRoles {
    type Reply = Keys;
    const VERB: Verb = Verb::List;
}

pub(super) fn add(spec: EngineSpec<Azure>) -> EngineSpec<Azure> {
    spec.query::<ListRoles>("role/")
        .query::<ReadRole>("role/{name}")
        .command::<PutRole>("role/{name}")
        .exists::<PutRole>("role/{name}")
        .command::<DeleteRole>("role/{name}")
}

impl Exists<PutRole> for Azure {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.iter().find(|(n, _)| *n == "name").map_or("", |(_, v)| v);
        Ok(stored::role(&cx.view(), name).await?.is_some())
    }
}

impl Command<PutRole> for Azure {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let name = op.name.to_lowercase();
        names::check(&name)?;
        cx.queue(&name).await;
        let old = stored::role(&cx.view(), &name).await?;
        let mut role = old.as_deref().cloned().unwrap_or_default();
        let mut warnings = role.token.apply(op.token)?;
        for (value, given) in [
            (&mut role.service_principals, op.bound_service_principal_ids),
            (&mut role.groups, op.bound_group_ids),
            (&mut role.subscriptions, op.bound_subscription_ids),
            (&mut role.resource_groups, op.bound_resource_groups),
            (&mut role.locations, op.bound_locations),
            (&mut role.scale_sets, op.bound_scale_sets),
        ] {
            if let Some(given) = given {
                *value = given.into_iter().filter(|text| !text.is_empty()).collect();
            }
        }
        if bindings(&role).iter().all(|(_, list)| list.is_empty()) {
            return Err(Error::bad_request(
                "must have at least one bound constraint when creating/updating a role",
            ));
        }
        if role.is_open() {
            return Err(Error::bad_request(
                "bound_service_principal_ids or bound_group_ids of '*' needs another constraint: any \
                 identity of the tenant could log in",
            ));
        }
        if role.service_principals.is_empty() && role.groups.is_empty() {
            warnings.push(
                "nobody can log in until bound_service_principal_ids or bound_group_ids is set"
                    .to_owned(),
            );
        }
        let (_, max_ttl) = cx.ttls();
        let period = role.token.params.period;
        if max_ttl > 0 && period > max_ttl {
            return Err(Error::bad_request(format!(
                "token period of \"{}\" is greater than the backend's maximum lease TTL of \"{}\"",
                format_go_seconds(period),
                format_go_seconds(max_ttl)
            )));
        }
        warnings.extend(role.token.beyond_mount(max_ttl).map(str::to_owned));
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none().warnings(warnings))
    }
}

fn bindings(role: &Role) -> [(&'static str, &Vec<String>); 6] {
    [
        ("bound_service_principal_ids", &role.service_principals),
        ("bound_group_ids", &role.groups),
        ("bound_subscription_ids", &role.subscriptions),
        ("bound_resource_groups", &role.resource_groups),
        ("bound_locations", &role.locations),
        ("bound_scale_sets", &role.scale_sets),
    ]
}

impl Query<ReadRole> for Azure {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<JsonMap>> {
        let role = stored::role(&cx.view(), &op.name).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        for (name, list) in bindings(&role) {
            map.insert(name.to_owned(), list.clone().into());
        }
        role.token.show(&mut map);
        Ok(Reply::data(map))
    }
}

impl Command<DeleteRole> for Azure {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<Role>(0, &op.name.to_lowercase());
        Ok(Reply::none())
    }
}

impl Query<ListRoles> for Azure {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        let names = cx.view().names::<Role>(0).await?;
        Ok(Reply::data(lists::page(&names, op.after.as_deref(), op.limit)?))
    }
}
