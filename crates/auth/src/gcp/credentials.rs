//! The key file of a service account, and the access tokens it gives (RFC 7523; Google, "Using OAuth
//! 2.0 for server to server applications").

use serde_json::json;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Error, ErrorKind, Json, Result, SecretString, Timestamp};
use strongroom_cloudwire::form;
use strongroom_connectors::web::{Call, Web};
use strongroom_crypto::jws::{Algorithm, sign_compact};
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey};

use crate::access_tokens::Fetched;
use crate::endpoints;

/// Where access tokens are had unless the file says otherwise.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// What our tokens may do; what they may really do is decided by the account's roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Seconds that a request for a token is good for, and a token at most.
const LIVES_SECONDS: i64 = 3_600;

/// A key file.
pub struct Credentials {
    /// The account.
    pub client_email: String,
    /// Its unique id.
    pub client_id: String,
    /// The key's id.
    pub private_key_id: String,
    /// The account's project.
    pub project_id: String,
    /// The key in PEM.
    private_key: SecretString,
    /// Where access tokens are had.
    token_uri: String,
}

impl Credentials {
    /// Reads a key file.
    pub fn parse(file: &str) -> Result<Self> {
        let bad = |why: &str| Error::bad_request(format!("failed to read credentials: {why}"));
        let json = parse_bounded(file.as_bytes()).map_err(|_| bad("not a JSON object"))?;
        let text =
            |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        if json.get("type").is_some() && text("type") != "service_account" {
            return Err(bad("not the key of a service account"));
        }
        let given = text("token_uri");
        let token_uri =
            endpoints::check("token_uri", if given.is_empty() { TOKEN_URI } else { &given })?;
        let credentials = Self {
            client_email: text("client_email"),
            client_id: text("client_id"),
            private_key_id: text("private_key_id"),
            project_id: text("project_id"),
            private_key: SecretString::new(text("private_key")),
            token_uri,
        };
        if credentials.client_email.is_empty() || credentials.private_key_id.is_empty() {
            return Err(bad("client_email or private_key_id is missing"));
        }
        match credentials.key().map(|key| key.key_type()) {
            Ok(KeyType::Rsa(_)) => Ok(credentials),
            _ => Err(bad("private_key is no RSA key in PEM")),
        }
    }

    fn key(&self) -> Result<PrivateKey> {
        PrivateKey::from_pem(self.private_key.expose_secret())
    }

    /// What tells these credentials from others.
    pub fn identity(&self) -> [&str; 3] {
        [&self.token_uri, &self.client_email, self.private_key.expose_secret()]
    }

    /// Gets an access token.
    pub async fn access_token(&self, web: &dyn Web, now: Timestamp) -> Result<Fetched> {
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now.seconds(),
            "exp": now.seconds() + LIVES_SECONDS,
        });
        let algorithm = Algorithm::Rs(Hash::Sha256);
        let claims = claims.to_string();
        let signed =
            sign_compact(algorithm, &self.private_key_id, claims.as_bytes(), &self.key()?)?;
        let body = form::encode(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &signed),
        ]);
        let content_type = "application/x-www-form-urlencoded";
        let failed = |why: String| {
            Error::new(ErrorKind::Upstream, format!("Google gives no access token: {why}"))
        };
        let answer = web.call(Call::post(&self.token_uri, content_type, body.into_bytes())).await;
        let answer = answer.map_err(|failure| failed(failure.to_string()))?;
        if !answer.is_success() {
            return Err(failed(format!("it answered status {}", answer.status)));
        }
        let json = answer.json().map_err(|failure| failed(failure.to_string()))?;
        let token = json.get("access_token").and_then(Json::as_str).unwrap_or_default();
        if token.is_empty() {
            return Err(failed("its answer has none".to_owned()));
        }
        let seconds = json.get("expires_in").and_then(Json::as_i64).unwrap_or(0);
        let seconds = seconds.clamp(0, LIVES_SECONDS);
        Ok(Fetched { token: SecretString::new(token.to_owned()), seconds })
    }
}
