//! Tokens that an operation is told of, or that came with a request to an open path: found, checked
//! and turned into the rights they give.

use std::sync::Arc;

use strongroom_base::{Error, Result, SecretString};
use strongroom_kernel::caller::Caller;
use strongroom_kernel::pipeline;
use strongroom_kernel::plug::ReadCx;
use strongroom_kernel::policy::{Acl, Capability, Request};
use strongroom_kernel::record::Scope;
use strongroom_kernel::tokens::Token;

/// The caller that `text` stands for, if it is a live token of the request's namespace, one above
/// or one below it.
pub async fn by_text(cx: &ReadCx<'_>, text: &SecretString) -> Result<Option<Caller>> {
    let table = cx.kernel().router.table().await?;
    match cx.kernel().tokens.check(&table, text, cx.now()).await? {
        Some(token) => live(cx, token).await,
        None => Ok(None),
    }
}

/// The caller of a request to an open path that nevertheless looks at its token: `None` without a
/// token, 403 with a bad one.
pub async fn of_open_request(cx: &ReadCx<'_>) -> Result<Option<Caller>> {
    let Some(text) = &cx.request.token_text else { return Ok(None) };
    let caller = by_text(cx, text).await?;
    let caller = caller.filter(|c| c.token.allows_address(cx.request.peer.ip));
    caller.map(Some).ok_or_else(Error::denied)
}

/// The token behind an accessor, if it is live and of the request's namespace or one below it: an
/// accessor of another namespace is told like one that is not there (threats: CVE-2026-45808,
/// GHSA-c36x-h252-g9x2).
pub async fn by_accessor(cx: &ReadCx<'_>, accessor: &str) -> Result<Option<Caller>> {
    let tokens = &cx.kernel().tokens;
    let Some(id) = tokens.id_of_accessor(accessor) else { return Ok(None) };
    let Some(token) = tokens.by_id(id).await? else { return Ok(None) };
    let table = cx.kernel().router.table().await?;
    if !tokens.is_live(&table, &token, cx.now()).await? || !is_within(cx, token.namespace).await? {
        return Ok(None);
    }
    live(cx, token).await
}

async fn live(cx: &ReadCx<'_>, token: Arc<Token>) -> Result<Option<Caller>> {
    let services = cx.kernel();
    let table = services.router.table().await?;
    services.caller(&table, token).await
}

/// Does the namespace of `scope` lie at or below the request's?
pub async fn is_within(cx: &ReadCx<'_>, scope: Scope) -> Result<bool> {
    let table = cx.kernel().router.table().await?;
    let namespace = table.namespaces.of_scope(scope);
    Ok(namespace.is_some_and(|n| n.is_within(&cx.request.namespace)))
}

/// A caller's rights.
pub async fn rights(cx: &ReadCx<'_>, caller: &Caller) -> Result<Arc<Acl>> {
    pipeline::rights(cx.kernel(), &caller.token, caller.entity.as_deref()).await
}

/// The path `path` of the request's namespace as the policies of a token see it; `None` where the
/// token's namespace is not at or above the request's.
pub async fn policy_path(cx: &ReadCx<'_>, token: &Token, path: &str) -> Result<Option<String>> {
    let table = cx.kernel().router.table().await?;
    Ok(table.path_for(token.namespace, cx.request.namespace.scope, path))
}

/// May the caller do `capability` at `path` of the request's namespace?
pub async fn may(
    cx: &ReadCx<'_>,
    caller: &Caller,
    capability: Capability,
    path: &str,
) -> Result<bool> {
    let Some(path) = policy_path(cx, &caller.token, path).await? else { return Ok(false) };
    let acl = rights(cx, caller).await?;
    Ok(acl.decide(&Request::new(&path, capability)).allowed)
}
