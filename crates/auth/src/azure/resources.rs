//! Whether the machine, or other resource, of a login is one that the role is bound to.

use strongroom_base::{Error, Json, Result, Timestamp};

use super::Azure;
use super::claims::Claims;
use super::manager::Manager;
use super::resource_ids::{ResourceId, is_group, is_machine, is_uuid, same};
use super::stored::{Config, Role};

/// User-assigned identities of one resource that are looked at by themselves.
const IDENTITIES_MAX: usize = 32;
/// The provider of machines.
const COMPUTE: &str = "Microsoft.Compute";

/// What a login says of where it comes from.
pub struct Place {
    /// The subscription.
    pub subscription: String,
    /// The resource group.
    pub group: String,
    /// The machine; without effect beside a scale set.
    pub machine: String,
    /// The scale set.
    pub scale_set: String,
    /// The id of another resource; without effect beside a machine or scale set.
    pub resource_id: String,
}

/// What Resource Manager says of a resource.
struct Resource {
    location: String,
    principals: Vec<String>,
}

fn refused(why: &str) -> Error {
    Error::bad_request(why)
}

impl Place {
    /// Refuses names that are none.
    pub fn check(&self) -> Result<()> {
        for (what, text, good) in [
            ("subscription id", &self.subscription, is_uuid(&self.subscription)),
            ("resource group name", &self.group, is_group(&self.group)),
            ("vmss_name", &self.scale_set, is_machine(&self.scale_set)),
            ("vm name", &self.machine, is_machine(&self.machine)),
            ("resource_id", &self.resource_id, ResourceId::parse(&self.resource_id).is_some()),
        ] {
            if !text.is_empty() && !good {
                return Err(Error::bad_request(format!("invalid {what}")));
            }
        }
        Ok(())
    }

    /// The id of the resource, where the token does not say otherwise.
    fn resource(&self, claims: &Claims, role: &Role) -> Result<ResourceId<'_>> {
        let compute = |kind, name| ResourceId {
            subscription: &self.subscription,
            group: &self.group,
            namespace: COMPUTE,
            levels: vec![(kind, name)],
        };
        let bound = |name: &String| role.scale_sets.iter().any(|bound| same(bound, name));
        let (subscription, group) = (self.subscription.as_str(), self.group.as_str());
        if !self.scale_set.is_empty() {
            if !claims.is_of_scale_set(subscription, group, &self.scale_set) {
                return Err(refused("the token was not given to that scale set"));
            }
            if !role.scale_sets.is_empty() && !bound(&self.scale_set) {
                return Err(refused("scale set not authorized"));
            }
            return Ok(compute("virtualMachineScaleSets", self.scale_set.as_str()));
        }
        if !role.scale_sets.is_empty() {
            return Err(refused("bound scale set defined but no vmss_name given"));
        }
        if !self.machine.is_empty() {
            if !claims.is_of_machine(subscription, group, &self.machine) {
                return Err(refused("the token was not given to that machine"));
            }
            return Ok(compute("virtualMachines", self.machine.as_str()));
        }
        let id = ResourceId::parse(&self.resource_id)
            .ok_or_else(|| refused("one of vm_name, vmss_name or resource_id must be provided"))?;
        if !id.is_in(subscription, group) {
            return Err(refused("provided resource_id does not match resource_group_name"));
        }
        Ok(id)
    }
}

/// What of a place is told as metadata: what the token says, too. `by_manager` is an id that Resource
/// Manager knows with the caller's identity.
fn told(claims: &Claims, place: &Place, by_manager: &str) -> Vec<(&'static str, String)> {
    let (subscription, group) = (place.subscription.as_str(), place.group.as_str());
    let mut told = Vec::new();
    let mut add = |name, text: &str, good: bool| {
        if good && !text.is_empty() {
            told.push((name, text.to_owned()));
        }
    };
    let confirmed = !by_manager.is_empty();
    let here = confirmed || claims.is_in(subscription, group);
    add("subscription_id", subscription, here);
    add("resource_group_name", group, here);
    add("vm_name", &place.machine, claims.is_of_machine(subscription, group, &place.machine));
    let of_set = claims.is_of_scale_set(subscription, group, &place.scale_set);
    add("vmss_name", &place.scale_set, of_set);
    let resource = place.resource_id.as_str();
    add("resource_id", resource, same(by_manager, resource) || claims.is_resource(resource));
    told
}

/// Refuses a login from where the role is not bound to. Answers what was confirmed of where it is from,
/// as metadata: names that a caller gives are told only then.
pub async fn authorise(
    azure: &Azure,
    config: &Config,
    role: &Role,
    claims: &Claims,
    place: &Place,
    now: Timestamp,
) -> Result<Vec<(&'static str, String)>> {
    if !role.has_places() {
        return Ok(told(claims, place, ""));
    }
    if place.subscription.is_empty() || place.group.is_empty() {
        return Err(refused("subscription_id and resource_group_name are required"));
    }
    let listed = |list: &[String], text: &str| list.iter().any(|bound| same(bound, text));
    if !role.subscriptions.is_empty() && !listed(&role.subscriptions, &place.subscription) {
        return Err(refused("subscription not authorized"));
    }
    let id = place.resource(claims, role)?;
    let manager = azure.manager(config, now).await?;
    let resource = look_up(&manager, &id).await?;
    if !listed(&resource.principals, &claims.object_id) {
        by_application(&manager, role, claims, place).await?;
        return Ok(told(claims, place, ""));
    }
    if !role.resource_groups.is_empty() && !listed(&role.resource_groups, &place.group) {
        return Err(refused("resource group not authorized"));
    }
    if !role.locations.is_empty() && !listed(&role.locations, &resource.location) {
        return Err(refused("location not authorized"));
    }
    let other = place.machine.is_empty() && place.scale_set.is_empty();
    Ok(told(claims, place, if other { &place.resource_id } else { "" }))
}

/// The identity is not the resource's: it may still be a user-assigned one of a bound resource group
/// (workload identities), told by its application id. Of where it is used nothing is known then.
async fn by_application(
    manager: &Manager<'_>,
    role: &Role,
    claims: &Claims,
    place: &Place,
) -> Result<()> {
    if claims.app_id.is_empty() || !role.locations.is_empty() {
        return Err(refused("token object id does not match expected identities"));
    }
    let own = [place.group.clone()];
    let groups = if role.resource_groups.is_empty() { &own[..] } else { &role.resource_groups };
    for group in groups.iter().filter(|group| is_group(group)) {
        let ids = manager.client_ids(&place.subscription, group).await?;
        if ids.iter().any(|id| same(id, &claims.app_id)) {
            return Ok(());
        }
    }
    Err(refused("neither token object id nor token app id match expected identities"))
}

async fn look_up(manager: &Manager<'_>, id: &ResourceId<'_>) -> Result<Resource> {
    let found = match id.namespace {
        COMPUTE if id.levels.len() == 1 => manager.compute(id).await?,
        _ => manager.resource(id).await?,
    };
    let identity = found.get("identity").filter(|identity| identity.is_object());
    let identity = identity.ok_or_else(|| refused("the resource has no identity"))?;
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let mut principals: Vec<String> = text(identity, "principalId").into_iter().collect();
    let assigned = identity.get("userAssignedIdentities").and_then(Json::as_object);
    for (assigned_id, assigned) in assigned.into_iter().flatten().take(IDENTITIES_MAX) {
        let principal = match text(assigned, "principalId") {
            Some(principal) => Some(principal),
            // Scale sets name their identities only.
            None => {
                let id = ResourceId::parse(assigned_id)
                    .ok_or_else(|| refused("unable to parse a user-assigned identity's id"))?;
                let found = manager.identity(&id).await?;
                found.get("properties").and_then(|properties| text(properties, "principalId"))
            }
        };
        principals.extend(principal);
    }
    Ok(Resource { location: text(&found, "location").unwrap_or_default(), principals })
}
