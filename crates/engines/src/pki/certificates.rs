//! What was issued: kept by serial number, found again, listed.

use data_encoding::HEXLOWER;
use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_crypto::x509::{Certificate, GeneralName, attributes};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};
use strongroom_kernel::record::{ReadView, WriteView, rows};

use super::stored::{Revoked, Stored};
use super::{PkiEngine, damaged};

/// Host names of a certificate that a detailed list shows.
const NAMES_SHOWN: usize = 5;
/// Bytes of an authority's digest in the name of a record.
const QUALIFIER_BYTES: usize = 8;
/// Certificates that a detailed list shows: each is read.
const DETAILED_MAX: i64 = 10_000;

fields! {
    /// Lists the serial numbers of certificates.
    pub struct ListCertificates {
        /// Numbers after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Lists certificates with what they say.
    pub struct ListDetailed {
        /// Numbers after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Lists the serial numbers of revoked certificates.
    pub struct ListRevoked {
        /// Numbers after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}

ops! {
    ListCertificates Keys, List;
    ListDetailed Json, List;
    ListRevoked Keys, List;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ListCertificates>("certs/")
        .query::<ListDetailed>("certs/detailed/")
        .query::<ListRevoked>("certs/revoked/")
}

/// A serial number in the one spelling that records have: pairs of lower-case digits with colons
/// between, without leading zeros.
pub fn normal(serial: &str) -> String {
    let text = serial.trim().to_ascii_lowercase().replace('-', ":");
    let mut rest = text.as_str();
    while let Some(shorter) = rest.strip_prefix("00:") {
        rest = shorter;
    }
    rest.to_owned()
}

/// A serial number that another authority's certificate has already: numbers are an authority's own.
/// Records of the second one have it with what tells their authority ([`authority_digest`]) behind it.
///
/// [`authority_digest`]: super::stored::authority_digest
pub fn qualified(serial: &str, authority: &[u8]) -> String {
    let shown = authority.get(..QUALIFIER_BYTES).unwrap_or(authority);
    format!("{serial}@{}", HEXLOWER.encode(shown))
}

/// The serial number in the name of a record.
pub fn serial_of(name: &str) -> &str {
    name.split_once('@').map_or(name, |(serial, _)| serial)
}

/// Keeps a certificate that was issued here.
pub fn store(edit: &WriteView<'_>, certificate: &Certificate) -> Result<()> {
    store_as(edit, &certificate.serial_text(), certificate)
}

/// Keeps a certificate under this name.
pub fn store_as(edit: &WriteView<'_>, name: &str, certificate: &Certificate) -> Result<()> {
    let row = edit.new_id();
    edit.put_row_bytes(rows::VALUES, row, certificate.der())?;
    let stored = Stored { row, not_after: certificate.not_after };
    edit.put_named(0, name, &stored)
}

/// The certificate with this serial number, if it was kept.
pub async fn find(view: &ReadView<'_>, serial: &str) -> Result<Option<Certificate>> {
    let Some(stored) = view.named::<Stored>(0, &normal(serial)).await? else { return Ok(None) };
    read(view, &stored).await.map(Some)
}

/// A certificate that is kept.
pub async fn read(view: &ReadView<'_>, stored: &Stored) -> Result<Certificate> {
    let der = view.row_bytes(rows::VALUES, stored.row).await?;
    let der = der.ok_or_else(|| Error::internal("a certificate's row is missing"))?;
    Certificate::from_der(der.expose_secret()).map_err(damaged)
}

/// When the certificate with this serial number was revoked, if it was.
pub async fn revocation(view: &ReadView<'_>, serial: &str) -> Result<Option<Revoked>> {
    view.named::<Revoked>(0, &normal(serial)).await
}

impl Query<ListCertificates> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListCertificates) -> Result<Reply<Keys>> {
        let names = cx.view().names::<Stored>(0).await?;
        let after = op.after.as_deref().map(normal);
        Ok(Reply::data(lists::page(&names, after.as_deref(), op.limit)?))
    }
}

impl Query<ListRevoked> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRevoked) -> Result<Reply<Keys>> {
        let names = cx.view().names::<Revoked>(0).await?;
        let after = op.after.as_deref().map(normal);
        Ok(Reply::data(lists::page(&names, after.as_deref(), op.limit)?))
    }
}

impl Query<ListDetailed> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListDetailed) -> Result<Reply<Json>> {
        let view = cx.view();
        let names = view.names::<Stored>(0).await?;
        let after = op.after.as_deref().map(normal);
        let limit = op.limit.filter(|limit| *limit > 0).unwrap_or(DETAILED_MAX);
        let page = lists::page(&names, after.as_deref(), Some(limit.min(DETAILED_MAX)))?;
        let mut info = JsonMap::new();
        for serial in &page.keys {
            if let Some(certificate) = find(&view, serial).await? {
                info.insert(serial.clone(), details(&certificate));
            }
        }
        Ok(Reply::data(json!({ "keys": page.keys, "key_info": info })))
    }
}

fn details(certificate: &Certificate) -> Json {
    // A key of a kind that we do not know is shown as none.
    let key = certificate.public_key().ok().map(|key| key.key_type());
    let bits = key.map_or(0, |key| if key.bits() == 0 { 256 } else { key.bits() });
    let names = certificate.alt_names().unwrap_or_default();
    let hosts = names.into_iter().filter_map(|name| match name {
        GeneralName::Dns(name) => Some(name),
        _ => None,
    });
    let hosts: Vec<String> = hosts.take(NAMES_SHOWN).collect();
    let time = strongroom_crypto::x509::rfc3339;
    json!({
        "common_name": certificate.subject.last(attributes::COMMON_NAME),
        "issuer": certificate.issuer.to_string(),
        "key_type": key.map_or("", |key| key.name()),
        "key_bits": bits,
        "not_before": time(certificate.not_before),
        "not_after": time(certificate.not_after),
        "dns_names": hosts,
    })
}
