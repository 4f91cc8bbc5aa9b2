//! The method through the whole pipeline, with a provider that the test owns.

mod fuzz;
mod people;
mod programs;
mod providers;
mod settings;
mod tokens;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_crypto::digest::sha256;
use strongroom_crypto::jws::{Algorithm, Jwk, sign_compact};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey};
use strongroom_testkit::directory::SimDirectory;
use strongroom_testkit::files::SimFiles;
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

use crate::registry::Outside;

/// The provider's name.
const ISSUER: &str = "https://idp.example";
/// The address of who logs in by a browser.
const CALLBACK: &str = "http://localhost:8250/oidc/callback";
/// The API server of the cluster that the node runs in.
const CLUSTER: &str = "https://10.0.0.1:443";

/// A key of a provider.
struct Key {
    kid: &'static str,
    private: PrivateKey,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        Self { kid, private: PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap() }
    }

    fn sign(&self, claims: &Value) -> String {
        let claims = claims.to_string();
        let algorithm = Algorithm::Es(Curve::P256);
        sign_compact(algorithm, self.kid, claims.as_bytes(), &self.private).unwrap()
    }

    fn pem(&self) -> String {
        self.private.public().unwrap().to_pem()
    }

    fn jwk(&self) -> Value {
        let jwk = Jwk::of(self.private.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
        let mut json: Value = serde_json::from_str(jwk.canonical()).unwrap();
        json["kid"] = json!(self.kid);
        json
    }
}

/// What the provider was asked for, and what it is to answer.
#[derive(Default)]
struct Said {
    /// Forms that came to the token endpoint, with the `authorization` header.
    forms: Vec<Vec<(String, String)>>,
    /// The challenge of the code that is out.
    challenge: String,
    /// Claims of the next ID token beside those that it needs.
    claims: Value,
    /// What the device flow answers: an error, or "" for tokens.
    pending: String,
}

/// A node with the method at `auth/jwt/`, and a provider.
struct World {
    node: Arc<TestNode>,
    web: Arc<SimWeb>,
    files: Arc<SimFiles>,
    key: Arc<Key>,
    said: Arc<Mutex<Said>>,
}

fn now() -> i64 {
    1_767_225_600
}

impl World {
    async fn new() -> Self {
        Self::within(Some(CLUSTER.to_owned())).await
    }

    async fn outside_of_a_pod() -> Self {
        Self::within(None).await
    }

    async fn within(cluster: Option<String>) -> Self {
        let web = SimWeb::new();
        let (files, directory) = (SimFiles::new(), SimDirectory::new());
        let outside = Outside { web: web.clone(), files: files.clone(), directory, cluster };
        let specs = ["jwt", "oidc"].map(|kind| crate::jwt::spec(kind, &outside));
        let specs = strongroom_system::specs().into_iter().chain(specs);
        let node = Arc::new(TestNode::start(specs).await);
        node.mount("jwt", "auth/jwt/").await;
        let (key, said) = (Arc::new(Key::new("one")), Arc::default());
        let world = Self { node, web, files, key, said };
        world.provider();
        world
    }

    /// Publishes these keys.
    fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.web.answer(&format!("{ISSUER}/keys"), 200, json!({ "keys": keys }).to_string());
    }

    /// Serves the provider's configuration, keys and endpoints.
    fn provider(&self) {
        let at = |path: &str| format!("{ISSUER}/{path}");
        let configuration = json!({
            "issuer": ISSUER,
            "jwks_uri": at("keys"),
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"),
            "device_authorization_endpoint": at("device"),
        });
        let well_known = at(".well-known/openid-configuration");
        self.web.answer(&well_known, 200, configuration.to_string());
        self.publish(&[&self.key]);
        let (said, key) = (self.said.clone(), self.key.clone());
        self.web.serve(&at("token"), move |call| {
            let body = std::str::from_utf8(call.body.expose_secret()).unwrap();
            let mut form: Vec<(String, String)> = super::form::decode(body)
                .unwrap()
                .into_iter()
                .map(|(name, value)| (name, value.expose_secret().clone()))
                .collect();
            let basic = call.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned());
            form.push(("authorization".to_owned(), basic.unwrap_or_default()));
            let value = |name: &str| {
                form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str()).to_owned()
            };
            let mut said = said.lock();
            let refuse = |error: &str| SimWeb::reply(400, json!({ "error": error }).to_string());
            let good = match value("grant_type").as_str() {
                "authorization_code" => {
                    let challenge = URL_SAFE_NO_PAD.encode(sha256(value("code_verifier").as_bytes()));
                    value("code") == "good-code" && challenge == said.challenge
                }
                _ => {
                    if !said.pending.is_empty() {
                        return refuse(&said.pending);
                    }
                    value("device_code") == "the-device"
                }
            };
            said.forms.push(form);
            if !good {
                return refuse("invalid_grant");
            }
            // A code is good once.
            said.challenge.clear();
            let mut claims = json!({
                "iss": ISSUER, "aud": "client", "sub": "kim", "iat": now(), "exp": now() + 60,
            });
            if let (Value::Object(claims), Value::Object(more)) = (&mut claims, &said.claims) {
                claims.extend(more.clone());
            }
            let answer = json!({
                "id_token": key.sign(&claims), "access_token": "canary-access", "token_type": "Bearer",
            });
            SimWeb::reply(200, answer.to_string())
        });
        self.web.serve(&at("userinfo"), |call| {
            match call.headers.get("authorization").map(|v| v.to_str().unwrap()) {
                Some("Bearer canary-access") => SimWeb::reply(
                    200,
                    json!({"sub": "kim", "email": "kim@idp.example"}).to_string(),
                ),
                _ => SimWeb::reply(401, ""),
            }
        });
        let device = json!({
            "device_code": "the-device", "user_code": "AB-CD", "interval": 7,
            "verification_uri": at("activate"),
        });
        self.web.answer(&at("device"), 200, device.to_string());
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/jwt/{path}"), body).await
    }

    async fn ok(&self, path: &str, body: Value) {
        let got = self.write(path, body).await;
        assert!(got.status < 300, "{path}: {got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/jwt/{path}"), Value::Null).await
    }

    /// A call of a stranger.
    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.call(method, &format!("auth/jwt/{path}"), "", body).await
    }

    async fn log_in(&self, role: &str, jwt: &str) -> Got {
        self.call("WRITE", "login", json!({ "role": role, "jwt": jwt })).await
    }
}

/// Claims of a good token, with these besides or instead; null takes one away.
fn claims(other: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "build-7", "aud": "vault", "iat": now() - 10, "exp": now() + 300,
    });
    if let (Value::Object(claims), Value::Object(other)) = (&mut claims, other) {
        for (name, value) in other {
            if value.is_null() {
                claims.remove(&name);
            } else {
                claims.insert(name, value);
            }
        }
    }
    claims
}
