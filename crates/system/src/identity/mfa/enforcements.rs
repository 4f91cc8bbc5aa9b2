//! `identity/mfa/login-enforcement`: whose logins need which methods. They hold in their namespace
//! and all below it.

use serde_json::json;
use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::mfa::{Enforcement, Enforcements};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::super::{IdentityStore, directory, mounts, views};
use super::{find, refuse};

/// Enforcements of a namespace: each login looks at all of them.
const ENFORCEMENTS_MAX: usize = 256;
/// Ids in one of an enforcement's lists.
const IDS_MAX: usize = 1_000;

fields! {
    /// Makes an enforcement, or changes it.
    pub struct PutEnforcement {
        /// Its name.
        enforcement: String,
        /// Ids of methods, of which one must be passed.
        mfa_method_ids: Option<Vec<String>>,
        /// Accessors of auth mounts whose logins need it.
        auth_method_accessors: Option<Vec<String>>,
        /// Types of auth mounts whose logins need it.
        auth_method_types: Option<Vec<String>>,
        /// Ids of groups whose members need it.
        identity_group_ids: Option<Vec<String>>,
        /// Ids of entities that need it.
        identity_entity_ids: Option<Vec<String>>,
    }
}
fields! {
    /// Reads an enforcement.
    pub struct ReadEnforcement {
        /// Its name.
        enforcement: String,
    }
}
fields! {
    /// Deletes an enforcement.
    pub struct DeleteEnforcement {
        /// Its name.
        enforcement: String,
    }
}
fields! {
    /// Lists the enforcements of this namespace.
    pub struct ListEnforcements {}
}
ops! {
    PutEnforcement (), Write;
    ReadEnforcement JsonMap, Read;
    DeleteEnforcement (), Delete;
    ListEnforcements JsonMap, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    // Not called `name`: the case of these names matters.
    spec.query::<ListEnforcements>("mfa/login-enforcement/")
        .query::<ReadEnforcement>("mfa/login-enforcement/{enforcement}")
        .command::<PutEnforcement>("mfa/login-enforcement/{enforcement}")
        .command::<DeleteEnforcement>("mfa/login-enforcement/{enforcement}")
}

async fn all(cx: &ReadCx<'_>) -> Result<Enforcements> {
    let view = cx.kernel_tx().read(cx.request.namespace.scope);
    Ok(view.named(0, "").await?.unwrap_or_default())
}

fn put(cx: &WriteCx<'_>, all: &Enforcements) -> Result<()> {
    cx.kernel_tx().write(cx.request.namespace.scope).put_named(0, "", all)
}

/// Is there an auth mount of the request's namespace, given by accessor and type, that is meant?
async fn has_mount(cx: &ReadCx<'_>, meant: impl Fn(&str, &str) -> bool) -> Result<bool> {
    let table = mounts(cx).await?;
    let found = table.of(cx.request.namespace.scope).any(|entry| {
        entry.mount.class == Class::Auth && meant(&entry.mount.accessor, &entry.mount.kind)
    });
    Ok(found)
}

/// Puts what is given in the place of what is there, checked.
async fn change(cx: &ReadCx<'_>, op: PutEnforcement, of: &mut Enforcement) -> Result<()> {
    let lists = [
        &op.mfa_method_ids,
        &op.auth_method_accessors,
        &op.auth_method_types,
        &op.identity_group_ids,
        &op.identity_entity_ids,
    ];
    if lists.iter().any(|list| list.as_ref().is_some_and(|ids| ids.len() > IDS_MAX)) {
        return refuse("a list of an enforcement has at most 1000 entries");
    }
    // An enforcement without a method could be satisfied by nobody.
    let Some(methods) = op.mfa_method_ids.as_ref().filter(|ids| !ids.is_empty()) else {
        return refuse("missing method ids");
    };
    if lists.iter().skip(1).all(|list| list.is_none()) {
        return refuse(
            "One of auth_method_accessors, auth_method_types, identity_group_ids, \
             identity_entity_ids must be specified",
        );
    }
    for id in methods {
        if find(cx, id).await?.is_none() {
            return refuse("one of the provided method ids doesn't exist");
        }
    }
    of.methods.clone_from(methods);
    if let Some(accessors) = op.auth_method_accessors {
        for given in &accessors {
            if !has_mount(cx, |accessor, _| accessor == given).await? {
                return refuse("one of the auth method accessors provided is invalid");
            }
        }
        of.accessors = accessors;
    }
    if let Some(kinds) = op.auth_method_types {
        for given in &kinds {
            if !has_mount(cx, |_, kind| kind == given).await? {
                return refuse("one of the auth method types provided is invalid");
            }
        }
        of.kinds = kinds;
    }
    if let Some(groups) = op.identity_group_ids {
        for id in &groups {
            if directory(cx).group(id).await?.is_none() {
                return refuse("one of the provided group ids doesn't exist");
            }
        }
        of.groups = groups;
    }
    if let Some(entities) = op.identity_entity_ids {
        for id in &entities {
            if directory(cx).unmerged(id).await?.is_none() {
                return refuse("one of the provided entity ids doesn't exist");
            }
        }
        of.entities = entities;
    }
    Ok(())
}

impl Command<PutEnforcement> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutEnforcement) -> Result<Reply<()>> {
        cx.queue("mfa").await;
        names::check(&op.enforcement)?;
        let mut all = all(cx).await?;
        let at = all.0.iter().position(|own| own.name == op.enforcement);
        let mut enforcement = match at {
            Some(at) => all.0.remove(at),
            None if all.0.len() >= ENFORCEMENTS_MAX => {
                return refuse("the namespace has as many login enforcements as it can");
            }
            None => Enforcement {
                id: cx.rng().uuid(),
                name: op.enforcement.clone(),
                ..Enforcement::default()
            },
        };
        change(cx, op, &mut enforcement).await?;
        all.0.push(enforcement);
        all.0.sort_by(|a, b| a.name.cmp(&b.name));
        put(cx, &all)?;
        Ok(Reply::none())
    }
}

fn view(cx: &ReadCx<'_>, of: &Enforcement) -> JsonMap {
    views::object(json!({
        "id": of.id,
        "name": of.name,
        "namespace_id": cx.request.namespace.id,
        "namespace_path": cx.request.namespace.path,
        "mfa_method_ids": of.methods,
        "auth_method_accessors": of.accessors,
        "auth_method_types": of.kinds,
        "identity_group_ids": of.groups,
        "identity_entity_ids": of.entities,
    }))
}

impl Query<ReadEnforcement> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadEnforcement) -> Result<Reply<JsonMap>> {
        let all = all(cx).await?;
        let found = all.0.iter().find(|own| own.name == op.enforcement);
        Ok(Reply::data(view(cx, found.ok_or_else(Error::not_found)?)))
    }
}

impl Command<DeleteEnforcement> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteEnforcement) -> Result<Reply<()>> {
        cx.queue("mfa").await;
        let mut all = all(cx).await?;
        all.0.retain(|own| own.name != op.enforcement);
        put(cx, &all)?;
        Ok(Reply::none())
    }
}

impl Query<ListEnforcements> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListEnforcements) -> Result<Reply<JsonMap>> {
        let all = all(cx).await?;
        views::list_with_info(all.0.iter().map(|of| (of.name.clone(), view(cx, of))).collect())
    }
}
