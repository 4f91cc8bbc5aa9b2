//! Identity: entities, their aliases and groups; who a token speaks for.
//!
//! Invariants:
//! * a login finds its entity by the mount and the name in it, makes it where there is none, and
//!   writes nothing where nothing changed;
//! * who is in a group is a record for each member: no login reads or writes one of another;
//! * what a request needs of an entity is one remembered value, emptied by the change feed;
//! * entities and groups never hold the `root` policy (threats: CVE-2025-5999, CVE-2024-9180).

mod directory;
mod login;
mod stored;

pub use directory::Directory;
pub use login::{GrantAlias, LoginTally};
pub use stored::{Alias, Entity, Factor, FactorSecret, Group, TakenCodes, alias_key};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_base::{Error, Result, Timestamp};
use strongroom_storage::{Change, IndexKey, Key};

use self::stored::EntityOfAlias;
use crate::mount::Mount;
use crate::namespaces::Namespace;
use crate::namespaces::suffix;
use crate::policy::normalise_policies;
use crate::policy::{AliasView, EntityView, GroupView, IdentityView};
use crate::record::{Derived, Record, Scope, Store, Tx, indexes};

/// Entities remembered.
const STATES_MAX: usize = 50_000;
/// Seconds for which counts are good: counting reads all names (Vault's `usage_gauge_period`).
const USAGE_SECONDS: i64 = 600;

/// How many there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Entities, by namespace.
    pub entities: BTreeMap<Scope, u64>,
    /// Aliases of entities, by the accessor of their mount.
    pub aliases: BTreeMap<String, u64>,
}

/// What a request needs to know of a token's entity.
pub struct EntityState {
    /// Is it disabled? Its tokens are then refused.
    pub disabled: bool,
    /// Policies of the entity and of all its groups, sorted.
    pub policies: Vec<String>,
    /// Ids of entities that became part of it.
    pub merged: Vec<String>,
    /// For templated policies.
    pub view: IdentityView,
    /// Another number for each state that was ever built: what was compiled from a state is known
    /// by it.
    pub serial: u64,
}

/// Whom a login speaks for.
#[derive(Default)]
pub struct LoggedIn {
    /// The entity's id; "" for nobody.
    pub id: String,
    /// The entity with what this login changed; `None` for nobody.
    pub state: Option<Arc<EntityState>>,
}

impl LoggedIn {
    /// Policies of the entity and its groups.
    pub fn policies(&self) -> Vec<String> {
        self.state.as_ref().map_or_else(Vec::new, |state| state.policies.clone())
    }

    /// Is it one of these entities, or was one of them before a merge?
    pub fn is_one_of(&self, ids: &[String]) -> bool {
        let merged = self.state.iter().flat_map(|state| &state.merged);
        ids.iter().any(|id| *id == self.id && !id.is_empty())
            || merged.into_iter().any(|id| ids.contains(id))
    }

    /// Is it in the group with this id, directly or by nesting?
    pub fn is_in_group(&self, id: &str) -> bool {
        self.state.as_ref().is_some_and(|s| s.view.groups.iter().any(|group| group.id == id))
    }
}

/// The identity store.
pub struct Identity {
    store: Arc<Store>,
    states: Arc<Derived<IndexKey, EntityState>>,
    serial: AtomicU64,
    /// When it was counted last, and what.
    usage: tokio::sync::Mutex<Option<(Timestamp, Arc<Usage>)>>,
    /// What is counted of logins.
    pub tally: LoginTally,
}

impl Identity {
    /// The identity store over `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let states = Arc::new(Derived::new(STATES_MAX));
        let weak = Arc::downgrade(&states);
        store.derived.listen(move |change| {
            let Some(states): Option<Arc<Derived<IndexKey, EntityState>>> = weak.upgrade() else {
                return;
            };
            match change {
                Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
                    if *table == indexes::NAMES =>
                {
                    match key.get(4) {
                        Some(&Entity::KIND) => states.remove(key),
                        Some(&Group::KIND) => states.clear(),
                        _ => {}
                    }
                }
                Change::DeleteIndexRange { table, .. } if *table == indexes::NAMES => {
                    states.clear();
                }
                Change::Everything => states.clear(),
                _ => {}
            }
        });
        let (usage, tally) = (tokio::sync::Mutex::default(), LoginTally::default());
        Self { store, states, serial: AtomicU64::new(1), usage, tally }
    }

    /// How many entities and aliases these namespaces have, counted some minutes ago at most.
    pub async fn usage(&self, namespaces: &[Scope]) -> Result<Arc<Usage>> {
        let now = self.store.now();
        let mut last = self.usage.lock().await;
        if let Some((when, usage)) = &*last
            && now < when.plus_seconds(USAGE_SECONDS)
        {
            return Ok(usage.clone());
        }
        let tx = self.store.begin();
        let mut usage = Usage::default();
        for scope in namespaces {
            let view = tx.read(*scope);
            let entities = view.names::<Entity>(0).await?.len();
            usage.entities.insert(*scope, entities as u64);
            for key in view.names::<EntityOfAlias>(0).await?.iter() {
                let (accessor, _) = key.split_once('/').unwrap_or((key, ""));
                *usage.aliases.entry(accessor.to_owned()).or_default() += 1;
            }
        }
        let usage = Arc::new(usage);
        *last = Some((now, usage.clone()));
        Ok(usage)
    }

    /// The state of an entity, or of the one it was merged into; `None` where there is none.
    pub async fn entity(&self, namespace: Scope, id: &str) -> Result<Option<Arc<EntityState>>> {
        if id.is_empty() {
            return Ok(None);
        }
        let tx = self.store.begin();
        let key = tx.read(namespace).index_key::<Entity>(0, id);
        if let Some(state) = self.states.get(&key) {
            return Ok(Some(state));
        }
        let directory = Directory::new(&tx, namespace);
        let Some(entity) = directory.entity(id).await? else { return Ok(None) };
        // An entity that was merged is remembered under the id of the one it became part of.
        let key = tx.read(namespace).index_key::<Entity>(0, &entity.id);
        self.states
            .get_or_fill(&key, || async {
                let entity = directory.unmerged(&entity.id).await?;
                match entity {
                    Some(entity) => self.state(&directory, &entity).await.map(Some),
                    None => Ok(None),
                }
            })
            .await
    }

    async fn state(&self, directory: &Directory<'_>, entity: &Entity) -> Result<EntityState> {
        let (direct, inherited) = directory.groups_of(entity).await?;
        let groups = || direct.iter().chain(&inherited);
        let policies = entity.policies.iter().chain(groups().flat_map(|g| &g.policies));
        let mut policies = normalise_policies(policies.cloned());
        policies.retain(|p| p != "root");
        let view = IdentityView {
            entity: Some(EntityView {
                id: entity.id.clone(),
                name: entity.name.clone(),
                metadata: entity.metadata.clone(),
                aliases: entity
                    .aliases
                    .iter()
                    .map(|alias| AliasView {
                        mount_accessor: alias.mount_accessor.clone(),
                        id: alias.id.clone(),
                        name: alias.name.clone(),
                        metadata: alias.metadata.clone(),
                        custom_metadata: alias.custom_metadata.clone(),
                    })
                    .collect(),
            }),
            groups: groups()
                .map(|group| GroupView {
                    id: group.id.clone(),
                    name: group.name.clone(),
                    metadata: group.metadata.clone(),
                })
                .collect(),
        };
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let merged = entity.merged.clone();
        Ok(EntityState { disabled: entity.disabled, policies, merged, view, serial })
    }

    /// Finds or makes the entity of a login, and keeps its external groups.
    pub async fn login(
        &self,
        tx: &Tx,
        namespace: &Namespace,
        mount: &Mount,
        alias: &GrantAlias,
        groups: &[String],
    ) -> Result<LoggedIn> {
        // "bob" and "bob " would be two entities, of which the second one has none of what is
        // enforced for the first (threat: CVE-2025-6013).
        if alias.name.is_empty() || alias.name.trim() != alias.name {
            let text = "the name of the login is empty, or begins or ends with a space";
            return Err(Error::bad_request(text));
        }
        let directory = Directory::new(tx, namespace.scope);
        let now = self.store.now();
        let found = directory.entity_of_alias(&mount.accessor, &alias.name).await?;
        let mut written = found.is_none();
        let entity = match found {
            Some(entity) => entity,
            None => {
                self.tally.entity_made();
                Arc::new(new_entity(&directory, namespace, mount, alias, now)?)
            }
        };
        if entity.disabled {
            return Err(Error::denied());
        }
        let changed = entity.aliases.iter().any(|a| {
            a.mount_accessor == mount.accessor
                && a.name.eq_ignore_ascii_case(&alias.name)
                && a.metadata != alias.metadata
        });
        written |= changed;
        let entity = if changed {
            let mut fresh = (*entity).clone();
            for own in &mut fresh.aliases {
                if own.mount_accessor == mount.accessor {
                    own.metadata.clone_from(&alias.metadata);
                    own.updated = now;
                }
            }
            fresh.updated = now;
            directory.put_entity(Some(&entity), &fresh)?;
            Arc::new(fresh)
        } else {
            entity
        };
        if !entity.groups.is_empty() || !groups.is_empty() {
            written |= set_external_groups(&directory, &entity, mount, groups).await?;
        }
        let state = if written {
            // Nobody else may see this state before it is committed: it is not remembered.
            let entity = directory.unmerged(&entity.id).await?.unwrap_or(entity.clone());
            Some(Arc::new(self.state(&directory, &entity).await?))
        } else {
            self.entity(namespace.scope, &entity.id).await?
        };
        Ok(LoggedIn { id: entity.id.clone(), state })
    }

    /// The entity of a caller that is verified without a login: found by its alias, or nobody's. One that is
    /// disabled, or is gone while its alias is there, refuses it: its policies might have denied.
    pub async fn find(
        &self,
        tx: &Tx,
        namespace: &Namespace,
        mount: &Mount,
        alias: &GrantAlias,
    ) -> Result<LoggedIn> {
        let directory = Directory::new(tx, namespace.scope);
        let Some(id) = directory.id_of_alias(&mount.accessor, &alias.name).await? else {
            return Ok(LoggedIn::default());
        };
        let entity = directory.unmerged(&id.0).await?.ok_or_else(Error::denied)?;
        if entity.disabled {
            return Err(Error::denied());
        }
        let state = self.entity(namespace.scope, &entity.id).await?.ok_or_else(Error::denied)?;
        Ok(LoggedIn { id: entity.id.clone(), state: Some(state) })
    }

    /// A login was renewed, and its method says which external groups the caller is in now.
    pub async fn renewed(
        &self,
        tx: &Tx,
        namespace: Scope,
        mount: &Mount,
        entity: &str,
        groups: &[String],
    ) -> Result<()> {
        let directory = Directory::new(tx, namespace);
        match directory.unmerged(entity).await? {
            Some(entity) => set_external_groups(&directory, &entity, mount, groups).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Makes the entity of a first login.
fn new_entity(
    directory: &Directory<'_>,
    namespace: &Namespace,
    mount: &Mount,
    alias: &GrantAlias,
    now: Timestamp,
) -> Result<Entity> {
    let id = directory.new_id(&suffix(namespace));
    let alias = Alias {
        id: directory.new_id(&suffix(namespace)),
        canonical_id: id.clone(),
        mount_accessor: mount.accessor.clone(),
        name: alias.name.clone(),
        metadata: alias.metadata.clone(),
        local: mount.local,
        created: now,
        updated: now,
        ..Alias::default()
    };
    let entity = Entity {
        id,
        name: directory.new_name("entity"),
        aliases: vec![alias],
        created: now,
        updated: now,
        ..Entity::default()
    };
    directory.put_entity(None, &entity)?;
    Ok(entity)
}

/// Puts an entity into the external groups that its login named, and takes it out of the others of
/// that mount. Answers whether that changed anything.
async fn set_external_groups(
    directory: &Directory<'_>,
    entity: &Entity,
    mount: &Mount,
    names: &[String],
) -> Result<bool> {
    let mut wanted: Vec<Arc<Group>> = Vec::new();
    for name in names {
        let group = directory.group_of_alias(&mount.accessor, name).await?;
        wanted.extend(group.filter(|g| g.external));
    }
    let mut changed: Vec<(Arc<Group>, bool)> = Vec::new();
    for id in &entity.groups {
        let Some(group) = directory.group(id).await? else { continue };
        let ours = group.alias.as_ref().is_some_and(|a| a.mount_accessor == mount.accessor);
        if group.external && ours && !wanted.iter().any(|w| w.id == group.id) {
            changed.push((group, false));
        }
    }
    for group in wanted {
        if !entity.groups.contains(&group.id) && !changed.iter().any(|(g, _)| g.id == group.id) {
            changed.push((group, true));
        }
    }
    let any = !changed.is_empty();
    for (group, member) in changed {
        directory.set_member(&group, &entity.id, member).await?;
    }
    Ok(any)
}
