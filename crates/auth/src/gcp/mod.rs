//! Google Cloud: service accounts log in by a token that they signed, instances by the token that their
//! metadata server gives (Vault, "Google Cloud auth method").
//!
//! Invariants:
//! * a token is verified by Google's keys, or for roles of the type `iam` by those that Google publishes
//!   for its subject; its algorithm is RS256, whatever it says itself;
//! * each of its audiences ends in `vault/` and the role's name, and it has one;
//! * what a token says of an instance is believed where Google signed it, and nobody else;
//! * the account, and the instance, must still be there: Google is asked at the login and at renewals.

mod api;
mod config;
mod edits;
mod instances;
mod login;
mod renewal;
mod roles;
mod stored;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use crate::access_tokens::AccessTokens;
use crate::jwts::KeySets;
use crate::turns::Turns;

/// A Google Cloud mount. What it holds is had from Google again at any time.
pub struct Gcp {
    web: Arc<dyn Web>,
    /// Google's own keys.
    keys: KeySets,
    /// Those of service accounts, whose names strangers choose.
    accounts: KeySets,
    access: AccessTokens,
    turns: Turns,
}

/// The surface of Google Cloud.
pub fn spec(web: Arc<dyn Web>) -> Spec {
    let spec = EngineSpec::new("gcp", Class::Auth, move |_| {
        Ok(Gcp {
            web: web.clone(),
            keys: KeySets::new(web.clone()),
            accounts: KeySets::new(web.clone()),
            access: AccessTokens::default(),
            turns: Turns::default(),
        })
    });
    let spec = login::add(spec);
    let spec = config::add(spec);
    let spec = roles::add(spec).query::<roles::ListRoles>("roles/");
    let spec = edits::add(spec);
    spec.case_insensitive("name")
        .docs("Google Cloud's service accounts and instances log in.")
        .build()
}
