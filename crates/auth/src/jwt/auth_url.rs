//! Beginning the login of a person: where to send the browser, or what to do on another device.
//!
//! Whoever asks is a stranger: an address that the role does not allow gives an empty answer, as with
//! the peers.

use serde::Serialize;
use strongroom_base::{Error, Result, SecretString, fields};
use strongroom_crypto::digest::sha256;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::flows::{Ask, random};
use super::provider::Provider;
use super::stored::{Config, Role};
use super::{Jwt, chosen_role, configured, form, redirect};

/// Bytes of a client's nonce, and of a redirect URI.
const GIVEN_BYTES_MAX: usize = 2_048;
/// Seconds between two polls where nobody says otherwise.
const POLL_SECONDS: i64 = 5;

fields! {
    /// Begins the login of a person.
    pub struct AuthUrl {
        /// The role; the configured one if not given.
        role: Option<String>,
        /// Where the provider is to send the browser. Not for logins by another device.
        redirect_uri: Option<String>,
        /// What whoever ends the login must know.
        client_nonce: Option<SecretString>,
    }
}

/// Where the login goes on.
#[derive(Serialize, Default)]
pub struct AuthUrlView {
    /// The address for the browser; "" for a redirect URI that is not allowed.
    pub auth_url: String,
    /// The state, for who polls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Seconds between two polls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_interval: Option<String>,
    /// What to type at the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_code: Option<String>,
}

ops! { AuthUrl AuthUrlView, Write, Open; }

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.query::<AuthUrl>("oidc/auth_url")
}

/// `openid`, and what the role asks for besides.
fn scope(role: &Role) -> String {
    let others = role.oidc_scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
    std::iter::once("openid").chain(others).collect::<Vec<_>>().join(" ")
}

impl Query<AuthUrl> for Jwt {
    async fn query(&self, cx: &ReadCx<'_>, op: AuthUrl) -> Result<Reply<AuthUrlView>> {
        let prepared = configured(cx).await?;
        let config = &prepared.config;
        if !config.is_oidc() {
            return Err(Error::bad_request("OIDC login is not configured for this mount"));
        }
        let (name, role) = chosen_role(cx, &prepared, op.role.as_deref()).await?;
        if role.role_type != "oidc" {
            return Ok(Reply::data(AuthUrlView::default()));
        }
        let client_nonce = op.client_nonce.unwrap_or_default();
        if client_nonce.expose_secret().is_empty() && role.callback_mode != "client" {
            return Err(Error::bad_request("missing client_nonce"));
        }
        if client_nonce.expose_secret().len() > GIVEN_BYTES_MAX {
            return Err(Error::bad_request("client_nonce is too long"));
        }
        let ask = Ask {
            role: name,
            redirect_uri: String::new(),
            nonce: random(cx.rng()),
            verifier: SecretString::default(),
            client_nonce,
            requester: cx.request.peer.ip,
            device_code: SecretString::default(),
            poll_seconds: if role.poll_interval > 0 { role.poll_interval } else { POLL_SECONDS },
            begun: cx.now(),
        };
        if role.is_device() {
            return self.by_device(cx, config, &role, ask).await.map(Reply::data);
        }
        let given = op.redirect_uri.unwrap_or_default();
        if given.is_empty() {
            return Err(Error::bad_request("missing redirect_uri"));
        }
        self.by_browser(cx, config, &role, ask, given).await.map(Reply::data)
    }
}

impl Jwt {
    async fn by_browser(
        &self,
        cx: &ReadCx<'_>,
        config: &Config,
        role: &Role,
        ask: Ask,
        given: String,
    ) -> Result<AuthUrlView> {
        let (mut uri, mut namespace) = (given, String::new());
        if config.namespace_in_state {
            let Some(taken) = redirect::take_namespace(&uri) else {
                return Ok(AuthUrlView::default());
            };
            (uri, namespace) = taken;
        }
        let too_long = uri.len() > GIVEN_BYTES_MAX || namespace.len() > GIVEN_BYTES_MAX;
        if too_long || !redirect::is_allowed(&uri, &role.allowed_redirect_uris) {
            return Ok(AuthUrlView::default());
        }
        if config.posts_forms() {
            // A user interface begins at its own address, but only this server takes forms.
            uri = with_form_path(&uri);
        }
        let provider = self.provider(config, cx.now()).await?;
        let verifier = if config.is_implicit() { String::new() } else { random(cx.rng()) };
        let ask = Ask { redirect_uri: uri, verifier: SecretString::new(verifier), ..ask };
        let (nonce, poll) = (ask.nonce.clone(), ask.poll_seconds);
        let (uri, challenge) = (ask.redirect_uri.clone(), challenge(ask.verifier.expose_secret()));
        let state = self.flows.begin(ask, cx.rng());
        let shown = match namespace.as_str() {
            "" => state.clone(),
            namespace => format!("{state},ns={namespace}"),
        };
        let auth_url = address(config, role, &provider, &uri, &nonce, &challenge, &shown);
        Ok(AuthUrlView {
            auth_url,
            state: role.is_direct().then_some(state),
            poll_interval: role.is_direct().then(|| poll.to_string()),
            user_code: None,
        })
    }

    async fn by_device(
        &self,
        cx: &ReadCx<'_>,
        config: &Config,
        role: &Role,
        ask: Ask,
    ) -> Result<AuthUrlView> {
        let provider = self.provider(config, cx.now()).await?;
        let device = self.begin_device(config, &provider, &scope(role)).await?;
        let of_provider = role.poll_interval == 0 && device.interval > 0;
        let poll_seconds = if of_provider { device.interval } else { ask.poll_seconds };
        let state = self.flows.begin(Ask { device_code: device.code, ..ask }, cx.rng());
        Ok(AuthUrlView {
            auth_url: device.url,
            state: Some(state),
            poll_interval: Some(poll_seconds.to_string()),
            user_code: device.user_code,
        })
    }
}

/// What the provider is told of the secret of PKCE (RFC 7636 §4.2).
fn challenge(verifier: &str) -> String {
    use base64::Engine as _;
    if verifier.is_empty() {
        return String::new();
    }
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// The address for the browser (OpenID Connect Core §3.1.2.1), its parameters in the order of their
/// names as the peers have them.
fn address(
    config: &Config,
    role: &Role,
    provider: &Provider,
    redirect_uri: &str,
    nonce: &str,
    challenge: &str,
    state: &str,
) -> String {
    let (scope, max_age) = (scope(role), role.max_age.to_string());
    let response_type = if config.is_implicit() { "id_token" } else { "code" };
    let mut pairs: Vec<(&str, &str)> = vec![("client_id", &config.oidc_client_id)];
    if !challenge.is_empty() {
        pairs.extend([("code_challenge", challenge), ("code_challenge_method", "S256")]);
    }
    if role.max_age > 0 {
        pairs.push(("max_age", &max_age));
    }
    pairs.extend([("nonce", nonce), ("redirect_uri", redirect_uri)]);
    if config.posts_forms() {
        pairs.push(("response_mode", "form_post"));
    }
    pairs.extend([("response_type", response_type), ("scope", &scope), ("state", state)]);
    let joint = if provider.authorization.contains('?') { '&' } else { '?' };
    format!("{}{joint}{}", provider.authorization, form::encode(&pairs).expose_secret())
}

/// `uri` with the API's path in place of the user interface's; its host stays what was allowed.
fn with_form_path(uri: &str) -> String {
    let host = uri.find("://").map_or(0, |at| at + "://".len());
    let path = uri[host..].find('/').map_or(uri.len(), |at| host + at);
    let (host, path) = uri.split_at(path);
    format!("{host}{}", path.replacen("/ui/vault/", "/v1/", 1))
}

#[cfg(test)]
mod form_tests {
    #[test]
    fn the_host_stays() {
        for (uri, with) in [
            (
                "https://h:8200/ui/vault/auth/o/oidc/callback",
                "https://h:8200/v1/auth/o/oidc/callback",
            ),
            (
                "https://webui/vault/auth/o/oidc/callback",
                "https://webui/vault/auth/o/oidc/callback",
            ),
            ("https://ui/vault/ui/vault/auth", "https://ui/vault/v1/auth"),
            ("https://h", "https://h"),
            ("http://localhost:8250/oidc/callback", "http://localhost:8250/oidc/callback"),
        ] {
            assert_eq!(super::with_form_path(uri), with);
        }
    }
}
