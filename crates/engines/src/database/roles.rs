//! `roles/NAME`: what accounts look like that are made for whoever asks.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::role::Role;
use super::static_role::StaticRole;
use super::{DatabaseEngine, Statements};

fields! {
    /// Lists the roles.
    pub struct ListRoles {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a role.
    pub struct ReadRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Creates or changes a role. What is not said stays as it was.
    pub struct PutRole {
        /// The role's name.
        name: String,
        /// The name of the connection its accounts are made with.
        db_name: Option<String>,
        /// Statements that make an account.
        creation_statements: Option<Statements>,
        /// Statements that remove one.
        revocation_statements: Option<Statements>,
        /// Statements that undo a creation that failed.
        rollback_statements: Option<Statements>,
        /// Statements that move the end of one.
        renew_statements: Option<Statements>,
        /// How long an account lives.
        default_ttl: Option<Ttl>,
        /// How long it can live over all renewals.
        max_ttl: Option<Ttl>,
        /// password, rsa_private_key or client_certificate.
        credential_type: Option<String>,
        /// Settings of the credential.
        credential_config: Option<BTreeMap<String, String>>,
    }
}
fields! {
    /// Removes a role. Accounts that were made by it live on until their leases end.
    pub struct DeleteRole {
        /// The role's name.
        name: String,
    }
}

ops! {
    ListRoles Keys, List;
    ReadRole Json, Read;
    PutRole (), Write;
    DeleteRole (), Delete;
}

pub(super) fn add(spec: EngineSpec<DatabaseEngine>) -> EngineSpec<DatabaseEngine> {
    spec.query::<ListRoles>("roles/")
        .query::<ReadRole>("roles/{name}")
        .command::<PutRole>("roles/{name}")
        .exists::<PutRole>("roles/{name}")
        .command::<DeleteRole>("roles/{name}")
}

impl Query<ListRoles> for DatabaseEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        lists::of_records::<Role>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadRole> for DatabaseEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<Json>> {
        let role = cx.view().named::<Role>(0, &op.name).await?.ok_or_else(Error::not_found)?;
        let mut shown = json!({
            "db_name": role.db_name,
            "creation_statements": role.creation,
            "revocation_statements": role.revocation,
            "rollback_statements": role.rollback,
            "renew_statements": role.renewal,
            "default_ttl": role.default_ttl,
            "max_ttl": role.max_ttl,
            "credential_type": role.credential.name(),
        });
        if let (Some(config), Json::Object(map)) = (role.credential.shown(), &mut shown) {
            map.insert("credential_config".to_owned(), Json::Object(config));
        }
        Ok(Reply::data(shown))
    }
}

impl Exists<PutRole> for DatabaseEngine {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name);
        Ok(cx.view().named::<Role>(0, name).await?.is_some())
    }
}

impl Command<PutRole> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        names::check(&op.name)?;
        cx.queue(&op.name).await;
        if cx.view().named::<StaticRole>(0, &op.name).await?.is_some() {
            return Err(Error::bad_request("Role and Static Role names must be unique"));
        }
        let mut role = cx.view().named::<Role>(0, &op.name).await?.unwrap_or_default();
        if let Some(name) = op.db_name {
            role.db_name = name;
        }
        if role.db_name.is_empty() {
            return Err(Error::bad_request("database name is required"));
        }
        for (kept, said) in [
            (&mut role.creation, op.creation_statements),
            (&mut role.revocation, op.revocation_statements),
            (&mut role.rollback, op.rollback_statements),
            (&mut role.renewal, op.renew_statements),
        ] {
            if let Some(Statements(statements)) = said {
                *kept = statements;
            }
        }
        for (name, kept, said) in [
            ("default_ttl", &mut role.default_ttl, op.default_ttl),
            ("max_ttl", &mut role.max_ttl, op.max_ttl),
        ] {
            if let Some(Ttl(seconds)) = said {
                if seconds < 0 {
                    return Err(Error::bad_request(format!("{name} must not be negative")));
                }
                *kept = seconds;
            }
        }
        role.credential.apply(op.credential_type, op.credential_config)?;
        cx.edit().put_named(0, &op.name, &role)?;
        Ok(Reply::none())
    }
}

impl Command<DeleteRole> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.queue(&op.name).await;
        cx.edit().delete_named::<Role>(0, &op.name);
        Ok(Reply::none())
    }
}
