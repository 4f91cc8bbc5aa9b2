//! JWT and OIDC: programs log in by a token that somebody signed for them (a CI service, SPIFFE, a
//! cloud), people by an OpenID provider, in a browser. One method under two names.
//!
//! Invariants:
//! * the configuration says whose keys and which algorithms count, never a token (threat
//!   CVE-2024-5798);
//! * a token with an audience is taken by roles that name it, and by no others;
//! * a state, its nonce and its PKCE secret are random, live ten minutes and log in once; who began
//!   the login must be who ends it (threat CVE-2026-33757);
//! * where the provider sends the browser to this server, a person is asked before anything is done
//!   (threat CVE-2026-33758);
//! * a provider's tokens and claims are never logged, whatever a role says.
//!
//! Logins of people that are under way are the one thing it has in memory ([`flows`] says why).

mod auth_url;
mod callback;
mod cel;
mod claims;
mod config;
mod flows;
mod form;
mod grant;
mod login;
mod pages;
mod policies;
mod poll;
mod provider;
mod providers;
mod redirect;
mod roles;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use strongroom_base::{Error, Result};
use strongroom_connectors::web::{Answer, Call, Failure, Web};
use strongroom_kernel::plug::{Class, EngineSpec, ReadCx, Spec};
use tokio::sync::Semaphore;

use crate::access_tokens::AccessTokens;
use crate::jwts::KeySets;
use crate::registry::Outside;
use flows::Flows;
use providers::Cluster;
use stored::{Prepared, Role};

/// What begins the text of a refused login of a person; user interfaces look for it.
const LOGIN_FAILED: &str = "Vault login failed.";

/// Questions of one mount to its provider at a time: strangers cause them.
const QUESTIONS_AT_A_TIME: usize = 32;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// A mount.
pub struct Jwt {
    web: Arc<dyn Web>,
    documents: Arc<KeySets>,
    cluster: Arc<Cluster>,
    /// For the APIs of providers that are asked in our own name.
    access: AccessTokens,
    flows: Arc<Flows>,
    asking: Semaphore,
}

/// The surface, under the name `kind` (`jwt` or `oidc`).
pub fn spec(kind: &'static str, outside: &Outside) -> Spec {
    let web = outside.web.clone();
    let documents = Arc::new(KeySets::new(web.clone()));
    let cluster = Arc::new(Cluster::new(outside));
    let open = move |_: &_| {
        Ok(Jwt {
            web: web.clone(),
            documents: documents.clone(),
            cluster: cluster.clone(),
            access: AccessTokens::default(),
            flows: Arc::default(),
            asking: Semaphore::new(QUESTIONS_AT_A_TIME),
        })
    };
    let spec = EngineSpec::new(kind, Class::Auth, open);
    let spec = login::add(spec);
    let spec = auth_url::add(spec);
    let spec = callback::add(spec);
    let spec = poll::add(spec);
    let spec = config::add(spec);
    let spec = roles::add(spec);
    let spec = cel::add(spec);
    spec.case_insensitive("name")
        .docs("Programs log in by a signed token, people by an OpenID provider.")
        .build()
}

impl Jwt {
    /// Asks the provider, in turn.
    async fn question(&self, call: Call) -> Result<Answer, Failure> {
        let turn = tokio::time::timeout(TURN, self.asking.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Failure::new("too many logins wait for the provider"));
        };
        self.web.call(call).await
    }
}

/// The configuration, for logins.
async fn configured(cx: &ReadCx<'_>) -> Result<Arc<Prepared>> {
    let config = stored::config(&cx.view()).await?;
    config.ok_or_else(|| Error::bad_request("could not load configuration"))
}

/// The role that a login names, or the configured one; and its name.
async fn chosen_role(
    cx: &ReadCx<'_>,
    prepared: &Prepared,
    given: Option<&str>,
) -> Result<(String, Arc<Role>)> {
    let given = given.filter(|name| !name.is_empty());
    let name = given.unwrap_or(&prepared.config.default_role).to_lowercase();
    if name.is_empty() {
        return Err(Error::bad_request("missing role"));
    }
    match stored::role(&cx.view(), &name).await? {
        Some(role) => Ok((name, role)),
        // The peers name it. It is what the caller gave, which errors here never repeat.
        None => Err(Error::bad_request("role could not be found")),
    }
}
