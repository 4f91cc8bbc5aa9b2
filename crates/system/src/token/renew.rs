//! Renewing tokens: those made here by what they or their role say, those of a login by what their
//! auth method says now.

use strongroom_base::{Error, Result, SecretString, Ttl};
use strongroom_kernel::pipeline::{auth_block, renew_login};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::tokens::{Bounds, Created, Token, lifetime};

use super::{TokenMethod, by_accessor, by_text, collected, missing_token, own, roles};

strongroom_base::fields! {
    /// Renews a token.
    pub struct RenewToken {
        /// The token.
        token: Option<SecretString>,
        /// Time to live from now, within the token's limits.
        increment: Option<Ttl>,
    }
}

strongroom_base::fields! {
    /// Renews the caller's token.
    pub struct RenewSelf {
        /// Not looked at: it is the caller's own.
        token: Option<SecretString>,
        /// Time to live from now, within the token's limits.
        increment: Option<Ttl>,
    }
}

strongroom_base::fields! {
    /// Renews the token with an accessor.
    pub struct RenewAccessor {
        /// The accessor.
        accessor: Option<String>,
        /// Time to live from now, within the token's limits.
        increment: Option<Ttl>,
    }
}

ops! {
    RenewToken (), Write;
    RenewSelf (), Write;
    RenewAccessor (), Write;
}

impl Command<RenewToken> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RenewToken) -> Result<Reply<()>> {
        let text = op.token.filter(|text| !text.expose_secret().is_empty());
        let text = text.ok_or_else(missing_token)?;
        let token = by_text(cx, &text).await?;
        let token = token.ok_or_else(|| Error::bad_request("token not found"))?;
        renew(cx, &token, text, op.increment).await
    }
}

impl Command<RenewSelf> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RenewSelf) -> Result<Reply<()>> {
        let text = cx.request.token_text.as_ref().ok_or_else(Error::denied)?.duplicate();
        let token = own(cx)?;
        renew(cx, &token, text, op.increment).await
    }
}

impl Command<RenewAccessor> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RenewAccessor) -> Result<Reply<()>> {
        let accessor = op.accessor.filter(|a| !a.is_empty());
        let accessor = accessor.ok_or_else(|| collected("missing accessor"))?;
        let token = by_accessor(cx, &accessor).await?;
        let token = token.ok_or_else(|| collected("invalid accessor"))?;
        renew(cx, &token, SecretString::new(String::new()), op.increment).await
    }
}

async fn renew(
    cx: &mut WriteCx<'_>,
    token: &Token,
    text: SecretString,
    increment: Option<Ttl>,
) -> Result<Reply<()>> {
    if token.batch {
        return Err(Error::bad_request("batch tokens cannot be renewed"));
    }
    if token.namespace != cx.request.namespace.scope {
        return Err(Error::bad_request("cannot renew a token across namespaces"));
    }
    let (services, now) = (cx.kernel().clone(), cx.now());
    let row = services.tokens.read(cx.kernel_tx(), token.id).await?;
    // Nor is there one whose last use this call is, or another one beside it was.
    let row = row.filter(|row| row.num_uses >= 0);
    let mut row = row.ok_or_else(|| Error::bad_request("token not found"))?;
    if row.expires.is_zero() || !row.renewable {
        return Err(Error::bad_request("lease is not renewable"));
    }
    if row.is_expired(now) {
        return Err(Error::bad_request("lease expired"));
    }
    let bounds = Bounds {
        asked: increment.map_or(0, |Ttl(seconds)| seconds.max(0)),
        ..limits(cx, &row).await?
    };
    let life = lifetime(bounds, row.created, now)
        .ok_or_else(|| Error::bad_request("past the max TTL, cannot renew"))?;
    let before = row.expires;
    (row.renewed, row.expires) = (now, life.expires);
    services.tokens.update(cx.kernel_tx(), &row, before)?;
    let entity = services.identity.entity(row.namespace, &row.entity_id).await?;
    let identity = entity
        .filter(|_| !row.no_identity_policies)
        .map_or_else(Vec::new, |entity| entity.policies.clone());
    let accessor = services.tokens.accessor(row.id);
    let mut auth = auth_block(Created { text, token: row, accessor }, identity);
    auth.lease_duration = life.ttl;
    Ok(Reply::auth(auth).warnings(life.warnings))
}

/// What bounds a renewal of `token` now.
async fn limits(cx: &mut WriteCx<'_>, token: &Token) -> Result<Bounds> {
    let services = cx.kernel().clone();
    let table = services.router.table().await?;
    let gone = || Error::bad_request("the token's auth method is not there any more");
    let entry = table.of_scope(token.mount).ok_or_else(gone)?;
    let (mount_ttl, mount_max_ttl) = services.config.mount_ttls(&entry.mount);
    let bounds = Bounds { mount_ttl, mount_max_ttl, ..Bounds::default() };
    if token.mount != cx.request.mount.scope {
        let now = renew_login(cx, entry, token).await?;
        return Ok(Bounds {
            period: now.period,
            ttl: now.ttl,
            max_ttl: now.max_ttl,
            explicit_max_ttl: token.explicit_max_ttl,
            ..bounds
        });
    }
    // As long again as the last time.
    let since = if token.renewed.is_zero() { token.created } else { token.renewed };
    let bounds = Bounds { ttl: since.seconds_until(token.expires), ..bounds };
    if token.role.is_empty() {
        let (period, explicit_max_ttl) = (token.period, token.explicit_max_ttl);
        return Ok(Bounds { period, explicit_max_ttl, ..bounds });
    }
    let role = roles::read(cx, &token.role).await?.ok_or_else(|| {
        Error::bad_request(format!(
            "failed to renew entry: original token role \"{}\" could not be found, not renewing",
            token.role
        ))
    })?;
    let explicit_max_ttl = match (token.explicit_max_ttl, role.params.explicit_max_ttl) {
        (0, of_role) => of_role,
        (of_token, 0) => of_token,
        (of_token, of_role) => of_token.min(of_role),
    };
    Ok(Bounds { period: role.params.period, explicit_max_ttl, ..bounds })
}
