//! Logging in with a token of GitHub; renewing such a login, which asks GitHub again.

use std::time::Duration;

use strongroom_base::{Error, ErrorKind, Result, SecretString, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow, normalise_policies};

use super::Github;
use super::api::{Account, Api, Refusal, Team};
use super::stored::{self, Config, Whose};
use crate::kept;
use crate::turns::note_failure;

/// Time for all that one login asks.
const PATIENCE: Duration = Duration::from_secs(60);

fields! {
    /// Logs in.
    pub struct LogIn {
        /// A personal access token.
        token: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Github>) -> EngineSpec<Github> {
    spec.login::<LogIn>("login").renews()
}

/// What GitHub says of a token.
struct Found {
    user: Account,
    organization: Account,
    teams: Vec<String>,
    policies: Vec<String>,
    warnings: Vec<String>,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Refused(401 | 403 | 404) => {
                Error::bad_request("GitHub does not take the token")
            }
            Refusal::Refused(status) => {
                Error::new(ErrorKind::Upstream, format!("GitHub answers {status}"))
            }
            Refusal::Failed(failure) => {
                Error::new(ErrorKind::Upstream, "GitHub can't be asked").because(failure)
            }
        }
    }
}

impl Github {
    async fn config(&self, cx: &ReadCx<'_>) -> Result<Config> {
        let config = stored::config(&cx.view()).await?;
        let config = config.ok_or_else(|| Error::bad_request("configuration has not been set"))?;
        if !cidrs_allow(&config.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        Ok(config)
    }

    async fn ask(&self, cx: &ReadCx<'_>, config: &Config, token: &SecretString) -> Result<Found> {
        let found = self.find(cx, config, token).await;
        note_failure(&cx.request.mount.path, &found);
        found
    }

    /// Whose token it is, and all his organisations and teams.
    async fn call(
        &self,
        config: &Config,
        token: &SecretString,
    ) -> Result<(Account, Vec<Account>, Vec<Team>)> {
        let _turn = self.turns.take().await?;
        let api = Api::new(&*self.web, &config.base_url, Some(token));
        Ok((api.user().await?, api.organizations().await?, api.teams().await?))
    }

    async fn find(&self, cx: &ReadCx<'_>, config: &Config, token: &SecretString) -> Result<Found> {
        let called = cx.outside(tokio::time::timeout(PATIENCE, self.call(config, token))).await;
        let (user, organizations, all) = called.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Upstream, "GitHub did not answer in time"))
        })?;
        let mut organizations = organizations.into_iter();
        let organization = organizations.find(|o| o.id == config.organization_id);
        let organization =
            organization.ok_or_else(|| Error::bad_request("user is not part of required org"))?;
        let mut teams = Vec::new();
        for team in all {
            if team.organization.id != organization.id {
                continue;
            }
            if team.slug != team.name {
                teams.push(team.slug);
            }
            teams.push(team.name);
        }
        teams.retain(|name| !name.is_empty());
        let mut warnings = Vec::new();
        if !organization.login.eq_ignore_ascii_case(&config.organization) {
            warnings.push(format!(
                "the organization name has changed to {:?}. It is recommended to verify and update \
                 the organization name in the config: organization_id={}",
                organization.login, organization.id
            ));
        }
        let mut policies = stored::policies(&cx.view(), Whose::Team, &teams).await?;
        let name = std::slice::from_ref(&user.login);
        policies.extend(stored::policies(&cx.view(), Whose::User, name).await?);
        let policies = normalise_policies(policies);
        Ok(Found { user, organization, teams, policies, warnings })
    }
}

impl Login<LogIn> for Github {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let token = op.token.filter(|token| !token.expose_secret().trim().is_empty());
        let token = token.ok_or_else(|| Error::bad_request("missing token"))?;
        let token = SecretString::new(token.expose_secret().trim().to_owned());
        let config = self.config(cx).await?;
        let found = self.ask(cx, &config, &token).await?;
        let name = found.user.login;
        let sealed = kept::seal(cx, &name, &config.base_url, &token).await?;
        Ok(Grant {
            display_name: name.clone(),
            policies: found.policies,
            metadata: [
                ("username".to_owned(), name.clone()),
                ("org".to_owned(), found.organization.login),
            ]
            .into(),
            alias: Some(GrantAlias { name: name.clone(), ..GrantAlias::default() }),
            groups: found.teams,
            token: config.token.for_login(&cx.request.peer)?,
            internal: [("username".to_owned(), name), ("token".to_owned(), sealed)].into(),
            warnings: found.warnings,
            ..Grant::default()
        })
    }
}

impl Renew for Github {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let config = self.config(cx).await?;
        let internal = |name: &str| token.internal.get(name).map_or("", String::as_str);
        let (name, kept) = (internal("username"), internal("token"));
        let secret = kept::open(cx, name, &config.base_url, kept).await?;
        let found = self.ask(cx, &config, &secret).await?;
        if found.user.login != internal("username") {
            // Names can be given up, and taken by others: the entity is the old name's.
            return Err(Error::bad_request("the user has another name, not renewing"));
        }
        let mut now = found.policies.clone();
        now.extend(config.token.params.policies.iter().cloned());
        let without_default = |policies: &[String]| {
            normalise_policies(policies.iter().filter(|p| *p != "default").cloned())
        };
        if without_default(&now) != without_default(&token.policies) {
            return Err(Error::bad_request("policies do not match"));
        }
        cx.found_groups(found.teams);
        Ok(config.token.params.clone())
    }
}
