//! Response wrapping: values and answers that wait in the cubbyhole of a single-use token.
//!
//! Wrapping itself is a step of the pipeline; here are the operations on what was wrapped.
//! Invariant: a wrapped answer is given out once. Taking it spends the wrapping token's one use in
//! the same transaction as the answer's record, or before it where the token itself calls.

use std::sync::Arc;

use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Json, Rest, Result, SecretBytes, SecretString};
use strongroom_kernel::namespaces::Namespace;
use strongroom_kernel::pipeline::{
    CubbyholeEntry, NewWrapping, WRAPPED_ACCESSOR, WRAPPED_RESPONSE, wrap_text,
};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::Scope;
use strongroom_kernel::tokens::Token;

use super::System;

/// Adds the operations of this file.
pub fn add_wrapping(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.command::<Wrap>("wrapping/wrap")
        .command::<Unwrap>("wrapping/unwrap")
        .query::<Lookup>("wrapping/lookup")
        .query::<LookupOwn>("wrapping/lookup")
        .command::<Rewrap>("wrapping/rewrap")
}

fn invalid() -> Error {
    Error::bad_request("wrapping token is not valid or does not exist")
}

strongroom_base::fields! {
    /// Wraps the fields of the request: give a time to live in X-Vault-Wrap-TTL.
    pub struct Wrap {
        /// What to wrap.
        data: Rest,
    }
}

ops! { Wrap Json, Write; }

impl Command<Wrap> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Wrap) -> Result<Reply<Json>> {
        if cx.request.wrap_ttl.unwrap_or(0) <= 0 {
            return Err(Error::bad_request("endpoint requires response wrapping to be used"));
        }
        Ok(Reply::data(Json::Object(op.data.0.take())))
    }
}

/// A wrapping token, and the cubbyhole that holds its answer.
struct Wrapped {
    token: Token,
    cubbyhole: Scope,
    namespace: Arc<Namespace>,
    /// Does the caller hold it as its own token? Its use is then spent already.
    own: bool,
}

/// The wrapping token that `text` is, if it is one within reach of the request's namespace.
async fn find(cx: &ReadCx<'_>, text: Option<&SecretString>) -> Result<Option<Wrapped>> {
    let services = cx.kernel();
    let table = services.router.table().await?;
    let caller = cx.request.token.as_ref();
    let given = match text {
        Some(text) if text.expose_secret().is_empty() => {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "error validating wrapping token: empty token in request body",
            ));
        }
        Some(text) => {
            let own = cx.request.token_text.as_ref();
            let is_own =
                own.is_some_and(|own| own.constant_time_eq(text.expose_secret().as_bytes()));
            match caller.filter(|_| is_own) {
                Some(own) => Some(own.clone()),
                None => services.tokens.check(&table, text, cx.now()).await?,
            }
        }
        None => caller.cloned(),
    };
    let Some(token) = given.filter(|token| !token.wraps.is_empty()) else { return Ok(None) };
    let namespace = table.namespaces.of_scope(token.namespace).cloned();
    let near = namespace.filter(|own| own.is_within(&cx.request.namespace));
    let cubbyhole = table.at(token.namespace, "cubbyhole/").map(|entry| entry.mount.scope);
    let own = caller.is_some_and(|caller| caller.id == token.id);
    Ok(cubbyhole.zip(near).map(|(cubbyhole, namespace)| Wrapped {
        token: (*token).clone(),
        cubbyhole,
        namespace,
        own,
    }))
}

/// Takes the answer out: the wrapping token ends with it.
async fn take(cx: &ReadCx<'_>, wrapped: &Wrapped) -> Result<CubbyholeEntry> {
    let (tokens, tx) = (&cx.kernel().tokens, cx.kernel_tx());
    let row = tokens.read(tx, wrapped.token.id).await?.ok_or_else(invalid)?;
    if !wrapped.own && row.num_uses <= 0 {
        return Err(invalid());
    }
    let cubbyhole = tx.write(wrapped.cubbyhole);
    let entry = cubbyhole.named::<CubbyholeEntry>(row.id, WRAPPED_RESPONSE).await?;
    cubbyhole.delete_named::<CubbyholeEntry>(row.id, WRAPPED_RESPONSE);
    tokens.revoke(tx, &row);
    entry.ok_or_else(invalid)
}

strongroom_base::fields! {
    /// Gives a wrapped answer out, once.
    pub struct Unwrap {
        /// The wrapping token; the caller's own without it.
        token: Option<SecretString>,
    }
}

ops! { Unwrap (), Write, Wrapping; }

impl Command<Unwrap> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Unwrap) -> Result<Reply<()>> {
        let wrapped = find(cx, op.token.as_ref()).await?.ok_or_else(invalid)?;
        let mut entry = take(cx, &wrapped).await?;
        let body = std::mem::take(&mut entry.data).into_bytes();
        Ok(Reply::raw("application/json", body))
    }
}

/// What a wrapping token says of itself.
#[derive(Serialize)]
pub struct WrappingView {
    creation_path: String,
    creation_time: String,
    creation_ttl: i64,
}

fn view(wrapped: Wrapped) -> Reply<WrappingView> {
    let token = wrapped.token;
    Reply::data(WrappingView {
        creation_path: token.wraps,
        creation_time: token.created.to_string(),
        creation_ttl: token.ttl,
    })
}

strongroom_base::fields! {
    /// Shows when and for what a wrapping token was made; it stays good.
    pub struct Lookup {
        /// The wrapping token; the one of the request without it.
        token: Option<SecretString>,
    }
}

ops! { Lookup WrappingView, Write, Open; }

strongroom_base::fields! {
    /// Shows when and for what the wrapping token of the request was made; it stays good.
    pub struct LookupOwn {
        /// The wrapping token; the one of the request without it.
        token: Option<SecretString>,
    }
}

ops! { LookupOwn WrappingView, Read, Open; }

async fn look_up(cx: &ReadCx<'_>, token: Option<SecretString>) -> Result<Reply<WrappingView>> {
    let text = token.as_ref().or(cx.request.token_text.as_deref());
    let text = text.ok_or_else(|| {
        let text = "error validating wrapping token: token is empty";
        Error::new(ErrorKind::PermissionDenied, text)
    })?;
    Ok(view(find(cx, Some(text)).await?.ok_or_else(invalid)?))
}

impl Query<Lookup> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: Lookup) -> Result<Reply<WrappingView>> {
        look_up(cx, op.token).await
    }
}

impl Query<LookupOwn> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupOwn) -> Result<Reply<WrappingView>> {
        look_up(cx, op.token).await
    }
}

strongroom_base::fields! {
    /// Moves a wrapped answer to a fresh wrapping token of the same time to live.
    pub struct Rewrap {
        /// The wrapping token.
        token: Option<SecretString>,
    }
}

ops! { Rewrap (), Write, Wrapping; }

impl Command<Rewrap> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Rewrap) -> Result<Reply<()>> {
        let wrapped = find(cx, op.token.as_ref()).await?.ok_or_else(invalid)?;
        let mut entry = take(cx, &wrapped).await?;
        let text = SecretBytes::new(std::mem::take(&mut entry.data).into_bytes());
        let accessor = wrapped.token.internal.get(WRAPPED_ACCESSOR).cloned().unwrap_or_default();
        let new = NewWrapping {
            cubbyhole: wrapped.cubbyhole,
            namespace: &wrapped.namespace,
            ttl: wrapped.token.ttl,
            path: &wrapped.token.wraps,
            wrapped_accessor: accessor,
        };
        let info = wrap_text(cx.kernel(), cx.kernel_tx(), cx.now(), new, &text)?;
        Ok(Reply { wrap_info: Some(Box::new(info)), ..Reply::none() })
    }
}
