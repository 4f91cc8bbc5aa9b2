//! Logging in with a role id and a secret id; renewing such a token.
//!
//! A login reads the way from the role id, the role and the secret id, all from memory in the usual
//! case, and writes only where the secret id's uses are limited.

use strongroom_base::{Error, FieldSource, Result, SecretString, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, ResolveRole, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow};

use super::AppRole;
use super::secret_ids::is_within;
use super::stored::{self, Role, RoleOfId, SecretId, remove_secret_id, secret_id_digest};

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The role id.
        role_id: Option<String>,
        /// The secret id, unless the role does without.
        secret_id: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<AppRole>) -> EngineSpec<AppRole> {
    spec.login::<LogIn>("login").counts_failures_of(named).resolves_roles().renews()
}

/// The role id of a login, as the lockout counts it.
fn named(source: &FieldSource<'_>) -> Option<String> {
    let text = source.value("role_id", &[])?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// One answer for an unknown role id and a wrong secret id.
fn wrong() -> Error {
    Error::bad_credentials("invalid role or secret ID")
}

impl Login<LogIn> for AppRole {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let role_id = op.role_id.as_deref().map_or("", str::trim);
        if role_id.is_empty() {
            return Err(Error::bad_request("missing role_id"));
        }
        let view = cx.view();
        let index = view.cached::<RoleOfId>(0, role_id).await?.ok_or_else(wrong)?;
        let role = view.cached::<Role>(0, &index.name).await?.ok_or_else(wrong)?;
        let mut token = role.token.for_login(&cx.request.peer)?;
        let mut metadata = Default::default();
        if role.bind_secret_id {
            let secret_id = op.secret_id.as_ref().map_or("", |s| s.expose_secret().trim());
            if secret_id.is_empty() {
                return Err(Error::bad_request("missing secret_id"));
            }
            let secret = use_secret_id(cx, &role, secret_id).await?;
            if !secret.token_bound_cidrs.is_empty() {
                token.bound_cidrs = secret.token_bound_cidrs;
            }
            metadata = secret.metadata;
        }
        check_address(cx, &role.secret_id_bound_cidrs, "by CIDR restrictions on the role")?;
        metadata.insert("role_name".to_owned(), role.name.clone());
        Ok(Grant {
            alias: Some(GrantAlias { name: role.role_id.clone(), metadata: metadata.clone() }),
            metadata,
            token,
            internal: [("role_name".to_owned(), role.name.clone())].into(),
            ..Grant::default()
        })
    }
}

/// Finds the role's secret id, checks it and takes one of its uses.
async fn use_secret_id(cx: &mut WriteCx<'_>, role: &Role, secret_id: &str) -> Result<SecretId> {
    let digest = secret_id_digest(&cx.view(), role, secret_id);
    let mut found = cx.view().cached::<SecretId>(role.id, &digest).await?.ok_or_else(wrong)?;
    if found.num_uses > 0 {
        // Logins that count uses wait for each other before they read.
        cx.queue(&digest).await;
        found = cx.view().cached::<SecretId>(role.id, &digest).await?.ok_or_else(wrong)?;
    }
    if found.is_expired(cx.now()) {
        return Err(wrong());
    }
    if !is_within(&found.cidr_list, &role.secret_id_bound_cidrs) {
        return Err(Error::bad_request(
            "failed to verify subset relationship between CIDR blocks on the role and CIDR blocks \
             on the secret ID",
        ));
    }
    check_address(cx, &found.cidr_list, "through CIDR restrictions on the secret ID")?;
    let secret = (*found).clone();
    match secret.num_uses {
        0 => {}
        1 => remove_secret_id(cx, role.id, &digest, &secret.accessor),
        uses => {
            let left = SecretId { num_uses: uses - 1, updated: cx.now(), ..secret.clone() };
            cx.edit().put_named(role.id, &digest, &left)?;
        }
    }
    Ok(secret)
}

fn check_address(cx: &ReadCx<'_>, cidrs: &[String], how: &str) -> Result<()> {
    let ip = cx.request.peer.ip;
    if cidrs_allow(cidrs, ip) {
        return Ok(());
    }
    let address = ip.map_or_else(String::new, |ip| ip.to_canonical().to_string());
    Err(Error::bad_request(format!("source address {address:?} unauthorized {how}")))
}

impl ResolveRole for AppRole {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let Some(role_id) = named(source) else { return Ok(None) };
        Ok(cx.view().cached::<RoleOfId>(0, &role_id).await?.map(|index| index.name.clone()))
    }
}

impl Renew for AppRole {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let name = token.internal.get("role_name").map_or("", String::as_str);
        let role = stored::role(&cx.view(), name).await?;
        let role = role.ok_or_else(|| {
            Error::bad_request(format!("role {name:?} does not exist during renewal"))
        })?;
        Ok(role.token.params.clone())
    }
}
