//! Roles: create, change, read, delete, list.

use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx};

use super::Azure;
use super::stored::Role;
use crate::roles;
use crate::token_params::{TokenFields, TokenSettings};

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        name: String,
        /// Object ids of managed identities; `*` is any.
        bound_service_principal_ids: Option<Vec<String>>,
        /// Object ids of groups; `*` is any.
        bound_group_ids: Option<Vec<String>>,
        /// Subscriptions.
        bound_subscription_ids: Option<Vec<String>>,
        /// Resource groups.
        bound_resource_groups: Option<Vec<String>>,
        /// Locations.
        bound_locations: Option<Vec<String>>,
        /// Scale sets.
        bound_scale_sets: Option<Vec<String>>,
    }
}
roles::operations!(Azure, Role, name);

impl Command<PutRole> for Azure {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let (name, old) = roles::begin::<Role>(cx, &op.name).await?;
        let mut role = old.as_deref().cloned().unwrap_or_default();
        let mut warnings = role.token.apply(op.token)?;
        for (value, given) in [
            (&mut role.service_principals, op.bound_service_principal_ids),
            (&mut role.groups, op.bound_group_ids),
            (&mut role.subscriptions, op.bound_subscription_ids),
            (&mut role.resource_groups, op.bound_resource_groups),
            (&mut role.locations, op.bound_locations),
            (&mut role.scale_sets, op.bound_scale_sets),
        ] {
            if let Some(given) = given {
                *value = given.into_iter().filter(|text| !text.is_empty()).collect();
            }
        }
        if bindings(&role).iter().all(|(_, list)| list.is_empty()) {
            return Err(Error::bad_request(
                "must have at least one bound constraint when creating/updating a role",
            ));
        }
        if role.is_open() {
            return Err(Error::bad_request(
                "bound_service_principal_ids or bound_group_ids of '*' needs another constraint: any \
                 identity of the tenant could log in",
            ));
        }
        if role.service_principals.is_empty() && role.groups.is_empty() {
            warnings.push(
                "nobody can log in until bound_service_principal_ids or bound_group_ids is set"
                    .to_owned(),
            );
        }
        roles::check(cx, &role, &mut warnings)?;
        roles::put(cx, &name, &role, warnings)
    }
}

fn bindings(role: &Role) -> [(&'static str, &Vec<String>); 6] {
    [
        ("bound_service_principal_ids", &role.service_principals),
        ("bound_group_ids", &role.groups),
        ("bound_subscription_ids", &role.subscriptions),
        ("bound_resource_groups", &role.resource_groups),
        ("bound_locations", &role.locations),
        ("bound_scale_sets", &role.scale_sets),
    ]
}

impl roles::Role for Role {
    fn token(&self) -> &TokenSettings {
        &self.token
    }

    fn show(&self, into: &mut JsonMap) {
        for (name, list) in bindings(self) {
            into.insert(name.to_owned(), list.clone().into());
        }
        self.token.show(into);
    }

    fn period_beyond(period: &str, most: &str) -> String {
        format!(
            "token period of \"{period}\" is greater than the backend's maximum lease TTL of \"{most}\""
        )
    }
}
