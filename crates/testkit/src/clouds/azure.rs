//! Azure: a tenant's discovery and keys, access tokens, and Resource Manager, as far as logins ask
//! them.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_base::Clock;

use super::Signer;
use crate::servers::http::{Asked, Told};

/// The tenant.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The audience of tokens.
pub const RESOURCE: &str = "https://vault.example.com";
/// The server's application.
pub const CLIENT_ID: &str = "aaaaaaaa-0000-0000-0000-000000000001";
/// Its secret.
pub const CLIENT_SECRET: &str = "the application's secret";
/// The access token that the application gets.
const ACCESS: &str = "an access token of azure's";

/// The twin.
pub struct Azure {
    clock: Arc<dyn Clock>,
    /// Where it is reached, without a slash at the end.
    base: Mutex<String>,
    /// The tenant's key.
    pub signer: Signer,
    /// By path, in lower case.
    resources: Mutex<Vec<(String, Value)>>,
}

impl Azure {
    /// An empty tenant that is reached at `base`.
    pub fn new(clock: Arc<dyn Clock>, base: &str) -> Arc<Self> {
        Arc::new(Self {
            clock,
            base: Mutex::new(base.to_owned()),
            signer: Signer::new("azure-1"),
            resources: Mutex::default(),
        })
    }

    /// Is reached at `base` from now on.
    pub fn is_at(&self, base: &str) {
        base.clone_into(&mut self.base.lock());
    }

    /// Has a resource at this path from now on; null takes it away.
    pub fn has(&self, path: &str, what: Value) {
        let path = path.to_lowercase();
        let mut resources = self.resources.lock();
        resources.retain(|(at, _)| *at != path);
        if !what.is_null() {
            resources.push((path, what));
        }
    }

    /// The issuer of the tenant's tokens.
    pub fn issuer() -> String {
        format!("https://sts.windows.net/{TENANT}/")
    }

    /// Claims of an identity's token, with some more.
    pub fn claims(&self, object_id: &str, more: &Value) -> Value {
        let now = self.clock.now().seconds();
        let mut claims = json!({
            "aud": RESOURCE, "iss": Self::issuer(), "iat": now, "nbf": now, "exp": now + 3_600,
            "oid": object_id, "sub": object_id, "tid": TENANT, "ver": "1.0",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    }

    /// Answers a request to the tenant's logins or to Resource Manager.
    pub fn answer(&self, asked: &Asked) -> Told {
        let path = asked.path().to_lowercase();
        let discovery = format!("/{TENANT}/.well-known/openid-configuration");
        if path == discovery {
            let keys = format!("{}/keys", self.base.lock());
            let found = json!({ "issuer": Self::issuer(), "jwks_uri": keys });
            return Told::json(200, &found);
        }
        if path == "/keys" {
            return Told::json(200, &self.signer.set());
        }
        if path == format!("/{TENANT}/oauth2/v2.0/token") {
            let good = asked.parameter("client_id") == CLIENT_ID
                && asked.parameter("client_secret") == CLIENT_SECRET
                && asked.parameter("scope").ends_with("/.default");
            let given = json!({ "access_token": ACCESS, "expires_in": 3_599 });
            let refused = json!({ "error": "invalid_client" });
            return if good { Told::json(200, &given) } else { Told::json(401, &refused) };
        }
        if asked.header("authorization") != format!("Bearer {ACCESS}") {
            return Told::json(401, &json!({ "error": { "code": "InvalidAuthenticationToken" } }));
        }
        if !asked.target.contains("?api-version=20") {
            return Told::json(400, &json!({ "error": { "code": "MissingApiVersionParameter" } }));
        }
        let resources = self.resources.lock();
        match resources.iter().find(|(at, _)| *at == path) {
            Some((_, what)) => Told::json(200, what),
            None => Told::json(404, &json!({ "error": { "code": "ResourceNotFound" } })),
        }
    }
}
