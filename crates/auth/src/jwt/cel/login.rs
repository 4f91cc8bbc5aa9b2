//! Logging in by a token whose claims a program judges.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result, SecretString, fields};
use strongroom_kernel::plug::{EngineSpec, Grant, Login, ReadCx, TokenParams, WriteCx, ops};
use strongroom_kernel::tokens::{Token, cidrs_allow};

use super::super::login::Bounds;
use super::super::{Jwt, configured, stored};
use super::{KIND, outcome, values};

/// Where a token keeps the parameters that its program gave it.
const PARAMS: &str = "params";

fields! {
    /// Logs in by a signed token, against a role that is a program.
    pub struct CelLogIn {
        /// The role; the configured one if not given.
        role: Option<String>,
        /// The token.
        jwt: Option<SecretString>,
    }
}

ops! { CelLogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.login::<CelLogIn>("cel/login")
}

impl Login<CelLogIn> for Jwt {
    async fn login(&self, cx: &mut WriteCx<'_>, op: CelLogIn) -> Result<Grant> {
        let prepared = configured(cx).await?;
        let given = op.role.as_deref().filter(|name| !name.is_empty());
        let name = given.unwrap_or(&prepared.config.default_role).to_lowercase();
        if name.is_empty() {
            return Err(Error::bad_request("missing role"));
        }
        let role = stored::cel_role(&cx.view(), &name).await?;
        let role = role.ok_or_else(|| Error::bad_request("role could not be found"))?;
        let jwt = op.jwt.as_ref().map_or("", |jwt| jwt.expose_secret().trim());
        if jwt.is_empty() {
            return Err(Error::bad_request("missing token"));
        }
        let bounds = Bounds {
            leeways: role.record.leeways(),
            audiences: &role.record.bound_audiences,
            subject: "",
            // The program sees them.
            takes_any_audience: true,
        };
        let claims = self.verified(&prepared, bounds, jwt, cx.now()).await?;
        let answer = role.program.run(values::from_map(&claims), cx.now())?;
        let mut grant = outcome::grant(answer, &role.record.message)?;
        if !cidrs_allow(&grant.token.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        grant.metadata.entry("role".to_owned()).or_insert_with(|| name.clone());
        let params = serde_json::to_string(&grant.token).map_err(Error::internal)?;
        grant.internal = BTreeMap::from([
            ("role".to_owned(), name),
            ("role_type".to_owned(), KIND.to_owned()),
            (PARAMS.to_owned(), params),
        ]);
        Ok(grant)
    }
}

/// What holds for a token whose program is not asked again: its claims are not here any more.
pub async fn renew(cx: &ReadCx<'_>, token: &Token) -> Result<TokenParams> {
    let fact = |name: &str| token.internal.get(name).map_or("", String::as_str);
    if stored::cel_role(&cx.view(), fact("role")).await?.is_none() {
        return Err(Error::bad_request("the CEL role does not exist during renewal"));
    }
    serde_json::from_str(fact(PARAMS)).map_err(Error::internal)
}
