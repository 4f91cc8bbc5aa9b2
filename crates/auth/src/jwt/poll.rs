//! Waiting for a login that ends elsewhere: on another device, or in a browser that the provider sends
//! to this server.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, SecretString, fields};
use strongroom_kernel::plug::{EngineSpec, Grant, Login, WriteCx, ops};

use super::callback::{as_login_failure, expected, unknown_state};
use super::flows::{Found, Proven};
use super::grant::{check_address, prefixed};
use super::provider::{Expected, Polled};
use super::stored::{Config, Role};
use super::{Jwt, LOGIN_FAILED, configured, stored};

fields! {
    /// Asks whether a login has ended.
    pub struct Poll {
        /// The state that the login began with.
        state: Option<String>,
        /// What was given when the login began.
        client_nonce: Option<SecretString>,
    }
}

ops! { Poll (), Write; }

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.login::<Poll>("oidc/poll")
}

/// Not yet: the very word of RFC 8628 §3.5, which clients look for.
fn later(word: &'static str) -> Error {
    Error::bad_request(word).because(Later)
}

/// The cause that marks a login that goes on.
#[derive(Debug)]
struct Later;

impl std::fmt::Display for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the login goes on")
    }
}

impl std::error::Error for Later {}

impl Login<Poll> for Jwt {
    async fn login(&self, cx: &mut WriteCx<'_>, op: Poll) -> Result<Grant> {
        let state = op.state.unwrap_or_default();
        let found = self.flows.polled(&state, cx.now()).ok_or_else(unknown_state)?;
        let given = op.client_nonce.as_ref().map_or("", |nonce| nonce.expose_secret());
        let wanted = &found.ask.client_nonce;
        // Logins that are polled for have a nonce.
        let knows = !wanted.expose_secret().is_empty() && wanted.constant_time_eq(given.as_bytes());
        let outcome = match knows {
            true => self.ended(cx, &state, found).await,
            false => Err(Error::bad_request("invalid client_nonce")),
        };
        outcome.map_err(|error| {
            let goes_on = error.cause.as_ref().is_some_and(|cause| cause.is::<Later>())
                || matches!(
                    error.kind,
                    ErrorKind::Conflict | ErrorKind::Internal | ErrorKind::Upstream
                );
            if goes_on || !knows {
                return error;
            }
            self.flows.end(&state);
            as_login_failure(error)
        })
    }
}

impl Jwt {
    async fn ended(&self, cx: &mut WriteCx<'_>, state: &str, found: Found) -> Result<Grant> {
        let prepared = configured(cx).await.map_err(|e| prefixed(LOGIN_FAILED, e))?;
        let config = &prepared.config;
        let role = stored::role(&cx.view(), &found.ask.role).await?;
        let role = role.ok_or_else(|| Error::bad_request("Role could not be found"))?;
        check_address(cx, &role)?;
        let proven = match role.callback_mode.as_str() {
            "device" => self.device_answer(cx, config, &role, state, &found).await?,
            "direct" => {
                let taken = self.flows.take_proven(state, &cx.request.id, cx.now());
                taken.ok_or_else(|| later("authorization_pending"))?
            }
            _ => return Err(unknown_state()),
        };
        let subject = crate::jwts::claims::text(&proven.claims, "sub");
        if !role.bound_subject.is_empty() && subject != Some(role.bound_subject.as_str()) {
            return Err(Error::bad_request("sub claim does not match bound subject"));
        }
        let claims = proven.claims.clone();
        let grant = self.grant(cx, config, &found.ask.role, &role, claims, Some(&proven)).await?;
        let (flows, state) = (self.flows.clone(), state.to_owned());
        cx.after_commit(move |_| flows.end(&state));
        Ok(grant)
    }

    async fn device_answer(
        &self,
        cx: &WriteCx<'_>,
        config: &Config,
        role: &Role,
        state: &str,
        found: &Found,
    ) -> Result<Arc<Proven>> {
        let (request, now) = (&cx.request.id, cx.now());
        if found.proven.is_some() {
            // The request that has the tokens is run again; no other gets them.
            let taken = self.flows.take(state, request, now).and_then(|found| found.proven);
            return taken.ok_or_else(unknown_state);
        }
        if !self.flows.note_poll(state, now) {
            return Err(later("slow_down"));
        }
        let provider = self.provider(config, now).await?;
        // There is no nonce in this flow.
        let expected = Expected { nonce: None, ..expected(&found.ask, role) };
        let code = found.ask.device_code.expose_secret();
        match self.poll_device(config, &provider, code, expected, now).await? {
            Polled::Later(word) => Err(later(word)),
            Polled::Proven(proven) => {
                self.flows.take(state, request, now).ok_or_else(unknown_state)?;
                let proven = Arc::new(proven);
                self.flows.prove(state, proven.clone());
                Ok(proven)
            }
        }
    }
}
