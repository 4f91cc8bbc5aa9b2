//! The token of a managed identity: whose it is, and on which machine.

use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, Timestamp};
use strongroom_crypto::jws::{Algorithm, Compact};
use strongroom_crypto::keys::Hash;

use super::Azure;
use super::manager::Cloud;
use super::resource_ids::{ResourceId, is_uuid, same};
use super::stored::{Config, Role};
use crate::endpoints;
use crate::jwts::{Leeways, claims};

/// Bytes of a token: one with the most groups has some 12 KiB.
const BYTES_MAX: usize = 32 * 1_024;
/// The provider of machines.
const COMPUTE: &str = "Microsoft.Compute";

/// What a true token says.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The identity's object id.
    pub object_id: String,
    /// Its application id; "" where there is none.
    pub app_id: String,
    /// Object ids of its groups.
    pub groups: Vec<String>,
    /// Ids of the resource that the token was given to (`xms_az_rid`, `xms_mirid`).
    resources: Vec<String>,
}

fn refused(why: &str) -> Error {
    Error::bad_request(format!("unable to verify the JWT: {why}"))
}

impl Azure {
    /// Verifies a token.
    pub(super) async fn verify(
        &self,
        config: &Config,
        jwt: &str,
        now: Timestamp,
    ) -> Result<Claims> {
        let token = Some(jwt).filter(|jwt| jwt.len() <= BYTES_MAX);
        let token = token.and_then(|jwt| Compact::parse(jwt).ok());
        let token = token.ok_or_else(|| refused("it is no signed token"))?;
        let not_signed = || refused("no key of the tenant signed it");
        let algorithms = [Algorithm::Rs(Hash::Sha256)];
        if token.algorithm() != Ok(algorithms[0]) {
            return Err(not_signed());
        }
        let authority = Cloud::of(config)?.authority;
        let tenant = &config.tenant_id;
        let url = format!("{authority}/{tenant}/.well-known/openid-configuration");
        let discovery = self.keys.document(&url, "", now).await?;
        let text = |name: &str| {
            let text = discovery.json.get(name).and_then(Json::as_str);
            text.filter(|text| !text.is_empty() && !text.contains('{')).ok_or_else(|| {
                Error::new(ErrorKind::Upstream, "the tenant's discovery names no issuer and keys")
            })
        };
        let (issuer, keys) = (text("issuer")?, text("jwks_uri")?);
        let keys = endpoints::check("jwks_uri of the tenant's discovery", keys)?;
        let found = self.keys.verified(&token, &algorithms, (&keys, ""), now).await?;
        let found = found.ok_or_else(not_signed)?;
        check(&found, issuer, config, now)?;
        let text = |name: &str| claims::text(&found, name).unwrap_or_default().to_owned();
        let object_id = text("oid");
        if object_id.is_empty() {
            return Err(refused("it has no 'oid'"));
        }
        let groups = found.get("groups").and_then(Json::as_array).into_iter().flatten();
        Ok(Claims {
            object_id,
            app_id: text("appid"),
            groups: groups.filter_map(Json::as_str).map(str::to_owned).collect(),
            resources: [text("xms_az_rid"), text("xms_mirid")].into(),
        })
    }
}

/// Issuer, tenant, audience and times.
fn check(found: &JsonMap, issuer: &str, config: &Config, now: Timestamp) -> Result<()> {
    if claims::text(found, "iss") != Some(issuer) {
        return Err(refused("its issuer is not the tenant's"));
    }
    let tenant = claims::text(found, "tid");
    if is_uuid(&config.tenant_id) && tenant.is_some_and(|tid| !same(tid, &config.tenant_id)) {
        return Err(refused("it is of another tenant"));
    }
    if !claims::audiences(found).contains(&config.resource.as_str()) {
        return Err(refused("its audience is not the configured resource"));
    }
    if !matches!(claims::time(found, "exp"), Ok(Some(_))) {
        return Err(refused("it has no end"));
    }
    claims::check_times(found, now, Leeways::default()).map_err(refused)
}

impl Claims {
    /// May the identity log in to the role?
    pub fn check_role(&self, role: &Role) -> Result<()> {
        let any = |list: &[String]| list == ["*"];
        let (principals, groups) = (role.service_principals.as_slice(), role.groups.as_slice());
        let neither = principals.is_empty() && groups.is_empty();
        if neither || any(principals) && any(groups) || role.is_open() {
            return Err(Error::bad_request(
                "expected specific bound_group_ids or bound_service_principal_ids; both cannot be \
                 empty or '*'",
            ));
        }
        let bound = |list: &[String], id: &str| list.iter().any(|bound| same(bound, id));
        if !principals.is_empty() && !any(principals) && !bound(principals, &self.object_id) {
            return Err(Error::bad_request("service principal not authorized"));
        }
        if !groups.is_empty() && !any(groups) && !self.groups.iter().any(|id| bound(groups, id)) {
            return Err(Error::bad_request("groups not authorized"));
        }
        Ok(())
    }

    /// Was the token given to the machine called `name`?
    pub fn is_of_machine(&self, subscription: &str, group: &str, name: &str) -> bool {
        self.is_of(subscription, group, |id| {
            id.outermost(COMPUTE, "virtualMachines").is_some_and(|of| same(of, name))
        })
    }

    /// Was the token given to a machine of the scale set called `name`? Those of a flexible one are
    /// machines called by its name and a number.
    pub fn is_of_scale_set(&self, subscription: &str, group: &str, name: &str) -> bool {
        self.is_of(subscription, group, |id| {
            let uniform = id.outermost(COMPUTE, "virtualMachineScaleSets");
            let flexible = id.outermost(COMPUTE, "virtualMachines");
            let begins = format!("{}_", name.to_lowercase());
            uniform.is_some_and(|of| same(of, name))
                || flexible.is_some_and(|of| of.to_lowercase().starts_with(&begins))
        })
    }

    /// Was the token given to a resource of this subscription and resource group?
    pub fn is_in(&self, subscription: &str, group: &str) -> bool {
        self.is_of(subscription, group, |_| true)
    }

    /// Was the token given to the resource with this id?
    pub fn is_resource(&self, id: &str) -> bool {
        !id.is_empty() && self.resources.iter().any(|own| same(own, id))
    }

    fn is_of(
        &self,
        subscription: &str,
        group: &str,
        fits: impl Fn(&ResourceId<'_>) -> bool,
    ) -> bool {
        let mut ids = self.resources.iter().filter_map(|id| ResourceId::parse(id));
        ids.any(|id| id.is_in(subscription, group) && fits(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::Claims;

    /// threat CVE-2025-3879: names are compared whole, in their group and subscription.
    #[test]
    fn a_machine_is_the_whole_of_its_name() {
        let of = |id: &str| Claims { resources: vec![id.to_owned()], ..Claims::default() };
        let vm = "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/vm";
        let set = "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute\
                   /virtualMachineScaleSets/set/virtualMachines/0";
        let flexible = format!("{vm}_1a2b");
        let identity = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity\
                        /userAssignedIdentities/vm";
        for (id, subscription, group, name, machine, scale_set) in [
            (vm, "s", "g", "vm", true, false),
            (vm, "S", "G", "VM", true, false),
            (vm, "s", "g", "v", false, false),
            (vm, "s", "g", "vm2", false, false),
            (vm, "s", "other", "vm", false, false),
            (vm, "other", "g", "vm", false, false),
            (&flexible, "s", "g", "vm", false, true),
            (&flexible, "s", "g", "vm_1a2b", true, false),
            (set, "s", "g", "set", false, true),
            (set, "s", "g", "0", false, false),
            (set, "s", "g", "se", false, false),
            (identity, "s", "g", "vm", false, false),
            ("", "s", "g", "vm", false, false),
        ] {
            let claims = of(id);
            let told = (
                claims.is_of_machine(subscription, group, name),
                claims.is_of_scale_set(subscription, group, name),
            );
            assert_eq!(told, (machine, scale_set), "{id} {name}");
        }
    }
}
