//! All secrets engines of this binary.

use std::sync::Arc;

use strongroom_connectors::database::Databases;
use strongroom_kernel::plug::Spec;

/// The surface of every engine, over these drivers of databases.
pub fn specs(databases: Arc<dyn Databases>) -> Vec<Spec> {
    vec![
        crate::kv::spec(),
        crate::database::spec(databases),
        crate::pki::spec(),
        crate::ssh::spec(),
        crate::totp::spec(),
        crate::transit::spec(),
    ]
}
