//! What the method keeps: how to reach AWS, how logins are named, accounts to look into, and roles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, SecretString};
use strongroom_cloudwire::sigv4::Credentials;
use strongroom_kernel::record::{ReadView, Record};

use crate::login_metadata::Chosen;
use crate::token_params::TokenSettings;

/// `config/client`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Client {
    /// The access key id for calls of our own; "" is none.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Of EC2; kept for those who read it back.
    pub endpoint: String,
    /// In place of IAM's own address.
    pub iam_endpoint: String,
    /// In place of STS's own address.
    pub sts_endpoint: String,
    /// The region that calls of our own to STS are signed for.
    pub sts_region: String,
    /// Does a login go to the STS of the region it is signed for?
    pub use_sts_region_from_client: bool,
    /// What the server id header of a login must say; "" does not ask for one.
    pub server_id: String,
    /// `X-Amz-…` headers that a login may have beyond the usual ones.
    pub allowed_headers: Vec<String>,
    /// How often a call is tried again; below zero is the default.
    pub max_retries: i64,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            access_key: String::new(),
            secret_key: String::new(),
            endpoint: String::new(),
            iam_endpoint: String::new(),
            sts_endpoint: String::new(),
            sts_region: String::new(),
            use_sts_region_from_client: false,
            server_id: String::new(),
            allowed_headers: Vec::new(),
            max_retries: -1,
        }
    }
}

impl Record for Client {
    const KIND: u8 = 1;
}

impl Drop for Client {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret_key);
    }
}

impl Client {
    /// Credentials for calls of our own, where there are any.
    pub fn credentials(&self) -> Option<Credentials> {
        let both = !self.access_key.is_empty() && !self.secret_key.is_empty();
        both.then(|| Credentials {
            access_key: self.access_key.clone(),
            secret_key: SecretString::new(self.secret_key.clone()),
            session_token: None,
        })
    }
}

/// `config/identity`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// What names an alias: `role_id`, `unique_id`, `canonical_arn` or `full_arn`.
    pub iam_alias: String,
    /// Facts that logins tell.
    pub iam_metadata: Chosen,
    /// Of EC2; kept for those who read it back.
    pub ec2_alias: String,
    /// Of EC2; kept for those who read it back.
    pub ec2_metadata: Chosen,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            iam_alias: "role_id".to_owned(),
            iam_metadata: Chosen::default(),
            ec2_alias: "role_id".to_owned(),
            ec2_metadata: Chosen::default(),
        }
    }
}

impl Record for Identity {
    const KIND: u8 = 2;
}

/// `config/sts/:account_id`: the role to take on for look-ups in an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StsAccount {
    /// Its ARN.
    pub sts_role: String,
    /// The external id that the role's owner asks for; "" is none.
    pub external_id: String,
}

impl Record for StsAccount {
    const KIND: u8 = 3;
}

/// A role, named in lower case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// A UUID, given when it was made.
    pub role_id: String,
    /// ARNs of principals that may log in; each may end in a wildcard.
    pub bound_arns: Vec<String>,
    /// Unique ids of those that are no wildcards, in their order, where they are resolved.
    pub bound_ids: Vec<String>,
    /// Accounts whose principals may log in; empty is any that the ARNs allow.
    pub bound_accounts: Vec<String>,
    /// Are ARNs resolved to unique ids?
    pub resolve_ids: bool,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for Role {
    const KIND: u8 = 4;
}

/// How to reach AWS; `None` where nothing was configured. It holds a secret, so it is read anew each
/// time.
pub async fn client(view: &ReadView<'_>) -> Result<Option<Client>> {
    view.named::<Client>(0, "").await
}

/// How logins are named.
pub async fn identity(view: &ReadView<'_>) -> Result<Arc<Identity>> {
    Ok(view.cached::<Identity>(0, "").await?.unwrap_or_default())
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Role>>> {
    crate::roles::find(view, name).await
}
