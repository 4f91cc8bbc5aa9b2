//! Google Workspace's Directory API, and who gives access to it: OAuth's token endpoint, IAM
//! Credentials, and a machine's metadata server.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_base::{Json, JsonMap};
use strongroom_crypto::jws::Compact;

use super::Signer;
use super::google::Account;
use crate::servers::http::{Asked, Told};

/// The machine's own token.
const OWN: &str = "the machine's own token";
/// The scopes that the Directory API wants.
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
];
/// Groups on a page.
const PAGE: usize = 2;

/// The twin.
pub struct Workspace {
    /// The account that may act for the domain's persons.
    pub delegate: Account,
    /// The administrator as whom it must act.
    pub admin: String,
    /// Groups by who is in them.
    groups: Mutex<BTreeMap<String, Vec<String>>>,
    /// Custom fields by person.
    fields: Mutex<BTreeMap<String, Value>>,
    /// What the Directory API was asked.
    asked: Mutex<Vec<String>>,
}

impl Workspace {
    /// A domain without persons.
    pub fn new(admin: &str) -> Self {
        Self {
            delegate: Account::new("delegate", "home", "300"),
            admin: admin.to_owned(),
            groups: Mutex::default(),
            fields: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// The key file of the account that may act for the domain's persons.
    pub fn key_file(&self) -> String {
        let Signer { kid, key } = &self.delegate.signer;
        json!({
            "type": "service_account", "project_id": "home", "private_key_id": kid,
            "private_key": key.to_pkcs8_pem().expose_secret(), "client_email": self.delegate.email,
            "client_id": "300",
        })
        .to_string()
    }

    /// From now on a person or a group is in these groups.
    pub fn is_in(&self, member: &str, groups: &[&str]) {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self.groups.lock().insert(member.to_owned(), groups);
    }

    /// From now on a person has these custom fields.
    pub fn has_fields(&self, person: &str, fields: Value) {
        self.fields.lock().insert(person.to_owned(), fields);
    }

    /// What the Directory API was asked since this was called last.
    pub fn was_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }

    /// Answers a request to any of these.
    pub fn answer(&self, asked: &Asked) -> Told {
        let (method, path) = (asked.method.as_str(), asked.path());
        if path.starts_with("/computeMetadata/v1/") {
            return match asked.header("metadata-flavor") {
                "Google" => Told::json(200, &json!({"access_token": OWN, "expires_in": 3_000})),
                _ => Told::json(403, &json!({})),
            };
        }
        if method == "POST" && path == "/token" {
            return self.give_access(&asked.parameter("assertion"));
        }
        if path.starts_with("/v1/projects/-/serviceAccounts/") {
            return self.act(asked);
        }
        self.asked.lock().push(asked.target.clone());
        if asked.header("authorization") != format!("Bearer {}", self.access()) {
            return Told::json(401, &json!({}));
        }
        let query: BTreeMap<String, String> = asked.query().into_iter().collect();
        let of = |name: &str| query.get(name).cloned().unwrap_or_default();
        match path.strip_prefix("/admin/directory/v1/") {
            Some("groups") => self.list(&of("userKey"), &of("domain"), &of("pageToken")),
            Some(user) => self.person(user.strip_prefix("users/").unwrap_or_default(), &of),
            None => Told::json(404, &json!({})),
        }
    }

    fn access(&self) -> String {
        format!("access as {}", self.admin)
    }

    /// RFC 7523, for a person of the domain.
    fn give_access(&self, assertion: &str) -> Told {
        let public = self.delegate.signer.key.public().expect("a public half");
        let claims = Compact::parse(assertion).ok().and_then(|token| token.verify(&public).ok());
        match claims {
            Some(claims) if self.is_delegation(&claims) => {
                let given = json!({ "access_token": self.access(), "expires_in": 3_599 });
                Told::json(200, &given)
            }
            _ => Told::json(400, &json!({ "error": "invalid_grant" })),
        }
    }

    fn is_delegation(&self, claims: &JsonMap) -> bool {
        let text = |name: &str| claims.get(name).and_then(Json::as_str).unwrap_or_default();
        text("iss") == self.delegate.email
            && text("sub") == self.admin
            && text("aud") == "https://oauth2.googleapis.com/token"
            && text("scope").split(' ').eq(SCOPES)
    }

    /// IAM Credentials: `signJwt` and `generateAccessToken`.
    fn act(&self, asked: &Asked) -> Told {
        let path = asked.path().replace("%40", "@");
        let about = path.strip_prefix("/v1/projects/-/serviceAccounts/").unwrap_or_default();
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        if asked.header("authorization") != format!("Bearer {OWN}") {
            return Told::json(401, &json!({}));
        }
        match about.strip_prefix(self.delegate.email.as_str()) {
            Some(":signJwt") => {
                let payload = body["payload"].as_str().unwrap_or_default();
                let claims: Value = serde_json::from_str(payload).expect("claims");
                let signed = self.delegate.signer.sign(&claims);
                Told::json(200, &json!({ "keyId": "k", "signedJwt": signed }))
            }
            Some(":generateAccessToken") if body["scope"] == json!(SCOPES) => {
                let ends = "2026-01-01T01:00:00Z";
                Told::json(200, &json!({ "accessToken": self.access(), "expireTime": ends }))
            }
            _ => Told::json(403, &json!({})),
        }
    }

    fn list(&self, member: &str, domain: &str, page: &str) -> Told {
        let groups = self.groups.lock();
        let Some(groups) = groups.get(member) else { return Told::json(404, &json!({})) };
        let fitting = groups.iter().filter(|group| group.ends_with(domain));
        let listed: Vec<&String> = fitting.collect();
        let from: usize = page.parse().unwrap_or(0);
        let shown: Vec<Value> =
            listed.iter().skip(from).take(PAGE).map(|email| json!({ "email": email })).collect();
        let mut answer = json!({ "groups": shown });
        if from + PAGE < listed.len() {
            answer["nextPageToken"] = json!((from + PAGE).to_string());
        }
        Told::json(200, &answer)
    }

    fn person(&self, user: &str, of: &dyn Fn(&str) -> String) -> Told {
        let user = user.replace("%40", "@");
        match self.fields.lock().get(&user) {
            Some(fields) if of("projection") == "custom" => {
                Told::json(200, &json!({ "customSchemas": fields }))
            }
            _ => Told::json(404, &json!({})),
        }
    }
}
