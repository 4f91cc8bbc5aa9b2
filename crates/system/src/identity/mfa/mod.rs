//! `identity/mfa`: the second factors of logins. Methods say how one proves who one is, enforcements
//! whose logins need which; an entity is enrolled in a method by a secret that its telephone shares.
//!
//! Logins ask [`strongroom_kernel::mfa`], which judges; here is what operators and users set up.
//!
//! Invariants:
//! * a secret leaves once: in the answer that made it;
//! * a method of a namespace serves it and those below it, and is changed in its own only.

mod enforcements;
mod enrol;
mod methods;
#[cfg(test)]
mod tests;

use strongroom_base::{Error, Result};
use strongroom_kernel::mfa::{Found, find_method};
use strongroom_kernel::plug::{EngineSpec, ReadCx};

use super::{IdentityStore, mounts};

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    enforcements::add(enrol::add(methods::add(spec)))
}

/// The method of the request's namespace, or of one above it.
async fn find(cx: &ReadCx<'_>, id: &str) -> Result<Option<Found>> {
    let table = mounts(cx).await?;
    find_method(cx.kernel_tx(), &table.namespaces, cx.request.namespace.scope, id).await
}

fn refuse<T>(text: &str) -> Result<T> {
    Err(Error::bad_request(text))
}
