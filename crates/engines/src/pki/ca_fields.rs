//! What is asked of an authority's certificate, or of a request for one.

use strongroom_base::{Result, Ttl, fields};

use super::format::Format;
use super::plan::Asked;
use super::role::{Role, Seconds};
use super::verbatim::unbounded;

fields! {
    /// What an authority's certificate shall say.
    pub struct CaFields {
        /// The common name of its subject.
        common_name: Option<String>,
        /// More names: of hosts, and e-mail addresses.
        alt_names: Vec<String>,
        /// Addresses.
        ip_sans: Vec<String>,
        /// URIs.
        uri_sans: Vec<String>,
        /// Other names: OID;UTF8:VALUE.
        other_sans: Vec<String>,
        /// How long it counts.
        ttl: Option<Ttl>,
        /// When it begins.
        not_before: Option<String>,
        /// When it ends.
        not_after: Option<String>,
        /// How long before now it begins.
        not_before_duration: Option<Seconds>,
        /// Is the common name left out of the alternative ones?
        exclude_cn_from_sans: Option<bool>,
        /// How the answer is written: pem, der or pem_bundle.
        format: Option<String>,
        /// How the private key is written: der, or pkcs8.
        private_key_format: Option<String>,
        /// Organizational units of its subject.
        ou: Vec<String>,
        /// Organizations of its subject.
        organization: Vec<String>,
        /// Countries of its subject.
        country: Vec<String>,
        /// Localities of its subject.
        locality: Vec<String>,
        /// Provinces of its subject.
        province: Vec<String>,
        /// Street addresses of its subject.
        street_address: Vec<String>,
        /// Postal codes of its subject.
        postal_code: Vec<String>,
        /// The serial number of its subject, which is not that of the certificate.
        serial_number: Option<String>,
        /// How many authorities may follow below it; below zero is any number.
        max_path_length: Option<i64>,
        /// Domains that certificates below it may be of.
        permitted_dns_domains: Vec<String>,
        /// Key usages beside those of every authority: DigitalSignature counts.
        key_usage: Vec<String>,
        /// Extended key usages, by name.
        ext_key_usage: Vec<String>,
        /// Extended key usages, by identifier.
        ext_key_usage_oids: Vec<String>,
        /// The size of the signature's hash; 0 for the usual one.
        signature_bits: Option<i64>,
        /// Is PSS used where the signing key is RSA?
        use_pss: Option<bool>,
    }
}

/// The same, taken apart.
pub struct CaAsked {
    /// A role that allows it all.
    pub role: Role,
    pub asked: Asked,
    pub format: Format,
    /// None where nothing was said.
    pub max_path_length: Option<i64>,
    pub permitted_dns_domains: Vec<String>,
}

impl CaFields {
    /// Taken apart. The kind of key is still to be said.
    pub fn parts(self) -> Result<CaAsked> {
        let format =
            Format::new(self.format.as_deref(), self.private_key_format.as_deref(), false)?;
        let role = Role {
            ou: self.ou,
            organization: self.organization,
            country: self.country,
            locality: self.locality,
            province: self.province,
            street_address: self.street_address,
            postal_code: self.postal_code,
            not_before_duration: self.not_before_duration.unwrap_or(Seconds(30)),
            key_usage: self.key_usage,
            ext_key_usage: self.ext_key_usage,
            ext_key_usage_oids: self.ext_key_usage_oids,
            signature_bits: self.signature_bits.unwrap_or(0),
            use_pss: self.use_pss.unwrap_or(false),
            ..unbounded()
        };
        let asked = Asked {
            common_name: self.common_name,
            alt_names: self.alt_names,
            ip_sans: self.ip_sans,
            uri_sans: self.uri_sans,
            other_sans: self.other_sans,
            user_ids: Vec::new(),
            serial_number: self.serial_number,
            ttl: self.ttl.map(|ttl| ttl.0),
            not_before: self.not_before,
            not_after: self.not_after,
            exclude_cn_from_sans: self.exclude_cn_from_sans.unwrap_or(false),
            without_user_ids: true,
        };
        Ok(CaAsked {
            role,
            asked,
            format,
            max_path_length: self.max_path_length,
            permitted_dns_domains: self.permitted_dns_domains,
        })
    }
}
