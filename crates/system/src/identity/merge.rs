//! Merging entities: one takes over the aliases and groups of others, which are gone then. Tokens
//! of those go on as its tokens.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::identity::{Alias, Entity};
use strongroom_kernel::mounts::MountTable;
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::{IdentityStore, directory, given, mounts};

fields! {
    /// Merges entities into one.
    pub struct MergeEntities {
        /// Ids of the entities to merge.
        from_entity_ids: Vec<String>,
        /// Id of the entity they become part of.
        to_entity_id: Option<String>,
        /// Aliases to keep where two are of one mount.
        conflicting_alias_ids_to_keep: Vec<String>,
        /// Merge even where both have a secret of one second factor? The entity that stays keeps its
        /// own.
        force: Option<bool>,
    }
}
ops! {
    MergeEntities (), Write;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.command::<MergeEntities>("entity/merge")
}

impl Command<MergeEntities> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, mut op: MergeEntities) -> Result<Reply<()>> {
        let to = given(op.to_entity_id.take());
        let to = to.ok_or_else(|| Error::bad_request("missing entity id to merge to"))?;
        if op.from_entity_ids.is_empty() {
            return Err(Error::bad_request("missing entity ids to merge from"));
        }
        let directory = directory(cx);
        let old = directory.unmerged(&to).await?;
        let old = old.ok_or_else(|| Error::bad_request("entity id to merge to is invalid"))?;
        let keep = &op.conflicting_alias_ids_to_keep;
        if op.from_entity_ids.len() > 1 && keep.len() > 1 {
            return Err(Error::bad_request(
                "aliases conflicts cannot be resolved with multiple from entity ids - merge one \
                 entity at a time",
            ));
        }
        op.from_entity_ids.sort();
        op.from_entity_ids.dedup();
        let mut from = Vec::new();
        for id in &op.from_entity_ids {
            if *id == old.id {
                return Err(Error::bad_request(
                    "to_entity_id should not be present in from_entity_ids",
                ));
            }
            let entity = directory.unmerged(id).await?;
            from.push(
                entity.ok_or_else(|| Error::bad_request("entity id to merge from is invalid"))?,
            );
        }
        if op.force != Some(true) {
            check_factors(&old, &from)?;
        }
        if keep.is_empty() {
            check_clashes(&old, &from, &*mounts(cx).await?)?;
        }
        let mut into = (*old).clone();
        for entity in &from {
            // The group records of this entity come from what the merges before it wrote.
            directory.merge(entity, &mut into, cx.now()).await?;
            take_aliases(&mut into, entity, keep)?;
        }
        directory.put_entity(Some(&old), &into)?;
        Ok(Reply::none())
    }
}

/// Refuses where two of the entities have a secret of one second factor.
fn check_factors(to: &Entity, from: &[std::sync::Arc<Entity>]) -> Result<()> {
    let mut seen: Vec<&str> = to.factors.iter().map(|own| own.method.as_str()).collect();
    for entity in from {
        for factor in &entity.factors {
            if seen.contains(&factor.method.as_str()) {
                return Err(Error::bad_request(format!(
                    "conflicting MFA config ID {:?} in entity ID {:?}",
                    factor.method, entity.id
                )));
            }
            seen.push(&factor.method);
        }
    }
    Ok(())
}

/// Refuses where two of the entities have an alias of one mount.
fn check_clashes(to: &Entity, from: &[std::sync::Arc<Entity>], table: &MountTable) -> Result<()> {
    let mut clashes: Vec<Json> = Vec::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for entity in from {
        for alias in &entity.aliases {
            let accessor = alias.mount_accessor.as_str();
            if seen.iter().any(|(a, id)| *a == accessor && *id != entity.id) {
                return Err(Error::bad_request(format!(
                    "mount accessor {accessor} found in multiple fromEntities, merge should be \
                     done with one fromEntity at a time"
                )));
            }
            seen.push((accessor, &entity.id));
            for own in to.aliases.iter().filter(|own| own.mount_accessor == accessor) {
                clashes.push(clash(to, own, table).into());
                clashes.push(clash(entity, alias, table).into());
            }
        }
    }
    if clashes.is_empty() {
        return Ok(());
    }
    let text = "toEntity and at least one fromEntity have aliases with the same mount accessor, \
                repeat the merge request specifying exactly one fromEntity, clashes: ";
    Err(Error::bad_request(text).with_data(Json::Array(clashes)))
}

fn clash(entity: &Entity, alias: &Alias, table: &MountTable) -> JsonMap {
    let mount = table.of_accessor(&alias.mount_accessor);
    let view = json!({
        "entity": entity.name,
        "entity_id": entity.id,
        "alias": alias.name,
        "mount": mount.map_or("", |m| m.mount.kind.as_str()),
        "mount_path": mount.map_or("", |m| m.mount.path.as_str()),
    });
    view.as_object().cloned().unwrap_or_default()
}

/// Gives `into` the aliases of `entity`; of two of one mount, the one to keep.
fn take_aliases(into: &mut Entity, entity: &Entity, keep: &[String]) -> Result<()> {
    for alias in &entity.aliases {
        let own = into.aliases.iter().position(|a| a.mount_accessor == alias.mount_accessor);
        if let Some(at) = own {
            if into.aliases.get(at).is_some_and(|own| keep.contains(&own.id)) {
                continue;
            }
            if !keep.contains(&alias.id) {
                return Err(Error::bad_request(
                    "conflicting mount accessors in aliases, and neither was present in \
                     conflicting_alias_ids_to_keep",
                ));
            }
            into.aliases.remove(at);
        }
        let mut alias = Alias { canonical_id: into.id.clone(), ..alias.clone() };
        alias.merged_from.push(entity.id.clone());
        into.aliases.push(alias);
    }
    Ok(())
}
