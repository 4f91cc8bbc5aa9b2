//! The cluster that the server runs in (`kubernetes`): its keys are had from its API server, which asks
//! who wants them.
//!
//! Invariant: the address is the one that Kubernetes gave the pod, and none that a request names.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Json, Result, Timestamp};
use strongroom_connectors::web::{Call, Failure, Web};
use strongroom_crypto::jws::parse_set;

use super::super::provider::well_known;
use super::super::stored::Config;
use crate::jwts::KeySets;
use crate::pod::AsPod;
use crate::registry::Outside;

/// The cluster's API server, asked in the pod's name.
pub struct Cluster {
    api: Option<String>,
    web: Arc<AsPod>,
    /// What it published.
    pub documents: KeySets,
}

impl Cluster {
    /// The cluster of the pod that the server runs in, where it does.
    pub fn new(outside: &Outside) -> Self {
        let web = Arc::new(AsPod::new(outside.web.clone(), outside.files.clone()));
        Self { api: outside.cluster.clone(), documents: KeySets::new(web.clone()), web }
    }

    /// Refuses what does not go with this provider.
    pub(super) fn check(&self, config: &Config) -> Result<(), &'static str> {
        for (given, why) in [
            (
                &config.oidc_discovery_url,
                "oidc_discovery_url must not be set when using the kubernetes provider",
            ),
            (
                &config.oidc_discovery_ca_pem,
                "oidc_discovery_ca_pem must not be set when using the kubernetes provider",
            ),
            (&config.jwks_url, "jwks_url must not be set when using the kubernetes provider"),
            (&config.jwks_ca_pem, "jwks_ca_pem must not be set when using the kubernetes provider"),
        ] {
            if !given.is_empty() {
                return Err(why);
            }
        }
        match self.api {
            Some(_) => Ok(()),
            None => Err(
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT environment variables must be \
                 set when using the kubernetes provider",
            ),
        }
    }

    fn discovery(&self) -> Result<String, Failure> {
        let api = self.api.as_deref();
        api.map(well_known).ok_or_else(|| Failure::new("the server does not run in a pod"))
    }

    /// Where the keys are. The issuer is not compared: an API server is not called by its issuer's
    /// name.
    pub async fn keys(&self, now: Timestamp) -> Result<String> {
        let url = self.discovery().map_err(upstream)?;
        let document = self.documents.document(&url, "", now).await?;
        keys_in(&document.json).map_err(upstream)
    }

    /// Are there keys? Nothing remembered counts.
    pub async fn try_out(&self) -> Result<(), Failure> {
        let described = self.fetch(self.discovery()?).await?;
        let keys = self.fetch(keys_in(&described)?).await?;
        parse_set(&keys).map(drop).map_err(|_| Failure::new("the answer is no set of keys"))
    }

    async fn fetch(&self, url: String) -> Result<Json, Failure> {
        let answer = self.web.call(Call::get(url)).await?;
        if !answer.is_success() {
            let why = format!("the cluster's API server answered status {}", answer.status);
            return Err(Failure::new(why));
        }
        answer.json()
    }
}

fn upstream(failure: Failure) -> Error {
    Error::new(ErrorKind::Upstream, failure.to_string())
}

fn keys_in(described: &Json) -> Result<String, Failure> {
    let url = described.get("jwks_uri").and_then(Json::as_str).filter(|url| !url.is_empty());
    let missing = || Failure::new("jwks_uri not found in OIDC discovery document");
    url.map(str::to_owned).ok_or_else(missing)
}
