//! The auth methods of this binary.

use std::sync::Arc;

use strongroom_connectors::directory::Directory;
use strongroom_connectors::files::Files;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::Spec;

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

/// The surface of every method, over `outside`.
pub fn specs(outside: &Outside) -> Vec<Spec> {
    vec![
        crate::approle::spec(),
        crate::aws::spec(outside.web.clone()),
        crate::aws_door::spec(),
        crate::azure::spec(outside.web.clone()),
        crate::cert::spec(outside),
        crate::gcp::spec(outside.web.clone()),
        crate::github::spec(outside.web.clone()),
        crate::jwt::spec("jwt", outside),
        crate::jwt::spec("oidc", outside),
        crate::kubernetes::spec(outside),
        crate::ldap::spec(outside.directory.clone()),
        crate::userpass::spec(),
    ]
}
