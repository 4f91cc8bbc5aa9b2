//! Trusted certificates: create, change, read, delete, list.

use strongroom_base::{Error, JsonMap, Result, Ttl, fields};
use strongroom_crypto::x509::{is_oid, usages};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, names, ops};

use super::stored::{Entry, Trusted};
use super::{Cert, list_or_null};
use crate::token_params::TokenFields;

/// Servers that are asked about one certificate.
const SERVERS_MAX: usize = 8;

fields! {
    /// Trusts a certificate: an authority's, or a client's own.
    pub struct PutCert {
        ..token: TokenFields;
        /// The entry's name; its case does not matter.
        name: String,
        /// The certificate in PEM; further ones may follow it.
        certificate: Option<String>,
        /// Patterns, one of which must fit the common name, a host name or an e-mail address. Older
        /// than the fields for each of these.
        allowed_names: Option<Vec<String>>,
        /// Patterns, one of which must fit the common name.
        allowed_common_names: Option<Vec<String>>,
        /// Patterns, one of which must fit a host name.
        allowed_dns_sans: Option<Vec<String>>,
        /// Patterns, one of which must fit an e-mail address.
        allowed_email_sans: Option<Vec<String>>,
        /// Patterns, one of which must fit a URI.
        allowed_uri_sans: Option<Vec<String>>,
        /// Patterns, one of which must fit an organizational unit.
        allowed_organizational_units: Option<Vec<String>>,
        /// Extensions that the certificate must have, as `oid:pattern`.
        required_extensions: Option<Vec<String>>,
        /// Extensions whose texts become metadata.
        allowed_metadata_extensions: Option<Vec<String>>,
        /// Display name of the tokens; the entry's name if it is not given.
        display_name: Option<String>,
        /// Ask a responder whether the certificate was revoked?
        ocsp_enabled: Option<bool>,
        /// Authorities in PEM that may answer beside the issuer.
        ocsp_ca_certificates: Option<String>,
        /// URLs of responders in place of those that the certificate names.
        ocsp_servers_override: Option<Vec<String>>,
        /// Let certificates in whose status cannot be found out?
        ocsp_fail_open: Option<bool>,
        /// Ask all responders, and believe only what they agree in?
        ocsp_query_all_servers: Option<bool>,
        /// Oldest name of `token_ttl`, in seconds.
        lease: Option<i64>,
    }
}
fields! {
    /// Reads a trusted certificate.
    pub struct ReadCert {
        /// The entry's name.
        name: String,
    }
}
fields! {
    /// Trusts a certificate no more.
    pub struct DeleteCert {
        /// The entry's name.
        name: String,
    }
}
fields! {
    /// Lists the trusted certificates.
    pub struct ListCerts {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}

ops! {
    PutCert (), Write;
    ReadCert JsonMap, Read;
    DeleteCert (), Delete;
    ListCerts Keys, List;
}

pub(super) fn add(spec: EngineSpec<Cert>) -> EngineSpec<Cert> {
    spec.query::<ListCerts>("certs/")
        .query::<ReadCert>("certs/{name}")
        .command::<PutCert>("certs/{name}")
        .command::<DeleteCert>("certs/{name}")
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

impl Command<PutCert> for Cert {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutCert) -> Result<Reply<()>> {
        let name = op.name.to_lowercase();
        names::check(&name)?;
        cx.queue(&name).await;
        let entry = cx.view().named::<Entry>(0, &name).await?;
        let mut entry = entry.unwrap_or_else(|| Entry { name: name.clone(), ..Entry::default() });
        let warnings = apply(cx, &mut entry, op)?;
        let trusted = Trusted::read(entry)?;
        if trusted.pinned().is_some_and(|own| !own.is_for(usages::CLIENT)) {
            return Err(Error::bad_request(
                "nonCA certificates should have TLS client authentication set as an extended key \
                 usage",
            ));
        }
        cx.edit().put_named(0, &name, &trusted.entry)?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// Takes over what a request gives; answers warnings.
fn apply(cx: &WriteCx<'_>, entry: &mut Entry, op: PutCert) -> Result<Vec<String>> {
    set(&mut entry.certificate, op.certificate);
    set(&mut entry.display_name, op.display_name);
    set(&mut entry.allowed_names, op.allowed_names);
    set(&mut entry.allowed_common_names, op.allowed_common_names);
    set(&mut entry.allowed_dns_sans, op.allowed_dns_sans);
    set(&mut entry.allowed_email_sans, op.allowed_email_sans);
    set(&mut entry.allowed_uri_sans, op.allowed_uri_sans);
    set(&mut entry.allowed_organizational_units, op.allowed_organizational_units);
    set(&mut entry.required_extensions, op.required_extensions);
    set(&mut entry.allowed_metadata_extensions, op.allowed_metadata_extensions);
    set(&mut entry.ocsp.enabled, op.ocsp_enabled);
    set(&mut entry.ocsp.ca_certificates, op.ocsp_ca_certificates);
    set(&mut entry.ocsp.servers_override, op.ocsp_servers_override);
    set(&mut entry.ocsp.fail_open, op.ocsp_fail_open);
    set(&mut entry.ocsp.query_all_servers, op.ocsp_query_all_servers);
    if entry.display_name.is_empty() {
        entry.display_name.clone_from(&entry.name);
    }
    let mut token = op.token;
    if token.token_ttl.is_none() && token.ttl.is_none() {
        token.ttl = op.lease.map(Ttl);
    }
    let mut warnings = entry.token.apply(token)?;
    check(entry)?;
    let (ttl, max_ttl) = cx.ttls();
    let params = &entry.token.params;
    for (what, given, most, of) in [
        ("ttl", params.ttl, ttl, "current mount/system default of"),
        ("max_ttl", params.max_ttl, max_ttl, "current mount/system default of"),
        ("period", params.period, max_ttl, "the backend's maximum TTL of"),
    ] {
        if most > 0 && given > most {
            let text =
                format!("Given {what} of {given} seconds is greater than {of} {most} seconds");
            warnings.push(text);
        }
    }
    Ok(warnings)
}

/// What does not read as it should.
fn check(entry: &Entry) -> Result<()> {
    for required in &entry.required_extensions {
        if !required.split_once(':').is_some_and(|(oid, _)| is_oid(oid)) {
            return Err(Error::bad_request("required_extensions must be of the form oid:value"));
        }
    }
    if !entry.allowed_metadata_extensions.iter().all(|oid| is_oid(oid)) {
        let text = "allowed_metadata_extensions must be object identifiers";
        return Err(Error::bad_request(text));
    }
    let servers = &entry.ocsp.servers_override;
    let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    if servers.len() > SERVERS_MAX || !servers.iter().all(web) {
        let text = format!("ocsp_servers_override must be at most {SERVERS_MAX} HTTP URLs");
        return Err(Error::bad_request(text));
    }
    Ok(())
}

impl Query<ReadCert> for Cert {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadCert) -> Result<Reply<JsonMap>> {
        let entry = cx.view().named::<Entry>(0, &op.name.to_lowercase()).await?;
        let entry = entry.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        for (name, value) in [
            ("certificate", entry.certificate.into()),
            ("display_name", entry.display_name.into()),
            ("allowed_names", list_or_null(&entry.allowed_names)),
            ("allowed_common_names", list_or_null(&entry.allowed_common_names)),
            ("allowed_dns_sans", list_or_null(&entry.allowed_dns_sans)),
            ("allowed_email_sans", list_or_null(&entry.allowed_email_sans)),
            ("allowed_uri_sans", list_or_null(&entry.allowed_uri_sans)),
            ("allowed_organizational_units", list_or_null(&entry.allowed_organizational_units)),
            ("required_extensions", list_or_null(&entry.required_extensions)),
            ("allowed_metadata_extensions", list_or_null(&entry.allowed_metadata_extensions)),
            ("ocsp_ca_certificates", entry.ocsp.ca_certificates.into()),
            ("ocsp_enabled", entry.ocsp.enabled.into()),
            ("ocsp_servers_override", list_or_null(&entry.ocsp.servers_override)),
            ("ocsp_fail_open", entry.ocsp.fail_open.into()),
            ("ocsp_query_all_servers", entry.ocsp.query_all_servers.into()),
        ] {
            map.insert(name.to_owned(), value);
        }
        entry.token.show(&mut map);
        Ok(Reply::data(map))
    }
}

impl Command<DeleteCert> for Cert {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteCert) -> Result<Reply<()>> {
        cx.edit().delete_named::<Entry>(0, &op.name.to_lowercase());
        Ok(Reply::none())
    }
}

impl Query<ListCerts> for Cert {
    async fn query(&self, cx: &ReadCx<'_>, op: ListCerts) -> Result<Reply<Keys>> {
        lists::of_records::<Entry>(cx, 0, op.after.as_deref(), op.limit).await
    }
}
