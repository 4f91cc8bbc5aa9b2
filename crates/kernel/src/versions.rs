//! Which versions of Strongroom have opened this store, and when each did so first
//! (`sys/version-history`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};

use crate::record::{Record, Scope, Store, Tx};

/// The version of this build. What clients are told is another, constant one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A version's first start on this store.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Started {
    first: Timestamp,
}

impl Record for Started {
    const KIND: u8 = 255;
}

/// Notes that this version has opened the store, if it is the first time.
pub async fn note(store: &Arc<Store>) -> Result<()> {
    store
        .transact(|tx| async move {
            let root = tx.write(Scope::ROOT);
            if root.named::<Started>(0, VERSION).await?.is_none() {
                root.put_named(0, VERSION, &Started { first: tx.store().now() })?;
            }
            Ok(())
        })
        .await
}

/// The versions with their first starts, oldest first.
pub async fn history(tx: &Tx) -> Result<Vec<(String, Timestamp)>> {
    let all = tx.read(Scope::ROOT).all::<Started>(0).await?;
    let mut all: Vec<_> = all.into_iter().map(|(version, s)| (version, s.first)).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    Ok(all)
}
