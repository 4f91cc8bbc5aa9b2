//! All secrets engines of this binary.

use std::sync::Arc;

use strongroom_connectors::acme::Challenges;
use strongroom_connectors::database::Databases;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::Spec;

/// The surface of every engine, over these drivers of databases, what looks at the answers to
/// challenges of certificates' names, and the way to functions that rotate secrets.
pub fn specs(
    databases: Arc<dyn Databases>,
    challenges: Arc<dyn Challenges>,
    web: Arc<dyn Web>,
) -> Vec<Spec> {
    vec![
        crate::kv::spec_with(crate::kv::Outside { web, databases: databases.clone() }),
        crate::database::spec(databases),
        crate::pki::spec(challenges),
        crate::ssh::spec(),
        crate::totp::spec(),
        crate::transit::spec(),
    ]
}
