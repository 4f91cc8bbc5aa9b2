//! What is particular to some providers (`provider_config`): where their groups are.

use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result};
use strongroom_connectors::web::Call;

use super::flows::Proven;
use super::stored::{Config, Role};
use super::{Jwt, claims};

/// Providers that need nothing but a name here.
const KNOWN: &[&str] = &["azure", "secureauth", "ibmisam"];
/// Providers of the peer's that this server does not do.
const UNSUPPORTED: &[&str] = &["gsuite", "kubernetes"];

/// Refuses a `provider_config` that is none.
pub fn check(provider_config: &JsonMap) -> Result<()> {
    if provider_config.is_empty() {
        return Ok(());
    }
    let refuse = |text: &str| Err(Error::bad_request(format!("invalid provider_config: {text}")));
    match provider_config.get("provider").and_then(Json::as_str) {
        None => refuse("'provider' field not found in provider_config"),
        Some(name) if KNOWN.contains(&name) => Ok(()),
        Some(name) if UNSUPPORTED.contains(&name) => refuse("this provider is not supported"),
        Some(_) => refuse("the provider is not found in custom providers"),
    }
}

impl Jwt {
    /// Puts groups into the claims where the provider has them in a way of its own.
    pub async fn complete(
        &self,
        config: &Config,
        role: &Role,
        claims: &mut JsonMap,
        proven: Option<&Proven>,
    ) -> Result<()> {
        if role.groups_claim.is_empty() {
            return Ok(());
        }
        let found = claims::get(claims, &role.groups_claim);
        let groups = match (config.provider(), found) {
            ("azure", None) => self.azure_groups(config, role, claims, proven).await?,
            ("secureauth", Some(Json::String(groups))) => split(groups, ','),
            ("ibmisam", Some(Json::String(groups))) => split(groups, ' '),
            _ => return Ok(()),
        };
        claims::set(claims, &role.groups_claim, groups);
        Ok(())
    }

    /// The groups of who is in more than 200: Azure says where they can be asked for (Core §5.6.2),
    /// and that is asked by the access token.
    async fn azure_groups(
        &self,
        config: &Config,
        role: &Role,
        claims: &JsonMap,
        proven: Option<&Proven>,
    ) -> Result<Json> {
        let failed = |why: &str| Error::bad_request(format!("failed to fetch groups: {why}"));
        let text = |map: &str, name: &str| {
            claims.get(map).and_then(|map| map.get(name)).cloned().unwrap_or_default()
        };
        let source = text("_claim_names", &role.groups_claim);
        let source = source.as_str().ok_or_else(|| failed("unable to get claim sources"))?;
        let endpoint = text("_claim_sources", source);
        let endpoint = endpoint.get("endpoint").and_then(Json::as_str);
        let url =
            endpoint.and_then(graph_url).ok_or_else(|| failed("unable to get claim sources"))?;
        let access = proven.map(|p| p.access_token.expose_secret().as_str()).unwrap_or_default();
        if access.is_empty() {
            return Err(failed("token unavailable to call Microsoft Graph API"));
        }
        let body = br#"{"securityEnabledOnly": false}"#.to_vec();
        let call = Call::post(url, "application/json", body).trusting(&config.trust());
        let unreachable = |f: strongroom_connectors::web::Failure| {
            Error::new(ErrorKind::Upstream, format!("unable to call Microsoft Graph API: {f}"))
        };
        let call = call.bearer(access).map_err(unreachable)?;
        let answer = self.question(call).await.map_err(unreachable)?;
        if !answer.is_success() {
            return Err(failed("Microsoft Graph API refused"));
        }
        let json = answer.json().map_err(unreachable)?;
        json.get("value").cloned().ok_or_else(|| failed("Microsoft Graph API answered no groups"))
    }
}

fn split(groups: &str, separator: char) -> Json {
    groups.split(separator).filter(|group| !group.is_empty()).collect()
}

/// Hosts that Azure names, and those that serve the same today.
const GRAPH: &[(&str, &str)] = &[
    ("https://graph.windows.net/", "https://graph.microsoft.com/v1.0/"),
    ("https://graph.microsoftazure.us/", "https://graph.microsoft.us/v1.0/"),
];
/// Hosts that may be given an access token.
const GRAPH_HOSTS: &[&str] = &["https://graph.microsoft.com/", "https://graph.microsoft.us/"];

/// Where to ask for groups. The token of a person goes to no other host than Microsoft's.
fn graph_url(endpoint: &str) -> Option<String> {
    let moved = GRAPH
        .iter()
        .find_map(|(old, new)| endpoint.strip_prefix(old).map(|path| format!("{new}{path}")));
    let url = moved.unwrap_or_else(|| endpoint.to_owned());
    GRAPH_HOSTS.iter().any(|host| url.starts_with(host)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_goes_to_microsoft_alone() {
        for (endpoint, url) in [
            (
                "https://graph.windows.net/t/users/u/getMemberObjects",
                Some("https://graph.microsoft.com/v1.0/t/users/u/getMemberObjects"),
            ),
            (
                "https://graph.microsoft.com/v1.0/users/u/getMemberObjects",
                Some("https://graph.microsoft.com/v1.0/users/u/getMemberObjects"),
            ),
            ("https://graph.microsoft.com.evil.example/x", None),
            ("https://graph.microsoft.com@evil.example/x", None),
            ("http://graph.microsoft.com/x", None),
            ("https://evil.example/", None),
        ] {
            assert_eq!(graph_url(endpoint).as_deref(), url, "{endpoint}");
        }
    }

    #[test]
    fn providers_with_groups_in_one_text() {
        assert_eq!(split("a,b,,c", ','), serde_json::json!(["a", "b", "c"]));
        assert_eq!(split("a b", ' '), serde_json::json!(["a", "b"]));
    }
}
