//! `issue/ROLE` and `sign/ROLE`: certificates within a role, with a key of ours or of a CSR.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Json, Result, Ttl, fields};
use strongroom_crypto::x509::{Request, ids, pem_blocks};
use strongroom_kernel::plug::{Command, EngineSpec, NewLease, ReadCx, Reply, WriteCx, ops};

use super::format::{Format, answer};
use super::plan::{Asked, Made, Plan};
use super::role::Role;
use super::stored::Usage;
use super::{PkiEngine, bad, certificates, key_choice};

fields! {
    /// What a certificate shall say.
    pub struct AskedFields {
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
        /// User ids of its subject.
        user_ids: Vec<String>,
        /// The serial number of its subject, which is not that of the certificate.
        serial_number: Option<String>,
        /// How long it counts.
        ttl: Option<Ttl>,
        /// When it begins.
        not_before: Option<String>,
        /// When it ends.
        not_after: Option<String>,
        /// Is the common name left out of the alternative ones?
        exclude_cn_from_sans: Option<bool>,
        /// How the answer is written: pem, der or pem_bundle.
        format: Option<String>,
        /// How the private key is written: der, or pkcs8.
        private_key_format: Option<String>,
        /// Are self-signed certificates left out of ca_chain?
        remove_roots_from_chain: Option<bool>,
    }
}
fields! {
    /// Issues a certificate with a new key.
    pub struct Issue {
        ..asked: AskedFields;
        /// The role.
        role: String,
        /// The issuer, where the path names one.
        issuer_ref: Option<String>,
        /// The kind of key, for roles that allow any.
        key_type: Option<String>,
        /// The size of the key, for roles that allow any.
        key_bits: Option<i64>,
    }
}
fields! {
    /// Signs a CSR.
    pub struct Sign {
        ..asked: AskedFields;
        /// The role.
        role: String,
        /// The issuer, where the path names one.
        issuer_ref: Option<String>,
        /// The CSR, in PEM.
        csr: Option<String>,
    }
}

ops! {
    Issue Json, Write;
    Sign Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<Issue>("issue/{role}")
        .command::<Issue>("issuer/{issuer_ref}/issue/{role}")
        .command::<Sign>("sign/{role}")
        .command::<Sign>("issuer/{issuer_ref}/sign/{role}")
}

impl AskedFields {
    /// Apart: what the certificate shall say, and how the answer is written.
    pub fn parts(self) -> Result<(Asked, Format)> {
        let format = Format::new(
            self.format.as_deref(),
            self.private_key_format.as_deref(),
            self.remove_roots_from_chain.unwrap_or(false),
        )?;
        let asked = Asked {
            common_name: self.common_name,
            alt_names: self.alt_names,
            ip_sans: self.ip_sans,
            uri_sans: self.uri_sans,
            other_sans: self.other_sans,
            user_ids: self.user_ids,
            serial_number: self.serial_number,
            ttl: self.ttl.map(|ttl| ttl.0),
            not_before: self.not_before,
            not_after: self.not_after,
            exclude_cn_from_sans: self.exclude_cn_from_sans.unwrap_or(false),
            without_user_ids: false,
        };
        Ok((asked, format))
    }
}

impl Command<Issue> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Issue) -> Result<Reply<Json>> {
        let mut role = (*find_role(cx, &op.role).await?).clone();
        let (asked, format) = op.asked.parts()?;
        let fixed = role.key_type != "any";
        if !fixed {
            let kind = op.key_type.as_deref().filter(|kind| !kind.is_empty()).ok_or_else(|| {
                bad("role key type \"any\" not allowed for issuing certificates without providing \
                     key_type and/or key_bits request parameters")
            })?;
            role.key_bits = key_choice::default_bits(kind, op.key_bits.unwrap_or(0))?;
            role.signature_bits = key_choice::default_hash(kind, role.signature_bits)?;
            kind.clone_into(&mut role.key_type);
        }
        let ignored = fixed && (op.key_type.is_some() || op.key_bits.is_some());
        let issuer = issuer_of(cx, &role, op.issuer_ref);
        let authority = self.authority(&cx.view(), &issuer, Usage::Issue).await?;
        // Held to the role before a key is made: that is what costs.
        let plan = Plan::new(cx, &role, &authority, &asked, None).await?;
        let kind = key_choice::key_type(&role.key_type, role.key_bits)?;
        let key = self.generate(cx, kind).await?;
        let mut made = plan.make(cx, &role, &authority, &key.public()?)?;
        made.key = Some(key);
        if ignored {
            let text = "parameters key_type and key_bits ignored as role had specific values";
            made.warnings.push(text.to_owned());
        }
        finish(cx, &role, &made, format)
    }
}

impl Command<Sign> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Sign) -> Result<Reply<Json>> {
        let role = find_role(cx, &op.role).await?;
        let csr = read_csr(op.csr.as_deref())?;
        let mut warnings = Vec::new();
        if role.use_csr_common_name && op.asked.common_name.as_ref().is_some_and(|n| !n.is_empty())
        {
            warnings.push(
                "the common_name field was provided but the role is set with \
                 \"use_csr_common_name\" set to true"
                    .to_owned(),
            );
        }
        if role.use_csr_sans && !op.asked.alt_names.is_empty() {
            warnings.push(
                "the alt_names field was provided but the role is set with \"use_csr_sans\" set \
                 to true"
                    .to_owned(),
            );
        }
        let (asked, format) = op.asked.parts()?;
        let issuer = issuer_of(cx, &role, op.issuer_ref);
        let mut made = self.sign_request(cx, &role, &issuer, &asked, &csr).await?;
        made.warnings.splice(0..0, warnings);
        finish(cx, &role, &made, format)
    }
}

impl PkiEngine {
    /// Signs a CSR within a role by the issuer of this reference. It is not kept by this.
    pub(super) async fn sign_request(
        &self,
        cx: &ReadCx<'_>,
        role: &Role,
        issuer: &str,
        asked: &Asked,
        csr: &Request,
    ) -> Result<Made> {
        let role = role_for_csr(role, csr)?;
        let authority = self.authority(&cx.view(), issuer, Usage::Issue).await?;
        let plan = Plan::new(cx, &role, &authority, asked, Some(csr)).await?;
        let mut made = plan.make(cx, &role, &authority, &csr.public_key()?)?;
        let constraints = csr.extension(ids::BASIC_CONSTRAINTS).is_some();
        if constraints && !role.basic_constraints_valid_for_non_ca {
            made.warnings.push(
                "specified CSR contained a Basic Constraints extension that was ignored during \
                 issuance"
                    .to_owned(),
            );
        }
        Ok(made)
    }
}

/// The role of this name.
pub async fn find_role(cx: &ReadCx<'_>, name: &str) -> Result<Arc<Role>> {
    let role = cx.view().cached::<Role>(0, name).await?;
    role.ok_or_else(|| bad("unknown role"))
}

/// The issuer that the path names, or the role's: a body does not choose it.
fn issuer_of(cx: &ReadCx<'_>, role: &Role, named: Option<String>) -> String {
    let by_path = cx.request.path.starts_with("issuer/");
    named.filter(|_| by_path).unwrap_or_else(|| role.issuer_ref.clone())
}

/// A CSR in PEM whose owner has its key.
pub fn read_csr(pem: Option<&str>) -> Result<Request> {
    let pem = pem.unwrap_or_default().trim();
    if pem.is_empty() {
        return Err(bad("\"csr\" is empty"));
    }
    let blocks = pem_blocks(pem).map_err(|_| bad("csr contains no data"))?.0;
    let block = blocks.first().ok_or_else(|| bad("csr contains no data"))?;
    read_csr_der(&block.der)
}

/// A CSR in DER whose owner has its key.
pub fn read_csr_der(der: &[u8]) -> Result<Request> {
    let csr = Request::from_der(der)
        .map_err(|e| bad(format!("certificate request could not be parsed: {e}")))?;
    csr.public_key().map_err(|e| {
        let why = e.public.join("; ");
        bad(format!("certificate request could not be parsed: its public key: {why}"))
    })?;
    if !csr.is_signed() {
        return Err(bad("request signature invalid"));
    }
    Ok(csr)
}

/// The role as it holds for the key of a CSR, if that key is within it.
pub fn role_for_csr(role: &Role, csr: &Request) -> Result<Role> {
    let key = csr.public_key()?.key_type();
    let (kind, bits) = (key.name(), i64::from(key.bits()));
    let mut role = role.clone();
    if role.key_type == "any" {
        role.key_bits = if kind == "rsa" { key_choice::RSA_BITS_MIN } else { 0 };
        role.signature_bits = key_choice::default_hash(kind, role.signature_bits)?;
    } else if role.key_type != kind {
        return Err(bad(format!("role requires keys of type {}", role.key_type)));
    }
    if bits < role.key_bits {
        return Err(bad(format!(
            "role requires a minimum of a {}-bit key, but CSR's key is {bits} bits",
            role.key_bits
        )));
    }
    if kind == "rsa" && bits < key_choice::RSA_BITS_MIN {
        return Err(bad(format!(
            "a key of {} bits at least is required, but CSR's key is {bits} bits",
            key_choice::RSA_BITS_MIN
        )));
    }
    Ok(role)
}

/// Keeps a certificate where the role says so, and answers with it.
pub fn finish(cx: &WriteCx<'_>, role: &Role, made: &Made, format: Format) -> Result<Reply<Json>> {
    let certificate = &made.certificate;
    if !role.no_store {
        certificates::store(&cx.edit(), certificate)?;
    }
    let mut reply = Reply::data(Json::Object(answer(made, format)?));
    reply.warnings.clone_from(&made.warnings);
    if role.generate_lease && !role.no_store {
        reply.lease = Some(Box::new(NewLease {
            ttl_seconds: Some((certificate.not_after - cx.now().seconds()).max(1)),
            max_ttl_seconds: None,
            renewable: false,
            internal: json!({ "serial_number": certificate.serial_text() }),
        }));
    }
    Ok(reply)
}
