//! Ending the login of a person: the provider has sent the browser back, with a code.
//!
//! Whatever comes of it, the state is used up. Where the provider sent the browser to this server
//! (`direct`), the person is asked first, sees a page in the end, and whoever began the login polls
//! for the token.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, RawBody, Result, SecretString, fields};
use strongroom_kernel::plug::{Command, EngineSpec, LoginStep, Reply, Step, WriteCx, ops};

use super::flows::{Ask, Found, Posted, Proven};
use super::grant::{check_address, prefixed};
use super::provider::Expected;
use super::stored::{Config, Role};
use super::{Jwt, LOGIN_FAILED, configured, form, pages, stored};

/// Bytes of a form that a provider sends: most of them are the ID token's.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a code.
const CODE_BYTES_MAX: usize = 4 * 1024;

fields! {
    /// Ends the login of a person.
    pub struct Callback {
        /// The state that the login began with.
        state: Option<String>,
        /// The provider's code.
        code: Option<SecretString>,
        /// What was given when the login began.
        client_nonce: Option<SecretString>,
        /// What the provider says went wrong.
        error: Option<String>,
        /// The same in words, which nobody is told.
        error_description: Option<String>,
        /// The same as an address, which nobody is told.
        error_uri: Option<String>,
        /// The person was asked and has agreed.
        confirmation: Option<String>,
    }
}
fields! {
    /// Takes what a provider sends by a form: `state` with `code` or `id_token`.
    pub struct PostCallback {
        /// The form.
        body: RawBody,
    }
}

ops! {
    Callback (), Read;
    PostCallback strongroom_base::Json, Write, Open;
}

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.login_step::<Callback>("oidc/callback")
        .command::<PostCallback>("oidc/callback")
        .raw_body(FORM_BYTES_MAX)
}

/// A refusal that user interfaces know.
fn failed(text: &str) -> Error {
    Error::bad_request(format!("{LOGIN_FAILED} {text}"))
}

/// The refusal of a state that is not, or no longer, good.
pub(super) fn unknown_state() -> Error {
    failed("Expired or missing OAuth state.")
}

/// Puts what interfaces look for before a refusal that is none of theirs yet.
pub(super) fn as_login_failure(error: Error) -> Error {
    let known = |text: &String| text.starts_with(LOGIN_FAILED) || text.starts_with("Token verif");
    if error.kind != ErrorKind::BadRequest || error.public.iter().any(known) {
        return error;
    }
    prefixed(LOGIN_FAILED, error)
}

/// The state without what user interfaces are told by it.
fn bare(state: Option<&str>) -> &str {
    state.unwrap_or_default().split(',').next().unwrap_or_default()
}

/// What a provider may say went wrong (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
const PROVIDER_ERRORS: &[&str] = &[
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
];

impl LoginStep<Callback> for Jwt {
    async fn step(&self, cx: &mut WriteCx<'_>, op: Callback) -> Result<Step> {
        let prepared = configured(cx).await.map_err(|e| prefixed(LOGIN_FAILED, e))?;
        let state = bare(op.state.as_deref()).to_owned();
        let (request, now) = (cx.request.id.clone(), cx.now());
        // The flow that this request has already is its own.
        let ask = match self.flows.peek(&state, now) {
            Some(ask) => ask,
            None => self.flows.take(&state, &request, now).ok_or_else(unknown_state)?.ask,
        };
        let Some(role) = stored::role(&cx.view(), &ask.role).await? else {
            self.flows.end(&state);
            return Err(failed("Role could not be found"));
        };
        let asked = op.confirmation.as_deref().is_some_and(|given| !given.is_empty());
        if role.is_direct() && !role.oidc_disable_confirmation && !asked {
            return Ok(Step::Reply(Box::new(ask_person(&ask, &op))));
        }
        let found = self.flows.take(&state, &request, now).ok_or_else(unknown_state)?;
        let outcome = self.end_login(cx, &prepared.config, &role, &state, &op, found).await;
        let error = match outcome {
            Ok(step) => return Ok(step),
            Err(error) => error,
        };
        // What another transaction got in the way of is tried again.
        if !matches!(error.kind, ErrorKind::Conflict | ErrorKind::Internal) {
            self.flows.end(&state);
        }
        let error = as_login_failure(error);
        Err(if role.is_direct() { pages::failure(error) } else { error })
    }
}

/// Shows the person where the login was begun.
fn ask_person(ask: &Ask, op: &Callback) -> Reply<strongroom_base::Json> {
    let requester =
        ask.requester.map_or_else(|| "?".to_owned(), |ip| ip.to_canonical().to_string());
    let code = op.code.as_ref().map_or("", |code| code.expose_secret());
    let fields = [
        ("state", op.state.as_deref().unwrap_or_default()),
        ("code", code),
        ("error", op.error.as_deref().unwrap_or_default()),
        ("confirmation", "1"),
    ];
    let given: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    pages::confirm(&requester, &ask.role, &given)
}

impl Jwt {
    async fn end_login(
        &self,
        cx: &mut WriteCx<'_>,
        config: &Config,
        role: &Role,
        state: &str,
        op: &Callback,
        found: Found,
    ) -> Result<Step> {
        let Found { ask, proven } = found;
        if role.is_device() {
            return Err(unknown_state());
        }
        let said = op.error.as_deref().unwrap_or_default().trim().to_lowercase();
        if !said.is_empty() {
            let known = PROVIDER_ERRORS.iter().find(|known| **known == said);
            return Err(failed(
                known.unwrap_or(&"An unknown error occurred during OIDC authentication."),
            ));
        }
        if !role.is_direct() {
            let given = op.client_nonce.as_ref().map_or("", |nonce| nonce.expose_secret());
            let wanted = &ask.client_nonce;
            if !wanted.expose_secret().is_empty() && !wanted.constant_time_eq(given.as_bytes()) {
                return Err(Error::bad_request("invalid client_nonce"));
            }
            check_address(cx, role)?;
        }
        let proven = match proven {
            Some(proven) => proven,
            None => {
                let proven = Arc::new(self.answer(cx, config, role, state, &ask, op).await?);
                self.flows.prove(state, proven.clone());
                proven
            }
        };
        let subject = crate::jwts::claims::text(&proven.claims, "sub");
        if !role.bound_subject.is_empty() && subject != Some(role.bound_subject.as_str()) {
            return Err(failed("sub claim does not match bound subject"));
        }
        let claims = proven.claims.clone();
        let grant = self.grant(cx, config, &ask.role, role, claims, Some(&proven)).await?;
        let (flows, state) = (self.flows.clone(), state.to_owned());
        if role.is_direct() {
            drop(grant);
            cx.after_commit(move |_| flows.hand_over(&state, proven));
            return Ok(Step::Reply(Box::new(pages::success())));
        }
        cx.after_commit(move |_| flows.end(&state));
        Ok(Step::Token(Box::new(grant)))
    }

    /// What the provider proves, by its code or by the ID token that it sent.
    async fn answer(
        &self,
        cx: &WriteCx<'_>,
        config: &Config,
        role: &Role,
        state: &str,
        ask: &Ask,
        op: &Callback,
    ) -> Result<Proven> {
        let now = cx.now();
        let posted = self.flows.posted(state).unwrap_or_default();
        let given = op.code.as_ref().map_or("", |code| code.expose_secret());
        let code = if given == pages::NO_CODE { posted.code.expose_secret() } else { given };
        let expected = expected(ask, role);
        let provider = self.provider(config, now).await?;
        if config.is_implicit() {
            let id_token = posted.id_token;
            if id_token.expose_secret().is_empty() {
                return Err(failed("No code or id_token received."));
            }
            let text = id_token.expose_secret();
            let claims = self.id_token(config, &provider, text, expected, now).await?;
            let (access_token, refresh_token) = Default::default();
            return Ok(Proven { claims, id_token, access_token, refresh_token });
        }
        if code.is_empty() {
            return Err(failed("No code or id_token received."));
        }
        if code.len() > CODE_BYTES_MAX {
            return Err(failed("The code is too long."));
        }
        let verifier = ask.verifier.expose_secret();
        self.exchange(config, &provider, code, &ask.redirect_uri, verifier, expected, now).await
    }
}

/// What the ID token of a flow must have.
pub(super) fn expected<'a>(ask: &'a Ask, role: &'a Role) -> Expected<'a> {
    Expected {
        nonce: Some(&ask.nonce),
        audiences: &role.bound_audiences,
        max_age: role.max_age,
        begun: ask.begun,
    }
}

impl Command<PostCallback> for Jwt {
    async fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: PostCallback,
    ) -> Result<Reply<strongroom_base::Json>> {
        let prepared = configured(cx).await.map_err(|e| prefixed(LOGIN_FAILED, e))?;
        if !prepared.config.posts_forms() {
            return Err(Error::unsupported());
        }
        let outcome = self.take_form(cx, &prepared.config, op.body.0.expose_secret()).await;
        outcome.map_err(|error| pages::failure(as_login_failure(error)))
    }
}

impl Jwt {
    async fn take_form(
        &self,
        cx: &WriteCx<'_>,
        config: &Config,
        body: &[u8],
    ) -> Result<Reply<strongroom_base::Json>> {
        let now = cx.now();
        let text = std::str::from_utf8(body).ok();
        let pairs = text.and_then(form::decode).ok_or_else(|| failed("The form is malformed."))?;
        let value = |name: &str| {
            let pair = pairs.iter().find(|(n, _)| n == name);
            pair.map_or("", |(_, value)| value.expose_secret().as_str())
        };
        let state = bare(Some(value("state")));
        let ask = self.flows.peek(state, now).ok_or_else(unknown_state)?;
        let role = stored::role(&cx.view(), &ask.role).await?;
        let role = role.ok_or_else(|| failed("Role could not be found"))?;
        let (code, id_token) = (value("code"), value("id_token"));
        if code.len() > CODE_BYTES_MAX {
            return Err(failed("The code is too long."));
        }
        if !id_token.is_empty() {
            // Only what the provider signed for this flow is kept.
            let provider = self.provider(config, now).await?;
            self.id_token(config, &provider, id_token, expected(&ask, &role), now).await?;
        }
        let secret = |text: &str| SecretString::new(text.to_owned());
        let posted = Posted { code: secret(code), id_token: secret(id_token) };
        if !self.flows.post(state, posted, now) {
            return Err(unknown_state());
        }
        let mount = cx.request.mount.path.trim_start_matches("auth/").trim_end_matches('/');
        Ok(pages::posted(mount, state, cx.rng()))
    }
}
