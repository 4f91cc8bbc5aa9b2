//! Intermediates: a key, and the CSR with which another authority is asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Json, JsonMap, Result, fields};
use strongroom_crypto::x509::{Extension, RequestTemplate};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::authority::config;
use super::ca_fields::CaFields;
use super::extensions;
use super::format::FormatKind;
use super::import::{NO_URLS, QUEUE, new_name};
use super::names::Judge;
use super::plan;
use super::roots::KeySource;
use super::stored::Urls;
use super::{PkiEngine, crl};

fields! {
    /// Makes the CSR of an intermediate, and its key.
    pub struct GenerateIntermediate {
        ..asked: CaFields;
        /// internal; exported: then the answer has the key; or existing.
        exported: Option<String>,
        /// The name of the key.
        key_name: Option<String>,
        /// The key, where it is an existing one.
        key_ref: Option<String>,
        /// rsa, ec or ed25519.
        key_type: Option<String>,
        /// The size of the key; 0 for the usual one.
        key_bits: Option<i64>,
        /// Does the CSR ask to be an authority? Some authorities of others want it.
        add_basic_constraints: Option<bool>,
    }
}

ops! {
    GenerateIntermediate Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<GenerateIntermediate>("intermediate/generate/{exported}")
        .command::<GenerateIntermediate>("issuers/generate/intermediate/{exported}")
        .command::<GenerateIntermediate>("intermediate/cross-sign")
}

impl Command<GenerateIntermediate> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: GenerateIntermediate) -> Result<Reply<Json>> {
        let cross = cx.request.path == "intermediate/cross-sign";
        let source = match cross {
            true => KeySource::Existing,
            false => KeySource::by_name(op.exported.as_deref().unwrap_or_default())?,
        };
        let mut ca = op.asked.parts()?;
        let kind = (op.key_type.as_deref(), op.key_bits);
        let fresh = self.fresh_key(cx, source, &mut ca.role, kind).await?;
        cx.queue(QUEUE).await;
        let key_name = new_name(cx, "key", op.key_name.as_deref()).await?;
        let names = Judge::new(cx, &ca.role).await?.gather(&ca.asked, None)?;
        let key = match fresh {
            Some(key) => key,
            None => self.existing_key(cx, &mut ca.role, op.key_ref.as_deref()).await?,
        };
        let subject = extensions::subject(&ca.role, &names);
        let mut extensions = Vec::new();
        if !names.alternatives.is_empty() {
            let alternatives = Extension::alt_names(&names.alternatives, subject.is_empty());
            extensions.push(alternatives.map_err(plan::malformed)?);
        }
        if op.add_basic_constraints.unwrap_or(false) {
            extensions.push(Extension::basic_constraints(true, None));
        }
        let template = RequestTemplate { subject, extensions };
        let csr = template.sign(&key, plan::algorithm(&ca.role, &key))?;
        let edit = cx.edit();
        let mut roster = self.roster(&edit).await?;
        let (key_id, _) = roster.bring_key(cx, &key, &key_name)?;
        if roster.save(&edit)? {
            crl::issuers_changed(cx).await?;
        }
        let mut data = JsonMap::new();
        let mut text = match ca.format.kind {
            FormatKind::Der => STANDARD.encode(csr.der()),
            _ => csr.pem(),
        };
        if source == KeySource::Exported {
            let private = ca.format.private_key(&key)?;
            if ca.format.kind == FormatKind::Bundle {
                text = format!("{private}\n{text}");
            }
            data.insert("private_key".to_owned(), private.into());
            data.insert("private_key_type".to_owned(), key.key_type().name().into());
        }
        data.insert("csr".to_owned(), text.into());
        data.insert("key_id".to_owned(), key_id.into());
        let reply = Reply::data(Json::Object(data));
        Ok(match config::<Urls>(&cx.view()).await?.is_empty() {
            true => reply.warn(format!(
                "{NO_URLS} Since this certificate is an intermediate, it might be useful to \
                 regenerate this certificate after fixing this problem for the root mount."
            )),
            false => reply,
        })
    }
}
