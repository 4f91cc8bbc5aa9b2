//! The auth methods of this binary.

use std::sync::Arc;

use strongroom_connectors::web::Web;
use strongroom_kernel::plug::Spec;

/// Whom methods ask.
#[derive(Clone)]
pub struct Outside {
    /// Services over HTTP.
    pub web: Arc<dyn Web>,
}

/// The surface of every method, over `outside`.
pub fn specs(_outside: &Outside) -> Vec<Spec> {
    vec![crate::approle::spec(), crate::userpass::spec()]
}
