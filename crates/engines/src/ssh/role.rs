//! What is stored of a role.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::{Error, Json, Result};
use strongroom_kernel::plug::ReadCx;
use strongroom_kernel::record::Record;

use super::issuer::DEFAULT;

/// A role's record.
#[derive(Clone, Serialize, Deserialize)]
pub struct Role {
    /// What it gives.
    pub kind: RoleKind,
    /// The user where a request names none.
    pub default_user: String,
    /// Is that a template?
    pub default_user_template: bool,
    /// Networks of the machines, comma-separated.
    pub cidr_list: String,
    /// Networks that are none of them.
    pub exclude_cidr_list: String,
    /// What clients are told.
    pub port: i64,
    /// Users, comma-separated; `*` is any.
    pub allowed_users: String,
    /// Are there templates among them?
    pub allowed_users_template: bool,
    /// Domains of hosts, comma-separated; `*` is any.
    pub allowed_domains: String,
    /// Are there templates among them?
    pub allowed_domains_template: bool,
    /// Seconds; 0 is the mount's.
    pub ttl: i64,
    /// Seconds; 0 is the mount's.
    pub max_ttl: i64,
    /// Comma-separated; "" is any.
    pub allowed_critical_options: String,
    /// Comma-separated; `*` is any.
    pub allowed_extensions: String,
    /// Of certificates for which none are asked.
    pub default_critical_options: BTreeMap<String, String>,
    /// Of certificates for which none are asked.
    pub default_extensions: BTreeMap<String, String>,
    /// Are there templates among their values?
    pub default_extensions_template: bool,
    /// May certificates be users'?
    pub allow_user_certificates: bool,
    /// May certificates be hosts'?
    pub allow_host_certificates: bool,
    /// May hosts be the domains themselves?
    pub allow_bare_domains: bool,
    /// May hosts be below the domains?
    pub allow_subdomains: bool,
    /// May requests set the key id?
    pub allow_user_key_ids: bool,
    /// May certificates be good for every principal?
    pub allow_empty_principals: bool,
    /// May what templates put in hold commas?
    pub allow_commas_in_identity_templates: bool,
    /// The key id; "" is Vault's.
    pub key_id_format: String,
    /// Kinds of keys that are signed, and their sizes; empty is any strong one.
    pub allowed_user_key_lengths: BTreeMap<String, Vec<i64>>,
    /// `default`, `rsa-sha2-256` or `rsa-sha2-512`.
    pub algorithm_signer: String,
    /// Seconds by which certificates are dated back.
    pub not_before_duration: i64,
    /// The issuer's id or name, or `default`.
    pub issuer_ref: String,
}

/// What a role gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RoleKind {
    /// One-time passwords.
    Otp,
    /// Certificates.
    Ca,
}

impl RoleKind {
    /// `key_type` on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Otp => "otp",
            Self::Ca => "ca",
        }
    }
}

impl Record for Role {
    const KIND: u8 = 1;
}

impl Role {
    /// What answers show: of each kind what counts for it.
    pub fn shown(&self) -> Json {
        match self.kind {
            RoleKind::Otp => json!({
                "default_user": self.default_user,
                "cidr_list": self.cidr_list,
                "exclude_cidr_list": self.exclude_cidr_list,
                "key_type": self.kind.name(),
                "port": self.port,
                "allowed_users": self.allowed_users,
            }),
            RoleKind::Ca => json!({
                "allowed_users": self.allowed_users,
                "allowed_users_template": self.allowed_users_template,
                "allowed_domains": self.allowed_domains,
                "allowed_domains_template": self.allowed_domains_template,
                "default_user": self.default_user,
                "default_user_template": self.default_user_template,
                "ttl": self.ttl,
                "max_ttl": self.max_ttl,
                "allowed_critical_options": self.allowed_critical_options,
                "allowed_extensions": self.allowed_extensions,
                "allow_user_certificates": self.allow_user_certificates,
                "allow_host_certificates": self.allow_host_certificates,
                "allow_bare_domains": self.allow_bare_domains,
                "allow_subdomains": self.allow_subdomains,
                "allow_user_key_ids": self.allow_user_key_ids,
                "allow_commas_in_identity_templates": self.allow_commas_in_identity_templates,
                "allow_empty_principals": self.allow_empty_principals,
                "key_id_format": self.key_id_format,
                "key_type": self.kind.name(),
                "default_critical_options": self.default_critical_options,
                "default_extensions": self.default_extensions,
                "default_extensions_template": self.default_extensions_template,
                "allowed_user_key_lengths": self.allowed_user_key_lengths,
                "algorithm_signer": self.algorithm_signer,
                "not_before_duration": self.not_before_duration,
                "issuer_ref": self.issuer_ref,
            }),
        }
    }

    /// What lists show.
    pub fn listed(&self) -> Json {
        match self.kind {
            RoleKind::Otp => json!({ "key_type": self.kind.name() }),
            RoleKind::Ca => {
                json!({ "key_type": self.kind.name(), "issuer_ref": self.issuer_ref })
            }
        }
    }

    /// Is the machine of this address one of its own?
    pub fn has_address(&self, ip: IpAddr) -> bool {
        let within = |list: &str| {
            let networks = parts(list).filter_map(|network| network.parse::<IpNet>().ok());
            networks.into_iter().any(|network| network.contains(&ip))
        };
        self.kind == RoleKind::Otp && within(&self.cidr_list) && !within(&self.exclude_cidr_list)
    }

    /// Does it name the issuer so?
    pub fn names_issuer(&self, reference: &str) -> bool {
        self.kind == RoleKind::Ca && self.issuer_ref == reference
    }
}

impl Default for Role {
    fn default() -> Self {
        Self {
            kind: RoleKind::Ca,
            default_user: String::new(),
            default_user_template: false,
            cidr_list: String::new(),
            exclude_cidr_list: String::new(),
            port: 22,
            allowed_users: String::new(),
            allowed_users_template: false,
            allowed_domains: String::new(),
            allowed_domains_template: false,
            ttl: 0,
            max_ttl: 0,
            allowed_critical_options: String::new(),
            allowed_extensions: String::new(),
            default_critical_options: BTreeMap::new(),
            default_extensions: BTreeMap::new(),
            default_extensions_template: false,
            allow_user_certificates: false,
            allow_host_certificates: false,
            allow_bare_domains: false,
            allow_subdomains: false,
            allow_user_key_ids: false,
            allow_empty_principals: false,
            allow_commas_in_identity_templates: false,
            key_id_format: String::new(),
            allowed_user_key_lengths: BTreeMap::new(),
            algorithm_signer: DEFAULT.to_owned(),
            not_before_duration: 30,
            issuer_ref: DEFAULT.to_owned(),
        }
    }
}

/// The entries of a comma-separated text.
pub fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Refuses a list in which something is no network.
pub fn check_networks(field: &str, list: &str) -> Result<()> {
    if parts(list).all(|network| network.parse::<IpNet>().is_ok()) {
        return Ok(());
    }
    Err(Error::bad_request(format!("failed to validate {field}")))
}

/// The role of this name.
pub async fn find(cx: &ReadCx<'_>, name: &str) -> Result<std::sync::Arc<Role>> {
    let role = cx.view().cached::<Role>(0, name).await?;
    role.ok_or_else(|| Error::bad_request(format!("unknown role: {name}")))
}
