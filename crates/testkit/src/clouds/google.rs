//! Google Cloud: keys, access tokens, IAM, Compute and Resource Manager, as far as logins ask them.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_base::{Clock, Json};
use strongroom_crypto::jws::Compact;

use super::Signer;
use crate::servers::http::{Asked, Told};

/// The access token that whoever has the right credentials gets.
const ACCESS: &str = "an access token of google's";

/// A service account.
pub struct Account {
    /// Its email.
    pub email: String,
    /// Its unique id.
    pub unique_id: String,
    /// Its project.
    pub project: String,
    /// Its key.
    pub signer: Signer,
}

impl Account {
    /// An account of a project, whose unique id is a number.
    pub fn new(name: &str, project: &str, unique_id: &str) -> Self {
        Self {
            email: format!("{name}@{project}.iam.gserviceaccount.com"),
            unique_id: unique_id.to_owned(),
            project: project.to_owned(),
            signer: Signer::new(&format!("key of {name}")),
        }
    }
}

/// The twin.
pub struct Google {
    clock: Arc<dyn Clock>,
    /// Google's own key.
    pub own: Signer,
    /// The account whose key file the server has.
    pub server: Account,
    accounts: Mutex<Vec<(Arc<Account>, bool)>>,
    /// By path below `/compute/v1/`.
    compute: Mutex<Vec<(String, Value)>>,
}

impl Google {
    /// Without accounts but the server's.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            own: Signer::new("google-1"),
            server: Account::new("server", "home", "100"),
            accounts: Mutex::default(),
            compute: Mutex::default(),
        })
    }

    /// The key file of the server's account; access tokens are had at `token_uri`.
    pub fn credentials(&self, token_uri: &str) -> String {
        let pem = self.server.signer.key.to_pkcs8_pem();
        json!({
            "type": "service_account", "project_id": self.server.project,
            "private_key_id": self.server.signer.kid, "private_key": pem.expose_secret(),
            "client_email": self.server.email, "client_id": self.server.unique_id,
            "token_uri": token_uri,
        })
        .to_string()
    }

    /// Has an account from now on.
    pub fn has(&self, account: Account) -> Arc<Account> {
        let account = Arc::new(account);
        self.accounts.lock().push((account.clone(), false));
        account
    }

    /// Disables an account, or forgets it.
    pub fn disable(&self, email: &str, forget: bool) {
        let mut accounts = self.accounts.lock();
        accounts.retain(|(account, _)| !forget || account.email != email);
        accounts.iter_mut().filter(|(account, _)| account.email == email).for_each(|a| a.1 = true);
    }

    /// Has an instance, or whatever else is at this path below `/compute/v1/`, from now on; null takes
    /// it away.
    pub fn compute(&self, path: &str, what: Value) {
        let mut compute = self.compute.lock();
        compute.retain(|(at, _)| at != path);
        if !what.is_null() {
            compute.push((path.to_owned(), what));
        }
    }

    /// A token that a service account signed for the role, good for some seconds.
    pub fn account_token(&self, account: &Account, role: &str, seconds: i64) -> String {
        let now = self.clock.now().seconds();
        account.signer.sign(&json!({
            "sub": account.email, "aud": format!("http://vault/{role}"), "exp": now + seconds,
        }))
    }

    /// The claims of an instance's token for the role.
    pub fn instance_claims(&self, account: &Account, role: &str, instance: &Value) -> Value {
        let now = self.clock.now().seconds();
        json!({
            "iss": "https://accounts.google.com", "sub": account.unique_id, "azp": account.unique_id,
            "email": account.email, "email_verified": true,
            "aud": format!("http://vault/{role}"), "iat": now, "exp": now + 3_600,
            "google": { "compute_engine": instance },
        })
    }

    /// Answers a request to any of Google's APIs.
    pub fn answer(&self, asked: &Asked) -> Told {
        let (method, path) = (asked.method.as_str(), asked.path());
        if method == "GET" && path == "/oauth2/v3/certs" {
            return Told::json(200, &self.own.set());
        }
        if let Some(id) = path.strip_prefix("/service_accounts/v1/jwk/") {
            return match self.account(id) {
                Some((account, _)) => Told::json(200, &account.signer.set()),
                None => not_found(),
            };
        }
        if method == "POST" && path == "/token" {
            return self.give_access(asked);
        }
        if asked.header("authorization") != format!("Bearer {ACCESS}") {
            return Told::json(401, &json!({ "error": { "code": 401 } }));
        }
        if let Some(id) = path.strip_prefix("/v1/projects/-/serviceAccounts/") {
            return match self.account(id) {
                Some((account, disabled)) => Told::json(
                    200,
                    &json!({
                        "name": format!("projects/{}/serviceAccounts/{}", account.project, account.email),
                        "projectId": account.project, "uniqueId": account.unique_id,
                        "email": account.email, "disabled": disabled,
                    }),
                ),
                None => not_found(),
            };
        }
        if let Some(project) =
            path.strip_prefix("/v1/projects/").and_then(|p| p.strip_suffix(":getAncestry"))
        {
            let id = |kind: &str, id: &str| json!({ "resourceId": { "type": kind, "id": id } });
            let all = [id("project", project), id("folder", "7"), id("organization", "8")];
            return Told::json(200, &json!({ "ancestor": all }));
        }
        let compute = self.compute.lock();
        let below = path.strip_prefix("/compute/v1/").unwrap_or_default();
        match compute.iter().find(|(at, _)| at == below) {
            Some((_, what)) => Told::json(200, what),
            None => not_found(),
        }
    }

    fn account(&self, id: &str) -> Option<(Arc<Account>, bool)> {
        let id = id.replace("%40", "@");
        let accounts = self.accounts.lock();
        accounts.iter().find(|(a, _)| a.email == id || a.unique_id == id).cloned()
    }

    fn give_access(&self, asked: &Asked) -> Told {
        let assertion = asked.parameter("assertion");
        let claims = Compact::parse(&assertion).ok().and_then(|token| {
            token.verify(&self.server.signer.key.public().expect("a public half")).ok()
        });
        let text = |name: &str| {
            claims.as_ref().and_then(|c| c.get(name)).and_then(Json::as_str).unwrap_or_default()
        };
        let good = text("iss") == self.server.email
            && text("aud").ends_with("/token")
            && asked.parameter("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer";
        if !good {
            return Told::json(400, &json!({ "error": "invalid_grant" }));
        }
        let given = json!({ "access_token": ACCESS, "expires_in": 3_599, "token_type": "Bearer" });
        Told::json(200, &given)
    }
}

fn not_found() -> Told {
    Told::json(404, &json!({ "error": { "code": 404 } }))
}
