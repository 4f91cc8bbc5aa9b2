//! Finding issuers and keys by their references, and making them ready to sign.

use std::sync::Arc;

use strongroom_base::{Error, Result};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::Certificate;
use strongroom_kernel::record::{ReadView, Record, rows};

use super::stored::{
    Cluster, DEFAULT, Issuer, IssuerName, IssuersConfig, KeyInfo, KeyName, KeysConfig, Urls, Usage,
};
use super::{PkiEngine, bad, damaged};

/// An issuer that can sign.
pub struct Authority {
    /// Its record.
    pub issuer: Arc<Issuer>,
    /// Its certificate.
    pub certificate: Arc<Certificate>,
    /// Its key.
    pub key: Arc<PrivateKey>,
    /// What its certificates name.
    pub urls: Urls,
    /// Its certificate and those that stand behind it.
    pub chain: Vec<Arc<Certificate>>,
}

/// A mount's one record of a type, or its defaults.
pub async fn config<T: Record + Default + Clone>(view: &ReadView<'_>) -> Result<T> {
    Ok(view.cached::<T>(0, "").await?.map(|c| (*c).clone()).unwrap_or_default())
}

/// A reference as it counts: without blanks, and `default` in any case.
pub fn reference(text: &str) -> &str {
    let text = text.trim();
    if text.eq_ignore_ascii_case(DEFAULT) { DEFAULT } else { text }
}

/// The id of the issuer that `reference` names: an id, a name, or `default`. None where there is no
/// such issuer.
pub async fn issuer_id(view: &ReadView<'_>, text: &str) -> Result<Option<String>> {
    let text = reference(text);
    let id = match text {
        DEFAULT => config::<IssuersConfig>(view).await?.default,
        text => match view.cached::<IssuerName>(0, text).await? {
            Some(name) => name.id.clone(),
            None => text.to_owned(),
        },
    };
    Ok(view.cached::<Issuer>(0, &id).await?.map(|_| id))
}

/// The issuer that `reference` names.
pub async fn find_issuer(view: &ReadView<'_>, text: &str) -> Result<(String, Arc<Issuer>)> {
    let Some(id) = issuer_id(view, text).await? else {
        return Err(bad(match reference(text) {
            "" => "missing issuer reference".to_owned(),
            DEFAULT => "no default issuer currently configured".to_owned(),
            _ => "unable to find PKI issuer for reference".to_owned(),
        }));
    };
    let issuer = view.cached::<Issuer>(0, &id).await?;
    Ok((id, issuer.ok_or_else(|| Error::internal("an issuer is gone"))?))
}

/// The id of the key that `reference` names.
pub async fn key_id(view: &ReadView<'_>, text: &str) -> Result<Option<String>> {
    let text = reference(text);
    let id = match text {
        DEFAULT => config::<KeysConfig>(view).await?.default,
        text => match view.cached::<KeyName>(0, text).await? {
            Some(name) => name.id.clone(),
            None => text.to_owned(),
        },
    };
    Ok(view.cached::<KeyInfo>(0, &id).await?.map(|_| id))
}

/// The key that `reference` names.
pub async fn find_key(view: &ReadView<'_>, text: &str) -> Result<(String, Arc<KeyInfo>)> {
    let Some(id) = key_id(view, text).await? else {
        return Err(bad(match reference(text) {
            "" => "missing key reference".to_owned(),
            DEFAULT => "no default key currently configured".to_owned(),
            _ => "unable to find PKI key for reference".to_owned(),
        }));
    };
    let key = view.cached::<KeyInfo>(0, &id).await?;
    Ok((id, key.ok_or_else(|| Error::internal("a key is gone"))?))
}

/// All issuers with their ids.
pub async fn all_issuers(view: &ReadView<'_>) -> Result<Vec<(String, Arc<Issuer>)>> {
    let mut all = Vec::new();
    for id in view.names::<Issuer>(0).await?.iter() {
        if let Some(issuer) = view.cached::<Issuer>(0, id).await? {
            all.push((id.clone(), issuer));
        }
    }
    Ok(all)
}

/// Refuses an issuer that may not be used so.
pub fn check_usage(id: &str, issuer: &Issuer, usage: Usage) -> Result<()> {
    if issuer.may(usage) {
        return Ok(());
    }
    let name = match issuer.name.as_str() {
        "" => format!("id:{id}"),
        name => format!("id:{id} / name:{name}"),
    };
    Err(bad(format!(
        "requested usage {} for issuer [{name}] but only had usage {}",
        usage.name(),
        Usage::names(issuer.usage)
    )))
}

impl PkiEngine {
    /// An issuer's certificate.
    pub(super) async fn certificate(&self, id: &str, issuer: &Issuer) -> Result<Arc<Certificate>> {
        let fill = async || Certificate::from_der(&issuer.certificate).map(Some).map_err(damaged);
        let found = self.certificates.get_or_fill(&id.to_owned(), fill).await?;
        found.ok_or_else(|| Error::internal("an issuer has no certificate"))
    }

    /// The key of an id. Its record is read with each call: a key that was deleted is not found,
    /// whatever is remembered of it.
    pub(super) async fn private_key(
        &self,
        view: &ReadView<'_>,
        id: &str,
    ) -> Result<Arc<PrivateKey>> {
        let info = view.cached::<KeyInfo>(0, id).await?;
        let info = info.ok_or_else(|| bad(format!("pki key id {id} does not exist")))?;
        let fill = async || {
            let Some(der) = view.row_bytes(rows::VALUES, info.row).await? else { return Ok(None) };
            PrivateKey::from_pkcs8_der(der.expose_secret()).map(Some)
        };
        let key = self.keys.get_or_fill(&id.to_owned(), fill).await?;
        key.ok_or_else(|| Error::internal("a key's private part is missing"))
    }

    /// The issuer that `reference` names, ready to be used so.
    pub(super) async fn authority(
        &self,
        view: &ReadView<'_>,
        reference: &str,
        usage: Usage,
    ) -> Result<Authority> {
        let (id, issuer) = find_issuer(view, reference).await.map_err(no_authority)?;
        check_usage(&id, &issuer, usage).map_err(no_authority)?;
        if issuer.key_id.is_empty() {
            return Err(no_authority(bad(format!(
                "unable to fetch corresponding key for issuer {id}; unable to use this issuer for \
                 signing"
            ))));
        }
        let certificate = self.certificate(&id, &issuer).await?;
        let key = self.private_key(view, &issuer.key_id).await?;
        let urls = urls_of(view, &id, &issuer).await?;
        let chain = self.chain(view, &id, &issuer).await?;
        Ok(Authority { issuer, certificate, key, urls, chain })
    }

    /// An issuer's certificate and those that stand behind it.
    pub(super) async fn chain(
        &self,
        view: &ReadView<'_>,
        id: &str,
        issuer: &Issuer,
    ) -> Result<Vec<Arc<Certificate>>> {
        let mut chain = vec![self.certificate(id, issuer).await?];
        for link in issuer.chain_ids().iter().filter(|link| *link != id) {
            if let Some(behind) = view.cached::<Issuer>(0, link).await? {
                chain.push(self.certificate(link, &behind).await?);
            }
        }
        Ok(chain)
    }
}

fn no_authority(e: Error) -> Error {
    let why = e.public.join("; ");
    Error { public: vec![format!("could not fetch the CA certificate (was one set?): {why}")], ..e }
}

/// The URLs that certificates of an issuer name: its own, or the mount's.
pub async fn urls_of(view: &ReadView<'_>, id: &str, issuer: &Issuer) -> Result<Urls> {
    match &issuer.urls {
        Some(own) if !own.is_empty() => fill_urls(view, own, Some(id)).await,
        _ => fill_urls(view, &config::<Urls>(view).await?, Some(id)).await,
    }
}

/// URLs with their templates filled in.
pub async fn fill_urls(view: &ReadView<'_>, urls: &Urls, issuer: Option<&str>) -> Result<Urls> {
    let mut urls = urls.clone();
    if urls.is_empty() {
        return Ok(Urls::default());
    }
    if !urls.templates {
        return Ok(urls);
    }
    let cluster: Cluster = config(view).await?;
    const LACK: &str = "unable to template AIA URLs as we lack";
    for (name, list) in named_urls(&mut urls) {
        for url in list.iter_mut() {
            if url.contains("{{cluster_path}}") && cluster.path.is_empty() {
                return Err(bad(format!("{LACK} local cluster address information (path)")));
            }
            if url.contains("{{cluster_aia_path}}") && cluster.aia_path.is_empty() {
                return Err(bad(format!("{LACK} local cluster address information (aia_path)")));
            }
            if url.contains("{{issuer_id}}") && issuer.is_none() {
                return Err(bad(format!("{LACK} an issuer_id for this operation")));
            }
            *url = url
                .replace("{{cluster_path}}", &cluster.path)
                .replace("{{cluster_aia_path}}", &cluster.aia_path)
                .replace("{{issuer_id}}", issuer.unwrap_or_default());
        }
        if list.iter().any(|url| !is_url(url)) {
            return Err(bad(format!("error validating templated {name}; invalid URI")));
        }
    }
    Ok(urls)
}

/// The lists of URLs by their names on the wire.
pub fn named_urls(urls: &mut Urls) -> [(&'static str, &mut Vec<String>); 4] {
    [
        ("issuing_certificates", &mut urls.issuing_certificates),
        ("crl_distribution_points", &mut urls.crl_distribution_points),
        ("delta_crl_distribution_points", &mut urls.delta_crl_distribution_points),
        ("ocsp_servers", &mut urls.ocsp_servers),
    ]
}

/// Has it a scheme and a host, and no template in it?
pub fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(word)
        && !host.is_empty()
        && text.is_ascii()
        && !text.contains(|c: char| c.is_ascii_whitespace() || c.is_control())
        && !text.contains("{{")
}
