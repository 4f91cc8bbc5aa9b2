//! GitHub: people log in with a personal access token, and get the policies of their teams.
//!
//! Invariants:
//! * the organisation is known by its number: a name that was given up can be taken by others;
//! * the token goes to the configured API only: no address in an answer is followed;
//! * it is shown nowhere, and kept with the login's token only under seal.

mod api;
mod config;
mod login;
mod mapping;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use crate::turns::Turns;

/// A GitHub mount.
pub struct Github {
    web: Arc<dyn Web>,
    turns: Turns,
}

/// The surface of GitHub, over what makes calls.
pub fn spec(web: Arc<dyn Web>) -> Spec {
    let spec = EngineSpec::new("github", Class::Auth, move |_| {
        Ok(Github { web: web.clone(), turns: Turns::default() })
    });
    let spec = config::add(spec);
    let spec = mapping::add(spec);
    let spec = login::add(spec);
    spec.case_insensitive("key")
        .docs("People log in with a personal access token of GitHub.")
        .build()
}
