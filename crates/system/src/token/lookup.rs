//! Looking at tokens.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{Result, SecretString};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::tokens::Token;

use super::{TokenMethod, bad_token, by_accessor, by_text, collected, own};

strongroom_base::fields! {
    /// Shows a token.
    pub struct LookupToken {
        /// The token; the caller's own without it.
        token: Option<SecretString>,
    }
}

strongroom_base::fields! {
    /// Shows a token.
    pub struct ReadToken {
        /// The token; the caller's own without it.
        token: Option<SecretString>,
    }
}

strongroom_base::fields! {
    /// Shows the caller's token.
    pub struct ReadSelf {}
}

strongroom_base::fields! {
    /// Shows the caller's token.
    pub struct LookupSelf {
        /// Not looked at: it is the caller's own.
        token: Option<SecretString>,
    }
}

strongroom_base::fields! {
    /// Shows the token with an accessor, without its text.
    pub struct LookupAccessor {
        /// The accessor.
        accessor: Option<String>,
    }
}

ops! {
    LookupToken TokenView, Write;
    ReadToken TokenView, Read;
    ReadSelf TokenView, Read;
    LookupSelf TokenView, Write;
    LookupAccessor TokenView, Write;
}

/// A token as a look-up shows it. The parent is left out: who knew it could reach further.
#[derive(Serialize)]
pub struct TokenView {
    accessor: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bound_cidrs: Vec<String>,
    creation_time: i64,
    creation_ttl: i64,
    display_name: String,
    entity_id: String,
    expire_time: Option<String>,
    explicit_max_ttl: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_namespace_policies: Option<BTreeMap<String, Vec<String>>>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_policies: Option<Vec<String>>,
    issue_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal_time: Option<i64>,
    meta: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_path: Option<String>,
    num_uses: i64,
    orphan: bool,
    path: String,
    #[serde(skip_serializing_if = "is_zero")]
    period: i64,
    policies: Vec<String>,
    renewable: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    role: String,
    ttl: i64,
    r#type: &'static str,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

async fn view(cx: &ReadCx<'_>, token: &Token, id: &str) -> Result<Reply<TokenView>> {
    let services = cx.kernel();
    let table = services.router.table().await?;
    let namespace = table.namespaces.of_scope(token.namespace).filter(|n| !n.is_root());
    let entity = services.identity.entity(token.namespace, &token.entity_id).await?;
    let identity_policies = entity
        .filter(|_| !token.no_identity_policies)
        .map(|entity| entity.policies.clone())
        .filter(|policies| !policies.is_empty());
    let renewed = (!token.renewed.is_zero()).then_some(token.renewed);
    Ok(Reply::data(TokenView {
        accessor: token.accessor.clone(),
        bound_cidrs: token.bound_cidrs.clone(),
        creation_time: token.created.seconds(),
        creation_ttl: token.ttl,
        display_name: token.display_name.clone(),
        entity_id: token.entity_id.clone(),
        expire_time: (!token.expires.is_zero()).then(|| token.expires.to_string()),
        explicit_max_ttl: token.explicit_max_ttl,
        external_namespace_policies: identity_policies.as_ref().map(|_| BTreeMap::new()),
        id: id.to_owned(),
        identity_policies,
        issue_time: token.created.to_string(),
        last_renewal: renewed.map(|at| at.to_string()),
        last_renewal_time: renewed.map(|at| at.seconds()),
        meta: (!token.metadata.is_empty()).then(|| token.metadata.clone()),
        namespace_path: namespace.map(|n| n.path.clone()),
        num_uses: token.num_uses.max(0),
        orphan: services.tokens.is_orphan(token).await?,
        path: token.path.clone(),
        period: token.period,
        policies: token.policies.clone(),
        renewable: token.renewable && !token.expires.is_zero(),
        role: token.role.clone(),
        ttl: token.ttl_left(cx.now()),
        r#type: token.kind(),
    }))
}

async fn view_own(cx: &ReadCx<'_>) -> Result<Reply<TokenView>> {
    let text = cx.request.token_text.as_ref().map_or("", |text| text.expose_secret());
    let token = own(cx)?;
    // A use-limited token shows what is left after this request.
    let mut left = (*token).clone();
    left.num_uses = (left.num_uses - 1).max(0);
    view(cx, &left, text).await
}

async fn look_up(cx: &ReadCx<'_>, token: Option<SecretString>) -> Result<Reply<TokenView>> {
    match token.filter(|text| !text.expose_secret().is_empty()) {
        None => view_own(cx).await,
        Some(text) => {
            let token = by_text(cx, &text).await?.ok_or_else(bad_token)?;
            view(cx, &token, text.expose_secret()).await
        }
    }
}

impl Query<LookupToken> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupToken) -> Result<Reply<TokenView>> {
        look_up(cx, op.token).await
    }
}

impl Query<ReadToken> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadToken) -> Result<Reply<TokenView>> {
        look_up(cx, op.token).await
    }
}

impl Query<ReadSelf> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadSelf) -> Result<Reply<TokenView>> {
        view_own(cx).await
    }
}

impl Query<LookupSelf> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, _: LookupSelf) -> Result<Reply<TokenView>> {
        view_own(cx).await
    }
}

impl Query<LookupAccessor> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupAccessor) -> Result<Reply<TokenView>> {
        let accessor = op.accessor.filter(|a| !a.is_empty());
        let accessor = accessor.ok_or_else(|| collected("missing accessor"))?;
        let token = by_accessor(cx, &accessor).await?;
        view(cx, &*token.ok_or_else(|| collected("invalid accessor"))?, "").await
    }
}
