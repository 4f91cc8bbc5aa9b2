//! Kubernetes through the whole pipeline, beside an API server that reviews as the real one does.

mod config;
mod logins;
mod refusals;

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_connectors::web::{Answer, Call};
use strongroom_crypto::jws::{Algorithm, Compact, sign_compact};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey, PublicKey};
use strongroom_testkit::files::SimFiles;
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

use crate::pod::{CA as POD_CA, TOKEN as POD_TOKEN};
use crate::registry::Outside;

/// A certificate.
const CA: &str = "-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUKsoUl99qntrFPt0Pl2dpWWGX0IMwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjYxMTAzNDhaGA8yMTI2MTEwMjExMDM0
OFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJUA
qLww7m9bNR2PCIlksVIEOm/WI9AelnZvSS8eOiCM1CQW8y5TcV+w3/ZXholUdMNw
PJ2kqjB7dliUlK9mzLqjUzBRMB0GA1UdDgQWBBTjxMi17RWAv+4zU0b/JakOFTmW
ATAfBgNVHSMEGDAWgBTjxMi17RWAv+4zU0b/JakOFTmWATAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDWpV4LNjUaVwb5ZnKwEIkHWmAte6oxpXcr
wWBei6bEpAIhAMELzIvlu8CWuG/HK9GdO5atKibEei5J8bdoGDh4RZ2z
-----END CERTIFICATE-----
";
const HOST: &str = "https://cluster.example:6443";
const REVIEWS: &str = "https://cluster.example:6443/apis/authentication.k8s.io/v1/tokenreviews";
const NAMESPACE: &str = "https://cluster.example:6443/api/v1/namespaces/production";
const ACCOUNT: &str =
    "https://cluster.example:6443/api/v1/namespaces/production/serviceaccounts/myapp-sa";

/// A node with a mount, and a cluster.
struct Bed {
    node: TestNode,
    accessor: String,
    web: Arc<SimWeb>,
    files: Arc<SimFiles>,
    cluster: Arc<Cluster>,
}

/// What the API server knows.
struct Cluster {
    key: PrivateKey,
    /// UIDs of accounts that are there.
    accounts: Mutex<BTreeSet<String>>,
    /// As whom it was asked, and for which audiences.
    asked: Mutex<Vec<(String, Value)>>,
}

impl Cluster {
    fn public(&self) -> PublicKey {
        self.key.public().unwrap()
    }

    /// Answers as kube-apiserver does.
    fn review(&self, call: &Call) -> Answer {
        let body: Value = serde_json::from_slice(call.body.expose_secret()).unwrap();
        assert_eq!(body["kind"], "TokenReview");
        let bearer = bearer(call);
        self.asked.lock().push((bearer, body["spec"]["audiences"].clone()));
        let token = body["spec"]["token"].as_str().unwrap();
        let claims = Compact::parse(token).and_then(|token| token.verify(&self.public()));
        let status = match claims {
            Err(_) => json!({"error": "invalid bearer token", "user": {}}),
            Ok(claims) => {
                let account = &claims["kubernetes.io"];
                let uid = account["serviceaccount"]["uid"].as_str().unwrap();
                if self.accounts.lock().contains(uid) {
                    let name = &account["serviceaccount"]["name"].as_str().unwrap();
                    let namespace = account["namespace"].as_str().unwrap();
                    json!({
                        "authenticated": true,
                        "audiences": body["spec"]["audiences"],
                        "user": {
                            "username": format!("system:serviceaccount:{namespace}:{name}"),
                            "uid": uid,
                            "groups": ["system:serviceaccounts"],
                        },
                    })
                } else {
                    json!({"error": "the service account has been deleted", "user": {}})
                }
            }
        };
        SimWeb::reply(201, json!({"status": status}).to_string())
    }
}

/// As whom a call asks, of a server that the cluster's authority vouches for.
fn bearer(call: &Call) -> String {
    assert!(call.ca.starts_with(CA), "{}", call.ca);
    let value = call.headers[AUTHORIZATION].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

impl Bed {
    /// With a configuration, the account `production/myapp-sa`, and the role `app` for it.
    async fn new() -> Self {
        let bed = Self::bare().await;
        bed.put("config", config(json!({}))).await;
        bed.put("role/app", role(json!({}))).await;
        bed
    }

    async fn bare() -> Self {
        let (web, files) = (SimWeb::new(), SimFiles::new());
        let directory = strongroom_testkit::directory::SimDirectory::new();
        let outside = Outside { web: web.clone(), files: files.clone(), directory, cluster: None };
        let node = TestNode::start([super::spec(&outside)]).await;
        let accessor = node.mount("kubernetes", "auth/kubernetes/").await;
        let cluster = Arc::new(Cluster {
            key: PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap(),
            accounts: Mutex::new(["uid-1".to_owned()].into()),
            asked: Mutex::default(),
        });
        let asked = cluster.clone();
        web.serve(REVIEWS, move |call| asked.review(call));
        Self { node, accessor, web, files, cluster }
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/kubernetes/{path}"), body).await
    }

    /// Writes what must be taken.
    async fn put(&self, path: &str, body: Value) {
        let got = self.write(path, body).await;
        assert!(got.status < 300, "{path}: {got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/kubernetes/{path}"), Value::Null).await
    }

    async fn login(&self, role: &str, jwt: &str) -> Got {
        let body = json!({ "role": role, "jwt": jwt });
        self.node.call("WRITE", "auth/kubernetes/login", "", body).await
    }

    /// Claims of the account's token, with `changes`; null takes a member away.
    fn claims(&self, changes: Value) -> Value {
        let now = self.node.clock.now().seconds();
        let mut claims = json!({
            "iss": "https://issuer.example",
            "aud": ["vault"],
            "exp": now + 600,
            "nbf": now,
            "iat": now,
            "sub": "system:serviceaccount:production:myapp-sa",
            "kubernetes.io": {
                "namespace": "production",
                "serviceaccount": {"name": "myapp-sa", "uid": "uid-1"},
            },
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// A token of these claims, signed by the cluster.
    fn signed(&self, claims: &Value) -> String {
        sign(claims, &self.cluster.key, Algorithm::Es(Curve::P256))
    }

    /// The account's token, with changed claims.
    fn token(&self, changes: Value) -> String {
        self.signed(&self.claims(changes))
    }

    /// The account's token, as of another account.
    fn token_of(&self, namespace: &str, name: &str, uid: &str) -> String {
        let account = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}});
        self.token(json!({ "kubernetes.io": account }))
    }

    /// How often the API server was asked for anything.
    fn questions(&self) -> usize {
        self.web.calls(HOST)
    }
}

fn sign(claims: &Value, key: &PrivateKey, algorithm: Algorithm) -> String {
    sign_compact(algorithm, "key", claims.to_string().as_bytes(), key).unwrap()
}

fn merged(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

/// A configuration with a reviewer, and with changes.
fn config(changes: Value) -> Value {
    let base = json!({
        "kubernetes_host": HOST, "kubernetes_ca_cert": CA, "token_reviewer_jwt": "the-reviewer",
    });
    merged(base, &changes)
}

/// The role of `production/myapp-sa`, with changes.
fn role(changes: Value) -> Value {
    let base = json!({
        "bound_service_account_names": "myapp-sa",
        "bound_service_account_namespaces": "production",
        "token_policies": "p",
    });
    merged(base, &changes)
}

/// Nobody got in: the status, the text, and no token (threat: CVE-2026-46405).
fn assert_refused(got: &Got, status: u16, text: &str) {
    assert_eq!((got.status, got.errors().as_str()), (status, text), "{got:?}");
    assert!(got.body["auth"].is_null(), "{got:?}");
}
