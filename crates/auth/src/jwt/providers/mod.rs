//! What is particular to some providers (`provider_config`): where their groups are, what more they
//! know of a person, where their keys are.

mod azure;
mod cluster;
mod workspace;

use strongroom_base::{Error, Json, JsonMap, Result, Timestamp};

use super::flows::Proven;
use super::stored::{Config, Kept, Role};
use super::{Jwt, claims};

pub(super) use cluster::Cluster;

/// The member of `provider_config` that is a secret: it is kept by itself, and never shown.
const SECRET: &str = "gsuite_service_account";

fn refuse<T>(text: &str) -> Result<T> {
    Err(Error::bad_request(format!("invalid provider_config: {text}")))
}

/// Takes the secret out of a `provider_config`.
pub fn take_secret(provider_config: &mut JsonMap) -> Kept {
    match provider_config.remove(SECRET) {
        None | Some(Json::Null) => Kept::default(),
        Some(Json::String(text)) => Kept::from(text),
        Some(object) => Kept::from(object.to_string()),
    }
}

/// Refuses a `provider_config` that is none.
pub fn check(config: &Config, cluster: &Cluster) -> Result<()> {
    let map = &config.provider_config;
    if map.is_empty() {
        return Ok(());
    }
    match map.get("provider").and_then(Json::as_str) {
        None => refuse("'provider' field not found in provider_config"),
        Some("azure" | "secureauth" | "ibmisam") => Ok(()),
        Some("gsuite") => workspace::check(config).or_else(|why| refuse(&why)),
        Some("kubernetes") => cluster.check(config).or_else(refuse),
        Some(_) => refuse("the provider is not found in custom providers"),
    }
}

impl Jwt {
    /// Puts into the claims what the provider has in a way of its own.
    pub async fn complete(
        &self,
        config: &Config,
        role: &Role,
        claims: &mut JsonMap,
        proven: Option<&Proven>,
        now: Timestamp,
    ) -> Result<()> {
        if config.provider() == "gsuite" {
            return self.ask_workspace(config, role, claims, now).await;
        }
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
}

fn split(groups: &str, separator: char) -> Json {
    groups.split(separator).filter(|group| !group.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_with_groups_in_one_text() {
        assert_eq!(split("a,b,,c", ','), serde_json::json!(["a", "b", "c"]));
        assert_eq!(split("a b", ' '), serde_json::json!(["a", "b"]));
    }
}
