//! `sign-verbatim`: signs a CSR as it is. Its subject, names and extensions are taken over; a role,
//! if one is named, says only how long it counts and whether it is kept.

use strongroom_base::{Json, Result, fields};
use strongroom_crypto::x509::{Extension, GeneralName, Request, Template, ids};
use strongroom_kernel::plug::{Command, EngineSpec, ReadCx, Reply, WriteCx, ops};

use super::PkiEngine;
use super::authority::Authority;
use super::extensions;
use super::issue::{self, AskedFields};
use super::plan::{self, Asked, Made, Plan};
use super::role::Role;
use super::stored::Usage;

fields! {
    /// Signs a CSR as it is.
    pub struct SignVerbatim {
        ..asked: AskedFields;
        /// The role, which says how long the certificate counts and whether it is kept.
        role: Option<String>,
        /// The issuer, where the path names one.
        issuer_ref: Option<String>,
        /// The CSR, in PEM.
        csr: Option<String>,
        /// Key usages, where the CSR has none.
        key_usage: Option<Vec<String>>,
        /// Extended key usages, by name, where the CSR has none.
        ext_key_usage: Vec<String>,
        /// Extended key usages, by identifier, where the CSR has none.
        ext_key_usage_oids: Vec<String>,
        /// The size of the signature's hash; 0 for the usual one.
        signature_bits: Option<i64>,
        /// Is PSS used where the issuer's key is RSA?
        use_pss: Option<bool>,
        /// Does the certificate say that it is no authority's?
        basic_constraints_valid_for_non_ca: Option<bool>,
    }
}

ops! {
    SignVerbatim Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<SignVerbatim>("sign-verbatim")
        .command::<SignVerbatim>("sign-verbatim/{role}")
        .command::<SignVerbatim>("issuer/{issuer_ref}/sign-verbatim")
        .command::<SignVerbatim>("issuer/{issuer_ref}/sign-verbatim/{role}")
}

/// A role that allows everything.
pub fn unbounded() -> Role {
    let all = || vec!["*".to_owned()];
    Role {
        allow_localhost: true,
        allow_any_name: true,
        allow_ip_sans: true,
        enforce_hostnames: false,
        key_type: "any".to_owned(),
        allowed_other_sans: all(),
        allowed_serial_numbers: all(),
        allowed_uri_sans: all(),
        allowed_user_ids: all(),
        cn_validations: vec!["disabled".to_owned()],
        require_cn: false,
        server_flag: false,
        client_flag: false,
        ..Role::default()
    }
}

impl Command<SignVerbatim> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SignVerbatim) -> Result<Reply<Json>> {
        let named = match op.role.as_deref() {
            Some(name) if !name.is_empty() => Some(issue::find_role(cx, name).await?),
            _ => None,
        };
        let mut role = unbounded();
        if let Some(named) = &named {
            role.ttl = named.ttl;
            role.max_ttl = named.max_ttl;
            role.generate_lease = named.generate_lease;
            role.no_store = named.no_store;
            role.not_before_duration = named.not_before_duration;
            role.not_before_bound.clone_from(&named.not_before_bound);
            role.not_after_bound.clone_from(&named.not_after_bound);
            role.not_before.clone_from(&named.not_before);
            role.not_after.clone_from(&named.not_after);
            role.issuer_ref.clone_from(&named.issuer_ref);
            role.basic_constraints_valid_for_non_ca = named.basic_constraints_valid_for_non_ca;
        }
        if let Some(usages) = op.key_usage {
            role.key_usage = usages;
        }
        role.ext_key_usage = op.ext_key_usage;
        role.ext_key_usage_oids = op.ext_key_usage_oids;
        role.signature_bits = op.signature_bits.unwrap_or(0);
        role.use_pss = op.use_pss.unwrap_or(false);
        if let Some(valid) = op.basic_constraints_valid_for_non_ca {
            role.basic_constraints_valid_for_non_ca = valid;
        }
        role.settle()?;
        let csr = issue::read_csr(op.csr.as_deref())?;
        let (asked, format) = op.asked.parts()?;
        let by_path = cx.request.path.starts_with("issuer/");
        let issuer = op.issuer_ref.filter(|_| by_path).unwrap_or_else(|| role.issuer_ref.clone());
        let made = self.sign_as_it_is(cx, &role, &issuer, &asked, &csr).await?;
        issue::finish(cx, &role, &made, format)
    }
}

impl PkiEngine {
    /// Signs a CSR as it is, within what `role` says of times, keys and usages.
    pub(super) async fn sign_as_it_is(
        &self,
        cx: &ReadCx<'_>,
        role: &Role,
        issuer: &str,
        asked: &Asked,
        csr: &Request,
    ) -> Result<Made> {
        let role = issue::role_for_csr(role, csr)?;
        let authority = self.authority(&cx.view(), issuer, Usage::Issue).await?;
        let plan = Plan::new(cx, &role, &authority, asked, Some(csr)).await?;
        let extensions = extensions(&role, &authority, &plan, csr)?;
        let key = csr.public_key()?;
        let template = Template {
            serial: plan::serial_number(cx),
            issuer: authority.certificate.subject.clone(),
            subject: csr.subject.clone(),
            not_before: plan.validity.not_before,
            not_after: plan.validity.not_after,
            spki: key.spki_der().to_vec(),
            extensions,
        };
        let algorithm = plan::algorithm(&role, &authority.key);
        let certificate = template.sign(&authority.key, algorithm)?;
        let mut warnings = plan.warnings;
        let constraints = csr.extension(ids::BASIC_CONSTRAINTS).is_some();
        if constraints && !role.basic_constraints_valid_for_non_ca {
            warnings.push(
                "specified CSR contained a Basic Constraints extension that was ignored during \
                 issuance"
                    .to_owned(),
            );
        }
        Ok(Made { certificate, key: None, chain: authority.chain.clone(), warnings })
    }
}

/// Ours, with those of the CSR in the place of ours, but for what makes an authority, what names
/// keys, and what names the issuer's URLs.
fn extensions(
    role: &Role,
    authority: &Authority,
    plan: &Plan,
    csr: &Request,
) -> Result<Vec<Extension>> {
    const OURS: [&str; 6] = [
        ids::BASIC_CONSTRAINTS,
        ids::SUBJECT_KEY_ID,
        ids::AUTHORITY_KEY_ID,
        ids::AUTHORITY_INFO,
        ids::CRL_POINTS,
        ids::FRESHEST_CRL,
    ];
    let mut all = extensions::usages(role, csr.public_key()?.key_type())?;
    if role.basic_constraints_valid_for_non_ca {
        all.push(Extension::basic_constraints(false, None));
    }
    all.extend(extensions::key_ids(&csr.spki, &authority.certificate)?);
    all.extend(extensions::url_extensions(&authority.urls)?);
    let mut names = csr.alt_names().map_err(plan::malformed)?;
    let more = plan.names.alternatives.iter().filter(|n| matches!(n, GeneralName::Other(..)));
    let more: Vec<GeneralName> = more.filter(|n| !names.contains(n)).cloned().collect();
    let added = !more.is_empty();
    names.extend(more);
    for extension in csr.extensions.iter().filter(|e| !OURS.contains(&e.oid.as_str())) {
        let replaced = match extension.oid.as_str() {
            ids::ALT_NAME if added => {
                Extension::alt_names(&names, extension.critical).map_err(plan::malformed)?
            }
            _ => extension.clone(),
        };
        all.retain(|e| e.oid != replaced.oid);
        all.push(replaced);
    }
    if added && csr.extension(ids::ALT_NAME).is_none() {
        let subject_is_empty = csr.subject.is_empty();
        all.push(Extension::alt_names(&names, subject_is_empty).map_err(plan::malformed)?);
    }
    Ok(all)
}
