//! One mount: where a plug-in is, and how it is tuned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;

use crate::record::{Record, Scope};

/// Is the plug-in a secrets engine, an auth method, or built in?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Mounted anywhere.
    Secret,
    /// Mounted below `auth/`.
    Auth,
    /// One per namespace, made with it.
    System,
}

/// A mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// The scope of its records.
    pub scope: Scope,
    /// Secret, auth or system.
    pub class: Class,
    /// The plug-in's type (`kv`).
    pub kind: String,
    /// Path within its namespace with a trailing slash: `secret/`, `auth/approle/`.
    pub path: String,
    /// `kv_1a2b3c4d`.
    pub accessor: String,
    /// A UUID.
    pub uuid: String,
    /// Free text.
    pub description: String,
    /// Settings.
    pub config: MountConfig,
    /// Options of the type (`version` of KV).
    pub options: BTreeMap<String, String>,
    /// `local`.
    pub local: bool,
    /// `seal_wrap`.
    pub seal_wrap: bool,
    /// `external_entropy_access`.
    pub external_entropy_access: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was disabled: it can be brought back until the reconciler removes it.
    pub deleted: Option<Timestamp>,
    /// `plugin_version` as given.
    #[serde(default)]
    pub plugin_version: String,
    /// When it was moved, or brought back, last: what it gave out until then no longer counts.
    #[serde(default)]
    pub renewed: Option<Timestamp>,
}

impl Mount {
    /// Does a token or lease that the mount gave at `created` still count?
    pub fn honours(&self, created: Timestamp) -> bool {
        self.renewed.is_none_or(|at| created > at)
    }

    /// The name of the mount's record below [`TOP`]: its path while it serves, else its UUID, so
    /// that the path is free and the record can still be found. Paths end in a slash, UUIDs do not.
    pub fn record_name(&self) -> &str {
        if self.deleted.is_some() { &self.uuid } else { &self.path }
    }
}

/// Settings of a mount.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MountConfig {
    /// Seconds; 0 takes the system's.
    pub default_lease_ttl: i64,
    /// Seconds; 0 takes the system's.
    pub max_lease_ttl: i64,
    /// `force_no_cache`.
    pub force_no_cache: bool,
    /// Request fields whose values the audit log shows plain.
    pub audit_non_hmac_request_keys: Vec<String>,
    /// Response fields whose values the audit log shows plain.
    pub audit_non_hmac_response_keys: Vec<String>,
    /// "", `unauth` or `hidden`.
    pub listing_visibility: String,
    /// Request headers that reach the plug-in.
    pub passthrough_request_headers: Vec<String>,
    /// Response headers that the plug-in may set.
    pub allowed_response_headers: Vec<String>,
    /// "" or a token type, of auth methods.
    pub token_type: String,
    /// `user_lockout_config`, of auth methods.
    pub user_lockout: UserLockout,
    /// `plugin_name` as given.
    #[serde(default)]
    pub plugin_name: String,
}

/// Lockout settings of an auth method; `None` takes the server's.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct UserLockout {
    /// Failed logins until a user is locked.
    pub threshold: Option<u64>,
    /// Seconds a user stays locked.
    pub duration: Option<i64>,
    /// Seconds without a failure after which the count starts again.
    pub counter_reset: Option<i64>,
    /// Off?
    pub disable: bool,
}

impl Record for Mount {
    const KIND: u8 = 202;
}
