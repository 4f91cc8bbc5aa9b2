//! Groups: of entities and groups, or of those that logins say are in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::identity::Group;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::{IdentityStore, check_metadata, check_name, directory, given, mounts, new_id, views};

fields! {
    /// Creates a group, or changes the one that the id or the name leads to.
    pub struct PutGroup {
        /// The group's id.
        id: Option<String>,
        /// The group's name.
        name: Option<String>,
        /// `internal` or `external`; it cannot be changed.
        r#type: Option<String>,
        /// Metadata.
        metadata: Option<BTreeMap<String, String>>,
        /// Policies of the members.
        policies: Option<Vec<String>>,
        /// Ids of the groups in it.
        member_group_ids: Option<Vec<String>>,
        /// Ids of the entities in it.
        member_entity_ids: Option<Vec<String>>,
    }
}
fields! {
    /// Reads a group.
    pub struct ReadGroupById {
        /// The group's id.
        id: String,
    }
}
fields! {
    /// Reads a group.
    pub struct ReadGroupByName {
        /// The group's name.
        name: String,
    }
}
fields! {
    /// Deletes a group.
    pub struct DeleteGroupById {
        /// The group's id.
        id: String,
    }
}
fields! {
    /// Deletes a group.
    pub struct DeleteGroupByName {
        /// The group's name.
        name: String,
    }
}
fields! {
    /// Lists the groups' ids.
    pub struct ListGroupIds {}
}
fields! {
    /// Lists the groups' names.
    pub struct ListGroupNames {}
}
ops! {
    PutGroup Json, Write;
    ReadGroupById JsonMap, Read;
    ReadGroupByName JsonMap, Read;
    DeleteGroupById (), Delete;
    DeleteGroupByName (), Delete;
    ListGroupIds JsonMap, List;
    ListGroupNames JsonMap, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.command::<PutGroup>("group")
        .command::<PutGroup>("group/id/{id}")
        .command::<PutGroup>("group/name/{name..}")
        .query::<ReadGroupById>("group/id/{id}")
        .query::<ReadGroupByName>("group/name/{name..}")
        .command::<DeleteGroupById>("group/id/{id}")
        .command::<DeleteGroupByName>("group/name/{name..}")
        .query::<ListGroupIds>("group/id/")
        .query::<ListGroupNames>("group/name/")
}

/// The group that a request to create or change one leads to.
async fn target(
    cx: &ReadCx<'_>,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Option<Arc<Group>>> {
    let directory = directory(cx);
    let by_name = match name {
        Some(name) => directory.group_of_name(name).await?,
        None => None,
    };
    let Some(id) = id else { return Ok(by_name) };
    let group = directory.group(id).await?;
    let group = group.ok_or_else(|| Error::bad_request("invalid group ID"))?;
    if by_name.is_some_and(|other| other.id != group.id) {
        return Err(Error::bad_request("group name is already in use"));
    }
    Ok(Some(group))
}

fn without_repeats(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids.dedup();
    ids.retain(|id| !id.is_empty());
    ids
}

/// Sets the type, which is final.
fn set_type(group: &mut Group, new: bool, kind: Option<&str>) -> Result<()> {
    let external = match kind {
        None | Some("") => return Ok(()),
        Some("internal") => false,
        Some("external") => true,
        Some(_) => return Err(Error::bad_request("invalid group type")),
    };
    if !new && external != group.external {
        return Err(Error::bad_request("group type cannot be changed"));
    }
    group.external = external;
    Ok(())
}

impl Command<PutGroup> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutGroup) -> Result<Reply<Json>> {
        // Groups are tied to each other: their changes wait for each other.
        cx.queue("groups").await;
        if op.id.as_deref() == Some("") {
            return Err(Error::bad_request("empty group ID"));
        }
        let (id, name) = (op.id, given(op.name));
        check_name(name.as_deref().unwrap_or(""))?;
        let old = target(cx, id.as_deref(), name.as_deref()).await?;
        let now = cx.now();
        let mut group = match &old {
            Some(old) => (**old).clone(),
            None => Group {
                id: new_id(cx),
                name: directory(cx).new_name("group"),
                created: now,
                ..Group::default()
            },
        };
        if let Some(policies) = op.policies {
            group.policies = super::policies(policies)?;
        }
        set_type(&mut group, old.is_none(), op.r#type.as_deref())?;
        if let Some(name) = name {
            group.name = name;
        }
        if let Some(metadata) = op.metadata {
            check_metadata("group metadata", &metadata)?;
            group.metadata = metadata;
        }
        let mut members_now = None;
        if let Some(members) = op.member_entity_ids {
            if group.external {
                return Err(Error::bad_request(
                    "member entities can't be set manually for external groups",
                ));
            }
            members_now = Some(without_repeats(members));
        }
        if let Some(members) = op.member_group_ids {
            if group.external {
                return Err(Error::bad_request("member groups can't be set for external groups"));
            }
            group.member_groups = without_repeats(members);
        }
        group.updated = now;
        group.modify_index += 1;
        directory(cx).put_group(old.as_deref(), &group, members_now.as_deref()).await?;
        if old.is_some() {
            return Ok(Reply::none());
        }
        Ok(Reply::data(json!({ "id": group.id, "name": group.name })))
    }
}

impl Query<ReadGroupById> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadGroupById) -> Result<Reply<JsonMap>> {
        let group = directory(cx).group(&op.id).await?.ok_or_else(Error::not_found)?;
        views::group(cx, &group).await
    }
}

impl Query<ReadGroupByName> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadGroupByName) -> Result<Reply<JsonMap>> {
        let group = directory(cx).group_of_name(&op.name).await?.ok_or_else(Error::not_found)?;
        views::group(cx, &group).await
    }
}

impl Command<DeleteGroupById> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteGroupById) -> Result<Reply<()>> {
        cx.queue("groups").await;
        if let Some(group) = directory(cx).group(&op.id).await? {
            directory(cx).delete_group(&group).await?;
        }
        Ok(Reply::none())
    }
}

impl Command<DeleteGroupByName> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteGroupByName) -> Result<Reply<()>> {
        cx.queue("groups").await;
        if let Some(group) = directory(cx).group_of_name(&op.name).await? {
            directory(cx).delete_group(&group).await?;
        }
        Ok(Reply::none())
    }
}

/// All groups, with what lists tell of each.
async fn all(cx: &ReadCx<'_>) -> Result<Vec<(Group, JsonMap)>> {
    let table = mounts(cx).await?;
    let mut all = Vec::new();
    for group in directory(cx).groups().await? {
        let members = directory(cx).members(&group).await?.len();
        let info = views::group_info(&group, members, &table);
        all.push((group, info));
    }
    Ok(all)
}

impl Query<ListGroupIds> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListGroupIds) -> Result<Reply<JsonMap>> {
        let all = all(cx).await?.into_iter();
        views::list_with_info(all.map(|(group, info)| (group.id, info)).collect())
    }
}

impl Query<ListGroupNames> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListGroupNames) -> Result<Reply<JsonMap>> {
        let all = all(cx).await?.into_iter();
        views::list_of_names(all.map(|(group, info)| (group.name, group.id, info)).collect())
    }
}
