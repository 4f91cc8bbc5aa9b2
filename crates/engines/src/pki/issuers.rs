//! Issuers: `issuers`, `issuer/REF` and `issuer/REF/revoke`.

use serde_json::json;
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, lists, ops};

use super::authority::{config, find_issuer, issuer_id};
use super::certificates;
use super::config::templates_warning;
use super::import::{QUEUE, new_name};
use super::issuer_fields::{IssuerFields, shown};
use super::role::Role;
use super::roster::Roster;
use super::stored::{CrlState, DEFAULT, Issuer, IssuerName, IssuersConfig, Revoked, Usage};
use super::{PkiEngine, bad, crl};

fields! {
    /// Lists the issuers.
    pub struct ListIssuers {
        /// Ids after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows an issuer.
    pub struct ReadIssuer {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// Sets an issuer's settings: what is not said has its default.
    pub struct UpdateIssuer {
        ..settings: IssuerFields;
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// Changes an issuer's settings. What is not said stays as it was.
    pub struct PatchIssuer {
        ..settings: IssuerFields;
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// Removes an issuer. Its key stays.
    pub struct DeleteIssuer {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// Revokes an issuer: it issues nothing any more, and stands on its own issuers' lists.
    pub struct RevokeIssuer {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}

ops! {
    ListIssuers Json, List, Open;
    ReadIssuer Json, Read;
    UpdateIssuer Json, Write;
    PatchIssuer Json, Patch;
    DeleteIssuer (), Delete;
    RevokeIssuer Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ListIssuers>("issuers/")
        .query::<ReadIssuer>("issuer/{issuer_ref}")
        .command::<UpdateIssuer>("issuer/{issuer_ref}")
        .command::<PatchIssuer>("issuer/{issuer_ref}")
        .command::<DeleteIssuer>("issuer/{issuer_ref}")
        .command::<RevokeIssuer>("issuer/{issuer_ref}/revoke")
}

impl Query<ListIssuers> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListIssuers) -> Result<Reply<Json>> {
        let view = cx.view();
        let names = view.names::<Issuer>(0).await?;
        let page = lists::page(&names, op.after.as_deref(), op.limit)?;
        let default = config::<IssuersConfig>(&view).await?.default;
        let mut info = JsonMap::new();
        for id in &page.keys {
            let Some(issuer) = view.cached::<Issuer>(0, id).await? else { continue };
            let certificate = self.certificate(id, &issuer).await?;
            let one = json!({
                "issuer_name": issuer.name,
                "is_default": *id == default,
                "serial_number": certificate.serial_text(),
                "key_id": issuer.key_id,
            });
            info.insert(id.clone(), one);
        }
        Ok(Reply::data(json!({ "keys": page.keys, "key_info": info })))
    }
}

impl PkiEngine {
    async fn issuer_view(&self, cx: &ReadCx<'_>, id: &str, issuer: &Issuer) -> Result<Json> {
        let chain = self.chain(&cx.view(), id, issuer).await?;
        let chain: Vec<String> = chain.iter().map(|c| format!("{}\n", c.pem())).collect();
        let certificate = self.certificate(id, issuer).await?;
        Ok(Json::Object(shown(id, issuer, &certificate, &chain)))
    }

    async fn change(
        &self,
        cx: &mut WriteCx<'_>,
        reference: &str,
        settings: IssuerFields,
    ) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let (id, old) = find_issuer(&cx.view(), reference).await?;
        let certificate = self.certificate(&id, &old).await?;
        let mut new = (*old).clone();
        settings.apply(&mut new, &certificate)?;
        let mut warnings = Vec::new();
        let wanted = settings.issuer_name.as_deref().map(str::trim);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != old.name) {
            new.name = new_name(cx, "issuer", Some(wanted)).await?;
            if !old.name.is_empty() {
                cx.edit().delete_named::<IssuerName>(0, &old.name);
                warnings.extend(roles_warning(cx, &old.name).await?);
            }
            if !new.name.is_empty() {
                cx.edit().put_named(0, &new.name, &IssuerName { id: id.clone() })?;
            }
        }
        if let Some(references) = &settings.manual_chain {
            new.manual_chain = manual_chain(cx, &id, references).await?;
        }
        cx.edit().put_named(0, &id, &new)?;
        let same_lists = old.usage == new.usage
            && old.revocation_algorithm == new.revocation_algorithm
            && old.urls == new.urls;
        if !same_lists {
            crl::issuers_changed(cx).await?;
        }
        if let Some(urls) = new.urls.as_ref().filter(|urls| urls.templates) {
            warnings.extend(templates_warning(cx, urls, &id).await);
        }
        Ok(Reply::data(self.issuer_view(cx, &id, &new).await?).warnings(warnings))
    }
}

/// The ids of a chain that an operator chose, itself first.
async fn manual_chain(cx: &ReadCx<'_>, own: &str, references: &[String]) -> Result<Vec<String>> {
    let mut chain = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        let id = match (at, reference.as_str()) {
            (0, "self") => own.to_owned(),
            _ => find_issuer(&cx.view(), reference).await?.0,
        };
        if at == 0 && id != own {
            return Err(bad("expected first cert in chain to be a self-reference"));
        }
        chain.push(id);
    }
    Ok(chain)
}

/// That roles name an issuer by a name that is gone.
async fn roles_warning(cx: &ReadCx<'_>, name: &str) -> Result<Option<String>> {
    let view = cx.view();
    let mut count = 0;
    for role in view.names::<Role>(0).await?.iter() {
        let role = view.cached::<Role>(0, role).await?;
        count += usize::from(role.is_some_and(|role| role.issuer_ref == name));
    }
    Ok((count > 0).then(|| format!("{count} roles reference {name}")))
}

impl Query<ReadIssuer> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadIssuer) -> Result<Reply<Json>> {
        // Observed: clients tell an issuer that is gone by a 500, which is what its peers answer here.
        let found = find_issuer(&cx.view(), &op.issuer_ref).await;
        let (id, issuer) = found.map_err(|e| match e.kind {
            ErrorKind::BadRequest => Error { kind: ErrorKind::Internal, ..e },
            _ => e,
        })?;
        Ok(Reply::data(self.issuer_view(cx, &id, &issuer).await?))
    }
}

impl Command<UpdateIssuer> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: UpdateIssuer) -> Result<Reply<Json>> {
        self.change(cx, &op.issuer_ref, op.settings.whole()).await
    }
}

impl Command<PatchIssuer> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchIssuer) -> Result<Reply<Json>> {
        self.change(cx, &op.issuer_ref, op.settings).await
    }
}

impl Command<DeleteIssuer> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteIssuer) -> Result<Reply<()>> {
        cx.queue(QUEUE).await;
        let edit = cx.edit();
        let Some(id) = issuer_id(&edit, &op.issuer_ref).await? else { return Ok(Reply::none()) };
        let mut roster = self.roster(&edit).await?;
        let warnings = delete(cx, &mut roster, &id).await?;
        roster.save(&edit)?;
        crl::issuers_changed(cx).await?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// Removes an issuer from a roster; answers with what an operator should know.
pub async fn delete(cx: &WriteCx<'_>, roster: &mut Roster, id: &str) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let name = roster.link(id).map(|link| link.issuer.name.clone()).unwrap_or_default();
    for name in [name.as_str(), id].into_iter().filter(|name| !name.is_empty()) {
        warnings.extend(roles_warning(cx, name).await?);
    }
    if roster.issuers.default == id {
        warnings.push(format!(
            "Deleted issuer {id}; this was configured as the default issuer. Operations without an \
             explicit issuer will not work until a new default is configured."
        ));
        warnings.extend(roles_warning(cx, DEFAULT).await?);
    }
    roster.remove_issuer(&cx.edit(), id);
    Ok(warnings)
}

impl Command<RevokeIssuer> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeIssuer) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let (id, issuer) = find_issuer(&cx.view(), &op.issuer_ref).await?;
        if issuer.revoked.is_some() {
            return Ok(Reply::data(self.issuer_view(cx, &id, &issuer).await?));
        }
        let edit = cx.edit();
        let certificate = self.certificate(&id, &issuer).await?;
        let state = edit.named::<CrlState>(0, "").await?.unwrap_or_default();
        let known = state.at.max(state.delta_at);
        let at = cx.now().max(strongroom_base::Timestamp(known.0 + 1));
        let mut new = (*issuer).clone();
        new.revoked = Some(at);
        new.usage &= !(Usage::Issue as u8);
        edit.put_named(0, &id, &new)?;
        // Where it was issued here, it is also revoked as what it is to its issuer.
        let serial = certificate.serial_text();
        if certificates::find(&edit, &serial).await?.is_some_and(|known| known == *certificate) {
            let (issuer, authority) = self.issuer_of(cx, &certificate).await?.unwrap_or_default();
            let not_after = certificate.not_after;
            let revoked = Revoked { at, issuer, not_after, authority };
            edit.put_named(0, &serial, &revoked)?;
        }
        edit.put_named(0, "", &CrlState { revoked_at: state.revoked_at.max(at), ..state })?;
        crl::renew(cx).await?;
        let mut reply = Reply::data(self.issuer_view(cx, &id, &new).await?);
        let mut parent = false;
        for (other, record) in super::authority::all_issuers(&edit).await? {
            let behind = self.certificate(&other, &record).await?;
            parent |= other != id && certificate.is_issued_by(&behind);
        }
        if certificate.is_self_signed() {
            reply = reply.warn(
                "This issuer is a self-signed (potentially root) certificate. This means it may \
                 not be considered revoked if there is not an external, cross-signed variant of \
                 this certificate. This issuer's serial number will not appear on its own CRL.",
            );
        }
        if !parent {
            reply = reply.warn(
                "This issuer lacks another parent issuer within the mount. This means it will not \
                 appear on any other CRLs and may not be considered revoked by clients. Consider \
                 adding this issuer to its issuer's CRL as well if it is not self-signed.",
            );
        }
        if config::<IssuersConfig>(&edit).await?.default == id {
            reply = reply.warn(
                "This issuer is currently configured as the default issuer for this mount; \
                 operations such as certificate issuance may not work until a new default issuer \
                 is selected.",
            );
        }
        Ok(reply)
    }
}
