//! How entities, groups and aliases look on the wire.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result};
use strongroom_kernel::identity::{Alias, Entity, Group};
use strongroom_kernel::mounts::MountTable;
use strongroom_kernel::plug::{ReadCx, Reply};

use super::{directory, list, mounts, pairs};

/// A JSON object's members.
pub(super) fn object(value: Json) -> JsonMap {
    match value {
        Json::Object(map) => map,
        _ => JsonMap::new(),
    }
}

/// Adds the mount's path and type, where the mount is there.
fn add_mount(view: &mut JsonMap, table: &MountTable, accessor: &str) {
    if let Some(entry) = table.of_accessor(accessor) {
        view.insert("mount_path".to_owned(), entry.mount.path.clone().into());
        view.insert("mount_type".to_owned(), entry.mount.kind.clone().into());
    }
}

/// An alias as part of its owner.
fn alias_within(alias: &Alias, table: &MountTable) -> JsonMap {
    let mut view = object(json!({
        "id": alias.id,
        "canonical_id": alias.canonical_id,
        "mount_accessor": alias.mount_accessor,
        "metadata": pairs(&alias.metadata),
        "name": alias.name,
        "merged_from_canonical_ids": list(&alias.merged_from),
        "creation_time": alias.created.to_go_string(),
        "last_update_time": alias.updated.to_go_string(),
    }));
    add_mount(&mut view, table, &alias.mount_accessor);
    view
}

/// An alias of an entity as part of it.
fn entity_alias_within(alias: &Alias, table: &MountTable) -> JsonMap {
    let mut view = alias_within(alias, table);
    view.insert("local".to_owned(), alias.local.into());
    view.insert("custom_metadata".to_owned(), pairs(&alias.custom_metadata));
    view
}

/// An alias by itself.
pub(super) async fn alias(cx: &ReadCx<'_>, alias: &Alias) -> Result<Reply<JsonMap>> {
    let table = mounts(cx).await?;
    let mut view = entity_alias_within(alias, &table);
    view.insert("namespace_id".to_owned(), cx.request.namespace.id.clone().into());
    Ok(Reply::data(view))
}

/// An alias in a list of aliases.
pub(super) fn alias_info(alias: &Alias, table: &MountTable) -> JsonMap {
    let mut view = object(json!({
        "name": alias.name,
        "canonical_id": alias.canonical_id,
        "mount_accessor": alias.mount_accessor,
        "custom_metadata": pairs(&alias.custom_metadata),
        "metadata": pairs(&alias.metadata),
        "local": alias.local,
    }));
    add_mount(&mut view, table, &alias.mount_accessor);
    view
}

fn alias_brief(alias: &Alias, table: &MountTable) -> JsonMap {
    let mut view = object(json!({
        "id": alias.id,
        "name": alias.name,
        "mount_accessor": alias.mount_accessor,
    }));
    add_mount(&mut view, table, &alias.mount_accessor);
    view
}

/// An entity in a list.
pub(super) fn entity_info(entity: &Entity, table: &MountTable) -> JsonMap {
    let mut view = object(json!({ "name": entity.name }));
    if !entity.aliases.is_empty() {
        let aliases = entity.aliases.iter().map(|a| Json::from(alias_brief(a, table)));
        view.insert("aliases".to_owned(), aliases.collect::<Vec<_>>().into());
    }
    view
}

/// A group in a list.
pub(super) fn group_info(group: &Group, members: usize, table: &MountTable) -> JsonMap {
    let mut view = object(json!({
        "name": group.name,
        "num_member_entities": members,
        "num_parent_groups": group.parents.len(),
    }));
    if let Some(alias) = &group.alias {
        view.insert("alias".to_owned(), alias_brief(alias, table).into());
    }
    view
}

/// An entity.
pub(super) async fn entity(cx: &ReadCx<'_>, entity: &Entity) -> Result<Reply<JsonMap>> {
    let table = mounts(cx).await?;
    let (direct, inherited) = directory(cx).groups_of(entity).await?;
    let ids = |groups: &[std::sync::Arc<Group>]| -> Vec<String> {
        groups.iter().map(|g| g.id.clone()).collect()
    };
    let (direct, inherited) = (ids(&direct), ids(&inherited));
    let all: Vec<&String> = direct.iter().chain(&inherited).collect();
    let aliases: Vec<JsonMap> =
        entity.aliases.iter().map(|a| entity_alias_within(a, &table)).collect();
    Ok(Reply::data(object(json!({
        "id": entity.id,
        "name": entity.name,
        "metadata": pairs(&entity.metadata),
        "merged_entity_ids": list(&entity.merged),
        "policies": entity.policies,
        "disabled": entity.disabled,
        "namespace_id": cx.request.namespace.id,
        "creation_time": entity.created.to_go_string(),
        "last_update_time": entity.updated.to_go_string(),
        "aliases": aliases,
        "group_ids": all,
        "direct_group_ids": direct,
        "inherited_group_ids": inherited,
    }))))
}

/// A group.
pub(super) async fn group(cx: &ReadCx<'_>, group: &Group) -> Result<Reply<JsonMap>> {
    let table = mounts(cx).await?;
    let alias = group.alias.as_ref().map_or_else(JsonMap::new, |a| alias_within(a, &table));
    Ok(Reply::data(object(json!({
        "id": group.id,
        "name": group.name,
        "policies": list(&group.policies),
        "member_entity_ids": list(&directory(cx).members(group).await?),
        "member_group_ids": list(&group.member_groups),
        "parent_group_ids": list(&group.parents),
        "metadata": pairs(&group.metadata),
        "creation_time": group.created.to_go_string(),
        "last_update_time": group.updated.to_go_string(),
        "modify_index": group.modify_index,
        "type": if group.external { "external" } else { "internal" },
        "namespace_id": cx.request.namespace.id,
        "alias": alias,
    }))))
}

/// Names with what there is to know about each; nothing at all is 404.
pub(super) fn list_with_info(all: Vec<(String, JsonMap)>) -> Result<Reply<JsonMap>> {
    if all.is_empty() {
        return Err(Error::not_found());
    }
    let keys: Vec<String> = all.iter().map(|(key, _)| key.clone()).collect();
    let info: JsonMap = all.into_iter().map(|(key, info)| (key, info.into())).collect();
    Ok(Reply::data(object(json!({ "keys": keys, "key_info": info }))))
}

/// Names, sorted, with what there is to know about each by its id, as Vault has it; none at all is
/// 404.
pub(super) fn list_of_names(mut all: Vec<(String, String, JsonMap)>) -> Result<Reply<JsonMap>> {
    if all.is_empty() {
        return Err(Error::not_found());
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<String> = all.iter().map(|(name, ..)| name.clone()).collect();
    let info: JsonMap = all.into_iter().map(|(_, id, info)| (id, info.into())).collect();
    Ok(Reply::data(object(json!({ "keys": names, "key_info": info }))))
}
