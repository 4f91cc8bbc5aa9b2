//! Finding an entity or a group by one of its properties; 204 where there is none.

use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::{IdentityStore, directory, views};

fields! {
    /// Finds an entity.
    pub struct LookupEntity {
        /// Its id.
        id: Option<String>,
        /// Its name.
        name: Option<String>,
        /// The id of one of its aliases.
        alias_id: Option<String>,
        /// The name of one of its aliases, with `alias_mount_accessor`.
        alias_name: Option<String>,
        /// The accessor of that alias' mount.
        alias_mount_accessor: Option<String>,
    }
}
fields! {
    /// Finds a group.
    pub struct LookupGroup {
        /// Its id.
        id: Option<String>,
        /// Its name.
        name: Option<String>,
        /// The id of its alias.
        alias_id: Option<String>,
        /// The name of its alias, with `alias_mount_accessor`.
        alias_name: Option<String>,
        /// The accessor of that alias' mount.
        alias_mount_accessor: Option<String>,
    }
}
ops! {
    LookupEntity JsonMap, Write;
    LookupGroup JsonMap, Write;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.query::<LookupEntity>("lookup/entity").query::<LookupGroup>("lookup/group")
}

/// The one property to look by.
enum By {
    Id(String),
    Name(String),
    AliasId(String),
    Alias { accessor: String, name: String },
}

/// Exactly one property, of which an alias' mount and name are one.
fn by(
    id: Option<String>,
    name: Option<String>,
    alias_id: Option<String>,
    alias_name: Option<String>,
    accessor: Option<String>,
) -> Result<By> {
    match (id, name, alias_id, alias_name, accessor) {
        (None, None, None, None, None) => Err(Error::bad_request("query parameter not supplied")),
        (Some(id), None, None, None, None) => Ok(By::Id(id)),
        (None, Some(name), None, None, None) => Ok(By::Name(name)),
        (None, None, Some(id), None, None) => Ok(By::AliasId(id)),
        (None, None, None, Some(name), Some(accessor)) => Ok(By::Alias { accessor, name }),
        (None, None, None, Some(_), None) | (None, None, None, None, Some(_)) => {
            Err(Error::bad_request("both 'alias_name' and 'alias_mount_accessor' needs to be set"))
        }
        _ => Err(Error::bad_request(
            "query parameter conflict; please supply distinct set of query parameters",
        )),
    }
}

impl Query<LookupEntity> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupEntity) -> Result<Reply<JsonMap>> {
        let by = by(op.id, op.name, op.alias_id, op.alias_name, op.alias_mount_accessor)?;
        let directory = directory(cx);
        let found = match by {
            By::Id(id) => directory.unmerged(&id).await?,
            By::Name(name) => directory.entity_of_name(&name).await?,
            By::AliasId(id) => directory.entity_of_alias_id(&id).await?,
            By::Alias { accessor, name } => directory.entity_of_alias(&accessor, &name).await?,
        };
        match found {
            Some(entity) => views::entity(cx, &entity).await,
            None => Ok(Reply::none()),
        }
    }
}

impl Query<LookupGroup> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupGroup) -> Result<Reply<JsonMap>> {
        let by = by(op.id, op.name, op.alias_id, op.alias_name, op.alias_mount_accessor)?;
        let directory = directory(cx);
        let found = match by {
            By::Id(id) => directory.group(&id).await?,
            By::Name(name) => directory.group_of_name(&name).await?,
            By::AliasId(id) => directory.group_of_alias_id(&id).await?,
            By::Alias { accessor, name } => directory.group_of_alias(&accessor, &name).await?,
        };
        match found {
            Some(group) => views::group(cx, &group).await,
            None => Ok(Reply::none()),
        }
    }
}
