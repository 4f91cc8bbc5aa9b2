//! Logging in by a directory; renewing such a token, which asks the directory again.

use std::time::Duration;

use strongroom_base::{Error, ErrorKind, FieldSource, Result, SecretString, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow, normalise_policies};

use super::Ldap;
use super::lookup::{self, Found};
use super::spelling::{for_counting, one_spelling};
use super::stored::{self, Config, Group, User};
use crate::kept;
use crate::turns::note_failure;

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The user's name.
        username: String,
        /// The password.
        password: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Ldap>) -> EngineSpec<Ldap> {
    spec.login::<LogIn>("login/{username..}").counts_failures_of(named).renews()
}

/// The user's name, as the lockout counts it.
fn named(source: &FieldSource<'_>) -> Option<String> {
    source.capture("username").map(for_counting)
}

/// One answer for a name that is unknown or none, and for a wrong password.
pub(super) fn wrong() -> Error {
    Error::bad_credentials("ldap operation failed: failed to bind as user")
}

/// The configuration that was written: nobody's password goes to where the defaults point.
async fn configured(cx: &ReadCx<'_>) -> Result<Config> {
    let config = stored::written(&cx.view()).await?;
    config.ok_or_else(|| Error::bad_request("ldap backend not configured"))
}

impl Login<LogIn> for Ldap {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let config = configured(cx).await?;
        if !cidrs_allow(&config.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        let password = op.password.unwrap_or_default();
        let name = one_spelling(&op.username, config.case_sensitive_names).ok_or_else(wrong)?;
        let found = self.ask(cx, &config, &name, &password).await?;
        let Rights { groups, policies } = rights(cx, &config, &name, found.groups).await?;
        let sealed = kept::seal(cx, &name, &config.url, &password).await?;
        let username = ("username".to_owned(), name.clone());
        Ok(Grant {
            display_name: name.clone(),
            policies,
            metadata: [username.clone()].into(),
            alias: Some(GrantAlias {
                name: found.alias,
                metadata: [("name".to_owned(), name)].into(),
            }),
            groups,
            token: config.token.for_login(&cx.request.peer)?,
            internal: [username, ("password".to_owned(), sealed)].into(),
            warnings: found.warnings,
            ..Grant::default()
        })
    }
}

impl Ldap {
    /// Asks the directory, within bounds of turns and time.
    async fn ask(
        &self,
        cx: &ReadCx<'_>,
        config: &Config,
        name: &str,
        password: &SecretString,
    ) -> Result<Found> {
        if password.expose_secret().is_empty() {
            return Err(Error::bad_request(
                "password cannot be of zero length when passwordless binds are being denied",
            ));
        }
        let _turn = self.turns.take().await?;
        let servers = config.servers();
        let tried = u32::try_from(servers.addresses.len()).unwrap_or(1).max(1);
        let patience: Duration = servers.request_timeout + servers.connection_timeout * tried;
        let asked = lookup::find(cx, &*self.directory, config, &servers, name, password);
        let asked = cx.outside(tokio::time::timeout(patience, asked)).await;
        let found = asked.unwrap_or_else(|_| {
            let text = "ldap operation failed: the directory did not answer in time";
            Err(Error::new(ErrorKind::Upstream, text))
        });
        note_failure(&cx.request.mount.path, &found);
        found
    }
}

/// A user's groups, and what he and they may do.
struct Rights {
    /// Those of the directory and those written here, as they are called there and here.
    groups: Vec<String>,
    policies: Vec<String>,
}

async fn rights(
    cx: &ReadCx<'_>,
    config: &Config,
    name: &str,
    of_directory: Vec<String>,
) -> Result<Rights> {
    let view = cx.view();
    let user = view.cached::<User>(0, &config.name(name)).await?;
    let (own, mut policies) =
        user.map_or_else(Default::default, |user| (user.groups.clone(), user.policies.clone()));
    let mut groups: Vec<String> = own.into_iter().chain(of_directory).collect();
    groups.sort();
    groups.dedup();
    for group in &groups {
        if let Some(group) = view.cached::<Group>(0, &config.name(group)).await? {
            policies.extend(group.policies.iter().cloned());
        }
    }
    Ok(Rights { groups, policies: normalise_policies(policies) })
}

impl Renew for Ldap {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let config = configured(cx).await?;
        let internal = |name: &str| token.internal.get(name).map_or("", String::as_str);
        let name = internal("username");
        let password = kept::open(cx, name, &config.url, internal("password")).await?;
        let found = self.ask(cx, &config, name, &password).await?;
        let Rights { groups, policies: mut now } = rights(cx, &config, name, found.groups).await?;
        now.extend(config.token.params.policies.iter().cloned());
        let without_default = |policies: &[String]| {
            normalise_policies(policies.iter().filter(|p| *p != "default").cloned())
        };
        if without_default(&now) != without_default(&token.policies) {
            return Err(Error::bad_request("policies have changed, not renewing"));
        }
        cx.found_groups(groups);
        Ok(config.token.params.clone())
    }
}
