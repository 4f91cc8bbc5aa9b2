//! What a token may do on paths (API pages "/sys/capabilities", "-self", "-accessor"). Answers stand
//! by path, and for a single path under `capabilities` too.

use std::collections::BTreeMap;

use strongroom_base::{Error, Json, JsonMap, Result, SecretString, fields};
use strongroom_kernel::caller::Caller;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::{System, callers};

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
        ops! { $name JsonMap, Write; }
    };
}

capabilities_op!(OfToken, " Tells what a token may do on paths.", token: SecretString, " The token.");
capabilities_op!(OfSelf, " Tells what the caller may do on paths.");
capabilities_op!(OfAccessor, " Tells what a token may do on paths.",
    accessor: String, " The token's accessor.");

async fn answer(cx: &ReadCx<'_>, caller: &Caller, paths: Vec<String>) -> Result<Reply<JsonMap>> {
    if paths.is_empty() {
        return Err(Error::bad_request("paths must be supplied"));
    }
    if paths.len() > PATHS_MAX {
        return Err(Error::bad_request("too many paths at once"));
    }
    let acl = callers::rights(cx, caller).await?;
    let prefix = callers::policy_path(cx, &caller.token, "").await?;
    let mut by_path: BTreeMap<String, Json> = BTreeMap::new();
    for path in &paths {
        let names: Vec<&str> = match &prefix {
            Some(prefix) => acl.capabilities(&format!("{prefix}{}", path.trim_start_matches('/'))),
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
        // A token of another namespace is told like one that is none.
        match callers::by_text(cx, &op.token).await? {
            Some(caller) if callers::is_within(cx, caller.token.namespace).await? => {
                answer(cx, &caller, op.paths).await
            }
            _ => Err(Error::bad_request("invalid token")),
        }
    }
}

impl Query<OfSelf> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: OfSelf) -> Result<Reply<JsonMap>> {
        let token = cx.request.token.clone().ok_or_else(Error::denied)?;
        let table = cx.kernel().router.table().await?;
        let caller = cx.kernel().caller(&table, token).await?.ok_or_else(Error::denied)?;
        answer(cx, &caller, op.paths).await
    }
}

impl Query<OfAccessor> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: OfAccessor) -> Result<Reply<JsonMap>> {
        let caller = callers::by_accessor(cx, &op.accessor).await?;
        let caller = caller.ok_or_else(|| Error::bad_request("invalid accessor"))?;
        answer(cx, &caller, op.paths).await
    }
}
