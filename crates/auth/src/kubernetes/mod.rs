//! Kubernetes: programs in a cluster log in with the token of their service account.
//!
//! Invariants:
//! * nobody gets in without the API server's word (TokenReview): it knows which accounts and pods are
//!   gone. What the token says of itself only spares it questions; name, namespace and UID count as
//!   the review has them;
//! * a token without a signature of a public key's algorithm is refused before anyone is asked
//!   (threat: CVE-2024-5798), and where keys are configured, so is one that none of them signed;
//! * names from a token become part of a URL only once the API server has vouched for them;
//! * the API server is asked by a bounded number of logins at a time, each answer is bounded in size
//!   and time.

mod account;
mod api;
mod config;
mod login;
mod roles;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_connectors::files::Files;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};
use tokio::sync::Semaphore;

use crate::registry::Outside;

/// Logins that ask the API server at a time, per mount; others wait.
const LOGINS_AT_A_TIME: usize = 32;

/// A Kubernetes mount. All is in records; the object only bounds the questions.
pub struct Kubernetes {
    web: Arc<dyn Web>,
    files: Arc<dyn Files>,
    asking: Semaphore,
}

/// The surface of Kubernetes. `outside` has the API servers, and the server's own account where it runs
/// in a pod.
pub fn spec(outside: &Outside) -> Spec {
    let Outside { web, files, .. } = outside.clone();
    let spec = EngineSpec::new("kubernetes", Class::Auth, move |_| {
        let asking = Semaphore::new(LOGINS_AT_A_TIME);
        Ok(Kubernetes { web: web.clone(), files: files.clone(), asking })
    });
    let spec = login::add(spec);
    let spec = config::add(spec);
    let spec = roles::add(spec);
    spec.case_insensitive("name")
        .docs("Programs in a Kubernetes cluster log in with the token of their service account.")
        .build()
}
