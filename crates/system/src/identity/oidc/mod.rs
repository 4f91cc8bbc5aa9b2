//! `identity/oidc`: tokens that tell others who somebody is, as OpenID Connect has them
//! (OpenID Connect Core 1.0, Discovery 1.0). Who has a token of this server gets one about its own
//! entity; whoever meets it verifies it by the public keys that are published here.
//!
//! * [`keys`] signs, and is rotated; [`roles`] says what a token holds; [`tokens`] makes and
//!   introspects them; [`template`] fills in what a role adds; [`well_known`] publishes;
//! * [`stored`] is what is kept, in the records of the `identity/` mount.
//!
//! Invariants:
//! * a token speaks for the entity of whoever asks, and for nobody else;
//! * no template sets a claim that verifiers rely on;
//! * a private key never leaves; a public one is published before it signs and until the last token
//!   it signed has ended, unless an operator says otherwise.

mod keys;
mod roles;
mod stored;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod well_known;

use strongroom_base::Result;
use strongroom_crypto::jws::Algorithm;
use strongroom_kernel::plug::{EngineSpec, ReadCx};

use self::stored::Config;
use super::IdentityStore;

/// Seconds between two looks for keys whose time has come.
const ROTATE_EVERY: i64 = 60;
/// Signature algorithms of keys.
const ALGORITHMS: [&str; 7] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"];
/// Claims that no template sets.
const RESERVED: [&str; 10] =
    ["iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash"];

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    well_known::add(tokens::add(roles::add(keys::add(spec)))).reconciles(ROTATE_EVERY)
}

/// An algorithm that a key may have.
fn algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::named(name).filter(|_| ALGORITHMS.contains(&name))
}

/// The issuer of the request's namespace, as its tokens name it.
async fn issuer(cx: &ReadCx<'_>) -> Result<String> {
    let config = cx.view().cached::<Config>(0, "").await?.unwrap_or_default();
    let at = match config.issuer.as_str() {
        "" => &cx.kernel().config.api_addr,
        own => own,
    };
    Ok(format!("{at}/v1/{}identity/oidc", cx.request.namespace.path))
}
