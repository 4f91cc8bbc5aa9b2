//! `config/zeroaddress`: roles whose one-time passwords are for machines of any address.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::Record;

use super::SshEngine;
use super::role::Role;

/// The one record of them.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ZeroAddress {
    /// Names of roles.
    pub roles: Vec<String>,
}

impl Record for ZeroAddress {
    const KIND: u8 = 2;
}

fields! {
    /// Shows the roles that are good for any address.
    pub struct ReadZeroAddress {}
}
fields! {
    /// Says which roles are good for any address.
    pub struct PutZeroAddress {
        /// Names of roles.
        roles: Vec<String>,
    }
}
fields! {
    /// No role is good for any address.
    pub struct DeleteZeroAddress {}
}

ops! {
    ReadZeroAddress Json, Read;
    PutZeroAddress (), Write;
    DeleteZeroAddress (), Delete;
}

pub(super) fn add(spec: EngineSpec<SshEngine>) -> EngineSpec<SshEngine> {
    spec.query::<ReadZeroAddress>("config/zeroaddress")
        .command::<PutZeroAddress>("config/zeroaddress")
        .command::<DeleteZeroAddress>("config/zeroaddress")
}

/// The names of the roles.
pub(super) async fn roles(cx: &ReadCx<'_>) -> Result<Vec<String>> {
    let found = cx.view().cached::<ZeroAddress>(0, "").await?;
    Ok(found.map_or_else(Vec::new, |found| found.roles.clone()))
}

/// Takes a role out that is going.
pub(super) async fn forget(cx: &mut WriteCx<'_>, role: &str) -> Result<()> {
    let Some(mut found) = cx.view().named::<ZeroAddress>(0, "").await? else { return Ok(()) };
    let before = found.roles.len();
    found.roles.retain(|name| name != role);
    if found.roles.len() < before {
        cx.edit().put_named(0, "", &found)?;
    }
    Ok(())
}

impl Query<ReadZeroAddress> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadZeroAddress) -> Result<Reply<Json>> {
        let found = cx.view().cached::<ZeroAddress>(0, "").await?;
        let found = found.ok_or_else(Error::not_found)?;
        Ok(Reply::data(json!({ "roles": found.roles })))
    }
}

impl Command<PutZeroAddress> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutZeroAddress) -> Result<Reply<()>> {
        if op.roles.is_empty() {
            return Err(Error::bad_request("Missing roles"));
        }
        cx.queue("roles").await;
        for name in &op.roles {
            if cx.view().cached::<Role>(0, name).await?.is_none() {
                return Err(Error::bad_request("one of the roles does not exist"));
            }
        }
        cx.edit().put_named(0, "", &ZeroAddress { roles: op.roles })?;
        Ok(Reply::none())
    }
}

impl Command<DeleteZeroAddress> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteZeroAddress) -> Result<Reply<()>> {
        cx.edit().delete_named::<ZeroAddress>(0, "");
        Ok(Reply::none())
    }
}
