//! Entities: create, change, read, delete, list.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::identity::Entity;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::{IdentityStore, check_metadata, check_name, directory, given, mounts, new_id, views};

fields! {
    /// Creates an entity, or changes the one that the id or the name leads to.
    pub struct PutEntity {
        /// The entity's id.
        id: Option<String>,
        /// The entity's name.
        name: Option<String>,
        /// Metadata.
        metadata: Option<BTreeMap<String, String>>,
        /// Policies.
        policies: Option<Vec<String>>,
        /// Refuse its tokens?
        disabled: Option<bool>,
    }
}
fields! {
    /// Reads an entity.
    pub struct ReadEntityById {
        /// The entity's id.
        id: String,
    }
}
fields! {
    /// Reads an entity.
    pub struct ReadEntityByName {
        /// The entity's name.
        name: String,
    }
}
fields! {
    /// Deletes an entity with its aliases.
    pub struct DeleteEntityById {
        /// The entity's id.
        id: String,
    }
}
fields! {
    /// Deletes an entity with its aliases.
    pub struct DeleteEntityByName {
        /// The entity's name.
        name: String,
    }
}
fields! {
    /// Deletes several entities.
    pub struct DeleteEntities {
        /// Their ids.
        entity_ids: Vec<String>,
    }
}
fields! {
    /// Lists the entities' ids.
    pub struct ListEntityIds {}
}
fields! {
    /// Lists the entities' names.
    pub struct ListEntityNames {}
}

ops! {
    PutEntity Json, Write;
    ReadEntityById JsonMap, Read;
    ReadEntityByName JsonMap, Read;
    DeleteEntityById (), Delete;
    DeleteEntityByName (), Delete;
    DeleteEntities (), Write;
    ListEntityIds JsonMap, List;
    ListEntityNames JsonMap, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.command::<PutEntity>("entity")
        .command::<PutEntity>("entity/id/{id}")
        .command::<PutEntity>("entity/name/{name..}")
        .query::<ReadEntityById>("entity/id/{id}")
        .query::<ReadEntityByName>("entity/name/{name..}")
        .command::<DeleteEntityById>("entity/id/{id}")
        .command::<DeleteEntityByName>("entity/name/{name..}")
        .command::<DeleteEntities>("entity/batch-delete")
        .query::<ListEntityIds>("entity/id/")
        .query::<ListEntityNames>("entity/name/")
}

/// The entity that a request to create or change one leads to.
async fn target(cx: &ReadCx<'_>, id: &str, name: &str) -> Result<Option<Arc<Entity>>> {
    let directory = directory(cx);
    let by_id = match id {
        "" => None,
        id => {
            let found = directory.entity(id).await?;
            Some(found.ok_or_else(|| Error::bad_request("entity not found from id"))?)
        }
    };
    if name.is_empty() {
        return Ok(by_id);
    }
    let by_name = directory.entity_of_name(name).await?;
    match (by_id, by_name) {
        (Some(id), Some(name)) if id.id != name.id => {
            Err(Error::bad_request("entity name is already in use"))
        }
        (Some(entity), _) | (None, Some(entity)) => Ok(Some(entity)),
        (None, None) => Ok(None),
    }
}

impl Command<PutEntity> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutEntity) -> Result<Reply<Json>> {
        let name = given(op.name);
        check_name(name.as_deref().unwrap_or(""))?;
        let id = op.id.unwrap_or_default();
        let old = target(cx, &id, name.as_deref().unwrap_or("")).await?;
        let now = cx.now();
        let mut entity = match &old {
            Some(old) => (**old).clone(),
            None => Entity {
                id: new_id(cx),
                name: directory(cx).new_name("entity"),
                created: now,
                ..Entity::default()
            },
        };
        if let Some(name) = name {
            entity.name = name;
        }
        if let Some(policies) = op.policies {
            entity.policies = super::policies(policies)?;
        }
        if let Some(metadata) = op.metadata {
            check_metadata("entity metadata", &metadata)?;
            entity.metadata = metadata;
        }
        entity.disabled = op.disabled.unwrap_or(entity.disabled);
        entity.updated = now;
        directory(cx).put_entity(old.as_deref(), &entity)?;
        if old.is_some() {
            return Ok(Reply::none());
        }
        Ok(Reply::data(json!({ "id": entity.id, "name": entity.name, "aliases": null })))
    }
}

impl Query<ReadEntityById> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadEntityById) -> Result<Reply<JsonMap>> {
        let entity = directory(cx).unmerged(&op.id).await?.ok_or_else(Error::not_found)?;
        views::entity(cx, &entity).await
    }
}

impl Query<ReadEntityByName> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadEntityByName) -> Result<Reply<JsonMap>> {
        let entity = directory(cx).entity_of_name(&op.name).await?.ok_or_else(Error::not_found)?;
        views::entity(cx, &entity).await
    }
}

impl Command<DeleteEntityById> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteEntityById) -> Result<Reply<()>> {
        if let Some(entity) = directory(cx).unmerged(&op.id).await? {
            directory(cx).delete_entity(&entity).await?;
        }
        Ok(Reply::none())
    }
}

impl Command<DeleteEntityByName> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteEntityByName) -> Result<Reply<()>> {
        if let Some(entity) = directory(cx).entity_of_name(&op.name).await? {
            directory(cx).delete_entity(&entity).await?;
        }
        Ok(Reply::none())
    }
}

impl Command<DeleteEntities> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteEntities) -> Result<Reply<()>> {
        if op.entity_ids.is_empty() {
            return Err(Error::bad_request("missing entity ids to delete"));
        }
        for id in &op.entity_ids {
            if let Some(entity) = directory(cx).unmerged(id).await? {
                directory(cx).delete_entity(&entity).await?;
            }
        }
        Ok(Reply::none())
    }
}

impl Query<ListEntityIds> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListEntityIds) -> Result<Reply<JsonMap>> {
        let table = mounts(cx).await?;
        let all = directory(cx).entities().await?.into_iter();
        views::list_with_info(all.map(|e| (e.id.clone(), views::entity_info(&e, &table))).collect())
    }
}

impl Query<ListEntityNames> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListEntityNames) -> Result<Reply<JsonMap>> {
        let table = mounts(cx).await?;
        let all = directory(cx).entities().await?.into_iter();
        let all = all.map(|e| (e.name.clone(), e.id.clone(), views::entity_info(&e, &table)));
        views::list_of_names(all.collect())
    }
}
