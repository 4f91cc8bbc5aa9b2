//! The cubbyhole: values that one token alone can see, and that go with it.
//!
//! Entries are named by their whole path, below their token's id. A write depends on the token's
//! row in its own transaction, so nothing is put into the cubbyhole of a token being revoked.
//!
//! A wrapping token's answer lies here too, as `response`; it is opened by `sys/wrapping/unwrap`,
//! or read here by the wrapping token itself, as Vault's clients once did.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Error, Json, Rest, Result};
use strongroom_kernel::pipeline::{CubbyholeEntry, WRAPPED_RESPONSE};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, Exists, Query, ReadCx, Reply, Spec, WriteCx, ops,
};
use strongroom_kernel::tokens::Token;

/// The `cubbyhole/` mount of one namespace.
pub struct Cubbyhole;

/// Its surface.
pub fn spec() -> Spec {
    EngineSpec::new("cubbyhole", Class::System, |_| Ok(Cubbyhole))
        .query::<ReadEntry>("{path..}")
        .command::<PutEntry>("{path..}")
        .exists::<PutEntry>("{path..}")
        .command::<DeleteEntry>("{path..}")
        .query::<ListEntries>("{path..}")
        .docs("Values that one token alone can see, and that go with it.")
        .build()
}

/// The caller's token. A batch token has no row that its values could go with.
fn owner(cx: &ReadCx<'_>) -> Result<Arc<Token>> {
    let token = cx.request.token.clone().ok_or_else(Error::denied)?;
    if token.batch {
        return Err(Error::bad_request(
            "cubbyhole operations are only supported by 'service' type tokens",
        ));
    }
    Ok(token)
}

async fn read(cx: &ReadCx<'_>, path: &str) -> Result<Option<CubbyholeEntry>> {
    let token = owner(cx)?;
    cx.view().named::<CubbyholeEntry>(token.id, path).await
}

strongroom_base::fields! {
    /// Shows a value.
    pub struct ReadEntry {
        /// Its path.
        path: String,
    }
}

ops! { ReadEntry Json, Read; }

impl Query<ReadEntry> for Cubbyhole {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadEntry) -> Result<Reply<Json>> {
        let entry = read(cx, &op.path).await?.ok_or_else(Error::not_found)?;
        let wrapping = cx.request.token.as_ref().is_some_and(|t| !t.wraps.is_empty());
        if wrapping && op.path == WRAPPED_RESPONSE {
            let data = serde_json::json!({ "response": entry.data.as_str() });
            return Ok(Reply::data(data).warn(
                "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap \
                 to unwrap responses, as it provides additional security checks and other \
                 benefits.",
            ));
        }
        let data = parse_bounded(entry.data.as_bytes());
        Ok(Reply::data(data.map_err(|_| Error::internal("a cubbyhole's entry is damaged"))?))
    }
}

strongroom_base::fields! {
    /// Keeps a value.
    pub struct PutEntry {
        /// Its path.
        path: String,
        /// The value: all fields of the request.
        data: Rest,
    }
}

ops! { PutEntry (), Write; }

impl Exists<PutEntry> for Cubbyhole {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let path = captures.first().map_or("", |(_, path)| path.as_str());
        Ok(read(cx, path).await?.is_some())
    }
}

impl Command<PutEntry> for Cubbyhole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutEntry) -> Result<Reply<()>> {
        let token = owner(cx)?;
        if op.data.0.0.is_empty() {
            return Err(Error::bad_request("missing data fields"));
        }
        cx.kernel().tokens.hold(cx.kernel_tx(), token.id).await?;
        let data = serde_json::to_string(&op.data.0.0)
            .map_err(|_| Error::internal("a value does not serialise"))?;
        cx.edit().put_named(token.id, &op.path, &CubbyholeEntry { data })?;
        Ok(Reply::none())
    }
}

strongroom_base::fields! {
    /// Removes a value.
    pub struct DeleteEntry {
        /// Its path.
        path: String,
    }
}

ops! { DeleteEntry (), Delete; }

impl Command<DeleteEntry> for Cubbyhole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteEntry) -> Result<Reply<()>> {
        let token = owner(cx)?;
        cx.edit().delete_named::<CubbyholeEntry>(token.id, &op.path);
        Ok(Reply::none())
    }
}

strongroom_base::fields! {
    /// Lists a folder.
    pub struct ListEntries {
        /// The folder; empty for all.
        path: String,
        /// Only names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}

ops! { ListEntries Keys, List; }

/// A list.
#[derive(Serialize)]
pub struct Keys {
    keys: Vec<String>,
}

impl Query<ListEntries> for Cubbyhole {
    async fn query(&self, cx: &ReadCx<'_>, op: ListEntries) -> Result<Reply<Keys>> {
        let token = owner(cx)?;
        let names = cx.view().names::<CubbyholeEntry>(token.id).await?;
        let folder = op.path.trim_end_matches('/');
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut keys: Vec<String> = Vec::new();
        for rest in names.iter().filter_map(|name| name.strip_prefix(&prefix)) {
            let key = match rest.split_once('/') {
                Some((head, _)) => format!("{head}/"),
                None => rest.to_owned(),
            };
            keys.push(key);
        }
        keys.sort_unstable();
        keys.dedup();
        let after = op.after.unwrap_or_default();
        keys.retain(|key| key.as_str() > after.as_str());
        if let Some(limit) = op.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) {
            keys.truncate(limit);
        }
        if keys.is_empty() { Err(Error::not_found()) } else { Ok(Reply::data(Keys { keys })) }
    }
}
