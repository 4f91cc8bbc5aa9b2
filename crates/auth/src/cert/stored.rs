//! What cert keeps: its settings, the certificates it trusts, and revocation lists.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result};
use strongroom_crypto::x509::{Certificate, pem_blocks};
use strongroom_kernel::record::{ReadView, Record};

use crate::token_params::TokenSettings;

/// Statuses remembered, where nothing else is set.
pub const CACHE_SIZE: i64 = 100;
/// Bytes of an entry's certificates in PEM.
pub const PEM_BYTES_MAX: usize = 256 * 1024;
/// Certificates of one entry.
pub const CERTIFICATES_MAX: usize = 64;

/// The mount's settings.
#[derive(Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Is a token renewed without the certificate it was given for?
    pub disable_binding: bool,
    /// Is the certificate's metadata kept with the alias?
    pub enable_identity_alias_metadata: bool,
    /// Statuses remembered.
    pub ocsp_cache_size: i64,
}

impl Record for Settings {
    const KIND: u8 = 1;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            disable_binding: false,
            enable_identity_alias_metadata: false,
            ocsp_cache_size: CACHE_SIZE,
        }
    }
}

/// What is asked of responders about an entry's clients.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Ocsp {
    /// Are they asked?
    pub enabled: bool,
    /// Authorities in PEM that may answer beside the issuer.
    pub ca_certificates: String,
    /// Whom to ask in place of those the certificate names.
    pub servers_override: Vec<String>,
    /// Does a certificate count whose status cannot be found out?
    pub fail_open: bool,
    /// Must all of them be asked, and agree?
    pub query_all_servers: bool,
}

/// A certificate that is trusted, named in lower case: an authority whose clients may log in, or a
/// client's own.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// PEM.
    pub certificate: String,
    /// Display name of the tokens.
    pub display_name: String,
    /// Older than the ones below: common name, host names and addresses of people alike.
    pub allowed_names: Vec<String>,
    /// Patterns, one of which fits the common name.
    pub allowed_common_names: Vec<String>,
    /// Patterns, one of which fits a host name.
    pub allowed_dns_sans: Vec<String>,
    /// Patterns, one of which fits an e-mail address.
    pub allowed_email_sans: Vec<String>,
    /// Patterns, one of which fits a URI.
    pub allowed_uri_sans: Vec<String>,
    /// Patterns, one of which fits an organizational unit.
    pub allowed_organizational_units: Vec<String>,
    /// `oid:pattern`, all of which fit.
    pub required_extensions: Vec<String>,
    /// Extensions whose texts become metadata.
    pub allowed_metadata_extensions: Vec<String>,
    /// Responders.
    pub ocsp: Ocsp,
    /// Parameters of the tokens.
    pub token: TokenSettings,
}

impl Record for Entry {
    const KIND: u8 = 2;
}

/// Where a list is fetched from.
#[derive(Clone, Serialize, Deserialize)]
pub struct Source {
    /// The URL.
    pub url: String,
    /// When the next list is there at the latest, in seconds; 0 where the list says nothing of it.
    pub valid_until: i64,
    /// When it is to be fetched again, in seconds.
    pub due: i64,
}

/// A revocation list, named in lower case.
#[derive(Clone, Serialize, Deserialize)]
pub struct RevocationList {
    /// Serial numbers, decimal; sorted.
    pub serials: Vec<String>,
    /// When it was made, in seconds.
    pub this_update: i64,
    /// Where it comes from, unless it was handed in.
    pub source: Option<Source>,
    /// Whose it is, DER.
    #[serde(default)]
    pub issuer: Vec<u8>,
    /// Did an authority of the mount sign it?
    #[serde(default)]
    pub signed: bool,
}

impl Record for RevocationList {
    const KIND: u8 = 3;
}

impl RevocationList {
    /// Is a certificate with this serial number on it?
    pub fn has(&self, serial: &str) -> bool {
        self.serials.binary_search_by(|one| one.as_str().cmp(serial)).is_ok()
    }
}

/// An entry with its certificates read.
pub struct Trusted {
    /// The entry.
    pub entry: Entry,
    /// Those of `certificate`; at least one.
    pub certificates: Vec<Certificate>,
    /// Authorities that may answer for a certificate's status beside its issuer.
    pub responders: Vec<Certificate>,
}

impl Trusted {
    /// Reads the certificates of an entry.
    pub fn read(entry: Entry) -> Result<Self> {
        let certificates = certificates(&entry.certificate)?;
        if certificates.is_empty() {
            return Err(Error::bad_request("failed to parse certificate"));
        }
        let responders = certificates_of("ocsp_ca_certificates", &entry.ocsp.ca_certificates)?;
        Ok(Self { entry, certificates, responders })
    }

    /// The one certificate that may log in, where the entry is no authority.
    pub fn pinned(&self) -> Option<&Certificate> {
        self.certificates.first().filter(|first| !first.is_authority())
    }

    /// The authorities whose clients may log in; none where the entry pins a certificate, whatever
    /// stands behind it in the text.
    pub fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        let pins = self.pinned().is_some();
        self.certificates.iter().filter(move |one| !pins && one.is_authority())
    }
}

fn certificates(pem: &str) -> Result<Vec<Certificate>> {
    certificates_of("certificate", pem)
}

/// The certificates of a text. One that does not read is not passed over: what an operator wrote
/// counts, or is refused.
fn certificates_of(field: &str, pem: &str) -> Result<Vec<Certificate>> {
    let bad = || Error::bad_request(format!("failed to parse {field}"));
    if pem.len() > PEM_BYTES_MAX {
        return Err(Error::bad_request(format!("{field} is too long")));
    }
    let (blocks, _) = pem_blocks(pem).map_err(|_| bad())?;
    let blocks = blocks.iter().filter(|block| block.label == "CERTIFICATE");
    let read: Vec<Certificate> = blocks
        .map(|block| Certificate::from_der(&block.der).map_err(|_| bad()))
        .collect::<Result<_>>()?;
    let none = read.is_empty() && !pem.trim().is_empty();
    if none || read.len() > CERTIFICATES_MAX { Err(bad()) } else { Ok(read) }
}

/// The settings.
pub async fn settings(view: &ReadView<'_>) -> Result<Arc<Settings>> {
    Ok(view.cached::<Settings>(0, "").await?.unwrap_or_default())
}

/// The entry called `name`, read.
pub async fn trusted(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<Trusted>>> {
    view.prepared::<Entry, Trusted>(0, &name.to_lowercase(), Trusted::read).await
}

/// All revocation lists.
pub async fn lists(view: &ReadView<'_>) -> Result<Vec<(String, Arc<RevocationList>)>> {
    let names = view.names::<RevocationList>(0).await?;
    let mut all = Vec::with_capacity(names.len());
    for name in names.iter() {
        if let Some(list) = view.cached::<RevocationList>(0, name).await? {
            all.push((name.clone(), list));
        }
    }
    Ok(all)
}
