//! Logging in by a token; renewing what came of any login.

use strongroom_base::{Error, FieldSource, Json, JsonMap, Result, SecretString, Timestamp, fields};
use strongroom_crypto::jws::Compact;
use strongroom_kernel::plug::{
    EngineSpec, Grant, Login, Op, ReadCx, Renew, ResolveRole, TokenParams, Verb, WriteCx,
};
use strongroom_kernel::tokens::Token;

use super::config::Source;
use super::grant::{check_address, prefixed};
use super::stored::{self, Prepared, Role};
use super::{Jwt, chosen_role, claims, configured};
use crate::jwts;
use crate::jwts::claims::{audiences, text};

fields! {
    /// Logs in by a signed token.
    pub struct LogIn {
        /// The role; the configured one if not given.
        role: Option<String>,
        /// The token.
        jwt: Option<SecretString>,
    }
}

impl Op for LogIn {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.login::<LogIn>("login").resolves_roles().renews()
}

/// A refusal in the peers' words.
fn invalid(why: &str) -> Error {
    Error::bad_request(format!("error validating token: {why}"))
}

impl Login<LogIn> for Jwt {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let prepared = configured(cx).await?;
        let (name, role) = chosen_role(cx, &prepared, op.role.as_deref()).await?;
        if role.role_type == "oidc" {
            return Err(Error::bad_request("role with oidc role_type is not allowed"));
        }
        let jwt = op.jwt.as_ref().map_or("", |jwt| jwt.expose_secret().trim());
        if jwt.is_empty() {
            return Err(Error::bad_request("missing token"));
        }
        check_address(cx, &role)?;
        let claims = self.verified(&prepared, &role, jwt, cx.now()).await?;
        self.grant(cx, &prepared.config, &name, &role, claims, None).await
    }
}

impl Jwt {
    /// The claims of a token that one of the configured keys signed, and that is for this role.
    async fn verified(
        &self,
        prepared: &Prepared,
        role: &Role,
        jwt: &str,
        now: Timestamp,
    ) -> Result<JsonMap> {
        let config = &prepared.config;
        let malformed = |_| invalid("error verifying token signature: token is malformed");
        let token = Compact::parse(jwt).map_err(malformed)?;
        let chosen = config.algorithms();
        let algorithm = token.algorithm().ok();
        let algorithm = algorithm.filter(|one| chosen.is_empty() || chosen.contains(one));
        let algorithm = algorithm.ok_or_else(|| {
            invalid(
                "invalid algorithm (alg) header parameter: token signed with unexpected algorithm",
            )
        })?;
        let (trust, algorithms) = (config.trust(), [algorithm]);
        let claims = match config.source() {
            Source::Here => jwts::verify(&token, &prepared.keys, &algorithms),
            Source::Set(url) => {
                self.documents.verified(&token, &algorithms, (url, &trust), now).await?
            }
            Source::Issuer => {
                let provider = self.provider(config, now).await?;
                let at = (provider.keys.as_str(), &trust);
                self.documents.verified(&token, &algorithms, at, now).await?
            }
        };
        let claims = claims.ok_or_else(|| {
            invalid(
                "error verifying token signature: no known key successfully validated the token \
                 signature",
            )
        })?;
        claims::check_names(&claims).map_err(|e| prefixed("error validating token:", e))?;
        check(prepared, role, &claims, now)?;
        Ok(claims)
    }
}

/// Is a token whose signature is good one for this role?
fn check(prepared: &Prepared, role: &Role, claims: &JsonMap, now: Timestamp) -> Result<()> {
    let issuer = &prepared.config.bound_issuer;
    if !issuer.is_empty() && text(claims, "iss") != Some(issuer) {
        return Err(invalid("invalid issuer (iss) claim"));
    }
    if !role.bound_subject.is_empty() && text(claims, "sub") != Some(&role.bound_subject) {
        return Err(invalid("invalid subject (sub) claim"));
    }
    let audiences = audiences(claims);
    let bound = &role.bound_audiences;
    if !bound.is_empty() && !bound.iter().any(|a| audiences.contains(&a.as_str())) {
        return Err(invalid(
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ));
    }
    jwts::check_times(claims, now, role.leeways()).map_err(invalid)?;
    // An audience that is no text is one, too.
    let has_audience = claims::get(claims, "aud").is_some_and(|aud| !is_empty(aud));
    if bound.is_empty() && has_audience {
        return Err(Error::bad_request(
            "audience claim found in JWT but no audiences bound to the role",
        ));
    }
    Ok(())
}

fn is_empty(audience: &Json) -> bool {
    audience.as_array().is_some_and(Vec::is_empty)
}

impl ResolveRole for Jwt {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let Some(prepared) = stored::config(&cx.view()).await? else { return Ok(None) };
        let given = source.value("role", &[]).and_then(Json::as_str);
        let chosen = chosen_role(cx, &prepared, given).await;
        Ok(chosen.ok().map(|(name, _)| name))
    }
}

impl Renew for Jwt {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let name = token.internal.get("role").map_or("", String::as_str);
        let role = stored::role(&cx.view(), name).await?;
        let gone = || Error::bad_request(format!("role {name} does not exist during renewal"));
        Ok(role.ok_or_else(gone)?.token.params.clone())
    }
}
