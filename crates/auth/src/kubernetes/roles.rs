//! Roles: which accounts of which namespaces log in, and what their tokens are like.

use serde::{Deserialize, Serialize};
use strongroom_base::glob::glob;
use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx};
use strongroom_kernel::record::Record;

use super::Kubernetes;
use super::selector::Selector;
use crate::roles;
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
roles::operations!(Kubernetes, Role, name);

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

impl Command<PutRole> for Kubernetes {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let (name, old) = roles::begin::<Role>(cx, &op.name).await?;
        let mut role = old.map_or_else(Role::default, |role| (*role).clone());
        let mut warnings = role.token.apply(op.token)?;
        roles::check(cx, &role, &mut warnings)?;
        role.names = op.bound_service_account_names.unwrap_or(role.names);
        role.namespaces = op.bound_service_account_namespaces.unwrap_or(role.namespaces);
        role.selector = op.bound_service_account_namespace_selector.unwrap_or_default();
        role.audience = op.audience.unwrap_or(role.audience);
        role.alias_name_source = op.alias_name_source.unwrap_or(role.alias_name_source);
        if role.alias_name_source.is_empty() {
            BY_UID.clone_into(&mut role.alias_name_source);
        }
        role.check()?;
        roles::put(cx, &name, &role, warnings)
    }
}

impl roles::Role for Role {
    fn token(&self) -> &TokenSettings {
        &self.token
    }

    fn show(&self, into: &mut JsonMap) {
        into.insert("bound_service_account_names".to_owned(), self.names.clone().into());
        into.insert("bound_service_account_namespaces".to_owned(), self.namespaces.clone().into());
        let selector = self.selector.as_str();
        into.insert("bound_service_account_namespace_selector".to_owned(), selector.into());
        if !self.audience.is_empty() {
            into.insert("audience".to_owned(), self.audience.as_str().into());
        }
        self.token.show(into);
        into.insert("alias_name_source".to_owned(), self.alias_name_source.as_str().into());
    }

    fn period_beyond(period: &str, most: &str) -> String {
        format!(
            "token period of '\"{period}\"' is greater than the backend's maximum lease TTL of \
             '\"{most}\"'"
        )
    }
}
