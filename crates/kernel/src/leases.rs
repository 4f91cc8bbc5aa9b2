//! Leases: what the kernel keeps of credentials that engines gave out for a time.

use std::sync::Arc;

use strongroom_base::Result;

use crate::plug::{NewLease, Request};
use crate::record::{Store, Tx};

/// The lease store.
pub struct Leases {
    _store: Arc<Store>,
}

/// A lease as an answer shows it.
pub struct Leased {
    /// `MOUNT/PATH/ID`.
    pub id: String,
    /// Seconds.
    pub duration: i64,
    /// Can it be renewed?
    pub renewable: bool,
}

impl Leases {
    /// The leases of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { _store: store }
    }

    /// Registers a lease in the transaction that made its credential.
    pub async fn register(&self, _tx: &Tx, request: &Request, lease: &NewLease) -> Result<Leased> {
        let duration = lease.ttl_seconds.unwrap_or(0);
        Ok(Leased { id: request.full_path.clone(), duration, renewable: lease.renewable })
    }
}
