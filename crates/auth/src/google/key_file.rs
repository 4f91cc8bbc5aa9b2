//! The key file of a service account.

use serde_json::json;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Error, Json, Result, SecretString, Timestamp};
use strongroom_connectors::web::Web;
use strongroom_crypto::jws::{Algorithm, sign_compact};
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey};

use super::{LIVES_SECONDS, TOKEN_URI, exchange};
use crate::access_tokens::Fetched;
use crate::endpoints;

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

    /// Gets an access token for `scope` (several stand between spaces): as the account itself, or as
    /// the person `subject` where the account may act for the persons of a domain.
    pub async fn access_token(
        &self,
        web: &dyn Web,
        scope: &str,
        subject: Option<&str>,
        now: Timestamp,
    ) -> Result<Fetched> {
        let mut claims = json!({
            "iss": self.client_email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": now.seconds(),
            "exp": now.seconds() + LIVES_SECONDS,
        });
        if let Some(subject) = subject {
            claims["sub"] = subject.into();
        }
        let (algorithm, claims) = (Algorithm::Rs(Hash::Sha256), claims.to_string());
        let signed =
            sign_compact(algorithm, &self.private_key_id, claims.as_bytes(), &self.key()?)?;
        exchange(web, &self.token_uri, &signed).await
    }
}
