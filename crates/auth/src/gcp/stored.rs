//! What the method keeps: how to reach Google, and roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::Result;
use strongroom_kernel::record::{ReadView, Record};

use crate::login_metadata::Chosen;
use crate::token_params::TokenSettings;

/// Addresses in place of Google's own; "" is Google's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Endpoints {
    /// Of `www.googleapis.com`: keys.
    pub api: String,
    /// Of `iam.googleapis.com`: service accounts.
    pub iam: String,
    /// Of `cloudresourcemanager.googleapis.com`: what projects lie in.
    pub crm: String,
    /// Of `compute.googleapis.com`: instances.
    pub compute: String,
}

/// `config`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Config {
    /// The credentials file, as it was written; "" is none.
    pub credentials: String,
    /// What names an alias of the type `iam`: `role_id` (or "") or `unique_id`.
    pub iam_alias: String,
    /// Facts that such logins tell.
    pub iam_metadata: Chosen,
    /// What names an alias of the type `gce`: `role_id` (or "") or `instance_id`.
    pub gce_alias: String,
    /// Facts that such logins tell.
    pub gce_metadata: Chosen,
    /// Addresses in place of Google's own.
    pub endpoints: Endpoints,
}

impl Record for Config {
    const KIND: u8 = 1;
}

impl Drop for Config {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.credentials);
    }
}

/// What logs in to a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Service accounts.
    Iam,
    /// Instances.
    Gce,
}

impl Kind {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Gce => "gce",
        }
    }
}

/// A role, named in lower case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// A UUID, given when it was made.
    pub role_id: String,
    /// What logs in.
    pub kind: Kind,
    /// Emails and unique ids of service accounts; a single `*` is all, of the type `iam`.
    pub service_accounts: Vec<String>,
    /// Projects; empty is any.
    pub projects: Vec<String>,
    /// Do logins belong to groups named by what their project lies in?
    pub add_group_aliases: bool,
    /// Seconds until the end of a token, at most; of the type `iam`.
    pub max_jwt_exp: i64,
    /// May an instance's token stand for its service account? Of the type `iam`.
    pub allow_gce_inference: bool,
    /// Zones; empty is any. Of the type `gce`, as are all that follow but the last.
    pub zones: Vec<String>,
    /// Regions; empty is any.
    pub regions: Vec<String>,
    /// Groups of instances.
    pub instance_groups: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for Role {
    const KIND: u8 = 2;
}

/// How to reach Google. It holds a secret, so it is read anew each time.
pub async fn config(view: &ReadView<'_>) -> Result<Config> {
    Ok(view.named::<Config>(0, "").await?.unwrap_or_default())
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Role>>> {
    crate::roles::find(view, name).await
}
