//! Microsoft's Entra ID (`azure`): a token does not hold the groups of who is in more than 200 of them,
//! but says where they can be asked for.

use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result};
use strongroom_connectors::web::{Call, Failure};

use super::super::Jwt;
use super::super::flows::Proven;
use super::super::stored::{Config, Role};

impl Jwt {
    /// The groups of who is in more than 200: Azure says where they can be asked for (Core §5.6.2),
    /// and that is asked by the access token.
    pub(super) async fn azure_groups(
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
        let unreachable = |f: Failure| {
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
}
