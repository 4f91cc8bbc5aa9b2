//! From claims that are proven to a grant: who the caller is, what the role binds, and what its
//! tokens get.

use std::collections::BTreeMap;

use strongroom_base::{Error, JsonMap, Result};
use strongroom_kernel::plug::{Grant, GrantAlias, ReadCx};
use strongroom_kernel::tokens::cidrs_allow;

use super::flows::Proven;
use super::stored::{Config, Role};
use super::{Jwt, claims, policies};

/// Names in a token's metadata that begin so hold a provider's tokens.
const OAUTH2: &str = "oauth2_";

/// May the caller have tokens of the role from where it is?
pub fn check_address(cx: &ReadCx<'_>, role: &Role) -> Result<()> {
    let allowed = cidrs_allow(&role.token.params.bound_cidrs, cx.request.peer.ip);
    if allowed { Ok(()) } else { Err(Error::denied()) }
}

impl Jwt {
    /// The grant for these claims; `proven` are the tokens of an OIDC login.
    pub async fn grant(
        &self,
        cx: &ReadCx<'_>,
        config: &Config,
        name: &str,
        role: &Role,
        mut claims: JsonMap,
        proven: Option<&Proven>,
    ) -> Result<Grant> {
        let user = claims::user(role, &claims)?;
        self.complete(config, role, &mut claims, proven, cx.now()).await?;
        let mut metadata = claims::metadata(role, &claims)?;
        let groups = claims::groups(role, &claims)?;
        claims::check(role, &claims).map_err(|e| prefixed("error validating claims:", e))?;
        metadata.insert("role".to_owned(), name.to_owned());
        let alias = GrantAlias { name: user.clone(), metadata: metadata.clone() };
        for (kind, token) in proven.into_iter().flat_map(Proven::tokens) {
            if role.oauth2_metadata.iter().any(|wanted| wanted == kind) {
                metadata.insert(format!("{OAUTH2}{kind}"), token.expose_secret().clone());
            }
        }
        let mut token = role.token.for_login(&cx.request.peer)?;
        if role.token_policies_template_claims {
            token.policies = policies::render(&token.policies, &claims, cx.rng(), cx.now())?;
        }
        Ok(Grant {
            display_name: user,
            metadata,
            alias: Some(alias),
            groups,
            token,
            internal: BTreeMap::from([("role".to_owned(), name.to_owned())]),
            ..Grant::default()
        })
    }
}

/// The same refusal with a text before its own.
pub fn prefixed(prefix: &str, mut error: Error) -> Error {
    for text in &mut error.public {
        *text = format!("{prefix} {text}");
    }
    error
}
