//! Adding to and taking from the lists of a role.

use strongroom_base::{Error, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::stored::{self, Kind, Role};
use super::{Gcp, roles};

fields! {
    /// Changes the service accounts of a role of the type `iam`.
    pub struct EditAccounts {
        /// The role's name.
        name: String,
        /// Accounts to add.
        add: Vec<String>,
        /// Accounts to take away.
        remove: Vec<String>,
    }
}
fields! {
    /// Changes the labels of a role of the type `gce`.
    pub struct EditLabels {
        /// The role's name.
        name: String,
        /// Labels to add, as `name:value`.
        add: Vec<String>,
        /// Names of labels to take away.
        remove: Vec<String>,
    }
}

ops! {
    EditAccounts (), Write;
    EditLabels (), Write;
}

pub(super) fn add(spec: EngineSpec<Gcp>) -> EngineSpec<Gcp> {
    spec.command::<EditAccounts>("role/{name}/service-accounts")
        .command::<EditLabels>("role/{name}/labels")
}

/// The role to change, which must be of this type.
async fn role(cx: &mut WriteCx<'_>, name: &str, kind: Kind, what: &str) -> Result<Role> {
    cx.queue(name).await;
    let role = stored::role(&cx.view(), name).await?;
    let role = role.ok_or_else(|| Error::bad_request("role not found"))?;
    if role.kind != kind {
        return Err(Error::bad_request(format!(
            "role is type '{}', cannot edit attribute '{what}' (expected role type: '{}')",
            role.kind.name(),
            kind.name()
        )));
    }
    Ok((*role).clone())
}

fn some(add: &[String], remove: &[String]) -> Result<()> {
    if add.is_empty() && remove.is_empty() {
        return Err(Error::bad_request("must provide at least one value to add or remove"));
    }
    Ok(())
}

impl Command<EditAccounts> for Gcp {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EditAccounts) -> Result<Reply<()>> {
        some(&op.add, &op.remove)?;
        let name = op.name.to_lowercase();
        let mut role = role(cx, &name, Kind::Iam, "service_accounts").await?;
        role.service_accounts.extend(op.add);
        role.service_accounts.retain(|account| !op.remove.contains(account));
        role.service_accounts = roles::tidy(role.service_accounts);
        roles::check(&role, &mut Vec::new())?;
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none())
    }
}

impl Command<EditLabels> for Gcp {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EditLabels) -> Result<Reply<()>> {
        some(&op.add, &op.remove)?;
        let name = op.name.to_lowercase();
        let mut role = role(cx, &name, Kind::Gce, "labels").await?;
        role.labels.extend(roles::labels(op.add)?);
        role.labels.retain(|label, _| !op.remove.contains(label));
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none())
    }
}
