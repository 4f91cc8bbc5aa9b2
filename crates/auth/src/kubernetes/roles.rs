//! Roles: which accounts of which namespaces log in, and what their tokens are like.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::duration::format_go_seconds;
use strongroom_base::glob::glob;
use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Op, Query, ReadCx, Reply, Verb, WriteCx, names,
};
use strongroom_kernel::record::{ReadView, Record};

use super::Kubernetes;
use super::selector::Selector;
use crate::token_params::{TokenFields, TokenSettings};

/// An alias is called by its account's UID: an account that is made anew is somebody else.
pub const BY_UID: &str = "serviceaccount_uid";
/// An alias is called NAMESPACE/NAME.
pub const BY_NAME: &str = "serviceaccount_name";

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        name: String,
        /// Names of service accounts that may log in, with `*` for any text.
        bound_service_account_names: Option<Vec<String>>,
        /// Namespaces whose accounts may log in, with `*` for any text.
        bound_service_account_namespaces: Option<Vec<String>>,
        /// Labels of namespaces whose accounts may log in besides, as a selector in JSON or YAML.
        bound_service_account_namespace_selector: Option<String>,
        /// The audience that a token must have.
        audience: Option<String>,
        /// What an alias is called by: serviceaccount_uid or serviceaccount_name.
        alias_name_source: Option<String>,
    }
}
fields! {
    /// Reads a role.
    pub struct ReadRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Deletes a role.
    pub struct DeleteRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Lists the roles.
    pub struct ListRoles {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}

impl Op for PutRole {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}
impl Op for ReadRole {
    type Reply = JsonMap;
    const VERB: Verb = Verb::Read;
}
impl Op for DeleteRole {
    type Reply = ();
    const VERB: Verb = Verb::Delete;
}
impl Op for ListRoles {
    type Reply = Keys;
    const VERB: Verb = Verb::List;
}

pub(super) fn add(spec: EngineSpec<Kubernetes>) -> EngineSpec<Kubernetes> {
    spec.query::<ListRoles>("role/")
        .query::<ReadRole>("role/{name}")
        .command::<PutRole>("role/{name}")
        .exists::<PutRole>("role/{name}")
        .command::<DeleteRole>("role/{name}")
}

/// A role, named in lower case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Role {
    /// Patterns of accounts' names.
    pub names: Vec<String>,
    /// Patterns of namespaces.
    pub namespaces: Vec<String>,
    /// The selector as it was written; "" is none.
    pub selector: String,
    /// The audience; "" is any.
    pub audience: String,
    /// [`BY_UID`] or [`BY_NAME`].
    pub alias_name_source: String,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for Role {
    const KIND: u8 = 2;
}

impl Role {
    /// May accounts of this name log in?
    pub fn allows_name(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| glob(pattern, name))
    }

    /// May accounts of this namespace log in, whatever its labels?
    pub fn allows_namespace(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|pattern| glob(pattern, namespace))
    }

    /// The labels of further namespaces.
    pub fn selector(&self) -> Option<Selector> {
        if self.selector.is_empty() { None } else { Selector::parse(&self.selector) }
    }

    fn check(&self) -> Result<()> {
        let mixed = |list: &[String]| list.len() > 1 && list.iter().any(|item| item == "*");
        if self.names.is_empty() {
            return Err(Error::bad_request("\"bound_service_account_names\" can not be empty"));
        }
        if self.namespaces.is_empty() && self.selector.is_empty() {
            return Err(Error::bad_request(
                "\"bound_service_account_namespaces\" can not be empty if \
                 \"bound_service_account_namespace_selector\" is not set",
            ));
        }
        if !self.selector.is_empty() && self.selector().is_none() {
            return Err(Error::bad_request(
                "invalid \"bound_service_account_namespace_selector\" configured",
            ));
        }
        if mixed(&self.names) || mixed(&self.namespaces) {
            return Err(Error::bad_request("can not mix \"*\" with values"));
        }
        if ![BY_UID, BY_NAME].contains(&self.alias_name_source.as_str()) {
            return Err(Error::bad_request(format!(
                "invalid alias_name_source, must be one of: {BY_UID}, {BY_NAME}"
            )));
        }
        Ok(())
    }
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Role>>> {
    view.cached::<Role>(0, &name.to_lowercase()).await
}

impl Exists<PutRole> for Kubernetes {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.iter().find(|(n, _)| *n == "name").map_or("", |(_, v)| v);
        Ok(role(&cx.view(), name).await?.is_some())
    }
}

impl Command<PutRole> for Kubernetes {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let name = op.name.to_lowercase();
        names::check(&name)?;
        cx.queue(&name).await;
        let old = role(&cx.view(), &name).await?;
        let mut role = old.map_or_else(Role::default, |role| (*role).clone());
        let mut warnings = role.token.apply(op.token)?;
        let (_, max_ttl) = cx.ttls();
        check_period(role.token.params.period, max_ttl)?;
        warnings.extend(role.token.beyond_mount(max_ttl).map(str::to_owned));
        role.names = op.bound_service_account_names.unwrap_or(role.names);
        role.namespaces = op.bound_service_account_namespaces.unwrap_or(role.namespaces);
        role.selector = op.bound_service_account_namespace_selector.unwrap_or_default();
        role.audience = op.audience.unwrap_or(role.audience);
        role.alias_name_source = op.alias_name_source.unwrap_or(role.alias_name_source);
        if role.alias_name_source.is_empty() {
            BY_UID.clone_into(&mut role.alias_name_source);
        }
        role.check()?;
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// Refuses a period beyond what the mount allows.
fn check_period(period: i64, max_ttl: i64) -> Result<()> {
    if max_ttl > 0 && period > max_ttl {
        return Err(Error::bad_request(format!(
            "token period of '\"{}\"' is greater than the backend's maximum lease TTL of '\"{}\"'",
            format_go_seconds(period),
            format_go_seconds(max_ttl)
        )));
    }
    Ok(())
}

impl Query<ReadRole> for Kubernetes {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<JsonMap>> {
        let role = role(&cx.view(), &op.name).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        map.insert("bound_service_account_names".to_owned(), role.names.clone().into());
        map.insert("bound_service_account_namespaces".to_owned(), role.namespaces.clone().into());
        let selector = role.selector.as_str();
        map.insert("bound_service_account_namespace_selector".to_owned(), selector.into());
        if !role.audience.is_empty() {
            map.insert("audience".to_owned(), role.audience.as_str().into());
        }
        role.token.show(&mut map);
        map.insert("alias_name_source".to_owned(), role.alias_name_source.as_str().into());
        Ok(Reply::data(map))
    }
}

impl Command<DeleteRole> for Kubernetes {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<Role>(0, &op.name.to_lowercase());
        Ok(Reply::none())
    }
}

impl Query<ListRoles> for Kubernetes {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        let names = cx.view().names::<Role>(0).await?;
        Ok(Reply::data(lists::page(&names, op.after.as_deref(), op.limit)?))
    }
}
