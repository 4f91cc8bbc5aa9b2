//! Which policies users and groups have.

use serde::Serialize;
use strongroom_base::{Error, Result, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::tokens::normalise_policies;

use super::Ldap;
use super::stored::{self, Group, User};

fields! {
    /// Gives a group policies.
    pub struct PutGroup {
        /// The group's name.
        name: String,
        /// Policies of its members.
        policies: Vec<String>,
    }
}
fields! {
    /// Reads a group's policies.
    pub struct ReadGroup {
        /// The group's name.
        name: String,
    }
}
fields! {
    /// Takes a group's policies from it.
    pub struct DeleteGroup {
        /// The group's name.
        name: String,
    }
}
fields! {
    /// Lists the groups that have policies.
    pub struct ListGroups {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}
fields! {
    /// Gives a user policies, and groups beside those of the directory.
    pub struct PutUser {
        /// The user's name.
        name: String,
        /// Policies of the user.
        policies: Vec<String>,
        /// Groups beside those of the directory.
        groups: Vec<String>,
    }
}
fields! {
    /// Reads a user's policies and groups.
    pub struct ReadUser {
        /// The user's name.
        name: String,
    }
}
fields! {
    /// Takes a user's policies and groups from him.
    pub struct DeleteUser {
        /// The user's name.
        name: String,
    }
}
fields! {
    /// Lists the users who have policies or groups of their own.
    pub struct ListUsers {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}

/// A group's policies.
#[derive(Serialize)]
pub struct GroupView {
    /// Sorted.
    pub policies: Vec<String>,
}

/// A user's policies and groups.
#[derive(Serialize)]
pub struct UserView {
    /// Separated by commas.
    pub groups: String,
    /// Sorted.
    pub policies: Vec<String>,
}

ops! {
    PutGroup (), Write;
    ReadGroup GroupView, Read;
    DeleteGroup (), Delete;
    ListGroups Keys, List;
    PutUser (), Write;
    ReadUser UserView, Read;
    DeleteUser (), Delete;
    ListUsers Keys, List;
}

pub(super) fn add(spec: EngineSpec<Ldap>) -> EngineSpec<Ldap> {
    spec.query::<ListGroups>("groups/")
        .query::<ReadGroup>("groups/{name..}")
        .command::<PutGroup>("groups/{name..}")
        .command::<DeleteGroup>("groups/{name..}")
        .query::<ListUsers>("users/")
        .query::<ReadUser>("users/{name..}")
        .command::<PutUser>("users/{name..}")
        .command::<DeleteUser>("users/{name..}")
}

impl Command<PutGroup> for Ldap {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutGroup) -> Result<Reply<()>> {
        let name = stored::config(&cx.view()).await?.name(&op.name);
        let group = Group { policies: normalise_policies(op.policies) };
        cx.edit().put_named(0, &name, &group)?;
        Ok(Reply::none())
    }
}

impl Query<ReadGroup> for Ldap {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadGroup) -> Result<Reply<GroupView>> {
        let name = stored::config(&cx.view()).await?.name(&op.name);
        let group = cx.view().cached::<Group>(0, &name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(GroupView { policies: group.policies.clone() }))
    }
}

impl Command<DeleteGroup> for Ldap {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteGroup) -> Result<Reply<()>> {
        let name = stored::config(&cx.view()).await?.name(&op.name);
        cx.edit().delete_named::<Group>(0, &name);
        Ok(Reply::none())
    }
}

impl Query<ListGroups> for Ldap {
    async fn query(&self, cx: &ReadCx<'_>, op: ListGroups) -> Result<Reply<Keys>> {
        lists::of_records::<Group>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Command<PutUser> for Ldap {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutUser) -> Result<Reply<()>> {
        let config = stored::config(&cx.view()).await?;
        let groups = op.groups.iter().map(|group| config.name(group.trim()));
        let mut groups: Vec<String> = groups.filter(|group| !group.is_empty()).collect();
        groups.sort();
        groups.dedup();
        let user = User { policies: normalise_policies(op.policies), groups };
        cx.edit().put_named(0, &config.name(&op.name), &user)?;
        Ok(Reply::none())
    }
}

impl Query<ReadUser> for Ldap {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadUser) -> Result<Reply<UserView>> {
        let name = stored::config(&cx.view()).await?.name(&op.name);
        let user = cx.view().cached::<User>(0, &name).await?.ok_or_else(Error::not_found)?;
        let groups = user.groups.join(",");
        Ok(Reply::data(UserView { groups, policies: user.policies.clone() }))
    }
}

impl Command<DeleteUser> for Ldap {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteUser) -> Result<Reply<()>> {
        let name = stored::config(&cx.view()).await?.name(&op.name);
        cx.edit().delete_named::<User>(0, &name);
        Ok(Reply::none())
    }
}

impl Query<ListUsers> for Ldap {
    async fn query(&self, cx: &ReadCx<'_>, op: ListUsers) -> Result<Reply<Keys>> {
        lists::of_records::<User>(cx, 0, op.after.as_deref(), op.limit).await
    }
}
