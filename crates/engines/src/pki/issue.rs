//! `issue/ROLE` and `sign/ROLE`: certificates within a role, with a key of ours or of a CSR.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_base::{Json, JsonMap, Result, Ttl, fields};
use strongroom_crypto::keys::{KeyType, PrivateKey, PublicKey};
use strongroom_crypto::x509::{
    Certificate, Extension, KeyUsage, Name, NameBuilder, Policy, Request, SignatureAlgorithm,
    Template, attributes, extended_usage_oid, ids, is_oid, key_id, pem_blocks,
};
use strongroom_kernel::plug::{Command, EngineSpec, NewLease, ReadCx, Reply, WriteCx, ops};

use super::authority::Authority;
use super::names::{Judge, Names};
use super::role::{Policies, Role};
use super::stored::Usage;
use super::validity::{self, Bounds, Validity};
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

/// What is asked of a certificate, whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub common_name: Option<String>,
    pub alt_names: Vec<String>,
    pub ip_sans: Vec<String>,
    pub uri_sans: Vec<String>,
    pub other_sans: Vec<String>,
    pub user_ids: Vec<String>,
    pub serial_number: Option<String>,
    /// Seconds.
    pub ttl: Option<i64>,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub exclude_cn_from_sans: bool,
    /// Are there no user ids, not even of a CSR?
    pub without_user_ids: bool,
}

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    pub kind: FormatKind,
    /// Is the private key in PKCS#8, and not in the form of its kind?
    pub pkcs8: bool,
    /// Are self-signed certificates left out of the chain?
    pub without_roots: bool,
}

/// The form of certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormatKind {
    /// PEM.
    Pem,
    /// DER in base64.
    Der,
    /// PEM, key and chain with the certificate.
    Bundle,
}

impl Format {
    /// From the names of the wire.
    pub fn new(format: Option<&str>, key: Option<&str>, without_roots: bool) -> Result<Self> {
        let kind = match format {
            None | Some("" | "pem") => FormatKind::Pem,
            Some("der") => FormatKind::Der,
            Some("pem_bundle") => FormatKind::Bundle,
            Some(_) => {
                return Err(bad(
                    "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
                ));
            }
        };
        Ok(Self { kind, pkcs8: key == Some("pkcs8"), without_roots })
    }

    /// A certificate.
    pub fn certificate(self, certificate: &Certificate) -> String {
        match self.kind {
            FormatKind::Der => STANDARD.encode(certificate.der()),
            _ => certificate.pem(),
        }
    }

    /// A private key.
    pub fn private_key(self, key: &PrivateKey) -> Result<String> {
        Ok(match (self.kind, self.pkcs8) {
            (FormatKind::Der, true) => STANDARD.encode(key.to_pkcs8_der().expose_secret()),
            (FormatKind::Der, false) => STANDARD.encode(key.to_traditional_der()?.expose_secret()),
            (_, true) => key.to_pkcs8_pem().expose_secret().trim_end().to_owned(),
            (_, false) => key.to_traditional_pem()?.expose_secret().trim_end().to_owned(),
        })
    }

    /// A chain.
    pub fn chain(self, chain: &[Arc<Certificate>]) -> Vec<String> {
        let kept = |c: &&Arc<Certificate>| !self.without_roots || !c.is_self_signed();
        chain.iter().filter(kept).map(|c| self.certificate(c)).collect()
    }
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

/// A certificate that was made.
pub struct Made {
    pub certificate: Certificate,
    /// Its key, where we made it.
    pub key: Option<PrivateKey>,
    /// The issuer's certificate, and those behind it.
    pub chain: Vec<Arc<Certificate>>,
    pub warnings: Vec<String>,
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

/// What a certificate will say, once it was held to the role.
pub struct Plan {
    pub names: Names,
    pub validity: Validity,
    pub warnings: Vec<String>,
}

impl Plan {
    /// Holds what is asked to a role.
    pub async fn new(
        cx: &ReadCx<'_>,
        role: &Role,
        authority: &Authority,
        asked: &Asked,
        csr: Option<&Request>,
    ) -> Result<Self> {
        let names = Judge::new(cx, role).await?.gather(asked, csr)?;
        let bounds = Bounds {
            now: cx.now(),
            ttls: cx.ttls(),
            issuer: Some((&authority.certificate, authority.issuer.leaf_not_after)),
        };
        let (validity, warnings) = validity::of(role, asked, &bounds)?;
        Ok(Self { names, validity, warnings })
    }

    /// The certificate of a key.
    pub fn make(
        self,
        cx: &ReadCx<'_>,
        role: &Role,
        authority: &Authority,
        key: &PublicKey,
    ) -> Result<Made> {
        let subject = subject(role, &self.names);
        let mut extensions = usages(role, key.key_type())?;
        if role.basic_constraints_valid_for_non_ca {
            extensions.push(Extension::basic_constraints(false, None));
        }
        extensions.extend(key_ids(key.spki_der(), &authority.certificate)?);
        extensions.extend(links(authority, &subject, &self.names)?);
        let listed = policies(&role.policy_identifiers)?;
        if !listed.is_empty() {
            extensions.push(Extension::policies(&listed).map_err(malformed)?);
        }
        let template = Template {
            serial: serial_number(cx),
            issuer: authority.certificate.subject.clone(),
            subject,
            not_before: self.validity.not_before,
            not_after: self.validity.not_after,
            spki: key.spki_der().to_vec(),
            extensions,
        };
        let certificate = template.sign(&authority.key, algorithm(role, &authority.key))?;
        let chain = authority.chain.clone();
        Ok(Made { certificate, key: None, chain, warnings: self.warnings })
    }
}

/// What a caller gave that does not go into a certificate.
pub fn malformed(e: strongroom_crypto::x509::Malformed) -> strongroom_base::Error {
    bad(e.to_string())
}

/// 159 random bits.
pub fn serial_number(cx: &ReadCx<'_>) -> Vec<u8> {
    let mut serial: [u8; 20] = cx.rng().array();
    serial[0] &= 0x7f;
    // Zero is no serial number (RFC 5280 §4.1.2.2).
    if serial.iter().all(|byte| *byte == 0) {
        serial[19] = 1;
    }
    serial.to_vec()
}

/// How an issuer with this key signs.
pub fn algorithm(role: &Role, key: &PrivateKey) -> SignatureAlgorithm {
    let bits = u32::try_from(role.signature_bits).unwrap_or(0);
    SignatureAlgorithm::for_key(key.key_type(), bits, role.use_pss)
}

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

/// Keeps a certificate where the role says so, and answers with it.
pub fn finish(cx: &WriteCx<'_>, role: &Role, made: &Made, format: Format) -> Result<Reply<Json>> {
    let certificate = &made.certificate;
    if !role.no_store {
        certificates::store(&cx.edit(), certificate)?;
    }
    let mut reply = Reply::data(Json::Object(answer(made, format)?));
    reply.warnings.clone_from(&made.warnings);
    if role.generate_lease && !role.no_store {
        reply.lease = Some(NewLease {
            ttl_seconds: Some((certificate.not_after - cx.now().seconds()).max(1)),
            max_ttl_seconds: None,
            renewable: false,
            internal: json!({ "serial_number": certificate.serial_text() }),
        });
    }
    Ok(reply)
}

/// A certificate as answers have it.
pub fn answer(made: &Made, format: Format) -> Result<JsonMap> {
    let mut data = JsonMap::new();
    let mut put = |name: &str, value: Json| data.insert(name.to_owned(), value);
    let certificate = &made.certificate;
    put("not_before", certificate.not_before.into());
    put("expiration", certificate.not_after.into());
    put("serial_number", certificate.serial_text().into());
    let chain = format.chain(&made.chain);
    if let Some(issuer) = made.chain.first() {
        put("issuing_ca", format.certificate(issuer).into());
    }
    let mut written = format.certificate(certificate);
    if let Some(key) = &made.key {
        let key_text = format.private_key(key)?;
        if format.kind == FormatKind::Bundle {
            written = format!("{key_text}\n{written}");
        }
        put("private_key", key_text.into());
        put("private_key_type", key.key_type().name().into());
    }
    if format.kind == FormatKind::Bundle {
        for link in &made.chain {
            written.push('\n');
            written.push_str(&link.pem());
        }
    }
    put("certificate", written.into());
    if !chain.is_empty() {
        put("ca_chain", chain.into());
    }
    Ok(data)
}
