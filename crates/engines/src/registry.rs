//! All secrets engines of this binary.

use std::sync::Arc;

use strongroom_connectors::acme::Challenges;
use strongroom_connectors::database::Databases;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, Plugin, Spec};

/// Every engine, over these drivers of databases, what looks at the answers to
/// challenges of certificates' names, and the way to functions that rotate secrets.
pub fn plugins(
    databases: Arc<dyn Databases>,
    challenges: Arc<dyn Challenges>,
    web: Arc<dyn Web>,
) -> Vec<Plugin> {
    let outside = crate::kv::Outside { web, databases: databases.clone() };
    vec![
        secret("kv", || crate::kv::spec_with(outside)),
        secret("database", || crate::database::spec(databases)),
        secret("pki", || crate::pki::spec(challenges)),
        secret("ssh", crate::ssh::spec),
        secret("totp", crate::totp::spec),
        secret("transit", crate::transit::spec),
    ]
}

fn secret(kind: &'static str, make: impl FnOnce() -> Spec + Send + Sync + 'static) -> Plugin {
    Plugin::new(Class::Secret, kind, make)
}
