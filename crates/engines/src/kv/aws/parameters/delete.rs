//! DeleteParameter, DeleteParameters.
//!
//! As at Vault's door, a secret that sets a recovery window is kept until that is over.

use serde_json::json;
use strongroom_base::{Json, RawFields, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::super::target;
use super::find::{self, judge, judged, missing};
use super::named::{self, Named};
use crate::kv::{Kv, store};

fields! {
    /// Removes a parameter.
    pub struct DeleteOne {
        /// The parameter's path.
        path: String,
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

const RIGHTS: &[target::Right] = &[("metadata", Capability::Delete)];

pub(super) fn needs_of_one(
    mount: &Mount,
    captures: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    Ok(find::needs(mount, captures, RIGHTS))
}

pub(super) fn needs_of_many(
    mount: &Mount,
    _: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    let need = |named: &Named<'_>| {
        Need::new(format!("{}metadata/{}", mount.path, named.path), Capability::Delete)
    };
    match named::read(raw.get("parameters")) {
        Ok(parameters) => Ok(parameters.iter().map(need).collect()),
        // What names none is told so to those who may delete any.
        Err(_) => Ok(vec![Need::new(format!("{}metadata/", mount.path), Capability::Delete)]),
    }
}

/// Removes a parameter; false where there is none.
async fn delete(cx: &WriteCx<'_>, path: &str, arn: Option<&str>) -> Result<bool> {
    target::require(cx, path, RIGHTS)?;
    if judged(cx, path, arn).await?.is_none() {
        return Ok(false);
    }
    store::delete(&cx.edit(), path, cx.now()).await?;
    Ok(true)
}

impl Command<DeleteOne> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteOne) -> Result<Reply<()>> {
        cx.queue(&op.path).await;
        if delete(cx, &op.path, None).await? { Ok(Reply::none()) } else { Err(missing()) }
    }
}

impl Command<DeleteMany> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteMany) -> Result<Reply<Json>> {
        let unfit = op.invalid.as_ref().and_then(Json::as_array);
        let unfit = unfit.into_iter().flatten().filter_map(Json::as_str);
        let (mut deleted, mut invalid) = (Vec::new(), unfit.collect::<Vec<_>>());
        let named = match op.parameters.as_ref().and_then(Json::as_array) {
            Some(none) if none.is_empty() && !invalid.is_empty() => {
                judge(cx, None, None)?;
                Vec::new()
            }
            _ => named::read(op.parameters.as_ref())?,
        };
        // A secret of Secrets Manager and a version are no parameters: only their readers know them.
        if named.iter().any(|named| named.reference || named.selector.is_some()) {
            return Err(missing());
        }
        for Named { path, arn, name, .. } in named {
            let done = delete(cx, path, arn).await?;
            if done { &mut deleted } else { &mut invalid }.push(name);
        }
        Ok(Reply::data(json!({ "deleted": deleted, "invalid": invalid })))
    }
}
