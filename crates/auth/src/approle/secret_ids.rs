//! Secret ids: made at random or brought along, looked up and destroyed by themselves or by their
//! accessors.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Result, SecretString, Timestamp, Ttl, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::tokens::parse_cidr;

use super::AppRole;
use super::stored::{self, Accessor, Role, SecretId, remove_secret_id, secret_id_digest};
use super::tidy;
use crate::token_params::read_cidrs;
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::names::NAME_BYTES_MAX;

fields! {
    /// Settings of a secret id.
    pub struct SecretIdFields {
        /// Metadata of the tokens, as an object, as JSON text or as `k=v` pairs.
        metadata: BTreeMap<String, String>,
        /// CIDR blocks that logins may come from: within the role's.
        cidr_list: Option<Vec<String>>,
        /// CIDR blocks that the tokens may be used from: within the role's.
        token_bound_cidrs: Option<Vec<String>>,
        /// Uses; at most the role's.
        num_uses: Option<i64>,
        /// Seconds to live; at most the role's.
        ttl: Option<Ttl>,
    }
}
fields! {
    /// Makes a random secret id.
    pub struct CreateSecretId {
        ..settings: SecretIdFields;
        /// The role's name.
        role_name: String,
    }
}
fields! {
    /// Makes a secret id of the caller's choice.
    pub struct CreateCustomSecretId {
        ..settings: SecretIdFields;
        /// The role's name.
        role_name: String,
        /// The secret id.
        secret_id: Option<SecretString>,
    }
}
fields! {
    /// Lists the accessors of a role's secret ids.
    pub struct ListSecretIds {
        /// The role's name.
        role_name: String,
        /// List accessors after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Reads the properties of a secret id.
    pub struct LookupSecretId {
        /// The role's name.
        role_name: String,
        /// The secret id.
        secret_id: Option<SecretString>,
    }
}
fields! {
    /// Destroys a secret id.
    pub struct DestroySecretId {
        /// The role's name.
        role_name: String,
        /// The secret id.
        secret_id: Option<SecretString>,
    }
}
fields! {
    /// Destroys a secret id.
    pub struct DeleteSecretId {
        /// The role's name.
        role_name: String,
        /// The secret id.
        secret_id: Option<SecretString>,
    }
}
fields! {
    /// Reads the properties of a secret id by its accessor.
    pub struct LookupAccessor {
        /// The role's name.
        role_name: String,
        /// The accessor.
        secret_id_accessor: Option<String>,
    }
}
fields! {
    /// Destroys a secret id by its accessor.
    pub struct DestroyAccessor {
        /// The role's name.
        role_name: String,
        /// The accessor.
        secret_id_accessor: Option<String>,
    }
}
fields! {
    /// Destroys a secret id by its accessor.
    pub struct DeleteAccessor {
        /// The role's name.
        role_name: String,
        /// The accessor.
        secret_id_accessor: Option<String>,
    }
}

/// A fresh secret id: shown once.
#[derive(Serialize)]
pub struct NewSecretId {
    /// The secret id.
    #[serde(serialize_with = "expose")]
    pub secret_id: SecretString,
    /// Its accessor.
    pub secret_id_accessor: String,
    /// Seconds to live; 0 is forever.
    pub secret_id_ttl: i64,
    /// Uses; 0 is without limit.
    pub secret_id_num_uses: i64,
}

fn expose<S: serde::Serializer>(secret: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(secret.expose_secret())
}

/// A secret id's properties.
#[derive(Serialize)]
pub struct SecretIdView {
    /// Its accessor.
    pub secret_id_accessor: String,
    /// Uses left; 0 is without limit.
    pub secret_id_num_uses: i64,
    /// Seconds it was made for; 0 is forever.
    pub secret_id_ttl: i64,
    /// When it was made.
    pub creation_time: String,
    /// When it ends.
    pub expiration_time: String,
    /// When its uses changed last.
    pub last_updated_time: String,
    /// Metadata of the tokens.
    pub metadata: BTreeMap<String, String>,
    /// Addresses that logins may come from.
    pub cidr_list: Vec<String>,
    /// Addresses that the tokens may be used from.
    pub token_bound_cidrs: Vec<String>,
}

impl SecretIdView {
    fn of(s: SecretId) -> Self {
        Self {
            secret_id_accessor: s.accessor,
            secret_id_num_uses: s.num_uses,
            secret_id_ttl: s.ttl,
            creation_time: s.created.to_go_string(),
            expiration_time: s.expires.to_go_string(),
            last_updated_time: s.updated.to_go_string(),
            metadata: s.metadata,
            cidr_list: s.cidr_list,
            token_bound_cidrs: s.token_bound_cidrs,
        }
    }
}

ops! {
    CreateSecretId NewSecretId, Write;
    CreateCustomSecretId NewSecretId, Write;
    ListSecretIds Keys, List;
    LookupSecretId SecretIdView, Write;
    DestroySecretId (), Write;
    DeleteSecretId (), Delete;
    LookupAccessor SecretIdView, Write;
    DestroyAccessor (), Write;
    DeleteAccessor (), Delete;
}

pub(super) fn add(spec: EngineSpec<AppRole>) -> EngineSpec<AppRole> {
    spec.command::<CreateSecretId>("role/{role_name}/secret-id")
        .query::<ListSecretIds>("role/{role_name}/secret-id/")
        .command::<CreateCustomSecretId>("role/{role_name}/custom-secret-id")
        .query::<LookupSecretId>("role/{role_name}/secret-id/lookup")
        .command::<DestroySecretId>("role/{role_name}/secret-id/destroy")
        .command::<DeleteSecretId>("role/{role_name}/secret-id/destroy")
        .query::<LookupAccessor>("role/{role_name}/secret-id-accessor/lookup")
        .command::<DestroyAccessor>("role/{role_name}/secret-id-accessor/destroy")
        .command::<DeleteAccessor>("role/{role_name}/secret-id-accessor/destroy")
}

/// The role that an operation on its secret ids names.
async fn role(cx: &ReadCx<'_>, name: &str) -> Result<Arc<Role>> {
    stored::role(&cx.view(), name)
        .await?
        .ok_or_else(|| Error::bad_request(format!("role {name:?} does not exist")))
}

fn given<T: AsRef<str>>(value: Option<T>, name: &str) -> Result<T> {
    value
        .filter(|v| !v.as_ref().is_empty())
        .ok_or_else(|| Error::bad_request(format!("missing {name}")))
}

fn given_secret(value: Option<SecretString>) -> Result<SecretString> {
    value
        .filter(|v| !v.expose_secret().is_empty())
        .ok_or_else(|| Error::bad_request("missing secret_id"))
}

/// Does each block of `inner` lie in one of `outer`? An empty `outer` holds everything.
pub(super) fn is_within(inner: &[String], outer: &[String]) -> bool {
    let outer: Vec<_> = outer.iter().filter_map(|c| parse_cidr(c)).collect();
    outer.is_empty()
        || inner
            .iter()
            .all(|c| parse_cidr(c).is_some_and(|net| outer.iter().any(|o| o.contains(&net))))
}

fn check_within(inner: &[String], outer: &[String]) -> Result<()> {
    if is_within(inner, outer) {
        return Ok(());
    }
    Err(Error::bad_request(
        "failed to verify subset relationship between CIDR blocks on the role and CIDR blocks on \
         the secret ID",
    ))
}

/// Checks `fields` against the role and stores the secret id.
async fn create(
    cx: &mut WriteCx<'_>,
    role_name: &str,
    secret_id: SecretString,
    fields: SecretIdFields,
) -> Result<Reply<NewSecretId>> {
    let role = stored::role(&cx.view(), role_name).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("role {role_name:?} does not exist"))
    })?;
    if !role.bind_secret_id {
        return Err(Error::bad_request("bind_secret_id is not set on the role"));
    }
    let cidr_list = read_cidrs("cidr_list", fields.cidr_list.unwrap_or_default())?;
    check_within(&cidr_list, &role.secret_id_bound_cidrs)?;
    let token_bound_cidrs =
        read_cidrs("token_bound_cidrs", fields.token_bound_cidrs.unwrap_or_default())?;
    check_within(&token_bound_cidrs, &role.token.params.bound_cidrs)?;
    let num_uses = num_uses(&role, fields.num_uses)?;
    let ttl = ttl(&role, fields.ttl.map(|t| t.0))?;
    let (_, max_ttl) = cx.ttls();
    // Below zero, and beyond what the mount allows, means as long as the mount allows.
    let lives = if ttl < 0 || (max_ttl > 0 && ttl > max_ttl) { max_ttl } else { ttl };
    let now = cx.now();
    let digest = secret_id_digest(&cx.view(), &role, secret_id.expose_secret());
    if cx.view().cached::<SecretId>(role.id, &digest).await?.is_some_and(|s| !s.is_expired(now)) {
        return Err(Error::bad_request("SecretID is already registered"));
    }
    let accessor = cx.rng().uuid();
    let record = SecretId {
        accessor: accessor.clone(),
        num_uses,
        ttl,
        created: now,
        expires: if lives > 0 { now.plus_seconds(lives) } else { Timestamp::ZERO },
        updated: now,
        metadata: fields.metadata,
        cidr_list,
        token_bound_cidrs,
    };
    tidy::note_expiry(cx, role.id, &digest, record.expires)?;
    cx.edit().put_named(role.id, &digest, &record)?;
    cx.edit().put_named(role.id, &accessor, &Accessor { digest })?;
    Ok(Reply::data(NewSecretId {
        secret_id,
        secret_id_accessor: accessor,
        secret_id_ttl: lives,
        secret_id_num_uses: num_uses,
    }))
}

fn num_uses(role: &Role, asked: Option<i64>) -> Result<i64> {
    let most = role.secret_id_num_uses;
    match asked {
        None => Ok(most),
        Some(uses) if uses < 0 => Err(Error::bad_request("num_uses cannot be negative")),
        Some(uses) if most > 0 && (uses == 0 || uses > most) => {
            Err(Error::bad_request("num_uses cannot be higher than the role's secret_id_num_uses"))
        }
        Some(uses) => Ok(uses),
    }
}

fn ttl(role: &Role, asked: Option<i64>) -> Result<i64> {
    let most = role.secret_id_ttl;
    match asked {
        None => Ok(most),
        // Below zero would be the mount's maximum.
        Some(ttl) if most > 0 && (ttl <= 0 || ttl > most) => {
            Err(Error::bad_request("ttl cannot be longer than the role's secret_id_ttl"))
        }
        Some(ttl) => Ok(ttl),
    }
}

impl Command<CreateSecretId> for AppRole {
    async fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: CreateSecretId,
    ) -> Result<Reply<NewSecretId>> {
        let secret_id = cx.rng().uuid().into();
        create(cx, &op.role_name, secret_id, op.settings).await
    }
}

impl Command<CreateCustomSecretId> for AppRole {
    async fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: CreateCustomSecretId,
    ) -> Result<Reply<NewSecretId>> {
        let secret_id = given_secret(op.secret_id)?;
        if secret_id.expose_secret().len() > NAME_BYTES_MAX {
            return Err(Error::bad_request("secret_id is longer than maximum of 4096 bytes"));
        }
        create(cx, &op.role_name, secret_id, op.settings).await
    }
}

impl Query<ListSecretIds> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: ListSecretIds) -> Result<Reply<Keys>> {
        let role = role(cx, &op.role_name).await?;
        let accessors = cx.view().names::<Accessor>(role.id).await?;
        Ok(Reply::data(lists::page(&accessors, op.after.as_deref(), op.limit)?))
    }
}

/// The live secret id of `role` with this digest.
async fn live(cx: &ReadCx<'_>, role: &Role, digest: &str) -> Result<Option<SecretId>> {
    let found = cx.view().named::<SecretId>(role.id, digest).await?;
    Ok(found.filter(|s| !s.is_expired(cx.now())))
}

impl Query<LookupSecretId> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupSecretId) -> Result<Reply<SecretIdView>> {
        let secret_id = given_secret(op.secret_id)?;
        let role = role(cx, &op.role_name).await?;
        let digest = secret_id_digest(&cx.view(), &role, secret_id.expose_secret());
        Ok(match live(cx, &role, &digest).await? {
            Some(found) => Reply::data(SecretIdView::of(found)),
            None => Reply::none(),
        })
    }
}

async fn destroy(
    cx: &mut WriteCx<'_>,
    role_name: &str,
    secret_id: Option<SecretString>,
) -> Result<Reply<()>> {
    let secret_id = given_secret(secret_id)?;
    let role = role(cx, role_name).await?;
    let digest = secret_id_digest(&cx.view(), &role, secret_id.expose_secret());
    if let Some(found) = cx.view().named::<SecretId>(role.id, &digest).await? {
        remove_secret_id(cx, role.id, &digest, &found.accessor);
    }
    Ok(Reply::none())
}

impl Command<DestroySecretId> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DestroySecretId) -> Result<Reply<()>> {
        destroy(cx, &op.role_name, op.secret_id).await
    }
}

impl Command<DeleteSecretId> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteSecretId) -> Result<Reply<()>> {
        destroy(cx, &op.role_name, op.secret_id).await
    }
}

/// The secret id's digest that an accessor of this role stands for.
async fn of_accessor(cx: &ReadCx<'_>, role: &Role, accessor: &str) -> Result<String> {
    let found = cx.view().named::<Accessor>(role.id, accessor).await?;
    let unknown = "failed to find accessor entry for secret_id_accessor";
    found.map(|a| a.digest).ok_or_else(|| Error::new(ErrorKind::NotFound, unknown))
}

impl Query<LookupAccessor> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: LookupAccessor) -> Result<Reply<SecretIdView>> {
        let accessor = given(op.secret_id_accessor, "secret_id_accessor")?;
        let role = role(cx, &op.role_name).await?;
        let digest = of_accessor(cx, &role, &accessor).await?;
        Ok(match live(cx, &role, &digest).await? {
            Some(found) => Reply::data(SecretIdView::of(found)),
            None => Reply::none(),
        })
    }
}

async fn destroy_by_accessor(
    cx: &mut WriteCx<'_>,
    role_name: &str,
    accessor: Option<String>,
) -> Result<Reply<()>> {
    let accessor = given(accessor, "secret_id_accessor")?;
    let role = role(cx, role_name).await?;
    let digest = of_accessor(cx, &role, &accessor).await?;
    remove_secret_id(cx, role.id, &digest, &accessor);
    Ok(Reply::none())
}

impl Command<DestroyAccessor> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DestroyAccessor) -> Result<Reply<()>> {
        destroy_by_accessor(cx, &op.role_name, op.secret_id_accessor).await
    }
}

impl Command<DeleteAccessor> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteAccessor) -> Result<Reply<()>> {
        destroy_by_accessor(cx, &op.role_name, op.secret_id_accessor).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_within_blocks() {
        let list =
            |text: &str| -> Vec<String> { text.split_whitespace().map(String::from).collect() };
        for (inner, outer, expect) in [
            ("10.1.0.0/16", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.1.0.0/16", false),
            ("10.1.2.3 10.2.0.0/16", "10.0.0.0/8", true),
            ("10.1.2.3 11.2.0.0/16", "10.0.0.0/8", false),
            ("1.2.3.4", "1.2.3.4", true),
            ("1.2.3.4", "", true),
            ("", "1.2.3.4", true),
            ("fd00::/16", "10.0.0.0/8 fd00::/8", true),
        ] {
            assert_eq!(is_within(&list(inner), &list(outer)), expect, "{inner} in {outer}");
        }
    }
}
