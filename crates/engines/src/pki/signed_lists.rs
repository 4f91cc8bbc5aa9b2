//! Revocation lists of what others know: several lists of an issuer made one, or a list of what the
//! request says. Nothing of it is kept here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_base::{Json, Result, Timestamp, fields, parse_duration};
use strongroom_crypto::x509::{
    Crl, CrlEntry, CrlTemplate, Extension, SignatureAlgorithm, colons, ids, is_oid, key_id,
    pem_blocks, to_pem,
};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::authority::Authority;
use super::stored::Usage;
use super::{PkiEngine, bad, damaged};

/// Entries of a list that is signed beside other requests.
const LARGE: usize = 1_000;
/// Seconds that a list counts where nothing is said: 72 hours.
const NEXT_UPDATE: &str = "72h";

fields! {
    /// How a list is made.
    pub struct ListFields {
        /// An id, a name, or default.
        issuer_ref: String,
        /// The list's number.
        crl_number: Option<i64>,
        /// The number of the complete list that it continues; without it, it is complete itself.
        delta_crl_base_number: Option<i64>,
        /// How long it counts; 72 hours where nothing is said.
        next_update: Option<String>,
        /// pem (where nothing is said), or der, which is shown in base64.
        format: Option<String>,
    }
}
fields! {
    /// Makes one revocation list of several of an issuer, and signs it.
    pub struct ResignLists {
        ..list: ListFields;
        /// The lists, in PEM, signed by the issuer.
        crls: Option<Vec<String>>,
    }
}
fields! {
    /// Signs a revocation list of what is said.
    pub struct SignList {
        ..list: ListFields;
        /// What is revoked: a list of objects with serial_number, revocation_time and extensions.
        revoked_certs: Option<Json>,
        /// Extensions of the list: a list of objects with id, critical and value (base64).
        extensions: Option<Json>,
    }
}

ops! {
    ResignLists Json, Write;
    SignList Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ResignLists>("issuer/{issuer_ref}/resign-crls")
        .query::<SignList>("issuer/{issuer_ref}/sign-revocation-list")
}

/// How a list is made, checked.
struct Manner {
    number: u64,
    base: Option<u64>,
    seconds: i64,
    der: bool,
}

impl Manner {
    fn of(list: &ListFields) -> Result<Self> {
        let text = list.next_update.as_deref().unwrap_or(NEXT_UPDATE);
        let seconds = parse_duration(text).ok_or_else(|| bad("invalid value for next_update"))?;
        if seconds <= 0 {
            return Err(bad("next_update parameter must be greater than 0"));
        }
        let number = u64::try_from(list.crl_number.unwrap_or(0))
            .map_err(|_| bad("crl_number parameter must be 0 or greater"))?;
        let base = match list.delta_crl_base_number.unwrap_or(-1) {
            -1 => None,
            base => Some(
                u64::try_from(base)
                    .map_err(|_| bad("delta_crl_base_number parameter must be -1 or greater"))?,
            ),
        };
        let format = list.format.as_deref().unwrap_or("pem").to_lowercase();
        let der = match format.as_str() {
            "pem" => false,
            "der" => true,
            _ => return Err(bad("unknown format value: pem and der are known")),
        };
        Ok(Self { number, base, seconds, der })
    }
}

impl PkiEngine {
    /// Signs a list, and shows it.
    async fn sign_list(
        &self,
        cx: &ReadCx<'_>,
        authority: Authority,
        manner: &Manner,
        entries: Vec<CrlEntry>,
        more: Vec<Extension>,
    ) -> Result<Json> {
        let certificate = &authority.certificate;
        let authority_id = match certificate.subject_key_id() {
            Some(id) => id.to_vec(),
            None => key_id(&certificate.spki).map_err(damaged)?,
        };
        let mut extensions =
            vec![Extension::authority_key_id(&authority_id), Extension::crl_number(manner.number)];
        extensions.extend(manner.base.map(Extension::delta_indicator));
        extensions.extend(more);
        let key = authority.key.clone();
        let usual = SignatureAlgorithm::for_key(key.key_type(), 0, false);
        let chosen = SignatureAlgorithm::by_name(&authority.issuer.revocation_algorithm);
        let algorithm = chosen.filter(|a| a.fits(key.key_type())).unwrap_or(usual);
        let now = cx.now().seconds();
        let large = entries.len() > LARGE;
        let template = CrlTemplate {
            issuer: certificate.subject.clone(),
            this_update: now,
            next_update: now.saturating_add(manner.seconds),
            entries,
            extensions,
        };
        let der = match large {
            true => cx.heavy(move || template.sign(&key, algorithm)).await??,
            false => template.sign(&key, algorithm)?,
        };
        Ok(json!({ "crl": match manner.der {
            true => STANDARD.encode(&der),
            false => to_pem("X509 CRL", &der) + "\n",
        }}))
    }
}

impl Query<ResignLists> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ResignLists) -> Result<Reply<Json>> {
        let manner = Manner::of(&op.list)?;
        let mut lists = Vec::new();
        for (at, pem) in op.crls.unwrap_or_default().iter().enumerate() {
            let failed = |why: &str| bad(format!("failed decoding crl {at}: {why}"));
            let one = "invalid crl; should be one PEM block only";
            let (blocks, _) = pem_blocks(pem).map_err(|_| failed(one))?;
            let [block] = blocks.as_slice() else { return Err(failed(one)) };
            lists.push(Crl::from_der(&block.der).map_err(|_| failed("it does not parse"))?);
        }
        let authority = self.authority(&cx.view(), &op.list.issuer_ref, Usage::SignLists).await?;
        for (at, list) in lists.iter().enumerate() {
            if !list.is_signed_by(&authority.certificate.spki) {
                return Err(bad(format!("CRL index: {at} was not signed by requested issuer")));
            }
        }
        let mut warnings = Vec::new();
        let mut merged: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for entry in lists.into_iter().flat_map(|list| list.entries) {
            match merged.get(&entry.serial).copied() {
                Some(known) if known == entry.revoked => {}
                Some(known) => {
                    warnings.push(format!(
                        "Duplicate serial {} with different revocation times detected, using \
                         oldest revocation time",
                        colons(&entry.serial)
                    ));
                    merged.insert(entry.serial, known.min(entry.revoked));
                }
                None => {
                    merged.insert(entry.serial, entry.revoked);
                }
            }
        }
        let entries = merged.into_iter().map(|(serial, revoked)| CrlEntry::new(serial, revoked));
        let entries = entries.collect();
        let data = self.sign_list(cx, authority, &manner, entries, Vec::new()).await?;
        Ok(Reply::data(data).warnings(warnings))
    }
}

impl Query<SignList> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: SignList) -> Result<Reply<Json>> {
        let manner = Manner::of(&op.list)?;
        let entries = entries(op.revoked_certs.as_ref())?;
        let extensions = extensions(op.extensions.as_ref())?;
        let authority = self.authority(&cx.view(), &op.list.issuer_ref, Usage::SignLists).await?;
        let data = self.sign_list(cx, authority, &manner, entries, extensions).await?;
        Ok(Reply::data(data))
    }
}

/// The members of a list of objects; none where it is not there.
fn objects<'j>(list: Option<&'j Json>, what: &str) -> Result<&'j [Json]> {
    match list {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::String(text)) if text.is_empty() => Ok(&[]),
        Some(Json::Array(all)) if all.iter().all(Json::is_object) => Ok(all),
        Some(_) => Err(bad(format!("{what} is no list of objects"))),
    }
}

fn text<'j>(object: &'j Json, name: &str) -> Option<&'j str> {
    object.get(name).and_then(Json::as_str)
}

fn entries(list: Option<&Json>) -> Result<Vec<CrlEntry>> {
    let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for (at, one) in objects(list, "revoked_certs")?.iter().enumerate() {
        let failed =
            |field: &str, why: &str| bad(format!("failed parsing {field} from entry {at}: {why}"));
        let number = |why: &str| failed("serial_number", why);
        let digits =
            text(one, "serial_number").ok_or_else(|| number("it is missing or no text"))?;
        let serial = serial(digits).ok_or_else(|| number("it is not hexadecimal"))?;
        if let Some(original) = seen.insert(serial.clone(), at) {
            let shown = colons(&serial);
            return Err(bad(format!(
                "duplicate serial number: {shown}, original entry {original} and {at}"
            )));
        }
        let revoked = match one.get("revocation_time") {
            Some(Json::String(time)) => Timestamp::parse(time).map(Timestamp::seconds),
            Some(Json::Number(time)) => time.as_i64(),
            _ => None,
        };
        let revoked =
            revoked.ok_or_else(|| failed("revocation_time", "it is missing or no time"))?;
        let mut entry = CrlEntry::new(serial, revoked);
        entry.extensions = extensions(one.get("extensions"))
            .map_err(|e| failed("extensions", &e.public.join("; ")))?;
        entries.push(entry);
    }
    Ok(entries)
}

/// The bytes of a serial number: hexadecimal digits, with whatever is written between them.
fn serial(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| !":.- ".contains(*c)).collect();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).filter(|bytes| !bytes.is_empty())?;
    (bytes.len() <= SERIAL_BYTES_MAX).then(|| bytes.to_vec())
}

/// Bytes of a serial number (RFC 5280 §4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

fn extensions(list: Option<&Json>) -> Result<Vec<Extension>> {
    let mut extensions: Vec<Extension> = Vec::new();
    for (at, one) in objects(list, "extensions")?.iter().enumerate() {
        let failed = |why: &str| bad(format!("failed parsing extension entry {at}: {why}"));
        let oid = text(one, "id").filter(|oid| is_oid(oid));
        let oid = oid.ok_or_else(|| failed("the id is missing, or no object identifier"))?;
        // These say which list it is, and whose.
        if [ids::AUTHORITY_KEY_ID, ids::CRL_NUMBER, ids::DELTA_INDICATOR].contains(&oid) {
            return Err(failed(&format!("the object identifier {oid} is reserved")));
        }
        if extensions.iter().any(|known| known.oid == oid) {
            return Err(bad(format!("duplicate extension id: {oid}")));
        }
        let critical = match one.get("critical") {
            None | Some(Json::Null) => false,
            Some(Json::Bool(critical)) => *critical,
            Some(Json::String(text)) if text.is_empty() || text == "false" => false,
            Some(Json::String(text)) if text == "true" => true,
            Some(_) => return Err(failed("critical is neither true nor false")),
        };
        let value = text(one, "value").ok_or_else(|| failed("missing 'value' field"))?;
        let value = STANDARD.decode(value).map_err(|_| failed("the value is not base64"))?;
        extensions.push(Extension { oid: oid.to_owned(), critical, value });
    }
    Ok(extensions)
}
