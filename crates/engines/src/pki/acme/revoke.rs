//! Taking a certificate back (RFC 8555 §7.6): by the account that got it, by one that has proved all
//! of its names, or by who has its key.

use strongroom_base::{Json, Result};
use strongroom_crypto::x509::{Certificate, GeneralName};
use strongroom_kernel::plug::{Reply, WriteCx};
use strongroom_kernel::record::Id;

use super::super::revocation::Found;
use super::super::{PkiEngine, certificates, crl};
use super::problem::{Problem, or};
use super::signed;
use super::stored::{Authorization, AuthorizationStatus, Identifier, Issued, Proved};
use super::visit::Visit;

signed! {
    /// Revokes a certificate.
    RevokeCertificate {} => revoke;
}

async fn revoke(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    _: &RevokeCertificate,
) -> Result<Reply<()>> {
    cx.queue(crl::QUEUE).await;
    let malformed = |text: &str| Problem::Malformed.says(text);
    let der = visit.bytes("certificate")?;
    let given = Certificate::from_der(&der);
    let given = given.map_err(|_| malformed("the certificate does not parse"))?;
    match visit.member("reason") {
        None => {}
        Some(Json::Number(reason)) if reason.as_i64() == Some(0) => {}
        Some(Json::Number(_)) => {
            let text = "revocation reasons are not kept: the reason is left out, or 0";
            return Err(Problem::BadRevocationReason.says(text));
        }
        Some(_) => return Err(malformed("the field 'reason' is no number")),
    }
    if given.not_after < cx.now().seconds() {
        return Err(malformed("the certificate has expired"));
    }
    let view = cx.view();
    let serial = given.serial_text();
    // Whether a certificate is kept here anybody may know: it can be read without a token.
    let kept = certificates::find(&view, &serial).await?;
    if kept.as_ref() != Some(&given) {
        return Err(malformed("the certificate is none of this authority's"));
    }
    match &visit.account {
        Some(_) => {
            let (_, account) = visit.account()?;
            let number = account.number;
            if view.named::<Issued>(number, &serial).await?.is_none()
                && !holds_all(cx, number, &given).await?
            {
                let text = "the certificate was not issued to this account, and it has not proved \
                            all of its names";
                return Err(Problem::Unauthorized.says(text));
            }
        }
        None if !visit.key.is_spki(&given.spki) => {
            let text = "the message is signed neither by an account nor by the certificate's key";
            return Err(Problem::Unauthorized.says(text));
        }
        None => {}
    }
    if certificates::revocation(&view, &serial).await?.is_some() {
        return Err(Problem::AlreadyRevoked.says("the certificate was revoked before"));
    }
    engine.revoke(cx, &Found::kept(given)).await.map_err(or(Problem::Malformed))?;
    Ok(Reply::none().status(200))
}

/// Has the account proved every name of a certificate, so that each proof still counts?
async fn holds_all(cx: &WriteCx<'_>, account: Id, certificate: &Certificate) -> Result<bool> {
    let view = cx.view();
    let names = certificate.alt_names().unwrap_or_default();
    let has_names = !names.is_empty();
    for name in names {
        let identifier = match name {
            GeneralName::Dns(name) => Identifier::name(&name).ok(),
            GeneralName::Ip(ip) => Some(Identifier::Ip(ip.to_canonical().to_string())),
            _ => None,
        };
        let Some(identifier) = identifier else { return Ok(false) };
        let proved = view.named::<Proved>(account, identifier.value()).await?;
        let Some(proved) = proved.filter(|p| p.expires > cx.now()) else { return Ok(false) };
        let proof = view.named::<Authorization>(account, &proved.authorization).await?;
        if proof.is_none_or(|proof| proof.status != AuthorizationStatus::Valid) {
            return Ok(false);
        }
    }
    Ok(has_names)
}
