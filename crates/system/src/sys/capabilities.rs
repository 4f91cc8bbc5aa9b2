//! What a token may do on paths (API pages "/sys/capabilities", "-self", "-accessor"). Answers stand
//! by path, and for a single path under `capabilities` too.

use std::collections::BTreeMap;

use std::sync::Arc;
use strongroom_base::{Error, Json, JsonMap, Result, SecretString, fields};
use strongroom_kernel::pipeline::{policy_prefix, rights};
use strongroom_kernel::plug::{EngineSpec, Op, Query, ReadCx, Reply, Verb};
use strongroom_kernel::tokens::Token;

use super::System;

/// Adds the operations of this file.
pub fn add_capabilities(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<OfToken>("capabilities")
        .query::<OfSelf>("capabilities-self")
        .query::<OfAccessor>("capabilities-accessor")
}

/// Paths asked about at once.
const PATHS_MAX: usize = 1_000;

/// Defines one of the three operations.
macro_rules! capabilities_op {
    ($name:ident, $help:literal $(, $field:ident: $ty:ty, $field_help:literal)?) => {
        fields! {
            #[doc = $help]
            pub struct $name {
                /// The paths.
                paths (path): Vec<String>,
                $(
                    #[doc = $field_help]
                    $field: $ty,
                )?
            }
        }
        impl Op for $name {
            type Reply = JsonMap;
            const VERB: Verb = Verb::Write;
        }
    };
}

capabilities_op!(OfToken, " Tells what a token may do on paths.", token: SecretString, " The token.");
capabilities_op!(OfSelf, " Tells what the caller may do on paths.");
capabilities_op!(OfAccessor, " Tells what a token may do on paths.",
    accessor: String, " The token's accessor.");

/// The rights of a token that may be used now, and the prefix of this namespace's paths for them.
/// `None` where it may do nothing here.
async fn view(
    cx: &ReadCx<'_>,
    token: Arc<Token>,
) -> Result<Option<(Arc<strongroom_kernel::policy::Acl>, String)>> {
    let services = cx.kernel();
    let table = services.router.table().await?;
    let Some(caller) = services.caller(&table, token).await? else { return Ok(None) };
    let acl = rights(services, &caller.token, caller.entity.as_deref()).await?;
    let prefix = policy_prefix(&table, &caller.token, &cx.request.namespace);
    Ok(prefix.map(|prefix| (acl, prefix)))
}

async fn answer(cx: &ReadCx<'_>, token: Arc<Token>, paths: Vec<String>) -> Result<Reply<JsonMap>> {
    if paths.is_empty() {
        return Err(Error::bad_request("paths must be supplied"));
    }
    if paths.len() > PATHS_MAX {
        return Err(Error::bad_request("too many paths at once"));
    }
    let view = view(cx, token).await?;
    let mut by_path: BTreeMap<String, Json> = BTreeMap::new();
    for path in &paths {
        let names: Vec<&str> = match &view {
            Some((acl, prefix)) => {
                acl.capabilities(&format!("{prefix}{}", path.trim_start_matches('/')))
            }
            None => vec!["deny"],
        };
        by_path.insert(path.clone(), Json::from(names));
    }
    let mut data = JsonMap::new();
    if let [path] = paths.as_slice()
        && let Some(names) = by_path.get(path)
    {
        data.insert("capabilities".to_owned(), names.clone());
    }
    data.extend(by_path);
    Ok(Reply::data(data).flat())
}

impl Query<OfToken> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: OfToken) -> Result<Reply<JsonMap>> {
        let found = cx.kernel().tokens.check(&op.token, cx.now()).await?;
        let token = found.ok_or_else(|| Error::bad_request("invalid token"))?;
        answer(cx, token, op.paths).await
    }
}

impl Query<OfSelf> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: OfSelf) -> Result<Reply<JsonMap>> {
        let token = cx.request.token.clone().ok_or_else(Error::denied)?;
        answer(cx, token, op.paths).await
    }
}

impl Query<OfAccessor> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: OfAccessor) -> Result<Reply<JsonMap>> {
        let token = by_accessor(cx, &op.accessor).await?;
        answer(cx, token, op.paths).await
    }
}

/// The live token with this accessor, if the caller's namespace may know of it (threat
/// CVE-2026-45808).
pub(super) async fn by_accessor(cx: &ReadCx<'_>, accessor: &str) -> Result<Arc<Token>> {
    let invalid = || Error::bad_request("invalid accessor");
    let services = cx.kernel();
    let id = services.tokens.id_of_accessor(accessor).ok_or_else(invalid)?;
    let token = services.tokens.by_id(id).await?.ok_or_else(invalid)?;
    let table = services.router.table().await?;
    let home = table.namespaces.of_scope(token.namespace).ok_or_else(invalid)?;
    if token.is_expired(cx.now()) || !home.is_within(&cx.request.namespace) {
        return Err(invalid());
    }
    Ok(token)
}
