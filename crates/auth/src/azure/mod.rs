//! Azure: machines and services log in by the token of their managed identity (Vault, "Azure auth
//! method").
//!
//! Invariants:
//! * a token is verified by the keys that the tenant's discovery names, by RS256; its issuer is the
//!   tenant's, its audience the configured resource;
//! * what a caller says of its machine counts where the token, or Azure Resource Manager asked with
//!   credentials of our own, says the same: names are compared whole, never as parts of one another
//!   (threat CVE-2025-3879);
//! * what becomes metadata of a login was confirmed by the token or by Resource Manager;
//! * a role that names no identities, groups or places lets nobody in.

mod claims;
mod config;
mod login;
mod manager;
mod resource_ids;
mod resources;
mod roles;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use crate::access_tokens::AccessTokens;
use crate::jwts::KeySets;
use crate::turns::Turns;

/// An Azure mount. What it holds is had from Azure again at any time.
pub struct Azure {
    web: Arc<dyn Web>,
    keys: KeySets,
    access: AccessTokens,
    turns: Turns,
}

/// The surface of Azure.
pub fn spec(web: Arc<dyn Web>) -> Spec {
    let spec = EngineSpec::new("azure", Class::Auth, move |_| {
        let keys = KeySets::new(web.clone());
        let (access, turns) = (AccessTokens::default(), Turns::default());
        Ok(Azure { web: web.clone(), keys, access, turns })
    });
    let spec = login::add(spec);
    let spec = config::add(spec);
    let spec = roles::add(spec);
    spec.case_insensitive("name").docs("Azure's managed identities log in.").build()
}
