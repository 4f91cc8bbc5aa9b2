//! DeleteParameter, DeleteParameters.
//!
//! As at Vault's door, a secret that sets a recovery window is kept until that is over.

use serde_json::json;
use strongroom_base::{Json, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::super::target;
use super::find::{judged, missing};
use super::judge::{Of, One, ask_of_none, deeds};
use super::named::{self, All};
use crate::kv::{Kv, store};

fields! {
    /// Removes a parameter.
    pub struct DeleteOne {
        ..one: One;
    }
}
fields! {
    /// Removes some parameters.
    pub struct DeleteMany {
        /// A list of objects with path and name, which comes back.
        parameters: Option<Json>,
        /// Names that mean no parameter that could be removed: they come back as such.
        invalid: Option<Json>,
    }
}

ops! {
    DeleteOne (), Write, Needs;
    DeleteMany Json, Write, Needs;
}

pub(super) const RIGHT: target::Right = ("metadata", Capability::Delete);
pub(super) const RIGHTS: &[target::Right] = &[RIGHT];

/// Removes a parameter; false where there is none.
async fn delete(cx: &WriteCx<'_>, of: &Of<'_>) -> Result<bool> {
    if judged(cx, of, RIGHTS).await?.is_none() {
        return Ok(false);
    }
    store::delete(&cx.edit(), of.path, cx.now()).await?;
    Ok(true)
}

impl Command<DeleteOne> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteOne) -> Result<Reply<()>> {
        cx.queue(&op.one.path).await;
        if delete(cx, &op.one.of(deeds::DELETE)).await? {
            Ok(Reply::none())
        } else {
            Err(missing())
        }
    }
}

impl Command<DeleteMany> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteMany) -> Result<Reply<Json>> {
        let All { parameters, mut invalid } =
            named::read(op.parameters.as_ref(), op.invalid.as_ref())?;
        if parameters.is_empty() {
            ask_of_none(cx)?;
        }
        // A secret of Secrets Manager and a version are no parameters: only their readers know them.
        if parameters.iter().any(|named| named.reference || named.selector.is_some()) {
            return Err(missing());
        }
        let mut deleted = Vec::new();
        for named in parameters {
            let done = delete(cx, &named.of(deeds::DELETE)).await?;
            if done { &mut deleted } else { &mut invalid }.push(named.name);
        }
        Ok(Reply::data(json!({ "deleted": deleted, "invalid": invalid })))
    }
}
