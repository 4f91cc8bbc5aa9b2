//! The auth methods of this binary.

use std::sync::Arc;

use strongroom_connectors::directory::Directory;
use strongroom_connectors::files::Files;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, Plugin, Spec};

/// Whom methods ask.
#[derive(Clone)]
pub struct Outside {
    /// Services over HTTP.
    pub web: Arc<dyn Web>,
    /// What the machine put down for the server.
    pub files: Arc<dyn Files>,
    /// Directories that speak LDAP.
    pub directory: Arc<dyn Directory>,
    /// The URL of the API server of the cluster that the server runs in, as Kubernetes tells its pods;
    /// `None` outside of a pod.
    pub cluster: Option<String>,
}

/// Every method, over `outside`.
pub fn plugins(outside: &Outside) -> Vec<Plugin> {
    vec![
        plain("approle", crate::approle::spec),
        asking("aws", outside, |outside| crate::aws::spec(outside.web)),
        plain("aws-door", crate::aws_door::spec),
        asking("azure", outside, |outside| crate::azure::spec(outside.web)),
        asking("cert", outside, |outside| crate::cert::spec(&outside)),
        asking("gcp", outside, |outside| crate::gcp::spec(outside.web)),
        asking("github", outside, |outside| crate::github::spec(outside.web)),
        asking("jwt", outside, |outside| crate::jwt::spec("jwt", &outside)),
        asking("oidc", outside, |outside| crate::jwt::spec("oidc", &outside)),
        asking("kubernetes", outside, |outside| crate::kubernetes::spec(&outside)),
        asking("ldap", outside, |outside| crate::ldap::spec(outside.directory)),
        plain("userpass", crate::userpass::spec),
    ]
}

/// One that asks nobody.
fn plain(kind: &'static str, make: fn() -> Spec) -> Plugin {
    Plugin::new(Class::Auth, kind, make)
}

/// One that asks somebody outside.
fn asking(kind: &'static str, outside: &Outside, make: fn(Outside) -> Spec) -> Plugin {
    let outside = outside.clone();
    Plugin::new(Class::Auth, kind, move || make(outside))
}
