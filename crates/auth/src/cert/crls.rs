//! Revocation lists: handed in, or fetched from where they are published.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Result, fields};
use strongroom_connectors::web::{self, Call};
use strongroom_crypto::keys::to_decimal;
use strongroom_crypto::x509::{Crl, pem_blocks, rfc3339};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, names, ops};

use super::Cert;
use super::stored::{self, Entry, RevocationList, Source};

/// Bytes of a list that is handed in.
const CRL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Lists of a mount: each login looks into all of them.
const CRLS_MAX: usize = 256;
/// Seconds after which a list is fetched again at the latest, however long it says to be the newest.
const LATEST_SECONDS: i64 = 24 * 3_600;
/// Seconds until a list is fetched again that says nothing of its next one.
const AGAIN_SECONDS: i64 = 3_600;

fields! {
    /// Sets a revocation list.
    pub struct PutCrl {
        /// The list's name; its case does not matter.
        name: String,
        /// The list in PEM, or the base64 of its DER.
        crl: Option<String>,
        /// Where it is published, in place of `crl`: it is fetched from there, now and whenever its
        /// time is over.
        url: Option<String>,
    }
}
fields! {
    /// Reads what is on a revocation list.
    pub struct ReadCrl {
        /// The list's name.
        name: String,
    }
}
fields! {
    /// Removes a revocation list.
    pub struct DeleteCrl {
        /// The list's name.
        name: String,
    }
}
fields! {
    /// Lists the revocation lists.
    pub struct ListCrls {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}

/// What is on a list.
#[derive(Serialize)]
pub struct CrlView {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    serials: BTreeMap<String, Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cdp: Option<SourceView>,
}

/// An object without members.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct SourceView {
    url: String,
    valid_until: String,
}

ops! {
    PutCrl (), Write;
    ReadCrl CrlView, Read;
    DeleteCrl (), Delete;
    ListCrls Keys, List;
}

pub(super) fn add(spec: EngineSpec<Cert>) -> EngineSpec<Cert> {
    spec.query::<ListCrls>("crls/")
        .query::<ReadCrl>("crls/{name}")
        .command::<PutCrl>("crls/{name}")
        .command::<DeleteCrl>("crls/{name}")
}

fn no_such(name: &str) -> Error {
    Error::bad_request(format!("no such CRL {name}"))
}

fn unread() -> Error {
    Error::bad_request("failed to parse CRL")
}

/// A list in PEM, as base64 of DER, or as DER.
pub(super) fn read(bytes: &[u8]) -> Result<Crl> {
    if bytes.len() > CRL_BYTES_MAX {
        return Err(Error::bad_request("the CRL is too large"));
    }
    let der = match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN") => {
            let (blocks, _) = pem_blocks(text).map_err(|e| unread().because(e))?;
            let list = blocks.into_iter().find(|block| block.label == "X509 CRL");
            list.ok_or_else(unread)?.der.to_vec()
        }
        Ok(text) => {
            let compact: String = text.split_whitespace().collect();
            STANDARD.decode(compact).map_err(|_| unread())?
        }
        Err(_) => bytes.to_vec(),
    };
    let list = Crl::from_der(&der).map_err(|e| unread().because(e))?;
    if list.is_complete() {
        return Ok(list);
    }
    Err(Error::bad_request("the CRL does not tell of all certificates of its issuer"))
}

/// Fetches the list at `url`.
pub(super) async fn fetch(web: &dyn web::Web, url: &str) -> Result<Crl> {
    let failed =
        |why: String| Error::new(ErrorKind::Upstream, format!("error fetching the CRL: {why}"));
    let answer = web
        .call(Call::get(url).with_body_max(CRL_BYTES_MAX))
        .await
        .map_err(|e| failed(e.to_string()))?;
    if answer.status != 200 {
        return Err(failed(format!("unexpected response code {}", answer.status)));
    }
    read(&answer.body).map_err(|e| failed(e.public.join("; ")))
}

/// The record of a list. Where one of the mount's authorities is its issuer by name, one of these
/// must have signed it.
pub(super) async fn record(
    cx: &ReadCx<'_>,
    crl: &Crl,
    url: Option<&str>,
) -> Result<RevocationList> {
    let view = cx.view();
    let (mut known, mut signed) = (false, false);
    for name in view.names::<Entry>(0).await?.iter() {
        let Some(entry) = stored::trusted(&view, name).await? else { continue };
        for issuer in entry.authorities().filter(|issuer| issuer.subject == crl.issuer) {
            known = true;
            signed = signed || crl.is_signed_by(&issuer.spki);
        }
    }
    if known && !signed {
        return Err(Error::bad_request("the CRL is not signed by its issuer"));
    }
    let mut serials: Vec<String> =
        crl.entries.iter().map(|entry| to_decimal(&entry.serial)).collect();
    serials.sort_unstable();
    serials.dedup();
    let now = cx.now().seconds();
    let source = url.map(|url| Source {
        url: url.to_owned(),
        valid_until: crl.next_update,
        due: match crl.next_update {
            next if next > now => next.min(now + LATEST_SECONDS),
            _ => now + AGAIN_SECONDS,
        },
    });
    let (this_update, issuer) = (crl.this_update, crl.issuer.der().to_vec());
    Ok(RevocationList { serials, this_update, source, issuer, signed })
}

impl Command<PutCrl> for Cert {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutCrl) -> Result<Reply<()>> {
        let name = op.name.to_lowercase();
        names::check(&name)?;
        let (crl, url) = match (op.crl, op.url) {
            (Some(text), _) => (read(text.as_bytes())?, None),
            (None, Some(url)) if url.is_empty() => {
                return Err(Error::bad_request("empty CRL url"));
            }
            (None, Some(url)) => {
                let fetched = cx.outside(fetch(&*self.web, &url)).await?;
                (fetched, Some(url))
            }
            (None, None) => {
                return Err(Error::bad_request("one of 'crl' or 'url' must be provided"));
            }
        };
        cx.queue(&name).await;
        let all = cx.view().names::<RevocationList>(0).await?;
        if all.len() >= CRLS_MAX && !all.contains(&name) {
            return Err(Error::bad_request(format!("a mount has at most {CRLS_MAX} CRLs")));
        }
        let record = record(cx, &crl, url.as_deref()).await?;
        cx.edit().put_named(0, &name, &record)?;
        Ok(Reply::none())
    }
}

impl Query<ReadCrl> for Cert {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadCrl) -> Result<Reply<CrlView>> {
        let name = op.name.to_lowercase();
        let list = cx.view().cached::<RevocationList>(0, &name).await?;
        let list = list.ok_or_else(|| no_such(&name))?;
        let serials = list.serials.iter().map(|serial| (serial.clone(), Nothing {})).collect();
        let cdp = list.source.as_ref().map(|source| SourceView {
            url: source.url.clone(),
            valid_until: rfc3339(source.valid_until),
        });
        Ok(Reply::data(CrlView { serials, cdp }))
    }
}

impl Command<DeleteCrl> for Cert {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteCrl) -> Result<Reply<()>> {
        let name = op.name.to_lowercase();
        cx.queue(&name).await;
        if cx.view().cached::<RevocationList>(0, &name).await?.is_none() {
            return Err(no_such(&name));
        }
        cx.edit().delete_named::<RevocationList>(0, &name);
        Ok(Reply::none())
    }
}

impl Query<ListCrls> for Cert {
    async fn query(&self, cx: &ReadCx<'_>, op: ListCrls) -> Result<Reply<Keys>> {
        lists::of_records::<RevocationList>(cx, 0, op.after.as_deref(), op.limit).await
    }
}
