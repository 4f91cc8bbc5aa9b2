//! The pod that the server runs in, where it does: its own token, the authority of its cluster, and
//! calls to the cluster's API server in its name.
//!
//! Invariant: the pod's token goes to nobody but who the pod's own authority vouches for, over TLS.

use std::sync::Arc;

use strongroom_connectors::files::Files;
use strongroom_connectors::web::{Answering, Call, Failure, Trust, Web};

/// Where a pod finds the authority of its cluster's API server.
pub const CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// Where a pod finds the token of its own account. Kubernetes changes it before it ends.
pub const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Makes calls in the pod's name. What the pod has is read anew for each: Kubernetes changes it.
#[derive(Debug)]
pub struct AsPod {
    web: Arc<dyn Web>,
    files: Arc<dyn Files>,
}

impl AsPod {
    /// Calls over `web`, in the name of the pod whose files these are.
    pub fn new(web: Arc<dyn Web>, files: Arc<dyn Files>) -> Self {
        Self { web, files }
    }
}

impl Web for AsPod {
    fn call(&self, call: Call) -> Answering<'_> {
        Box::pin(async move {
            if !call.url.starts_with("https://") {
                return Err(Failure::new("the cluster's API server is asked over TLS alone"));
            }
            let ca = self.files.read(CA).await.filter(|ca| !ca.expose_secret().trim().is_empty());
            // Nothing would stand for every authority that the machine trusts.
            let ca = ca.ok_or_else(|| Failure::new("the pod has no authority of its cluster"))?;
            let token = self.files.read(TOKEN).await;
            let token = token.ok_or_else(|| Failure::new("the pod has no token"))?;
            let call = call.trusting(&Trust::from(ca.expose_secret()));
            self.web.call(call.bearer(token.expose_secret().trim())?).await
        })
    }
}
