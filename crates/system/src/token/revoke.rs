//! Revoking tokens: at once for the token and all below it; what hung on them follows.

use strongroom_base::{Error, Result, SecretString};
use strongroom_kernel::pipeline::has_sudo;
use strongroom_kernel::plug::{Command, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::tokens::Token;

use super::{TokenMethod, by_accessor, by_text, collected, missing_token, own};

strongroom_base::fields! {
    /// Revokes a token and its children.
    pub struct RevokeToken {
        /// The token.
        token: Option<SecretString>,
    }
}

strongroom_base::fields! {
    /// Revokes the caller's token and its children.
    pub struct RevokeSelf {
        /// Not looked at: it is the caller's own.
        token: Option<SecretString>,
    }
}

strongroom_base::fields! {
    /// Revokes the token with an accessor, and its children.
    pub struct RevokeAccessor {
        /// The accessor.
        accessor: Option<String>,
    }
}

strongroom_base::fields! {
    /// Revokes a token; its children live on as orphans.
    pub struct RevokeOrphan {
        /// The token.
        token: Option<SecretString>,
    }
}

ops! {
    RevokeToken (), Write;
    RevokeSelf (), Write;
    RevokeAccessor (), Write;
    RevokeOrphan (), Write;
}

/// Revokes the tree below `token`, as its row stands now.
async fn revoke(cx: &ReadCx<'_>, token: &Token) -> Result<Reply<()>> {
    if token.batch {
        return Err(Error::bad_request("batch tokens cannot be revoked"));
    }
    let (tokens, tx) = (&cx.kernel().tokens, cx.kernel_tx());
    if let Some(row) = tokens.read(tx, token.id).await? {
        tokens.revoke(tx, &row);
    }
    Ok(Reply::none())
}

fn given(token: Option<SecretString>) -> Result<SecretString> {
    token.filter(|text| !text.expose_secret().is_empty()).ok_or_else(missing_token)
}

impl Command<RevokeToken> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeToken) -> Result<Reply<()>> {
        match by_text(cx, &given(op.token)?).await? {
            Some(token) => revoke(cx, &token).await,
            None => Ok(Reply::none()),
        }
    }
}

impl Command<RevokeSelf> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, _: RevokeSelf) -> Result<Reply<()>> {
        let token = own(cx)?;
        if !token.batch {
            // Of two that revoke it at once, the second finds it gone.
            cx.kernel().tokens.hold(cx.kernel_tx(), token.id).await?;
        }
        revoke(cx, &token).await
    }
}

impl Command<RevokeAccessor> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeAccessor) -> Result<Reply<()>> {
        let accessor = op.accessor.filter(|a| !a.is_empty());
        let accessor = accessor.ok_or_else(|| collected("missing accessor"))?;
        match by_accessor(cx, &accessor).await? {
            Some(token) => revoke(cx, &token).await,
            None => Ok(Reply::none().warn("No token found with this accessor")),
        }
    }
}

impl Command<RevokeOrphan> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeOrphan) -> Result<Reply<()>> {
        let text = given(op.token)?;
        if !has_sudo(cx).await? {
            return Err(Error::bad_request(
                "root or sudo privileges required to revoke and orphan",
            ));
        }
        let not_found = || Error::bad_request("token to revoke not found");
        let token = by_text(cx, &text).await?.ok_or_else(not_found)?;
        if token.batch {
            return Err(Error::bad_request("batch tokens cannot be revoked"));
        }
        let (tokens, tx) = (&cx.kernel().tokens, cx.kernel_tx());
        let row = tokens.read(tx, token.id).await?.ok_or_else(not_found)?;
        tokens.revoke_orphan(tx, &row);
        Ok(Reply::none())
    }
}
