//! What a token may do: for the pipeline, and for the operations that ask about it.

use std::sync::Arc;

use strongroom_base::Result;

use crate::identity::EntityState;
use crate::mounts::MountTable;
use crate::namespaces::Namespace;
use crate::node::Services;
use crate::plug::ReadCx;
use crate::policy::Acl;
use crate::tokens::{Token, normalise_policies};

/// The compiled rights of a token; `entity` is its entity's state.
pub async fn rights(
    services: &Services,
    token: &Token,
    entity: Option<&EntityState>,
) -> Result<Arc<Acl>> {
    let policies = &services.policies;
    match entity.filter(|_| !token.no_identity_policies) {
        Some(entity) if !entity.policies.is_empty() => {
            let all = token.policies.iter().chain(&entity.policies).cloned();
            policies.acl(token.namespace, &normalise_policies(all), Some(entity)).await
        }
        entity => policies.acl(token.namespace, &token.policies, entity).await,
    }
}

/// What stands before a path of `namespace` for the token's policies, which see paths relative to
/// the token's namespace. `None` where that is not at or above `namespace`.
pub fn policy_prefix(table: &MountTable, token: &Token, namespace: &Namespace) -> Option<String> {
    let own = table.namespaces.of_scope(token.namespace)?;
    namespace.path.strip_prefix(&own.path).map(str::to_owned)
}

/// Does policy grant the caller `sudo` on the path of its own request?
pub async fn has_sudo(cx: &ReadCx<'_>) -> Result<bool> {
    let (request, services) = (cx.request, cx.kernel());
    let Some(token) = &request.token else { return Ok(false) };
    let entity = services.identity.entity(token.namespace, &token.entity_id).await?;
    let acl = rights(services, token, entity.as_deref()).await?;
    let table = services.router.table().await?;
    let prefix = policy_prefix(&table, token, &request.namespace);
    Ok(prefix.is_some_and(|prefix| {
        let path = format!("{prefix}{}", request.full_path);
        acl.is_root() || acl.capabilities(&path).contains(&"sudo")
    }))
}
