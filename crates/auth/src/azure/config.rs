//! `config`: the tenant, the audience of tokens, credentials for calls of our own.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, SecretString, Ttl, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, ops};

use super::Azure;
use super::manager::Cloud;
use super::stored::{self, Config};
use crate::endpoints;

fields! {
    /// Configures how Azure is reached.
    pub struct PutConfig {
        /// The tenant: its id, or a domain of it.
        tenant_id: Option<String>,
        /// The audience of tokens: the URL of the application they are for.
        resource: Option<String>,
        /// AzurePublicCloud (the default), AzureUSGovernmentCloud or AzureChinaCloud.
        environment: Option<String>,
        /// The application that calls of our own are made as.
        client_id: Option<String>,
        /// Its secret; never shown.
        client_secret: Option<SecretString>,
        /// Without effect: the secret is not rotated by itself.
        root_password_ttl: Option<Ttl>,
        /// Without effect: calls are made once.
        max_retries: Option<i64>,
        /// Without effect.
        max_retry_delay: Option<Ttl>,
        /// Without effect.
        retry_delay: Option<Ttl>,
        /// In place of the cloud's own address of logins and keys (Strongroom's own).
        authority_endpoint: Option<String>,
        /// In place of the cloud's own address of Resource Manager (Strongroom's own).
        resource_manager_endpoint: Option<String>,
    }
}
fields! {
    /// Reads how Azure is reached, without the secret.
    pub struct ReadConfig {
    }
}
fields! {
    /// Forgets how Azure is reached.
    pub struct DeleteConfig {
    }
}

ops! {
    PutConfig (), Write;
    ReadConfig JsonMap, Read;
    DeleteConfig (), Delete;
}

pub(super) fn add(spec: EngineSpec<Azure>) -> EngineSpec<Azure> {
    spec.query::<ReadConfig>("config")
        .command::<PutConfig>("config")
        .exists::<PutConfig>("config")
        .command::<DeleteConfig>("config")
}

impl Exists<PutConfig> for Azure {
    async fn exists(&self, cx: &ReadCx<'_>, _: &[(&'static str, String)]) -> Result<bool> {
        Ok(stored::config(&cx.view()).await?.is_some())
    }
}

/// A configuration with Vault's defaults.
fn fresh() -> Config {
    Config {
        tenant_id: String::new(),
        resource: String::new(),
        environment: String::new(),
        client_id: String::new(),
        client_secret: String::new(),
        root_password_ttl: 4_380 * 3_600,
        max_retries: 3,
        max_retry_delay: 60,
        retry_delay: 4,
        authority_endpoint: String::new(),
        resource_manager_endpoint: String::new(),
    }
}

impl Command<PutConfig> for Azure {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        let old = stored::config(&cx.view()).await?;
        let mut config = old.unwrap_or_else(fresh);
        let before = addresses(&config);
        let (known, given) = (!config.client_secret.is_empty(), op.client_secret.is_some());
        let set = |value: &mut String, given: Option<String>| {
            if let Some(given) = given {
                *value = given;
            }
        };
        set(&mut config.tenant_id, op.tenant_id);
        set(&mut config.resource, op.resource);
        set(&mut config.environment, op.environment);
        set(&mut config.client_id, op.client_id);
        set(&mut config.client_secret, op.client_secret.map(|s| s.expose_secret().clone()));
        config.root_password_ttl = op.root_password_ttl.map_or(config.root_password_ttl, |t| t.0);
        config.max_retries = op.max_retries.unwrap_or(config.max_retries);
        config.max_retry_delay = op.max_retry_delay.map_or(config.max_retry_delay, |t| t.0);
        config.retry_delay = op.retry_delay.map_or(config.retry_delay, |t| t.0);
        for (field, value, given) in [
            ("authority_endpoint", &mut config.authority_endpoint, op.authority_endpoint),
            (
                "resource_manager_endpoint",
                &mut config.resource_manager_endpoint,
                op.resource_manager_endpoint,
            ),
        ] {
            if let Some(given) = given {
                *value = endpoints::check(field, &given)?;
            }
        }
        check(&config)?;
        // Who may not read the secret may not have it sent to an address of his own.
        if known && !given && before != addresses(&config) {
            return Err(Error::bad_request(
                "another tenant, environment or endpoint takes the client_secret in the same request",
            ));
        }
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::none())
    }
}

/// Where the secret, and what it gives, are sent.
fn addresses(config: &Config) -> [String; 4] {
    [
        config.tenant_id.clone(),
        config.environment.to_lowercase(),
        config.authority_endpoint.clone(),
        config.resource_manager_endpoint.clone(),
    ]
}

fn check(config: &Config) -> Result<()> {
    if config.tenant_id.is_empty() {
        return Err(Error::bad_request("tenant_id is required"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let several = ["common", "organizations", "consumers"];
    let name = config.tenant_id.to_ascii_lowercase();
    if !name.bytes().all(plain) || name.contains("..") || several.contains(&name.as_str()) {
        return Err(Error::bad_request("tenant_id must be the id or a domain of one tenant"));
    }
    if config.resource.is_empty() {
        return Err(Error::bad_request("resource is required"));
    }
    Cloud::of(config).map(drop)
}

impl Query<ReadConfig> for Azure {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<JsonMap>> {
        let config = stored::config(&cx.view()).await?.ok_or_else(Error::not_found)?;
        // Go shows these two as nanoseconds.
        let nanos = |seconds: i64| seconds.saturating_mul(1_000_000_000);
        let shown = json!({
            "tenant_id": config.tenant_id,
            "resource": config.resource,
            "environment": config.environment,
            "client_id": config.client_id,
            "root_password_ttl": config.root_password_ttl,
            "retry_delay": nanos(config.retry_delay),
            "max_retry_delay": nanos(config.max_retry_delay),
            "max_retries": config.max_retries,
        });
        let Json::Object(mut map) = shown else { return Err(Error::internal("no object")) };
        for (name, value) in [
            ("authority_endpoint", &config.authority_endpoint),
            ("resource_manager_endpoint", &config.resource_manager_endpoint),
        ] {
            if !value.is_empty() {
                map.insert(name.to_owned(), value.as_str().into());
            }
        }
        Ok(Reply::data(map))
    }
}

impl Command<DeleteConfig> for Azure {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteConfig) -> Result<Reply<()>> {
        cx.edit().delete_named::<Config>(0, "");
        Ok(Reply::none())
    }
}
