//! Who a token speaks for: the one place that says whether a token may be used now, and with which
//! rights. The pipeline asks it for each request, the system's operations for tokens they are told
//! of (capabilities, explanations).

use std::sync::Arc;

use strongroom_base::Result;

use crate::identity::EntityState;
use crate::mounts::MountTable;
use crate::node::Services;
use crate::record::Scope;
use crate::tokens::{Grounds, Token};

/// A token that may be used now.
pub struct Caller {
    /// The token.
    pub token: Arc<Token>,
    /// Its entity, if it has one.
    pub entity: Option<Arc<EntityState>>,
}

impl Services {
    /// The caller that a live token stands for; `None` where its auth mount, its namespace or its
    /// entity is gone or shut off. The token's own end and uses are the token store's business,
    /// the address it may be used from is the request's.
    pub async fn caller(&self, table: &MountTable, token: Arc<Token>) -> Result<Option<Caller>> {
        if !table.serves(token.namespace, token.mount, token.created) {
            return Ok(None);
        }
        if token.entity_id.is_empty() {
            return Ok(Some(Caller { token, entity: None }));
        }
        // A token whose entity is gone or disabled is good for nothing.
        let live = self.live_entity(table, &token.entity_id).await?;
        let Some((home, entity)) = live else { return Ok(None) };
        // Its policies are of its own namespace, and mean nothing in another.
        let entity = (home == token.namespace).then_some(entity);
        Ok(Some(Caller { token, entity }))
    }

    /// The entity with this id, or the one it was merged into, and where it lives; `None` where it is gone or
    /// disabled.
    pub async fn live_entity(
        &self,
        table: &MountTable,
        id: &str,
    ) -> Result<Option<(Scope, Arc<EntityState>)>> {
        // An entity's id says in which namespace it lives.
        let home = match id.split_once('.') {
            Some((_, id)) => match table.namespaces.of_id(id) {
                Some(namespace) => namespace.scope,
                None => return Ok(None),
            },
            None => Scope::ROOT,
        };
        let entity = self.identity.entity(home, id).await?;
        Ok(entity.filter(|entity| !entity.disabled).map(|entity| (home, entity)))
    }
}

impl MountTable {
    /// The path `path` of namespace `at` as the policies of namespace `of` see it: relative to
    /// that. `None` where `of` is not at or above `at`.
    pub fn path_for(&self, of: Scope, at: Scope, path: &str) -> Option<String> {
        let own = self.namespaces.of_scope(of)?;
        let prefix = self.namespaces.of_scope(at)?.path.strip_prefix(&own.path)?;
        Some(if prefix.is_empty() { path.to_owned() } else { format!("{prefix}{path}") })
    }
}
