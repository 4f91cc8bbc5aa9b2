//! Logging in by a token; renewing what came of any login.

use strongroom_base::{Error, FieldSource, Json, JsonMap, Result, SecretString, Timestamp, fields};
use strongroom_crypto::jws::Compact;
use strongroom_kernel::plug::{
    EngineSpec, Grant, Login, ReadCx, Renew, ResolveRole, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::Token;

use super::config::Source;
use super::grant::{check_address, prefixed};
use super::stored::{self, Prepared};
use super::{Jwt, cel, chosen_role, claims, configured};
use crate::jwts::claims::{audiences, text};
use crate::jwts::{self, Leeways};

fields! {
    /// Logs in by a signed token.
    pub struct LogIn {
        /// The role; the configured one if not given.
        role: Option<String>,
        /// The token.
        jwt: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

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
        let bounds = Bounds {
            leeways: role.leeways(),
            audiences: &role.bound_audiences,
            subject: &role.bound_subject,
            takes_any_audience: false,
        };
        let claims = self.verified(&prepared, bounds, jwt, cx.now()).await?;
        self.grant(cx, &prepared.config, &name, &role, claims, None).await
    }
}

/// What a role wants of a token whose signature is good.
#[derive(Clone, Copy)]
pub struct Bounds<'r> {
    /// How far times may be off.
    pub leeways: Leeways,
    /// Audiences, one of which must be in `aud`; none are asked for where this is empty.
    pub audiences: &'r [String],
    /// What `sub` must be; "" for anything.
    pub subject: &'r str,
    /// Is a token with an audience taken though none is asked for?
    pub takes_any_audience: bool,
}

impl Jwt {
    /// The claims of a token that one of the configured keys signed, and that is for this role.
    pub async fn verified(
        &self,
        prepared: &Prepared,
        bounds: Bounds<'_>,
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
            Source::Cluster => {
                let keys = self.cluster.keys(now).await?;
                let documents = &self.cluster.documents;
                documents.verified(&token, &algorithms, (&keys, ""), now).await?
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
        check(prepared, bounds, &claims, now)?;
        Ok(claims)
    }
}

/// Is a token whose signature is good one for this role?
fn check(prepared: &Prepared, bounds: Bounds<'_>, claims: &JsonMap, now: Timestamp) -> Result<()> {
    let issuer = &prepared.config.bound_issuer;
    if !issuer.is_empty() && text(claims, "iss") != Some(issuer) {
        return Err(invalid("invalid issuer (iss) claim"));
    }
    if !bounds.subject.is_empty() && text(claims, "sub") != Some(bounds.subject) {
        return Err(invalid("invalid subject (sub) claim"));
    }
    let audiences = audiences(claims);
    let bound = bounds.audiences;
    if !bound.is_empty() && !bound.iter().any(|a| audiences.contains(&a.as_str())) {
        return Err(invalid(
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ));
    }
    jwts::check_times(claims, now, bounds.leeways).map_err(invalid)?;
    // An audience that is no text is one, too.
    let has_audience = claims::get(claims, "aud").is_some_and(|aud| !is_empty(aud));
    if bound.is_empty() && has_audience && !bounds.takes_any_audience {
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
        if let Ok((name, _)) = chosen_role(cx, &prepared, given).await {
            return Ok(Some(name));
        }
        let name = given.unwrap_or(&prepared.config.default_role).to_lowercase();
        Ok(stored::cel_role(&cx.view(), &name).await?.map(|_| name))
    }
}

impl Renew for Jwt {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        if token.internal.get("role_type").is_some_and(|kind| kind == cel::KIND) {
            return cel::renew(cx, token).await;
        }
        let name = token.internal.get("role").map_or("", String::as_str);
        let role = stored::role(&cx.view(), name).await?;
        let gone = || Error::bad_request(format!("role {name} does not exist during renewal"));
        Ok(role.ok_or_else(gone)?.token.params.clone())
    }
}
