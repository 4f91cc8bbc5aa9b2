//! What stands in a certificate beside names and times: its subject, and its extensions (RFC 5280 §4.2).

use strongroom_base::{Json, Result};
use strongroom_crypto::keys::KeyType;
use strongroom_crypto::x509::{
    Certificate, Extension, KeyUsage, Name, NameBuilder, Policy, attributes, extended_usage_oid,
    is_oid, key_id,
};

use super::authority::Authority;
use super::bad;
use super::names::Names;
use super::plan::malformed;
use super::role::{Policies, Role};

/// The subject of a certificate.
pub fn subject(role: &Role, names: &Names) -> Name {
    let one = |text: &str| match text {
        "" => Vec::new(),
        text => vec![text.to_owned()],
    };
    let many = |list: &[String]| {
        let mut once: Vec<String> = Vec::new();
        for item in list.iter().filter(|item| !item.is_empty()) {
            if !once.contains(item) {
                once.push(item.clone());
            }
        }
        once
    };
    let mut name = NameBuilder::default()
        .step(attributes::COUNTRY, &many(&role.country))
        .step(attributes::ORGANIZATION, &many(&role.organization))
        .step(attributes::ORGANIZATIONAL_UNIT, &many(&role.ou))
        .step(attributes::LOCALITY, &many(&role.locality))
        .step(attributes::PROVINCE, &many(&role.province))
        .step(attributes::STREET_ADDRESS, &many(&role.street_address))
        .step(attributes::POSTAL_CODE, &many(&role.postal_code))
        .step(attributes::COMMON_NAME, &one(&names.common_name))
        .step(attributes::SERIAL_NUMBER, &one(&names.serial_number));
    for id in &names.user_ids {
        name = name.step(attributes::USER_ID, &[id]);
    }
    name.build()
}

/// Key usage, and extended usages, of a role for a key of this kind.
pub fn usages(role: &Role, key: KeyType) -> Result<Vec<Extension>> {
    let mut extensions = Vec::new();
    let usage = key_usage(&role.key_usage).possible(key);
    if usage != KeyUsage::default() {
        extensions.push(Extension::key_usage(usage));
    }
    extensions.extend(extended_usage(role)?);
    Ok(extensions)
}

/// Extended usages of a role, if it has any.
pub fn extended_usage(role: &Role) -> Result<Option<Extension>> {
    let usages = extended_usages(role);
    if usages.is_empty() {
        return Ok(None);
    }
    Extension::extended_usage(&usages).map(Some).map_err(malformed)
}

/// The usages of these names; names that are none are left out.
pub fn key_usage(names: &[String]) -> KeyUsage {
    let usages = names.iter().filter_map(|name| KeyUsage::by_name(name));
    usages.fold(KeyUsage::default(), KeyUsage::with)
}

fn extended_usages(role: &Role) -> Vec<String> {
    let flags = [
        (role.server_flag, "serverauth"),
        (role.client_flag, "clientauth"),
        (role.code_signing_flag, "codesigning"),
        (role.email_protection_flag, "emailprotection"),
    ];
    let flags = flags.iter().filter(|(on, _)| *on).map(|(_, name)| *name);
    let named = flags.chain(role.ext_key_usage.iter().map(String::as_str));
    let mut all: Vec<String> = Vec::new();
    let by_name = named.filter_map(extended_usage_oid).map(str::to_owned);
    for oid in by_name.chain(role.ext_key_usage_oids.iter().cloned()) {
        if !all.contains(&oid) {
            all.push(oid);
        }
    }
    all
}

/// Key identifiers: of the key itself, and of the issuer's.
pub fn key_ids(spki: &[u8], issuer: &Certificate) -> Result<[Extension; 2]> {
    let own = key_id(spki).map_err(super::damaged)?;
    let issuers = match issuer.subject_key_id() {
        Some(id) => id.to_vec(),
        None => key_id(&issuer.spki).map_err(super::damaged)?,
    };
    Ok([Extension::subject_key_id(&own), Extension::authority_key_id(&issuers)])
}

/// Where the issuer and its lists are, and the alternative names.
pub fn links(authority: &Authority, subject: &Name, names: &Names) -> Result<Vec<Extension>> {
    let urls = &authority.urls;
    let mut extensions = url_extensions(urls)?;
    if !names.alternatives.is_empty() {
        let alternatives = Extension::alt_names(&names.alternatives, subject.is_empty());
        extensions.push(alternatives.map_err(malformed)?);
    }
    Ok(extensions)
}

/// Where an issuer and its lists are.
pub fn url_extensions(urls: &super::stored::Urls) -> Result<Vec<Extension>> {
    let mut extensions = Vec::new();
    if !urls.ocsp_servers.is_empty() || !urls.issuing_certificates.is_empty() {
        let info = Extension::authority_info(&urls.ocsp_servers, &urls.issuing_certificates);
        extensions.push(info.map_err(malformed)?);
    }
    if !urls.crl_distribution_points.is_empty() {
        let points = Extension::crl_points(&urls.crl_distribution_points);
        extensions.push(points.map_err(malformed)?);
    }
    if !urls.delta_crl_distribution_points.is_empty() {
        let points = Extension::freshest_crl(&urls.delta_crl_distribution_points);
        extensions.push(points.map_err(malformed)?);
    }
    Ok(extensions)
}

/// The policies of a role.
pub fn policies(given: &Policies) -> Result<Vec<Policy>> {
    let mut all = Vec::new();
    for text in &given.0 {
        let policy = if text.trim_start().starts_with('{') {
            let json: Json = serde_json::from_str(text)
                .map_err(|_| bad("policy_identifiers: an entry is no JSON object"))?;
            let member = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default();
            Policy {
                oid: member("oid").trim().to_owned(),
                cps: member("cps").to_owned(),
                notice: member("notice").to_owned(),
            }
        } else {
            Policy { oid: text.trim().to_owned(), ..Policy::default() }
        };
        if !is_oid(&policy.oid) || !policy.cps.is_ascii() {
            return Err(bad("policy_identifiers: an entry could not be parsed as a valid oid"));
        }
        all.push(policy);
    }
    Ok(all)
}
