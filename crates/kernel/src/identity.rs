//! Identity: entities, their aliases and groups; who a token speaks for.

use std::sync::Arc;

use strongroom_base::Result;

use crate::mounts::Mount;
use crate::namespaces::Namespace;
use crate::plug::GrantAlias;
use crate::policy::IdentityView;
use crate::record::{Scope, Store, Tx};

/// What a request needs to know of a token's entity.
pub struct EntityState {
    /// Is it disabled? Its tokens are then refused.
    pub disabled: bool,
    /// Policies of the entity and of all its groups, sorted.
    pub policies: Vec<String>,
    /// For templated policies.
    pub view: IdentityView,
}

/// The identity store.
pub struct Identity {
    _store: Arc<Store>,
}

impl Identity {
    /// The identity store over `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { _store: store }
    }

    /// The state of an entity; `None` where there is none.
    pub async fn entity(&self, _namespace: Scope, _id: &str) -> Result<Option<Arc<EntityState>>> {
        Ok(None)
    }

    /// Finds or makes the entity of a login, and keeps its external groups. Answers its id.
    pub async fn login(
        &self,
        _tx: &Tx,
        _namespace: &Namespace,
        _mount: &Mount,
        _alias: &GrantAlias,
        _groups: &[String],
    ) -> Result<String> {
        Ok(String::new())
    }
}
