//! What AppRole keeps: roles, the way from a role id to its role, and below each role its secret
//! ids and their accessors.
//!
//! A secret id's record is named by a digest of it, so the store never holds the secret id itself.
//! Secret ids and accessors hang below their role's number: another role's are out of reach
//! (threat: CVE-2023-24999).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{Id, ReadView, Record};

use crate::token_params::TokenSettings;

/// A role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// The number below which its secret ids hang; never given twice.
    pub id: Id,
    /// Its name, in lower case.
    pub name: String,
    /// Its role id.
    pub role_id: String,
    /// Does a login need a secret id?
    pub bind_secret_id: bool,
    /// Addresses that logins may come from; empty is any.
    pub secret_id_bound_cidrs: Vec<String>,
    /// Uses of each secret id; 0 is without limit.
    pub secret_id_num_uses: i64,
    /// Seconds that each secret id lives; 0 is forever.
    pub secret_id_ttl: i64,
    /// `local_secret_ids`.
    pub local_secret_ids: bool,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for Role {
    const KIND: u8 = 1;
}

/// From a role id to its role's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleOfId {
    /// The role's name.
    pub name: String,
}

impl Record for RoleOfId {
    const KIND: u8 = 2;
}

/// A secret id, below its role's number, named by [`secret_id_digest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretId {
    /// Its accessor.
    pub accessor: String,
    /// Uses left; 0 is without limit.
    pub num_uses: i64,
    /// Seconds it was made for; 0 is forever.
    pub ttl: i64,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; zero is never.
    pub expires: Timestamp,
    /// When its uses changed last.
    pub updated: Timestamp,
    /// Metadata for the tokens.
    pub metadata: BTreeMap<String, String>,
    /// Addresses that logins may come from.
    pub cidr_list: Vec<String>,
    /// Addresses that the tokens may be used from, in place of the role's.
    pub token_bound_cidrs: Vec<String>,
}

impl Record for SecretId {
    const KIND: u8 = 3;
}

impl SecretId {
    /// Is its time over?
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.expires.is_zero() && self.expires <= now
    }
}

/// From an accessor, below its role's number, to its secret id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accessor {
    /// The name of the secret id's record.
    pub digest: String,
}

impl Record for Accessor {
    const KIND: u8 = 4;
}

/// A secret id that expires, below the hour in which it does, named by role and digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expiring {
    /// The role's number.
    pub role: Id,
    /// The name of the secret id's record.
    pub digest: String,
}

impl Record for Expiring {
    const KIND: u8 = 5;
}

/// The first hour whose secret ids may still have to be removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TidiedUntil {
    /// Hours since the epoch.
    pub hour: u64,
}

impl Record for TidiedUntil {
    const KIND: u8 = 6;
}

/// The name of a secret id's record.
pub fn secret_id_digest(view: &ReadView<'_>, role: &Role, secret_id: &str) -> String {
    let digest =
        view.digest_of(&[b"approle secret id", &role.id.to_be_bytes(), secret_id.as_bytes()]);
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(64);
    for byte in digest {
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
    out
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Role>>> {
    view.cached::<Role>(0, &name.to_lowercase()).await
}

/// Stores a role whose role id was `before`, and keeps the way from its role id.
pub async fn put_role(cx: &mut WriteCx<'_>, role: &Role, before: Option<&str>) -> Result<()> {
    let constrained = role.bind_secret_id
        || !role.secret_id_bound_cidrs.is_empty()
        || !role.token.params.bound_cidrs.is_empty();
    if !constrained {
        return Err(Error::bad_request("at least one constraint should be enabled on the role"));
    }
    let edit = cx.edit();
    if before != Some(role.role_id.as_str()) {
        if let Some(owner) = edit.cached::<RoleOfId>(0, &role.role_id).await?
            && owner.name != role.name
        {
            return Err(Error::bad_request("role_id already in use"));
        }
        if let Some(before) = before {
            edit.delete_named::<RoleOfId>(0, before);
        }
        edit.put_named(0, &role.role_id, &RoleOfId { name: role.name.clone() })?;
    }
    edit.put_named(0, &role.name, role)
}

/// Removes a secret id and its accessor.
pub fn remove_secret_id(cx: &WriteCx<'_>, role: Id, digest: &str, accessor: &str) {
    cx.edit().delete_named::<SecretId>(role, digest);
    cx.edit().delete_named::<Accessor>(role, accessor);
}
