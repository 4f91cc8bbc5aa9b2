//! Bringing keys and issuers into a mount: those of a PEM bundle, and those that were made here.

use serde_json::json;
use strongroom_base::{Json, JsonMap, Result, SecretString, fields};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::{Certificate, pem_blocks};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::authority::{config, issuer_id, key_id, reference};
use super::roster::Roster;
use super::stored::{DEFAULT, Urls};
use super::{PkiEngine, bad, crl};

/// Blocks of a bundle.
const BLOCKS_MAX: usize = 200;
/// Characters that no certificate's PEM is shorter than: a path was meant.
const BUNDLE_CHARS_MIN: usize = 75;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 256;

/// That certificates name no URLs.
pub const NO_URLS: &str = "This mount hasn't configured any authority information access (AIA) \
                           fields; this may make it harder for systems to find missing \
                           certificates in the chain or to validate revocation status of \
                           certificates. Consider updating /config/urls or the newly generated \
                           issuer with this information.";

/// That the default issuer can't sign.
const NO_DEFAULT_KEY: &str = "The default issuer has no key associated with it. Some operations \
                              like issuing certificates and signing CRLs will be unavailable with \
                              the requested default issuer until a key is imported or the default \
                              issuer is changed.";

fields! {
    /// Imports issuers, and their keys where the path allows it.
    pub struct ImportIssuers {
        /// Certificates and keys in PEM.
        pem_bundle: Option<SecretString>,
        /// Certificates in PEM.
        certificate: Option<String>,
    }
}
fields! {
    /// Imports issuers' certificates.
    pub struct ImportCertificates {
        /// Certificates in PEM.
        pem_bundle: Option<SecretString>,
    }
}
fields! {
    /// Takes the signed certificate of an intermediate.
    pub struct SetSigned {
        /// The certificate, and those behind it, in PEM.
        certificate: Option<SecretString>,
    }
}

ops! {
    ImportIssuers Json, Write;
    ImportCertificates Json, Write;
    SetSigned Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<ImportIssuers>("issuers/import/bundle")
        .command::<ImportIssuers>("config/ca")
        .command::<ImportCertificates>("issuers/import/cert")
        .command::<SetSigned>("intermediate/set-signed")
}

/// The queue of everything that changes issuers or keys of a mount: their set is read as a whole.
pub const QUEUE: &str = "issuers";

impl Command<ImportIssuers> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ImportIssuers) -> Result<Reply<Json>> {
        let bundle = op.pem_bundle.filter(|text| !text.expose_secret().is_empty());
        let certificate = op.certificate.filter(|text| !text.is_empty());
        match (bundle, certificate) {
            (Some(_), Some(_)) => {
                Err(bad("'pem_bundle' and 'certificate' parameters were both provided"))
            }
            (None, None) => Err(bad("'pem_bundle' and 'certificate' parameters were empty")),
            (Some(bundle), None) => self.import(cx, &bundle, true).await,
            (None, Some(text)) => self.import(cx, &SecretString::new(text), false).await,
        }
    }
}

impl Command<ImportCertificates> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ImportCertificates) -> Result<Reply<Json>> {
        let empty = || bad("'pem_bundle' and 'certificate' parameters were empty");
        self.import(cx, &op.pem_bundle.ok_or_else(empty)?, false).await
    }
}

impl Command<SetSigned> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SetSigned) -> Result<Reply<Json>> {
        let empty = || bad("'pem_bundle' and 'certificate' parameters were empty");
        self.import(cx, &op.certificate.ok_or_else(empty)?, false).await
    }
}

/// What an import brought.
#[derive(Default)]
struct Imported {
    new_keys: Vec<String>,
    old_keys: Vec<String>,
    new_issuers: Vec<String>,
    old_issuers: Vec<String>,
    mapping: JsonMap,
}

impl PkiEngine {
    async fn import(
        &self,
        cx: &mut WriteCx<'_>,
        bundle: &SecretString,
        with_keys: bool,
    ) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let (keys, certificates) = read_bundle(bundle.expose_secret())?;
        if !keys.is_empty() && !with_keys {
            return Err(bad(
                "private keys found in the PEM bundle but not allowed by the path; use \
                 /issuers/import/bundle",
            ));
        }
        let mut brought = Imported::default();
        let mut roster = self.roster(&cx.edit()).await?;
        for key in &keys {
            let (id, existed) = roster.bring_key(cx, key, "")?;
            let list = if existed { &mut brought.old_keys } else { &mut brought.new_keys };
            if !list.contains(&id) {
                list.push(id);
            }
        }
        for certificate in certificates {
            let (id, existed) = roster.bring_issuer(cx, certificate, "")?;
            brought.mapping.insert(id.clone(), roster.key_of(&id).into());
            let list = if existed { &mut brought.old_issuers } else { &mut brought.new_issuers };
            if !list.contains(&id) {
                list.push(id);
            }
        }
        let mut warnings = after_import(&mut roster, &brought);
        if config::<Urls>(&cx.view()).await?.is_empty() {
            warnings.push(NO_URLS.to_owned());
        }
        roster.save(&cx.edit())?;
        if !brought.new_issuers.is_empty() || !brought.new_keys.is_empty() {
            crl::issuers_changed(cx).await?;
        }
        let some = |list: Vec<String>| if list.is_empty() { Json::Null } else { list.into() };
        Ok(Reply::data(json!({
            "mapping": brought.mapping,
            "imported_keys": some(brought.new_keys),
            "imported_issuers": some(brought.new_issuers),
            "existing_keys": some(brought.old_keys),
            "existing_issuers": some(brought.old_issuers),
        }))
        .warnings(warnings))
    }
}

/// Makes the latest issuer the default where it shall be; answers with what an operator should
/// know.
fn after_import(roster: &mut Roster, brought: &Imported) -> Vec<String> {
    let mut warnings = Vec::new();
    let has_key = |id: &&String| !roster.key_of(id).is_empty();
    let with_keys: Vec<String> = brought.new_issuers.iter().filter(has_key).cloned().collect();
    if roster.issuers.follows_latest {
        match with_keys.as_slice() {
            [one] => roster.issuers.default.clone_from(one),
            [] => {}
            _ => warnings.push(
                "Default issuer left unchanged: could not select new issuer automatically as \
                 multiple imported issuers had key material in Vault."
                    .to_owned(),
            ),
        }
    }
    let default = brought.mapping.get(&roster.issuers.default);
    if default.is_some() && roster.key_of(&roster.issuers.default).is_empty() {
        warnings.push(NO_DEFAULT_KEY.to_owned());
    }
    if with_keys.len() > 1 && with_keys.contains(&roster.issuers.default) {
        warnings.push(
            "The imported bundle contained multiple certs matching keys, the default issuer that \
             was selected should be verified and manually changed if incorrect."
                .to_owned(),
        );
    }
    warnings
}

/// The keys and certificates of a bundle. What else is in it is passed over.
fn read_bundle(text: &str) -> Result<(Vec<PrivateKey>, Vec<Certificate>)> {
    if text.trim().len() < BUNDLE_CHARS_MIN {
        return Err(bad(
            "provided data for import was too short; perhaps a path was passed to the API rather \
             than the contents of a PEM file",
        ));
    }
    let invalid = |why: &dyn std::fmt::Display| bad(format!("invalid PEM data: {why}"));
    let (blocks, _) = pem_blocks(text).map_err(|e| invalid(&e))?;
    if blocks.is_empty() || blocks.len() > BLOCKS_MAX {
        return Err(invalid(&"it has no blocks, or too many"));
    }
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    for block in &blocks {
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                let at = certificates.len();
                let read = Certificate::from_der(&block.der);
                certificates
                    .push(read.map_err(|e| bad(format!("Error parsing issuer {at}: {e}")))?);
            }
            "CRL" | "X509 CRL" | "EC PARAMS" | "EC PARAMETERS" => {}
            _ => {
                let at = keys.len();
                let read = PrivateKey::from_pem(&block.text);
                keys.push(read.map_err(|e| {
                    let why = e.public.join("; ");
                    bad(format!("Error parsing key {at}: {why}"))
                })?);
            }
        }
    }
    Ok((keys, certificates))
}

/// A new name of a key or an issuer: free, and none that means something else.
pub async fn new_name(cx: &WriteCx<'_>, what: &str, given: Option<&str>) -> Result<String> {
    let Some(name) = given.map(str::trim) else { return Ok(String::new()) };
    if name.is_empty() {
        return Ok(String::new());
    }
    if reference(name) == DEFAULT {
        return Err(bad(format!("reserved keyword 'default' can not be used as {what} name")));
    }
    let fits = strongroom_kernel::plug::names::check(name).is_ok() && !name.contains('@');
    if !fits || name.len() > NAME_CHARS_MAX {
        return Err(bad(format!("{what} name contained invalid characters")));
    }
    let view = cx.view();
    let taken = match what {
        "key" => key_id(&view, name).await?.is_some(),
        _ => issuer_id(&view, name).await?.is_some(),
    };
    if taken {
        return Err(bad(format!("{what} name already in use")));
    }
    Ok(name.to_owned())
}
