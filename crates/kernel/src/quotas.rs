//! Rate-limit quotas.

use std::sync::Arc;

use strongroom_base::Result;

use crate::mounts::MountEntry;
use crate::namespaces::Namespace;
use crate::plug::Peer;
use crate::record::Store;

/// The quotas of all namespaces.
pub struct Quotas {
    _store: Arc<Store>,
}

/// What a limited answer's headers say.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateHeaders {
    /// Requests per interval.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// Seconds until the interval ends.
    pub reset: u64,
}

impl Quotas {
    /// The quotas of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { _store: store }
    }

    /// Counts a request; an error of kind `RateLimited` refuses it.
    pub async fn admit(
        &self,
        _namespace: &Namespace,
        _mount: Option<&MountEntry>,
        _path: &str,
        _peer: &Peer,
    ) -> Result<Option<RateHeaders>> {
        Ok(None)
    }
}
