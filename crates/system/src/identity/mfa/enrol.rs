//! `identity/mfa/method/totp/generate`, `admin-generate`, `admin-destroy`: an entity gets a secret of
//! a method, or loses it.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Json, Result, fields};
use strongroom_crypto::totp::{picture, url};
use strongroom_kernel::identity::{Entity, Factor, FactorSecret};
use strongroom_kernel::mfa::{Found, Method};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::super::{IdentityStore, directory, given};
use super::{find, refuse};

fields! {
    /// Gives the caller's entity a secret of a method.
    pub struct Enrol {
        /// The method's id.
        method_id: Option<String>,
    }
}
fields! {
    /// Gives an entity a secret of a method.
    pub struct EnrolEntity {
        /// The method's id.
        method_id: Option<String>,
        /// The entity's id.
        entity_id: Option<String>,
    }
}
fields! {
    /// Takes an entity's secret of a method away.
    pub struct DestroySecret {
        /// The method's id.
        method_id: Option<String>,
        /// The entity's id.
        entity_id: Option<String>,
    }
}
ops! {
    Enrol Json, Write;
    EnrolEntity Json, Write;
    DestroySecret (), Write;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.command::<Enrol>("mfa/method/totp/generate")
        .command::<EnrolEntity>("mfa/method/totp/admin-generate")
        .command::<DestroySecret>("mfa/method/totp/admin-destroy")
}

/// Method and entity of a request.
async fn both(
    cx: &mut WriteCx<'_>,
    method_id: Option<String>,
    entity_id: Option<String>,
) -> Result<(Arc<Method>, Arc<Entity>)> {
    let Some(method_id) = given(method_id) else { return refuse("missing method ID") };
    let Some(entity_id) = given(entity_id) else { return refuse("missing entity ID") };
    cx.queue(&entity_id).await;
    let Some(Found { method, .. }) = find(cx, &method_id).await? else {
        return refuse("configuration for the method ID does not exist");
    };
    match directory(cx).unmerged(&entity_id).await? {
        Some(entity) => Ok((method, entity)),
        None => refuse("invalid entity ID"),
    }
}

async fn enrol(
    cx: &mut WriteCx<'_>,
    method_id: Option<String>,
    entity_id: Option<String>,
) -> Result<Reply<Json>> {
    let (method, entity) = both(cx, method_id, entity_id).await?;
    if directory(cx).factor_secret(method.at, &entity.id).await?.is_some() {
        // It is never shown again, and what a telephone has goes on being good.
        let text = format!("Entity already has a secret for MFA method {:?}", method.name);
        return Ok(Reply::none().warn(text));
    }
    let settings = &method.totp;
    let key = vec![0; settings.key_bytes as usize];
    let mut secret = FactorSecret { key, codes: settings.codes };
    cx.rng().fill(&mut secret.key);
    let url = url::write(&settings.issuer, &entity.id, &secret.key, secret.codes);
    let barcode = match settings.qr_pixels {
        0 => String::new(),
        side => picture::png(url.expose_secret(), i64::from(side))?,
    };
    let factor = Factor { method: method.id.clone(), at: method.at };
    directory(cx).put_factor(&entity, factor, &secret)?;
    Ok(Reply::data(json!({ "url": url.expose_secret(), "barcode": barcode })))
}

impl Command<Enrol> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Enrol) -> Result<Reply<Json>> {
        let own = cx.request.entity_id().to_owned();
        enrol(cx, op.method_id, Some(own)).await
    }
}

impl Command<EnrolEntity> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EnrolEntity) -> Result<Reply<Json>> {
        enrol(cx, op.method_id, op.entity_id).await
    }
}

impl Command<DestroySecret> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DestroySecret) -> Result<Reply<()>> {
        let (method, entity) = both(cx, op.method_id, op.entity_id).await?;
        directory(cx).remove_factor(&entity, method.at)?;
        Ok(Reply::none())
    }
}
