//! `identity/oidc/role`: what the tokens of a role hold, and for how long they are good.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_crypto::otp::base62;
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::super::IdentityStore;
use super::keys::{DEFAULT, make_default, ready};
use super::stored::{Role, RoleOfKey};
use super::{RESERVED, template};

/// Vault's default, in seconds.
const TTL: i64 = 86_400;
/// Characters of a client id that is drawn.
const CLIENT_ID_LENGTH: usize = 26;
/// Bytes of a client id that is given.
const CLIENT_ID_BYTES_MAX: usize = 1_024;
/// Bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 64 * 1_024;

fields! {
    /// Makes a role, or changes it.
    pub struct PutRole {
        /// Its name.
        role_name: String,
        /// The name of the key that signs its tokens.
        key: Option<String>,
        /// What its tokens hold besides: JSON with directives, as it is or in base64.
        template: Option<String>,
        /// Seconds for which its tokens are good.
        ttl: Option<Ttl>,
        /// Whom its tokens are for; drawn where it is not given.
        client_id: Option<String>,
    }
}
fields! {
    /// Reads a role.
    pub struct ReadRole {
        /// Its name.
        role_name: String,
    }
}
fields! {
    /// Deletes a role.
    pub struct DeleteRole {
        /// Its name.
        role_name: String,
    }
}
fields! {
    /// Lists the roles.
    pub struct ListRoles {}
}
ops! {
    PutRole (), Write;
    ReadRole Json, Read;
    DeleteRole (), Delete;
    ListRoles Keys, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.query::<ListRoles>("oidc/role/")
        .query::<ReadRole>("oidc/role/{role_name}")
        .command::<PutRole>("oidc/role/{role_name}")
        .exists::<PutRole>("oidc/role/{role_name}")
        .command::<DeleteRole>("oidc/role/{role_name}")
}

impl Exists<PutRole> for IdentityStore {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name);
        Ok(cx.view().cached::<Role>(0, name).await?.is_some())
    }
}

/// A template as it is kept: out of base64, and known to give an object without reserved claims.
fn checked_template(given: String) -> Result<String> {
    let refuse = |text: String| Err(Error::bad_request(text));
    let decoded = STANDARD.decode(&given).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.unwrap_or(given);
    if text.is_empty() {
        return Ok(text);
    }
    if text.len() > TEMPLATE_BYTES_MAX {
        return refuse("the template is too long".to_owned());
    }
    let filled = match template::fill(&text, &template::Who::nobody(), 0) {
        Ok(filled) => filled,
        Err(why) => return refuse(format!("error parsing template: {why}")),
    };
    let Some(claims) = template::claims(&filled) else {
        return refuse("error parsing template JSON: it is no object".to_owned());
    };
    if let Some(reserved) = claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
        return refuse(format!(
            "top level key {reserved:?} not allowed. Restricted keys: {}",
            RESERVED.join(", ")
        ));
    }
    Ok(text)
}

impl Command<PutRole> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        names::check(&op.role_name)?;
        cx.queue("oidc").await;
        let refuse = |text: &str| Err(Error::bad_request(text));
        let old = cx.view().named::<Role>(0, &op.role_name).await?;
        let mut role = old.clone().unwrap_or(Role { ttl: TTL, ..Role::default() });
        role.key = op.key.unwrap_or(role.key);
        if role.key.is_empty() {
            return refuse("the key parameter is required");
        }
        if let Some(given) = op.template {
            role.template = checked_template(given)?;
        }
        role.ttl = op.ttl.map_or(role.ttl, |ttl| ttl.0);
        if role.ttl <= 0 {
            return refuse("a role's token ttl must be greater than zero");
        }
        if role.key == DEFAULT {
            make_default(cx).await?;
        }
        let Some(key) = ready(cx, &role.key).await? else {
            return refuse("cannot find the key");
        };
        if role.ttl > key.verification_ttl {
            return refuse(
                "a role's token ttl cannot be longer than the verification_ttl of the key it \
                 references",
            );
        }
        role.client_id = op.client_id.unwrap_or(role.client_id);
        if role.client_id.len() > CLIENT_ID_BYTES_MAX {
            return refuse("the client_id is too long");
        }
        if role.client_id.is_empty() {
            role.client_id = base62(CLIENT_ID_LENGTH, cx.rng()).expose_secret().clone();
        }
        let edit = cx.edit();
        if let Some(old) = old.filter(|old| old.key != role.key)
            && let Some(before) = ready(cx, &old.key).await?
        {
            edit.delete_named::<RoleOfKey>(before.at, &op.role_name);
        }
        edit.put_named(key.at, &op.role_name, &RoleOfKey)?;
        edit.put_named(0, &op.role_name, &role)?;
        Ok(Reply::none())
    }
}

impl Query<ReadRole> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<Json>> {
        let role = cx.view().cached::<Role>(0, &op.role_name).await?;
        let role = role.ok_or_else(Error::not_found)?;
        Ok(Reply::data(json!({
            "client_id": role.client_id,
            "key": role.key,
            "template": role.template,
            "ttl": role.ttl,
        })))
    }
}

impl Command<DeleteRole> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.queue("oidc").await;
        if let Some(role) = cx.view().cached::<Role>(0, &op.role_name).await? {
            if let Some(key) = ready(cx, &role.key).await? {
                cx.edit().delete_named::<RoleOfKey>(key.at, &op.role_name);
            }
            cx.edit().delete_named::<Role>(0, &op.role_name);
        }
        Ok(Reply::none())
    }
}

impl Query<ListRoles> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListRoles) -> Result<Reply<Keys>> {
        Ok(Reply::data(lists::page(&cx.view().names::<Role>(0).await?, None, None)?))
    }
}
