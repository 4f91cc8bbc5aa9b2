//! `subkeys/…`: the names in a secret without the values.

use strongroom_base::{Json, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};

use super::value::without_values;
use super::{Kv, data};

fields! {
    /// Reads a secret's structure: every value is null.
    pub struct ReadSubkeys {
        /// The secret's path.
        path: String,
        /// How deep to look; 0 without limit.
        depth: Option<i64>,
        /// The version's number; 0 for the current one.
        version: Option<i64>,
    }
}

ops! { ReadSubkeys Json, Read; }

impl Query<ReadSubkeys> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadSubkeys) -> Result<Reply<Json>> {
        let depth = op.depth.and_then(|d| u64::try_from(d).ok()).unwrap_or(0);
        let show = |value: &mut _| without_values(value, depth);
        data::read(cx, &op.path, op.version, "subkeys", show, None).await
    }
}
