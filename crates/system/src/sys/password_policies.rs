//! Password policies (`sys/policies/password`): read and kept here, understood by
//! [`strongroom_kernel::password_policy`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Result, SecretString};
use strongroom_kernel::password_policy::{PasswordPolicy, PasswordPolicyRecord};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::System;
use super::paging::page;

/// Adds the operations of this file.
pub fn add_password_policies(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListPasswordPolicies>("policies/password")
        .query::<ReadPasswordPolicy>("policies/password/{name}")
        .command::<PutPasswordPolicy>("policies/password/{name}")
        .command::<DeletePasswordPolicy>("policies/password/{name}")
        .query::<GeneratePassword>("policies/password/{name}/generate")
}

strongroom_base::fields! {
    /// Lists password policies.
    pub struct ListPasswordPolicies {
        /// Begin after this name.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}
strongroom_base::fields! {
    /// Reads a password policy.
    pub struct ReadPasswordPolicy {
        /// The policy's name.
        name: String,
    }
}
strongroom_base::fields! {
    /// Creates or replaces a password policy.
    pub struct PutPasswordPolicy {
        /// The policy's name.
        name: String,
        /// The policy: HCL or JSON, plain or base64.
        policy: Option<String>,
    }
}
strongroom_base::fields! {
    /// Deletes a password policy.
    pub struct DeletePasswordPolicy {
        /// The policy's name.
        name: String,
    }
}
strongroom_base::fields! {
    /// Makes a password by a policy.
    pub struct GeneratePassword {
        /// The policy's name.
        name: String,
    }
}

/// Names.
#[derive(Serialize)]
pub struct Names {
    keys: Vec<String>,
}

/// A password policy.
#[derive(Serialize)]
pub struct PasswordPolicyView {
    policy: String,
}

/// A password.
#[derive(Serialize)]
pub struct Generated {
    #[serde(serialize_with = "super::expose")]
    password: SecretString,
}

ops! {
    ListPasswordPolicies Names, List;
    ReadPasswordPolicy PasswordPolicyView, Read;
    PutPasswordPolicy (), Write;
    DeletePasswordPolicy (), Delete;
    GeneratePassword Generated, Read;
}

fn no_such_policy() -> Error {
    Error::new(ErrorKind::NotFound, "policy does not exist")
}

impl Query<ListPasswordPolicies> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ListPasswordPolicies) -> Result<Reply<Names>> {
        let view = cx.kernel_tx().read(cx.request.namespace.scope);
        let all = view.names::<PasswordPolicyRecord>(0).await?;
        let keys = page(all.to_vec(), op.after, op.limit);
        if keys.is_empty() {
            return Err(Error::not_found());
        }
        Ok(Reply::data(Names { keys }))
    }
}

impl Query<ReadPasswordPolicy> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        op: ReadPasswordPolicy,
    ) -> Result<Reply<PasswordPolicyView>> {
        let view = cx.kernel_tx().read(cx.request.namespace.scope);
        let record = view.named::<PasswordPolicyRecord>(0, &op.name).await?;
        let record = record.ok_or_else(no_such_policy)?;
        Ok(Reply::data(PasswordPolicyView { policy: record.text }))
    }
}

impl Query<GeneratePassword> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: GeneratePassword) -> Result<Reply<Generated>> {
        let password = cx.password(&op.name).await?.ok_or_else(no_such_policy)?;
        Ok(Reply::data(Generated { password }))
    }
}

impl Command<PutPasswordPolicy> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutPasswordPolicy) -> Result<Reply<()>> {
        let text = op.policy.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Error::bad_request("missing policy"))?;
        let plain = STANDARD.decode(&text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = plain.unwrap_or(text);
        PasswordPolicy::parse(&text)?;
        let view = cx.kernel_tx().write(cx.request.namespace.scope);
        view.put_named(0, &op.name, &PasswordPolicyRecord { text })?;
        Ok(Reply::none())
    }
}

impl Command<DeletePasswordPolicy> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeletePasswordPolicy) -> Result<Reply<()>> {
        let view = cx.kernel_tx().write(cx.request.namespace.scope);
        view.delete_named::<PasswordPolicyRecord>(0, &op.name);
        Ok(Reply::none())
    }
}
