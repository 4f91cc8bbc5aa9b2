//! The parameters of tokens that auth methods let their roles set.

use serde::{Deserialize, Serialize};

/// The `token_*` parameters that roles and users of every auth method share.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TokenParams {
    /// `token_ttl` in seconds.
    pub ttl: i64,
    /// `token_max_ttl` in seconds.
    pub max_ttl: i64,
    /// `token_policies`.
    pub policies: Vec<String>,
    /// `token_bound_cidrs`.
    pub bound_cidrs: Vec<String>,
    /// `token_explicit_max_ttl` in seconds.
    pub explicit_max_ttl: i64,
    /// `token_no_default_policy`.
    pub no_default_policy: bool,
    /// `token_num_uses`.
    pub num_uses: i64,
    /// `token_period` in seconds.
    pub period: i64,
    /// `token_type`: `default`, `service`, `batch`, `default-service`, `default-batch` or "".
    pub token_type: String,
    /// `token_strictly_bind_ip`.
    #[serde(default)]
    pub strictly_bind_ip: bool,
}
