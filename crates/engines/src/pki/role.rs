//! What is stored of a role.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::fields::{Field, FieldKind};
use strongroom_base::{Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::record::Record;

use super::bad;
use super::key_choice::{default_bits, default_hash};
use super::stored::DEFAULT;

/// A duration in seconds, as records have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub i64);

impl Field for Seconds {
    const KIND: FieldKind = FieldKind::Duration;
    fn read(value: &Json) -> Result<Self, &'static str> {
        Ttl::read(value).map(|ttl| Self(ttl.0))
    }
}

/// Policies: identifiers, or JSON objects with `oid`, `cps` and `notice` as texts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policies(pub Vec<String>);

impl Field for Policies {
    const KIND: FieldKind = FieldKind::List;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "a list of identifiers or of policies";
        let parsed;
        let value = match value {
            Json::String(text) if text.trim_start().starts_with('[') => {
                parsed = strongroom_base::json::parse_bounded(text.as_bytes()).map_err(|_| WANT)?;
                &parsed
            }
            value => value,
        };
        match value {
            Json::Array(all) if all.iter().any(Json::is_object) => Ok(Self(
                all.iter()
                    .map(|one| match one {
                        Json::String(text) => text.clone(),
                        object => object.to_string(),
                    })
                    .collect(),
            )),
            value => Vec::<String>::read(value).map(Self),
        }
    }
}

/// A role's fields, once: the record with its defaults, what the wire takes, and what it shows.
macro_rules! role {
    ($($(#[doc = $help:literal])+ $field:ident $(($alias:ident))?: $type:ty = $default:expr;)+) => {
        /// A role's record. New fields go to the end: it is written as an array.
        #[derive(Clone, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Role {
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        impl Default for Role {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        fields! {
            /// A role's settings.
            pub struct RoleFields {
                $($(#[doc = $help])+ $field $(($alias))?: Option<$type>),+
            }
        }

        impl Role {
            /// Takes over what was said.
            pub fn apply(&mut self, given: RoleFields) {
                $(if let Some(value) = given.$field {
                    self.$field = value;
                })+
            }

            /// As answers show it.
            pub fn shown(&self) -> JsonMap {
                let mut shown = JsonMap::new();
                $(shown.insert(stringify!($field).to_owned(), json!(self.$field));)+
                shown
            }
        }
    };
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

role! {
    /// How long a certificate counts, where a request does not say.
    ttl: Seconds = Seconds(0);
    /// How long it may count.
    max_ttl: Seconds = Seconds(0);
    /// Are localhost and localdomain allowed?
    allow_localhost: bool = true;
    /// Domains that names may be of.
    allowed_domains: Vec<String> = Vec::new();
    /// Are there templates of the caller's identity among allowed_domains?
    allowed_domains_template: bool = false;
    /// May what templates put in bring in * and +?
    allow_globs_in_identity_templates: bool = false;
    /// Are the allowed domains themselves allowed?
    allow_bare_domains: bool = false;
    /// Is the name of the caller's token allowed?
    allow_token_displayname: bool = false;
    /// Are names below the allowed domains allowed?
    allow_subdomains: bool = false;
    /// May allowed_domains have * for anything?
    allow_glob_domains: bool = false;
    /// Are names with a wildcard allowed?
    allow_wildcard_certificates: bool = true;
    /// Is every name allowed?
    allow_any_name: bool = false;
    /// Are there templates of the caller's identity among allowed_uri_sans?
    allowed_uri_sans_template: bool = false;
    /// Must names be host names?
    enforce_hostnames: bool = true;
    /// Are addresses allowed?
    allow_ip_sans: bool = true;
    /// Networks that addresses must be of; any where it is empty.
    allowed_ip_sans_cidr: Vec<String> = Vec::new();
    /// May certificates identify servers?
    server_flag: bool = true;
    /// May certificates identify clients?
    client_flag: bool = true;
    /// May certificates sign code?
    code_signing_flag: bool = false;
    /// May certificates protect e-mail?
    email_protection_flag: bool = false;
    /// Is the common name taken from a CSR?
    use_csr_common_name: bool = true;
    /// Are the alternative names taken from a CSR?
    use_csr_sans: bool = true;
    /// rsa, ec, ed25519 or any.
    key_type: String = "rsa".to_owned();
    /// The size of keys; 0 for the usual one. Keys of CSRs may be larger.
    key_bits: i64 = 0;
    /// The size of the signature's hash; 0 for the usual one.
    signature_bits: i64 = 0;
    /// Is PSS used where the issuer's key is RSA?
    use_pss: bool = false;
    /// Key usages.
    key_usage: Vec<String> = list(&["DigitalSignature", "KeyAgreement", "KeyEncipherment"]);
    /// Extended key usages, by name.
    ext_key_usage: Vec<String> = Vec::new();
    /// Extended key usages, by identifier.
    ext_key_usage_oids: Vec<String> = Vec::new();
    /// Organizational units of subjects.
    ou: Vec<String> = Vec::new();
    /// Organizations of subjects.
    organization: Vec<String> = Vec::new();
    /// Countries of subjects.
    country: Vec<String> = Vec::new();
    /// Localities of subjects.
    locality: Vec<String> = Vec::new();
    /// Provinces of subjects.
    province: Vec<String> = Vec::new();
    /// Street addresses of subjects.
    street_address: Vec<String> = Vec::new();
    /// Postal codes of subjects.
    postal_code: Vec<String> = Vec::new();
    /// Have certificates leases?
    generate_lease: bool = false;
    /// Are certificates not kept? They can then be neither listed nor revoked by their number.
    no_store: bool = false;
    /// Other names that are allowed: OID;UTF8:VALUE, with * for anything.
    allowed_other_sans: Vec<String> = Vec::new();
    /// Serial numbers of subjects that are allowed, with * for anything.
    allowed_serial_numbers: Vec<String> = Vec::new();
    /// User ids of subjects that are allowed, with * for anything.
    allowed_user_ids: Vec<String> = Vec::new();
    /// URIs that are allowed, with * for anything.
    allowed_uri_sans: Vec<String> = Vec::new();
    /// Must there be a common name?
    require_cn: bool = true;
    /// What a common name must be: email, hostname, or disabled.
    cn_validations: Vec<String> = list(&["email", "hostname"]);
    /// Policies of certificates: identifiers, or a JSON list of objects with oid, cps, notice.
    policy_identifiers: Policies = Policies::default();
    /// Do certificates say that they are no authority's?
    basic_constraints_valid_for_non_ca: bool = false;
    /// How long before now certificates begin.
    not_before_duration: Seconds = Seconds(30);
    /// When certificates begin.
    not_before: String = String::new();
    /// May requests say when certificates begin: permit, duration or forbid.
    not_before_bound: String = "permit".to_owned();
    /// When certificates end.
    not_after: String = String::new();
    /// May requests say when certificates end: permit, ttl-limited, forbid, or a time.
    not_after_bound: String = "permit".to_owned();
    /// The issuer that signs.
    issuer_ref: String = DEFAULT.to_owned();
}

impl Record for Role {
    const KIND: u8 = 5;
}

impl Role {
    /// Checks what was written, and fills in the sizes of keys and hashes.
    pub fn settle(&mut self) -> Result<()> {
        if self.max_ttl.0 > 0 && self.ttl.0 > self.max_ttl.0 {
            return Err(bad("\"ttl\" value must be less than \"max_ttl\" value"));
        }
        self.key_bits = default_bits(&self.key_type, self.key_bits)?;
        self.signature_bits = default_hash(&self.key_type, self.signature_bits)?;
        for network in &self.allowed_ip_sans_cidr {
            if network.parse::<ipnet::IpNet>().is_err() {
                return Err(bad("error parsing allowed_ip_sans_cidr: invalid CIDR address"));
            }
        }
        super::names::check_other_sans(&self.allowed_other_sans)?;
        if !self.ext_key_usage_oids.iter().all(|oid| strongroom_crypto::x509::is_oid(oid)) {
            return Err(bad(
                "ext_key_usage_oids could not be parsed as valid oids for an extended key usage",
            ));
        }
        super::extensions::policies(&self.policy_identifiers)?;
        super::validity::check_bounds(self)?;
        if self.issuer_ref.trim().is_empty() {
            self.issuer_ref = DEFAULT.to_owned();
        }
        self.cn_validations = settle_cn_validations(&self.cn_validations)?;
        if self.no_store {
            self.generate_lease = false;
        }
        Ok(())
    }
}

fn settle_cn_validations(given: &[String]) -> Result<Vec<String>> {
    if given.is_empty() {
        return Ok(list(&["email", "hostname"]));
    }
    let all: Vec<String> = given.iter().map(|v| v.to_lowercase()).collect();
    for (i, one) in all.iter().enumerate() {
        if !matches!(one.as_str(), "disabled" | "email" | "hostname") {
            return Err(bad("cn_validations value incorrect: unknown type"));
        }
        if all.iter().skip(i + 1).any(|other| other == one) {
            return Err(bad(format!(
                "cn_validations value incorrect: `{one}` specified multiple times"
            )));
        }
    }
    if all.len() > 1 && all.iter().any(|v| v == "disabled") {
        return Err(bad(
            "cn_validations value incorrect: cannot specify `disabled` along with `email` or \
             `hostname`",
        ));
    }
    Ok(all)
}
