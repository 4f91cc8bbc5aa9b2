//! Aliases of external groups: how auth mounts call them.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::identity::{Alias, Group};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::{IdentityStore, check_name, directory, given, mount, mounts, new_id, views};

fields! {
    /// Creates an alias of an external group, or changes the one that the id leads to.
    pub struct PutGroupAlias {
        /// The alias' id.
        id: Option<String>,
        /// Its name in the mount.
        name: Option<String>,
        /// The accessor of its mount.
        mount_accessor: Option<String>,
        /// The group it belongs to; a new one where none is named.
        canonical_id: Option<String>,
    }
}
fields! {
    /// Reads an alias of a group.
    pub struct ReadGroupAlias {
        /// The alias' id.
        id: String,
    }
}
fields! {
    /// Deletes an alias of a group.
    pub struct DeleteGroupAlias {
        /// The alias' id.
        id: String,
    }
}
fields! {
    /// Lists the ids of the groups' aliases.
    pub struct ListGroupAliases {}
}
ops! {
    PutGroupAlias Json, Write;
    ReadGroupAlias JsonMap, Read;
    DeleteGroupAlias (), Delete;
    ListGroupAliases JsonMap, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.command::<PutGroupAlias>("group-alias")
        .command::<PutGroupAlias>("group-alias/id/{id}")
        .query::<ReadGroupAlias>("group-alias/id/{id}")
        .command::<DeleteGroupAlias>("group-alias/id/{id}")
        .query::<ListGroupAliases>("group-alias/id/")
}

/// The group that an alias shall belong to.
async fn owner(cx: &ReadCx<'_>, canonical: Option<&str>) -> Result<Option<Arc<Group>>> {
    let Some(id) = canonical else { return Ok(None) };
    let group = directory(cx).group(id).await?;
    let group =
        group.ok_or_else(|| Error::bad_request("invalid group ID given in 'canonical_id'"))?;
    if !group.external {
        return Err(Error::bad_request("alias can't be set on an internal group"));
    }
    Ok(Some(group))
}

impl Command<PutGroupAlias> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutGroupAlias) -> Result<Reply<Json>> {
        cx.queue("groups").await;
        let directory = directory(cx);
        let previous = match given(op.id) {
            Some(id) => {
                let group = directory.group_of_alias_id(&id).await?;
                Some(group.ok_or_else(|| Error::bad_request("invalid group alias ID"))?)
            }
            None => None,
        };
        let old = previous.as_ref().and_then(|g| g.alias.clone());
        let name = given(op.name).ok_or_else(|| Error::bad_request("missing alias name"))?;
        check_name(&name)?;
        let accessor = given(op.mount_accessor);
        let accessor = accessor.ok_or_else(|| Error::bad_request("missing mount_accessor"))?;
        let canonical = given(op.canonical_id);
        let unchanged = old.as_ref().is_some_and(|a| {
            a.name == name
                && a.mount_accessor == accessor
                && canonical.as_ref().is_none_or(|c| *c == a.canonical_id)
        });
        if unchanged {
            return Ok(Reply::none());
        }
        let owner = owner(cx, canonical.as_deref()).await?.or_else(|| previous.clone());
        if mount(cx, &accessor).await?.mount.local {
            return Err(Error::bad_request("the mount accessor is of a local mount"));
        }
        let taken = directory.group_of_alias(&accessor, &name).await?;
        if taken.is_some_and(|g| g.alias.as_ref().map(|a| &a.id) != old.as_ref().map(|a| &a.id)) {
            return Err(Error::bad_request(
                "combination of mount and group alias name is already in use",
            ));
        }
        let now = cx.now();
        let mut group = match &owner {
            Some(group) => (**group).clone(),
            None => Group {
                id: new_id(cx),
                name: directory.new_name("group"),
                external: true,
                created: now,
                ..Group::default()
            },
        };
        let old = old.unwrap_or_else(|| Alias { id: new_id(cx), created: now, ..Alias::default() });
        let alias = Alias {
            name,
            mount_accessor: accessor,
            canonical_id: group.id.clone(),
            updated: now,
            ..old
        };
        if let Some(previous) = previous.filter(|p| p.id != group.id) {
            // The alias moves.
            let without = Group {
                alias: None,
                updated: now,
                modify_index: previous.modify_index + 1,
                ..(*previous).clone()
            };
            directory.put_group(Some(&previous), &without, None).await?;
        }
        group.alias = Some(alias.clone());
        group.updated = now;
        group.modify_index += 1;
        directory.put_group(owner.as_deref(), &group, None).await?;
        Ok(Reply::data(json!({ "id": alias.id, "canonical_id": alias.canonical_id })))
    }
}

impl Query<ReadGroupAlias> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadGroupAlias) -> Result<Reply<JsonMap>> {
        let group = directory(cx).group_of_alias_id(&op.id).await?;
        let alias = group.as_ref().and_then(|g| g.alias.as_ref());
        views::alias(cx, alias.ok_or_else(Error::not_found)?).await
    }
}

impl Command<DeleteGroupAlias> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteGroupAlias) -> Result<Reply<()>> {
        cx.queue("groups").await;
        if let Some(group) = directory(cx).group_of_alias_id(&op.id).await? {
            let without = Group {
                alias: None,
                updated: cx.now(),
                modify_index: group.modify_index + 1,
                ..(*group).clone()
            };
            directory(cx).put_group(Some(&group), &without, None).await?;
        }
        Ok(Reply::none())
    }
}

impl Query<ListGroupAliases> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListGroupAliases) -> Result<Reply<JsonMap>> {
        let table = mounts(cx).await?;
        let all = directory(cx).groups().await?;
        let aliases = all.iter().filter_map(|g| g.alias.as_ref());
        let mut all: Vec<_> =
            aliases.map(|a| (a.id.clone(), views::alias_info(a, &table))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        views::list_with_info(all)
    }
}
