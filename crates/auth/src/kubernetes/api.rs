//! What the API server is asked: whether a token is good, how a namespace is labelled, how an account
//! is annotated.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Json, Result, SecretString};
use strongroom_connectors::web::{Answer, Call, Failure, Web};

use super::Kubernetes;
use super::config::{Config, url_of};
use crate::pod;

/// Bytes of the API server's own words that go to the log.
const WORDS_MAX: usize = 200;
/// What annotations are called that become metadata of an alias, before their own names (API page
/// "Kubernetes auth method", `use_annotations_as_alias_metadata`).
const ANNOTATION_PREFIX: &str = "vault.hashicorp.com/alias-metadata-";

/// An API server, and as whom it is asked.
pub struct Api<'a> {
    web: &'a dyn Web,
    url: String,
    ca: String,
    /// None asks as the caller.
    reviewer: Option<SecretString>,
}

/// An account, as the API server says.
#[derive(Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenReview<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: TokenReviewSpec<'a>,
}

#[derive(Serialize)]
struct TokenReviewSpec<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    audiences: &'a [&'a str],
}

/// 403 for what the API server says no to; why is in the server's log alone.
fn denied(reason: &str) -> Error {
    tracing::debug!(reason, "kubernetes: a login is refused");
    Error::denied()
}

/// 403 because of what the operator set up.
fn misconfigured(reason: &str) -> Error {
    tracing::warn!(reason, "kubernetes: logins are refused");
    Error::denied()
}

fn unreachable(why: &Failure) -> Error {
    Error::new(ErrorKind::Upstream, format!("the Kubernetes API can't be asked: {why}"))
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Upstream, "the Kubernetes API answered something else than it was asked")
}

impl Kubernetes {
    /// The API server of a configuration. What the pod has is read anew each time: Kubernetes changes
    /// it. The pod's own token goes to nobody but who the pod's own authority vouches for: whoever may
    /// configure a mount could else have it sent to a server of theirs, and act in the cluster by it.
    pub(super) async fn api(&self, config: &Config) -> Result<Api<'_>> {
        let local = !config.disable_local_ca_jwt && !config.machine_roots;
        let url = url_of(&config.host)?;
        let pod_ca = if local { self.files.read(pod::CA).await } else { None };
        let pod_ca = pod_ca.map_or_else(String::new, |text| text.expose_secret().clone());
        let ca = if config.ca_cert.is_empty() { &pod_ca } else { &config.ca_cert }.clone();
        let is_own = ca.trim() == pod_ca.trim() && url.starts_with("https://");
        // Nothing stands for every authority that the machine trusts.
        if ca.trim().is_empty() && !config.machine_roots {
            return Err(misconfigured("the authority of the API server is not there any more"));
        }
        let mut reviewer = Some(SecretString::new(config.token_reviewer_jwt.clone()));
        if config.token_reviewer_jwt.is_empty() {
            reviewer = if local && is_own { self.files.read(pod::TOKEN).await } else { None };
        }
        let reviewer = reviewer
            .map(|token| SecretString::new(token.expose_secret().trim().to_owned()))
            .filter(|token| !token.expose_secret().is_empty());
        Ok(Api { web: &*self.web, url, ca, reviewer })
    }
}

impl Api<'_> {
    /// Is it asked in its own name, not the caller's?
    pub fn has_reviewer(&self) -> bool {
        self.reviewer.is_some()
    }

    /// Asks whether `jwt` is a good token for one of `audiences`, or where there are none for the API
    /// server itself.
    pub async fn review(&self, jwt: &str, audiences: &[&str]) -> Result<Reviewed> {
        let review = TokenReview {
            api_version: "authentication.k8s.io/v1",
            kind: "TokenReview",
            spec: TokenReviewSpec { token: jwt, audiences },
        };
        let body = serde_json::to_vec(&review).map_err(Error::internal)?;
        let url = format!("{}/apis/authentication.k8s.io/v1/tokenreviews", self.url);
        let answer = self.ask(Call::post(url, "application/json", body), jwt).await?;
        reviewed(&self.read(&answer)?, audiences)
    }

    /// The labels of a namespace. Its name must be one that the API server has told.
    pub async fn namespace_labels(&self, namespace: &str) -> Result<BTreeMap<String, String>> {
        let url = format!("{}/api/v1/namespaces/{}", self.url, segment(namespace)?);
        let answer = self.ask(Call::get(url), "").await?;
        Ok(texts(&self.read(&answer)?["metadata"]["labels"]))
    }

    /// The metadata in an account's annotations. Its names must be ones that the API server has told.
    pub async fn metadata(&self, of: &Reviewed, jwt: &str) -> Result<BTreeMap<String, String>> {
        let (namespace, name) = (segment(&of.namespace)?, segment(&of.name)?);
        let url = format!("{}/api/v1/namespaces/{namespace}/serviceaccounts/{name}", self.url);
        let answer = self.ask(Call::get(url), jwt).await?;
        let annotations = texts(&self.read(&answer)?["metadata"]["annotations"]);
        let ours = annotations.into_iter().filter_map(|(name, value)| {
            name.strip_prefix(ANNOTATION_PREFIX).map(|name| (name.to_owned(), value))
        });
        Ok(ours.collect())
    }

    async fn ask(&self, call: Call, jwt: &str) -> Result<Answer> {
        let bearer = self.reviewer.as_ref().map_or(jwt, |token| token.expose_secret());
        let call = call.with_ca(&self.ca).bearer(bearer).map_err(|_| Error::denied())?;
        let call =
            call.header(http::header::ACCEPT, "application/json").map_err(Error::internal)?;
        self.web.call(call).await.map_err(|why| unreachable(&why))
    }

    /// The body of an answer that is what was asked for.
    fn read(&self, answer: &Answer) -> Result<Json> {
        match answer.status {
            200..=206 => answer.json().map_err(|_| unreadable()),
            // Whoever asks has no right to, or its account is gone.
            401 | 403 if self.has_reviewer() => Err(misconfigured(
                "the API server refuses the reviewer; is its token over, or does it lack a role?",
            )),
            401 | 403 => Err(denied("the API server refuses the caller's token as a reviewer's")),
            429 | 500.. => {
                let why = format!("it answered status {}", answer.status);
                Err(unreachable(&Failure::new(why)))
            }
            status => Err(misconfigured(&format!("the API server answered status {status}"))),
        }
    }
}

/// A name as a segment of a path: names of namespaces and accounts need no escapes (RFC 1123).
fn segment(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let good = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
    if good { Ok(name) } else { Err(unreadable()) }
}

/// The members of an object that are texts.
fn texts(json: &Json) -> BTreeMap<String, String> {
    let members = json.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// What a review says. Servers leave `kind` and `apiVersion` out, so these are not looked at.
fn reviewed(answer: &Json, audiences: &[&str]) -> Result<Reviewed> {
    let status = answer.get("status").filter(|status| status.is_object()).ok_or_else(unreadable)?;
    if let Some(words) = status.get("error").and_then(Json::as_str).filter(|w| !w.is_empty()) {
        let words: String = words.chars().take(WORDS_MAX).collect();
        return Err(denied(&format!("the API server says {words:?}")));
    }
    if status.get("authenticated") != Some(&Json::Bool(true)) {
        return Err(denied("the API server does not take the token"));
    }
    let good_for = || status.get("audiences").and_then(Json::as_array).into_iter().flatten();
    let is_good_for = |audience: &&str| good_for().any(|good| good.as_str() == Some(audience));
    if !audiences.is_empty() && !audiences.iter().any(is_good_for) {
        return Err(denied("the token is for another audience"));
    }
    let text = |name: &str| status["user"][name].as_str().unwrap_or_default();
    // system:serviceaccount:NAMESPACE:NAME
    let account = text("username").strip_prefix("system:serviceaccount:");
    match account.and_then(|account| account.split_once(':')) {
        Some((namespace, name)) if !name.contains(':') => Ok(Reviewed {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: text("uid").to_owned(),
        }),
        _ => Err(denied("the token is no service account's")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{reviewed, segment};

    #[test]
    fn names_are_one_segment() {
        for name in ["a", "kube-system", "a.b", "0"] {
            assert!(segment(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "../x", "a/b", "a%2fb", "a?b", "a#b", "A", "ä", "a b"] {
            assert!(segment(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_review_is_read_strictly() {
        let good = json!({"status": {"authenticated": true, "audiences": ["a"], "user":
            {"username": "system:serviceaccount:n:s", "uid": "u"}}});
        let got = reviewed(&good, &["b", "a"]).unwrap();
        assert_eq!((&*got.namespace, &*got.name, &*got.uid), ("n", "s", "u"));
        assert!(reviewed(&good, &[]).is_ok());
        assert!(reviewed(&good, &["b"]).is_err());
        for (path, value) in [
            ("/status", json!(null)),
            ("/status/authenticated", json!(false)),
            ("/status/authenticated", json!("true")),
            ("/status/audiences", json!([])),
            ("/status/audiences", json!("a")),
            ("/status/user/username", json!("system:node:n:s")),
            ("/status/user/username", json!("system:serviceaccount:n:s:x")),
            ("/status/user/username", json!("system:serviceaccount:n")),
            ("/status/user/username", json!("admin")),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value.clone();
            assert!(reviewed(&bad, &["a"]).is_err(), "{path} {value}");
        }
        let mut bad = good;
        bad["status"]["error"] = json!("gone");
        assert!(reviewed(&bad, &["a"]).is_err());
    }
}
