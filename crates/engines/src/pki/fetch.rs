//! What strangers may read: certificates, chains and lists, as files or in JSON.

use serde_json::json;
use strongroom_base::{Error, ErrorKind, Json, Result, Timestamp, fields};
use strongroom_crypto::x509::{Certificate, to_pem};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::PkiEngine;
use super::authority::{config, find_issuer};
use super::certificates;
use super::crl::Kind;
use super::stored::{CrlState, DEFAULT, IssuersChanged};

const CERTIFICATE: &str = "application/pkix-cert";
const CERTIFICATES: &str = "application/pem-certificate-chain";
const LIST: &str = "application/pkix-crl";
const PEM: &str = "application/x-pem-file";

fields! {
    /// The default issuer's certificate as a file.
    pub struct FetchCa {}
}
fields! {
    /// The default issuer's certificate.
    pub struct FetchCaJson {}
}
fields! {
    /// The default issuer's chain as a file.
    pub struct FetchChain {}
}
fields! {
    /// The default issuer's chain.
    pub struct FetchChainJson {}
}
fields! {
    /// The default issuer's revocation list as a file.
    pub struct FetchCrl {}
}
fields! {
    /// The default issuer's revocation list.
    pub struct FetchCrlJson {}
}
fields! {
    /// A certificate.
    pub struct FetchCertificate {
        /// Its serial number.
        serial: String,
    }
}
fields! {
    /// A certificate as a file.
    pub struct FetchCertificateFile {
        /// Its serial number.
        serial: String,
    }
}
fields! {
    /// An issuer's certificate with its chain.
    pub struct FetchIssuer {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// An issuer's certificate as a file.
    pub struct FetchIssuerFile {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// An issuer's revocation list.
    pub struct FetchIssuerCrl {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// An issuer's revocation list as a file.
    pub struct FetchIssuerCrlFile {
        /// An id, a name, or default.
        issuer_ref: String,
    }
}

ops! {
    FetchCa (), Read, Open;
    FetchCaJson Json, Read, Open;
    FetchChain (), Read, Open;
    FetchChainJson Json, Read, Open;
    FetchCrl (), Read, Open;
    FetchCrlJson Json, Read, Open;
    FetchCertificate Json, Read, Open;
    FetchCertificateFile (), Read, Open;
    FetchIssuer Json, Read, Open;
    FetchIssuerFile (), Read, Open;
    FetchIssuerCrl Json, Read, Open;
    FetchIssuerCrlFile (), Read, Open;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<FetchCa>("ca")
        .query::<FetchCa>("ca/pem")
        .query::<FetchCa>("cert/ca/raw")
        .query::<FetchCa>("cert/ca/raw/pem")
        .query::<FetchCaJson>("cert/ca")
        .query::<FetchChain>("ca_chain")
        .query::<FetchChainJson>("cert/ca_chain")
        .query::<FetchCrl>("crl")
        .query::<FetchCrl>("crl/pem")
        .query::<FetchCrl>("crl/delta")
        .query::<FetchCrl>("crl/delta/pem")
        .query::<FetchCrl>("cert/crl/raw")
        .query::<FetchCrl>("cert/crl/raw/pem")
        .query::<FetchCrl>("cert/delta-crl/raw")
        .query::<FetchCrl>("cert/delta-crl/raw/pem")
        .query::<FetchCrlJson>("cert/crl")
        .query::<FetchCrlJson>("cert/delta-crl")
        .query::<FetchCertificate>("cert/{serial}")
        .query::<FetchCertificateFile>("cert/{serial}/raw")
        .query::<FetchCertificateFile>("cert/{serial}/raw/pem")
        .query::<FetchIssuer>("issuer/{issuer_ref}/json")
        .query::<FetchIssuerFile>("issuer/{issuer_ref}/pem")
        .query::<FetchIssuerFile>("issuer/{issuer_ref}/der")
        .query::<FetchIssuerCrl>("issuer/{issuer_ref}/crl")
        .query::<FetchIssuerCrl>("issuer/{issuer_ref}/crl/delta")
        .query::<FetchIssuerCrlFile>("issuer/{issuer_ref}/crl/pem")
        .query::<FetchIssuerCrlFile>("issuer/{issuer_ref}/crl/der")
        .query::<FetchIssuerCrlFile>("issuer/{issuer_ref}/crl/delta/pem")
        .query::<FetchIssuerCrlFile>("issuer/{issuer_ref}/crl/delta/der")
}

/// Does the path ask for PEM?
fn wants_pem(cx: &ReadCx<'_>) -> bool {
    cx.request.path.ends_with("/pem")
}

/// Which list the path asks for.
fn kind(cx: &ReadCx<'_>) -> Kind {
    let delta = cx.request.path.split('/').any(|part| part == "delta" || part == "delta-crl");
    if delta { Kind::Delta } else { Kind::Complete }
}

/// With when it was made last, if that is known; 304 where the caller has seen it since. Both headers
/// must be let through by the mount (`passthrough_request_headers`, `allowed_response_headers`).
fn unless_seen<T>(cx: &ReadCx<'_>, at: Timestamp, reply: Reply<T>) -> Reply<T> {
    if at.is_zero() {
        return reply;
    }
    let seen = cx.request.header("if-modified-since").and_then(Timestamp::parse_http_date);
    let reply = match seen.is_some_and(|seen| at.seconds() <= seen.seconds()) {
        true => Reply::none().status(304),
        false => reply,
    };
    reply.tuned_header("last-modified", at.to_http_date())
}

/// When issuers changed last.
async fn issuers_at(cx: &ReadCx<'_>) -> Result<Timestamp> {
    Ok(config::<IssuersChanged>(&cx.view()).await?.at)
}

/// When the list that the path asks for was made.
async fn list_at(cx: &ReadCx<'_>) -> Result<Timestamp> {
    let state: CrlState = config(&cx.view()).await?;
    Ok(match kind(cx) {
        Kind::Complete => state.at,
        Kind::Delta => state.delta_at,
    })
}

/// A file; 204 where there is none.
fn file(content_type: &'static str, body: Option<Vec<u8>>) -> Reply<()> {
    match body {
        Some(body) => Reply::raw(content_type, body),
        None => Reply::none(),
    }
}

fn certificate_file(cx: &ReadCx<'_>, certificate: &Certificate) -> Reply<()> {
    match wants_pem(cx) {
        true => file(CERTIFICATES, Some(certificate.pem().into_bytes())),
        false => file(CERTIFICATE, Some(certificate.der().to_vec())),
    }
}

impl PkiEngine {
    /// The chain of an issuer; none where there is no such issuer.
    async fn chain_of(
        &self,
        cx: &ReadCx<'_>,
        reference: &str,
    ) -> Result<Vec<std::sync::Arc<Certificate>>> {
        let (id, issuer) = find_issuer(&cx.view(), reference).await?;
        self.chain(&cx.view(), &id, &issuer).await
    }

    async fn list_of(&self, cx: &ReadCx<'_>, reference: &str) -> Result<Option<Vec<u8>>> {
        let (id, issuer) = find_issuer(&cx.view(), reference).await?;
        self.list(cx, &id, &issuer, kind(cx)).await
    }
}

/// What a stranger is told where there is no default issuer: nothing, which is no error.
fn or_nothing<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind == ErrorKind::BadRequest => Ok(None),
        Err(e) => Err(e),
    }
}

fn list_file(cx: &ReadCx<'_>, list: Option<Vec<u8>>) -> Reply<()> {
    match list {
        Some(der) if wants_pem(cx) => {
            let pem = to_pem("X509 CRL", &der) + "\n";
            file(PEM, Some(pem.into_bytes()))
        }
        list => file(LIST, list),
    }
}

fn list_pem(list: Option<Vec<u8>>) -> String {
    list.map(|der| to_pem("X509 CRL", &der)).unwrap_or_default()
}

fn unrevoked(certificate: &str) -> Json {
    json!({ "certificate": certificate, "revocation_time": 0, "revocation_time_rfc3339": "" })
}

impl Query<FetchCa> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: FetchCa) -> Result<Reply<()>> {
        let chain = or_nothing(self.chain_of(cx, DEFAULT).await)?.unwrap_or_default();
        let reply = chain.first().map_or_else(Reply::none, |c| certificate_file(cx, c));
        Ok(unless_seen(cx, issuers_at(cx).await?, reply))
    }
}

impl Query<FetchCaJson> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: FetchCaJson) -> Result<Reply<Json>> {
        let chain = self.chain_of(cx, DEFAULT).await?;
        let certificate = chain.first().ok_or_else(Error::not_found)?;
        let reply = Reply::data(unrevoked(&certificate.pem()));
        Ok(unless_seen(cx, issuers_at(cx).await?, reply))
    }
}

fn chain_text(chain: &[std::sync::Arc<Certificate>]) -> String {
    chain.iter().map(|c| c.pem()).collect::<Vec<_>>().join("\n")
}

impl Query<FetchChain> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: FetchChain) -> Result<Reply<()>> {
        let chain = or_nothing(self.chain_of(cx, DEFAULT).await)?;
        let reply = file(CERTIFICATE, chain.map(|chain| chain_text(&chain).into_bytes()));
        Ok(unless_seen(cx, issuers_at(cx).await?, reply))
    }
}

impl Query<FetchChainJson> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: FetchChainJson) -> Result<Reply<Json>> {
        let text = chain_text(&self.chain_of(cx, DEFAULT).await?);
        let mut data = unrevoked(&text);
        if let Json::Object(map) = &mut data {
            map.insert("ca_chain".to_owned(), text.into());
        }
        Ok(unless_seen(cx, issuers_at(cx).await?, Reply::data(data)))
    }
}

impl Query<FetchCrl> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: FetchCrl) -> Result<Reply<()>> {
        let list = or_nothing(self.list_of(cx, DEFAULT).await)?.flatten();
        Ok(unless_seen(cx, list_at(cx).await?, list_file(cx, list)))
    }
}

impl Query<FetchCrlJson> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: FetchCrlJson) -> Result<Reply<Json>> {
        let reply = Reply::data(unrevoked(&list_pem(self.list_of(cx, DEFAULT).await?)));
        Ok(unless_seen(cx, list_at(cx).await?, reply))
    }
}

impl Query<FetchCertificate> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: FetchCertificate) -> Result<Reply<Json>> {
        let view = cx.view();
        let certificate = certificates::find(&view, &op.serial).await?;
        let certificate = certificate.ok_or_else(Error::not_found)?;
        let revoked = certificates::revocation(&view, &op.serial).await?;
        let at = revoked.as_ref().map_or(Timestamp::ZERO, |r| r.at);
        let mut data = json!({
            "certificate": certificate.pem(),
            "revocation_time": at.seconds(),
            "revocation_time_rfc3339": if at.is_zero() { String::new() } else { at.to_string() },
        });
        if let (Some(revoked), Json::Object(map)) = (revoked, &mut data)
            && !revoked.issuer.is_empty()
        {
            map.insert("issuer_id".to_owned(), revoked.issuer.into());
        }
        Ok(Reply::data(data))
    }
}

impl Query<FetchCertificateFile> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: FetchCertificateFile) -> Result<Reply<()>> {
        let certificate = certificates::find(&cx.view(), &op.serial).await?;
        Ok(certificate.map_or_else(Reply::none, |c| certificate_file(cx, &c)))
    }
}

impl Query<FetchIssuer> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: FetchIssuer) -> Result<Reply<Json>> {
        let (id, issuer) = find_issuer(&cx.view(), &op.issuer_ref).await?;
        let chain = self.chain(&cx.view(), &id, &issuer).await?;
        let pem = |c: &std::sync::Arc<Certificate>| format!("{}\n", c.pem());
        let reply = Reply::data(json!({
            "certificate": chain.first().map(pem),
            "ca_chain": chain.iter().map(pem).collect::<Vec<_>>(),
            "issuer_id": id,
            "issuer_name": issuer.name,
        }));
        Ok(unless_seen(cx, issuers_at(cx).await?, reply))
    }
}

impl Query<FetchIssuerFile> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: FetchIssuerFile) -> Result<Reply<()>> {
        let (id, issuer) = find_issuer(&cx.view(), &op.issuer_ref).await?;
        let certificate = self.certificate(&id, &issuer).await?;
        let reply = match wants_pem(cx) {
            true => file(CERTIFICATES, Some(format!("{}\n", certificate.pem()).into_bytes())),
            false => file(CERTIFICATE, Some(certificate.der().to_vec())),
        };
        Ok(unless_seen(cx, issuers_at(cx).await?, reply))
    }
}

impl Query<FetchIssuerCrl> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: FetchIssuerCrl) -> Result<Reply<Json>> {
        let list = self.list_of(cx, &op.issuer_ref).await?;
        let list = list.ok_or_else(Error::not_found)?;
        let reply = Reply::data(json!({ "crl": list_pem(Some(list)) + "\n" }));
        Ok(unless_seen(cx, list_at(cx).await?, reply))
    }
}

impl Query<FetchIssuerCrlFile> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: FetchIssuerCrlFile) -> Result<Reply<()>> {
        let reply = list_file(cx, self.list_of(cx, &op.issuer_ref).await?);
        Ok(unless_seen(cx, list_at(cx).await?, reply))
    }
}
