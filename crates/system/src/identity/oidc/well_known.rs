//! `identity/oidc/config`, and what is published to everybody below `identity/oidc/.well-known`
//! (OpenID Connect Discovery 1.0 §4): the issuer and its public keys.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::super::IdentityStore;
use super::keys::ready;
use super::stored::{Config, Key, Ready, RoleOfKey};
use super::{ALGORITHMS, issuer};

/// Seconds for which the description of the issuer can be kept.
const CONFIGURATION_SECONDS: i64 = 3_600;
const JSON: &str = "application/json";

fields! {
    /// Sets the issuer of tokens.
    pub struct PutConfig {
        /// Scheme, host and port; "" is the server's own address.
        issuer: Option<String>,
    }
}
fields! {
    /// Reads the settings of tokens.
    pub struct ReadConfig {}
}
fields! {
    /// Describes the issuer to those who verify its tokens.
    pub struct ReadConfiguration {}
}
fields! {
    /// Gives the public keys of all tokens that are good.
    pub struct ReadPublicKeys {}
}

ops! {
    PutConfig (), Write;
    ReadConfig Json, Read;
    ReadConfiguration (), Read, Open;
    ReadPublicKeys (), Read, Open;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.query::<ReadConfig>("oidc/config")
        .command::<PutConfig>("oidc/config")
        .query::<ReadConfiguration>("oidc/.well-known/openid-configuration")
        .query::<ReadPublicKeys>("oidc/.well-known/keys")
}

/// Is it a scheme, a host and at most a port, and nothing else?
fn is_origin(issuer: &str) -> bool {
    let rest = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(':')
            && rest.chars().all(|c| {
                c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']')
            })
    })
}

impl Command<PutConfig> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        let Some(issuer) = op.issuer else { return Ok(Reply::none()) };
        if !issuer.is_empty() && !is_origin(&issuer) {
            return Err(Error::bad_request(
                "invalid issuer, which must include only a scheme, host, and optional port (e.g. \
                 https://example.com:8200)",
            ));
        }
        let explicit = !issuer.is_empty();
        cx.edit().put_named(0, "", &Config { issuer })?;
        let reply = Reply::none();
        Ok(match explicit {
            false => reply,
            true => reply.warn(
                "If \"issuer\" is set explicitly, all tokens must be validated against that \
                 address, including those issued by secondary clusters. Setting issuer to \"\" \
                 will restore the default behavior of using the cluster's api_addr as the issuer.",
            ),
        })
    }
}

impl Query<ReadConfig> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<Json>> {
        let config = cx.view().cached::<Config>(0, "").await?.unwrap_or_default();
        let reply = Reply::data(json!({ "issuer": config.issuer }));
        Ok(match config.issuer.is_empty() && cx.kernel().config.api_addr.is_empty() {
            false => reply,
            true => reply.warn(
                "Both \"issuer\" and Vault's \"api_addr\" are empty. The issuer claim in \
                 generated tokens will not be network reachable.",
            ),
        })
    }
}

impl Query<ReadConfiguration> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfiguration) -> Result<Reply<()>> {
        let issuer = issuer(cx).await?;
        let body = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/keys"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ALGORITHMS,
        });
        let reply = Reply::raw(JSON, body.to_string().into_bytes());
        Ok(reply.header("cache-control", format!("max-age={CONFIGURATION_SECONDS}")))
    }
}

/// The keys that roles use.
pub(super) async fn keys(cx: &ReadCx<'_>) -> Result<Vec<Arc<Ready>>> {
    let mut keys = Vec::new();
    for name in cx.view().names::<Key>(0).await?.iter() {
        if let Some(key) = ready(cx, name).await?
            && !cx.view().names::<RoleOfKey>(key.at).await?.is_empty()
        {
            keys.push(key);
        }
    }
    Ok(keys)
}

impl Query<ReadPublicKeys> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadPublicKeys) -> Result<Reply<()>> {
        let keys = keys(cx).await?;
        let mut published = Vec::new();
        for public in keys.iter().flat_map(|key| &key.published).filter(|p| p.is_at(cx.now())) {
            let mut members: JsonMap = serde_json::from_str(&public.json)
                .map_err(|_| Error::internal("a public key does not read"))?;
            for (name, value) in
                [("use", "sig"), ("kid", &public.kid), ("alg", public.algorithm.name())]
            {
                members.insert(name.to_owned(), value.into());
            }
            published.push(Json::Object(members));
        }
        let body = json!({ "keys": published });
        let reply = Reply::raw(JSON, body.to_string().into_bytes());
        // Nobody keeps the keys beyond the next change of any of them, and not all come back at once.
        let shortest = keys.iter().map(|key| key.rotation_period.min(key.verification_ttl)).min();
        let Some(shortest) = shortest.and_then(|seconds| u64::try_from(seconds).ok()) else {
            return Ok(reply);
        };
        let drawn = u64::from_le_bytes(cx.rng().array());
        let seconds = drawn.checked_rem(shortest).unwrap_or_default();
        Ok(reply.header("cache-control", format!("max-age={seconds}")))
    }
}
