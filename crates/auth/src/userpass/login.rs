//! Logging in with a name and a password.
//!
//! Every login costs what the costliest hash of the mount does, whether the user is there or not
//! (threat: CVE-2025-6011), and runs on a thread for such work, a few at a time.

use strongroom_base::{Error, FieldSource, Result, SecretString, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, Renew, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow, normalise_policies};

use super::{Userpass, stored};

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The user's name; its case does not matter.
        username: String,
        /// The password.
        password: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Userpass>) -> EngineSpec<Userpass> {
    spec.login::<LogIn>("login/{username}").counts_failures_of(named).renews()
}

/// The user's name, as the lockout counts it.
fn named(source: &FieldSource<'_>) -> Option<String> {
    source.capture("username").map(str::to_lowercase)
}

impl Login<LogIn> for Userpass {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let username = op.username.to_lowercase();
        let password = op.password.filter(|p| !p.expose_secret().is_empty());
        let password = password.ok_or_else(|| Error::bad_request("missing password"))?;
        let user = stored::user(&cx.view(), &username).await?;
        let hash = user.as_ref().map(|u| SecretString::new(u.password_hash.clone()));
        let good = self.verify(cx, password, hash).await?;
        let user = user.filter(|_| good);
        let user = user.ok_or_else(|| Error::bad_credentials("invalid username or password"))?;
        if !cidrs_allow(&user.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        Ok(Grant {
            display_name: username.clone(),
            metadata: [("username".to_owned(), username.clone())].into(),
            internal: [("username".to_owned(), username.clone())].into(),
            alias: Some(GrantAlias { name: username, ..GrantAlias::default() }),
            token: user.token.for_login(&cx.request.peer)?,
            ..Grant::default()
        })
    }
}

impl Renew for Userpass {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let name = token.internal.get("username").map_or("", String::as_str);
        let user = stored::user(&cx.view(), name).await?;
        let user = user.ok_or_else(|| Error::bad_request("user does not exist any more"))?;
        let without_default = |policies: &[String]| {
            let all = policies.iter().filter(|p| *p != "default").cloned();
            normalise_policies(all)
        };
        if without_default(&user.token.params.policies) != without_default(&token.policies) {
            return Err(Error::bad_request("policies have changed, not renewing"));
        }
        Ok(user.token.params.clone())
    }
}
