//! Azure's clouds, and Azure Resource Manager as far as logins need it.

use strongroom_base::{Error, ErrorKind, Json, Result, SecretString, Timestamp};
use strongroom_cloudwire::form;
use strongroom_cloudwire::sigv4::uri_encode;
use strongroom_connectors::web::Call;

use super::Azure;
use super::resource_ids::ResourceId;
use super::stored::Config;
use crate::access_tokens::Fetched;

/// Versions of the APIs.
const COMPUTE_VERSION: &str = "2022-11-01";
const IDENTITY_VERSION: &str = "2023-01-31";
const PROVIDERS_VERSION: &str = "2021-04-01";
/// The version of a resource's API where its provider names none.
const RESOURCE_VERSION: &str = "2022-03-01";
/// Seconds that a token is used at most.
const LIVES_SECONDS: i64 = 3_600;
/// Pages of a list that are looked at.
const PAGES_MAX: usize = 10;

/// Where a cloud is.
pub struct Cloud<'a> {
    /// Logins and keys.
    pub authority: &'a str,
    /// Resource Manager.
    pub manager: &'a str,
}

impl<'a> Cloud<'a> {
    /// The configured cloud.
    pub fn of(config: &'a Config) -> Result<Self> {
        let (authority, manager) = match config.environment.to_ascii_uppercase().as_str() {
            "" | "AZUREPUBLICCLOUD" => {
                ("https://login.microsoftonline.com", "https://management.azure.com")
            }
            "AZUREUSGOVERNMENTCLOUD" => {
                ("https://login.microsoftonline.us", "https://management.usgovcloudapi.net")
            }
            "AZURECHINACLOUD" => {
                ("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn")
            }
            _ => return Err(Error::bad_request("no cloud configuration matching the environment")),
        };
        let or = |own: &'a str, clouds: &'static str| if own.is_empty() { clouds } else { own };
        Ok(Self {
            authority: or(&config.authority_endpoint, authority),
            manager: or(&config.resource_manager_endpoint, manager),
        })
    }
}

/// Where the calls of one login go, and in whose name.
pub struct Manager<'a> {
    azure: &'a Azure,
    base: &'a str,
    token: SecretString,
}

impl Azure {
    /// The way to Resource Manager with the configured credentials.
    pub(super) async fn manager<'a>(
        &'a self,
        config: &'a Config,
        now: Timestamp,
    ) -> Result<Manager<'a>> {
        let (id, secret) = (config.client_id.as_str(), config.client_secret.as_str());
        if id.is_empty() || secret.is_empty() {
            return Err(Error::bad_request(
                "what the role is bound to needs to be asked of Azure Resource Manager, and config \
                 has no client_id and client_secret for that",
            ));
        }
        let cloud = Cloud::of(config)?;
        let url = format!("{}/{}/oauth2/v2.0/token", cloud.authority, config.tenant_id);
        let fetch = self.access_token(&url, id, secret, cloud.manager);
        let token = self.access.get(&[&url, id, secret, cloud.manager], now, fetch).await?;
        Ok(Manager { azure: self, base: cloud.manager, token })
    }

    async fn access_token(
        &self,
        url: &str,
        id: &str,
        secret: &str,
        manager: &str,
    ) -> Result<Fetched> {
        let body = form::encode(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", &format!("{manager}/.default")),
        ]);
        let failed = |why: String| {
            Error::new(ErrorKind::Upstream, format!("Azure gives no access token: {why}"))
        };
        let content_type = "application/x-www-form-urlencoded";
        let answer = self.web.call(Call::post(url, content_type, body.into_bytes())).await;
        let answer = answer.map_err(|failure| failed(failure.to_string()))?;
        if !answer.is_success() {
            return Err(failed(format!("it answered status {}", answer.status)));
        }
        let json = answer.json().map_err(|failure| failed(failure.to_string()))?;
        let token = json.get("access_token").and_then(Json::as_str).unwrap_or_default();
        if token.is_empty() {
            return Err(failed("its answer has none".to_owned()));
        }
        let seconds = json.get("expires_in").and_then(Json::as_i64).unwrap_or(0);
        Ok(Fetched {
            token: SecretString::new(token.to_owned()),
            seconds: seconds.clamp(0, LIVES_SECONDS),
        })
    }
}

/// The path of a resource.
fn path_of(id: &ResourceId<'_>) -> String {
    let mut path = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{}",
        uri_encode(id.subscription),
        uri_encode(id.group),
        uri_encode(id.namespace)
    );
    for (kind, name) in &id.levels {
        path = format!("{path}/{}/{}", uri_encode(kind), uri_encode(name));
    }
    path
}

impl Manager<'_> {
    async fn get(&self, what: &str, url: String) -> Result<Json> {
        let failed = |why: String| {
            Error::new(ErrorKind::Upstream, format!("unable to retrieve {what}: {why}"))
        };
        let call = Call::get(url)
            .bearer(self.token.expose_secret())
            .map_err(|failure| failed(failure.to_string()))?;
        let answer = self.azure.web.call(call).await.map_err(|e| failed(e.to_string()))?;
        match answer.status {
            200..=299 => answer.json().map_err(|failure| failed(failure.to_string())),
            404 => Err(Error::bad_request(format!("unable to retrieve {what}: it is not there"))),
            status => Err(failed(format!("Azure answered status {status}"))),
        }
    }

    /// A machine or scale set.
    pub async fn compute(&self, id: &ResourceId<'_>) -> Result<Json> {
        let path = path_of(id);
        let url = format!("{}{path}?api-version={COMPUTE_VERSION}", self.base);
        self.get("virtual machine metadata", url).await
    }

    /// A user-assigned identity.
    pub async fn identity(&self, id: &ResourceId<'_>) -> Result<Json> {
        let path = path_of(id);
        let url = format!("{}{path}?api-version={IDENTITY_VERSION}", self.base);
        self.get("user assigned identity metadata", url).await
    }

    /// Any resource, by a version of its API that its provider names.
    pub async fn resource(&self, id: &ResourceId<'_>) -> Result<Json> {
        let url = format!(
            "{}/subscriptions/{}/providers/{}?api-version={PROVIDERS_VERSION}",
            self.base,
            uri_encode(id.subscription),
            uri_encode(id.namespace)
        );
        let provider = self.get("the resource's provider", url).await?;
        let types = provider.get("resourceTypes").and_then(Json::as_array).into_iter().flatten();
        let text =
            |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let mut own = types.filter(|of| {
            text(of, "resourceType").is_some_and(|name| name.eq_ignore_ascii_case(&id.kind()))
        });
        let versions = own.next().and_then(|of| of.get("apiVersions")).and_then(Json::as_array);
        let mut versions = versions.into_iter().flatten().filter_map(Json::as_str);
        let version = versions.find(|version| !version.contains("preview"));
        let version = uri_encode(version.unwrap_or(RESOURCE_VERSION));
        let url = format!("{}{}?api-version={version}", self.base, path_of(id));
        self.get("the resource", url).await
    }

    /// Application ids of a resource group's user-assigned identities.
    pub async fn client_ids(&self, subscription: &str, group: &str) -> Result<Vec<String>> {
        let mut url = format!(
            "{}/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ManagedIdentity\
             /userAssignedIdentities?api-version={IDENTITY_VERSION}",
            self.base,
            uri_encode(subscription),
            uri_encode(group)
        );
        let mut ids = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.get("user assigned identities", url).await?;
            let listed = page.get("value").and_then(Json::as_array).into_iter().flatten();
            let id =
                |one: &Json| one.get("properties")?.get("clientId")?.as_str().map(str::to_owned);
            ids.extend(listed.filter_map(id));
            let next = page.get("nextLink").and_then(Json::as_str).unwrap_or_default();
            // Our token goes nowhere else.
            if !next.starts_with(&format!("{}/", self.base)) {
                break;
            }
            url = next.to_owned();
        }
        Ok(ids)
    }
}
