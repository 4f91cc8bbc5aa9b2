//! Does a certificate fit what an entry asks for? And what its tokens get to know of it.

use std::collections::BTreeMap;

use strongroom_base::glob::glob;
use strongroom_crypto::keys::to_decimal;
use strongroom_crypto::x509::{Certificate, GeneralName, attributes, colons};

use super::stored::Entry;

/// The names of a certificate, by kind.
pub struct Names {
    /// The common name, or "".
    pub common_name: String,
    units: Vec<String>,
    dns: Vec<String>,
    email: Vec<String>,
    uris: Vec<String>,
}

impl Names {
    /// Those of `certificate`. Where its alternative names do not read it has none.
    pub fn of(certificate: &Certificate) -> Self {
        let mut names = Self {
            common_name: certificate.subject.last(attributes::COMMON_NAME),
            units: certificate.subject.all(attributes::ORGANIZATIONAL_UNIT),
            dns: Vec::new(),
            email: Vec::new(),
            uris: Vec::new(),
        };
        for name in certificate.alt_names().unwrap_or_default() {
            match name {
                GeneralName::Dns(name) => names.dns.push(name),
                GeneralName::Email(name) => names.email.push(name),
                GeneralName::Uri(name) => names.uris.push(name),
                _ => {}
            }
        }
        names
    }
}

/// Does one pattern fit one name? No pattern at all fits any certificate.
fn any_fits<'n>(patterns: &[String], names: impl IntoIterator<Item = &'n String>) -> bool {
    patterns.is_empty()
        || names.into_iter().any(|name| patterns.iter().any(|pattern| glob(pattern, name)))
}

/// Does `certificate` fit all that `entry` asks of its names and extensions?
pub fn fits(entry: &Entry, certificate: &Certificate, names: &Names) -> bool {
    let common = || std::iter::once(&names.common_name);
    let has = |required: &String| {
        required.split_once(':').is_some_and(|(oid, pattern)| {
            certificate.extension_text(oid).is_some_and(|text| glob(pattern, &text))
        })
    };
    any_fits(&entry.allowed_names, common().chain(&names.dns).chain(&names.email))
        && any_fits(&entry.allowed_common_names, common())
        && any_fits(&entry.allowed_dns_sans, &names.dns)
        && any_fits(&entry.allowed_email_sans, &names.email)
        && any_fits(&entry.allowed_uri_sans, &names.uris)
        && any_fits(&entry.allowed_organizational_units, &names.units)
        && entry.required_extensions.iter().all(has)
}

/// What a token's metadata says of a certificate.
pub fn metadata(
    entry: &Entry,
    certificate: &Certificate,
    names: &Names,
) -> BTreeMap<String, String> {
    let id = |id: Option<&[u8]>| colons(id.unwrap_or_default());
    let mut all: BTreeMap<String, String> = [
        ("cert_name", entry.name.clone()),
        ("common_name", names.common_name.clone()),
        ("serial_number", to_decimal(certificate.serial())),
        ("subject_key_id", id(certificate.subject_key_id())),
        ("authority_key_id", id(certificate.authority_key_id())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for oid in &entry.allowed_metadata_extensions {
        if let Some(text) = certificate.extension_text(oid) {
            // Dots would part the steps of a policy's template.
            all.insert(oid.replace('.', "-"), text);
        }
    }
    all
}
