//! What stands beside the keys of a store that came in the place of another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_storage::Storage;

use crate::record::decode;

/// A record beside the keys of a store that was put in the place of another, until it was opened.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Restored {
    /// When.
    pub at: Timestamp,
    /// The last line of the audit log that all audit devices had been handed then.
    pub delivered: u64,
    /// Do the keys that opened the store before open this one?
    pub same_keys: bool,
}

impl Restored {
    /// Its name.
    pub(crate) const NAME: &'static [u8] = b"restored";

    /// The record, if there is one.
    pub(crate) async fn read(storage: &Arc<dyn Storage>) -> Result<Option<Self>> {
        super::meta(storage, Self::NAME).await?.map(|bytes| decode(&bytes)).transpose()
    }

    pub(crate) fn reason(&self) -> &'static str {
        if self.same_keys {
            "a snapshot was restored"
        } else {
            "a snapshot made under other keys was restored"
        }
    }
}
