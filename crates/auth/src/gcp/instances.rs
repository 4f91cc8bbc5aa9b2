//! Whether an instance may log in to a role.

use strongroom_base::{Error, ErrorKind, Json, Result};

use super::api::{Google, ServiceAccount};
use super::stored::Role;
use super::token::Instance;

/// Pages of a group that are looked at.
const PAGES_MAX: usize = 20;

/// An instance that Compute knows.
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    labels: Json,
    self_link: String,
}

/// Looks an instance up: it must be the very one that the token is of.
pub async fn find(google: &Google<'_>, of: &Instance) -> Result<Found> {
    let found = google.instance(&of.project_id, &of.zone, &of.instance_name).await?;
    let gone = || Error::bad_request("the instance of the JWT is not there");
    let found = found.ok_or_else(gone)?;
    let text = |name: &str| match found.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if text("id") != of.instance_id {
        return Err(gone());
    }
    let (name, self_link) = (text("name"), text("selfLink"));
    if name.is_empty() || self_link.is_empty() {
        return Err(Error::new(ErrorKind::Upstream, "Google's answer is no instance"));
    }
    let labels = found.get("labels").cloned().unwrap_or(Json::Null);
    Ok(Found { name, id: text("id"), labels, self_link })
}

/// Refuses an instance that the role is not bound to.
pub async fn authorise(
    google: &Google<'_>,
    role: &Role,
    of: &Instance,
    found: &Found,
    account: &ServiceAccount,
) -> Result<()> {
    let refused = |why: &str| Err(Error::bad_request(why));
    if !role.projects.is_empty() && !role.projects.contains(&of.project_id) {
        return refused("instance not in bound projects");
    }
    let label = |(name, value): (&String, &String)| {
        found.labels.get(name).and_then(Json::as_str) == Some(value.as_str())
    };
    if !role.labels.iter().all(label) {
        return refused("instance missing bound label");
    }
    let region = of.zone.rsplit_once('-').map_or("", |(region, _)| region);
    if !role.zones.is_empty() {
        if !role.zones.contains(&of.zone) {
            return refused("instance not in bound zones");
        }
    } else if !role.regions.is_empty() && !role.regions.iter().any(|r| r == region) {
        return refused("instance not in bound regions");
    }
    if !role.instance_groups.is_empty() && !in_a_group(google, role, of, found, region).await? {
        return refused("instance is not part of bound instance groups");
    }
    let accounts = &role.service_accounts;
    if !accounts.is_empty()
        && !accounts.contains(&account.email)
        && !accounts.contains(&account.unique_id)
    {
        return refused("service account is not in bound service accounts");
    }
    Ok(())
}

/// Is the instance in one of the role's groups? Those of a zone hold instances of that zone, those of
/// a region of all its zones.
async fn in_a_group(
    google: &Google<'_>,
    role: &Role,
    of: &Instance,
    found: &Found,
    region: &str,
) -> Result<bool> {
    if role.zones.is_empty() && role.regions.is_empty() {
        return Err(Error::bad_request("instance group is not bound to any zones or regions"));
    }
    let mut places = vec![("zones", of.zone.as_str())];
    if role.zones.is_empty() {
        places.push(("regions", region));
    }
    for group in &role.instance_groups {
        for place in &places {
            let mut page = String::new();
            for _ in 0..PAGES_MAX {
                let listed = google
                    .group_page(&of.project_id, *place, group, &found.self_link, &page)
                    .await?;
                let Some(listed) = listed else { break };
                let items = listed.get("items").and_then(Json::as_array);
                let mut instances =
                    items.into_iter().flatten().filter_map(|item| item.get("instance"));
                if instances.any(|instance| instance.as_str() == Some(&found.self_link)) {
                    return Ok(true);
                }
                match listed.get("nextPageToken").and_then(Json::as_str) {
                    Some(next) if !next.is_empty() => page = next.to_owned(),
                    _ => break,
                }
            }
        }
    }
    Ok(false)
}
