//! OCSP (RFC 6960): whether a certificate of the mount was revoked, signed by its issuer. Anybody may
//! ask, by POST or by GET.
//!
//! Invariant: an answer says "good" or "revoked" only of certificates of an issuer of this mount that
//! the request names by its name and key, and that issuer signs it.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use strongroom_base::{
    Error, ErrorKind, Foreign, RawBody, Result, Timestamp, fields, parse_duration,
};
use strongroom_crypto::ocsp::{self, Request, Responder, Status, Times};
use strongroom_crypto::x509::{Certificate, SignatureAlgorithm};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::authority::{all_issuers, config};
use super::stored::{CrlConfig, Issuer, IssuersConfig, Usage, authority_digest};
use super::{PkiEngine, certificates};

/// The content type of answers.
const CONTENT_TYPE: &str = "application/ocsp-response";

fields! {
    /// Tells whether certificates were revoked: an OCSP request in DER.
    pub struct PostOcsp {
        /// The request.
        body: RawBody,
    }
}
fields! {
    /// Tells whether certificates were revoked: an OCSP request in base64.
    pub struct GetOcsp {
        /// The request.
        req: String,
    }
}
fields! {
    /// Refuses to tell of the certificates of several clusters: there is one.
    pub struct UnifiedOcsp {}
}
fields! {
    /// Refuses to tell of the certificates of several clusters: there is one.
    pub struct PostUnifiedOcsp {}
}

ops! {
    PostOcsp (), Write, Open;
    GetOcsp (), Read, Open;
    UnifiedOcsp (), Read, Open;
    PostUnifiedOcsp (), Write, Open;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<PostOcsp>("ocsp")
        .raw_body(ocsp::REQUEST_BYTES_MAX)
        .query::<GetOcsp>("ocsp/{req..}")
        .query::<PostUnifiedOcsp>("unified-ocsp")
        .raw_body(ocsp::REQUEST_BYTES_MAX)
        .query::<UnifiedOcsp>("unified-ocsp/{req..}")
}

/// A failure as OCSP says it.
fn refuse(status: u16, body: Vec<u8>) -> Error {
    let kind = match status {
        400 => ErrorKind::BadRequest,
        _ => ErrorKind::PermissionDenied,
    };
    let foreign = Foreign { status, content_type: CONTENT_TYPE, body, headers: Vec::new() };
    Error::new(kind, "the OCSP request was refused").in_words(foreign)
}

fn malformed() -> Error {
    refuse(400, ocsp::malformed())
}

fn unauthorized() -> Error {
    refuse(401, ocsp::unauthorized())
}

impl Query<PostOcsp> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: PostOcsp) -> Result<Reply<()>> {
        self.tell(cx, op.body.0.expose_secret()).await
    }
}

impl Query<GetOcsp> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: GetOcsp) -> Result<Reply<()>> {
        // The door has brought what no path can hold into the URL-safe form.
        let der = STANDARD.decode(&op.req).or_else(|_| URL_SAFE_NO_PAD.decode(&op.req));
        self.tell(cx, &der.unwrap_or_default()).await
    }
}

const NO_UNIFIED: &str =
    "there is one cluster: its OCSP responder is at ocsp, and unified-ocsp is not served";

impl Query<UnifiedOcsp> for PkiEngine {
    async fn query(&self, _: &ReadCx<'_>, _: UnifiedOcsp) -> Result<Reply<()>> {
        Err(Error::bad_request(NO_UNIFIED))
    }
}

impl Query<PostUnifiedOcsp> for PkiEngine {
    async fn query(&self, _: &ReadCx<'_>, _: PostUnifiedOcsp) -> Result<Reply<()>> {
        Err(Error::bad_request(NO_UNIFIED))
    }
}

/// An issuer that a request names.
struct Named {
    issuer: Arc<Issuer>,
    certificate: Arc<Certificate>,
}

impl PkiEngine {
    /// Answers a request.
    async fn tell(&self, cx: &ReadCx<'_>, der: &[u8]) -> Result<Reply<()>> {
        let settings: CrlConfig = config(&cx.view()).await?;
        if settings.ocsp_disable {
            return Err(unauthorized());
        }
        let request = Request::parse(der).map_err(|_| malformed())?;
        let named = self.named_issuers(cx, &request).await?;
        let signer = match named.iter().flatten().next() {
            Some(_) => named.iter().flatten().find(|named| self.may_sign(&named.issuer)),
            None => None,
        };
        let default;
        let signer = match signer {
            Some(signer) => signer,
            // One that is named and may not sign: somebody else's word would not count.
            None if named.iter().any(Option::is_some) => return Err(unauthorized()),
            None => {
                default = self.default_signer(cx).await?.ok_or_else(unauthorized)?;
                &default
            }
        };
        let mut said = Vec::with_capacity(request.certificates.len());
        for (asked, named) in request.certificates.iter().zip(&named) {
            // Only what the signing issuer issued is its to tell of.
            let is_its = named.as_ref().is_some_and(|n| {
                n.certificate.subject == signer.certificate.subject
                    && n.certificate.spki == signer.certificate.spki
            });
            let status = match is_its {
                true => status(self, cx, &signer.certificate, asked.serial()).await?,
                false => Status::Unknown,
            };
            said.push((asked, status));
        }
        let answer = self.sign(cx, signer, &settings, &request, &said).await?;
        Ok(Reply::raw(CONTENT_TYPE, answer))
    }

    /// For each certificate of a request, the issuer it names; one that can sign, where several
    /// have its name and key.
    async fn named_issuers(
        &self,
        cx: &ReadCx<'_>,
        request: &Request,
    ) -> Result<Vec<Option<Named>>> {
        let view = cx.view();
        let mut named: Vec<Option<Named>> = Vec::new();
        named.resize_with(request.certificates.len(), || None);
        for (id, issuer) in all_issuers(&view).await? {
            if issuer.key_id.is_empty() {
                continue;
            }
            let certificate = self.certificate(&id, &issuer).await?;
            let key = certificate.public_key()?;
            for (asked, found) in request.certificates.iter().zip(&mut named) {
                let settled = found.as_ref().is_some_and(|found| self.may_sign(&found.issuer));
                if !settled && asked.is_of(certificate.subject.der(), key.raw()) {
                    let (issuer, certificate) = (issuer.clone(), certificate.clone());
                    *found = Some(Named { issuer, certificate });
                }
            }
        }
        Ok(named)
    }

    fn may_sign(&self, issuer: &Issuer) -> bool {
        issuer.may(Usage::SignOcsp) && !issuer.key_id.is_empty()
    }

    /// Who says "unknown" of certificates of issuers that are not here.
    async fn default_signer(&self, cx: &ReadCx<'_>) -> Result<Option<Named>> {
        let view = cx.view();
        let id = config::<IssuersConfig>(&view).await?.default;
        let Some(issuer) = view.cached::<Issuer>(0, &id).await? else { return Ok(None) };
        if !self.may_sign(&issuer) {
            return Ok(None);
        }
        let certificate = self.certificate(&id, &issuer).await?;
        Ok(Some(Named { issuer, certificate }))
    }

    async fn sign(
        &self,
        cx: &ReadCx<'_>,
        signer: &Named,
        settings: &CrlConfig,
        request: &Request,
        said: &[(&ocsp::Certificate, Status)],
    ) -> Result<Vec<u8>> {
        let key = self.private_key(&cx.view(), &signer.issuer.key_id).await?;
        let usual = SignatureAlgorithm::for_key(key.key_type(), 0, false);
        let chosen = SignatureAlgorithm::by_name(&signer.issuer.revocation_algorithm);
        let algorithm = chosen.filter(|a| a.fits(key.key_type())).unwrap_or(usual);
        let responder = Responder {
            subject_der: signer.certificate.subject.der(),
            key: &key,
            scheme: algorithm.scheme(),
            algorithm_der: &algorithm.der(),
        };
        let seconds = parse_duration(&settings.ocsp_expiry).unwrap_or(0);
        let next = (seconds > 0).then(|| cx.now().plus_seconds(seconds));
        responder.answer(request, said, Times { now: cx.now(), next })
    }
}

/// Whether the certificate of this number, of the authority that signs, is revoked. One that was never
/// issued is "good" as well: certificates need not be kept here (`no_store`), so nobody knows
/// (observed: bao 2.6.2).
async fn status(
    engine: &PkiEngine,
    cx: &ReadCx<'_>,
    signer: &Certificate,
    serial: &[u8],
) -> Result<Status> {
    let view = cx.view();
    let own = authority_digest(signer);
    let number = strongroom_crypto::x509::colons(serial);
    let mut at = None;
    let mut known = Vec::new();
    for (id, issuer) in all_issuers(&view).await? {
        let certificate = engine.certificate(&id, &issuer).await?;
        // An issuer that was revoked as one is on its parent's list, whether it is kept or not.
        if certificate.serial() == serial && certificate.is_issued_by(signer) {
            at = at.or(issuer.revoked);
        }
        known.push(authority_digest(&certificate));
    }
    for name in [number.clone(), certificates::qualified(&number, &own)] {
        // The number may be another authority's; whose authority is gone counts for all.
        if let Some(revoked) = certificates::revocation(&view, &name).await?
            && (revoked.authority == own || !known.contains(&revoked.authority))
        {
            at = at.or(Some(revoked.at));
        }
    }
    Ok(match at {
        Some(at) => Status::Revoked(Timestamp::from_seconds(at.seconds())),
        None => Status::Good,
    })
}
