//! A table made of records, and made anew when they change.
//!
//! Invariant: what [`Rebuilt::table`] gives is no older than the last acknowledged commit.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use strongroom_base::Result;
use strongroom_storage::Change;

use crate::record::Store;

/// The table. The change feed marks it; who asks next builds it.
pub(crate) struct Rebuilt<T> {
    table: ArcSwap<T>,
    /// Rises with every change that concerns it.
    wanted: Arc<AtomicU64>,
    built: AtomicU64,
    building: tokio::sync::Mutex<()>,
}

impl<T: Default> Rebuilt<T> {
    /// A table of records of `store`; `concerns` says whether a change is one of theirs.
    pub fn new(store: &Store, concerns: impl Fn(&Change) -> bool + Send + Sync + 'static) -> Self {
        let wanted = Arc::new(AtomicU64::new(1));
        let mark = wanted.clone();
        store.derived.listen(move |change| {
            if concerns(change) {
                mark.fetch_add(1, Ordering::Release);
            }
        });
        Self {
            table: ArcSwap::default(),
            wanted,
            built: AtomicU64::new(0),
            building: tokio::sync::Mutex::new(()),
        }
    }

    /// The table; where it is old, what `build` makes of the old one.
    pub async fn table<F: Future<Output = Result<T>>>(
        &self,
        build: impl FnOnce(Arc<T>) -> F,
    ) -> Result<Arc<T>> {
        if self.built.load(Ordering::Acquire) == self.wanted.load(Ordering::Acquire) {
            return Ok(self.table.load_full());
        }
        Box::pin(self.rebuilt(build)).await
    }

    async fn rebuilt<F: Future<Output = Result<T>>>(
        &self,
        build: impl FnOnce(Arc<T>) -> F,
    ) -> Result<Arc<T>> {
        let _one = self.building.lock().await;
        let wanted = self.wanted.load(Ordering::Acquire);
        if self.built.load(Ordering::Acquire) != wanted {
            let table = build(self.table.load_full()).await?;
            self.table.store(Arc::new(table));
            self.built.store(wanted, Ordering::Release);
        }
        Ok(self.table.load_full())
    }
}
