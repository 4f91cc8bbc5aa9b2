//! Roots: `root/generate/HOW`, `root/rotate/HOW`, and `DELETE root`.

use std::sync::Arc;

use strongroom_base::{Error, Json, Result, fields};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::{Certificate, Extension, KeyUsage, Template};
use strongroom_kernel::plug::{Command, EngineSpec, ReadCx, Reply, WriteCx, ops};

use super::authority::{config, fill_urls, find_key, issuer_id};
use super::ca_fields::{CaAsked, CaFields};
use super::extensions;
use super::format;
use super::import::{NO_URLS, QUEUE, new_name};
use super::key_choice::{default_bits, default_hash, key_type};
use super::names::Judge;
use super::plan::{self, Made};
use super::role::Role;
use super::stored::{DEFAULT, Urls};
use super::validity::{self, Bounds};
use super::{PkiEngine, bad, certificates, crl, damaged};

/// That the subject has no name.
pub const NO_SUBJECT: &str = "This issuer certificate was generated without a Subject; this makes \
                              it likely that issuing leaf certs with this certificate will cause \
                              TLS validation libraries to reject this certificate.";

fields! {
    /// Makes a root: a key, and the certificate it signs itself.
    pub struct GenerateRoot {
        ..asked: CaFields;
        /// internal; exported: then the answer has the key; or existing.
        exported: String,
        /// The name of the issuer.
        issuer_name: Option<String>,
        /// The name of the key.
        key_name: Option<String>,
        /// The key, where it is an existing one.
        key_ref: Option<String>,
        /// rsa, ec or ed25519.
        key_type: Option<String>,
        /// The size of the key; 0 for the usual one.
        key_bits: Option<i64>,
    }
}
fields! {
    /// Removes all issuers and keys.
    pub struct DeleteRoot {}
}

ops! {
    GenerateRoot Json, Write;
    DeleteRoot (), Delete, Sudo;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<GenerateRoot>("root/generate/{exported}")
        .command::<GenerateRoot>("issuers/generate/root/{exported}")
        .command::<GenerateRoot>("root/rotate/{exported}")
        .command::<DeleteRoot>("root")
}

/// How an authority's key is had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// It is made, and stays here.
    Internal,
    /// It is made, and the answer has it.
    Exported,
    /// It is one of the mount's.
    Existing,
}

impl KeySource {
    /// From the path.
    pub fn by_name(name: &str) -> Result<Self> {
        match name {
            "internal" => Ok(Self::Internal),
            "exported" => Ok(Self::Exported),
            "existing" => Ok(Self::Existing),
            "kms" => {
                Err(bad("keys of a KMS are not supported: use internal, exported or existing"))
            }
            _ => Err(bad(
                "the \"exported\" path parameter must be \"internal\", \"existing\", \"exported\" \
                 or \"kms\"",
            )),
        }
    }
}

impl PkiEngine {
    /// A new key that an authority's certificate or request is made for; none where it is to be an
    /// existing one.
    pub(super) async fn fresh_key(
        &self,
        cx: &ReadCx<'_>,
        source: KeySource,
        role: &mut Role,
        kind: (Option<&str>, Option<i64>),
    ) -> Result<Option<Arc<PrivateKey>>> {
        if source == KeySource::Existing {
            if kind.0.is_some() || kind.1.is_some() {
                return Err(bad(
                    "invalid parameter for the kms/existing path parameter, key_type nor key_bits \
                     arguments can be set in this mode",
                ));
            }
            return Ok(None);
        }
        let name = kind.0.filter(|name| !name.is_empty()).unwrap_or("rsa");
        if name == "any" {
            return Err(bad("unknown key type: rsa, ec and ed25519 are there"));
        }
        let bits = default_bits(name, kind.1.unwrap_or(0))?;
        role.signature_bits = default_hash(name, role.signature_bits)?;
        Ok(Some(Arc::new(self.generate(cx, key_type(name, bits)?).await?)))
    }

    /// The existing key that an authority's certificate or request is made for.
    pub(super) async fn existing_key(
        &self,
        cx: &ReadCx<'_>,
        role: &mut Role,
        reference: Option<&str>,
    ) -> Result<Arc<PrivateKey>> {
        let (id, info) = find_key(&cx.view(), reference.unwrap_or(DEFAULT)).await?;
        role.signature_bits = default_hash(&info.kind, role.signature_bits)?;
        self.private_key(&cx.view(), &id).await
    }
}

impl Command<GenerateRoot> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: GenerateRoot) -> Result<Reply<Json>> {
        let source = KeySource::by_name(&op.exported)?;
        let mut ca = op.asked.parts()?;
        let kind = (op.key_type.as_deref(), op.key_bits);
        // Before anything is read or queued for: it takes long, and is not to be done again.
        let fresh = self.fresh_key(cx, source, &mut ca.role, kind).await?;
        cx.queue(QUEUE).await;
        let mut issuer_name = new_name(cx, "issuer", op.issuer_name.as_deref()).await?;
        let rotating = cx.request.path.starts_with("root/rotate/");
        if rotating && issuer_name.is_empty() && issuer_id(&cx.view(), "next").await?.is_none() {
            "next".clone_into(&mut issuer_name);
        }
        let key_name = new_name(cx, "key", op.key_name.as_deref()).await?;
        let plan = RootPlan::new(cx, &ca).await?;
        let key = match fresh {
            Some(key) => key,
            None => self.existing_key(cx, &mut ca.role, op.key_ref.as_deref()).await?,
        };
        let certificate = plan.sign(cx, &ca, &key)?;
        let mut warnings = plan.warnings;
        if certificate.subject.is_empty() {
            warnings.push(NO_SUBJECT.to_owned());
        }
        if plan.urls.is_empty() {
            warnings.push(NO_URLS.to_owned());
        }
        let made = self.keep_root(cx, &certificate, &key, (&issuer_name, &key_name)).await?;
        if certificate.authority() == Some(Some(0)) {
            warnings.push(
                "Max path length of the generated certificate is zero. This certificate cannot be \
                 used to issue intermediate CA certificates."
                    .to_owned(),
            );
        }
        let shown = Made {
            chain: vec![Arc::new(certificate.clone())],
            certificate,
            key: None,
            warnings: Vec::new(),
        };
        let mut data = format::answer(&shown, ca.format)?;
        data.shift_remove("ca_chain");
        data.shift_remove("not_before");
        data.insert("certificate".to_owned(), ca.format.certificate(&shown.certificate).into());
        if source == KeySource::Exported {
            let text = ca.format.private_key(&key)?;
            if ca.format.kind == format::FormatKind::Bundle {
                let bundle = format!("{text}\n{}", shown.certificate.pem());
                data.insert("certificate".to_owned(), bundle.into());
            }
            data.insert("private_key".to_owned(), text.into());
            data.insert("private_key_type".to_owned(), key.key_type().name().into());
        }
        for (name, value) in [
            ("issuer_id", made.issuer_id),
            ("issuer_name", made.issuer_name),
            ("key_id", made.key_id),
            ("key_name", made.key_name),
        ] {
            data.insert(name.to_owned(), value.into());
        }
        Ok(Reply::data(Json::Object(data)).warnings(warnings))
    }
}

/// What a root will say.
struct RootPlan {
    names: super::names::Names,
    validity: validity::Validity,
    urls: Urls,
    warnings: Vec<String>,
}

impl RootPlan {
    async fn new(cx: &ReadCx<'_>, ca: &CaAsked) -> Result<Self> {
        let names = Judge::new(cx, &ca.role).await?.gather(&ca.asked, None)?;
        let bounds = Bounds { now: cx.now(), ttls: cx.ttls(), issuer: None };
        let (validity, mut warnings) = validity::of(&ca.role, &ca.asked, &bounds)?;
        let global: Urls = config(&cx.view()).await?;
        let urls = match fill_urls(&cx.view(), &global, None).await {
            Ok(urls) => urls,
            Err(e) => {
                // With an issuer's id they could be filled in: a root goes without them then.
                fill_urls(&cx.view(), &global, Some("empty-issuer-id")).await.map_err(|_| e)?;
                warnings.push(
                    "When generating root CA, found global AIA configuration with issuer_id \
                     template unsuitable for root generation. This AIA configuration has been \
                     ignored. To include AIA on this root CA, set the global AIA configuration to \
                     not include issuer_id and instead to refer to a static issuer name."
                        .to_owned(),
                );
                Urls::default()
            }
        };
        Ok(Self { names, validity, urls, warnings })
    }

    fn sign(&self, cx: &ReadCx<'_>, ca: &CaAsked, key: &PrivateKey) -> Result<Certificate> {
        let public = key.public()?;
        let subject = extensions::subject(&ca.role, &self.names);
        let id = strongroom_crypto::x509::key_id(public.spki_der()).map_err(damaged)?;
        let mut extensions = authority_extensions(ca, path_length(ca.max_path_length)?)?;
        extensions.push(Extension::subject_key_id(&id));
        extensions.push(Extension::authority_key_id(&id));
        extensions.extend(extensions::url_extensions(&self.urls)?);
        if !self.names.alternatives.is_empty() {
            let names = Extension::alt_names(&self.names.alternatives, subject.is_empty());
            extensions.push(names.map_err(plan::malformed)?);
        }
        let template = Template {
            serial: plan::serial_number(cx),
            issuer: subject.clone(),
            subject,
            not_before: self.validity.not_before,
            not_after: self.validity.not_after,
            spki: public.spki_der().to_vec(),
            extensions,
        };
        template.sign(key, plan::algorithm(&ca.role, key))
    }
}

/// A path length as it was asked for: below zero is none.
pub fn path_length(asked: Option<i64>) -> Result<Option<u32>> {
    match asked {
        None | Some(..0) => Ok(None),
        Some(length) => {
            Ok(Some(u32::try_from(length).map_err(|_| bad("max_path_length is too large"))?))
        }
    }
}

/// What makes a certificate an authority's.
pub fn authority_extensions(ca: &CaAsked, path_length: Option<u32>) -> Result<Vec<Extension>> {
    let mut usage = KeyUsage::CERT_SIGN.with(KeyUsage::CRL_SIGN);
    if extensions::key_usage(&ca.role.key_usage).has(KeyUsage::DIGITAL_SIGNATURE) {
        usage = usage.with(KeyUsage::DIGITAL_SIGNATURE);
    }
    let mut extensions =
        vec![Extension::key_usage(usage), Extension::basic_constraints(true, path_length)];
    extensions.extend(extensions::extended_usage(&ca.role)?);
    if !ca.permitted_dns_domains.is_empty() {
        let permitted = Extension::permitted_domains(&ca.permitted_dns_domains);
        extensions.push(permitted.map_err(plan::malformed)?);
    }
    Ok(extensions)
}

/// Ids and names of what was kept.
struct KeptRoot {
    issuer_id: String,
    issuer_name: String,
    key_id: String,
    key_name: String,
}

impl PkiEngine {
    async fn keep_root(
        &self,
        cx: &WriteCx<'_>,
        certificate: &Certificate,
        key: &PrivateKey,
        (issuer_name, key_name): (&str, &str),
    ) -> Result<KeptRoot> {
        let edit = cx.edit();
        let mut roster = self.roster(&edit).await?;
        let (key_id, _) = roster.bring_key(cx, key, key_name)?;
        let (issuer_id, _) = roster.bring_issuer(cx, certificate.clone(), issuer_name)?;
        // A fresh root signs its lists as it signed itself.
        let link = roster.link(&issuer_id).ok_or_else(|| Error::internal("a root is gone"))?;
        let algorithm = certificate.algorithm.map(|a| a.name()).unwrap_or_default();
        algorithm.clone_into(&mut link.issuer.revocation_algorithm);
        let issuer_name = link.issuer.name.clone();
        if roster.issuers.follows_latest {
            roster.issuers.default.clone_from(&issuer_id);
        }
        let key_name = roster.key(&key_id).map(|key| key.name.clone()).unwrap_or_default();
        roster.save(&edit)?;
        certificates::store(&edit, certificate)?;
        crl::issuers_changed(cx).await?;
        Ok(KeptRoot { issuer_id, issuer_name, key_id, key_name })
    }
}

impl Command<DeleteRoot> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteRoot) -> Result<Reply<()>> {
        cx.queue(QUEUE).await;
        let edit = cx.edit();
        let mut roster = self.roster(&edit).await?;
        roster.clear(&edit);
        roster.save(&edit)?;
        let (keys, certificates) = (self.keys.clone(), self.certificates.clone());
        cx.after_commit(move |_| {
            keys.clear();
            certificates.clear();
        });
        crl::issuers_changed(cx).await?;
        Ok(Reply::none().warn(
            "DELETE /root deletes all keys and issuers; prefer the new DELETE /key/:key_ref and \
             DELETE /issuer/:issuer_ref for finer granularity, unless removal of all keys and \
             issuers is desired.",
        ))
    }
}
