//! Aliases of entities: how auth mounts call them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::identity::{Alias, Entity};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::{
    IdentityStore, check_metadata, check_name, directory, given, mount, mounts, new_id, views,
};

fields! {
    /// Creates an alias of an entity, or changes the one that the id, or mount and name, lead to.
    pub struct PutAlias {
        /// The alias' id.
        id: Option<String>,
        /// The entity it belongs to. The older name `entity_id` still works.
        canonical_id (entity_id): Option<String>,
        /// The accessor of its mount.
        mount_accessor: Option<String>,
        /// Its name in that mount.
        name: Option<String>,
        /// Metadata for templated policies.
        custom_metadata: Option<BTreeMap<String, String>>,
    }
}
fields! {
    /// Reads an alias.
    pub struct ReadAlias {
        /// The alias' id.
        id: String,
    }
}
fields! {
    /// Deletes an alias.
    pub struct DeleteAlias {
        /// The alias' id.
        id: String,
    }
}
fields! {
    /// Lists the aliases' ids.
    pub struct ListAliases {}
}
ops! {
    PutAlias Json, Write;
    ReadAlias JsonMap, Read;
    DeleteAlias (), Delete;
    ListAliases JsonMap, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.command::<PutAlias>("entity-alias")
        .command::<PutAlias>("entity-alias/id/{id}")
        .query::<ReadAlias>("entity-alias/id/{id}")
        .command::<DeleteAlias>("entity-alias/id/{id}")
        .query::<ListAliases>("entity-alias/id/")
}

fn alias_of<'e>(entity: &'e Entity, id: &str) -> Option<&'e Alias> {
    entity.aliases.iter().find(|a| a.id == id)
}

fn written(alias: &Alias) -> Reply<Json> {
    Reply::data(json!({ "id": alias.id, "canonical_id": alias.canonical_id }))
}

impl Command<PutAlias> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutAlias) -> Result<Reply<Json>> {
        let (accessor, name) = (given(op.mount_accessor), given(op.name));
        check_name(name.as_deref().unwrap_or(""))?;
        if let Some(metadata) = &op.custom_metadata {
            check_metadata("custom_metadata", metadata)?;
        }
        let canonical = given(op.canonical_id);
        if let Some(id) = given(op.id) {
            let owner = directory(cx).entity_of_alias_id(&id).await?;
            let found = owner.as_ref().and_then(|owner| alias_of(owner, &id)).cloned();
            let (Some(owner), Some(alias)) = (owner, found) else {
                return Err(Error::bad_request("invalid alias ID provided"));
            };
            let wanted = Alias {
                name: name.unwrap_or_else(|| alias.name.clone()),
                mount_accessor: accessor.unwrap_or_else(|| alias.mount_accessor.clone()),
                custom_metadata: op
                    .custom_metadata
                    .unwrap_or_else(|| alias.custom_metadata.clone()),
                ..alias.clone()
            };
            return change(cx, owner, alias, wanted, canonical).await;
        }
        let (Some(accessor), Some(name)) = (accessor, name) else {
            return Err(Error::bad_request("'id' or 'mount_accessor' and 'name' must be provided"));
        };
        let local = mount(cx, &accessor).await?.mount.local;
        let custom_metadata = op.custom_metadata.unwrap_or_default();
        if let Some(owner) = directory(cx).entity_of_alias(&accessor, &name).await? {
            let same = |a: &&Alias| {
                a.mount_accessor == accessor && a.name.to_lowercase() == name.to_lowercase()
            };
            if let Some(alias) = owner.aliases.iter().find(same).cloned() {
                let wanted = Alias { name, custom_metadata, ..alias.clone() };
                return change(cx, owner, alias, wanted, canonical).await;
            }
        }
        let now = cx.now();
        let alias = Alias {
            id: new_id(cx),
            mount_accessor: accessor,
            name,
            custom_metadata,
            local,
            created: now,
            updated: now,
            ..Alias::default()
        };
        create(cx, alias, canonical).await
    }
}

/// Makes an alias, and an entity for it where none is named.
async fn create(
    cx: &mut WriteCx<'_>,
    alias: Alias,
    canonical: Option<String>,
) -> Result<Reply<Json>> {
    let directory = directory(cx);
    let old = match canonical {
        Some(id) => {
            let entity = directory.entity(&id).await?;
            Some(entity.ok_or_else(|| Error::bad_request("invalid canonical ID"))?)
        }
        None => None,
    };
    let now = cx.now();
    let mut entity = match &old {
        Some(entity) => (**entity).clone(),
        None => Entity {
            id: new_id(cx),
            name: directory.new_name("entity"),
            created: now,
            ..Entity::default()
        },
    };
    if entity.aliases.iter().any(|a| a.mount_accessor == alias.mount_accessor) {
        return Err(Error::bad_request(
            "Alias already exists for requested entity and mount accessor",
        ));
    }
    let alias = Alias { canonical_id: entity.id.clone(), ..alias };
    entity.aliases.push(alias.clone());
    entity.updated = now;
    directory.put_entity(old.as_deref(), &entity)?;
    Ok(written(&alias))
}

/// Changes an alias, and moves it where another entity is named.
async fn change(
    cx: &mut WriteCx<'_>,
    owner: Arc<Entity>,
    alias: Alias,
    mut wanted: Alias,
    canonical: Option<String>,
) -> Result<Reply<Json>> {
    let moves_to = canonical.filter(|id| *id != owner.id);
    if wanted == alias && moves_to.is_none() {
        return Ok(Reply::none());
    }
    let directory = directory(cx);
    wanted.updated = cx.now();
    let entry = mount(cx, &wanted.mount_accessor).await?;
    wanted.local = entry.mount.local;
    let other = directory.entity_of_alias(&wanted.mount_accessor, &wanted.name).await?;
    let taken = other.is_some_and(|other| {
        other.aliases.iter().any(|a| {
            a.id != alias.id
                && a.mount_accessor == wanted.mount_accessor
                && a.name.to_lowercase() == wanted.name.to_lowercase()
        })
    });
    if taken {
        return Err(Error::bad_request(
            "alias with combination of mount accessor and name already exists",
        ));
    }
    let mut from = (*owner).clone();
    from.aliases.retain(|a| a.id != alias.id);
    let Some(id) = moves_to else {
        if from.aliases.iter().any(|a| a.mount_accessor == wanted.mount_accessor) {
            return Err(Error::bad_request(
                "Alias cannot be updated as the entity already has an alias for the given \
                 'mount_accessor' ",
            ));
        }
        from.aliases.push(wanted.clone());
        directory.put_entity(Some(&owner), &from)?;
        return Ok(written(&wanted));
    };
    if wanted.local {
        return Err(Error::bad_request("local aliases can't be moved between entities"));
    }
    let to = directory.entity(&id).await?;
    let to = to.ok_or_else(|| {
        Error::bad_request("given 'canonical_id' is not associated with an entity")
    })?;
    if to.aliases.iter().any(|a| a.mount_accessor == wanted.mount_accessor) {
        return Err(Error::bad_request(
            "Alias cannot be updated as the given entity already has an alias for this mount ",
        ));
    }
    wanted.canonical_id.clone_from(&to.id);
    let mut fresh = (*to).clone();
    fresh.aliases.push(wanted.clone());
    directory.put_entity(Some(&owner), &from)?;
    directory.put_entity(Some(&to), &fresh)?;
    Ok(written(&wanted))
}

impl Query<ReadAlias> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadAlias) -> Result<Reply<JsonMap>> {
        let owner = directory(cx).entity_of_alias_id(&op.id).await?;
        let alias = owner.as_ref().and_then(|owner| alias_of(owner, &op.id));
        views::alias(cx, alias.ok_or_else(Error::not_found)?).await
    }
}

impl Command<DeleteAlias> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteAlias) -> Result<Reply<()>> {
        if let Some(owner) = directory(cx).entity_of_alias_id(&op.id).await? {
            let mut entity = (*owner).clone();
            entity.aliases.retain(|a| a.id != op.id);
            directory(cx).put_entity(Some(&owner), &entity)?;
        }
        Ok(Reply::none())
    }
}

impl Query<ListAliases> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListAliases) -> Result<Reply<JsonMap>> {
        let table = mounts(cx).await?;
        let all = directory(cx).entities().await?;
        let aliases = all.iter().flat_map(|e| &e.aliases);
        let mut all: Vec<_> =
            aliases.map(|a| (a.id.clone(), views::alias_info(a, &table))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        views::list_with_info(all)
    }
}
