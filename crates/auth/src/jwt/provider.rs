//! Talking to an OpenID provider: its configuration (OpenID Connect Discovery 1.0 §4), the exchange
//! of a code for tokens (Core §3.1.3), ID tokens (Core §3.1.3.7) and what it says of a person
//! (Core §5.3).
//!
//! Invariants:
//! * an ID token counts where one of the provider's keys signed it by a chosen algorithm, for this
//!   client, by this issuer, now, and with the nonce that was sent;
//! * what the provider says of a person counts where it is about the ID token's subject;
//! * a provider that is asked over TLS is not asked for anything without it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, SecretString, Timestamp};
use strongroom_connectors::web::{Answer, Call, Failure};
use strongroom_crypto::jws::{Algorithm, Compact};
use strongroom_crypto::keys::{Curve, Hash};

use super::flows::Proven;
use super::stored::Config;
use super::{Jwt, form};
use crate::jwts::claims::{audiences, text, time};
use crate::jwts::{self, Leeways};

/// Seconds that clocks may differ (as cap, the library of the peers, has it).
const SKEW_SECONDS: i64 = 60;
/// The algorithms of OIDC logins where none are chosen.
const USUAL: &[Algorithm] = &[Algorithm::Rs(Hash::Sha256)];
/// The content type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// A provider's configuration.
pub struct Provider {
    /// Its name: what `iss` of its tokens is.
    pub issuer: String,
    /// Where its keys are.
    pub keys: String,
    /// Where browsers are sent; "" where it has no such place.
    pub authorization: String,
    token: String,
    userinfo: String,
    device: String,
    /// Does it take the client's secret by HTTP's own authentication?
    basic: bool,
}

/// A device flow, as the provider began it (RFC 8628 §3.2).
pub struct Device {
    /// Its name.
    pub code: SecretString,
    /// Where the person goes.
    pub url: String,
    /// What the person types there, where the address does not hold it.
    pub user_code: Option<String>,
    /// Seconds between two polls; 0 where the provider says nothing.
    pub interval: i64,
}

/// What came of a poll.
pub enum Polled {
    /// Not yet: `authorization_pending` or `slow_down`.
    Later(&'static str),
    /// Tokens.
    Proven(Proven),
}

/// What an ID token must have beside a signature.
#[derive(Clone, Copy, Default)]
pub struct Expected<'a> {
    /// The nonce; `None` in flows without one.
    pub nonce: Option<&'a str>,
    /// Audiences, one of which it must have; empty for any.
    pub audiences: &'a [String],
    /// Seconds since the person was asked last; 0 for any.
    pub max_age: i64,
    /// When the flow was begun.
    pub begun: Timestamp,
}

fn upstream(what: &str, failure: &Failure) -> Error {
    Error::new(ErrorKind::Upstream, format!("{what}: {failure}"))
}

fn refused(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// Where an issuer's configuration is.
pub fn well_known(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

impl Provider {
    /// Reads a provider's configuration, found at `issuer`.
    pub fn read(json: &Json, issuer: &str) -> Result<Self> {
        let text = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default();
        let bad = |text: &str| Error::new(ErrorKind::Upstream, text.to_owned());
        if text("issuer") != issuer {
            return Err(bad("oidc: issuer did not match the issuer returned by provider"));
        }
        let downgrades = |url: &str| issuer.starts_with("https://") && url.starts_with("http://");
        let urls = ["jwks_uri", "authorization_endpoint", "token_endpoint", "userinfo_endpoint"];
        let device = "device_authorization_endpoint";
        if urls.iter().chain([&device]).any(|name| downgrades(text(name))) {
            return Err(bad("the provider's endpoints are without TLS"));
        }
        if text("jwks_uri").is_empty() {
            return Err(bad("the provider's configuration has no jwks_uri"));
        }
        let methods = json.get("token_endpoint_auth_methods_supported").and_then(Json::as_array);
        // Core §9: basic is what holds where nothing is said.
        let basic = methods.is_none_or(|all| {
            let has = |name: &str| all.iter().any(|method| method.as_str() == Some(name));
            has("client_secret_basic") || !has("client_secret_post")
        });
        Ok(Self {
            issuer: issuer.to_owned(),
            keys: text("jwks_uri").to_owned(),
            authorization: text("authorization_endpoint").to_owned(),
            token: text("token_endpoint").to_owned(),
            userinfo: text("userinfo_endpoint").to_owned(),
            device: text(device).to_owned(),
            basic,
        })
    }
}

impl Jwt {
    /// The provider's configuration, remembered for a while.
    pub async fn provider(&self, config: &Config, now: Timestamp) -> Result<Provider> {
        let url = well_known(&config.oidc_discovery_url);
        let document = self.documents.document(&url, &config.trust(), now).await?;
        Provider::read(&document.json, &config.oidc_discovery_url)
    }

    /// A POST of a form with the client's id and secret.
    async fn ask(
        &self,
        config: &Config,
        provider: &Provider,
        url: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let (id, secret) =
            (config.oidc_client_id.as_str(), config.oidc_client_secret.expose_secret());
        let mut pairs = pairs.to_vec();
        if !provider.basic {
            pairs.extend([("client_id", id), ("client_secret", secret)]);
        }
        let body = form::encode(&pairs).expose_secret().clone().into_bytes();
        let mut call = Call::post(url, FORM, body).trusting(&config.trust());
        call = call.header(http::header::ACCEPT, "application/json")?;
        if provider.basic {
            // RFC 6749 §2.3.1: both are encoded as in a form first.
            let mut both = String::new();
            form::encode_into(&mut both, id);
            both.push(':');
            form::encode_into(&mut both, secret);
            let both = SecretString::new(both);
            let value =
                SecretString::new(format!("Basic {}", STANDARD.encode(both.expose_secret())));
            call = call.header(http::header::AUTHORIZATION, value.expose_secret())?;
        }
        self.question(call).await
    }

    /// Exchanges a code for tokens. The ID token is verified.
    pub async fn exchange(
        &self,
        config: &Config,
        provider: &Provider,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        expected: Expected<'_>,
        now: Timestamp,
    ) -> Result<Proven> {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let failed = |f: &Failure| upstream("Error exchanging oidc code", f);
        let answer = self.ask(config, provider, &provider.token, &pairs).await;
        let answer = answer.map_err(|f| failed(&f))?;
        if !answer.is_success() {
            let why = answer.json().ok().and_then(|json| oauth_error(&json)).unwrap_or("refused");
            return Err(refused(format!("Error exchanging oidc code: {why:?}.")));
        }
        let json = answer.json().map_err(|f| failed(&f))?;
        let proven = self.prove(config, provider, &json, expected, now).await?;
        let hash = text(&proven.claims, "c_hash").map(str::to_owned);
        if hash.is_some_and(|hash| !is_half_hash(&hash, code, &proven)) {
            return Err(refused("Token verification failed. The ID token is of another code."));
        }
        Ok(proven)
    }

    /// Begins a flow on another device.
    pub async fn begin_device(
        &self,
        config: &Config,
        provider: &Provider,
        scope: &str,
    ) -> Result<Device> {
        if provider.device.is_empty() {
            return Err(Error::new(ErrorKind::Upstream, "no device auth endpoint url discovered"));
        }
        let failed = |f: &Failure| upstream("error authorizing device", f);
        // RFC 8628 §3.1 has the client's id in the body, whatever the authentication.
        let mut pairs = vec![("scope", scope)];
        if provider.basic {
            pairs.push(("client_id", &config.oidc_client_id));
        }
        let answer = self.ask(config, provider, &provider.device, &pairs).await;
        let answer = answer.map_err(|f| failed(&f))?;
        if !answer.is_success() {
            let why = answer.json().ok().and_then(|json| oauth_error(&json)).unwrap_or("refused");
            let text = format!("error authorizing device: {why}");
            return Err(Error::new(ErrorKind::Upstream, text));
        }
        let json = answer.json().map_err(|f| failed(&f))?;
        let text = |name: &str| {
            let text = json.get(name).and_then(Json::as_str).unwrap_or_default();
            (!text.is_empty()).then(|| text.to_owned())
        };
        // Older providers say `url`.
        let complete =
            text("verification_uri_complete").or_else(|| text("verification_url_complete"));
        let plain = text("verification_uri").or_else(|| text("verification_url"));
        let user_code = text("user_code").filter(|_| complete.is_none());
        let bad = || Error::new(ErrorKind::Upstream, "the provider began no flow");
        Ok(Device {
            code: SecretString::new(text("device_code").ok_or_else(bad)?),
            url: complete.or(plain).ok_or_else(bad)?,
            user_code,
            interval: json.get("interval").and_then(Json::as_i64).unwrap_or(0).clamp(0, 600),
        })
    }

    /// Asks for the tokens of a flow on another device.
    pub async fn poll_device(
        &self,
        config: &Config,
        provider: &Provider,
        device_code: &str,
        expected: Expected<'_>,
        now: Timestamp,
    ) -> Result<Polled> {
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code),
            ("client_id", if provider.basic { config.oidc_client_id.as_str() } else { "" }),
        ];
        let pairs = if provider.basic { &pairs[..] } else { &pairs[..2] };
        let failed = |f: &Failure| upstream("error polling for device authorization", f);
        let answer = self.ask(config, provider, &provider.token, pairs).await;
        let answer = answer.map_err(|f| failed(&f))?;
        let json = answer.json().map_err(|f| failed(&f))?;
        if !answer.is_success() || json.get("error").is_some() {
            return match oauth_error(&json) {
                Some(later @ ("authorization_pending" | "slow_down")) => Ok(Polled::Later(later)),
                Some(error) => Err(refused(format!("authorization failed: {error}"))),
                None => Err(refused("authorization failed")),
            };
        }
        self.prove(config, provider, &json, expected, now).await.map(Polled::Proven)
    }

    /// The tokens of an answer, the ID token verified.
    async fn prove(
        &self,
        config: &Config,
        provider: &Provider,
        json: &Json,
        expected: Expected<'_>,
        now: Timestamp,
    ) -> Result<Proven> {
        let token = |name: &str| {
            SecretString::new(json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned())
        };
        let mut proven = Proven {
            claims: JsonMap::new(),
            id_token: token("id_token"),
            access_token: token("access_token"),
            refresh_token: token("refresh_token"),
        };
        if proven.id_token.expose_secret().is_empty() {
            return Err(refused("Token verification failed. No id_token found in response."));
        }
        let id_token = proven.id_token.expose_secret();
        proven.claims = self.id_token(config, provider, id_token, expected, now).await?;
        let hash = text(&proven.claims, "at_hash").map(str::to_owned);
        let access = proven.access_token.expose_secret();
        if !access.is_empty() && hash.is_some_and(|hash| !is_half_hash(&hash, access, &proven)) {
            return Err(refused("Token verification failed. The access token is another's."));
        }
        if !access.is_empty() && !provider.userinfo.is_empty() {
            self.add_user_info(config, provider, &mut proven).await;
        }
        Ok(proven)
    }

    /// The claims of an ID token.
    pub async fn id_token(
        &self,
        config: &Config,
        provider: &Provider,
        token: &str,
        expected: Expected<'_>,
        now: Timestamp,
    ) -> Result<JsonMap> {
        let failed = |why: &str| refused(format!("Token verification failed. {why}"));
        let parsed = Compact::parse(token).map_err(|_| failed("The ID token is malformed."))?;
        let chosen = config.algorithms();
        let algorithms = if chosen.is_empty() { USUAL } else { &chosen };
        let at = (provider.keys.as_str(), &config.trust());
        let claims = self.documents.verified(&parsed, algorithms, at, now).await?;
        let mut claims =
            claims.ok_or_else(|| failed("The signature is none of the provider's."))?;
        super::claims::check_names(&claims)?;
        check_id_token(&claims, provider, config, expected, now).map_err(failed)?;
        claims.remove("nonce");
        Ok(claims)
    }

    /// Adds what the provider says of the person. A provider that says nothing is no failure.
    async fn add_user_info(&self, config: &Config, provider: &Provider, proven: &mut Proven) {
        let call = Call::get(&provider.userinfo).trusting(&config.trust());
        let Ok(call) = call.bearer(proven.access_token.expose_secret()) else { return };
        let Ok(answer) = self.question(call).await else { return };
        if !answer.is_success() {
            return;
        }
        let Ok(Json::Object(info)) = answer.json() else { return };
        let same = |name: &str| match info.get(name) {
            None | Some(Json::Null) => true,
            said => said == proven.claims.get(name),
        };
        let subject = text(&info, "sub");
        if subject.is_none() || subject != text(&proven.claims, "sub") || !same("iss") {
            return;
        }
        for (name, value) in info {
            proven.claims.insert(name, value);
        }
    }
}

/// What is wrong with an ID token whose signature is good (Core §3.1.3.7).
fn check_id_token(
    claims: &JsonMap,
    provider: &Provider,
    config: &Config,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<(), &'static str> {
    if text(claims, "iss") != Some(provider.issuer.as_str()) {
        return Err("The issuer is another.");
    }
    if !config.bound_issuer.is_empty() && config.bound_issuer != provider.issuer {
        return Err("The issuer is another.");
    }
    if text(claims, "sub").is_none_or(str::is_empty) {
        return Err("The ID token has no subject.");
    }
    let client = config.oidc_client_id.as_str();
    let (audiences, party) = (audiences(claims), claims.get("azp"));
    let party_is_client = party.and_then(Json::as_str) == Some(client);
    if party.is_some() && !party_is_client {
        return Err("The ID token is for another party.");
    }
    let for_client = match audiences.as_slice() {
        [] => false,
        [one] => *one == client || party_is_client,
        many => many.contains(&client) && party_is_client,
    };
    let bound = expected.audiences;
    let fits = bound.is_empty() || bound.iter().any(|a| audiences.contains(&a.as_str()));
    if !for_client || !fits {
        return Err("The ID token is for another audience.");
    }
    if time(claims, "exp")?.is_none() {
        return Err("The ID token has no end.");
    }
    let leeways = Leeways { clock_skew: SKEW_SECONDS, ..Leeways::default() };
    jwts::check_times(claims, now, leeways)?;
    if let Some(nonce) = expected.nonce {
        let given = text(claims, "nonce").unwrap_or_default();
        if !strongroom_crypto::constant_time_eq(given.as_bytes(), nonce.as_bytes()) {
            return Err("The nonce is another.");
        }
    }
    if expected.max_age > 0 {
        let asked = time(claims, "auth_time")?.ok_or("The ID token has no auth_time.")?;
        let oldest = expected.begun.seconds().saturating_sub(expected.max_age);
        if asked.saturating_add(SKEW_SECONDS) <= oldest {
            return Err("The person was asked too long ago.");
        }
    }
    Ok(())
}

/// Is `hash` the left half of `text`'s hash by the ID token's algorithm (Core §3.1.3.6)?
fn is_half_hash(hash: &str, text: &str, proven: &Proven) -> bool {
    let parsed = Compact::parse(proven.id_token.expose_secret());
    let digest = match parsed.and_then(|token| token.algorithm()) {
        Ok(Algorithm::Rs(hash) | Algorithm::Ps(hash)) => hash.digest(text.as_bytes()),
        Ok(Algorithm::Es(Curve::P256)) => Hash::Sha256.digest(text.as_bytes()),
        Ok(Algorithm::Es(Curve::P384)) => Hash::Sha384.digest(text.as_bytes()),
        Ok(Algorithm::Es(Curve::P521) | Algorithm::EdDsa) => Hash::Sha512.digest(text.as_bytes()),
        Err(_) => return false,
    };
    let half = digest.get(..digest.len() / 2).unwrap_or_default();
    strongroom_crypto::constant_time_eq(URL_SAFE_NO_PAD.encode(half).as_bytes(), hash.as_bytes())
}

/// What a provider says went wrong, of what may be told (RFC 6749 §5.2, RFC 8628 §3.5).
fn oauth_error(json: &Json) -> Option<&'static str> {
    const KNOWN: &[&str] = &[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "authorization_pending",
        "slow_down",
        "access_denied",
        "expired_token",
    ];
    let given = json.get("error")?.as_str()?;
    KNOWN.iter().copied().find(|known| *known == given)
}
