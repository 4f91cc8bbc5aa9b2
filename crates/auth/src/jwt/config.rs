//! The configuration of a mount: whose keys count, and who this server is to the provider.

use strongroom_base::{Error, Json, JsonMap, Result, SecretString, Timestamp, fields};
use strongroom_connectors::web::{Call, Trust, check_ca};
use strongroom_crypto::jws::{Algorithm, parse_set};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::Jwt;
use super::provider::{Provider, well_known};
use super::providers::{self, Cluster};
use super::stored::{self, Config, Kept, Prepared};

fields! {
    /// Sets the configuration. What is not given is set back.
    pub struct PutConfig {
        /// The issuer, whose OpenID configuration tells of its keys and endpoints.
        oidc_discovery_url: Option<String>,
        /// Authorities that vouch for the issuer's servers, in PEM; the machine's if not given.
        oidc_discovery_ca_pem: Option<String>,
        /// Who this server is to the provider.
        oidc_client_id: Option<String>,
        /// What proves it.
        oidc_client_secret: Option<SecretString>,
        /// How the provider answers: `query` or `form_post`.
        oidc_response_mode: Option<String>,
        /// What the provider answers with: `code` or `id_token`.
        oidc_response_types: Option<Vec<String>>,
        /// Where a set of keys is.
        jwks_url: Option<String>,
        /// Authorities that vouch for the server of `jwks_url`, in PEM.
        jwks_ca_pem: Option<String>,
        /// The role of logins that name none.
        default_role: Option<String>,
        /// Public keys or certificates, in PEM.
        jwt_validation_pubkeys: Option<Vec<String>>,
        /// Signature algorithms that count.
        jwt_supported_algs: Option<Vec<String>>,
        /// What the `iss` claim must be.
        bound_issuer: Option<String>,
        /// What is particular to a provider.
        provider_config: Option<JsonMap>,
        /// Names, one of which the certificates of the provider's servers must have.
        override_allowed_server_names: Option<Vec<String>>,
        /// Hand the namespace on within the state, and not in the redirect URI?
        namespace_in_state: Option<bool>,
        /// Take the configuration though the provider can't be reached now?
        skip_jwks_validation: Option<bool>,
    }
}
fields! {
    /// Reads the configuration, and tells whether it works.
    pub struct ReadConfig {}
}

ops! {
    PutConfig (), Write;
    ReadConfig JsonMap, Read;
}

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.query::<ReadConfig>("config").command::<PutConfig>("config")
}

/// Where the keys are.
pub enum Source<'c> {
    /// In the configuration itself.
    Here,
    /// A set of keys at an address.
    Set(&'c str),
    /// Where the cluster that the server runs in says.
    Cluster,
    /// Where the issuer's OpenID configuration says.
    Issuer,
}

impl Config {
    /// Where the keys are.
    pub fn source(&self) -> Source<'_> {
        if !self.jwt_validation_pubkeys.is_empty() {
            Source::Here
        } else if !self.jwks_url.is_empty() {
            Source::Set(&self.jwks_url)
        } else if self.provider() == "kubernetes" {
            Source::Cluster
        } else {
            Source::Issuer
        }
    }

    /// Whom to believe about who a server is.
    pub fn trust(&self) -> Trust {
        let ca = match self.source() {
            Source::Issuer | Source::Here | Source::Cluster => &self.oidc_discovery_ca_pem,
            Source::Set(_) => &self.jwks_ca_pem,
        };
        Trust { ca: ca.clone(), names: self.override_allowed_server_names.clone() }
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::bad_request(text))
}

/// What can be seen to be wrong without asking anybody.
fn check(config: &Config, cluster: &Cluster) -> Result<()> {
    let sources = [
        !config.oidc_discovery_url.is_empty(),
        !config.jwt_validation_pubkeys.is_empty(),
        !config.jwks_url.is_empty(),
        config.provider() == "kubernetes",
    ];
    if sources.iter().filter(|given| **given).count() != 1 {
        return refuse(
            "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'oidc_discovery_url' or a \
             'provider_config' that has keys must be set",
        );
    }
    let id = !config.oidc_client_id.is_empty();
    let secret = !config.oidc_client_secret.expose_secret().is_empty();
    if id != secret {
        return refuse("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC");
    }
    if config.oidc_discovery_url.contains(".well-known/openid-configuration") {
        return refuse("'oidc_discovery_url' contains '.well-known' component");
    }
    if id && config.oidc_discovery_url.is_empty() {
        return refuse("'oidc_discovery_url' must be set for OIDC");
    }
    if config.jwt_supported_algs.iter().any(|name| Algorithm::named(name).is_none()) {
        let known = Algorithm::NAMES.join(", ");
        return refuse(format!(
            "invalid jwt_supported_algs: unsupported signing algorithm, must be one of {known}"
        ));
    }
    if !config.oidc_response_types.iter().all(|kind| kind == "code" || kind == "id_token") {
        return refuse("invalid response_types: 'code' and 'id_token' are allowed");
    }
    match config.oidc_response_mode.as_str() {
        "" | "query" if config.is_implicit() => {
            return refuse("query response_mode may not be used with an id_token response_type");
        }
        "" | "query" | "form_post" => {}
        _ => return refuse("invalid response_mode: 'query' and 'form_post' are allowed"),
    }
    for (name, ca) in [
        ("oidc_discovery_ca_pem", &config.oidc_discovery_ca_pem),
        ("jwks_ca_pem", &config.jwks_ca_pem),
    ] {
        if check_ca(ca).is_err() {
            return refuse(format!(
                "error checking {name}: could not parse CA PEM value successfully"
            ));
        }
    }
    providers::check(config, cluster)
}

impl Jwt {
    /// Is there an answer from whoever has the keys? Nothing remembered counts.
    async fn try_out(&self, config: &Config) -> Result<()> {
        let (url, what) = match config.source() {
            Source::Here => return Ok(()),
            Source::Cluster => {
                let what = "error checking the cluster's keys";
                let tried = self.cluster.try_out().await;
                return tried.map_err(|f| Error::bad_request(format!("{what}: {f}")));
            }
            Source::Set(url) => (url.to_owned(), "error checking jwks URL"),
            Source::Issuer => {
                (well_known(&config.oidc_discovery_url), "error checking oidc discovery URL")
            }
        };
        let failed = |why: String| Error::bad_request(format!("{what}: {why}"));
        let call = Call::get(url).trusting(&config.trust());
        let answer = self.web.call(call).await.map_err(|f| failed(f.to_string()))?;
        if !answer.is_success() {
            return Err(failed(format!("the provider answered status {}", answer.status)));
        }
        let json = answer.json().map_err(|f| failed(f.to_string()))?;
        match config.source() {
            Source::Set(_) => {
                parse_set(&json).map_err(|_| failed("the answer is no set of keys".to_owned()))?;
            }
            _ => {
                Provider::read(&json, &config.oidc_discovery_url)
                    .map_err(|e| failed(e.public.join(" ")))?;
            }
        }
        Ok(())
    }

    /// Could a token be verified now? What is remembered counts.
    async fn works(&self, config: &Config, now: Timestamp) -> Result<()> {
        match config.source() {
            Source::Here => Ok(()),
            Source::Set(url) => self.documents.document(url, &config.trust(), now).await.map(drop),
            Source::Cluster => {
                let keys = self.cluster.keys(now).await?;
                self.cluster.documents.document(&keys, "", now).await.map(drop)
            }
            Source::Issuer => self.provider(config, now).await.map(drop),
        }
    }
}

impl Command<PutConfig> for Jwt {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        let mut provider_config = op.provider_config.unwrap_or_default();
        let mut config = Config {
            oidc_discovery_url: op.oidc_discovery_url.unwrap_or_default(),
            oidc_discovery_ca_pem: op.oidc_discovery_ca_pem.unwrap_or_default(),
            oidc_client_id: op.oidc_client_id.unwrap_or_default(),
            oidc_client_secret: op.oidc_client_secret.as_ref().map(Kept::new).unwrap_or_default(),
            oidc_response_mode: op.oidc_response_mode.unwrap_or_default(),
            oidc_response_types: op.oidc_response_types.unwrap_or_default(),
            jwks_url: op.jwks_url.unwrap_or_default(),
            jwks_ca_pem: op.jwks_ca_pem.unwrap_or_default(),
            jwt_validation_pubkeys: op.jwt_validation_pubkeys.unwrap_or_default(),
            jwt_supported_algs: op.jwt_supported_algs.unwrap_or_default(),
            bound_issuer: op.bound_issuer.unwrap_or_default(),
            default_role: op.default_role.unwrap_or_default().to_lowercase(),
            gsuite_service_account: providers::take_secret(&mut provider_config),
            provider_config,
            override_allowed_server_names: op.override_allowed_server_names.unwrap_or_default(),
            namespace_in_state: true,
        };
        check(&config, &self.cluster)?;
        Prepared::new(config.clone())?;
        let mut warnings = Vec::new();
        if let Err(error) = self.try_out(&config).await {
            if !op.skip_jwks_validation.unwrap_or(false) {
                return Err(error);
            }
            warnings.extend(error.public);
        }
        cx.queue("config").await;
        let old = stored::config(&cx.view()).await?;
        let kept = old.is_none_or(|old| old.config.namespace_in_state);
        config.namespace_in_state = op.namespace_in_state.unwrap_or(kept);
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::none().warnings(warnings))
    }
}

impl Query<ReadConfig> for Jwt {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<JsonMap>> {
        let prepared = stored::config(&cx.view()).await?.ok_or_else(Error::not_found)?;
        let config = &prepared.config;
        let mut map = JsonMap::new();
        for (name, value) in [
            ("oidc_discovery_url", Json::from(config.oidc_discovery_url.clone())),
            ("oidc_discovery_ca_pem", config.oidc_discovery_ca_pem.clone().into()),
            ("oidc_client_id", config.oidc_client_id.clone().into()),
            ("oidc_response_mode", config.oidc_response_mode.clone().into()),
            ("oidc_response_types", config.oidc_response_types.clone().into()),
            ("default_role", config.default_role.clone().into()),
            ("jwt_validation_pubkeys", config.jwt_validation_pubkeys.clone().into()),
            ("jwt_supported_algs", config.jwt_supported_algs.clone().into()),
            ("jwks_url", config.jwks_url.clone().into()),
            ("jwks_ca_pem", config.jwks_ca_pem.clone().into()),
            ("bound_issuer", config.bound_issuer.clone().into()),
            ("provider_config", config.provider_config.clone().into()),
            ("override_allowed_server_names", config.override_allowed_server_names.clone().into()),
            ("namespace_in_state", config.namespace_in_state.into()),
        ] {
            map.insert(name.to_owned(), value);
        }
        let works = self.works(config, cx.now()).await;
        map.insert("status".to_owned(), if works.is_ok() { "valid" } else { "invalid" }.into());
        let reply = Reply::data(map);
        Ok(match works {
            Ok(()) => reply,
            Err(error) => {
                reply.warn(format!("failed to construct JWK validator: {}", error.public.join(" ")))
            }
        })
    }
}
