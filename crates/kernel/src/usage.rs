//! How many tokens and leases there are: counted now and then, when somebody asks, since counters that
//! are kept with every change would cost every change.

use std::sync::Arc;

use strongroom_base::{Result, Timestamp};

use crate::record::{Store, rows, storage_error};

/// Seconds for which a count is given out again.
const USAGE_SECONDS: i64 = 600;

/// Numbers of records.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Service tokens, those whose time is over until they are removed included.
    pub tokens: u64,
    /// Leases, those that are being revoked included.
    pub leases: u64,
}

/// The last count.
pub struct UsageCounts {
    store: Arc<Store>,
    last: tokio::sync::Mutex<Option<(Timestamp, Usage)>>,
}

impl UsageCounts {
    /// Counts of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, last: tokio::sync::Mutex::default() }
    }

    /// The numbers as they were some minutes ago at most.
    pub async fn get(&self) -> Result<Usage> {
        let now = self.store.now();
        let mut last = self.last.lock().await;
        if let Some((when, usage)) = &*last
            && now < when.plus_seconds(USAGE_SECONDS)
        {
            return Ok(*usage);
        }
        let storage = &self.store.storage;
        let usage = Usage {
            tokens: storage.count_rows(rows::TOKENS).await.map_err(storage_error)?,
            leases: storage.count_rows(rows::LEASES).await.map_err(storage_error)?,
        };
        *last = Some((now, usage));
        Ok(usage)
    }
}
