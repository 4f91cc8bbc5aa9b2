//! `identity/oidc/token`, `identity/oidc/introspect`: tokens about the caller's entity, and what can
//! be said of one.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, SecretString, fields};
use strongroom_crypto::jws::{Compact, Jwk, sign_compact};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::super::IdentityStore;
use super::keys::ready;
use super::stored::{Ready, Role};
use super::template::{self, Who};
use super::{RESERVED, issuer, well_known};

fields! {
    /// Makes a token about the caller's entity.
    pub struct MakeToken {
        /// The role.
        role_name: String,
    }
}
fields! {
    /// Tells whether a token is good, and whether its entity is there.
    pub struct Introspect {
        /// The token.
        token: Option<SecretString>,
        /// Whom it must be for.
        client_id: Option<String>,
    }
}
ops! {
    MakeToken Json, Read;
    Introspect Json, Write;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.query::<MakeToken>("oidc/token/{role_name}").query::<Introspect>("oidc/introspect")
}

/// What a role's template adds. What it does not give is left out, as at the peers: the token is the
/// poorer for it, and the log says so.
fn added(role: &Role, who: &Who<'_>, now: i64) -> JsonMap {
    if role.template.is_empty() {
        return JsonMap::new();
    }
    let filled = template::fill(&role.template, who, now);
    let claims = filled.and_then(|filled| template::claims(&filled).ok_or("it is no object"));
    match claims {
        Ok(mut claims) => {
            claims.retain(|name, _| !RESERVED.contains(&name.as_str()));
            claims
        }
        Err(why) => {
            tracing::warn!(why, "a role's template does not fill: its token is made without it");
            JsonMap::new()
        }
    }
}

impl Query<MakeToken> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeToken) -> Result<Reply<Json>> {
        let refuse = |text: String| Err(Error::bad_request(text));
        let Some(role) = cx.view().cached::<Role>(0, &op.role_name).await? else {
            return refuse(format!("role {:?} not found", op.role_name));
        };
        let Some(key) = ready(cx, &role.key).await? else {
            return refuse(format!("key {:?} not found", role.key));
        };
        // The key may have changed since the role was made.
        let allowed = |id: &String| id == "*" || *id == role.client_id;
        if !key.allowed_client_ids.iter().any(allowed) {
            return refuse(format!(
                "the key {:?} does not list the client ID of the role {:?} as an allowed client ID",
                role.key, op.role_name
            ));
        }
        if cx.request.entity_id().is_empty() {
            return refuse("no entity associated with the request's token".to_owned());
        }
        let scope = cx.request.namespace.scope;
        let state = cx.kernel().identity.entity(scope, cx.request.entity_id()).await?;
        let Some((state, entity)) =
            state.as_ref().and_then(|state| Some((state, state.view.entity.as_ref()?)))
        else {
            return refuse(
                "the entity of the request's token is none of this namespace".to_owned(),
            );
        };
        let now = cx.now().seconds();
        let ttl = role.ttl.min(key.verification_ttl);
        let mut claims = added(&role, &Who::of(&state.view), now);
        for (name, value) in [
            ("iss", json!(issuer(cx).await?)),
            ("namespace", json!(cx.request.namespace.id)),
            ("sub", json!(entity.id)),
            ("aud", json!(role.client_id)),
            ("iat", json!(now)),
            ("exp", json!(now.saturating_add(ttl))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        let text = Json::Object(claims).to_string();
        let Ready { signs_by, kid, private, .. } = &*key;
        let token = sign_compact(*signs_by, kid, text.as_bytes(), private)?;
        let data = json!({ "token": token, "client_id": role.client_id, "ttl": role.ttl });
        let reply = Reply::data(data);
        if ttl == role.ttl {
            return Ok(reply);
        }
        Ok(reply.warn(format!(
            "a role's token ttl cannot be longer than the verification_ttl of the key it \
             references, setting token ttl to {ttl}"
        )))
    }
}

/// What is wrong with a token, or nothing.
async fn problem(
    cx: &ReadCx<'_>,
    token: &str,
    client_id: Option<&str>,
) -> Result<Option<&'static str>> {
    let Ok(parsed) = Compact::parse(token) else {
        return Ok(Some("error parsing token: it is no signed token"));
    };
    let Ok(algorithm) = parsed.algorithm() else {
        return Ok(Some("error parsing token: its signature algorithm is none of those supported"));
    };
    let mut claims = None;
    for key in well_known::keys(cx).await? {
        for public in key.published.iter().filter(|public| public.is_at(cx.now())) {
            if public.algorithm != algorithm || parsed.kid().is_some_and(|kid| kid != public.kid) {
                continue;
            }
            let json = serde_json::from_str(&public.json)
                .map_err(|_| Error::internal("a public key does not read"))?;
            let Ok(jwk) = Jwk::parse(&json) else { continue };
            claims = claims.or_else(|| parsed.verify(jwk.public()).ok());
        }
    }
    let Some(claims) = claims else {
        return Ok(Some("unable to validate the token signature"));
    };
    let text = |name: &str| claims.get(name).and_then(Json::as_str);
    let number = |name: &str| claims.get(name).and_then(Json::as_i64);
    let now = cx.now().seconds();
    if text("iss") != Some(&issuer(cx).await?) {
        return Ok(Some("error validating claims: invalid issuer claim (iss)"));
    }
    if client_id.is_some_and(|id| text("aud") != Some(id)) {
        return Ok(Some("error validating claims: invalid audience claim (aud)"));
    }
    if number("exp").is_none_or(|at| at <= now) {
        return Ok(Some("error validating claims: token is expired (exp)"));
    }
    if number("nbf").is_some_and(|at| at > now) {
        return Ok(Some("error validating claims: token not valid yet (nbf)"));
    }
    let scope = cx.request.namespace.scope;
    match cx.kernel().identity.entity(scope, text("sub").unwrap_or_default()).await? {
        None => Ok(Some("entity was not found")),
        Some(state) if state.disabled => Ok(Some("entity is disabled")),
        Some(_) => Ok(None),
    }
}

impl Query<Introspect> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: Introspect) -> Result<Reply<Json>> {
        let token = op.token.unwrap_or_default();
        let client_id = op.client_id.filter(|id| !id.is_empty());
        let answer = match problem(cx, token.expose_secret(), client_id.as_deref()).await? {
            None => json!({ "active": true }),
            Some(why) => json!({ "active": false, "error": why }),
        };
        Ok(Reply::data(answer).bare())
    }
}
