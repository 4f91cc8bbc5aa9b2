//! What of an issuer can be changed, and how it is shown.

use serde_json::json;
use strongroom_base::{Json, JsonMap, Result, fields};
use strongroom_crypto::x509::{Certificate, KeyUsage, SignatureAlgorithm};

use super::bad;
use super::config::check_urls;
use super::stored::{Issuer, NotAfter, Urls, Usage};

fields! {
    /// Settings of an issuer.
    pub struct IssuerFields {
        /// Its name.
        issuer_name: Option<String>,
        /// The issuers behind it, itself first, by reference; none works them out.
        manual_chain: Option<Vec<String>>,
        /// What becomes of certificates that would outlive it: err, truncate or permit.
        leaf_not_after_behavior: Option<String>,
        /// What it may be used for: read-only, issuing-certificates, crl-signing, ocsp-signing.
        usage: Option<Vec<String>>,
        /// How its revocation lists are signed.
        revocation_signature_algorithm: Option<String>,
        /// Where its certificate is.
        issuing_certificates: Option<Vec<String>>,
        /// Where its revocation lists are.
        crl_distribution_points: Option<Vec<String>>,
        /// Where its delta lists are.
        delta_crl_distribution_points: Option<Vec<String>>,
        /// Where to ask about its certificates.
        ocsp_servers: Option<Vec<String>>,
        /// Are templates in these URLs filled in?
        enable_aia_url_templating: Option<bool>,
    }
}

impl IssuerFields {
    /// With the defaults of what is not said: a write replaces all settings.
    pub fn whole(mut self) -> Self {
        self.leaf_not_after_behavior.get_or_insert_with(|| "err".to_owned());
        self.usage.get_or_insert_with(|| {
            let all = ["read-only", "issuing-certificates", "crl-signing", "ocsp-signing"];
            all.iter().map(|name| (*name).to_owned()).collect()
        });
        self.revocation_signature_algorithm.get_or_insert_default();
        self.manual_chain.get_or_insert_default();
        self.issuer_name.get_or_insert_default();
        for list in [
            &mut self.issuing_certificates,
            &mut self.crl_distribution_points,
            &mut self.delta_crl_distribution_points,
            &mut self.ocsp_servers,
        ] {
            list.get_or_insert_default();
        }
        self.enable_aia_url_templating.get_or_insert(false);
        self
    }

    /// Applies what was said, but for the name and the chain.
    pub fn apply(&self, issuer: &mut Issuer, certificate: &Certificate) -> Result<()> {
        if let Some(name) = &self.leaf_not_after_behavior {
            issuer.leaf_not_after = NotAfter::by_name(name).ok_or_else(|| {
                bad(
                    "Unknown value for field `leaf_not_after_behavior`. Possible values are `err`, \
                     `truncate`, and `permit`.",
                )
            })?;
        }
        if let Some(names) = &self.usage {
            issuer.usage = self.usage_of(names, issuer, certificate)?;
        }
        if let Some(name) = &self.revocation_signature_algorithm {
            issuer.revocation_algorithm = algorithm(name, certificate)?;
        }
        self.apply_urls(issuer)
    }

    fn usage_of(&self, names: &[String], issuer: &Issuer, cert: &Certificate) -> Result<u8> {
        let mut usage = 0;
        for name in names {
            let one = Usage::by_name(name).ok_or_else(|| {
                bad(format!(
                    "Unable to parse specified usages - valid values are {}",
                    Usage::names(Usage::ALL)
                ))
            })?;
            usage |= one as u8;
        }
        let gains = |one: Usage| usage & one as u8 != 0 && !issuer.may(one);
        if issuer.revoked.is_some() && gains(Usage::Issue) {
            return Err(bad(
                "This issuer was revoked; unable to modify its usage to include certificate \
                 signing again. Reissue this certificate (preferably with a new key) and modify \
                 that entry instead.",
            ));
        }
        let lacks = cert.key_usage().is_some_and(|usage| !usage.has(KeyUsage::CRL_SIGN));
        if lacks && gains(Usage::SignLists) {
            return Err(bad(
                "This issuer's underlying certificate lacks the CRLSign KeyUsage value; unable to \
                 set CRLSigningUsage on this issuer as a result.",
            ));
        }
        Ok(usage)
    }

    fn apply_urls(&self, issuer: &mut Issuer) -> Result<()> {
        let mut urls = issuer.urls.take().unwrap_or_default();
        urls.templates = self.enable_aia_url_templating.unwrap_or(urls.templates);
        for (given, own) in [
            (&self.issuing_certificates, &mut urls.issuing_certificates),
            (&self.crl_distribution_points, &mut urls.crl_distribution_points),
            (&self.delta_crl_distribution_points, &mut urls.delta_crl_distribution_points),
            (&self.ocsp_servers, &mut urls.ocsp_servers),
        ] {
            if let Some(given) = given {
                own.clone_from(given);
            }
        }
        check_urls(&mut urls)?;
        issuer.urls = (!urls.is_empty()).then_some(urls);
        Ok(())
    }
}

/// The name of a signature algorithm that the issuer's key can do; "" leaves it to the key.
fn algorithm(name: &str, certificate: &Certificate) -> Result<String> {
    if name.is_empty() {
        return Ok(String::new());
    }
    let Some(found) = SignatureAlgorithm::by_name(name) else {
        let names: Vec<&str> = SignatureAlgorithm::names().collect();
        return Err(bad(format!(
            "Unknown signature algorithm value - valid values are {}",
            names.join(", ")
        )));
    };
    let key = certificate.public_key()?.key_type();
    if !found.fits(key) {
        return Err(bad(format!(
            "unable to use issuer of type {} to sign with {} key type",
            key.name(),
            found.name()
        )));
    }
    Ok(found.name().to_owned())
}

/// An issuer as answers show it.
pub fn shown(id: &str, issuer: &Issuer, certificate: &Certificate, chain: &[String]) -> JsonMap {
    let none = Urls::default();
    let urls = issuer.urls.as_ref().unwrap_or(&none);
    let chain_or_null =
        if issuer.manual_chain.is_empty() { Json::Null } else { json!(issuer.manual_chain) };
    let data = json!({
        "issuer_id": id,
        "issuer_name": issuer.name,
        "key_id": issuer.key_id,
        "certificate": format!("{}\n", certificate.pem()),
        "manual_chain": chain_or_null,
        "ca_chain": chain,
        "leaf_not_after_behavior": issuer.leaf_not_after.name(),
        "usage": Usage::names(issuer.usage),
        "revocation_signature_algorithm": issuer.revocation_algorithm,
        "revoked": issuer.revoked.is_some(),
        "issuing_certificates": urls.issuing_certificates,
        "crl_distribution_points": urls.crl_distribution_points,
        "delta_crl_distribution_points": urls.delta_crl_distribution_points,
        "ocsp_servers": urls.ocsp_servers,
    });
    let mut map = match data {
        Json::Object(map) => map,
        _ => JsonMap::new(),
    };
    if let Some(urls) = &issuer.urls {
        map.insert("enable_aia_url_templating".to_owned(), urls.templates.into());
    }
    if let Some(at) = issuer.revoked {
        map.insert("revocation_time".to_owned(), at.seconds().into());
        map.insert("revocation_time_rfc3339".to_owned(), at.to_string().into());
    }
    map
}
