//! A namespace's entities and groups within a transaction: look-ups, and changes that keep both
//! sides of every relation and all indexes.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_base::{Error, Result, Timestamp};

use super::stored::{
    Alias, Entity, EntityOfAlias, EntityOfAliasId, EntityOfName, Factor, FactorSecret, Group,
    GroupMember, GroupOfAlias, GroupOfAliasId, GroupOfName, MergedInto, TakenCodes, alias_key,
};
use crate::record::{Id, Record, Scope, Tx};

/// Merges followed from one id; each is a former entity, so chains are short.
const MERGES_MAX: usize = 64;
/// Groups that one entity is in, directly and by nesting.
pub const GROUPS_MAX: usize = 10_000;

/// The entities and groups of one namespace.
#[derive(Clone, Copy)]
pub struct Directory<'a> {
    tx: &'a Tx,
    scope: Scope,
}

impl<'a> Directory<'a> {
    /// Those of the namespace with this scope.
    pub fn new(tx: &'a Tx, scope: Scope) -> Self {
        Self { tx, scope }
    }

    /// The transaction.
    pub fn tx(&self) -> &'a Tx {
        self.tx
    }

    async fn find<T: Record>(&self, name: &str) -> Result<Option<Arc<T>>> {
        self.tx.read(self.scope).cached::<T>(0, name).await
    }

    fn put<T: Record>(&self, name: &str, record: &T) -> Result<()> {
        self.tx.write(self.scope).put_named(0, name, record)
    }

    fn delete<T: Record>(&self, name: &str) {
        self.tx.write(self.scope).delete_named::<T>(0, name);
    }

    /// The entity with this id, or the one it was merged into.
    pub async fn entity(&self, id: &str) -> Result<Option<Arc<Entity>>> {
        let mut id = id.to_owned();
        for _ in 0..MERGES_MAX {
            if let Some(entity) = self.find::<Entity>(&id).await? {
                return Ok(Some(entity));
            }
            match self.find::<MergedInto>(&id).await? {
                Some(into) => id.clone_from(&into.0),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The entity with exactly this id.
    pub async fn unmerged(&self, id: &str) -> Result<Option<Arc<Entity>>> {
        self.find::<Entity>(id).await
    }

    /// The entity called so, whatever the case.
    pub async fn entity_of_name(&self, name: &str) -> Result<Option<Arc<Entity>>> {
        match self.find::<EntityOfName>(&name.to_lowercase()).await? {
            Some(id) => self.find::<Entity>(&id.0).await,
            None => Ok(None),
        }
    }

    /// The entity with the alias of this id.
    pub async fn entity_of_alias_id(&self, id: &str) -> Result<Option<Arc<Entity>>> {
        match self.find::<EntityOfAliasId>(id).await? {
            Some(id) => self.find::<Entity>(&id.0).await,
            None => Ok(None),
        }
    }

    /// The id of the entity that a mount calls so, which may be gone.
    pub async fn id_of_alias(
        &self,
        accessor: &str,
        name: &str,
    ) -> Result<Option<Arc<EntityOfAlias>>> {
        self.find::<EntityOfAlias>(&alias_key(accessor, name)).await
    }

    /// The entity that a mount calls so.
    pub async fn entity_of_alias(&self, accessor: &str, name: &str) -> Result<Option<Arc<Entity>>> {
        match self.id_of_alias(accessor, name).await? {
            Some(id) => self.find::<Entity>(&id.0).await,
            None => Ok(None),
        }
    }

    /// The group with this id.
    pub async fn group(&self, id: &str) -> Result<Option<Arc<Group>>> {
        self.find::<Group>(id).await
    }

    /// The group called so, whatever the case.
    pub async fn group_of_name(&self, name: &str) -> Result<Option<Arc<Group>>> {
        match self.find::<GroupOfName>(&name.to_lowercase()).await? {
            Some(id) => self.find::<Group>(&id.0).await,
            None => Ok(None),
        }
    }

    /// The group with the alias of this id.
    pub async fn group_of_alias_id(&self, id: &str) -> Result<Option<Arc<Group>>> {
        match self.find::<GroupOfAliasId>(id).await? {
            Some(id) => self.find::<Group>(&id.0).await,
            None => Ok(None),
        }
    }

    /// The group that a mount calls so.
    pub async fn group_of_alias(&self, accessor: &str, name: &str) -> Result<Option<Arc<Group>>> {
        match self.find::<GroupOfAlias>(&alias_key(accessor, name)).await? {
            Some(id) => self.find::<Group>(&id.0).await,
            None => Ok(None),
        }
    }

    /// All entities, by id.
    pub async fn entities(&self) -> Result<Vec<Entity>> {
        let all = self.tx.read(self.scope).all::<Entity>(0).await?;
        Ok(all.into_iter().map(|(_, entity)| entity).collect())
    }

    /// All groups, by id.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        let all = self.tx.read(self.scope).all::<Group>(0).await?;
        Ok(all.into_iter().map(|(_, group)| group).collect())
    }

    /// The groups that an entity is in: directly, and by nesting.
    pub async fn groups_of(&self, entity: &Entity) -> Result<(Vec<Arc<Group>>, Vec<Arc<Group>>)> {
        let mut seen: BTreeSet<String> = entity.groups.iter().cloned().collect();
        let mut direct = Vec::with_capacity(entity.groups.len());
        for id in &entity.groups {
            direct.extend(self.group(id).await?);
        }
        let mut inherited: Vec<Arc<Group>> = Vec::new();
        let mut next: Vec<Arc<Group>> = direct.clone();
        while let Some(group) = next.pop() {
            for parent in &group.parents {
                if seen.len() < GROUPS_MAX && seen.insert(parent.clone()) {
                    let parent = self.group(parent).await?;
                    inherited.extend(parent.clone());
                    next.extend(parent);
                }
            }
        }
        inherited.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((direct, inherited))
    }

    /// A fresh id; `suffix` is the namespace's.
    pub fn new_id(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.tx.store().rng.uuid())
    }

    /// A name for who was given none: `entity_1a2b3c4d`.
    pub fn new_name(&self, what: &str) -> String {
        let [a, b, c, d] = self.tx.store().rng.array::<4>();
        format!("{what}_{a:02x}{b:02x}{c:02x}{d:02x}")
    }

    /// Stores an entity that was `old`, with its indexes.
    pub fn put_entity(&self, old: Option<&Entity>, entity: &Entity) -> Result<()> {
        let none = Entity::default();
        let before = old.unwrap_or(&none);
        let (was, is) = (before.name.to_lowercase(), entity.name.to_lowercase());
        if was != is {
            if !was.is_empty() {
                self.delete::<EntityOfName>(&was);
            }
            self.put(&is, &EntityOfName(entity.id.clone()))?;
        }
        for alias in &before.aliases {
            if !entity.aliases.iter().any(|a| a.id == alias.id && same_key(a, alias)) {
                self.delete::<EntityOfAlias>(&alias_key(&alias.mount_accessor, &alias.name));
                self.delete::<EntityOfAliasId>(&alias.id);
            }
        }
        for alias in &entity.aliases {
            if !before.aliases.iter().any(|a| a.id == alias.id && same_key(a, alias)) {
                let key = alias_key(&alias.mount_accessor, &alias.name);
                self.put(&key, &EntityOfAlias(entity.id.clone()))?;
                self.put(&alias.id, &EntityOfAliasId(entity.id.clone()))?;
            }
        }
        self.put(&entity.id, entity)
    }

    /// Removes an entity, its aliases and its memberships.
    pub async fn delete_entity(&self, entity: &Entity) -> Result<()> {
        for id in &entity.groups {
            if let Some(group) = self.group(id).await? {
                self.put_member(&group, &entity.id, false)?;
            }
        }
        for alias in &entity.aliases {
            self.delete::<EntityOfAlias>(&alias_key(&alias.mount_accessor, &alias.name));
            self.delete::<EntityOfAliasId>(&alias.id);
        }
        for factor in &entity.factors {
            self.forget_factor(factor, &entity.id);
        }
        self.delete::<EntityOfName>(&entity.name.to_lowercase());
        self.delete::<Entity>(&entity.id);
        Ok(())
    }

    /// The secret of an entity's second factor; `at` is its method's number.
    pub async fn factor_secret(&self, at: Id, entity: &str) -> Result<Option<FactorSecret>> {
        self.tx.read(self.scope).named(at, entity).await
    }

    /// The codes of it that were taken.
    pub async fn taken_codes(&self, at: Id, entity: &str) -> Result<TakenCodes> {
        Ok(self.tx.read(self.scope).named(at, entity).await?.unwrap_or_default())
    }

    /// Notes which codes of it were taken.
    pub fn put_taken_codes(&self, at: Id, entity: &str, taken: &TakenCodes) -> Result<()> {
        self.tx.write(self.scope).put_named(at, entity, taken)
    }

    /// Gives an entity a second factor.
    pub fn put_factor(&self, old: &Entity, factor: Factor, secret: &FactorSecret) -> Result<()> {
        let edit = self.tx.write(self.scope);
        edit.put_named(factor.at, &old.id, secret)?;
        edit.delete_named::<TakenCodes>(factor.at, &old.id);
        let mut entity = old.clone();
        entity.factors.retain(|own| own.at != factor.at);
        entity.factors.push(factor);
        self.put_entity(Some(old), &entity)
    }

    /// Takes a second factor from an entity.
    pub fn remove_factor(&self, old: &Entity, at: Id) -> Result<()> {
        let mut entity = old.clone();
        for factor in old.factors.iter().filter(|own| own.at == at) {
            self.forget_factor(factor, &old.id);
        }
        entity.factors.retain(|own| own.at != at);
        self.put_entity(Some(old), &entity)
    }

    fn forget_factor(&self, factor: &Factor, entity: &str) {
        let edit = self.tx.write(self.scope);
        edit.delete_named::<FactorSecret>(factor.at, entity);
        edit.delete_named::<TakenCodes>(factor.at, entity);
    }

    /// Removes the secrets that entities of this namespace have of a method.
    pub fn forget_method(&self, at: Id) {
        let edit = self.tx.write(self.scope);
        edit.delete_all::<FactorSecret>(at);
        edit.delete_all::<TakenCodes>(at);
    }

    /// Gives `into` the second factors of `from` that it has none of its own of.
    async fn take_factors(&self, from: &Entity, into: &mut Entity) -> Result<()> {
        for factor in &from.factors {
            if into.factors.iter().any(|own| own.at == factor.at) {
                continue;
            }
            let Some(secret) = self.factor_secret(factor.at, &from.id).await? else { continue };
            let taken = self.taken_codes(factor.at, &from.id).await?;
            let edit = self.tx.write(self.scope);
            edit.put_named(factor.at, &into.id, &secret)?;
            edit.put_named(factor.at, &into.id, &taken)?;
            into.factors.push(factor.clone());
        }
        Ok(())
    }

    /// Notes that the entity `from` became part of `into`.
    pub fn note_merge(&self, from: &str, into: &str) -> Result<()> {
        self.put(from, &MergedInto(into.to_owned()))
    }

    /// Ids of the entities in a group, sorted: as they were when the transaction began.
    pub async fn members(&self, group: &Group) -> Result<Arc<Vec<String>>> {
        match group.at {
            0 => Ok(Arc::new(group.members.clone())),
            at => self.tx.read(self.scope).names::<GroupMember>(at).await,
        }
    }

    /// A group whose members hang below its number.
    fn numbered(&self, group: &Group) -> Result<Group> {
        let mut group = group.clone();
        if group.at == 0 {
            group.at = self.tx.new_id();
            for member in std::mem::take(&mut group.members) {
                self.tx.write(self.scope).put_named(group.at, &member, &GroupMember)?;
            }
        }
        Ok(group)
    }

    /// The group's side of a membership.
    fn put_member(&self, group: &Group, entity: &str, member: bool) -> Result<()> {
        let numbered = self.numbered(group)?;
        if group.at == 0 {
            self.put(&group.id, &numbered)?;
        }
        let edit = self.tx.write(self.scope);
        if member {
            edit.put_named(numbered.at, entity, &GroupMember)?;
        } else {
            edit.delete_named::<GroupMember>(numbered.at, entity);
        }
        Ok(())
    }

    /// Puts an entity into a group, or takes it out.
    pub async fn set_member(&self, group: &Group, entity: &str, member: bool) -> Result<()> {
        self.put_member(group, entity, member)?;
        self.set_membership(entity, &group.id, member).await
    }

    /// Stores a group that was `old`, with its indexes and the members' side of each relation.
    /// `members` are the entities in it from now on; none leaves them as they are.
    pub async fn put_group(
        &self,
        old: Option<&Group>,
        group: &Group,
        members: Option<&[String]>,
    ) -> Result<()> {
        let none = Group::default();
        let before = old.unwrap_or(&none);
        let group = &self.numbered(group)?;
        let (was, is) = (before.name.to_lowercase(), group.name.to_lowercase());
        if was != is {
            if !was.is_empty() {
                self.delete::<GroupOfName>(&was);
            }
            self.put(&is, &GroupOfName(group.id.clone()))?;
        }
        if before.alias != group.alias {
            if let Some(alias) = &before.alias {
                self.delete::<GroupOfAlias>(&alias_key(&alias.mount_accessor, &alias.name));
                self.delete::<GroupOfAliasId>(&alias.id);
            }
            if let Some(alias) = &group.alias {
                let key = alias_key(&alias.mount_accessor, &alias.name);
                self.put(&key, &GroupOfAlias(group.id.clone()))?;
                self.put(&alias.id, &GroupOfAliasId(group.id.clone()))?;
            }
        }
        if let Some(members) = members {
            let was = self.members(before).await?;
            let (gone, come) = difference(&was, members);
            for id in gone {
                self.set_member(group, id, false).await?;
            }
            for id in come {
                self.set_member(group, id, true).await?;
            }
        }
        // First the group: a cycle is then found whatever the order of the changes.
        self.put(&group.id, group)?;
        let (gone, come) = difference(&before.member_groups, &group.member_groups);
        for id in gone {
            self.set_parent(id, &group.id, false).await?;
        }
        for id in come {
            self.check_no_cycle(id, &group.id).await?;
            self.set_parent(id, &group.id, true).await?;
        }
        Ok(())
    }

    /// The entity's side of a membership.
    async fn set_membership(&self, entity: &str, group: &str, member: bool) -> Result<()> {
        let Some(found) = self.unmerged(entity).await? else {
            return if member { Err(Error::bad_request("invalid entity ID")) } else { Ok(()) };
        };
        let mut entity = (*found).clone();
        entity.groups.retain(|g| g != group);
        if member {
            entity.groups.push(group.to_owned());
        }
        self.put(&entity.id, &entity)
    }

    /// The member's side of a nesting.
    async fn set_parent(&self, child: &str, group: &str, member: bool) -> Result<()> {
        let Some(found) = self.group(child).await? else {
            return if member {
                Err(Error::bad_request("invalid member group ID"))
            } else {
                Ok(())
            };
        };
        let mut child = (*found).clone();
        child.parents.retain(|g| g != group);
        if member {
            child.parents.push(group.to_owned());
        }
        self.put(&child.id, &child)
    }

    /// Refuses to make `child` a member of `group` where `child` is above `group`.
    async fn check_no_cycle(&self, child: &str, group: &str) -> Result<()> {
        if child == group {
            return Err(Error::bad_request("member group ID is same as the ID of the group"));
        }
        let mut seen = BTreeSet::new();
        let mut next = vec![group.to_owned()];
        while let Some(id) = next.pop() {
            if id == child {
                return Err(Error::bad_request("cyclic relationship detected for member group ID"));
            }
            if seen.len() < GROUPS_MAX
                && seen.insert(id.clone())
                && let Some(group) = self.group(&id).await?
            {
                next.extend(group.parents.iter().cloned());
            }
        }
        Ok(())
    }

    /// Removes a group, its alias and all its relations.
    pub async fn delete_group(&self, group: &Group) -> Result<()> {
        let empty = Group { member_groups: Vec::new(), alias: None, ..group.clone() };
        self.put_group(Some(group), &empty, Some(&[])).await?;
        for id in &group.parents {
            if let Some(parent) = self.group(id).await? {
                let mut parent = (*parent).clone();
                parent.member_groups.retain(|g| *g != group.id);
                self.put(&parent.id, &parent)?;
            }
        }
        self.delete::<GroupOfName>(&group.name.to_lowercase());
        self.delete::<Group>(&group.id);
        Ok(())
    }

    /// Merges `from` into `into`, whose aliases and groups become those of both.
    pub async fn merge(&self, from: &Entity, into: &mut Entity, now: Timestamp) -> Result<()> {
        self.take_factors(from, into).await?;
        self.delete_entity(from).await?;
        for id in &from.groups {
            let Some(group) = self.group(id).await? else { continue };
            if into.groups.contains(id) {
                continue;
            }
            self.put_member(&group, &into.id, true)?;
            into.groups.push(id.clone());
        }
        into.merged.extend(from.merged.iter().cloned());
        into.merged.push(from.id.clone());
        into.updated = now;
        self.note_merge(&from.id, &into.id)
    }
}

fn same_key(a: &Alias, b: &Alias) -> bool {
    a.mount_accessor == b.mount_accessor && a.name.to_lowercase() == b.name.to_lowercase()
}

/// What is only in `before`, and what is only in `after`.
fn difference<'s>(before: &'s [String], after: &'s [String]) -> (Vec<&'s str>, Vec<&'s str>) {
    let was: BTreeSet<&str> = before.iter().map(String::as_str).collect();
    let is: BTreeSet<&str> = after.iter().map(String::as_str).collect();
    (was.difference(&is).copied().collect(), is.difference(&was).copied().collect())
}
