//! Signing other authorities: `root/sign-intermediate` and `root/sign-self-issued`.

use serde_json::json;
use strongroom_base::{Json, Result, fields};
use strongroom_crypto::x509::{
    Certificate, Extension, SignatureAlgorithm, Template, ids, pem_blocks,
};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::authority::Authority;
use super::ca_fields::{CaAsked, CaFields};
use super::extensions;
use super::format::{self, FormatKind};
use super::import::NO_URLS;
use super::issue;
use super::plan::{self, Made, Plan};
use super::roots::{NO_SUBJECT, authority_extensions, path_length};
use super::stored::{DEFAULT, NotAfter, Usage};
use super::{PkiEngine, bad, certificates};

fields! {
    /// Signs the CSR of an intermediate.
    pub struct SignIntermediate {
        ..asked: CaFields;
        /// The CSR, in PEM.
        csr: Option<String>,
        /// The issuer, where the path names one.
        issuer_ref: Option<String>,
        /// Are subject, names and extensions those of the CSR?
        use_csr_values: Option<bool>,
        /// The key identifier, in hexadecimal digits, where it shall be another than usual.
        skid: Option<String>,
    }
}
fields! {
    /// Signs an authority's self-issued certificate once more.
    pub struct SignSelfIssued {
        /// The certificate, in PEM.
        certificate: Option<String>,
        /// Must both keys be of one kind?
        require_matching_certificate_algorithms: Option<bool>,
    }
}

fields! {
    /// Signs an authority's self-issued certificate once more, by the issuer that the path names.
    pub struct SignSelfIssuedBy {
        /// The certificate, in PEM.
        certificate: Option<String>,
        /// The issuer.
        issuer_ref: String,
        /// Must both keys be of one kind?
        require_matching_certificate_algorithms: Option<bool>,
    }
}

ops! {
    SignIntermediate Json, Write;
    SignSelfIssued Json, Write, Sudo;
    SignSelfIssuedBy Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<SignIntermediate>("root/sign-intermediate")
        .command::<SignIntermediate>("issuer/{issuer_ref}/sign-intermediate")
        .command::<SignSelfIssued>("root/sign-self-issued")
        .command::<SignSelfIssuedBy>("issuer/{issuer_ref}/sign-self-issued")
}

impl Command<SignIntermediate> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SignIntermediate) -> Result<Reply<Json>> {
        let csr = issue::read_csr(op.csr.as_deref())?;
        let mut ca = op.asked.parts()?;
        // What a CSR asks for in names is not taken unless all of it is.
        ca.role.use_csr_sans = false;
        ca.role.use_csr_common_name = ca.asked.common_name.as_ref().is_none_or(String::is_empty);
        ca.role = issue::role_for_csr(&ca.role, &csr)?;
        // The path chooses the issuer; a body does not.
        let by_path = cx.request.path.starts_with("issuer/");
        let reference = op.issuer_ref.as_deref().filter(|_| by_path).unwrap_or(DEFAULT);
        let mut authority = self.authority(&cx.view(), reference, Usage::Issue).await?;
        // An intermediate may outlive who signs it: it may be signed by another one later.
        let mut issuer = (*authority.issuer).clone();
        issuer.leaf_not_after = NotAfter::Permit;
        authority.issuer = std::sync::Arc::new(issuer);
        let length = path_length_below(&authority.certificate, ca.max_path_length)?;
        let plan = Plan::new(cx, &ca.role, &authority, &ca.asked, Some(&csr)).await?;
        let all = op.use_csr_values.unwrap_or(false);
        let mut extensions = intermediate_extensions(&ca, &authority, length)?;
        let id = match op.skid.as_deref().filter(|skid| !skid.is_empty()) {
            Some(text) => hex_bytes(text)?,
            None => strongroom_crypto::x509::key_id(&csr.spki).map_err(super::damaged)?,
        };
        extensions.push(Extension::subject_key_id(&id));
        let mut subject = extensions::subject(&ca.role, &plan.names);
        if all {
            subject = csr.subject.clone();
            let ours: Vec<String> = extensions.iter().map(|e| e.oid.clone()).collect();
            let theirs = csr.extensions.iter().filter(|e| !ours.contains(&e.oid));
            extensions.extend(theirs.cloned());
        } else if !plan.names.alternatives.is_empty() {
            let names = Extension::alt_names(&plan.names.alternatives, subject.is_empty());
            extensions.push(names.map_err(plan::malformed)?);
        }
        let template = Template {
            serial: plan::serial_number(cx),
            issuer: authority.certificate.subject.clone(),
            subject,
            not_before: plan.validity.not_before,
            not_after: plan.validity.not_after,
            spki: csr.spki.clone(),
            extensions,
        };
        let algorithm = plan::algorithm(&ca.role, &authority.key);
        let certificate = template.sign(&authority.key, algorithm)?;
        certificates::store(&cx.edit(), &certificate)?;
        let warnings = warnings(&certificate, &authority, plan.warnings);
        let made =
            Made { certificate, key: None, chain: authority.chain.clone(), warnings: Vec::new() };
        let mut data = format::answer(&made, ca.format)?;
        data.shift_remove("not_before");
        // The chain begins with the new certificate here.
        let mut chain = vec![ca.format.certificate(&made.certificate)];
        chain.extend(ca.format.chain(&made.chain));
        data.insert("ca_chain".to_owned(), chain.into());
        if ca.format.kind == FormatKind::Bundle {
            let all = std::iter::once(made.certificate.pem());
            let all: Vec<String> = all.chain(made.chain.iter().map(|c| c.pem())).collect();
            data.insert("certificate".to_owned(), all.join("\n").into());
        }
        Ok(Reply::data(Json::Object(data)).warnings(warnings))
    }
}

/// How many authorities may follow below a new one.
fn path_length_below(issuer: &Certificate, asked: Option<i64>) -> Result<Option<u32>> {
    let left = issuer.authority().flatten();
    if left == Some(0) {
        return Err(bad(
            "signing certificate has a max path length of zero, and cannot issue further CA \
             certificates",
        ));
    }
    match asked {
        Some(_) => path_length(asked),
        None => Ok(left.map(|left| left - 1)),
    }
}

fn intermediate_extensions(
    ca: &CaAsked,
    authority: &Authority,
    length: Option<u32>,
) -> Result<Vec<Extension>> {
    let mut extensions = authority_extensions(ca, length)?;
    let issuer = match authority.certificate.subject_key_id() {
        Some(id) => id.to_vec(),
        None => {
            strongroom_crypto::x509::key_id(&authority.certificate.spki).map_err(super::damaged)?
        }
    };
    extensions.push(Extension::authority_key_id(&issuer));
    extensions.extend(extensions::url_extensions(&authority.urls)?);
    Ok(extensions)
}

fn warnings(
    certificate: &Certificate,
    authority: &Authority,
    mut warnings: Vec<String>,
) -> Vec<String> {
    if certificate.not_after > authority.certificate.not_after {
        warnings.push(
            "The expiration time for the signed certificate is after the CA's expiration time. If \
             the new certificate is not treated as a root, validation paths with the certificate \
             past the issuing CA's expiration time will fail."
                .to_owned(),
        );
    }
    if certificate.subject.is_empty() {
        warnings.push(NO_SUBJECT.to_owned());
    }
    if authority.urls.is_empty() {
        warnings.push(NO_URLS.to_owned());
    }
    if certificate.authority() == Some(Some(0)) {
        warnings.push(
            "Max path length of the signed certificate is zero. This certificate cannot be used to \
             issue intermediate CA certificates."
                .to_owned(),
        );
    }
    warnings
}

/// Bytes of hexadecimal digits, with the separators that tools write between them.
fn hex_bytes(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b":- ".contains(b)).collect();
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.ok_or_else(|| bad("cannot parse requested SKID value as hex"))
}

impl Command<SignSelfIssued> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SignSelfIssued) -> Result<Reply<Json>> {
        let matching = op.require_matching_certificate_algorithms.unwrap_or(false);
        self.sign_self_issued(cx, op.certificate, DEFAULT, matching).await
    }
}

impl Command<SignSelfIssuedBy> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SignSelfIssuedBy) -> Result<Reply<Json>> {
        let matching = op.require_matching_certificate_algorithms.unwrap_or(false);
        self.sign_self_issued(cx, op.certificate, &op.issuer_ref, matching).await
    }
}

impl PkiEngine {
    async fn sign_self_issued(
        &self,
        cx: &WriteCx<'_>,
        certificate: Option<String>,
        reference: &str,
        matching: bool,
    ) -> Result<Reply<Json>> {
        let none = || bad("certificate could not be PEM-decoded");
        let text = certificate.ok_or_else(none)?;
        let (blocks, _) = pem_blocks(&text).map_err(|_| none())?;
        let [block] = blocks.as_slice() else { return Err(none()) };
        let given = Certificate::from_der(&block.der)
            .map_err(|e| bad(format!("error parsing certificate: {e}")))?;
        if !given.is_authority() {
            return Err(bad("given certificate is not a CA certificate"));
        }
        if !given.has_proper_serial() {
            return Err(bad("given certificate has a serial number that is not above zero"));
        }
        if given.issuer != given.subject {
            return Err(bad("given certificate is not self-issued"));
        }
        let authority = self.authority(&cx.view(), reference, Usage::Issue).await?;
        let kinds = (authority.key.key_type().name(), given.public_key()?.key_type().name());
        if kinds.0 != kinds.1 && matching {
            return Err(bad(format!(
                "signing certificate's public key algorithm ({}) does not match submitted \
                 certificate's ({}), and require_matching_certificate_algorithms is true",
                kinds.0, kinds.1
            )));
        }
        let algorithm = given
            .algorithm
            .filter(|a| a.fits(authority.key.key_type()) && !a.name().is_empty())
            .unwrap_or_else(|| SignatureAlgorithm::for_key(authority.key.key_type(), 0, false));
        const OURS: [&str; 4] =
            [ids::AUTHORITY_KEY_ID, ids::AUTHORITY_INFO, ids::CRL_POINTS, ids::FRESHEST_CRL];
        let theirs = given.extensions.iter().filter(|e| !OURS.contains(&e.oid.as_str()));
        let mut extensions: Vec<Extension> = theirs.cloned().collect();
        extensions
            .extend(extensions::key_ids(&given.spki, &authority.certificate)?.into_iter().skip(1));
        extensions.extend(extensions::url_extensions(&authority.urls)?);
        let template = Template {
            serial: given.serial().to_vec(),
            issuer: authority.certificate.subject.clone(),
            subject: given.subject.clone(),
            not_before: given.not_before,
            not_after: given.not_after,
            spki: given.spki.clone(),
            extensions,
        };
        let certificate = template.sign(&authority.key, algorithm)?;
        Ok(Reply::data(json!({
            "certificate": certificate.pem(),
            "issuing_ca": authority.certificate.pem(),
        })))
    }
}
