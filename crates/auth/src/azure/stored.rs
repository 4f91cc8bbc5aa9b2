//! What the method keeps: how to reach Azure, and roles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::Result;
use strongroom_kernel::record::{ReadView, Record};

use crate::token_params::TokenSettings;

/// `config`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Config {
    /// The tenant: an id or a domain.
    pub tenant_id: String,
    /// The audience of tokens.
    pub resource: String,
    /// The cloud's name; "" is the public one.
    pub environment: String,
    /// The application that calls of our own are made as; "" is none.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Kept for those who read it back, in seconds.
    pub root_password_ttl: i64,
    /// Kept for those who read it back.
    pub max_retries: i64,
    /// Kept for those who read it back, in seconds.
    pub max_retry_delay: i64,
    /// Kept for those who read it back, in seconds.
    pub retry_delay: i64,
    /// In place of the cloud's own address of logins; "" is its own.
    pub authority_endpoint: String,
    /// In place of the cloud's own address of Resource Manager; "" is its own.
    pub resource_manager_endpoint: String,
}

impl Record for Config {
    const KIND: u8 = 1;
}

impl Drop for Config {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.client_secret);
    }
}

/// A role, named in lower case. Lists that are empty bind to nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Role {
    /// Object ids of identities; a single `*` is any.
    pub service_principals: Vec<String>,
    /// Object ids of groups; a single `*` is any.
    pub groups: Vec<String>,
    /// Subscriptions.
    pub subscriptions: Vec<String>,
    /// Resource groups.
    pub resource_groups: Vec<String>,
    /// Locations.
    pub locations: Vec<String>,
    /// Scale sets.
    pub scale_sets: Vec<String>,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for Role {
    const KIND: u8 = 2;
}

impl Role {
    /// Is it bound to where a login is from?
    pub fn has_places(&self) -> bool {
        let places =
            [&self.subscriptions, &self.resource_groups, &self.locations, &self.scale_sets];
        places.iter().any(|list| !list.is_empty())
    }

    /// Would any identity of the tenant fit, wherever it is?
    pub fn is_open(&self) -> bool {
        let open = |list: &[String]| list.is_empty() || list == ["*"];
        open(&self.service_principals) && open(&self.groups) && !self.has_places()
    }
}

/// How to reach Azure; `None` where nothing was configured. It holds a secret, so it is read anew each
/// time.
pub async fn config(view: &ReadView<'_>) -> Result<Option<Config>> {
    view.named::<Config>(0, "").await
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Role>>> {
    crate::roles::find(view, name).await
}
